//! `Pipeline`: transformers one after the other, and an estimator at the end.

use super::registry::Row;
use super::samples::{Frame, Samples};
use super::state::Part;
use super::{Check, Estimator, Facts, Method, ModelError, Spec, Takes, ask, ask_frame};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::Tensor;

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[Row::new("sklearn.pipeline", "Pipeline", &[], build)];

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
    let (feature_names, input) = (first.feature_names.clone(), first.input.clone());

    let last = built.pop().flatten();
    let mut width = n_features;
    for (i, step) in built.iter().enumerate() {
        let Some(step) = step else { continue };
        fits(part, i, &**step, width)?;
        let Some(transform) = step.facts().spec(Method::Transform) else {
            let why = format!("has a {} at [{i}], which has no transform", step.facts().class);
            return Err(part.refuse("steps", why));
        };
        width = transform.gives.columns().unwrap_or(1);
    }
    if let Some(last) = &last {
        fits(part, built.len(), &**last, width)?;
    }
    let transforms: Vec<_> = built.into_iter().flatten().collect();
    let methods = methods(&transforms, last.as_deref(), n_features, width);
    let labels = last.as_deref().and_then(|last| last.facts().labels.clone());
    let class = part.class;
    let facts = Facts { class, n_features, input, feature_names, labels, check: Check::Within, methods };
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
    let mut methods = match last {
        None => vec![Spec::transform(width)],
        Some(last) => {
            // scikit-learn's has no `apply`.
            let hidden = [Method::InverseTransform, Method::Apply];
            let forward = last.facts().methods.iter().filter(|spec| !hidden.contains(&spec.method));
            forward.map(|spec| Spec { takes: Takes::Samples, ..*spec }).collect()
        }
    };
    let all = transforms.iter().map(|step| &**step).chain(last);
    if all.clone().all(|step| step.facts().spec(Method::InverseTransform).is_some()) {
        let end = all.last().and_then(|step| step.facts().spec(Method::InverseTransform));
        let takes = end.map_or(Takes::Matrix(width), |spec| spec.takes);
        methods.push(Spec { takes, ..Spec::inverse_transform(width, n_features) });
    }
    methods
}

impl Estimator for Pipeline {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        if wanted.contains(&Method::InverseTransform) {
            let mut held: Vec<Tensor> = Vec::new();
            for step in self.last.iter().chain(self.transforms.iter().rev()) {
                let mut next = Vec::with_capacity(1);
                match held.pop().map(Frame::of).transpose()? {
                    None => ask(&**step, x, &[Method::InverseTransform], &mut next)?,
                    Some(frame) => ask(&**step, frame.samples(), &[Method::InverseTransform], &mut next)?,
                }
                held = next;
            }
            answers.append(&mut held);
            return Ok(());
        }
        let handed_on = self.hand_on(x)?;
        let x = handed_on.as_ref().map_or(x.reborrow(), Frame::samples);
        match &self.last {
            Some(last) => ask(&**last, x, wanted, answers),
            None => {
                answers.push(x.to_frame().into_tensor(self.facts.class)?);
                Ok(())
            }
        }
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let handed_on = self.hand_on(x)?;
        match (&self.last, handed_on) {
            (Some(last), handed_on) => {
                ask_frame(&**last, handed_on.as_ref().map_or(x.reborrow(), Frame::samples))
            }
            (None, Some(frame)) => Ok(frame),
            (None, None) => Ok(x.to_frame()),
        }
    }
}

impl Pipeline {
    /// What the last step is given; `None` for the pipeline's own input.
    fn hand_on(&self, x: Samples<'_>) -> Result<Option<Frame>, RunError> {
        let mut held: Option<Frame> = None;
        for step in &self.transforms {
            let next = ask_frame(&**step, held.as_ref().map_or(x.reborrow(), Frame::samples))?;
            held = Some(next);
        }
        Ok(held)
    }
}
