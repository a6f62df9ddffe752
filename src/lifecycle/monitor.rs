//! What became of each version, for the status calls and for readiness.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::loader::LoadError;
use super::state::State;
use crate::ids::{ModelName, ServableId, Version};

/// One version's entry in the answer to a status call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatus {
    /// Which version.
    pub version: Version,
    /// Where it stands.
    pub state: State,
    /// Why it is not served: the last load's failure, or that its loading was
    /// cancelled.
    pub error: Option<LoadError>,
}

type Versions = BTreeMap<Version, VersionStatus>;

/// The state of every version, as clients may know it: AVAILABLE is said only
/// after look-ups find the version, UNLOADING before they stop finding it.
///
/// Written by the manager only. Versions that are gone stay listed, at most
/// [`limits::ENDED_VERSIONS_KEPT`](crate::limits::ENDED_VERSIONS_KEPT) per
/// model; a model that is gone is not listed at all.
#[derive(Debug, Default)]
pub struct StateMonitor {
    models: RwLock<HashMap<ModelName, Versions>>,
    generation: watch::Sender<u64>,
    first_pass: watch::Sender<bool>,
}

impl StateMonitor {
    /// The versions of a model, highest first; `None` for a model that nobody
    /// wants served. A model may be known and have no versions.
    #[must_use]
    pub fn versions(&self, model: &str) -> Option<Vec<VersionStatus>> {
        Some(self.read().get(model)?.values().rev().cloned().collect())
    }

    /// The models that should be served or are still being unloaded, by name.
    #[must_use]
    pub fn models(&self) -> Vec<ModelName> {
        let mut models: Vec<_> = self.read().keys().cloned().collect();
        models.sort_unstable();
        models
    }

    /// A number that grows with every change of any state. The last receiver
    /// may lag: it sees that something changed, not each change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Whether each model of the first aspired list is available in some
    /// version or has failed its first try (each of its versions has).
    #[must_use]
    pub fn is_first_pass_done(&self) -> bool {
        *self.first_pass.borrow()
    }

    /// Waits until [`is_first_pass_done`](Self::is_first_pass_done).
    pub async fn first_pass(&self) {
        // The sender lives in `self`, so the channel cannot close meanwhile.
        let _ = self.first_pass.subscribe().wait_for(|done| *done).await;
    }

    /// What `look` sees of a model's versions, without copying them.
    pub(super) fn with_versions<T>(&self, model: &str, look: impl FnOnce(Option<&Versions>) -> T) -> T {
        look(self.read().get(model))
    }

    pub(super) fn add_model(&self, model: &ModelName) {
        self.write().entry(model.clone()).or_default();
        self.changed();
    }

    pub(super) fn remove_model(&self, model: &ModelName) {
        self.write().remove(model);
        self.changed();
    }

    pub(super) fn set(&self, id: &ServableId, state: State, error: Option<LoadError>) {
        let status = VersionStatus { version: id.version, state, error };
        self.write().entry(id.name.clone()).or_default().insert(id.version, status);
        self.changed();
    }

    pub(super) fn forget(&self, id: &ServableId) {
        if let Some(versions) = self.write().get_mut(&id.name) {
            versions.remove(&id.version);
        }
        self.changed();
    }

    pub(super) fn first_pass_done(&self) {
        self.first_pass.send_replace(true);
    }

    fn changed(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    // A poisoned lock is taken as it is: each change above is one map operation.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<ModelName, Versions>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<ModelName, Versions>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }
}
