//! What a loaded model version promises, whatever it is made of.
//!
//! Everything above talks to [`Servable`]; everything below implements it.

mod signature;

pub use signature::{Accepts, Dims, Method, Signature, Signatures, TensorSpec};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::error::Code;
use crate::tensor::Tensor;

/// The name that an empty signature name means. Source: TensorFlow SavedModel.
pub const DEFAULT_SIGNATURE: &str = "serving_default";

/// What this program's own engines are called, where there are others.
pub const OWN_ENGINE: &str = "longshore";

/// One run of one signature. The data plane has checked it: the signature
/// exists, each input stands at its place with an acceptable dtype, and each
/// output is one of the signature's. Shapes are the servable's to check.
#[derive(Debug)]
pub struct Call<'a> {
    /// Position in [`Servable::signatures`].
    pub signature: usize,
    /// One tensor per input of the signature, in its order.
    pub inputs: SmallVec<[Tensor; 2]>,
    /// Which outputs are wanted: positions in the signature's outputs, no doubles.
    pub outputs: &'a [usize],
}

/// Why a run gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The caller's doing; the message names the input and what was expected.
    #[error("{0}")]
    InvalidInput(String),
    /// Ours, or the model's.
    #[error("{0}")]
    Internal(String),
    /// What a runtime with status codes of its own answered, in its words.
    #[error("{1}")]
    Status(Code, String),
}

/// Which engine runs a model, for the log, the status and the metadata. The default
/// is this program's own, which nobody chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The engine, with its version where it is not this program's own.
    pub engine: String,
    /// Why it is this one, where there was a choice.
    pub reason: String,
    /// What the model's file says of itself: producer, custom metadata, …
    pub properties: Vec<(String, String)>,
}

impl Default for About {
    fn default() -> Self {
        Self { engine: OWN_ENGINE.to_owned(), reason: String::new(), properties: Vec::new() }
    }
}

/// A loaded model version: something that answers. Immutable, so one instance
/// answers many requests at once, and ignorant of its own lifecycle.
pub trait Servable: Send + Sync + std::fmt::Debug + 'static {
    /// The kind of model file it came from: `sklearn`, `onnx`, …
    fn platform(&self) -> &'static str;

    /// What it takes and gives.
    fn signatures(&self) -> &Signatures;

    /// The signatures as the model's own file states them, where it does: a serialized
    /// `tensorflow.serving.SignatureDefMap`, for GetModelMetadata. Those that cannot be
    /// called are in it too.
    fn signature_defs(&self) -> Option<Bytes> {
        None
    }

    /// Which engine runs it.
    fn about(&self) -> About {
        About::default()
    }

    /// Runs one batch and gives the wanted outputs, in the order of
    /// [`Call::outputs`]. Blocks the calling thread for as long as it takes.
    ///
    /// # Errors
    /// [`RunError::InvalidInput`] for shapes or values that the model cannot take.
    fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError>;
}
