//! Scalers: each column moved and stretched by itself.

use ndarray::ArrayView2;

use crate::engines::sklearn::samples::{Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// The arithmetic of one column: kept apart so that rounding is scikit-learn's.
#[derive(Debug)]
enum Scaling {
    /// `(x - mean) / scale`, either of which may be left out.
    Standard { mean: Option<Vec<f64>>, scale: Option<Vec<f64>> },
    /// `x * scale + min`, then clipped.
    MinMax { scale: Vec<f64>, min: Vec<f64>, clip: Option<(f64, f64)> },
    /// `x / scale`, then clipped to [-1, 1].
    MaxAbs { scale: Vec<f64>, clip: bool },
}

#[derive(Debug)]
struct Scaler {
    facts: Facts,
    scaling: Scaling,
}

/// Source: `sklearn.preprocessing.StandardScaler`.
pub(super) fn build_standard(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    centred(part, ("with_mean", "mean_"), ("with_std", "scale_"))
}

/// Source: `sklearn.preprocessing.RobustScaler`.
pub(super) fn build_robust(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    centred(part, ("with_centering", "center_"), ("with_scaling", "scale_"))
}

/// Source: `sklearn.preprocessing.MaxAbsScaler`.
pub(super) fn build_max_abs(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let scale = part.row_of_numbers("scale_")?;
    let n_features = part.n_features(scale.len(), "scale_")?;
    // Clips since 1.8.
    let clip = part.flag("clip", false)?;
    scaler(part, n_features, Scaling::MaxAbs { scale, clip })
}

/// A constructor argument that turns it off, and the attribute that `fit` makes.
type Optional = (&'static str, &'static str);

/// The scalers that move by a centre and then divide by a scale, or leave one of them out.
fn centred(part: &Part<'_>, mean: Optional, scale: Optional) -> Result<Box<dyn Estimator>, ModelError> {
    // Both are written by every fit, `None` when they are not used.
    part.fitted("scale_")?;
    let column = |(flag, attribute)| -> Result<Option<Vec<f64>>, ModelError> {
        if part.flag(flag, true)? { part.row_of_numbers(attribute).map(Some) } else { Ok(None) }
    };
    let (center, mean, scale) = (mean.1, column(mean)?, column(scale)?);
    let n_features = match (&mean, &scale) {
        (Some(one), Some(other)) if one.len() != other.len() => {
            let why = format!("has {} numbers, but {center} has {}", other.len(), one.len());
            return Err(part.refuse("scale_", why));
        }
        (Some(one), _) => part.n_features(one.len(), center)?,
        (None, Some(one)) => part.n_features(one.len(), "scale_")?,
        // It changes nothing, so only the constructor's word says how wide it is.
        (None, None) => {
            let value = part.fitted("n_features_in_")?;
            let width = value.as_i64().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
            width.ok_or_else(|| part.unexpected("n_features_in_", value, "a number of features"))?
        }
    };
    scaler(part, n_features, Scaling::Standard { mean, scale })
}

/// Source: `sklearn.preprocessing.MinMaxScaler`.
pub(super) fn build_min_max(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (scale, min) = (part.row_of_numbers("scale_")?, part.row_of_numbers("min_")?);
    if scale.len() != min.len() {
        return Err(part.refuse("min_", format!("has {} numbers, but scale_ has {}", min.len(), scale.len())));
    }
    // Before 0.24 there was no clipping.
    let clip = if part.flag("clip", false)? { Some(range(part)?) } else { None };
    let n_features = part.n_features(scale.len(), "scale_")?;
    scaler(part, n_features, Scaling::MinMax { scale, min, clip })
}

fn range(part: &Part<'_>) -> Result<(f64, f64), ModelError> {
    const NAME: &str = "feature_range";
    let value = part.fitted(NAME)?;
    let numbers: Option<Vec<f64>> = value.items().and_then(|items| items.map(|item| item.as_f64()).collect());
    match numbers.as_deref() {
        Some(&[low, high]) if low < high => Ok((low, high)),
        _ => Err(part.unexpected(NAME, value, "a lower and a higher number")),
    }
}

fn scaler(part: &Part<'_>, n_features: usize, scaling: Scaling) -> Result<Box<dyn Estimator>, ModelError> {
    let methods = vec![Spec::transform(n_features), Spec::inverse_transform(n_features, n_features)];
    let facts = Facts::new(part, n_features, Check::FiniteOrNan, methods)?;
    Ok(Box::new(Scaler { facts, scaling }))
}

impl Scaler {
    fn scale(&self, row: &mut [f64]) {
        match &self.scaling {
            Scaling::Standard { mean, scale } => {
                each(row, mean.as_deref(), |x, mean| x - mean);
                each(row, scale.as_deref(), |x, scale| x / scale);
            }
            Scaling::MinMax { scale, min, clip } => {
                each(row, Some(scale), |x, scale| x * scale);
                each(row, Some(min), |x, min| x + min);
                if let Some((low, high)) = *clip {
                    // `clamp` lets NaN through, as `numpy.clip` does.
                    row.iter_mut().for_each(|x| *x = x.clamp(low, high));
                }
            }
            Scaling::MaxAbs { scale, clip } => {
                each(row, Some(scale), |x, scale| x / scale);
                if *clip {
                    row.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0));
                }
            }
        }
    }

    fn inverse_transform(&self, row: &mut [f64]) {
        match &self.scaling {
            Scaling::Standard { mean, scale } => {
                each(row, scale.as_deref(), |x, scale| x * scale);
                each(row, mean.as_deref(), |x, mean| x + mean);
            }
            Scaling::MinMax { scale, min, .. } => {
                each(row, Some(min), |x, min| x - min);
                each(row, Some(scale), |x, scale| x / scale);
            }
            Scaling::MaxAbs { scale, .. } => each(row, Some(scale), |x, scale| x * scale),
        }
    }

    /// One entry of a sparse matrix, where zeros stay zeros.
    fn transform_one(&self, column: usize, x: f64) -> f64 {
        match &self.scaling {
            Scaling::Standard { scale, .. } => scale.as_ref().map_or(x, |scale| x / scale[column]),
            Scaling::MaxAbs { scale, clip } => {
                let x = x / scale[column];
                if *clip { x.clamp(-1.0, 1.0) } else { x }
            }
            Scaling::MinMax { .. } => x,
        }
    }
}

fn each(row: &mut [f64], by: Option<&[f64]>, how: impl Fn(f64, f64) -> f64) {
    for (value, &by) in row.iter_mut().zip(by.unwrap_or_default()) {
        *value = how(*value, by);
    }
}

impl Estimator for Scaler {
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
        for method in wanted {
            let mut values = flat(&x).to_vec();
            for row in values.chunks_exact_mut(width) {
                match method {
                    Method::InverseTransform => self.inverse_transform(row),
                    _ => self.scale(row),
                }
            }
            answers.push(answer(x.nrows(), Some(width), values.into())?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let keeps_zeros =
            matches!(self.scaling, Scaling::MaxAbs { .. } | Scaling::Standard { mean: None, .. });
        match x {
            Samples::Sparse(x) if keeps_zeros => {
                let mut x = x.clone();
                for (column, value) in x.entries_mut() {
                    *value = self.transform_one(column as usize, *value);
                }
                Ok(Frame::Sparse(x))
            }
            x => {
                let mut x = x.to_dense(self.facts.class)?;
                x.rows_mut().into_iter().filter_map(|row| row.into_slice()).for_each(|row| self.scale(row));
                Ok(Frame::Dense(x))
            }
        }
    }
}
