//! Any bytes as a `saved_model.pb`.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::saved_model(data));
