//! `SGDOneClassSVM`: inlier or outlier by the sign of a weighted sum.

use crate::engines::sklearn::math::Affine;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct OneClass {
    facts: Facts,
    affine: Affine,
    offset: f64,
}

/// Source: `sklearn.linear_model.SGDOneClassSVM`; its intercept is `-offset_`.
pub(in crate::engines::sklearn) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let coef = part.finite_numbers("coef_")?;
    if coef.values.is_empty() || !matches!(coef.shape[..], [_] | [1, _]) {
        let shape = coef.shown_shape();
        return Err(part.refuse("coef_", format!("has shape {shape}; expected one coefficient per feature")));
    }
    let n_features = part.n_features(coef.values.len(), "coef_")?;
    let offset = part.one_or_each("offset_", 1)?[0];
    let spec = |method, dtype| Spec::new(method, dtype, Gives::One);
    let methods = vec![
        spec(Method::Predict, DType::Int64),
        spec(Method::DecisionFunction, DType::Double),
        spec(Method::ScoreSamples, DType::Double),
    ];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(OneClass { facts, affine: Affine::new(coef.values, vec![-offset], n_features), offset }))
}

impl Estimator for OneClass {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let decisions = self.affine.apply_samples(x, self.facts.class)?;
        for method in wanted {
            let elements = match method {
                Method::Predict => {
                    let side = |&decision: &f64| if decision >= 0.0 { 1i64 } else { -1 };
                    decisions.iter().map(side).collect::<Vec<_>>().into()
                }
                Method::ScoreSamples => decisions.iter().map(|d| d + self.offset).collect::<Vec<_>>().into(),
                _ => decisions.clone().into(),
            };
            answers.push(answer(x.rows(), None, elements)?);
        }
        Ok(())
    }
}
