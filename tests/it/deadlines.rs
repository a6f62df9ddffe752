//! Deadlines and cancellation through real sockets, with one compute thread and a
//! servable that holds it until the test lets go.

use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use longshore::execution::{BatchOptions, BatchParameters};
use longshore::servable::{DEFAULT_SIGNATURE, Method, Servable};
use longshore::tensor::{DType, Elements};
use prost::Message as _;
use tonic::Code;

use crate::made::{Doors, Made, Model, Options, signature};
use crate::rest::Wire;
use crate::server::{PATIENCE, request};
use crate::wire::{Answer, Grpc};
use longshore::proto::tensorflow::{DataType, TensorProto, TensorShapeProto, tensor_shape_proto::Dim};

/// A row with this number in it holds the thread.
const HOLD: f32 = -1.0;
const SOON: Duration = Duration::from_millis(200);

struct Scene {
    doors: Doors,
    grpc: Grpc,
    /// How many rows have reached the model.
    rows: Arc<AtomicUsize>,
    go: mpsc::Sender<()>,
}

impl Scene {
    async fn new(batching: Option<BatchParameters>, rest_timeout: Option<Duration>) -> Self {
        let rows = Arc::new(AtomicUsize::new(0));
        let (go, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let x = signature(
            DEFAULT_SIGNATURE,
            &[("inputs", DType::Float)],
            &[("y", DType::Float)],
            Method::Predict,
        );
        let seen = Arc::clone(&rows);
        let servable: Arc<dyn Servable> = Made::answering(vec![x], move |call| {
            let Elements::F32(values) = call.inputs[0].elements() else { panic!("floats") };
            seen.fetch_add(values.len(), SeqCst);
            if values.contains(&HOLD) {
                // An ended test lets go too.
                let _ = gate.lock().unwrap().recv();
            }
            Ok(call.inputs.into_vec())
        });
        let batching = batching.map(|parameters| BatchOptions::new(&parameters).unwrap());
        let options =
            Options { rest_timeout, compute_threads: 1, inline_below: Duration::ZERO, ..Options::default() };
        let doors = Doors::open(vec![("m", Model { servable, batching })], options).await;
        let grpc = Grpc::open(doors.grpc).await;
        Self { doors, grpc, rows, go }
    }

    /// Holds the thread; the answer comes after [`Scene::let_go`].
    async fn hold(&self) -> tokio::task::JoinHandle<Answer> {
        let grpc = self.grpc.clone();
        let held = tokio::spawn(async move { grpc.call("PredictionService/Predict", &row(HOLD)).await });
        self.until_rows(1).await;
        held
    }

    fn let_go(&self) {
        self.go.send(()).unwrap();
    }

    async fn until_rows(&self, wanted: usize) {
        let start = Instant::now();
        while self.rows.load(SeqCst) < wanted {
            assert!(start.elapsed() < PATIENCE, "{wanted} rows did not come");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn ask(&self, timeout: Option<Duration>) -> Answer {
        self.grpc.call_within("PredictionService/Predict", &row(1.0), timeout).await
    }

    /// Status and body; `None` when the caller hangs up instead of waiting.
    async fn ask_rest(&self, hang_up: bool) -> Option<(u16, String)> {
        let address = self.doors.rest;
        let asked = tokio::task::spawn_blocking(move || {
            let mut wire = Wire::open(address);
            let body = b"{\"instances\": [1.0]}";
            if hang_up {
                wire.send("POST", "/v1/models/m:predict", &[], body);
                std::thread::sleep(SOON);
                wire.0.shutdown(Shutdown::Both).unwrap();
                return None;
            }
            let answer = wire.ask("POST", "/v1/models/m:predict", &[], body);
            Some((answer.status, String::from_utf8(answer.body).unwrap()))
        });
        asked.await.unwrap()
    }
}

/// A Predict of one row.
fn row(x: f32) -> Vec<u8> {
    let inputs = TensorProto {
        dtype: DataType::DtFloat.into(),
        tensor_shape: Some(TensorShapeProto {
            dim: vec![Dim { size: 1, name: String::new() }],
            unknown_rank: false,
        }),
        float_val: vec![x],
        ..TensorProto::default()
    };
    request("m", None, inputs).encode_to_vec()
}

fn error(text: &str) -> String {
    format!("{{\n    \"error\": \"{text}\"\n}}")
}

const TIMED_OUT: &str = "Timed out waiting for notification";
const LATE_IN_QUEUE: &str = "Run() timeout exceeded while waiting in batching queue";

#[tokio::test]
async fn a_deadline_that_passes_during_the_run_is_told_at_once() {
    let scene = Scene::new(None, None).await;
    let start = Instant::now();
    let answer = scene.grpc.call_within("PredictionService/Predict", &row(HOLD), Some(SOON)).await;
    assert_eq!(answer, Err((Code::DeadlineExceeded, TIMED_OUT.to_owned())));
    assert!(start.elapsed() < PATIENCE, "it waited for the model");
    scene.let_go();
    // The model goes on as if nothing had been.
    assert!(scene.ask(None).await.is_ok());
}

#[tokio::test]
async fn what_is_late_before_its_turn_never_reaches_the_model() {
    let scene = Scene::new(None, None).await;
    let held = scene.hold().await;
    let late = scene.ask(Some(SOON)).await;
    assert_eq!(late, Err((Code::DeadlineExceeded, TIMED_OUT.to_owned())));
    assert_eq!(scene.ask(Some(Duration::from_nanos(1))).await, late);
    scene.let_go();
    assert!(held.await.unwrap().is_ok());
    assert!(scene.ask(None).await.is_ok());
    // The one that held the thread, and the last.
    assert_eq!(scene.rows.load(SeqCst), 2);
}

#[tokio::test]
async fn who_cancels_before_the_turn_never_reaches_the_model() {
    for batching in [None, Some(BatchParameters::default())] {
        let scene = Scene::new(batching, None).await;
        let held = scene.hold().await;
        let gone = tokio::time::timeout(SOON, scene.ask(None)).await;
        assert!(gone.is_err(), "it was answered: {gone:?}");
        assert_eq!(scene.ask_rest(true).await, None);
        // Until the server has heard of it: of what comes later too, and answered that.
        tokio::time::sleep(SOON).await;
        scene.grpc.call("ModelService/GetModelStatus", b"").await.unwrap_err();
        scene.let_go();
        assert!(held.await.unwrap().is_ok());
        assert!(scene.ask(None).await.is_ok());
        assert_eq!(scene.rows.load(SeqCst), 2);
    }
}

#[tokio::test]
async fn a_rest_timeout_is_504_and_429_in_a_batching_queue() {
    for (batching, status, text) in
        [(None, 504, TIMED_OUT), (Some(BatchParameters::default()), 429, LATE_IN_QUEUE)]
    {
        let scene = Scene::new(batching, Some(SOON)).await;
        let held = scene.hold().await;
        assert_eq!(scene.ask_rest(false).await, Some((status, error(text))));
        scene.let_go();
        assert!(held.await.unwrap().is_ok());
        assert!(scene.ask(None).await.is_ok());
        assert_eq!(scene.rows.load(SeqCst), 2);
    }
}

#[tokio::test]
async fn a_deadline_that_passes_in_a_batching_queue_never_reaches_the_model() {
    let scene = Scene::new(Some(BatchParameters::default()), None).await;
    let held = scene.hold().await;
    // One of two that would run together.
    let (late, kept) = tokio::join!(scene.ask(Some(SOON)), async {
        let kept = scene.ask(None);
        let go = async {
            tokio::time::sleep(3 * SOON).await;
            scene.let_go();
        };
        tokio::join!(kept, go).0
    });
    assert_eq!(late, Err((Code::ResourceExhausted, LATE_IN_QUEUE.to_owned())));
    assert!(kept.is_ok() && held.await.unwrap().is_ok());
    assert_eq!(scene.rows.load(SeqCst), 2);
}
