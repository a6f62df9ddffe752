//! What the server was told: flags as typed, files as written, and the one checked
//! configuration that they mean.

mod batching;
pub mod flag_table;
mod flags;
mod grpc_options;
mod libraries;
mod model_list;
mod monitoring;
mod request_log;
mod tensorflow;
pub mod textproto;
mod tls;

pub use batching::{
    BATCHING_PARAMETERS_FILE, BatchingConfig, BatchingFlags, ThreadsOfBatches, batching_parameters,
};
pub use flags::{LogFormat, ServeFlags, normalize};
pub use grpc_options::{CHANNEL_ARGUMENTS, GrpcOptions};
pub use libraries::LibraryFlags;
pub(crate) use model_list::unsupported_type;
pub use model_list::{ListedModel, ModelConfigError, ModelList, read_model_config};
pub use monitoring::DEFAULT_METRICS_PATH;
pub use request_log::{RequestLogConfig, RequestLogFlags};
pub use tensorflow::TensorflowFlags;
pub use tls::{TlsFile, TlsFlags, read_ssl_config};

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engines::EngineOptions;
use crate::ids::ModelName;
use crate::limits;
use crate::repository::Poll;

/// What the server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Models {
    /// Every child folder of this folder is a model, named after it.
    Repository(PathBuf),
    /// One model of this name, whose versions are the children of this folder.
    Single(ModelName, PathBuf),
    /// These; `None` when the file says nothing, which is not the same as an
    /// empty list.
    Listed(Option<ModelList>),
}

/// The file that lists the models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// How often it is read again; `None` for never.
    pub poll: Option<Duration>,
}

/// When a version that failed to load is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadRetries {
    /// How often; `None` for as long as it is wanted.
    pub most: Option<u32>,
    /// The first pause; it doubles.
    pub pause_first: Duration,
    /// The longest that the pause grows.
    pub pause_max: Duration,
}

impl Default for LoadRetries {
    /// For ever, after 1 s to 60 s.
    fn default() -> Self {
        Self { most: None, pause_first: Duration::from_secs(1), pause_max: Duration::from_secs(60) }
    }
}

/// How the list of models may be changed while it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadOptions {
    /// A reload answers after this long at the latest.
    pub timeout: Duration,
    /// Whether other machines may ask for one.
    pub allow_remote: bool,
    /// Whether a label for a version that is not available is no error.
    pub allow_unavailable_labels: bool,
}

impl Default for ReloadOptions {
    /// A minute, this machine only, and an error.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(60), allow_remote: false, allow_unavailable_labels: false }
    }
}

/// Everything the server needs to know, checked and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// What is served.
    pub models: Models,
    /// The file that [`Models::Listed`] was read from.
    pub model_config_file: Option<ModelConfigFile>,
    /// How the list may be changed.
    pub reload: ReloadOptions,
    /// Where gRPC listens, where `::` is IPv4 too; port 0 lets the system pick, `None` is no TCP port.
    pub grpc_address: Option<SocketAddr>,
    /// The Unix socket where gRPC listens too.
    pub grpc_socket: Option<PathBuf>,
    /// How connections are kept.
    pub grpc: GrpcOptions,
    /// The keys of gRPC's TLS, on the port and on the socket; `None`: no TLS.
    pub grpc_tls: Option<TlsFile>,
    /// Whether answers carry `tensor_content` rather than typed fields.
    pub tensor_content: bool,
    /// Where REST listens; port 0 lets the system pick. `None`: nowhere.
    pub rest_address: Option<SocketAddr>,
    /// The keys of REST's TLS; `None`: no TLS.
    pub rest_tls: Option<TlsFile>,
    /// Whether to go on without REST when its port is taken: nobody asked for it.
    pub rest_may_be_absent: bool,
    /// How long a model may take for one REST request; `None`: as long as it takes.
    pub rest_timeout: Option<Duration>,
    /// Whether REST answers carry CORS headers.
    pub rest_cors: bool,
    /// Where the metrics are on the REST port; `None` for nowhere.
    pub metrics_path: Option<String>,
    /// Whether Classify and Regress want a signature of their own method.
    pub signature_method_name_check: bool,
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
    /// Threads that free models.
    pub unload_threads: usize,
    /// When a version that failed to load is tried again.
    pub retries: LoadRetries,
    /// What the engines share.
    pub engines: EngineOptions,
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
    /// Which requests are recorded.
    pub request_log: RequestLogConfig,
    /// How long requests are still taken after the signal to stop.
    pub drain_grace: Duration,
    /// How long requests in flight may take to finish after that.
    pub drain_timeout: Duration,
    /// What is worth a line in the log: what was asked for and is not done.
    pub warnings: Vec<String>,
}

/// What is wrong with the configuration, naming the flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The list of models cannot be served.
    #[error("--model_config_file: {0}")]
    Models(#[from] ModelConfigError),
    /// A flag needs another one.
    #[error("--{0} needs --{1} beside it")]
    Needs(&'static str, &'static str),
    /// Two flags exclude each other.
    #[error("--{0} and --{1} exclude each other: each says which models are served")]
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
    /// Checks the flags, reads the files that they name and fills in what they
    /// leave open. Looks at no model: a folder that does not exist yet is the
    /// source's business.
    ///
    /// # Errors
    /// [`ConfigError`] for values out of range, flags that contradict each other
    /// or ask for what must not be ignored, and a list that cannot be served.
    pub fn resolve(flags: &ServeFlags) -> Result<Self, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let seconds = |flag, value: f64| {
            Duration::try_from_secs_f64(value)
                .ok()
                .filter(|&d| d <= MAX_PAUSE)
                .ok_or_else(|| invalid(flag, format!("expected 0 to 86400 seconds, got {value}")))
        };
        refuse_what_cannot_be_ignored(flags)?;
        let (grpc, mut warnings) = GrpcOptions::parse(&flags.grpc_channel_arguments)
            .map_err(|why| invalid("grpc_channel_arguments", why))?;
        warnings.extend(flags.others.warnings());
        let (models, model_config_file) = models(flags, &mut warnings)?;
        let grpc_socket = given(flags.grpc_socket_path.as_ref());
        // As the reference: gRPC's own library takes 0.0.0.0 for this too.
        let everywhere = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let address = flags.bind_address.as_deref().map_or(Ok(everywhere), bind_address)?;
        let tls = tls::resolve(&flags.tls)?;
        let mut rest_port = flags.rest_api_port.unwrap_or(DEFAULT_REST_PORT);
        if tls.grpc.is_some() && tls.rest.is_none() && rest_port != 0 {
            // Who encrypts gRPC does not want a second door that is open, unless they
            // ask for it: the reference has none then, and its REST knows no TLS.
            let plain = if flags.rest_api_port.is_none() {
                rest_port = 0;
                "REST is not served: --rest_api_ssl_config_file=FILE serves it over TLS, --rest_api_port=PORT without"
            } else {
                "REST is served without TLS, as in TensorFlow Serving: --rest_api_ssl_config_file=FILE encrypts it"
            };
            warnings.push(format!("--ssl_config_file is for gRPC alone, and {plain}"));
        }
        let (batching, threads_of_batches) = batching::resolve(&flags.batching)?;
        let monitoring = given(flags.monitoring_config_file.as_ref());
        if monitoring.is_some() && rest_port == 0 {
            warnings.push(
                "--monitoring_config_file has no effect: metrics are on the REST port, and there is none"
                    .to_owned(),
            );
        }
        Ok(Self {
            models,
            model_config_file,
            reload: ReloadOptions {
                timeout: seconds("reload_timeout", flags.reload_timeout)?,
                allow_remote: flags.allow_remote_management,
                allow_unavailable_labels: flags.allow_version_labels_for_unavailable_models,
            },
            grpc_address: (flags.port != 0 || grpc_socket.is_none())
                .then(|| SocketAddr::new(address, flags.port)),
            grpc_socket,
            grpc,
            grpc_tls: tls.grpc,
            tensor_content: flags.enable_serialization_as_tensor_content,
            // Two doors on one port: the reference goes on without REST too.
            rest_address: (rest_port != 0 && rest_port != flags.port)
                .then(|| SocketAddr::new(address, rest_port)),
            rest_may_be_absent: flags.rest_api_port.is_none() && tls.rest.is_none(),
            rest_tls: tls.rest,
            rest_timeout: u64::try_from(flags.rest_api_timeout_in_ms)
                .ok()
                .filter(|&ms| ms > 0)
                .map(Duration::from_millis),
            rest_cors: flags.rest_api_enable_cors_support,
            metrics_path: monitoring::metrics_path(monitoring.as_deref())?,
            signature_method_name_check: flags.enable_signature_method_name_check,
            poll: Poll::from_seconds(flags.file_system_poll_wait_seconds.into()),
            settle: Duration::from_millis(flags.version_settle_ms),
            follow_symlinks: flags.follow_symlinks,
            warm_up: flags
                .enable_model_warmup
                .then(|| u32::try_from(flags.num_request_iterations_for_warmup).ok())
                .map(|times| times.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)),
            // The reference's 0 means "inline on the manager thread"; here the
            // manager never loads, so 0 is "as many as are useful".
            load_threads: threads(flags.num_load_threads as usize, cores),
            unload_threads: threads(flags.num_unload_threads as usize, 1),
            retries: retries(flags),
            engines: engines(flags)?,
            io_threads: threads(flags.io_threads, cores),
            compute_threads: threads(flags.compute_threads, threads_of_batches.number.unwrap_or(cores)),
            compute_thread_name: threads_of_batches.name,
            batching,
            request_log: request_log::resolve(&flags.request_log)?,
            inline_below: Duration::from_micros(flags.inline_below_micros),
            drain_grace: seconds("drain_grace", flags.drain_grace)?,
            drain_timeout: seconds("drain_timeout", flags.drain_timeout)?,
            warnings,
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

/// A path that was given, where an empty one is none, as in the reference.
fn given(path: Option<&OsString>) -> Option<PathBuf> {
    path.filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn refuse_what_cannot_be_ignored(flags: &ServeFlags) -> Result<(), ConfigError> {
    if let Some((flag, why)) = flags.others.refused() {
        return Err(invalid(flag, why.to_owned()));
    }
    Ok(())
}

fn engines(flags: &ServeFlags) -> Result<EngineOptions, ConfigError> {
    let mut options = flags.libraries.resolve();
    options.tensorflow = flags.tensorflow.resolve(options.tensorflow)?;
    Ok(options)
}

/// A pause that was given stays the same; without one it grows.
fn retries(flags: &ServeFlags) -> LoadRetries {
    let most = flags.max_num_load_retries;
    match flags.load_retry_interval_micros {
        None => LoadRetries { most, ..LoadRetries::default() },
        Some(micros) => {
            let pause = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
            let pause = pause.clamp(limits::LOAD_RETRY_PAUSE_MIN, MAX_PAUSE);
            LoadRetries { most, pause_first: pause, pause_max: pause }
        }
    }
}

fn models(
    flags: &ServeFlags,
    warnings: &mut Vec<String>,
) -> Result<(Models, Option<ModelConfigFile>), ConfigError> {
    let (repository, base_path) =
        (given(flags.model_repository.as_ref()), given(flags.model_base_path.as_ref()));
    if let Some(path) = given(flags.model_config_file.as_ref()) {
        if repository.is_some() {
            return Err(ConfigError::Excludes("model_repository", "model_config_file"));
        }
        if base_path.is_some() {
            warnings.push("--model_base_path has no effect: --model_config_file lists the models".to_owned());
        }
        let list = read_model_config(&path)?;
        warnings.extend(list.iter().flat_map(ModelList::warnings));
        let poll = u64::try_from(flags.model_config_file_poll_wait_seconds).ok().filter(|&s| s > 0);
        let file = ModelConfigFile { path, poll: poll.map(Duration::from_secs) };
        return Ok((Models::Listed(list), Some(file)));
    }
    let models = match (repository, &flags.model_name, base_path) {
        (Some(_), Some(_), _) => return Err(ConfigError::Excludes("model_repository", "model_name")),
        (Some(_), _, Some(_)) => return Err(ConfigError::Excludes("model_repository", "model_base_path")),
        (None, Some(_), None) => return Err(ConfigError::Needs("model_name", "model_base_path")),
        (None, name, Some(base_path)) => {
            // As the reference, whose default name is `default`.
            let name = name.as_deref().unwrap_or("default");
            let name = ModelName::new(name).map_err(|why| invalid("model_name", why.to_string()))?;
            Models::Single(name, base_path)
        }
        (Some(root), None, None) => Models::Repository(root),
        (None, None, None) => Models::Repository(Path::new(DEFAULT_REPOSITORY).to_owned()),
    };
    Ok((models, None))
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
        assert_eq!(config.grpc_address, Some("[::]:8500".parse().unwrap()));
        let config = resolve(&["--bind_address=0.0.0.0"]).unwrap();
        assert_eq!(config.grpc_address, Some("0.0.0.0:8500".parse().unwrap()));
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
