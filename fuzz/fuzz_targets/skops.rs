//! Any bytes as a skops file.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::skops(data));
