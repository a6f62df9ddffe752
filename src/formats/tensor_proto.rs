//! `tensorflow.TensorProto` to [`Tensor`] and back.
//!
//! The rules are those of TensorFlow's own `Tensor::FromProto` and
//! `AsProtoField`/`AsProtoTensorContent`, with the bounds of [`crate::limits`]:
//!
//! * `tensor_content`, when not empty, is the whole value, and the typed fields are ignored.
//! * Otherwise the one typed field that belongs to the dtype counts. Too few values:
//!   the last one repeats; none at all: zeros; too many: the rest is ignored. What
//!   stands in another typed field is ignored too.
//! * No shape, or one that says that its rank is unknown but lists no dimension, is a scalar.

use std::fmt;

use bytemuck::Zeroable;
use bytes::{BufMut as _, Bytes, BytesMut};
use half::{bf16, f16};
use prost::Message as _;

use crate::limits::{TENSOR_BYTES_MAX, TENSOR_RANK_MAX, TENSOR_STRINGS_MAX};
use crate::proto::tensorflow::tensor_shape_proto::Dim;
use crate::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use crate::tensor::{Buffer, DType, Elements, Shape, ShapeMismatch, ShapeTooLarge, Tensor};

/// Why a `TensorProto` is no tensor of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorProtoError {
    /// The dtype is unset, a reference, or one that [`DType`] does not hold.
    #[error("dtype {0} cannot be served")]
    DType(WireDType),
    /// More than [`TENSOR_RANK_MAX`] dimensions.
    #[error("{0} dimensions are more than {TENSOR_RANK_MAX}")]
    Rank(usize),
    /// A dimension below zero.
    #[error("dimension {axis} is {size}, and must not be negative")]
    NegativeDimension {
        /// Which one, counted from 0.
        axis: usize,
        /// What it claims to be.
        size: i64,
    },
    /// The dimensions' product overflows.
    #[error(transparent)]
    Shape(#[from] ShapeTooLarge),
    /// More than [`TENSOR_STRINGS_MAX`] strings.
    #[error("a string tensor of shape {0} has more than {TENSOR_STRINGS_MAX} elements")]
    Strings(Shape),
    /// More bytes than one tensor may have.
    #[error("a {dtype} tensor of shape {shape} has more than {bytes_max} bytes")]
    Bytes {
        /// What its elements are.
        dtype: DType,
        /// The shape it claims.
        shape: Shape,
        /// How many it may have.
        bytes_max: usize,
    },
    /// `tensor_content` ends within an element.
    #[error("tensor_content of {bytes} bytes is not a whole number of {dtype} elements")]
    BrokenElement {
        /// What its elements are.
        dtype: DType,
        /// How long it is.
        bytes: usize,
    },
    /// `tensor_content` has more or fewer elements than the shape.
    #[error("tensor_content: {0}")]
    Elements(#[from] ShapeMismatch),
    /// A truth value other than 0 and 1 in `tensor_content`.
    #[error("element {index} of a bool tensor_content is {value}, and must be 0 or 1")]
    NotABool {
        /// Which one, counted from 0.
        index: usize,
        /// What it is.
        value: u8,
    },
    /// `tensor_content` of strings whose lengths do not add up.
    #[error("tensor_content of {strings} strings: {bytes} bytes do not hold their lengths, then their bytes")]
    StringContent {
        /// How many there should be.
        strings: usize,
        /// How many bytes there are.
        bytes: usize,
    },
}

/// A number in a `dtype` field; displays as TensorFlow's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireDType(pub i32);

impl fmt::Display for WireDType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DataType::try_from(self.0) {
            Ok(known) => f.write_str(known.as_str_name()),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// Where the elements of an encoded tensor go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// One entry per element in the dtype's own field: what TensorFlow Serving
    /// answers with unless told otherwise.
    #[default]
    TypedFields,
    /// Little-endian in `tensor_content`
    /// (TensorFlow Serving's `--enable_serialization_as_tensor_content`).
    Content,
}

/// The tensor that a message holds. Typed values are moved, an aligned
/// `tensor_content` is shared, and strings are slices of the message.
///
/// # Errors
/// [`TensorProtoError`]; nothing is allocated for a shape that exceeds the bounds.
pub fn decode(proto: TensorProto) -> Result<Tensor, TensorProtoError> {
    decode_within(proto, TENSOR_BYTES_MAX)
}

fn decode_within(proto: TensorProto, bytes_max: usize) -> Result<Tensor, TensorProtoError> {
    let unservable = TensorProtoError::DType(WireDType(proto.dtype));
    let Some(dtype) = DType::from_number(proto.dtype) else { return Err(unservable) };
    let shape = decode_shape(proto.tensor_shape.as_ref())?;
    let count = shape.elements();
    let fits = match dtype.element_bytes() {
        Some(size) => count.checked_mul(size).is_some_and(|bytes| bytes <= bytes_max),
        None if count > TENSOR_STRINGS_MAX => return Err(TensorProtoError::Strings(shape)),
        None => true,
    };
    if !fits {
        return Err(TensorProtoError::Bytes { dtype, shape, bytes_max });
    }
    // As in TensorFlow, nobody looks at the content of a tensor without elements.
    let elements = if proto.tensor_content.is_empty() || count == 0 {
        from_fields(dtype, count, proto)
    } else {
        from_content(dtype, count, proto.tensor_content)?
    };
    if let Elements::Strings(strings) = &elements
        && strings.iter().fold(0usize, |sum, s| sum.saturating_add(s.len())) > bytes_max
    {
        return Err(TensorProtoError::Bytes { dtype, shape, bytes_max });
    }
    Tensor::new(shape, elements)?.with_dtype(dtype).ok_or(unservable)
}

fn decode_shape(proto: Option<&TensorShapeProto>) -> Result<Shape, TensorProtoError> {
    let dims = proto.map_or(&[][..], |shape| &shape.dim);
    if dims.len() > TENSOR_RANK_MAX {
        return Err(TensorProtoError::Rank(dims.len()));
    }
    if let Some(axis) = dims.iter().position(|dim| dim.size < 0) {
        return Err(TensorProtoError::NegativeDimension { axis, size: dims[axis].size });
    }
    // Too large for the address space counts as an overflow.
    let sizes = dims.iter().map(|dim| usize::try_from(dim.size).unwrap_or(usize::MAX));
    Ok(Shape::new(sizes)?)
}

fn from_content(dtype: DType, count: usize, content: Bytes) -> Result<Elements, TensorProtoError> {
    let bytes = content.len();
    let numbers = match dtype {
        DType::Float => Buffer::from_le_bytes(content).map(Elements::F32),
        DType::Double => Buffer::from_le_bytes(content).map(Elements::F64),
        DType::Half => Buffer::from_le_bytes(content).map(Elements::F16),
        DType::BFloat16 => Buffer::from_le_bytes(content).map(Elements::BF16),
        DType::Int8 | DType::QInt8 => Buffer::from_le_bytes(content).map(Elements::I8),
        DType::Int16 | DType::QInt16 => Buffer::from_le_bytes(content).map(Elements::I16),
        DType::Int32 | DType::QInt32 => Buffer::from_le_bytes(content).map(Elements::I32),
        DType::Int64 => Buffer::from_le_bytes(content).map(Elements::I64),
        DType::UInt8 | DType::QUInt8 => Buffer::from_le_bytes(content).map(Elements::U8),
        DType::UInt16 | DType::QUInt16 => Buffer::from_le_bytes(content).map(Elements::U16),
        DType::UInt32 => Buffer::from_le_bytes(content).map(Elements::U32),
        DType::UInt64 => Buffer::from_le_bytes(content).map(Elements::U64),
        DType::Complex64 => Buffer::from_le_bytes(content).map(Elements::C64),
        DType::Complex128 => Buffer::from_le_bytes(content).map(Elements::C128),
        DType::Bool => {
            if let Some(index) = content.iter().position(|&byte| byte > 1) {
                return Err(TensorProtoError::NotABool { index, value: content[index] });
            }
            Buffer::from_le_bytes(content).map(Elements::Bool)
        }
        DType::String => {
            let broken = TensorProtoError::StringContent { strings: count, bytes };
            return split_strings(count, content).map(Elements::Strings).ok_or(broken);
        }
    };
    numbers.ok_or(TensorProtoError::BrokenElement { dtype, bytes })
}

/// Parts `count` lengths, as varints, and then as many strings, back to back;
/// `None` unless they fill `content` exactly.
fn split_strings(count: usize, content: Bytes) -> Option<Vec<Bytes>> {
    // Each length takes a byte at least: room for no more than was sent.
    if count > content.len() {
        return None;
    }
    let (mut lengths, mut rest) = (Vec::with_capacity(count), &content[..]);
    for _ in 0..count {
        lengths.push(prost::decode_length_delimiter(&mut rest).ok()?);
    }
    let mut start = content.len() - rest.len();
    let mut strings = Vec::with_capacity(count);
    for length in lengths {
        let end = start.checked_add(length).filter(|&end| end <= content.len())?;
        strings.push(content.slice(start..end));
        start = end;
    }
    (start == content.len()).then_some(strings)
}

fn from_fields(dtype: DType, count: usize, proto: TensorProto) -> Elements {
    // Casts keep the low bits: TensorFlow reads 300 as an int8 of 44.
    match dtype {
        DType::Float => Elements::F32(fill(proto.float_val, count)),
        DType::Double => Elements::F64(fill(proto.double_val, count)),
        DType::Int32 | DType::QInt32 => Elements::I32(fill(proto.int_val, count)),
        DType::Int64 => Elements::I64(fill(proto.int64_val, count)),
        DType::UInt32 => Elements::U32(fill(proto.uint32_val, count)),
        DType::UInt64 => Elements::U64(fill(proto.uint64_val, count)),
        DType::Int8 | DType::QInt8 => Elements::I8(fill_from(&proto.int_val, count, |v| v as i8)),
        DType::Int16 | DType::QInt16 => Elements::I16(fill_from(&proto.int_val, count, |v| v as i16)),
        DType::UInt8 | DType::QUInt8 => Elements::U8(fill_from(&proto.int_val, count, |v| v as u8)),
        DType::UInt16 | DType::QUInt16 => Elements::U16(fill_from(&proto.int_val, count, |v| v as u16)),
        DType::Bool => Elements::Bool(fill_from(&proto.bool_val, count, u8::from)),
        DType::Half => Elements::F16(fill_from(&proto.half_val, count, |v| f16::from_bits(v as u16))),
        DType::BFloat16 => Elements::BF16(fill_from(&proto.half_val, count, |v| bf16::from_bits(v as u16))),
        DType::Complex64 => Elements::C64(fill_from(proto.scomplex_val.as_chunks().0, count, |pair| pair)),
        DType::Complex128 => Elements::C128(fill_from(proto.dcomplex_val.as_chunks().0, count, |pair| pair)),
        DType::String => {
            let mut strings = proto.string_val;
            let last = strings.last().cloned().unwrap_or_default();
            strings.resize(count, last);
            Elements::Strings(strings)
        }
    }
}

/// Exactly `count` values: the last one repeated, or the surplus dropped.
fn fill<T: Copy + Zeroable>(mut values: Vec<T>, count: usize) -> Buffer<T> {
    let last = values.last().copied().unwrap_or_else(T::zeroed);
    values.reserve_exact(count.saturating_sub(values.len()));
    values.resize(count, last);
    values.into()
}

/// The same for values that are stored wider than they are.
fn fill_from<S: Copy, T: Copy + Zeroable>(stored: &[S], count: usize, convert: impl Fn(S) -> T) -> Buffer<T> {
    let mut values = Vec::with_capacity(count);
    values.extend(stored.iter().take(count).map(|&value| convert(value)));
    fill(values, count)
}

/// The message that holds a tensor. Owned values move into it where the field
/// stores them as they are.
#[must_use]
pub fn encode(tensor: Tensor, form: Form) -> TensorProto {
    let mut proto = TensorProto {
        dtype: tensor.dtype().number(),
        tensor_shape: Some(shape_proto(
            tensor.shape().iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)),
        )),
        ..TensorProto::default()
    };
    match form {
        Form::TypedFields => put_fields(&mut proto, tensor.into_elements()),
        Form::Content => proto.tensor_content = content(tensor.into_elements()),
    }
    proto
}

/// A shape message of these sizes; -1 is "any".
#[must_use]
pub fn shape_proto(sizes: impl Iterator<Item = i64>) -> TensorShapeProto {
    let dim = sizes.map(|size| Dim { size, name: String::new() }).collect();
    TensorShapeProto { dim, unknown_rank: false }
}

fn put_fields(proto: &mut TensorProto, elements: Elements) {
    fn widen<T: Copy + Into<i32>>(values: &[T]) -> Vec<i32> {
        values.iter().map(|&value| value.into()).collect()
    }
    match elements {
        Elements::F32(values) => proto.float_val = values.into_vec(),
        Elements::F64(values) => proto.double_val = values.into_vec(),
        Elements::I32(values) => proto.int_val = values.into_vec(),
        Elements::I64(values) => proto.int64_val = values.into_vec(),
        Elements::U32(values) => proto.uint32_val = values.into_vec(),
        Elements::U64(values) => proto.uint64_val = values.into_vec(),
        Elements::I8(values) => proto.int_val = widen(&values),
        Elements::I16(values) => proto.int_val = widen(&values),
        Elements::U8(values) => proto.int_val = widen(&values),
        Elements::U16(values) => proto.int_val = widen(&values),
        Elements::F16(values) => proto.half_val = values.iter().map(|v| v.to_bits().into()).collect(),
        Elements::BF16(values) => proto.half_val = values.iter().map(|v| v.to_bits().into()).collect(),
        Elements::Bool(values) => proto.bool_val = values.iter().map(|&v| v != 0).collect(),
        Elements::C64(values) => proto.scomplex_val = values.into_vec().into_flattened(),
        Elements::C128(values) => proto.dcomplex_val = values.into_vec().into_flattened(),
        Elements::Strings(strings) => proto.string_val = strings,
    }
}

fn content(elements: Elements) -> Bytes {
    match elements {
        Elements::F32(values) => values.into_le_bytes(),
        Elements::F64(values) => values.into_le_bytes(),
        Elements::F16(values) => values.into_le_bytes(),
        Elements::BF16(values) => values.into_le_bytes(),
        Elements::I8(values) => values.into_le_bytes(),
        Elements::I16(values) => values.into_le_bytes(),
        Elements::I32(values) => values.into_le_bytes(),
        Elements::I64(values) => values.into_le_bytes(),
        Elements::U8(values) | Elements::Bool(values) => values.into_le_bytes(),
        Elements::U16(values) => values.into_le_bytes(),
        Elements::U32(values) => values.into_le_bytes(),
        Elements::U64(values) => values.into_le_bytes(),
        Elements::C64(values) => values.into_le_bytes(),
        Elements::C128(values) => values.into_le_bytes(),
        Elements::Strings(strings) => join_strings(&strings),
    }
}

fn join_strings(strings: &[Bytes]) -> Bytes {
    let size = |s: &Bytes| prost::length_delimiter_len(s.len()) + s.len();
    let mut joined = BytesMut::with_capacity(strings.iter().map(size).sum());
    for string in strings {
        prost::encode_length_delimiter(string.len(), &mut joined).expect("a growing buffer has room");
    }
    strings.iter().for_each(|string| joined.put_slice(string));
    joined.freeze()
}

/// What must hold for any bytes: they are refused, or the tensor in them comes
/// back from both forms bit for bit. For the fuzz target and the replay of its corpus.
///
/// # Panics
/// When it does not hold.
#[doc(hidden)]
pub fn check_any_bytes(bytes: Bytes) {
    // Bounds that keep a run short; what lies beyond them differs in size only.
    const BYTES_MAX: usize = 1 << 20;
    let Ok(proto) = TensorProto::decode(bytes) else { return };
    let Ok(tensor) = decode_within(proto, BYTES_MAX) else { return };
    // Compared as bytes, for NaN differs from itself.
    let expected = encode(tensor.clone(), Form::Content);
    for form in [Form::TypedFields, Form::Content] {
        let again = decode(encode(tensor.clone(), form)).expect("what was encoded decodes");
        assert_eq!(encode(again, Form::Content), expected, "{form:?}");
    }
}

#[cfg(test)]
mod tests;
