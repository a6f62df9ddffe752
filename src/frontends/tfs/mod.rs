//! TensorFlow Serving's API: `tensorflow.serving.PredictionService` and
//! `tensorflow.serving.ModelService`.

pub mod grpc;
pub mod inference;
pub mod management;
pub mod prediction_log;
pub mod rest;
pub mod signature_def;
pub use crate::formats::tensor_proto;
