//! Request logs: what was asked through both doors lies in TFRecord files afterwards.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use longshore::config::{Models, RequestLogConfig, ServerConfig};
use longshore::formats::tfrecord;
use longshore::proto::tensorflow::serving as pb;
use longshore::request_log::SamplingRate;
use pb::internal::serialized_input::Kind;
use pb::internal::{SerializedExampleList, SerializedInput};
use pb::model_server_config::Config;
use pb::model_spec::VersionChoice;
use pb::prediction_log::LogType;
use prost::Message as _;
use tonic::Code;

use crate::inference;
use crate::rest::ask;
use crate::server::{Client, PATIENCE, Repo, TestServer, config, doubles, golden, request, spec};

/// All requests of the models of which nothing else is said.
pub fn recording(dir: &Path, rate: f64) -> RequestLogConfig {
    let dir = Some((dir.to_owned(), SamplingRate::try_from(rate).unwrap()));
    RequestLogConfig { dir, ..RequestLogConfig::default() }
}

/// The records of all files in a folder whose names begin like this.
pub fn records(dir: &Path, prefix: &str) -> Vec<pb::PredictionLog> {
    let entries = fs::read_dir(dir).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
    let mut paths: Vec<_> = entries.unwrap_or_default();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{prefix}-")));
    paths.sort();
    let records = paths.into_iter().flat_map(|path| tfrecord::records(fs::read(path).unwrap().into()));
    records.map(|record| pb::PredictionLog::decode(record.unwrap()).unwrap()).collect()
}

fn input() -> SerializedInput {
    // inputs: [0.5, -1, 2]
    let example = bytes::Bytes::from_static(
        b"\x0a\x1c\x0a\x1a\x0a\x06inputs\x12\x10\x12\x0e\x0a\x0c\0\0\0?\0\0\x80\xbf\0\0\0@",
    );
    SerializedInput { kind: Some(Kind::ExampleList(SerializedExampleList { examples: vec![example] })) }
}

fn task(model: &str, signature: &str, method: &str) -> pb::InferenceTask {
    let model_spec =
        spec(model, None).map(|spec| pb::ModelSpec { signature_name: signature.to_owned(), ..spec });
    pb::InferenceTask { model_spec, method_name: format!("tensorflow/serving/{method}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_calls_of_every_kind_are_recorded_behind_both_doors() {
    let logs = tempfile::tempdir().unwrap();
    let repo = Repo::with("two", 4, &inference::model("two"));
    repo.drop_in("number", 1, &inference::model("one_column_target"));
    let log = recording(logs.path(), 1.0);
    let server = TestServer::start_with_config(repo, |c| ServerConfig { request_log: log, ..c }).await;
    let (mut client, rest) = (server.client().await, server.rest.unwrap());
    let row: &[f64] = &[0.5, -1.0, 2.0];

    let predict = request("two", Some(4), doubles(&[row]));
    let predicted = client.predict.predict(predict.clone()).await.unwrap().into_inner();
    let classify = pb::ClassificationRequest { model_spec: spec("two", None), input: Some(input()) };
    let classified = client.predict.classify(classify.clone()).await.unwrap().into_inner();
    let tasks = vec![task("two", "", "classify")];
    let several = pb::MultiInferenceRequest { tasks, input: Some(input()) };
    let answered = client.predict.multi_inference(several.clone()).await.unwrap().into_inner();
    let regress = pb::RegressionRequest { model_spec: spec("number", None), input: Some(input()) };
    let regressed = client.predict.regress(regress.clone()).await.unwrap().into_inner();

    // What fails is not recorded: nobody could replay it.
    client.predict.predict(request("two", None, doubles(&[&[1.0]]))).await.unwrap_err();
    client.predict.predict(request("gone", None, doubles(&[row]))).await.unwrap_err();

    let json = b"{\"instances\": [[0.5, -1, 2]], \"signature_name\": \"predict_proba\"}";
    let examples = b"{\"examples\": [{\"inputs\": [0.5, -1.0, 2.0]}]}";
    let wire = request("ignored", None, doubles(&[row])).encode_to_vec();
    let protobuf = ("Content-Type", "application/x-protobuf");
    for (path, headers, body) in [
        ("two/versions/4:predict", vec![], &json[..]),
        ("two:predict", vec![("Accept", "application/x-protobuf")], json),
        ("two:predict", vec![protobuf], &wire),
        ("two:predict", vec![protobuf, ("Accept", "application/json")], &wire),
        ("two:classify", vec![], examples),
        ("number:regress", vec![], examples),
    ] {
        let answer = ask(rest, "POST", &format!("/v1/models/{path}"), &headers, body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    let answer = ask(rest, "POST", "/v1/models/two:predict", &[], b"{\"instances\": [[1]]}");
    assert_eq!(answer.status, 400);
    server.stop().await.unwrap();

    let (two, number) = (records(logs.path(), "two"), records(logs.path(), "number"));
    assert_eq!((two.len(), number.len()), (8, 2));
    for (record, (model, version)) in
        two.iter().map(|r| (r, ("two", 4))).chain(number.iter().map(|r| (r, ("number", 1))))
    {
        let metadata = record.log_metadata.as_ref().unwrap();
        let spec = metadata.model_spec.as_ref().unwrap();
        assert_eq!(
            (spec.name.as_str(), &spec.version_choice),
            (model, &Some(VersionChoice::Version(version)))
        );
        assert_ne!(spec.signature_name, "");
        assert_eq!(metadata.sampling_config.as_ref().unwrap().sampling_rate, 1.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        assert!((now - 60..=now).contains(&metadata.timestamp_secs));
    }
    let types: Vec<&LogType> = two.iter().chain(&number).map(|r| r.log_type.as_ref().unwrap()).collect();
    let LogType::PredictLog(log) = types[0] else { panic!("{types:#?}") };
    assert_eq!((&log.request, &log.response), (&Some(predict), &Some(predicted.clone())));
    let LogType::ClassifyLog(log) = types[1] else { panic!("{types:#?}") };
    assert_eq!((&log.request, &log.response), (&Some(classify.clone()), &Some(classified.clone())));
    let LogType::MultiInferenceLog(log) = types[2] else { panic!("{types:#?}") };
    assert_eq!((&log.request, &log.response), (&Some(several), &Some(answered)));

    // JSON is recorded as what a gRPC client would have sent.
    for (i, version) in [(3, Some(4)), (4, None)] {
        let LogType::PredictLog(log) = types[i] else { panic!("{types:#?}") };
        let request = log.request.as_ref().unwrap();
        let asked = pb::ModelSpec { signature_name: "predict_proba".into(), ..spec("two", version).unwrap() };
        assert_eq!(request.model_spec, Some(asked));
        let tensor = &request.inputs["inputs"];
        let sent: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!((tensor.dtype, &tensor.tensor_content[..]), (2, &sent[..]));
        assert!(log.response.as_ref().unwrap().outputs.contains_key("outputs"));
    }
    for i in [5, 6] {
        let LogType::PredictLog(log) = types[i] else { panic!("{types:#?}") };
        assert_eq!(log.request.as_ref().unwrap().model_spec, spec("two", None));
        assert_eq!(log.response.as_ref().unwrap().model_spec, predicted.model_spec);
    }
    let LogType::ClassifyLog(log) = types[7] else { panic!("{types:#?}") };
    assert_eq!((&log.request, &log.response), (&Some(classify), &Some(classified)));
    for i in [8, 9] {
        let LogType::RegressLog(log) = types[i] else { panic!("{types:#?}") };
        assert_eq!((&log.request, &log.response), (&Some(regress.clone()), &Some(regressed.clone())));
    }
}

fn listed(repo: &Repo, name: &str, logging: Option<pb::LoggingConfig>) -> pb::ModelConfig {
    let base_path = repo.path(name).display().to_string();
    pb::ModelConfig { name: name.to_owned(), base_path, logging_config: logging, ..Default::default() }
}

fn logging(kind: &str, prefix: &Path, rate: f64) -> Option<pb::LoggingConfig> {
    let filename_prefix = prefix.display().to_string();
    Some(pb::LoggingConfig {
        log_collector_config: Some(pb::LogCollectorConfig { r#type: kind.to_owned(), filename_prefix }),
        sampling_config: Some(pb::SamplingConfig { sampling_rate: rate, ..Default::default() }),
        ..Default::default()
    })
}

async fn reload(client: &mut Client, models: Vec<pb::ModelConfig>) -> Result<(), tonic::Status> {
    let config = Some(Config::ModelConfigList(pb::ModelConfigList { config: models }));
    let config = Some(pb::ModelServerConfig { config });
    client
        .models
        .handle_reload_config_request(pb::ReloadConfigRequest { config, ..Default::default() })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_reload_begins_moves_and_ends_it() {
    let logs = tempfile::tempdir().unwrap();
    let repo = Repo::with("half", 1, &golden("half_plus_two.pkl"));
    let config = ServerConfig { models: Models::Listed(Some(Default::default())), ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;
    let model = |logging| vec![listed(&server.repo, "half", logging)];
    let prefix = |name: &str| logs.path().join(name);

    reload(&mut client, model(None)).await.unwrap();
    client.ask("half", None, 0.0).await.unwrap();
    reload(&mut client, model(logging("tfrecord", &prefix("a"), 1.0))).await.unwrap();
    client.ask("half", None, 1.0).await.unwrap();
    let refused = reload(&mut client, model(logging("kafka", &prefix("b"), 1.0))).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::NotFound,
            "Cannot find LogCollector::Factory for type: kafka (model half: expected \"tfrecord\", or none)"
        )
    );
    client.ask("half", None, 2.0).await.unwrap();
    reload(&mut client, model(logging("", &prefix("c"), 1.0))).await.unwrap();
    client.ask("half", None, 3.0).await.unwrap();
    reload(&mut client, model(None)).await.unwrap();
    client.ask("half", None, 4.0).await.unwrap();
    server.stop().await.unwrap();

    let asked = |prefix| {
        let number = |record: pb::PredictionLog| match record.log_type {
            Some(LogType::PredictLog(log)) => log.request.unwrap().inputs["inputs"].double_val[0],
            other => panic!("{other:?}"),
        };
        records(logs.path(), prefix).into_iter().map(number).collect::<Vec<_>>()
    };
    assert_eq!((asked("a"), asked("b"), asked("c")), (vec![1.0, 2.0], vec![], vec![3.0]));
}

#[tokio::test]
async fn a_model_says_how_many_of_its_requests_and_the_operator_where() {
    let logs = tempfile::tempdir().unwrap();
    let file = golden("half_plus_two.pkl");
    let repo = Repo::with("loud", 1, &file);
    repo.drop_in("quiet", 1, &file);
    fs::write(repo.path("loud/model.toml"), "[request_log]\nsampling_rate = 1\n").unwrap();
    let log = recording(logs.path(), 0.0);
    let server = TestServer::start_with_config(repo, |c| ServerConfig { request_log: log, ..c }).await;
    let mut client = server.client().await;
    for model in ["loud", "quiet"] {
        client.ask(model, None, 1.0).await.unwrap();
    }
    // A word is as good later as at the start.
    fs::write(server.repo.path("loud/model.toml"), "[request_log]\nsampling_rate = 0\n").unwrap();
    fs::write(server.repo.path("quiet/model.toml"), "[request_log]\nsampling_rate = 1\n").unwrap();
    let start = Instant::now();
    while records(logs.path(), "quiet").is_empty() {
        assert!(start.elapsed() < PATIENCE, "what model.toml says was not heard");
        client.ask("quiet", None, 1.0).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    // And once more, should the look have been between the two.
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.ask("loud", None, 2.0).await.unwrap();
    server.stop().await.unwrap();
    assert_eq!(records(logs.path(), "loud").len(), 1);
}
