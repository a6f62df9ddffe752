//! What is counted of batches. They are heavy and few, so that their counters are
//! shared by all threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bounds::{BATCH_ROWS, QUEUING_MICROS};
use super::cells::{Histogram, Totals};
use super::models::micros;
use crate::limits;

/// A batch that was run.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The rows of each request in it.
    pub requests: &'a [usize],
    /// The inputs of the signature.
    pub inputs: usize,
    /// Its rows, with those that filled it up.
    pub padded_rows: usize,
}

/// The reference's counters, over all models.
#[derive(Debug)]
pub(super) struct BatchingSession {
    pub(super) queuing: Histogram<52>,
    pub(super) runs: AtomicU64,
    pub(super) input_rows: Histogram<14>,
    pub(super) processed_rows: Histogram<14>,
    /// By the rows of the batch.
    padding: Mutex<Padding>,
}

pub(super) type Padding = BTreeMap<Option<usize>, Totals<14>>;

impl Default for BatchingSession {
    fn default() -> Self {
        let rows = || Histogram::new(&BATCH_ROWS);
        Self {
            queuing: Histogram::new(&QUEUING_MICROS),
            runs: AtomicU64::new(0),
            input_rows: rows(),
            processed_rows: rows(),
            padding: Mutex::default(),
        }
    }
}

impl BatchingSession {
    pub(super) fn waited(&self, time: Duration) {
        self.queuing.add_shared(micros(time));
    }

    pub(super) fn add(&self, batch: &Batch<'_>) {
        self.runs.fetch_add(1, Relaxed);
        self.processed_rows.add_shared(batch.padded_rows as u64);
        for &rows in batch.requests {
            // Once for each input, as the reference has it.
            (0..batch.inputs).for_each(|_| self.input_rows.add_shared(rows as u64));
        }
        let mut padding = self.padding();
        // Without allowed sizes each number of rows is one; they cannot all have series.
        let is_new = !padding.contains_key(&Some(batch.padded_rows));
        let full = is_new && padding.len() >= limits::METRICS_BATCH_SIZES_MAX;
        let size = (!full).then_some(batch.padded_rows);
        padding.entry(size).or_insert_with(|| Totals::new(&BATCH_ROWS)).add(batch.added_rows());
    }

    pub(super) fn padding(&self) -> MutexGuard<'_, Padding> {
        self.padding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch<'_> {
    fn added_rows(&self) -> u64 {
        self.padded_rows.saturating_sub(self.requests.iter().sum()) as u64
    }
}

/// Ours, of one version.
#[derive(Debug)]
pub(super) struct VersionBatches {
    pub(super) rows: Histogram<14>,
    pub(super) requests: Histogram<14>,
    pub(super) added_rows: AtomicU64,
}

impl Default for VersionBatches {
    fn default() -> Self {
        let (rows, requests) = (Histogram::new(&BATCH_ROWS), Histogram::new(&BATCH_ROWS));
        Self { rows, requests, added_rows: AtomicU64::new(0) }
    }
}

impl VersionBatches {
    pub(super) fn add(&self, batch: &Batch<'_>) {
        self.rows.add_shared(batch.requests.iter().sum::<usize>() as u64);
        self.requests.add_shared(batch.requests.len() as u64);
        self.added_rows.fetch_add(batch.added_rows(), Relaxed);
    }
}
