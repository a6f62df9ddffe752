//! `StackingClassifier` and `StackingRegressor`: one estimator more learns from what the
//! others say.

use std::sync::Arc;

use ndarray::Array2;

use super::frames::{join, join_sparse};
use super::members::{codes, members, predicted_codes, reals, shared};
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::samples::{Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, ask, ask_one,
};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Stacking {
    facts: Facts,
    members: Vec<Member>,
    /// Whether the samples themselves come after what the members say.
    passthrough: bool,
    /// Columns that the last estimator is given.
    width: usize,
    last: Box<dyn Estimator>,
    labels: Option<Arc<Labels>>,
}

#[derive(Debug)]
struct Member {
    estimator: Box<dyn Estimator>,
    method: Method,
    /// The probability of the first of two classes is the rest of the other's.
    without_first: bool,
}

/// Source: `sklearn.ensemble.StackingClassifier`. All are fitted on the places of the classes.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build(part, Some(Arc::new(part.labels("classes_")?)))
}

/// Source: `sklearn.ensemble.StackingRegressor`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build(part, None)
}

fn build(part: &Part<'_>, labels: Option<Arc<Labels>>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "estimators_";
    const LAST: &str = "final_estimator_";
    const METHODS: &str = "stack_method_";
    let estimators = members(part, NAME)?;
    let all = shared(part, NAME, &estimators)?;
    let said: Vec<_> = part.list(METHODS)?.into_iter().filter(|method| !method.is_none()).collect();
    if said.len() != estimators.len() {
        let why = format!("has {} methods for {} estimators", said.len(), estimators.len());
        return Err(part.refuse(METHODS, why));
    }
    let two = labels.as_ref().is_some_and(|labels| labels.len() == 2);
    let mut width = 0usize;
    let mut built = Vec::with_capacity(estimators.len());
    for (estimator, value) in estimators.into_iter().zip(said) {
        let method = match value.to_str().as_deref() {
            Some("predict") => Method::Predict,
            Some("predict_proba") => Method::PredictProba,
            Some("decision_function") => Method::DecisionFunction,
            _ => {
                let want = "predict, predict_proba or decision_function";
                return Err(part.unexpected(METHODS, value, want));
            }
        };
        let spec = estimator.facts().spec(method).filter(|spec| spec.dtype != DType::String);
        let columns = match spec.map(|spec| spec.gives) {
            Some(Gives::One) => 1,
            Some(Gives::Columns(columns)) => columns,
            Some(Gives::Layers(..)) | None => {
                let why = format!(
                    "is {} for a {}, which gives no columns",
                    method.signature(),
                    estimator.facts().class
                );
                return Err(part.refuse(METHODS, why));
            }
        };
        let without_first = two && method == Method::PredictProba && columns > 0;
        width = width.saturating_add(columns - usize::from(without_first));
        built.push(Member { estimator, method, without_first });
    }
    let passthrough = part.flag("passthrough", false)?;
    if passthrough {
        width = width.saturating_add(all.n_features);
    }
    let last = part.child_given(part.fitted(LAST)?, LAST, Some(width))?;
    let of_last = last.facts();
    if of_last.n_features != width {
        let why = format!("takes {} features and is given {width}", of_last.n_features);
        return Err(part.refuse(LAST, why));
    }
    let mut methods = Vec::new();
    for spec in &of_last.methods {
        match (spec.method, &labels) {
            (Method::Predict, Some(labels)) => {
                codes(part, LAST, of_last, labels.len())?;
                methods.push(Spec::new(Method::Predict, labels.dtype(), spec.gives));
            }
            (Method::PredictProba | Method::DecisionFunction, Some(_)) | (Method::Predict, None) => {
                methods.push(*spec);
            }
            _ => {}
        }
    }
    if methods.first().is_none_or(|spec| spec.method != Method::Predict && labels.is_none()) {
        return Err(part.refuse(LAST, format!("is a {}, which has no predict", of_last.class)));
    }
    // What only classes are put together of stays whole.
    let whole = |member: &Member| {
        member.estimator.facts().spec(member.method).is_some_and(|spec| spec.dtype == DType::Int64)
    };
    let dtype = if !passthrough && built.iter().all(whole) { DType::Int64 } else { DType::Double };
    methods.push(Spec::new(Method::Transform, dtype, Some(width)));
    let facts = all.facts(part, Check::Within, methods).labelled(labels.clone());
    Ok(Box::new(Stacking { facts, members: built, passthrough, width, last, labels }))
}

impl Stacking {
    fn is_whole(&self) -> bool {
        self.facts.spec(Method::Transform).is_some_and(|spec| spec.dtype == DType::Int64)
    }

    /// What the members say, and the samples after it when they are passed through.
    fn stacked(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let rows = x.rows();
        let mut frames = Vec::with_capacity(self.members.len() + 1);
        for member in &self.members {
            let said = ask_one(&*member.estimator, x, member.method)?;
            let columns = member.estimator.facts().gives(member.method).columns().unwrap_or(1);
            let mut values = reals(&said)?;
            let mut kept = columns;
            if member.without_first {
                let mut at = 0;
                values.retain(|_| {
                    at += 1;
                    columns == 1 || at % columns != 1
                });
                kept = columns - 1;
                if columns == 1 {
                    values.clear();
                }
            }
            let part = Array2::from_shape_vec((rows, kept), values);
            frames.push(Frame::Dense(part.map_err(|error| RunError::Internal(error.to_string()))?));
        }
        let sparse = matches!(x, Samples::Sparse(_));
        if self.passthrough {
            frames.push(x.to_frame());
        }
        if sparse && self.passthrough {
            return join_sparse(self.facts.class, rows, self.width, frames);
        }
        join(self.facts.class, rows, self.width, frames)
    }
}

impl Estimator for Stacking {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let stacked = self.stacked(x)?;
        for &method in wanted {
            match (method, &self.labels) {
                (Method::Transform, _) if self.is_whole() => {
                    let values = stacked.samples().to_dense(self.facts.class)?;
                    #[allow(clippy::cast_possible_truncation, reason = "they were whole numbers")]
                    let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
                    answers.push(answer(x.rows(), Some(self.width), values.into())?);
                }
                (Method::Transform, _) => {
                    answers.push(stacked.samples().to_frame().into_tensor(self.facts.class)?);
                }
                (Method::Predict, Some(labels)) => {
                    let codes = predicted_codes(&*self.last, stacked.samples(), labels.len())?;
                    answers.push(answer(x.rows(), None, labels.take(codes.into_iter()))?);
                }
                _ => ask(&*self.last, stacked.samples(), &[method], answers)?,
            }
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        self.stacked(x)
    }
}
