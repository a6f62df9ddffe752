//! Warm-up files, as TensorFlow writes them, beside a model that is then served, or not.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use longshore::config::ServerConfig;
use pb::model_version_status::State;
use tonic::Code;

use crate::inference;
use crate::server::{Client, Repo, TestServer, config};
use longshore::proto::tensorflow::serving as pb;

const FILE: &str = "assets.extra/tf_serving_warmup_requests";

fn warm_up(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/warmup").join(name)).unwrap()
}

fn repo(file: &[u8]) -> Repo {
    let repo = Repo::new();
    repo.drop_in_with("frame", 1, &inference::model("frame"), &[(FILE, file)]);
    repo
}

async fn served(repo: Repo, config: ServerConfig) -> (TestServer, Client) {
    let server = TestServer::start_with(repo, config).await;
    let client = server.client().await;
    (server, client)
}

#[tokio::test]
async fn a_version_whose_recorded_requests_are_answered_is_served() {
    for times in [1, 20] {
        let repo = repo(&warm_up("frame_good"));
        let config = ServerConfig { warm_up: NonZeroU32::new(times), ..config(repo.root()) };
        let (server, mut client) = served(repo, config).await;
        let status = client.status("frame").await;
        assert_eq!(status, [(1, State::Available, String::new())]);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_version_that_cannot_answer_them_is_not_served_and_says_why() {
    let corrupted = {
        let mut file = warm_up("frame_good");
        file[40] ^= 1;
        file
    };
    let many = warm_up("nothing").repeat(1001);
    let cases = [
        (
            warm_up("frame_wrong_width"),
            Code::InvalidArgument,
            "X has 1 features, but StandardScaler is expecting 3 features as input. (warm-up record 1 of PATH)",
        ),
        (
            warm_up("frame_wrong_signature"),
            Code::FailedPrecondition,
            "Serving signature key \"gone\" not found. (warm-up record 0 of PATH)",
        ),
        (
            warm_up("frame_wrong_feature"),
            Code::InvalidArgument,
            "example 0 has no feature `rooms`; expected 1 number in it (warm-up record 1 of PATH)",
        ),
        (
            warm_up("frame_regress"),
            Code::InvalidArgument,
            "Expected one output Tensor. (warm-up record 0 of PATH)",
        ),
        (
            warm_up("session_run"),
            Code::Unimplemented,
            "Unsupported log_type for warmup: 5 (warm-up record 0 of PATH)",
        ),
        (warm_up("junk"), Code::InvalidArgument, "Failed to parse warmup record: \\xffno log from PATH"),
        (
            corrupted,
            Code::DataLoss,
            "corrupted record at 12. Please verify your warmup data is in TFRecord format.",
        ),
        (many, Code::InvalidArgument, "Number of warmup records exceeds the maximum (1000) at PATH"),
    ];
    for (file, code, text) in cases {
        let repo = repo(&file);
        let config = config(repo.root());
        let path = repo.path(&format!("frame/1/{FILE}"));
        let (server, mut client) = served(repo, config).await;
        let request = pb::GetModelStatusRequest { model_spec: crate::server::spec("frame", None) };
        let answer = client.models.get_model_status(request).await.unwrap().into_inner();
        let [version] = &answer.model_version_status[..] else { panic!("one version") };
        assert_ne!(version.state(), State::Available);
        let status = version.status.clone().unwrap();
        let path = path.canonicalize().unwrap();
        let want = text.replace("PATH", path.to_str().unwrap());
        assert_eq!((status.error_code, status.error_message), (code as i32, want));
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_mended_file_lets_the_version_in_and_one_that_is_not_wanted_is_not_read() {
    let repo = repo(&warm_up("frame_wrong_signature"));
    let config = config(repo.root());
    let (server, mut client) = served(repo, config).await;
    client.until_status("frame", |s| s.len() == 1 && !s[0].2.is_empty()).await;
    fs::write(server.repo.path(&format!("frame/1/{FILE}")), warm_up("frame_good")).unwrap();
    client.until_status("frame", |s| s[0].1 == State::Available).await;
    server.stop().await.unwrap();

    let repo = self::repo(&warm_up("junk"));
    let config = ServerConfig { warm_up: None, ..crate::server::config(repo.root()) };
    let (server, mut client) = served(repo, config).await;
    assert_eq!(client.status("frame").await, [(1, State::Available, String::new())]);
    server.stop().await.unwrap();
}
