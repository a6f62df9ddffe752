//! Any bytes as a pickle.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::pickle(data));
