//! The files: `PREFIX-20261125T225208Z-000000.tfrecord`. A full or old one is closed
//! and the next record opens another; of many the oldest are deleted.
//!
//! Whole records are appended by one write each time, so that a reader of a file in
//! the making sees at most its last record cut off.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::queue::Queued;
use super::{Counters, ModelLog};
use crate::formats::tfrecord;
use crate::limits;

/// When a new file is begun, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// A file that has so many bytes takes no more records.
    pub file_bytes: u64,
    /// Nor does one that is so old.
    pub file_age: Duration,
    /// Files of one prefix; the oldest are deleted. `None` keeps all.
    pub files_kept: Option<usize>,
}

impl Default for Rotation {
    /// 64 MiB or an hour each, and the last 16: a gigabyte for each prefix.
    fn default() -> Self {
        Self { file_bytes: 64 << 20, file_age: Duration::from_secs(3600), files_kept: Some(16) }
    }
}

/// Why records are not in a file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub(super) struct WriteError {
    path: String,
    source: io::Error,
}

#[derive(Debug)]
struct Open {
    /// `None` while others need its place among the open files.
    file: Option<File>,
    path: PathBuf,
    opened: Instant,
    /// When a record was last for it.
    touched: Instant,
    /// Bytes of the whole records in it.
    written: u64,
    /// Records to be appended, and whose they are.
    buffer: Vec<u8>,
    pending: Vec<Arc<Counters>>,
}

/// The open files, by their prefix.
#[derive(Debug)]
pub(super) struct Files {
    rotation: Rotation,
    open: HashMap<PathBuf, Open>,
}

impl Files {
    pub(super) fn new(rotation: Rotation) -> Self {
        Self { rotation, open: HashMap::new() }
    }

    /// Adds a record to its model's file. It is there after the next
    /// [`flush`](Self::flush), at the latest.
    pub(super) fn append(&mut self, queued: Queued) -> Result<(), WriteError> {
        let Queued { model, record, bytes } = queued;
        let open = match self.current(&model, bytes) {
            Ok(open) => open,
            Err(error) => {
                model.counters.fail();
                return Err(error);
            }
        };
        tfrecord::put(&mut open.buffer, |out| record.encode(out));
        open.pending.push(Arc::clone(&model.counters));
        if open.buffer.len() >= limits::REQUEST_LOG_BUFFER_BYTES { self.flush_one(&model) } else { Ok(()) }
    }

    fn flush_one(&mut self, model: &ModelLog) -> Result<(), WriteError> {
        let prefix = &model.target.prefix;
        let outcome = self.open.get_mut(prefix).map_or(Ok(()), Open::flush);
        if outcome.is_err() {
            self.open.remove(prefix);
        }
        outcome
    }

    /// The file that takes this model's next record.
    fn current(&mut self, model: &ModelLog, bytes: usize) -> Result<&mut Open, WriteError> {
        let prefix = &model.target.prefix;
        if self.open.get(prefix).is_some_and(|open| open.is_full(bytes, &self.rotation)) {
            self.close(&prefix.clone())?;
        }
        if self.open.get(prefix).is_none_or(|open| open.file.is_none()) {
            self.make_room()?;
        }
        if !self.open.contains_key(prefix) {
            let open = Open::create(prefix, SystemTime::now())?;
            prune(prefix, self.rotation.files_kept, &open.path);
            self.open.insert(prefix.clone(), open);
        }
        let open = self.open.get_mut(prefix).ok_or_else(|| WriteError {
            path: prefix.display().to_string(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        open.touched = Instant::now();
        Ok(open)
    }

    /// Of too many open files the one that has waited longest is closed for now.
    fn make_room(&mut self) -> Result<(), WriteError> {
        let open = || self.open.iter().filter(|(_, open)| open.file.is_some());
        if open().count() < limits::REQUEST_LOG_FILES_OPEN_MAX {
            return Ok(());
        }
        let longest = open().min_by_key(|(_, open)| open.touched).map(|(prefix, _)| prefix.clone());
        let Some(open) = longest.and_then(|prefix| self.open.get_mut(&prefix)) else { return Ok(()) };
        let outcome = open.flush();
        open.file = None;
        outcome
    }

    fn close(&mut self, prefix: &Path) -> Result<(), WriteError> {
        self.open.remove(prefix).map_or(Ok(()), |mut open| open.flush())
    }

    /// Writes what was appended. Of several errors the last is told; the file of
    /// each is left, and the next record begins another.
    pub(super) fn flush(&mut self) -> Result<(), WriteError> {
        let mut outcome = Ok(());
        self.open.retain(|_, open| {
            let flushed = open.flush();
            let good = flushed.is_ok();
            if !good {
                outcome = flushed;
            }
            good
        });
        outcome
    }

    /// When the next file will be too old.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.open.values().filter_map(|open| open.opened.checked_add(self.rotation.file_age)).min()
    }

    /// Closes what is too old: it is complete then, for whoever waits for that.
    pub(super) fn close_old(&mut self, now: Instant) {
        let age = self.rotation.file_age;
        self.open.retain(|_, open| now.saturating_duration_since(open.opened) < age);
    }
}

impl Open {
    /// A new file, never an old one, that its owner can write and its group can read.
    fn create(prefix: &Path, now: SystemTime) -> Result<Self, WriteError> {
        let failed = |path: &Path, source| WriteError { path: path.display().to_string(), source };
        if let Some(folder) = prefix.parent() {
            fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
        }
        let stamp = utc(now);
        for number in 0..NUMBERS {
            let mut path = prefix.as_os_str().to_owned();
            path.push(format!("-{stamp}-{number:06}.tfrecord"));
            let path = PathBuf::from(path);
            match OpenOptions::new().write(true).create_new(true).mode(0o640).open(&path) {
                Ok(file) => {
                    let (file, opened) = (Some(file), Instant::now());
                    let (touched, buffer, pending) = (opened, Vec::new(), Vec::new());
                    return Ok(Self { file, path, opened, touched, written: 0, buffer, pending });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
        Err(failed(prefix, io::ErrorKind::AlreadyExists.into()))
    }

    fn is_full(&self, more: usize, rotation: &Rotation) -> bool {
        let bytes = self.written + self.buffer.len() as u64;
        bytes > 0 && bytes + (more + tfrecord::FRAME_BYTES) as u64 > rotation.file_bytes
    }

    /// Adds the buffer's records to the file, which is opened again if it was closed for now.
    fn write(&mut self) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).open(&self.path)?,
        };
        let outcome = file.write_all(&self.buffer);
        if outcome.is_err() {
            // Whatever part of it is there is no record. That this may fail too
            // changes nothing: the file is left as it is.
            _ = file.set_len(self.written);
        }
        self.file = Some(file);
        outcome
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let outcome = self.write();
        match &outcome {
            Ok(()) => self.written += self.buffer.len() as u64,
            Err(_) if self.written == 0 => _ = fs::remove_file(&self.path),
            Err(_) => {}
        }
        for counters in self.pending.drain(..) {
            match outcome {
                Ok(()) => counters.write(),
                Err(_) => counters.fail(),
            }
        }
        self.buffer.clear();
        outcome.map_err(|source| WriteError { path: self.path.display().to_string(), source })
    }
}

/// Files of one prefix that may be begun within one second.
const NUMBERS: u32 = 1_000_000;

/// Deletes the oldest files of a prefix. What cannot be deleted stays, and so does the
/// newest, whatever a clock that was set back has named it.
fn prune(prefix: &Path, kept: Option<usize>, newest: &Path) {
    let (Some(kept), Some(folder), Some(name)) = (kept, prefix.parent(), prefix.file_name()) else { return };
    let Some(name) = name.to_str() else { return };
    let Ok(entries) = fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
    else {
        return;
    };
    let mut ours: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|entry| entry.strip_prefix(name).is_some_and(is_ending))
        .filter(|entry| newest.file_name().is_none_or(|newest| newest != entry.as_str()))
        .collect();
    // Names sort as their times do.
    ours.sort_unstable();
    for old in &ours[..(ours.len() + 1).saturating_sub(kept.max(1)).min(ours.len())] {
        let path = folder.join(old);
        match fs::remove_file(&path) {
            Ok(()) => tracing::debug!(file = %path.display(), "an old request log was deleted"),
            Err(error) => tracing::warn!(file = %path.display(), %error, "an old request log stays"),
        }
    }
}

/// Whether this is what we put behind a prefix: `-20261125T225208Z-000000.tfrecord`.
fn is_ending(text: &str) -> bool {
    const FORM: &[u8] = b"-00000000T000000Z-000000.tfrecord";
    text.len() == FORM.len()
        && text.bytes().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == *form,
        })
}

/// A moment as `20261125T225208Z`.
fn utc(now: SystemTime) -> String {
    /// The last second of the year 9999, in seconds since 1970.
    const LAST: u64 = 253_402_300_799;
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(LAST);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut day, mut year) = (seconds / 86_400, 1970);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}Z", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_name_that_sorts() {
        let at = |seconds| utc(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000Z");
        // As `date -u -d @N +%Y%m%dT%H%M%SZ` has them.
        assert_eq!(at(951_782_399), "20000228T235959Z");
        assert_eq!(at(951_782_400), "20000229T000000Z");
        assert_eq!(at(951_868_800), "20000301T000000Z");
        assert_eq!(at(1_735_689_599), "20241231T235959Z");
        assert_eq!(at(1_795_647_128), "20261125T225208Z");
        assert_eq!(at(4_107_542_400), "21000301T000000Z");
        assert_eq!(at(u64::MAX >> 2), "99991231T235959Z");
        assert_eq!(utc(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "19700101T000000Z");
    }

    #[derive(Debug)]
    struct Word;

    impl super::super::Record for Word {
        fn encoded_len(&self) -> usize {
            4
        }

        fn encode(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(b"word");
        }
    }

    #[test]
    fn more_models_than_open_files_still_have_one_file_each() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::new(Rotation::default());
        let models: Vec<Arc<ModelLog>> = (0..limits::REQUEST_LOG_FILES_OPEN_MAX + 3)
            .map(|i| {
                let prefix = folder.path().join(format!("m{i}"));
                let rate = super::super::SamplingRate::try_from(1.0).unwrap();
                let target = super::super::Target { prefix, rate };
                Arc::new(ModelLog { target, counters: Arc::default() })
            })
            .collect();
        for _ in 0..3 {
            for model in &models {
                files.append(Queued { model: Arc::clone(model), record: Box::new(Word), bytes: 4 }).unwrap();
            }
        }
        files.flush().unwrap();
        let found: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(found.len(), models.len());
        for path in found {
            assert_eq!(tfrecord::records(fs::read(&path).unwrap().into()).count(), 3, "{}", path.display());
        }
    }

    #[test]
    fn the_newest_file_stays_whatever_the_clock_has_named_it() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["20200101T000000Z", "20300101T000000Z", "20310101T000000Z"]
            .map(|stamp| folder.path().join(format!("m-{stamp}-000000.tfrecord")));
        for name in &names {
            fs::write(name, b"").unwrap();
        }
        prune(&folder.path().join("m"), Some(2), &names[0]);
        assert_eq!(names.map(|name| name.exists()), [true, false, true]);
    }

    #[test]
    fn only_our_own_files_are_ours() {
        assert!(is_ending("-20261125T225208Z-000000.tfrecord"));
        for other in
            ["", "-b-20261125T225208Z-000000.tfrecord", "-20261125T225208Z-00000x.tfrecord", ".tfrecord"]
        {
            assert!(!is_ending(other), "{other}");
        }
    }
}
