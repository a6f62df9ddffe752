//! `Pipeline`: transformers one after the other, and an estimator at the end.

use ndarray::ArrayView2;

use super::state::Part;
use super::{Check, Estimator, Facts, Method, ModelError, Spec, ask, matrix};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Pipeline {
    facts: Facts,
    /// All but the last step; those that pass their input through are left out.
    transforms: Vec<Box<dyn Estimator>>,
    /// The last step; `None` when it passes its input through.
    last: Option<Box<dyn Estimator>>,
}

/// Source: `sklearn.pipeline.Pipeline`. `memory` and `verbose` matter to `fit` only.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let value = part.fitted("steps")?;
    let Some(steps) = value.items().filter(|steps| steps.len() > 0) else {
        return Err(part.unexpected("steps", value, "a list of at least one (name, estimator)"));
    };
    let mut built = Vec::with_capacity(steps.len());
    for (i, step) in steps.enumerate() {
        built.push(build_step(part, i, step)?);
    }
    // What the input is, is said by the first step that looks at it.
    let Some(first) = built.iter().flatten().next().map(|step| step.facts()) else {
        return Err(
            part.refuse("steps", "has only steps that pass their input through; expected an estimator")
        );
    };
    let n_features = first.n_features;
    let feature_names = first.feature_names.clone();

    let last = built.pop().flatten();
    let mut width = n_features;
    for (i, step) in built.iter().enumerate() {
        let Some(step) = step else { continue };
        fits(part, i, &**step, width)?;
        let Some(transform) = step.facts().spec(Method::Transform) else {
            let why = format!("has a {} at [{i}], which has no transform", step.facts().class);
            return Err(part.refuse("steps", why));
        };
        width = transform.gives.unwrap_or(0);
    }
    if let Some(last) = &last {
        fits(part, built.len(), &**last, width)?;
    }
    let transforms: Vec<_> = built.into_iter().flatten().collect();
    let methods = methods(&transforms, last.as_deref(), n_features, width);
    let labels = last.as_deref().and_then(|last| last.facts().labels.clone());
    let facts = Facts { class: part.class, n_features, feature_names, labels, check: Check::Within, methods };
    Ok(Box::new(Pipeline { facts, transforms, last }))
}

/// One `(name, estimator)`; `None` when it passes its input through.
fn build_step<'a>(
    part: &Part<'a>,
    i: usize,
    step: Ref<'a>,
) -> Result<Option<Box<dyn Estimator>>, ModelError> {
    let mut pair = step.items().filter(|pair| pair.len() == 2).into_iter().flatten();
    let (Some(name), Some(estimator)) = (pair.next().and_then(Ref::to_str), pair.next()) else {
        let why = format!("has {} at [{i}]; expected a (name, estimator)", step.describe());
        return Err(part.refuse("steps", why));
    };
    if estimator.is_none() || estimator.as_str() == Some("passthrough") {
        return Ok(None);
    }
    let name: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    part.child(estimator, &format!("steps[{i}] ('{name}')")).map(Some)
}

/// Whether a step takes what the one before it gives.
fn fits(part: &Part<'_>, i: usize, step: &dyn Estimator, width: usize) -> Result<(), ModelError> {
    let Facts { class, n_features, .. } = step.facts();
    if *n_features == width {
        return Ok(());
    }
    let why = format!("has a {class} at [{i}] that takes {n_features} features and is given {width}");
    Err(part.refuse("steps", why))
}

/// What the whole can do: what its last step can, and to transform there and back
/// if all can.
fn methods(
    transforms: &[Box<dyn Estimator>],
    last: Option<&dyn Estimator>,
    n_features: usize,
    width: usize,
) -> Vec<Spec> {
    let transform =
        Spec { method: Method::Transform, takes: n_features, dtype: DType::Double, gives: Some(width) };
    let mut methods = match last {
        None => vec![transform],
        Some(last) => {
            // scikit-learn's has no `apply`.
            let hidden = [Method::InverseTransform, Method::Apply];
            let forward = last.facts().methods.iter().filter(|spec| !hidden.contains(&spec.method));
            forward.map(|spec| Spec { takes: n_features, ..*spec }).collect()
        }
    };
    let all = transforms.iter().map(|step| &**step).chain(last);
    if all.clone().all(|step| step.facts().spec(Method::InverseTransform).is_some()) {
        let end = all.last().and_then(|step| step.facts().spec(Method::InverseTransform));
        let takes = end.map_or(width, |spec| spec.takes);
        methods.push(Spec { method: Method::InverseTransform, takes, gives: Some(n_features), ..transform });
    }
    methods
}

impl Estimator for Pipeline {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        if wanted.contains(&Method::InverseTransform) {
            let backwards = self.last.iter().chain(self.transforms.iter().rev());
            return chain(backwards.map(|step| &**step), Method::InverseTransform, x, answers);
        }
        let Some(last) = &self.last else {
            return chain(self.transforms.iter().map(|step| &**step), Method::Transform, x, answers);
        };
        if self.transforms.is_empty() {
            return ask(&**last, x, wanted, answers);
        }
        let mut held = Vec::with_capacity(1);
        chain(self.transforms.iter().map(|step| &**step), Method::Transform, x, &mut held)?;
        ask(&**last, matrix(&held[0])?, wanted, answers)
    }
}

/// Asks one step after the other, each with the answer of the one before, and
/// appends the last one's answer. There is at least one.
fn chain<'e>(
    steps: impl Iterator<Item = &'e dyn Estimator>,
    method: Method,
    x: ArrayView2<'_, f64>,
    answers: &mut Vec<Tensor>,
) -> Result<(), RunError> {
    let mut held: Vec<Tensor> = Vec::with_capacity(1);
    for step in steps {
        let mut next = Vec::with_capacity(1);
        match held.first() {
            None => ask(step, x, &[method], &mut next)?,
            Some(tensor) => ask(step, matrix(tensor)?, &[method], &mut next)?,
        }
        held = next;
    }
    answers.append(&mut held);
    Ok(())
}
