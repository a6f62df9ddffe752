//! Partial least squares: scores of one block, and what they predict of the other.

use ndarray::ArrayView2;

use super::linear_map::{Step, not_empty, run};
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::math::Affine;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Pls {
    facts: Facts,
    forward: Vec<Step>,
    back: Vec<Step>,
    predict: Vec<Step>,
}

/// The mean and the standard deviation of the features.
fn standard(part: &Part<'_>, n_features: usize) -> Result<(Vec<f64>, Vec<f64>), ModelError> {
    Ok((part.vector_of("_x_mean", n_features)?, part.vector_of("_x_std", n_features)?))
}

/// `PLSRegression`, `PLSCanonical` and `CCA`. Source: `sklearn.cross_decomposition._pls._PLS`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let rotations = not_empty(part, "x_rotations_")?;
    let (n_features, count) = (part.n_features(rotations.rows, "x_rotations_")?, rotations.columns);
    let (mean, std) = standard(part, n_features)?;
    let loadings = part.matrix_of("x_loadings_", count)?;
    if loadings.rows != n_features {
        let why = format!("has {} rows; expected one for each of {n_features} features", loadings.rows);
        return Err(part.refuse("x_loadings_", why));
    }
    let version = part.version();
    // [targets, features]; it lay the other way round until 1.2, under two names in 1.1 and 1.2.
    let (name, turned) = match version {
        (..) if version < (1, 1) => ("coef_", true),
        (..) if version < (1, 3) => ("_coef_", false),
        _ => ("coef_", false),
    };
    let coef = not_empty(part, name)?;
    let coef: Matrix = if turned { coef.transposed() } else { coef };
    if coef.columns != n_features {
        let why = format!("is made for {} features; expected {n_features}", coef.columns);
        return Err(part.refuse(name, why));
    }
    let targets = coef.rows;
    let intercept = part.vector_of(if version < (1, 1) { "_y_mean" } else { "intercept_" }, targets)?;
    // Since 1.5 the coefficients are scaled already.
    let mut predict = vec![Step::Subtract(mean.clone())];
    if version < (1, 5) {
        predict.push(Step::Divide(std.clone()));
    }
    predict.push(Step::Affine(Affine::new(coef.values, intercept, n_features)));
    let forward = vec![
        Step::Subtract(mean.clone()),
        Step::Divide(std.clone()),
        Step::times_transposed(&rotations.transposed()),
    ];
    let back = vec![Step::times_transposed(&loadings), Step::Multiply(std), Step::Add(mean)];
    let one = version >= (1, 3) && part.flag("_predict_1d", false)? && targets == 1;
    let gives = if one { Gives::One } else { Gives::Columns(targets) };
    let methods = vec![
        Spec::new(Method::Predict, DType::Double, gives),
        Spec::transform(count),
        Spec::inverse_transform(count, n_features),
    ];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Pls { facts, forward, back, predict }))
}

/// Source: `sklearn.cross_decomposition.PLSSVD`.
pub(super) fn build_svd(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let weights = not_empty(part, "x_weights_")?;
    let (n_features, count) = (part.n_features(weights.rows, "x_weights_")?, weights.columns);
    let (mean, std) = standard(part, n_features)?;
    let forward =
        vec![Step::Subtract(mean), Step::Divide(std), Step::times_transposed(&weights.transposed())];
    let facts = Facts::new(part, n_features, Check::Finite, vec![Spec::transform(count)])?;
    Ok(Box::new(Pls { facts, forward, back: Vec::new(), predict: Vec::new() }))
}

impl Estimator for Pls {
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
            let steps = match method {
                Method::Predict => &self.predict,
                Method::InverseTransform => &self.back,
                _ => &self.forward,
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), run(steps, x)?.into())?);
        }
        Ok(())
    }
}
