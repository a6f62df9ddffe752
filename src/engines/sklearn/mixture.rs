//! Mixtures of normal distributions.
//!
//! Source: `sklearn.mixture`; Bishop, Pattern Recognition and Machine Learning, 2006, chapters
//! 9.2 and 10.2.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::math::{argmax, log_sum_exp, shares};
use super::normal::{Normals, Standard, directions};
use super::registry::Row;
use super::special::{LOG_2_PI, digamma};
use super::state::Part;
use super::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const MIXTURE: &str = "sklearn.mixture";
const PRECISIONS: &str = "precisions_cholesky_";
const CONCENTRATION: &str = "weight_concentration_";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(MIXTURE, "BayesianGaussianMixture", &["_bayesian_mixture", "bayesian_mixture"], build_bayesian),
    Row::new(MIXTURE, "GaussianMixture", &["_gaussian_mixture", "gaussian_mixture"], build_gaussian),
];

#[derive(Debug)]
struct Mixture {
    facts: Facts,
    components: Normals,
}

/// `GaussianMixture`.
fn build_gaussian(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (mut components, n_features) = components(part)?;
    let weights = part.vector_of("weights_", components.len())?;
    components.base.iter_mut().zip(&weights).for_each(|(base, weight)| *base += weight.ln());
    mixture(part, components, n_features)
}

/// `BayesianGaussianMixture`: the weights and precisions are distributions themselves.
fn build_bayesian(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (mut components, n_features) = components(part)?;
    let count = components.len();
    let freedom = part.one_or_each("degrees_of_freedom_", count)?;
    let precision = part.one_or_each("mean_precision_", count)?;
    #[allow(clippy::cast_precision_loss, reason = "a number of features")]
    let width = n_features as f64;
    for (base, (freedom, precision)) in components.base.iter_mut().zip(freedom.iter().zip(&precision)) {
        #[allow(clippy::cast_precision_loss, reason = "a number of features")]
        let logs = (0..n_features).map(|i| digamma(0.5 * (freedom - i as f64))).sum::<f64>();
        let log_lambda = width * 2f64.ln() + logs;
        *base += 0.5 * (log_lambda - width / precision) - 0.5 * width * freedom.ln();
    }
    let weights = log_weights(part, count)?;
    components.base.iter_mut().zip(&weights).for_each(|(base, weight)| *base += weight);
    mixture(part, components, n_features)
}

/// What is expected of the logarithms of the weights.
fn log_weights(part: &Part<'_>, count: usize) -> Result<Vec<f64>, ModelError> {
    let kind = part.one_of(
        "weight_concentration_prior_type",
        "dirichlet_process",
        &["dirichlet_process", "dirichlet_distribution"],
    )?;
    if kind == "dirichlet_distribution" {
        let each = part.vector_of(CONCENTRATION, count)?;
        let all = digamma(each.iter().sum());
        return Ok(each.into_iter().map(|one| digamma(one) - all).collect());
    }
    let both: Vec<Vec<f64>> = part
        .list(CONCENTRATION)?
        .into_iter()
        .map(|value| part.numbers_of(CONCENTRATION, value))
        .collect::<Result<_, _>>()?;
    let [own, others] = &both[..] else {
        return Err(part.refuse(CONCENTRATION, format!("has {} arrays; expected 2", both.len())));
    };
    if own.len() != count || others.len() != count {
        return Err(part.refuse(CONCENTRATION, format!("is not of {count} components")));
    }
    // A stick is broken again and again; what is left of it goes to the next.
    let mut left = 0.0;
    Ok(own
        .iter()
        .zip(others)
        .map(|(&own, &others)| {
            let all = digamma(own + others);
            let weight = digamma(own) - all + left;
            left += digamma(others) - all;
            weight
        })
        .collect())
}

/// Reads means and precisions, as the kind of covariance lays them out.
fn components(part: &Part<'_>) -> Result<(Normals, usize), ModelError> {
    let means = part.matrix("means_")?;
    let n_features = part.n_features(means.columns, "means_")?;
    let kind = part.one_of("covariance_type", "full", &["full", "tied", "diag", "spherical"])?;
    let precisions = part.finite_numbers(PRECISIONS)?;
    let shape = match kind {
        "full" => vec![means.rows, n_features, n_features],
        "tied" => vec![n_features, n_features],
        "diag" => vec![means.rows, n_features],
        _ => vec![means.rows],
    };
    if precisions.shape[..] != shape[..] || means.rows == 0 || n_features == 0 {
        let why = format!("has shape {}; expected {shape:?}", precisions.shown_shape());
        return Err(part.refuse(PRECISIONS, why));
    }
    let values = &precisions.values;
    let square = n_features * n_features;
    let mut components = Normals::default();
    #[allow(clippy::cast_precision_loss, reason = "a number of features")]
    let constant = -0.5 * n_features as f64 * LOG_2_PI;
    let matrix = |k: usize| {
        let matrix = &values[k * square..(k + 1) * square];
        let by_direction = (0..n_features).flat_map(|j| (0..n_features).map(move |i| (i, j)));
        let turned = by_direction.map(|(i, j)| matrix[i * n_features + j]).collect();
        let logs = (0..n_features).map(|i| matrix[i * (n_features + 1)].ln()).sum::<f64>();
        (directions(turned, n_features), logs)
    };
    let shared = (kind == "tied").then(|| matrix(0));
    for (k, mean) in means.iter().enumerate() {
        let (one, logs) = match (kind, &shared) {
            (_, Some((directions, logs))) => (Standard::new(mean, Arc::clone(directions)), *logs),
            ("full", _) => {
                let (directions, logs) = matrix(k);
                (Standard::new(mean, directions), logs)
            }
            _ => {
                let scales = match kind {
                    "diag" => values[k * n_features..][..n_features].to_vec(),
                    _ => vec![values[k]; n_features],
                };
                let logs = scales.iter().map(|scale| scale.ln()).sum::<f64>();
                (Standard::scaled(mean, scales), logs)
            }
        };
        components.standard.push(one);
        components.base.push(constant + logs);
    }
    Ok((components, n_features))
}

fn mixture(
    part: &Part<'_>,
    components: Normals,
    n_features: usize,
) -> Result<Box<dyn Estimator>, ModelError> {
    let methods = vec![
        Spec::new(Method::Predict, DType::Int64, Gives::One),
        Spec::new(Method::PredictProba, DType::Double, Some(components.len())),
        Spec::new(Method::ScoreSamples, DType::Double, Gives::One),
    ];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Mixture { facts, components }))
}

impl Estimator for Mixture {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let count = self.components.len();
        let logs = self.components.log_densities(x, self.facts.class)?;
        for &method in wanted {
            let elements: Elements = match method {
                Method::Predict => {
                    #[allow(clippy::cast_possible_wrap, reason = "a number of components")]
                    let component = |row: &[f64]| argmax(row) as i64;
                    logs.chunks_exact(count).map(component).collect::<Vec<_>>().into()
                }
                Method::PredictProba => shares(&logs, count).into(),
                _ => logs.chunks_exact(count).map(log_sum_exp).collect::<Vec<_>>().into(),
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
