//! Moving elements of any dtype: everything that only says where each comes from.

use bytemuck::Zeroable as _;
use bytes::Bytes;
use half::{bf16, f16};
use smallvec::SmallVec;

use crate::tensor::{Elements, Tensor};

/// Runs a piece of code with the slice of whatever elements there are, and makes
/// elements of the same kind of the vector that it gives.
macro_rules! same_kind {
    ($elements:expr, $values:ident => $made:expr) => {
        match $elements {
            Elements::F32($values) => Elements::F32($made.into()),
            Elements::F64($values) => Elements::F64($made.into()),
            Elements::F16($values) => Elements::F16($made.into()),
            Elements::BF16($values) => Elements::BF16($made.into()),
            Elements::I8($values) => Elements::I8($made.into()),
            Elements::I16($values) => Elements::I16($made.into()),
            Elements::I32($values) => Elements::I32($made.into()),
            Elements::I64($values) => Elements::I64($made.into()),
            Elements::U8($values) => Elements::U8($made.into()),
            Elements::U16($values) => Elements::U16($made.into()),
            Elements::U32($values) => Elements::U32($made.into()),
            Elements::U64($values) => Elements::U64($made.into()),
            Elements::Bool($values) => Elements::Bool($made.into()),
            Elements::C64($values) => Elements::C64($made.into()),
            Elements::C128($values) => Elements::C128($made.into()),
            Elements::Strings($values) => Elements::Strings($made),
        }
    };
}

/// Where an element comes from; 0, false or an empty text when from nowhere.
pub(in crate::engines::onnx) type Picked = Option<usize>;

/// What an element is when nothing is said.
pub(in crate::engines::onnx) trait Zero: Clone {
    fn zero() -> Self;
}

macro_rules! zero {
    ($($kind:ty),*) => {$(impl Zero for $kind {
        fn zero() -> Self {
            Self::zeroed()
        }
    })*};
}
zero!(f32, f64, f16, bf16, i8, i16, i32, i64, u8, u16, u32, u64, [f32; 2], [f64; 2]);

impl Zero for Bytes {
    fn zero() -> Self {
        Self::new()
    }
}

fn picked<T: Zero>(from: &[T], places: impl Iterator<Item = Picked>) -> Vec<T> {
    places.map(|place| place.map_or_else(T::zero, |at| from[at].clone())).collect()
}

/// The elements at these places, in this order.
///
/// # Panics
/// When a place is past the end.
pub(in crate::engines::onnx) fn pick(from: &Elements, places: impl Iterator<Item = Picked>) -> Elements {
    same_kind!(from, values => picked(values, places))
}

fn runs<T: Clone>(from: &[T], starts: impl Iterator<Item = usize>, length: usize) -> Vec<T> {
    if length == 1 {
        return starts.map(|at| from[at].clone()).collect();
    }
    let mut made =
        Vec::with_capacity(starts.size_hint().0.saturating_mul(length).min(from.len().saturating_mul(2)));
    starts.for_each(|at| made.extend_from_slice(&from[at..at + length]));
    made
}

/// Runs of `length` elements, from these places on, one after another.
///
/// # Panics
/// When a run is past the end.
pub(in crate::engines::onnx) fn pick_runs(
    from: &Elements,
    starts: impl Iterator<Item = usize>,
    length: usize,
) -> Elements {
    same_kind!(from, values => runs(values, starts, length))
}

/// Steps from one element to the next along each dimension, row-major.
pub(in crate::engines::onnx) fn strides(dims: &[usize]) -> SmallVec<[isize; 6]> {
    let mut strides: SmallVec<[isize; 6]> = SmallVec::from_elem(1, dims.len());
    for at in (1..dims.len()).rev() {
        // A dimension of 0 has no elements to step over.
        strides[at - 1] = strides[at].saturating_mul(isize::try_from(dims[at]).unwrap_or(isize::MAX));
    }
    strides
}

/// A way to look at elements: `dims`, and for each the step in the elements below.
#[derive(Debug, Clone)]
pub(in crate::engines::onnx) struct View {
    pub(in crate::engines::onnx) dims: SmallVec<[usize; 6]>,
    pub(in crate::engines::onnx) strides: SmallVec<[isize; 6]>,
    pub(in crate::engines::onnx) offset: isize,
}

impl View {
    /// All elements in their order.
    pub(in crate::engines::onnx) fn whole(dims: &[usize]) -> Self {
        Self { dims: dims.iter().copied().collect(), strides: strides(dims), offset: 0 }
    }

    /// A tensor of `from` as one of `to`, by numpy's rules of broadcasting; `None` when it cannot be.
    pub(in crate::engines::onnx) fn broadcast(from: &[usize], to: &[usize]) -> Option<Self> {
        let lead = to.len().checked_sub(from.len())?;
        let own = strides(from);
        let mut view =
            Self { dims: to.iter().copied().collect(), strides: SmallVec::from_elem(0, to.len()), offset: 0 };
        for (at, (&dim, &stride)) in from.iter().zip(&own).enumerate() {
            if dim != to[lead + at] && dim != 1 {
                return None;
            }
            view.strides[lead + at] = if dim == 1 { 0 } else { stride };
        }
        Some(view)
    }

    /// Calls `each` with the place of every element, in order; the last dimension is
    /// a run: its first place, how many, and the step.
    pub(in crate::engines::onnx) fn for_runs(&self, mut each: impl FnMut(isize, usize, isize)) {
        if self.dims.contains(&0) {
            return;
        }
        let Some((&length, outer)) = self.dims.split_last() else { return each(self.offset, 1, 1) };
        let step = self.strides[outer.len()];
        let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer.len());
        let mut at = self.offset;
        loop {
            each(at, length, step);
            let mut axis = outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < outer[axis] {
                    break;
                }
                at -= self.strides[axis] * isize::try_from(outer[axis]).unwrap_or(0);
                index[axis] = 0;
            }
        }
    }

    /// The elements as they are seen.
    ///
    /// # Panics
    /// When the view leaves the elements.
    pub(in crate::engines::onnx) fn of(&self, from: &Elements) -> Elements {
        same_kind!(from, values => self.copied(values))
    }

    /// The same of a slice.
    ///
    /// # Panics
    /// When the view leaves the slice.
    pub(in crate::engines::onnx) fn copied<T: Clone>(&self, from: &[T]) -> Vec<T> {
        let mut made = Vec::with_capacity(self.dims.iter().product());
        self.for_runs(|start, length, step| {
            let start = usize::try_from(start).unwrap_or(usize::MAX);
            match step {
                1 => made.extend_from_slice(&from[start..start + length]),
                0 => made.extend(std::iter::repeat_n(&from[start], length).cloned()),
                _ => made.extend(
                    (0..length).map(|i| from[start.wrapping_add_signed(step * i.cast_signed())].clone()),
                ),
            }
        });
        made
    }
}

/// The shape that all of these broadcast to.
pub(in crate::engines::onnx) fn broadcast_dims<'a>(
    shapes: impl IntoIterator<Item = &'a [usize]>,
) -> Result<SmallVec<[usize; 6]>, String> {
    let mut dims: SmallVec<[usize; 6]> = SmallVec::new();
    for shape in shapes {
        while dims.len() < shape.len() {
            dims.insert(0, 1);
        }
        let lead = dims.len() - shape.len();
        for (at, &dim) in shape.iter().enumerate() {
            let known = &mut dims[lead + at];
            if *known == 1 {
                *known = dim;
            } else if dim != 1 && dim != *known {
                return Err(format!(
                    "shapes do not fit each other: {dim} against {known} in dimension {}",
                    lead + at
                ));
            }
        }
    }
    Ok(dims)
}

/// The tensor with other dimensions of as many elements.
pub(in crate::engines::onnx) fn reshaped(
    tensor: Tensor,
    dims: impl IntoIterator<Item = usize>,
) -> Result<Tensor, String> {
    super::op::made(dims, tensor.into_elements())
}

/// So many elements of a dtype's kind, all 0, false or empty.
pub(in crate::engines::onnx) fn zeros_like(kind: &Elements, many: usize) -> Elements {
    fn none<T: Zero>(_: &[T], many: usize) -> Vec<T> {
        vec![T::zero(); many]
    }
    same_kind!(kind, values => none(values, many))
}
