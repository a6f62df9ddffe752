//! Batching as the command line and its files state it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::textproto::{self, NotTextProto};
use super::{ConfigError, invalid};
use crate::execution::{BatchOptions, BatchParameters};
use crate::limits;
use crate::proto::tensorflow::serving as pb;

/// The file in a version's folder that says how this version is batched.
pub const BATCHING_PARAMETERS_FILE: &str = "batching_params.pbtxt";

/// The flags of batching, as TensorFlow Serving has them.
#[derive(Debug, Clone, Default, Args)]
pub struct BatchingFlags {
    /// Let requests that wait at the same time run together
    #[arg(long = "enable_batching", help_heading = "Batching", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub enable_batching: bool,

    /// How: a text file of BatchingParameters; needs --enable_batching
    #[arg(long = "batching_parameters_file", value_name = "FILE", help_heading = "Batching")]
    pub batching_parameters_file: Option<PathBuf>,

    /// Batch only versions whose folder holds a batching_params.pbtxt, as it says
    #[arg(long = "enable_per_model_batching_parameters", help_heading = "Batching", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub enable_per_model_batching_parameters: bool,
}

/// Which models are batched, and how, as far as the command line says so. What
/// `model.toml` says of its model goes before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BatchingConfig {
    /// None.
    #[default]
    Off,
    /// All in this way.
    All(BatchOptions),
    /// Versions that have a [`BATCHING_PARAMETERS_FILE`], as it says.
    PerVersion,
}

/// What `--batching_parameters_file` says of the threads that run batches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreadsOfBatches {
    /// How many: `num_batch_threads`.
    pub number: Option<usize>,
    /// What they are called: `thread_pool_name`.
    pub name: Option<String>,
}

/// Reads the flags, and the file that they name.
pub(super) fn resolve(flags: &BatchingFlags) -> Result<(BatchingConfig, ThreadsOfBatches), ConfigError> {
    const FLAG: &str = "batching_parameters_file";
    // An empty path is the reference's way to say that there is none.
    let path = flags.batching_parameters_file.as_deref().filter(|path| !path.as_os_str().is_empty());
    if !flags.enable_batching {
        if path.is_some() {
            let text = "server_options.batching_parameters_file is set without setting \
                        server_options.enable_batching to true.";
            return Err(invalid(FLAG, text.to_owned()));
        }
        return Ok(Default::default());
    }
    let unreadable = |why: String| invalid(FLAG, format!("Invalid protobuf file: '{}' ({why})", shown(path)));
    let parameters = match path {
        None => pb::BatchingParameters::default(),
        Some(path) => parse(&read(path).map_err(unreadable)?).map_err(|why| unreadable(why.to_string()))?,
    };
    let threads = ThreadsOfBatches {
        number: parameters.num_batch_threads.map(number_of_threads).transpose()?,
        name: parameters.thread_pool_name.clone().filter(|name| !name.is_empty()),
    };
    if threads.name.as_ref().is_some_and(|name| name.contains('\0')) {
        return Err(invalid(FLAG, "thread_pool_name holds a zero byte".to_owned()));
    }
    let config = if flags.enable_per_model_batching_parameters {
        BatchingConfig::PerVersion
    } else {
        let options = BatchOptions::new(&plain(parameters));
        BatchingConfig::All(options.map_err(|why| invalid(FLAG, why.to_string()))?)
    };
    Ok((config, threads))
}

/// Reads the content of a [`BATCHING_PARAMETERS_FILE`]. Of the threads, which all
/// models share, it says nothing that counts.
///
/// # Errors
/// [`NotTextProto`], with its place.
pub fn batching_parameters(content: &[u8]) -> Result<BatchParameters, NotTextProto> {
    parse(content).map(plain)
}

fn parse(content: &[u8]) -> Result<pb::BatchingParameters, NotTextProto> {
    // What is no text becomes a character that no configuration holds, in its place.
    textproto::parse("tensorflow.serving.BatchingParameters", &String::from_utf8_lossy(content))
}

fn plain(parameters: pb::BatchingParameters) -> BatchParameters {
    BatchParameters {
        max_batch_size: parameters.max_batch_size,
        batch_timeout_micros: parameters.batch_timeout_micros,
        max_enqueued_batches: parameters.max_enqueued_batches,
        allowed_batch_sizes: parameters.allowed_batch_sizes,
        pad_variable_length_inputs: parameters.pad_variable_length_inputs,
        enable_large_batch_splitting: parameters.enable_large_batch_splitting.unwrap_or(false),
        max_execution_batch_size: parameters.max_execution_batch_size,
    }
}

fn number_of_threads(number: i64) -> Result<usize, ConfigError> {
    let wrong = |why: String| invalid("batching_parameters_file", why);
    if number < 1 {
        return Err(wrong(format!("num_batch_threads must be positive; was {number}")));
    }
    let max = limits::BATCH_THREADS_MAX;
    usize::try_from(number)
        .ok()
        .filter(|&number| number <= max)
        .ok_or_else(|| wrong(format!("num_batch_threads must not exceed {max}; was {number}")))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let max = limits::BATCHING_PARAMETERS_BYTES_MAX;
    let file = std::fs::File::open(path).map_err(|why| why.to_string())?;
    let mut content = Vec::new();
    // One byte more than is taken tells a file that is too long.
    file.take(max + 1).read_to_end(&mut content).map_err(|why| why.to_string())?;
    if content.len() as u64 > max {
        return Err(format!("it has more than {max} bytes"));
    }
    Ok(content)
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn flags(file: Option<&Path>) -> BatchingFlags {
        BatchingFlags {
            enable_batching: true,
            batching_parameters_file: file.map(Path::to_owned),
            enable_per_model_batching_parameters: false,
        }
    }

    fn options(text: &str) -> BatchOptions {
        BatchOptions::new(&batching_parameters(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn off_unless_asked_for() {
        let off = (BatchingConfig::Off, ThreadsOfBatches::default());
        assert_eq!(resolve(&BatchingFlags::default()), Ok(off));
        let (config, _) = resolve(&flags(None)).unwrap();
        assert_eq!(config, BatchingConfig::All(options("")));
    }

    #[test]
    fn the_file_says_how_and_with_which_threads() {
        let text = "max_batch_size { value: 8 } num_batch_threads { value: 3 } \
                    thread_pool_name { value: 'pool' } allowed_batch_sizes: 4 allowed_batch_sizes: 8";
        let file = file(text);
        let (config, threads) = resolve(&flags(Some(file.path()))).unwrap();
        assert_eq!(config, BatchingConfig::All(options(text)));
        assert_eq!(threads, ThreadsOfBatches { number: Some(3), name: Some("pool".to_owned()) });
        let per_version =
            BatchingFlags { enable_per_model_batching_parameters: true, ..flags(Some(file.path())) };
        assert_eq!(resolve(&per_version), Ok((BatchingConfig::PerVersion, threads)));
    }

    #[track_caller]
    fn refused(text: &str, want: &str) {
        let file = file(text);
        let got = resolve(&flags(Some(file.path()))).unwrap_err().to_string();
        assert!(got.starts_with("--batching_parameters_file: ") && got.contains(want), "{got}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_the_references_words() {
        refused("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0");
        refused("num_batch_threads { value: 1000000 }", "num_batch_threads must not exceed 1024");
        refused("batch_timeout_micros { value: -5 }", "batch_timeout_micros must be non-negative; was -5");
        refused("max_enqueued_batches { value: 0 }", "max_enqueued_batches must be positive; was 0");
        refused(
            "allowed_batch_sizes: 7",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 7; expected 1000",
        );
        refused("thread_pool_name { value: '\\000' }", "zero byte");
        refused("nonsense", "Invalid protobuf file: '");
        refused(&"#".repeat(70_000), "more than 65536 bytes");
        let mut missing = flags(Some(Path::new("/nowhere/at/all")));
        let why = resolve(&missing).unwrap_err().to_string();
        assert!(why.contains("Invalid protobuf file: '/nowhere/at/all' ("), "{why}");
        missing.enable_batching = false;
        let why = resolve(&missing).unwrap_err().to_string();
        let want = "server_options.batching_parameters_file is set without setting \
                    server_options.enable_batching to true.";
        assert!(why.contains(want), "{why}");
    }
}
