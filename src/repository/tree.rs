//! A look at everything below a version's folder.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

use super::settle::Look;
use crate::limits;
use crate::storage::{EntryKind, Storage, StorageError};

/// Why a version's folder could not be looked at as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum TreeError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("{0} holds more than {max} files and folders", max = limits::VERSION_TREE_ENTRIES_MAX)]
    TooMany(String),
    #[error("{0} is more than {max} folders deep; a link may lead back up", max = limits::VERSION_TREE_DEPTH_MAX)]
    TooDeep(String),
}

/// Lists `folder` and all that is below it. `own_time` is the folder's own time:
/// part of the fingerprint, since a change of permissions may be what a failed
/// load waits for, but not of the newest time.
pub(super) fn look(
    storage: &dyn Storage,
    folder: &str,
    own_time: Option<SystemTime>,
) -> Result<Look, TreeError> {
    struct Below {
        path: String,
        depth: usize,
        hidden: bool,
    }
    let mut hasher = DefaultHasher::new();
    own_time.hash(&mut hasher);
    let (mut newest, mut has_file, mut seen) = (None, false, 0_usize);
    let mut to_list = vec![Below { path: folder.to_owned(), depth: 0, hidden: false }];
    while let Some(Below { path, depth, hidden }) = to_list.pop() {
        if depth > limits::VERSION_TREE_DEPTH_MAX {
            return Err(TreeError::TooDeep(storage.display(folder)));
        }
        let entries = storage.list(&path)?;
        seen = seen.saturating_add(entries.len());
        if seen > limits::VERSION_TREE_ENTRIES_MAX {
            return Err(TreeError::TooMany(storage.display(folder)));
        }
        // The number of entries sets one folder's names apart from the next one's.
        entries.len().hash(&mut hasher);
        for entry in entries {
            entry.name.hash(&mut hasher);
            let hidden = hidden || entry.name.starts_with('.');
            match entry.kind {
                EntryKind::File { bytes, modified } => {
                    (0_u8, bytes, modified).hash(&mut hasher);
                    newest = newest.max(modified);
                    has_file |= !hidden;
                }
                EntryKind::Folder { modified } => {
                    (1_u8, modified).hash(&mut hasher);
                    newest = newest.max(modified);
                    let path = format!("{path}/{}", entry.name);
                    to_list.push(Below { path, depth: depth + 1, hidden });
                }
                EntryKind::Unreachable { why } => (2_u8, why).hash(&mut hasher),
            }
        }
    }
    Ok(Look { fingerprint: hasher.finish(), newest, has_file })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::storage::MemoryStorage;

    const LATER: Duration = Duration::from_secs(1_000_000_001);

    #[test]
    fn every_change_changes_the_fingerprint() {
        let storage = MemoryStorage::new();
        let fingerprint = || look(&storage, "m/1", None).unwrap().fingerprint;
        storage.write("m/1/a", "x");
        storage.write("m/1/b/c", "y");
        let mut seen = vec![fingerprint()];
        assert_eq!(fingerprint(), seen[0]);
        storage.set_time(SystemTime::UNIX_EPOCH + LATER);
        let changes: [&dyn Fn(); 6] = [
            &|| storage.write("m/1/a", "z"),
            &|| storage.append("m/1/b/c", b"y"),
            &|| storage.write("m/1/.hidden", ""),
            &|| storage.rename("m/1/a", "m/1/d"),
            &|| storage.create_folder("m/1/e"),
            &|| storage.remove("m/1/b"),
        ];
        for change in changes {
            change();
            let after = fingerprint();
            assert!(!seen.contains(&after));
            seen.push(after);
        }
        let renamed = fingerprint();
        storage.rename("m/1", "m/2");
        assert_eq!(look(&storage, "m/2", None).unwrap().fingerprint, renamed);
        assert_ne!(look(&storage, "m/2", Some(SystemTime::UNIX_EPOCH)).unwrap().fingerprint, renamed);
    }

    #[test]
    fn only_visible_files_count_and_all_times_do() {
        let storage = MemoryStorage::new();
        storage.create_folder("m/1/variables");
        assert!(!look(&storage, "m/1", None).unwrap().has_file);
        storage.write("m/1/.model.pkl.x8", "");
        storage.write("m/1/.tmp/model.pkl", "");
        assert!(!look(&storage, "m/1", None).unwrap().has_file);
        storage.set_time(SystemTime::UNIX_EPOCH + LATER);
        storage.write("m/1/variables/v", "");
        let found = look(&storage, "m/1", None).unwrap();
        assert!(found.has_file);
        assert_eq!(found.newest, Some(SystemTime::UNIX_EPOCH + LATER));
    }

    #[test]
    fn is_bounded() {
        let storage = MemoryStorage::new();
        storage.write(&format!("m/1/{}x", "d/".repeat(limits::VERSION_TREE_DEPTH_MAX)), "");
        assert!(look(&storage, "m/1", None).is_ok());
        storage.write(&format!("m/1/{}x", "d/".repeat(limits::VERSION_TREE_DEPTH_MAX + 1)), "");
        assert!(matches!(look(&storage, "m/1", None), Err(TreeError::TooDeep(_))));
        assert!(matches!(look(&storage, "m/2", None), Err(TreeError::Storage(_))));
        for at in 0..=limits::VERSION_TREE_ENTRIES_MAX {
            storage.write(&format!("n/1/{at}"), "");
        }
        assert!(matches!(look(&storage, "n/1", None), Err(TreeError::TooMany(_))));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_back_up_end() {
        use crate::storage::{DiskStorage, LinkPolicy};
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("m/1")).unwrap();
        for name in ["a", "b"] {
            std::os::unix::fs::symlink(".", dir.path().join("m/1").join(name)).unwrap();
        }
        let storage = DiskStorage::new(dir.path().to_owned(), LinkPolicy::Within);
        assert!(look(&storage, "m/1", None).is_err());
    }
}
