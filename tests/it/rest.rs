//! REST through real sockets: every case of `tests/golden/tfs/rest.json`, and what
//! is not one request and one answer.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use longshore::config::ServerConfig;
use longshore::proto::tensorflow::serving as pb;
use prost::Message as _;
use serde::Deserialize;

use crate::server::{PATIENCE, Repo, TestServer, config, doubles, request};

pub fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tfs").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The models that the cases ask: half (version 3), area (1), label (7, labelled).
pub fn repo() -> Repo {
    let repo = Repo::with("half", 3, &golden("half.pkl"));
    repo.drop_in("area", 1, &golden("area.pkl"));
    fs::create_dir_all(repo.path("label")).unwrap();
    fs::write(repo.path("label/model.toml"), "labels = { stable = 7, \"a/b\" = 7 }\n").unwrap();
    repo.drop_in("label", 7, &golden("label.pkl"));
    repo.drop_in("broken", 1, b"no pickle");
    repo
}

/// One answer, read to the end of its body.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// One connection, over which requests go as bytes.
pub struct Wire(pub TcpStream);

impl Wire {
    pub fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send(method, target, headers, body);
        self.answer()
    }

    pub fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: here\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.0.write_all(&[head.as_bytes(), b"\r\n", body].concat()).unwrap();
    }

    fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body).unwrap();
        answer
    }
}

pub fn ask(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    Wire::open(address).ask(method, target, headers, body)
}

const PREDICT: &str = "/v1/models/half:predict";

/// One case of the golden file.
#[derive(Deserialize)]
struct Case {
    /// What it shows.
    name: String,
    /// `METHOD target`.
    request: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    status: u16,
    /// The answer's body, byte for byte, its lines apart.
    #[serde(default)]
    answer: Option<Vec<String>>,
    /// The message of an error answer, whose form is fixed.
    #[serde(default)]
    error: Option<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_golden_case_is_answered_byte_for_byte() {
    let server = TestServer::start(repo()).await;
    let address = server.rest.unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&golden("rest.json")).unwrap();
    let mut wrong = Vec::new();
    // All on one connection: errors do not end it.
    let mut wire = Wire::open(address);
    for case in &cases {
        let (method, target) = case.request.split_once(' ').unwrap();
        let headers: Vec<(&str, &str)> = case.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = wire.ask(method, target, &headers, case.body.as_bytes());
        let want = match (&case.answer, &case.error) {
            (Some(lines), None) => lines.join("\n"),
            (None, Some(message)) => {
                format!("{{\n    \"error\": {}\n}}", serde_json::Value::from(message.as_str()))
            }
            _ => panic!("{}: a case has an answer or an error", case.name),
        };
        let got = String::from_utf8_lossy(&answer.body);
        if (answer.status, &*got) != (case.status, want.as_str()) {
            wrong.push(format!("{}: got {} {got}\nwant {} {want}", case.name, answer.status, case.status));
        }
        let json = answer.header("content-type") == Some("application/json");
        assert!(json || case.request.starts_with("OPTIONS") || !want.starts_with('{'), "{}", case.name);
        assert!(answer.header("date").is_some(), "{}", case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(cases.len() > 60, "the cases were not found");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ready_is_told_from_what_is_not_there() {
    let server = TestServer::start(repo()).await;
    let address = server.rest.unwrap();
    let answer = ask(address, "POST", "/v1/models/broken:predict", &[], b"{\"instances\": [1]}");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("Servable not found for request: Latest(broken) ("), "{}", answer.text());
    let status = ask(address, "GET", "/v1/models/broken", &[], b"");
    let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
    assert_eq!(status["model_version_status"][0]["state"], "END");
    assert_ne!(status["model_version_status"][0]["status"]["error_message"], "");

    let models = ask(address, "GET", "/v1/models", &[], b"");
    assert_eq!(models.status, 200);
    let models: serde_json::Value = serde_json::from_slice(&models.body).unwrap();
    let told = models["models"].as_array().unwrap().iter().map(|model| {
        let first = &model["model_version_status"][0];
        (
            model["name"].as_str().unwrap(),
            first["version"].as_str().unwrap(),
            first["state"].as_str().unwrap(),
            first["engine"].as_str(),
        )
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("area", "1", "AVAILABLE", Some("longshore")),
            ("broken", "1", "END", None),
            ("half", "3", "AVAILABLE", Some("longshore")),
            ("label", "7", "AVAILABLE", Some("longshore"))
        ]
    );
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_takes_too_long_is_504() {
    let rest_timeout = Some(Duration::from_nanos(1));
    let late = |config| ServerConfig { rest_timeout, ..config };
    let server = TestServer::start_with_config(repo(), late).await;
    let answer = ask(server.rest.unwrap(), "POST", PREDICT, &[], b"{\"instances\": [[1]]}");
    let want = "{\n    \"error\": \"Timed out waiting for notification\"\n}";
    assert_eq!((answer.status, answer.text()), (504, want));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_to_callers_that_begin_with_it() {
    let server = TestServer::start(repo()).await;
    let socket = tokio::net::TcpStream::connect(server.rest.unwrap()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    for x in [1.0, 2.0] {
        let body = bytes::Bytes::from(format!("{{\"instances\": [[{x}]]}}"));
        let request = hyper::Request::post(format!("http://here{PREDICT}")).body(Full::new(body)).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, hyper::Version::HTTP_2));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("{{\n    \"predictions\": [{:?}\n    ]\n}}", x / 2.0 + 2.0));
    }
    drop(sender);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_go_both_ways_and_bombs_go_nowhere() {
    use flate2::{Compression, read::GzDecoder, write::GzEncoder};
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let server = TestServer::start(repo()).await;
    let address = server.rest.unwrap();
    let body = format!("{{\"instances\": [{}]}}", vec!["[1]"; 1000].join(","));

    let plain = ask(address, "POST", PREDICT, &[], body.as_bytes());
    assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
    let both = [("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")];
    let packed = ask(address, "POST", PREDICT, &both, &gzip(body.as_bytes()));
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
    let mut unpacked = Vec::new();
    GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);

    let both_zstd = [("Content-Encoding", "zstd"), ("Accept-Encoding", "gzip, zstd")];
    let packed = zstd::bulk::compress(body.as_bytes(), 3).unwrap();
    let packed = ask(address, "POST", PREDICT, &both_zstd, &packed);
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("zstd")));
    assert_eq!(zstd::bulk::decompress(&packed.body, plain.body.len()).unwrap(), plain.body);
    let bomb = zstd::bulk::compress(&vec![b' '; (100 << 20) + 1], 1).unwrap();
    let bomb = ask(address, "POST", PREDICT, &both_zstd, &bomb);
    assert_eq!(bomb.status, 413);
    assert!(bomb.text().contains("the zstd body has more than 104857600 bytes"), "{}", bomb.text());

    let broken = ask(address, "POST", PREDICT, &both, body.as_bytes());
    assert_eq!(broken.status, 400);
    assert!(
        broken.text().contains("the body is not gzip, though Content-Encoding says so"),
        "{}",
        broken.text()
    );
    let bomb = ask(address, "POST", PREDICT, &both, &gzip(&vec![b' '; (100 << 20) + 1]));
    assert_eq!(bomb.status, 413);
    assert!(bomb.text().contains("more than 104857600 bytes once expanded"), "{}", bomb.text());
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_bound_is_refused_before_it_is_sent() {
    let server = TestServer::start(repo()).await;
    let mut wire = Wire::open(server.rest.unwrap());
    let head = format!("POST {PREDICT} HTTP/1.1\r\nHost: here\r\nContent-Length: {}\r\n\r\n", 321usize << 20);
    wire.0.write_all(head.as_bytes()).unwrap();
    let answer = wire.answer();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    assert!(answer.text().contains("the body has more than 335544320 bytes"), "{}", answer.text());
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_come_in_chunks() {
    let server = TestServer::start(repo()).await;
    let mut wire = Wire::open(server.rest.unwrap());
    let parts = ["{\"instan", "ces\": [[", "4]]}"].map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
    let head = format!("POST {PREDICT} HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.0.write_all(head.as_bytes()).unwrap();
    for part in &parts {
        wire.0.write_all(part.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    wire.0.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(wire.answer().text(), "{\n    \"predictions\": [4.0\n    ]\n}");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_goes_both_ways() {
    const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
    let server = TestServer::start(repo()).await;
    let address = server.rest.unwrap();
    let asked = request("half", None, doubles(&[&[1.0], &[5.0]])).encode_to_vec();

    let answer = ask(address, "POST", PREDICT, &[PROTOBUF], &asked);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-protobuf")));
    let message = pb::PredictResponse::decode(&answer.body[..]).unwrap();
    assert_eq!(message.outputs["predictions"].double_val, [2.5, 4.5]);
    let spec = message.model_spec.unwrap();
    assert_eq!((spec.name.as_str(), spec.signature_name.as_str()), ("half", "serving_default"));
    assert_eq!(spec.version_choice, Some(pb::model_spec::VersionChoice::Version(3)));

    let json = ask(address, "POST", PREDICT, &[PROTOBUF, ("Accept", "application/json")], &asked);
    assert_eq!(json.text(), "{\n    \"outputs\": [\n        2.5,\n        4.5\n    ]\n}");
    let accept = [("Accept", "application/x-protobuf")];
    let mixed = ask(address, "POST", PREDICT, &accept, b"{\"instances\": [[1]]}");
    let message = pb::PredictResponse::decode(&mixed.body[..]).unwrap();
    assert_eq!(message.outputs["predictions"].double_val, [2.5]);

    let broken = ask(address, "POST", PREDICT, &[PROTOBUF], b"{\"instances\": [[1]]}");
    assert_eq!((broken.status, broken.header("content-type")), (400, Some("application/json")));
    assert!(broken.text().contains("the body is no tensorflow.serving.PredictRequest"), "{}", broken.text());
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cors_headers_stand_on_every_answer_when_asked_for() {
    let repo = repo();
    let server =
        TestServer::start_with_config(repo, |config| ServerConfig { rest_cors: true, ..config }).await;
    let address = server.rest.unwrap();
    for (method, target) in
        [("GET", "/v1/models/half"), ("GET", "/v1/models/none"), ("GET", "/"), ("OPTIONS", PREDICT)]
    {
        let answer = ask(address, method, target, &[("Origin", "https://there")], b"");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{target}");
        assert_eq!(answer.header("access-control-allow-methods"), Some("POST, GET"), "{target}");
        assert_eq!(answer.header("access-control-allow-headers"), Some("Content-Type"), "{target}");
    }
    server.stop().await.unwrap();

    let server = TestServer::start(self::repo()).await;
    let answer = ask(server.rest.unwrap(), "GET", "/v1/models/half", &[("Origin", "https://there")], b"");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_turns_readiness_off_answers_on_and_closes() {
    let drain_grace = Duration::from_millis(800);
    let server = TestServer::start_with_config(repo(), |config| ServerConfig { drain_grace, ..config }).await;
    let address = server.rest.unwrap();
    // Kept alive, and idle when the drain ends.
    let mut kept = Wire::open(address);
    assert_eq!(kept.ask("GET", "/readyz", &[], b"").status, 200);
    server.stop.send(()).await.unwrap();
    let start = std::time::Instant::now();
    while kept.ask("GET", "/readyz", &[], b"").status == 200 {
        assert!(start.elapsed() < drain_grace, "readiness is still on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(kept.ask("GET", "/healthz", &[], b"").status, 200, "it is alive all the while");
    let answer = ask(address, "POST", PREDICT, &[], b"{\"instances\": [[1]]}");
    assert_eq!(answer.status, 200, "requests are still taken");
    server.ended().await.unwrap();
    assert_eq!(kept.0.read(&mut [0]).unwrap(), 0, "the idle connection was closed");
    assert!(TcpStream::connect(address).is_err(), "the port is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_can_be_off() {
    let off = |config| ServerConfig { rest_address: None, ..config };
    let server = TestServer::start_with_config(repo(), off).await;
    assert_eq!(server.rest, None);
    server.client().await.until_served("half", 3).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_an_error_for_those_who_asked_for_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rest_address = Some(taken.local_addr().unwrap());
    let root = repo();
    let config = ServerConfig { rest_address, ..config(root.root()) };
    let error = longshore::server::App::bind(config.clone()).unwrap_err().to_string();
    assert!(error.contains(&taken.local_addr().unwrap().to_string()), "{error}");
    // Nobody asked: gRPC is served, and REST is not.
    let server = TestServer::start_with(root, ServerConfig { rest_may_be_absent: true, ..config }).await;
    assert_eq!(server.rest, None);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_describes_what_can_be_asked() {
    let server = TestServer::start(repo()).await;
    let address = server.rest.unwrap();
    let answer = ask(address, "GET", "/openapi.json", &[("Accept-Encoding", "zstd")], b"");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let text = zstd::bulk::decompress(&answer.body, 1 << 20).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    // `broken` is a model, and cannot be asked.
    let predicts: Vec<&str> = paths.keys().filter_map(|path| path.strip_suffix(":predict")).collect();
    assert_eq!(predicts, ["/v1/models/area", "/v1/models/half", "/v1/models/label"]);
    for path in ["/v1/models/half", "/v1/models/half/metadata", "/v1/models", "/readyz"] {
        assert!(paths.contains_key(path), "{path}");
        assert_eq!(ask(address, "GET", path, &[], b"").status, 200, "{path}");
    }
    let answer = ask(address, "POST", "/openapi.json", &[], b"");
    assert_eq!(answer.status, 404);
    server.stop().await.unwrap();
}
