//! `tensorflow.serving.PredictionLog`: a recorded call, as it lies in warm-up files.

use super::grpc::decode_inputs;
use super::inference;
use crate::dataplane::{Inference, MultiInference, Predict, Rehearsal};
use crate::error::{Code, ServingError};
use crate::ids::{ModelQuery, VersionChoice};
use crate::proto::tensorflow::serving as pb;
use pb::internal::SerializedInput;
use pb::prediction_log::LogType;

/// The request of a recorded call; `None` when none was recorded. Of its model spec
/// only the signature counts, and the recorded response not at all.
///
/// # Errors
/// UNIMPLEMENTED for calls that are not served; as the door for a tensor that
/// cannot be read.
pub fn rehearsal(log: pb::PredictionLog) -> Result<Option<Rehearsal>, ServingError> {
    Ok(Some(match log.log_type {
        None => return Ok(None),
        Some(LogType::PredictLog(log)) => {
            let request = log.request.unwrap_or_default();
            Rehearsal::Predict(Predict {
                query: nobody(),
                signature: signature(request.model_spec),
                inputs: decode_inputs(request.inputs)?,
                outputs_wanted: request.output_filter,
                deadline: None,
            })
        }
        Some(LogType::ClassifyLog(log)) => {
            let request = log.request.unwrap_or_default();
            Rehearsal::Classify(inference(request.model_spec, request.input))
        }
        Some(LogType::RegressLog(log)) => {
            let request = log.request.unwrap_or_default();
            Rehearsal::Regress(inference(request.model_spec, request.input))
        }
        Some(LogType::MultiInferenceLog(log)) => {
            let request = log.request.unwrap_or_default();
            Rehearsal::MultiInference(MultiInference {
                query: nobody(),
                tasks: request.tasks.into_iter().map(inference::task).collect(),
                examples: inference::examples(request.input),
                deadline: None,
            })
        }
        Some(LogType::SessionRunLog(_)) => return Err(unsupported(5)),
        Some(LogType::PredictStreamedLog(_)) => return Err(unsupported(7)),
    }))
}

/// `number` is that of the field of `log_type`.
fn unsupported(number: u32) -> ServingError {
    ServingError::new(Code::Unimplemented, format!("Unsupported log_type for warmup: {number}"))
}

fn nobody() -> ModelQuery {
    ModelQuery { name: String::new(), choice: VersionChoice::Latest }
}

fn signature(spec: Option<pb::ModelSpec>) -> String {
    spec.unwrap_or_default().signature_name
}

fn inference(spec: Option<pb::ModelSpec>, input: Option<SerializedInput>) -> Inference {
    let examples = inference::examples(input);
    Inference { query: nobody(), signature: signature(spec), examples, deadline: None }
}
