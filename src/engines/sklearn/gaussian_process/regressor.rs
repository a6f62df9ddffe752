//! `GaussianProcessRegressor`: the mean, and how far from it the truth may be.

use ndarray::ArrayView2;

use super::covariance::Covariance;
use super::{Triangle, training_points};
use crate::engines::sklearn::math::dot;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, flat};
use crate::limits;
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Regressor {
    facts: Facts,
    covariance: Covariance,
    /// `[targets, points]`: what each point's covariance counts.
    weights: Vec<f64>,
    factor: Triangle,
    /// The mean and the deviation that each target had.
    targets: Vec<(f64, f64)>,
}

/// What is known without any points: the mean is 0.
#[derive(Debug)]
struct Prior {
    facts: Facts,
    /// `None` for a variance of 1.
    covariance: Option<Covariance>,
    /// How many targets there are.
    targets: usize,
}

/// A process that was never fitted tells what it would begin with.
fn build_prior(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const TARGETS: &str = "n_targets";
    let targets = if part.attr(TARGETS).is_some() { part.count(TARGETS)?.max(1) } else { 1 };
    if targets > limits::FEATURES_MAX {
        let max = limits::FEATURES_MAX;
        return Err(part.refuse(TARGETS, format!("is {targets}; at most {max} are answered")));
    }
    let (covariance, width) = Covariance::read_prior(part)?;
    let gives: Gives = (targets > 1).then_some(targets).into();
    let methods =
        [Method::Predict, Method::PredictStd].map(|method| Spec::new(method, DType::Double, gives)).to_vec();
    let facts = match width {
        Some(width) => Facts::new(part, width, Check::Finite, methods)?,
        None => Facts::of_any_width(part, Check::Finite, methods)?,
    };
    Ok(Box::new(Prior { facts, covariance, targets }))
}

impl Estimator for Prior {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for &method in wanted {
            let values = if method == Method::PredictStd {
                let deviation = |row: ndarray::ArrayView1<'_, f64>| {
                    let row = row.to_slice().unwrap_or_default();
                    self.covariance.as_ref().map_or(1.0, |covariance| covariance.of_itself(row)).sqrt()
                };
                x.rows()
                    .into_iter()
                    .flat_map(|row| std::iter::repeat_n(deviation(row), self.targets))
                    .collect()
            } else {
                vec![0.0; x.nrows() * self.targets]
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}

/// Source: `sklearn.gaussian_process.GaussianProcessRegressor.predict`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const ALPHA: &str = "alpha_";
    if !part.has("X_train_") && !part.has("kernel_") && !part.has(ALPHA) && part.has("n_restarts_optimizer") {
        return build_prior(part);
    }
    let points = training_points(part)?;
    let alpha = part.finite_numbers(ALPHA)?;
    let targets = match alpha.shape[..] {
        [rows] if rows == points.rows => None,
        [rows, targets] if rows == points.rows && targets > 0 => Some(targets),
        _ => {
            let why = format!("has shape {}; expected {} rows", alpha.shown_shape(), points.rows);
            return Err(part.refuse(ALPHA, why));
        }
    };
    let count = targets.unwrap_or(1);
    let by_target = (0..count).flat_map(|target| alpha.values.iter().skip(target).step_by(count).copied());
    let weights = by_target.collect();
    let means = part.one_or_each("_y_train_mean", count)?;
    let deviations = part.one_or_each("_y_train_std", count)?;
    let covariance = Covariance::read(part, &points)?;
    let factor = Triangle::read(part, points.rows)?;
    let n_features = part.n_features(points.columns, "X_train_")?;
    // Since 1.1 a single column becomes a vector.
    let gives: Gives = targets.filter(|&targets| targets > 1 || part.version() < (1, 1)).into();
    let methods =
        [Method::Predict, Method::PredictStd].map(|method| Spec::new(method, DType::Double, gives)).to_vec();
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    let targets = means.into_iter().zip(deviations).collect();
    Ok(Box::new(Regressor { facts, covariance, weights, factor, targets }))
}

impl Estimator for Regressor {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let points = self.factor.n;
        let mut known = vec![0.0; points];
        let (wants_mean, wants_std) =
            (wanted.contains(&Method::Predict), wanted.contains(&Method::PredictStd));
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for row in flat(&x).chunks_exact(self.facts.n_features) {
            self.covariance.apply(row, &mut known)?;
            if wants_mean {
                let targets = self.weights.chunks_exact(points).zip(&self.targets);
                means.extend(
                    targets.map(|(weights, (mean, deviation))| dot(&known, weights) * deviation + mean),
                );
            }
            if wants_std {
                let variance = self.covariance.of_itself(row) - self.factor.solved_square(&mut known);
                let variance = if variance < 0.0 { 0.0 } else { variance };
                deviations.extend(self.targets.iter().map(|(_, scale)| (variance * scale * scale).sqrt()));
            }
        }
        for &method in wanted {
            let values = if method == Method::PredictStd { &deviations } else { &means };
            answers.push(answer(x.nrows(), self.facts.gives(method), values.clone().into())?);
        }
        Ok(())
    }
}
