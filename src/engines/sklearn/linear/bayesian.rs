//! `BayesianRidge` and `ARDRegression`: a weighted sum, and how far from it the truth may be.

use super::{Fitted, read};
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::math::{Affine, dot};
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Bayesian {
    facts: Facts,
    affine: Affine,
    spread: Spread,
}

/// The variance of the prediction: of the noise, and of the weights as far as a row needs them.
#[derive(Debug)]
struct Spread {
    /// The covariance of the weights of the kept features.
    sigma: Matrix,
    /// The kept features, each with what is taken off and what it is divided by.
    kept: Vec<(usize, f64, f64)>,
    noise: f64,
}

/// Source: `sklearn.linear_model._bayes`, `predict(X, return_std=True)`.
pub(in crate::engines::sklearn) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let Fitted { affine, n_features, .. } = read(part)?;
    if affine.outputs() != 1 {
        return Err(part.refuse("coef_", format!("is of {} outputs; expected one", affine.outputs())));
    }
    let spread = Spread::read(part, n_features)?;
    let methods =
        [Method::Predict, Method::PredictStd].map(|method| Spec::new(method, DType::Double, Gives::One));
    let facts = Facts::new(part, n_features, Check::Finite, methods.to_vec())?;
    Ok(Box::new(Bayesian { facts, affine, spread }))
}

impl Spread {
    fn read(part: &Part<'_>, n_features: usize) -> Result<Self, ModelError> {
        const SIGMA: &str = "sigma_";
        let precision = part.number("alpha_")?;
        // ARDRegression gives up features whose weights are surely nothing.
        let kept: Vec<usize> = if part.class == "ARDRegression" {
            let most = part.number_or("threshold_lambda", 1e4)?;
            let precisions = part.vector_of("lambda_", n_features)?;
            (0..n_features).filter(|&feature| precisions[feature] < most).collect()
        } else {
            (0..n_features).collect()
        };
        let sigma = part.matrix_of(SIGMA, kept.len())?;
        if sigma.rows != kept.len() {
            return Err(part.refuse(SIGMA, format!("has {} rows; expected {}", sigma.rows, kept.len())));
        }
        // Rows are taken as they are, but until 1.1 as they were normalised, and since 1.9 centred.
        let on = |name| part.attr(name).and_then(|value| value.as_bool()).unwrap_or(false);
        let normalised = part.version() < (1, 2) && (on("_normalize") || on("normalize"));
        let offsets = if normalised || part.version() >= (1, 9) {
            part.one_or_each("X_offset_", n_features)?
        } else {
            vec![0.0; n_features]
        };
        let scales =
            if normalised { part.one_or_each("X_scale_", n_features)? } else { vec![1.0; n_features] };
        let kept = kept.into_iter().map(|feature| (feature, offsets[feature], scales[feature])).collect();
        Ok(Self { sigma, kept, noise: 1.0 / precision })
    }

    /// The standard deviation for a row.
    fn of(&self, row: &[f64]) -> f64 {
        let x: Vec<f64> =
            self.kept.iter().map(|&(feature, offset, scale)| (row[feature] - offset) / scale).collect();
        let variance: f64 = self.sigma.iter().zip(&x).map(|(sigma, value)| value * dot(sigma, &x)).sum();
        (variance + self.noise).sqrt()
    }
}

impl Estimator for Bayesian {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let (rows, class) = (x.rows(), self.facts.class);
        for method in wanted {
            let values = if *method == Method::PredictStd {
                let dense = x.to_dense(class)?;
                let view = dense.view();
                flat(&view).chunks_exact(self.facts.n_features).map(|row| self.spread.of(row)).collect()
            } else {
                self.affine.apply_samples(x, class)?
            };
            answers.push(answer(rows, None, values.into())?);
        }
        Ok(())
    }
}
