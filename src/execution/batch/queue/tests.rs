use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::execution::batch::BatchParameters;
use crate::tensor::Tensor;

const MS: Duration = Duration::from_millis(1);

fn options(change: impl FnOnce(&mut BatchParameters)) -> BatchOptions {
    let mut parameters = BatchParameters { max_batch_size: Some(4), ..BatchParameters::default() };
    change(&mut parameters);
    BatchOptions::new(&parameters).unwrap()
}

fn width(width: usize) -> RowShapes {
    RowShapes::of(&[Tensor::new([0, width], Vec::<f32>::new().into()).unwrap()])
}

#[track_caller]
fn check(batches: &[(u32, bool)], now: u32, want: Decision) {
    let start = Instant::now();
    let options = options(|p| p.batch_timeout_micros = Some(10_000));
    let batches = batches.iter().map(|&(arrived, closed)| (start + arrived * MS, closed));
    assert_eq!(decide(batches, start + now * MS, &options), want);
}

#[test]
fn sleeps_while_there_is_nothing() {
    check(&[], 0, Decision::Sleep);
}

#[test]
fn a_full_batch_runs_at_once_and_others_when_they_are_due() {
    check(&[(0, true)], 0, Decision::Run(0));
    check(&[(0, false)], 10, Decision::Run(0));
    check(&[(5, false), (6, true)], 9, Decision::Run(1));
    check(&[(5, false), (6, true)], 15, Decision::Run(0));
    check(&[(7, true), (6, true)], 9, Decision::Run(0));
}

#[test]
fn waits_for_the_first_to_be_due() {
    let start = Instant::now();
    let options = options(|p| p.batch_timeout_micros = Some(10_000));
    let batches = [(start + 7 * MS, false), (start + 5 * MS, false)];
    assert_eq!(decide(batches, start + 9 * MS, &options), Decision::WaitUntil(start + 15 * MS));
}

/// A queue of `(id, rows)` with its clock.
struct Scene {
    queue: Queue<(u64, Range<usize>)>,
    options: BatchOptions,
    now: Instant,
    next: u64,
}

impl Scene {
    fn new(change: impl FnOnce(&mut BatchParameters)) -> Self {
        Self { queue: Queue::default(), options: options(change), now: Instant::now(), next: 0 }
    }

    fn push(&mut self, rows: usize, shapes: &RowShapes) -> Result<u64, String> {
        self.next += 1;
        let id = self.next;
        self.queue
            .push((id, rows), shapes, self.now, &self.options, |range| (id, range))
            .map(|()| id)
            .map_err(|why| why.to_string())
    }

    fn pull(&mut self) -> Option<Vec<(u64, Range<usize>)>> {
        self.queue.pull(Caller::Turn, self.now, &self.options)
    }

    fn ids(&mut self) -> Vec<u64> {
        self.pull().unwrap_or_default().into_iter().map(|(id, _)| id).collect()
    }
}

#[test]
fn requests_fill_batches_in_the_order_in_which_they_come() {
    let mut scene = Scene::new(|_| {});
    for rows in [1, 2, 2, 1, 1, 4] {
        scene.push(rows, &width(1)).unwrap();
    }
    assert_eq!(scene.ids(), [1, 2]);
    assert_eq!(scene.ids(), [3, 4, 5]);
    assert_eq!(scene.ids(), [6]);
    assert!(scene.pull().is_none());
}

#[test]
fn rows_of_different_shapes_do_not_share_a_batch_unless_padded() {
    for (pad, want) in [(false, vec![vec![1, 3], vec![2, 4]]), (true, vec![vec![1, 2, 3, 4]])] {
        let mut scene = Scene::new(|p| p.pad_variable_length_inputs = pad);
        for columns in [1, 2, 1, 2] {
            scene.push(1, &width(columns)).unwrap();
        }
        let batches: Vec<_> = (0..want.len()).map(|_| scene.ids()).collect();
        assert_eq!(batches, want);
        assert!(scene.pull().is_none());
    }
}

#[test]
fn requests_of_no_rows_take_a_place_too() {
    let mut scene = Scene::new(|_| {});
    for _ in 0..5 {
        scene.push(0, &width(1)).unwrap();
    }
    assert_eq!(scene.ids(), [1, 2, 3, 4]);
    assert_eq!(scene.ids(), [5]);
}

#[test]
fn a_full_queue_says_how_full() {
    let mut scene = Scene::new(|p| p.max_enqueued_batches = Some(2));
    for rows in [4, 3] {
        scene.push(rows, &width(1)).unwrap();
    }
    let full = "The batch scheduling queue to which this task was submitted is full; currently 2 batches \
                enqueued and max_enqueued_batches is 2";
    assert_eq!(scene.push(2, &width(1)).unwrap_err(), full);
    assert_eq!(scene.push(1, &width(2)).unwrap_err(), full);
    // What still fits the last one is taken, and its place is free when it has gone.
    scene.push(1, &width(1)).unwrap();
    assert_eq!(scene.ids(), [1]);
    scene.push(2, &width(1)).unwrap();
}

#[test]
fn large_requests_are_divided_where_that_is_allowed() {
    let mut scene = Scene::new(|p| {
        p.max_batch_size = Some(100);
        p.enable_large_batch_splitting = true;
        p.max_execution_batch_size = Some(4);
        p.max_enqueued_batches = Some(3);
    });
    scene.push(3, &width(1)).unwrap();
    scene.push(6, &width(1)).unwrap();
    assert_eq!(
        scene.push(4, &width(1)).unwrap_err(),
        "The batch scheduling queue to which this task was submitted is full; task size is 4 but scheduling \
         capacity is only 3 (num_enqueued_batches=3, max_enqueued_batches=3, open_batch_size=1, \
         max_execution_batch_size=4)"
    );
    assert_eq!(scene.pull().unwrap(), [(1, 0..3), (2, 0..1)]);
    assert_eq!(scene.pull().unwrap(), [(2, 1..5)]);
    assert_eq!(scene.pull().unwrap(), [(2, 5..6)]);
    assert!(scene.pull().is_none());
}

#[test]
fn who_leaves_frees_the_place_and_nobody_elses() {
    let mut scene = Scene::new(|p| p.max_enqueued_batches = Some(1));
    let ids: Vec<u64> = (0..4).map(|_| scene.push(1, &width(1)).unwrap()).collect();
    assert!(scene.push(1, &width(1)).is_err());
    assert!(scene.queue.remove(ids[1]));
    assert!(!scene.queue.remove(ids[1]));
    assert_eq!(scene.ids(), [1, 3, 4]);
    assert!(!scene.queue.remove(ids[0]));
    let id = scene.push(1, &width(1)).unwrap();
    assert!(scene.queue.remove(id));
    assert!(scene.pull().is_none());
    assert!(scene.queue.is_idle());
}

#[test]
fn threads_are_asked_for_once_per_batch_and_alarms_once_per_queue() {
    let mut scene = Scene::new(|p| p.batch_timeout_micros = Some(10_000));
    let due = scene.now + 10 * MS;
    scene.push(3, &width(1)).unwrap();
    assert_eq!(scene.queue.wake(scene.now, &scene.options), Wake { turns: 0, alarm: Some(due) });
    assert_eq!(scene.queue.wake(scene.now, &scene.options), Wake { turns: 0, alarm: None });
    scene.push(1, &width(1)).unwrap();
    scene.push(4, &width(1)).unwrap();
    assert_eq!(scene.queue.wake(scene.now, &scene.options), Wake { turns: 2, alarm: None });
    assert_eq!(scene.queue.wake(scene.now, &scene.options), Wake { turns: 0, alarm: None });
    assert_eq!((scene.ids(), scene.ids()), (vec![1, 2], vec![3]));
    // The alarm is still to ring; a request that came later asks for another then.
    scene.now += 4 * MS;
    scene.push(1, &width(1)).unwrap();
    assert_eq!(scene.queue.wake(scene.now, &scene.options), Wake { turns: 0, alarm: None });
    scene.now += 6 * MS;
    assert_eq!(scene.queue.pull(Caller::Alarm, scene.now, &scene.options), None);
    let later = scene.now + 4 * MS;
    assert_eq!(scene.queue.wake(scene.now, &scene.options), Wake { turns: 0, alarm: Some(later) });
    scene.now = later;
    assert_eq!(scene.queue.pull(Caller::Alarm, scene.now, &scene.options), Some(vec![(4, 0..1)]));
    assert!(scene.queue.is_idle());
}

/// One arrival: this long after the one before, so many rows of this width; it
/// leaves, if it still waits, after so long.
type Arrival = (u64, usize, usize, Option<u64>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive(usize),
    Leave(u64),
    /// A thread that was asked for, by turn or by alarm, wants to run.
    Call(bool),
    /// A thread has finished.
    Free,
}

/// What became of a request.
#[derive(Debug, Default)]
struct Fate {
    arrived: Duration,
    rows: usize,
    /// When each part began, and which rows it had.
    ran: Vec<(Duration, Range<usize>)>,
    refused: bool,
    left: bool,
}

/// Plays arrivals on virtual time with `threads` threads, each batch of which
/// takes `cost`. Checks at each step that no thread is idle while a batch is due.
fn play(arrivals: &[Arrival], options: &BatchOptions, threads: usize, cost: Duration) -> Vec<Fate> {
    let start = Instant::now();
    let mut queue = Queue::default();
    let mut fates: Vec<Fate> = Vec::new();
    let mut events = BinaryHeap::new();
    let mut at = Duration::ZERO;
    for (i, arrival) in arrivals.iter().enumerate() {
        at += Duration::from_micros(arrival.0);
        events.push(Reverse((at, Event::Arrive(i))));
    }
    // The pool: threads that are free, and calls that wait for one.
    let (mut free, mut calls) = (threads, VecDeque::new());
    while let Some(Reverse((at, event))) = events.pop() {
        let now = start + at;
        match event {
            Event::Arrive(i) => {
                let (_, rows, columns, leaves) = arrivals[i];
                let id = i as u64;
                let pushed = queue.push((id, rows), &width(columns), now, options, |range| (id, range));
                if let (Ok(()), Some(after)) = (&pushed, leaves) {
                    events.push(Reverse((at + Duration::from_micros(after), Event::Leave(id))));
                }
                fates.push(Fate { arrived: at, rows, refused: pushed.is_err(), ..Fate::default() });
            }
            Event::Leave(id) => fates[id as usize].left |= queue.remove(id),
            Event::Call(alarm) => calls.push_back(if alarm { Caller::Alarm } else { Caller::Turn }),
            Event::Free => free += 1,
        }
        loop {
            let wake = queue.wake(now, options);
            for _ in 0..wake.turns {
                calls.push_back(Caller::Turn);
            }
            if let Some(alarm) = wake.alarm {
                events.push(Reverse((alarm - start, Event::Call(true))));
            }
            if free == 0 {
                break;
            }
            let Some(caller) = calls.pop_front() else { break };
            if let Some(batch) = queue.pull(caller, now, options) {
                let rows: usize = batch.iter().map(|(_, range)| weight(range.len())).sum();
                assert!(rows <= options.batch_rows_max, "a batch of {rows} rows");
                for (id, range) in batch {
                    fates[id as usize].ran.push((at, range));
                }
                free -= 1;
                events.push(Reverse((at + cost, Event::Free)));
            }
        }
        let decision = queue.decide(now, options);
        assert!(free == 0 || !matches!(decision, Decision::Run(_)), "idle threads and a batch that is due");
    }
    assert!(queue.is_idle(), "something is left: {queue:?}");
    fates
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (0u64..3_000, 0usize..7, 1usize..3, prop::option::weighted(0.2, 0u64..5_000));
    prop::collection::vec(arrival, 1..80)
}

proptest! {
    #[test]
    fn every_request_is_taken_whole_and_once_or_refused(
        arrivals in arrivals(), threads in 1usize..4, cost in 0u64..4_000,
        timeout in prop_oneof![Just(0i64), 1i64..4_000], enqueued in 1i64..5, split: bool, pad: bool,
    ) {
        let options = options(|p| {
            p.max_batch_size = Some(6);
            p.batch_timeout_micros = Some(timeout);
            p.max_enqueued_batches = Some(enqueued);
            p.pad_variable_length_inputs = pad;
            (p.enable_large_batch_splitting, p.max_execution_batch_size) = (split, Some(4));
        });
        for fate in play(&arrivals, &options, threads, Duration::from_micros(cost)) {
            let mut at = 0;
            for (_, range) in &fate.ran {
                prop_assert_eq!(range.start, at, "rows are taken in order: {:?}", fate);
                at = range.end;
            }
            if fate.refused {
                prop_assert!(fate.ran.is_empty());
            } else if fate.left {
                prop_assert!(at < fate.rows || fate.rows == 0, "left and yet ran whole: {:?}", fate);
            } else {
                prop_assert!(!fate.ran.is_empty() && at == fate.rows, "not taken whole: {:?}", fate);
            }
        }
    }

    /// With more threads than batches that can overlap, a request waits for its
    /// timeout at most.
    #[test]
    fn no_request_waits_longer_than_its_timeout_when_a_thread_is_free(
        arrivals in arrivals(), timeout in 0i64..4_000,
    ) {
        let options = options(|p| {
            p.max_batch_size = Some(6);
            p.batch_timeout_micros = Some(timeout);
            p.max_enqueued_batches = Some(1000);
        });
        for fate in play(&arrivals, &options, 100, Duration::from_micros(500)) {
            for (began, _) in &fate.ran {
                prop_assert!(*began <= fate.arrived + options.timeout, "{:?}", fate);
            }
        }
    }

    /// One thread, and never more waiting than fits one batch: a request waits for
    /// its timeout and for the batch before it.
    #[test]
    fn no_request_waits_longer_than_its_timeout_and_one_batch(
        gaps in prop::collection::vec(500u64..3_000, 1..80), timeout in 0i64..4_000, cost in 0u64..4_000,
    ) {
        let options = options(|p| {
            p.max_batch_size = Some(100);
            p.batch_timeout_micros = Some(timeout);
        });
        let arrivals: Vec<Arrival> = gaps.into_iter().map(|gap| (gap, 1, 1, None)).collect();
        let cost = Duration::from_micros(cost);
        for fate in play(&arrivals, &options, 1, cost) {
            for (began, _) in &fate.ran {
                prop_assert!(*began <= fate.arrived + options.timeout + cost, "{:?}", fate);
            }
        }
    }

    /// However requests of two widths and many sizes come, those of one width run
    /// in the order in which they came.
    #[test]
    fn requests_of_one_shape_run_in_their_order(
        arrivals in arrivals(), threads in 1usize..4, timeout in prop_oneof![Just(0i64), 1i64..4_000],
    ) {
        let options = options(|p| {
            p.max_batch_size = Some(6);
            p.batch_timeout_micros = Some(timeout);
        });
        let fates = play(&arrivals, &options, threads, MS);
        let mut last = BTreeMap::new();
        for (fate, arrival) in fates.iter().zip(&arrivals) {
            if let Some((began, _)) = fate.ran.first() {
                let before = last.insert(arrival.2, *began).unwrap_or_default();
                prop_assert!(before <= *began, "{:?} overtook one that began at {:?}", fate, before);
            }
        }
    }
}
