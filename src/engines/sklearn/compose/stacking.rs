//! `StackingClassifier` and `StackingRegressor`: one estimator more learns from what the
//! others say.

use std::sync::Arc;

use ndarray::Array2;

use super::frames::{beside, join, join_sparse};
use super::members::{codes, members, predicted_codes, reals, shared};
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::samples::{Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, ask, ask_one, numbers,
};
use crate::formats::pickle::Ref;
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
    target: Target,
}

/// What the last estimator predicts.
#[derive(Debug)]
enum Target {
    Numbers,
    /// The place of a label.
    Label(Arc<Labels>),
    /// The place of a label for each output.
    Labels(Vec<Labels>),
}

#[derive(Debug)]
struct Member {
    estimator: Box<dyn Estimator>,
    /// What is asked of it: a method, or its share for each output.
    methods: Vec<Method>,
    /// The probability of the first of two classes is the rest of the other's, as is that of the
    /// first class of each of several outputs.
    without_first: bool,
}

/// Source: `sklearn.ensemble.StackingClassifier`. All are fitted on the places of the classes.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const CLASSES: &str = "classes_";
    if part.fitted(CLASSES)?.array().is_some() {
        return build(part, Target::Label(Arc::new(part.labels(CLASSES)?)));
    }
    // Fitted on several labels a row, since 1.2.
    let each = part.list(CLASSES)?.into_iter().map(|labels| part.labels_of(CLASSES, labels));
    let labels: Vec<Labels> = each.collect::<Result<_, _>>()?;
    if labels.iter().any(|one| one.dtype() != labels[0].dtype() || one.len() == 0) || labels.is_empty() {
        return Err(part.refuse(CLASSES, "mixes kinds of labels; expected one kind for all outputs"));
    }
    build(part, Target::Labels(labels))
}

/// Source: `sklearn.ensemble.StackingRegressor`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build(part, Target::Numbers)
}

/// What of an estimator is stacked, and how many columns that is. Source:
/// `_BaseStacking._concatenate_predictions`.
fn member(
    part: &Part<'_>,
    estimator: Box<dyn Estimator>,
    said: Ref<'_>,
    two: bool,
) -> Result<(Member, usize), ModelError> {
    const METHODS: &str = "stack_method_";
    let method = match said.to_str().as_deref() {
        Some("predict") => Method::Predict,
        Some("predict_proba") => Method::PredictProba,
        Some("decision_function") => Method::DecisionFunction,
        _ => {
            let want = "predict, predict_proba or decision_function";
            return Err(part.unexpected(METHODS, said, want));
        }
    };
    let facts = estimator.facts();
    if method == Method::PredictProba && facts.spec(Method::PredictProbaOf(0)).is_some() {
        let shares = facts.methods.iter().filter(|spec| matches!(spec.method, Method::PredictProbaOf(_)));
        let width = shares.clone().filter_map(|spec| spec.gives.columns()).map(|n| n.saturating_sub(1)).sum();
        let methods = shares.map(|spec| spec.method).collect();
        return Ok((Member { estimator, methods, without_first: true }, width));
    }
    let spec = facts.spec(method).filter(|spec| spec.dtype != DType::String);
    let columns = match spec.map(|spec| spec.gives) {
        Some(Gives::One) => 1,
        Some(Gives::Columns(columns)) => columns,
        _ => {
            let why = format!("is {} for a {}, which gives no columns", method.signature(), facts.class);
            return Err(part.refuse(METHODS, why));
        }
    };
    let without_first = two && method == Method::PredictProba && columns > 0;
    let width = columns - usize::from(without_first);
    Ok((Member { estimator, methods: vec![method], without_first }, width))
}

fn build(part: &Part<'_>, target: Target) -> Result<Box<dyn Estimator>, ModelError> {
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
    // scikit-learn looks at the length of `classes_`, which of several labels is another's.
    let two = match &target {
        Target::Numbers => false,
        Target::Label(labels) => labels.len() == 2,
        Target::Labels(outputs) => outputs.len() == 2,
    };
    let mut width = 0usize;
    let mut built = Vec::with_capacity(estimators.len());
    for (estimator, value) in estimators.into_iter().zip(said) {
        let (member, columns) = member(part, estimator, value, two)?;
        width = width.saturating_add(columns);
        built.push(member);
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
        match (spec.method, &target) {
            (Method::Predict, Target::Label(labels)) => {
                codes(part, LAST, of_last, labels.len())?;
                methods.push(Spec::new(Method::Predict, labels.dtype(), spec.gives));
            }
            (Method::Predict, Target::Labels(outputs)) => {
                if spec.gives != Gives::Columns(outputs.len()) || spec.dtype == DType::String {
                    let why = format!(
                        "is a {}, which does not predict the places of {} labels",
                        of_last.class,
                        outputs.len()
                    );
                    return Err(part.refuse(LAST, why));
                }
                methods.push(Spec::new(Method::Predict, outputs[0].dtype(), spec.gives));
            }
            // How likely the first label of each output is: what scikit-learn answers.
            (Method::PredictProbaOf(0), Target::Labels(outputs)) => {
                methods.push(Spec::new(Method::PredictProba, DType::Double, Some(outputs.len())));
            }
            (Method::PredictProba, Target::Label(_))
            | (Method::DecisionFunction, Target::Label(_) | Target::Labels(_))
            | (Method::Predict, Target::Numbers) => {
                methods.push(*spec);
            }
            _ => {}
        }
    }
    let numbers = matches!(target, Target::Numbers);
    if methods.first().is_none_or(|spec| spec.method != Method::Predict && numbers) {
        return Err(part.refuse(LAST, format!("is a {}, which has no predict", of_last.class)));
    }
    // What only classes are put together of stays whole.
    let whole = |member: &Member| {
        let whole =
            |&method| member.estimator.facts().spec(method).is_some_and(|spec| spec.dtype == DType::Int64);
        member.methods.iter().all(whole)
    };
    let dtype = if !passthrough && built.iter().all(whole) { DType::Int64 } else { DType::Double };
    methods.push(Spec::new(Method::Transform, dtype, Some(width)));
    let labels = if let Target::Label(labels) = &target { Some(Arc::clone(labels)) } else { None };
    let facts = all.facts(part, Check::Within, methods).labelled(labels);
    Ok(Box::new(Stacking { facts, members: built, passthrough, width, last, target }))
}

impl Stacking {
    fn is_whole(&self) -> bool {
        self.facts.spec(Method::Transform).is_some_and(|spec| spec.dtype == DType::Int64)
    }

    /// How likely the first label of each output is.
    fn first_shares(&self, x: Samples<'_>, outputs: usize) -> Result<Tensor, RunError> {
        let rows = x.rows();
        let mut columns = Vec::with_capacity(outputs);
        for i in (0..=u16::MAX).take(outputs) {
            let method = Method::PredictProbaOf(i);
            let classes = self.last.facts().gives(method).columns().unwrap_or(1).max(1);
            let shares = ask_one(&*self.last, x.reborrow(), method)?;
            columns.push(numbers(&shares)?.iter().step_by(classes).copied().collect());
        }
        answer(rows, Some(outputs), beside(&columns, rows, 1).into())
    }

    /// What the members say, and the samples after it when they are passed through.
    fn stacked(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let rows = x.rows();
        let mut frames = Vec::with_capacity(self.members.len() + 1);
        for member in &self.members {
            let mut said = Vec::with_capacity(member.methods.len());
            ask(&*member.estimator, x, &member.methods, &mut said)?;
            for (said, &method) in said.iter().zip(&member.methods) {
                let columns = member.estimator.facts().gives(method).columns().unwrap_or(1);
                let mut values = reals(said)?;
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
            match (method, &self.target) {
                (Method::Transform, _) if self.is_whole() => {
                    let values = stacked.samples().to_dense(self.facts.class)?;
                    #[allow(clippy::cast_possible_truncation, reason = "they were whole numbers")]
                    let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
                    answers.push(answer(x.rows(), Some(self.width), values.into())?);
                }
                (Method::Transform, _) => {
                    answers.push(stacked.samples().to_frame().into_tensor(self.facts.class)?);
                }
                (Method::Predict, Target::Label(labels)) => {
                    let codes = predicted_codes(&*self.last, stacked.samples(), labels.len())?;
                    answers.push(answer(x.rows(), None, labels.take(codes.into_iter()))?);
                }
                (Method::Predict, Target::Labels(outputs)) => {
                    let most = outputs.iter().map(Labels::len).max().unwrap_or_default();
                    let codes = predicted_codes(&*self.last, stacked.samples(), most)?;
                    if codes.iter().zip(outputs.iter().cycle()).any(|(code, labels)| *code >= labels.len()) {
                        return Err(RunError::Internal("a member predicted a label that is none".to_owned()));
                    }
                    answers.push(answer(x.rows(), Some(outputs.len()), Labels::take_each(outputs, &codes))?);
                }
                (Method::PredictProba, Target::Labels(outputs)) => {
                    answers.push(self.first_shares(stacked.samples(), outputs.len())?);
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
