//! What the server was told: flags as typed, and the one checked configuration
//! that they mean.

mod batching;
mod flags;
pub mod textproto;

pub use batching::{
    BATCHING_PARAMETERS_FILE, BatchingConfig, BatchingFlags, ThreadsOfBatches, batching_parameters,
};
pub use flags::{LogFormat, ServeFlags, normalize};

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ids::ModelName;
use crate::repository::Poll;

/// What the server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Models {
    /// Every child folder of this folder is a model, named after it.
    Repository(PathBuf),
    /// One model of this name, whose versions are the children of this folder.
    Single(ModelName, PathBuf),
}

/// Everything the server needs to know, checked and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// What is served.
    pub models: Models,
    /// Where gRPC listens; port 0 lets the system pick.
    pub grpc_address: SocketAddr,
    /// Where REST listens; port 0 lets the system pick. `None`: nowhere.
    pub rest_address: Option<SocketAddr>,
    /// Whether to go on without REST when its port is taken: nobody asked for it.
    pub rest_may_be_absent: bool,
    /// How long a model may take for one REST request; `None`: as long as it takes.
    pub rest_timeout: Option<Duration>,
    /// Whether REST answers carry CORS headers.
    pub rest_cors: bool,
    /// How often the repository is looked at without a hint.
    pub poll: Poll,
    /// How long a version's files must have rested before it is loaded.
    pub settle: Duration,
    /// Whether symbolic links may leave the repository.
    pub follow_symlinks: bool,
    /// How often each request of a version's warm-up file is replayed before the
    /// version is served; `None` for not at all.
    pub warm_up: Option<NonZeroU32>,
    /// Threads that load models.
    pub load_threads: usize,
    /// I/O loops, one thread each.
    pub io_threads: usize,
    /// Threads for runs too heavy for an I/O loop.
    pub compute_threads: usize,
    /// What those threads are called, where that was said.
    pub compute_thread_name: Option<String>,
    /// A run that is expected to take less stays on the I/O loop.
    pub inline_below: Duration,
    /// Which models are batched, and how.
    pub batching: BatchingConfig,
    /// How long requests are still taken after the signal to stop.
    pub drain_grace: Duration,
    /// How long requests in flight may take to finish after that.
    pub drain_timeout: Duration,
}

/// What is wrong with the configuration, naming the flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A flag needs another one.
    #[error("--{0} needs --{1} beside it")]
    Needs(&'static str, &'static str),
    /// Two flags exclude each other.
    #[error("--{0} and --{1} exclude each other: the one serves one model, the other a folder of models")]
    Excludes(&'static str, &'static str),
    /// A flag's value cannot be used.
    #[error("--{flag}: {why}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was wrong and what was expected.
        why: String,
    },
}

/// The folder that is served when no flag names one.
pub const DEFAULT_REPOSITORY: &str = "model_repository";
/// Where REST listens when no flag says so.
pub const DEFAULT_REST_PORT: u16 = 8501;

impl ServerConfig {
    /// Checks the flags and fills in what they leave open. Looks at nothing but
    /// the flags, the files of settings that they name, and the number of cores: a
    /// folder that does not exist yet is the source's business.
    ///
    /// # Errors
    /// [`ConfigError`] for values out of range and flags that contradict each other.
    pub fn resolve(flags: &ServeFlags) -> Result<Self, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let seconds = |flag, value: f64| {
            Duration::try_from_secs_f64(value)
                .ok()
                .filter(|&d| d <= MAX_PAUSE)
                .ok_or_else(|| invalid(flag, format!("expected 0 to 86400 seconds, got {value}")))
        };
        let address = bind_address(&flags.bind_address)?;
        let rest_port = flags.rest_api_port.unwrap_or(DEFAULT_REST_PORT);
        let (batching, threads_of_batches) = batching::resolve(&flags.batching)?;
        Ok(Self {
            models: models(flags)?,
            grpc_address: SocketAddr::new(address, flags.port),
            // Two doors on one port: the reference goes on without REST too.
            rest_address: (rest_port != 0 && rest_port != flags.port)
                .then(|| SocketAddr::new(address, rest_port)),
            rest_may_be_absent: flags.rest_api_port.is_none(),
            rest_timeout: u64::try_from(flags.rest_api_timeout_in_ms)
                .ok()
                .filter(|&ms| ms > 0)
                .map(Duration::from_millis),
            rest_cors: flags.rest_api_enable_cors_support,
            poll: Poll::from_seconds(flags.file_system_poll_wait_seconds),
            settle: Duration::from_millis(flags.version_settle_ms),
            follow_symlinks: flags.follow_symlinks,
            warm_up: flags
                .enable_model_warmup
                .then(|| u32::try_from(flags.num_request_iterations_for_warmup).ok())
                .map(|times| times.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)),
            // The reference's 0 means "inline on the manager thread"; here the
            // manager never loads, so 0 is "as many as are useful".
            load_threads: threads(flags.num_load_threads, cores),
            io_threads: threads(flags.io_threads, cores),
            compute_threads: threads(flags.compute_threads, threads_of_batches.number.unwrap_or(cores)),
            compute_thread_name: threads_of_batches.name,
            batching,
            inline_below: Duration::from_micros(flags.inline_below_micros),
            drain_grace: seconds("drain_grace", flags.drain_grace)?,
            drain_timeout: seconds("drain_timeout", flags.drain_timeout)?,
        })
    }
}

const MAX_PAUSE: Duration = Duration::from_secs(86_400);

fn invalid(flag: &'static str, why: String) -> ConfigError {
    ConfigError::Value { flag, why }
}

fn threads(asked: usize, cores: usize) -> usize {
    if asked == 0 { cores } else { asked }
}

fn bind_address(text: &str) -> Result<IpAddr, ConfigError> {
    match text {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        text => text.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| {
            invalid("bind_address", format!("expected an IP address such as 127.0.0.1 or ::, got {text:?}"))
        }),
    }
}

fn models(flags: &ServeFlags) -> Result<Models, ConfigError> {
    match (&flags.model_repository, &flags.model_name, &flags.model_base_path) {
        (Some(_), Some(_), _) => Err(ConfigError::Excludes("model_repository", "model_name")),
        (Some(_), _, Some(_)) => Err(ConfigError::Excludes("model_repository", "model_base_path")),
        (None, Some(_), None) => Err(ConfigError::Needs("model_name", "model_base_path")),
        (None, name, Some(base_path)) => {
            // As the reference, whose default name is `default`.
            let name = name.as_deref().unwrap_or("default");
            let name = ModelName::new(name).map_err(|why| invalid("model_name", why.to_string()))?;
            Ok(Models::Single(name, base_path.clone()))
        }
        (Some(root), None, None) => Ok(Models::Repository(root.clone())),
        (None, None, None) => Ok(Models::Repository(Path::new(DEFAULT_REPOSITORY).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: ServeFlags,
    }

    fn resolve(args: &[&str]) -> Result<ServerConfig, String> {
        let line = std::iter::once("longshore").chain(args.iter().copied()).map(Into::into);
        let line = Line::try_parse_from(normalize(line)).map_err(|e| e.to_string())?;
        ServerConfig::resolve(&line.flags).map_err(|e| e.to_string())
    }

    #[test]
    fn no_flags_serve_the_repository_beside_us() {
        let config = resolve(&[]).unwrap();
        assert_eq!(config.models, Models::Repository("model_repository".into()));
        assert_eq!(config.grpc_address, "0.0.0.0:8500".parse().unwrap());
        assert_eq!(config.poll, Poll::Every(Duration::from_secs(1)));
        assert_eq!(config.settle, Duration::from_millis(500));
    }

    #[test]
    fn flags_take_either_spelling() {
        for args in [
            &["--model_name=m", "--model_base_path=/m", "--follow_symlinks"][..],
            &["--model-name", "m", "--model-base-path", "/m", "--follow-symlinks=true"],
            &["--model_name", "m", "--model-base_path=/m", "--follow_symlinks=true"],
        ] {
            let config = resolve(args).unwrap();
            assert_eq!(config.models, Models::Single(ModelName::new("m").unwrap(), "/m".into()));
            assert!(config.follow_symlinks);
        }
        assert!(!resolve(&["--follow_symlinks=false"]).unwrap().follow_symlinks);
        // A value is left as it is, dashes and all.
        let config = resolve(&["--model_repository", "a-b/--c-d"]).unwrap();
        assert_eq!(config.models, Models::Repository("a-b/--c-d".into()));
    }

    #[test]
    fn warm_up_is_on_and_once_unless_said_otherwise() {
        let times = |args: &[&str]| resolve(args).unwrap().warm_up.map(NonZeroU32::get);
        assert_eq!(times(&[]), Some(1));
        assert_eq!(times(&["--enable_model_warmup"]), Some(1));
        assert_eq!(times(&["--num_request_iterations_for_warmup=3"]), Some(3));
        assert_eq!(times(&["--num_request_iterations_for_warmup", "-3"]), Some(1));
        let off = ["--enable_model_warmup=false", "--num_request_iterations_for_warmup=3"];
        assert_eq!(times(&off), None);
    }

    #[test]
    fn a_negative_poll_is_off() {
        assert_eq!(resolve(&["--file_system_poll_wait_seconds=-1"]).unwrap().poll, Poll::Never);
        assert_eq!(resolve(&["--file_system_poll_wait_seconds", "-1"]).unwrap().poll, Poll::Never);
        assert_eq!(resolve(&["--file_system_poll_wait_seconds=0"]).unwrap().poll, Poll::Once);
    }

    #[test]
    fn rest_has_a_port_of_its_own_or_none() {
        let rest = |args: &[&str]| {
            let config = resolve(args).unwrap();
            (config.rest_address.map(|address| address.port()), config.rest_may_be_absent)
        };
        assert_eq!(rest(&[]), (Some(8501), true));
        assert_eq!(rest(&["--rest_api_port=8501"]), (Some(8501), false));
        assert_eq!(rest(&["--rest_api_port=0"]), (None, false));
        assert_eq!(rest(&["--rest_api_port=9000", "--port=9000"]), (None, false));
        assert_eq!(resolve(&[]).unwrap().rest_timeout, Some(Duration::from_secs(30)));
        for none in ["0", "-1"] {
            assert_eq!(resolve(&["--rest_api_timeout_in_ms", none]).unwrap().rest_timeout, None);
        }
        assert!(!resolve(&[]).unwrap().rest_cors);
        assert!(resolve(&["--rest_api_enable_cors_support"]).unwrap().rest_cors);
        assert!(resolve(&["--rest_api_num_threads=8"]).is_ok());
    }

    #[test]
    fn what_does_not_apply_is_said() {
        let line = |args: &[&str]| {
            let line = std::iter::once("longshore").chain(args.iter().copied()).map(Into::into);
            Line::try_parse_from(normalize(line)).unwrap().flags.remarks()
        };
        assert!(line(&[]).is_empty());
        assert!(
            line(&["--rest_api_num_threads=8"])[0].starts_with("--rest_api_num_threads has no meaning here")
        );
        assert!(line(&["--rest_api_port=8500"])[0].starts_with("--rest_api_port is the same as --port"));
    }

    #[track_caller]
    fn refused(args: &[&str], want: &str) {
        let got = resolve(args).expect_err("must be refused");
        assert!(got.contains(want), "{args:?}: {got}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        refused(&["--model_name=m"], "--model_name needs --model_base_path beside it");
        refused(&["--model_name=m", "--model_repository=r"], "exclude each other");
        refused(&["--model_base_path=m", "--model_repository=r"], "exclude each other");
        refused(&["--model_name=a/b", "--model_base_path=/m"], "--model_name: \"a/b\" is not a model name");
        refused(&["--bind_address=here"], "--bind_address: expected an IP address");
        refused(&["--drain_grace=-1"], "--drain_grace: expected 0 to 86400 seconds");
        refused(&["--port=70000"], "--port");
        refused(&["--follow_symlinks=yes"], "--follow_symlinks");
        refused(&["--model_repositry=x"], "--model_repository");
    }
}
