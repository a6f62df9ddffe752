//! `model.toml`: the optional settings that lie beside a model's versions.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::policy::{VersionNumber, VersionPolicy};
use crate::engines::OnnxOptions;
use crate::ids::Version;
use crate::request_log::RequestLogSettings;

/// Its name in the model's folder.
pub const FILE_NAME: &str = "model.toml";

/// How one model is to be served. A setting that is absent is left to the next
/// who has an opinion: the server's configuration, `model.toml`, the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// The kind of its files, for an engine to check: `sklearn`, `onnx`, …
    pub platform: Option<String>,
    /// Which versions are wanted.
    pub version_policy: Option<VersionPolicy>,
    /// Names for versions.
    #[serde(default, deserialize_with = "labels")]
    pub labels: Option<BTreeMap<String, Version>>,
    /// Whether and how its requests are batched.
    pub batching: Option<BatchingSettings>,
    /// Whether and which of its requests are recorded.
    pub request_log: Option<RequestLogSettings>,
    /// How its graph is run, if it is an ONNX model.
    pub onnx: Option<OnnxOptions>,
}

/// `[batching]`: how the requests of one model are batched, unchecked. Names and
/// meanings are those of `tensorflow.serving.BatchingParameters`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchingSettings {
    /// `false`: they are not batched, whatever the command line says.
    pub enabled: Option<bool>,
    /// Rows of one request, and of one batch.
    pub max_batch_size: Option<i64>,
    /// How long a batch that is not full may wait, in microseconds.
    pub batch_timeout_micros: Option<i64>,
    /// Batches that may wait, per queue.
    pub max_enqueued_batches: Option<i64>,
    /// The sizes that batches are padded to.
    pub allowed_batch_sizes: Vec<i64>,
    /// Whether inputs of different length may share a batch.
    pub pad_variable_length_inputs: bool,
    /// Whether a request may be divided among batches.
    pub enable_large_batch_splitting: bool,
    /// Rows of one batch where large ones are split.
    pub max_execution_batch_size: Option<i64>,
}

/// Why a `model.toml` is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct NotModelSettings {
    /// The first line is 1.
    line: usize,
    message: String,
}

impl ModelSettings {
    /// Reads the content of a `model.toml`, of which the caller has bounded the length.
    ///
    /// # Errors
    /// [`NotModelSettings`] for anything but TOML with known keys and values that fit.
    pub fn parse(content: &[u8]) -> Result<Self, NotModelSettings> {
        let line_of =
            |at: usize| content[..at.min(content.len())].iter().filter(|&&b| b == b'\n').count() + 1;
        let text = std::str::from_utf8(content).map_err(|e| NotModelSettings {
            line: line_of(e.valid_up_to()),
            message: "it is not UTF-8 text".into(),
        })?;
        let settings: Self = toml::from_str(text).map_err(|e| NotModelSettings {
            line: line_of(e.span().map_or(0, |span| span.start)),
            message: e.message().trim_end().replace('\n', ", "),
        })?;
        Ok(settings)
    }

    /// These settings, with what is absent taken from `other`.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            platform: self.platform.clone().or_else(|| other.platform.clone()),
            version_policy: self.version_policy.clone().or_else(|| other.version_policy.clone()),
            labels: self.labels.clone().or_else(|| other.labels.clone()),
            batching: self.batching.clone().or_else(|| other.batching.clone()),
            request_log: self.request_log.clone().or_else(|| other.request_log.clone()),
            onnx: self.onnx.or(other.onnx),
        }
    }
}

fn labels<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, Version>>, D::Error> {
    let labels = BTreeMap::<String, VersionNumber>::deserialize(deserializer)?;
    if labels.contains_key("") {
        return Err(serde::de::Error::custom("a label is empty"));
    }
    Ok(Some(labels.into_iter().map(|(label, number)| (label, number.0)).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v(number: i64) -> Version {
        Version::new(number).unwrap()
    }

    #[test]
    fn reads_every_setting() {
        let text =
            b"platform = \"sklearn\"\nversion_policy = { latest = 2 }\nlabels = { stable = 1, canary = 2 }\n";
        let settings = ModelSettings::parse(text).unwrap();
        assert_eq!(settings.platform.as_deref(), Some("sklearn"));
        assert_eq!(settings.version_policy, Some(VersionPolicy::Latest(2)));
        let labels = [("canary".to_owned(), v(2)), ("stable".to_owned(), v(1))].into();
        assert_eq!(settings.labels, Some(labels));

        let policy = |text: &str| ModelSettings::parse(text.as_bytes()).unwrap().version_policy;
        assert_eq!(policy("version_policy = \"all\""), Some(VersionPolicy::All));
        let specific = VersionPolicy::Specific([v(1), v(3)].into());
        assert_eq!(policy("version_policy = { specific = [3, 1] }"), Some(specific.clone()));
        assert_eq!(policy("[version_policy]\nspecific = [1, 3]"), Some(specific));
        assert_eq!(policy("# nothing"), None);

        let text = "[batching]\nmax_batch_size = 8\nallowed_batch_sizes = [2, 8]\nenabled = true";
        let batching = BatchingSettings {
            enabled: Some(true),
            max_batch_size: Some(8),
            allowed_batch_sizes: vec![2, 8],
            ..Default::default()
        };
        assert_eq!(ModelSettings::parse(text.as_bytes()).unwrap().batching, Some(batching));
        let log = ModelSettings::parse(b"[request_log]\nsampling_rate = 1").unwrap().request_log.unwrap();
        assert_eq!((log.sampling_rate.get(), log.filename_prefix), (1.0, None));
        let empty = ModelSettings::parse(b"[batching]").unwrap().batching;
        assert_eq!(empty, Some(BatchingSettings::default()));
        assert_eq!(ModelSettings::parse(b"").unwrap(), ModelSettings::default());
    }

    #[track_caller]
    fn refused(text: &str, line: usize, words: &[&str]) {
        let why = ModelSettings::parse(text.as_bytes()).unwrap_err();
        assert_eq!(why.line, line, "{why}");
        for word in words {
            assert!(why.message.contains(word), "{why}");
        }
        assert!(!why.to_string().contains('\n'), "{why}");
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        refused("\nplatfrom = \"x\"", 2, &["platfrom", "platform", "version_policy", "labels"]);
        refused(
            "platform = \"x\"\nversion_policy = { newest = 1 }",
            2,
            &["newest", "latest", "all", "specific"],
        );
        refused("version_policy = { latest = -1 }", 1, &["-1"]);
        refused("version_policy = { latest = 1, specific = [1] }", 1, &[]);
        refused("version_policy = { specific = [1,\n -4] }", 1, &["-4 is not a version"]);
        refused("platform = 1", 1, &["string"]);
        refused("[batching]\nmax_batchsize = 1", 2, &["max_batchsize", "max_batch_size"]);
        refused("[batching]\nmax_batch_size = \"1\"", 2, &["i64"]);
        refused("[request_log]\nsampling_rate = 1.5", 2, &["1.5", "from 0", "to 1"]);
        refused("[request_log]\nsampling_rate = 1\nfilename_prefix = \"/x\"", 3, &["filename_prefix"]);
        refused("[request_log]", 1, &["sampling_rate"]);
        refused("[labels]\nstable = 1\ncanary = \"2\"", 3, &["\"2\"", "i64"]);
        refused("[labels]\nstable = -1", 2, &["-1 is not a version"]);
        refused("\n[labels]\n\"\" = 1", 2, &["label is empty"]);
        refused("a = [", 1, &[]);
        assert_eq!(ModelSettings::parse(b"\n\n\xff").unwrap_err().line, 3);
    }

    #[test]
    fn one_opinion_goes_before_the_other() {
        let first = ModelSettings { platform: Some("onnx".into()), ..Default::default() };
        let second = ModelSettings::parse(b"platform = \"sklearn\"\nversion_policy = \"all\"").unwrap();
        let both = first.or(&second);
        assert_eq!(both.platform.as_deref(), Some("onnx"));
        assert_eq!(both.version_policy, Some(VersionPolicy::All));
        assert_eq!(both.labels, None);
    }

    proptest! {
        #[test]
        fn hostile_text_gives_an_error_not_a_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ModelSettings::parse(&content);
        }

        #[test]
        fn nested_text_gives_an_error_not_a_panic(depth in 1..20_000_usize) {
            let _ = ModelSettings::parse(format!("labels = {}", "[".repeat(depth)).as_bytes());
            let _ = ModelSettings::parse(format!("labels = {}", "{a=".repeat(depth)).as_bytes());
        }
    }
}
