//! `longshore record-warmup`.

use std::path::PathBuf;

use clap::Args;

use crate::server::{RecordError, WarmUpSources, record_warm_up};

pub(super) const EXAMPLES: &str = "\
Examples:
  longshore record-warmup --version_dir=models/prices/2 --requests=requests.json
      bodies as REST takes them, in a list or one after another:
      {\"instances\": [[0.5, -1, 2, 0]]}
      {\"signature_name\": \"regress\", \"examples\": [{\"inputs\": [0.5, -1.0, 2.0, 0.0]}]}
  longshore record-warmup --version_dir=models/prices/2 --records=100 --request_log /var/log/ls/prices-*
      a hundred of the requests that --request_log_dir recorded

The version has to answer each request. One of --requests that it cannot answer is
an error; of a request log such are left out. Responses are not kept.

Exit codes: 0 written, 1 not written, 64 wrong usage.";

/// Its flags.
#[derive(Debug, Args)]
pub(super) struct RecordFlags {
    /// The version's folder: model_repository/prices/2
    #[arg(long = "version_dir", value_name = "DIR")]
    version_dir: PathBuf,

    /// Take the requests of this JSON file, or of standard input for -
    #[arg(long = "requests", value_name = "FILE", required_unless_present = "request_log")]
    requests: Vec<PathBuf>,

    /// Take requests of these TFRecord files, evenly from all that is in them
    #[arg(long = "request_log", value_name = "FILE", num_args = 1..)]
    request_log: Vec<PathBuf>,

    /// Write so many at most; the rest is filled up from the request log
    #[arg(long = "records", value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    records: u16,

    /// Take only records of this model from the request log
    #[arg(long = "model_name", value_name = "NAME")]
    model_name: Option<String>,

    /// Write to this file
    /// [default: DIR/assets.extra/tf_serving_warmup_requests]
    #[arg(long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the file, and says what is in it.
pub(super) fn run(flags: RecordFlags) -> Result<(), RecordError> {
    let made = record_warm_up(&WarmUpSources {
        version_dir: flags.version_dir,
        requests: flags.requests,
        request_logs: flags.request_log,
        model_name: flags.model_name,
        records: flags.records.into(),
        output: flags.output,
    })?;
    let plural = if made.records == 1 { "" } else { "s" };
    println!("wrote {} request{plural} to {}", made.records, made.path.display());
    if made.seen > 0 {
        println!("the request log has {} of this model", made.seen);
    }
    if let Some(why) = made.first_refusal {
        println!(
            "{} of them were left out, since this version does not answer them; the first: {why}",
            made.refused
        );
    }
    Ok(())
}
