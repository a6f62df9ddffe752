//! The request log: some of the calls that were answered, written to TFRecord files
//! for whoever looks for drift, replays traffic, or makes warm-up files of it.
//!
//! ```text
//! call ─▶ sample ─▶ (answer) ─▶ record ─▶ Queue ─▶ one thread ─▶ PREFIX-TIME-N.tfrecord
//!         one in so many        never waits  bounded   rotates, prunes
//! ```
//!
//! A call never waits for the log and never fails because of it: what the queue has
//! no room for is dropped, and counted. What a record is made of is its caller's
//! business; here it is something with a length that can be written.

mod files;
mod queue;
mod settings;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

pub use files::Rotation;
pub use settings::{NotARate, RequestLogSettings, SamplingRate};

use self::files::Files;
use self::queue::{Queue, Queued};
use crate::error::Code;
use crate::ids::ModelName;
use crate::limits;
use crate::telemetry::{Metrics, ModelMetrics};

/// One call, ready to be written. It is encoded on the log's own thread.
pub trait Record: fmt::Debug + Send {
    /// Its bytes once encoded.
    fn encoded_len(&self) -> usize;

    /// Appends it.
    fn encode(&self, out: &mut Vec<u8>);
}

/// Which calls of one model are recorded, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How the path of each of its files begins.
    pub prefix: PathBuf,
    /// How many of the calls.
    pub rate: SamplingRate,
}

/// What became of the records of one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// They are in a file.
    pub written: u64,
    /// There was no room for them in the queue, or they were too large.
    pub dropped: u64,
    /// They could not be written.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    metrics: Option<Arc<ModelMetrics>>,
}

impl Counters {
    /// A record is in a file.
    fn write(&self) {
        self.count(&self.written, Code::Ok);
    }

    /// There was no room for one.
    fn drop_one(&self) {
        self.count(&self.dropped, Code::ResourceExhausted);
    }

    /// One could not be written.
    fn fail(&self) {
        self.count(&self.failed, Code::Internal);
    }

    fn count(&self, counter: &AtomicU64, code: Code) {
        counter.fetch_add(1, Relaxed);
        if let Some(metrics) = &self.metrics {
            metrics.request_logged(code);
        }
    }
}

/// One recorded model.
#[derive(Debug)]
struct ModelLog {
    target: Target,
    /// Outlives changes of the target.
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Shared {
    rotation: Rotation,
    /// Where records are counted besides.
    metrics: Option<Arc<Metrics>>,
    /// Whether there is anything in `models`: spares everybody else the lock.
    any: AtomicBool,
    models: RwLock<HashMap<ModelName, Arc<ModelLog>>>,
    queue: Queue,
    /// The writer, from the first model on.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The log, as calls see it. Clones are the same log.
#[derive(Debug, Clone)]
pub struct RequestLog(Arc<Shared>);

impl Default for RequestLog {
    /// Records nothing until it is configured.
    fn default() -> Self {
        Self::new(Rotation::default(), None)
    }
}

impl RequestLog {
    /// A log whose files are replaced by new ones as `rotation` says. It records
    /// nothing, and has no thread, until it is configured. What becomes of records is
    /// counted in `metrics` too.
    #[must_use]
    pub fn new(rotation: Rotation, metrics: Option<Arc<Metrics>>) -> Self {
        Self(Arc::new(Shared {
            rotation,
            metrics,
            any: AtomicBool::new(false),
            models: RwLock::default(),
            queue: Queue::default(),
            thread: Mutex::new(None),
        }))
    }

    /// From now on records these models and no others. What was recorded already is
    /// written to where it was meant to go.
    pub fn configure(&self, targets: BTreeMap<ModelName, Target>) {
        let shared = &self.0;
        if !targets.is_empty() {
            self.start();
        }
        let mut models = shared.models.write().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::take(&mut *models);
        let mut news = 0;
        let model = |(name, target): (ModelName, Target)| {
            let known = former.get(&name);
            let log = match known.filter(|known| known.target == target) {
                Some(known) => Arc::clone(known),
                None => {
                    let new = || {
                        let metrics = shared.metrics.as_ref().map(|metrics| metrics.model(&name));
                        Arc::new(Counters { metrics, ..Counters::default() })
                    };
                    let counters = known.map_or_else(new, |known| Arc::clone(&known.counters));
                    news += 1;
                    tracing::debug!(model = %name, files = %target.prefix.display(), rate = target.rate.get(),
                        "requests are logged");
                    Arc::new(ModelLog { target, counters })
                }
            };
            (name, log)
        };
        *models = targets.into_iter().map(model).collect();
        shared.any.store(!models.is_empty(), Relaxed);
        if news > 0 || models.len() < former.len() {
            tracing::info!(models = models.len(), "requests are logged of these many models");
        }
    }

    fn start(&self) {
        let mut thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() {
            return;
        }
        let shared = Arc::clone(&self.0);
        let files = Files::new(shared.rotation);
        let started = std::thread::Builder::new()
            .name("request-log".to_owned())
            .spawn(move || writer::run(&shared.queue, files));
        match started {
            Ok(started) => *thread = Some(started),
            // Records then fill the queue, and are dropped and counted.
            Err(error) => tracing::error!(%error, "requests cannot be logged: no thread for it"),
        }
    }

    /// Whether this call of a model is to be recorded, and how.
    #[must_use]
    pub fn sample(&self, model: &str) -> Option<Sample> {
        let shared = &self.0;
        if !shared.any.load(Relaxed) {
            return None;
        }
        let models = shared.models.read().unwrap_or_else(PoisonError::into_inner);
        let model = models.get(model)?;
        // From 0 up to but without 1: a rate of 1 takes all, one of 0 none.
        (fastrand::f64() < model.target.rate.get())
            .then(|| Sample { shared: Arc::clone(shared), model: Arc::clone(model) })
    }

    /// What became of the records of each model that is recorded now.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<ModelName, Counts> {
        let models = self.0.models.read().unwrap_or_else(PoisonError::into_inner);
        let counts = |counters: &Counters| Counts {
            written: counters.written.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            failed: counters.failed.load(Relaxed),
        };
        models.iter().map(|(name, model)| (name.clone(), counts(&model.counters))).collect()
    }

    /// Takes no more records. What it has is still written, until
    /// [`is_finished`](Self::is_finished).
    pub fn close(&self) {
        self.0.queue.close();
    }

    /// Whether everything has been written after [`close`](Self::close).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// A call that is to be recorded.
#[derive(Debug)]
pub struct Sample {
    shared: Arc<Shared>,
    model: Arc<ModelLog>,
}

impl Sample {
    /// How many of the model's calls are recorded.
    #[must_use]
    pub fn rate(&self) -> SamplingRate {
        self.model.target.rate
    }

    /// Whether there is room for a record of so many bytes: asked before a request
    /// is copied. If not, it counts as dropped.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let has_room = bytes <= limits::REQUEST_LOG_RECORD_BYTES_MAX && self.shared.queue.has_room(bytes);
        if !has_room {
            self.drop_it();
        }
        has_room
    }

    /// Leaves the record for the writer, or drops it.
    pub fn record(self, record: Box<dyn Record>) {
        let bytes = record.encoded_len();
        if bytes > limits::REQUEST_LOG_RECORD_BYTES_MAX {
            return self.drop_it();
        }
        let queued = Queued { model: Arc::clone(&self.model), record, bytes };
        if !self.shared.queue.push(queued) {
            self.drop_it();
        }
    }

    fn drop_it(&self) {
        self.model.counters.drop_one();
        self.shared.queue.note_dropped();
    }
}

#[cfg(test)]
mod tests;
