//! The gRPC door of TensorFlow Serving's API.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::management::{Management, Peer};
use super::prediction_log::{self, Recording};
use super::{inference, signature_def, tensor_proto};
use crate::dataplane::{
    DataPlane, Inference, Inferred, MultiInference, Predict, Predicted, Served, TaskResult,
};
use crate::error::{Code, ServingError};
use crate::frontends::counting::{run, runs};
use crate::frontends::status::grpc_status;
use crate::ids::{ModelQuery, Version, VersionChoice};
use crate::lifecycle::VersionStatus;
use crate::limits;
use crate::proto::tensorflow::TensorProto;
use crate::proto::tensorflow::serving as pb;
use crate::request_log::RequestLog;
use crate::servable::About;
use crate::telemetry::{Asked, Protocol, Recorder, Rpc};
use crate::tensor::{NamedTensors, Tensor};
use pb::internal::SerializedInput;
use pb::metric::ValueIncrease;
use pb::model_service_server::{ModelService, ModelServiceServer};
use pb::model_spec::VersionChoice as WireChoice;
use pb::prediction_service_server::{PredictionService, PredictionServiceServer};

/// Both services over one loop's data plane.
#[derive(Debug, Clone)]
pub struct Door {
    plane: Arc<DataPlane>,
    recorder: Arc<Recorder>,
    form: tensor_proto::Form,
    management: Option<Management>,
    log: RequestLog,
    receive_bytes_max: usize,
    send_bytes_max: usize,
    compresses: bool,
}

impl Door {
    /// The door of one I/O loop, whose calls that loop's recorder counts.
    #[must_use]
    pub fn new(plane: Arc<DataPlane>, recorder: Arc<Recorder>) -> Self {
        Self {
            plane,
            recorder,
            form: tensor_proto::Form::default(),
            management: None,
            log: RequestLog::default(),
            receive_bytes_max: limits::MESSAGE_BYTES_MAX,
            send_bytes_max: limits::MESSAGE_BYTES_MAX,
            compresses: false,
        }
    }

    /// The same, with answers in this form.
    #[must_use]
    pub fn answering_in(self, form: tensor_proto::Form) -> Self {
        Self { form, ..self }
    }

    /// The same, with calls that change what is served. Without it they are
    /// UNIMPLEMENTED.
    #[must_use]
    pub fn managed(self, management: Management) -> Self {
        Self { management: Some(management), ..self }
    }

    /// The same, with calls recorded in this log as it wants.
    #[must_use]
    pub fn recording(self, log: RequestLog) -> Self {
        Self { log, ..self }
    }

    /// The same, with other bounds on messages, in bytes of a request and of an
    /// answer; never more than [`limits::MESSAGE_BYTES_MAX`].
    #[must_use]
    pub fn bounded(self, receive: usize, send: usize) -> Self {
        let most = limits::MESSAGE_BYTES_MAX;
        Self { receive_bytes_max: receive.min(most), send_bytes_max: send.min(most), ..self }
    }

    /// The same, with answers gzipped for callers who take that.
    #[must_use]
    pub fn compressing(self, compresses: bool) -> Self {
        Self { compresses, ..self }
    }

    /// `tensorflow.serving.PredictionService`, with our bounds on messages.
    #[must_use]
    pub fn prediction_service(&self) -> PredictionServiceServer<Self> {
        let service = PredictionServiceServer::new(self.clone())
            .max_decoding_message_size(self.receive_bytes_max)
            .max_encoding_message_size(self.send_bytes_max)
            .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
        if self.compresses {
            service.send_compressed(tonic::codec::CompressionEncoding::Gzip)
        } else {
            service
        }
    }

    /// `tensorflow.serving.ModelService`, with our bounds on messages.
    #[must_use]
    pub fn model_service(&self) -> ModelServiceServer<Self> {
        ModelServiceServer::new(self.clone())
            .max_decoding_message_size(self.receive_bytes_max)
            .max_encoding_message_size(self.send_bytes_max)
            .accept_compressed(tonic::codec::CompressionEncoding::Gzip)
    }

    async fn predict(
        &self,
        metadata: &MetadataMap,
        request: pb::PredictRequest,
        counted: &mut Asked<'_>,
    ) -> Result<pb::PredictResponse, ServingError> {
        let deadline = deadline(metadata);
        let recording = self.recorded(request.model_spec.as_ref(), &request);
        let spec = request.model_spec.ok_or_else(missing_model_spec)?;
        counted.of_model(&spec.name);
        let (query, signature) = query(spec);
        let asked = Predict {
            query,
            signature,
            inputs: decode_inputs(request.inputs)?,
            outputs_wanted: request.output_filter,
            deadline,
        };
        let answer = self.plane.predict(asked).await?;
        // The name is the caller's; it goes back as it came.
        let (response, served) = predict_response(counted.take_model(), answer, self.form);
        counted.answered_by(&run(&served));
        Recording::end_copied(recording, &response);
        Ok(response)
    }

    async fn classify(
        &self,
        metadata: &MetadataMap,
        request: pb::ClassificationRequest,
        counted: &mut Asked<'_>,
    ) -> Result<pb::ClassificationResponse, ServingError> {
        counted.of_model(named(request.model_spec.as_ref()));
        let recording = self.recorded(request.model_spec.as_ref(), &request);
        let asked = asked(metadata, request.model_spec, request.input)?;
        let answer = self.plane.classify(asked).await?;
        let (response, served) = inference::classification_response(counted.take_model(), answer);
        counted.answered_by(&run(&served));
        Recording::end_copied(recording, &response);
        Ok(response)
    }

    async fn regress(
        &self,
        metadata: &MetadataMap,
        request: pb::RegressionRequest,
        counted: &mut Asked<'_>,
    ) -> Result<pb::RegressionResponse, ServingError> {
        counted.of_model(named(request.model_spec.as_ref()));
        let recording = self.recorded(request.model_spec.as_ref(), &request);
        let asked = asked(metadata, request.model_spec, request.input)?;
        let answer = self.plane.regress(asked).await?;
        let (response, served) = inference::regression_response(counted.take_model(), answer);
        counted.answered_by(&run(&served));
        Recording::end_copied(recording, &response);
        Ok(response)
    }

    async fn multi_inference(
        &self,
        metadata: &MetadataMap,
        request: pb::MultiInferenceRequest,
        counted: &mut Asked<'_>,
    ) -> Result<pb::MultiInferenceResponse, ServingError> {
        // Without tasks, or without a spec in the first, it is an empty spec that is asked for.
        let first = request.tasks.first().and_then(|task| task.model_spec.clone());
        counted.of_model(named(first.as_ref()));
        let recording = self.recorded(first.as_ref(), &request);
        let (query, _) = query(first.unwrap_or_default());
        let name = query.name.clone();
        let asked = MultiInference {
            query,
            tasks: request.tasks.into_iter().map(inference::task).collect(),
            examples: inference::examples(request.input),
            deadline: deadline(metadata),
        };
        let examples = asked.examples.len();
        let answers = self.plane.multi_inference(asked).await?;
        let result = |answer: Inferred<TaskResult>| {
            let model_spec = Some(resolved_spec(name.clone(), answer.version, &answer.signature));
            let result = Some(inference::task_result(answer.result));
            (pb::InferenceResult { model_spec, result }, answer.served)
        };
        let (results, served): (_, Vec<_>) = answers.into_iter().map(result).unzip();
        let response = pb::MultiInferenceResponse { results };
        if let Some(run) = runs(&served) {
            run.version.examples(examples);
            counted.answered_by(&run);
        }
        Recording::end_copied(recording, &response);
        Ok(response)
    }

    /// A copy of this call's request, if the call is to be recorded.
    fn recorded<R: prediction_log::Recorded>(
        &self,
        spec: Option<&pb::ModelSpec>,
        request: &R,
    ) -> Option<Recording<R>> {
        Recording::begin(&self.log, named(spec), || request.encoded_len(), || request.clone())
    }

    fn metadata(
        &self,
        request: pb::GetModelMetadataRequest,
        counted: &mut Asked<'_>,
    ) -> Result<pb::GetModelMetadataResponse, ServingError> {
        counted.of_model(named(request.model_spec.as_ref()));
        let spec = request.model_spec.ok_or_else(missing_model_spec)?;
        if request.metadata_field.is_empty() {
            let text = "GetModelMetadataRequest must specify at least one metadata_field";
            return Err(ServingError::invalid_argument(text));
        }
        let is_known = |field: &String| [SIGNATURE_DEF, ENGINE].contains(&field.as_str());
        if let Some(field) = request.metadata_field.iter().find(|field| !is_known(field)) {
            return Err(ServingError::invalid_argument(format!("Metadata field {field} is not supported")));
        }
        let (query, _) = query(spec);
        let handle = self.plane.find(&query)?;
        let servable = handle.servable();
        let told = |field: String| {
            let any = if field == ENGINE {
                any("google.protobuf.Struct", &engine(servable.about()))
            } else {
                any("tensorflow.serving.SignatureDefMap", &signature_def::stated(servable))
            };
            (field, any)
        };
        Ok(pb::GetModelMetadataResponse {
            model_spec: Some(resolved_spec(query.name, handle.id().version, "")),
            metadata: request.metadata_field.into_iter().map(told).collect(),
        })
    }

    fn status(
        &self,
        request: pb::GetModelStatusRequest,
        counted: &mut Asked<'_>,
    ) -> Result<pb::GetModelStatusResponse, ServingError> {
        counted.of_model(named(request.model_spec.as_ref()));
        let spec = request.model_spec.ok_or_else(missing_model_spec)?;
        // A label is not looked at, as in the reference: all versions are told.
        let version = match spec.version_choice {
            Some(WireChoice::Version(version)) => Some(version),
            Some(WireChoice::VersionLabel(_)) | None => None,
        };
        let versions = self.plane.status(&spec.name, version)?;
        let model_version_status = versions.into_iter().map(version_status).collect();
        Ok(pb::GetModelStatusResponse { model_version_status })
    }
}

impl Door {
    async fn reload(
        &self,
        peer: Option<Peer>,
        request: pb::ReloadConfigRequest,
    ) -> Result<pb::ReloadConfigResponse, ServingError> {
        let Some(management) = &self.management else {
            let text = "HandleReloadConfigRequest is not served at this door";
            return Err(ServingError::new(Code::Unimplemented, text));
        };
        let manager = management.open_to(peer)?;
        let names = request.metric_names;
        let rises = (!names.is_empty()).then(|| self.recorder.metrics().increases());
        manager.reload(request.config.unwrap_or_default()).await?;
        let rises = rises.map_or_else(Vec::new, |rises| rises.of(&names));
        let metric = |(name, rise)| {
            let value_increase = Some(ValueIncrease::Int64ValueIncrease(rise));
            pb::Metric { name, value_increase }
        };
        Ok(pb::ReloadConfigResponse {
            status: Some(pb::StatusProto { error_code: Code::Ok as i32, error_message: String::new() }),
            metric: names.into_iter().zip(rises).map(metric).collect(),
        })
    }
}

/// The one metadata field that the reference has.
const SIGNATURE_DEF: &str = "signature_def";
/// Ours: which engine runs the model, why, and what the model's file says of itself.
const ENGINE: &str = "engine";

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

/// `{name, reason, properties: {…}}`, as REST's metadata have it.
fn engine(about: About) -> prost_types::Struct {
    use prost_types::value::Kind;
    let text = |text| prost_types::Value { kind: Some(Kind::StringValue(text)) };
    let properties = about.properties.into_iter().map(|(key, value)| (key, text(value))).collect();
    let properties = Kind::StructValue(prost_types::Struct { fields: properties });
    let fields = [
        ("name", text(about.engine)),
        ("reason", text(about.reason)),
        ("properties", prost_types::Value { kind: Some(properties) }),
    ];
    prost_types::Struct { fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }
}

/// Ends a call: counts it unless it was counted already, and gives it to tonic.
fn ended<T>(mut counted: Asked<'_>, outcome: Result<T, ServingError>) -> Result<Response<T>, Status> {
    match outcome {
        Ok(answer) => {
            counted.answered();
            Ok(Response::new(answer))
        }
        Err(error) => {
            counted.refused(error.code());
            Err(grpc_status(&error))
        }
    }
}

/// The model that a call names, if any.
fn named(spec: Option<&pb::ModelSpec>) -> &str {
    spec.map_or("", |spec| &spec.name)
}

fn missing_model_spec() -> ServingError {
    ServingError::invalid_argument("Missing ModelSpec")
}

fn query(spec: pb::ModelSpec) -> (ModelQuery, String) {
    let choice = match spec.version_choice {
        None => VersionChoice::Latest,
        Some(WireChoice::Version(version)) => VersionChoice::Specific(version),
        Some(WireChoice::VersionLabel(label)) => VersionChoice::Label(label),
    };
    (ModelQuery { name: spec.name, choice }, spec.signature_name)
}

/// What Classify and Regress have in common.
fn asked(
    metadata: &MetadataMap,
    spec: Option<pb::ModelSpec>,
    input: Option<SerializedInput>,
) -> Result<Inference, ServingError> {
    let deadline = deadline(metadata);
    let (query, signature) = query(spec.ok_or_else(missing_model_spec)?);
    Ok(Inference { query, signature, examples: inference::examples(input), deadline })
}

/// The version that answered, never the label that was asked for.
pub(super) fn resolved_spec(name: String, version: Version, signature: &str) -> pb::ModelSpec {
    let version_choice = Some(WireChoice::Version(version.get()));
    pb::ModelSpec { name, signature_name: signature.to_owned(), version_choice }
}

/// What a caller of another door would have sent here.
pub(super) fn spec(query: &ModelQuery, signature: &str) -> pb::ModelSpec {
    let version_choice = match &query.choice {
        VersionChoice::Latest => None,
        VersionChoice::Specific(version) => Some(WireChoice::Version(*version)),
        VersionChoice::Label(label) => Some(WireChoice::VersionLabel(label.clone())),
    };
    pb::ModelSpec { name: query.name.clone(), signature_name: signature.to_owned(), version_choice }
}

/// A Predict as its message.
pub(super) fn predict_request(asked: &Predict) -> pb::PredictRequest {
    let encode = |tensor: &Tensor| tensor_proto::encode(tensor.clone(), tensor_proto::Form::Content);
    pb::PredictRequest {
        model_spec: Some(spec(&asked.query, &asked.signature)),
        inputs: asked.inputs.iter().map(|(alias, tensor)| (alias.to_string(), encode(tensor))).collect(),
        output_filter: asked.outputs_wanted.clone(),
        ..Default::default()
    }
}

/// The answer to a Predict of the model that the caller called `name`, and who gave it.
pub(super) fn predict_response(
    name: String,
    answer: Predicted,
    form: tensor_proto::Form,
) -> (pb::PredictResponse, Served) {
    let outputs = answer.outputs.into_iter();
    let encode = |tensor| tensor_proto::encode(tensor, form);
    let response = pb::PredictResponse {
        outputs: outputs.map(|(alias, tensor)| (alias.as_ref().to_owned(), encode(tensor))).collect(),
        model_spec: Some(resolved_spec(name, answer.version, &answer.signature)),
    };
    (response, answer.served)
}

/// The inputs of a Predict, within our bounds.
pub(super) fn decode_inputs(inputs: HashMap<String, TensorProto>) -> Result<NamedTensors, ServingError> {
    if inputs.len() > limits::REQUEST_INPUTS_MAX {
        let text =
            format!("a request has at most {} inputs; got {}", limits::REQUEST_INPUTS_MAX, inputs.len());
        return Err(ServingError::invalid_argument(text));
    }
    inputs
        .into_iter()
        .map(|(alias, proto)| match tensor_proto::decode(proto) {
            Ok(tensor) => Ok((alias, tensor)),
            Err(why) => {
                let text = format!("tensor parsing error: {alias} ({why})");
                Err(ServingError::invalid_argument(text))
            }
        })
        .collect()
}

fn version_status(status: VersionStatus) -> pb::ModelVersionStatus {
    let (error_code, error_message) = match status.error {
        None => (Code::Ok as i32, String::new()),
        Some(error) => (error.code() as i32, error.message().to_owned()),
    };
    pb::ModelVersionStatus {
        version: status.version.get(),
        state: status.state.wire_number(),
        status: Some(pb::StatusProto { error_code, error_message }),
    }
}

/// When the caller stops waiting: now plus `grpc-timeout`, less a moment, so that
/// our answer is there before the transport gives up in words of its own.
fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    const HEAD_START: Duration = Duration::from_millis(1);
    let timeout = timeout(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    Instant::now().checked_add(timeout.saturating_sub(HEAD_START))
}

/// Reads a `grpc-timeout`: at most 8 digits and a unit.
/// Source: gRPC over HTTP/2, `Timeout`.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[tonic::async_trait]
impl PredictionService for Door {
    async fn predict(
        &self,
        request: Request<pb::PredictRequest>,
    ) -> Result<Response<pb::PredictResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let mut counted = self.recorder.asked(Rpc::Predict, Protocol::Grpc);
        let outcome = Door::predict(self, &metadata, request, &mut counted).await;
        ended(counted, outcome)
    }

    async fn get_model_metadata(
        &self,
        request: Request<pb::GetModelMetadataRequest>,
    ) -> Result<Response<pb::GetModelMetadataResponse>, Status> {
        let mut counted = self.recorder.asked(Rpc::GetModelMetadata, Protocol::Grpc);
        let outcome = self.metadata(request.into_inner(), &mut counted);
        ended(counted, outcome)
    }

    async fn classify(
        &self,
        request: Request<pb::ClassificationRequest>,
    ) -> Result<Response<pb::ClassificationResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let mut counted = self.recorder.asked(Rpc::Classify, Protocol::Grpc);
        let outcome = Door::classify(self, &metadata, request, &mut counted).await;
        ended(counted, outcome)
    }

    async fn regress(
        &self,
        request: Request<pb::RegressionRequest>,
    ) -> Result<Response<pb::RegressionResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let mut counted = self.recorder.asked(Rpc::Regress, Protocol::Grpc);
        let outcome = Door::regress(self, &metadata, request, &mut counted).await;
        ended(counted, outcome)
    }

    async fn multi_inference(
        &self,
        request: Request<pb::MultiInferenceRequest>,
    ) -> Result<Response<pb::MultiInferenceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let mut counted = self.recorder.asked(Rpc::MultiInference, Protocol::Grpc);
        let outcome = Door::multi_inference(self, &metadata, request, &mut counted).await;
        ended(counted, outcome)
    }
}

#[tonic::async_trait]
impl ModelService for Door {
    async fn get_model_status(
        &self,
        request: Request<pb::GetModelStatusRequest>,
    ) -> Result<Response<pb::GetModelStatusResponse>, Status> {
        let mut counted = self.recorder.asked(Rpc::GetModelStatus, Protocol::Grpc);
        let outcome = self.status(request.into_inner(), &mut counted);
        ended(counted, outcome)
    }

    async fn handle_reload_config_request(
        &self,
        request: Request<pb::ReloadConfigRequest>,
    ) -> Result<Response<pb::ReloadConfigResponse>, Status> {
        let peer = request.extensions().get::<Peer>().copied();
        self.reload(peer, request.into_inner()).await.map(Response::new).map_err(|e| grpc_status(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("7u"), Some(Duration::from_micros(7)));
        for bad in ["", "S", "5", "5s", "-5S", "+5S", "123456789S", "5é", "1.5S"] {
            assert_eq!(timeout(bad), None, "{bad:?}");
        }
    }
}
