//! Versions come and go under traffic.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use longshore::proto::tensorflow::serving::model_version_status::State;
use tonic::Code;

use crate::server::{Client, Repo, TestServer, config, golden};

/// Odd versions answer x/2 + 2, even ones x/2 + 3.
fn file(version: i64) -> Vec<u8> {
    golden(if version % 2 == 1 { "half_plus_two.pkl" } else { "half_plus_three.pkl" })
}

fn want(version: i64, x: f64) -> f64 {
    x / 2.0 + if version % 2 == 1 { 2.0 } else { 3.0 }
}

/// Asks without a pause until told to stop; counts answers and keeps the first
/// failure. Every answer must be the one of the version that it names.
struct Traffic {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Option<String>>>,
}

impl Traffic {
    async fn on(server: &TestServer, model: &'static str, connections: usize) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for _ in 0..connections {
            let mut client = server.client().await;
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            tasks.push(tokio::spawn(async move {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    let x = asked.fetch_add(1, Ordering::Relaxed) as f64 % 1000.0;
                    match client.ask(model, None, x).await {
                        Ok((version, y)) if (y - want(version, x)).abs() < 1e-9 => last = version,
                        Ok((version, y)) => return Some(format!("version {version} said {y} for {x}")),
                        Err(status) => return Some(format!("after version {last}: {status:?}")),
                    }
                }
                None
            }));
        }
        Self { stop, asked, tasks }
    }

    /// How many requests there were, none of which failed.
    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            assert_eq!(task.await.unwrap(), None);
        }
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_takes_over_and_deleting_it_rolls_back_without_one_failed_request() {
    let server = TestServer::start(Repo::with("m", 1, &file(1))).await;
    let mut client = server.client().await;
    let traffic = Traffic::on(&server, "m", 2).await;
    server.repo.drop_in("m", 2, &file(2));
    client.until_served("m", 2).await;
    client.until_status("m", |v| v[0].1 == State::Available && v[1].1 == State::End).await;
    server.repo.remove("m/2");
    client.until_served("m", 1).await;
    let ended = |v: &[(i64, State, String)]| v[0].1 == State::End && v[1].1 == State::Available;
    let status = client.until_status("m", ended).await;
    assert_eq!(status.iter().map(|v| (v.0, v.2.as_str())).collect::<Vec<_>>(), [(2, ""), (1, "")]);
    assert!(traffic.stop().await > 0);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_swaps_under_traffic_fail_no_request() {
    let repo = Repo::with("m", 1, &file(1));
    let config = longshore::config::ServerConfig { settle: Duration::from_millis(2), ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;
    let traffic = Traffic::on(&server, "m", 2).await;
    for version in 2..=201 {
        server.repo.drop_in("m", version, &file(version));
        client.until_served("m", version).await;
        server.repo.remove(&format!("m/{}", version - 1));
    }
    let asked = traffic.stop().await;
    assert!(asked > 200, "only {asked} requests in 200 swaps");
    // Versions that are gone are listed, and only the last of them.
    let status = client.until_status("m", |v| v.iter().all(|v| v.1 != State::Unloading)).await;
    assert!(status.len() <= 17, "{} versions are listed", status.len());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_half_copied_version_is_never_loaded() {
    let repo = Repo::with("m", 1, &file(1));
    let settle = Duration::from_millis(300);
    let config = longshore::config::ServerConfig { settle, ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;
    let whole = file(2);
    fs::create_dir(server.repo.path("m/2")).unwrap();
    for end in (0..=8).map(|i| whole.len() * i / 8) {
        fs::write(server.repo.path("m/2/model.pkl"), &whole[..end]).unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        let status = client.status("m").await;
        assert_eq!(status.iter().map(|v| v.0).collect::<Vec<_>>(), [1], "after {end} bytes: {status:?}");
    }
    client.until_served("m", 2).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_corrupt_version_shows_its_error_and_leaves_the_old_one_serving() {
    let server = TestServer::start(Repo::with("m", 1, &file(1))).await;
    let mut client = server.client().await;
    let whole = file(2);
    server.repo.drop_in("m", 2, &whole[..whole.len() / 2]);
    let failed = |v: &[(i64, State, String)]| v[0].0 == 2 && v[0].1 == State::End;
    let status = client.until_status("m", failed).await;
    assert!(status[0].2.contains("model.pkl"), "the error names the file: {}", status[0].2);
    assert_eq!((status[1].0, status[1].1), (1, State::Available));
    assert_eq!(client.ask("m", None, 4.0).await.unwrap().0, 1);
    let error = client.ask("m", Some(2), 4.0).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().starts_with("Servable not found for request: Specific(m, 2)"), "{error:?}");
    // Mended in place, it is tried again at once.
    fs::write(server.repo.path("m/2/model.pkl"), &whole).unwrap();
    client.until_served("m", 2).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn new_models_appear_and_removed_ones_go() {
    let server = TestServer::start(Repo::with("a", 1, &file(1))).await;
    let mut client = server.client().await;
    let error = client.ask("b", None, 0.0).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::NotFound, "Servable not found for request: Latest(b)")
    );
    server.repo.drop_in("b", 7, &file(7));
    client.until_served("b", 7).await;
    server.repo.remove("a");
    client.until_status("a", <[_]>::is_empty).await;
    assert_eq!(client.ask("a", None, 0.0).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.ask("b", None, 0.0).await.unwrap().0, 7);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_vanished_repository_unloads_nothing() {
    let server = TestServer::start(Repo::with("m", 1, &file(1))).await;
    let mut client = server.client().await;
    let (root, hidden) = (server.repo.root(), server.repo.root().with_extension("gone"));
    fs::rename(&root, &hidden).unwrap();
    for _ in 0..30 {
        assert_eq!(client.ask("m", None, 2.0).await.unwrap().0, 1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs::rename(&hidden, &root).unwrap();
    server.repo.drop_in("m", 2, &file(2));
    client.until_served("m", 2).await;
    server.stop().await.unwrap();
}

async fn available(client: &mut Client, wanted: &[i64]) {
    client
        .until_status("m", |v| {
            let serving = v.iter().filter(|v| v.1 == State::Available).map(|v| v.0);
            let moving = v.iter().any(|v| !matches!(v.1, State::Available | State::End));
            !moving && serving.collect::<Vec<_>>() == wanted
        })
        .await;
}

#[tokio::test]
async fn model_toml_says_which_versions_are_served() {
    let repo = Repo::new();
    for version in 1..=4 {
        repo.drop_in("m", version, &file(version));
    }
    let server = TestServer::start(repo).await;
    let mut client = server.client().await;
    let policy = |text: &str| fs::write(server.repo.path("m/model.toml"), text).unwrap();
    available(&mut client, &[4]).await;
    policy("version_policy = { latest = 2 }\n");
    available(&mut client, &[4, 3]).await;
    policy("version_policy = \"all\"\n");
    available(&mut client, &[4, 3, 2, 1]).await;
    policy("version_policy = { specific = [1, 3] }\n");
    available(&mut client, &[3, 1]).await;
    assert_eq!(client.ask("m", None, 0.0).await.unwrap().0, 3);
    assert_eq!(client.ask("m", Some(1), 0.0).await.unwrap().0, 1);
    assert_eq!(client.ask("m", Some(4), 0.0).await.unwrap_err().code(), Code::NotFound);
    // A slip in the file is no reason to unload anything.
    policy("version_polcy = \"all\"\n");
    tokio::time::sleep(Duration::from_millis(300)).await;
    available(&mut client, &[3, 1]).await;
    server.stop().await.unwrap();
}
