//! `Pipeline`: transformers one after the other, and an estimator at the end.

use super::compose::{Slot, named, shown, slot};
use super::registry::Row;
use super::samples::{Frame, Kind, Samples};
use super::state::Part;
use super::{Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, Takes, ask, ask_frame};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[Row::new("sklearn.pipeline", "Pipeline", &[], build)];

/// The methods of the last step that a pipeline has, too; its inverse is a matter of all.
const FORWARDS: [&str; 7] = [
    "predict",
    "predict_std",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
];

#[derive(Debug)]
struct Pipeline {
    facts: Facts,
    /// All but the last step; those that pass their input through are left out.
    transforms: Vec<Box<dyn Estimator>>,
    /// The last step; `None` when it passes its input through.
    last: Option<Box<dyn Estimator>>,
}

/// Source: `sklearn.pipeline.Pipeline`. `memory`, `verbose` and `transform_input` matter to
/// `fit` only.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "steps";
    let value = part.fitted(NAME)?;
    if value.items().is_none_or(|steps| steps.len() == 0) {
        return Err(part.unexpected(NAME, value, "a list of at least one (name, estimator)"));
    }
    let mut transforms: Vec<Box<dyn Estimator>> = Vec::new();
    let mut last = None;
    // What the step before hands on; nothing is known of the pipeline's own input.
    let mut given: Option<Spec> = None;
    let steps = named::<1>(part, NAME, "a (name, estimator)")?;
    let count = steps.len();
    for (i, (name, [value])) in steps.into_iter().enumerate() {
        let place = format!("{NAME}[{i}] ('{}')", shown(&name));
        let width = given.and_then(|given| match given.gives {
            Gives::AsTaken => None,
            gives => Some(gives.columns().unwrap_or(1)),
        });
        let step = if value.is_none() { Slot::Pass } else { slot(part, value, &place, width)? };
        let step = match step {
            Slot::Is(step) => step,
            Slot::Pass => continue,
            Slot::Drop => {
                return Err(part.refuse(NAME, format!("has 'drop' at [{i}]; expected an estimator")));
            }
        };
        if let Some(given) = &given {
            fits(part, i, &*step, given)?;
        }
        if i + 1 == count {
            last = Some(step);
            break;
        }
        let Some(&transform) = step.facts().spec(Method::Transform) else {
            let why = format!("has a {} at [{i}], which has no transform", step.facts().class);
            return Err(part.refuse(NAME, why));
        };
        given = Some(transform);
        transforms.push(step);
    }
    // What the input is, is said by the first step that looks at it: one that hands on as many
    // columns as it is given leaves that to the next.
    let hands_on = |facts: &Facts| {
        facts.input == Input::AnyWidth
            && facts.spec(Method::Transform).is_some_and(|t| t.gives == Gives::AsTaken)
    };
    let steps = || transforms.iter().chain(&last).map(|step| step.facts());
    let Some(first) = steps().find(|facts| !hands_on(facts)).or(steps().next()) else {
        return Err(part.refuse(NAME, "has only steps that pass their input through; expected an estimator"));
    };
    let n_features = first.n_features;
    let (feature_names, input) = (first.feature_names.clone(), first.input.clone());
    let methods = methods(&transforms, last.as_deref(), n_features, given);
    let labels = last.as_deref().and_then(|last| last.facts().labels.clone());
    let class = part.class;
    let facts = Facts { class, n_features, input, feature_names, labels, check: Check::Within, methods };
    Ok(Box::new(Pipeline { facts, transforms, last }))
}

/// Whether a step takes what the one before it gives.
fn fits(part: &Part<'_>, i: usize, step: &dyn Estimator, given: &Spec) -> Result<(), ModelError> {
    let Facts { class, n_features, input, .. } = step.facts();
    let text = given.dtype == DType::String;
    let why = match (input, given.gives.columns()) {
        (Input::Texts, None) if text => return Ok(()),
        (Input::AnyWidth, _) if !text => return Ok(()),
        (Input::Matrix, None) if given.gives == Gives::AsTaken => return Ok(()),
        (Input::Texts, _) => "texts and is given something else".to_owned(),
        (Input::Table(kinds), Some(_)) if !text && kinds.contains(&Kind::Texts) => {
            "columns of text and is given numbers".to_owned()
        }
        (_, Some(width)) if *n_features == width => return Ok(()),
        (_, Some(width)) => format!("{n_features} features and is given {width}"),
        (_, None) => "columns and is given one value for each row".to_owned(),
    };
    Err(part.refuse("steps", format!("has a {class} at [{i}] that takes {why}")))
}

/// What the whole can do: what its last step can, and to transform there and back
/// if all can.
fn methods(
    transforms: &[Box<dyn Estimator>],
    last: Option<&dyn Estimator>,
    n_features: usize,
    given: Option<Spec>,
) -> Vec<Spec> {
    let width = given.and_then(|given| given.gives.columns()).unwrap_or(n_features);
    let mut methods = match last {
        None => vec![given.unwrap_or_else(|| Spec::transform(width))],
        Some(last) => {
            let known = |spec: &&Spec| FORWARDS.contains(&spec.method.signature());
            let forward = last.facts().methods.iter().filter(known);
            forward.map(|spec| Spec { takes: Takes::Samples, ..*spec }).collect()
        }
    };
    let all = transforms.iter().map(|step| &**step).chain(last);
    if all.clone().all(|step| step.facts().spec(Method::InverseTransform).is_some()) {
        let end = all.last().and_then(|step| step.facts().spec(Method::InverseTransform));
        let takes = end.map_or(Takes::Matrix(width), |spec| spec.takes);
        // The first step's is what comes out: text of an encoder, JSON of a vectoriser.
        let first = transforms.first().map(|step| &**step).or(last);
        let first = first.and_then(|step| step.facts().spec(Method::InverseTransform));
        let first = first.map_or_else(|| Spec::inverse_transform(width, n_features), |first| *first);
        methods.push(Spec { takes, ..first });
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
