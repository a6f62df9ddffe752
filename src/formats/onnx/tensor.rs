//! Tensors that stand in a model: initializers and attributes.

use bytes::Bytes;
use half::{bf16, f16};

use crate::proto::onnx::TensorProto;
use crate::proto::onnx::tensor_proto::{DataLocation, DataType};
use crate::tensor::{Buffer, DType, Elements, Shape, Tensor};

/// Why a tensor in a model does not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// Its elements are of a kind that no tensor here holds.
    #[error("elements of type {0} are not served")]
    NotServed(String),
    /// A dimension is negative, or there are too many elements.
    #[error("its shape {0:?} is not one that a tensor can have")]
    Shape(Vec<i64>),
    /// There are too few or too many elements.
    #[error("it holds {found} {what} and its shape asks for {expected}")]
    Count {
        /// How many there are.
        found: usize,
        /// What is counted: elements, or bytes.
        what: &'static str,
        /// How many there should be.
        expected: usize,
    },
    /// An element is out of its type's range.
    #[error("{value} is out of the range of {dtype}")]
    Range {
        /// The element.
        value: i64,
        /// The type.
        dtype: &'static str,
    },
    /// Its data were left in a file.
    #[error("its data lie outside the model, where they may not")]
    External,
}

/// Our dtype for ONNX's; `None` for those that no tensor here holds (8-bit and
/// smaller floats, integers of less than 8 bits).
#[must_use]
pub fn dtype(data_type: DataType) -> Option<DType> {
    Some(match data_type {
        DataType::Float => DType::Float,
        DataType::Uint8 => DType::UInt8,
        DataType::Int8 => DType::Int8,
        DataType::Uint16 => DType::UInt16,
        DataType::Int16 => DType::Int16,
        DataType::Int32 => DType::Int32,
        DataType::Int64 => DType::Int64,
        DataType::String => DType::String,
        DataType::Bool => DType::Bool,
        DataType::Float16 => DType::Half,
        DataType::Double => DType::Double,
        DataType::Uint32 => DType::UInt32,
        DataType::Uint64 => DType::UInt64,
        DataType::Complex64 => DType::Complex64,
        DataType::Complex128 => DType::Complex128,
        DataType::Bfloat16 => DType::BFloat16,
        DataType::Undefined
        | DataType::Float8e4m3fn
        | DataType::Float8e4m3fnuz
        | DataType::Float8e5m2
        | DataType::Float8e5m2fnuz
        | DataType::Uint4
        | DataType::Int4
        | DataType::Float4e2m1
        | DataType::Float8e8m0
        | DataType::Uint2
        | DataType::Int2 => return None,
    })
}

/// ONNX's element type for a dtype of ours; `None` for the quantised kinds, which
/// ONNX carries as plain integers.
#[must_use]
pub fn data_type(dtype: DType) -> Option<DataType> {
    Some(match dtype {
        DType::Float => DataType::Float,
        DType::Double => DataType::Double,
        DType::Int32 => DataType::Int32,
        DType::UInt8 => DataType::Uint8,
        DType::Int16 => DataType::Int16,
        DType::Int8 => DataType::Int8,
        DType::String => DataType::String,
        DType::Complex64 => DataType::Complex64,
        DType::Int64 => DataType::Int64,
        DType::Bool => DataType::Bool,
        DType::BFloat16 => DataType::Bfloat16,
        DType::UInt16 => DataType::Uint16,
        DType::Complex128 => DataType::Complex128,
        DType::Half => DataType::Float16,
        DType::UInt32 => DataType::Uint32,
        DType::UInt64 => DataType::Uint64,
        DType::QInt8 | DType::QUInt8 | DType::QInt32 | DType::QInt16 | DType::QUInt16 => return None,
    })
}

/// The tensor that this message holds.
///
/// # Errors
/// [`TensorError`] when its elements do not fill its shape, or are none of ours.
pub fn tensor(proto: &TensorProto) -> Result<Tensor, TensorError> {
    if proto.data_location() == DataLocation::External {
        return Err(TensorError::External);
    }
    let kind = DataType::try_from(proto.data_type).unwrap_or(DataType::Undefined);
    let Some(dtype) = dtype(kind) else {
        return Err(TensorError::NotServed(kind.as_str_name().to_owned()));
    };
    let bad_shape = || TensorError::Shape(proto.dims.clone());
    let dims: Option<Vec<usize>> = proto.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let shape = Shape::new(dims.ok_or_else(bad_shape)?).map_err(|_| bad_shape())?;
    let elements = if dtype == DType::String || proto.raw_data.is_empty() {
        listed(proto, dtype)?
    } else {
        raw(&proto.raw_data, dtype, shape.elements())?
    };
    let (found, expected) = (elements.len(), shape.elements());
    Tensor::new(shape, elements).map_err(|_| TensorError::Count { found, what: "elements", expected })
}

/// Elements from little-endian bytes.
fn raw(bytes: &Bytes, dtype: DType, expected: usize) -> Result<Elements, TensorError> {
    let size = dtype.element_bytes().unwrap_or(1);
    let wanted = expected.saturating_mul(size);
    if wanted != bytes.len() {
        return Err(TensorError::Count { found: bytes.len(), what: "bytes", expected: wanted });
    }
    fn buffer<T: bytemuck::Pod>(bytes: &Bytes) -> Buffer<T> {
        Buffer::from_le_bytes(bytes.clone()).expect("the length is a multiple of the element's")
    }
    Ok(match dtype {
        DType::Float => Elements::F32(buffer(bytes)),
        DType::Double => Elements::F64(buffer(bytes)),
        DType::Half => Elements::F16(buffer(bytes)),
        DType::BFloat16 => Elements::BF16(buffer(bytes)),
        DType::Int8 | DType::QInt8 => Elements::I8(buffer(bytes)),
        DType::Int16 | DType::QInt16 => Elements::I16(buffer(bytes)),
        DType::Int32 | DType::QInt32 => Elements::I32(buffer(bytes)),
        DType::Int64 => Elements::I64(buffer(bytes)),
        DType::UInt8 | DType::QUInt8 => Elements::U8(buffer(bytes)),
        DType::UInt16 | DType::QUInt16 => Elements::U16(buffer(bytes)),
        DType::UInt32 => Elements::U32(buffer(bytes)),
        DType::UInt64 => Elements::U64(buffer(bytes)),
        DType::Bool => {
            Elements::Bool(bytes.iter().map(|&byte| u8::from(byte != 0)).collect::<Vec<u8>>().into())
        }
        DType::Complex64 => Elements::C64(buffer(bytes)),
        DType::Complex128 => Elements::C128(buffer(bytes)),
        DType::String => Elements::Strings(Vec::new()),
    })
}

/// Elements from the list of their kind.
fn listed(proto: &TensorProto, dtype: DType) -> Result<Elements, TensorError> {
    fn narrow<T: TryFrom<i32>>(values: &[i32], dtype: DType) -> Result<Buffer<T>, TensorError>
    where
        Buffer<T>: From<Vec<T>>,
    {
        let one = |&value: &i32| {
            T::try_from(value).map_err(|_| TensorError::Range { value: value.into(), dtype: dtype.name() })
        };
        values.iter().map(one).collect::<Result<Vec<T>, _>>().map(Buffer::from)
    }
    let ints = &proto.int32_data;
    let bits = || narrow::<u16>(ints, DType::UInt16).map(Buffer::into_vec);
    Ok(match dtype {
        DType::Float => Elements::F32(proto.float_data.clone().into()),
        DType::Double => Elements::F64(proto.double_data.clone().into()),
        DType::Half => Elements::F16(bits()?.into_iter().map(f16::from_bits).collect::<Vec<_>>().into()),
        DType::BFloat16 => {
            Elements::BF16(bits()?.into_iter().map(bf16::from_bits).collect::<Vec<_>>().into())
        }
        DType::Int8 | DType::QInt8 => Elements::I8(narrow(ints, dtype)?),
        DType::Int16 | DType::QInt16 => Elements::I16(narrow(ints, dtype)?),
        DType::Int32 | DType::QInt32 => Elements::I32(ints.clone().into()),
        DType::Int64 => Elements::I64(proto.int64_data.clone().into()),
        DType::UInt8 | DType::QUInt8 => Elements::U8(narrow(ints, dtype)?),
        DType::UInt16 | DType::QUInt16 => Elements::U16(narrow(ints, dtype)?),
        DType::UInt32 => {
            let one = |&value: &u64| {
                let range = || TensorError::Range {
                    value: value.try_into().unwrap_or(i64::MAX),
                    dtype: dtype.name(),
                };
                u32::try_from(value).map_err(|_| range())
            };
            Elements::U32(proto.uint64_data.iter().map(one).collect::<Result<Vec<u32>, _>>()?.into())
        }
        DType::UInt64 => Elements::U64(proto.uint64_data.clone().into()),
        DType::Bool => {
            Elements::Bool(ints.iter().map(|&value| u8::from(value != 0)).collect::<Vec<u8>>().into())
        }
        DType::Complex64 => Elements::C64(
            proto.float_data.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect::<Vec<_>>().into(),
        ),
        DType::Complex128 => Elements::C128(
            proto.double_data.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect::<Vec<_>>().into(),
        ),
        DType::String => Elements::Strings(proto.string_data.clone()),
    })
}
