//! Compiles `proto/` into Rust, without `protoc`.

use std::path::{Path, PathBuf};
use std::{env, error, fs, io};

use prost::Message as _;

/// Maps whose order clients and tests can see, and which are few: kept sorted, so
/// that the same model always gives the same metadata bytes. All others are hash
/// maps: a B-tree node reserves room for eleven values at once, several kilobytes
/// for the one tensor that most requests hold.
const SORTED_MAPS: [&str; 5] = [
    ".tensorflow.SignatureDef",
    ".tensorflow.MetaGraphDef.signature_def",
    ".tensorflow.serving.SignatureDefMap",
    ".tensorflow.serving.GetModelMetadataResponse",
    ".tensorflow.serving.ModelConfig",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");

    let mut files = Vec::new();
    list_protos(Path::new("proto"), &mut files)?;
    files.sort();
    let mut descriptors = protox::compile(&files, ["proto"])?;

    // Requests hold their examples as the bytes they came in: whoever answers reads them.
    let config = tonic_prost_build::configure().extern_path(
        ".tensorflow.serving.Input",
        "crate::proto::tensorflow::serving::internal::SerializedInput",
    );
    // Comments become rustdoc, so the code is generated while they are there.
    SORTED_MAPS
        .iter()
        .fold(config, |config, path| config.btree_map(path))
        .bytes(".")
        .include_file("wire.rs")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors.clone())?;

    // What reflection serves: the declarations alone, and none of files.
    descriptors.file.retain(|file| !file.name().starts_with("onnx/"));
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    Ok(())
}

fn list_protos(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list_protos(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
