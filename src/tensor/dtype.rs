//! What the elements of a tensor are.

use std::fmt;

/// The element type of a tensor. Names and numbers are TensorFlow's `DataType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are TensorFlow's")]
#[repr(i32)]
pub enum DType {
    Float = 1,
    Double = 2,
    Int32 = 3,
    UInt8 = 4,
    Int16 = 5,
    Int8 = 6,
    String = 7,
    Complex64 = 8,
    Int64 = 9,
    Bool = 10,
    QInt8 = 11,
    QUInt8 = 12,
    QInt32 = 13,
    BFloat16 = 14,
    QInt16 = 15,
    QUInt16 = 16,
    UInt16 = 17,
    Complex128 = 18,
    Half = 19,
    UInt32 = 22,
    UInt64 = 23,
}

impl DType {
    /// Every dtype, in the order of their numbers.
    pub const ALL: [Self; 21] = [
        Self::Float,
        Self::Double,
        Self::Int32,
        Self::UInt8,
        Self::Int16,
        Self::Int8,
        Self::String,
        Self::Complex64,
        Self::Int64,
        Self::Bool,
        Self::QInt8,
        Self::QUInt8,
        Self::QInt32,
        Self::BFloat16,
        Self::QInt16,
        Self::QUInt16,
        Self::UInt16,
        Self::Complex128,
        Self::Half,
        Self::UInt32,
        Self::UInt64,
    ];

    /// The dtype with TensorFlow's number; `None` for those that no tensor of
    /// ours can hold (references, resources, variants, sub-byte and 8-bit floats).
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.number() == number)
    }

    /// TensorFlow's number for it.
    #[must_use]
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The dtype in whose storage the elements lie: the plain integer for the
    /// quantised kinds, itself for all others.
    #[must_use]
    pub fn storage(self) -> Self {
        match self {
            Self::QInt8 => Self::Int8,
            Self::QUInt8 => Self::UInt8,
            Self::QInt16 => Self::Int16,
            Self::QUInt16 => Self::UInt16,
            Self::QInt32 => Self::Int32,
            plain => plain,
        }
    }

    /// Bytes of one element in memory and in `tensor_content`; `None` for strings.
    #[must_use]
    pub fn element_bytes(self) -> Option<usize> {
        Some(match self {
            Self::Int8 | Self::UInt8 | Self::Bool | Self::QInt8 | Self::QUInt8 => 1,
            Self::Int16 | Self::UInt16 | Self::Half | Self::BFloat16 | Self::QInt16 | Self::QUInt16 => 2,
            Self::Float | Self::Int32 | Self::UInt32 | Self::QInt32 => 4,
            Self::Double | Self::Int64 | Self::UInt64 | Self::Complex64 => 8,
            Self::Complex128 => 16,
            Self::String => return None,
        })
    }

    /// Whether it counts or measures: everything but strings and complex numbers.
    #[must_use]
    pub fn is_real(self) -> bool {
        !matches!(self, Self::String | Self::Complex64 | Self::Complex128)
    }

    /// The lower-case name that TensorFlow's messages use: `float`, `int64`, …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Double => "double",
            Self::Int32 => "int32",
            Self::UInt8 => "uint8",
            Self::Int16 => "int16",
            Self::Int8 => "int8",
            Self::String => "string",
            Self::Complex64 => "complex64",
            Self::Int64 => "int64",
            Self::Bool => "bool",
            Self::QInt8 => "qint8",
            Self::QUInt8 => "quint8",
            Self::QInt32 => "qint32",
            Self::BFloat16 => "bfloat16",
            Self::QInt16 => "qint16",
            Self::QUInt16 => "quint16",
            Self::UInt16 => "uint16",
            Self::Complex128 => "complex128",
            Self::Half => "half",
            Self::UInt32 => "uint32",
            Self::UInt64 => "uint64",
        }
    }
}

impl DType {
    /// The name in TensorFlow's protocol: `DT_FLOAT`, `DT_INT64`, …
    #[must_use]
    pub fn wire_name(self) -> String {
        format!("DT_{}", self.name().to_ascii_uppercase())
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_both_ways() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_number(dtype.number()), Some(dtype));
            assert_eq!(dtype.storage().storage(), dtype.storage());
        }
        for absent in [0, 20, 21, 24, 29, 101, 133, -1] {
            assert_eq!(DType::from_number(absent), None);
        }
    }
}
