//! The command line, as typed.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::batching::BatchingFlags;
use super::flag_table::OtherFlags;
use super::libraries::LibraryFlags;
use super::request_log::RequestLogFlags;
use super::tensorflow::TensorflowFlags;
use super::tls::TlsFlags;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `human` on a terminal, `json` otherwise.
    Auto,
    /// One readable line each.
    Human,
    /// One JSON object a line.
    Json,
}

/// The flags of `longshore serve`.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags are what they are")]
pub struct ServeFlags {
    /// Serve every folder in this one as a model named after it
    /// [default: model_repository]
    #[arg(long = "model_repository", value_name = "DIR", help_heading = "What to serve")]
    pub model_repository: Option<OsString>,

    /// Serve one model under this name; goes with --model_base_path
    #[arg(long = "model_name", value_name = "NAME", help_heading = "What to serve")]
    pub model_name: Option<String>,

    /// The folder that holds the one model's versions: DIR/1, DIR/2, …
    #[arg(long = "model_base_path", value_name = "DIR", help_heading = "What to serve")]
    pub model_base_path: Option<OsString>,

    /// Serve the models that this file lists: a text-format ModelServerConfig
    #[arg(long = "model_config_file", value_name = "FILE", help_heading = "What to serve")]
    pub model_config_file: Option<OsString>,

    /// Read that file again this often; 0: never
    #[arg(
        long = "model_config_file_poll_wait_seconds",
        value_name = "SECONDS",
        default_value_t = 0,
        allow_negative_numbers = true,
        help_heading = "What to serve"
    )]
    pub model_config_file_poll_wait_seconds: i32,

    /// Follow symbolic links that lead out of the repository
    #[arg(long = "follow_symlinks", help_heading = "What to serve", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub follow_symlinks: bool,

    /// The port for gRPC; 0 picks a free one, or none beside --grpc_socket_path
    #[arg(long, value_name = "PORT", default_value_t = 8500, help_heading = "Where to listen")]
    pub port: u16,

    /// Listen for gRPC on this Unix socket too
    #[arg(long = "grpc_socket_path", value_name = "FILE", help_heading = "Where to listen")]
    pub grpc_socket_path: Option<OsString>,
    /// The port for REST; 0: no REST [default: 8501]
    #[arg(long = "rest_api_port", value_name = "PORT", help_heading = "Where to listen")]
    pub rest_api_port: Option<u16>,

    /// How long a model may take for one REST request; 0: as long as it takes
    #[arg(
        long = "rest_api_timeout_in_ms",
        value_name = "MS",
        default_value_t = 30_000,
        allow_negative_numbers = true,
        help_heading = "REST"
    )]
    pub rest_api_timeout_in_ms: i64,

    /// Whether and where metrics are served on the REST port: a text-format MonitoringConfig
    /// [default: at /monitoring/prometheus/metrics]
    #[arg(long = "monitoring_config_file", value_name = "FILE", help_heading = "REST")]
    pub monitoring_config_file: Option<OsString>,

    /// Let browsers call REST from other sites (CORS headers in every answer)
    #[arg(long = "rest_api_enable_cors_support", help_heading = "REST", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub rest_api_enable_cors_support: bool,

    /// Accepted; REST runs on the I/O threads
    #[arg(
        long = "rest_api_num_threads",
        value_name = "N",
        allow_negative_numbers = true,
        hide = true,
        help_heading = "REST"
    )]
    pub rest_api_num_threads: Option<i64>,

    /// The address to listen on [default: all, of IPv6 and IPv4]
    #[arg(long = "bind_address", value_name = "IP", help_heading = "Where to listen")]
    pub bind_address: Option<String>,

    /// gRPC's channel arguments, as name=value,name=value (docs/flags.md)
    #[arg(
        long = "grpc_channel_arguments",
        value_name = "ARGS",
        default_value = "",
        hide_default_value = true,
        help_heading = "Where to listen"
    )]
    pub grpc_channel_arguments: String,

    /// Take reloads from other machines too, and not from this one alone
    #[arg(long = "allow_remote_management", help_heading = "Where to listen", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub allow_remote_management: bool,

    /// Answer with tensor_content instead of typed fields
    #[arg(long = "enable_serialization_as_tensor_content", help_heading = "Where to listen", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub enable_serialization_as_tensor_content: bool,

    /// Let Classify and Regress use signatures of their own method alone
    #[arg(long = "enable_signature_method_name_check", help_heading = "What to serve", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub enable_signature_method_name_check: bool,

    /// Look for new versions this often, besides when the file system says so;
    /// 0: only once, at start; negative: only when the file system says so
    #[arg(
        long = "file_system_poll_wait_seconds",
        value_name = "SECONDS",
        default_value_t = 1,
        allow_negative_numbers = true,
        help_heading = "Rollouts"
    )]
    pub file_system_poll_wait_seconds: i32,

    /// Load a version once its files have rested this long
    #[arg(long = "version_settle_ms", value_name = "MS", default_value_t = 500, help_heading = "Rollouts")]
    pub version_settle_ms: u64,

    /// Replay the requests of a version's warm-up file before it is served
    #[arg(long = "enable_model_warmup", help_heading = "Rollouts", num_args = 0..=1,
          require_equals = true, default_value_t = true, default_missing_value = "true",
          action = clap::ArgAction::Set, value_name = "BOOL", hide_default_value = true,
          hide_possible_values = true)]
    pub enable_model_warmup: bool,

    /// Replay each of them so often; 0: once
    #[arg(
        long = "num_request_iterations_for_warmup",
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true,
        help_heading = "Rollouts"
    )]
    pub num_request_iterations_for_warmup: i32,

    /// Threads that load models; 0: one per core
    #[arg(long = "num_load_threads", value_name = "N", default_value_t = 0, help_heading = "Rollouts",
          value_parser = clap::value_parser!(u32).range(0..=i64::from(i32::MAX)))]
    pub num_load_threads: u32,

    /// Threads that free models; 0: one
    #[arg(long = "num_unload_threads", value_name = "N", default_value_t = 0, help_heading = "Rollouts",
          value_parser = clap::value_parser!(u32).range(0..=i64::from(i32::MAX)))]
    pub num_unload_threads: u32,

    /// Try a version that failed so often again [default: as long as it is wanted]
    #[arg(long = "max_num_load_retries", value_name = "N", help_heading = "Rollouts")]
    pub max_num_load_retries: Option<u32>,

    /// With this pause between two tries [default: 1 s growing to 60 s]
    #[arg(
        long = "load_retry_interval_micros",
        value_name = "MICROS",
        allow_negative_numbers = true,
        help_heading = "Rollouts"
    )]
    pub load_retry_interval_micros: Option<i64>,

    /// A reload answers after this long at the latest
    #[arg(
        long = "reload_timeout",
        value_name = "SECONDS",
        default_value_t = 60.0,
        allow_negative_numbers = true,
        help_heading = "Rollouts"
    )]
    pub reload_timeout: f64,

    /// A label for a version that is not loaded is no error of a reload
    #[arg(long = "allow_version_labels_for_unavailable_models", help_heading = "Rollouts", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub allow_version_labels_for_unavailable_models: bool,

    /// After SIGTERM or SIGINT, go on serving this long while load balancers
    /// notice that health says NOT_SERVING
    #[arg(
        long = "drain_grace",
        value_name = "SECONDS",
        default_value_t = 2.0,
        allow_negative_numbers = true,
        help_heading = "Stopping"
    )]
    pub drain_grace: f64,

    /// Then wait at most this long for requests in flight
    #[arg(
        long = "drain_timeout",
        value_name = "SECONDS",
        default_value_t = 25.0,
        allow_negative_numbers = true,
        help_heading = "Stopping"
    )]
    pub drain_timeout: f64,

    /// Threads for network and light models; 0: one per core
    #[arg(long = "io_threads", value_name = "N", default_value_t = 0, help_heading = "Threads")]
    pub io_threads: usize,

    /// Threads for heavy models; 0: one per core
    #[arg(long = "compute_threads", value_name = "N", default_value_t = 0, help_heading = "Threads")]
    pub compute_threads: usize,

    /// A request expected to take less than this runs on the network thread
    #[arg(
        long = "inline_below_micros",
        value_name = "MICROS",
        default_value_t = 100,
        help_heading = "Threads"
    )]
    pub inline_below_micros: u64,

    /// Whether and how requests are batched.
    #[command(flatten)]
    pub batching: BatchingFlags,

    /// Which requests are recorded.
    #[command(flatten)]
    pub request_log: RequestLogFlags,

    /// Which foreign libraries run models.
    #[command(flatten)]
    pub libraries: LibraryFlags,

    /// How SavedModels are run.
    #[command(flatten)]
    pub tensorflow: TensorflowFlags,

    /// Who can listen in.
    #[command(flatten)]
    pub tls: TlsFlags,

    /// How log lines look; auto is human on a terminal and json otherwise
    #[arg(
        long = "log_format",
        value_name = "auto|human|json",
        value_enum,
        hide_possible_values = true,
        default_value_t = LogFormat::Auto,
        help_heading = "Logs"
    )]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a filter such as
    /// longshore=debug,h2=info
    #[arg(long = "log_level", value_name = "LEVEL", default_value = "info", help_heading = "Logs")]
    pub log_level: String,

    /// Print the version
    #[arg(short = 'V', long = "version", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          value_name = "BOOL", hide_default_value = true, hide_possible_values = true)]
    pub version: bool,

    /// Those of the reference that do nothing here.
    #[command(flatten)]
    pub others: OtherFlags,
}

impl ServeFlags {
    /// What the person at the command line should know: flags that were accepted
    /// and do nothing, and what was understood in an unexpected way.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.rest_api_num_threads.is_some() {
            remarks.push(
                "--rest_api_num_threads has no meaning here: REST runs on the I/O threads (--io_threads)"
                    .to_owned(),
            );
        }
        if self.port != 0 && self.rest_api_port == Some(self.port) {
            remarks.push("--rest_api_port is the same as --port: REST is not served".to_owned());
        }
        remarks
    }
}

/// Makes `--model-name` and `--model_name` one flag: dashes within a flag's name
/// become underscores, as TensorFlow Serving spells them. Values stay as they are.
pub fn normalize(args: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut only_values = false;
    let mut after_flag = false;
    args.into_iter().map(move |arg| {
        let text = arg.to_str();
        if only_values || text == Some("--") {
            only_values = true;
            return arg;
        }
        // `--flag --value`: what follows a flag without `=` may be its value. A
        // value that looks like a flag of ours is taken for one, as clap does.
        let is_value = std::mem::replace(&mut after_flag, false) && text.is_none_or(|t| !t.starts_with("--"));
        match text.and_then(|t| t.strip_prefix("--")) {
            Some(rest) if !is_value => {
                let (name, value) = match rest.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (rest, None),
                };
                after_flag = value.is_none();
                let name = name.replace('-', "_");
                match value {
                    Some(value) => format!("--{name}={value}").into(),
                    None => format!("--{name}").into(),
                }
            }
            _ => arg,
        }
    })
}
