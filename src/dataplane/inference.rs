//! Classify, Regress and MultiInference: the run behind them is one and the same.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::classify::{self, Classes};
use super::predict::{run_failure, wrong_dtype};
use super::{DataPlane, Examples, Served, regress, signature_text};
use crate::error::{Code, ServingError};
use crate::execution::{Lane, Ran};
use crate::ids::{ModelQuery, Version};
use crate::lifecycle::Handle;
use crate::servable::{DEFAULT_SIGNATURE, Method, Servable, Signature};
use crate::tensor::{Buffer, Tensor};

/// The one input of a signature for examples.
const INPUTS: &str = "inputs";

/// One Classify or one Regress, as a door understood it.
#[derive(Debug)]
pub struct Inference {
    /// Which model and version.
    pub query: ModelQuery,
    /// Which signature; empty means `serving_default` if that is for the call, else
    /// the model's own `classify` or `regress`.
    pub signature: String,
    /// What the caller sent.
    pub examples: Examples,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

/// The answer to an [`Inference`].
#[derive(Debug)]
pub struct Inferred<T> {
    /// The version that answered.
    pub version: Version,
    /// The signature that answered.
    pub signature: Arc<str>,
    /// What it answered.
    pub result: T,
    /// Who and when.
    pub served: Served,
}

/// Several signatures of one model asked about the same examples.
#[derive(Debug)]
pub struct MultiInference {
    /// Which model and version: what the first task says. Those of the others are
    /// not looked at, as in the reference.
    pub query: ModelQuery,
    /// What to ask.
    pub tasks: Vec<Task>,
    /// What the caller sent.
    pub examples: Examples,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

/// One question of a [`MultiInference`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The model's name, which has to be that of all.
    pub model: String,
    /// Which signature; empty as in [`Inference::signature`].
    pub signature: String,
    /// What to do: [`Method::wire_name`] of Classify or Regress.
    pub method: String,
}

/// What a [`Task`] is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskResult {
    /// Its classes.
    Classes(Classes),
    /// One number for each example.
    Values(Buffer<f32>),
}

impl DataPlane {
    /// Answers one Classify.
    ///
    /// # Errors
    /// As [`DataPlane::find`]; INVALID_ARGUMENT for a signature that is not there or
    /// is none for Classify, and for examples that the model cannot take;
    /// DEADLINE_EXCEEDED, UNAVAILABLE for a full queue, and INTERNAL for a model
    /// that broke.
    pub async fn classify(&self, request: Inference) -> Result<Inferred<Classes>, ServingError> {
        let handle = self.find(&request.query)?;
        let (position, signature) = find_signature(handle.servable(), &Method::Classify, &request.signature)?;
        let outputs = classify::Outputs::of(signature, self.options.signature_method_name_check)?;
        let examples = request.examples.len();
        let input = input(signature, request.examples)?;
        let ran = run(&handle, position, input, outputs.wanted(), request.deadline).await?;
        let result = outputs.read(ran.outputs, examples)?;
        let (version, signature) = (handle.id().version, Arc::clone(&signature.name));
        Ok(Inferred { version, signature, result, served: Served { handle, times: ran.times } })
    }

    /// Answers one Regress: one number for each example.
    ///
    /// # Errors
    /// As [`DataPlane::classify`].
    pub async fn regress(&self, request: Inference) -> Result<Inferred<Buffer<f32>>, ServingError> {
        let handle = self.find(&request.query)?;
        let (position, signature) = find_signature(handle.servable(), &Method::Regress, &request.signature)?;
        regress::check(signature, self.options.signature_method_name_check)?;
        let examples = request.examples.len();
        let input = input(signature, request.examples)?;
        let ran = run(&handle, position, input, regress::wanted(), request.deadline).await?;
        let result = regress::read(ran.outputs, examples)?;
        let (version, signature) = (handle.id().version, Arc::clone(&signature.name));
        Ok(Inferred { version, signature, result, served: Served { handle, times: ran.times } })
    }

    /// Answers one MultiInference: one result for each task, in their order. All
    /// are answered by the same version, and all or none.
    ///
    /// # Errors
    /// As [`DataPlane::classify`]; UNIMPLEMENTED for a task of another method, and
    /// INVALID_ARGUMENT for tasks of several models or two of one signature.
    pub async fn multi_inference(
        &self,
        request: MultiInference,
    ) -> Result<Vec<Inferred<TaskResult>>, ServingError> {
        let handle = self.find(&request.query)?;
        let plans = plan(handle.servable(), &request.tasks, self.options.signature_method_name_check)?;
        let examples = request.examples.len();
        let tensor = request.examples.into_tensor()?;
        let mut results = Vec::with_capacity(plans.len());
        for plan in plans {
            let input = fitting(plan.signature, tensor.clone())?;
            let ran = run(&handle, plan.position, input, plan.wanted(), request.deadline).await?;
            let result = plan.read(ran.outputs, examples)?;
            let (version, signature) = (handle.id().version, Arc::clone(&plan.signature.name));
            let served = Served { handle: handle.clone(), times: ran.times };
            results.push(Inferred { version, signature, result, served });
        }
        Ok(results)
    }
}

/// Answers one Classify or Regress on a version that is not served yet, and says
/// only whether it could.
pub(super) fn rehearse_one(
    lane: &Lane,
    method: Method,
    request: Inference,
    check_method: bool,
) -> Result<(), ServingError> {
    let (position, signature) = find_signature(lane.servable(), &method, &request.signature)?;
    let reads = Reads::of(signature, &method, check_method)?;
    rehearse(lane, &[Plan { position, signature, reads }], request.examples)
}

/// The same for a MultiInference.
pub(super) fn rehearse_all(
    lane: &Lane,
    request: MultiInference,
    check_method: bool,
) -> Result<(), ServingError> {
    let plans = plan(lane.servable(), &request.tasks, check_method)?;
    rehearse(lane, &plans, request.examples)
}

fn rehearse(lane: &Lane, plans: &[Plan<'_>], examples: Examples) -> Result<(), ServingError> {
    let count = examples.len();
    let tensor = examples.into_tensor()?;
    for plan in plans {
        let input = fitting(plan.signature, tensor.clone())?;
        let answers = lane.rehearse(plan.position, input, &plan.wanted());
        plan.read(answers.map_err(|error| run_failure(error.into()))?, count)?;
    }
    Ok(())
}

/// A task that has been checked.
#[derive(Debug)]
struct Plan<'a> {
    position: usize,
    signature: &'a Signature,
    reads: Reads,
}

#[derive(Debug, Clone, Copy)]
enum Reads {
    Classes(classify::Outputs),
    Values,
}

impl Reads {
    fn of(signature: &Signature, method: &Method, check_method: bool) -> Result<Self, ServingError> {
        match method {
            Method::Classify => classify::Outputs::of(signature, check_method).map(Self::Classes),
            Method::Regress => regress::check(signature, check_method).map(|()| Self::Values),
            Method::Predict | Method::Other(_) => Err(unsupported(method.wire_name())),
        }
    }
}

impl Plan<'_> {
    fn wanted(&self) -> SmallVec<[usize; 4]> {
        match self.reads {
            Reads::Classes(outputs) => outputs.wanted(),
            Reads::Values => regress::wanted(),
        }
    }

    fn read(&self, answers: Vec<Tensor>, examples: usize) -> Result<TaskResult, ServingError> {
        match self.reads {
            Reads::Classes(outputs) => outputs.read(answers, examples).map(TaskResult::Classes),
            Reads::Values => regress::read(answers, examples).map(TaskResult::Values),
        }
    }
}

fn unsupported(method: &str) -> ServingError {
    ServingError::new(Code::Unimplemented, format!("Unsupported signature method_name: {method}"))
}

/// Checks all tasks before any of them runs.
fn plan<'a>(
    servable: &'a dyn Servable,
    tasks: &[Task],
    check_method: bool,
) -> Result<Vec<Plan<'a>>, ServingError> {
    let mut plans: Vec<Plan<'_>> = Vec::new();
    for task in tasks {
        if task.model.is_empty() {
            return refuse("Found ModelSpec with an empty model name.");
        }
        if task.model != tasks[0].model {
            return refuse("All ModelSpecs in a MultiInferenceRequest must access the same model name.");
        }
        let method = [Method::Classify, Method::Regress].into_iter().find(|m| m.wire_name() == task.method);
        // The name is looked at before the method, as in the reference.
        let by = method.as_ref().unwrap_or(&Method::Predict);
        let named = if task.signature.is_empty() { DEFAULT_SIGNATURE } else { &task.signature };
        let Some((position, signature)) = servable.signatures().find_for(by, &task.signature) else {
            return refuse(format!("Requested signature not found in model graph: {named}"));
        };
        // Also what bounds the list: it cannot grow longer than the signatures.
        if plans.iter().any(|plan| plan.position == position) {
            return refuse(format!("Duplicate evaluation of signature: {}", signature.name));
        }
        let method = method.ok_or_else(|| unsupported(&task.method))?;
        let reads = Reads::of(signature, &method, check_method)?;
        plans.push(Plan { position, signature, reads });
    }
    Ok(plans)
}

fn find_signature<'a>(
    servable: &'a dyn Servable,
    method: &Method,
    name: &str,
) -> Result<(usize, &'a Signature), ServingError> {
    let signatures = servable.signatures();
    signatures.find_for(method, name).ok_or_else(|| {
        if let Some(why) = signatures.refusal(name) {
            return ServingError::invalid_argument(why.to_owned());
        }
        ServingError::invalid_argument(format!("No signature was found with the name: {name}"))
    })
}

/// The examples as the input of a signature that has been checked.
fn input(signature: &Signature, examples: Examples) -> Result<SmallVec<[Tensor; 2]>, ServingError> {
    fitting(signature, examples.into_tensor()?)
}

fn fitting(signature: &Signature, tensor: Tensor) -> Result<SmallVec<[Tensor; 2]>, ServingError> {
    let spec = &signature.inputs[0];
    if !spec.takes(tensor.dtype()) {
        return Err(wrong_dtype(0, spec, tensor.dtype()));
    }
    Ok(std::iter::once(tensor).collect())
}

async fn run(
    handle: &Handle<Lane>,
    position: usize,
    inputs: SmallVec<[Tensor; 2]>,
    wanted: SmallVec<[usize; 4]>,
    deadline: Option<Instant>,
) -> Result<Ran, ServingError> {
    Lane::run(handle.clone(), position, inputs, wanted, deadline).await.map_err(run_failure)
}

/// Whether the one input of a signature is where examples go. `what` is the
/// reference's word for the signature.
pub(super) fn check_input(signature: &Signature, what: &str) -> Result<(), ServingError> {
    if signature.inputs.iter().any(|spec| *spec.name == *INPUTS) {
        return Ok(());
    }
    let shown = signature_text::text(signature);
    refuse(format!("No {what} inputs found in SignatureDef: {shown}"))
}

pub(super) fn refuse<T>(text: impl Into<Cow<'static, str>>) -> Result<T, ServingError> {
    Err(ServingError::invalid_argument(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servable::{Call, RunError, Signatures, TensorSpec};
    use crate::tensor::DType;

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

    fn signature(name: &str, method: Method, outputs: &[&str]) -> Signature {
        Signature {
            name: name.into(),
            inputs: vec![TensorSpec::new("inputs", DType::String, &[None])],
            outputs: outputs.iter().map(|&name| TensorSpec::new(name, DType::Float, &[None])).collect(),
            method,
        }
    }

    /// As our engines make them: what examples go to is not the default.
    fn model() -> Model {
        Model(Signatures::new(vec![
            signature(DEFAULT_SIGNATURE, Method::Predict, &["predictions"]),
            signature("classify", Method::Classify, &["scores"]),
            signature("other_regress", Method::Regress, &["outputs"]),
            signature("value", Method::Predict, &["outputs"]),
        ]))
    }

    fn task(model: &str, signature: &str, method: Method) -> Task {
        let method = method.wire_name().to_owned();
        Task { model: model.to_owned(), signature: signature.to_owned(), method }
    }

    #[track_caller]
    fn refused(tasks: &[Task], code: Code, want: &str) {
        let model = model();
        let error = plan(&model, tasks, false).unwrap_err();
        assert_eq!((error.code(), error.message()), (code, want));
    }

    #[test]
    fn an_unnamed_signature_is_the_default_or_the_calls_own() {
        let model = model();
        let found = |method, name| find_signature(&model, &method, name).map(|(i, _)| i);
        assert_eq!(found(Method::Classify, ""), Ok(1));
        assert_eq!(found(Method::Classify, "classify"), Ok(1));
        // What is named is taken at its word.
        assert_eq!(found(Method::Classify, DEFAULT_SIGNATURE), Ok(0));
        // There is no `regress`: then it is the default, and will be told why not.
        assert_eq!(found(Method::Regress, ""), Ok(0));
        assert_eq!(found(Method::Regress, "other_regress"), Ok(2));
        let error = found(Method::Regress, "gone").unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (Code::InvalidArgument, "No signature was found with the name: gone")
        );
        // TensorFlow's own models have their default.
        let tensorflow = Model(Signatures::new(vec![
            signature("classify", Method::Classify, &["scores"]),
            signature(DEFAULT_SIGNATURE, Method::Classify, &["scores"]),
        ]));
        assert_eq!(find_signature(&tensorflow, &Method::Classify, "").map(|(i, _)| i), Ok(1));
    }

    #[test]
    fn tasks_are_all_checked_and_keep_their_order() {
        let model = model();
        let tasks = [
            task("m", "other_regress", Method::Regress),
            task("m", "", Method::Classify),
            task("m", "value", Method::Regress),
        ];
        let plans = plan(&model, &tasks, false).unwrap();
        let names: Vec<&str> = plans.iter().map(|plan| &*plan.signature.name).collect();
        assert_eq!(names, ["other_regress", "classify", "value"]);
        assert!(matches!(plans[1].reads, Reads::Classes(_)));
        assert!(plan(&model, &[], false).unwrap().is_empty());
    }

    #[test]
    fn tasks_that_cannot_be_are_refused_in_the_references_words() {
        let good = || task("m", "other_regress", Method::Regress);
        refused(
            &[good(), task("", "", Method::Classify)],
            Code::InvalidArgument,
            "Found ModelSpec with an empty model name.",
        );
        refused(
            &[good(), task("n", "", Method::Classify)],
            Code::InvalidArgument,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        );
        refused(&[good(), good()], Code::InvalidArgument, "Duplicate evaluation of signature: other_regress");
        refused(
            &[task("m", "", Method::Classify), task("m", "classify", Method::Classify)],
            Code::InvalidArgument,
            "Duplicate evaluation of signature: classify",
        );
        refused(
            &[task("m", "gone", Method::Classify)],
            Code::InvalidArgument,
            "Requested signature not found in model graph: gone",
        );
        refused(
            &[good(), task("m", "", Method::Predict)],
            Code::Unimplemented,
            "Unsupported signature method_name: tensorflow/serving/predict",
        );
        let none = Task { method: String::new(), ..good() };
        refused(&[none], Code::Unimplemented, "Unsupported signature method_name: ");
        // The checks of the methods hold for tasks too, and so does the wanted name.
        refused(
            &[task("m", "classify", Method::Regress)],
            Code::InvalidArgument,
            &format!(
                "No regression outputs found in SignatureDef: {}",
                signature_text::text(&signature("classify", Method::Classify, &["scores"]))
            ),
        );
        let error = plan(&model(), &[task("m", "value", Method::Regress)], true).unwrap_err();
        assert_eq!(
            error.message(),
            "Expected regression signature method_name to be tensorflow/serving/regress. Was: \
             tensorflow/serving/predict"
        );
    }

    #[test]
    fn an_input_that_takes_no_examples_is_a_wrong_dtype() {
        let mut wrong = signature("s", Method::Classify, &["scores"]);
        wrong.inputs = vec![TensorSpec::new("inputs", DType::Double, &[None]).any_real()];
        let examples = Examples { examples: vec![bytes::Bytes::new()], ..Examples::default() };
        let error = input(&wrong, examples).unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (Code::InvalidArgument, "Expects arg[0] to be double but string is provided (input \"inputs\")")
        );
    }
}
