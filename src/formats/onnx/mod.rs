//! ONNX: the bytes of a `ModelProto` become a [`Model`], a value of its own that
//! needs no file any more.
//!
//! What lies in files beside it (external data) is read into it through the
//! caller, so that nothing outside the version's folder can be reached. Source:
//! the ONNX specification, docs/IR.md and docs/ExternalData.md.

mod external;
mod tensor;
mod types;

pub use tensor::{TensorError, data_type, dtype, tensor};
pub use types::{Dim, ValueType};

use bytes::Bytes;
use prost::Message as _;

use crate::limits;
use crate::proto::onnx::{GraphProto, ModelProto, NodeProto};

/// Why bytes are no ONNX model.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// They are no protobuf message of this type.
    #[error("it is not an ONNX model: {0}")]
    NotAModel(#[from] prost::DecodeError),
    /// It lacks what every model has.
    #[error("it has no {0}; expected an ONNX model, which has one")]
    Lacks(&'static str),
    /// It is larger than a bound of ours.
    #[error("it has {found} {what}; at most {most} are read")]
    TooMany {
        /// How many there are.
        found: usize,
        /// What is counted.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// A tensor in it does not add up.
    #[error("tensor {name:?}: {source}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong.
        source: TensorError,
    },
    /// A value's type is not stated or not understood.
    #[error("value {name:?}: {why}")]
    Type {
        /// The value.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A file that holds tensors cannot be used.
    #[error("tensor {tensor:?}, whose data lie in {location:?}: {why}")]
    External {
        /// The tensor.
        tensor: String,
        /// The file, as the model says it.
        location: String,
        /// Why not.
        why: String,
    },
}

/// Reads a file that lies in the model's folder or in a folder below it.
pub type ReadBeside<'a> = dyn FnMut(&str) -> Result<Bytes, String> + 'a;

/// A decoded model, all of whose tensors are in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    proto: ModelProto,
}

/// A named input or output of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ValueType,
}

impl Model {
    /// Decodes `bytes`; `read_beside` gives the content of files that the model names.
    ///
    /// # Errors
    /// [`OnnxError`], which names the place.
    pub fn read(bytes: Bytes, read_beside: &mut ReadBeside<'_>) -> Result<Self, OnnxError> {
        let mut proto = ModelProto::decode(bytes)?;
        external::resolve(&mut proto, read_beside)?;
        Self::new(proto)
    }

    /// A model that was made in memory.
    ///
    /// # Errors
    /// [`OnnxError`] when it is none, or is past a bound.
    pub fn new(proto: ModelProto) -> Result<Self, OnnxError> {
        let graph = proto.graph.as_ref().ok_or(OnnxError::Lacks("graph"))?;
        if proto.opset_import.is_empty() {
            return Err(OnnxError::Lacks("opset_import"));
        }
        if graph.output.is_empty() {
            return Err(OnnxError::Lacks("output"));
        }
        let functions: usize = proto.functions.iter().map(|function| count(&function.node)).sum();
        let found = count(&graph.node) + functions;
        if found > limits::ONNX_NODES_MAX {
            return Err(OnnxError::TooMany { found, what: "nodes", most: limits::ONNX_NODES_MAX });
        }
        Ok(Self { proto })
    }

    /// The message itself.
    #[must_use]
    pub fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// The graph.
    ///
    /// # Panics
    /// Never: a model without one is not made.
    #[must_use]
    pub fn graph(&self) -> &GraphProto {
        self.proto.graph.as_ref().expect("checked when it was made")
    }

    /// The version of this domain's operators that the model was made for; `""` and
    /// `ai.onnx` are the same domain. `None` when the model does not import it.
    #[must_use]
    pub fn opset(&self, domain: &str) -> Option<i64> {
        let plain = |domain: &str| if domain == "ai.onnx" { String::new() } else { domain.to_owned() };
        let wanted = plain(domain);
        self.proto
            .opset_import
            .iter()
            .find(|import| plain(&import.domain) == wanted)
            .map(|import| import.version)
    }

    /// What the graph takes, in its order. What has a value of its own, in an
    /// initializer, is not asked for.
    ///
    /// # Errors
    /// [`OnnxError::Type`] when one has no type that is understood.
    pub fn inputs(&self) -> Result<Vec<Named>, OnnxError> {
        let graph = self.graph();
        let own: std::collections::HashSet<&str> = graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .chain(graph.sparse_initializer.iter().filter_map(|s| s.values.as_ref()).map(|v| v.name.as_str()))
            .collect();
        graph.input.iter().filter(|input| !own.contains(input.name.as_str())).map(types::named).collect()
    }

    /// What the graph gives, in its order.
    ///
    /// # Errors
    /// [`OnnxError::Type`] when one has no type that is understood.
    pub fn outputs(&self) -> Result<Vec<Named>, OnnxError> {
        self.graph().output.iter().map(types::named).collect()
    }

    /// The message in bytes, tensors included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }
}

/// All nodes, those of the graphs within them included. The decoder bounds how
/// deep these lie.
fn count(nodes: &[NodeProto]) -> usize {
    let within = |node: &NodeProto| -> usize {
        let graphs = node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
        graphs.map(|graph| count(&graph.node)).sum()
    };
    nodes.iter().map(|node| 1 + within(node)).sum()
}

#[cfg(test)]
mod tests;
