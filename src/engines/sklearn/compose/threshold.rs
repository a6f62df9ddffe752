//! Classifiers of two classes whose choice is made at a threshold.

use std::sync::Arc;

use super::common;
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, ask, ask_one, numbers,
};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

const NAME: &str = "estimator_";

#[derive(Debug)]
struct Threshold {
    facts: Facts,
    estimator: Box<dyn Estimator>,
    labels: Arc<Labels>,
    /// What is compared with the threshold.
    method: Method,
    threshold: f64,
    /// The class that the score speaks for: it is predicted from the threshold on.
    positive: usize,
}

/// Source: `sklearn.model_selection.FixedThresholdClassifier`.
pub(super) fn build_fixed(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let positive = part.attr("pos_label");
    build(part, positive, |part, method| {
        if part.attr("threshold").and_then(Ref::to_str).as_deref() == Some("auto") {
            return Ok(if method == Method::PredictProba { 0.5 } else { 0.0 });
        }
        part.number("threshold")
    })
}

/// Source: `sklearn.model_selection.TunedThresholdClassifierCV`. Its positive class is what
/// the score that was tuned for takes as such.
pub(super) fn build_tuned(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const SCORER: &str = "_curve_scorer";
    // It lived with the classifier until 1.5.
    let modules = ["sklearn.metrics._scorer", "sklearn.model_selection._classification_threshold"];
    let scorer = part.within(SCORER, &modules, "_CurveScorer")?;
    let given = scorer.attr("_kwargs").and_then(|arguments| arguments.get("pos_label"));
    let function = scorer.fitted("_score_func")?.global();
    // These take 1 for the positive class where nothing is said.
    let takes_one = function.is_some_and(|function| {
        let known = ["f1_score", "fbeta_score", "precision_score", "recall_score", "jaccard_score"];
        function.module.starts_with("sklearn.metrics") && known.contains(&function.name)
    });
    let positive = match given {
        Some(given) => Some(given).filter(|given| !given.is_none()),
        None if takes_one => {
            return build_with(part, Positive::One, |part, _| part.number("best_threshold_"));
        }
        None => None,
    };
    build(part, positive, |part, _| part.number("best_threshold_"))
}

/// What stands for the positive class.
enum Positive<'a> {
    /// The second class.
    Second,
    /// The label 1.
    One,
    Label(Ref<'a>),
}

fn build<'a>(
    part: &Part<'a>,
    positive: Option<Ref<'a>>,
    threshold: impl Fn(&Part<'a>, Method) -> Result<f64, ModelError>,
) -> Result<Box<dyn Estimator>, ModelError> {
    build_with(part, positive.map_or(Positive::Second, Positive::Label), threshold)
}

fn build_with<'a>(
    part: &Part<'a>,
    positive: Positive<'a>,
    threshold: impl Fn(&Part<'a>, Method) -> Result<f64, ModelError>,
) -> Result<Box<dyn Estimator>, ModelError> {
    let estimator = part.child(part.fitted(NAME)?, NAME)?;
    let inner = estimator.facts();
    let Some(labels) = inner.labels.clone().filter(|labels| labels.len() == 2) else {
        return Err(part.refuse(NAME, format!("is a {}, which does not tell two classes apart", inner.class)));
    };
    let gives = |method, gives: Gives| {
        inner.spec(method).is_some_and(|spec| spec.gives == gives && spec.dtype == DType::Double)
    };
    let shares = gives(Method::PredictProba, Gives::Columns(2));
    let decides = gives(Method::DecisionFunction, Gives::One);
    let method =
        match part.one_of("response_method", "auto", &["auto", "predict_proba", "decision_function"])? {
            "auto" | "predict_proba" if shares => Method::PredictProba,
            "auto" | "decision_function" if decides => Method::DecisionFunction,
            other => {
                let why = format!("is '{other}', which a {} does not have", inner.class);
                return Err(part.refuse("response_method", why));
            }
        };
    let place = match positive {
        Positive::Second => Some(1),
        Positive::One => place_of(&labels, 1.0),
        Positive::Label(label) => match (label.to_str(), label.as_f64()) {
            (Some(text), _) => labels.places(&vec![bytes::Bytes::from(text.into_owned())].into())[0],
            (None, Some(number)) => place_of(&labels, number),
            (None, None) => None,
        },
    };
    let Some(positive) = place else {
        return Err(part.refuse("pos_label", "is not among the classes"));
    };
    let threshold = threshold(part, method)?;
    let kept = [Method::PredictProba, Method::PredictLogProba, Method::DecisionFunction];
    let mut methods = vec![Spec::new(Method::Predict, labels.dtype(), None)];
    methods.extend(inner.methods.iter().filter(|spec| kept.contains(&spec.method)));
    let all = common(part, NAME, std::iter::once(&*estimator))?;
    let facts = all.facts(part, Check::Within, methods).labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(Threshold { facts, estimator, labels, method, threshold, positive }))
}

/// The place of a label that is a number.
fn place_of(labels: &Labels, number: f64) -> Option<usize> {
    #[allow(clippy::cast_precision_loss, reason = "as Python compares them")]
    let is_it = |label: &i64| *label as f64 == number;
    match labels {
        Labels::Ints(labels) => labels.iter().position(is_it),
        Labels::Floats(labels) => labels.iter().position(|&label| label == number),
        Labels::Bools(labels) => labels.iter().position(|&label| f64::from(u8::from(label)) == number),
        Labels::Texts(_) => None,
    }
}

impl Estimator for Threshold {
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
            if method != Method::Predict {
                ask(&*self.estimator, x, &[method], answers)?;
                continue;
            }
            let said = ask_one(&*self.estimator, x, self.method)?;
            let said = numbers(&said)?;
            let scores: Vec<f64> = match self.method {
                Method::PredictProba => said.iter().skip(self.positive).step_by(2).copied().collect(),
                // A decision speaks for the second class.
                _ if self.positive == 0 => said.iter().map(|score| -score).collect(),
                _ => said.to_vec(),
            };
            let choose = |score: f64| if score >= self.threshold { self.positive } else { 1 - self.positive };
            let labels = self.labels.take(scores.into_iter().map(choose));
            answers.push(answer(x.rows(), None, labels)?);
        }
        Ok(())
    }
}
