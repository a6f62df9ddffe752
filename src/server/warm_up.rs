//! Warm-up: a version answers recorded requests before it is served, so that its
//! first caller does not pay for cold caches, and a version that cannot answer them
//! is never served.
//!
//! The requests lie beside the model, in [`FILE`]: a TFRecord file of
//! `tensorflow.serving.PredictionLog`.

use std::num::NonZeroU32;
use std::time::Instant;

use prost::Message as _;

use crate::dataplane::{self, rehearse};
use crate::error::{Code, ServingError};
use crate::execution::Lane;
use crate::formats::tfrecord;
use crate::frontends::tfs::prediction_log::rehearsal;
use crate::lifecycle::LoadError;
use crate::limits;
use crate::proto::tensorflow::serving::PredictionLog;
use crate::storage::{ModelDir, StorageError};

/// The file below a version's folder. Source: TensorFlow Serving's SavedModel warm-up.
pub(super) const FILE: &str = "assets.extra/tf_serving_warmup_requests";

/// How recorded requests are replayed.
#[derive(Debug, Clone, Copy)]
pub(super) struct WarmUp {
    /// Each so often.
    pub(super) times: NonZeroU32,
    /// As strictly as those that come later.
    pub(super) options: dataplane::Options,
}

impl WarmUp {
    /// Each once, as nobody has asked for more.
    pub(super) const ONCE: Self =
        Self { times: NonZeroU32::MIN, options: dataplane::Options { signature_method_name_check: false } };
}

/// Replays each request of the version's warm-up file, one after the other, and
/// tells how many were in it. No file is fine.
///
/// # Errors
/// A file that cannot be read or has too many records, and the first request that
/// fails, in the words of its call.
pub(super) fn replay(dir: &ModelDir, lane: &Lane, how: WarmUp) -> Result<usize, LoadError> {
    let file = match dir.read(FILE, limits::WARM_UP_FILE_BYTES_MAX) {
        Ok(file) => file,
        Err(StorageError::NotFound(_)) => return Ok(0),
        Err(error @ StorageError::TooLarge { .. }) => {
            return Err(LoadError::new(Code::InvalidArgument, error.to_string()));
        }
        Err(error) => return Err(LoadError::new(Code::Unavailable, error.to_string())),
    };
    let (started, mut count) = (Instant::now(), 0);
    let path = dir.display(FILE);
    let outcome = replay_records(file, &path, lane, how, &mut count);
    let code = outcome.as_ref().err().map_or(Code::Ok, LoadError::code);
    lane.metrics().warmed_up(code, count, started.elapsed());
    outcome?;
    if count > 0 {
        tracing::info!(file = path, requests = count, times = how.times, "warmed up");
    }
    Ok(count)
}

/// Counts those that succeed.
fn replay_records(
    file: Vec<u8>,
    path: &str,
    lane: &Lane,
    how: WarmUp,
    count: &mut usize,
) -> Result<(), LoadError> {
    for record in tfrecord::records(file.into()) {
        let record = record.map_err(|error| {
            let text = format!("{error}. Please verify your warmup data is in TFRecord format.");
            LoadError::new(Code::DataLoss, text)
        })?;
        if *count == limits::WARM_UP_RECORDS_MAX {
            let text = format!("Number of warmup records exceeds the maximum ({count}) at {path}");
            return Err(LoadError::new(Code::InvalidArgument, text));
        }
        let log = PredictionLog::decode(record.clone()).map_err(|_| {
            let shown = &record[..record.len().min(limits::WARM_UP_RECORD_BYTES_SHOWN)];
            let text = format!("Failed to parse warmup record: {} from {path}", shown.escape_ascii());
            LoadError::new(Code::InvalidArgument, text)
        })?;
        run(&log, lane, how).map_err(|error| {
            LoadError::new(error.code(), format!("{error} (warm-up record {count} of {path})"))
        })?;
        *count += 1;
    }
    Ok(())
}

/// Replays one recorded request.
///
/// # Errors
/// Those of its call.
pub(super) fn run(log: &PredictionLog, lane: &Lane, how: WarmUp) -> Result<(), ServingError> {
    for _ in 0..how.times.get() {
        // A recorded log without a call says nothing.
        let Some(request) = rehearsal(log.clone())? else { return Ok(()) };
        rehearse(lane, request, how.options)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;
    use crate::execution::{ComputePool, LaneOptions};
    use crate::servable::{Call, Method, RunError, Servable, Signature, Signatures, TensorSpec};
    use crate::storage::MemoryStorage;
    use crate::tensor::{DType, Elements, Tensor};

    /// Written by TensorFlow: a Predict of `[[1], [2]]`, a Classify of one empty
    /// example, a log of nothing and a Predict of `[[3]]`.
    const GOOD: &[u8] = include_bytes!("../../tests/golden/warmup/unit");
    /// Written by TensorFlow: a log of nothing.
    const NOTHING: &[u8] = include_bytes!("../../tests/golden/warmup/nothing");

    /// Counts its runs, and refuses numbers above 2 where it is told to.
    #[derive(Debug)]
    struct Counting {
        signatures: Signatures,
        runs: Arc<AtomicUsize>,
        strict: bool,
    }

    impl Servable for Counting {
        fn platform(&self) -> &'static str {
            "counting"
        }

        fn signatures(&self) -> &Signatures {
            &self.signatures
        }

        fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
            self.runs.fetch_add(1, SeqCst);
            let rows = call.inputs[0].shape()[0];
            if let Elements::F64(values) = call.inputs[0].elements()
                && self.strict
                && values.iter().any(|&value| value > 2.0)
            {
                return Err(RunError::InvalidInput("above 2".to_owned()));
            }
            Ok(vec![Tensor::new([rows, 1], vec![0f32; rows].into()).unwrap()])
        }
    }

    fn lane(strict: bool) -> (Lane, Arc<AtomicUsize>) {
        let signature = |name: &str, method, dtype, dims: &[Option<usize>], output| Signature {
            name: name.into(),
            inputs: vec![TensorSpec::new("inputs", dtype, dims)],
            outputs: vec![TensorSpec::new(output, DType::Float, &[None, Some(1)])],
            method,
        };
        let signatures = Signatures::new(vec![
            signature("serving_default", Method::Predict, DType::Double, &[None, Some(1)], "outputs"),
            signature("classify", Method::Classify, DType::String, &[None], "scores"),
        ]);
        let runs = Arc::new(AtomicUsize::new(0));
        let servable = Counting { signatures, runs: Arc::clone(&runs), strict };
        let lane = Lane::new(Arc::new(servable), ComputePool::start(1).unwrap(), LaneOptions::default());
        runs.store(0, SeqCst);
        (lane, runs)
    }

    fn dir(file: Option<&[u8]>) -> ModelDir {
        let storage = MemoryStorage::new();
        storage.write("m/1/model.pkl", &b""[..]);
        if let Some(file) = file {
            storage.write(&format!("m/1/{FILE}"), file);
        }
        ModelDir::new(Arc::new(storage), "m/1")
    }

    fn times(times: u32) -> WarmUp {
        WarmUp { times: NonZeroU32::new(times).unwrap(), options: dataplane::Options::default() }
    }

    #[track_caller]
    fn refused(file: &[u8], strict: bool, code: Code, text: &str) {
        let error = replay(&dir(Some(file)), &lane(strict).0, times(1)).unwrap_err();
        assert_eq!((error.code(), error.message()), (code, text));
    }

    #[test]
    fn each_request_is_replayed_as_often_as_wanted() {
        for (file, wanted, count, ran) in
            [(None, 5, 0, 0), (Some(&b""[..]), 5, 0, 0), (Some(GOOD), 1, 4, 3), (Some(GOOD), 7, 4, 21)]
        {
            let (lane, runs) = lane(false);
            assert_eq!(replay(&dir(file), &lane, times(wanted)), Ok(count));
            assert_eq!(runs.load(SeqCst), ran);
        }
    }

    #[test]
    fn a_thousand_records_are_the_most() {
        let (lane, _) = lane(false);
        assert_eq!(replay(&dir(Some(&NOTHING.repeat(1000))), &lane, times(1)), Ok(1000));
        let text = format!("Number of warmup records exceeds the maximum (1000) at memory:/m/1/{FILE}");
        refused(&NOTHING.repeat(1001), false, Code::InvalidArgument, &text);
    }

    #[test]
    fn the_first_request_that_fails_ends_it_in_the_words_of_its_call() {
        let text = format!("above 2 (warm-up record 3 of memory:/m/1/{FILE})");
        refused(GOOD, true, Code::InvalidArgument, &text);
    }

    #[test]
    fn what_is_no_record_of_a_call_is_refused() {
        let junk = include_bytes!("../../tests/golden/warmup/junk");
        let text = format!("Failed to parse warmup record: \\xffno log from memory:/m/1/{FILE}");
        refused(junk, false, Code::InvalidArgument, &text);
        let hint = ". Please verify your warmup data is in TFRecord format.";
        refused(
            b"this is no TFRecord file at all",
            false,
            Code::DataLoss,
            &format!("corrupted record at 0 (Is this even a TFRecord file?){hint}"),
        );
        let cut = &GOOD[..GOOD.len() - 1];
        let error = replay(&dir(Some(cut)), &lane(false).0, times(1)).unwrap_err();
        assert!(error.message().ends_with(&format!("' failed with Read less bytes than requested{hint}")));

        for (file, number) in [
            (&include_bytes!("../../tests/golden/warmup/session_run")[..], 5),
            (include_bytes!("../../tests/golden/warmup/predict_streamed"), 7),
        ] {
            let text =
                format!("Unsupported log_type for warmup: {number} (warm-up record 0 of memory:/m/1/{FILE})");
            refused(file, false, Code::Unimplemented, &text);
        }
    }
}
