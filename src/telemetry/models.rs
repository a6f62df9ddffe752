//! What is counted of one model, and of one of its versions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::batches::{Batch, BatchingSession, VersionBatches};
use super::bounds::{EXAMPLES, MICROS, SECONDS};
use super::cells::{Counters, Histogram, PerLoop, Totals, bump};
use super::kinds::{CODES, KINDS, Kind, Outcome, Rejection};
use crate::error::Code;
use crate::ids::Version;

/// What all models share.
#[derive(Debug)]
pub(super) struct Shared {
    /// How many I/O loops count.
    pub(super) loops: usize,
    pub(super) batching: BatchingSession,
}

/// The series of one model. They last as long as it is configured.
#[derive(Debug)]
pub struct ModelMetrics {
    pub(super) name: String,
    pub(super) shared: Arc<Shared>,
    pub(super) answered: PerLoop<Answered, KINDS>,
    /// By kind, then by code.
    pub(super) refused: Counters<{ KINDS * CODES }>,
    pub(super) rejected: Counters<{ Rejection::ALL.len() }>,
    pub(super) loads: Counters<{ Outcome::ALL.len() }>,
    pub(super) logged: Counters<CODES>,
    pub(super) examples: OnceLock<Box<Histogram<15>>>,
    versions: Mutex<BTreeMap<Version, Weak<VersionMetrics>>>,
}

/// One kind of request, as one loop has answered it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) ok: AtomicU64,
    /// Microseconds of the whole.
    pub(super) latency: Histogram<33>,
    /// Microseconds of the run.
    pub(super) runtime: Histogram<33>,
}

impl Answered {
    pub(super) fn new() -> Self {
        Self { ok: AtomicU64::new(0), latency: Histogram::new(&MICROS), runtime: Histogram::new(&MICROS) }
    }
}

/// The same of one version, stage by stage, in nanoseconds.
#[derive(Debug)]
pub(super) struct Stages {
    pub(super) whole: Histogram<19>,
    /// In the order of [`STAGES`].
    pub(super) stages: [Histogram<19>; STAGES.len()],
}

/// What a request goes through.
pub(super) const STAGES: [&str; 4] = ["decode", "queue", "compute", "encode"];

impl Stages {
    pub(super) fn new() -> Self {
        let histogram = || Histogram::new(&SECONDS);
        Self { whole: histogram(), stages: std::array::from_fn(|_| histogram()) }
    }
}

/// The series of one version. They last as long as something holds them, which the
/// version's loader and the loaded version do.
#[derive(Debug)]
pub struct VersionMetrics {
    pub(super) model: Arc<ModelMetrics>,
    pub(super) version: Version,
    /// How a person would name its folder: the reference's `model_path`.
    pub(super) path: String,
    pub(super) answered: PerLoop<Stages, KINDS>,
    /// Requests that wait to be run.
    pub(super) queued: AtomicI64,
    pub(super) batches: OnceLock<Box<VersionBatches>>,
    loads: Mutex<Loads>,
}

/// How a version came to be loaded.
#[derive(Debug, Default)]
pub(super) struct Loads {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// All that succeeded together.
    pub(super) took: Duration,
    /// The last one that did: how long it took, and the bytes of the files.
    pub(super) last: Option<(Duration, u64)>,
    pub(super) warm_ups: BTreeMap<&'static str, WarmUps>,
}

/// Warm-ups that came to the same code.
#[derive(Debug)]
pub(super) struct WarmUps {
    pub(super) latency: Totals<33>,
    pub(super) records: u64,
}

/// When a request was where, as whoever ran it tells.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The version that answered.
    pub version: &'a VersionMetrics,
    /// When it was ready to be run: read, and checked.
    pub entered: Instant,
    /// When the answer was back.
    pub returned: Instant,
    /// How long the model took of that; the rest was waiting.
    pub computed: Duration,
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl ModelMetrics {
    pub(super) fn new(name: &str, shared: &Arc<Shared>) -> Self {
        Self {
            name: name.to_owned(),
            shared: Arc::clone(shared),
            answered: PerLoop::new(shared.loops),
            refused: Counters::default(),
            rejected: Counters::default(),
            loads: Counters::default(),
            logged: Counters::default(),
            examples: OnceLock::new(),
            versions: Mutex::default(),
        }
    }

    /// The series of one version, which are those that there were if it is held by
    /// somebody still.
    pub(super) fn version(
        self: &Arc<Self>,
        version: Version,
        path: impl FnOnce() -> String,
    ) -> Arc<VersionMetrics> {
        let mut versions = lock(&self.versions);
        if let Some(known) = versions.get(&version).and_then(Weak::upgrade) {
            return known;
        }
        versions.retain(|_, one| one.strong_count() > 0);
        let new = Arc::new(VersionMetrics {
            model: Arc::clone(self),
            version,
            path: path(),
            answered: PerLoop::new(self.shared.loops),
            queued: AtomicI64::new(0),
            batches: OnceLock::new(),
            loads: Mutex::default(),
        });
        versions.insert(version, Arc::downgrade(&new));
        new
    }

    /// The versions that something holds, by number.
    pub(super) fn versions(&self) -> Vec<Arc<VersionMetrics>> {
        lock(&self.versions).values().filter_map(Weak::upgrade).collect()
    }

    /// Counts a request that was logged, or could not be.
    pub fn request_logged(&self, code: Code) {
        self.logged.add(code as usize);
    }

    /// Counts a request that was answered in so long; on one loop.
    pub(super) fn answered(&self, place: usize, kind: Kind, took: Duration, computed: Option<Duration>) {
        let Some(series) = self.answered.at(place, kind.place(), Answered::new) else { return };
        bump(&series.ok, 1);
        if kind.is_counted_by_reference() {
            series.latency.add(micros(took));
        }
        if let Some(computed) = computed.filter(|_| kind.is_inference()) {
            series.runtime.add(micros(computed));
        }
    }

    pub(super) fn refused(&self, kind: Kind, code: Code) {
        self.refused.add(kind.place() * CODES + code as usize);
    }

    pub(super) fn examples(&self, examples: usize) {
        self.examples.get_or_init(|| Box::new(Histogram::new(&EXAMPLES))).add_shared(examples as u64);
    }
}

impl VersionMetrics {
    /// Series that no page shows, for a servable outside of a server.
    #[must_use]
    pub fn unlisted() -> Arc<Self> {
        let shared = Arc::new(Shared { loops: 0, batching: BatchingSession::default() });
        Arc::new(ModelMetrics::new("", &shared)).version(Version::MIN, String::new)
    }

    /// Counts a request that this version has answered; on one loop.
    pub(super) fn answered(&self, place: usize, kind: Kind, started: Instant, ended: Instant, run: &Run<'_>) {
        let Some(series) = self.answered.at(place, kind.place(), Stages::new) else { return };
        let within = run.returned.saturating_duration_since(run.entered);
        let waited = within.saturating_sub(run.computed);
        let decode = run.entered.saturating_duration_since(started);
        let encode = ended.saturating_duration_since(run.returned);
        let whole = ended.saturating_duration_since(started);
        series.whole.add(nanos(whole));
        let [decoding, waiting, computing, encoding] = &series.stages;
        decoding.add(nanos(decode));
        // Who did not wait is not told among those who did.
        if !waited.is_zero() {
            waiting.add(nanos(waited));
        }
        computing.add(nanos(run.computed));
        encoding.add(nanos(encode));
        self.model.answered(place, kind, whole, Some(run.computed));
    }

    /// Counts the examples of a MultiInference.
    pub fn examples(&self, examples: usize) {
        self.model.examples(examples);
    }

    /// Counts a request that was turned away.
    pub fn rejected(&self, reason: Rejection) {
        self.model.rejected.add(reason as usize);
    }

    /// Counts one more that waits, until what is given back is dropped.
    #[must_use]
    pub fn waiting(self: &Arc<Self>, since: Instant) -> Waiting {
        self.queued.fetch_add(1, Relaxed);
        Waiting { version: Arc::clone(self), since }
    }

    /// Counts a batch that was run.
    pub fn batch_ran(&self, batch: &Batch<'_>) {
        self.batches.get_or_init(Box::default).add(batch);
        self.model.shared.batching.add(batch);
    }

    /// A load begins. Unless what is given back is told that it has succeeded, it has
    /// failed.
    #[must_use]
    pub fn loading(self: &Arc<Self>) -> Loading {
        Loading { version: Arc::clone(self), started: Instant::now(), bytes: None }
    }

    pub(super) fn loaded(&self, took: Duration, bytes: u64) {
        self.model.loads.add(Outcome::Success as usize);
        let mut loads = self.loads();
        loads.succeeded += 1;
        loads.took += took;
        loads.last = Some((took, bytes));
    }

    pub(super) fn failed_to_load(&self) {
        self.model.loads.add(Outcome::Failure as usize);
        self.loads().failed += 1;
    }

    /// Tells what a warm-up came to: how many records were read, and how long it took.
    pub fn warmed_up(&self, code: Code, records: usize, took: Duration) {
        let mut loads = self.loads();
        let warm_ups = loads.warm_ups.entry(code.name());
        let warm_ups = warm_ups.or_insert_with(|| WarmUps { latency: Totals::new(&MICROS), records: 0 });
        warm_ups.latency.add(micros(took));
        warm_ups.records += records as u64;
    }

    pub(super) fn loads(&self) -> MutexGuard<'_, Loads> {
        lock(&self.loads)
    }
}

// A poisoned lock is taken as it is: what it guards is whole after each statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A version that is being loaded.
#[derive(Debug)]
pub struct Loading {
    version: Arc<VersionMetrics>,
    started: Instant,
    bytes: Option<u64>,
}

impl Loading {
    /// It is loaded, from so many bytes.
    pub fn succeeded(mut self, bytes: u64) {
        self.bytes = Some(bytes);
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        match self.bytes {
            Some(bytes) => self.version.loaded(self.started.elapsed(), bytes),
            None => self.version.failed_to_load(),
        }
    }
}

/// A request that waits to be run.
#[derive(Debug)]
pub struct Waiting {
    version: Arc<VersionMetrics>,
    since: Instant,
}

impl Waiting {
    /// It will be run in a batch that is taken from its queue now.
    pub fn joins_batch(self, now: Instant) {
        self.version.model.shared.batching.waited(now.saturating_duration_since(self.since));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.version.queued.fetch_sub(1, Relaxed);
    }
}
