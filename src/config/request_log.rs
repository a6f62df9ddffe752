//! The request log as the command line and the list of models state it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{ConfigError, MAX_PAUSE, invalid};
use crate::error::{Code, ServingError};
use crate::limits;
use crate::proto::tensorflow::serving as pb;
use crate::request_log::{RequestLogSettings, Rotation, SamplingRate};

/// The flags of the request log.
#[derive(Debug, Clone, Args)]
pub struct RequestLogFlags {
    /// Record requests and their answers in this folder: TFRecord files of
    /// PredictionLog, named after the model
    #[arg(long = "request_log_dir", value_name = "DIR", help_heading = "Request log")]
    pub request_log_dir: Option<PathBuf>,

    /// This part of them, 0 to 1; what model.toml or logging_config says goes before
    #[arg(
        long = "request_log_sampling_rate",
        value_name = "RATE",
        default_value = "0.01",
        help_heading = "Request log"
    )]
    pub request_log_sampling_rate: SamplingRate,

    /// Begin another file when one has so many bytes
    #[arg(
        long = "request_log_file_bytes",
        value_name = "BYTES",
        default_value_t = 64 << 20,
        help_heading = "Request log"
    )]
    pub request_log_file_bytes: u64,

    /// Begin another file when one is so old
    #[arg(
        long = "request_log_file_seconds",
        value_name = "SECONDS",
        default_value_t = 3600.0,
        help_heading = "Request log"
    )]
    pub request_log_file_seconds: f64,

    /// Keep so many files of a model and delete older ones; 0: keep all
    #[arg(long = "request_log_files", value_name = "N", default_value_t = 16, help_heading = "Request log")]
    pub request_log_files: usize,
}

/// What is recorded, as far as the command line says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestLogConfig {
    /// The folder of the files, and how many requests of a model of which nothing
    /// else is said; `None` when only models with a place of their own are recorded.
    pub dir: Option<(PathBuf, SamplingRate)>,
    /// When a new file is begun, and how many are kept.
    pub rotation: Rotation,
}

/// Checks the flags.
pub(super) fn resolve(flags: &RequestLogFlags) -> Result<RequestLogConfig, ConfigError> {
    let dir = flags.request_log_dir.clone().filter(|dir| !dir.as_os_str().is_empty());
    let file_bytes = flags.request_log_file_bytes;
    // So that what was written can be read back.
    if !(1..=limits::REQUEST_LOG_FILE_BYTES_MAX).contains(&file_bytes) {
        let most = limits::REQUEST_LOG_FILE_BYTES_MAX;
        return Err(invalid("request_log_file_bytes", format!("expected 1 to {most}, got {file_bytes}")));
    }
    let seconds = flags.request_log_file_seconds;
    let file_age = Duration::try_from_secs_f64(seconds).ok();
    let Some(file_age) = file_age.filter(|age| (Duration::from_secs(1)..=MAX_PAUSE).contains(age)) else {
        let why = format!("expected 1 to 86400 seconds, got {seconds}");
        return Err(invalid("request_log_file_seconds", why));
    };
    let files_kept = (flags.request_log_files > 0).then_some(flags.request_log_files);
    Ok(RequestLogConfig {
        dir: dir.map(|dir| (dir, flags.request_log_sampling_rate)),
        rotation: Rotation { file_bytes, file_age, files_kept },
    })
}

/// The one type of log collector there is.
const COLLECTOR: &str = "tfrecord";

/// Reads the `logging_config` of a listed model, and what of it has no effect.
///
/// # Errors
/// NOT_FOUND for a collector of another type, in the reference's words;
/// INVALID_ARGUMENT for a prefix that is no absolute path, and for a rate out of range.
pub(super) fn listed(
    model: &pb::ModelConfig,
) -> Result<(Option<RequestLogSettings>, Option<String>), ServingError> {
    let Some(config) = &model.logging_config else { return Ok((None, None)) };
    let name = &model.name;
    let collector = config.log_collector_config.clone().unwrap_or_default();
    if !collector.r#type.is_empty() && collector.r#type != COLLECTOR {
        let kind = &collector.r#type;
        let text = format!(
            "Cannot find LogCollector::Factory for type: {kind} (model {name}: expected \"{COLLECTOR}\", or none)"
        );
        return Err(ServingError::new(Code::NotFound, text));
    }
    let place = "logging_config.log_collector_config.filename_prefix";
    let prefix = super::model_list::local_path(&collector.filename_prefix).ok_or_else(|| {
        ServingError::invalid_argument(format!(
            "model {name}: expected an absolute path in {place}, such as /var/log/longshore/{name}; got {:?}",
            collector.filename_prefix
        ))
    })?;
    let sampling = config.sampling_config.clone().unwrap_or_default();
    let rate = SamplingRate::try_from(sampling.sampling_rate).map_err(|why| {
        let place = "logging_config.sampling_config.sampling_rate";
        ServingError::invalid_argument(format!("model {name}: {place}: {why}"))
    })?;
    let warning = if config.custom_logging_config.is_some() {
        Some("logging_config.custom_logging_config has no effect: there are no other loggers here")
    } else if !sampling.per_task_sampling_configs.is_empty() {
        Some("per_task_sampling_configs have no effect: a server here is no numbered task")
    } else if rate.get() == 0.0 {
        Some("logging_config records nothing: its sampling_config.sampling_rate is 0")
    } else {
        None
    };
    let settings = RequestLogSettings { sampling_rate: rate, filename_prefix: Some(in_folder(prefix, name)) };
    Ok((Some(settings), warning.map(|warning| format!("model {name}: {warning}"))))
}

/// A prefix that ends with `/` is a folder: the files in it begin with the model's name.
fn in_folder(prefix: PathBuf, model: &str) -> PathBuf {
    let is_folder = prefix.as_os_str().as_encoded_bytes().ends_with(b"/");
    if is_folder { prefix.join(model) } else { prefix }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::textproto;

    fn read(config: &str) -> Result<(Option<RequestLogSettings>, Option<String>), ServingError> {
        let text = format!("name: \"m\" {config}");
        listed(&textproto::parse("tensorflow.serving.ModelConfig", &text).unwrap())
    }

    #[test]
    fn what_a_list_says_is_taken_or_refused_by_name() {
        assert_eq!(read("").unwrap(), (None, None));
        let good = |collector: &str| {
            let text = format!(
                "logging_config {{ log_collector_config {{ {collector} }} sampling_config {{ sampling_rate: 0.5 }} }}"
            );
            let (settings, warning) = read(&text).unwrap();
            assert_eq!(warning, None);
            let settings = settings.unwrap();
            assert_eq!(settings.sampling_rate.get(), 0.5);
            settings.filename_prefix.unwrap()
        };
        assert_eq!(good("filename_prefix: '/log/x'"), Path::new("/log/x"));
        assert_eq!(good("type: 'tfrecord' filename_prefix: 'file:///log/x'"), Path::new("/log/x"));
        assert_eq!(good("filename_prefix: '/log/'"), Path::new("/log/m"));

        let refused = |config: &str, code, want: &str| {
            let error = read(config).unwrap_err();
            assert_eq!((error.code(), error.message()), (code, want));
        };
        refused(
            "logging_config { log_collector_config { type: 'kafka' } }",
            Code::NotFound,
            "Cannot find LogCollector::Factory for type: kafka (model m: expected \"tfrecord\", or none)",
        );
        for prefix in ["", "relative/x", "gs://bucket/x"] {
            refused(
                &format!("logging_config {{ log_collector_config {{ filename_prefix: '{prefix}' }} }}"),
                Code::InvalidArgument,
                &format!(
                    "model m: expected an absolute path in logging_config.log_collector_config.filename_prefix, \
                     such as /var/log/longshore/m; got {prefix:?}"
                ),
            );
        }
        refused(
            "logging_config { log_collector_config { filename_prefix: '/x' } sampling_config { sampling_rate: 2 } }",
            Code::InvalidArgument,
            "model m: logging_config.sampling_config.sampling_rate: 2 is not a sampling rate; expected a number \
             from 0 (no request) to 1 (all)",
        );
    }

    #[test]
    fn what_has_no_effect_is_told_so() {
        for (more, want) in [
            ("", "records nothing"),
            ("sampling_config { sampling_rate: 1 per_task_sampling_configs { dc: 'x' } }", "per_task"),
            ("custom_logging_config { }", "custom_logging_config"),
        ] {
            let text =
                format!("logging_config {{ log_collector_config {{ filename_prefix: '/x' }} {more} }}");
            let warning = read(&text).unwrap().1.unwrap();
            assert!(warning.starts_with("model m: ") && warning.contains(want), "{warning}");
        }
    }
}
