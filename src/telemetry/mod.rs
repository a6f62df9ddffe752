//! What is counted: requests, runs, batches, loads. No decision is made here.
//!
//! * `kinds` the words that series are told apart by
//! * `cells`, `bounds` counters and histograms
//! * `models`, `batches` what is counted of a model, a version, a batch
//! * `recorder` one I/O loop's hand
//! * `page`, `reference`, `own`, `process` how it is told to Prometheus
//!
//! A request writes only words that its I/O loop alone writes, without a lock and
//! without a search: the version that answers it leads to them. Series exist for
//! the models that are configured; what is asked of others is counted together,
//! under a name that no model can have.

mod batches;
mod bounds;
mod cells;
mod kinds;
mod models;
mod own;
mod page;
#[cfg(target_os = "linux")]
mod process;
mod recorder;
mod reference;

#[cfg(test)]
mod tests;

pub use batches::Batch;
pub use kinds::{Protocol, Rejection, Rpc};
pub use models::{Loading, ModelMetrics, Run, VersionMetrics, Waiting};
pub use recorder::{Asked, Recorder};
pub use reference::Increases;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use crate::ids::{ModelName, Version};
use batches::BatchingSession;
use models::Shared;
use page::Page;

/// The name under which requests for models are counted that nobody configured. No
/// model can have it, since names do not begin with a dot.
pub const UNKNOWN_MODEL: &str = ".unknown";

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    shared: Arc<Shared>,
    models: RwLock<HashMap<ModelName, Arc<ModelMetrics>>>,
    /// Models that are configured no more, while a version of theirs is still at work.
    gone: Mutex<HashMap<ModelName, Weak<ModelMetrics>>>,
    unknown: Arc<ModelMetrics>,
    /// Of requests that name no model.
    nameless: Arc<ModelMetrics>,
}

/// Where a version stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionState {
    /// Its model.
    pub model: ModelName,
    /// The version.
    pub version: Version,
    /// `ModelVersionStatus.State`.
    pub state: i32,
}

impl Metrics {
    /// The counters of a server, and a recorder for each of its I/O loops.
    #[must_use]
    pub fn start(loops: usize) -> (Arc<Self>, Vec<Recorder>) {
        let shared = Arc::new(Shared { loops, batching: BatchingSession::default() });
        let model = |name| Arc::new(ModelMetrics::new(name, &shared));
        let (unknown, nameless) = (model(UNKNOWN_MODEL), model(""));
        let metrics =
            Arc::new(Self { shared, models: RwLock::default(), gone: Mutex::default(), unknown, nameless });
        let recorders = (0..loops).map(|place| Recorder { metrics: Arc::clone(&metrics), place }).collect();
        (metrics, recorders)
    }

    /// Says which models are configured. The series of others are dropped; those of
    /// a model that stays go on.
    pub fn configure<'a>(&self, models: impl Iterator<Item = &'a ModelName>) {
        let mut known = self.models.write().unwrap_or_else(PoisonError::into_inner);
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let mut former = std::mem::take(&mut *known);
        *known = models
            .map(|name| {
                // A version that was loading all the while counts where it began to.
                let kept = former.remove(name).or_else(|| gone.remove(name)?.upgrade());
                (
                    name.clone(),
                    kept.unwrap_or_else(|| Arc::new(ModelMetrics::new(name.as_str(), &self.shared))),
                )
            })
            .collect();
        gone.retain(|_, model| model.strong_count() > 0);
        gone.extend(former.into_iter().map(|(name, model)| (name, Arc::downgrade(&model))));
    }

    /// The series of a version of a configured model. `path` names its folder.
    #[must_use]
    pub fn version(
        &self,
        model: &ModelName,
        version: Version,
        path: impl FnOnce() -> String,
    ) -> Arc<VersionMetrics> {
        self.named(model.as_str()).version(version, path)
    }

    /// The series of a configured model.
    #[must_use]
    pub fn model(&self, name: &ModelName) -> Arc<ModelMetrics> {
        self.named(name.as_str())
    }

    /// The series under which requests that name this model are counted.
    fn named(&self, name: &str) -> Arc<ModelMetrics> {
        if name.is_empty() {
            return Arc::clone(&self.nameless);
        }
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(models.get(name).unwrap_or(&self.unknown))
    }

    /// All models, by name; those that nobody configured first.
    fn all(&self) -> Vec<Arc<ModelMetrics>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = models.values().cloned().collect();
        drop(models);
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all.splice(0..0, [Arc::clone(&self.nameless), Arc::clone(&self.unknown)]);
        all
    }

    /// The page that Prometheus reads; `states` are those of the versions. Takes
    /// milliseconds when there are thousands of models.
    #[must_use]
    pub fn page(&self, states: &[VersionState]) -> String {
        let models = self.all();
        let mut page = Page::default();
        reference::write(&mut page, &models, &self.shared.batching);
        own::write(&mut page, &models, states);
        #[cfg(target_os = "linux")]
        process::write(&mut page);
        page.into_text()
    }

    /// The reference's counters as they stand, to be asked later by how much they rose.
    #[must_use]
    pub fn increases(self: &Arc<Self>) -> Increases {
        Increases::since_now(Arc::clone(self))
    }
}
