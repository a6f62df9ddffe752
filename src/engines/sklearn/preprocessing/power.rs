//! `PowerTransformer`: each column bent towards a normal distribution.

use ndarray::ArrayView2;

use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct PowerTransformer {
    facts: Facts,
    box_cox: bool,
    lambdas: Vec<f64>,
    /// Mean and scale of each column afterwards.
    standard: Option<(Vec<f64>, Vec<f64>)>,
}

/// Source: `sklearn.preprocessing.PowerTransformer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let lambdas = part.row_of_numbers("lambdas_")?;
    let n_features = part.n_features(lambdas.len(), "lambdas_")?;
    let box_cox = part.one_of("method", "yeo-johnson", &["yeo-johnson", "box-cox"])? == "box-cox";
    let standard = if part.flag("standardize", true)? {
        let scaler = part.within(
            "_scaler",
            &["sklearn.preprocessing._data", "sklearn.preprocessing.data"],
            "StandardScaler",
        )?;
        Some((scaler.vector_of("mean_", n_features)?, scaler.vector_of("scale_", n_features)?))
    } else {
        None
    };
    let methods = vec![Spec::transform(n_features), Spec::inverse_transform(n_features, n_features)];
    let facts = Facts::new(part, n_features, Check::FiniteOrNan, methods)?;
    Ok(Box::new(PowerTransformer { facts, box_cox, lambdas, standard }))
}

/// Source: `scipy.stats.yeojohnson`.
fn yeo_johnson(x: f64, lambda: f64) -> f64 {
    if x >= 0.0 {
        if lambda.abs() < f64::EPSILON { x.ln_1p() } else { (lambda * x.ln_1p()).exp_m1() / lambda }
    } else if (lambda - 2.0).abs() > f64::EPSILON {
        -((2.0 - lambda) * (-x).ln_1p()).exp_m1() / (2.0 - lambda)
    } else {
        -(-x).ln_1p()
    }
}

/// Source: `PowerTransformer._yeo_johnson_inverse_transform`.
fn yeo_johnson_inverse(x: f64, lambda: f64) -> f64 {
    if x >= 0.0 {
        if lambda.abs() < f64::EPSILON { x.exp() - 1.0 } else { (x * lambda + 1.0).powf(1.0 / lambda) - 1.0 }
    } else if (lambda - 2.0).abs() > f64::EPSILON {
        1.0 - (-(2.0 - lambda) * x + 1.0).powf(1.0 / (2.0 - lambda))
    } else {
        1.0 - (-x).exp()
    }
}

/// Source: `scipy.special.boxcox`.
fn box_cox(x: f64, lambda: f64) -> f64 {
    if lambda.abs() < 1e-19 { x.ln() } else { (lambda * x.ln()).exp_m1() / lambda }
}

/// Source: `scipy.special.inv_boxcox`.
fn box_cox_inverse(x: f64, lambda: f64) -> f64 {
    if lambda == 0.0 { x.exp() } else { ((lambda * x).ln_1p() / lambda).exp() }
}

impl PowerTransformer {
    fn bend(&self, row: &mut [f64], bend: fn(f64, f64) -> f64) {
        row.iter_mut().zip(&self.lambdas).for_each(|(x, &lambda)| *x = bend(*x, lambda));
    }

    fn apply(&self, row: &mut [f64]) {
        self.bend(row, if self.box_cox { box_cox } else { yeo_johnson });
        if let Some((means, scales)) = &self.standard {
            row.iter_mut().zip(means).for_each(|(x, mean)| *x -= mean);
            row.iter_mut().zip(scales).for_each(|(x, scale)| *x /= scale);
        }
    }

    fn invert(&self, row: &mut [f64]) {
        if let Some((means, scales)) = &self.standard {
            row.iter_mut().zip(scales).for_each(|(x, scale)| *x *= scale);
            row.iter_mut().zip(means).for_each(|(x, mean)| *x += mean);
        }
        self.bend(row, if self.box_cox { box_cox_inverse } else { yeo_johnson_inverse });
    }
}

impl Estimator for PowerTransformer {
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
            let mut values = flat(&x).to_vec();
            if method != Method::InverseTransform && self.box_cox && values.iter().any(|&value| value <= 0.0)
            {
                return Err(RunError::InvalidInput(
                    "The Box-Cox transformation can only be applied to strictly positive data".to_owned(),
                ));
            }
            for row in values.chunks_exact_mut(self.lambdas.len()) {
                match method {
                    Method::InverseTransform => self.invert(row),
                    _ => self.apply(row),
                }
            }
            answers.push(answer(x.nrows(), Some(self.lambdas.len()), values.into())?);
        }
        Ok(())
    }
}
