//! tract: neural networks without any library, in Rust.

use super::backend::{Backend, Value};
use crate::formats::onnx::Model;
use crate::servable::RunError;
use crate::tensor::Tensor;

/// What it is called where a back end is told.
pub(super) const NAME: &str = "tract";

/// A graph that tract has made its own.
#[derive(Debug)]
pub(super) struct Graph;

/// Builds the graph.
///
/// # Errors
/// What tract says of it.
pub(super) fn open(_model: &Model) -> Result<Graph, String> {
    Err("it is not there yet".to_owned())
}

impl Backend for Graph {
    fn run(&self, _inputs: Vec<Tensor>, _outputs: &[usize]) -> Result<Vec<Value>, RunError> {
        Err(RunError::Internal("it is not there yet".to_owned()))
    }
}
