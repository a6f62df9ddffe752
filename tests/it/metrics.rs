//! What is counted, read from the page that Prometheus reads, after real calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use longshore::config::{BatchingConfig, Models, RequestLogConfig, ServerConfig};
use longshore::proto::tensorflow::serving as pb;
use pb::internal::serialized_input::Kind::ExampleList;
use pb::model_server_config::Config;
use tonic::Code;

use crate::inference;
use crate::rest::Wire;
use crate::server::{Client, PATIENCE, Repo, TestServer, config, doubles, golden, request, spec};

const PATH: &str = "/monitoring/prometheus/metrics";

/// The samples of a page, by name and labels as they are written.
struct Page(BTreeMap<String, f64>);

impl Page {
    fn of(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            (series.to_owned(), value.parse().expect("a number"))
        });
        let page = Self(samples.collect());
        assert_eq!(
            page.0.len(),
            text.lines().filter(|line| !line.starts_with('#')).count(),
            "no series twice"
        );
        page
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0.keys()))
    }

    /// How many series begin so.
    fn count(&self, start: &str) -> usize {
        self.0.keys().filter(|series| series.starts_with(start)).count()
    }
}

fn read(address: SocketAddr) -> Page {
    let answer = Wire::open(address).ask("GET", PATH, &[], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    Page::of(answer.text())
}

fn half() -> Repo {
    Repo::with("half", 1, &golden("half_plus_two.pkl"))
}

fn post(address: SocketAddr, target: &str, body: &str) -> u16 {
    Wire::open(address).ask("POST", target, &[], body.as_bytes()).status
}

#[tokio::test]
async fn calls_through_both_doors_are_counted_in_the_references_words_and_in_ours() {
    let server = TestServer::start(half()).await;
    let (mut client, rest) = (server.client().await, server.rest.unwrap());
    for _ in 0..3 {
        client.ask("half", None, 2.0).await.unwrap();
    }
    let status = client.ask("nobody", None, 2.0).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let wide = client.predict.predict(request("half", None, doubles(&[&[1.0, 2.0]]))).await.unwrap_err();
    assert_eq!(wide.code(), Code::InvalidArgument);
    client
        .models
        .get_model_status(pb::GetModelStatusRequest { model_spec: spec("half", None) })
        .await
        .unwrap();
    assert_eq!(post(rest, "/v1/models/half:predict", r#"{"instances": [[1.0]]}"#), 200);
    assert_eq!(post(rest, "/v1/models/half:predict", "no JSON"), 400);
    assert_eq!(post(rest, "/v1/nonsense", ""), 400);
    assert_eq!(Wire::open(rest).ask("GET", "/v1/models/half", &[], b"").status, 200);
    assert_eq!(Wire::open(rest).ask("GET", "/healthz", &[], b"").status, 200);

    let page = read(rest);
    let count = |labels: &str| page.value(&format!(":tensorflow:serving:request_count{{{labels}}}"));
    // Three over gRPC, a Predict and a status over REST; a status over gRPC does not count there.
    assert_eq!(count(r#"model_name="half",status="OK""#), 5.0);
    assert_eq!(count(r#"model_name="half",status="INVALID_ARGUMENT""#), 2.0);
    assert_eq!(count(r#"model_name=".unknown",status="NOT_FOUND""#), 1.0);
    assert_eq!(count(r#"model_name="",status="INVALID_ARGUMENT""#), 1.0);
    assert_eq!(page.count(":tensorflow:serving:request_count"), 4);
    let latency = |labels: &str| {
        page.value(&format!(r#":tensorflow:serving:request_latency_count{{model_name="half",{labels}}}"#))
    };
    assert_eq!(latency(r#"API="Predict",entrypoint="GRPC""#), 3.0);
    assert_eq!(latency(r#"API="predict",entrypoint="REST""#), 1.0);
    assert_eq!(latency(r#"API="",entrypoint="REST""#), 1.0);
    let runtime = r#"model_name="half",API="Predict",runtime="TF1""#;
    assert_eq!(page.value(&format!(":tensorflow:serving:runtime_latency_count{{{runtime}}}")), 4.0);

    let own = |rpc: &str, protocol: &str, code: &str| {
        let labels = format!(r#"model="half",rpc="{rpc}",protocol="{protocol}",code="{code}""#);
        page.value(&format!("longshore_requests_total{{{labels}}}"))
    };
    assert_eq!(own("Predict", "gRPC", "OK"), 3.0);
    assert_eq!(own("Predict", "REST", "OK"), 1.0);
    assert_eq!(own("Predict", "REST", "INVALID_ARGUMENT"), 1.0);
    assert_eq!(own("GetModelStatus", "gRPC", "OK"), 1.0);
    assert_eq!(own("GetModelStatus", "REST", "OK"), 1.0);
    let grpc = r#"model="half",version="1",rpc="Predict",protocol="gRPC""#;
    let whole = page.value(&format!("longshore_request_duration_seconds_sum{{{grpc}}}"));
    let stages: f64 = ["decode", "compute", "encode"]
        .iter()
        .map(|stage| {
            let name = "longshore_request_stage_duration_seconds";
            assert_eq!(page.value(&format!(r#"{name}_count{{{grpc},stage="{stage}"}}"#)), 3.0);
            page.value(&format!(r#"{name}_sum{{{grpc},stage="{stage}"}}"#))
        })
        .sum();
    assert!((whole - stages).abs() < 1e-9 && whole > 0.0, "{whole} is {stages}: nobody waited");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn classify_regress_and_multi_inference_are_counted() {
    let repo = Repo::with("frame", 1, &inference::model("frame"));
    let server = TestServer::start(repo).await;
    let (mut client, rest) = (server.client().await, server.rest.unwrap());
    let body = r#"{"examples": [{"area": 1.0, "rooms": 2.0, "age": 3.0}]}"#;
    assert_eq!(
        post(rest, "/v1/models/frame:classify", body),
        400,
        "no such columns, and counted all the same"
    );
    let asked = inference::examples("frame");
    let Some(ExampleList(list)) = &asked.kind else { panic!("examples without a context") };
    let examples = list.examples.len() as f64;
    let request = pb::ClassificationRequest { model_spec: spec("frame", None), input: Some(asked.clone()) };
    client.predict.classify(request).await.unwrap();
    let task = pb::InferenceTask {
        model_spec: spec("frame", None),
        method_name: "tensorflow/serving/classify".to_owned(),
    };
    let request = pb::MultiInferenceRequest { tasks: vec![task], input: Some(asked) };
    client.predict.multi_inference(request).await.unwrap();

    let page = read(rest);
    let frame = r#"model_name="frame""#;
    let latency = ":tensorflow:serving:request_latency_count";
    assert_eq!(page.value(&format!(r#"{latency}{{{frame},API="Classify",entrypoint="GRPC"}}"#)), 1.0);
    let runtime = ":tensorflow:serving:runtime_latency_count";
    assert_eq!(page.value(&format!(r#"{runtime}{{{frame},API="Classify",runtime="TF1"}}"#)), 1.0);
    // Of MultiInference the reference counts the examples alone.
    let count = ":tensorflow:serving:request_count";
    assert_eq!(page.value(&format!(r#"{count}{{{frame},status="OK"}}"#)), 1.0);
    assert_eq!(page.value(&format!(r#"{count}{{{frame},status="INVALID_ARGUMENT"}}"#)), 1.0);
    assert_eq!(page.value(r#":tensorflow:serving:request_example_count_total{model="frame"}"#), examples);
    assert_eq!(page.value(r#":tensorflow:serving:request_example_counts_count{model="frame"}"#), 1.0);
    let multi = r#"model="frame",version="1",rpc="MultiInference",protocol="gRPC""#;
    assert_eq!(page.value(&format!("longshore_request_duration_seconds_count{{{multi}}}")), 1.0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn made_up_names_make_no_series() {
    let server = TestServer::start(half()).await;
    let (mut client, rest) = (server.client().await, server.rest.unwrap());
    let before = read(rest).0.len();
    for i in 0..300 {
        client.ask(&format!("made up {i}"), None, 1.0).await.unwrap_err();
    }
    assert_eq!(post(rest, "/v1/models/made%20up:predict", r#"{"instances": [1]}"#), 404);
    let page = read(rest);
    let count = page.value(r#":tensorflow:serving:request_count{model_name=".unknown",status="NOT_FOUND"}"#);
    assert_eq!(count, 301.0);
    // One of theirs, and one of ours for each door.
    assert_eq!(page.0.len(), before + 3);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_retired_versions_series_go_and_its_models_stay() {
    let server = TestServer::start(half()).await;
    let (mut client, rest) = (server.client().await, server.rest.unwrap());
    client.ask("half", None, 2.0).await.unwrap();
    let page = read(rest);
    assert_eq!(page.value(r#"longshore_model_version_state{model="half",version="1"}"#), 30.0);
    let bytes = golden("half_plus_two.pkl").len() as f64;
    assert_eq!(page.value(r#"longshore_model_version_bytes{model="half",version="1"}"#), bytes);
    let load = page.value(r#"longshore_model_version_load_seconds{model="half",version="1"}"#);
    assert!((0.0..20.0).contains(&load) && load > 0.0);
    let path = server.repo.path("half/1").display().to_string();
    let attempts =
        format!(r#":tensorflow:cc:saved_model:load_attempt_count{{model_path="{path}",status="success"}}"#);
    assert_eq!(page.value(&attempts), 1.0);

    server.repo.drop_in("half", 2, &golden("half_plus_two.pkl"));
    client.until_served("half", 2).await;
    let start = Instant::now();
    let page = loop {
        let page = read(rest);
        if !page.0.keys().any(|series| series.contains(r#"version="1""#)) {
            break page;
        }
        assert!(start.elapsed() < PATIENCE, "version 1 is still told");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(!page.0.contains_key(&attempts));
    assert_eq!(page.value(r#"longshore_model_version_state{model="half",version="2"}"#), 30.0);
    assert_eq!(page.value(r#"longshore_model_loads_total{model="half",outcome="success"}"#), 2.0);
    let count = page.value(r#":tensorflow:serving:request_count{model_name="half",status="OK"}"#);
    assert!(count >= 2.0, "those of the old version are in it: {count}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_version_that_does_not_load_is_told() {
    let repo = half();
    repo.drop_in("broken", 1, b"no pickle");
    let server = TestServer::start(repo).await;
    let page = read(server.rest.unwrap());
    assert_eq!(page.value(r#"longshore_model_version_state{model="broken",version="1"}"#), 50.0);
    assert!(page.value(r#"longshore_model_loads_total{model="broken",outcome="failure"}"#) >= 1.0);
    let path = server.repo.path("broken/1").display().to_string();
    let attempts =
        format!(r#":tensorflow:cc:saved_model:load_attempt_count{{model_path="{path}",status="fail"}}"#);
    assert!(page.value(&attempts) >= 1.0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn recorded_requests_that_warm_a_version_up_are_counted() {
    let file =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/warmup/frame_good")).unwrap();
    let repo = Repo::new();
    let warm_up = ("assets.extra/tf_serving_warmup_requests", &file[..]);
    repo.drop_in_with("frame", 1, &inference::model("frame"), &[warm_up]);
    let server = TestServer::start(repo).await;
    let page = read(server.rest.unwrap());
    let path = server.repo.path("frame/1").display().to_string();
    let labels = format!(r#"model_path="{path}",status="OK""#);
    assert!(page.value(&format!(":tensorflow:serving:model_warmup_records_read{{{labels}}}")) >= 2.0);
    assert_eq!(page.value(&format!(":tensorflow:serving:model_warmup_latency_count{{{labels}}}")), 1.0);
    let bytes = page.value(r#"longshore_model_version_bytes{model="frame",version="1"}"#);
    assert_eq!(bytes, (file.len() + inference::model("frame").len()) as f64, "the files below count too");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn waits_batches_and_rejections_are_counted() {
    let parameters = longshore::config::batching_parameters(
        b"max_batch_size { value: 8 } batch_timeout_micros { value: 20000 } allowed_batch_sizes: [4, 8]",
    );
    let options = longshore::execution::BatchOptions::new(&parameters.unwrap()).unwrap();
    let change = |config| ServerConfig {
        batching: BatchingConfig::All(options),
        inline_below: Duration::ZERO,
        ..config
    };
    let server = TestServer::start_with_config(half(), change).await;
    let (client, rest) = (server.client().await, server.rest.unwrap());
    let three = |client: &Client| {
        let mut client = client.clone();
        async move { client.predict.predict(request("half", None, doubles(&[&[1.0], &[2.0], &[3.0]]))).await }
    };
    three(&client).await.unwrap();
    let nine: Vec<&[f64]> = vec![&[0.0]; 9];
    let refused = client.clone().predict.predict(request("half", None, doubles(&nine))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let page = read(rest);
    let session = ":tensorflow:serving:batching_session:";
    assert_eq!(page.value(&format!("{session}wrapped_run_count")), 1.0);
    assert_eq!(page.value(&format!(r#"{session}padding_size_sum{{execution_batch_size="4"}}"#)), 1.0);
    assert_eq!(page.value(&format!("{session}input_batch_size_sum")), 3.0);
    assert_eq!(page.value(&format!("{session}processed_batch_size_sum")), 4.0);
    let queuing = format!(r#"{session}queuing_latency_sum{{thread_pool_name=""}}"#);
    assert!(page.value(&queuing) >= 20_000.0, "it waited for company");
    let half = r#"model="half",version="1""#;
    assert_eq!(page.value(&format!("longshore_batch_rows_sum{{{half}}}")), 3.0);
    assert_eq!(page.value(&format!("longshore_batch_requests_count{{{half}}}")), 1.0);
    assert_eq!(page.value(&format!("longshore_batch_padding_rows_total{{{half}}}")), 1.0);
    assert_eq!(page.value(&format!("longshore_queue_depth{{{half}}}")), 0.0);
    assert_eq!(page.value(r#"longshore_rejections_total{model="half",reason="too_large"}"#), 1.0);
    let queue = format!(r#"{half},rpc="Predict",protocol="gRPC",stage="queue""#);
    let waited = page.value(&format!("longshore_request_stage_duration_seconds_sum{{{queue}}}"));
    assert!((0.02..10.0).contains(&waited), "{waited}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_heavy_models_wait_for_a_thread_is_counted() {
    let change = |config| ServerConfig { inline_below: Duration::ZERO, ..config };
    let server = TestServer::start_with_config(half(), change).await;
    let mut client = server.client().await;
    client.ask("half", None, 2.0).await.unwrap();
    let page = read(server.rest.unwrap());
    let queue = r#"model="half",version="1",rpc="Predict",protocol="gRPC",stage="queue""#;
    assert_eq!(page.value(&format!("longshore_request_stage_duration_seconds_count{{{queue}}}")), 1.0);
    assert_eq!(page.value(r#"longshore_queue_depth{model="half",version="1"}"#), 0.0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn records_of_the_request_log_are_counted() {
    let logs = tempfile::tempdir().unwrap();
    let rate = longshore::request_log::SamplingRate::try_from(1.0).unwrap();
    let log = RequestLogConfig { dir: Some((logs.path().to_owned(), rate)), ..Default::default() };
    let change = |config| ServerConfig { request_log: log, ..config };
    let server = TestServer::start_with_config(half(), change).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        client.ask("half", None, 2.0).await.unwrap();
    }
    let series = r#":tensorflow:serving:request_log_count{model_name="half",status_code="OK"}"#;
    let start = Instant::now();
    // They are written by a thread of their own.
    while read(server.rest.unwrap()).0.get(series) != Some(&3.0) {
        assert!(start.elapsed() < PATIENCE, "not counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_reload_tells_by_how_much_counters_rose() {
    let repo = half();
    let config = ServerConfig { models: Models::Listed(Some(Default::default())), ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;
    let model = pb::ModelConfig {
        name: "half".to_owned(),
        base_path: server.repo.path("half").display().to_string(),
        ..Default::default()
    };
    let list = Config::ModelConfigList(pb::ModelConfigList { config: vec![model] });
    let names = [
        "/tensorflow/cc/saved_model/load_attempt_count",
        ":tensorflow:serving:request_count",
        "/tensorflow/serving/no_such_thing",
    ];
    let asked = pb::ReloadConfigRequest {
        config: Some(pb::ModelServerConfig { config: Some(list) }),
        metric_names: names.map(str::to_owned).to_vec(),
    };
    for loads in [1, 0] {
        let answer = client.models.handle_reload_config_request(asked.clone()).await.unwrap().into_inner();
        let told: Vec<_> =
            answer.metric.into_iter().map(|metric| (metric.name, metric.value_increase)).collect();
        let rise = |value| Some(pb::metric::ValueIncrease::Int64ValueIncrease(value));
        let want: Vec<_> =
            names.iter().zip([loads, 0, 0]).map(|(name, value)| ((*name).to_owned(), rise(value))).collect();
        assert_eq!(told, want);
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_page_is_where_it_was_asked_for_and_as_prometheus_wants_it() {
    let server = TestServer::start(half()).await;
    let mut wire = Wire::open(server.rest.unwrap());
    let plain = wire.ask("GET", &format!("{PATH}?x=y"), &[], b"");
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let zipped = wire.ask("GET", PATH, &[("Accept-Encoding", "gzip")], b"");
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("# TYPE :tensorflow:serving:request_count counter\n"));
    assert_eq!(wire.ask("POST", PATH, &[], b"").status, 404);
    assert_eq!(wire.ask("GET", &format!("{PATH}/"), &[], b"").status, 404);
    server.stop().await.unwrap();

    let change = |config| ServerConfig { metrics_path: Some("/v1/models/metrics".to_owned()), ..config };
    let server = TestServer::start_with_config(half(), change).await;
    let mut wire = Wire::open(server.rest.unwrap());
    assert!(wire.ask("GET", "/v1/models/metrics", &[], b"").text().contains("longshore_build_info"));
    assert_eq!(wire.ask("GET", PATH, &[], b"").status, 404);
    server.stop().await.unwrap();

    let server =
        TestServer::start_with_config(half(), |config| ServerConfig { metrics_path: None, ..config }).await;
    assert_eq!(Wire::open(server.rest.unwrap()).ask("GET", PATH, &[], b"").status, 404);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_document_lists_every_metric_and_no_other() {
    let server = TestServer::start(half()).await;
    let answer = Wire::open(server.rest.unwrap()).ask("GET", PATH, &[], b"");
    let told: BTreeSet<String> = answer
        .text()
        .lines()
        .filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned()))
        .collect();
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let listed: BTreeSet<String> = document
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .filter(|name| name.contains('_'))
        .collect();
    // Told only where the system sets a limit.
    let sometimes =
        BTreeSet::from(["process_virtual_memory_max_bytes".to_owned(), "process_max_fds".to_owned()]);
    assert_eq!(&told | &sometimes, listed);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn signatures_of_other_methods_are_refused_where_that_was_asked_for() {
    let repo = Repo::with("frame", 1, &inference::model("frame"));
    let check = |config| ServerConfig { signature_method_name_check: true, ..config };
    let server = TestServer::start_with_config(repo, check).await;
    let mut client = server.client().await;
    let asked = |signature: &str| pb::ClassificationRequest {
        model_spec: spec("frame", None)
            .map(|spec| pb::ModelSpec { signature_name: signature.to_owned(), ..spec }),
        input: Some(inference::examples("frame")),
    };
    client.predict.classify(asked("classify")).await.unwrap();
    let refused = client.predict.classify(asked("predict_proba")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        refused.message(),
        "Expected classification signature method_name to be tensorflow/serving/classify. Was: \
         tensorflow/serving/predict"
    );
    server.stop().await.unwrap();
}
