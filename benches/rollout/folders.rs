//! Repositories in temporary folders, and versions made ready to be dropped in.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::common::sample;

/// More than the default `--version_settle_ms`: files of this age are finished.
const SETTLED: Duration = Duration::from_millis(1000);

/// A repository of copies of the sample model. Beside it lies a folder for what
/// is to be renamed into it, and the server's log.
pub(crate) struct Folders {
    root: TempDir,
    model: Vec<u8>,
}

impl Folders {
    pub(crate) fn new() -> Outcome<Self> {
        let root = tempfile::tempdir()?;
        fs::create_dir(root.path().join("repository"))?;
        fs::create_dir(root.path().join("ready"))?;
        let sample = Path::new(sample::REPOSITORY).join(sample::MODEL).join("1/model.pkl");
        Ok(Self { root, model: fs::read(sample)? })
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.root.path().join("repository")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.path().join("log")
    }

    /// Writes a version where it will be served.
    pub(crate) fn write(&self, model: &str, version: i64) -> Outcome<()> {
        self.write_to(&self.version(model, version))
    }

    /// Writes a version where it is not served yet.
    pub(crate) fn make_ready(&self, model: &str, version: i64) -> Outcome<()> {
        self.write_to(&self.ready(model, version))
    }

    /// Renames a version that has been made ready to where it will be served.
    pub(crate) fn drop_in(&self, model: &str, version: i64) -> Outcome<()> {
        Ok(fs::rename(self.ready(model, version), self.version(model, version))?)
    }

    /// Waits until all that has been written is old enough to be finished.
    pub(crate) fn settle(&self) {
        thread::sleep(SETTLED);
    }

    pub(crate) fn remove(&self, model: &str) -> Outcome<()> {
        Ok(fs::remove_dir_all(self.repository().join(model))?)
    }

    fn version(&self, model: &str, version: i64) -> PathBuf {
        self.repository().join(model).join(version.to_string())
    }

    fn ready(&self, model: &str, version: i64) -> PathBuf {
        self.root.path().join("ready").join(format!("{model}-{version}"))
    }

    fn write_to(&self, folder: &Path) -> Outcome<()> {
        fs::create_dir_all(folder)?;
        Ok(fs::write(folder.join("model.pkl"), &self.model)?)
    }
}
