use std::path::Path;
use std::time::Duration;

use super::*;
use crate::formats::tfrecord;

#[derive(Debug)]
struct Text(&'static str);

impl Record for Text {
    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

/// Says that it is as long as this, and writes nothing.
#[derive(Debug)]
struct Long(usize);

impl Record for Long {
    fn encoded_len(&self) -> usize {
        self.0
    }

    fn encode(&self, _: &mut Vec<u8>) {}
}

fn rate(rate: f64) -> SamplingRate {
    SamplingRate::try_from(rate).unwrap()
}

fn targets(prefix: &Path, models: &[(&str, f64)]) -> BTreeMap<ModelName, Target> {
    let target = |&(name, part): &(&str, f64)| {
        (ModelName::new(name).unwrap(), Target { prefix: prefix.to_owned(), rate: rate(part) })
    };
    models.iter().map(target).collect()
}

fn finish(log: &RequestLog) {
    log.close();
    for _ in 0..2000 {
        if log.is_finished() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the writer did not end");
}

/// The records of each file in the folder, sorted by the files' names.
fn read(folder: &Path) -> Vec<Vec<String>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let records = |path: PathBuf| {
        let records = tfrecord::records(std::fs::read(path).unwrap().into());
        records.map(|record| String::from_utf8(record.unwrap().to_vec()).unwrap()).collect()
    };
    paths.into_iter().map(records).collect()
}

fn counts(log: &RequestLog, model: &str) -> (u64, u64, u64) {
    let counts = log.counts()[model];
    (counts.written, counts.dropped, counts.failed)
}

#[test]
fn what_is_sampled_is_written_in_order_to_files_that_rotate() {
    let folder = tempfile::tempdir().unwrap();
    // Two records of five bytes and their frames.
    let rotation = Rotation { file_bytes: 42, files_kept: None, ..Rotation::default() };
    let log = RequestLog::new(rotation, None);
    log.configure(targets(&folder.path().join("below/m"), &[("all", 1.0), ("none", 0.0)]));
    for text in ["a0000", "b0000", "c0000", "d0000", "e0000"] {
        log.sample("all").unwrap().record(Box::new(Text(text)));
    }
    assert!((0..1000).all(|_| log.sample("none").is_none() && log.sample("gone").is_none()));
    finish(&log);
    assert_eq!(
        read(&folder.path().join("below")),
        [vec!["a0000", "b0000"], vec!["c0000", "d0000"], vec!["e0000"]]
    );
    assert_eq!((counts(&log, "all"), counts(&log, "none")), ((5, 0, 0), (0, 0, 0)));
    // Nothing is taken any more, and nobody waits for it.
    log.sample("all").unwrap().record(Box::new(Text("late")));
    assert_eq!(counts(&log, "all"), (5, 1, 0));
}

#[test]
fn a_rate_is_the_part_that_is_taken() {
    let log = RequestLog::default();
    log.configure(targets(Path::new("/nowhere/m"), &[("m", 0.25)]));
    let taken = (0..20_000).filter(|_| log.sample("m").is_some()).count();
    assert!((4400..5600).contains(&taken), "{taken} of 20000 at a rate of 0.25");
    for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert!(SamplingRate::try_from(bad).is_err());
    }
}

#[test]
fn old_files_are_closed_and_of_many_the_oldest_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m-b-20200101T000000Z-000000.tfrecord"), "another's").unwrap();
    std::fs::write(folder.path().join("m-20200101T000000Z-000000.tfrecord"), "ours").unwrap();
    let file_age = Duration::from_millis(50);
    let log = RequestLog::new(Rotation { file_age, files_kept: Some(2), ..Rotation::default() }, None);
    log.configure(targets(&folder.path().join("m"), &[("m", 1.0)]));
    for text in ["first", "second", "third"] {
        log.sample("m").unwrap().record(Box::new(Text(text)));
        std::thread::sleep(Duration::from_millis(200));
    }
    finish(&log);
    let other = folder.path().join("m-b-20200101T000000Z-000000.tfrecord");
    assert_eq!(std::fs::read(&other).unwrap(), b"another's");
    std::fs::remove_file(other).unwrap();
    assert_eq!(read(folder.path()), [["second"], ["third"]]);
}

#[test]
fn what_there_is_no_room_for_is_dropped_and_counted() {
    let log = RequestLog::default();
    let most = limits::REQUEST_LOG_RECORD_BYTES_MAX;
    let folder = tempfile::tempdir().unwrap();
    log.configure(targets(&folder.path().join("m"), &[("m", 1.0)]));
    assert!(!log.sample("m").unwrap().has_room(most + 1));
    log.sample("m").unwrap().record(Box::new(Long(most + 1)));
    assert_eq!(counts(&log, "m"), (0, 2, 0));
    finish(&log);

    // A queue that nobody empties.
    let queue = Queue::default();
    let model = Arc::clone(&log.0.models.read().unwrap()["m"]);
    let queued = |bytes| Queued { model: Arc::clone(&model), record: Box::new(Long(bytes)), bytes };
    let fit = limits::REQUEST_LOG_QUEUE_BYTES_MAX / most;
    assert!((0..fit).all(|_| queue.push(queued(most))));
    assert!(!queue.push(queued(1)) && !queue.has_room(1) && queue.has_room(0));
    assert_eq!(queue.take(None).records.len(), fit);
    assert!((0..limits::REQUEST_LOG_QUEUE_RECORDS_MAX).all(|_| queue.push(queued(0))));
    assert!(!queue.push(queued(0)));
}

#[test]
fn a_folder_that_cannot_be_written_to_costs_the_records_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let log = RequestLog::default();
    log.configure(targets(&folder.path().join("file/m"), &[("m", 1.0)]));
    log.sample("m").unwrap().record(Box::new(Text("lost")));
    log.sample("m").unwrap().record(Box::new(Text("lost too")));
    for _ in 0..2000 {
        if counts(&log, "m") == (0, 0, 2) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // Another place is found at once, and the counts go on.
    log.configure(targets(&folder.path().join("m"), &[("m", 1.0)]));
    log.sample("m").unwrap().record(Box::new(Text("kept")));
    finish(&log);
    assert_eq!(counts(&log, "m"), (1, 0, 2));
    std::fs::remove_file(folder.path().join("file")).unwrap();
    assert_eq!(read(folder.path()), [["kept"]]);
    log.configure(BTreeMap::new());
    assert!(log.sample("m").is_none() && log.counts().is_empty());
}
