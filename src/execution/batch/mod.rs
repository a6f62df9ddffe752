//! Batching: requests of one signature that wait at the same time run together.
//!
//! * [`queue`] which requests make a batch, and when it runs: pure.
//! * [`shapes`] which requests may share one: pure.
//! * [`merge`] many inputs into one, one answer into many: pure.
//! * [`options`] what may be configured.
//!
//! Here is what does it. A request joins a queue on its I/O loop; threads of the
//! compute pool are sent for as many batches as are ready, in the turn of the
//! model's lane, and what a batch holds is settled only when its thread is there.

mod merge;
mod options;
mod queue;
mod shapes;

#[cfg(test)]
mod tests;

pub use options::{BatchOptions, BatchOptionsError, BatchParameters};

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::pool::{LaneId, Shared};
use super::{ComputePool, Lane, Ran, RunFailure, RunTimes};
use crate::error::Code;
use crate::limits;
use crate::servable::RunError;
use crate::telemetry::{Rejection, Waiting};
use crate::tensor::{Tensor, concat_rows};
use queue::{Caller, Queue, Wake};
use shapes::RowShapes;

/// Why a request was not batched, or its batch has no answer for it. The texts
/// are the reference's, where it has the case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchFailure {
    /// A request without inputs.
    #[error("Batching Run() must have at least one input tensor")]
    NoInput,
    /// An input without rows.
    #[error("Batching Run() input tensors must have at least one dimension")]
    ScalarInput,
    /// Inputs with different numbers of rows.
    #[error("Batching Run() input tensors must have equal 0th-dimension size")]
    UnequalRows,
    /// More rows than a request may have.
    #[error("Task size {rows} is larger than maximum input batch size {rows_max}")]
    TooLarge {
        /// How many.
        rows: usize,
        /// How many there may be.
        rows_max: usize,
    },
    /// Too many batches wait.
    #[error(
        "The batch scheduling queue to which this task was submitted is full; currently {enqueued} batches \
         enqueued and max_enqueued_batches is {enqueued_max}"
    )]
    QueueFull {
        /// How many.
        enqueued: usize,
        /// How many may.
        enqueued_max: usize,
    },
    /// The batches that wait, and those that may, have no room for so many rows.
    #[error(
        "The batch scheduling queue to which this task was submitted is full; task size is {rows} but \
         scheduling capacity is only {capacity} (num_enqueued_batches={enqueued}, \
         max_enqueued_batches={enqueued_max}, open_batch_size={open_rows}, \
         max_execution_batch_size={batch_rows_max})"
    )]
    NoCapacity {
        /// Rows of the request.
        rows: usize,
        /// Rows that there is room for.
        capacity: usize,
        /// Batches that wait.
        enqueued: usize,
        /// Batches that may wait.
        enqueued_max: usize,
        /// Rows of the batch that it could join.
        open_rows: usize,
        /// Rows that a batch may have.
        batch_rows_max: usize,
    },
    /// Requests wait for too many different signatures and sets of outputs.
    #[error("requests of this version wait in {queues} batching queues; there may be no more")]
    TooManyQueues {
        /// How many there are.
        queues: usize,
    },
    /// The deadline passed before the batch ran.
    #[error("Run() timeout exceeded while waiting in batching queue")]
    Expired,
    /// An output without rows.
    #[error("Batched output tensor has 0 dimensions")]
    ScalarOutput,
    /// An output with other rows than the batch.
    #[error(
        "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input \
         tensors"
    )]
    OutputRows,
    /// Rows so long that filling the batch up would take too much memory.
    #[error("{added} rows to fill the batch up would take {bytes} bytes; at most {bytes_max} are taken")]
    Padding {
        /// Rows to be added.
        added: usize,
        /// What they would take in one input.
        bytes: usize,
        /// What they may.
        bytes_max: usize,
    },
}

impl BatchFailure {
    /// The code that goes with the text.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoInput | Self::ScalarInput | Self::UnequalRows | Self::TooLarge { .. } => {
                Code::InvalidArgument
            }
            Self::QueueFull { .. } | Self::NoCapacity { .. } | Self::TooManyQueues { .. } => {
                Code::Unavailable
            }
            Self::Expired | Self::Padding { .. } => Code::ResourceExhausted,
            Self::ScalarOutput | Self::OutputRows => Code::FailedPrecondition,
        }
    }

    /// Why the request was turned away, where it would be welcome at another time or
    /// in smaller parts.
    pub(super) fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::QueueFull { .. } | Self::NoCapacity { .. } | Self::TooManyQueues { .. } => {
                Some(Rejection::QueueFull)
            }
            Self::Expired => Some(Rejection::DeadlineExceeded),
            Self::TooLarge { .. } | Self::Padding { .. } => Some(Rejection::TooLarge),
            Self::NoInput | Self::ScalarInput | Self::UnequalRows | Self::ScalarOutput | Self::OutputRows => {
                None
            }
        }
    }
}

/// A signature, and its wanted outputs in rising order: what has a queue.
type Key = (usize, SmallVec<[usize; 4]>);

/// The queues of one lane.
#[derive(Debug)]
pub(super) struct Batching {
    options: BatchOptions,
    pool: Arc<Shared>,
    lane: LaneId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A queue that is idle has no entry.
    queues: HashMap<Key, Queue<Part>>,
    next_id: u64,
}

/// A request: what its parts share.
struct Source {
    inputs: SmallVec<[Tensor; 2]>,
    deadline: Option<Instant>,
    /// Keeps the version alive until each part has run.
    lane: Box<dyn Deref<Target = Lane> + Send + Sync>,
}

/// Some rows of a request, mostly all of them.
struct Part {
    source: Arc<Source>,
    rows: Range<usize>,
    /// Until a batch is taken from the queue.
    waiting: Option<Waiting>,
    reply: oneshot::Sender<Result<Answer, RunFailure>>,
}

/// The answer to a part.
struct Answer {
    outputs: Vec<Tensor>,
    /// When its batch began to run, and when it was done.
    began: Instant,
    ended: Instant,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Batching {
    pub(super) fn new(options: BatchOptions, pool: &ComputePool, lane: LaneId) -> Self {
        Self { options, pool: Arc::clone(pool.shared()), lane, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks what every request to a batched model must fulfil, and counts its rows.
    pub(super) fn check(&self, inputs: &[Tensor]) -> Result<usize, BatchFailure> {
        let (rows, rows_max) = (shapes::rows_of(inputs)?, self.options.request_rows_max);
        if rows > rows_max { Err(BatchFailure::TooLarge { rows, rows_max }) } else { Ok(rows) }
    }

    /// Whether a run that is cheap enough for an I/O loop goes there and not into
    /// a queue: unless waiting for company was asked for.
    pub(super) fn lets_cheap_runs_pass(&self) -> bool {
        self.options.timeout.is_zero()
    }

    /// Puts a request into its queue, and gives the number that it has there.
    fn enqueue(
        self: &Arc<Self>,
        key: &Key,
        rows: usize,
        shapes: &RowShapes,
        now: Instant,
        part: impl FnMut(Range<usize>) -> Part,
    ) -> Result<u64, BatchFailure> {
        let mut state = self.lock();
        let State { queues, next_id } = &mut *state;
        *next_id += 1;
        let id = *next_id;
        let count = queues.len();
        let queue = match queues.entry(key.clone()) {
            Entry::Vacant(_) if count >= limits::BATCH_QUEUES_MAX => {
                return Err(BatchFailure::TooManyQueues { queues: count });
            }
            Entry::Vacant(entry) => entry.insert(Queue::default()),
            Entry::Occupied(entry) => entry.into_mut(),
        };
        let pushed = queue.push((id, rows), shapes, now, &self.options, part);
        let wake = queue.wake(now, &self.options);
        if queue.is_idle() {
            queues.remove(key);
        }
        drop(state);
        self.send(key, wake);
        pushed.map(|()| id)
    }

    /// Sends what a queue asked for.
    fn send(self: &Arc<Self>, key: &Key, wake: Wake) {
        let task = |caller| {
            let (batching, key) = (Arc::clone(self), key.clone());
            Box::new(move || batching.serve(&key, caller))
        };
        for _ in 0..wake.turns {
            // Turns are bounded by the batches, so the lane needs no other bound.
            let _ = self.pool.submit(self.lane, usize::MAX, task(Caller::Turn));
        }
        if let Some(at) = wake.alarm {
            self.pool.submit_at(at, self.lane, task(Caller::Alarm));
        }
    }

    /// A thread has come: takes the batch that is ready, and runs it.
    fn serve(self: &Arc<Self>, key: &Key, caller: Caller) {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(key) else { return };
        let batch = queue.pull(caller, now, &self.options);
        let wake = queue.wake(now, &self.options);
        if queue.is_idle() {
            state.queues.remove(key);
        }
        drop(state);
        self.send(key, wake);
        if let Some(mut parts) = batch {
            parts.iter_mut().filter_map(|part| part.waiting.take()).for_each(|one| one.joins_batch(now));
            self.answer(key, parts, BatchFailure::Expired.into());
        }
    }

    /// Runs what is still wanted and answers it. A batch that fails is run again
    /// in halves, so that whoever spoilt it is found and fails alone: at most
    /// twice as many runs as parts, and for one bad part among `n` some `2 log n`.
    /// `late` is what those hear whose deadline has passed.
    fn answer(&self, key: &Key, parts: Vec<Part>, late: RunFailure) {
        let now = Instant::now();
        let mut alive = Vec::with_capacity(parts.len());
        for part in parts {
            if part.source.deadline.is_some_and(|at| at <= now) {
                finish([part], [Err(late.clone())]);
            } else if !part.reply.is_closed() {
                alive.push(part);
            }
        }
        if alive.is_empty() {
            return;
        }
        match merge::run(key, &mut alive, &self.options) {
            Ok(answers) => {
                let (began, ended) = (now, Instant::now());
                let answer = |outputs| Ok(Answer { outputs, began, ended });
                finish(alive, answers.into_iter().map(answer));
            }
            Err(RunFailure::Run(_)) if alive.len() > 1 => {
                let second = alive.split_off(alive.len() / 2);
                for half in [alive, second] {
                    self.answer(key, half, RunFailure::DeadlineExceeded);
                }
            }
            Err(failure) => finish(alive, std::iter::repeat_with(|| Err(failure.clone()))),
        }
    }

    /// Takes a request out of its queue; says whether it, or a part of it, waited.
    fn forget(&self, key: &Key, id: u64) -> bool {
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(key) else { return false };
        let found = queue.remove(id);
        if queue.is_idle() {
            state.queues.remove(key);
        }
        found
    }
}

/// Gives each part its answer. The handles go first, so that whoever has an
/// answer does not find the version still held.
fn finish(
    parts: impl IntoIterator<Item = Part>,
    answers: impl IntoIterator<Item = Result<Answer, RunFailure>>,
) {
    let replies: Vec<_> = parts.into_iter().map(|part| part.reply).collect();
    for (reply, answer) in replies.into_iter().zip(answers) {
        // A caller who has left wants no answer.
        let _ = reply.send(answer);
    }
}

/// Takes a request out of the queue when its caller leaves.
struct Place<'a> {
    batching: &'a Batching,
    key: &'a Key,
    id: u64,
    taken: bool,
}

impl Place<'_> {
    fn leave(&mut self) -> bool {
        std::mem::replace(&mut self.taken, false) && self.batching.forget(self.key, self.id)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Runs one request in a batch. `rows` is what [`Batching::check`] counted.
pub(super) async fn run<H>(
    lane: H,
    batching: Arc<Batching>,
    signature: usize,
    rows: usize,
    inputs: SmallVec<[Tensor; 2]>,
    outputs: SmallVec<[usize; 4]>,
    deadline: Option<Instant>,
) -> Result<Ran, RunFailure>
where
    H: Deref<Target = Lane> + Send + Sync + 'static,
{
    let now = Instant::now();
    if deadline.is_some_and(|at| at <= now) {
        return Err(RunFailure::DeadlineExceeded);
    }
    let mut rising = outputs.clone();
    rising.sort_unstable();
    let key: Key = (signature, rising);
    let shapes = RowShapes::of(&inputs);
    let metrics = Arc::clone(lane.metrics());
    let source = Arc::new(Source { inputs, deadline, lane: Box::new(lane) });
    let mut answers: SmallVec<[oneshot::Receiver<_>; 1]> = SmallVec::new();
    let part = |rows| {
        let (reply, answer) = oneshot::channel();
        answers.push(answer);
        Part { source: Arc::clone(&source), rows, waiting: Some(metrics.waiting(now)), reply }
    };

    let id = batching.enqueue(&key, rows, &shapes, now, part)?;
    drop(source);

    let mut place = Place { batching: &batching, key: &key, id, taken: true };
    let collect = async {
        let mut parts = SmallVec::<[Answer; 1]>::new();
        for answer in answers {
            let lost =
                |_| Err(RunError::Internal("the compute pool closed before the run".to_owned()).into());
            parts.push(answer.await.unwrap_or_else(lost)?);
        }
        Ok(parts)
    };
    let parts = match deadline {
        None => collect.await,
        Some(at) => match tokio::time::timeout_at(at.into(), collect).await {
            Ok(parts) => parts,
            Err(_) if place.leave() => Err(BatchFailure::Expired.into()),
            Err(_) => Err(RunFailure::DeadlineExceeded),
        },
    }?;
    // All of it has run.
    place.taken = false;
    let began = parts.iter().map(|part| part.began).min().unwrap_or(now);
    let ended = parts.iter().map(|part| part.ended).max().unwrap_or(now);
    let computed = ended.saturating_duration_since(began);
    let parts = parts.into_iter().map(|part| part.outputs).collect();
    let outputs = in_order(joined(parts)?, &key.1, &outputs)?;
    Ok(Ran { outputs, times: RunTimes { entered: now, returned: Instant::now(), computed } })
}

/// Joins the answers to the parts of a request.
fn joined(mut parts: SmallVec<[Vec<Tensor>; 1]>) -> Result<Vec<Tensor>, RunFailure> {
    if parts.len() == 1
        && let Some(whole) = parts.pop()
    {
        return Ok(whole);
    }
    let outputs = parts.first().map_or(0, Vec::len);
    (0..outputs)
        .map(|output| {
            let parts: Vec<&Tensor> = parts.iter().map(|part| &part[output]).collect();
            concat_rows(&parts).map_err(|why| {
                let text = format!("the outputs of a divided request cannot be joined: {why}");
                RunError::Internal(text).into()
            })
        })
        .collect()
}

/// Puts answers that are in rising order of outputs into the order of `wanted`.
fn in_order(answers: Vec<Tensor>, rising: &[usize], wanted: &[usize]) -> Result<Vec<Tensor>, RunFailure> {
    if rising == wanted {
        return Ok(answers);
    }
    let mut answers: Vec<Option<Tensor>> = answers.into_iter().map(Some).collect();
    let places = wanted.iter().map(|output| rising.binary_search(output).unwrap_or(usize::MAX));
    places
        .map(|place| answers.get_mut(place).and_then(Option::take))
        .collect::<Option<_>>()
        .ok_or_else(|| RunError::Internal("the model gave fewer outputs than were wanted".to_owned()).into())
}
