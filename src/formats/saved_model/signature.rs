//! Signatures as the file states them.

use std::collections::BTreeMap;

use super::SavedModelError;
use crate::formats::tensor_proto::{self, WireDType};
use crate::limits;
use crate::proto::tensorflow::tensor_info::Encoding;
use crate::proto::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
use crate::tensor::{DType, Tensor};

/// A tensor of a graph: an output of one of its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorName {
    /// The node.
    pub op: String,
    /// Which of its outputs.
    pub index: u32,
}

impl TensorName {
    /// `op:index`, or `op` for its first output. `None` for what is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (op, index) = match text.split_once(':') {
            Some((op, index)) => (op, index.parse().ok()?),
            None => (text, 0),
        };
        (!op.is_empty() && !op.starts_with('^')).then(|| Self { op: op.to_owned(), index })
    }
}

/// One input or output of a signature.
#[derive(Debug, Clone, PartialEq)]
pub struct StatedTensor {
    /// The name that clients use.
    pub alias: String,
    /// The tensor of the graph; what it is instead, where it is not one dense tensor.
    pub tensor: Result<TensorName, &'static str>,
    /// The name of the tensor as the file has it.
    pub tensor_text: String,
    /// TensorFlow's number of its dtype, which may be none that requests carry.
    pub dtype: i32,
    /// Its dimensions, `None` for any; none at all when even the rank is open.
    pub dims: Option<Vec<Option<usize>>>,
    /// What an input is when it is left out.
    pub default: Option<Tensor>,
}

/// One entry point.
#[derive(Debug, Clone, PartialEq)]
pub struct StatedSignature {
    /// Its name.
    pub name: String,
    /// What it is for: `tensorflow/serving/predict`, …
    pub method: String,
    /// What it takes, by alias.
    pub inputs: Vec<StatedTensor>,
    /// What it gives, by alias.
    pub outputs: Vec<StatedTensor>,
}

/// All signatures, by name.
pub(super) fn read(defs: &BTreeMap<String, SignatureDef>) -> Result<Vec<StatedSignature>, SavedModelError> {
    let one = |(name, def): (&String, &SignatureDef)| {
        let refused =
            |why: String| SavedModelError::Signature { name: name.chars().take(256).collect(), why };
        let input = |(alias, info): (&String, &TensorInfo)| {
            let default = match def.defaults.get(alias) {
                None => None,
                Some(proto) => Some(
                    tensor_proto::decode(proto.clone())
                        .map_err(|why| refused(format!("the default of input {alias:?}: {why}")))?,
                ),
            };
            Ok::<_, SavedModelError>(stated(alias, info, default))
        };
        Ok(StatedSignature {
            name: name.clone(),
            method: def.method_name.clone(),
            inputs: def.inputs.iter().map(input).collect::<Result<_, _>>()?,
            outputs: def.outputs.iter().map(|(alias, info)| stated(alias, info, None)).collect(),
        })
    };
    defs.iter().map(one).collect()
}

fn stated(alias: &str, info: &TensorInfo, default: Option<Tensor>) -> StatedTensor {
    let (tensor, tensor_text) = match &info.encoding {
        Some(Encoding::Name(name)) => {
            (TensorName::parse(name).ok_or("names no tensor of a graph"), name.clone())
        }
        Some(Encoding::CooSparse(_)) => (Err("is a sparse tensor (coo_sparse)"), String::new()),
        Some(Encoding::CompositeTensor(_)) => (Err("is a composite tensor"), String::new()),
        None => (Err("names no tensor of a graph"), String::new()),
    };
    let dims = info.tensor_shape.as_ref().and_then(dims);
    StatedTensor { alias: alias.to_owned(), tensor, tensor_text, dtype: info.dtype, dims, default }
}

/// `None` for an open rank. TensorFlow does not look at what is stated here, and so
/// nothing in it is refused.
fn dims(shape: &TensorShapeProto) -> Option<Vec<Option<usize>>> {
    if shape.unknown_rank || shape.dim.len() > limits::TENSOR_RANK_MAX {
        return None;
    }
    Some(shape.dim.iter().map(|dim| usize::try_from(dim.size).ok()).collect())
}

impl StatedSignature {
    /// Why no request can call it; `None` when one can.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let tensors = self.inputs.iter().map(|tensor| ("input", tensor));
        let tensors = tensors.chain(self.outputs.iter().map(|tensor| ("output", tensor)));
        for (what, tensor) in tensors {
            if let Err(why) = &tensor.tensor {
                return Some(format!(
                    "Signature {:?} cannot be called: its {what} {:?} {why}; expected one dense tensor",
                    self.name, tensor.alias
                ));
            }
            if DType::from_number(tensor.dtype).is_none() {
                let found = WireDType(tensor.dtype);
                return Some(format!(
                    "Signature {:?} cannot be called: its {what} {:?} is of {found}, which no request or \
                     answer carries",
                    self.name, tensor.alias
                ));
            }
        }
        None
    }
}
