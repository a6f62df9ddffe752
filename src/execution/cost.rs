//! What a run costs: a moving average per batch size, and the guess from it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// One bucket per power of two of rows, up to 2^23 and beyond.
const BUCKETS: usize = 24;
/// A new measurement weighs one eighth.
const WEIGHT_SHIFT: u32 = 3;

/// Moving averages of a servable's run time, in nanoseconds, by rows.
///
/// Lossy on purpose: two threads that record at once may lose one of the two
/// measurements, which a moving average forgives and a lock would not repay.
#[derive(Debug, Default)]
pub struct CostModel {
    /// 0 means "never measured".
    average_ns: [AtomicU64; BUCKETS],
}

fn bucket(rows: usize) -> usize {
    (usize::BITS - rows.max(1).leading_zeros() - 1).min(BUCKETS as u32 - 1) as usize
}

impl CostModel {
    /// Takes note of one run of `rows` rows.
    pub fn record(&self, rows: usize, took: Duration) {
        let slot = &self.average_ns[bucket(rows)];
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX >> 8).max(1);
        let next = match slot.load(Relaxed) {
            0 => took,
            old if took > old => old + ((took - old) >> WEIGHT_SHIFT).max(1),
            old => old - ((old - took) >> WEIGHT_SHIFT),
        };
        slot.store(next, Relaxed);
    }

    /// What a run of `rows` rows will probably take; `None` before the first
    /// measurement.
    ///
    /// From its own bucket where that is known. Else from the nearest smaller
    /// one, in proportion, which is too much rather than too little, since a
    /// part of every run costs the same whatever its size; else from the nearest
    /// larger one, as it is.
    #[must_use]
    pub fn estimate(&self, rows: usize) -> Option<Duration> {
        let own = bucket(rows);
        let known = |b: &usize| self.average_ns[*b].load(Relaxed) != 0;
        let below = (0..=own).rev().find(known);
        let found = below.or_else(|| (own + 1..BUCKETS).find(known))?;
        let average = self.average_ns[found].load(Relaxed);
        Some(Duration::from_nanos(average.saturating_mul(1 << own.saturating_sub(found))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    #[test]
    fn knows_nothing_before_the_first_run() {
        assert_eq!(CostModel::default().estimate(1), None);
    }

    #[test]
    fn scales_up_in_proportion_and_never_down() {
        let cost = CostModel::default();
        cost.record(4, 10 * US);
        assert_eq!(cost.estimate(4), Some(10 * US));
        assert_eq!(cost.estimate(7), Some(10 * US), "4 to 7 rows share a bucket");
        assert_eq!(cost.estimate(64), Some(160 * US));
        assert_eq!(cost.estimate(1), Some(10 * US));
        assert_eq!(cost.estimate(0), Some(10 * US));
    }

    #[test]
    fn follows_a_change_within_a_few_dozen_runs() {
        let cost = CostModel::default();
        cost.record(1, 10 * US);
        for _ in 0..60 {
            cost.record(1, 500 * US);
        }
        assert!(cost.estimate(1).unwrap() > 480 * US);
        for _ in 0..60 {
            cost.record(1, US);
        }
        assert!(cost.estimate(1).unwrap() < 10 * US);
    }

    #[test]
    fn absurd_sizes_have_a_bucket() {
        let cost = CostModel::default();
        cost.record(usize::MAX, Duration::MAX);
        assert!(cost.estimate(usize::MAX).is_some());
        assert!(cost.estimate(1).is_some());
    }
}
