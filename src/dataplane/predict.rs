//! Predict: inputs by name in, outputs by name out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::{DataPlane, Options, Served};
use crate::error::{Code, ServingError};
use crate::execution::{Lane, Ran, RunFailure};
use crate::ids::{ModelQuery, Version};
use crate::lifecycle::Handle;
use crate::servable::{Method, RunError, Servable, Signature, TensorSpec};
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
        let Placed { position, signature, inputs, wanted } = place(
            handle.servable(),
            &request.signature,
            request.inputs,
            &request.outputs_wanted,
            self.options,
        )?;
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
    options: Options,
) -> Result<Placed<'a>, ServingError> {
    let (position, signature) = find_signature(servable, signature)?;
    if let Method::Other(name) = &signature.method
        && options.signature_method_name_check
    {
        return Err(other_method(name));
    }
    let inputs = place_inputs(signature, inputs)?;
    let wanted = choose_outputs(signature, outputs_wanted)?;
    Ok(Placed { position, signature, inputs, wanted })
}

#[cold]
fn other_method(name: &str) -> ServingError {
    let known = [Method::Predict, Method::Classify, Method::Regress];
    let known: Vec<&str> = known.iter().map(Method::wire_name).collect();
    let text = format!(
        "Expected prediction signature method_name to be one of {{{}}}. Was: {name}",
        known.join(", ")
    );
    ServingError::new(Code::Internal, text)
}

fn find_signature<'a>(
    servable: &'a dyn Servable,
    name: &str,
) -> Result<(usize, &'a Signature), ServingError> {
    let signatures = servable.signatures();
    signatures.find(name).ok_or_else(|| {
        if let Some(why) = signatures.refusal(name) {
            return ServingError::invalid_argument(why.to_owned());
        }
        let text = format!("Serving signature key \"{name}\" not found.");
        ServingError::new(Code::FailedPrecondition, text)
    })
}

pub(super) fn run_failure(failure: RunFailure) -> ServingError {
    let text = failure.to_string();
    match failure {
        RunFailure::Run(RunError::InvalidInput(_)) => ServingError::invalid_argument(text),
        RunFailure::Run(RunError::Internal(_)) => ServingError::new(Code::Internal, text),
        RunFailure::Run(RunError::Status(code, _)) => ServingError::new(code, text),
        RunFailure::DeadlineExceeded => ServingError::new(Code::DeadlineExceeded, text),
        RunFailure::Batch(failure) => ServingError::new(failure.code(), text),
        // As the reference answers for a full batching queue.
        RunFailure::QueueFull { .. } => ServingError::new(Code::Unavailable, text),
    }
}

/// Puts the inputs in the signature's order, fills in the defaults of those that are
/// left out, and checks their dtypes.
fn place_inputs(signature: &Signature, inputs: NamedTensors) -> Result<SmallVec<[Tensor; 2]>, ServingError> {
    let specs = &signature.inputs;
    let short = inputs.len() < specs.len();
    if inputs.len() > specs.len() || (short && specs.iter().all(|spec| spec.default.is_none())) {
        return Err(wrong_number_of_inputs(signature, &inputs));
    }
    // Callers mostly keep the signature's order; then this is one comparison.
    let place = |i: usize, name: &str| match specs.get(i) {
        Some(spec) if *spec.name == *name => Some(i),
        _ => specs.iter().position(|spec| *spec.name == *name),
    };
    let mut placed: SmallVec<[Option<Tensor>; 2]> = specs.iter().map(|_| None).collect();
    let mut unknown = false;
    for (i, (name, tensor)) in inputs.iter().enumerate() {
        match place(i, name) {
            Some(at) if !specs[at].takes(tensor.dtype()) => {
                return Err(wrong_dtype(at, &specs[at], tensor.dtype()));
            }
            Some(_) => {}
            None => unknown = true,
        }
    }
    if short || unknown {
        check_names(signature, &inputs)?;
    }
    for (i, (name, tensor)) in inputs.into_iter().enumerate() {
        if let Some(at) = place(i, &name) {
            placed[at] = Some(tensor);
        }
    }
    let default = |spec: &TensorSpec| spec.default.as_deref().cloned();
    // The names were checked, so that nothing is missing any more.
    Ok(placed.into_iter().zip(specs).filter_map(|(given, spec)| given.or_else(|| default(spec))).collect())
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

/// Whether each input is in the request or has a default, and each in the request is
/// one of the signature's.
#[cold]
fn check_names(signature: &Signature, inputs: &NamedTensors) -> Result<(), ServingError> {
    let (sent, stated) = (sent(inputs), stated(signature));
    let missing = |spec: &&TensorSpec| spec.default.is_none() && !sent.contains(&*spec.name);
    if let Some(spec) = signature.inputs.iter().find(missing) {
        let with_default = signature.inputs.iter().filter(|spec| spec.default.is_some());
        return Err(ServingError::invalid_argument(format!(
            "Signature input alias: {}(feed name: {}) not found in request and no default value \
             provided. Inputs expected to be in the request {{{}}}, or default input alias set: {}",
            spec.name,
            spec.tensor_name(),
            // The reference means those that were found there.
            joined(sent.into_iter()),
            joined(with_default.map(|spec| &*spec.name)),
        )));
    }
    if sent.iter().any(|name| !stated.contains(name)) {
        return Err(ServingError::invalid_argument(format!(
            "Inputs contains invalid name. Used request inputs: {}, request input: {}",
            joined(sent.intersection(&stated).copied()),
            joined(sent.iter().copied()),
        )));
    }
    Ok(())
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
    use crate::servable::{Call, Signatures};

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
             Inputs expected to be in the request {a,c}, or default input alias set: ",
        );
    }

    /// `a` as it is, `b` with a default.
    fn with_default() -> Signature {
        let mut signature = signature();
        signature.inputs[1].default = Some(std::sync::Arc::new(Tensor::vector(vec![9f64].into())));
        signature
    }

    #[test]
    fn an_input_with_a_default_may_be_left_out() {
        let placed = place_inputs(&with_default(), inputs(&["a"])).unwrap();
        assert_eq!(placed.to_vec(), [Tensor::vector(vec![0f32].into()), Tensor::vector(vec![9f64].into())]);
        // What is sent counts.
        let placed = place_inputs(&with_default(), inputs(&["a", "b"])).unwrap();
        assert_eq!(placed[1], Tensor::vector(vec![1f32].into()));
        for (names, want) in [
            (
                &["b"][..],
                "Signature input alias: a(feed name: a:0) not found in request and no default value provided. \
                 Inputs expected to be in the request {b}, or default input alias set: b",
            ),
            (&["a", "c"], "Inputs contains invalid name. Used request inputs: a, request input: a,c"),
            (
                &["a", "b", "c"],
                "input size does not match signature: 3!=2 len({a,b,c}) != len({a,b}). Sent extra: {c}. \
                 Missing but required: {}.",
            ),
        ] {
            let error = place_inputs(&with_default(), inputs(names)).unwrap_err();
            assert_eq!((error.code(), error.message()), (Code::InvalidArgument, want), "{names:?}");
        }
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

    #[derive(Debug)]
    struct Model(Signatures);

    impl Servable for Model {
        fn platform(&self) -> &'static str {
            "test"
        }

        fn signatures(&self) -> &Signatures {
            &self.0
        }

        fn run(&self, _: Call<'_>) -> Result<Vec<Tensor>, RunError> {
            Err(RunError::Internal("not run here".to_owned()))
        }
    }

    #[test]
    fn another_method_is_refused_where_methods_are_checked() {
        let own = Signature { method: Method::Other("own/method".into()), ..signature() };
        let refused = vec![("hidden".into(), "why it cannot be called".into())];
        let model = Model(Signatures::new(vec![own]).with_refused(refused));
        let ask = |name: &str, signature_method_name_check| {
            place(&model, name, inputs(&["a", "b"]), &[], Options { signature_method_name_check })
                .map(|placed| placed.position)
                .map_err(|error| (error.code(), error.message().to_owned()))
        };
        assert_eq!(ask("", false), Ok(0));
        let text = "Expected prediction signature method_name to be one of {tensorflow/serving/predict, \
                    tensorflow/serving/classify, tensorflow/serving/regress}. Was: own/method";
        assert_eq!(ask("", true), Err((Code::Internal, text.to_owned())));
        assert_eq!(ask("hidden", false), Err((Code::InvalidArgument, "why it cannot be called".to_owned())));
        let text = "Serving signature key \"gone\" not found.";
        assert_eq!(ask("gone", false), Err((Code::FailedPrecondition, text.to_owned())));
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
