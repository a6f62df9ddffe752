//! Linear models: a weighted sum of the features, and what each makes of it.

pub(super) mod classifier;
pub(super) mod glm;
pub(super) mod one_class;
pub(super) mod ransac;
pub(super) mod regression;

use super::ModelError;
use super::math::Affine;
use super::state::{Numbers, Part};

/// `coef_` and `intercept_`, found to fit each other and `n_features_in_`.
struct Fitted {
    affine: Affine,
    n_features: usize,
    /// Whether `coef_` has a row per output, rather than being one row itself.
    has_rows: bool,
}

/// Reads `coef_` (`[n_features]` or `[n_outputs, n_features]`) and the intercept,
/// which is one number for all outputs or one per output.
fn read(part: &Part<'_>) -> Result<Fitted, ModelError> {
    let Numbers { values: coef, shape } = part.finite_numbers("coef_")?;
    let (outputs, n_features, has_rows) = match shape[..] {
        [features] => (1, features, false),
        [outputs, features] => (outputs, features, true),
        _ => (0, 0, false),
    };
    if outputs == 0 || n_features == 0 {
        let shown = Numbers { values: coef, shape }.shown_shape();
        return Err(part.refuse(
            "coef_",
            format!(
                "has shape {shown}; expected one coefficient per feature, in one row or one row per output"
            ),
        ));
    }
    let intercept = per_output(part, "intercept_", outputs)?;
    let n_features = part.n_features(n_features, "coef_")?;
    Ok(Fitted { affine: Affine::new(coef, intercept, n_features), n_features, has_rows })
}

/// An attribute that is one number for all outputs, or one per output.
fn per_output(part: &Part<'_>, name: &'static str, outputs: usize) -> Result<Vec<f64>, ModelError> {
    let numbers = part.finite_numbers(name)?;
    match (numbers.shape.len(), numbers.values.len()) {
        (0 | 1, 1) => Ok(vec![numbers.values[0]; outputs]),
        (1, len) if len == outputs => Ok(numbers.values),
        _ => {
            let shape = numbers.shown_shape();
            Err(part.refuse(
                name,
                format!("has shape {shape}; expected one number, or one for each of {outputs} outputs"),
            ))
        }
    }
}
