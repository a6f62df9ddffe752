//! The whole of it on real threads, with a servable that tells what it was given.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::execution::LaneOptions;
use crate::servable::{Call, Method, Servable, Signature, Signatures, TensorSpec};
use crate::tensor::{DType, Elements, Shape};

/// Doubles each number. What a run had to do with is told, and a test chooses
/// troubles by the numbers it sends.
#[derive(Debug)]
struct Doubler {
    signatures: Signatures,
    /// The shapes of the runs.
    runs: Mutex<mpsc::Sender<Shape>>,
    gate: Mutex<mpsc::Receiver<()>>,
    count: AtomicUsize,
}

const BAD: f64 = -1.0;
const PANIC: f64 = -2.0;
const WAIT: f64 = -3.0;
const SCALAR: f64 = -4.0;
const SHORT: f64 = -5.0;

impl Servable for Doubler {
    fn platform(&self) -> &'static str {
        "doubler"
    }

    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
        self.count.fetch_add(1, SeqCst);
        let x = &call.inputs[0];
        let _ = self.runs.lock().unwrap().send(x.shape().clone());
        let Elements::F64(values) = x.elements() else { panic!("doubles") };
        if values.contains(&PANIC) {
            panic!("as asked");
        }
        if values.contains(&BAD) {
            return Err(RunError::InvalidInput("a bad number".to_owned()));
        }
        if values.contains(&WAIT) {
            self.gate.lock().unwrap().recv().unwrap();
        }
        let outputs = call.outputs.iter().map(|&output| {
            if values.contains(&SCALAR) {
                return Tensor::new(Shape::scalar(), vec![1.0f64].into()).unwrap();
            }
            if values.contains(&SHORT) {
                return Tensor::vector(vec![1.0f64].into());
            }
            let values: Vec<f64> = values.iter().map(|x| x * 2.0 + output as f64).collect();
            Tensor::new(x.shape().clone(), values.into()).unwrap()
        });
        Ok(outputs.collect())
    }
}

struct Scene {
    lane: Arc<Lane>,
    runs: mpsc::Receiver<Shape>,
    go: mpsc::Sender<()>,
    servable: Arc<Doubler>,
}

fn scene(threads: usize, inline_below: Duration, change: impl FnOnce(&mut BatchParameters)) -> Scene {
    scene_on(ComputePool::start(threads).unwrap(), inline_below, change)
}

fn scene_on(
    pool: Arc<ComputePool>,
    inline_below: Duration,
    change: impl FnOnce(&mut BatchParameters),
) -> Scene {
    let ((tell, runs), (go, gate)) = (mpsc::channel(), mpsc::channel());
    let spec = |name: &str| TensorSpec::new(name, DType::Double, &[None, None]);
    let signature = Signature {
        name: crate::servable::DEFAULT_SIGNATURE.into(),
        inputs: vec![spec("x")],
        outputs: vec![spec("y"), spec("z")],
        method: Method::Predict,
    };
    let servable = Arc::new(Doubler {
        signatures: Signatures::new(vec![signature]),
        runs: Mutex::new(tell),
        gate: Mutex::new(gate),
        count: AtomicUsize::new(0),
    });
    let mut parameters = BatchParameters { max_batch_size: Some(4), ..BatchParameters::default() };
    change(&mut parameters);
    let lane = LaneOptions { inline_below, ..LaneOptions::default() };
    let lane = Lane::new(Arc::clone(&servable) as Arc<dyn Servable>, pool, lane)
        .batched(BatchOptions::new(&parameters).unwrap());
    // The two of the warm-up.
    assert_eq!(runs.try_iter().count(), 2);
    Scene { lane: Arc::new(lane), runs, go, servable }
}

fn heavy(change: impl FnOnce(&mut BatchParameters)) -> Scene {
    scene(1, Duration::ZERO, change)
}

/// `rows` rows of `width` numbers, all of them `x`.
fn rows(rows: usize, width: usize, x: f64) -> Tensor {
    Tensor::new([rows, width], vec![x; rows * width].into()).unwrap()
}

impl Scene {
    async fn ask_for(
        &self,
        input: Tensor,
        outputs: &[usize],
        deadline: Option<Duration>,
    ) -> Result<Vec<Tensor>, String> {
        let deadline = deadline.map(|after| Instant::now() + after);
        let (inputs, outputs) = (SmallVec::from_iter([input]), SmallVec::from_slice(outputs));
        let ran = Lane::run(Arc::clone(&self.lane), 0, inputs, outputs, deadline).await;
        ran.map(|ran| ran.outputs).map_err(|why| why.to_string())
    }

    async fn ask(&self, input: Tensor) -> Result<Tensor, String> {
        self.ask_for(input, &[0], None).await.map(|mut outputs| outputs.remove(0))
    }

    /// Holds the only thread until told to go on.
    fn hold(&self) -> tokio::task::JoinHandle<()> {
        let (lane, inputs) = (Arc::clone(&self.lane), SmallVec::from_iter([rows(1, 7, WAIT)]));
        tokio::spawn(async move {
            Lane::run(lane, 0, inputs, SmallVec::from_slice(&[0]), None).await.unwrap();
        })
    }

    async fn held(&self) -> tokio::task::JoinHandle<()> {
        let held = self.hold();
        while self.runs.try_recv().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        held
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        self.runs.try_iter().map(|shape| shape.to_vec()).collect()
    }
}

#[tokio::test]
async fn what_waits_while_the_thread_is_busy_runs_together() {
    let scene = heavy(|_| {});
    let held = scene.held().await;
    let asked = async {
        let ask = |n: usize, x: f64| scene.ask(rows(n, 2, x));
        tokio::join!(ask(1, 1.0), ask(2, 2.0), ask(1, 3.0), ask(3, 4.0))
    };
    let go = async {
        tokio::task::yield_now().await;
        scene.go.send(()).unwrap();
    };
    let ((a, b, c, d), ()) = tokio::join!(asked, go);
    assert_eq!((a, b), (Ok(rows(1, 2, 2.0)), Ok(rows(2, 2, 4.0))));
    assert_eq!((c, d), (Ok(rows(1, 2, 6.0)), Ok(rows(3, 2, 8.0))));
    assert_eq!(scene.shapes(), [[4, 2], [3, 2]]);
    held.await.unwrap();
}

#[tokio::test]
async fn a_flooded_model_delays_its_neighbour_by_one_batch() {
    let pool = ComputePool::start(1).unwrap();
    let flooded = scene_on(Arc::clone(&pool), Duration::ZERO, |_| {});
    let quiet = scene_on(pool, Duration::ZERO, |_| {});
    let held = flooded.held().await;
    let mut flood = Vec::new();
    for i in 0..9 {
        let (lane, inputs) = (Arc::clone(&flooded.lane), SmallVec::from_iter([rows(4, 1, f64::from(i))]));
        let outputs = SmallVec::from_slice(&[0]);
        flood.push(tokio::spawn(Lane::run(lane, 0, inputs, outputs, None)));
    }
    tokio::task::yield_now().await;
    assert_eq!(flooded.lane.batching.as_ref().unwrap().lock().queues.len(), 1);
    let go = async {
        tokio::task::yield_now().await;
        flooded.go.send(()).unwrap();
        quiet.runs.recv().unwrap();
        // The only thread stands still in the quiet one's run.
        let before = flooded.servable.count.load(SeqCst);
        quiet.go.send(()).unwrap();
        before
    };
    let (answer, before) = tokio::join!(quiet.ask(rows(1, 1, WAIT)), go);
    assert!(answer.is_ok());
    // Two of the warm-up, the one that held the thread, and one more.
    assert!(before <= 4, "{before} runs of the flooded model came first");
    for answer in flood {
        answer.await.unwrap().unwrap();
    }
    held.await.unwrap();
}

#[tokio::test]
async fn a_batch_that_is_full_does_not_wait_and_one_that_is_not_does() {
    let scene = heavy(|p| p.batch_timeout_micros = Some(300_000));
    let start = Instant::now();
    let (a, b) = tokio::join!(scene.ask(rows(2, 1, 1.0)), scene.ask(rows(2, 1, 2.0)));
    assert_eq!((a, b), (Ok(rows(2, 1, 2.0)), Ok(rows(2, 1, 4.0))));
    assert!(start.elapsed() < Duration::from_millis(300));
    assert_eq!(scene.shapes(), [[4, 1]]);
    let start = Instant::now();
    assert_eq!(scene.ask(rows(3, 1, 1.0)).await, Ok(rows(3, 1, 2.0)));
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_timeout_below_the_tick_of_the_loops_is_kept() {
    let scene = heavy(|p| p.batch_timeout_micros = Some(300));
    let mut waits = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        scene.ask(rows(1, 1, 1.0)).await.unwrap();
        waits.push(start.elapsed());
    }
    waits.sort();
    assert!(waits[0] >= Duration::from_micros(300), "{waits:?}");
}

#[tokio::test]
async fn a_cheap_model_without_a_timeout_is_not_kept_waiting() {
    let always = Duration::from_secs(1);
    let scene = scene(1, always, |_| {});
    let held = scene.hold();
    scene.go.send(()).unwrap();
    held.await.unwrap();
    assert!(scene.lane.batching.as_ref().unwrap().lock().queues.is_empty());
    // What a batched model refuses it refuses here too.
    let refused = scene.ask(rows(5, 1, 1.0)).await;
    assert_eq!(refused, Err("Task size 5 is larger than maximum input batch size 4".to_owned()));
}

#[tokio::test]
async fn one_bad_request_fails_alone() {
    for (trouble, said) in [(BAD, "a bad number"), (PANIC, "the model failed on this request: as asked")] {
        let scene = heavy(|p| p.max_batch_size = Some(8));
        let held = scene.held().await;
        let asked = async {
            let ask = |i: usize| scene.ask(rows(1, 1, if i == 5 { trouble } else { i as f64 }));
            tokio::join!(ask(0), ask(1), ask(2), ask(3), ask(4), ask(5), ask(6), ask(7))
        };
        let go = async {
            tokio::task::yield_now().await;
            scene.go.send(()).unwrap();
        };
        let ((a, b, c, d, e, bad, g, h), ()) = tokio::join!(asked, go);
        for (i, answer) in [(0, a), (1, b), (2, c), (3, d), (4, e), (6, g), (7, h)] {
            assert_eq!(answer, Ok(rows(1, 1, f64::from(i) * 2.0)), "request {i}");
        }
        assert_eq!(bad, Err(said.to_owned()));
        let runs: Vec<usize> = scene.shapes().into_iter().map(|shape| shape[0]).collect();
        assert_eq!(runs, [8, 4, 4, 2, 1, 1, 2], "{trouble}");
        held.await.unwrap();
    }
}

#[tokio::test]
async fn batches_are_filled_up_to_an_allowed_size() {
    let scene = heavy(|p| {
        p.max_batch_size = Some(8);
        p.allowed_batch_sizes = vec![2, 8];
        p.batch_timeout_micros = Some(20_000);
    });
    let (a, b) = tokio::join!(scene.ask(rows(1, 1, 1.0)), scene.ask(rows(2, 1, 2.0)));
    assert_eq!((a, b), (Ok(rows(1, 1, 2.0)), Ok(rows(2, 1, 4.0))));
    assert_eq!(scene.ask(rows(1, 1, 3.0)).await, Ok(rows(1, 1, 6.0)));
    assert_eq!(scene.ask(rows(0, 1, 3.0)).await, Ok(rows(0, 1, 6.0)));
    assert_eq!(scene.shapes(), [[8, 1], [2, 1], [0, 1]]);
}

#[tokio::test]
async fn different_widths_wait_apart_or_are_padded() {
    for pad in [false, true] {
        let scene = heavy(|p| {
            p.batch_timeout_micros = Some(20_000);
            p.pad_variable_length_inputs = pad;
        });
        let (a, b) = tokio::join!(scene.ask(rows(1, 2, 1.0)), scene.ask(rows(1, 3, 2.0)));
        let wide = if pad { 3 } else { 2 };
        assert_eq!((a, b), (Ok(rows(1, wide, 2.0)), Ok(rows(1, 3, 4.0))));
        assert_eq!(scene.shapes().len(), if pad { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_large_request_is_divided_and_joined_again() {
    let scene = heavy(|p| {
        p.max_batch_size = Some(100);
        p.enable_large_batch_splitting = true;
        p.max_execution_batch_size = Some(4);
    });
    let values: Vec<f64> = (0..22).map(f64::from).collect();
    let doubled: Vec<f64> = values.iter().map(|x| x * 2.0).collect();
    let answer = scene.ask(Tensor::new([11, 2], values.into()).unwrap()).await;
    assert_eq!(answer, Ok(Tensor::new([11, 2], doubled.into()).unwrap()));
    assert_eq!(scene.shapes(), [[4, 2], [4, 2], [3, 2]]);
    let mut bad = vec![1.0; 11];
    bad[9] = BAD;
    let answer = scene.ask(Tensor::new([11, 1], bad.into()).unwrap()).await;
    assert_eq!(answer, Err("a bad number".to_owned()));
}

#[tokio::test]
async fn outputs_come_in_the_order_they_were_asked_for() {
    let scene = heavy(|p| p.batch_timeout_micros = Some(20_000));
    let (a, b) = tokio::join!(
        scene.ask_for(rows(1, 1, 1.0), &[1, 0], None),
        scene.ask_for(rows(1, 1, 2.0), &[0, 1], None),
    );
    assert_eq!(a, Ok(vec![rows(1, 1, 3.0), rows(1, 1, 2.0)]));
    assert_eq!(b, Ok(vec![rows(1, 1, 4.0), rows(1, 1, 5.0)]));
    assert_eq!(scene.shapes(), [[2, 1]]);
}

#[tokio::test]
async fn outputs_without_the_batchs_rows_are_refused() {
    let scene = heavy(|_| {});
    let scalar = scene.ask(rows(1, 1, SCALAR)).await;
    assert_eq!(scalar, Err("Batched output tensor has 0 dimensions".to_owned()));
    assert_eq!(
        scene.ask(rows(2, 1, SHORT)).await,
        Err(
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the \
             input tensors"
                .to_owned()
        )
    );
    // Nobody's fault: it is not run again.
    assert_eq!(scene.shapes().len(), 2);
}

#[tokio::test]
async fn the_expired_and_the_gone_never_reach_the_model() {
    let scene = heavy(|p| p.max_enqueued_batches = Some(1));
    let held = scene.held().await;
    let soon = Some(Duration::from_millis(20));
    let late = scene.ask_for(rows(2, 1, 1.0), &[0], soon);
    let gone = tokio::time::timeout(Duration::from_millis(10), scene.ask(rows(2, 1, 2.0)));
    let (late, gone, full) = tokio::join!(late, gone, scene.ask(rows(1, 1, 3.0)));
    assert_eq!(late, Err("Run() timeout exceeded while waiting in batching queue".to_owned()));
    assert!(gone.is_err());
    let text = "The batch scheduling queue to which this task was submitted is full; currently 1 batches \
                enqueued and max_enqueued_batches is 1";
    assert_eq!(full, Err(text.to_owned()));
    // Their places are free at once, while the thread is still busy.
    let (answer, ()) = tokio::join!(scene.ask(rows(4, 1, 4.0)), async {
        tokio::task::yield_now().await;
        scene.go.send(()).unwrap();
    });
    assert_eq!(answer, Ok(rows(4, 1, 8.0)));
    assert_eq!(scene.shapes(), [[4, 1]]);
    held.await.unwrap();
    assert!(scene.lane.batching.as_ref().unwrap().lock().queues.is_empty());
}

#[tokio::test]
async fn a_batch_holds_the_version_no_longer_than_it_runs() {
    let scene = heavy(|_| {});
    for _ in 0..100 {
        scene.ask(rows(1, 1, 1.0)).await.unwrap();
        assert_eq!(Arc::strong_count(&scene.lane), 1);
    }
}

#[tokio::test]
async fn callers_cannot_make_queues_without_end() {
    let scene = heavy(|p| p.batch_timeout_micros = Some(1_000_000));
    let batching = scene.lane.batching.as_ref().unwrap();
    let part = |_| -> Part { unreachable!("refused") };
    let shapes = RowShapes::of(&[rows(1, 1, 1.0)]);
    for signature in 0..limits::BATCH_QUEUES_MAX {
        batching.lock().queues.insert((signature, SmallVec::new()), Queue::default());
    }
    let more = (usize::MAX, SmallVec::new());
    let refused = batching.enqueue(&more, 1, &shapes, Instant::now(), part).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

#[test]
fn every_failure_has_the_references_code() {
    let codes = [
        (BatchFailure::TooLarge { rows: 2, rows_max: 1 }, Code::InvalidArgument),
        (BatchFailure::QueueFull { enqueued: 1, enqueued_max: 1 }, Code::Unavailable),
        (BatchFailure::Expired, Code::ResourceExhausted),
        (BatchFailure::ScalarOutput, Code::FailedPrecondition),
        (BatchFailure::UnequalRows, Code::InvalidArgument),
    ];
    for (failure, code) in codes {
        assert_eq!(failure.code(), code, "{failure}");
    }
}

#[test]
fn a_fill_of_long_rows_is_refused_before_it_takes_memory() {
    let scene = heavy(|p| {
        p.max_batch_size = Some(1_000_000);
        p.allowed_batch_sizes = vec![1_000_000];
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(scene.ask(rows(1, 100, 1.0))).unwrap_err();
    assert_eq!(
        refused,
        "999999 rows to fill the batch up would take 799999200 bytes; at most 268435456 are taken"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever comes at once, from two threads into two threads: each is answered
    /// once, with its own rows, and the bad ones alone are refused.
    #[test]
    fn every_caller_gets_its_own_rows(
        requests in prop::collection::vec((0usize..5, 1usize..3, prop::bool::weighted(0.1)), 1..60),
        timeout in prop_oneof![Just(0i64), 1i64..2_000], split: bool, allowed: bool,
    ) {
        let scene = scene(2, Duration::ZERO, |p| {
            p.max_batch_size = Some(8);
            p.batch_timeout_micros = Some(timeout);
            p.max_enqueued_batches = Some(1000);
            (p.enable_large_batch_splitting, p.max_execution_batch_size) = (split, Some(3));
            p.allowed_batch_sizes = if allowed { vec![2, 4, 8] } else { vec![] };
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let asked: Vec<_> = requests.iter().enumerate().map(|(i, &(n, width, bad))| {
            let lane = Arc::clone(&scene.lane);
            let mut x: Vec<f64> = (0..n * width).map(|j| (i * 100 + j) as f64).collect();
            if let (true, Some(last)) = (bad, x.last_mut()) {
                *last = BAD;
            }
            let input = Tensor::new([n, width], x.clone().into()).unwrap();
            let task = runtime.spawn(async move {
                let outputs = SmallVec::from_slice(&[0]);
                Lane::run(lane, 0, SmallVec::from_iter([input]), outputs, None).await
            });
            (task, n, width, x)
        }).collect();
        for (task, n, width, x) in asked {
            let answer = runtime.block_on(task).unwrap().map(|ran| ran.outputs);
            if x.contains(&BAD) {
                let refused = RunError::InvalidInput("a bad number".to_owned());
                prop_assert_eq!(answer, Err(RunFailure::Run(refused)));
            } else {
                let doubled: Vec<f64> = x.iter().map(|x| x * 2.0).collect();
                let want = Tensor::new([n, width], doubled.into()).unwrap();
                prop_assert_eq!(answer, Ok(vec![want]));
            }
        }
        let parts: usize = requests.iter().map(|&(n, ..)| n.div_ceil(if split { 3 } else { 8 }).max(1) + 1).sum();
        prop_assert!(scene.servable.count.load(SeqCst) <= 2 + 2 * parts, "runs are bounded");
    }
}
