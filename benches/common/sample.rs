//! The sample model: where it lies, how it is asked, what it answers.

use longshore::proto::tensorflow::serving::{ModelSpec, PredictRequest, PredictResponse};
use longshore::proto::tensorflow::tensor_shape_proto::Dim;
use longshore::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};

/// The sample repository.
pub(crate) const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/model_repository");
/// The model in it.
pub(crate) const MODEL: &str = "linear_regression";
/// The first row that `examples/train_linear_regression.py` prints, and what
/// `model.predict` says to it.
const ROW: [f64; 4] = [0.5, -1.0, 2.0, 0.0];
pub(crate) const PREDICTION: f64 = 40.653_737_737_659_53;

/// One row for the sample model, or for a copy of it under another name.
pub(crate) fn request(model: &str) -> PredictRequest {
    let inputs = TensorProto {
        dtype: DataType::DtDouble.into(),
        tensor_shape: Some(shape(&[1, 4])),
        double_val: ROW.to_vec(),
        ..TensorProto::default()
    };
    PredictRequest {
        model_spec: Some(ModelSpec { name: model.to_owned(), ..ModelSpec::default() }),
        inputs: [("inputs".to_owned(), inputs)].into(),
        ..PredictRequest::default()
    }
}

/// A tensor's shape on the wire.
pub(crate) fn shape(sizes: &[i64]) -> TensorShapeProto {
    let dim = sizes.iter().map(|&size| Dim { size, ..Dim::default() }).collect();
    TensorShapeProto { dim, ..TensorShapeProto::default() }
}

/// Holds an answer to what `model.predict` says.
///
/// # Errors
/// When it is not that.
pub(crate) fn check(answer: &PredictResponse) -> Result<(), String> {
    let close = |number: &f64| (number - PREDICTION).abs() <= 1e-12 * PREDICTION;
    let predictions = answer.outputs.get("predictions").map(|tensor| tensor.double_val.as_slice());
    if predictions.is_some_and(|numbers| numbers.len() == 1 && numbers.iter().all(close)) {
        return Ok(());
    }
    Err(format!("expected the prediction {PREDICTION}, got {answer:?}"))
}
