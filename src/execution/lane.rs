//! A servable with its way of being run.

use std::cell::Cell;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::batch::{self, BatchFailure, BatchOptions, Batching};
use super::{ComputePool, CostModel, pool::LaneId};
use crate::servable::{Call, RunError, Servable};
use crate::telemetry::{Rejection, VersionMetrics};
use crate::tensor::{DType, Elements, Shape, Tensor};

/// How servables are run.
#[derive(Debug, Clone, Copy)]
pub struct LaneOptions {
    /// A run that costs less than this stays on the I/O loop. A hop to a sleeping
    /// thread costs about 50 µs, and a loop should not stand still for longer
    /// than a few such hops.
    pub inline_below: Duration,
    /// Runs of one model that may wait for a compute thread.
    pub queued_max: usize,
}

impl Default for LaneOptions {
    fn default() -> Self {
        Self { inline_below: Duration::from_micros(100), queued_max: 1024 }
    }
}

/// Why a run gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunFailure {
    /// The servable said no.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The deadline passed before there was an answer.
    #[error("Timed out waiting for notification")]
    DeadlineExceeded,
    /// Too many runs of this model wait.
    #[error("the model's queue is full; currently {queued} requests wait for a compute thread")]
    QueueFull {
        /// How many.
        queued: usize,
    },
    /// Batching said no.
    #[error(transparent)]
    Batch(#[from] BatchFailure),
}

impl RunFailure {
    /// Why the request was turned away; `None` when that was the model's doing, or
    /// the request is none for a batch.
    fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Run(_) => None,
            Self::DeadlineExceeded => Some(Rejection::DeadlineExceeded),
            Self::QueueFull { .. } => Some(Rejection::QueueFull),
            Self::Batch(failure) => failure.rejection(),
        }
    }
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    /// The wanted outputs, in the order in which they were wanted.
    pub outputs: Vec<Tensor>,
    /// When it was where.
    pub times: RunTimes,
}

/// When a run was where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTimes {
    /// When it was asked for.
    pub entered: Instant,
    /// When its answer was back.
    pub returned: Instant,
    /// How long the model took of that, with its batch if it ran in one. The rest
    /// was waiting.
    pub computed: Duration,
}

thread_local! {
    /// Counts this thread's inline runs, to measure one in [`MEASURE_EVERY`].
    static RUNS: Cell<u32> = const { Cell::new(0) };
}

/// Taking note of each inline run would cost a cache line that the loops share; one
/// in sixteen tells as much.
const MEASURE_EVERY: u32 = 16;

/// A loaded servable with its cost and its queue: what the catalog holds.
#[derive(Debug)]
pub struct Lane {
    servable: Arc<dyn Servable>,
    cost: CostModel,
    pool: Arc<ComputePool>,
    id: LaneId,
    options: LaneOptions,
    metrics: Arc<VersionMetrics>,
    /// Whether and how requests are batched.
    pub(super) batching: Option<Arc<Batching>>,
}

impl Lane {
    /// Makes `servable` ready to run: runs it twice on a row of zeros, and
    /// takes the second time for a first idea of the cost.
    #[must_use]
    pub fn new(servable: Arc<dyn Servable>, pool: Arc<ComputePool>, options: LaneOptions) -> Self {
        let id = pool.lane();
        let (cost, metrics) = (CostModel::default(), VersionMetrics::unlisted());
        let lane = Self { id, servable, cost, pool, options, metrics, batching: None };
        lane.warm_up();
        lane
    }

    /// The same, its requests batched.
    #[must_use]
    pub fn batched(self, options: BatchOptions) -> Self {
        let batching = Some(Arc::new(Batching::new(options, &self.pool, self.id)));
        Self { batching, ..self }
    }

    /// The same, its runs counted here.
    #[must_use]
    pub fn counted(self, metrics: Arc<VersionMetrics>) -> Self {
        Self { metrics, ..self }
    }

    /// Where its runs are counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<VersionMetrics> {
        &self.metrics
    }

    /// Takes note of what a run cost.
    pub(super) fn record(&self, rows: usize, took: Duration) {
        self.cost.record(rows, took);
    }

    /// The servable itself.
    #[must_use]
    pub fn servable(&self) -> &dyn Servable {
        &*self.servable
    }

    /// Runs the first signature on one row of zeros, for the caches and for a
    /// first idea of the cost. A model that does not like zeros is measured by
    /// its first request.
    fn warm_up(&self) {
        let Some(signature) = self.servable.signatures().iter().next() else { return };
        let zeros: Option<SmallVec<[Tensor; 2]>> =
            signature.inputs.iter().map(|spec| zeros(spec.dtype, spec.dims.as_deref()?)).collect();
        let Some(inputs) = zeros else { return };
        let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
        // The first run pays for cold caches, so the second is the measure.
        for measured in [false, true] {
            let call = Call { signature: 0, inputs: inputs.clone(), outputs: &outputs };
            let start = Instant::now();
            if run_caught(&*self.servable, call).is_err() {
                return;
            }
            if measured {
                self.cost.record(1, start.elapsed());
            }
        }
    }

    /// Runs one call here and now, whatever it costs: for a version that is not
    /// served yet, on the thread that loads it. Blocks.
    ///
    /// # Errors
    /// [`RunError`]; a panic of the model is [`RunError::Internal`].
    pub fn rehearse(
        &self,
        signature: usize,
        inputs: SmallVec<[Tensor; 2]>,
        outputs: &[usize],
    ) -> Result<Vec<Tensor>, RunError> {
        let rows = inputs.iter().find_map(|t| t.shape().first().copied()).unwrap_or(1);
        let start = Instant::now();
        let answer = run_caught(self.servable(), Call { signature, inputs, outputs })?;
        self.cost.record(rows, start.elapsed());
        Ok(answer)
    }

    /// Counts a request that goes no further.
    fn refused(&self, failure: RunFailure) -> RunFailure {
        counted(&self.metrics, failure)
    }

    fn is_cheap(&self, rows: usize) -> bool {
        self.cost.estimate(rows).is_some_and(|cost| cost < self.options.inline_below)
    }

    /// Runs one call: here and now when that is cheap, else on the pool.
    ///
    /// `lane` is whatever keeps the servable alive, a catalog handle: it goes
    /// with the run to the pool, so that a version is never freed under a run,
    /// even one whose caller has left. Dropping the future takes a run that has
    /// not begun out of the queue.
    ///
    /// # Errors
    /// [`RunFailure`]; a panic of the model is [`RunError::Internal`].
    pub async fn run<H>(
        lane: H,
        signature: usize,
        inputs: SmallVec<[Tensor; 2]>,
        outputs: SmallVec<[usize; 4]>,
        deadline: Option<Instant>,
    ) -> Result<Ran, RunFailure>
    where
        H: Deref<Target = Self> + Send + Sync + 'static,
    {
        let entered = Instant::now();
        let rows = inputs.iter().find_map(|t| t.shape().first().copied()).unwrap_or(1);
        let mut is_cheap = lane.is_cheap(rows);
        if let Some(batching) = &lane.batching {
            let rows = batching.check(&inputs).map_err(|why| lane.refused(why.into()))?;
            is_cheap &= batching.lets_cheap_runs_pass();
            if !is_cheap {
                let (batching, metrics) = (Arc::clone(batching), Arc::clone(&lane.metrics));
                let run = batch::run(lane, batching, signature, rows, inputs, outputs, deadline);
                // In a box, so that the future of a cheap run stays small.
                return Box::pin(run).await.map_err(|failure| counted(&metrics, failure));
            }
        }
        if is_cheap {
            if deadline.is_some_and(|at| at <= entered) {
                return Err(lane.refused(RunFailure::DeadlineExceeded));
            }
            let outputs = run_caught(lane.servable(), Call { signature, inputs, outputs: &outputs })?;
            let returned = Instant::now();
            let computed = returned.saturating_duration_since(entered);
            let tick = RUNS.get().wrapping_add(1);
            RUNS.set(tick);
            if tick.is_multiple_of(MEASURE_EVERY) {
                lane.cost.record(rows, computed);
            }
            return Ok(Ran { outputs, times: RunTimes { entered, returned, computed } });
        }

        let metrics = Arc::clone(&lane.metrics);
        let answer = Self::run_on_pool(lane, signature, rows, inputs, outputs, deadline);
        let (outputs, computed) = answer.await.map_err(|failure| counted(&metrics, failure))?;
        Ok(Ran { outputs, times: RunTimes { entered, returned: Instant::now(), computed } })
    }

    /// Runs one call on the pool, and tells how long the model took.
    async fn run_on_pool<H>(
        lane: H,
        signature: usize,
        rows: usize,
        inputs: SmallVec<[Tensor; 2]>,
        outputs: SmallVec<[usize; 4]>,
        deadline: Option<Instant>,
    ) -> Result<(Vec<Tensor>, Duration), RunFailure>
    where
        H: Deref<Target = Self> + Send + Sync + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let (pool, id, queued_max) = (Arc::clone(&lane.pool), lane.id, lane.options.queued_max);
        let waiting = lane.metrics.waiting(Instant::now());
        let task = move || {
            drop(waiting);
            // The caller has left, or nobody waits for so late an answer.
            if reply.is_closed() || deadline.is_some_and(|at| at <= Instant::now()) {
                let _ = reply.send(Err(RunFailure::DeadlineExceeded));
                return;
            }
            let call = Call { signature, inputs, outputs: &outputs };
            let start = Instant::now();
            let answer = run_caught(lane.servable(), call);
            let computed = start.elapsed();
            if answer.is_ok() {
                lane.cost.record(rows, computed);
            }
            // The handle goes first, so that whoever has the answer does not
            // find the version still held.
            drop(lane);
            let _ = reply.send(answer.map(|outputs| (outputs, computed)).map_err(RunFailure::from));
        };
        pool.submit(id, queued_max, Box::new(task)).map_err(|queued| RunFailure::QueueFull { queued })?;
        let lost = |_| Err(RunError::Internal("the compute pool closed before the run".to_owned()).into());
        match deadline {
            None => answer.await.unwrap_or_else(lost),
            Some(at) => match tokio::time::timeout_at(at.into(), answer).await {
                Ok(answer) => answer.unwrap_or_else(lost),
                Err(_) => Err(RunFailure::DeadlineExceeded),
            },
        }
    }
}

fn counted(metrics: &VersionMetrics, failure: RunFailure) -> RunFailure {
    if let Some(reason) = failure.rejection() {
        metrics.rejected(reason);
    }
    failure
}

/// Runs a servable; a panic becomes that run's error, and the server lives.
pub(super) fn run_caught(servable: &dyn Servable, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
    // Servables are immutable, so a panic can leave nothing half-written in them.
    catch_unwind(AssertUnwindSafe(|| servable.run(call))).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        tracing::error!(platform = servable.platform(), panic = what, "a run panicked");
        Err(RunError::Internal(format!("the model failed on this request: {what}")))
    })
}

/// One row of zeros (or empty strings) of these dimensions, open ones taken as 1;
/// `None` when that would be absurdly large.
fn zeros(dtype: DType, dims: &[Option<usize>]) -> Option<Tensor> {
    let shape = Shape::new(dims.iter().map(|dim| dim.unwrap_or(1))).ok()?;
    let n = shape.elements();
    if n > crate::limits::WARM_UP_ELEMENTS_MAX {
        return None;
    }
    let elements: Elements = match dtype.storage() {
        DType::Float => vec![0f32; n].into(),
        DType::Double => vec![0f64; n].into(),
        DType::Half => vec![half::f16::ZERO; n].into(),
        DType::BFloat16 => vec![half::bf16::ZERO; n].into(),
        DType::Int8 => vec![0i8; n].into(),
        DType::Int16 => vec![0i16; n].into(),
        DType::Int32 => vec![0i32; n].into(),
        DType::Int64 => vec![0i64; n].into(),
        DType::UInt8 => vec![0u8; n].into(),
        DType::UInt16 => vec![0u16; n].into(),
        DType::UInt32 => vec![0u32; n].into(),
        DType::UInt64 => vec![0u64; n].into(),
        DType::Bool => vec![false; n].into(),
        DType::Complex64 => vec![[0f32; 2]; n].into(),
        DType::Complex128 => vec![[0f64; 2]; n].into(),
        DType::String => vec![bytes::Bytes::new(); n].into(),
        DType::QInt8 | DType::QUInt8 | DType::QInt16 | DType::QUInt16 | DType::QInt32 => return None,
    };
    Tensor::new(shape, elements).ok()?.with_dtype(dtype)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;

    use super::*;
    use crate::servable::{Signature, Signatures, TensorSpec};

    /// A servable whose behaviour a test chooses by the first number it sends.
    #[derive(Debug)]
    struct Scripted {
        signatures: Signatures,
        runs: Arc<AtomicUsize>,
        gate: Option<std::sync::Mutex<mpsc::Receiver<()>>>,
    }

    const PANIC: f64 = -1.0;
    const WAIT: f64 = -2.0;

    impl Servable for Scripted {
        fn platform(&self) -> &'static str {
            "scripted"
        }

        fn signatures(&self) -> &Signatures {
            &self.signatures
        }

        fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
            self.runs.fetch_add(1, SeqCst);
            let Elements::F64(x) = call.inputs[0].elements() else { panic!("checked above") };
            if x[0] == PANIC {
                panic!("as asked");
            }
            if let (WAIT, Some(gate)) = (x[0], &self.gate) {
                gate.lock().unwrap().recv().unwrap();
            }
            Ok(vec![Tensor::vector(vec![std::thread::current().name() == Some("compute-0")].into())])
        }
    }

    fn lane(inline_below: Duration) -> Arc<Lane> {
        scripted(inline_below, None).0
    }

    fn scripted(inline_below: Duration, gate: Option<mpsc::Receiver<()>>) -> (Arc<Lane>, Arc<AtomicUsize>) {
        let spec = TensorSpec::new("x", DType::Double, &[None]);
        let signature = Signature {
            name: crate::servable::DEFAULT_SIGNATURE.into(),
            inputs: vec![spec.clone()],
            outputs: vec![spec],
            method: crate::servable::Method::Predict,
        };
        let runs = Arc::new(AtomicUsize::new(0));
        let servable = Scripted {
            signatures: Signatures::new(vec![signature]),
            runs: Arc::clone(&runs),
            gate: gate.map(std::sync::Mutex::new),
        };
        let pool = ComputePool::start(1).unwrap();
        let options = LaneOptions { inline_below, queued_max: 1 };
        (Arc::new(Lane::new(Arc::new(servable), pool, options)), runs)
    }

    async fn ask(lane: &Arc<Lane>, x: f64, deadline: Option<Instant>) -> Result<bool, RunFailure> {
        let inputs = SmallVec::from_iter([Tensor::vector(vec![x].into())]);
        let ran = Lane::run(Arc::clone(lane), 0, inputs, SmallVec::from_iter([0]), deadline).await?;
        let Elements::Bool(on_pool) = ran.outputs[0].elements() else { panic!("a bool") };
        Ok(on_pool[0] == 1)
    }

    #[tokio::test]
    async fn cheap_runs_stay_and_heavy_ones_leave() {
        assert_eq!(ask(&lane(Duration::from_secs(1)), 1.0, None).await, Ok(false));
        assert_eq!(ask(&lane(Duration::ZERO), 1.0, None).await, Ok(true));
    }

    #[tokio::test]
    async fn a_panic_is_that_requests_error_and_the_next_one_works() {
        for inline_below in [Duration::ZERO, Duration::from_secs(1)] {
            let lane = lane(inline_below);
            let Err(RunFailure::Run(RunError::Internal(why))) = ask(&lane, PANIC, None).await else {
                panic!("expected an internal error")
            };
            assert_eq!(why, "the model failed on this request: as asked");
            assert!(ask(&lane, 1.0, None).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_run_past_its_deadline_never_reaches_the_model() {
        for inline_below in [Duration::ZERO, Duration::from_secs(1)] {
            let lane = lane(inline_below);
            let now = Some(Instant::now());
            assert_eq!(ask(&lane, PANIC, now).await, Err(RunFailure::DeadlineExceeded));
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_left_caller_frees_its_place() {
        let (go, gate) = mpsc::channel();
        let (lane, runs) = scripted(Duration::ZERO, Some(gate));
        let running = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { ask(&lane, WAIT, None).await }
        });
        // Both warm-up runs count too.
        while runs.load(SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let soon = Some(Instant::now() + Duration::from_millis(20));
        let (waits, refused) = tokio::join!(ask(&lane, 1.0, soon), ask(&lane, 1.0, None));
        assert_eq!(waits, Err(RunFailure::DeadlineExceeded));
        assert_eq!(refused, Err(RunFailure::QueueFull { queued: 1 }));
        go.send(()).unwrap();
        assert_eq!(running.await.unwrap(), Ok(true));
        // The one that ran out of time is skipped, sooner or later: only this one runs.
        let answer = loop {
            match ask(&lane, 1.0, None).await {
                Err(RunFailure::QueueFull { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                answer => break answer,
            }
        };
        assert_eq!(answer, Ok(true));
        assert_eq!(runs.load(SeqCst), 4);
    }
}
