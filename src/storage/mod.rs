//! Where versions live. Engines and sources read through here and never through
//! `std::fs`, so that object stores and sealed models are one more [`Storage`].

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// A child of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: one path component.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What a child of a folder is, symbolic links followed where they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A plain file.
    File {
        /// Its length.
        bytes: u64,
        /// When it was last written, where the storage knows.
        modified: Option<SystemTime>,
    },
    /// A folder.
    Folder,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no such file or folder.
    #[error("{0} does not exist")]
    NotFound(String),
    /// It lies outside the storage's root, where links may not lead.
    #[error("{0} leads out of the repository; links that do are followed only with --follow_symlinks")]
    Outside(String),
    /// It is larger than its reader allows.
    #[error("{path} has {bytes} bytes; at most {bytes_max} are read")]
    TooLarge {
        /// The file.
        path: String,
        /// Its length.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// The system said no.
    #[error("cannot read {path}: {source}")]
    Io {
        /// What was read.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// A tree of folders and files with one root. Paths are relative to it, with
/// `/` between components and `""` for the root itself. Calls may block.
pub trait Storage: Send + Sync + fmt::Debug + 'static {
    /// The children of a folder, in the order of their names.
    ///
    /// # Errors
    /// [`StorageError`] when it is absent, no folder, or cannot be read.
    fn list(&self, folder: &str) -> Result<Vec<Entry>, StorageError>;

    /// A whole file of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`StorageError`] when it is absent, no file, too large, or cannot be read.
    fn read(&self, file: &str, bytes_max: u64) -> Result<Vec<u8>, StorageError>;

    /// How a person would name this path: `/srv/models/prices/1`.
    fn display(&self, path: &str) -> String;
}

/// One version's folder: all that an engine may read.
#[derive(Debug, Clone)]
pub struct ModelDir {
    storage: Arc<dyn Storage>,
    folder: String,
}

impl ModelDir {
    /// The folder `folder` of `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, folder: impl Into<String>) -> Self {
        Self { storage, folder: folder.into() }
    }

    /// What lies directly in it.
    ///
    /// # Errors
    /// As [`Storage::list`].
    pub fn entries(&self) -> Result<Vec<Entry>, StorageError> {
        self.storage.list(&self.folder)
    }

    /// Reads a file in it. `name` may name a file in a folder below: `variables/x`.
    ///
    /// # Errors
    /// As [`Storage::read`].
    pub fn read(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, StorageError> {
        self.storage.read(&self.path_of(name), bytes_max)
    }

    /// How a person would name a file in it, or the folder itself for `""`.
    #[must_use]
    pub fn display(&self, name: &str) -> String {
        self.storage.display(&self.path_of(name))
    }

    fn path_of(&self, name: &str) -> String {
        match (self.folder.as_str(), name) {
            (folder, "") => folder.to_owned(),
            ("", name) => name.to_owned(),
            (folder, name) => format!("{folder}/{name}"),
        }
    }
}
