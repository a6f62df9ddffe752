//! JSON values → the elements of one tensor, of the dtype that a signature says.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use half::{bf16, f16};
use smallvec::SmallVec;

use super::json::{Cursor, Kind, print};
use crate::error::{Code, ServingError};
use crate::limits::{TENSOR_BYTES_MAX, TENSOR_STRINGS_MAX};
use crate::tensor::{DType, Elements, Shape, Tensor};

type Dims = SmallVec<[usize; 4]>;

/// Why a value is no element.
enum Miss {
    Type,
    /// An object where a string of bytes was expected, and not `{"b64": "..."}`.
    Base64Form,
    Base64,
}

/// What one JSON value can become.
trait Element: Sized {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Miss>;
}

macro_rules! element {
    ($($type:ty: $read:expr),* $(,)?) => {$(
        impl Element for $type {
            fn read(cursor: &mut Cursor<'_>) -> Result<Self, Miss> {
                let read: fn(&mut Cursor<'_>) -> Option<$type> = $read;
                read(cursor).ok_or(Miss::Type)
            }
        }
    )*};
}

// Floats come by way of doubles, and narrow integers by way of int32 (whose low
// bits they keep), as the reference reads them. It has no half, bfloat16 and
// uint16: these are rounded to nearest, and refused out of range.
element! {
    f64: |c| c.double(),
    f32: |c| c.double().map(|v| v as f32),
    f16: |c| c.double().map(f16::from_f64),
    bf16: |c| c.double().map(bf16::from_f64),
    i8: |c| c.integer::<i32>().map(|v| v as i8),
    i16: |c| c.integer::<i32>().map(|v| v as i16),
    i32: |c| c.integer(),
    i64: |c| c.integer(),
    u16: |c| c.integer(),
    u32: |c| c.integer(),
    u64: |c| c.integer(),
}

/// A uint8, and a truth value: both are a byte in memory.
#[derive(Clone, Copy)]
struct Byte(u8);
#[derive(Clone, Copy)]
struct Truth(u8);

element! {
    Byte: |c| c.integer::<i32>().map(|v| Byte(v as u8)),
    Truth: |c| c.boolean().map(|v| Truth(v.into())),
}

/// Standard base64 with or without padding, as absl takes it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Element for Bytes {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Miss> {
        match cursor.kind() {
            Kind::String => cursor.string().ok_or(Miss::Type),
            Kind::Object if !is_base64(cursor) => Err(Miss::Base64Form),
            Kind::Object => base64(cursor).ok_or(Miss::Base64),
            _ => Err(Miss::Type),
        }
    }
}

/// Takes the `{"b64": "..."}` here.
fn base64(cursor: &mut Cursor<'_>) -> Option<Bytes> {
    cursor.enter();
    cursor.skip();
    let mut text = cursor.string()?;
    cursor.leave();
    if text.iter().any(u8::is_ascii_whitespace) {
        text = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    }
    BASE64.decode(text).ok().map(Bytes::from)
}

/// The bytes of the `{"b64": "..."}` here.
///
/// # Errors
/// INVALID_ARGUMENT for what is no base64.
pub(super) fn decode_base64(cursor: &mut Cursor<'_>) -> Result<Bytes, ServingError> {
    let at = cursor.clone();
    base64(cursor).ok_or_else(|| wrong_value(at, &Miss::Base64, DType::String))
}

/// Whether the value here is `{"b64": "..."}`, which counts as a plain value.
pub(super) fn is_base64(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.kind() == Kind::Object
        && ahead.enter() == 1
        && ahead.string().is_some_and(|key| &key[..] == b"b64")
        && ahead.kind() == Kind::String
}

enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<Byte>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    Bool(Vec<Truth>),
    Strings(Vec<Bytes>),
    /// Complex and quantised numbers have no form in JSON.
    None,
}

/// A tensor in the making: values of one input, one after another.
pub(super) struct Filling {
    dtype: DType,
    values: Values,
    /// Size and shape of the first value, which all others must have.
    first: Option<(usize, Dims)>,
    count: usize,
}

impl Filling {
    pub(super) fn new(dtype: DType) -> Self {
        let values = match dtype {
            DType::Float => Values::F32(Vec::new()),
            DType::Double => Values::F64(Vec::new()),
            DType::Half => Values::F16(Vec::new()),
            DType::BFloat16 => Values::BF16(Vec::new()),
            DType::Int8 => Values::I8(Vec::new()),
            DType::Int16 => Values::I16(Vec::new()),
            DType::Int32 => Values::I32(Vec::new()),
            DType::Int64 => Values::I64(Vec::new()),
            DType::UInt8 => Values::U8(Vec::new()),
            DType::UInt16 => Values::U16(Vec::new()),
            DType::UInt32 => Values::U32(Vec::new()),
            DType::UInt64 => Values::U64(Vec::new()),
            DType::Bool => Values::Bool(Vec::new()),
            DType::String => Values::Strings(Vec::new()),
            DType::Complex64
            | DType::Complex128
            | DType::QInt8
            | DType::QUInt8
            | DType::QInt16
            | DType::QUInt16
            | DType::QInt32 => Values::None,
        };
        Self { dtype, values, first: None, count: 0 }
    }

    /// Adds the value here, a number or nested lists of them. `more` values like
    /// it are expected to follow.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a value of another type, ragged lists, or a value
    /// whose shape is not that of the first.
    pub(super) fn add(&mut self, cursor: &mut Cursor<'_>, more: usize) -> Result<(), ServingError> {
        let dims = shape_of(cursor);
        let bytes_left = cursor.bytes_left();
        let elements = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        // Strings cost by their number here, and by their bytes in the text.
        let (element_bytes, bytes_max) = match self.dtype.element_bytes() {
            Some(bytes) => (bytes, TENSOR_BYTES_MAX),
            None => (1, TENSOR_STRINGS_MAX),
        };
        let so_far = self.first.as_ref().map_or(0, |(size, _)| size.saturating_mul(self.count));
        let elements = elements.filter(|elements| {
            elements.saturating_add(so_far).checked_mul(element_bytes).is_some_and(|bytes| bytes <= bytes_max)
        });
        let Some(elements) = elements else {
            let text = format!(
                "a {} tensor of values of shape {} has more than {}",
                self.dtype,
                shape_text(&dims),
                if self.dtype == DType::String {
                    format!("{TENSOR_STRINGS_MAX} elements")
                } else {
                    format!("{TENSOR_BYTES_MAX} bytes")
                }
            );
            return Err(ServingError::invalid_argument(text));
        };
        if self.count == 0 {
            // Each element takes two bytes of the text at least.
            let room = elements.saturating_mul(more.saturating_add(1)).min(bytes_left / 2 + 1);
            self.reserve(room.min(bytes_max / element_bytes));
        }
        let size = self.fill(cursor, &dims)?;
        match &self.first {
            None => self.first = Some((size, dims)),
            Some((expected, _)) if *expected != size => {
                let text = format!("Expecting tensor size: {expected} but got: {size}");
                return Err(ServingError::invalid_argument(text));
            }
            Some((_, expected)) if *expected != dims => {
                let (expected, dims) = (shape_text(expected), shape_text(&dims));
                let text = format!("Expecting shape {expected} but got: {dims}");
                return Err(ServingError::invalid_argument(text));
            }
            Some(_) => {}
        }
        self.count += 1;
        Ok(())
    }

    fn fill(&mut self, cursor: &mut Cursor<'_>, dims: &[usize]) -> Result<usize, ServingError> {
        macro_rules! fill {
            ($values:expr) => {{
                let before = $values.len();
                fill(cursor, 0, dims, self.dtype, $values)?;
                Ok($values.len() - before)
            }};
        }
        match &mut self.values {
            Values::F32(values) => fill!(values),
            Values::F64(values) => fill!(values),
            Values::F16(values) => fill!(values),
            Values::BF16(values) => fill!(values),
            Values::I8(values) => fill!(values),
            Values::I16(values) => fill!(values),
            Values::I32(values) => fill!(values),
            Values::I64(values) => fill!(values),
            Values::U8(values) => fill!(values),
            Values::U16(values) => fill!(values),
            Values::U32(values) => fill!(values),
            Values::U64(values) => fill!(values),
            Values::Bool(values) => fill!(values),
            Values::Strings(values) => fill!(values),
            Values::None => {
                let mut first = cursor.clone();
                while first.kind() == Kind::List && first.size() > 0 {
                    first.enter();
                }
                let text = format!("Conversion of JSON Value: {} to type: {}", print(first), self.dtype);
                Err(ServingError::new(Code::Unimplemented, text))
            }
        }
    }

    fn reserve(&mut self, room: usize) {
        match &mut self.values {
            Values::F32(values) => values.reserve_exact(room),
            Values::F64(values) => values.reserve_exact(room),
            Values::F16(values) => values.reserve_exact(room),
            Values::BF16(values) => values.reserve_exact(room),
            Values::I8(values) => values.reserve_exact(room),
            Values::I16(values) => values.reserve_exact(room),
            Values::I32(values) => values.reserve_exact(room),
            Values::I64(values) => values.reserve_exact(room),
            Values::U8(values) => values.reserve_exact(room),
            Values::U16(values) => values.reserve_exact(room),
            Values::U32(values) => values.reserve_exact(room),
            Values::U64(values) => values.reserve_exact(room),
            Values::Bool(values) => values.reserve_exact(room),
            Values::Strings(values) => values.reserve_exact(room),
            Values::None => {}
        }
    }

    /// How many values were added.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The values as one tensor: `[values, ...]` as a batch, else the one value.
    ///
    /// # Errors
    /// INTERNAL when elements and shape do not fit each other, which cannot be.
    pub(super) fn finish(self, batch: bool) -> Result<Tensor, ServingError> {
        let (_, dims) = self.first.unwrap_or_default();
        let shape = Shape::new(batch.then_some(self.count).into_iter().chain(dims));
        let elements: Elements = match self.values {
            Values::F32(values) => values.into(),
            Values::F64(values) => values.into(),
            Values::F16(values) => values.into(),
            Values::BF16(values) => values.into(),
            Values::I8(values) => values.into(),
            Values::I16(values) => values.into(),
            Values::I32(values) => values.into(),
            Values::I64(values) => values.into(),
            Values::U8(values) => values.into_iter().map(|Byte(v)| v).collect::<Vec<u8>>().into(),
            Values::U16(values) => values.into(),
            Values::U32(values) => values.into(),
            Values::U64(values) => values.into(),
            Values::Bool(values) => {
                Elements::Bool(values.into_iter().map(|Truth(v)| v).collect::<Vec<u8>>().into())
            }
            Values::Strings(values) => values.into(),
            Values::None => Vec::<f32>::new().into(),
        };
        let broken = |why: &dyn std::fmt::Display| ServingError::new(Code::Internal, why.to_string());
        Tensor::new(shape.map_err(|why| broken(&why))?, elements).map_err(|why| broken(&why))
    }
}

/// The shape of the value here, seen by the first item of each list.
fn shape_of(cursor: &Cursor<'_>) -> Dims {
    let (mut ahead, mut dims) = (cursor.clone(), Dims::new());
    while ahead.kind() == Kind::List {
        let size = ahead.enter();
        dims.push(size);
        if size == 0 {
            break;
        }
    }
    dims
}

fn shape_text(dims: &[usize]) -> String {
    format!("[{}]", dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// Takes the value here, which is `level` lists deep in its tensor.
fn fill<T: Element>(
    cursor: &mut Cursor<'_>,
    level: usize,
    dims: &[usize],
    dtype: DType,
    out: &mut Vec<T>,
) -> Result<(), ServingError> {
    let rank = dims.len();
    if cursor.kind() != Kind::List {
        let here = cursor.clone();
        if level != rank {
            return Err(ServingError::invalid_argument(format!(
                "JSON Value: {} found at incorrect level: {} in the JSON DOM. Expected at level: {rank}",
                print(here),
                level + 1
            )));
        }
        let value = T::read(cursor).map_err(|miss| wrong_value(here, &miss, dtype))?;
        out.push(value);
        return Ok(());
    }
    if level >= rank {
        let text = format!("Encountered list at unexpected level: {level} expected < {rank}");
        return Err(ServingError::invalid_argument(text));
    }
    if cursor.size() != dims[level] {
        return Err(ServingError::invalid_argument(format!(
            "Encountered list at unexpected size: {} at level: {level} expected size: {}",
            cursor.size(),
            dims[level]
        )));
    }
    for _ in 0..cursor.enter() {
        fill(cursor, level + 1, dims, dtype, out)?;
    }
    cursor.leave();
    Ok(())
}

#[cold]
fn wrong_value(at: Cursor<'_>, miss: &Miss, dtype: DType) -> ServingError {
    ServingError::invalid_argument(match miss {
        Miss::Type => {
            let kind = at.kind().name();
            format!("JSON Value: {} Type: {kind} is not of expected type: {dtype}", print(at))
        }
        Miss::Base64Form => format!("JSON Value: {} not formatted correctly for base64 data", print(at)),
        Miss::Base64 => "Unable to base64 decode".to_owned(),
    })
}
