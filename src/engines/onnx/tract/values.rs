//! Tensors there and back.

use bytes::Bytes;
use tract_onnx::prelude::tract_ndarray::ArrayD;
use tract_onnx::prelude::{Datum, DatumType, Tensor as Tract};

use crate::tensor::{DType, Elements, Shape, Tensor};

/// What tract calls a dtype; `None` for those it has not.
pub(super) fn datum_type(dtype: DType) -> Option<DatumType> {
    Some(match dtype {
        DType::Float => DatumType::F32,
        DType::Double => DatumType::F64,
        DType::Half => DatumType::F16,
        DType::Int8 => DatumType::I8,
        DType::Int16 => DatumType::I16,
        DType::Int32 => DatumType::I32,
        DType::Int64 => DatumType::I64,
        DType::UInt8 => DatumType::U8,
        DType::UInt16 => DatumType::U16,
        DType::UInt32 => DatumType::U32,
        DType::UInt64 => DatumType::U64,
        DType::Bool => DatumType::Bool,
        DType::String => DatumType::String,
        _ => return None,
    })
}

/// tract's own tensor of these elements.
///
/// # Errors
/// What of the tensor tract cannot hold.
pub(super) fn to_tract(tensor: Tensor) -> Result<Tract, String> {
    fn made<T: Datum>(shape: &Shape, values: Vec<T>) -> Result<Tract, String> {
        ArrayD::from_shape_vec(shape.to_vec(), values).map(Tract::from).map_err(|error| error.to_string())
    }
    let (shape, dtype) = (tensor.shape().clone(), tensor.dtype());
    match tensor.into_elements() {
        Elements::F32(values) => made(&shape, values.into_vec()),
        Elements::F64(values) => made(&shape, values.into_vec()),
        Elements::F16(values) => made(&shape, values.into_vec()),
        Elements::I8(values) => made(&shape, values.into_vec()),
        Elements::I16(values) => made(&shape, values.into_vec()),
        Elements::I32(values) => made(&shape, values.into_vec()),
        Elements::I64(values) => made(&shape, values.into_vec()),
        Elements::U8(values) => made(&shape, values.into_vec()),
        Elements::U16(values) => made(&shape, values.into_vec()),
        Elements::U32(values) => made(&shape, values.into_vec()),
        Elements::U64(values) => made(&shape, values.into_vec()),
        Elements::Bool(values) => made(&shape, values.iter().map(|&value| value != 0).collect::<Vec<bool>>()),
        Elements::Strings(values) => {
            let text = |value: Bytes| String::from_utf8(value.to_vec()).map_err(|_| "expected UTF-8 text");
            made(&shape, values.into_iter().map(text).collect::<Result<Vec<String>, _>>()?)
        }
        Elements::BF16(_) | Elements::C64(_) | Elements::C128(_) => Err(format!("tract has no {dtype}")),
    }
}

/// Empty texts.
pub(super) fn no_texts(dims: &[usize]) -> Result<Tract, String> {
    let texts = vec![String::new(); dims.iter().product()];
    ArrayD::from_shape_vec(dims, texts).map(Tract::from).map_err(|error| error.to_string())
}

/// Our tensor of what tract gave.
///
/// # Errors
/// When it is of another dtype than was expected.
pub(super) fn from_tract(tensor: &Tract, dtype: DType) -> Result<Tensor, String> {
    fn values<T: Datum + Clone>(tensor: &Tract) -> Result<Vec<T>, String> {
        let view = tensor.to_plain_array_view::<T>().map_err(|error| error.to_string())?;
        Ok(match view.as_slice() {
            Some(slice) => slice.to_vec(),
            None => view.iter().cloned().collect(),
        })
    }
    let shape = Shape::new(tensor.shape().iter().copied()).map_err(|error| error.to_string())?;
    let elements: Elements = match dtype {
        DType::Float => values::<f32>(tensor)?.into(),
        DType::Double => values::<f64>(tensor)?.into(),
        DType::Half => values::<half::f16>(tensor)?.into(),
        DType::Int8 => values::<i8>(tensor)?.into(),
        DType::Int16 => values::<i16>(tensor)?.into(),
        DType::Int32 => values::<i32>(tensor)?.into(),
        DType::Int64 => values::<i64>(tensor)?.into(),
        DType::UInt8 => values::<u8>(tensor)?.into(),
        DType::UInt16 => values::<u16>(tensor)?.into(),
        DType::UInt32 => values::<u32>(tensor)?.into(),
        DType::UInt64 => values::<u64>(tensor)?.into(),
        DType::Bool => values::<bool>(tensor)?.into(),
        DType::String => {
            values::<String>(tensor)?.into_iter().map(Bytes::from).collect::<Vec<Bytes>>().into()
        }
        other => return Err(format!("tract has no {other}")),
    };
    Tensor::new(shape, elements).map_err(|error| error.to_string())
}
