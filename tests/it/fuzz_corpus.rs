//! Everything in the fuzz targets' corpora, through what the targets do with it.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/fuzz_targets/drive.rs"]
pub(crate) mod drive;

fn replay(target: &str, drive: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut replayed = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        println!("{}", path.display());
        drive(&fs::read(path).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", folder.display());
}

#[test]
fn the_corpus_of_pickle() {
    replay("pickle", drive::pickle);
}

#[test]
fn the_corpus_of_joblib_container() {
    replay("joblib_container", drive::joblib_container);
}

#[test]
fn the_corpus_of_sklearn() {
    replay("sklearn", drive::sklearn);
}

#[test]
fn the_corpus_of_skops() {
    replay("skops", drive::skops);
}

#[test]
fn the_corpus_of_xgboost() {
    replay("xgboost", drive::xgboost);
}

#[test]
fn the_corpus_of_lightgbm() {
    replay("lightgbm", drive::lightgbm);
}

#[test]
fn the_corpus_of_onnx() {
    replay("onnx", drive::onnx);
}

#[test]
fn the_corpus_of_saved_model() {
    replay("saved_model", drive::saved_model);
}

/// See `tests/golden/saved_model/make.py`: what TensorFlow writes is let through, and
/// what reaches out of it is not.
#[test]
fn seeds_of_saved_models_are_judged_as_they_are_named() {
    use longshore::formats::saved_model::MetaGraph;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/saved_model");
    let mut judged = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".pb") {
            continue;
        }
        let model = MetaGraph::read(fs::read(&path).unwrap().into(), &["serve".to_owned()]).unwrap();
        assert_eq!(model.effect.is_some(), name.starts_with("refused_"), "{name}: {:?}", model.effect);
        assert!(model.signatures.iter().any(|signature| signature.refusal().is_none()), "{name}");
        judged += 1;
    }
    assert!(judged >= 10, "only {judged} seeds");
}

#[test]
fn the_corpus_of_example() {
    replay("example", drive::example);
}

#[test]
fn the_corpus_of_tfrecord() {
    replay("tfrecord", drive::tfrecord);
}

#[test]
fn the_corpus_of_tensor_proto() {
    replay("tensor_proto", |bytes| {
        longshore::frontends::tfs::tensor_proto::check_any_bytes(bytes.to_vec().into())
    });
}

#[test]
fn the_corpus_of_rest_json() {
    replay("rest_json", |bytes| longshore::frontends::tfs::rest::check_any_body(bytes.to_vec().into()));
}

#[test]
fn the_corpus_of_http2_authority() {
    replay("http2_authority", longshore::frontends::authority::check_any_bytes);
}
