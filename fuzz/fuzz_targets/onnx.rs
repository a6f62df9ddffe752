//! Any bytes as an ONNX model, on the built-in operators.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::onnx(data));
