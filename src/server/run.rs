//! From open ports to the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::field::display;

use super::grpc::{self, Services};
use super::http::HttpService;
use super::io_loops::{Doors, IoLoops};
use super::tls::{self, Keys};
use super::{App, ServerError, reload};
use crate::dataplane::DataPlane;
use crate::frontends::health::{HealthTeller, Readiness, health};
use crate::frontends::metrics::MetricsPage;
use crate::frontends::tfs::grpc::Door;
use crate::frontends::tfs::management::Management;
use crate::frontends::tfs::rest;
use crate::frontends::tfs::tensor_proto::Form;
use crate::ids::{ModelName, ServableId};
use crate::lifecycle::{State, StateMonitor};
use crate::limits;
use crate::telemetry::Recorder;

/// States change in bursts; they are told at most this often.
const TELLING_PAUSE: Duration = Duration::from_millis(10);

impl App {
    /// Opens the ports once each model is available or has failed its first try,
    /// calls `announce`, serves until `stop` says so, and drains.
    ///
    /// The first message of `stop` (or its closing) starts the drain: health says
    /// NOT_SERVING, requests are still taken for `drain_grace`, then connections
    /// get GOAWAY and requests in flight finish within `drain_timeout`. Each
    /// further message cuts the present wait short.
    ///
    /// # Errors
    /// [`ServerError`] when a port cannot be opened or an I/O loop breaks.
    pub async fn run(
        mut self,
        mut stop: mpsc::Receiver<()>,
        announce: impl FnOnce(&Self),
    ) -> Result<(), ServerError> {
        let tried = tokio::select! {
            () = self.states.first_pass() => true,
            _ = stop.recv() => false,
        };
        if tried {
            reload::warn_of_labels(&self);
        }
        let outcome = if tried { self.serve(&mut stop, announce).await } else { Ok(()) };
        self.stop_watching();
        self.close_request_log(&mut stop).await;
        // A load that hangs, or a request that outlived the drain, would hold
        // this up for ever.
        tokio::select! {
            () = self.manager.shutdown() => tracing::info!("stopped"),
            () = tokio::time::sleep(self.config.drain_timeout) => tracing::warn!("stopped with models in use"),
            () = another(&mut stop) => tracing::warn!("asked again to stop: stopped with models in use"),
        }
        outcome
    }

    /// Lets what was recorded be written, within the time that requests had.
    async fn close_request_log(&self, stop: &mut mpsc::Receiver<()>) {
        self.request_log.close();
        let written = async {
            while !self.request_log.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = written => return,
            () = tokio::time::sleep(self.config.drain_timeout) => {}
            () = another(stop) => {}
        }
        tracing::warn!("stopped before all recorded requests were written");
    }

    fn stop_watching(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.stop();
        }
    }

    /// The gRPC door of one more I/O loop.
    fn door(&self, plane: Arc<DataPlane>, recorder: Arc<Recorder>, management: &Management) -> Door {
        let form = if self.config.tensor_content { Form::Content } else { Form::TypedFields };
        let most = limits::MESSAGE_BYTES_MAX;
        let (receive, send) = (self.config.grpc.receive_bytes_max, self.config.grpc.send_bytes_max);
        Door::new(plane, recorder)
            .answering_in(form)
            .managed(management.clone())
            .recording(self.request_log.clone())
            .bounded(receive.unwrap_or(most), send.unwrap_or(most))
            .compressing(self.config.grpc.compresses)
    }

    /// The REST door of one more I/O loop.
    fn rest_door(&self, plane: Arc<DataPlane>, recorder: Arc<Recorder>, readiness: Readiness) -> rest::Door {
        let options = rest::Options { timeout: self.config.rest_timeout, cors: self.config.rest_cors };
        rest::Door::new(plane, recorder, readiness, options).recording(self.request_log.clone())
    }

    async fn serve(
        &mut self,
        stop: &mut mpsc::Receiver<()>,
        announce: impl FnOnce(&Self),
    ) -> Result<(), ServerError> {
        let (teller, health) = health();
        let shared = grpc::shared_services(health)?;
        let (inbox, mut wishes) = reload::inbox();
        let management = Management::new(inbox, self.config.reload.allow_remote);
        let path = self.config.metrics_path.as_deref();
        let page = path.map(|path| MetricsPage::new(path, Arc::clone(&self.metrics), self.data_plane()));
        let recorders = std::mem::take(&mut self.recorders).into_iter().map(Arc::new);
        let doors: Vec<Doors> = recorders
            .map(|recorder| {
                let plane = Arc::new(self.data_plane());
                let door = self.door(Arc::clone(&plane), Arc::clone(&recorder), &management);
                let grpc = Services::new(shared.clone(), &door);
                let rest = self.rest_door(plane, recorder, teller.readiness());
                let http = HttpService::new(rest.with_metrics(page.clone()));
                let tls = |keys: &Option<Keys>| keys.as_ref().map(|keys| keys.tls.clone());
                Doors { grpc, http, grpc_tls: tls(&self.grpc_keys), http_tls: tls(&self.rest_keys) }
            })
            .collect();
        let mut loops = IoLoops::start(doors, &self.config.grpc)?;
        teller.tell(&availability(&self.states), true);
        let listeners = self.listen()?;
        let mut accepting = JoinSet::new();
        for (kind, listener) in listeners {
            accepting.spawn(IoLoops::accept(loops.sockets(), kind, listener));
        }
        let (grpc, rest) = (self.grpc_address.map(display), self.rest_address.map(display));
        let socket = self.config.grpc_socket.as_ref().map(|path| path.display().to_string());
        tracing::info!(grpc, socket, rest, "serving");
        announce(self);

        let keys = self.grpc_keys.iter().chain(&self.rest_keys).cloned().collect();
        let broken = tokio::select! {
            never = tls::keep_looking(keys) => match never {},
            never = keep_telling(&teller, self) => match never {},
            never = reload::keep_reloading(self, &mut wishes) => match never {},
            broken = loops.failure() => Some(broken),
            _ = stop.recv() => None,
        };
        // Nothing is loaded any more: what is served now is served to the end. A
        // reload under way is told so.
        drop(wishes);
        self.stop_watching();
        teller.tell(&availability(&self.states), false);
        if let Some(broken) = broken {
            return Err(broken);
        }

        tracing::info!(grace_s = self.config.drain_grace.as_secs_f64(), "draining");
        tokio::select! {
            () = tokio::time::sleep(self.config.drain_grace) => {}
            () = another(stop) => {}
        }
        accepting.abort_all();
        loops.go_away();
        teller.end_watches();
        tokio::select! {
            () = loops.finished() => {}
            () = tokio::time::sleep(self.config.drain_timeout) => {
                tracing::warn!(timeout_s = self.config.drain_timeout.as_secs_f64(),
                    "closing connections whose requests did not finish");
            }
            () = another(stop) => tracing::warn!("asked again to stop: closing connections with requests in flight"),
        }
        Ok(())
    }
}

/// Waits for one more signal. A closed channel is none: it cuts nothing short.
async fn another(stop: &mut mpsc::Receiver<()>) {
    if stop.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Tells whoever must know of every change of state, for ever: health, which
/// models are available; the watcher, which versions have failed and are to be
/// tried again when their files change.
async fn keep_telling(teller: &HealthTeller, app: &App) -> std::convert::Infallible {
    let mut changes = app.states.subscribe();
    let mut watched = BTreeSet::new();
    loop {
        teller.tell(&availability(&app.states), true);
        let failed = failed(&app.states);
        if let Some(watch) = app.watch.as_ref().filter(|_| failed != watched) {
            watch.look_closely_at(failed.clone());
            watched = failed;
        }
        if changes.changed().await.is_err() {
            // The monitor outlives this; were it gone, nothing would change.
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(TELLING_PAUSE).await;
    }
}

/// The versions whose last load failed.
fn failed(states: &StateMonitor) -> BTreeSet<ServableId> {
    let failed = |name: ModelName| {
        let versions = states.versions(name.as_str()).unwrap_or_default();
        let failed = versions.into_iter().filter(|v| v.state == State::Failed);
        failed.map(move |v| ServableId { name: name.clone(), version: v.version }).collect::<Vec<_>>()
    };
    states.models().into_iter().flat_map(failed).collect()
}

/// Each wanted model, and whether any version of it is available.
fn availability(states: &StateMonitor) -> Vec<(String, bool)> {
    let available = |model: &str| {
        states.versions(model).is_some_and(|v| v.iter().any(|version| version.state == State::Available))
    };
    states.models().into_iter().map(|model| (model.as_str().to_owned(), available(model.as_str()))).collect()
}
