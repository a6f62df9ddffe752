//! ONNX Runtime, opened where it is found.

use std::sync::Arc;

use super::backend::Backend;
use crate::formats::onnx::Model;
use crate::libraries::LibraryChoice;

/// ONNX Runtime's library: looked for when the first graph wants it, and opened once.
#[derive(Debug)]
pub(in crate::engines) struct OnnxRuntime {
    choice: LibraryChoice,
}

impl OnnxRuntime {
    /// Looks nowhere yet.
    #[must_use]
    pub(in crate::engines) fn new(choice: LibraryChoice) -> Self {
        Self { choice }
    }

    /// Its version and where it is, or why there is none.
    pub(in crate::engines) fn report(&self) -> Result<String, String> {
        Err(format!("{:?}: it cannot be opened yet", self.choice))
    }

    /// A session for `model`, and the library's name and version.
    ///
    /// # Errors
    /// Why there is none: no library, or what it says of the graph.
    pub(super) fn open(
        &self,
        _model: &Model,
        _intra_op_threads: u16,
    ) -> Result<(Arc<dyn Backend>, String), String> {
        Err(format!("{:?}: it cannot be opened yet", self.choice))
    }
}
