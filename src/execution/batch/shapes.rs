//! Which requests may stand in one batch: what their rows look like.

use smallvec::SmallVec;

use super::BatchFailure;
use crate::limits;
use crate::tensor::{DType, Tensor};

/// Ranks of inputs that may be padded. Source: TensorFlow Serving, `AddPadding`.
const PADDED_RANKS: std::ops::RangeInclusive<usize> = 1..=6;

/// The dtype and the dimensions beyond 0 of each input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowShapes(SmallVec<[(DType, SmallVec<[usize; 3]>); 2]>);

impl RowShapes {
    /// Those of a request's inputs, each of which has rows.
    pub(super) fn of(inputs: &[Tensor]) -> Self {
        Self(inputs.iter().map(|t| (t.dtype(), t.shape().iter().skip(1).copied().collect())).collect())
    }

    /// What a batch of these rows looks like when `other` joins it, `rows` rows in
    /// all; `None` when they cannot share one. Without padding, only equals can.
    pub(super) fn joined(&self, other: &Self, rows: usize, pad: bool) -> Option<Self> {
        if self == other {
            return Some(self.clone());
        }
        if !pad || self.0.len() != other.0.len() {
            return None;
        }
        let inputs = self.0.iter().zip(&other.0).map(|((dtype, dims), (other_dtype, other_dims))| {
            if dtype != other_dtype || dims.len() != other_dims.len() {
                return None;
            }
            if dims == other_dims {
                return Some((*dtype, dims.clone()));
            }
            // What is added is copies of an element, so each must have one.
            if dims.contains(&0) || other_dims.contains(&0) || !PADDED_RANKS.contains(&(1 + dims.len())) {
                return None;
            }
            let widest: SmallVec<[usize; 3]> = dims.iter().zip(other_dims).map(|(&a, &b)| a.max(b)).collect();
            let bytes = bytes_of(*dtype, rows, &widest)?;
            (bytes <= limits::BATCH_PADDED_BYTES_MAX).then_some((*dtype, widest))
        });
        inputs.collect::<Option<_>>().map(Self)
    }
}

/// Bytes that a tensor of these rows takes; `None` when they cannot be counted.
pub(super) fn bytes_of(dtype: DType, rows: usize, row_dims: &[usize]) -> Option<usize> {
    let element = dtype.element_bytes().unwrap_or(size_of::<bytes::Bytes>());
    row_dims.iter().try_fold(element.checked_mul(rows)?, |product, &dim| product.checked_mul(dim))
}

/// Counts the rows of a request that is to be batched.
///
/// # Errors
/// [`BatchFailure`] in the reference's words when its inputs have no common rows.
pub(super) fn rows_of(inputs: &[Tensor]) -> Result<usize, BatchFailure> {
    let mut rows = None;
    for input in inputs {
        let &own = input.shape().first().ok_or(BatchFailure::ScalarInput)?;
        if *rows.get_or_insert(own) != own {
            return Err(BatchFailure::UnequalRows);
        }
    }
    rows.ok_or(BatchFailure::NoInput)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    fn shapes(dims: &[usize]) -> RowShapes {
        RowShapes([(DType::Float, SmallVec::from_slice(dims))].into_iter().collect())
    }

    #[test]
    fn only_equals_share_a_batch_unless_padding_is_on() {
        let (narrow, wide) = (shapes(&[2, 5]), shapes(&[3, 4]));
        assert_eq!(narrow.joined(&narrow, 9, false), Some(narrow.clone()));
        assert_eq!(narrow.joined(&wide, 9, false), None);
        assert_eq!(narrow.joined(&wide, 9, true), Some(shapes(&[3, 5])));
        assert_eq!(narrow.joined(&shapes(&[2]), 9, true), None);
        let doubles = RowShapes([(DType::Double, SmallVec::from_slice(&[2, 5]))].into_iter().collect());
        assert_eq!(narrow.joined(&doubles, 9, true), None);
        assert_eq!(shapes(&[2, 0]).joined(&narrow, 9, true), None);
        assert_eq!(shapes(&[1; 6]).joined(&shapes(&[2; 6]), 9, true), None);
    }

    #[test]
    fn one_long_row_does_not_blow_a_batch_up() {
        let long = shapes(&[limits::BATCH_PADDED_BYTES_MAX / 4 / 10]);
        assert!(shapes(&[1]).joined(&long, 10, true).is_some());
        assert!(shapes(&[1]).joined(&long, 11, true).is_none());
        assert!(shapes(&[1]).joined(&shapes(&[usize::MAX]), 2, true).is_none());
    }

    #[test]
    fn inputs_have_common_rows() {
        let rows = |n: usize| Tensor::vector(vec![0f32; n].into());
        let scalar = Tensor::new(Shape::scalar(), vec![0f32].into()).unwrap();
        assert_eq!(rows_of(&[rows(3), rows(3)]), Ok(3));
        let text = |inputs: &[Tensor]| rows_of(inputs).unwrap_err().to_string();
        assert_eq!(text(&[]), "Batching Run() must have at least one input tensor");
        assert_eq!(text(&[scalar]), "Batching Run() input tensors must have at least one dimension");
        assert_eq!(
            text(&[rows(1), rows(2)]),
            "Batching Run() input tensors must have equal 0th-dimension size"
        );
    }
}
