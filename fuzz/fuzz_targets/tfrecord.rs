//! Any bytes as a TFRecord file.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::tfrecord(data));
