//! Any bytes as a compressed pickle.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::joblib_container(data));
