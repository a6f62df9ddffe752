//! The REST door of TensorFlow Serving's API: paths and JSON in, JSON out.
//!
//! ```text
//! path ─▶ route ─┬─▶ status, metadata ──────────────────────────────▶ JSON
//!                └─▶ body ─▶ scan ─▶ signature ─▶ values ─▶ predict ─▶ write
//! ```
//!
//! Beside what the reference has: `GET /v1/models`, labels in status, query
//! strings, an OpenAPI document, `output_filter`, gzip and zstd, half, bfloat16 and uint16, and
//! `application/x-protobuf` in both directions.

mod coding;
mod examples;
mod json;
mod metadata;
mod number;
mod openapi;
mod path;
mod recorded;
mod request;
mod status;
mod values;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use prost::Message as _;

use self::coding::CodingError;
use self::path::{NoRoute, Route, Verb};
pub use self::recorded::{bodies, recorded};
use self::request::{Format, Request};
use super::prediction_log::Recording;
use super::signature_def;
use super::tensor_proto::Form;
use super::{grpc, inference};
use crate::dataplane::{DataPlane, Inference, Predict, Predicted};
use crate::error::{Code, ServingError};
use crate::frontends::counting::run;
use crate::frontends::health::Readiness;
use crate::frontends::metrics::{self, MetricsPage};
use crate::frontends::status::http_status;
use crate::ids::{ModelName, ModelQuery, VersionChoice};
use crate::lifecycle::VersionStatus;
use crate::limits;
use crate::proto::tensorflow::serving as pb;
use crate::request_log::RequestLog;
use crate::servable::{DEFAULT_SIGNATURE, Signature, Signatures};
use crate::telemetry::{Asked, Protocol, Recorder, Rpc};

/// What an operator decides about this door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a model may take for one request; `None`: as long as it takes.
    pub timeout: Option<Duration>,
    /// Whether every answer carries CORS headers.
    pub cors: bool,
}

/// The door of one I/O loop.
#[derive(Debug, Clone)]
pub struct Door {
    plane: Arc<DataPlane>,
    recorder: Arc<Recorder>,
    readiness: Readiness,
    options: Options,
    metrics: Option<MetricsPage>,
    log: RequestLog,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue = HeaderValue::from_static(metrics::CONTENT_TYPE);

/// An answer without the headers that all answers share.
type Answer = Result<Response<Bytes>, Failure>;

/// A failure, and the status that goes with it.
struct Failure {
    status: StatusCode,
    /// What it is counted as.
    code: Code,
    message: String,
}

impl From<ServingError> for Failure {
    fn from(error: ServingError) -> Self {
        let code = error.code();
        Self { status: http_status(code), code, message: error.message().to_owned() }
    }
}

fn answer(content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// An answer that says what is wrong, as all of this door's do.
fn refusal(status: StatusCode, message: &str) -> Response<Bytes> {
    let mut response = answer(JSON, write::error(message));
    *response.status_mut() = status;
    response
}

impl Door {
    /// The door of one I/O loop, whose calls that loop's recorder counts.
    #[must_use]
    pub fn new(
        plane: Arc<DataPlane>,
        recorder: Arc<Recorder>,
        readiness: Readiness,
        options: Options,
    ) -> Self {
        Self { plane, recorder, readiness, options, metrics: None, log: RequestLog::default() }
    }

    /// The same, with the page that Prometheus reads.
    #[must_use]
    pub fn with_metrics(self, metrics: Option<MetricsPage>) -> Self {
        Self { metrics, ..self }
    }

    /// The same, with calls recorded in this log as it wants.
    #[must_use]
    pub fn recording(self, log: RequestLog) -> Self {
        Self { log, ..self }
    }

    /// Answers one request, whatever it is.
    pub async fn answer(&self, parts: &Parts, body: Bytes) -> Response<Bytes> {
        let mut counted = self.recorder.asked(Rpc::Other, Protocol::Rest);
        let response = match self.routed(parts, body, &mut counted).await {
            Ok(response) => {
                counted.answered();
                response
            }
            Err(failure) => {
                counted.refused(failure.code);
                refusal(failure.status, &failure.message)
            }
        };
        let response = self.finished(response);
        if response.body().len() <= limits::REST_COMPRESSED_INLINE_BYTES_MAX {
            return coding::compressed(&parts.headers, response);
        }
        let asked = parts.headers.clone();
        blocking(move || coding::compressed(&asked, response)).await
    }

    /// Answers a request whose body could not be read.
    #[must_use]
    pub fn refuse(&self, parts: &Parts, status: StatusCode, message: &str) -> Response<Bytes> {
        let mut counted = self.recorder.asked(Rpc::Other, Protocol::Rest);
        let uri = &parts.uri;
        count(&path::route(&parts.method, uri.path(), uri.query()), &mut counted);
        counted.refused(match status {
            StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
            StatusCode::REQUEST_TIMEOUT => Code::DeadlineExceeded,
            _ => Code::InvalidArgument,
        });
        self.finished(refusal(status, message))
    }

    /// What all answers share.
    fn finished(&self, mut response: Response<Bytes>) -> Response<Bytes> {
        let headers = response.headers_mut();
        if self.options.cors {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
        }
        response
    }

    async fn routed(&self, parts: &Parts, body: Bytes, counted: &mut Asked<'_>) -> Answer {
        let (uri, length) = (&parts.uri, body.len());
        let page = self.metrics.as_ref().filter(|page| page.is_at(uri.path()));
        if let Some(page) = page.filter(|_| parts.method == Method::GET) {
            counted.is_not_counted();
            return metrics_page(page).await;
        }
        let route = path::route(&parts.method, uri.path(), uri.query());
        count(&route, counted);
        match route {
            Ok(Route::Models) => self.models(),
            Ok(Route::Status(query)) => self.status(query),
            Ok(Route::Metadata(query)) => self.metadata(query),
            Ok(Route::Infer(query, Verb::Predict)) => {
                self.predict(&parts.headers, query, body, counted).await
            }
            Ok(Route::Infer(query, Verb::Classify)) => {
                let asked = self.inference(&parts.headers, query, body)?;
                let name = asked.query.name.clone();
                let recording =
                    Recording::begin(&self.log, &name, || length, || inference::classification(&asked));
                let answered = self.plane.classify(asked).await?;
                let response = answer(JSON, write::classes(&answered.result)?);
                counted.answered_by(&run(&answered.served));
                Recording::end(recording, || inference::classification_response(name, answered).0);
                Ok(response)
            }
            Ok(Route::Infer(query, Verb::Regress)) => {
                let asked = self.inference(&parts.headers, query, body)?;
                let name = asked.query.name.clone();
                let recording =
                    Recording::begin(&self.log, &name, || length, || inference::regression(&asked));
                let answered = self.plane.regress(asked).await?;
                let response = answer(JSON, write::values(&answered.result)?);
                counted.answered_by(&run(&answered.served));
                Recording::end(recording, || inference::regression_response(name, answered).0);
                Ok(response)
            }
            Ok(Route::Preflight) => Ok(preflight(&parts.headers)),
            Ok(Route::OpenApi) => Ok(self.openapi().await),
            Ok(Route::Alive) => Ok(answer(TEXT, "ok\n")),
            Ok(Route::Ready) => Ok(self.ready()),
            Err(NoRoute::Malformed(error)) => Err(error.into()),
            Err(NoRoute::NotFound) => Err(Failure {
                status: StatusCode::NOT_FOUND,
                code: Code::NotFound,
                message: format!(
                    "Not found: {}; expected /v1/models/<model>, /openapi.json, /healthz or /readyz",
                    uri.path()
                ),
            }),
        }
    }

    fn models(&self) -> Answer {
        let models = self.plane.models().into_iter();
        let models: Vec<_> = models
            .map(|name| {
                // A model without versions yet has no status, and is one nevertheless.
                let versions = self.plane.status(name.as_str(), None).unwrap_or_default();
                (name, versions)
            })
            .collect();
        let engine_of = |name: &ModelName, version: &VersionStatus| {
            let choice = VersionChoice::Specific(version.version.get());
            let found = self.plane.find(&ModelQuery { name: name.to_string(), choice });
            found.ok().map(|handle| handle.servable().about().engine)
        };
        Ok(answer(JSON, status::models(&models, engine_of)))
    }

    fn status(&self, query: ModelQuery) -> Answer {
        let version = match query.choice {
            VersionChoice::Latest => None,
            VersionChoice::Specific(version) => Some(version),
            VersionChoice::Label(_) => Some(self.plane.find(&query)?.id().version.get()),
        };
        let versions = self.plane.status(&query.name, version)?;
        Ok(answer(JSON, status::status(&versions)))
    }

    fn metadata(&self, query: ModelQuery) -> Answer {
        let handle = self.plane.find(&query)?;
        let version = handle.id().version.get();
        let servable = handle.servable();
        let signatures = signature_def::stated(servable);
        Ok(answer(JSON, metadata::metadata(&query.name, version, &signatures, &servable.about())))
    }

    /// Made aside: of a thousand models it takes longer than other requests should wait.
    async fn openapi(&self) -> Response<Bytes> {
        let mut models = self.plane.models();
        let left_out = models.len().saturating_sub(limits::OPENAPI_MODELS_MAX);
        models.truncate(limits::OPENAPI_MODELS_MAX);
        // What cannot be asked now is not described.
        let latest = |name: &ModelName| ModelQuery { name: name.to_string(), choice: VersionChoice::Latest };
        let found: Vec<_> = models
            .into_iter()
            .filter_map(|name| {
                let handle = self.plane.find(&latest(&name)).ok()?;
                Some((name, handle))
            })
            .collect();
        blocking(move || {
            let described: Vec<_> = found
                .iter()
                .map(|(name, handle)| openapi::Described {
                    name: name.as_str(),
                    signatures: handle.servable().signatures(),
                })
                .collect();
            answer(JSON, openapi::document(&described, left_out))
        })
        .await
    }

    fn ready(&self) -> Response<Bytes> {
        let (status, text) = if self.readiness.is_ready() {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        };
        let mut response = answer(TEXT, text);
        *response.status_mut() = status;
        response
    }

    async fn predict(
        &self,
        headers: &HeaderMap,
        query: ModelQuery,
        body: Bytes,
        counted: &mut Asked<'_>,
    ) -> Answer {
        let body = expanded(headers, body)?;
        if is_protobuf(headers, header::CONTENT_TYPE) {
            return self.predict_protobuf(headers, query, body, counted).await;
        }
        let length = body.len();
        let request = Request::parse(body)?;
        let handle = self.plane.find(&query)?;
        let signature = signature(handle.servable().signatures(), &request.signature)?;
        let (format, inputs) = request.tensors(signature)?;
        let name = query.name.clone();
        let outputs_wanted = request.outputs_wanted()?;
        let asked = self.asked(query, request.signature, inputs, outputs_wanted);
        let recording = Recording::begin(&self.log, &name, || length, || grpc::predict_request(&asked));
        let predicted = self.plane.predict_on(handle, asked).await?;
        if is_protobuf(headers, header::ACCEPT) {
            return Ok(in_protobuf(name, predicted, recording, counted));
        }
        let response = answer(JSON, written(format, &predicted)?);
        counted.answered_by(&run(&predicted.served));
        Recording::end(recording, || grpc::predict_response(name, predicted, Form::Content).0);
        Ok(response)
    }

    /// A `PredictRequest` in a POST. The path says which model and version; the
    /// message's own spec adds the signature.
    async fn predict_protobuf(
        &self,
        headers: &HeaderMap,
        query: ModelQuery,
        body: Bytes,
        counted: &mut Asked<'_>,
    ) -> Answer {
        let length = body.len();
        let request = pb::PredictRequest::decode(body).map_err(|why| {
            ServingError::invalid_argument(format!("the body is no tensorflow.serving.PredictRequest: {why}"))
        })?;
        let name = query.name.clone();
        let signature = request.model_spec.map(|spec| spec.signature_name).unwrap_or_default();
        let inputs = grpc::decode_inputs(request.inputs)?;
        let asked = self.asked(query, signature, inputs, request.output_filter);
        let recording = Recording::begin(&self.log, &name, || length, || grpc::predict_request(&asked));
        let predicted = self.plane.predict(asked).await?;
        if !headers.contains_key(header::ACCEPT) || !accepts_json_only(headers) {
            return Ok(in_protobuf(name, predicted, recording, counted));
        }
        let response = answer(JSON, written(Format::Columnar, &predicted)?);
        counted.answered_by(&run(&predicted.served));
        Recording::end(recording, || grpc::predict_response(name, predicted, Form::Content).0);
        Ok(response)
    }

    fn asked(
        &self,
        query: ModelQuery,
        signature: String,
        inputs: crate::tensor::NamedTensors,
        outputs_wanted: Vec<String>,
    ) -> Predict {
        Predict { query, signature, inputs, outputs_wanted, deadline: self.deadline() }
    }

    fn deadline(&self) -> Option<Instant> {
        self.options.timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }

    /// What a Classify or Regress asks.
    fn inference(&self, headers: &HeaderMap, query: ModelQuery, body: Bytes) -> Result<Inference, Failure> {
        let request = Request::parse(expanded(headers, body)?)?;
        let examples = request.examples()?;
        Ok(Inference { query, signature: request.signature, examples, deadline: self.deadline() })
    }
}

/// Tells whose call it is that is counted, and what it asks.
fn count(route: &Result<Route, NoRoute>, counted: &mut Asked<'_>) {
    let (query, rpc) = match route {
        Ok(Route::Status(query)) => (query, Rpc::GetModelStatus),
        Ok(Route::Metadata(query)) => (query, Rpc::GetModelMetadata),
        Ok(Route::Infer(query, Verb::Predict)) => (query, Rpc::Predict),
        Ok(Route::Infer(query, Verb::Classify)) => (query, Rpc::Classify),
        Ok(Route::Infer(query, Verb::Regress)) => (query, Rpc::Regress),
        // As the reference, which counts whatever is below /v1/.
        Ok(Route::Models | Route::Preflight) | Err(NoRoute::Malformed(_)) => return,
        Ok(Route::OpenApi | Route::Alive | Route::Ready) | Err(NoRoute::NotFound) => {
            return counted.is_not_counted();
        }
    };
    counted.of_model(&query.name);
    counted.means(rpc);
}

/// Does what takes long where no other request waits for it. A panic there is this answer's.
async fn blocking(work: impl FnOnce() -> Response<Bytes> + Send + 'static) -> Response<Bytes> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
}

async fn metrics_page(page: &MetricsPage) -> Answer {
    let text =
        page.text().await.ok_or_else(|| ServingError::new(Code::Unavailable, "the server is stopping"))?;
    Ok(answer(METRICS, text))
}

/// A PredictResponse, recorded on its way.
fn in_protobuf(
    name: String,
    predicted: Predicted,
    recording: Option<Recording<pb::PredictRequest>>,
    counted: &mut Asked<'_>,
) -> Response<Bytes> {
    let (response, served) = grpc::predict_response(name, predicted, Form::TypedFields);
    let body = response.encode_to_vec();
    counted.answered_by(&run(&served));
    Recording::end(recording, || response);
    answer(PROTOBUF, body)
}

fn written(format: Format, predicted: &Predicted) -> Result<Vec<u8>, ServingError> {
    match format {
        Format::Row => write::row(&predicted.outputs),
        Format::Columnar => write::columnar(&predicted.outputs),
    }
}

fn signature<'s>(signatures: &'s Signatures, name: &str) -> Result<&'s Signature, ServingError> {
    signatures.find(name).map(|(_, signature)| signature).ok_or_else(|| {
        let name = if name.is_empty() { DEFAULT_SIGNATURE } else { name };
        ServingError::invalid_argument(format!(
            "Serving signature name: \"{name}\" not found in signature def"
        ))
    })
}

/// Whether a header names the media type of protobuf messages.
fn is_protobuf(headers: &HeaderMap, name: header::HeaderName) -> bool {
    media_types(headers, name).any(|media| {
        media.eq_ignore_ascii_case("application/x-protobuf")
            || media.eq_ignore_ascii_case("application/protobuf")
    })
}

fn accepts_json_only(headers: &HeaderMap) -> bool {
    media_types(headers, header::ACCEPT).all(|media| media.eq_ignore_ascii_case("application/json"))
}

fn media_types(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|media| media.split(';').next().unwrap_or("").trim())
}

/// The answer to a browser that asks whether it may ask.
fn preflight(headers: &HeaderMap) -> Response<Bytes> {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or("");
    let mut response = Response::new(Bytes::new());
    if !origin.contains("http://") && !origin.contains("https://") {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

/// The body as it was before it was compressed.
fn expanded(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Failure> {
    coding::expanded(headers, body).map_err(|why| match why {
        CodingError::TooLarge(_) => Failure {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: Code::ResourceExhausted,
            message: why.to_string(),
        },
        CodingError::Broken(..) | CodingError::Many(_) => {
            ServingError::invalid_argument(why.to_string()).into()
        }
    })
}

/// What must hold for any bytes as the body of a Predict: they are refused, or the
/// tensors in them come back when they are written and read again. For the fuzz
/// target and the replay of its corpus.
///
/// # Panics
/// When it does not hold.
#[doc(hidden)]
pub fn check_any_body(body: Bytes) {
    use crate::servable::TensorSpec;
    use crate::tensor::DType;

    coding::check_any_coded(&body);
    let length = body.len();
    let parts: usize = bodies(body.clone()).map_while(Result::ok).map(|part| part.len()).sum();
    assert!(parts <= length, "more bodies than there were");
    let Ok(request) = Request::parse(body) else { return };
    let _ = (request.examples(), request.outputs_wanted());
    let input = |name: &str, dtype| TensorSpec::new(name, dtype, &[None]);
    let one = DType::ALL.into_iter().map(|dtype| vec![input("x", dtype)]);
    let two = [(DType::Float, DType::String), (DType::Int64, DType::Bool)];
    let two = two.into_iter().map(|(a, b)| vec![input("x", a), input("y", b)]);
    for inputs in one.chain(two) {
        let signature =
            Signature { name: "s".into(), inputs, outputs: vec![], method: crate::servable::Method::Predict };
        let Ok((format, tensors)) = request.tensors(&signature) else { continue };
        let write = |tensors| match format {
            Format::Row => write::row(tensors).map(|json| (json, "predictions", "instances")),
            Format::Columnar => write::columnar(tensors).map(|json| (json, "outputs", "inputs")),
        };
        assert!(tensors.iter().all(|(_, tensor)| tensor.elements().len() <= length), "more than was sent");
        let (json, from, to) = write(&tensors).expect("what JSON can say it can say again");
        let at = json.windows(from.len()).position(|window| window == from.as_bytes());
        let at = at.expect("an answer has its key");
        let again = [&json[..at], to.as_bytes(), &json[at + from.len()..]].concat();
        let again = Request::parse(again.into()).expect("what is written is JSON");
        let (_, again) = again.tensors(&signature).expect("and fits the signature");
        // Compared as text, for NaN differs from itself.
        assert_eq!(write(&again).expect("and so on").0, json);
    }
}
