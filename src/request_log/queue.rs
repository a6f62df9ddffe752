//! The records that wait to be written: bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{ModelLog, Record};
use crate::limits;

/// One record on its way.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) model: Arc<ModelLog>,
    pub(super) record: Box<dyn Record>,
    /// Its bytes once encoded.
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    records: VecDeque<Queued>,
    bytes: usize,
    closed: bool,
}

impl Waiting {
    fn has_room(&self, bytes: usize) -> bool {
        !self.closed
            && self.records.len() < limits::REQUEST_LOG_QUEUE_RECORDS_MAX
            && self.bytes + bytes <= limits::REQUEST_LOG_QUEUE_BYTES_MAX
    }

    fn is_half_full(&self) -> bool {
        self.records.len() * 2 >= limits::REQUEST_LOG_QUEUE_RECORDS_MAX
            || self.bytes * 2 >= limits::REQUEST_LOG_QUEUE_BYTES_MAX
    }
}

/// What the writer found.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) records: VecDeque<Queued>,
    /// Nothing will follow.
    pub(super) closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.lock().has_room(bytes)
    }

    /// Adds one; `false` when there is no room for it.
    pub(super) fn push(&self, queued: Queued) -> bool {
        let mut waiting = self.lock();
        if !waiting.has_room(queued.bytes) {
            return false;
        }
        let (was_empty, was_half_full) = (waiting.records.is_empty(), waiting.is_half_full());
        waiting.bytes += queued.bytes;
        waiting.records.push_back(queued);
        let tell = was_empty || !was_half_full && waiting.is_half_full();
        drop(waiting);
        // Waking a thread costs more than all the rest: the first of many does it.
        if tell {
            self.news.notify_one();
        }
        true
    }

    /// Waits for a record, then a moment for more, and takes all there are. Gives up
    /// at `until`.
    pub(super) fn take(&self, until: Option<Instant>) -> Taken {
        let mut waiting = self.lock();
        while waiting.records.is_empty() && !waiting.closed {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            waiting = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.news.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.news.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let gathered = Instant::now() + limits::REQUEST_LOG_GATHERING;
        while !waiting.records.is_empty() && !waiting.is_half_full() && !waiting.closed {
            let left = gathered.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting = self.news.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.bytes = 0;
        Taken { records: std::mem::take(&mut waiting.records), closed: waiting.closed }
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    pub(super) fn note_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// How many records were dropped since the last time this was asked.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.swap(0, Relaxed)
    }
}
