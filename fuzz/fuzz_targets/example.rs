//! Any bytes as a `tf.Example`.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::example(data));
