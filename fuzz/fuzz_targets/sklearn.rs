//! Any bytes as a scikit-learn model.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::sklearn(data));
