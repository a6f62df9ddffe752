//! `grpc.health.v1.Health`: the truth, overall, per service and per model.
//!
//! | service name | SERVING when |
//! |---|---|
//! | `""`, each served service, qualified or not | requests are taken, and some model is available (or none is wanted) |
//! | `model:<name>` | requests are taken, and some version of it is available |
//!
//! A model that nobody wants served is unknown. Source: the gRPC health checking
//! protocol; the unqualified names are the reference's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

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

/// Tells the health service what is so, and remembers what it told.
#[derive(Debug)]
pub struct HealthTeller {
    reporter: HealthReporter,
    told: BTreeMap<String, bool>,
    readiness: Readiness,
}

/// A teller that has said NOT_SERVING so far, and the service that it tells.
pub async fn health() -> (HealthTeller, HealthServer<impl Health>) {
    let (reporter, service) = health_reporter();
    let mut teller = HealthTeller { reporter, told: BTreeMap::new(), readiness: Readiness::default() };
    // The reporter starts out by calling the whole server SERVING.
    teller.tell(&[], false).await;
    (teller, service)
}

impl HealthTeller {
    /// States which models there are, whether each is available, and whether
    /// requests are taken at all. Watchers hear of what has changed.
    pub async fn tell(&mut self, models: &[(String, bool)], takes_requests: bool) {
        let any = models.is_empty() || models.iter().any(|(_, available)| *available);
        self.readiness.0.store(takes_requests && any, Ordering::Release);
        let services = SERVICES.iter().map(|&name| (name.to_owned(), takes_requests && any));
        let models = models.iter().map(|(m, available)| (format!("model:{m}"), takes_requests && *available));
        let now: BTreeMap<String, bool> = services.chain(models).collect();
        for (name, &serving) in &now {
            if self.told.get(name) != Some(&serving) {
                let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
                self.reporter.set_service_status(name, status).await;
            }
        }
        let gone: Vec<_> = self.told.keys().filter(|name| !now.contains_key(*name)).collect();
        for gone in gone {
            self.reporter.clear_service_status(gone).await;
        }
        self.told = now;
    }

    /// What it last said of the whole server.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Ends every `Watch`, so that the connections they hold can close.
    pub async fn end_watches(mut self) {
        for name in self.told.keys() {
            self.reporter.clear_service_status(name).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus as Wire};

    use super::*;

    async fn check(service: &impl Health, name: &str) -> Option<Wire> {
        let request = tonic::Request::new(HealthCheckRequest { service: name.to_owned() });
        Some(service.check(request).await.ok()?.get_ref().status())
    }

    #[tokio::test]
    async fn says_what_is_so() {
        let (reporter, _) = health_reporter();
        let mut teller = HealthTeller {
            reporter: reporter.clone(),
            told: BTreeMap::new(),
            readiness: Readiness::default(),
        };
        let service = tonic_health::server::HealthService::from_health_reporter(reporter);
        let models = |a, b| [("a".to_owned(), a), ("b".to_owned(), b)];

        teller.tell(&models(true, false), true).await;
        for (name, want) in [
            ("", Some(Wire::Serving)),
            ("tensorflow.serving.PredictionService", Some(Wire::Serving)),
            ("ModelService", Some(Wire::Serving)),
            ("model:a", Some(Wire::Serving)),
            ("model:b", Some(Wire::NotServing)),
            ("model:c", None),
            ("a", None),
        ] {
            assert_eq!(check(&service, name).await, want, "{name:?}");
        }
        teller.tell(&models(false, false), true).await;
        assert_eq!(check(&service, "").await, Some(Wire::NotServing), "no model can answer");
        teller.tell(&[], true).await;
        assert_eq!(check(&service, "").await, Some(Wire::Serving), "nothing is wanted, nothing is missing");
        assert_eq!(check(&service, "model:a").await, None);
        teller.tell(&models(true, true), false).await;
        assert_eq!(check(&service, "").await, Some(Wire::NotServing), "draining");
        assert_eq!(check(&service, "model:a").await, Some(Wire::NotServing), "draining");
    }
}
