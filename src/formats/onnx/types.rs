//! The types of a graph's inputs and outputs.

use super::{Named, OnnxError};
use crate::proto::onnx::tensor_shape_proto::dimension;
use crate::proto::onnx::{TensorShapeProto, TypeProto, ValueInfoProto, tensor_proto::DataType, type_proto};

/// One dimension of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// So many.
    Known(usize),
    /// As many as everything else of this name.
    Symbol(String),
    /// Any number.
    Any,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueType {
    /// A dense tensor.
    Tensor {
        /// What its elements are.
        data_type: DataType,
        /// Its dimensions; `None` when even the rank is open.
        dims: Option<Vec<Dim>>,
    },
    /// A list of values of one type.
    Sequence(Box<ValueType>),
    /// Keys, which are integers or strings, with a value each.
    Map {
        /// What the keys are.
        key: DataType,
        /// What the values are.
        value: Box<ValueType>,
    },
    /// A value, or none.
    Optional(Box<ValueType>),
}

/// The name and the type of an input or an output.
pub(super) fn named(info: &ValueInfoProto) -> Result<Named, OnnxError> {
    let wrong = |why: &str| OnnxError::Type { name: info.name.clone(), why: why.to_owned() };
    let kind = info.r#type.as_ref().ok_or_else(|| wrong("no type is stated"))?;
    let kind = value_type(kind).map_err(|why| wrong(&why))?;
    Ok(Named { name: info.name.clone(), kind })
}

/// What this type is.
fn value_type(proto: &TypeProto) -> Result<ValueType, String> {
    let inner = |inner: &Option<Box<TypeProto>>| -> Result<Box<ValueType>, String> {
        inner
            .as_ref()
            .map_or(Err("no type of its elements is stated".to_owned()), |t| value_type(t).map(Box::new))
    };
    match proto.value.as_ref().ok_or("no type is stated")? {
        type_proto::Value::TensorType(tensor) => Ok(ValueType::Tensor {
            data_type: element(tensor.elem_type)?,
            dims: tensor.shape.as_ref().map(dims).transpose()?,
        }),
        type_proto::Value::SequenceType(sequence) => Ok(ValueType::Sequence(inner(&sequence.elem_type)?)),
        type_proto::Value::OptionalType(optional) => Ok(ValueType::Optional(inner(&optional.elem_type)?)),
        type_proto::Value::MapType(map) => {
            Ok(ValueType::Map { key: element(map.key_type)?, value: inner(&map.value_type)? })
        }
        type_proto::Value::SparseTensorType(_) => Err("sparse tensors are not served".to_owned()),
        type_proto::Value::OpaqueType(_) => Err("opaque values are not served".to_owned()),
    }
}

fn element(number: i32) -> Result<DataType, String> {
    DataType::try_from(number).map_err(|_| format!("{number} is no element type that is known"))
}

fn dims(shape: &TensorShapeProto) -> Result<Vec<Dim>, String> {
    let dim = |dim: &crate::proto::onnx::tensor_shape_proto::Dimension| match &dim.value {
        None => Ok(Dim::Any),
        Some(dimension::Value::DimParam(name)) if name.is_empty() => Ok(Dim::Any),
        Some(dimension::Value::DimParam(name)) => Ok(Dim::Symbol(name.clone())),
        // Exporters write -1 (and skl2onnx 0 now and then) for "any".
        Some(dimension::Value::DimValue(..=0)) => Ok(Dim::Any),
        Some(dimension::Value::DimValue(value)) => {
            usize::try_from(*value).map(Dim::Known).map_err(|_| format!("dimension {value} is too large"))
        }
    };
    shape.dim.iter().map(dim).collect()
}
