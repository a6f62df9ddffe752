//! Which back end runs a graph.

use std::sync::Arc;

use super::backend::Backend;
use super::{ModelError, OnnxOptions, OnnxRuntime, builtin};
use crate::formats::onnx::Model;

/// What the owner of a model, or of the server, wants its graphs run by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    /// The fastest that is there.
    #[default]
    Auto,
    /// This house's own operators.
    Builtin,
    /// ONNX Runtime.
    Onnxruntime,
    /// tract.
    Tract,
}

/// A back end and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its name and version: `onnxruntime 1.32.0`.
    pub name: String,
    /// Why, for a person to read.
    pub reason: String,
}

/// A back end that took the graph, and its name and version.
type Opened = (Arc<dyn Backend>, String);

/// The back end for `model`.
///
/// # Errors
/// [`ModelError::NoBackend`] with what each of them said.
pub(super) fn choose(
    model: &Model,
    runtime: &OnnxRuntime,
    options: OnnxOptions,
) -> Result<(Arc<dyn Backend>, Chosen), ModelError> {
    let chosen = |name: String, reason: &str| Chosen { name, reason: reason.to_owned() };
    let is_classical = builtin::is_classical(model);
    let order: &[BackendChoice] = match options.backend {
        BackendChoice::Auto if is_classical => &[BackendChoice::Builtin, BackendChoice::Onnxruntime],
        BackendChoice::Auto => &[BackendChoice::Onnxruntime, BackendChoice::Tract, BackendChoice::Builtin],
        BackendChoice::Builtin => &[BackendChoice::Builtin],
        BackendChoice::Onnxruntime => &[BackendChoice::Onnxruntime],
        BackendChoice::Tract => &[BackendChoice::Tract],
    };
    let why = match (options.backend, is_classical) {
        (BackendChoice::Auto, true) => "its operators are those of classical models",
        (BackendChoice::Auto, false) => "its operators are those of neural networks",
        _ => "the model's settings ask for it",
    };
    let mut refusals: Vec<String> = Vec::new();
    for &choice in order {
        let opened: Result<Opened, (&str, String)> = match choice {
            BackendChoice::Builtin => builtin::open(model)
                .map(|graph| (Arc::new(graph) as Arc<dyn Backend>, "longshore".to_owned()))
                .map_err(|error| ("longshore", error)),
            BackendChoice::Onnxruntime => runtime
                .open(model, options.intra_op_threads.unwrap_or(1))
                .map_err(|error| ("onnxruntime", error)),
            BackendChoice::Tract => tract(model).map_err(|error| ("tract", error)),
            BackendChoice::Auto => unreachable!("the order names back ends"),
        };
        match opened {
            Ok((backend, name)) => {
                let mut reason = why.to_owned();
                for refusal in &refusals {
                    reason.push_str("; ");
                    reason.push_str(refusal);
                }
                return Ok((backend, chosen(name, &reason)));
            }
            Err((name, error)) => refusals.push(format!("{name}: {error}")),
        }
    }
    Err(ModelError::NoBackend(refusals.join("; ")))
}

#[cfg(feature = "tract")]
fn tract(model: &Model) -> Result<Opened, String> {
    super::tract::open(model)
        .map(|graph| (Arc::new(graph) as Arc<dyn Backend>, super::tract::NAME.to_owned()))
}

#[cfg(not(feature = "tract"))]
fn tract(_: &Model) -> Result<Opened, String> {
    Err("this build is without it (feature `tract`)".to_owned())
}
