//! Makes a warm-up file: of requests as JSON, and of what request logs hold.
//!
//! Each request is put to the version whose file it will be, with the checks that
//! loading makes: a file that would keep the version from being served is not
//! written.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message as _;

use super::assembly::disk;
use super::warm_up::{self, WarmUp};
use crate::engines::{self, OpenError};
use crate::error::ServingError;
use crate::execution::{ComputePool, Lane, LaneOptions};
use crate::formats::tfrecord::{self, TfRecordError};
use crate::frontends::tfs::rest::{bodies, recorded};
use crate::limits;
use crate::proto::tensorflow::serving::PredictionLog;
use crate::proto::tensorflow::serving::prediction_log::LogType;
use crate::storage::ModelDir;

/// What a warm-up file is made of.
#[derive(Debug, Clone)]
pub struct WarmUpSources {
    /// The version's folder.
    pub version_dir: PathBuf,
    /// Files of REST bodies as JSON. All of them are taken.
    pub requests: Vec<PathBuf>,
    /// Files of request logs, of which some records are taken.
    pub request_logs: Vec<PathBuf>,
    /// Only records of this model.
    pub model_name: Option<String>,
    /// Records in the file at most.
    pub records: usize,
    /// Where it is written; where the version looks for it when `None`.
    pub output: Option<PathBuf>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmUpFile {
    /// Where.
    pub path: PathBuf,
    /// Requests in it.
    pub records: usize,
    /// Records of the logs that were looked at.
    pub seen: u64,
    /// Records that were chosen, and that this version cannot answer.
    pub refused: usize,
    /// Why, of the first of them.
    pub first_refusal: Option<String>,
}

/// Why no file was written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A file is longer than is read.
    #[error("{path}: it has more than {max} bytes")]
    TooLong {
        /// Which.
        path: String,
        /// How much is read.
        max: u64,
    },
    /// The version cannot be loaded.
    #[error("the version cannot be loaded: {0}")]
    Version(#[from] Box<OpenError>),
    /// A request cannot be answered.
    #[error("{path}: request {index}: {error}")]
    Request {
        /// The file.
        path: String,
        /// The first is 0.
        index: usize,
        /// What the version says.
        error: ServingError,
    },
    /// A file is no request log.
    #[error("{path}: {why}")]
    Log {
        /// Which.
        path: String,
        /// Where and why.
        why: String,
    },
    /// Nobody said which model is meant.
    #[error("the request logs hold records of several models ({0}); say which with --model_name")]
    SeveralModels(String),
    /// More than a version replays.
    #[error("{0} requests are more than a warm-up file may have ({max})", max = limits::WARM_UP_RECORDS_MAX)]
    TooMany(usize),
    /// Nothing to write.
    #[error("there is no request that could be recorded{0}")]
    Nothing(String),
}

/// Makes the file, whole or not at all.
///
/// # Errors
/// [`RecordError`]; nothing is written then.
pub fn record_warm_up(sources: &WarmUpSources) -> Result<WarmUpFile, RecordError> {
    let version = &sources.version_dir;
    let dir = ModelDir::new(disk(version, true), "");
    let servable = engines::open(&dir).map_err(Box::new)?;
    let pool = ComputePool::named("record", 1).map_err(|source| failed(version, source))?;
    let lane = Lane::new(servable, Arc::clone(&pool), LaneOptions::default());

    let mut logs = Vec::new();
    for path in &sources.requests {
        read_requests(path, &lane, &mut logs)?;
    }
    let room = sources.records.min(limits::WARM_UP_RECORDS_MAX);
    if logs.len() > room {
        return Err(RecordError::TooMany(logs.len()));
    }
    let mut choice = Choice::new(room - logs.len());
    let mut models = BTreeSet::new();
    for path in &sources.request_logs {
        read_log(path, sources.model_name.as_deref(), &mut models, &mut choice)?;
    }
    let (mut refused, mut first_refusal) = (0, None);
    for (_, log) in choice.chosen {
        match warm_up::run(&log, &lane, WarmUp::ONCE) {
            Ok(()) => logs.push(log),
            Err(error) => {
                refused += 1;
                first_refusal.get_or_insert_with(|| error.to_string());
            }
        }
    }
    if logs.is_empty() {
        let why = first_refusal.map(|why| format!(": {why}")).unwrap_or_default();
        return Err(RecordError::Nothing(why));
    }

    let mut file = Vec::new();
    for log in &logs {
        // A vector grows as it is written to: encoding cannot fail.
        tfrecord::put(&mut file, |out| _ = log.encode(out));
    }
    let path = sources.output.clone().unwrap_or_else(|| version.join(warm_up::FILE));
    if file.len() as u64 > limits::WARM_UP_FILE_BYTES_MAX {
        let path = path.display().to_string();
        return Err(RecordError::TooLong { path, max: limits::WARM_UP_FILE_BYTES_MAX });
    }
    write(&path, &file).map_err(|source| failed(&path, source))?;
    Ok(WarmUpFile { path, records: logs.len(), seen: choice.seen, refused, first_refusal })
}

fn failed(path: &Path, source: io::Error) -> RecordError {
    RecordError::File { path: path.display().to_string(), source }
}

/// A whole file, or standard input for `-`.
fn read(path: &Path, max: u64) -> Result<bytes::Bytes, RecordError> {
    let mut content = Vec::new();
    let mut all = |from: &mut dyn io::Read| from.take(max + 1).read_to_end(&mut content);
    let outcome = if path == Path::new("-") {
        all(&mut io::stdin().lock())
    } else {
        fs::File::open(path).and_then(|mut file| all(&mut file))
    };
    outcome.map_err(|source| failed(path, source))?;
    if content.len() as u64 > max {
        return Err(RecordError::TooLong { path: path.display().to_string(), max });
    }
    Ok(content.into())
}

/// Takes all bodies of a file, each of which the version must answer.
fn read_requests(path: &Path, lane: &Lane, logs: &mut Vec<PredictionLog>) -> Result<(), RecordError> {
    let text = read(path, limits::REST_BODY_BYTES_MAX as u64)?;
    for (index, body) in bodies(text).enumerate() {
        if logs.len() == limits::WARM_UP_RECORDS_MAX {
            return Err(RecordError::TooMany(logs.len() + 1));
        }
        let log = body.and_then(|body| {
            let log = recorded(body, lane.servable().signatures())?;
            warm_up::run(&log, lane, WarmUp::ONCE)?;
            Ok(log)
        });
        logs.push(log.map_err(|error| RecordError::Request {
            path: path.display().to_string(),
            index,
            error,
        })?);
    }
    Ok(())
}

/// Offers the records of a log that are of the right model. The last record of a
/// log that is still being written may be cut off, and is left out.
fn read_log(
    path: &Path,
    model: Option<&str>,
    models: &mut BTreeSet<String>,
    choice: &mut Choice,
) -> Result<(), RecordError> {
    let broken = |why: String| RecordError::Log { path: path.display().to_string(), why };
    for (i, record) in tfrecord::records(read(path, limits::REQUEST_LOG_FILE_BYTES_MAX)?).enumerate() {
        let record = match record {
            Ok(record) => record,
            Err(TfRecordError::Truncated { .. }) => break,
            Err(error) => return Err(broken(error.to_string())),
        };
        let mut log = PredictionLog::decode(record)
            .map_err(|why| broken(format!("record {i} is no PredictionLog: {why}")))?;
        let name = strip(&mut log);
        if model.is_none_or(|model| name == model) {
            models.insert(name);
            if models.len() > 1 {
                let names: Vec<&str> = models.iter().map(String::as_str).collect();
                return Err(RecordError::SeveralModels(names.join(", ")));
            }
            choice.offer(log);
        }
    }
    Ok(())
}

/// Takes out what warm-up does not look at, and gives the model's name.
fn strip(log: &mut PredictionLog) -> String {
    let spec = match &mut log.log_type {
        None => None,
        Some(LogType::PredictLog(log)) => {
            log.response = None;
            log.request.as_ref().and_then(|request| request.model_spec.as_ref())
        }
        Some(LogType::ClassifyLog(log)) => {
            log.response = None;
            log.request.as_ref().and_then(|request| request.model_spec.as_ref())
        }
        Some(LogType::RegressLog(log)) => {
            log.response = None;
            log.request.as_ref().and_then(|request| request.model_spec.as_ref())
        }
        Some(LogType::MultiInferenceLog(log)) => {
            log.response = None;
            let first = log.request.as_ref().and_then(|request| request.tasks.first());
            first.and_then(|task| task.model_spec.as_ref())
        }
        // Not to be replayed; the version will say so.
        Some(LogType::SessionRunLog(_) | LogType::PredictStreamedLog(_)) => None,
    };
    let metadata = log.log_metadata.as_ref().and_then(|metadata| metadata.model_spec.as_ref());
    metadata.or(spec).map(|spec| spec.name.clone()).unwrap_or_default()
}

/// A fair choice of so many among any number, which is not known beforehand.
/// Source: Vitter 1985, "Random sampling with a reservoir", algorithm R.
struct Choice {
    room: usize,
    seen: u64,
    chosen: Vec<(u64, PredictionLog)>,
    random: fastrand::Rng,
}

impl Choice {
    /// The same logs give the same choice.
    fn new(room: usize) -> Self {
        Self { room, seen: 0, chosen: Vec::new(), random: fastrand::Rng::with_seed(0) }
    }

    fn offer(&mut self, log: PredictionLog) {
        let place = self.seen;
        self.seen += 1;
        if self.chosen.len() < self.room {
            return self.chosen.push((place, log));
        }
        let at = usize::try_from(self.random.u64(..self.seen)).unwrap_or(usize::MAX);
        if at < self.room {
            self.chosen.remove(at);
            self.chosen.push((place, log));
        }
    }
}

/// Writes the file beside its place and renames it into it.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let aside = folder.join(format!(".{name}.{}.part", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    })();
    if written.is_err() {
        // Perhaps it was never there.
        _ = fs::remove_file(&aside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_fair_and_keeps_the_order() {
        let mut chosen = [0u32; 10];
        for seed in 0..2000 {
            let mut choice = Choice { random: fastrand::Rng::with_seed(seed), ..Choice::new(3) };
            (0..10).for_each(|_| choice.offer(PredictionLog::default()));
            assert!(choice.chosen.len() == 3 && choice.chosen.is_sorted_by_key(|(place, _)| *place));
            choice.chosen.iter().for_each(|(place, _)| chosen[*place as usize] += 1);
        }
        // 600 each, give or take five standard deviations of 20.
        assert!(chosen.iter().all(|&times| (500..700).contains(&times)), "{chosen:?}");
        let mut all = Choice::new(3);
        (0..2).for_each(|_| all.offer(PredictionLog::default()));
        assert_eq!(all.chosen.len(), 2);
        let mut none = Choice::new(0);
        none.offer(PredictionLog::default());
        assert!(none.chosen.is_empty());
    }

    #[test]
    fn a_file_is_written_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/file");
        for content in [&b"one"[..], b"two"] {
            write(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(write(&folder.path().join("folder"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
