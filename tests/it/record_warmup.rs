//! `longshore record-warmup`: what was asked becomes a file that the next version is
//! warmed up with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use longshore::config::ServerConfig;
use longshore::formats::tfrecord;
use longshore::proto::tensorflow::serving as pb;
use pb::model_version_status::State;
use pb::prediction_log::LogType;
use prost::Message as _;

use crate::inference;
use crate::request_log::{self, recording};
use crate::rest::ask;
use crate::server::{PATIENCE, Repo, TestServer, doubles, golden, request};

const FILE: &str = "assets.extra/tf_serving_warmup_requests";

fn run(args: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longshore")).arg("record-warmup").args(args).output().unwrap()
}

#[track_caller]
fn fine(args: &[String]) -> String {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), errors.as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(args: &[String], code: i32, words: &[&str]) {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    for word in words {
        assert!(errors.contains(word), "{errors}");
    }
}

fn records(path: &Path) -> Vec<pb::PredictionLog> {
    let records = tfrecord::records(fs::read(path).unwrap().into());
    records.map(|record| pb::PredictionLog::decode(record.unwrap()).unwrap()).collect()
}

fn logs(folder: &Path) -> Vec<String> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| path.to_str().unwrap().to_owned()).collect()
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// A version's folder that nobody serves yet.
fn aside(folder: &Path, model: &str) -> PathBuf {
    let version = folder.join("aside");
    fs::create_dir(&version).unwrap();
    fs::write(version.join("model.pkl"), inference::model(model)).unwrap();
    version
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_traffic_warms_up_the_next_version() {
    let dir = tempfile::tempdir().unwrap();
    let logs_dir = dir.path().join("logs");
    let repo = Repo::with("two", 1, &inference::model("two"));
    repo.drop_in("half", 1, &golden("half_plus_two.pkl"));
    let log = recording(&logs_dir, 1.0);
    let server = TestServer::start_with_config(repo, |c| ServerConfig { request_log: log, ..c }).await;
    let mut client = server.client().await;
    for i in 0..20 {
        let row: &[f64] = &[f64::from(i), -1.0, 2.0];
        client.predict.predict(request("two", None, doubles(&[row]))).await.unwrap();
        let body = format!("{{\"examples\": [{{\"inputs\": [{i}.5, 0.5, 2.5]}}]}}");
        let answer = ask(server.rest.unwrap(), "POST", "/v1/models/two:classify", &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    client.ask("half", None, 1.0).await.unwrap();
    let start = Instant::now();
    while request_log::records(&logs_dir, "two").len() < 40
        || request_log::records(&logs_dir, "half").is_empty()
    {
        assert!(start.elapsed() < PATIENCE, "the requests are not written");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let next = aside(dir.path(), "two");
    let (version, logs) = (flag("version_dir", &next), logs(&logs_dir));
    let with = |more: &[&str]| {
        let mut args = vec![version.clone(), "--request-log".to_owned()];
        args.extend(logs.iter().cloned());
        args.extend(more.iter().map(ToString::to_string));
        args
    };
    refused(&with(&[]), 1, &["records of several models (half, two); say which with --model_name"]);
    // Not one of another model's requests is answered, so that there is no file.
    refused(
        &with(&["--model_name=half"]),
        1,
        &["there is no request that could be recorded: X has 1 features"],
    );
    assert!(!next.join(FILE).exists());
    let said = fine(&with(&["--records=15", "--model_name", "two"]));
    assert!(said.contains("wrote 15 requests to") && said.contains("has 40 of this model"), "{said}");
    let file = records(&next.join(FILE));
    let (mut predicts, mut classifies) = (0, 0);
    for log in &file {
        match log.log_type.as_ref().unwrap() {
            LogType::PredictLog(log) => {
                predicts += u32::from(log.request.is_some() && log.response.is_none())
            }
            LogType::ClassifyLog(log) => {
                classifies += u32::from(log.request.is_some() && log.response.is_none());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(predicts > 2 && classifies > 2 && predicts + classifies == 15, "{predicts} and {classifies}");

    // A version that answers them is served; the same file keeps out one that does not.
    let bytes = fs::read(next.join(FILE)).unwrap();
    fs::rename(&next, server.repo.path("two/2")).unwrap();
    client.until_status("two", |status| status[0].0 == 2 && status[0].1 == State::Available).await;
    server.repo.drop_in_with("half", 2, &golden("half_plus_three.pkl"), &[(FILE, &bytes)]);
    let status = client.until_status("half", |s| s[0].0 == 2 && !s[0].2.is_empty()).await;
    assert!(status[0].2.contains("(warm-up record 0 of "), "{status:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn json_requests_warm_up_a_version() {
    let dir = tempfile::tempdir().unwrap();
    let version = aside(dir.path(), "two");
    let requests = dir.path().join("requests.json");
    let (version_flag, requests_flag) = (flag("version_dir", &version), flag("requests", &requests));
    let args = [version_flag.as_str(), requests_flag.as_str()].map(str::to_owned);
    fs::write(
        &requests,
        "{\"instances\": [[1, 2, 3], [4, 5, 6]]}\n{\"inputs\": [[0.5, 1, 2]], \"signature_name\": \"predict_proba\"}\n\
         [{\"examples\": [{\"inputs\": [1.0, 2.0, 3.0]}]}]\n",
    )
    .unwrap();
    assert!(fine(&args).starts_with("wrote 3 requests to "));
    let types: Vec<LogType> =
        records(&version.join(FILE)).into_iter().map(|log| log.log_type.unwrap()).collect();
    let [LogType::PredictLog(rows), LogType::PredictLog(columns), LogType::ClassifyLog(classify)] =
        &types[..]
    else {
        panic!("{types:#?}")
    };
    // DT_DOUBLE is what the signature says, whatever the JSON looks like.
    let input = &rows.request.as_ref().unwrap().inputs["inputs"];
    let sent: Vec<u8> = [1f64, 2., 3., 4., 5., 6.].into_iter().flat_map(f64::to_le_bytes).collect();
    assert_eq!((input.dtype, &input.tensor_content[..]), (2, &sent[..]));
    let spec = columns.request.as_ref().unwrap().model_spec.as_ref().unwrap();
    assert_eq!(spec.signature_name, "predict_proba");
    assert!(classify.request.as_ref().unwrap().input.is_some());

    let repo = Repo::new();
    fs::create_dir(repo.path("m")).unwrap();
    fs::rename(&version, repo.path("m/7")).unwrap();
    let server = TestServer::start(repo).await;
    let mut client = server.client().await;
    assert_eq!(client.status("m").await, [(7, State::Available, String::new())]);
    server.stop().await.unwrap();
}

#[test]
fn what_a_version_cannot_answer_is_told_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let version = aside(dir.path(), "two");
    let requests = dir.path().join("requests.json");
    let args = [flag("version_dir", &version), flag("requests", &requests)];
    for (text, words) in [
        (
            "{\"instances\": [[1, 2, 3]]} {\"instances\": [[1]]}",
            "requests.json: request 1: X has 1 features, but LogisticRegression is expecting 3 features as input.",
        ),
        ("{\"instances\": [[1, 2, 3]]} {\"instances\": [[1]}", "request 1: JSON Parse error: "),
        ("{\"instances\": [[true]]}", "request 0: Failed to process element: 0 of 'instances' list."),
        ("[]", "there is no request that could be recorded"),
    ] {
        fs::write(&requests, text).unwrap();
        refused(&args, 1, &[words]);
    }
    fs::write(&requests, "{\"instances\": [[1, 2, 3]]}\n".repeat(1001)).unwrap();
    refused(&args, 1, &["1001 requests are more than a warm-up file may have (1000)"]);
    let junk = flag("request_log", &requests);
    refused(&[args[0].clone(), junk], 1, &["requests.json: corrupted record at 0"]);
    refused(&[args[0].clone(), flag("requests", Path::new("/nowhere"))], 1, &["/nowhere: No such file"]);
    refused(&[flag("version_dir", dir.path()), args[1].clone()], 1, &["the version cannot be loaded"]);
    refused(&args[..1], 64, &["--requests"]);
    refused(&[args[0].clone(), args[1].clone(), "--records=1001".to_owned()], 64, &["1001", "1..=1000"]);
    assert!(!version.join("assets.extra").exists());
}
