//! What runs a graph, whoever it is.

use std::fmt;

use crate::servable::RunError;
use crate::tensor::{Elements, Tensor};

/// What a graph gives: mostly a tensor.
#[derive(Debug, Clone, PartialEq)]
#[allow(dead_code, reason = "the back ends come next")]
pub(super) enum Value {
    /// A dense tensor.
    Tensor(Tensor),
    /// A list of values of one type.
    Sequence(Vec<Value>),
    /// A value for each key; keys are integers or strings, and as many as values.
    Map {
        /// The keys, no two alike.
        keys: Elements,
        /// A value each.
        values: Elements,
    },
    /// A sequence of maps with the same keys: a row of the matrix has the values of each.
    Table {
        /// The keys, no two alike.
        keys: Elements,
        /// A matrix as wide as there are keys.
        values: Tensor,
    },
    /// No value, where there could be one.
    Absent,
}

/// A graph that is ready to run. One instance answers many requests at once.
pub(super) trait Backend: Send + Sync + fmt::Debug {
    /// Runs the graph once in the calling thread.
    ///
    /// `inputs` has a tensor for each of [`Model::inputs`](crate::formats::onnx::Model::inputs),
    /// in that order and of its dtype; shapes are for the back end to check. `outputs`
    /// are positions in [`Model::outputs`](crate::formats::onnx::Model::outputs), and
    /// there is one value for each, in their order.
    ///
    /// # Errors
    /// [`RunError::InvalidInput`] for shapes or values that the graph cannot take.
    fn run(&self, inputs: Vec<Tensor>, outputs: &[usize]) -> Result<Vec<Value>, RunError>;
}
