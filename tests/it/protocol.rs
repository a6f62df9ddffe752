//! What clients see on the wire: answers, errors, metadata, health, reflection.

use std::time::Duration;

use longshore::proto::tensorflow::serving as pb;
use longshore::proto::tensorflow::{DataType, TensorProto};
use prost::Message as _;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::{v1, v1alpha};

use crate::server::{Repo, TestServer, doubles, golden, request, spec};
use crate::wire::Grpc;

async fn server() -> TestServer {
    TestServer::start(Repo::with("half", 3, &golden("half_plus_two.pkl"))).await
}

#[tokio::test]
async fn predict_answers_in_typed_fields_with_the_resolved_spec() {
    let server = server().await;
    let mut client = server.client().await;
    let asked = request("half", None, doubles(&[&[1.0], &[2.0], &[5.0]]));
    let answer = client.predict.predict(asked).await.unwrap().into_inner();
    let spec = answer.model_spec.unwrap();
    assert_eq!((spec.name.as_str(), spec.signature_name.as_str()), ("half", "serving_default"));
    assert_eq!(spec.version_choice, Some(pb::model_spec::VersionChoice::Version(3)));
    assert_eq!(answer.outputs.len(), 1);
    let y = &answer.outputs["predictions"];
    assert_eq!((y.dtype(), y.tensor_content.len()), (DataType::DtDouble, 0));
    let dims: Vec<i64> = y.tensor_shape.as_ref().unwrap().dim.iter().map(|d| d.size).collect();
    assert_eq!(dims, [3]);
    for (got, want) in y.double_val.iter().zip([2.5, 3.0, 4.5]) {
        assert!((got - want).abs() < 1e-12, "{got} is not {want}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn wrong_requests_are_told_what_was_expected() {
    let server = server().await;
    let mut client = server.client().await;
    let good = || request("half", None, doubles(&[&[1.0]]));
    let named = |name: &str, inputs: TensorProto| {
        let mut request = good();
        request.inputs = [(name.to_owned(), inputs)].into_iter().collect();
        request
    };
    let with_spec = |change: &dyn Fn(&mut pb::ModelSpec)| {
        let mut request = good();
        change(request.model_spec.as_mut().unwrap());
        request
    };
    let cases = [
        (
            pb::PredictRequest { model_spec: None, ..good() },
            Code::InvalidArgument,
            "Missing ModelSpec".to_owned(),
        ),
        (
            with_spec(&|s| s.name.clear()),
            Code::InvalidArgument,
            "ModelSpec has no name specified.".to_owned(),
        ),
        (
            with_spec(&|s| s.name = "none".to_owned()),
            Code::NotFound,
            "Servable not found for request: Latest(none)".to_owned(),
        ),
        (
            request("half", Some(2), doubles(&[&[1.0]])),
            Code::NotFound,
            "Servable not found for request: Specific(half, 2)".to_owned(),
        ),
        (
            request("half", Some(-1), doubles(&[&[1.0]])),
            Code::NotFound,
            "Servable not found for request: Specific(half, -1)".to_owned(),
        ),
        (
            with_spec(&|s| {
                s.version_choice = Some(pb::model_spec::VersionChoice::VersionLabel("canary".to_owned()));
            }),
            Code::InvalidArgument,
            "Unrecognized servable version label: canary".to_owned(),
        ),
        (
            with_spec(&|s| s.signature_name = "predict_proba".to_owned()),
            Code::FailedPrecondition,
            "Serving signature key \"predict_proba\" not found.".to_owned(),
        ),
        (
            pb::PredictRequest { inputs: Default::default(), ..good() },
            Code::InvalidArgument,
            "input size does not match signature: 0!=1 len({}) != len({inputs}). Sent extra: {}. \
             Missing but required: {inputs}."
                .to_owned(),
        ),
        (
            named("x", doubles(&[&[1.0]])),
            Code::InvalidArgument,
            "Signature input alias: inputs(feed name: inputs:0) not found in request and no default value \
             provided. Inputs expected to be in the request {x}, or default input alias set: "
                .to_owned(),
        ),
        (
            pb::PredictRequest { output_filter: vec!["y".to_owned()], ..good() },
            Code::InvalidArgument,
            "output tensor alias not found in signature: y Outputs expected to be in the set {predictions}."
                .to_owned(),
        ),
        (
            named("inputs", TensorProto { dtype: DataType::DtString.into(), ..doubles(&[&[1.0]]) }),
            Code::InvalidArgument,
            "Expects arg[0] to be double but string is provided (input \"inputs\")".to_owned(),
        ),
    ];
    for (request, code, text) in cases {
        let status = client.predict.predict(request).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, text.as_str()));
    }

    // These name the input and go on with what was wrong with it.
    let broken = TensorProto { dtype: DataType::DtResource.into(), ..doubles(&[&[1.0]]) };
    let status = client.predict.predict(named("inputs", broken)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("tensor parsing error: inputs"), "{status:?}");
    let wide = client.predict.predict(named("inputs", doubles(&[&[1.0, 2.0]]))).await.unwrap_err();
    assert_eq!(wide.code(), Code::InvalidArgument);
    let want = "X has 2 features, but LinearRegression is expecting 1 features as input.";
    assert!(wide.message().contains(want), "{wide:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_name_comes_back_cut() {
    let server = server().await;
    let mut client = server.client().await;
    let status = client.ask(&"x".repeat(5000), None, 1.0).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().ends_with("xxx...TRUNCATED"));
    assert_eq!(status.message().len(), 1024 + "...TRUNCATED".len());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_passed_deadline_is_deadline_exceeded() {
    let server = server().await;
    let grpc = Grpc::open(server.address).await;
    let message = request("half", None, doubles(&[&[1.0]])).encode_to_vec();
    let ask = async |timeout| {
        grpc.call_within("PredictionService/Predict", &message, Some(timeout)).await.map(|_| ())
    };
    assert_eq!(ask(Duration::from_millis(5000)).await, Ok(()));
    let late = (Code::DeadlineExceeded, "Timed out waiting for notification".to_owned());
    assert_eq!(ask(Duration::from_nanos(1)).await, Err(late));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn metadata_tells_the_signatures() {
    let server = server().await;
    let mut client = server.client().await;
    let ask = |fields: &[&str]| pb::GetModelMetadataRequest {
        model_spec: spec("half", None),
        metadata_field: fields.iter().map(|&f| f.to_owned()).collect(),
    };
    let answer = client.predict.get_model_metadata(ask(&["signature_def"])).await.unwrap().into_inner();
    assert_eq!(answer.model_spec, spec("half", Some(3)));
    let any = &answer.metadata["signature_def"];
    assert_eq!(any.type_url, "type.googleapis.com/tensorflow.serving.SignatureDefMap");
    let map = pb::SignatureDefMap::decode(&*any.value).unwrap();
    let names: Vec<&str> = map.signature_def.keys().map(String::as_str).collect();
    assert_eq!(names, ["predict", "regress", "serving_default"]);
    let default = &map.signature_def["serving_default"];
    assert_eq!(default.method_name, "tensorflow/serving/predict");
    let input = &default.inputs["inputs"];
    assert_eq!(input.dtype(), DataType::DtDouble);
    let dims: Vec<i64> = input.tensor_shape.as_ref().unwrap().dim.iter().map(|d| d.size).collect();
    assert_eq!(dims, [-1, 1]);

    let answer = client.predict.get_model_metadata(ask(&["engine"])).await.unwrap().into_inner();
    let any = &answer.metadata["engine"];
    assert_eq!(
        (any.type_url.as_str(), answer.metadata.len()),
        ("type.googleapis.com/google.protobuf.Struct", 1)
    );
    let engine = prost_types::Struct::decode(&*any.value).unwrap();
    assert_eq!(engine.fields["name"], prost_types::Value::from("longshore".to_owned()));

    for (fields, text) in [
        (&[][..], "GetModelMetadataRequest must specify at least one metadata_field"),
        (&["signature_def", "x"], "Metadata field x is not supported"),
    ] {
        let status = client.predict.get_model_metadata(ask(fields)).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, text));
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn status_of_what_is_not_there_is_not_found() {
    let server = server().await;
    let mut client = server.client().await;
    for (spec, text) in [
        (spec("none", None), "Could not find any versions of model none"),
        (spec("half", Some(9)), "Could not find version 9 of model half"),
        (spec("", None), "Could not find any versions of model "),
    ] {
        let asked = pb::GetModelStatusRequest { model_spec: spec };
        let status = client.models.get_model_status(asked).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::NotFound, text));
    }
    let status = client.models.get_model_status(pb::GetModelStatusRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "Missing ModelSpec"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_served_yet_says_so() {
    let server = server().await;
    let mut sessions = pb::session_service_client::SessionServiceClient::new(server.channel().await);
    let error = sessions.session_run(pb::SessionRunRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn gzipped_requests_are_read() {
    let server = server().await;
    let mut client = server.client().await;
    client.predict = client.predict.clone().send_compressed(tonic::codec::CompressionEncoding::Gzip);
    assert_eq!(client.ask("half", None, 1.0).await.unwrap().0, 3);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn health_is_told_overall_per_service_and_per_model() {
    let server = server().await;
    let mut health = HealthClient::new(server.channel().await);
    let mut check = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health
            .check(request)
            .await
            .map(|answer: tonic::Response<HealthCheckResponse>| answer.get_ref().status())
    };
    for service in
        ["", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", "model:half"]
    {
        assert_eq!(check(service).await.unwrap(), ServingStatus::Serving, "{service:?}");
    }
    assert_eq!(check("model:none").await.unwrap_err().code(), Code::NotFound);
    server.repo.drop_in("broken", 1, b"no pickle");
    server.client().await.until_status("broken", |v| v.first().is_some_and(|v| !v.2.is_empty())).await;
    let start = std::time::Instant::now();
    while check("model:broken").await.is_err() {
        assert!(start.elapsed() < crate::server::PATIENCE);
    }
    assert_eq!(check("model:broken").await.unwrap(), ServingStatus::NotServing);
    assert_eq!(check("").await.unwrap(), ServingStatus::Serving, "one bad model is its own trouble");
    server.stop().await.unwrap();
}

const LISTED: [&str; 5] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
];

#[tokio::test]
async fn reflection_v1_lists_what_is_served_and_describes_it() {
    let server = server().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let mut ask = async |message_request: MessageRequest| {
        let request =
            v1::ServerReflectionRequest { host: String::new(), message_request: Some(message_request) };
        let mut answers =
            client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap().message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("a list")
    };
    let mut names: Vec<String> = list.service.into_iter().map(|s| s.name).collect();
    names.sort();
    assert_eq!(names, LISTED);
    let symbol = "tensorflow.serving.PredictRequest".to_owned();
    let MessageResponse::FileDescriptorResponse(files) =
        ask(MessageRequest::FileContainingSymbol(symbol)).await
    else {
        panic!("a file")
    };
    let file = prost_types::FileDescriptorProto::decode(&*files.file_descriptor_proto[0]).unwrap();
    assert_eq!(file.name(), "tensorflow_serving/apis/predict.proto");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn reflection_v1alpha_does_the_same_for_older_clients() {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;

    let server = server().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request };
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("a list") };
    let mut names: Vec<String> = list.service.into_iter().map(|s| s.name).collect();
    names.sort();
    assert_eq!(names, LISTED);
    server.stop().await.unwrap();
}
