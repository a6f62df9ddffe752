//! TensorFlow Serving's API.

pub mod signature_def;
pub mod tensor_proto;
