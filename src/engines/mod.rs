//! Plain structs become something that answers: one engine per kind of model.
//!
//! An engine reads through [`ModelDir`] and knows no clock, no network and no
//! file system. [`Engines::open`] finds the kind of model, reads its file and builds it.

mod boosted;
mod coupling;
mod examples;
mod lightgbm;
mod onnx;
pub mod platform;
mod rows;
mod sklearn;
mod tensorflow;
pub mod trees;
mod xgboost;

use std::sync::Arc;

use self::boosted::BoostedModel;
use self::onnx::OnnxRuntime;
use self::tensorflow::TensorflowRuntime;
use crate::libraries::LibraryChoice;
use crate::limits;
use crate::servable::{OWN_ENGINE, Servable};
use crate::storage::{ModelDir, StorageError};

pub use lightgbm::ModelError as LightgbmError;
pub use onnx::{BackendChoice, ModelError as OnnxError, OnnxOptions};
pub use platform::{DetectError, Detected, Platform, detect};
pub use sklearn::{ModelError as SklearnError, Whom};
pub use tensorflow::{ModelError as TensorflowError, TensorflowOptions};
pub use xgboost::ModelError as XgboostError;

/// Why a version's folder gave no servable.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It, or a file in it, cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It is not one model.
    #[error("{folder}: {source}")]
    Detect {
        /// The folder.
        folder: String,
        /// Why not.
        source: DetectError,
    },
    /// It is a model of a kind that no engine here runs.
    #[error("{file}: platform {platform} is not served by this build yet")]
    NotServed {
        /// The file that was recognised.
        file: String,
        /// Its platform.
        platform: Platform,
    },
    /// It is a scikit-learn file that is refused.
    #[error("{file}: {source}")]
    Sklearn {
        /// The file.
        file: String,
        /// Why.
        source: Box<SklearnError>,
    },
    /// It is an XGBoost file that is refused.
    #[error("{file}: {source}")]
    Xgboost {
        /// The file.
        file: String,
        /// Why.
        source: Box<XgboostError>,
    },
    /// It is a LightGBM file that is refused.
    #[error("{file}: {source}")]
    Lightgbm {
        /// The file.
        file: String,
        /// Why.
        source: Box<LightgbmError>,
    },
    /// It is an ONNX file that is refused.
    #[error("{file}: {source}")]
    Onnx {
        /// The file.
        file: String,
        /// Why.
        source: Box<OnnxError>,
    },
    /// It is a SavedModel that is refused.
    #[error("{file}: {source}")]
    Tensorflow {
        /// The file.
        file: String,
        /// Why.
        source: Box<TensorflowError>,
    },
}

/// What the engines of a server have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// Where ONNX Runtime is.
    pub onnxruntime: LibraryChoice,
    /// Where TensorFlow is, and how it is used.
    pub tensorflow: TensorflowOptions,
}

/// What the owner of one model wants of its engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// Of an ONNX model.
    pub onnx: OnnxOptions,
}

/// One thing that runs models, for a person to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineReport {
    /// Its name.
    pub name: &'static str,
    /// The models that it runs.
    pub runs: &'static str,
    /// Its version and where it is, or why it is not there and how to get it.
    pub state: Result<String, String>,
}

/// All engines of a server. The libraries that they share are opened when the
/// first model wants them.
#[derive(Debug, Clone)]
pub struct Engines {
    onnxruntime: Arc<OnnxRuntime>,
    tensorflow: Arc<TensorflowRuntime>,
}

impl Engines {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(options: EngineOptions) -> Self {
        Self {
            onnxruntime: Arc::new(OnnxRuntime::new(options.onnxruntime)),
            tensorflow: Arc::new(TensorflowRuntime::new(options.tensorflow)),
        }
    }

    /// Those that need no library from elsewhere.
    #[must_use]
    pub fn built_in() -> Self {
        let tensorflow = TensorflowOptions { library: LibraryChoice::Off, ..TensorflowOptions::default() };
        Self::new(EngineOptions { onnxruntime: LibraryChoice::Off, tensorflow })
    }

    /// What is there and what is not. Opens the libraries that are found.
    #[must_use]
    pub fn report(&self) -> Vec<EngineReport> {
        let own = |runs, version: &str| EngineReport {
            name: OWN_ENGINE,
            runs,
            state: Ok(format!("{version}, built in")),
        };
        vec![
            own("sklearn, xgboost, lightgbm; onnx: classical graphs", env!("CARGO_PKG_VERSION")),
            EngineReport {
                name: "onnxruntime",
                runs: "onnx: neural graphs",
                state: self.onnxruntime.report(),
            },
            EngineReport {
                name: "tract",
                runs: "onnx: neural graphs without ONNX Runtime",
                state: onnx::tract_report(),
            },
            EngineReport { name: "tensorflow", runs: "SavedModels", state: self.tensorflow.report() },
        ]
    }

    /// Reads the one model in `dir` and builds it. Blocks for as long as it takes.
    ///
    /// # Errors
    /// [`OpenError`], whose message names the file and what was expected in it.
    pub fn open(&self, dir: &ModelDir, options: ModelOptions) -> Result<Arc<dyn Servable>, OpenError> {
        let Detected { platform, file } = detect(&dir.entries()?)
            .map_err(|source| OpenError::Detect { folder: dir.display(""), source })?;
        let shown = dir.display(&file);
        match platform {
            Platform::Sklearn => {
                let bytes = dir.read(&file, limits::MODEL_FILE_BYTES_MAX)?;
                let model =
                    if file.ends_with(".skops") { sklearn::open_skops(bytes) } else { sklearn::open(bytes) };
                model
                    .map(|model| Arc::new(model) as Arc<dyn Servable>)
                    .map_err(|source| OpenError::Sklearn { file: shown, source: Box::new(source) })
            }
            Platform::Xgboost => {
                let bytes = dir.read(&file, limits::MODEL_FILE_BYTES_MAX)?;
                match xgboost::Booster::read(&bytes, xgboost::Count::All) {
                    Ok(booster) => Ok(Arc::new(BoostedModel::new(booster))),
                    Err(source) => Err(OpenError::Xgboost { file: shown, source: Box::new(source) }),
                }
            }
            Platform::Lightgbm => {
                let bytes = dir.read(&file, limits::MODEL_FILE_BYTES_MAX)?;
                match lightgbm::Booster::read(&bytes, None) {
                    Ok(booster) => Ok(Arc::new(BoostedModel::new(booster))),
                    Err(source) => Err(OpenError::Lightgbm { file: shown, source: Box::new(source) }),
                }
            }
            Platform::Onnx => {
                let bytes = dir.read(&file, limits::MODEL_FILE_BYTES_MAX)?;
                onnx::open(dir, bytes, &self.onnxruntime, options.onnx)
                    .map(|model| Arc::new(model) as Arc<dyn Servable>)
                    .map_err(|source| OpenError::Onnx { file: shown, source: Box::new(source) })
            }
            Platform::Tensorflow => tensorflow::open(dir, &file, &self.tensorflow)
                .map(|model| Arc::new(model) as Arc<dyn Servable>)
                .map_err(|source| OpenError::Tensorflow { file: shown, source: Box::new(source) }),
            Platform::Tflite => Err(OpenError::NotServed { file: shown, platform }),
        }
    }
}

/// [`Engines::open`] with [`Engines::built_in`], as the model itself would have it.
///
/// # Errors
/// [`OpenError`], likewise.
pub fn open(dir: &ModelDir) -> Result<Arc<dyn Servable>, OpenError> {
    Engines::built_in().open(dir, ModelOptions::default())
}
