//! Rows: joining the batches of several requests, and parting them again.

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
pub fn concat_rows(parts: &[Tensor]) -> Result<Tensor, RowsError> {
    let first = parts.first().ok_or(RowsError::Nothing)?;
    let row_dims = first.shape().get(1..).ok_or(RowsError::Scalar)?;
    let mut rows = 0usize;
    for part in parts {
        if part.dtype() != first.dtype() {
            return Err(RowsError::DTypes(part.dtype(), first.dtype()));
        }
        let dims = part.shape().get(1..).ok_or(RowsError::Scalar)?;
        if dims != row_dims {
            return Err(RowsError::Shapes(part.shape().clone(), first.shape().clone()));
        }
        rows += part.shape()[0];
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
                    parts.iter().flat_map(|part| match part.elements() {
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

fn join<T: Pod>(parts: &[Tensor], of: impl Fn(&Elements) -> Option<&Buffer<T>>) -> Buffer<T> {
    let buffers = || parts.iter().filter_map(|part| of(part.elements()));
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
    let (rows, per_row) = whole.shape().rows().ok_or(RowsError::Scalar)?;
    let wanted = pieces.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)).unwrap_or(usize::MAX);
    if wanted != rows {
        return Err(RowsError::Parts { wanted, rows });
    }
    let mut start = 0;
    let piece = |&rows: &usize| {
        let range = start * per_row..(start + rows) * per_row;
        start += rows;
        let mut shape = whole.shape().clone();
        shape.0[0] = rows;
        macro_rules! cut {
            ($($variant:ident),*) => {
                match whole.elements() {
                    $(Elements::$variant(b) => Elements::$variant(b[range].to_vec().into()),)*
                    Elements::Strings(s) => Elements::Strings(s[range].to_vec()),
                }
            };
        }
        let elements = cut!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, C64, C128);
        Tensor { dtype: whole.dtype(), shape, elements }
    };
    Ok(pieces.iter().map(piece).collect())
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
    fn what_does_not_fit_is_refused() {
        assert_eq!(concat_rows(&[]), Err(RowsError::Nothing));
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
