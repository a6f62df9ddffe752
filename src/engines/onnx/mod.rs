//! ONNX models: whichever back end runs the graph best here.
//!
//! A back end is chosen once, when the model is loaded, and says why. Graphs of
//! classical machine learning run on the tree engine and the kernels of this
//! house; neural ones on ONNX Runtime where its library is found, else on what is
//! built in.

mod backend;
mod builtin;
mod choose;
#[cfg(test)]
mod made;
mod model;
mod runtime;
#[cfg(feature = "tract")]
mod tract;

pub use choose::BackendChoice;
pub(super) use model::OnnxModel;
pub(super) use runtime::OnnxRuntime;

use bytes::Bytes;

use crate::formats::onnx::{Model, OnnxError};
use crate::limits;
use crate::storage::ModelDir;

/// Why an ONNX model is not served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Its bytes are none.
    #[error(transparent)]
    Format(#[from] OnnxError),
    /// An input or output is of a type that requests cannot carry.
    #[error("{what} {name:?} is {found}; expected a tensor of a type that TensorFlow's protocol has{more}")]
    Signature {
        /// Input or output.
        what: &'static str,
        /// Its name.
        name: String,
        /// What it is.
        found: String,
        /// What else would do.
        more: &'static str,
    },
    /// No back end runs it; the text says why, back end by back end.
    #[error("no back end runs this graph: {0}")]
    NoBackend(String),
}

/// How one model is to be run, where its owner has an opinion: `[onnx]` of `model.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnnxOptions {
    /// Which back end.
    pub backend: BackendChoice,
    /// Threads that one run may use inside ONNX Runtime; 1 when not said.
    pub intra_op_threads: Option<u16>,
}

/// tract's version, if it is in this build.
#[cfg(feature = "tract")]
pub(super) fn tract_report() -> Result<String, String> {
    let version = tract::NAME.split_whitespace().next_back().unwrap_or_default();
    Ok(format!("{version}, built in"))
}

/// Why it is not in this build.
#[cfg(not(feature = "tract"))]
pub(super) fn tract_report() -> Result<String, String> {
    Err("this build is without it; build with the feature `tract`".to_owned())
}

/// Reads `file` of `dir`, chooses a back end and builds the model on it.
///
/// # Errors
/// [`ModelError`], which names the place.
pub(super) fn open(
    dir: &ModelDir,
    bytes: Vec<u8>,
    runtime: &OnnxRuntime,
    options: OnnxOptions,
) -> Result<OnnxModel, ModelError> {
    let mut beside = |name: &str| {
        let read = dir.read(name, limits::MODEL_FILE_BYTES_MAX);
        read.map(Bytes::from).map_err(|error| error.to_string())
    };
    let model = Model::read(Bytes::from(bytes), &mut beside)?;
    OnnxModel::new(&model, runtime, options)
}
