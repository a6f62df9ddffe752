//! `ModelServerConfig`: the list of served models, as a text file or as the body
//! of ReloadConfig, checked. The messages that clients know are the reference's.
//! Source: TensorFlow Serving, `model_servers/server_core.cc`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::request_log;
use super::textproto::{self, NotTextProto};
use crate::engines::Platform;
use crate::error::{Code, ServingError};
use crate::ids::{ModelName, Version};
use crate::limits;
use crate::proto::tensorflow::serving as pb;
use crate::repository::{ModelSettings, VersionPolicy};
use pb::file_system_storage_path_source_config::servable_version_policy::PolicyChoice;
use pb::model_server_config::Config;

/// All models of a `ModelConfigList`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelList {
    /// What is to be served.
    pub models: BTreeMap<ModelName, ListedModel>,
}

/// One model of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListedModel {
    /// The folder with its versions.
    pub base_path: PathBuf,
    /// Platform, version policy, labels.
    pub settings: ModelSettings,
    /// Labels that point at a number which is no version.
    pub labels_nowhere: Vec<(String, i64)>,
    /// What of its `logging_config` has no effect.
    pub log_warning: Option<String>,
}

/// Why a text is no `ModelServerConfig`, or not one that can be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelConfigError {
    /// The file cannot be read.
    #[error("Failed to read ModelServerConfig file: {path}: {why}")]
    Read {
        /// Which.
        path: String,
        /// Why not.
        why: String,
    },
    /// Longer than [`limits::MODEL_CONFIG_BYTES_MAX`].
    #[error("Failed to read ModelServerConfig file: {path}: it is longer than {max} bytes", max = limits::MODEL_CONFIG_BYTES_MAX)]
    TooLong {
        /// Which.
        path: String,
    },
    /// It is not text-format protobuf of this message.
    #[error("{error}\nInvalid protobuf file: '{path}'")]
    Parse {
        /// Which.
        path: String,
        /// What was found, and where.
        error: NotTextProto,
    },
    /// It is one, and breaks a rule.
    #[error("{0}")]
    Rule(#[from] ServingError),
}

/// Reads and checks a text-format `ModelServerConfig`; `None` for one that says
/// nothing at all, such as an empty file.
///
/// # Errors
/// [`ModelConfigError`], with line and column where it is no such text.
pub fn read_model_config(path: &Path) -> Result<Option<ModelList>, ModelConfigError> {
    use std::io::Read as _;
    let name = || path.display().to_string();
    let failed = |why: std::io::Error| ModelConfigError::Read { path: name(), why: why.to_string() };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(limits::MODEL_CONFIG_BYTES_MAX + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > limits::MODEL_CONFIG_BYTES_MAX {
        return Err(ModelConfigError::TooLong { path: name() });
    }
    let parsed = textproto::parse("tensorflow.serving.ModelServerConfig", &String::from_utf8_lossy(&content))
        .map_err(|error| ModelConfigError::Parse { path: name(), error })?;
    Ok(ModelList::check(&parsed)?)
}

impl ModelList {
    /// Checks a config by the reference's rules, in its order; `None` for one of
    /// which nothing is set.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with the reference's text for the first broken rule.
    pub fn check(config: &pb::ModelServerConfig) -> Result<Option<Self>, ServingError> {
        let list = match &config.config {
            None => return Ok(None),
            Some(Config::CustomModelConfig(_)) => return Err(unsupported_type()),
            Some(Config::ModelConfigList(list)) => list,
        };
        let mut models = BTreeMap::new();
        for model in &list.config {
            let name = ModelName::new(&model.name).map_err(|e| invalid(e.to_string()))?;
            if models.insert(name, ListedModel::default()).is_some() {
                let name = &model.name;
                return Err(invalid(format!("Illegal to list model {name} multiple times in config list")));
            }
        }
        for model in &list.config {
            if let Some(listed) = models.get_mut(model.name.as_str()) {
                *listed = ListedModel::check(model)?;
            }
        }
        Ok(Some(Self { models }))
    }

    /// The list that `--model_name` and `--model_base_path` are.
    #[must_use]
    pub fn single(name: ModelName, base_path: PathBuf) -> Self {
        Self { models: [(name, ListedModel { base_path, ..ListedModel::default() })].into() }
    }

    /// Whether one list may take the place of `former`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when it changes the platform of a model.
    pub fn may_follow(&self, former: &Self) -> Result<(), ServingError> {
        for (name, model) in &self.models {
            let before = former.models.get(name).and_then(|before| before.settings.platform.as_ref());
            if let (Some(before), Some(now)) = (before, &model.settings.platform)
                && before != now
            {
                return Err(invalid(format!(
                    "Illegal to change a model's platform. For model {name} platform was {before} and new \
                     platform requested is {now}"
                )));
            }
        }
        Ok(())
    }

    /// What the list asks for that is accepted and not done.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.models.values().filter_map(|model| model.log_warning.clone())
    }
}

impl ListedModel {
    fn check(model: &pb::ModelConfig) -> Result<Self, ServingError> {
        let name = &model.name;
        let base_path = local_path(&model.base_path).ok_or_else(|| match model.base_path.split_once("://") {
            Some((scheme, _)) => invalid(format!(
                "model {name}: base_path {} is not on a local file system; {scheme}:// is not read by this build",
                model.base_path
            )),
            None => invalid(format!(
                "Expected model {name} to have an absolute path or URI; got base_path()={}",
                model.base_path
            )),
        })?;
        let mut settings = ModelSettings {
            platform: platform(model)?,
            version_policy: model
                .model_version_policy
                .as_ref()
                .and_then(|policy| policy.policy_choice.as_ref())
                .map(version_policy),
            labels: None,
            batching: None,
            request_log: None,
            onnx: None,
        };
        let log_warning;
        (settings.request_log, log_warning) = request_log::listed(model)?;
        let (mut labels, mut labels_nowhere) = (BTreeMap::new(), Vec::new());
        for (label, &number) in &model.version_labels {
            match Version::new(number) {
                Some(version) => _ = labels.insert(label.clone(), version),
                None => labels_nowhere.push((label.clone(), number)),
            }
        }
        // None at all leaves the word to a `model.toml`.
        settings.labels = (!labels.is_empty()).then_some(labels);
        Ok(Self { base_path, settings, labels_nowhere, log_warning })
    }

    /// Each label, and the number that it points at.
    pub fn labels(&self) -> impl Iterator<Item = (&str, i64)> {
        let labels = self.settings.labels.iter().flatten();
        let nowhere = self.labels_nowhere.iter().map(|(label, number)| (label.as_str(), *number));
        labels.map(|(label, version)| (label.as_str(), version.get())).chain(nowhere)
    }
}

/// The platform of a model. To leave it out is an error in the reference; here
/// the files say what they are, which a list from there never relies on.
#[expect(deprecated, reason = "old lists say model_type")]
fn platform(model: &pb::ModelConfig) -> Result<Option<String>, ServingError> {
    let (name, kind) = (&model.name, model.model_type());
    let platform = match (kind, model.model_platform.as_str()) {
        (pb::ModelType::Unspecified, "") => return Ok(None),
        (pb::ModelType::Unspecified, platform) => platform,
        (pb::ModelType::Tensorflow, "") => Platform::Tensorflow.name(),
        (pb::ModelType::Other, "") => {
            return Err(invalid(format!("Model {name} requests unsupported platform OTHER")));
        }
        (_, _) => {
            return Err(invalid(format!(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and \
                 ModelServerConfig::model_platform, model name is {name}"
            )));
        }
    };
    if Platform::ALL.iter().any(|known| known.name() == platform) {
        return Ok(Some(platform.to_owned()));
    }
    Err(invalid(format!("Model {name} requests unsupported platform {platform}")))
}

fn version_policy(choice: &PolicyChoice) -> VersionPolicy {
    match choice {
        PolicyChoice::Latest(latest) => VersionPolicy::Latest(latest.num_versions),
        PolicyChoice::All(_) => VersionPolicy::All,
        // What is no version is not there, and so not served.
        PolicyChoice::Specific(specific) => VersionPolicy::Specific(
            specific.versions.iter().filter_map(|&number| Version::new(number)).collect(),
        ),
    }
}

/// An absolute path, also as a `file:` URI.
pub(super) fn local_path(text: &str) -> Option<PathBuf> {
    let path = Path::new(text.strip_prefix("file://").unwrap_or(text));
    path.is_absolute().then(|| path.to_owned())
}

/// What the reference answers to anything but a list.
pub(crate) fn unsupported_type() -> ServingError {
    invalid(
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently \
         supported",
    )
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> ServingError {
    ServingError::new(Code::InvalidArgument, message)
}
