//! Whether a graph is classical machine learning or a neural network.

use std::collections::HashSet;

use super::registry::{self, ML};
use crate::formats::onnx::Model;
use crate::limits;
use crate::proto::onnx::{GraphProto, NodeProto};

/// Whether this house's own operators are the first choice for a graph.
///
/// They are when it has an operator of `ai.onnx.ml`. They are too when it has only
/// plain operators (nothing convolutional or recurrent, no pooling, normalisation
/// or attention) and no more than [`limits::ONNX_SMALL_WEIGHTS_MAX`] weights: so
/// many multiplications take less time than another library's start of a run.
pub(in crate::engines::onnx) fn is_classical(model: &Model) -> bool {
    let functions = &model.proto().functions;
    let own: HashSet<(&str, &str)> = functions.iter().map(|f| (f.domain.as_str(), f.name.as_str())).collect();
    let mut seen = Seen { own, is_ml: false, is_plain: true, weights: 0 };
    seen.graph(model.graph());
    functions.iter().for_each(|function| seen.nodes(&function.node));
    seen.is_ml || (seen.is_plain && seen.weights <= limits::ONNX_SMALL_WEIGHTS_MAX)
}

struct Seen<'a> {
    own: HashSet<(&'a str, &'a str)>,
    is_ml: bool,
    is_plain: bool,
    weights: u64,
}

impl Seen<'_> {
    /// The decoder bounds how deep graphs lie in each other.
    fn graph(&mut self, graph: &GraphProto) {
        for tensor in &graph.initializer {
            let elements =
                tensor.dims.iter().fold(1u64, |product, &dim| product.saturating_mul(dim.unsigned_abs()));
            self.weights = self.weights.saturating_add(elements);
        }
        self.nodes(&graph.node);
    }

    fn nodes(&mut self, nodes: &[NodeProto]) {
        for node in nodes {
            if !self.own.contains(&(node.domain.as_str(), node.op_type.as_str())) {
                self.is_ml |= node.domain == ML;
                self.is_plain &= registry::is_classical(&node.domain, &node.op_type);
            }
            for attribute in &node.attribute {
                for tensor in attribute.t.iter().chain(&attribute.tensors) {
                    let dims = tensor.dims.iter();
                    let elements =
                        dims.fold(1u64, |product, &dim| product.saturating_mul(dim.unsigned_abs()));
                    self.weights = self.weights.saturating_add(elements);
                }
                attribute.g.iter().chain(&attribute.graphs).for_each(|graph| self.graph(graph));
            }
        }
    }
}
