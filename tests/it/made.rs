//! The doors over servables made for tests, on loopback: dtypes, shapes and
//! signatures that no model file shows yet.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use longshore::dataplane::DataPlane;
use longshore::execution::{BatchOptions, ComputePool, Lane, LaneOptions};
use longshore::frontends::health::Readiness;
use longshore::frontends::tfs::tensor_proto::Form;
use longshore::frontends::tfs::{grpc, rest};
use longshore::ids::{ModelName, Version};
use longshore::lifecycle::{self, Aspired, AspiredVersion, LoadError, Loader, Manager, ManagerHandle};
use longshore::servable::{
    Call, DEFAULT_SIGNATURE, Method, RunError, Servable, Signature, Signatures, TensorSpec,
};
use longshore::telemetry::Metrics;
use longshore::tensor::{DType, Shape, Tensor};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_service::Service as _;

type Run = dyn Fn(Call<'_>) -> Result<Vec<Tensor>, RunError> + Send + Sync;

/// Signatures, and a function that answers all of them.
pub struct Made {
    signatures: Signatures,
    run: Box<Run>,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made").field("signatures", &self.signatures).finish_non_exhaustive()
    }
}

impl Servable for Made {
    fn platform(&self) -> &'static str {
        "made"
    }

    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
        (self.run)(call)
    }
}

impl Made {
    pub fn answering(
        signatures: Vec<Signature>,
        run: impl Fn(Call<'_>) -> Result<Vec<Tensor>, RunError> + Send + Sync + 'static,
    ) -> Arc<dyn Servable> {
        Arc::new(Self { signatures: Signatures::new(signatures), run: Box::new(run) })
    }
}

/// Tensors of any shape.
fn specs(named: &[(&str, DType)]) -> Vec<TensorSpec> {
    let open =
        |&(name, dtype): &(&str, DType)| TensorSpec { dims: None, ..TensorSpec::new(name, dtype, &[]) };
    named.iter().map(open).collect()
}

pub fn signature(
    name: &str,
    inputs: &[(&str, DType)],
    outputs: &[(&str, DType)],
    method: Method,
) -> Signature {
    Signature { name: name.into(), inputs: specs(inputs), outputs: specs(outputs), method }
}

/// Gives back what it gets: a signature for each dtype, under its name, from `x` to
/// `y`; `bytes`, from strings to `y_bytes`; `pair`, from `a` and `b` to both.
pub fn echo() -> Arc<dyn Servable> {
    let of = |dtype: DType| signature(dtype.name(), &[("x", dtype)], &[("y", dtype)], Method::Predict);
    let mut signatures: Vec<Signature> = DType::ALL.into_iter().map(of).collect();
    signatures.push(Signature { name: DEFAULT_SIGNATURE.into(), ..of(DType::Float) });
    let strings = (DType::String, Method::Predict);
    signatures.push(signature("bytes", &[("x", strings.0)], &[("y_bytes", strings.0)], strings.1));
    let pair = [("a", DType::Float), ("b", DType::Int32)];
    signatures.push(signature("pair", &pair, &pair, Method::Predict));
    Made::answering(signatures, |call| Ok(call.outputs.iter().map(|&i| call.inputs[i].clone()).collect()))
}

/// Answers the same whatever it gets: each signature with its outputs.
pub fn fixed(answers: Vec<(Signature, Vec<Tensor>)>) -> Arc<dyn Servable> {
    let (signatures, answers): (Vec<Signature>, Vec<Vec<Tensor>>) = answers.into_iter().unzip();
    Made::answering(signatures, move |call| {
        Ok(call.outputs.iter().map(|&i| answers[call.signature][i].clone()).collect())
    })
}

pub fn strings(shape: &[usize], values: &[&'static str]) -> Tensor {
    let values: Vec<Bytes> = values.iter().map(|value| Bytes::from_static(value.as_bytes())).collect();
    Tensor::new(Shape::new(shape.iter().copied()).unwrap(), values.into()).unwrap()
}

pub fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::new(Shape::new(shape.iter().copied()).unwrap(), values.to_vec().into()).unwrap()
}

/// A model of [`Doors`].
#[derive(Clone)]
pub struct Model {
    pub servable: Arc<dyn Servable>,
    pub batching: Option<BatchOptions>,
}

/// Its loader.
#[derive(Clone)]
struct Ready {
    model: Model,
    pool: Arc<ComputePool>,
    inline_below: Duration,
}

impl Loader for Ready {
    type Servable = Lane;

    fn load(&mut self) -> Result<Lane, LoadError> {
        let options = LaneOptions { inline_below: self.inline_below, ..LaneOptions::default() };
        let lane = Lane::new(Arc::clone(&self.model.servable), Arc::clone(&self.pool), options);
        Ok(self.model.batching.clone().into_iter().fold(lane, Lane::batched))
    }
}

/// How [`Doors`] are opened.
pub struct Options {
    pub form: Form,
    pub rest_timeout: Option<Duration>,
    pub compute_threads: usize,
    /// Zero: every run goes to a compute thread.
    pub inline_below: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            form: Form::TypedFields,
            rest_timeout: None,
            compute_threads: 2,
            inline_below: Duration::from_micros(100),
        }
    }
}

/// Both doors, open until this is dropped. Each model has one version, 1.
pub struct Doors {
    pub grpc: SocketAddr,
    pub rest: SocketAddr,
    _manager: ManagerHandle<Ready>,
    _accepting: JoinSet<()>,
}

impl Doors {
    pub async fn open(models: Vec<(&str, Model)>, options: Options) -> Self {
        let one = NonZeroUsize::MIN;
        let lifecycle = lifecycle::Options {
            num_load_threads: one,
            num_unload_threads: one,
            retry_pause_first: Duration::from_secs(1),
            retry_pause_max: Duration::from_secs(1),
            retries_max: Some(0),
        };
        let (manager, catalog, states) = Manager::start(lifecycle).unwrap();
        let pool = ComputePool::start(options.compute_threads).unwrap();
        let aspired = |(name, model): (&str, Model)| {
            let loader = Ready { model, pool: Arc::clone(&pool), inline_below: options.inline_below };
            let version = AspiredVersion { version: Version::new(1).unwrap(), fingerprint: 0, loader };
            let (versions, labels) = (vec![version], BTreeMap::new());
            (ModelName::new(name).unwrap(), Aspired { versions, labels, first_is_coming: false })
        };
        manager.aspire(models.into_iter().map(aspired).collect());
        states.first_pass().await;

        let plane = Arc::new(DataPlane::new(catalog.reader(), states));
        let recorder = Arc::new(Metrics::start(1).1.remove(0));
        let grpc_door = grpc::Door::new(Arc::clone(&plane), Arc::clone(&recorder)).answering_in(options.form);
        let rest_options = rest::Options { timeout: options.rest_timeout, cors: false };
        let rest_door = rest::Door::new(plane, recorder, Readiness::default(), rest_options);
        let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (grpc_port, rest_port) = (listen().await, listen().await);
        let (grpc, rest) = (grpc_port.local_addr().unwrap(), rest_port.local_addr().unwrap());
        let mut accepting = JoinSet::new();
        accepting.spawn(serve_grpc(grpc_port, grpc_door));
        accepting.spawn(serve_rest(rest_port, rest_door));
        Self { grpc, rest, _manager: manager, _accepting: accepting }
    }
}

async fn serve_grpc(port: TcpListener, door: grpc::Door) {
    loop {
        let (socket, _) = port.accept().await.unwrap();
        let services = (door.prediction_service(), door.model_service());
        let service = service_fn(move |request: Request<Incoming>| {
            let (mut prediction, mut models) = services.clone();
            let request = request.map(tonic::body::Body::new);
            if request.uri().path().starts_with("/tensorflow.serving.PredictionService/") {
                prediction.call(request)
            } else {
                models.call(request)
            }
        });
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(builder.serve_connection(TokioIo::new(socket), service));
    }
}

async fn serve_rest(port: TcpListener, door: rest::Door) {
    loop {
        let (socket, _) = port.accept().await.unwrap();
        let door = door.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let door = door.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                Ok::<_, Infallible>(door.answer(&parts, body).await.map(Full::new))
            }
        });
        let builder = hyper::server::conn::http1::Builder::new();
        tokio::spawn(builder.serve_connection(TokioIo::new(socket), service));
    }
}
