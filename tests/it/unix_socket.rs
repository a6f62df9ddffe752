//! Unix sockets: the clients that send their path as the authority, and who owns the file.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use longshore::config::ServerConfig;
use prost::Message as _;

use crate::server::{PATIENCE, Repo, TestServer, config, doubles, golden, request};

async fn server_at(path: &Path, repo: Repo) -> TestServer {
    let config = ServerConfig { grpc_socket: Some(path.to_owned()), ..config(repo.root()) };
    TestServer::start_with(repo, config).await
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A header field as gRPC's C core writes it: in full, to be put into the table.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    [&[0x40][..], &text(name), &text(value)].concat()
}

/// Asks twice on one connection; the second request takes all its fields from the
/// table. Gives what kinds of frames came back on each of the two streams.
fn ask_twice(path: &Path, authority: &str) -> Vec<(u8, u8)> {
    let mut socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let fields = [
        (":path", "/tensorflow.serving.PredictionService/Predict"),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    // `:method: POST` and `:scheme: http` are in the static table.
    let first: Vec<u8> = [vec![0x83, 0x86], fields.map(|(name, value)| field(name, value)).concat()].concat();
    // The newest entry of the dynamic table has index 62.
    let second = [0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62];
    let message = request("m", None, doubles(&[&[2.0]])).encode_to_vec();
    let body = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat();
    let sent = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &first),
        frame(0, 1, 1, &body),
        frame(1, 4, 3, &second),
        frame(0, 1, 3, &body),
    ];
    socket.write_all(&sent.concat()).unwrap();
    let (mut came, mut ended) = (Vec::new(), 0);
    while ended < 2 {
        let mut header = [0; 9];
        socket.read_exact(&mut header).unwrap();
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        socket.read_exact(&mut payload).unwrap();
        let (kind, flags, stream) = (header[3], header[4], header[8]);
        if stream != 0 && kind != 8 {
            came.push((stream, kind));
            // RST_STREAM, or END_STREAM on what has one.
            ended += usize::from(kind == 3 || flags & 1 != 0);
        }
    }
    came.sort_unstable();
    came
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_for_an_authority_is_answered() {
    let repo = Repo::with("m", 1, &golden("half_plus_two.pkl"));
    let path = repo.path("serving.sock");
    let server = server_at(&path, repo).await;
    let shown = path.display().to_string();
    for authority in [shown.replace('/', "%2F"), shown, "localhost".to_owned()] {
        // Headers, data and trailers for each, and nothing else.
        let came = ask_twice(&path, &authority);
        assert_eq!(came, [(1, 0), (1, 1), (1, 1), (3, 0), (3, 1), (3, 1)], "{authority}");
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_takes_over_and_the_first_leaves_its_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serving.sock");
    let first = server_at(&path, Repo::with("m", 1, &golden("half_plus_two.pkl"))).await;
    let served = |stream: Vec<(u8, u8)>| stream.len() == 6;
    assert!(served(ask_twice(&path, "x")));
    let second = server_at(&path, Repo::with("m", 1, &golden("half_plus_two.pkl"))).await;
    first.stop().await.unwrap();
    assert!(served(ask_twice(&path, "x")), "the second answers when the first is gone");
    second.stop().await.unwrap();
    assert!(!path.exists());
}
