//! How requests are batched: as written in a configuration, and checked.

use std::time::Duration;

use crate::limits;

/// Batching as some file states it, unchecked; what it leaves open has a default.
/// Source: `tensorflow.serving.BatchingParameters`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchParameters {
    /// Rows of one request, and of one batch unless large ones are split; 1000.
    pub max_batch_size: Option<i64>,
    /// How long a batch that is not full may wait, in microseconds; 0.
    pub batch_timeout_micros: Option<i64>,
    /// Batches that may wait, per queue; 10.
    pub max_enqueued_batches: Option<i64>,
    /// The sizes that batches are padded to, increasing, the last one
    /// [`max_batch_size`](Self::max_batch_size); none: they are not padded.
    pub allowed_batch_sizes: Vec<i64>,
    /// Whether inputs of different length may share a batch, padded to the longest.
    pub pad_variable_length_inputs: bool,
    /// Whether a request may be divided among batches.
    pub enable_large_batch_splitting: bool,
    /// Rows of one batch where large ones are split; as `max_batch_size`.
    pub max_execution_batch_size: Option<i64>,
}

/// How the requests of a model are batched, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOptions {
    /// Rows of one request.
    pub(super) request_rows_max: usize,
    /// Rows of one batch.
    pub(super) batch_rows_max: usize,
    /// How long a batch that is not full may wait for more.
    pub(super) timeout: Duration,
    /// Batches that may wait in one queue.
    pub(super) enqueued_max: usize,
    /// Sizes to pad to, increasing; empty: none.
    pub(super) allowed_sizes: Vec<usize>,
    /// Whether rows of different shapes may be padded to share a batch.
    pub(super) pad_variable_length: bool,
    /// Whether a request may be divided among batches.
    pub(super) split: bool,
}

/// What is wrong with [`BatchParameters`]; an INVALID_ARGUMENT wherever it shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchOptionsError {
    /// A number that must be at least 1.
    #[error("{0} must be positive; was {1}")]
    NotPositive(&'static str, i64),
    /// A number that must be at least 0.
    #[error("{0} must be non-negative; was {1}")]
    Negative(&'static str, i64),
    /// Allowed sizes that do not rise.
    #[error("allowed_batch_sizes must be positive and increasing; {0} follows {1}")]
    NotIncreasing(i64, i64),
    /// The largest allowed size is another than the largest batch.
    #[error(
        "Last entry in allowed_batch_sizes must match max_batch_size; last entry was {last}; expected {expected}"
    )]
    LastAllowed {
        /// The last entry.
        last: i64,
        /// What it must be.
        expected: i64,
    },
    /// Batches that could hold more than one request may have.
    #[error("max_execution_batch_size must not exceed max_batch_size; was {0}; max_batch_size is {1}")]
    ExecutionExceeds(i64, i64),
}

impl BatchOptions {
    /// Checks `parameters` and fills in what they leave open.
    ///
    /// # Errors
    /// [`BatchOptionsError`], in the reference's words where it has any.
    pub fn new(parameters: &BatchParameters) -> Result<Self, BatchOptionsError> {
        let max = positive("max_batch_size", parameters.max_batch_size.unwrap_or(1000))?;
        let micros = parameters.batch_timeout_micros.unwrap_or(0);
        let timeout = u64::try_from(micros)
            .map_err(|_| BatchOptionsError::Negative("batch_timeout_micros", micros))
            .map(Duration::from_micros)?;
        let enqueued = positive("max_enqueued_batches", parameters.max_enqueued_batches.unwrap_or(10))?;
        let mut before = 0;
        for &size in &parameters.allowed_batch_sizes {
            if size <= before {
                return Err(BatchOptionsError::NotIncreasing(size, before));
            }
            before = size;
        }
        if let Some(&last) = parameters.allowed_batch_sizes.last().filter(|&&last| last != max) {
            return Err(BatchOptionsError::LastAllowed { last, expected: max });
        }
        let execution = match parameters.max_execution_batch_size {
            Some(rows) if parameters.enable_large_batch_splitting => {
                positive("max_execution_batch_size", rows)?
            }
            _ => max,
        };
        if execution > max {
            return Err(BatchOptionsError::ExecutionExceeds(execution, max));
        }
        Ok(Self {
            request_rows_max: size(max),
            batch_rows_max: size(execution),
            timeout: timeout.min(limits::BATCH_TIMEOUT_MAX),
            enqueued_max: size(enqueued),
            allowed_sizes: parameters.allowed_batch_sizes.iter().copied().map(size).collect(),
            pad_variable_length: parameters.pad_variable_length_inputs,
            split: parameters.enable_large_batch_splitting,
        })
    }

    /// The size that a batch of `rows` rows is padded to.
    pub(super) fn padded(&self, rows: usize) -> usize {
        self.allowed_sizes.iter().copied().find(|&size| size >= rows).unwrap_or(rows)
    }
}

fn positive(name: &'static str, number: i64) -> Result<i64, BatchOptionsError> {
    if number < 1 { Err(BatchOptionsError::NotPositive(name, number)) } else { Ok(number) }
}

/// A number that was found positive; beyond memory, any bound is as good.
fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut BatchParameters), want: &str) {
        let mut parameters = BatchParameters::default();
        change(&mut parameters);
        assert_eq!(BatchOptions::new(&parameters).unwrap_err().to_string(), want);
    }

    #[test]
    fn what_is_left_open_has_the_references_defaults() {
        let options = BatchOptions::new(&BatchParameters::default()).unwrap();
        assert_eq!((options.request_rows_max, options.batch_rows_max), (1000, 1000));
        assert_eq!((options.timeout, options.enqueued_max), (Duration::ZERO, 10));
        assert!(!options.split && !options.pad_variable_length);
        assert_eq!(options.padded(7), 7);
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        refused(|p| p.max_batch_size = Some(0), "max_batch_size must be positive; was 0");
        refused(|p| p.batch_timeout_micros = Some(-1), "batch_timeout_micros must be non-negative; was -1");
        refused(|p| p.max_enqueued_batches = Some(0), "max_enqueued_batches must be positive; was 0");
        refused(
            |p| p.allowed_batch_sizes = vec![4, 4, 1000],
            "allowed_batch_sizes must be positive and increasing; 4 follows 4",
        );
        refused(
            |p| p.allowed_batch_sizes = vec![4, 8],
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 8; expected 1000",
        );
        refused(
            |p| (p.enable_large_batch_splitting, p.max_execution_batch_size) = (true, Some(1001)),
            "max_execution_batch_size must not exceed max_batch_size; was 1001; max_batch_size is 1000",
        );
    }

    #[test]
    fn batches_are_padded_to_the_next_allowed_size() {
        let options = BatchOptions::new(&BatchParameters {
            max_batch_size: Some(16),
            allowed_batch_sizes: vec![2, 4, 16],
            batch_timeout_micros: Some(i64::MAX),
            ..BatchParameters::default()
        })
        .unwrap();
        let padded: Vec<usize> = (1..=5).map(|rows| options.padded(rows)).collect();
        assert_eq!(padded, [2, 2, 4, 4, 16]);
        assert_eq!(options.timeout, limits::BATCH_TIMEOUT_MAX);
    }

    #[test]
    fn batches_are_smaller_than_requests_only_where_these_are_split() {
        let rows = |split| {
            let parameters = BatchParameters {
                max_execution_batch_size: Some(8),
                enable_large_batch_splitting: split,
                ..BatchParameters::default()
            };
            BatchOptions::new(&parameters).unwrap().batch_rows_max
        };
        assert_eq!((rows(true), rows(false)), (8, 1000));
    }
}
