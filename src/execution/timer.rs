//! Tasks for later: one thread that sleeps until the next is due.
//!
//! A thread of its own, because the timers of the I/O loops tick in milliseconds
//! and a batch may be wanted to wait for less than two.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::pool::{LaneId, Shared, Task};

/// What becomes due, and the thread that waits for it. The thread starts with the
/// first task: most servers never need it.
#[derive(Debug, Default)]
pub(super) struct Timer {
    state: Mutex<State>,
    /// Signalled when something becomes due sooner than all else, and at closing.
    sooner: Condvar,
}

#[derive(Default)]
struct State {
    /// By time; the number tells tasks of one time apart.
    due: BTreeMap<(Instant, u64), (LaneId, Task)>,
    next: u64,
    thread: Option<JoinHandle<()>>,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("due", &self.due.len()).field("closed", &self.closed).finish()
    }
}

impl Timer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits `task` to `pool`, of which this is the timer, at `at`. At once when
    /// the system gives no thread to wait with: too early is better than never.
    pub(super) fn add(&self, pool: &Arc<Shared>, at: Instant, lane: LaneId, task: Task) {
        let mut state = self.lock();
        if state.thread.is_none() {
            let shared = Arc::clone(pool);
            let thread = std::thread::Builder::new()
                .name("batch-timer".to_owned())
                .spawn(move || shared.timer().run(&shared));
            match thread {
                Ok(thread) => state.thread = Some(thread),
                Err(why) => {
                    drop(state);
                    tracing::error!(%why, "no thread for batch timeouts: batches do not wait");
                    let _ = pool.submit(lane, usize::MAX, task);
                    return;
                }
            }
        }
        state.next += 1;
        let key = (at, state.next);
        state.due.insert(key, (lane, task));
        let is_soonest = state.due.first_key_value().is_some_and(|(first, _)| *first == key);
        drop(state);
        if is_soonest {
            self.sooner.notify_one();
        }
    }

    fn run(&self, pool: &Shared) {
        let mut state = self.lock();
        while !state.closed {
            let now = Instant::now();
            state = match state.due.first_key_value().map(|((at, _), _)| *at) {
                None => self.sooner.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) if at > now => {
                    let waited = self.sooner.wait_timeout(state, at - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    let due = state.due.pop_first();
                    drop(state);
                    if let Some((_, (lane, task))) = due {
                        // Without a bound on the lane it is always taken.
                        let _ = pool.submit(lane, usize::MAX, task);
                    }
                    self.lock()
                }
            };
        }
    }

    /// Forgets what is not due yet and ends the thread.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let (thread, forgotten) = (state.thread.take(), std::mem::take(&mut state.due));
        drop(state);
        self.sooner.notify_one();
        drop(forgotten);
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::ComputePool;
    use super::*;

    #[test]
    fn tasks_run_when_they_are_due_and_in_that_order() {
        let pool = ComputePool::start(1).unwrap();
        let (lane, start) = (pool.lane(), Instant::now());
        let (done, order) = mpsc::channel();
        for ms in [30u64, 10, 20] {
            let done = done.clone();
            let task: Task = Box::new(move || done.send((ms, start.elapsed())).unwrap());
            pool.shared().submit_at(start + Duration::from_millis(ms), lane, task);
        }
        let order: Vec<(u64, Duration)> = order.iter().take(3).collect();
        assert_eq!(order.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [10, 20, 30]);
        for (ms, at) in order {
            assert!(at >= Duration::from_millis(ms), "{ms} ms: {at:?}");
        }
    }

    #[test]
    fn closing_does_not_wait_for_what_is_not_due() {
        let pool = ComputePool::start(1).unwrap();
        let (done, never) = mpsc::channel::<()>();
        let task: Task = Box::new(move || done.send(()).unwrap());
        pool.shared().submit_at(Instant::now() + Duration::from_secs(3600), pool.lane(), task);
        drop(pool);
        assert!(never.recv().is_err());
    }
}
