//! The queue of one signature: which requests make a batch, and when it runs.
//!
//! No clock, no thread, no tensor: times and counts come in, decisions go out.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use super::shapes::RowShapes;
use super::{BatchFailure, BatchOptions};

/// What to do next with the batches of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Run the batch at this place as soon as there is a thread for it.
    Run(usize),
    /// None is full; the first to have waited long enough has so at this time.
    WaitUntil(Instant),
    /// There is none.
    Sleep,
}

/// Decides what to do, given each batch in the order in which they began: when
/// its oldest request came, and whether it is closed to more. Of those that are
/// closed or have waited for [`BatchOptions::timeout`], the first one runs.
pub(super) fn decide(
    batches: impl IntoIterator<Item = (Instant, bool)>,
    now: Instant,
    options: &BatchOptions,
) -> Decision {
    let mut soonest = None;
    for (i, (oldest, is_closed)) in batches.into_iter().enumerate() {
        let due = oldest + options.timeout;
        if is_closed || due <= now {
            return Decision::Run(i);
        }
        soonest = Some(soonest.map_or(due, |soonest: Instant| soonest.min(due)));
    }
    soonest.map_or(Decision::Sleep, Decision::WaitUntil)
}

/// A request, or a part of one, that waits.
#[derive(Debug)]
struct Waiting<T> {
    id: u64,
    arrived: Instant,
    /// The room it takes.
    weight: usize,
    item: T,
}

/// Requests that will run together.
#[derive(Debug)]
struct Batch<T> {
    /// By id, which is the order in which they came. Never empty.
    waiting: Vec<Waiting<T>>,
    /// The room taken, of [`BatchOptions::batch_rows_max`].
    weight: usize,
    shapes: RowShapes,
    /// Nothing joins it any more: it is full, or the next one did not fit.
    closed: bool,
}

/// What a change of a queue asks for: so many threads, each to take one batch,
/// and a look at a later time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wake {
    /// Threads to be sent besides those on their way.
    pub(super) turns: usize,
    /// When to send one more.
    pub(super) alarm: Option<Instant>,
}

/// What brings a thread to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// One of [`Wake::turns`].
    Turn,
    /// [`Wake::alarm`].
    Alarm,
}

/// The requests of one signature that wait, in batches. `T` is what stands for a
/// request or a part of one.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// In the order in which they began.
    batches: VecDeque<Batch<T>>,
    /// How many of them are closed.
    closed: usize,
    /// Threads that were asked for and have not come.
    turns: usize,
    /// Whether an alarm was asked for and has not rung.
    armed: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { batches: VecDeque::new(), closed: 0, turns: 0, armed: false }
    }
}

impl<T> Queue<T> {
    /// Takes a request in: whole into one batch, or divided among several where
    /// the options allow it. `item` makes what stands for some of its rows. Ids rise.
    ///
    /// # Errors
    /// [`BatchFailure::QueueFull`] and [`BatchFailure::NoCapacity`]; then nothing
    /// has changed.
    pub(super) fn push(
        &mut self,
        (id, rows): (u64, usize),
        shapes: &RowShapes,
        now: Instant,
        options: &BatchOptions,
        mut item: impl FnMut(Range<usize>) -> T,
    ) -> Result<(), BatchFailure> {
        let open = self.open_for(shapes, rows, options);
        let room = open.map_or(0, |i| options.batch_rows_max - self.batches[i].weight);
        let enqueued = self.batches.len();
        let free = options.enqueued_max.saturating_sub(enqueued);
        if options.split {
            let capacity = free.saturating_mul(options.batch_rows_max).saturating_add(room);
            if weight(rows) > capacity {
                return Err(BatchFailure::NoCapacity {
                    rows,
                    capacity,
                    enqueued,
                    enqueued_max: options.enqueued_max,
                    open_rows: open.map_or(0, |i| self.batches[i].weight),
                    batch_rows_max: options.batch_rows_max,
                });
            }
        } else if weight(rows) > room && free == 0 {
            return Err(BatchFailure::QueueFull { enqueued, enqueued_max: options.enqueued_max });
        }

        let mut part = |range: Range<usize>| {
            let weight = weight(range.len());
            Waiting { id, arrived: now, weight, item: item(range) }
        };
        let mut start = 0;
        if let Some(i) = open {
            let fits = if options.split { rows.min(room) } else { rows };
            if weight(fits) > room {
                // It runs in its turn: a smaller one that comes later must not
                // join it, and so overtake this one.
                self.close(i);
            } else {
                self.join(i, part(0..fits), shapes, options);
                start = fits;
                if start == rows {
                    return Ok(());
                }
            }
        }
        loop {
            let end = rows.min(start.saturating_add(options.batch_rows_max));
            let first = part(start..end);
            let closed = first.weight >= options.batch_rows_max;
            self.closed += usize::from(closed);
            let (weight, shapes) = (first.weight, shapes.clone());
            self.batches.push_back(Batch { waiting: vec![first], weight, shapes, closed });
            start = end;
            if start == rows {
                return Ok(());
            }
        }
    }

    /// The batch that rows of these shapes would join. The last one mostly.
    fn open_for(&self, shapes: &RowShapes, rows: usize, options: &BatchOptions) -> Option<usize> {
        let pad = options.pad_variable_length;
        let joins = |batch: &Batch<T>| {
            let rows = batch.weight.saturating_add(rows).min(options.batch_rows_max);
            batch.shapes == *shapes || (pad && batch.shapes.joined(shapes, rows, pad).is_some())
        };
        (0..self.batches.len()).rev().find(|&i| !self.batches[i].closed && joins(&self.batches[i]))
    }

    fn join(&mut self, i: usize, waiting: Waiting<T>, shapes: &RowShapes, options: &BatchOptions) {
        let batch = &mut self.batches[i];
        batch.weight += waiting.weight;
        if batch.shapes != *shapes
            && let Some(joined) = batch.shapes.joined(shapes, batch.weight, options.pad_variable_length)
        {
            batch.shapes = joined;
        }
        batch.waiting.push(waiting);
        if batch.weight >= options.batch_rows_max {
            self.close(i);
        }
    }

    fn close(&mut self, i: usize) {
        self.closed += usize::from(!std::mem::replace(&mut self.batches[i].closed, true));
    }

    /// A thread has come; gives it the batch that is to run now, if any.
    pub(super) fn pull(&mut self, caller: Caller, now: Instant, options: &BatchOptions) -> Option<Vec<T>> {
        match caller {
            Caller::Turn => self.turns = self.turns.saturating_sub(1),
            Caller::Alarm => self.armed = false,
        }
        let Decision::Run(i) = self.decide(now, options) else { return None };
        let batch = self.remove_batch(i)?;
        Some(batch.waiting.into_iter().map(|waiting| waiting.item).collect())
    }

    /// What the queue asks for now. To be called after each change, and done.
    pub(super) fn wake(&mut self, now: Instant, options: &BatchOptions) -> Wake {
        let decision = self.decide(now, options);
        let ready = match decision {
            // Without a timeout each is due as soon as it begins.
            _ if options.timeout.is_zero() => self.batches.len(),
            Decision::Run(_) => self.closed.max(1),
            Decision::WaitUntil(_) | Decision::Sleep => 0,
        };
        let turns = ready.saturating_sub(self.turns);
        self.turns += turns;
        let alarm = match decision {
            // The next thread to come asks again.
            Decision::WaitUntil(at) if self.turns == 0 && !self.armed => Some(at),
            _ => None,
        };
        self.armed |= alarm.is_some();
        Wake { turns, alarm }
    }

    fn decide(&self, now: Instant, options: &BatchOptions) -> Decision {
        decide(self.batches.iter().map(|batch| (batch.waiting[0].arrived, batch.closed)), now, options)
    }

    /// Takes a request out, all of its parts that still wait; says whether any did.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let mut found = false;
        let mut i = 0;
        while let Some(batch) = self.batches.get_mut(i) {
            i += 1;
            let Ok(at) = batch.waiting.binary_search_by_key(&id, |waiting| waiting.id) else { continue };
            found = true;
            batch.weight -= batch.waiting.remove(at).weight;
            if batch.waiting.is_empty() {
                i -= 1;
                self.remove_batch(i);
            }
        }
        found
    }

    fn remove_batch(&mut self, i: usize) -> Option<Batch<T>> {
        let batch = self.batches.remove(i)?;
        self.closed -= usize::from(batch.closed);
        Some(batch)
    }

    /// Whether nothing waits here and nobody is on the way.
    pub(super) fn is_idle(&self) -> bool {
        self.batches.is_empty() && self.turns == 0 && !self.armed
    }
}

/// The room that rows take in a batch: a request of none still takes a place, or
/// a batch could hold any number of them.
fn weight(rows: usize) -> usize {
    rows.max(1)
}

#[cfg(test)]
mod tests;
