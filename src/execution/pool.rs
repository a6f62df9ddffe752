//! The compute pool: as many threads as cores, one bounded queue per model,
//! served in turns.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::timer::Timer;

/// Work for a pool thread. Must not panic: a [`Lane`](super::Lane) catches what
/// the model throws.
pub(super) type Task = Box<dyn FnOnce() + Send>;

/// Threads that run what is too heavy for an I/O loop. The lanes take turns, one
/// task each, so that a flooded model delays its neighbours by one run, not by
/// its queue. Dropping the pool finishes what is queued and joins the threads.
#[derive(Debug)]
pub struct ComputePool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The queues of a pool, without its threads: what a task may hold to submit
/// another, since it must not keep alive the threads it runs on.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Signalled once per task, and to all at closing.
    work: Condvar,
    timer: Timer,
}

#[derive(Default)]
struct State {
    /// Tasks by lane; a lane without tasks has no entry.
    queues: HashMap<LaneId, VecDeque<Task>>,
    /// The lanes that have tasks, in the order of their turns.
    turns: VecDeque<LaneId>,
    next_lane: u64,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("lanes", &self.turns.len()).field("closed", &self.closed).finish()
    }
}

/// Which lane a task belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LaneId(u64);

impl Shared {
    /// The timer of this pool.
    pub(super) fn timer(&self) -> &Timer {
        &self.timer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a task unless `queued_max` tasks of its lane wait already; gives
    /// the number that wait when it does not.
    pub(super) fn submit(&self, lane: LaneId, queued_max: usize, task: Task) -> Result<(), usize> {
        let mut state = self.lock();
        let queue = state.queues.entry(lane).or_default();
        let queued = queue.len();
        if queued >= queued_max {
            return Err(queued);
        }
        queue.push_back(task);
        if queued == 0 {
            state.turns.push_back(lane);
        }
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Queues a task at a later time, however many of its lane wait then.
    pub(super) fn submit_at(self: &Arc<Self>, at: Instant, lane: LaneId, task: Task) {
        self.timer.add(self, at, lane, task);
    }

    /// The next task in turn; blocks; `None` once closed and empty.
    fn next(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if let Some(lane) = state.turns.pop_front() {
                let queue = state.queues.get_mut(&lane)?;
                let task = queue.pop_front();
                if queue.is_empty() {
                    state.queues.remove(&lane);
                } else {
                    state.turns.push_back(lane);
                }
                return task;
            }
            if state.closed {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl ComputePool {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(threads: usize) -> std::io::Result<Arc<Self>> {
        Self::named("compute", threads)
    }

    /// The same, its threads named `name-0`, `name-1`, …
    ///
    /// # Errors
    /// When the system gives no thread, or the name holds a zero byte.
    pub fn named(name: &str, threads: usize) -> std::io::Result<Arc<Self>> {
        if name.contains('\0') {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                format!("the name of a thread cannot hold a zero byte: {name:?}"),
            ));
        }
        let shared = Arc::new(Shared::default());
        let threads = (0..threads.max(1))
            .map(|i| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("{name}-{i}")).spawn(move || {
                    while let Some(task) = shared.next() {
                        task();
                    }
                })
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Arc::new(Self { shared, threads }))
    }

    /// A queue of its own.
    pub(super) fn lane(&self) -> LaneId {
        let mut state = self.shared.lock();
        state.next_lane += 1;
        LaneId(state.next_lane)
    }

    /// Queues a task, as [`Shared::submit`].
    pub(super) fn submit(&self, lane: LaneId, queued_max: usize, task: Task) -> Result<(), usize> {
        self.shared.submit(lane, queued_max, task)
    }

    /// Where tasks are submitted.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for ComputePool {
    fn drop(&mut self) {
        self.shared.timer.close();
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
        let me = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last lane may be dropped by a task: a thread cannot join itself.
            if thread.thread().id() != me {
                // A panic was reported when it happened.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Holds the only thread of a pool until told to go on.
    fn blocked(pool: &ComputePool) -> mpsc::Sender<()> {
        let ((go, gate), (begun, running)) = (mpsc::channel::<()>(), mpsc::channel());
        let task: Task = Box::new(move || {
            begun.send(()).unwrap();
            let _ = gate.recv();
        });
        pool.submit(pool.lane(), 1, task).unwrap();
        running.recv().unwrap();
        go
    }

    #[test]
    fn lanes_take_turns() {
        let pool = ComputePool::start(1).unwrap();
        let go = blocked(&pool);
        let (flooded, quiet) = (pool.lane(), pool.lane());
        let (done, order) = mpsc::channel();
        for (lane, name) in [(flooded, "f1"), (flooded, "f2"), (flooded, "f3"), (quiet, "q1")] {
            let done = done.clone();
            pool.submit(lane, 8, Box::new(move || done.send(name).unwrap())).unwrap();
        }
        go.send(()).unwrap();
        let order: Vec<_> = order.iter().take(4).collect();
        assert_eq!(order, ["f1", "q1", "f2", "f3"]);
    }

    #[test]
    fn a_full_lane_refuses_and_others_do_not() {
        let pool = ComputePool::start(1).unwrap();
        let go = blocked(&pool);
        let (full, free) = (pool.lane(), pool.lane());
        for _ in 0..2 {
            pool.submit(full, 2, Box::new(|| {})).unwrap();
        }
        assert_eq!(pool.submit(full, 2, Box::new(|| {})), Err(2));
        assert_eq!(pool.submit(free, 2, Box::new(|| {})), Ok(()));
        go.send(()).unwrap();
    }

    #[test]
    fn closing_finishes_what_is_queued() {
        let pool = ComputePool::start(2).unwrap();
        let (done, order) = mpsc::channel();
        let lane = pool.lane();
        for i in 0..100 {
            let done = done.clone();
            pool.submit(lane, 100, Box::new(move || done.send(i).unwrap())).unwrap();
        }
        drop((pool, done));
        assert_eq!(order.iter().count(), 100);
    }
}
