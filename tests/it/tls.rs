//! TLS on real sockets, with certificates that are made here.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser as _;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use longshore::config::{GrpcOptions, ServeFlags, ServerConfig, TlsFile, normalize, read_ssl_config};
use prost::Message as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::drain::ends_with;
use crate::server::{PATIENCE, Repo, TestServer, config, doubles, golden, request};

/// Whoever signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, in PEM.
struct Pair {
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn signs(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Pair { cert: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }
}

/// The text of an `SSLConfig`, as a person writes it.
fn ssl_config(server: &Pair, more: &str) -> String {
    let quoted = |pem: &str| pem.replace('\n', "\\n");
    format!("server_key: \"{}\"\nserver_cert: '{}'\n{more}\n", quoted(&server.key), quoted(&server.cert))
}

fn mutual(server: &Pair, clients: &Authority) -> String {
    ssl_config(server, &format!("custom_ca: \"{}\"\nclient_verify: true", clients.pem.replace('\n', "\\n")))
}

fn tls_file(path: &Path, content: &str) -> TlsFile {
    fs::write(path, content).unwrap();
    TlsFile { path: path.to_owned(), text: read_ssl_config(path).unwrap() }
}

/// A server whose two ports follow the file `ssl.config` beside its models.
async fn server(content: &str, grpc: GrpcOptions) -> (TestServer, PathBuf) {
    let repo = Repo::with("m", 1, &golden("half_plus_two.pkl"));
    let path = repo.path("ssl.config");
    let file = Some(tls_file(&path, content));
    let config = ServerConfig { grpc_tls: file.clone(), rest_tls: file, grpc, ..config(repo.root()) };
    (TestServer::start_with(repo, config).await, path)
}

/// What a client trusts, shows and offers.
fn client(trusts: &Authority, shows: Option<&Pair>, offers: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusts.pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shows {
        None => builder.with_no_client_auth(),
        Some(pair) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = offers.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(connector: &TlsConnector, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), socket).await
}

fn spoken(stream: &TlsStream<TcpStream>) -> Option<&str> {
    stream.get_ref().1.alpn_protocol().map(|name| std::str::from_utf8(name).unwrap())
}

type Sender = http2::SendRequest<Full<Bytes>>;

async fn http2(stream: TlsStream<TcpStream>) -> Result<Sender, hyper::Error> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A Predict, and whether it was answered with OK.
async fn predict(sender: &mut Sender) -> Result<bool, hyper::Error> {
    let message = request("m", None, doubles(&[&[2.0]])).encode_to_vec();
    let body = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat();
    let request = hyper::Request::post("https://localhost/tensorflow.serving.PredictionService/Predict")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let answer = sender.send_request(request).await?.into_body().collect().await?;
    Ok(answer.trailers().is_some_and(|trailers| trailers["grpc-status"] == "0"))
}

/// A whole call over a new connection. With TLS 1.3 a refused client hears of it only
/// when it reads.
async fn asks(connector: &TlsConnector, address: SocketAddr) -> bool {
    let ask = async {
        let stream = connect(connector, address).await.ok()?;
        let mut sender = http2(stream).await.ok()?;
        predict(&mut sender).await.ok()
    };
    tokio::time::timeout(PATIENCE, ask).await.expect("an answer in time") == Some(true)
}

#[tokio::test]
async fn both_ports_speak_tls_and_what_their_clients_choose() {
    let authority = Authority::new();
    let (server, _) = server(&ssl_config(&authority.signs("localhost"), ""), GrpcOptions::default()).await;
    let rest = server.rest.unwrap();
    for (address, offers, chosen) in [
        (server.address, &["h2"][..], Some("h2")),
        // What C-core offers.
        (server.address, &["grpc-exp", "h2"], Some("h2")),
        (server.address, &[], None),
        (rest, &["h2", "http/1.1"], Some("h2")),
        (rest, &["http/1.1"], Some("http/1.1")),
        (rest, &[], None),
    ] {
        let stream = connect(&client(&authority, None, offers), address).await.unwrap();
        assert_eq!(spoken(&stream), chosen, "{offers:?}");
        if address == server.address {
            assert!(predict(&mut http2(stream).await.unwrap()).await.unwrap());
            continue;
        }
        let get = hyper::Request::get("https://localhost/v1/models/m").header("host", "localhost");
        let get = get.body(Full::new(Bytes::new())).unwrap();
        let answer = if chosen == Some("h2") {
            http2(stream).await.unwrap().send_request(get).await
        } else {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(get).await
        };
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert!(connect(&client(&authority, None, &["http/1.1"]), server.address).await.is_err());
    assert!(connect(&client(&Authority::new(), None, &["h2"]), server.address).await.is_err());

    // Nobody is answered in plain text.
    for address in [server.address, rest] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /v1/models/m HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("an end");
        assert!(read.is_err() || !answer.starts_with(b"HTTP"), "{answer:?}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn only_clients_of_the_authority_come_in() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let (server, _) = server(&mutual(&servers.signs("localhost"), &clients), GrpcOptions::default()).await;
    for address in [server.address, server.rest.unwrap()] {
        let right = clients.signs("a client");
        let stream = connect(&client(&servers, Some(&right), &["h2"]), address).await.unwrap();
        let mut sender = http2(stream).await.unwrap();
        if address == server.address {
            assert!(predict(&mut sender).await.unwrap());
        } else {
            let get = hyper::Request::get("https://localhost/healthz").body(Full::new(Bytes::new())).unwrap();
            assert_eq!(sender.send_request(get).await.unwrap().status(), 200);
        }
        for wrong in [None, Some(servers.signs("a client")), Some(Authority::new().signs("a client"))] {
            assert!(!asks(&client(&servers, wrong.as_ref(), &["h2"]), address).await);
        }
    }
    server.stop().await.unwrap();
}

/// Until a new connection is served to clients that trust `authority` alone.
async fn until_served(authority: &Authority, address: SocketAddr) {
    let (connector, start) = (client(authority, None, &["h2"]), Instant::now());
    while !asks(&connector, address).await {
        assert!(start.elapsed() < PATIENCE, "the new keys are not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn new_keys_are_taken_broken_ones_are_not_and_open_connections_stay() {
    let (old, new) = (Authority::new(), Authority::new());
    let (server, path) = server(&ssl_config(&old.signs("localhost"), ""), GrpcOptions::default()).await;
    let mut open = http2(connect(&client(&old, None, &["h2"]), server.address).await.unwrap()).await.unwrap();
    assert!(predict(&mut open).await.unwrap());

    // In one rename, as a secret is replaced.
    let aside = path.with_extension("new");
    fs::write(&aside, ssl_config(&new.signs("localhost"), "")).unwrap();
    fs::rename(&aside, &path).unwrap();
    until_served(&new, server.address).await;
    assert!(!asks(&client(&old, None, &["h2"]), server.address).await);
    assert!(predict(&mut open).await.unwrap(), "a connection goes on with the keys that it has");

    for broken in ["server_key: 'no key' server_cert: 'no certificate'", "server_key", ""] {
        fs::write(&path, broken).unwrap();
        tokio::time::sleep(Duration::from_millis(1300)).await;
        assert!(asks(&client(&new, None, &["h2"]), server.address).await, "{broken:?} replaces nothing");
    }
    fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert!(asks(&client(&new, None, &["h2"]), server.address).await);

    // It comes back, and wants certificates from now on.
    let clients = Authority::new();
    fs::write(&path, mutual(&old.signs("localhost"), &clients)).unwrap();
    let (connector, start) = (client(&old, Some(&clients.signs("c")), &["h2"]), Instant::now());
    while !asks(&connector, server.address).await {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!asks(&client(&old, None, &["h2"]), server.address).await);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_hostile_handshakes_hold_nobody_up_and_end() {
    let authority = Authority::new();
    let (options, warnings) = GrpcOptions::parse("grpc.server_handshake_timeout_ms=2000").unwrap();
    assert!(warnings.is_empty());
    let (server, _) = server(&ssl_config(&authority.signs("localhost"), ""), options).await;
    let began = Instant::now();
    let mut slow = Vec::new();
    for i in 0..300 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        // The beginning of a ClientHello, or nothing at all.
        socket.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..i % 12]).await.unwrap();
        slow.push(socket);
    }
    let mut hostile = TcpStream::connect(server.address).await.unwrap();
    hostile.write_all(&[0x16, 3, 1, 0xff, 0xff]).await.unwrap();
    hostile.write_all(&[0x41; 70_000]).await.ok();
    let asked = Instant::now();
    assert!(asks(&client(&authority, None, &["h2"]), server.address).await);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    for mut socket in slow {
        let mut rest = Vec::new();
        // Some hear why; all are let go.
        let end = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "a handshake that does not end");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    // Nor is the end held up.
    let _idle = TcpStream::connect(server.rest.unwrap()).await.unwrap();
    let _idle_too = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    server.stop().await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[derive(clap::Parser)]
#[command(args_override_self = true, disable_version_flag = true)]
struct Line {
    #[command(flatten)]
    flags: ServeFlags,
}

#[test]
fn rest_is_not_left_open_beside_an_encrypted_port_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ssl.config");
    fs::write(&path, ssl_config(&Authority::new().signs("localhost"), "")).unwrap();
    let grpc = format!("--ssl_config_file={}", path.display());
    let rest = format!("--rest_api_ssl_config_file={}", path.display());
    let resolve = |args: &[&str]| {
        let line = std::iter::once("longshore").chain(args.iter().copied()).map(Into::into);
        let config = ServerConfig::resolve(&Line::parse_from(normalize(line)).flags).unwrap();
        assert!(
            config.warnings.iter().all(|warning| warning.starts_with("--ssl_config_file is for gRPC alone"))
        );
        let port = config.rest_address.map(|address| address.port());
        (config.grpc_tls.is_some(), port, config.rest_tls.is_some(), config.warnings.len())
    };
    assert_eq!(resolve(&[]), (false, Some(8501), false, 0));
    assert_eq!(resolve(&[&grpc]), (true, None, false, 1));
    assert_eq!(resolve(&[&grpc, "--rest_api_port=8501"]), (true, Some(8501), false, 1));
    assert_eq!(resolve(&[&grpc, "--rest_api_port=0"]), (true, None, false, 0));
    assert_eq!(resolve(&[&grpc, &rest]), (true, Some(8501), true, 0));
    assert_eq!(resolve(&[&rest]), (false, Some(8501), true, 0));
    assert_eq!(resolve(&["--ssl_config_file="]), (false, Some(8501), false, 0));
}

#[test]
fn what_cannot_be_used_ends_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ssl.config");
    let refused = |content: &str, says: &str| {
        fs::write(&path, content).unwrap();
        for flag in ["ssl_config_file", "rest_api_ssl_config_file"] {
            let flag = format!("--{flag}={}", path.display());
            ends_with(&[&flag, "--port=0", "--rest_api_port=0"], 64, says);
            ends_with(&[&flag, "--port=0", "--rest_api_port=0"], 64, "ssl_config_file: ");
        }
    };
    let (authority, pair) = (Authority::new(), Authority::new().signs("localhost"));
    refused("server_key: 'x\n", "Error parsing text-format tensorflow.serving.SSLConfig: 1:15: ");
    refused("server_kye: 'x'", "1:1: field 'server_kye' not found");
    refused("", "server_key: expected a private key that is not encrypted");
    refused(
        &ssl_config(&Pair { key: authority.signs("localhost").key, ..pair }, ""),
        "server_key is not the key of server_cert's first certificate",
    );
    refused(
        &ssl_config(&authority.signs("localhost"), "client_verify: true"),
        "custom_ca is empty, and no client could be verified",
    );
    ends_with(&["--ssl_config_file=/nowhere/ssl.config"], 64, "Invalid protobuf file: '/nowhere/ssl.config'");
}
