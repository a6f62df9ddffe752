//! The page that Prometheus reads.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::dataplane::DataPlane;
use crate::ids::ModelName;
use crate::lifecycle::{State, VersionStatus};
use crate::telemetry::{Metrics, VersionState};

/// Its media type. Source: Prometheus, text format 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page at its path. A clone is the same page.
#[derive(Debug, Clone)]
pub struct MetricsPage {
    path: Arc<str>,
    metrics: Arc<Metrics>,
    plane: Arc<DataPlane>,
    /// With thousands of models a page takes time and memory: one is written at a time.
    turn: Arc<Mutex<()>>,
}

impl MetricsPage {
    /// The page of a server, at a path that begins with `/`. `plane` is no I/O loop's.
    #[must_use]
    pub fn new(path: &str, metrics: Arc<Metrics>, plane: DataPlane) -> Self {
        Self { path: path.into(), metrics, plane: Arc::new(plane), turn: Arc::default() }
    }

    /// Whether it is at this path.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        *self.path == *path
    }

    /// Writes it, on a thread of its own; `None` when the runtime is ending.
    pub async fn text(&self) -> Option<String> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let (metrics, plane) = (Arc::clone(&self.metrics), Arc::clone(&self.plane));
        let write = move || {
            let text = metrics.page(&states(&plane));
            drop(turn);
            text
        };
        tokio::task::spawn_blocking(write).await.ok()
    }
}

/// Where each version stands that is not gone.
fn states(plane: &DataPlane) -> Vec<VersionState> {
    let of_model = |model: ModelName| {
        // A model that has gone meanwhile has no versions any more.
        let mut versions = plane.status(model.as_str(), None).unwrap_or_default();
        versions.sort_unstable_by_key(|status| status.version);
        let told = |status: &VersionStatus| VersionState {
            model: model.clone(),
            version: status.version,
            state: status.state.wire_number(),
        };
        versions.iter().filter(|status| status.state != State::Ended).map(told).collect::<Vec<_>>()
    };
    plane.models().into_iter().flat_map(of_model).collect()
}
