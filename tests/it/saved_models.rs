//! SavedModels where TensorFlow's library is not: what is said of them, and that nobody
//! else is held up. Those that are served are in `tests/interop/test_tensorflow.py`.

use std::fs;
use std::path::PathBuf;

use longshore::engines::TensorflowOptions;
use longshore::libraries::LibraryChoice;
use longshore::proto::tensorflow as tf;
use longshore::proto::tensorflow::serving as pb;
use prost::Message as _;

use crate::server::{PATIENCE, Repo, TestServer, golden, spec};

/// A SavedModel whose one signature gives what this node gives.
fn saved_model(node: &str, op: &str, tags: &[&str]) -> Vec<u8> {
    let info = tf::TensorInfo {
        dtype: 1,
        encoding: Some(tf::tensor_info::Encoding::Name(format!("{node}:0"))),
        ..tf::TensorInfo::default()
    };
    let signature = tf::SignatureDef {
        outputs: [("y".to_owned(), info)].into(),
        method_name: "tensorflow/serving/predict".to_owned(),
        ..tf::SignatureDef::default()
    };
    let node = tf::NodeDef { name: node.to_owned(), op: op.to_owned(), ..tf::NodeDef::default() };
    let meta_info = tf::meta_graph_def::MetaInfoDef {
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        ..Default::default()
    };
    let meta_graph = tf::MetaGraphDef {
        meta_info_def: Some(meta_info),
        graph_def: Some(tf::GraphDef { node: vec![node], ..tf::GraphDef::default() }),
        signature_def: [("serving_default".to_owned(), signature)].into(),
        ..tf::MetaGraphDef::default()
    };
    tf::SavedModel { saved_model_schema_version: 1, meta_graphs: vec![meta_graph] }.encode_to_vec()
}

fn plain() -> Vec<u8> {
    saved_model("y", "Const", &["serve"])
}

/// The code and the message of version 1, once it could not be loaded.
async fn failure(server: &TestServer, model: &str) -> (i32, String) {
    let mut client = server.client().await;
    let start = std::time::Instant::now();
    loop {
        let request = pb::GetModelStatusRequest { model_spec: spec(model, Some(1)) };
        if let Ok(answer) = client.models.get_model_status(request).await {
            let status = answer.into_inner().model_version_status.remove(0).status.unwrap();
            if status.error_code != 0 {
                return (status.error_code, status.error_message);
            }
        }
        assert!(start.elapsed() < PATIENCE, "{model} has not failed in time");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// A model's name, its files, and the code and the message of its failure.
type Failing<'a> = (&'a str, &'a [(&'a str, &'a [u8])], i32, &'a str);

/// Each model fails with the code, and with the message after the name of its
/// `saved_model.pb`.
async fn fails(options: TensorflowOptions, models: &[Failing<'_>]) {
    let repo = Repo::with("others", 1, &golden("half_plus_two.pkl"));
    for (name, files, ..) in models {
        repo.drop_in_files(name, 1, files);
    }
    let server = TestServer::start_with_config(repo, |mut config| {
        config.engines.tensorflow = options;
        config
    })
    .await;
    for (name, _, code, message) in models {
        let (found, text) = failure(&server, name).await;
        let file = server.repo.path(&format!("{name}/1/saved_model.pb"));
        let text = text.strip_prefix(&format!("{}: ", file.display())).unwrap_or_else(|| panic!("{text}"));
        assert!(text.starts_with(message), "{name}: {text}");
        assert_eq!(found, *code, "{name}: {text}");
    }
    // Nobody else minds.
    assert_eq!(server.client().await.ask("others", None, 3.0).await.unwrap(), (1, 3.5));
    server.stop().await.unwrap();
}

fn with(library: LibraryChoice) -> TensorflowOptions {
    TensorflowOptions { library, ..TensorflowOptions::default() }
}

const UNIMPLEMENTED: i32 = 12;

#[tokio::test]
async fn without_the_library_the_status_says_what_is_missing() {
    let file = plain();
    let off = "a SavedModel is run by TensorFlow's own library: TensorFlow is switched off (--tensorflow_library=off)";
    fails(with(LibraryChoice::Off), &[("m", &[("saved_model.pb", &file)], UNIMPLEMENTED, off)]).await;

    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libtensorflow_cc.so.2");
    fs::write(&text, "no library at all").unwrap();
    for (path, why) in
        [(text, "it is no shared library"), (PathBuf::from("/absent/libtensorflow_cc.so.2"), "No such file")]
    {
        let want = format!("a SavedModel is run by TensorFlow's own library: {}: {why}", path.display());
        fails(with(LibraryChoice::Path(path)), &[("m", &[("saved_model.pb", &file)], UNIMPLEMENTED, &want)])
            .await;
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_unrelated_library_is_not_opened() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("/libc.so") || line.contains("/ld-musl")).unwrap();
    let library = PathBuf::from(&line[line.find('/').unwrap()..]);
    let want = format!(
        "a SavedModel is run by TensorFlow's own library: {}: it exports no symbol TF_LoadSessionFromSavedModel; \
         expected TensorFlow, the file libtensorflow_cc.so.2",
        library.display()
    );
    fails(
        with(LibraryChoice::Path(library)),
        &[("m", &[("saved_model.pb", &plain())], UNIMPLEMENTED, &want)],
    )
    .await;
}

#[tokio::test]
async fn what_is_refused_is_refused_before_the_library_is_looked_for() {
    let (good, training) = (plain(), saved_model("y", "Const", &["train"]));
    let writes = saved_model("y", "WriteFile", &["serve"]);
    fails(
        with(LibraryChoice::Off),
        &[
            (
                "training",
                &[("saved_model.pb", &training)],
                5,
                "Could not find meta graph def matching supplied tags: { serve }. To inspect available tag-sets in \
                 the SavedModel, please use the SavedModel CLI: `saved_model_cli`. It has { train }",
            ),
            (
                "writes",
                &[("saved_model.pb", &writes)],
                7,
                "node \"y\": WriteFile reads or writes files, and signature \"serving_default\" runs it; such models \
                 are served only with --tensorflow_allow_file_ops",
            ),
            ("truncated", &[("saved_model.pb", &good[..good.len() / 2])], 3, "it is not a SavedModel: "),
            (
                "chunked",
                &[("saved_model.pb", &good), ("saved_model.cpb", b"")],
                3,
                "there is a saved_model.cpb beside it; expected a SavedModel that is one file",
            ),
        ],
    )
    .await;
    // With leave, or with other tags, they get as far as to the library.
    let library = "a SavedModel is run by TensorFlow's own library: ";
    let options = TensorflowOptions { allow_file_ops: true, ..with(LibraryChoice::Off) };
    fails(options, &[("writes", &[("saved_model.pb", &writes)], UNIMPLEMENTED, library)]).await;
    let options = TensorflowOptions { tags: vec!["train".to_owned()], ..with(LibraryChoice::Off) };
    fails(options, &[("training", &[("saved_model.pb", &training)], UNIMPLEMENTED, library)]).await;
}

#[tokio::test]
#[cfg(unix)]
async fn variables_that_lie_elsewhere_are_not_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("variables.index"), "secret").unwrap();
    let repo = Repo::new();
    repo.drop_in_files("away", 1, &[("saved_model.pb", &plain()), ("assets/a", b"a")]);
    let link = repo.path("away/1/assets/variables.index");
    std::os::unix::fs::symlink(outside.path().join("variables.index"), &link).unwrap();
    let server = TestServer::start(repo).await;
    let (_, text) = failure(&server, "away").await;
    assert!(
        text.contains("assets/variables.index: ") && text.contains("leads out of the repository"),
        "{text}"
    );
    server.stop().await.unwrap();
}
