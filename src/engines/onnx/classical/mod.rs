//! Graphs of classical machine learning, run by this house's own operators.

use super::backend::{Backend, Value};
use crate::formats::onnx::Model;
use crate::servable::RunError;
use crate::tensor::Tensor;

/// A graph whose operators are all ours.
#[derive(Debug)]
pub(super) struct Graph;

/// Whether its operators are those of classical models rather than of neural networks.
pub(super) fn is_classical(model: &Model) -> bool {
    model.graph().node.iter().any(|node| node.domain == "ai.onnx.ml")
}

/// Builds the graph.
///
/// # Errors
/// Which operator, or which of its attributes, is not ours.
pub(super) fn open(_model: &Model) -> Result<Graph, String> {
    Err("no operator is there yet".to_owned())
}

impl Backend for Graph {
    fn run(&self, _inputs: Vec<Tensor>, _outputs: &[usize]) -> Result<Vec<Value>, RunError> {
        Err(RunError::Internal("no operator is there yet".to_owned()))
    }
}
