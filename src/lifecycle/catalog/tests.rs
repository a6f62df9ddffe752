//! The catalog without a manager: who holds what, and where labels point.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use super::*;

struct Bench {
    publisher: Publisher<String>,
    retired: mpsc::Receiver<Retired<String>>,
    catalog: Arc<Catalog<String>>,
}

fn bench() -> Bench {
    let (retire, retired) = mpsc::channel();
    let monitor = Arc::new(StateMonitor::default());
    monitor.add_model(&ham());
    let publisher = Publisher::new(monitor, retire);
    Bench { catalog: publisher.catalog(), publisher, retired }
}

fn ham() -> ModelName {
    ModelName::new("ham").unwrap()
}

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

fn id(number: i64) -> ServableId {
    ServableId { name: ham(), version: version(number) }
}

impl Bench {
    fn publish(&mut self, number: i64) {
        self.publisher.publish(id(number), format!("ham {number}"));
    }

    fn label(&mut self, labels: &[(&str, i64)]) {
        let labels = labels.iter().map(|(label, number)| ((*label).to_owned(), version(*number))).collect();
        self.publisher.set_labels(&ham(), &labels);
    }

    fn freed(&self) -> Vec<i64> {
        self.retired.try_iter().map(|retired| retired.id.version.get()).collect()
    }
}

fn look(reader: &Reader<String>, choice: VersionChoice) -> Option<i64> {
    let query = ModelQuery { name: "ham".to_owned(), choice };
    Some(reader.handle(&query).ok()?.version().get())
}

fn latest(reader: &Reader<String>) -> Option<i64> {
    look(reader, VersionChoice::Latest)
}

fn labelled(reader: &Reader<String>, label: &str) -> Option<i64> {
    look(reader, VersionChoice::Label(label.to_owned()))
}

#[test]
fn the_latest_is_the_highest_that_is_published() {
    let mut bench = bench();
    let reader = bench.catalog.reader();
    assert_eq!(latest(&reader), None);
    for (number, highest) in [(3, 3), (5, 5), (4, 5)] {
        bench.publish(number);
        assert_eq!(latest(&reader), Some(highest));
    }
    bench.publisher.retire(&id(5));
    assert_eq!(latest(&reader), Some(4));
    for number in [3, 4] {
        assert_eq!(look(&reader, VersionChoice::Specific(number)), Some(number));
    }
    for number in [5, 0, -1, i64::MIN, i64::MAX] {
        assert_eq!(look(&reader, VersionChoice::Specific(number)), None);
    }
}

#[test]
fn a_reader_that_sleeps_keeps_no_retired_version_alive() {
    let mut bench = bench();
    bench.publish(1);
    let asleep = bench.catalog.reader();
    assert_eq!(latest(&asleep), Some(1));
    bench.publish(2);
    bench.publisher.retire(&id(1));
    assert_eq!(bench.freed(), [1]);
    bench.publisher.remove(&ham());
    assert_eq!(bench.freed(), [2]);
}

#[test]
fn a_handle_keeps_its_version_until_it_is_dropped() {
    let mut bench = bench();
    bench.publish(1);
    let reader = bench.catalog.reader();
    let query = ModelQuery { name: "ham".to_owned(), choice: VersionChoice::Latest };
    let first = reader.handle(&query).unwrap();
    let second = first.clone();
    bench.publisher.retire(&id(1));
    drop((reader, first));
    assert_eq!(bench.freed(), [0_i64; 0]);
    assert_eq!((second.as_str(), second.id()), ("ham 1", &id(1)));
    drop(second);
    assert_eq!(bench.freed(), [1]);
}

#[test]
fn a_reader_that_is_gone_is_no_longer_visited() {
    let bench = bench();
    for _ in 0..100 {
        drop(bench.catalog.reader());
    }
    let _last = bench.catalog.reader();
    assert_eq!(lock(&bench.catalog.readers).len(), 1);
}

#[test]
fn labels_point_where_the_last_list_says() {
    let mut bench = bench();
    let reader = bench.catalog.reader();
    bench.publish(1);
    bench.publish(2);
    bench.label(&[("stable", 1), ("canary", 2)]);
    assert_eq!((labelled(&reader, "stable"), labelled(&reader, "canary")), (Some(1), Some(2)));
    bench.label(&[("stable", 2)]);
    assert_eq!((labelled(&reader, "stable"), labelled(&reader, "canary")), (Some(2), None));
    bench.publisher.retire(&id(2));
    assert_eq!(labelled(&reader, "stable"), None, "a label never falls back to where nobody points");
}

#[test]
fn a_label_that_moves_stays_until_its_new_version_is_there() {
    let mut bench = bench();
    let reader = bench.catalog.reader();
    bench.publish(1);
    bench.label(&[("stable", 1)]);
    bench.label(&[("stable", 2)]);
    bench.label(&[("stable", 3)]);
    assert_eq!(labelled(&reader, "stable"), Some(1));
    bench.publish(2);
    assert_eq!(labelled(&reader, "stable"), Some(1));
    bench.publish(3);
    assert_eq!(labelled(&reader, "stable"), Some(3));
    bench.publisher.retire(&id(3));
    assert_eq!(labelled(&reader, "stable"), None);
}

#[test]
fn a_label_that_moved_does_not_hold_up_the_version_it_left() {
    let mut bench = bench();
    let reader = bench.catalog.reader();
    bench.publish(1);
    bench.label(&[("stable", 1)]);
    bench.label(&[("stable", 2)]);
    bench.publisher.retire(&id(1));
    assert_eq!(labelled(&reader, "stable"), None);
    assert_eq!(bench.freed(), [1]);
    bench.publish(1);
    assert_eq!(labelled(&reader, "stable"), None, "version 1 came back under its own number only");
}

#[test]
fn what_was_published_is_what_every_reader_sees_from_then_on() {
    const SWAPS: i64 = 20_000;
    let mut bench = bench();
    bench.publish(0);
    let (published, over) = (AtomicI64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let reader = bench.catalog.reader();
                while !over.load(Ordering::Acquire) {
                    let at_least = published.load(Ordering::Acquire);
                    let seen = latest(&reader).expect("a version is published throughout");
                    assert!(seen >= at_least, "saw {seen} when {at_least} was published");
                }
                assert_eq!(latest(&reader), Some(SWAPS));
            });
        }
        let retired = bench.publisher.retired.clone();
        let mut publisher = Publisher { catalog: Arc::clone(&bench.catalog), retired };
        for number in 1..=SWAPS {
            publisher.publish(id(number), format!("ham {number}"));
            published.store(number, Ordering::Release);
            publisher.retire(&id(number - 1));
        }
        over.store(true, Ordering::Release);
    });
    assert_eq!(bench.freed().len(), usize::try_from(SWAPS).unwrap());
}

#[test]
fn readers_and_handles_go_between_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Reader<String>>();
    is_shared::<Handle<String>>();
    is_shared::<Catalog<String>>();
}
