//! The manager.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::catalog::Catalog;
use super::loader::{Aspired, Loader};
use super::monitor::StateMonitor;
use crate::ids::ModelName;

/// How the manager works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many versions load at once. A load that hangs keeps its thread.
    pub num_load_threads: NonZeroUsize,
    /// The pause before the second try of a version that failed; it doubles
    /// with each further failure.
    pub retry_pause_first: Duration,
    /// The longest that this pause grows.
    pub retry_pause_max: Duration,
}

impl Default for Options {
    /// One load thread per core that the process may use; 1 s to 60 s.
    fn default() -> Self {
        Self {
            num_load_threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            retry_pause_first: Duration::from_secs(1),
            retry_pause_max: Duration::from_secs(60),
        }
    }
}

/// Starts managers.
#[derive(Debug)]
pub struct Manager;

impl Manager {
    /// Starts one: a task on the current tokio runtime, its load threads and
    /// its unload thread.
    ///
    /// # Errors
    /// When a thread cannot be started.
    ///
    /// # Panics
    /// Outside a tokio runtime with its timer enabled.
    #[allow(clippy::type_complexity)]
    pub fn start<L: Loader>(
        options: Options,
    ) -> std::io::Result<(ManagerHandle<L>, Arc<Catalog<L::Servable>>, Arc<StateMonitor>)> {
        todo!("{options:?}")
    }
}

/// Tells the manager what should be served. Cheap to clone; when the last clone
/// is dropped, the manager unloads everything and ends, as after
/// [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct ManagerHandle<L> {
    _todo: PhantomData<fn(L)>,
}

impl<L: Loader> ManagerHandle<L> {
    /// States the whole list of what should be served: models left out are
    /// unloaded. Never blocks; may be called from any thread.
    pub fn aspire(&self, _models: BTreeMap<ModelName, Aspired<L>>) {
        todo!()
    }

    /// Unloads everything and ends the manager's threads. Waits for handles in
    /// use and for loads under way, which cannot be interrupted: put a time
    /// limit around it.
    pub async fn shutdown(self) {
        todo!()
    }
}
