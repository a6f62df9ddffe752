//! Predict: inputs by name in, outputs by name out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::{DataPlane, Served};
use crate::error::{Code, ServingError};
use crate::execution::{Lane, Ran, RunFailure};
use crate::ids::{ModelQuery, Version};
use crate::lifecycle::Handle;
use crate::servable::{RunError, Servable, Signature, TensorSpec};
use crate::tensor::{DType, NamedTensors, Tensor};

/// One Predict, as a door understood it.
#[derive(Debug)]
pub struct Predict {
    /// Which model and version.
    pub query: ModelQuery,
    /// Which signature; empty means `serving_default`.
    pub signature: String,
    /// What the caller sent.
    pub inputs: NamedTensors,
    /// Which outputs the caller wants; empty means all.
    pub outputs_wanted: Vec<String>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

/// The answer to a [`Predict`].
#[derive(Debug)]
pub struct Predicted {
    /// The version that answered.
    pub version: Version,
    /// The signature that answered.
    pub signature: Arc<str>,
    /// The outputs, by name.
    pub outputs: NamedTensors,
    /// Who and when.
    pub served: Served,
}

impl DataPlane {
    /// Answers one Predict.
    ///
    /// # Errors
    /// As [`DataPlane::find`]; FAILED_PRECONDITION for an unknown signature;
    /// INVALID_ARGUMENT for inputs or outputs that do not fit it;
    /// DEADLINE_EXCEEDED, UNAVAILABLE for a full queue, and INTERNAL for a model
    /// that broke.
    pub async fn predict(&self, request: Predict) -> Result<Predicted, ServingError> {
        let handle = self.find(&request.query)?;
        self.predict_on(handle, request).await
    }

    /// Answers one Predict with the version that the caller has found already, to
    /// read the request by its signature.
    ///
    /// # Errors
    /// As [`DataPlane::predict`], save that the version is there.
    pub async fn predict_on(
        &self,
        handle: Handle<Lane>,
        request: Predict,
    ) -> Result<Predicted, ServingError> {
        let version = handle.id().version;
        let Placed { position, signature, inputs, wanted } =
            place(handle.servable(), &request.signature, request.inputs, &request.outputs_wanted)?;
        let name = Arc::clone(&signature.name);
        let names: SmallVec<[Arc<str>; 4]> =
            wanted.iter().map(|&i| Arc::clone(&signature.outputs[i].name)).collect();
        let Ran { outputs, times } = Lane::run(handle.clone(), position, inputs, wanted, request.deadline)
            .await
            .map_err(run_failure)?;
        let outputs = names.into_iter().zip(outputs).collect();
        Ok(Predicted { version, signature: name, outputs, served: Served { handle, times } })
    }
}

/// A request that fits its signature.
pub(super) struct Placed<'a> {
    pub(super) position: usize,
    signature: &'a Signature,
    pub(super) inputs: SmallVec<[Tensor; 2]>,
    pub(super) wanted: SmallVec<[usize; 4]>,
}

/// Checks a request against the signature that it names.
pub(super) fn place<'a>(
    servable: &'a dyn Servable,
    signature: &str,
    inputs: NamedTensors,
    outputs_wanted: &[String],
) -> Result<Placed<'a>, ServingError> {
    let (position, signature) = find_signature(servable, signature)?;
    let inputs = place_inputs(signature, inputs)?;
    let wanted = choose_outputs(signature, outputs_wanted)?;
    Ok(Placed { position, signature, inputs, wanted })
}

fn find_signature<'a>(
    servable: &'a dyn Servable,
    name: &str,
) -> Result<(usize, &'a Signature), ServingError> {
    servable.signatures().find(name).ok_or_else(|| {
        let text = format!("Serving signature key \"{name}\" not found.");
        ServingError::new(Code::FailedPrecondition, text)
    })
}

pub(super) fn run_failure(failure: RunFailure) -> ServingError {
    let text = failure.to_string();
    match failure {
        RunFailure::Run(RunError::InvalidInput(_)) => ServingError::invalid_argument(text),
        RunFailure::Run(RunError::Internal(_)) => ServingError::new(Code::Internal, text),
        RunFailure::DeadlineExceeded => ServingError::new(Code::DeadlineExceeded, text),
        RunFailure::Batch(failure) => ServingError::new(failure.code(), text),
        // As the reference answers for a full batching queue.
        RunFailure::QueueFull { .. } => ServingError::new(Code::Unavailable, text),
    }
}

/// Puts the inputs in the signature's order and checks their dtypes.
fn place_inputs(signature: &Signature, inputs: NamedTensors) -> Result<SmallVec<[Tensor; 2]>, ServingError> {
    let specs = &signature.inputs;
    if inputs.len() != specs.len() {
        return Err(wrong_number_of_inputs(signature, &inputs));
    }
    let mut placed: SmallVec<[Option<Tensor>; 2]> = specs.iter().map(|_| None).collect();
    let mut unknown = false;
    for (i, (name, tensor)) in inputs.iter().enumerate() {
        // Callers mostly keep the signature's order; then this is one comparison.
        let at = if specs[i].name == *name { Some(i) } else { specs.iter().position(|s| s.name == *name) };
        match at {
            Some(at) if !specs[at].takes(tensor.dtype()) => {
                return Err(wrong_dtype(at, &specs[at], tensor.dtype()));
            }
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown {
        return Err(missing_input(signature, &inputs));
    }
    for (i, (name, tensor)) in inputs.into_iter().enumerate() {
        let at = if specs[i].name == name { Some(i) } else { specs.iter().position(|s| s.name == name) };
        if let Some(at) = at {
            placed[at] = Some(tensor);
        }
    }
    // As many distinct known names as there are specs: every place is filled.
    Ok(placed.into_iter().flatten().collect())
}

#[cold]
pub(super) fn wrong_dtype(at: usize, spec: &TensorSpec, got: DType) -> ServingError {
    let TensorSpec { name, dtype: want, .. } = spec;
    ServingError::invalid_argument(format!(
        "Expects arg[{at}] to be {want} but {got} is provided (input {name:?})"
    ))
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
}

fn sent(inputs: &NamedTensors) -> BTreeSet<&str> {
    inputs.iter().map(|(name, _)| &**name).collect()
}

fn stated(signature: &Signature) -> BTreeSet<&str> {
    signature.inputs.iter().map(|spec| &*spec.name).collect()
}

fn wrong_number_of_inputs(signature: &Signature, inputs: &NamedTensors) -> ServingError {
    let (sent, stated) = (sent(inputs), stated(signature));
    ServingError::invalid_argument(format!(
        "input size does not match signature: {}!={} len({{{}}}) != len({{{}}}). Sent extra: {{{}}}. \
         Missing but required: {{{}}}.",
        sent.len(),
        stated.len(),
        joined(sent.iter().copied()),
        joined(stated.iter().copied()),
        joined(sent.difference(&stated).copied()),
        joined(stated.difference(&sent).copied()),
    ))
}

/// As many inputs as stated, and one of them under a name that is not stated:
/// then a stated one is missing, and the reference names that.
fn missing_input(signature: &Signature, inputs: &NamedTensors) -> ServingError {
    let sent = sent(inputs);
    let missing = signature.inputs.iter().find(|spec| !sent.contains(&*spec.name));
    let alias = missing.map_or("", |spec| &*spec.name);
    ServingError::invalid_argument(format!(
        "Signature input alias: {alias}(feed name: {alias}:0) not found in request and no default value \
         provided. Inputs expected to be in the request {{{}}}, or default input alias set: ",
        joined(stated(signature).into_iter()),
    ))
}

/// The positions of the wanted outputs; all of them when none is named.
fn choose_outputs(signature: &Signature, wanted: &[String]) -> Result<SmallVec<[usize; 4]>, ServingError> {
    if wanted.is_empty() {
        return Ok((0..signature.outputs.len()).collect());
    }
    let mut chosen: SmallVec<[usize; 4]> = SmallVec::new();
    for alias in wanted {
        let at = signature.outputs.iter().position(|spec| *spec.name == **alias).ok_or_else(|| {
            ServingError::invalid_argument(format!(
                "output tensor alias not found in signature: {alias} Outputs expected to be in the set {{{}}}.",
                joined(signature.outputs.iter().map(|spec| &*spec.name)),
            ))
        })?;
        // Also what bounds the list: it cannot grow longer than the outputs.
        if chosen.contains(&at) {
            let text = format!("duplicate output tensor alias: {alias}");
            return Err(ServingError::invalid_argument(text));
        }
        chosen.push(at);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servable::Method;

    fn signature() -> Signature {
        Signature {
            name: "serving_default".into(),
            inputs: vec![
                TensorSpec::new("a", DType::Float, &[None]),
                TensorSpec::new("b", DType::Double, &[None]).any_real(),
            ],
            outputs: vec![
                TensorSpec::new("x", DType::Float, &[None]),
                TensorSpec::new("y", DType::Float, &[None]),
            ],
            method: Method::Predict,
        }
    }

    fn inputs(names: &[&str]) -> NamedTensors {
        names.iter().enumerate().map(|(i, &n)| (n, Tensor::vector(vec![i as f32].into()))).collect()
    }

    #[track_caller]
    fn refused(names: &[&str], want: &str) {
        let error = place_inputs(&signature(), inputs(names)).unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::InvalidArgument, want));
    }

    #[test]
    fn inputs_stand_in_the_signatures_order_whatever_the_callers() {
        for (names, want) in [(["a", "b"], [0f32, 1.0]), (["b", "a"], [1.0, 0.0])] {
            let placed = place_inputs(&signature(), inputs(&names)).unwrap();
            let want: Vec<Tensor> = want.iter().map(|&x| Tensor::vector(vec![x].into())).collect();
            assert_eq!(placed.to_vec(), want);
        }
    }

    #[test]
    fn too_few_or_too_many_inputs_are_told_apart_by_name() {
        refused(
            &["a"],
            "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. \
             Missing but required: {b}.",
        );
        refused(
            &["a", "b", "c"],
            "input size does not match signature: 3!=2 len({a,b,c}) != len({a,b}). Sent extra: {c}. \
             Missing but required: {}.",
        );
    }

    #[test]
    fn a_misnamed_input_is_told_what_is_missing() {
        refused(
            &["a", "c"],
            "Signature input alias: b(feed name: b:0) not found in request and no default value provided. \
             Inputs expected to be in the request {a,b}, or default input alias set: ",
        );
    }

    #[test]
    fn a_wrong_dtype_names_the_input_and_both_dtypes() {
        let wrong: NamedTensors =
            [("a", Tensor::vector(vec![1f64].into())), ("b", Tensor::vector(vec![1i8].into()))]
                .into_iter()
                .collect();
        let error = place_inputs(&signature(), wrong).unwrap_err();
        assert_eq!(error.message(), "Expects arg[0] to be float but double is provided (input \"a\")");
    }

    #[test]
    fn outputs_are_all_or_those_named_in_their_order() {
        let choose = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|&w| w.to_owned()).collect();
            choose_outputs(&signature(), &wanted).map(|c| c.to_vec())
        };
        assert_eq!(choose(&[]).unwrap(), [0, 1]);
        assert_eq!(choose(&["y", "x"]).unwrap(), [1, 0]);
        assert_eq!(
            choose(&["z"]).unwrap_err().message(),
            "output tensor alias not found in signature: z Outputs expected to be in the set {x,y}."
        );
        assert_eq!(choose(&["y", "y"]).unwrap_err().message(), "duplicate output tensor alias: y");
    }
}
