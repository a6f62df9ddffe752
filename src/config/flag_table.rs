//! Every flag of `tensorflow_model_server` that is not a capability of ours with
//! flags of its own, and what it does here. `docs/flags.md` shows this table.
//!
//! The flags that mean something are fields of [`ServeFlags`](super::ServeFlags)
//! and stand here for the record. The others exist in this table alone: they are
//! accepted, checked for their type, and answered with one warning or refused.
//! Source: TensorFlow Serving 2.20, `model_servers/main.cc`.

use clap::{Arg, ArgMatches, Command};

/// What values a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true`, `false`, or the bare flag.
    Bool,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A number.
    Float,
    /// Any text.
    Text,
}

/// What a flag does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// It means something; how, where it differs.
    Honoured(&'static str),
    /// Accepted with a warning that says why it does nothing. No word is lost
    /// over `quiet`, a value that asks for nothing.
    Ignored {
        /// Why.
        why: &'static str,
        /// The value that asks for nothing.
        quiet: &'static str,
    },
    /// Refused unless it has the value `quiet`: to ignore it would change who can
    /// listen in, or what is answered.
    Refused {
        /// Why, and what to do.
        why: &'static str,
        /// The value that asks for nothing.
        quiet: &'static str,
    },
}

/// One flag of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// What it does here.
    pub here: Here,
}

const fn honoured(name: &'static str, kind: Kind, how: &'static str) -> Flag {
    Flag { name, kind, here: Here::Honoured(how) }
}

const fn ignored(name: &'static str, kind: Kind, quiet: &'static str, why: &'static str) -> Flag {
    Flag { name, kind, here: Here::Ignored { why, quiet } }
}

const fn refused(name: &'static str, kind: Kind, why: &'static str) -> Flag {
    let quiet = match kind {
        Kind::Bool => "false",
        _ => "",
    };
    Flag { name, kind, here: Here::Refused { why, quiet } }
}

use Kind::{Bool, Float, Int32, Int64, Text};

const NO_FACTORY: &str =
    "no factories of thread pools are built in; --compute_threads sets the threads for models";
const NO_TFLITE: &str = "no TensorFlow Lite model is served here";
const NO_XLA: &str = "there is no XLA compiler here";

/// The flags, in the reference's order.
pub const FLAGS: &[Flag] = &[
    honoured("port", Int32, "0 without --grpc_socket_path picks a free port and prints it"),
    honoured("grpc_socket_path", Text, "beside the TCP port; with --port=0 instead of it"),
    honoured(
        "allow_version_labels_for_unavailable_models",
        Bool,
        "a reload is no error for such a label; every other label is set in either case",
    ),
    honoured("model_config_file", Text, "as there; --model_name and --model_base_path are then ignored"),
    honoured(
        "model_config_file_poll_wait_seconds",
        Int32,
        "a file that says what is served already changes nothing",
    ),
    honoured("model_name", Text, "needs --model_base_path or --model_config_file"),
    honoured("model_base_path", Text, "may be relative to the working directory"),
    honoured("num_load_threads", Int32, "0 is one per core: the manager itself never loads"),
    honoured("num_unload_threads", Int32, "0 is one"),
    honoured(
        "max_num_load_retries",
        Int32,
        "when not given, a wanted version is tried for as long as it is wanted; changed files are always tried again at once",
    ),
    honoured(
        "load_retry_interval_micros",
        Int64,
        "when not given, pauses grow from 1 s to 60 s; at least 10 ms",
    ),
    honoured(
        "file_system_poll_wait_seconds",
        Int32,
        "0 looks once, and again at each reload; negative only when the file system or a reload says so",
    ),
    ignored(
        "flush_filesystem_caches",
        Bool,
        "false",
        "model files are read once and their pages left to the system",
    ),
    honoured(
        "tensorflow_session_parallelism",
        Int64,
        "for SavedModels; a run stays in the thread that asks for it, and only operations use more",
    ),
    honoured(
        "tensorflow_session_config_file",
        Text,
        "for SavedModels; what no flag says is as the file says it, thread counts too",
    ),
    honoured("tensorflow_intra_op_parallelism", Int64, "for SavedModels, as there"),
    honoured(
        "tensorflow_inter_op_parallelism",
        Int64,
        "for SavedModels, while they are loaded: runs stay in the thread that asks for them",
    ),
    refused(
        "use_alts_credentials",
        Bool,
        "ALTS is not supported, and connections would not be encrypted; leave it out, or put a proxy in front",
    ),
    honoured(
        "ssl_config_file",
        Text,
        "as there, and read again when it changes; REST is then served only when --rest_api_port or --rest_api_ssl_config_file is given",
    ),
    refused(
        "platform_config_file",
        Text,
        "platforms cannot be configured; leave it out, engines are chosen by the files",
    ),
    honoured(
        "per_process_gpu_memory_fraction",
        Float,
        "for SavedModels, where TensorFlow's library is built for GPUs",
    ),
    honoured("saved_model_tags", Text, "as there"),
    honoured("grpc_channel_arguments", Text, "those of the second table; others get a warning each"),
    ignored(
        "grpc_max_threads",
        Int32,
        "",
        "requests are not given threads of their own; see --io_threads and --compute_threads",
    ),
    honoured("enable_model_warmup", Bool, "as there, for every platform"),
    honoured("num_request_iterations_for_warmup", Int32, "as there"),
    honoured("version", Bool, "prints `longshore <version>`, and the reference's two lines"),
    ignored(
        "remove_unused_fields_from_bundle_metagraph",
        Bool,
        "true",
        "of a meta graph only its signatures are kept in any case",
    ),
    ignored("prefer_tflite_model", Bool, "false", NO_TFLITE),
    ignored("num_tflite_pools", Int32, "", NO_TFLITE),
    ignored("num_tflite_interpreters_per_pool", Int32, "", NO_TFLITE),
    honoured("enable_signature_method_name_check", Bool, "as there"),
    ignored("xla_cpu_compilation_enabled", Bool, "false", NO_XLA),
    ignored("xla_gpu_compilation_enabled", Bool, "false", NO_XLA),
    ignored("enable_profiler", Bool, "false", "no profiles are taken"),
    ignored("thread_pool_factory_config_file", Text, "", NO_FACTORY),
    ignored("mixed_precision", Text, "", "models are computed in the precision that they were trained for"),
    ignored("skip_initialize_tpu", Bool, "false", "there is no TPU here"),
    ignored("enable_grpc_healthcheck_service", Bool, "true", "the health service is always there"),
    honoured("enable_serialization_as_tensor_content", Bool, "as there"),
];

/// What was said by flags that only this table knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherFlags {
    given: Vec<(&'static Flag, String)>,
}

impl OtherFlags {
    /// One line for each flag that was given and does nothing.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.given.iter().filter_map(|(flag, value)| match flag.here {
            Here::Ignored { why, quiet } if value != quiet => {
                Some(format!("--{} has no effect: {why}", flag.name))
            }
            _ => None,
        })
    }

    /// The first flag that must not be ignored, and why it is refused.
    #[must_use]
    pub fn refused(&self) -> Option<(&'static str, &'static str)> {
        self.given.iter().find_map(|(flag, value)| match flag.here {
            Here::Refused { why, quiet } if value != quiet => Some((flag.name, why)),
            _ => None,
        })
    }

    /// Whether a flag was given with a value other than this.
    #[must_use]
    pub fn has_other_than(&self, name: &str, value: &str) -> bool {
        self.given.iter().any(|(flag, given)| flag.name == name && given != value)
    }
}

fn others() -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(|flag| !matches!(flag.here, Here::Honoured(_)))
}

fn check(kind: Kind, value: &str) -> Result<String, String> {
    let fits = match kind {
        Bool => matches!(value, "true" | "false"),
        Int32 => value.parse::<i32>().is_ok(),
        Int64 => value.parse::<i64>().is_ok(),
        Float => value.parse::<f32>().is_ok(),
        Text => true,
    };
    let wanted = match kind {
        Bool => "true or false",
        Int32 => "an integer of 32 bits",
        Int64 => "an integer of 64 bits",
        Float => "a number",
        Text => "a text",
    };
    if fits { Ok(value.to_owned()) } else { Err(format!("expected {wanted}")) }
}

impl clap::Args for OtherFlags {
    fn augment_args(command: Command) -> Command {
        others().fold(command, |command, flag| {
            let kind = flag.kind;
            let arg = Arg::new(flag.name)
                .long(flag.name)
                .hide(true)
                .allow_hyphen_values(matches!(kind, Int32 | Int64 | Float))
                .value_parser(move |value: &str| check(kind, value));
            command.arg(match kind {
                Bool => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
                _ => arg.num_args(1),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for OtherFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |flag: &'static Flag| Some((flag, matches.get_one::<String>(flag.name)?.clone()));
        Ok(Self { given: others().filter_map(value).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
