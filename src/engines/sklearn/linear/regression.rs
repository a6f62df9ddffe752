//! Regressors: the weighted sum is the answer, through a link for some.

use super::{Fitted, read};
use crate::engines::sklearn::math::Affine;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// How the weighted sum becomes the prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// It is the prediction.
    Identity,
    /// It is the prediction's logarithm.
    Log,
}

#[derive(Debug)]
struct Regressor {
    facts: Facts,
    affine: Affine,
    link: Link,
}

/// Every regressor whose `predict` is `X @ coef_.T + intercept_`.
/// Source: `sklearn.linear_model._base.LinearModel.predict`.
pub(in crate::engines::sklearn) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    with_link(part, Link::Identity)
}

pub(super) fn with_link(part: &Part<'_>, link: Link) -> Result<Box<dyn Estimator>, ModelError> {
    let Fitted { affine, n_features, has_rows } = read(part)?;
    let gives = has_rows.then(|| affine.outputs());
    let predict = Spec::new(Method::Predict, DType::Double, gives);
    let facts = Facts::new(part, n_features, Check::Finite, vec![predict])?;
    Ok(Box::new(Regressor { facts, affine, link }))
}

impl Estimator for Regressor {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let gives = self.facts.gives(Method::Predict);
        for _ in wanted {
            let mut y = self.affine.apply_samples(x, self.facts.class)?;
            if self.link == Link::Log {
                y.iter_mut().for_each(|value| *value = value.exp());
            }
            answers.push(answer(x.rows(), gives, y.into())?);
        }
        Ok(())
    }
}
