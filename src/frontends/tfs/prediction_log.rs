//! `tensorflow.serving.PredictionLog`: a recorded call, as it lies in warm-up files
//! and request logs.

use std::time::SystemTime;

use prost::Message;

use super::grpc::decode_inputs;
use super::inference;
use crate::dataplane::{Inference, MultiInference, Predict, Rehearsal};
use crate::error::{Code, ServingError};
use crate::ids::{ModelQuery, VersionChoice};
use crate::proto::tensorflow::serving as pb;
use crate::request_log::{Record, RequestLog, Sample};
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

/// A request that can stand in a request log, beside its answer.
pub(super) trait Recorded: Message + Clone {
    /// The message of its answer.
    type Response;

    /// Both together.
    fn log(self, response: Self::Response) -> LogType;

    /// Which version and signature answered.
    fn answered_by(response: &Self::Response) -> Option<pb::ModelSpec>;
}

macro_rules! recorded {
    ($($request:ident, $response:ident, $variant:ident, $log:ident, $spec:expr;)*) => {$(
        impl Recorded for pb::$request {
            type Response = pb::$response;

            fn log(self, response: pb::$response) -> LogType {
                LogType::$variant(pb::$log { request: Some(self), response: Some(response) })
            }

            fn answered_by(response: &pb::$response) -> Option<pb::ModelSpec> {
                let spec: fn(&pb::$response) -> &Option<pb::ModelSpec> = $spec;
                spec(response).clone()
            }
        }
    )*};
}

recorded! {
    PredictRequest, PredictResponse, PredictLog, PredictLog, |response| &response.model_spec;
    ClassificationRequest, ClassificationResponse, ClassifyLog, ClassifyLog, |response| &response.model_spec;
    RegressionRequest, RegressionResponse, RegressLog, RegressLog, |response| &response.model_spec;
    MultiInferenceRequest, MultiInferenceResponse, MultiInferenceLog, MultiInferenceLog,
        |response| response.results.first().map_or(&None, |first| &first.model_spec);
}

/// A call that is to be recorded, from its request to its answer. One that fails is
/// not: nobody could replay it.
#[derive(Debug)]
pub(super) struct Recording<R> {
    sample: Sample,
    request: R,
}

impl<R: Recorded> Recording<R> {
    /// Keeps a copy of the request, if the log wants this call of the model and has
    /// room for what the request takes, in bytes.
    pub(super) fn begin(
        log: &RequestLog,
        model: &str,
        bytes: impl FnOnce() -> usize,
        copy: impl FnOnce() -> R,
    ) -> Option<Self> {
        let sample = log.sample(model)?;
        sample.has_room(bytes()).then(|| Self { sample, request: copy() })
    }

    /// Leaves request and a copy of the answer for the log, if that is not too large to be
    /// copied.
    pub(super) fn end_copied(recording: Option<Self>, response: &R::Response)
    where
        R::Response: Message + Clone,
    {
        let Some(recording) = recording else { return };
        if recording.sample.has_room(response.encoded_len()) {
            Self::end(Some(recording), || response.clone());
        }
    }

    /// Leaves request and answer for the log.
    pub(super) fn end(recording: Option<Self>, response: impl FnOnce() -> R::Response) {
        let Some(Self { sample, request }) = recording else { return };
        let response = response();
        let sampling_rate = sample.rate().get();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let metadata = pb::LogMetadata {
            model_spec: R::answered_by(&response),
            sampling_config: Some(pb::SamplingConfig { sampling_rate, ..Default::default() }),
            timestamp_secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            ..Default::default()
        };
        let log_type = Some(request.log(response));
        sample.record(Box::new(pb::PredictionLog { log_metadata: Some(metadata), log_type }));
    }
}

impl Record for pb::PredictionLog {
    fn encoded_len(&self) -> usize {
        Message::encoded_len(self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        // A vector grows as it is written to: this cannot fail.
        _ = Message::encode(self, out);
    }
}
