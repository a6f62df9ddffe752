//! What the lifecycle loads here: a version's folder becomes a lane.

use std::sync::Arc;

use crate::engines::{self, OpenError, SklearnError};
use crate::error::Code;
use crate::execution::{ComputePool, Lane, LaneOptions};
use crate::lifecycle::{LoadError, Loader};
use crate::storage::{ModelDir, StorageError};

/// Loads one version: reads, checks, builds and measures it.
#[derive(Debug, Clone)]
pub(super) struct ModelLoader {
    pub(super) dir: ModelDir,
    /// What `model.toml` says it is, where it says so.
    pub(super) platform: Option<String>,
    pub(super) pool: Arc<ComputePool>,
    pub(super) options: LaneOptions,
}

impl Loader for ModelLoader {
    type Servable = Lane;

    fn load(&mut self) -> Result<Lane, LoadError> {
        let servable =
            engines::open(&self.dir).map_err(|error| LoadError::new(code(&error), error.to_string()))?;
        if let Some(wanted) = self.platform.as_deref().filter(|wanted| *wanted != servable.platform()) {
            let (folder, found) = (self.dir.display(""), servable.platform());
            let text =
                format!("{folder}: it holds a model of platform {found}, and model.toml says {wanted}");
            return Err(LoadError::new(Code::InvalidArgument, text));
        }
        Ok(Lane::new(servable, Arc::clone(&self.pool), self.options))
    }
}

/// The code that GetModelStatus shows beside the message.
fn code(error: &OpenError) -> Code {
    match error {
        OpenError::Storage(StorageError::NotFound(_)) | OpenError::Detect { .. } => Code::NotFound,
        OpenError::Storage(_) => Code::Unavailable,
        OpenError::NotServed { .. } | OpenError::Skops { .. } => Code::Unimplemented,
        OpenError::Sklearn { source, .. } => match **source {
            SklearnError::UnknownClass { .. } => Code::Unimplemented,
            _ => Code::InvalidArgument,
        },
    }
}
