//! What the lifecycle loads here: a version's folder becomes a lane.

use std::sync::Arc;

use super::warm_up::{self, WarmUp};
use crate::config::{BATCHING_PARAMETERS_FILE, BatchingConfig, batching_parameters};
use crate::engines::{Engines, ModelOptions, OnnxError, OpenError, SklearnError, TensorflowError};
use crate::error::Code;
use crate::execution::{BatchOptions, BatchParameters, ComputePool, Lane, LaneOptions};
use crate::formats::saved_model::SavedModelError;
use crate::lifecycle::{LoadError, Loader};
use crate::limits;
use crate::repository::{BatchingSettings, model_toml};
use crate::servable::About;
use crate::storage::{ModelDir, StorageError};
use crate::telemetry::VersionMetrics;

/// Loads one version: reads, checks, builds and measures it.
#[derive(Debug, Clone)]
pub(super) struct ModelLoader {
    pub(super) dir: ModelDir,
    pub(super) engines: Engines,
    /// What `model.toml` says of the engine.
    pub(super) model: ModelOptions,
    /// What `model.toml` or the list of models says it is, where it says so.
    pub(super) platform: Option<String>,
    pub(super) pool: Arc<ComputePool>,
    pub(super) options: LaneOptions,
    /// How its requests are batched, as the command line says.
    pub(super) batching: BatchingConfig,
    /// The same, as `model.toml` says.
    pub(super) own_batching: Option<BatchingSettings>,
    /// How recorded requests are replayed; `None` for not at all.
    pub(super) warm_up: Option<WarmUp>,
    /// Where the load and its outcome's runs are counted.
    pub(super) metrics: Arc<VersionMetrics>,
}

impl Loader for ModelLoader {
    type Servable = Lane;

    fn load(&mut self) -> Result<Lane, LoadError> {
        let loading = self.metrics.loading();
        let lane = self.lane()?;
        loading.succeeded(self.dir.bytes());
        Ok(lane)
    }
}

impl ModelLoader {
    fn lane(&self) -> Result<Lane, LoadError> {
        let servable = self
            .engines
            .open(&self.dir, self.model)
            .map_err(|error| LoadError::new(code(&error), error.to_string()))?;
        let About { engine, reason, .. } = servable.about();
        tracing::info!(
            folder = self.dir.display(""),
            platform = servable.platform(),
            engine,
            reason,
            "built"
        );
        if let Some(wanted) = self.platform.as_deref().filter(|wanted| *wanted != servable.platform()) {
            let (folder, found) = (self.dir.display(""), servable.platform());
            let text = format!(
                "{folder}: it holds a model of platform {found}, and is said to be of platform {wanted}"
            );
            return Err(LoadError::new(Code::InvalidArgument, text));
        }
        let batching = self.batching()?;
        let lane = Lane::new(servable, Arc::clone(&self.pool), self.options);
        let lane = lane.counted(Arc::clone(&self.metrics));
        if let Some(how) = self.warm_up {
            warm_up::replay(&self.dir, &lane, how)?;
        }
        Ok(batching.into_iter().fold(lane, Lane::batched))
    }

    /// How this version is batched: its own file goes before its model's, and that
    /// before the command line.
    fn batching(&self) -> Result<Option<BatchOptions>, LoadError> {
        let refused = |place: String, why: &dyn std::fmt::Display| {
            LoadError::new(Code::InvalidArgument, format!("{place}: {why}"))
        };
        if self.batching == BatchingConfig::PerVersion {
            let place = || self.dir.display(BATCHING_PARAMETERS_FILE);
            match self.dir.read(BATCHING_PARAMETERS_FILE, limits::BATCHING_PARAMETERS_BYTES_MAX) {
                Ok(content) => {
                    let parameters = batching_parameters(&content).map_err(|why| refused(place(), &why))?;
                    let options = BatchOptions::new(&parameters);
                    return options.map(Some).map_err(|why| refused(place(), &why));
                }
                Err(StorageError::NotFound(_)) => {}
                Err(why) => return Err(LoadError::new(Code::InvalidArgument, why.to_string())),
            }
        }
        match (&self.own_batching, &self.batching) {
            (Some(settings), _) if settings.enabled == Some(false) => Ok(None),
            (Some(settings), _) => {
                let place =
                    || format!("{} beside {}, [batching]", model_toml::FILE_NAME, self.dir.display(""));
                BatchOptions::new(&plain(settings)).map(Some).map_err(|why| refused(place(), &why))
            }
            (None, BatchingConfig::All(options)) => Ok(Some(options.clone())),
            (None, BatchingConfig::Off | BatchingConfig::PerVersion) => Ok(None),
        }
    }
}

fn plain(settings: &BatchingSettings) -> BatchParameters {
    BatchParameters {
        max_batch_size: settings.max_batch_size,
        batch_timeout_micros: settings.batch_timeout_micros,
        max_enqueued_batches: settings.max_enqueued_batches,
        allowed_batch_sizes: settings.allowed_batch_sizes.clone(),
        pad_variable_length_inputs: settings.pad_variable_length_inputs,
        enable_large_batch_splitting: settings.enable_large_batch_splitting,
        max_execution_batch_size: settings.max_execution_batch_size,
    }
}

/// The code that GetModelStatus shows beside the message.
fn code(error: &OpenError) -> Code {
    match error {
        OpenError::Storage(StorageError::NotFound(_)) | OpenError::Detect { .. } => Code::NotFound,
        OpenError::Storage(_) => Code::Unavailable,
        OpenError::NotServed { .. } => Code::Unimplemented,
        OpenError::Sklearn { source, .. } => match **source {
            SklearnError::UnknownClass { .. } => Code::Unimplemented,
            _ => Code::InvalidArgument,
        },
        OpenError::Onnx { source, .. } => match **source {
            OnnxError::NoBackend(_) | OnnxError::Signature { .. } => Code::Unimplemented,
            OnnxError::Format(_) => Code::InvalidArgument,
        },
        OpenError::Tensorflow { source, .. } => match &**source {
            TensorflowError::Format(SavedModelError::NoMetaGraph { .. }) => Code::NotFound,
            TensorflowError::Format(_) | TensorflowError::Chunked => Code::InvalidArgument,
            TensorflowError::Effect(_) => Code::PermissionDenied,
            TensorflowError::Storage(StorageError::NotFound(_)) => Code::NotFound,
            TensorflowError::Storage(_) => Code::Unavailable,
            TensorflowError::NotOnDisk | TensorflowError::Library(_) => Code::Unimplemented,
            TensorflowError::Runtime { code, .. } => *code,
        },
        OpenError::Xgboost { .. } | OpenError::Lightgbm { .. } => Code::InvalidArgument,
    }
}
