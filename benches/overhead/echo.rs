//! Two bare tonic servers that answer Predict without a model.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::thread;

use longshore::proto::tensorflow::serving::prediction_service_server::{
    PredictionService, PredictionServiceServer,
};
use longshore::proto::tensorflow::serving::{
    ClassificationRequest, ClassificationResponse, GetModelMetadataRequest, GetModelMetadataResponse,
    MultiInferenceRequest, MultiInferenceResponse, PredictRequest, PredictResponse, RegressionRequest,
    RegressionResponse,
};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::servers::echo_response;

/// tonic as everybody writes it: its defaults, on tokio's multi-thread runtime.
pub(crate) fn multi_thread() -> Result<(), Box<dyn Error>> {
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let incoming = TcpListenerStream::new(listener).map(|socket| {
            let socket = socket?;
            socket.set_nodelay(true)?;
            Ok::<_, std::io::Error>(socket)
        });
        Server::builder()
            .add_service(PredictionServiceServer::new(Echo))
            .serve_with_incoming(incoming)
            .await?;
        Ok(())
    })
}

/// The fastest shape: one current-thread loop per core that never hands a task
/// to another, and an acceptor that deals the sockets out in turn.
pub(crate) fn loops() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let loops: Vec<_> = (0..thread::available_parallelism()?.get())
        .map(|_| {
            let (hand_over, sockets) = mpsc::unbounded_channel();
            thread::spawn(move || run_loop(sockets).expect("an echo loop serves until it is killed"));
            hand_over
        })
        .collect();
    println!("{}", listener.local_addr()?);
    for next in loops.iter().cycle() {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        next.send(socket)?;
    }
    Ok(())
}

fn run_loop(sockets: mpsc::UnboundedReceiver<TcpStream>) -> Result<(), Box<dyn Error>> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let incoming = UnboundedReceiverStream::new(sockets).map(tokio::net::TcpStream::from_std);
        Server::builder()
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20)
            .max_concurrent_streams(1024)
            .add_service(PredictionServiceServer::new(Echo))
            .serve_with_incoming(incoming)
            .await?;
        Ok(())
    })
}

struct Echo;

#[tonic::async_trait]
impl PredictionService for Echo {
    async fn predict(&self, request: Request<PredictRequest>) -> Result<Response<PredictResponse>, Status> {
        Ok(Response::new(echo_response(request.get_ref())))
    }

    async fn classify(
        &self,
        _: Request<ClassificationRequest>,
    ) -> Result<Response<ClassificationResponse>, Status> {
        Err(only_predict())
    }

    async fn regress(&self, _: Request<RegressionRequest>) -> Result<Response<RegressionResponse>, Status> {
        Err(only_predict())
    }

    async fn multi_inference(
        &self,
        _: Request<MultiInferenceRequest>,
    ) -> Result<Response<MultiInferenceResponse>, Status> {
        Err(only_predict())
    }

    async fn get_model_metadata(
        &self,
        _: Request<GetModelMetadataRequest>,
    ) -> Result<Response<GetModelMetadataResponse>, Status> {
        Err(only_predict())
    }
}

fn only_predict() -> Status {
    Status::unimplemented("an echo answers Predict alone")
}
