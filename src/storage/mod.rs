//! Where versions live. Engines and sources read through here and never through
//! `std::fs`, so that object stores and sealed models are one more [`Storage`].

mod disk;
mod memory;

pub use disk::{DiskStorage, LinkPolicy};
pub use memory::{MemoryCalls, MemoryStorage};

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::limits;

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
        /// When it last changed, where the storage knows. On disk this is the
        /// later of the times of its content and of its inode: the first can be
        /// set to anything (`cp -p`, `touch -d`, `rsync -t`), the second cannot,
        /// so a copy in progress always looks fresh.
        modified: Option<SystemTime>,
    },
    /// A folder.
    Folder {
        /// When its listing last changed, likewise, where the storage knows.
        /// Equal times of two looks mean an equal listing, save for changes
        /// within one tick of the storage's clock, and save for what a link in
        /// it leads to. `None` for a folder reached through a link, because what
        /// is behind a link can be exchanged without leaving a trace in any time.
        modified: Option<SystemTime>,
    },
    /// There is something of this name, but it is neither file nor folder, or
    /// cannot be reached: a broken link, a link that leads out of the root, a
    /// socket. It is listed so that its reader can say why it does not count.
    Unreachable {
        /// Why, for a person to read.
        why: String,
    },
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
    /// The text is no path below a root.
    #[error("{0:?} is not a path: expected names with / between them, and none that is empty, . or ..")]
    NotAPath(String),
    /// It was being written while it was read.
    #[error("{path} changed while it was read: it had {before} bytes, and {after} bytes were read")]
    Changed {
        /// The file.
        path: String,
        /// Its length before, in bytes.
        before: u64,
        /// How many bytes were read.
        after: u64,
    },
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
    /// There is something of this name that cannot be read, or may not be.
    #[error("{path}: {why}")]
    Unreachable {
        /// What it is.
        path: String,
        /// Why not.
        why: String,
    },
    /// A folder is wider or deeper than anything that is looked through.
    #[error(
        "{0} has more than {max} entries, or folders more than {depth} deep",
        max = limits::VERSION_TREE_ENTRIES_MAX,
        depth = limits::VERSION_TREE_DEPTH_MAX
    )]
    TooManyEntries(String),
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

    /// What lies at this path, without listing or reading it. Cheaper than the
    /// listing of its folder where the storage can do so.
    ///
    /// # Errors
    /// [`StorageError`] when there is nothing, or it cannot be told.
    fn stat(&self, path: &str) -> Result<EntryKind, StorageError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.list(folder)?.into_iter().find(|entry| entry.name == name) {
            Some(entry) => Ok(entry.kind),
            None => Err(StorageError::NotFound(self.display(path))),
        }
    }

    /// A whole file of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`StorageError`] when it is absent, no file, too large, or cannot be read.
    fn read(&self, file: &str, bytes_max: u64) -> Result<Vec<u8>, StorageError>;

    /// How a person would name this path: `/srv/models/prices/1`.
    fn display(&self, path: &str) -> String;

    /// Where on this machine's disk the path lies, for libraries that open files
    /// themselves; `None` where it does not lie on one. What lies below it may still
    /// be a link to elsewhere: see [`ModelDir::check_links`].
    ///
    /// # Errors
    /// [`StorageError`] when it is absent, or leads out of the root.
    fn local_path(&self, path: &str) -> Result<Option<PathBuf>, StorageError> {
        let _ = path;
        Ok(None)
    }
}

/// The components of `path`: none for the root, `""`.
///
/// # Errors
/// [`StorageError::NotAPath`] for whatever could lead elsewhere than down.
fn components(path: &str) -> Result<impl Iterator<Item = &str>, StorageError> {
    let all = || path.split('/').filter(move |_| !path.is_empty());
    let leads_elsewhere = |name: &str| {
        matches!(name, "" | "." | "..")
            || name.contains('\0')
            || (cfg!(windows) && name.contains(['\\', ':']))
    };
    if all().any(leads_elsewhere) {
        return Err(StorageError::NotAPath(path.chars().take(256).collect()));
    }
    Ok(all())
}

/// One version's folder: all that an engine may read. Two are equal when they are
/// the same folder of the same storage.
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

    /// What lies in it under this name, without reading it.
    ///
    /// # Errors
    /// As [`Storage::stat`].
    pub fn stat(&self, name: &str) -> Result<EntryKind, StorageError> {
        self.storage.stat(&self.path_of(name))
    }

    /// The length of all files in it, and in the folders below, in bytes; what cannot
    /// be looked at counts nothing. Stops at [`limits::VERSION_TREE_ENTRIES_MAX`]
    /// entries and [`limits::VERSION_TREE_DEPTH_MAX`] folders within folders.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut folders = vec![(self.folder.clone(), 0)];
        let (mut bytes, mut entries) = (0u64, 0);
        while let Some((folder, depth)) = folders.pop() {
            for entry in self.storage.list(&folder).unwrap_or_default() {
                entries += 1;
                if entries > limits::VERSION_TREE_ENTRIES_MAX {
                    return bytes;
                }
                match entry.kind {
                    EntryKind::File { bytes: length, .. } => bytes = bytes.saturating_add(length),
                    EntryKind::Folder { .. } if depth < limits::VERSION_TREE_DEPTH_MAX => {
                        folders.push((format!("{folder}/{}", entry.name), depth + 1));
                    }
                    EntryKind::Folder { .. } | EntryKind::Unreachable { .. } => {}
                }
            }
        }
        bytes
    }

    /// The folder on this machine's disk; `None` where it does not lie on one.
    ///
    /// # Errors
    /// As [`Storage::local_path`].
    pub fn local_path(&self) -> Result<Option<PathBuf>, StorageError> {
        self.storage.local_path(&self.folder)
    }

    /// Looks at everything in `folder`, a folder of this one, and in the folders below,
    /// so that a library which opens files itself meets no link that may not be followed.
    /// No such folder is nothing to look at.
    ///
    /// # Errors
    /// [`StorageError::Unreachable`] for the first that is neither file nor folder or
    /// leads out of the root, [`StorageError::TooManyEntries`] past the bounds, and as
    /// [`Storage::list`].
    pub fn check_links(&self, folder: &str) -> Result<(), StorageError> {
        let mut folders = vec![(folder.to_owned(), 0)];
        let mut entries = 0;
        while let Some((folder, depth)) = folders.pop() {
            let listed = match self.storage.list(&self.path_of(&folder)) {
                Err(StorageError::NotFound(_)) if depth == 0 => continue,
                listed => listed?,
            };
            for entry in listed {
                entries += 1;
                let path = format!("{folder}/{}", entry.name);
                match entry.kind {
                    EntryKind::Unreachable { why } => {
                        return Err(StorageError::Unreachable { path: self.display(&path), why });
                    }
                    EntryKind::Folder { .. } if depth < limits::VERSION_TREE_DEPTH_MAX => {
                        folders.push((path, depth + 1));
                    }
                    EntryKind::File { .. } if entries <= limits::VERSION_TREE_ENTRIES_MAX => {}
                    EntryKind::Folder { .. } | EntryKind::File { .. } => {
                        return Err(StorageError::TooManyEntries(self.display(&folder)));
                    }
                }
            }
        }
        Ok(())
    }

    /// How a person would name a file in it, or the folder itself for `""`.
    #[must_use]
    pub fn display(&self, name: &str) -> String {
        self.storage.display(&self.path_of(name))
    }

    /// Where it lies in its storage.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    fn path_of(&self, name: &str) -> String {
        match (self.folder.as_str(), name) {
            (folder, "") => folder.to_owned(),
            ("", name) => name.to_owned(),
            (folder, name) => format!("{folder}/{name}"),
        }
    }
}

impl PartialEq for ModelDir {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage) && self.folder == other.folder
    }
}

impl Eq for ModelDir {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_folder_are_those_of_all_its_files() {
        let storage = Arc::new(MemoryStorage::new());
        storage.write("m/1/model.pkl", &b"12345"[..]);
        storage.write("m/1/assets.extra/deep/file", &b"678"[..]);
        storage.write("m/2/model.pkl", &b"other"[..]);
        let dir = |folder| ModelDir::new(Arc::clone(&storage) as Arc<dyn Storage>, folder);
        assert_eq!((dir("m/1").bytes(), dir("m/2").bytes(), dir("m/3").bytes()), (8, 5, 0));
    }

    #[test]
    fn what_does_not_lie_on_a_disk_has_no_path_there() {
        let storage = Arc::new(MemoryStorage::new());
        storage.write("m/1/variables/a", &b"1"[..]);
        let dir = ModelDir::new(storage, "m/1");
        assert!(dir.local_path().unwrap().is_none());
        dir.check_links("variables").unwrap();
        dir.check_links("assets").unwrap();
    }

    #[test]
    fn a_path_leads_only_down() {
        let parts = |path| components(path).map(|parts| parts.count());
        assert_eq!(parts("").unwrap(), 0);
        assert_eq!(parts("prices/1/model.pkl").unwrap(), 3);
        assert_eq!(parts("prices/..data/1").unwrap(), 3);
        for bad in ["/", "/etc", "..", "a/../b", "a//b", "a/", "./a", "a/.", "a/\0"] {
            assert!(matches!(parts(bad), Err(StorageError::NotAPath(_))), "{bad:?}");
        }
    }
}
