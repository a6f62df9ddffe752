//! Classify, Regress and MultiInference: their messages as values, and back.

use super::grpc::{resolved_spec, spec};
use crate::dataplane::{Classes, Examples, Inference, Inferred, Served, Task, TaskResult};
use crate::proto::tensorflow::serving as pb;
use crate::tensor::Buffer;
use pb::inference_result::Result as WireResult;
use pb::internal::serialized_input::Kind;
use pb::internal::{SerializedExampleList, SerializedExampleListWithContext, SerializedInput};

/// The examples of an `Input`, or none. They are never decoded here.
#[must_use]
pub fn examples(input: Option<SerializedInput>) -> Examples {
    match input.and_then(|input| input.kind) {
        None => Examples::default(),
        Some(Kind::ExampleList(list)) => Examples { examples: list.examples, ..Examples::default() },
        Some(Kind::ExampleListWithContext(list)) => {
            Examples { examples: list.examples, context: list.context }
        }
    }
}

/// Examples as the `Input` that they came in, or would have come in.
fn input(examples: &Examples) -> SerializedInput {
    let Examples { examples, context } = examples.clone();
    let kind = if context.is_empty() {
        Kind::ExampleList(SerializedExampleList { examples })
    } else {
        Kind::ExampleListWithContext(SerializedExampleListWithContext { examples, context })
    };
    SerializedInput { kind: Some(kind) }
}

/// A Classify as its message.
#[must_use]
pub fn classification(asked: &Inference) -> pb::ClassificationRequest {
    let model_spec = Some(spec(&asked.query, &asked.signature));
    pb::ClassificationRequest { model_spec, input: Some(input(&asked.examples)) }
}

/// A Regress as its message.
#[must_use]
pub fn regression(asked: &Inference) -> pb::RegressionRequest {
    let model_spec = Some(spec(&asked.query, &asked.signature));
    pb::RegressionRequest { model_spec, input: Some(input(&asked.examples)) }
}

/// The answer to a Classify of the model that the caller called `name`.
#[must_use]
pub fn classification_response(
    name: String,
    answer: Inferred<Classes>,
) -> (pb::ClassificationResponse, Served) {
    let model_spec = Some(resolved_spec(name, answer.version, &answer.signature));
    let result = Some(classification_result(answer.result));
    (pb::ClassificationResponse { result, model_spec }, answer.served)
}

/// The answer to a Regress of the model that the caller called `name`, and who gave it.
#[must_use]
pub fn regression_response(name: String, answer: Inferred<Buffer<f32>>) -> (pb::RegressionResponse, Served) {
    let model_spec = Some(resolved_spec(name, answer.version, &answer.signature));
    let result = Some(regression_result(&answer.result));
    (pb::RegressionResponse { result, model_spec }, answer.served)
}

/// One task of a MultiInference.
#[must_use]
pub fn task(task: pb::InferenceTask) -> Task {
    let spec = task.model_spec.unwrap_or_default();
    Task { model: spec.name, signature: spec.signature_name, method: task.method_name }
}

/// The classes of each example. A label that the model does not give is empty, a
/// score 0.
#[must_use]
pub fn classification_result(classes: Classes) -> pb::ClassificationResult {
    let Classes { examples, per_example, labels, scores } = classes;
    let mut labels = labels.unwrap_or_default().into_iter();
    let mut scores = scores.iter().flat_map(|scores| scores.iter().copied());
    let mut class =
        || pb::Class { label: labels.next().unwrap_or_default(), score: scores.next().unwrap_or_default() };
    let mut of_one = || pb::Classifications { classes: (0..per_example).map(|_| class()).collect() };
    pb::ClassificationResult { classifications: (0..examples).map(|_| of_one()).collect() }
}

/// The number of each example.
#[must_use]
pub fn regression_result(values: &[f32]) -> pb::RegressionResult {
    pb::RegressionResult { regressions: values.iter().map(|&value| pb::Regression { value }).collect() }
}

/// The result of a task.
#[must_use]
pub fn task_result(result: TaskResult) -> WireResult {
    match result {
        TaskResult::Classes(classes) => WireResult::ClassificationResult(classification_result(classes)),
        TaskResult::Values(values) => WireResult::RegressionResult(regression_result(&values)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;

    use super::*;
    use crate::proto::tensorflow::{Example, Features};

    #[test]
    fn examples_stay_the_bytes_that_came() {
        // What is in an example is not looked at: these bytes are none.
        let wire = Bytes::from_static(b"\x0a\x06\x0a\x01\xff\x0a\x01x");
        let input = SerializedInput::decode(wire).unwrap();
        let read = examples(Some(input));
        assert_eq!(read.examples, [&b"\xff"[..], b"x"]);
        assert!(read.context.is_empty());

        let example = Example { features: Some(Features::default()) }.encode_to_vec();
        let mut list = vec![0x0a, example.len() as u8];
        list.extend(&example);
        list.extend([0x12, example.len() as u8]);
        list.extend(&example);
        let mut wire = vec![0x12, list.len() as u8];
        wire.extend(list);
        let read = examples(Some(SerializedInput::decode(&wire[..]).unwrap()));
        assert_eq!((read.examples, read.context), (vec![example.clone().into()], example.into()));

        assert!(examples(None).is_empty());
        assert!(examples(Some(SerializedInput { kind: None })).is_empty());
    }

    #[test]
    fn classes_are_dealt_to_their_examples() {
        let classes = Classes {
            examples: 2,
            per_example: 2,
            labels: Some(["a", "b", "a", "b"].map(String::from).to_vec()),
            scores: None,
        };
        let result = classification_result(classes);
        let labels = |i: usize| -> Vec<&str> {
            result.classifications[i].classes.iter().map(|class| class.label.as_str()).collect()
        };
        assert_eq!((labels(0), labels(1)), (vec!["a", "b"], vec!["a", "b"]));

        let scores = Some(vec![0.25, 0.75, 0.5].into());
        let result = classification_result(Classes { examples: 3, per_example: 1, labels: None, scores });
        let class = |score| pb::Class { label: String::new(), score };
        let got: Vec<_> = result.classifications.into_iter().flat_map(|one| one.classes).collect();
        assert_eq!(got, [class(0.25), class(0.75), class(0.5)]);
    }
}
