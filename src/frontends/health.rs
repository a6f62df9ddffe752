//! `grpc.health.v1.Health`: the truth, overall, per service and per model.
//!
//! | service name | SERVING when |
//! |---|---|
//! | `""`, each served service, qualified or not | requests are taken, and some model is available (or none is wanted) |
//! | `model:<name>` | requests are taken, and some version of it is available |
//!
//! A model that nobody wants served is unknown: `Check` is NOT_FOUND, and `Watch`
//! says SERVICE_UNKNOWN until somebody wants it. Source: the gRPC health checking
//! protocol; the unqualified names are the reference's.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// What the services are called here. The last two are the reference's names.
const SERVICES: [&str; 5] = [
    "",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "PredictionService",
    "ModelService",
];

/// Whether requests are taken and some model can answer: what [`HealthTeller`]
/// last said of the whole server. For doors that are asked over HTTP.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Whether it is so now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What was told last.
#[derive(Debug, Clone, Default, PartialEq)]
struct Told {
    /// Each name, and whether it is SERVING.
    services: Arc<BTreeMap<String, bool>>,
    /// Nothing more will be told: who watches need not wait.
    ended: bool,
}

/// Tells the health service what is so.
#[derive(Debug)]
pub struct HealthTeller {
    told: watch::Sender<Told>,
    readiness: Readiness,
}

/// A teller that has said NOT_SERVING so far, and the service that it tells.
#[must_use]
pub fn health() -> (HealthTeller, HealthServer<HealthService>) {
    let (told, hear) = watch::channel(Told::default());
    let teller = HealthTeller { told, readiness: Readiness::default() };
    teller.tell(&[], false);
    (teller, HealthServer::new(HealthService { told: hear }))
}

impl HealthTeller {
    /// States which models there are, whether each is available, and whether
    /// requests are taken at all. Watchers hear of what has changed.
    pub fn tell(&self, models: &[(String, bool)], takes_requests: bool) {
        let any = models.is_empty() || models.iter().any(|(_, available)| *available);
        self.readiness.0.store(takes_requests && any, Ordering::Release);
        let services = SERVICES.iter().map(|&name| (name.to_owned(), takes_requests && any));
        let models = models.iter().map(|(m, available)| (format!("model:{m}"), takes_requests && *available));
        let now = Told { services: Arc::new(services.chain(models).collect()), ended: false };
        self.told.send_if_modified(|told| {
            let is_new = *told != now;
            *told = now;
            is_new
        });
    }

    /// What it last said of the whole server.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Ends every `Watch`, so that the connections they hold can close.
    pub fn end_watches(self) {
        self.told.send_modify(|told| told.ended = true);
    }
}

/// The service. Clones share what they were told.
#[derive(Debug, Clone)]
pub struct HealthService {
    told: watch::Receiver<Told>,
}

fn status(told: &BTreeMap<String, bool>, name: &str) -> Option<ServingStatus> {
    let serving = *told.get(name)?;
    Some(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let found = status(&self.told.borrow().services, &request.get_ref().service);
        // In the words of gRPC's own service, which the reference uses.
        found
            .map(|status| Response::new(response(status)))
            .ok_or_else(|| Status::not_found("service name unknown"))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// One message at once, and one for each change. Changes that come faster than
    /// the caller reads are one.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().service;
        let mut last = None;
        let changes = WatchStream::new(self.told.clone())
            .map_while(|told| (!told.ended).then_some(told.services))
            .map(move |told| status(&told, &name).unwrap_or(ServingStatus::ServiceUnknown))
            .filter(move |now| last.replace(*now) != Some(*now));
        Ok(Response::new(Box::pin(changes.map(|status| Ok(response(status))))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: name.to_owned() })
    }

    async fn check(service: &HealthService, name: &str) -> Option<ServingStatus> {
        Some(service.check(ask(name)).await.ok()?.get_ref().status())
    }

    fn both() -> (HealthTeller, HealthService) {
        let (told, hear) = watch::channel(Told::default());
        (HealthTeller { told, readiness: Readiness::default() }, HealthService { told: hear })
    }

    fn models(a: bool, b: bool) -> [(String, bool); 2] {
        [("a".to_owned(), a), ("b".to_owned(), b)]
    }

    #[tokio::test]
    async fn says_what_is_so() {
        let (teller, service) = both();
        teller.tell(&models(true, false), true);
        for (name, want) in [
            ("", Some(ServingStatus::Serving)),
            ("tensorflow.serving.PredictionService", Some(ServingStatus::Serving)),
            ("ModelService", Some(ServingStatus::Serving)),
            ("model:a", Some(ServingStatus::Serving)),
            ("model:b", Some(ServingStatus::NotServing)),
            ("model:c", None),
            ("a", None),
        ] {
            assert_eq!(check(&service, name).await, want, "{name:?}");
        }
        teller.tell(&models(false, false), true);
        assert_eq!(check(&service, "").await, Some(ServingStatus::NotServing), "no model can answer");
        teller.tell(&[], true);
        assert_eq!(check(&service, "").await, Some(ServingStatus::Serving), "nothing is wanted or missing");
        assert_eq!(check(&service, "model:a").await, None);
        teller.tell(&models(true, true), false);
        assert_eq!(check(&service, "").await, Some(ServingStatus::NotServing), "draining");
        assert_eq!(check(&service, "model:a").await, Some(ServingStatus::NotServing), "draining");
    }

    #[tokio::test]
    async fn watchers_hear_of_each_change_of_theirs_and_of_nothing_else() {
        let (teller, service) = both();
        teller.tell(&[], true);
        let mut watch = service.watch(ask("model:a")).await.unwrap().into_inner();
        let mut next = async || watch.next().await.map(|said| said.unwrap().status());
        assert_eq!(next().await, Some(ServingStatus::ServiceUnknown), "nobody wants it yet");
        teller.tell(&models(false, true), true);
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        teller.tell(&models(false, false), true);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), next()).await.is_err());
        teller.tell(&models(true, false), true);
        assert_eq!(next().await, Some(ServingStatus::Serving));
        teller.tell(&[], true);
        assert_eq!(next().await, Some(ServingStatus::ServiceUnknown), "nobody wants it any more");
        teller.end_watches();
        assert_eq!(next().await, None);
    }
}
