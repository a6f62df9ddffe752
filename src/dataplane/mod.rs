//! The verbs of serving, once for all protocols.
//!
//! A door hands over what a caller said; here the model is found, the request
//! checked against its signature, and the answer made. Error texts are those of
//! TensorFlow Serving, since its clients read them.

mod find;
mod predict;

pub use predict::{Predict, Predicted};

use std::sync::Arc;

use crate::error::ServingError;
use crate::execution::Lane;
use crate::ids::{ModelName, ModelQuery};
use crate::lifecycle::{Handle, Reader, StateMonitor, VersionStatus};

/// One I/O loop's way to the models. Each loop has its own, because the
/// [`Reader`] in it is what keeps the loops off each other's cache lines.
#[derive(Debug)]
pub struct DataPlane {
    models: Reader<Lane>,
    states: Arc<StateMonitor>,
}

impl DataPlane {
    /// A data plane over one loop's reader.
    #[must_use]
    pub fn new(models: Reader<Lane>, states: Arc<StateMonitor>) -> Self {
        Self { models, states }
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
