//! The list of models is replaced while it is served, by a client and by its file.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use longshore::config::{ModelConfigFile, Models, ReloadOptions, ServerConfig, read_model_config};
use longshore::proto::tensorflow::serving as pb;
use longshore::proto::tensorflow::serving::model_version_status::State;
use pb::file_system_storage_path_source_config::ServableVersionPolicy;
use pb::file_system_storage_path_source_config::servable_version_policy::{
    All, Latest, PolicyChoice, Specific,
};
use pb::model_server_config::Config;
use pb::model_spec::VersionChoice;
use tonic::{Code, Status};

use crate::server::{Client, PATIENCE, Repo, TestServer, config, doubles, golden, request};

/// A model in the folder of its name, every version of it.
fn model(repo: &Repo, name: &str) -> pb::ModelConfig {
    pb::ModelConfig {
        name: name.to_owned(),
        base_path: repo.path(name).display().to_string(),
        model_version_policy: policy(PolicyChoice::All(All {})),
        ..Default::default()
    }
}

fn policy(choice: PolicyChoice) -> Option<ServableVersionPolicy> {
    Some(ServableVersionPolicy { policy_choice: Some(choice) })
}

fn labelled(model: pb::ModelConfig, labels: &[(&str, i64)]) -> pb::ModelConfig {
    let version_labels = labels.iter().map(|(label, version)| ((*label).to_owned(), *version)).collect();
    pb::ModelConfig { version_labels, ..model }
}

fn list(models: &[pb::ModelConfig]) -> Option<pb::ModelServerConfig> {
    let config = Some(Config::ModelConfigList(pb::ModelConfigList { config: models.to_vec() }));
    Some(pb::ModelServerConfig { config })
}

async fn reload_as(
    client: &mut Client,
    config: Option<pb::ModelServerConfig>,
) -> Result<pb::ReloadConfigResponse, Status> {
    let request = pb::ReloadConfigRequest { config, metric_names: vec![] };
    let answer = tokio::time::timeout(PATIENCE, client.models.handle_reload_config_request(request));
    answer.await.expect("an answer in time").map(tonic::Response::into_inner)
}

async fn reload(client: &mut Client, models: &[pb::ModelConfig]) -> Result<(), Status> {
    let answer = reload_as(client, list(models)).await?;
    assert_eq!(answer.status, Some(pb::StatusProto { error_code: 0, error_message: String::new() }));
    Ok(())
}

#[track_caller]
fn refused(outcome: Result<(), Status>, code: Code, says: &str) {
    let status = outcome.expect_err("must be refused");
    assert_eq!((status.code(), status.message()), (code, says));
}

/// A server with an empty list.
async fn start(repo: Repo) -> (TestServer, Client) {
    start_with(repo, ReloadOptions::default()).await
}

async fn start_with(repo: Repo, reload: ReloadOptions) -> (TestServer, Client) {
    let config =
        ServerConfig { models: Models::Listed(Some(Default::default())), reload, ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let client = server.client().await;
    (server, client)
}

async fn ask_label(client: &mut Client, model: &str, label: &str) -> Result<i64, Status> {
    let mut request = request(model, None, doubles(&[&[2.0]]));
    request.model_spec.as_mut().unwrap().version_choice = Some(VersionChoice::VersionLabel(label.to_owned()));
    let answer = client.predict.predict(request).await?.into_inner();
    let Some(VersionChoice::Version(version)) = answer.model_spec.unwrap().version_choice else {
        panic!("no version")
    };
    Ok(version)
}

fn file() -> Vec<u8> {
    golden("half_plus_two.pkl")
}

#[tokio::test]
async fn models_come_and_go_and_the_answer_comes_when_the_new_ones_serve() {
    let repo = Repo::with("a", 1, &file());
    repo.drop_in("b", 1, &file());
    repo.drop_in("b", 2, &file());
    let (server, mut client) = start(repo).await;
    let (a, b) = (model(&server.repo, "a"), model(&server.repo, "b"));
    reload(&mut client, std::slice::from_ref(&a)).await.unwrap();
    assert_eq!(client.ask("a", None, 2.0).await.unwrap().0, 1);
    reload(&mut client, &[a.clone(), b.clone()]).await.unwrap();
    assert_eq!(client.ask("b", None, 2.0).await.unwrap().0, 2);
    // A policy changes, and a model goes.
    let newest = pb::ModelConfig {
        model_version_policy: policy(PolicyChoice::Specific(Specific { versions: vec![1] })),
        ..b.clone()
    };
    reload(&mut client, &[newest]).await.unwrap();
    client.until_served("b", 1).await;
    client.until_status("a", <[_]>::is_empty).await;
    assert_eq!(client.ask("a", None, 2.0).await.unwrap_err().code(), Code::NotFound);
    // A number that is 0 is 1.
    let latest = pb::ModelConfig {
        model_version_policy: policy(PolicyChoice::Latest(Latest { num_versions: 0 })),
        ..b
    };
    reload(&mut client, &[latest]).await.unwrap();
    client.until_served("b", 2).await;
    // Counters that nobody counts have not grown.
    let names = vec!["/tensorflow/serving/request_count".to_owned(), "no such".to_owned()];
    let request = pb::ReloadConfigRequest { config: list(&[]), metric_names: names.clone() };
    let answer = client.models.handle_reload_config_request(request).await.unwrap().into_inner();
    let told: Vec<_> = answer.metric.into_iter().map(|metric| (metric.name, metric.value_increase)).collect();
    let zero = Some(pb::metric::ValueIncrease::Int64ValueIncrease(0));
    assert_eq!(told, names.into_iter().map(|name| (name, zero)).collect::<Vec<_>>());
    client.until_status("b", <[_]>::is_empty).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn one_push_brings_a_version_and_moves_a_label_to_it() {
    let repo = Repo::with("m", 1, &file());
    let settle = Duration::from_millis(400);
    let models = Models::Listed(Some(Default::default()));
    let config = ServerConfig { models, settle, ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;
    let m = model(&server.repo, "m");
    reload(&mut client, &[labelled(m.clone(), &[("stable", 1)])]).await.unwrap();
    assert_eq!(ask_label(&mut client, "m", "stable").await.unwrap(), 1);
    // The version was dropped in a moment ago, and is still settling.
    server.repo.drop_in("m", 2, &file());
    reload(&mut client, &[labelled(m.clone(), &[("stable", 2), ("old", 1)])]).await.unwrap();
    assert_eq!(ask_label(&mut client, "m", "stable").await.unwrap(), 2);
    assert_eq!(ask_label(&mut client, "m", "old").await.unwrap(), 1);
    // Labels that are left out are gone.
    reload(&mut client, &[m]).await.unwrap();
    let error = ask_label(&mut client, "m", "stable").await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::InvalidArgument, "Unrecognized servable version label: stable")
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_label_that_points_at_nothing_is_told_and_stops_nothing_else() {
    let repo = Repo::with("m", 1, &file());
    repo.drop_in("n", 1, &file());
    let (server, mut client) = start(repo).await;
    let (m, n) = (model(&server.repo, "m"), model(&server.repo, "n"));
    reload(&mut client, &[labelled(m.clone(), &[("stable", 1)])]).await.unwrap();
    let bad = labelled(m.clone(), &[("stable", 7), ("canary", 1), ("below", -1)]);
    let outcome = reload(&mut client, &[bad.clone(), n.clone()]).await;
    let what = |version| {
        format!(
            "Request to assign label to version {version} of model m, which is not currently available for inference"
        )
    };
    refused(outcome, Code::FailedPrecondition, &format!("{}; {}", what(-1), what(7)));
    assert_eq!(ask_label(&mut client, "m", "canary").await.unwrap(), 1);
    assert_eq!(client.ask("n", None, 2.0).await.unwrap().0, 1);
    // It goes on answering with what it had, and moves when there is something.
    assert_eq!(ask_label(&mut client, "m", "stable").await.unwrap(), 1);
    server.repo.drop_in("m", 7, &file());
    client.until_served("m", 7).await;
    assert_eq!(ask_label(&mut client, "m", "stable").await.unwrap(), 7);
    server.stop().await.unwrap();

    let allowed = ReloadOptions { allow_unavailable_labels: true, ..ReloadOptions::default() };
    let (server, mut client) = start_with(Repo::with("m", 1, &file()), allowed).await;
    reload(&mut client, &[labelled(model(&server.repo, "m"), &[("stable", 7), ("below", -1)])])
        .await
        .unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn each_new_model_that_fails_is_named_and_stops_no_other() {
    let repo = Repo::with("good", 1, &file());
    repo.drop_in("bad", 3, b"this is no pickle");
    fs::create_dir(repo.path("empty")).unwrap();
    let (server, mut client) = start(repo).await;
    let models = ["bad", "empty", "good", "missing"].map(|name| model(&server.repo, name));
    let error = reload(&mut client, &models).await.unwrap_err();
    assert_eq!(error.code(), Code::Unknown);
    let text = error.message();
    for words in [
        "3 model(s) did not become available: {{{name: bad version: 3} due to error: INVALID_ARGUMENT: ",
        "{{name: empty} due to error: NOT_FOUND: no version of empty is found in ",
        "{{name: missing} due to error: NOT_FOUND: cannot look for versions of missing: ",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(text.ends_with(", }"), "{text}");
    assert_eq!(client.ask("good", None, 2.0).await.unwrap().0, 1);
    // What was wrong is put right, and needs no other reload.
    server.repo.drop_in("missing", 1, &file());
    client.until_served("missing", 1).await;
    // A model that is not new is not waited for, as in the reference.
    reload(&mut client, &models).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_reload_answers_in_time_whatever_the_models_do() {
    let timeout = Duration::from_millis(400);
    let config_of = |repo: &Repo| ServerConfig {
        models: Models::Listed(Some(Default::default())),
        reload: ReloadOptions { timeout, ..ReloadOptions::default() },
        settle: Duration::from_secs(60),
        ..config(repo.root())
    };
    let repo = Repo::with("slow", 1, &file());
    let config = config_of(&repo);
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;
    let began = Instant::now();
    let outcome = reload(&mut client, &[model(&server.repo, "slow")]).await;
    let says =
        "1 model(s) did not become available: {{{name: slow} due to error: NOT_FOUND: it has no version}, }";
    refused(outcome, Code::Unknown, says);
    assert!(began.elapsed() >= timeout && began.elapsed() < timeout * 10, "{:?}", began.elapsed());
    // The next one is not held up by it.
    reload(&mut client, &[]).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_list_that_breaks_a_rule_changes_nothing() {
    let (server, mut client) = start(Repo::with("m", 1, &file())).await;
    let m = model(&server.repo, "m");
    let with_platform = |platform: &str| pb::ModelConfig { model_platform: platform.to_owned(), ..m.clone() };
    reload(&mut client, &[with_platform("sklearn")]).await.unwrap();
    let invalid = Code::InvalidArgument;
    let twice = reload(&mut client, &[m.clone(), m.clone()]).await;
    refused(twice, invalid, "Illegal to list model m multiple times in config list");
    let relative = pb::ModelConfig { base_path: "m".to_owned(), ..m.clone() };
    let says = "Expected model m to have an absolute path or URI; got base_path()=m";
    refused(reload(&mut client, &[relative]).await, invalid, says);
    let says = "Model m requests unsupported platform cafe";
    refused(reload(&mut client, &[with_platform("cafe")]).await, invalid, says);
    let says = "Illegal to change a model's platform. For model m platform was sklearn and new platform requested is tensorflow";
    refused(reload(&mut client, &[with_platform("tensorflow")]).await, invalid, says);
    let says = "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported";
    for config in [
        None,
        Some(pb::ModelServerConfig::default()),
        Some(pb::ModelServerConfig { config: Some(Config::CustomModelConfig(Default::default())) }),
    ] {
        refused(reload_as(&mut client, config).await.map(|_| ()), invalid, says);
    }
    assert_eq!(client.ask("m", None, 2.0).await.unwrap().0, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_of_models_is_no_list_that_could_be_replaced() {
    let server = TestServer::start(Repo::with("m", 1, &file())).await;
    let mut client = server.client().await;
    let status = reload(&mut client, &[]).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let says = "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to another.";
    assert!(status.message().starts_with(says), "{status:?}");
    assert_eq!(client.ask("m", None, 2.0).await.unwrap().0, 1);
    server.stop().await.unwrap();

    // One model by name is a list of one.
    let repo = Repo::with("m", 1, &file());
    let models = Models::Single("m".parse().unwrap(), repo.path("m"));
    let config = ServerConfig { models, ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;
    assert_eq!(client.ask("m", None, 2.0).await.unwrap().0, 1);
    reload(&mut client, &[]).await.unwrap();
    client.until_status("m", <[_]>::is_empty).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_model_moves_to_another_folder_without_a_gap() {
    let repo = Repo::with("here", 1, &file());
    repo.drop_in("there", 2, &file());
    fs::create_dir(repo.path("empty")).unwrap();
    let (server, mut client) = start(repo).await;
    let at = |folder: &str| pb::ModelConfig { name: "m".to_owned(), ..model(&server.repo, folder) };
    reload(&mut client, &[at("here")]).await.unwrap();
    reload(&mut client, &[at("empty")]).await.unwrap();
    assert_eq!(client.ask("m", None, 2.0).await.unwrap().0, 1, "an empty folder unloads nothing");
    reload(&mut client, &[at("there")]).await.unwrap();
    let began = Instant::now();
    while client.ask("m", None, 2.0).await.expect("no gap").0 != 2 {
        assert!(began.elapsed() < PATIENCE);
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_wait_for_each_other_and_requests_for_none() {
    let repo = Repo::with("m", 1, &file());
    repo.drop_in("n", 1, &file());
    let (server, mut client) = start(repo).await;
    let (m, n) = (model(&server.repo, "m"), model(&server.repo, "n"));
    reload(&mut client, std::slice::from_ref(&m)).await.unwrap();
    let mut pushes = Vec::new();
    for i in 0..10 {
        let mut client = server.client().await;
        let models = if i % 2 == 0 { vec![m.clone(), n.clone()] } else { vec![m.clone()] };
        pushes.push(tokio::spawn(async move { reload(&mut client, &models).await }));
    }
    let mut asked = 0;
    while !pushes.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(client.ask("m", None, 2.0).await.unwrap().0, 1);
        asked += 1;
    }
    for push in pushes {
        push.await.unwrap().unwrap();
    }
    assert!(asked > 0);
    server.stop().await.unwrap();
}

fn text(models: &BTreeMap<&str, String>) -> String {
    let model = |(name, path): (&&str, &String)| format!("config {{ name: '{name}' base_path: '{path}' }}\n");
    format!("model_config_list {{\n{}}}\n", models.iter().map(model).collect::<String>())
}

#[tokio::test]
async fn the_file_is_read_again_and_goes_before_what_a_client_asked_for() {
    let repo = Repo::with("a", 1, &file());
    repo.drop_in("b", 1, &file());
    let path = repo.path("models.config");
    let write = |names: &[&str]| {
        let models = names.iter().map(|name| (*name, repo.path(name).display().to_string())).collect();
        fs::write(&path, text(&models)).unwrap();
    };
    write(&["a"]);
    let poll = Some(Duration::from_millis(100));
    let config = ServerConfig {
        models: Models::Listed(read_model_config(&path).unwrap()),
        model_config_file: Some(ModelConfigFile { path: path.clone(), poll }),
        ..config(repo.root())
    };
    write(&["a", "b"]);
    let server = TestServer::start_with(Repo::new(), config).await;
    let mut client = server.client().await;
    client.until_served("b", 1).await;
    // What cannot be read, or be served, changes nothing.
    for bad in ["model_config_list {", "", "model_config_list { config { name: 'a' base_path: 'x' } }"] {
        fs::write(&path, bad).unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(client.ask("a", None, 2.0).await.unwrap().0, 1, "{bad}");
    }
    fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_millis(250)).await;
    // A client's list stands as long as the file says nothing.
    reload(&mut client, &[]).await.unwrap();
    client.until_status("a", <[_]>::is_empty).await;
    write(&["b"]);
    client.until_served("b", 1).await;
    client.until_status("a", <[_]>::is_empty).await;
    // One that fails is told in the log, and the file is read on.
    write(&["b", "missing"]);
    client.until_status("b", |versions| versions.first().is_some_and(|v| v.1 == State::Available)).await;
    write(&["a"]);
    client.until_served("a", 1).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_reload_under_way_is_told_that_the_server_stops() {
    let repo = Repo::with("slow", 1, &file());
    let config = ServerConfig {
        models: Models::Listed(Some(Default::default())),
        settle: Duration::from_secs(60),
        drain_grace: Duration::from_secs(1),
        ..config(repo.root())
    };
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;
    let slow = model(&server.repo, "slow");
    let push = tokio::spawn(async move { (reload(&mut client, &[slow]).await, client) });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!push.is_finished());
    server.stop.send(()).await.unwrap();
    let says = "the server is stopping; models are not changed any more";
    let (outcome, mut client) = push.await.unwrap();
    refused(outcome, Code::Unavailable, says);
    refused(reload(&mut client, &[]).await, Code::Unavailable, says);
    server.ended().await.unwrap();
}
