//! Which requests of a model are recorded, as a configuration says it.

use std::path::PathBuf;

use serde::Deserialize;

/// The part of requests that is recorded: 0 (none) to 1 (all).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct SamplingRate(f64);

// It is never NaN.
impl Eq for SamplingRate {}

/// Why a number is no [`SamplingRate`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is not a sampling rate; expected a number from 0 (no request) to 1 (all)")]
pub struct NotARate(f64);

impl TryFrom<f64> for SamplingRate {
    type Error = NotARate;

    fn try_from(rate: f64) -> Result<Self, NotARate> {
        if (0.0..=1.0).contains(&rate) { Ok(Self(rate)) } else { Err(NotARate(rate)) }
    }
}

impl std::str::FromStr for SamplingRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
        Self::try_from(rate).map_err(|why| why.to_string())
    }
}

impl SamplingRate {
    /// As a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// `[request_log]` of a `model.toml`, or the `logging_config` of a listed model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLogSettings {
    /// How many of the requests.
    pub sampling_rate: SamplingRate,
    /// How the paths of the files begin. Only who configures the server says so:
    /// whoever may put a model into a folder must not choose where files are written.
    #[serde(skip)]
    pub filename_prefix: Option<PathBuf>,
}
