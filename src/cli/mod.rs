//! The commands: what was typed becomes a configuration, the configuration a
//! server, and its end an exit code.

mod banner;
mod engines;
mod logging;
mod record_warmup;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{ServeFlags, ServerConfig, normalize};
use crate::server::App;

const ABOUT: &str =
    "Longshore, a model inference server: TensorFlow Serving's API for scikit-learn files, no Python inside.";

const EXAMPLES: &str = "\
Examples:
  longshore
      serve every model in ./model_repository on port 8500
  longshore --model_repository=/srv/models --port=9000
      another folder, another port
  longshore --model_name=prices --model_base_path=/srv/models/prices
      one model, as tensorflow_model_server does it; its other flags are accepted too (docs/flags.md)

A repository is folders: model_repository/<model>/<version>/model.pkl
Drop a new version folder beside the old one and it takes over; delete it and the old one is back.
Flags may be written with _ or -, and with = or a space before the value.

Exit codes: 0 stopped cleanly, 1 could not start or serve, 64 wrong usage.";

#[derive(Debug, Parser)]
#[command(
    name = "longshore",
    disable_version_flag = true,
    args_override_self = true,
    about = ABOUT,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: ServeFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve models; what longshore does when no command is named
    #[command(after_help = EXAMPLES, max_term_width = 100, args_override_self = true)]
    Serve(Box<ServeFlags>),
    /// Write a version's warm-up file, from JSON requests or a request log
    #[command(after_help = record_warmup::EXAMPLES, max_term_width = 100)]
    RecordWarmup(record_warmup::RecordFlags),
    /// Show which engines are there, which version, from where, and how to get what is missing
    #[command(after_help = engines::EXAMPLES, max_term_width = 100)]
    Engines(engines::EnginesFlags),
}

/// How the reference begins what it says of a start that failed.
const FAILED: &str = "Failed to start server. Error: ";

/// The release of TensorFlow Serving whose flags and API these are.
const REFERENCE: &str = "2.20.0";

/// `EX_USAGE` of `sysexits.h`: the command line was wrong.
const EXIT_USAGE: u8 = 64;

/// Runs the command line to its end.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match Line::try_parse_from(normalize(args)) {
        Ok(line) => line,
        Err(error) => {
            // Nothing is left to do when even this cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let flags = match line.command {
        Some(Command::Serve(flags)) => *flags,
        Some(Command::RecordWarmup(flags)) => {
            return match record_warmup::run(flags) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("longshore: {error}");
                    ExitCode::FAILURE
                }
            };
        }
        Some(Command::Engines(flags)) => {
            // A closed stdout is nothing to complain of.
            let _ = engines::run(&flags);
            return ExitCode::SUCCESS;
        }
        None => line.serve,
    };
    if flags.version {
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        println!("longshore {VERSION}\nTensorFlow ModelServer: {REFERENCE}-longshore-{VERSION}");
        println!("TensorFlow Library: none");
        return ExitCode::SUCCESS;
    }
    let usage = |what: &dyn std::fmt::Display| {
        eprintln!("longshore: {what}\n\nFor more information, try '--help'.");
        ExitCode::from(EXIT_USAGE)
    };
    let config = match ServerConfig::resolve(&flags) {
        Ok(config) => config,
        Err(error) => return usage(&format_args!("{FAILED}INVALID_ARGUMENT: {error}")),
    };
    if let Err(error) = logging::init(flags.log_format, &flags.log_level) {
        return usage(&error);
    }
    for warning in config.warnings.iter().chain(&flags.remarks()) {
        tracing::warn!("{warning}");
    }
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("longshore: {FAILED}UNKNOWN: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: ServerConfig) -> Result<(), Box<dyn std::error::Error>> {
    // The control plane's loop; requests have loops of their own.
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    control.block_on(async {
        let stop = crate::server::stop_signals()?;
        let app = App::bind(config)?;
        app.run(stop, banner::print).await?;
        Ok(())
    })
}
