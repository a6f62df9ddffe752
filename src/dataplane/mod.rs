//! The verbs of serving, once for all protocols.
//!
//! A door hands over what a caller said; here the model is found, the request
//! checked against its signature, and the answer made. Error texts are those of
//! TensorFlow Serving, since its clients read them.

mod classify;
mod examples;
mod find;
mod inference;
mod predict;
mod regress;
mod rehearsal;
mod signature_text;

pub use classify::Classes;
pub use examples::Examples;
pub use inference::{Inference, Inferred, MultiInference, Task, TaskResult};
pub use predict::{Predict, Predicted};
pub use rehearsal::{Rehearsal, rehearse};

use std::sync::Arc;

use crate::error::ServingError;
use crate::execution::{Lane, RunTimes};
use crate::ids::{ModelName, ModelQuery};
use crate::lifecycle::{Handle, Reader, StateMonitor, VersionStatus};

/// One I/O loop's way to the models. Each loop has its own, because the
/// [`Reader`] in it is what keeps the loops off each other's cache lines.
#[derive(Debug)]
pub struct DataPlane {
    models: Reader<Lane>,
    states: Arc<StateMonitor>,
    options: Options,
}

/// Who answered, and when the run was where: what a door counts when its answer is
/// made. The version stays while this does.
#[derive(Debug)]
pub struct Served {
    /// The version.
    pub handle: Handle<Lane>,
    /// Its run.
    pub times: RunTimes,
}

/// How strict the data plane is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether Classify and Regress want a signature of their own method, rather
    /// than any with the right inputs and outputs: the reference's
    /// `--enable_signature_method_name_check`, off by default there too.
    pub signature_method_name_check: bool,
}

impl DataPlane {
    /// A data plane over one loop's reader.
    #[must_use]
    pub fn new(models: Reader<Lane>, states: Arc<StateMonitor>) -> Self {
        Self { models, states, options: Options::default() }
    }

    /// The same, as strict as this.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The version of a model that a query means, held for as long as the handle
    /// lives: its signatures are what GetModelMetadata tells.
    ///
    /// # Errors
    /// NOT_FOUND for what is not served here, UNAVAILABLE for what should be and
    /// is not ready, INVALID_ARGUMENT for an unknown label or an empty name.
    pub fn find(&self, query: &ModelQuery) -> Result<Handle<Lane>, ServingError> {
        find::find(&self.models, query)
    }

    /// The models that are served or should be, by name.
    #[must_use]
    pub fn models(&self) -> Vec<ModelName> {
        self.states.models()
    }

    /// What became of the versions of a model, highest first; of one version
    /// when `version` names it.
    ///
    /// # Errors
    /// NOT_FOUND for a model or version that nobody asked to serve.
    pub fn status(&self, model: &str, version: Option<i64>) -> Result<Vec<VersionStatus>, ServingError> {
        find::status(&self.states, model, version)
    }
}
