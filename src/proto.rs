//! The wire types, generated from `proto/` at build time.
//!
//! Packages are modules: `tensorflow.serving.PredictRequest` is
//! [`tensorflow::serving::PredictRequest`]. Every proto `bytes` is a
//! [`bytes::Bytes`] that shares the received message. Where a message holds an
//! `Input`, its twin on the same bytes stands, `internal.SerializedInput`, which
//! leaves the examples in it undecoded. These types stop in
//! `frontends` (wire), `formats` and `config` (files); `server` carries them from
//! the one to the other, and no other room sees them.

#[allow(
    missing_docs,
    unreachable_pub,
    rustdoc::all,
    clippy::all,
    clippy::pedantic,
    reason = "generated; what is worth saying is said in the .proto files"
)]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/wire.rs"));
}

pub use wire::{onnx, tensorflow};

/// All files of `proto/` that a client can meet, and what they import, as an encoded
/// `google.protobuf.FileDescriptorSet`: what server reflection tells clients.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;

    use super::FILE_DESCRIPTOR_SET;

    #[test]
    fn the_descriptors_are_closed_under_import_and_carry_no_comments() {
        let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let names: BTreeSet<&str> = set.file.iter().map(|file| file.name()).collect();
        assert!(names.contains("tensorflow_serving/apis/prediction_service.proto"));
        for file in &set.file {
            assert!(file.source_code_info.is_none(), "{}", file.name());
            for import in &file.dependency {
                assert!(names.contains(import.as_str()), "{} imports {import}", file.name());
            }
        }
    }
}
