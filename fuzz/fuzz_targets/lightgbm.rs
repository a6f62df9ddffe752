//! Any bytes as a LightGBM model.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::lightgbm(data));
