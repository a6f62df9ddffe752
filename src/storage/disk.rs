//! A folder of the local file system, or of one that is mounted.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Entry, EntryKind, Storage, StorageError, components};

/// Where symbolic links may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkPolicy {
    /// Only to places below the root, as Kubernetes' `..data` links do. The root
    /// itself may be a link to anywhere: whoever configured it meant it.
    #[default]
    Within,
    /// Anywhere: `--follow_symlinks`.
    Follow,
}

/// The folder `root` and what is below it.
///
/// Names that are not UTF-8 are not listed: nothing above could ask for them.
#[derive(Debug)]
pub struct DiskStorage {
    root: PathBuf,
    links: LinkPolicy,
}

impl DiskStorage {
    /// Reads nothing yet, so that a root may appear, vanish and come back.
    #[must_use]
    pub fn new(root: PathBuf, links: LinkPolicy) -> Self {
        Self { root, links }
    }

    /// The root, as it was given.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn join(&self, path: &str) -> Result<PathBuf, StorageError> {
        let mut joined = self.root.clone();
        joined.extend(components(path)?);
        Ok(joined)
    }

    /// The place on disk that `path` means, with every link on the way checked.
    /// The answer has no links in it, so what is opened is what was checked,
    /// unless someone who may write there exchanges a folder in between.
    fn resolve(&self, path: &str) -> Result<PathBuf, StorageError> {
        let joined = self.join(path)?;
        match self.links {
            LinkPolicy::Follow => Ok(joined),
            LinkPolicy::Within => {
                let root = self.root.canonicalize().map_err(|e| failure(&self.root, e))?;
                within(&root, &joined)
            }
        }
    }

    /// What the link `link` leads to.
    fn behind_link(&self, link: &Path) -> Result<EntryKind, StorageError> {
        let target = match self.links {
            LinkPolicy::Follow => link.to_owned(),
            LinkPolicy::Within => {
                let root = self.root.canonicalize().map_err(|e| failure(&self.root, e))?;
                within(&root, link)?
            }
        };
        let metadata = target.metadata().map_err(|e| failure(link, e))?;
        Ok(match kind_of(&metadata) {
            EntryKind::Folder { .. } => EntryKind::Folder { modified: None },
            other => other,
        })
    }
}

impl Storage for DiskStorage {
    fn list(&self, folder: &str) -> Result<Vec<Entry>, StorageError> {
        let place = self.resolve(folder)?;
        let failed = |e| failure(&self.root.join(folder), e);
        let mut entries = Vec::new();
        for child in fs::read_dir(&place).map_err(failed)? {
            let child = child.map_err(failed)?;
            let Ok(name) = child.file_name().into_string() else { continue };
            // This does not follow a link, and needs no second look at the path above.
            let kind = match child.metadata() {
                Ok(metadata) if metadata.is_symlink() => {
                    self.behind_link(&child.path()).unwrap_or_else(|why| unreachable_kind(&why))
                }
                Ok(metadata) => kind_of(&metadata),
                // It went away since it was listed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => unreachable_kind(&failure(&child.path(), e)),
            };
            entries.push(Entry { name, kind });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Looks at links in the last component only: what a link further up leads
    /// to is checked by whoever lists or reads it, and this tells no content.
    fn stat(&self, path: &str) -> Result<EntryKind, StorageError> {
        let joined = self.join(path)?;
        let metadata = joined.symlink_metadata().map_err(|e| failure(&joined, e))?;
        if metadata.is_symlink() { self.behind_link(&joined) } else { Ok(kind_of(&metadata)) }
    }

    fn read(&self, file: &str, bytes_max: u64) -> Result<Vec<u8>, StorageError> {
        let place = self.resolve(file)?;
        let path = || self.display(file);
        let failed = |e| failure(&self.root.join(file), e);
        // Asked before opening: opening a pipe would wait for its writer.
        if !place.metadata().map_err(failed)?.is_file() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file");
            return Err(StorageError::Io { path: path(), source });
        }
        let open = File::open(&place).map_err(failed)?;
        let before = open.metadata().map_err(failed)?.len();
        if before > bytes_max {
            return Err(StorageError::TooLarge { path: path(), bytes: before, bytes_max });
        }
        let no_room = |_| failed(io::Error::from(io::ErrorKind::OutOfMemory));
        let mut content = Vec::new();
        content.try_reserve_exact(usize::try_from(before).unwrap_or(usize::MAX)).map_err(no_room)?;
        // One byte more than it has, which shows growth and bounds it.
        let after = open.take(before.saturating_add(1)).read_to_end(&mut content).map_err(failed)? as u64;
        if after != before {
            return Err(StorageError::Changed { path: path(), before, after });
        }
        Ok(content)
    }

    fn display(&self, path: &str) -> String {
        if path.is_empty() {
            self.root.display().to_string()
        } else {
            self.root.join(path).display().to_string()
        }
    }

    fn local_path(&self, path: &str) -> Result<Option<PathBuf>, StorageError> {
        self.resolve(path).map(Some)
    }
}

/// `path` without links, if it lies below `root`, which has none either.
fn within(root: &Path, path: &Path) -> Result<PathBuf, StorageError> {
    let target = path.canonicalize().map_err(|e| failure(path, e))?;
    if target.starts_with(root) { Ok(target) } else { Err(StorageError::Outside(path.display().to_string())) }
}

fn failure(path: &Path, e: io::Error) -> StorageError {
    let path = path.display().to_string();
    match e.kind() {
        io::ErrorKind::NotFound => StorageError::NotFound(path),
        _ => StorageError::Io { path, source: e },
    }
}

fn unreachable_kind(why: &StorageError) -> EntryKind {
    let why = match why {
        StorageError::NotFound(path) => format!("{path} is a link that leads nowhere"),
        other => other.to_string(),
    };
    EntryKind::Unreachable { why }
}

fn kind_of(metadata: &Metadata) -> EntryKind {
    if metadata.is_dir() {
        EntryKind::Folder { modified: modified(metadata) }
    } else if metadata.is_file() {
        EntryKind::File { bytes: metadata.len(), modified: modified(metadata) }
    } else {
        EntryKind::Unreachable { why: "it is neither a file nor a folder".into() }
    }
}

#[cfg(unix)]
fn modified(metadata: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, UNIX_EPOCH};

    let seconds = Duration::from_secs(metadata.ctime().unsigned_abs());
    let nanos = Duration::from_nanos(metadata.ctime_nsec().unsigned_abs());
    let inode_changed = if metadata.ctime() < 0 {
        UNIX_EPOCH.checked_sub(seconds)?.checked_add(nanos)
    } else {
        UNIX_EPOCH.checked_add(seconds)?.checked_add(nanos)
    };
    metadata.modified().ok().max(inode_changed)
}

#[cfg(not(unix))]
fn modified(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{create_dir, create_dir_all, write};
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    fn storage(root: &Path) -> DiskStorage {
        DiskStorage::new(root.to_owned(), LinkPolicy::Within)
    }

    fn kind(storage: &DiskStorage, folder: &str, name: &str) -> EntryKind {
        let entries = storage.list(folder).unwrap();
        entries.into_iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no {name}")).kind
    }

    #[test]
    fn lists_by_name_and_reads() {
        let dir = tempfile::tempdir().unwrap();
        create_dir_all(dir.path().join("m/2")).unwrap();
        create_dir_all(dir.path().join("m/10")).unwrap();
        write(dir.path().join("m/2/model.pkl"), b"abc").unwrap();
        write(dir.path().join("m/.tmp"), b"").unwrap();
        let storage = storage(dir.path());
        let names: Vec<_> = storage.list("m").unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, [".tmp", "10", "2"]);
        assert!(matches!(
            kind(&storage, "m/2", "model.pkl"),
            EntryKind::File { bytes: 3, modified: Some(_) }
        ));
        assert_eq!(storage.stat("m/2/model.pkl").unwrap(), kind(&storage, "m/2", "model.pkl"));
        assert_eq!(storage.stat("m/2").unwrap(), kind(&storage, "m", "2"));
        assert_eq!(storage.read("m/2/model.pkl", 3).unwrap(), b"abc");
        assert!(storage.display("m/2").ends_with("/m/2"));
    }

    #[test]
    fn reading_is_bounded_and_says_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join("f"), b"abcd").unwrap();
        let storage = storage(dir.path());
        let too_large = storage.read("f", 3).unwrap_err();
        assert!(too_large.to_string().ends_with("f has 4 bytes; at most 3 are read"), "{too_large}");
        assert!(matches!(storage.read("g", 3), Err(StorageError::NotFound(_))));
        assert!(matches!(storage.list("g"), Err(StorageError::NotFound(_))));
        assert!(matches!(storage.stat("g"), Err(StorageError::NotFound(_))));
        assert!(storage.read("", 3).unwrap_err().to_string().ends_with("it is not a plain file"));
        for path in ["../f", "/etc/passwd", "a/../../f"] {
            assert!(matches!(storage.read(path, 9), Err(StorageError::NotAPath(_))), "{path}");
            assert!(matches!(storage.list(path), Err(StorageError::NotAPath(_))), "{path}");
            assert!(matches!(storage.stat(path), Err(StorageError::NotAPath(_))), "{path}");
        }
    }

    #[test]
    fn links_are_looked_at_for_who_opens_files_themselves() {
        let outside = tempfile::tempdir().unwrap();
        write(outside.path().join("secret"), b"s").unwrap();
        let dir = tempfile::tempdir().unwrap();
        create_dir_all(dir.path().join("1/variables/deep")).unwrap();
        write(dir.path().join("1/shared"), b"s").unwrap();
        symlink(dir.path().join("1/shared"), dir.path().join("1/variables/within")).unwrap();
        let model = |links| {
            let storage = DiskStorage::new(dir.path().to_owned(), links);
            super::super::ModelDir::new(std::sync::Arc::new(storage), "1")
        };
        model(LinkPolicy::Within).check_links("variables").unwrap();
        let place = model(LinkPolicy::Within).local_path().unwrap().unwrap();
        assert_eq!(place, dir.path().canonicalize().unwrap().join("1"));

        symlink(outside.path().join("secret"), dir.path().join("1/variables/deep/out")).unwrap();
        let refused = model(LinkPolicy::Within).check_links("variables").unwrap_err().to_string();
        assert!(refused.contains("1/variables/deep/out: ") && refused.contains("leads out of"), "{refused}");
        model(LinkPolicy::Follow).check_links("variables").unwrap();
    }

    #[test]
    fn a_link_out_of_the_root_is_refused_unless_allowed() {
        let outside = tempfile::tempdir().unwrap();
        create_dir(outside.path().join("1")).unwrap();
        write(outside.path().join("1/secret"), b"s").unwrap();
        let dir = tempfile::tempdir().unwrap();
        symlink(outside.path().join("1"), dir.path().join("1")).unwrap();
        symlink(outside.path().join("1/secret"), dir.path().join("f")).unwrap();

        let strict = storage(dir.path());
        for name in ["1", "f"] {
            let EntryKind::Unreachable { why } = kind(&strict, "", name) else {
                panic!("{name} is reachable")
            };
            assert!(why.contains("--follow_symlinks"), "{why}");
            assert!(matches!(strict.stat(name), Err(StorageError::Outside(_))));
        }
        assert!(matches!(strict.list("1"), Err(StorageError::Outside(_))));
        assert!(matches!(strict.read("1/secret", 9), Err(StorageError::Outside(_))));
        assert!(matches!(strict.read("f", 9), Err(StorageError::Outside(_))));

        let follow = DiskStorage::new(dir.path().to_owned(), LinkPolicy::Follow);
        assert_eq!(kind(&follow, "", "1"), EntryKind::Folder { modified: None });
        assert_eq!(follow.read("1/secret", 9).unwrap(), b"s");
        assert_eq!(follow.read("f", 9).unwrap(), b"s");
    }

    #[test]
    fn a_folder_beside_the_root_with_a_longer_name_is_outside() {
        let dir = tempfile::tempdir().unwrap();
        create_dir_all(dir.path().join("root")).unwrap();
        create_dir_all(dir.path().join("root-2/1")).unwrap();
        symlink("../root-2", dir.path().join("root/m")).unwrap();
        assert!(matches!(storage(&dir.path().join("root")).list("m"), Err(StorageError::Outside(_))));
    }

    #[test]
    fn the_layout_of_a_config_map_works() {
        let dir = tempfile::tempdir().unwrap();
        let version = dir.path().join("m/1");
        create_dir_all(version.join("..2026_01")).unwrap();
        write(version.join("..2026_01/model.pkl"), b"old").unwrap();
        symlink("..2026_01", version.join("..data")).unwrap();
        symlink("..data/model.pkl", version.join("model.pkl")).unwrap();
        let storage = storage(dir.path());
        assert_eq!(storage.read("m/1/model.pkl", 9).unwrap(), b"old");
        assert!(matches!(kind(&storage, "m/1", "model.pkl"), EntryKind::File { bytes: 3, .. }));

        create_dir(version.join("..2026_02")).unwrap();
        write(version.join("..2026_02/model.pkl"), b"newer").unwrap();
        symlink("..2026_02", version.join("..data_tmp")).unwrap();
        fs::rename(version.join("..data_tmp"), version.join("..data")).unwrap();
        assert_eq!(storage.read("m/1/model.pkl", 9).unwrap(), b"newer");
    }

    #[test]
    fn broken_links_and_pipes_do_not_spoil_a_listing() {
        let dir = tempfile::tempdir().unwrap();
        symlink("nowhere", dir.path().join("broken")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        write(dir.path().join("fine"), b"").unwrap();
        let storage = storage(dir.path());
        assert_eq!(storage.list("").unwrap().len(), 4);
        for name in ["broken", "loop", "socket"] {
            assert!(matches!(kind(&storage, "", name), EntryKind::Unreachable { .. }), "{name}");
        }
        let EntryKind::Unreachable { why } = kind(&storage, "", "broken") else { unreachable!() };
        assert!(why.ends_with("broken is a link that leads nowhere"), "{why}");
        assert!(storage.read("socket", 9).is_err());
    }

    #[test]
    fn the_root_may_be_a_link_and_may_be_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            create_dir(dir.path().join(name)).unwrap();
            write(dir.path().join(name).join("f"), name).unwrap();
        }
        let root = dir.path().join("root");
        let storage = storage(&root);
        assert!(matches!(storage.list(""), Err(StorageError::NotFound(_))));
        symlink("a", &root).unwrap();
        assert_eq!(storage.read("f", 9).unwrap(), b"a");
        fs::remove_file(&root).unwrap();
        symlink("b", &root).unwrap();
        assert_eq!(storage.read("f", 9).unwrap(), b"b");
    }

    #[test]
    fn a_faked_time_still_looks_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("f")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let EntryKind::File { modified: Some(modified), .. } = storage(dir.path()).stat("f").unwrap() else {
            panic!("no time")
        };
        assert!(modified.elapsed().unwrap_or_default() < Duration::from_secs(60));
    }
}
