//! Dense tensors: what travels between the doors and the engines.
//!
//! Row-major, of one [`DType`], with a concrete [`Shape`]. The room knows no
//! protocol and no model.

mod buffer;
mod dtype;
mod named;
mod rows;
mod shape;

pub use buffer::Buffer;
pub use dtype::DType;
pub use named::NamedTensors;
pub use rows::{RowsError, concat_rows, pad_rows, slice_rows, split_rows};
pub use shape::{Shape, ShapeTooLarge};

use bytes::Bytes;
use half::{bf16, f16};

/// The elements of a tensor, row-major, by kind.
///
/// Quantised integers are carried as the plain integer of their width. A bool
/// is one byte, 0 or 1. A complex number is its real and its imaginary part.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each variant is named after its element")]
pub enum Elements {
    F32(Buffer<f32>),
    F64(Buffer<f64>),
    F16(Buffer<f16>),
    BF16(Buffer<bf16>),
    I8(Buffer<i8>),
    I16(Buffer<i16>),
    I32(Buffer<i32>),
    I64(Buffer<i64>),
    U8(Buffer<u8>),
    U16(Buffer<u16>),
    U32(Buffer<u32>),
    U64(Buffer<u64>),
    Bool(Buffer<u8>),
    C64(Buffer<[f32; 2]>),
    C128(Buffer<[f64; 2]>),
    Strings(Vec<Bytes>),
}

impl Elements {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(b) => b.len(),
            Self::F64(b) => b.len(),
            Self::F16(b) => b.len(),
            Self::BF16(b) => b.len(),
            Self::I8(b) => b.len(),
            Self::I16(b) => b.len(),
            Self::I32(b) => b.len(),
            Self::I64(b) => b.len(),
            Self::U8(b) | Self::Bool(b) => b.len(),
            Self::U16(b) => b.len(),
            Self::U32(b) => b.len(),
            Self::U64(b) => b.len(),
            Self::C64(b) => b.len(),
            Self::C128(b) => b.len(),
            Self::Strings(b) => b.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dtype these elements have unless they were made for another of the
    /// same width (see [`Tensor::with_dtype`]).
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::Float,
            Self::F64(_) => DType::Double,
            Self::F16(_) => DType::Half,
            Self::BF16(_) => DType::BFloat16,
            Self::I8(_) => DType::Int8,
            Self::I16(_) => DType::Int16,
            Self::I32(_) => DType::Int32,
            Self::I64(_) => DType::Int64,
            Self::U8(_) => DType::UInt8,
            Self::U16(_) => DType::UInt16,
            Self::U32(_) => DType::UInt32,
            Self::U64(_) => DType::UInt64,
            Self::Bool(_) => DType::Bool,
            Self::C64(_) => DType::Complex64,
            Self::C128(_) => DType::Complex128,
            Self::Strings(_) => DType::String,
        }
    }
}

/// The number of elements does not fit the shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{elements} elements do not fill shape {shape}, which holds {expected}")]
pub struct ShapeMismatch {
    /// How many elements there are.
    pub elements: usize,
    /// The shape they were meant for.
    pub shape: Shape,
    /// How many it holds.
    pub expected: usize,
}

/// A dense tensor: shape and elements that fit each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Shape,
    elements: Elements,
}

impl Tensor {
    /// A tensor of `shape`, of the dtype that the elements say.
    ///
    /// # Errors
    /// [`ShapeMismatch`] unless there are exactly as many elements as the shape holds.
    pub fn new(shape: impl Into<Shape>, elements: Elements) -> Result<Self, ShapeMismatch> {
        let (shape, expected) = (shape.into(), elements.len());
        if shape.elements() == expected {
            return Ok(Self { dtype: elements.dtype(), shape, elements });
        }
        Err(ShapeMismatch { elements: expected, expected: shape.elements(), shape })
    }

    /// The same elements under another dtype of the same storage: the quantised
    /// twins of the plain integers. `None` when the storage differs.
    #[must_use]
    pub fn with_dtype(mut self, dtype: DType) -> Option<Self> {
        if dtype.storage() != self.elements.dtype() {
            return None;
        }
        self.dtype = dtype;
        Some(self)
    }

    /// A rank-1 tensor of these values.
    #[must_use]
    pub fn vector(elements: Elements) -> Self {
        Self { dtype: elements.dtype(), shape: Shape::from([elements.len()]), elements }
    }

    /// What its elements are.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Its dimensions; none for a scalar.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its elements, row-major.
    #[must_use]
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Gives the elements up.
    #[must_use]
    pub fn into_elements(self) -> Elements {
        self.elements
    }
}

macro_rules! elements_from {
    ($($element:ty => $variant:ident),* $(,)?) => {$(
        impl From<Vec<$element>> for Elements {
            fn from(values: Vec<$element>) -> Self {
                Self::$variant(values.into())
            }
        }
    )*};
}

elements_from! {
    f32 => F32, f64 => F64, f16 => F16, bf16 => BF16, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64, [f32; 2] => C64, [f64; 2] => C128,
}

impl From<Vec<bool>> for Elements {
    fn from(values: Vec<bool>) -> Self {
        Self::Bool(values.into_iter().map(u8::from).collect::<Vec<u8>>().into())
    }
}

impl From<Vec<Bytes>> for Elements {
    fn from(values: Vec<Bytes>) -> Self {
        Self::Strings(values)
    }
}
