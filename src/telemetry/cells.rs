//! What counts: plain memory words, in places that loops do not share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::bounds::Bounds;

/// Adds to a number that one thread alone writes. Others read it at any time; a
/// locked addition would cost twenty times as much and protect from nobody.
pub(super) fn bump(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
}

/// A histogram. Written by one thread with [`add`](Self::add), or by any number with
/// [`add_shared`](Self::add_shared); never both.
#[derive(Debug)]
pub(super) struct Histogram<const N: usize> {
    bounds: &'static Bounds<N>,
    within: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    pub(super) fn new(bounds: &'static Bounds<N>) -> Self {
        let within = std::array::from_fn(|_| AtomicU64::new(0));
        Self { bounds, within, above: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    fn cell(&self, value: u64) -> &AtomicU64 {
        self.within.get(self.bounds.place(value)).unwrap_or(&self.above)
    }

    /// Counts a value; for the only thread that does.
    pub(super) fn add(&self, value: u64) {
        bump(self.cell(value), 1);
        bump(&self.sum, value);
    }

    /// Counts a value, whoever else may be counting.
    pub(super) fn add_shared(&self, value: u64) {
        self.cell(value).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }
}

/// A histogram at one moment, or several of one series together.
#[derive(Debug)]
pub(super) struct Totals<const N: usize> {
    pub(super) bounds: &'static Bounds<N>,
    pub(super) within: [u64; N],
    pub(super) above: u64,
    pub(super) sum: u64,
}

impl<const N: usize> Totals<N> {
    pub(super) fn new(bounds: &'static Bounds<N>) -> Self {
        Self { bounds, within: [0; N], above: 0, sum: 0 }
    }

    pub(super) fn take(&mut self, from: &Histogram<N>) {
        for (total, cell) in self.within.iter_mut().zip(&from.within) {
            *total += cell.load(Relaxed);
        }
        self.above += from.above.load(Relaxed);
        self.sum = self.sum.wrapping_add(from.sum.load(Relaxed));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.within.iter_mut().zip(&other.within).for_each(|(total, count)| *total += count);
        self.above += other.above;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Counts one value.
    pub(super) fn add(&mut self, value: u64) {
        *self.within.get_mut(self.bounds.place(value)).unwrap_or(&mut self.above) += 1;
        self.sum = self.sum.wrapping_add(value);
    }

    pub(super) fn count(&self) -> u64 {
        self.within.iter().sum::<u64>() + self.above
    }
}

/// Series that each I/O loop writes in a place of its own, made when it first does:
/// a model that nobody asks costs next to nothing.
#[derive(Debug)]
pub(super) struct PerLoop<T, const KINDS: usize> {
    loops: Box<[OnceLock<Box<Kinds<T, KINDS>>>]>,
}

type Kinds<T, const KINDS: usize> = [OnceLock<Box<Apart<T>>>; KINDS];

/// On no cache line with anything else, nor on the pair of lines that the hardware
/// fetches together.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T, const KINDS: usize> PerLoop<T, KINDS> {
    pub(super) fn new(loops: usize) -> Self {
        Self { loops: (0..loops).map(|_| OnceLock::new()).collect() }
    }

    /// The place of one loop for one kind of series; `None` for more loops than there are.
    pub(super) fn at(&self, place: usize, kind: usize, make: fn() -> T) -> Option<&T> {
        let kinds = self.loops.get(place)?;
        let kinds = kinds.get_or_init(|| Box::new(std::array::from_fn(|_| OnceLock::new())));
        Some(&kinds[kind].get_or_init(|| Box::new(Apart(make()))).0)
    }

    /// Those of all loops for one kind.
    pub(super) fn of(&self, kind: usize) -> impl Iterator<Item = &T> {
        self.loops.iter().filter_map(move |kinds| kinds.get()?[kind].get().map(|apart| &apart.0))
    }
}

/// Counters that are made when the first of them is needed, written by anybody.
#[derive(Debug)]
pub(super) struct Counters<const N: usize>(OnceLock<Box<[AtomicU64; N]>>);

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<const N: usize> Counters<N> {
    pub(super) fn add(&self, at: usize) {
        let counters = self.0.get_or_init(|| Box::new(std::array::from_fn(|_| AtomicU64::new(0))));
        counters[at].fetch_add(1, Relaxed);
    }

    pub(super) fn get(&self, at: usize) -> u64 {
        self.0.get().map_or(0, |counters| counters[at].load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::bounds::EXAMPLES;
    use super::*;

    #[test]
    fn what_loops_count_apart_is_told_together() {
        let series: PerLoop<Histogram<15>, 2> = PerLoop::new(3);
        for (place, value) in [(0, 1), (2, 3), (2, 1 << 40)] {
            series.at(place, 1, || Histogram::new(&EXAMPLES)).unwrap().add(value);
        }
        assert_eq!(series.of(0).count(), 0);
        let mut totals = Totals::new(&EXAMPLES);
        series.of(1).for_each(|one| totals.take(one));
        assert_eq!((totals.within[0], totals.within[2], totals.above), (1, 1, 1));
        assert_eq!((totals.count(), totals.sum), (3, (1 << 40) + 4));
    }

    #[test]
    fn a_shared_histogram_loses_nothing() {
        let shared = Histogram::new(&EXAMPLES);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| shared.add_shared(2)));
            }
        });
        let mut totals = Totals::new(&EXAMPLES);
        totals.take(&shared);
        assert_eq!((totals.count(), totals.sum), (4000, 8000));
    }
}
