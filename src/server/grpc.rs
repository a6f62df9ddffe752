//! Which services the gRPC port has, and how a connection is served.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_reflection::server::Builder as Reflection;
use tower_service::Service as _;

use super::ServerError;
use crate::config::GrpcOptions;
use crate::frontends::tfs::grpc::Door;
use crate::frontends::tfs::management::Peer;
use crate::proto::tensorflow::serving::prediction_service_server::PredictionServiceServer;
use crate::{limits, proto};

/// What reflection lists: what is served, under its full name.
const SERVED: [&str; 5] = [
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// The services that do not depend on the I/O loop: health, and reflection in
/// both of its versions, since grpcurl and Python's client differ in which they
/// speak.
pub(super) fn shared_services(health: HealthServer<impl Health>) -> Result<Routes, ServerError> {
    let reflection = || {
        let described = Reflection::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
            .include_reflection_service(false);
        SERVED.into_iter().fold(described, Reflection::with_service_name)
    };
    let mut routes = Routes::builder();
    routes
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes.routes())
}

/// All services of one I/O loop. Predictions are found without a router: they
/// are nearly all there is.
#[derive(Debug, Clone)]
pub(super) struct Services {
    prediction: PredictionServiceServer<Door>,
    others: Routes,
}

impl Services {
    pub(super) fn new(shared: Routes, door: &Door) -> Self {
        let others = shared.add_service(door.model_service()).prepare();
        Self { prediction: door.prediction_service(), others }
    }

    /// Serves one connection. To be driven by whoever spawned it. `calls` counts
    /// the requests in flight for whoever wants to know.
    pub(super) fn connection<S>(
        &self,
        socket: S,
        peer: Peer,
        options: &GrpcOptions,
        calls: Option<Calls>,
    ) -> Connection<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let streams = options.concurrent_streams_max.unwrap_or(limits::HTTP2_STREAMS_MAX);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(
                options.stream_window_bytes.unwrap_or(limits::HTTP2_STREAM_WINDOW_BYTES),
            )
            .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(streams)
            .keep_alive_interval(options.keepalive_time);
        if let Some(timeout) = options.keepalive_timeout {
            builder.keep_alive_timeout(timeout);
        }
        if let Some(bytes) = options.frame_bytes_max {
            builder.max_frame_size(bytes);
        }
        if let Some(bytes) = options.header_bytes_max {
            builder.max_header_list_size(bytes);
        }
        builder.serve_connection(TokioIo::new(socket), Caller { services: self.clone(), peer, calls })
    }
}

/// One HTTP/2 connection being served.
pub(super) type Connection<S> = http2::Connection<TokioIo<S>, Caller, TokioExecutor>;

/// The services, and whom they serve on one connection.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    services: Services,
    peer: Peer,
    calls: Option<Calls>,
}

/// How many requests of one connection are in flight.
pub(super) type Calls = Arc<watch::Sender<usize>>;

/// One of them, until it is answered or given up.
#[derive(Debug)]
struct Call(Calls);

impl Call {
    fn begin(calls: &Calls) -> Self {
        calls.send_modify(|count| *count += 1);
        Self(Arc::clone(calls))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// An answer on its way.
#[derive(Debug)]
struct Counted {
    body: Body,
    _call: Call,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for Caller {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let Some(calls) = &self.calls else { return self.answer(request) };
        let (call, answer) = (Call::begin(calls), self.answer(request));
        Box::pin(async move { Ok(answer.await?.map(|body| Body::new(Counted { body, _call: call }))) })
    }
}

impl Caller {
    fn answer(&self, request: Request<Incoming>) -> Answer {
        const PREDICTION: &str = "/tensorflow.serving.PredictionService/";
        let mut request = request.map(Body::new);
        if request.uri().path().starts_with(PREDICTION) {
            return self.services.prediction.clone().call(request);
        }
        // Who asks matters to management alone, and costs an allocation to say.
        request.extensions_mut().insert(self.peer);
        Box::pin(self.services.others.clone().call(request))
    }
}
