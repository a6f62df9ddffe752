//! The command line and the list of models, through the real binary.

use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use hyper_util::rt::{TokioExecutor, TokioIo};
use longshore::config::flag_table::{FLAGS, Here, Kind};
use longshore::config::{CHANNEL_ARGUMENTS, ServeFlags, ServerConfig, normalize};
use longshore::proto::tensorflow::serving::model_service_client::ModelServiceClient;
use longshore::proto::tensorflow::serving::model_version_status::State;
use longshore::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use tonic::transport::Channel;

use crate::drain::{Process, ends_with};
use crate::server::{Client, PATIENCE, Repo, TestServer, config, doubles, golden, request};

/// Every flag of `tensorflow_model_server` 2.20 with its type. Source:
/// TensorFlow Serving 2.20, `model_servers/main.cc`.
const REFERENCE: &[(&str, Kind)] = &[
    ("port", Kind::Int32),
    ("grpc_socket_path", Kind::Text),
    ("rest_api_port", Kind::Int32),
    ("rest_api_num_threads", Kind::Int32),
    ("rest_api_timeout_in_ms", Kind::Int32),
    ("rest_api_enable_cors_support", Kind::Bool),
    ("enable_batching", Kind::Bool),
    ("allow_version_labels_for_unavailable_models", Kind::Bool),
    ("batching_parameters_file", Kind::Text),
    ("enable_per_model_batching_parameters", Kind::Bool),
    ("model_config_file", Kind::Text),
    ("model_config_file_poll_wait_seconds", Kind::Int32),
    ("model_name", Kind::Text),
    ("model_base_path", Kind::Text),
    ("num_load_threads", Kind::Int32),
    ("num_unload_threads", Kind::Int32),
    ("max_num_load_retries", Kind::Int32),
    ("load_retry_interval_micros", Kind::Int64),
    ("file_system_poll_wait_seconds", Kind::Int32),
    ("flush_filesystem_caches", Kind::Bool),
    ("tensorflow_session_parallelism", Kind::Int64),
    ("tensorflow_session_config_file", Kind::Text),
    ("tensorflow_intra_op_parallelism", Kind::Int64),
    ("tensorflow_inter_op_parallelism", Kind::Int64),
    ("use_alts_credentials", Kind::Bool),
    ("ssl_config_file", Kind::Text),
    ("platform_config_file", Kind::Text),
    ("per_process_gpu_memory_fraction", Kind::Float),
    ("saved_model_tags", Kind::Text),
    ("grpc_channel_arguments", Kind::Text),
    ("grpc_max_threads", Kind::Int32),
    ("enable_model_warmup", Kind::Bool),
    ("num_request_iterations_for_warmup", Kind::Int32),
    ("version", Kind::Bool),
    ("monitoring_config_file", Kind::Text),
    ("remove_unused_fields_from_bundle_metagraph", Kind::Bool),
    ("prefer_tflite_model", Kind::Bool),
    ("num_tflite_pools", Kind::Int32),
    ("num_tflite_interpreters_per_pool", Kind::Int32),
    ("enable_signature_method_name_check", Kind::Bool),
    ("xla_cpu_compilation_enabled", Kind::Bool),
    ("xla_gpu_compilation_enabled", Kind::Bool),
    ("enable_profiler", Kind::Bool),
    ("thread_pool_factory_config_file", Kind::Text),
    ("mixed_precision", Kind::Text),
    ("skip_initialize_tpu", Kind::Bool),
    ("enable_grpc_healthcheck_service", Kind::Bool),
    ("enable_serialization_as_tensor_content", Kind::Bool),
];

/// Flags of the reference that stand with the capability that they belong to, or
/// wait for it, and not in the table.
const ELSEWHERE: &[&str] = &[
    "rest_api_port",
    "rest_api_num_threads",
    "rest_api_timeout_in_ms",
    "rest_api_enable_cors_support",
    "enable_batching",
    "batching_parameters_file",
    "enable_per_model_batching_parameters",
    "monitoring_config_file",
];

#[derive(Parser)]
#[command(args_override_self = true, disable_version_flag = true)]
struct Line {
    #[command(flatten)]
    flags: ServeFlags,
}

fn parse(args: &[&str]) -> Result<ServeFlags, String> {
    let line = std::iter::once("longshore").chain(args.iter().copied()).map(Into::into);
    Line::try_parse_from(normalize(line)).map(|line| line.flags).map_err(|e| e.to_string())
}

fn resolve(args: &[&str]) -> Result<ServerConfig, String> {
    ServerConfig::resolve(&parse(args)?).map_err(|e| e.to_string())
}

#[test]
fn the_table_holds_every_flag_of_the_reference_in_its_order_and_type() {
    let here: Vec<_> = FLAGS.iter().map(|flag| (flag.name, flag.kind)).collect();
    let there: Vec<_> = REFERENCE.iter().copied().filter(|(name, _)| !ELSEWHERE.contains(name)).collect();
    assert_eq!(here, there);
}

#[test]
fn every_flag_takes_values_of_its_type_and_no_others() {
    for flag in FLAGS.iter().filter(|flag| flag.name != "grpc_channel_arguments") {
        let (good, bad): (&[&str], &[&str]) = match flag.kind {
            Kind::Bool => (&["true", "false"], &["yes", "1", ""]),
            Kind::Int32 => (&["1"], &["one", "1.5", "99999999999", ""]),
            Kind::Int64 => (&["1", "-1", "99999999999"], &["one", "1.5", ""]),
            Kind::Float => (&["0", "0.5"], &["half", ""]),
            Kind::Text => (&["a,b=c", ""], &[]),
        };
        for value in good {
            let outcome = parse(&[&format!("--{}={value}", flag.name)]);
            assert!(outcome.is_ok(), "--{}={value}: {outcome:?}", flag.name);
        }
        for value in bad {
            let error = parse(&[&format!("--{}={value}", flag.name)]).expect_err(flag.name);
            assert!(error.contains(flag.name), "{error}");
        }
        let bare = parse(&[&format!("--{}", flag.name.replace('_', "-"))]);
        assert_eq!(bare.is_ok(), flag.kind == Kind::Bool, "--{}", flag.name);
    }
}

#[test]
fn a_flag_that_does_nothing_says_why_and_one_that_must_not_be_ignored_is_refused() {
    for flag in FLAGS {
        let asks = match flag.kind {
            Kind::Bool => ["true", "false"],
            Kind::Text => ["something", "something"],
            _ => ["7", "7"],
        };
        match flag.here {
            Here::Honoured(_) => {}
            Here::Ignored { why, quiet } => {
                let asks = asks.iter().find(|value| **value != quiet).unwrap();
                let warnings = resolve(&[&format!("--{}={asks}", flag.name)]).unwrap().warnings;
                assert_eq!(warnings, [format!("--{} has no effect: {why}", flag.name)]);
                if !quiet.is_empty() {
                    let config = resolve(&[&format!("--{}={quiet}", flag.name)]).unwrap();
                    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
                }
            }
            Here::Refused { why, quiet } => {
                let error = resolve(&[&format!("--{}={}", flag.name, asks[0])]).unwrap_err();
                assert_eq!(error, format!("--{}: {why}", flag.name));
                let config = resolve(&[&format!("--{}={quiet}", flag.name)]).unwrap();
                assert!(config.warnings.is_empty(), "{:?}", config.warnings);
            }
        }
    }
    ends_with(
        &["--ssl_config_file=/etc/ssl.cfg"],
        64,
        "--ssl_config_file: Invalid protobuf file: '/etc/ssl.cfg'",
    );
    ends_with(&["--use_alts_credentials"], 64, "--use_alts_credentials: ALTS is not supported");
}

#[test]
fn the_docs_show_the_table() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flags.md")).unwrap();
    let mut missing = Vec::new();
    for flag in FLAGS {
        let kind = match flag.kind {
            Kind::Bool => "bool",
            Kind::Int32 => "int32",
            Kind::Int64 => "int64",
            Kind::Float => "float",
            Kind::Text => "text",
        };
        let here = match flag.here {
            Here::Honoured(how) => how.to_owned(),
            Here::Ignored { why, .. } => format!("*ignored with a warning*: {why}"),
            Here::Refused { why, .. } => format!("**refused**: {why}"),
        };
        missing.push(format!("| `{}` | {kind} | {here} |", flag.name));
    }
    missing.extend(CHANNEL_ARGUMENTS.iter().map(|(name, what)| format!("| `{name}` | {what} |")));
    missing.retain(|row| !docs.contains(row.as_str()));
    assert!(missing.is_empty(), "docs/flags.md lacks these rows:\n{}", missing.join("\n"));
}

#[test]
fn the_last_of_two_counts_as_container_entry_points_rely_on() {
    let config =
        resolve(&["--port=8500", "--model_base_path=/a", "--port=9000", "--model_base_path=/b"]).unwrap();
    assert_eq!(config.grpc_address.unwrap().port(), 9000);
    assert_eq!(config.models, longshore::config::Models::Single("default".parse().unwrap(), "/b".into()));
}

#[test]
fn numbers_mean_what_the_table_says() {
    let retries = |args: &[&str]| resolve(args).unwrap().retries;
    assert_eq!(retries(&[]).most, None);
    let given = retries(&["--max_num_load_retries=0", "--load_retry_interval_micros=2500000"]);
    assert_eq!(
        (given.most, given.pause_first, given.pause_max),
        (Some(0), Duration::from_millis(2500), Duration::from_millis(2500))
    );
    assert_eq!(retries(&["--load_retry_interval_micros=-1"]).pause_max, Duration::from_millis(10));
    assert_eq!(resolve(&["--num_unload_threads=0"]).unwrap().unload_threads, 1);
    assert_eq!(resolve(&["--port=0"]).unwrap().grpc_address.unwrap().port(), 0);
    assert_eq!(resolve(&["--port=0", "--grpc_socket_path=/s"]).unwrap().grpc_address, None);
    assert!(resolve(&["--port=1", "--grpc_socket_path=/s"]).unwrap().grpc_address.is_some());
    let error = resolve(&["--grpc_channel_arguments=grpc.so_reuseport=1,grpc.arg"]).unwrap_err();
    assert_eq!(error, "--grpc_channel_arguments: expected name=value, got \"grpc.arg\"");
    let all = ["session", "intra_op", "inter_op"].map(|which| format!("--tensorflow_{which}_parallelism=2"));
    let error = resolve(&all.each_ref().map(String::as_str)).unwrap_err();
    assert!(error.contains("cannot be set beside both"), "{error}");
    assert!(resolve(&[&all[0], &all[1]]).unwrap().warnings.is_empty());
}

#[test]
fn the_version_is_ours_and_the_references_two_lines() {
    let version = env!("CARGO_PKG_VERSION");
    let lines = format!(
        "longshore {version}\nTensorFlow ModelServer: 2.20.0-longshore-{version}\nTensorFlow Library: none\n"
    );
    ends_with(&["--version"], 0, &lines);
    ends_with(&["--version=true"], 0, &lines);
    ends_with(&["serve", "-V"], 0, &lines);
}

/// What the binary says to a list of models that it refuses with 64.
#[track_caller]
fn refused(content: &str, says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("models.config");
    fs::write(&file, content).unwrap();
    ends_with(&[&format!("--model_config_file={}", file.display()), "--port=0"], 64, says);
}

fn list(models: &[&str]) -> String {
    let models: String = models.iter().map(|model| format!("  config {{ {model} }}\n")).collect();
    format!("# The served models.\nmodel_config_list {{\n{models}}}\n")
}

#[test]
fn what_is_no_model_server_config_is_refused_with_line_and_column() {
    const PARSE: &str = "Error parsing text-format tensorflow.serving.ModelServerConfig: ";
    refused("improper model config", &format!("{PARSE}1:10: "));
    refused(
        "model_config_list {\n  config {\n    nmae: 'x'\n  }\n}",
        &format!("{PARSE}3:5: field 'nmae' not found"),
    );
    refused("model_config_list {\n  config { name: 7 }\n}", &format!("{PARSE}2:18: "));
    refused("model_config_list {\n", &format!("{PARSE}2:1: "));
    refused("model_config_list {}\n\u{e9}", &format!("{PARSE}2:1: "));
    refused("x {", "Invalid protobuf file: '/");
    ends_with(
        &["--model_config_file=/nowhere/models.config", "--port=0"],
        64,
        "Failed to read ModelServerConfig file: /nowhere/models.config: ",
    );
    ends_with(&["--model_config_file=/x", "--model_repository=/y"], 64, "exclude each other");
}

#[test]
fn every_rule_of_a_list_is_told_in_the_references_words() {
    let m = "name: 'm' base_path: '/m' model_platform: 'tensorflow'";
    refused(&list(&[m, m]), "Illegal to list model m multiple times in config list");
    refused(
        &list(&["name: 'm' base_path: 'here/m' model_platform: 'tensorflow'"]),
        "Expected model m to have an absolute path or URI; got base_path()=here/m",
    );
    refused(&list(&["name: 'm'"]), "Expected model m to have an absolute path or URI; got base_path()=");
    refused(&list(&["name: 'm' base_path: 'gs://b/m'"]), "gs:// is not read by this build");
    refused(
        &list(&["name: 'm' base_path: '/m' model_platform: 'tensorflow' model_type: TENSORFLOW"]),
        "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, \
         model name is m",
    );
    refused(
        &list(&["name: 'm' base_path: '/m' model_platform: 'cafe'"]),
        "Model m requests unsupported platform cafe",
    );
    refused(
        &list(&["name: 'm' base_path: '/m' model_type: OTHER"]),
        "Model m requests unsupported platform OTHER",
    );
    refused(&list(&["name: 'a/b' base_path: '/m'"]), "\"a/b\" is not a model name");
    refused(
        "custom_model_config { type_url: 'x' }",
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently \
         supported",
    );
}

async fn client(channel: Channel) -> Client {
    Client {
        predict: PredictionServiceClient::new(channel.clone()),
        models: ModelServiceClient::new(channel),
    }
}

async fn client_at(address: &str) -> Client {
    client(Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()).await
}

async fn client_of_socket(path: &Path) -> Client {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("unix:{}", path.display())).unwrap();
    client(endpoint.connect().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_models_is_served_with_its_policies_and_labels() {
    let repo = Repo::with("a", 1, &golden("half_plus_two.pkl"));
    for (model, version) in [("a", 2), ("a", 3), ("b", 1), ("b", 2)] {
        repo.drop_in(model, version, &golden("half_plus_two.pkl"));
    }
    let root = repo.root();
    let root = root.display();
    let file = repo.path("models.config");
    let content = list(&[
        &format!("name: 'latest' base_path: '{root}/a'"),
        &format!(
            "name: 'two' base_path: 'file://{root}/a' model_platform: 'sklearn' model_version_policy {{ latest {{ num_versions: 2 }} }}"
        ),
        &format!(
            "name: 'all' base_path: '{root}/a' model_version_policy {{ all {{}} }} version_labels {{ key: 'stable' value: 1 }} version_labels {{ key: 'gone' value: 9 }}"
        ),
        &format!(
            "name: 'some' base_path: '{root}/a' model_version_policy {{ specific {{ versions: 1 versions: 3 versions: 8 }} }}"
        ),
        &format!("name: 'none' base_path: '{root}/a' model_version_policy {{ specific {{}} }}"),
        &format!(
            "name: 'logged' base_path: '{root}/b' logging_config {{ log_collector_config {{ filename_prefix: '{root}/log' }} }}"
        ),
        &format!("name: 'other' base_path: '{root}/b' model_platform: 'onnx'"),
        "name: 'missing' base_path: '/nowhere/at/all'",
    ]);
    fs::write(&file, content).unwrap();
    // As the reference's container starts it: the list goes before the one model.
    let (process, address) = Process::start_with(&[
        "--port=0",
        "--model_name=model",
        "--model_base_path=/models/model",
        &format!("--model_config_file={}", file.display()),
    ]);
    let mut client = client_at(&address).await;
    let available = |status: Vec<(i64, State, String)>| {
        let available = status.into_iter().filter(|version| version.1 == State::Available);
        available.map(|version| version.0).collect::<Vec<_>>()
    };
    for (model, versions) in [
        ("latest", &[3][..]),
        ("two", &[3, 2]),
        ("all", &[3, 2, 1]),
        ("some", &[3, 1]),
        ("none", &[]),
        ("logged", &[2]),
        ("other", &[]),
        ("missing", &[]),
    ] {
        client.until_status(model, |status| available(status.to_vec()) == versions).await;
    }
    let other = client.status("other").await;
    assert!(other[0].2.contains("platform sklearn, and is said to be of platform onnx"), "{other:?}");
    process.signal("TERM");
    let (code, log) = process.end();
    assert_eq!(code, Some(0));
    for words in [
        "Request to assign label to version 9 of model all, which is not currently available for inference",
        "model logged: logging_config records nothing",
        "--model_base_path has no effect",
        "cannot look for versions of missing",
        "the version policy names what is not there: 8",
    ] {
        let said =
            |line: &serde_json::Value| line["message"].as_str().is_some_and(|text| text.contains(words));
        assert!(log.iter().any(said), "{words}: {log:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_at_all_and_an_empty_list_are_served() {
    for content in ["", "# nothing\n", "model_config_list {}"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("models.config");
        fs::write(&file, content).unwrap();
        let flag = format!("--model_config_file={}", file.display());
        let (process, address) = Process::start_with(&["--port=0", &flag]);
        let mut client = client_at(&address).await;
        assert_eq!(client.ask("m", None, 1.0).await.unwrap_err().code(), tonic::Code::NotFound);
        process.signal("TERM");
        assert_eq!(process.end().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_served_beside_the_port_and_instead_of_it() {
    let repo = Repo::with("m", 1, &golden("half_plus_two.pkl"));
    let root = format!("--model_repository={}", repo.root().display());
    let path = repo.path("longshore.sock");
    let socket = format!("--grpc_socket_path={}", path.display());
    // A socket that nobody listens on any more is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let (process, address) = Process::start_with(&[&root, &socket, "--port=0"]);
    assert_eq!(address, format!("unix:{}", path.display()));
    assert_eq!(client_of_socket(&path).await.ask("m", None, 2.0).await.unwrap().0, 1);
    process.signal("TERM");
    assert_eq!(process.end().0, Some(0));
    assert!(!path.exists(), "it is taken away at the end");

    fs::write(&path, "a file of somebody's").unwrap();
    ends_with(&[&root, &socket, "--port=0"], 1, "cannot listen on unix:");
    assert!(path.exists());
    fs::remove_file(&path).unwrap();

    let config = ServerConfig { grpc_socket: Some(path.clone()), ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    assert_eq!(client_of_socket(&path).await.ask("m", None, 2.0).await.unwrap().0, 1);
    assert_eq!(server.client().await.ask("m", None, 2.0).await.unwrap().0, 1);
    server.stop().await.unwrap();
}

async fn with_arguments(arguments: &str) -> TestServer {
    let repo = Repo::with("m", 1, &golden("half_plus_two.pkl"));
    let (grpc, warnings) = longshore::config::GrpcOptions::parse(arguments).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let config = ServerConfig { grpc, ..config(repo.root()) };
    TestServer::start_with(repo, config).await
}

#[tokio::test]
async fn an_old_connection_is_told_to_go_away() {
    let server = with_arguments("grpc.max_connection_age_ms=300,grpc.max_connection_age_grace_ms=5000").await;
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let began = std::time::Instant::now();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (_sender, connection) = handshake
        .await
        .map(|(sender, connection): (hyper::client::conn::http2::SendRequest<tonic::body::Body>, _)| {
            (sender, connection)
        })
        .unwrap();
    tokio::time::timeout(PATIENCE, connection).await.expect("an end").unwrap();
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    // Others are taken.
    server.client().await.ask("m", None, 2.0).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_without_requests_is_told_to_go_away() {
    let server = with_arguments("grpc.max_connection_idle_ms=300").await;
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection): (hyper::client::conn::http2::SendRequest<tonic::body::Body>, _) =
        handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let mut health = |method: &str| {
        let request =
            hyper::Request::post(format!("http://{}/grpc.health.v1.Health/{method}", server.address))
                .header("content-type", "application/grpc")
                .header("te", "trailers");
        let body = http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5]));
        sender.send_request(request.body(tonic::body::Body::new(body)).unwrap())
    };
    // A call that goes on is a sign of life, however long it is silent.
    let watch = health("Watch").await.unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(!connection.is_finished());
    assert!(health("Check").await.unwrap().status().is_success());
    drop(watch);
    let began = std::time::Instant::now();
    tokio::time::timeout(PATIENCE, connection).await.expect("an end").unwrap().unwrap();
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn answers_are_gzipped_when_asked_to() {
    let server = with_arguments("grpc.default_compression_algorithm=2").await;
    let mut client = server.client().await;
    let plain = client.predict.predict(request("m", None, doubles(&[&[1.0]]))).await.unwrap();
    assert!(plain.metadata().get("grpc-encoding").is_none(), "only for those who take it");
    client.predict = client.predict.clone().accept_compressed(tonic::codec::CompressionEncoding::Gzip);
    let zipped = client.predict.predict(request("m", None, doubles(&[&[1.0]]))).await.unwrap();
    assert_eq!(zipped.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(plain.into_inner(), zipped.into_inner());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_message_is_bounded_by_channel_arguments() {
    let server = with_arguments("grpc.max_receive_message_length=200").await;
    let mut client = server.client().await;
    client.ask("m", None, 2.0).await.unwrap();
    let many = vec![&[1.0][..]; 100];
    let error = client.predict.predict(request("m", None, doubles(&many))).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::OutOfRange, "{error:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn answers_carry_tensor_content_when_asked_to() {
    let repo = Repo::with("m", 1, &golden("half_plus_two.pkl"));
    let config = ServerConfig { tensor_content: true, ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let answer = server.client().await.predict.predict(request("m", None, doubles(&[&[2.0]]))).await.unwrap();
    let output = &answer.get_ref().outputs["predictions"];
    let content: [u8; 8] = output.tensor_content.as_ref().try_into().unwrap();
    assert!((f64::from_le_bytes(content) - 3.0).abs() < 1e-9);
    assert!(output.double_val.is_empty());
    server.stop().await.unwrap();
}
