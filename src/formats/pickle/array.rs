//! numpy arrays: elements that lie in the file's own bytes, converted on demand.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use half::f16;
use smallvec::SmallVec;

use super::dtype::{ByteOrder, DTypeField, DTypeKind, NumpyDType};
use super::value::{Document, Items};
use crate::limits;

/// A numpy array, or a numpy scalar as an array of rank 0. Elements are given in
/// logical C order (the last index runs fastest) whatever the file's order.
#[derive(Clone)]
pub struct Array {
    dtype: NumpyDType,
    shape: SmallVec<[usize; 3]>,
    len: usize,
    elements: Elements,
}

#[derive(Clone)]
enum Elements {
    /// One element after the other, `step` bytes apart, in C order unless there are
    /// strides, which then give the bytes from one index of an axis to the next.
    /// Checked when made: the last element ends within `data`.
    Raw { data: Bytes, start: usize, step: usize, strides: Option<SmallVec<[usize; 3]>> },
    /// A list of the document's, in C order, as long as the array: checked when reading ends.
    Objects { list: u32 },
}

/// The order in which the elements of an array lie in the file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layout<'a> {
    /// The last index runs fastest.
    C,
    /// The first index runs fastest.
    Fortran,
    /// In C order of the shape given; then the axes are put in this order.
    Transposed(&'a [usize]),
}

/// A conversion that the elements do not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArrayError {
    /// The dtype is another kind of thing.
    #[error("expected {expected}, found an array of dtype {dtype} and shape {shape}")]
    DType {
        /// What was wanted.
        expected: &'static str,
        /// The dtype, as numpy writes it.
        dtype: String,
        /// The shape, as Python writes it.
        shape: String,
    },
    /// One element cannot be represented.
    #[error("element {index}: expected {expected}, found {found}")]
    Element {
        /// Its index in C order.
        index: usize,
        /// What was wanted.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

impl Array {
    /// The elements are all of `data`.
    ///
    /// # Errors
    /// A sentence, when `data` is not exactly as long as dtype and shape say.
    pub(super) fn from_raw(
        dtype: NumpyDType,
        shape: &[usize],
        layout: Layout<'_>,
        data: Bytes,
    ) -> Result<Self, String> {
        let (len, bytes) = Self::extent(&dtype, shape)?;
        if bytes != data.len() {
            return Err(format!(
                "{} bytes of data for shape {} of {}-byte elements ({bytes} bytes)",
                data.len(),
                Shape(shape),
                dtype.itemsize
            ));
        }
        let step = dtype.itemsize;
        let mut shape = SmallVec::from_slice(shape);
        let strides = match layout {
            Layout::Fortran if shape.len() > 1 && len > 0 => Some(strides(shape.iter(), step)),
            Layout::C | Layout::Fortran => None,
            Layout::Transposed(axes) => {
                let mut seen: SmallVec<[bool; 3]> = SmallVec::from_elem(false, shape.len());
                let fresh =
                    |&axis: &usize| seen.get_mut(axis).is_some_and(|seen| !std::mem::replace(seen, true));
                if axes.len() != shape.len() || !axes.iter().all(fresh) {
                    return Err(format!("axes {} for shape {}", Shape(axes), Shape(&shape)));
                }
                let mut plain = strides(shape.iter().rev(), step);
                plain.reverse();
                shape = axes.iter().map(|&axis| shape[axis]).collect();
                (len > 0).then(|| axes.iter().map(|&axis| plain[axis]).collect())
            }
        };
        Ok(Self { dtype, shape, len, elements: Elements::Raw { data, start: 0, step, strides } })
    }

    /// The elements are those of one of the document's lists.
    pub(super) fn from_objects(dtype: NumpyDType, shape: &[usize], list: u32) -> Result<Self, String> {
        let (len, _) = Self::extent(&dtype, shape)?;
        Ok(Self { dtype, shape: SmallVec::from_slice(shape), len, elements: Elements::Objects { list } })
    }

    /// Elements and bytes that a shape means, or why it means none.
    pub(super) fn extent(dtype: &NumpyDType, shape: &[usize]) -> Result<(usize, usize), String> {
        // numpy multiplies the dimensions that are not 0, so that an empty array
        // cannot smuggle in a dimension that somebody later allocates for.
        let product = shape.iter().filter(|&&dim| dim != 0).try_fold(1usize, |a, &dim| a.checked_mul(dim));
        let Some(product) = product else {
            return Err(format!("shape {} has more elements than can be counted", Shape(shape)));
        };
        if shape.contains(&0) {
            if product > limits::PICKLE_EMPTY_ARRAY_DIMS_MAX {
                return Err(format!("shape {} of an array without elements is not credible", Shape(shape)));
            }
            return Ok((0, 0));
        }
        // numpy has no such arrays either, but `numpy.str_("")` is a scalar of dtype `<U0`.
        if dtype.itemsize == 0 && product > 1 {
            return Err(format!("shape {} of elements of 0 bytes", Shape(shape)));
        }
        match product.checked_mul(dtype.itemsize) {
            Some(bytes) => Ok((product, bytes)),
            None => Err(format!("shape {} has more bytes than can be counted", Shape(shape))),
        }
    }

    pub(super) fn object_list(&self) -> Option<u32> {
        match self.elements {
            Elements::Objects { list } => Some(list),
            Elements::Raw { .. } => None,
        }
    }

    /// What the elements are.
    #[must_use]
    pub fn dtype(&self) -> &NumpyDType {
        &self.dtype
    }

    /// The dimensions; empty for a scalar. Their product is [`Array::len`].
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements of a boolean, integer or float array (of at most 8 bytes an
    /// element) as `f64`, in C order. Integers beyond 2^53 are rounded.
    ///
    /// # Errors
    /// [`ArrayError::DType`] for any other dtype.
    pub fn to_f64(&self) -> Result<Vec<f64>, ArrayError> {
        #[allow(clippy::cast_precision_loss, reason = "documented: as Python's float() rounds")]
        let values = match (&self.dtype.kind, self.dtype.itemsize, self.dtype.order) {
            (DTypeKind::Float, 8, ByteOrder::Little) => {
                if let Some(values) = self.as_f64_slice() {
                    return Ok(values.to_vec());
                }
                self.gather(f64::from_le_bytes)
            }
            (DTypeKind::Float, 8, ByteOrder::Big) => self.gather(f64::from_be_bytes),
            (DTypeKind::Float, 4, ByteOrder::Little) => self.gather(|b| f64::from(f32::from_le_bytes(b))),
            (DTypeKind::Float, 4, ByteOrder::Big) => self.gather(|b| f64::from(f32::from_be_bytes(b))),
            (DTypeKind::Float, 2, ByteOrder::Little) => self.gather(|b| f64::from(f16::from_le_bytes(b))),
            (DTypeKind::Float, 2, ByteOrder::Big) => self.gather(|b| f64::from(f16::from_be_bytes(b))),
            (DTypeKind::UInt, 8, ByteOrder::Little) => self.gather(|b| u64::from_le_bytes(b) as f64),
            (DTypeKind::UInt, 8, ByteOrder::Big) => self.gather(|b| u64::from_be_bytes(b) as f64),
            (DTypeKind::Bool | DTypeKind::Int | DTypeKind::UInt, ..) => {
                return Ok(self.to_i64()?.into_iter().map(|value| value as f64).collect());
            }
            _ => return Err(self.not("numbers")),
        };
        Ok(values)
    }

    /// The elements of a boolean or integer array, in C order.
    ///
    /// # Errors
    /// [`ArrayError::DType`] for any other dtype, floats included;
    /// [`ArrayError::Element`] for an unsigned number above `i64::MAX`.
    pub fn to_i64(&self) -> Result<Vec<i64>, ArrayError> {
        let values = match (&self.dtype.kind, self.dtype.itemsize, self.dtype.order) {
            (DTypeKind::Bool, 1, _) => self.gather(|[b]| i64::from(b != 0)),
            (DTypeKind::Int, 1, _) => self.gather(|b| i64::from(i8::from_le_bytes(b))),
            (DTypeKind::Int, 2, ByteOrder::Little) => self.gather(|b| i64::from(i16::from_le_bytes(b))),
            (DTypeKind::Int, 2, ByteOrder::Big) => self.gather(|b| i64::from(i16::from_be_bytes(b))),
            (DTypeKind::Int, 4, ByteOrder::Little) => self.gather(|b| i64::from(i32::from_le_bytes(b))),
            (DTypeKind::Int, 4, ByteOrder::Big) => self.gather(|b| i64::from(i32::from_be_bytes(b))),
            (DTypeKind::Int, 8, ByteOrder::Little) => self.gather(i64::from_le_bytes),
            (DTypeKind::Int, 8, ByteOrder::Big) => self.gather(i64::from_be_bytes),
            (DTypeKind::UInt, 1, _) => self.gather(|[b]| i64::from(b)),
            (DTypeKind::UInt, 2, ByteOrder::Little) => self.gather(|b| i64::from(u16::from_le_bytes(b))),
            (DTypeKind::UInt, 2, ByteOrder::Big) => self.gather(|b| i64::from(u16::from_be_bytes(b))),
            (DTypeKind::UInt, 4, ByteOrder::Little) => self.gather(|b| i64::from(u32::from_le_bytes(b))),
            (DTypeKind::UInt, 4, ByteOrder::Big) => self.gather(|b| i64::from(u32::from_be_bytes(b))),
            (DTypeKind::UInt, 8, order) => {
                let wide = match order {
                    ByteOrder::Little => self.gather(u64::from_le_bytes),
                    ByteOrder::Big => self.gather(u64::from_be_bytes),
                };
                return wide
                    .into_iter()
                    .enumerate()
                    .map(|(index, value)| {
                        i64::try_from(value).map_err(|_| ArrayError::Element {
                            index,
                            expected: "an integer of 64 bits with sign",
                            found: value.to_string(),
                        })
                    })
                    .collect();
            }
            _ => return Err(self.not("integers")),
        };
        Ok(values)
    }

    /// The elements of a boolean array, or of one of single-byte integers, in C order.
    ///
    /// # Errors
    /// [`ArrayError::DType`] for any other dtype.
    pub fn to_bools(&self) -> Result<Vec<bool>, ArrayError> {
        match (&self.dtype.kind, self.dtype.itemsize) {
            (DTypeKind::Bool | DTypeKind::Int | DTypeKind::UInt, 1) => Ok(self.gather(|[b]| b != 0)),
            _ => Err(self.not("booleans")),
        }
    }

    /// The elements of an array of dtype `U`, `S` (which must hold UTF-8) or `O`
    /// (each of which must be a string), in C order. Strings of an object array
    /// are borrowed: a million references to one string stay one string.
    ///
    /// # Errors
    /// [`ArrayError::DType`] for any other dtype; [`ArrayError::Element`] for an
    /// element that is no string, or no valid one.
    pub fn to_strings<'a>(&self, document: &'a Document) -> Result<Vec<Cow<'a, str>>, ArrayError> {
        match self.dtype.kind {
            DTypeKind::Object => {
                let Some(objects) = self.objects(document) else { return Err(self.not("strings")) };
                objects
                    .enumerate()
                    .map(|(index, object)| {
                        object.to_str().ok_or_else(|| ArrayError::Element {
                            index,
                            expected: "a string",
                            found: object.describe(),
                        })
                    })
                    .collect()
            }
            DTypeKind::Unicode | DTypeKind::ByteString => {
                let mut strings = Vec::with_capacity(self.len);
                let mut bad = None;
                self.each(|element| match decode(&self.dtype, element) {
                    Ok(text) => strings.push(Cow::Owned(text)),
                    Err(found) => _ = bad.get_or_insert((strings.len(), found)),
                });
                match bad {
                    None => Ok(strings),
                    Some((index, found)) => Err(ArrayError::Element { index, expected: "valid text", found }),
                }
            }
            _ => Err(self.not("strings")),
        }
    }

    /// The elements of an array of dtype `O`, in C order. `document` is the one
    /// that the array came from.
    #[must_use]
    pub fn objects<'a>(&self, document: &'a Document) -> Option<Items<'a>> {
        match self.elements {
            Elements::Objects { list } => document.list(list),
            Elements::Raw { .. } => None,
        }
    }

    /// One field of a structured array, as an array of the same shape. Nothing is copied.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Self> {
        let DTypeField { dtype, offset, .. } = self.dtype.field(name)?;
        match &self.elements {
            // The offset and the field's size were held against the record's when the dtype was made.
            Elements::Raw { data, start, step, strides } => Some(Self {
                dtype: dtype.clone(),
                shape: self.shape.clone(),
                len: self.len,
                elements: Elements::Raw {
                    data: data.clone(),
                    start: start + offset,
                    step: *step,
                    strides: strides.clone(),
                },
            }),
            Elements::Objects { .. } => None,
        }
    }

    /// All elements in place, when they are native doubles in C order, without
    /// gaps, and happen to be aligned.
    #[must_use]
    pub fn as_f64_slice(&self) -> Option<&[f64]> {
        match (&self.dtype.kind, self.dtype.order) {
            (DTypeKind::Float, ByteOrder::Little) if self.dtype.itemsize == 8 => {
                bytemuck::try_cast_slice(self.as_bytes()?).ok()
            }
            _ => None,
        }
    }

    /// The bytes of all elements as they lie in the file, when they lie in C order without gaps.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.elements {
            Elements::Raw { data, start, step, strides: None } if *step == self.dtype.itemsize => {
                data.get(*start..start + self.len * step)
            }
            _ => None,
        }
    }

    fn gather<T, const N: usize>(&self, convert: impl Fn([u8; N]) -> T) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len);
        self.each(|element| values.push(convert(element.try_into().expect("matched on the itemsize"))));
        values
    }

    /// The bytes of every element, in C order.
    fn each(&self, mut visit: impl FnMut(&[u8])) {
        let Elements::Raw { data, start, step, strides } = &self.elements else { return };
        let size = self.dtype.itemsize;
        let Some(strides) = strides else {
            for i in 0..self.len {
                let at = start + i * step;
                visit(&data[at..at + size]);
            }
            return;
        };
        let mut index: SmallVec<[usize; 3]> = SmallVec::from_elem(0, self.shape.len());
        let mut at = *start;
        for _ in 0..self.len {
            visit(&data[at..at + size]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
                at -= strides[axis] * self.shape[axis];
            }
        }
    }

    fn not(&self, expected: &'static str) -> ArrayError {
        ArrayError::DType { expected, dtype: self.dtype.to_string(), shape: Shape(&self.shape).to_string() }
    }
}

/// `array of dtype <f8 and shape (3, 4)`.
impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shape.is_empty() {
            write!(f, "numpy scalar of dtype {}", self.dtype)
        } else {
            write!(f, "array of dtype {} and shape {}", self.dtype, Shape(&self.shape))
        }
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes from one index to the next for each axis, the fastest axis first. Where
/// there are elements, the products stay below the data's length.
fn strides<'a>(shape: impl Iterator<Item = &'a usize>, step: usize) -> SmallVec<[usize; 3]> {
    let mut stride = step;
    let next = |dim: &usize| {
        let this = stride;
        stride = stride.saturating_mul(*dim);
        this
    };
    shape.map(next).collect()
}

fn decode(dtype: &NumpyDType, element: &[u8]) -> Result<String, String> {
    let trimmed = |bytes: &[u8]| bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    if let DTypeKind::ByteString = dtype.kind {
        let text = &element[..trimmed(element)];
        return str::from_utf8(text).map(str::to_owned).map_err(|_| "bytes that are not UTF-8".to_owned());
    }
    // Whole characters: the itemsize of `U` is a multiple of 4.
    let used = trimmed(element).next_multiple_of(4).min(element.len());
    element[..used]
        .chunks_exact(4)
        .map(|unit| {
            let unit = unit.try_into().expect("four bytes");
            let code = match dtype.order {
                ByteOrder::Little => u32::from_le_bytes(unit),
                ByteOrder::Big => u32::from_be_bytes(unit),
            };
            char::from_u32(code).ok_or_else(|| format!("U+{code:X}, which is no character"))
        })
        .collect()
}

/// A shape as Python writes a tuple.
pub(super) struct Shape<'a>(pub(super) &'a [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (i, dim) in self.0.iter().enumerate() {
            write!(f, "{}{dim}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str(if self.0.len() == 1 { ",)" } else { ")" })
    }
}
