//! Graphs run by this house's own operators.
//!
//! ```text
//! Model ─▶ graph::Builder ─▶ Plan { steps } ─▶ values
//!             │ for each node
//!          registry: (domain, name, opset) ─▶ build(&mut Node) ─▶ Box<dyn Operator>
//! ```
//!
//! An operator is a function from [`op::Node`] (attributes, opset, which inputs are
//! constants) to a closure from [`op::Inputs`] to [`op::Outputs`]:
//!
//! ```text
//! pub(super) const ROWS: &[Row] = &[row("Size", 1, size)];
//!
//! fn size(node: &mut Node<'_>) -> Built {
//!     let axis = node.attributes.int("axis")?.unwrap_or(0);   // build time: read attributes
//!     op(move |inputs| {                                      // run time
//!         let x = inputs.tensor(0)?;                          // &Tensor; take(0) gives it away
//!         one(made([], vec![x.elements().len() as i64])?)     // one output
//!     })
//! }
//! ```
//!
//! * A row holds from its opset on until the next row of that name. What changed
//!   within a row is asked of `node.opset`.
//! * Every attribute must be asked for, or named in `attributes.ignore`: what is not
//!   understood is refused.
//! * `node.constant(i)` is the tensor of an input that never changes: prepare weights
//!   there, once. `node.subgraph("body")` builds a graph attribute; the operator runs it
//!   with `Subgraph::run(inputs, &around)`.
//! * Shapes from files and requests are hostile: make them with [`op::shape`], which
//!   bounds them, before allocating. [`op::axis`] and [`op::size`] check numbers.
//! * [`elements`] moves elements of any dtype (views, picks, broadcasting); [`numbers`]
//!   computes with them.
//! * Errors are plain text; the node's name is put before it.
//!
//! Plain operators are in `ops`, those of `ai.onnx.ml` in `ml`, those of neural
//! networks in `neural`; each folder's `FAMILIES` lists its files' `ROWS`.

mod attributes;
mod elements;
mod functions;
mod graph;
mod kind;
mod ml;
mod neural;
mod numbers;
mod op;
mod ops;
mod order;
mod plan;
mod registry;
mod sparse;
#[cfg(test)]
mod tests;

pub(super) use kind::is_classical;

use super::backend::{Backend, Value};
use crate::formats::onnx::Model;
use crate::servable::RunError;
use crate::tensor::Tensor;

/// A graph whose operators are all ours.
#[derive(Debug)]
pub(super) struct Graph {
    plan: plan::Plan,
}

/// Builds the graph.
///
/// # Errors
/// Which operator, or which of its attributes, is not ours.
pub(super) fn open(model: &Model) -> Result<Graph, String> {
    graph::Builder::model(model).map(|plan| Graph { plan })
}

impl Backend for Graph {
    fn run(&self, inputs: Vec<Tensor>, outputs: &[usize]) -> Result<Vec<Value>, RunError> {
        let inputs = inputs.into_iter().map(|tensor| op::Input::Owned(Value::Tensor(tensor)));
        self.plan.run(inputs, outputs, &op::Budget::new()).map_err(RunError::InvalidInput)
    }
}
