//! What looks at each row, or each number, by itself: `Normalizer` and `Binarizer`. Both
//! leave the zeros of a sparse matrix where they are.

use ndarray::ArrayView2;

use crate::engines::sklearn::samples::{Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct Rowwise {
    facts: Facts,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// Divides a row by its norm; `tiny` norms, and smaller ones, count as 1.
    Normalise { norm: Norm, tiny: f64 },
    /// 1 for what is above.
    Binarise { threshold: f64 },
}

/// Which length of a row is made 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engines::sklearn) enum Norm {
    L1,
    L2,
    Max,
}

impl Norm {
    pub(in crate::engines::sklearn) fn of(self, values: &[f64]) -> f64 {
        match self {
            Self::L1 => values.iter().map(|value| value.abs()).sum(),
            Self::L2 => values.iter().map(|value| value * value).sum::<f64>().sqrt(),
            Self::Max => values.iter().map(|value| value.abs()).fold(0.0, f64::max),
        }
    }
}

/// Source: `sklearn.preprocessing.Normalizer`.
pub(super) fn build_normalizer(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let norm = match part.one_of("norm", "l2", &["l1", "l2", "max"])? {
        "l1" => Norm::L1,
        "max" => Norm::Max,
        _ => Norm::L2,
    };
    // Until 0.24 only zero itself counted as 1.
    let tiny = if part.version() < (1, 0) { f64::MIN_POSITIVE } else { 10.0 * f64::EPSILON };
    rowwise(part, How::Normalise { norm, tiny })
}

/// Source: `sklearn.preprocessing.Binarizer`.
pub(super) fn build_binarizer(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let threshold = part.number_or("threshold", 0.0)?;
    rowwise(part, How::Binarise { threshold })
}

fn rowwise(part: &Part<'_>, how: How) -> Result<Box<dyn Estimator>, ModelError> {
    let n_features = part.n_features_in()?;
    let facts = Facts::new(part, n_features, Check::Finite, vec![Spec::transform(n_features)])?;
    Ok(Box::new(Rowwise { facts, how }))
}

impl Rowwise {
    fn apply(&self, row: &mut [f64]) {
        match self.how {
            How::Normalise { norm, tiny } => {
                let length = norm.of(row);
                if length >= tiny {
                    row.iter_mut().for_each(|value| *value /= length);
                }
            }
            How::Binarise { threshold } => {
                row.iter_mut().for_each(|value| *value = f64::from(u8::from(*value > threshold)));
            }
        }
    }
}

impl Estimator for Rowwise {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let width = self.facts.n_features;
        for _ in wanted {
            let mut values = flat(&x).to_vec();
            values.chunks_exact_mut(width).for_each(|row| self.apply(row));
            answers.push(answer(x.nrows(), Some(width), values.into())?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        match (x, self.how) {
            // scikit-learn refuses to binarise the zeros of a sparse matrix to ones.
            (Samples::Sparse(_), How::Binarise { threshold }) if threshold < 0.0 => {
                Err(RunError::InvalidInput("Cannot binarize a sparse matrix with threshold < 0".to_owned()))
            }
            (Samples::Sparse(x), _) => {
                let mut x = x.clone();
                x.rows_mut(|row| self.apply(row));
                Ok(Frame::Sparse(x))
            }
            (x, _) => {
                let mut x = x.to_dense(self.facts.class)?;
                x.rows_mut().into_iter().filter_map(|row| row.into_slice()).for_each(|row| self.apply(row));
                Ok(Frame::Dense(x))
            }
        }
    }
}
