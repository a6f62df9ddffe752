//! The machines with one decision: `SVR` and `NuSVR`, whose prediction it is, and
//! `OneClassSVM`, of which its sign tells the inliers.

use super::machine::Machine;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Single {
    facts: Facts,
    machine: Machine,
    one_class: bool,
}

/// Source: `sklearn.svm.SVR`, `sklearn.svm.NuSVR`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let machine = Machine::read(part, None)?;
    let methods = vec![Spec::new(Method::Predict, DType::Double, Gives::One)];
    let facts = Facts::new(part, machine.n_features, Check::Finite, methods)?;
    Ok(Box::new(Single { facts, machine, one_class: false }))
}

/// Source: `sklearn.svm.OneClassSVM`; its `offset_` is the intercept turned around.
pub(super) fn build_one_class(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let machine = Machine::read(part, None)?;
    let spec = |method, dtype| Spec::new(method, dtype, Gives::One);
    let methods = vec![
        spec(Method::Predict, DType::Int64),
        spec(Method::DecisionFunction, DType::Double),
        spec(Method::ScoreSamples, DType::Double),
    ];
    let facts = Facts::new(part, machine.n_features, Check::Finite, methods)?;
    Ok(Box::new(Single { facts, machine, one_class: true }))
}

impl Estimator for Single {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let rows = x.rows();
        let decisions = self.machine.decide(x)?;
        for method in wanted {
            let elements = match method {
                Method::Predict if self.one_class => {
                    let side = |&decision: &f64| if decision > 0.0 { 1i64 } else { -1 };
                    decisions.iter().map(side).collect::<Vec<_>>().into()
                }
                Method::ScoreSamples => {
                    let offset = -self.machine.intercept()[0];
                    decisions.iter().map(|decision| decision + offset).collect::<Vec<_>>().into()
                }
                _ => decisions.clone().into(),
            };
            answers.push(answer(rows, None, elements)?);
        }
        Ok(())
    }
}
