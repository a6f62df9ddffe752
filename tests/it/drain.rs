//! The end: SIGTERM in a child process, and the drain from within.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::server::{PATIENCE, Repo, TestServer, config, golden};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_says_not_serving_answers_on_and_ends() {
    let repo = Repo::with("m", 1, &golden("half_plus_two.pkl"));
    let drain_grace = Duration::from_millis(800);
    let config = longshore::config::ServerConfig { drain_grace, ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let mut client = server.client().await;
    let mut health = HealthClient::new(server.channel().await);
    let overall = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(overall).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let asked = Instant::now();
    server.stop.send(()).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    // New connections and requests are still taken.
    while asked.elapsed() < drain_grace / 2 {
        assert_eq!(client.ask("m", None, 2.0).await.unwrap().0, 1);
        assert_eq!(server.client().await.ask("m", None, 2.0).await.unwrap().0, 1);
    }
    // A watcher that never leaves does not keep the server alive.
    let address = server.address;
    server.ended().await.unwrap();
    assert!(asked.elapsed() >= drain_grace);
    assert!(asked.elapsed() < drain_grace + Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is closed");
}

#[tokio::test]
async fn a_second_signal_cuts_the_grace_short() {
    let repo = Repo::with("m", 1, &golden("half_plus_two.pkl"));
    let config =
        longshore::config::ServerConfig { drain_grace: Duration::from_secs(60), ..config(repo.root()) };
    let server = TestServer::start_with(repo, config).await;
    let start = Instant::now();
    server.stop.send(()).await.unwrap();
    server.stop.send(()).await.unwrap();
    server.ended().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// The binary, running.
pub struct Process {
    child: Child,
    pub said: String,
}

impl Process {
    /// Starts the binary and waits for the line that says where gRPC is.
    fn start(repo: &Repo, more: &[&str]) -> (Self, String) {
        let root = format!("--model_repository={}", repo.root().display());
        Self::start_with(&[&[root.as_str(), "--port=0"], more].concat())
    }

    /// The same, with no word on what to serve, nor on the port.
    pub fn start_with(args: &[&str]) -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_longshore"))
            .args(["--rest_api_port=0", "--bind-address=127.0.0.1", "--drain_grace=0.2", "--log_format=json"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended after saying: {said}");
            said += &line;
            if let Some(rest) = line.trim().strip_prefix("gRPC") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        child.stdout = Some(out.into_inner());
        (Self { child, said }, address)
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Exit code and log lines.
    pub fn end(mut self) -> (Option<i32>, Vec<serde_json::Value>) {
        let start = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (code, log.lines().map(|line| serde_json::from_str(line).expect(line)).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only a test that has failed leaves it running.
        let _ = self.child.kill();
    }
}

#[test]
fn the_binary_says_where_it_serves_and_ends_with_0_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let repo = Repo::with("half", 1, &golden("half_plus_two.pkl"));
        let (process, address) = Process::start(&repo, &[]);
        assert!(process.said.contains("half"), "{}", process.said);
        assert!(process.said.contains("inputs double[-1,1]"), "{}", process.said);
        assert!(std::net::TcpStream::connect(&address).is_ok());
        process.signal(signal);
        let (code, log) = process.end();
        assert_eq!(code, Some(0));
        // One line per change of state, with the fields to search for.
        let states: Vec<&str> = log
            .iter()
            .filter(|line| line["model"] == "half" && line["version"] == 1)
            .filter_map(|line| line["state"].as_str())
            .collect();
        assert_eq!(states, ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"], "{log:#?}");
    }
}

/// Runs the binary to its end.
#[track_caller]
pub fn ends_with(args: &[&str], code: i32, says: &str) {
    let out = Command::new(env!("CARGO_BIN_EXE_longshore")).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr) + String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {text}");
    assert!(text.contains(says), "{args:?}: {text}");
}

#[test]
fn wrong_usage_is_64_and_a_failed_start_is_1() {
    ends_with(&["--help"], 0, "--model_repository <DIR>");
    ends_with(&["serve", "--help"], 0, "--model_repository <DIR>");
    ends_with(&["--version"], 0, "longshore 0");
    ends_with(&["--model-repositery=x"], 64, "--model_repository");
    ends_with(&["--port=eight"], 64, "--port");
    ends_with(&["--log_level=longshore=loud"], 64, "--log_level");
    ends_with(&["--model_name=m"], 64, "--model_base_path");
    ends_with(&["--model_repository=/nowhere/at/all", "--port=0"], 1, "/nowhere/at/all");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--port={}", taken.local_addr().unwrap().port());
    let repo = Repo::new();
    let root = format!("--model_repository={}", repo.root().display());
    ends_with(&[&root, &port, "--bind_address=127.0.0.1"], 1, "cannot listen on 127.0.0.1");
}
