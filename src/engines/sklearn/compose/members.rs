//! The fitted estimators of an ensemble, and what they say.

use super::{Common, common};
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Estimator, Facts, Gives, Method, ModelError, ask_one};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

/// Estimators that are all given the same samples.
pub(in crate::engines::sklearn) type Members = Vec<Box<dyn Estimator>>;

/// The fitted estimators of an attribute, at least one. Those that were dropped are left out.
pub(in crate::engines::sklearn) fn members(
    part: &Part<'_>,
    name: &'static str,
) -> Result<Members, ModelError> {
    let mut built = Members::new();
    for (i, value) in part.list(name)?.into_iter().enumerate() {
        if !value.is_none() && value.as_str() != Some("drop") {
            built.push(part.child(value, &format!("{name}[{i}]"))?);
        }
    }
    if built.is_empty() {
        return Err(part.refuse(name, "has no estimators; expected at least one"));
    }
    Ok(built)
}

/// What samples suit all of them.
pub(in crate::engines::sklearn) fn shared(
    part: &Part<'_>,
    name: &str,
    members: &[Box<dyn Estimator>],
) -> Result<Common, ModelError> {
    common(part, name, members.iter().map(|member| &**member))
}

/// Checks that each has the method, which gives these values of this dtype.
pub(in crate::engines::sklearn) fn all_give(
    part: &Part<'_>,
    name: &str,
    members: &[Box<dyn Estimator>],
    method: Method,
    gives: impl Into<Gives>,
    dtype: DType,
) -> Result<(), ModelError> {
    let gives = gives.into();
    let fits =
        |facts: &Facts| facts.spec(method).is_some_and(|spec| spec.gives == gives && spec.dtype == dtype);
    match members.iter().position(|member| !fits(member.facts())) {
        None => Ok(()),
        Some(i) => {
            let columns = gives.columns().map_or("one value".to_owned(), |n| format!("{n} columns"));
            let why = format!(
                "has a {} at [{i}]; expected one with {} that gives {columns} of {dtype}",
                members[i].facts().class,
                method.signature()
            );
            Err(part.refuse(name, why))
        }
    }
}

/// The labels of a classifier that was fitted on the places of classes among `classes`:
/// which place each of them is.
pub(in crate::engines::sklearn) fn codes(
    part: &Part<'_>,
    name: &str,
    facts: &Facts,
    classes: usize,
) -> Result<Vec<usize>, ModelError> {
    let place = |label: i64| usize::try_from(label).ok().filter(|&place| place < classes);
    #[allow(clippy::cast_possible_truncation, reason = "whole, and checked to come back")]
    let whole =
        |label: f64| Some(label as i64).filter(|&whole| label.fract() == 0.0 && whole as f64 == label);
    let codes: Option<Vec<usize>> = match facts.labels.as_deref() {
        Some(Labels::Ints(labels)) => labels.iter().map(|&label| place(label)).collect(),
        // Trees keep the classes of their ensemble so.
        Some(Labels::Floats(labels)) => labels.iter().map(|&label| whole(label).and_then(place)).collect(),
        Some(Labels::Bools(labels)) => labels.iter().map(|&label| place(i64::from(label))).collect(),
        Some(Labels::Texts(_)) | None => None,
    };
    codes.filter(|codes| !codes.is_empty()).ok_or_else(|| {
        let why = format!("has a {} whose labels are not places among {classes} classes", facts.class);
        part.refuse(name, why)
    })
}

/// An answer of whole or real numbers, or yes and no, as real numbers.
#[allow(clippy::cast_precision_loss, reason = "as numpy's astype does")]
pub(in crate::engines::sklearn) fn reals(tensor: &Tensor) -> Result<Vec<f64>, RunError> {
    match tensor.elements() {
        Elements::F64(values) => Ok(values.to_vec()),
        Elements::I64(values) => Ok(values.iter().map(|&value| value as f64).collect()),
        Elements::Bool(values) => Ok(values.iter().map(|&value| f64::from(value)).collect()),
        _ => Err(RunError::Internal(format!("a member gave {} of shape {}", tensor.dtype(), tensor.shape()))),
    }
}

/// The places of the classes that a classifier predicts, which was fitted on them.
pub(in crate::engines::sklearn) fn predicted_codes(
    member: &dyn Estimator,
    x: Samples<'_>,
    classes: usize,
) -> Result<Vec<usize>, RunError> {
    let said = reals(&ask_one(member, x, Method::Predict)?)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a small place")]
    let place = |code: f64| {
        let inside = (0.0..1e9).contains(&code) && (code as usize) < classes;
        inside
            .then_some(code as usize)
            .ok_or_else(|| RunError::Internal(format!("a member predicted {code} of {classes} classes")))
    };
    said.into_iter().map(place).collect()
}
