//! What the manager is given: loaders, and the lists that say which are wanted.

use std::collections::BTreeMap;

use crate::error::Code;
use crate::ids::Version;
use crate::limits;

/// Makes one version ready. The manager neither knows nor asks what the
/// servable is. Cheap to create and to drop: all heavy work happens in
/// [`load`](Self::load).
pub trait Loader: Send + 'static {
    /// What is made.
    type Servable: Send + Sync + 'static;

    /// Reads, checks and warms the model. Blocks, perhaps for minutes; called
    /// on a load thread. Called again after a failure, so that it must look
    /// afresh each time. A panic in here is this load's failure and no more.
    ///
    /// # Errors
    /// [`LoadError`], which clients read in the model's status.
    fn load(&mut self) -> Result<Self::Servable, LoadError>;
}

/// Why a version is not served: the code and message of its status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    code: Code,
    message: String,
}

impl LoadError {
    /// An error of this code. A message longer than
    /// [`limits::LOAD_ERROR_BYTES_MAX`] is cut: the state monitor keeps it, and
    /// a model file may have had a hand in its text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > limits::LOAD_ERROR_BYTES_MAX {
            message.truncate(message.floor_char_boundary(limits::LOAD_ERROR_BYTES_MAX));
            message.push('…');
        }
        Self { code, message }
    }

    /// The text that the reference gives to a version that stopped being wanted
    /// before it was ready.
    pub(super) fn cancelled() -> Self {
        Self::new(Code::Cancelled, "Loading of servable cancelled")
    }

    /// The code of the status.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message without its code.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// What should be served of one model.
#[derive(Debug, Clone)]
pub struct Aspired<L> {
    /// The wanted versions, in any order. Of two with one number the last counts.
    pub versions: Vec<AspiredVersion<L>>,
    /// Labels and where they point. They replace the model's earlier labels.
    pub labels: BTreeMap<String, Version>,
    /// Whether the first version is likely to be listed within moments. The
    /// first pass waits for such a model.
    pub first_is_coming: bool,
}

/// One wanted version.
#[derive(Debug, Clone)]
pub struct AspiredVersion<L> {
    /// Its number.
    pub version: Version,
    /// Changes when the version's files change; a version that failed to load
    /// is tried again at once when this does.
    pub fingerprint: u64,
    /// Makes it. Dropped unused when the version is already known and unchanged.
    pub loader: L,
}
