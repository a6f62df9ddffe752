//! Estimators that hand everything to one within them: searches over parameters, frozen
//! ones, self-training.

use super::common;
use crate::engines::sklearn::samples::{Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, ask, ask_frame};
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct Delegate {
    facts: Facts,
    estimator: Box<dyn Estimator>,
}

/// `GridSearchCV` and its kin: the best estimator answers.
/// Source: `sklearn.model_selection._search.BaseSearchCV`.
pub(super) fn build_search(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "best_estimator_";
    if part.attr("refit").and_then(|refit| refit.as_bool()) == Some(false) {
        let why = "is False, so that no estimator was fitted on all data; expected True";
        return Err(part.refuse("refit", why));
    }
    let forwards = [
        "predict",
        "predict_proba",
        "predict_log_proba",
        "decision_function",
        "score_samples",
        "transform",
        "inverse_transform",
    ];
    delegate(part, NAME, Some(&forwards), Check::Within)
}

/// Source: `sklearn.frozen.FrozenEstimator`, which has every attribute of what it holds.
pub(super) fn build_frozen(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    delegate(part, "estimator", None, Check::Within)
}

/// Source: `sklearn.semi_supervised.SelfTrainingClassifier`.
pub(super) fn build_self_training(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    // Named `base_estimator_` until 1.5.
    let name = if part.attr("base_estimator_").is_some() { "base_estimator_" } else { "estimator_" };
    let forwards = ["predict", "predict_proba", "predict_log_proba", "decision_function"];
    delegate(part, name, Some(&forwards), Check::Width)
}

/// What the attribute holds answers, with those methods of its that are named.
fn delegate(
    part: &Part<'_>,
    attribute: &'static str,
    forwards: Option<&[&str]>,
    check: Check,
) -> Result<Box<dyn Estimator>, ModelError> {
    let estimator = part.child(part.fitted(attribute)?, attribute)?;
    let inner = estimator.facts();
    let is_forwarded = |method: Method| forwards.is_none_or(|known| known.contains(&method.signature()));
    let methods = inner.methods.iter().copied().filter(|spec| is_forwarded(spec.method)).collect();
    let labels = inner.labels.clone();
    let all = common(part, attribute, std::iter::once(&*estimator))?;
    let facts = all.facts(part, check, methods).labelled(labels);
    Ok(Box::new(Delegate { facts, estimator }))
}

impl Estimator for Delegate {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        ask(&*self.estimator, x, wanted, answers)
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        ask_frame(&*self.estimator, x)
    }
}
