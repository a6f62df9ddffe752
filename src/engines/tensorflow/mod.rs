//! SavedModels, run by TensorFlow itself where its library is found.
//!
//! The file is read and judged here first ([`crate::formats::saved_model`]); then
//! TensorFlow loads the folder, and runs what is asked for in the thread that asks.

mod library;
mod model;

pub(super) use model::TensorflowModel;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use self::library::Tensorflow;
use crate::error::Code;
use crate::formats::saved_model::{Effect, MetaGraph, SavedModelError};
use crate::libraries::{self, LibraryChoice, Wanted};
use crate::limits;
use crate::storage::{ModelDir, StorageError};

/// What is looked for. The wheel of `tensorflow-cpu` holds it, and the archives of
/// libtensorflow for C hold it under the second name.
const WANTED: Wanted = Wanted {
    name: "TensorFlow",
    flag: "--tensorflow_library",
    variable: None,
    files: &["libtensorflow_cc.so.2", "libtensorflow.so.2"],
    package_folder: "tensorflow",
    symbol: "TF_LoadSessionFromSavedModel",
    advice: "pip install tensorflow-cpu, which holds it as tensorflow/libtensorflow_cc.so.2",
};

/// The name of the file that TensorFlow reads in a folder in the place of the one that
/// is judged here, where a SavedModel is too large for one message.
const CHUNKED_FILE: &str = "saved_model.cpb";

/// The list of the variables' values. Without it TensorFlow loads a model all the same,
/// and fails whatever it is asked.
const INDEX_FILE: &str = "variables/variables.index";

/// Folders that TensorFlow reads files from by itself.
const FOLDERS: [&str; 3] = ["variables", "assets", "debug"];

/// Why a SavedModel is not served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Its file is none, or has no graph for serving.
    #[error(transparent)]
    Format(#[from] SavedModelError),
    /// Something in it would reach out of TensorFlow.
    #[error("{0}; such models are served only with --tensorflow_allow_file_ops")]
    Effect(Effect),
    /// It comes in parts, of which only some are judged.
    #[error("there is a {CHUNKED_FILE} beside it; expected a SavedModel that is one file")]
    Chunked,
    /// A file beside it cannot be read, or may not be.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It lies where TensorFlow cannot open it.
    #[error("TensorFlow reads models from folders of this machine's disk only, and this is none")]
    NotOnDisk,
    /// There is no TensorFlow.
    #[error("a SavedModel is run by TensorFlow's own library: {0}")]
    Library(String),
    /// TensorFlow says no.
    #[error("{text}")]
    Runtime {
        /// Its code.
        code: Code,
        /// Its words.
        text: String,
    },
}

/// How SavedModels are loaded and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorflowOptions {
    /// Where the library is.
    pub library: LibraryChoice,
    /// Whether graphs may touch files, the network and processes.
    pub allow_file_ops: bool,
    /// The tags of the meta graph to load.
    pub tags: Vec<String>,
    /// A serialized `tensorflow.ConfigProto`.
    pub session_config: Bytes,
}

impl Default for TensorflowOptions {
    fn default() -> Self {
        Self {
            library: LibraryChoice::Auto,
            allow_file_ops: false,
            tags: vec!["serve".to_owned()],
            session_config: Bytes::new(),
        }
    }
}

/// TensorFlow's library: looked for when the first SavedModel wants it, opened once, and
/// never closed.
#[derive(Debug)]
pub(super) struct TensorflowRuntime {
    options: TensorflowOptions,
    opened: Mutex<Option<Tensorflow>>,
}

impl TensorflowRuntime {
    /// Looks nowhere yet.
    pub(super) fn new(options: TensorflowOptions) -> Self {
        Self { options, opened: Mutex::new(None) }
    }

    /// The library, opened if it is not yet. What is missing is looked for again by the
    /// next who asks.
    fn library(&self) -> Result<Tensorflow, String> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = *opened {
            return Ok(library);
        }
        let path = libraries::find(&WANTED, &self.options.library).map_err(|why| why.to_string())?;
        let library = Tensorflow::open(path)?;
        *opened = Some(library);
        Ok(library)
    }

    /// Its version and where it is, or why there is none. Opens it.
    pub(super) fn report(&self) -> Result<String, String> {
        let library = self.library()?;
        Ok(format!("{}, {}", library.version(), library.path().display()))
    }
}

/// Reads the SavedModel in `dir`, whose file is `file`, judges it and has it loaded.
///
/// # Errors
/// [`ModelError`].
pub(super) fn open(
    dir: &ModelDir,
    file: &str,
    runtime: &TensorflowRuntime,
) -> Result<TensorflowModel, ModelError> {
    let options = &runtime.options;
    let bytes = dir.read(file, limits::SAVED_MODEL_BYTES_MAX)?;
    let meta_graph = MetaGraph::read(bytes.into(), &options.tags)?;
    if let Some(effect) = meta_graph.effect.clone().filter(|_| !options.allow_file_ops) {
        return Err(ModelError::Effect(effect));
    }
    if dir.entries()?.iter().any(|entry| entry.name == CHUNKED_FILE) {
        return Err(ModelError::Chunked);
    }
    for folder in FOLDERS {
        dir.check_links(folder)?;
    }
    if meta_graph.restores {
        dir.stat(INDEX_FILE)?;
    }
    let folder = dir.local_path()?.ok_or(ModelError::NotOnDisk)?;
    let library = runtime.library().map_err(ModelError::Library)?;
    TensorflowModel::load(library, &folder, meta_graph, options)
}
