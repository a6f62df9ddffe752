//! numpy's dtypes, as pickles record them.

use std::fmt;
use std::sync::Arc;

use super::value::clip;

/// The order of the bytes of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the field's")]
pub enum ByteOrder {
    Little,
    Big,
}

/// What the elements of a numpy array are: a kind, a size and a byte order.
#[derive(Clone)]
pub struct NumpyDType {
    pub(super) kind: DTypeKind,
    pub(super) itemsize: usize,
    pub(super) order: ByteOrder,
}

/// The kinds of dtypes, after numpy's `dtype.kind`. Sizes are in
/// [`NumpyDType::itemsize`].
#[derive(Clone)]
pub enum DTypeKind {
    /// `b`: one byte, true unless 0.
    Bool,
    /// `i`: 1, 2, 4 or 8 bytes.
    Int,
    /// `u`: 1, 2, 4 or 8 bytes.
    UInt,
    /// `f`: 2, 4 or 8 bytes, or an extended float of 12 or 16 that is not read.
    Float,
    /// `c`: two floats.
    Complex,
    /// `U`: UTF-32, 4 bytes a character, padded with zeros.
    Unicode,
    /// `S`: bytes, padded with zeros.
    ByteString,
    /// `V` without fields, or with a sub-array: opaque bytes.
    Void,
    /// `O`: references to Python objects.
    Object,
    /// `M` and `m`: counted in a unit that is not read, hence opaque.
    DateTime,
    /// `V` with fields at recorded offsets.
    Struct(Arc<[DTypeField]>),
}

/// One field of a structured dtype.
#[derive(Clone)]
pub struct DTypeField {
    pub(super) name: Box<str>,
    pub(super) dtype: NumpyDType,
    pub(super) offset: usize,
}

impl DTypeField {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it holds.
    #[must_use]
    pub fn dtype(&self) -> &NumpyDType {
        &self.dtype
    }

    /// Bytes from the start of the record, as recorded. It need not be aligned.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl NumpyDType {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &DTypeKind {
        &self.kind
    }

    /// Bytes of one element.
    #[must_use]
    pub fn itemsize(&self) -> usize {
        self.itemsize
    }

    /// The order of the bytes of its numbers and characters.
    #[must_use]
    pub fn order(&self) -> ByteOrder {
        self.order
    }

    /// The field of this name, of a structured dtype that has it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&DTypeField> {
        self.fields().iter().find(|field| &*field.name == name)
    }

    /// The fields in numpy's order; empty unless the dtype is structured.
    #[must_use]
    pub fn fields(&self) -> &[DTypeField] {
        match &self.kind {
            DTypeKind::Struct(fields) => fields,
            _ => &[],
        }
    }

    /// Whether elements are real numbers that fit an `f64`: booleans, integers, floats of at most 8 bytes.
    #[must_use]
    pub fn is_real(&self) -> bool {
        match self.kind {
            DTypeKind::Bool | DTypeKind::Int | DTypeKind::UInt => true,
            DTypeKind::Float => self.itemsize <= 8,
            _ => false,
        }
    }

    /// Whether elements are integers, booleans not counted.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        matches!(self.kind, DTypeKind::Int | DTypeKind::UInt)
    }

    /// Whether elements are strings: `U`, `S`, or `O`, whose elements may be.
    #[must_use]
    pub fn may_be_strings(&self) -> bool {
        matches!(self.kind, DTypeKind::Unicode | DTypeKind::ByteString | DTypeKind::Object)
    }

    /// numpy's `dtype.hasobject`: the elements are, or hold, references.
    #[must_use]
    pub fn has_object(&self) -> bool {
        match &self.kind {
            DTypeKind::Object => true,
            // Structs inside structs are opaque (see `numpy`), so this is one level.
            DTypeKind::Struct(fields) => {
                fields.iter().any(|field| matches!(field.dtype.kind, DTypeKind::Object))
            }
            _ => false,
        }
    }
}

/// numpy's `dtype.str`: `<f8`, `|b1`, `<U10`; fields are listed for structured ones.
impl fmt::Display for NumpyDType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match (&self.kind, self.order) {
            (
                DTypeKind::Int
                | DTypeKind::UInt
                | DTypeKind::Float
                | DTypeKind::Complex
                | DTypeKind::Unicode
                | DTypeKind::DateTime,
                order,
            ) if self.itemsize != 1 => match order {
                ByteOrder::Little => '<',
                ByteOrder::Big => '>',
            },
            _ => '|',
        };
        let (letter, size) = match &self.kind {
            DTypeKind::Bool => ('b', self.itemsize),
            DTypeKind::Int => ('i', self.itemsize),
            DTypeKind::UInt => ('u', self.itemsize),
            DTypeKind::Float => ('f', self.itemsize),
            DTypeKind::Complex => ('c', self.itemsize),
            DTypeKind::Unicode => ('U', self.itemsize / 4),
            DTypeKind::ByteString => ('S', self.itemsize),
            DTypeKind::Void => ('V', self.itemsize),
            DTypeKind::Object => return f.write_str("|O"),
            DTypeKind::DateTime => ('M', self.itemsize),
            DTypeKind::Struct(fields) => {
                write!(f, "|V{} (", self.itemsize)?;
                for (i, field) in fields.iter().take(16).enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, clip(&field.name))?;
                }
                return f.write_str(if fields.len() > 16 { ", …)" } else { ")" });
            }
        };
        write!(f, "{order}{letter}{size}")
    }
}

impl fmt::Debug for NumpyDType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
