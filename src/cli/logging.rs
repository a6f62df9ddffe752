//! Log lines: to stderr, one per event, human or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error(
    "--log_level: {0:?} is not a level or filter; expected error, warn, info, debug, trace or target=level,…"
)]
pub(super) struct BadLevel(String);

/// Installs the process's one subscriber.
pub(super) fn init(format: LogFormat, level: &str) -> Result<(), BadLevel> {
    // What libraries find worth telling their own developers is not for operators.
    let level = if level == "info" { "warn,longshore=info" } else { level };
    let filter = EnvFilter::try_new(level).map_err(|_| BadLevel(level.to_owned()))?;
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call in one process (a test's) keeps the first subscriber.
    let _ = if json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    };
    Ok(())
}
