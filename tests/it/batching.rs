//! Batching as clients see it: real requests to a real model, over real sockets.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser as _;
use longshore::config::{ServeFlags, ServerConfig};
use longshore::proto::tensorflow::serving::model_version_status::State;
use prost::Message as _;
use tonic::{Code, Status};

use crate::server::{Client, Repo, TestServer, config, doubles, golden, request};
use crate::wire::Grpc;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    flags: ServeFlags,
}

/// A configuration in which no model is cheap, and the batching of a command line.
fn batched(repo: &Repo, flags: &[&str]) -> ServerConfig {
    let line = Line::try_parse_from(std::iter::once("longshore").chain(flags.iter().copied())).unwrap();
    let told = ServerConfig::resolve(&line.flags).unwrap();
    ServerConfig {
        batching: told.batching,
        compute_threads: told.compute_threads,
        compute_thread_name: told.compute_thread_name,
        inline_below: Duration::ZERO,
        ..config(repo.root())
    }
}

/// The half-plus-two model, batched as `parameters` say.
async fn server(parameters: &str) -> TestServer {
    let repo = Repo::with("half", 1, &golden("half_plus_two.pkl"));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), parameters).unwrap();
    let path = format!("--batching_parameters_file={}", file.path().display());
    let config = batched(&repo, &["--enable_batching", &path]);
    TestServer::start_with(repo, config).await
}

/// Predictions for these numbers, one row each.
async fn ask(client: &Client, xs: &[f64]) -> Result<Vec<f64>, Status> {
    let rows: Vec<[f64; 1]> = xs.iter().map(|&x| [x]).collect();
    let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
    let answer = client.predict.clone().predict(request("half", None, doubles(&rows))).await?;
    Ok(answer.into_inner().outputs["predictions"].double_val.clone())
}

#[tokio::test]
async fn answers_are_to_the_bit_those_without_batching() {
    let plain = TestServer::start(Repo::with("half", 1, &golden("half_plus_two.pkl"))).await;
    let parameters = "max_batch_size { value: 16 } batch_timeout_micros { value: 1500 } \
                      max_enqueued_batches { value: 1000 } num_batch_threads { value: 2 } \
                      allowed_batch_sizes: [4, 16]";
    let server = server(parameters).await;
    let (client, reference) = (server.client().await, plain.client().await);
    let mut asked = Vec::new();
    for i in 0..200_u32 {
        let (client, reference) = (client.clone(), reference.clone());
        asked.push(tokio::spawn(async move {
            let xs: Vec<f64> = (0..1 + i % 5).map(|j| f64::from(i * 7 + j).sqrt() - 20.0).collect();
            let (got, want) = tokio::join!(ask(&client, &xs), ask(&reference, &xs));
            let bits = |ys: Vec<f64>| ys.into_iter().map(f64::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(got.unwrap()), bits(want.unwrap()), "request {i}");
        }));
    }
    for task in asked {
        task.await.unwrap();
    }
    server.stop().await.unwrap();
    plain.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_waits_for_company_and_not_when_there_is_enough() {
    let timeout = Duration::from_millis(1500);
    let server = server("max_batch_size { value: 4 } batch_timeout_micros { value: 1500000 }").await;
    let client = server.client().await;
    let start = Instant::now();
    let (a, b, c) = tokio::join!(ask(&client, &[0.0]), ask(&client, &[2.0, 4.0]), ask(&client, &[6.0]));
    assert!(start.elapsed() < timeout, "a full batch waited");
    assert_eq!((a.unwrap().len(), b.unwrap().len(), c.unwrap().len()), (1, 2, 1));
    let start = Instant::now();
    ask(&client, &[1.0]).await.unwrap();
    assert!(start.elapsed() >= timeout, "one that was alone did not wait");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn one_bad_request_does_not_spoil_its_batch() {
    // All eight make one full batch, which is what they wait for.
    let server = server("max_batch_size { value: 8 } batch_timeout_micros { value: 10000000 }").await;
    let client = server.client().await;
    let mut asked = Vec::new();
    for i in 0..8_u32 {
        let client = client.clone();
        let x = if i == 3 { f64::NAN } else { f64::from(i) };
        asked.push(tokio::spawn(async move { ask(&client, &[x]).await }));
    }
    for (i, task) in (0..8_u32).zip(asked) {
        match task.await.unwrap() {
            Err(status) if i == 3 => {
                assert_eq!(status.code(), Code::InvalidArgument);
                assert!(status.message().contains("NaN"), "{status:?}");
            }
            answer => {
                let y = answer.unwrap()[0];
                assert!((y - f64::from(i) / 2.0 - 2.0).abs() < 1e-12, "{y}");
            }
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_does_not_fit_is_told_in_the_references_words() {
    let parameters = "max_batch_size { value: 2 } max_enqueued_batches { value: 1 } \
                      batch_timeout_micros { value: 1000000 }";
    let server = server(parameters).await;
    let client = server.client().await;
    let status = ask(&client, &[1.0, 2.0, 3.0]).await.unwrap_err();
    let text = "Task size 3 is larger than maximum input batch size 2";
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, text));

    let (waits, refused) = tokio::join!(ask(&client, &[1.0]), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let start = Instant::now();
        let status = ask(&client, &[1.0, 2.0]).await.unwrap_err();
        assert!(start.elapsed() < Duration::from_millis(500), "a refusal is not kept waiting");
        status
    });
    assert_eq!(waits.unwrap().len(), 1);
    let text = "The batch scheduling queue to which this task was submitted is full; currently 1 batches \
                enqueued and max_enqueued_batches is 1";
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, text));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_queue_is_resource_exhausted() {
    let server = server("max_batch_size { value: 8 } batch_timeout_micros { value: 5000000 }").await;
    let grpc = Grpc::open(server.address).await;
    let message = request("half", None, doubles(&[&[1.0]])).encode_to_vec();
    let start = Instant::now();
    let timeout = Some(Duration::from_millis(60));
    let answer = grpc.call_within("PredictionService/Predict", &message, timeout).await;
    assert!(start.elapsed() < Duration::from_secs(2));
    let late = "Run() timeout exceeded while waiting in batching queue".to_owned();
    assert_eq!(answer, Err((Code::ResourceExhausted, late)));
    server.stop().await.unwrap();
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_model_and_a_version_have_batching_of_their_own() {
    let repo = Repo::new();
    let folder = tempfile::tempdir().unwrap();
    let version = |model: &str, parameters: Option<&str>| {
        let made = folder.path().join(model);
        fs::create_dir(&made).unwrap();
        fs::write(made.join("model.pkl"), golden("half_plus_two.pkl")).unwrap();
        if let Some(text) = parameters {
            write(&made.join("batching_params.pbtxt"), text);
        }
        fs::create_dir(repo.path(model)).unwrap();
        fs::rename(made, repo.path(&format!("{model}/1"))).unwrap();
    };
    version("version", Some("max_batch_size { value: 1 }"));
    version("broken", Some("max_batch_size {\n  valu: 1 }"));
    version("wrong", Some("max_batch_size { value: 2 } allowed_batch_sizes: 1"));
    version("plain", None);
    version("model", None);
    write(&repo.path("model/model.toml"), "[batching]\nmax_batch_size = 1\n");
    version("impossible", None);
    write(&repo.path("impossible/model.toml"), "[batching]\nmax_batch_size = 0\n");
    let config = batched(&repo, &["--enable_batching", "--enable_per_model_batching_parameters"]);
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;

    for model in ["version", "model"] {
        let status = client.predict.predict(request(model, None, doubles(&[&[1.0], &[2.0]]))).await;
        let text = "Task size 2 is larger than maximum input batch size 1";
        assert_eq!(status.unwrap_err().message(), text, "{model}");
        client.ask(model, None, 1.0).await.unwrap();
    }
    let many: Vec<&[f64]> = vec![&[1.0]; 2000];
    client.predict.predict(request("plain", None, doubles(&many))).await.unwrap();
    for (model, words) in [
        (
            "broken",
            "batching_params.pbtxt: Error parsing text-format tensorflow.serving.BatchingParameters: 2:3",
        ),
        (
            "wrong",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 1; expected 2",
        ),
        ("impossible", "[batching]: max_batch_size must be positive; was 0"),
    ] {
        let status =
            client.until_status(model, |status| status.iter().any(|(.., why)| !why.is_empty())).await;
        assert_ne!(status[0].1, State::Available);
        assert!(status[0].2.contains(words), "{}", status[0].2);
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_model_can_stay_out_of_batching() {
    let repo = Repo::with("half", 1, &golden("half_plus_two.pkl"));
    write(&repo.path("half/model.toml"), "[batching]\nenabled = false\n");
    let config = batched(&repo, &["--enable_batching"]);
    let server = TestServer::start_with(repo, config).await;
    let client = server.client().await;
    // More rows than a batch may have.
    assert_eq!(ask(&client, &vec![1.0; 1001]).await.unwrap().len(), 1001);
    server.stop().await.unwrap();
}
