//! Rows: joining the batches of several requests, and parting them again.

use std::borrow::Borrow;
use std::ops::Range;

use bytemuck::Pod;
use bytes::Bytes;

use super::{Buffer, DType, Elements, Shape, Tensor};

/// Why tensors cannot be joined or parted along their rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// There is nothing to join.
    #[error("no tensors to join")]
    Nothing,
    /// A scalar has no rows.
    #[error("a scalar has no rows")]
    Scalar,
    /// Two parts differ in dtype.
    #[error("rows of {0} cannot follow rows of {1}")]
    DTypes(DType, DType),
    /// Two parts differ beyond dimension 0.
    #[error("rows of shape {0} cannot follow rows of shape {1}")]
    Shapes(Shape, Shape),
    /// The parts do not add up to the whole.
    #[error("parts of {wanted} rows in all asked of a tensor of {rows} rows")]
    Parts {
        /// What was asked for, in all.
        wanted: usize,
        /// What there is.
        rows: usize,
    },
}

/// Joins tensors along dimension 0. All must have one dtype and one row shape.
///
/// # Errors
/// [`RowsError`] when they do not fit, or there is none.
pub fn concat_rows<T: Borrow<Tensor>>(parts: &[T]) -> Result<Tensor, RowsError> {
    let first = parts.first().ok_or(RowsError::Nothing)?.borrow();
    let row_dims = first.shape().get(1..).ok_or(RowsError::Scalar)?;
    let mut rows = 0usize;
    for part in parts {
        let part: &Tensor = part.borrow();
        if part.dtype() != first.dtype() {
            return Err(RowsError::DTypes(part.dtype(), first.dtype()));
        }
        let dims = part.shape().get(1..).ok_or(RowsError::Scalar)?;
        if dims != row_dims {
            return Err(RowsError::Shapes(part.shape().clone(), first.shape().clone()));
        }
        rows = rows.saturating_add(part.shape()[0]);
    }
    let shape = Shape::new(std::iter::once(rows).chain(row_dims.iter().copied()))
        .map_err(|_| RowsError::Shapes(first.shape().clone(), first.shape().clone()))?;

    macro_rules! join {
        ($($variant:ident),*) => {
            match first.elements() {
                $(Elements::$variant(_) => Elements::$variant(join(parts, |e| match e {
                    Elements::$variant(b) => Some(b),
                    _ => None,
                })),)*
                Elements::Strings(_) => Elements::Strings(
                    parts.iter().flat_map(|part| match part.borrow().elements() {
                        Elements::Strings(strings) => strings.as_slice(),
                        _ => &[],
                    }).cloned().collect::<Vec<Bytes>>(),
                ),
            }
        };
    }
    let elements = join!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, C64, C128);
    Ok(Tensor { dtype: first.dtype(), shape, elements })
}

fn join<T: Pod, P: Borrow<Tensor>>(parts: &[P], of: impl Fn(&Elements) -> Option<&Buffer<T>>) -> Buffer<T> {
    let buffers = || parts.iter().filter_map(|part| of(part.borrow().elements()));
    let mut joined = Vec::with_capacity(buffers().map(|b| b.len()).sum());
    for buffer in buffers() {
        joined.extend_from_slice(buffer);
    }
    joined.into()
}

/// Parts a tensor along dimension 0 into pieces of these many rows.
///
/// # Errors
/// [`RowsError`] for a scalar, or when the pieces do not add up to the whole.
pub fn split_rows(whole: &Tensor, pieces: &[usize]) -> Result<Vec<Tensor>, RowsError> {
    let (rows, _) = whole.shape().rows().ok_or(RowsError::Scalar)?;
    let wanted = pieces.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)).unwrap_or(usize::MAX);
    if wanted != rows {
        return Err(RowsError::Parts { wanted, rows });
    }
    let mut start = 0;
    let piece = |&rows: &usize| {
        let range = start..start + rows;
        start += rows;
        slice_rows(whole, range)
    };
    pieces.iter().map(piece).collect()
}

/// The rows of `range`, copied.
///
/// # Errors
/// [`RowsError`] for a scalar, or a range that is not within the tensor's rows.
pub fn slice_rows(whole: &Tensor, range: Range<usize>) -> Result<Tensor, RowsError> {
    let (rows, per_row) = whole.shape().rows().ok_or(RowsError::Scalar)?;
    if range.start > range.end || range.end > rows {
        return Err(RowsError::Parts { wanted: range.end, rows });
    }
    let mut shape = whole.shape().clone();
    shape.0[0] = range.len();
    let range = range.start * per_row..range.end * per_row;
    macro_rules! cut {
        ($($variant:ident),*) => {
            match whole.elements() {
                $(Elements::$variant(b) => Elements::$variant(b[range].to_vec().into()),)*
                Elements::Strings(s) => Elements::Strings(s[range].to_vec()),
            }
        };
    }
    let elements = cut!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, C64, C128);
    Ok(Tensor { dtype: whole.dtype(), shape, elements })
}

/// Widens the dimensions beyond 0 to `row_dims`; what is added is filled with the
/// tensor's first element, as TensorFlow Serving pads inputs of variable length.
///
/// # Errors
/// [`RowsError`] for a scalar, for `row_dims` of another rank or narrower than the
/// tensor's own, and for a tensor that has rows but no element to fill with.
pub fn pad_rows(tensor: &Tensor, row_dims: &[usize]) -> Result<Tensor, RowsError> {
    let (&rows, own) = tensor.shape().split_first().ok_or(RowsError::Scalar)?;
    let wanted = Shape::new(std::iter::once(rows).chain(row_dims.iter().copied()));
    let misfit = || RowsError::Shapes(tensor.shape().clone(), Shape::from([rows]));
    let wanted = wanted.map_err(|_| misfit())?;
    let is_narrower = own.iter().zip(row_dims).any(|(own, wanted)| wanted < own);
    let has_no_element = tensor.elements().is_empty() && wanted.elements() > 0;
    if own.len() != row_dims.len() || is_narrower || has_no_element {
        return Err(RowsError::Shapes(tensor.shape().clone(), wanted));
    }
    macro_rules! pad {
        ($($variant:ident),*) => {
            match tensor.elements() {
                $(Elements::$variant(b) => Elements::$variant(widen(b, tensor.shape(), &wanted).into()),)*
                Elements::Strings(s) => Elements::Strings(widen(s, tensor.shape(), &wanted)),
            }
        };
    }
    let elements = pad!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, C64, C128);
    Ok(Tensor { dtype: tensor.dtype(), shape: wanted, elements })
}

/// Copies run by run: a run is what lies together in the innermost dimension.
fn widen<T: Clone>(values: &[T], from: &Shape, to: &Shape) -> Vec<T> {
    let Some(fill) = values.first() else { return Vec::new() };
    let mut widened = vec![fill.clone(); to.elements()];
    let (Some((&run, outer)), Some((&run_to, outer_to))) = (from.split_last(), to.split_last()) else {
        return widened;
    };
    for (i, values) in values.chunks_exact(run).enumerate() {
        // The place of run `i` among the outer dimensions, innermost first.
        let (mut rest, mut at, mut step) = (i, 0, 1);
        for (dim, dim_to) in outer.iter().zip(outer_to).rev() {
            at += (rest % dim) * step;
            rest /= dim;
            step *= dim_to;
        }
        widened[at * run_to..][..run].clone_from_slice(values);
    }
    widened
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn doubles(rows: usize, width: usize, from: f64) -> Tensor {
        let values: Vec<f64> = (0..rows * width).map(|i| from + i as f64).collect();
        Tensor::new([rows, width], values.into()).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_joined_comes_apart_again(
            rows in proptest::collection::vec(0usize..5, 1..6), width in 0usize..4, strings: bool,
        ) {
            let parts: Vec<Tensor> = rows.iter().enumerate().map(|(i, &n)| {
                if !strings {
                    return doubles(n, width, (i * 100) as f64);
                }
                let words: Vec<Bytes> = (0..n * width).map(|j| Bytes::from(format!("{i}/{j}"))).collect();
                Tensor::new([n, width], words.into()).unwrap()
            }).collect();
            let joined = concat_rows(&parts).unwrap();
            prop_assert_eq!(joined.shape()[0], rows.iter().sum::<usize>());
            prop_assert_eq!(split_rows(&joined, &rows).unwrap(), parts);
        }
    }

    #[test]
    fn padding_fills_with_the_first_element() {
        let x = Tensor::new([2, 1, 2], vec![1i32, 2, 3, 4].into()).unwrap();
        let padded = pad_rows(&x, &[2, 3]).unwrap();
        let want = vec![1i32, 2, 1, 1, 1, 1, 3, 4, 1, 1, 1, 1];
        assert_eq!(padded, Tensor::new([2, 2, 3], want.into()).unwrap());
        assert_eq!(pad_rows(&x, &[1, 2]).unwrap(), x);
        for wrong in [&[1][..], &[1, 1], &[1, 2, 1], &[usize::MAX, 2]] {
            assert!(matches!(pad_rows(&x, wrong), Err(RowsError::Shapes(..))), "{wrong:?}");
        }
        let words = Tensor::new([1, 1], vec![Bytes::from_static(b"a")].into()).unwrap();
        assert_eq!(pad_rows(&words, &[3]).unwrap().elements(), &vec![Bytes::from_static(b"a"); 3].into());
        let empty = Tensor::new([2, 0], Vec::<f32>::new().into()).unwrap();
        assert!(pad_rows(&empty, &[1]).is_err());
        let no_rows = Tensor::new([0, 2], Vec::<f32>::new().into()).unwrap();
        assert_eq!(pad_rows(&no_rows, &[4]).unwrap().shape().to_vec(), [0, 4]);
    }

    proptest! {
        #[test]
        fn what_was_padded_is_found_in_its_corner(
            dims in prop::array::uniform3(1usize..4), more in prop::array::uniform2(0usize..3),
        ) {
            let x: Vec<i64> = (0..dims.iter().product::<usize>() as i64).collect();
            let to = [dims[1] + more[0], dims[2] + more[1]];
            let padded = pad_rows(&Tensor::new(dims, x.clone().into()).unwrap(), &to).unwrap();
            let Elements::I64(got) = padded.elements() else { panic!("the dtype stays") };
            let mut x = x.into_iter();
            for (i, &value) in got.iter().enumerate() {
                let is_old = i % to[1] < dims[2] && i / to[1] % to[0] < dims[1];
                prop_assert_eq!(value, if is_old { x.next().unwrap() } else { 0 });
            }
            prop_assert!(x.next().is_none());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(concat_rows::<Tensor>(&[]), Err(RowsError::Nothing));
        assert!(slice_rows(&doubles(2, 1, 0.0), 1..3).is_err());
        let scalar = Tensor::new(Shape::scalar(), vec![1.0f64].into()).unwrap();
        assert_eq!(concat_rows(std::slice::from_ref(&scalar)), Err(RowsError::Scalar));
        assert_eq!(split_rows(&scalar, &[1]), Err(RowsError::Scalar));
        let (wide, narrow) = (doubles(2, 3, 0.0), doubles(2, 2, 0.0));
        assert!(matches!(concat_rows(&[wide.clone(), narrow]), Err(RowsError::Shapes(..))));
        let other = Tensor::new([1, 3], vec![1.0f32, 2.0, 3.0].into()).unwrap();
        assert!(matches!(concat_rows(&[wide.clone(), other]), Err(RowsError::DTypes(..))));
        assert_eq!(split_rows(&wide, &[1]), Err(RowsError::Parts { wanted: 1, rows: 2 }));
        assert!(matches!(split_rows(&wide, &[usize::MAX, 3]), Err(RowsError::Parts { .. })));
    }
}
