//! File formats: bytes in, plain structs out. Every byte is taken for hostile.

pub mod example;
pub mod onnx;
pub mod pickle;
pub mod saved_model;
pub mod skops;
pub mod tensor_proto;
pub mod tfrecord;
pub mod trees;
