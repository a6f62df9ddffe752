//! `TransformedTargetRegressor`: what a regressor predicts, transformed back.

use ndarray::ArrayView2;

use super::common;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, Takes, answer, ask_one, numbers,
};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Transformed {
    facts: Facts,
    regressor: Box<dyn Estimator>,
    transformer: Box<dyn Estimator>,
    /// Columns of what the regressor predicts.
    width: usize,
}

/// Source: `sklearn.compose.TransformedTargetRegressor`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const REGRESSOR: &str = "regressor_";
    const TRANSFORMER: &str = "transformer_";
    let regressor = part.child(part.fitted(REGRESSOR)?, REGRESSOR)?;
    let predict = regressor.facts().spec(Method::Predict).filter(|spec| spec.dtype == DType::Double);
    let width = match predict.map(|spec| spec.gives) {
        Some(Gives::One) => 1,
        Some(Gives::Columns(columns)) => columns,
        Some(Gives::Layers(..) | Gives::AsTaken) | None => {
            let why = format!("is a {}, which predicts no numbers", regressor.facts().class);
            return Err(part.refuse(REGRESSOR, why));
        }
    };
    let transformer = part.child_given(part.fitted(TRANSFORMER)?, TRANSFORMER, Some(width))?;
    let back = transformer.facts().spec(Method::InverseTransform);
    let columns =
        back.filter(|spec| spec.takes == Takes::Matrix(width)).and_then(|spec| spec.gives.columns());
    let Some(columns) = columns else {
        let why =
            format!("is a {}, which does not transform {width} columns back", transformer.facts().class);
        return Err(part.refuse(TRANSFORMER, why));
    };
    let flat = part.count("_training_dim")? == 1 && columns == 1;
    let gives = if flat { Gives::One } else { Gives::Columns(columns) };
    let all = common(part, REGRESSOR, std::iter::once(&*regressor))?;
    let facts = all.facts(part, Check::Within, vec![Spec::new(Method::Predict, DType::Double, gives)]);
    Ok(Box::new(Transformed { facts, regressor, transformer, width }))
}

impl Estimator for Transformed {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for &method in wanted {
            let said = ask_one(&*self.regressor, x, Method::Predict)?;
            let said = ArrayView2::from_shape((x.rows(), self.width), numbers(&said)?)
                .map_err(|error| RunError::Internal(error.to_string()))?;
            let back = ask_one(&*self.transformer, said, Method::InverseTransform)?;
            answers.push(answer(x.rows(), self.facts.gives(method), numbers(&back)?.to_vec().into())?);
        }
        Ok(())
    }
}
