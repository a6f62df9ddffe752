//! Classify, Regress and MultiInference: what scikit-learn answers to the numbers in
//! examples that TensorFlow wrote, and what clients are told when it cannot be had.

use std::sync::LazyLock;

use longshore::proto::tensorflow::feature::Kind;
use longshore::proto::tensorflow::serving as pb;
use longshore::proto::tensorflow::{self as tf, Feature};
use pb::inference_result::Result as TaskResult;
use pb::internal::serialized_input::Kind as InputKind;
use pb::internal::{SerializedExampleList, SerializedExampleListWithContext, SerializedInput};
use pb::model_spec::VersionChoice;
use prost::Message as _;
use serde_json::Value;
use tonic::{Code, Status};

use crate::server::{Client, Repo, TestServer, golden, spec};
use crate::sklearn_goldens::from_base64;

static GOLDEN: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../golden/inference/golden.json")).unwrap());

fn case(name: &str) -> &'static Value {
    &GOLDEN["cases"][name]
}

fn bytes(value: &Value) -> bytes::Bytes {
    from_base64(value.as_str().unwrap()).into()
}

/// The file of a golden model.
pub(crate) fn model(name: &str) -> bytes::Bytes {
    bytes(&case(name)["file"])
}

/// The examples of a golden model.
pub(crate) fn examples(name: &str) -> SerializedInput {
    input(case(name))
}

/// The examples of a case, with their context where they have one.
fn input(case: &Value) -> SerializedInput {
    let examples = case["examples"].as_array().unwrap().iter().map(bytes).collect();
    let context = bytes(&case["context"]);
    let kind = if context.is_empty() {
        InputKind::ExampleList(SerializedExampleList { examples })
    } else {
        InputKind::ExampleListWithContext(SerializedExampleListWithContext { examples, context })
    };
    SerializedInput { kind: Some(kind) }
}

fn one(features: &[(&str, Kind)]) -> SerializedInput {
    let features =
        features.iter().map(|(name, kind)| ((*name).to_owned(), Feature { kind: Some(kind.clone()) }));
    let example = tf::Example { features: Some(tf::Features { feature: features.collect() }) };
    list(vec![example.encode_to_vec().into()])
}

fn list(examples: Vec<bytes::Bytes>) -> SerializedInput {
    SerializedInput { kind: Some(InputKind::ExampleList(SerializedExampleList { examples })) }
}

fn floats(values: &[f32]) -> Kind {
    Kind::FloatList(tf::FloatList { value: values.to_vec() })
}

fn ints(values: &[i64]) -> Kind {
    Kind::Int64List(tf::Int64List { value: values.to_vec() })
}

fn signed(model: &str, signature: &str) -> Option<pb::ModelSpec> {
    Some(pb::ModelSpec { signature_name: signature.to_owned(), ..spec(model, None).unwrap() })
}

/// A server with every model of the golden file, and two versions of one.
async fn server() -> (TestServer, Client) {
    let repo = Repo::new();
    for (name, case) in GOLDEN["cases"].as_object().unwrap() {
        repo.drop_in(name, 1, &bytes(&case["file"]));
    }
    repo.drop_in("half", 1, &golden("half_plus_two.pkl"));
    let server = TestServer::start(repo).await;
    let client = server.client().await;
    (server, client)
}

async fn classify(
    client: &mut Client,
    model_spec: Option<pb::ModelSpec>,
    input: SerializedInput,
) -> Result<pb::ClassificationResponse, Status> {
    let request = pb::ClassificationRequest { model_spec, input: Some(input) };
    client.predict.classify(request).await.map(tonic::Response::into_inner)
}

async fn regress(
    client: &mut Client,
    model_spec: Option<pb::ModelSpec>,
    input: SerializedInput,
) -> Result<pb::RegressionResponse, Status> {
    let request = pb::RegressionRequest { model_spec, input: Some(input) };
    client.predict.regress(request).await.map(tonic::Response::into_inner)
}

/// The difference that single precision makes, and no other.
#[track_caller]
fn assert_single(got: f32, want: &Value, place: &str) {
    let want = want.as_f64().unwrap();
    let apart = (f64::from(got) - want).abs();
    assert!(apart <= want.abs() * f64::from(f32::EPSILON), "{place}: {got} is not {want}");
}

#[track_caller]
fn assert_classes(result: &pb::ClassificationResult, case: &Value, place: &str) {
    let labels: Vec<&str> =
        case["labels"].as_array().unwrap().iter().map(|label| label.as_str().unwrap()).collect();
    let examples = case["examples"].as_array().unwrap().len();
    assert_eq!(result.classifications.len(), examples, "{place}");
    for (i, one) in result.classifications.iter().enumerate() {
        let got: Vec<&str> = one.classes.iter().map(|class| class.label.as_str()).collect();
        match case["scores"].as_array() {
            Some(scores) => {
                assert_eq!(got, labels, "{place}, example {i}");
                for (class, want) in one.classes.iter().zip(scores[i].as_array().unwrap()) {
                    assert_single(class.score, want, place);
                }
            }
            // Without probabilities it is the predicted label, without a score.
            None => {
                assert_eq!(got, [labels[i]], "{place}, example {i}");
                assert!(one.classes[0].score.abs() < f32::EPSILON);
            }
        }
    }
}

#[track_caller]
fn assert_values(result: &pb::RegressionResult, case: &Value, place: &str) {
    let want = case["values"].as_array().unwrap();
    assert_eq!(result.regressions.len(), want.len(), "{place}");
    for (got, want) in result.regressions.iter().zip(want) {
        assert_single(got.value, want, place);
    }
}

fn assert_spec(got: Option<pb::ModelSpec>, model: &str, signature: &str) {
    let want = pb::ModelSpec {
        name: model.to_owned(),
        signature_name: signature.to_owned(),
        version_choice: Some(VersionChoice::Version(1)),
    };
    assert_eq!(got, Some(want));
}

#[tokio::test]
async fn every_golden_is_answered_as_scikit_learn_did() {
    let (server, mut client) = server().await;
    let (mut classified, mut regressed) = (0, 0);
    for (name, case) in GOLDEN["cases"].as_object().unwrap() {
        // The signature may be named, or left to the call.
        if case["labels"].is_array() {
            for signature in ["", "classify"] {
                let answer = classify(&mut client, signed(name, signature), input(case)).await.unwrap();
                assert_classes(&answer.result.unwrap(), case, name);
                assert_spec(answer.model_spec, name, "classify");
            }
            classified += 1;
        } else {
            for signature in ["", "regress"] {
                let answer = regress(&mut client, signed(name, signature), input(case)).await.unwrap();
                assert_values(&answer.result.unwrap(), case, name);
                assert_spec(answer.model_spec, name, "regress");
            }
            regressed += 1;
        }
    }
    assert_eq!((classified, regressed), (6, 3));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_examples_of_a_public_input_are_the_bytes_that_the_twin_reads() {
    // What other clients send: `Input`, `ExampleListWithContext` and `Example` as declared.
    let (server, mut client) = server().await;
    let case = case("frame_context");
    let SerializedInput { kind: Some(InputKind::ExampleListWithContext(twin)) } = input(case) else {
        panic!("it has a context")
    };
    let example = |bytes: &bytes::Bytes| tf::Example::decode(bytes.clone()).unwrap();
    let public = pb::ExampleListWithContext {
        examples: twin.examples.iter().map(example).collect(),
        context: Some(example(&twin.context)),
    };
    let wire = [vec![0x12], prost_delimited(&public.encode_to_vec())].concat();
    let input = SerializedInput::decode(&wire[..]).unwrap();
    let answer = classify(&mut client, spec("frame_context", Some(1)), input).await.unwrap();
    assert_classes(&answer.result.unwrap(), case, "frame_context");
    server.stop().await.unwrap();
}

fn prost_delimited(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encode_length_delimiter(message.len(), &mut out).unwrap();
    out.extend_from_slice(message);
    out
}

fn task(model: &str, signature: &str, method: &str) -> pb::InferenceTask {
    let method_name = format!("tensorflow/serving/{method}");
    pb::InferenceTask { model_spec: signed(model, signature), method_name }
}

async fn multi(
    client: &mut Client,
    tasks: Vec<pb::InferenceTask>,
    input: Option<SerializedInput>,
) -> Result<Vec<pb::InferenceResult>, Status> {
    let request = pb::MultiInferenceRequest { tasks, input };
    client.predict.multi_inference(request).await.map(|answer| answer.into_inner().results)
}

#[tokio::test]
async fn multi_inference_answers_each_task_with_its_own_spec() {
    let (server, mut client) = server().await;
    let case_of = case("frame");
    let results =
        multi(&mut client, vec![task("frame", "", "classify")], Some(input(case_of))).await.unwrap();
    assert_eq!(results.len(), 1);
    assert_spec(results[0].model_spec.clone(), "frame", "classify");
    let Some(TaskResult::ClassificationResult(classes)) = &results[0].result else { panic!("classes") };
    assert_classes(classes, case_of, "frame");

    let case_of = case("ridge_context");
    let results = multi(&mut client, vec![task("ridge_context", "regress", "regress")], Some(input(case_of)))
        .await
        .unwrap();
    assert_spec(results[0].model_spec.clone(), "ridge_context", "regress");
    let Some(TaskResult::RegressionResult(values)) = &results[0].result else { panic!("values") };
    assert_values(values, case_of, "ridge_context");
    server.stop().await.unwrap();
}

/// Code and text of what is refused.
#[track_caller]
fn told<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    (status.code(), status.message().to_owned())
}

fn invalid(text: &str) -> (Code, String) {
    (Code::InvalidArgument, text.to_owned())
}

#[tokio::test]
async fn wrong_requests_are_told_what_was_expected() {
    let (server, mut client) = server().await;
    let client = &mut client;
    let row = || one(&[("inputs", floats(&[1.0, 2.0, 3.0]))]);

    let empties = [
        SerializedInput { kind: None },
        list(vec![]),
        SerializedInput {
            kind: Some(InputKind::ExampleListWithContext(SerializedExampleListWithContext {
                examples: vec![],
                context: bytes::Bytes::from_static(b"\x0a\x00"),
            })),
        },
    ];
    for empty in empties {
        let want = invalid("Input is empty.");
        assert_eq!(told(classify(client, spec("words", None), empty.clone()).await), want);
        assert_eq!(told(regress(client, spec("half", None), empty.clone()).await), want);
        assert_eq!(told(multi(client, vec![task("words", "", "classify")], Some(empty)).await), want);
    }
    let none = pb::ClassificationRequest { model_spec: spec("words", None), input: None };
    assert_eq!(told(client.predict.classify(none).await), invalid("Input is empty."));

    assert_eq!(told(classify(client, None, row()).await), invalid("Missing ModelSpec"));
    assert_eq!(told(regress(client, None, row()).await), invalid("Missing ModelSpec"));
    let unnamed = invalid("ModelSpec has no name specified.");
    assert_eq!(told(classify(client, spec("", None), row()).await), unnamed);
    assert_eq!(told(multi(client, vec![], Some(row())).await), unnamed);
    let specless = pb::InferenceTask { model_spec: None, ..task("words", "", "classify") };
    assert_eq!(told(multi(client, vec![specless.clone()], Some(row())).await), unnamed);
    let gone = (Code::NotFound, "Servable not found for request: Latest(gone)".to_owned());
    assert_eq!(told(classify(client, spec("gone", None), row()).await), gone);
    assert_eq!(told(multi(client, vec![task("gone", "", "classify")], Some(row())).await), gone);
    let nine = (Code::NotFound, "Servable not found for request: Specific(words, 9)".to_owned());
    assert_eq!(told(regress(client, spec("words", Some(9)), row()).await), nine);

    let unknown = invalid("No signature was found with the name: gone");
    assert_eq!(told(classify(client, signed("words", "gone"), row()).await), unknown);
    assert_eq!(told(regress(client, signed("words", "gone"), row()).await), unknown);
    // A classifier has nothing for Regress, and what it has is shown.
    let (code, text) = told(regress(client, spec("words", None), row()).await);
    assert_eq!((code, &*text), (Code::InvalidArgument, "Expected one output Tensor."));
    let (code, text) = told(classify(client, spec("half", None), row()).await);
    assert_eq!(code, Code::InvalidArgument);
    let want = "Expected classification signature outputs to contain at least one of \"classes\" or \"scores\". \
                Signature was: inputs {\n  key: \"inputs\"\n  value {\n    name: \"inputs:0\"\n    dtype: DT_DOUBLE\n";
    assert!(text.starts_with(want), "{text}");
    assert_eq!(
        told(regress(client, signed("half", "predict"), row()).await),
        invalid("Expects arg[0] to be double but string is provided (input \"inputs\")")
    );
    assert_eq!(
        told(classify(client, signed("frame", "columns"), row()).await),
        invalid("Expected one input Tensor.")
    );

    let frame = |features: &[(&str, Kind)]| {
        let good = [("age", floats(&[1.0])), ("rooms", ints(&[2])), ("größe", floats(&[3.0]))];
        let kept = good.into_iter().filter(|(name, _)| !features.iter().any(|(other, _)| other == name));
        one(&kept.chain(features.iter().cloned()).collect::<Vec<_>>())
    };
    assert!(classify(client, spec("frame", None), frame(&[])).await.is_ok());
    let bytes_list = Kind::BytesList(tf::BytesList { value: vec![bytes::Bytes::from_static(b"3")] });
    for (input, why) in [
        (one(&[("age", ints(&[3]))]), "example 0 has no feature `rooms`; expected 1 number in it"),
        (frame(&[("zip", ints(&[1]))]), "example 0 has features that the model does not take: `zip`"),
        (frame(&[("größe", floats(&[1.0, 2.0]))]), "example 0 has 2 numbers in feature `größe`; expected 1"),
        (
            frame(&[("age", bytes_list)]),
            "example 0 has bytes in feature `age`; expected 1 number in a float or int64 list",
        ),
    ] {
        assert_eq!(told(classify(client, spec("frame", None), input).await), invalid(why));
    }
    assert_eq!(
        told(regress(client, spec("half", None), row()).await),
        invalid("example 0 has 3 numbers in feature `inputs`; expected 1")
    );
    let nan = one(&[("inputs", floats(&[f32::NAN, 0.0, 0.0]))]);
    let (_, text) = told(classify(client, spec("words", None), nan).await);
    assert!(text.starts_with("Input X contains NaN.\nLogisticRegression does not accept"), "{text}");
    let garbage = list(vec![bytes::Bytes::new(), bytes::Bytes::from_static(b"\x0a\xff")]);
    assert_eq!(
        told(classify(client, spec("words", None), garbage).await),
        invalid("example 0 has no feature `inputs`; expected 3 numbers in it")
    );
    let garbage = list(vec![bytes::Bytes::from_static(b"\x0a\xff")]);
    let (_, text) = told(classify(client, spec("words", None), garbage).await);
    assert!(text.starts_with("example 0 cannot be read as a tf.Example: "), "{text}");

    let tasks = |tasks: Vec<pb::InferenceTask>| (tasks, Some(row()));
    let words = || task("words", "", "classify");
    for ((tasks, input), want) in [
        (tasks(vec![words(), specless.clone()]), invalid("Found ModelSpec with an empty model name.")),
        (
            tasks(vec![words(), task("half", "", "regress")]),
            invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name."),
        ),
        (
            tasks(vec![words(), task("words", "classify", "classify")]),
            invalid("Duplicate evaluation of signature: classify"),
        ),
        (
            tasks(vec![task("words", "gone", "classify")]),
            invalid("Requested signature not found in model graph: gone"),
        ),
        (
            tasks(vec![words(), task("words", "predict", "predict")]),
            (Code::Unimplemented, "Unsupported signature method_name: tensorflow/serving/predict".to_owned()),
        ),
    ] {
        assert_eq!(told(multi(client, tasks, input).await), want);
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn predict_takes_serialized_examples_too_and_metadata_tells_the_signatures() {
    let (server, mut client) = server().await;
    let case = case("words");
    let InputKind::ExampleList(examples) = input(case).kind.unwrap() else { panic!("no context") };
    let rows = examples.examples.len();
    let inputs = tf::TensorProto {
        dtype: tf::DataType::DtString.into(),
        tensor_shape: Some(tf::TensorShapeProto {
            dim: vec![tf::tensor_shape_proto::Dim { size: rows as i64, name: String::new() }],
            unknown_rank: false,
        }),
        string_val: examples.examples,
        ..Default::default()
    };
    let request = pb::PredictRequest {
        model_spec: signed("words", "classify"),
        inputs: [("inputs".to_owned(), inputs)].into_iter().collect(),
        ..Default::default()
    };
    let outputs = client.predict.predict(request).await.unwrap().into_inner().outputs;
    assert_eq!(outputs["scores"].float_val.len(), rows * 3);
    for (got, want) in outputs["scores"]
        .float_val
        .iter()
        .zip(case["scores"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap()))
    {
        assert_single(*got, want, "words");
    }
    let names = &outputs["classes"].string_val;
    assert_eq!(names.len(), rows * 3);
    assert_eq!(names[..3], names[3..6]);

    let request = pb::GetModelMetadataRequest {
        model_spec: spec("words", None),
        metadata_field: vec!["signature_def".to_owned()],
    };
    let answer = client.predict.get_model_metadata(request).await.unwrap().into_inner();
    let map = pb::SignatureDefMap::decode(&answer.metadata["signature_def"].value[..]).unwrap();
    let classify = &map.signature_def["classify"];
    assert_eq!(classify.method_name, "tensorflow/serving/classify");
    assert_eq!(classify.inputs["inputs"].dtype(), tf::DataType::DtString);
    assert_eq!(classify.outputs["classes"].dtype(), tf::DataType::DtString);
    assert_eq!(classify.outputs["scores"].dtype(), tf::DataType::DtFloat);
    server.stop().await.unwrap();
}
