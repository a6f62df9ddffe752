//! `longshore engines`.

use std::io::Write as _;

use clap::Args;

use super::banner::table;
use crate::config::LibraryFlags;
use crate::engines::{EngineReport, Engines};

pub(super) const EXAMPLES: &str = "\
Examples:
  longshore engines
      what a server here would use
  longshore engines --onnxruntime_library=/opt/onnxruntime/lib/libonnxruntime.so
      whether this library would do

A model's own engine is told in its metadata and in GET /v1/models.";

/// Its flags.
#[derive(Debug, Args)]
pub(super) struct EnginesFlags {
    #[command(flatten)]
    libraries: LibraryFlags,
}

/// Prints a line for each engine.
pub(super) fn run(flags: &EnginesFlags) -> std::io::Result<()> {
    let report = Engines::new(flags.libraries.resolve()).report();
    std::io::stdout().write_all(page(&report).as_bytes())
}

fn page(report: &[EngineReport]) -> String {
    let mut rows = vec![["ENGINE", "", "RUNS", "WHERE"].map(str::to_owned)];
    for EngineReport { name, runs, state } in report {
        let (mark, text) = match state {
            Ok(text) => ("yes", text),
            Err(text) => ("no", text),
        };
        rows.push([*name, mark, *runs, text.as_str()].map(str::to_owned));
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_a_line_that_says_whether_it_is_there() {
        let report = |name, state| EngineReport { name, runs: "models", state };
        let there = report("one", Ok("1.0, built in".to_owned()));
        let missing = report("other", Err("not found: pip install other".to_owned()));
        assert_eq!(
            page(&[there, missing]),
            "  ENGINE       RUNS    WHERE\n\
             \x20 one     yes  models  1.0, built in\n\
             \x20 other   no   models  not found: pip install other\n"
        );
    }
}
