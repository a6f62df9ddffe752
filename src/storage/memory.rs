//! A storage that lives in memory, for tests of everything that reads through
//! [`Storage`]: it has its own clock, counts its calls, and fails on request.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{Entry, EntryKind, Storage, StorageError, components};

/// Where the clock stands at first: 1 January 2000, so that what a test does not
/// date was written long ago.
const FIRST_TIME: Duration = Duration::from_secs(946_684_800);

/// A tree of files in memory. Folders come with the files in them; everything is
/// stamped with the storage's own clock, which stands still until it is
/// [set](Self::set_time). Meanwhile it advances by a nanosecond for each change
/// of a folder, so that no change of a listing goes without a trace.
#[derive(Debug)]
pub struct MemoryStorage {
    tree: Mutex<Tree>,
}

/// How often a [`MemoryStorage`] was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryCalls {
    /// Calls of [`Storage::list`].
    pub lists: usize,
    /// Calls of [`Storage::stat`].
    pub stats: usize,
    /// Calls of [`Storage::read`].
    pub reads: usize,
}

#[derive(Debug)]
struct Tree {
    /// By path. Every node's folders are here too; `""` is the root.
    nodes: BTreeMap<String, Node>,
    time: SystemTime,
    /// Nanoseconds past `time` for the next change of a folder.
    folder_changes: u64,
    failing: Vec<(String, io::ErrorKind)>,
    calls: MemoryCalls,
}

#[derive(Debug, Clone)]
struct Node {
    /// `None` for a folder.
    content: Option<Vec<u8>>,
    modified: SystemTime,
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStorage {
    /// An empty root.
    #[must_use]
    pub fn new() -> Self {
        let time = SystemTime::UNIX_EPOCH + FIRST_TIME;
        let root = (String::new(), Node { content: None, modified: time });
        let nodes = [root].into();
        let tree =
            Tree { nodes, time, folder_changes: 1, failing: Vec::new(), calls: MemoryCalls::default() };
        Self { tree: Mutex::new(tree) }
    }

    /// Sets the clock that stamps what is written from now on.
    pub fn set_time(&self, time: SystemTime) {
        let mut tree = self.tree();
        (tree.time, tree.folder_changes) = (time, 0);
    }

    /// Writes a whole file and makes the folders above it.
    ///
    /// # Panics
    /// When `file` is no path, or a folder is there: a fault of the test.
    pub fn write(&self, file: &str, content: impl Into<Vec<u8>>) {
        let mut tree = self.tree();
        tree.make_folders_above(file);
        let is_new = !tree.nodes.contains_key(file);
        let node = Node { content: Some(content.into()), modified: tree.time };
        if let Some(Node { content: None, .. }) = tree.nodes.insert(file.to_owned(), node) {
            panic!("{file} is a folder");
        }
        if is_new {
            tree.touch_folder_above(file);
        }
    }

    /// Adds to the end of a file, which need not exist yet.
    pub fn append(&self, file: &str, more: &[u8]) {
        let before = self.tree().nodes.get(file).and_then(|node| node.content.clone());
        let mut content = before.unwrap_or_default();
        content.extend_from_slice(more);
        self.write(file, content);
    }

    /// Makes an empty folder and the folders above it.
    pub fn create_folder(&self, folder: &str) {
        self.tree().make_folders_above(&format!("{folder}/_"));
    }

    /// Removes a file, or a folder with all that is in it; `""` removes the root
    /// itself, until something is written again. Nothing there is no error.
    pub fn remove(&self, path: &str) {
        let mut tree = self.tree();
        let before = tree.nodes.len();
        tree.nodes.retain(|at, _| !is_at_or_below(at, path));
        if tree.nodes.len() != before {
            tree.touch_folder_above(path);
        }
    }

    /// Moves a file or a folder, as `rename(2)` does: what is renamed changes its
    /// time, what lies below it does not.
    ///
    /// # Panics
    /// When nothing is at `from`, or something is at `to`: a fault of the test.
    pub fn rename(&self, from: &str, to: &str) {
        let mut tree = self.tree();
        assert!(!tree.nodes.contains_key(to), "{to} exists");
        tree.make_folders_above(to);
        let moved: Vec<_> = tree.nodes.extract_if(.., |at, _| is_at_or_below(at, from)).collect();
        assert!(!moved.is_empty(), "{from} does not exist");
        let time = tree.time;
        for (at, mut node) in moved {
            if at == from {
                node.modified = time;
            }
            tree.nodes.insert(format!("{to}{}", &at[from.len()..]), node);
        }
        tree.touch_folder_above(from);
        tree.touch_folder_above(to);
    }

    /// Gives a file or folder exactly the time that was set.
    pub fn touch(&self, path: &str) {
        let mut tree = self.tree();
        let time = tree.time;
        if let Some(node) = tree.nodes.get_mut(path) {
            node.modified = time;
        }
    }

    /// Lets every look at `path`, and at what lies below it, fail like this.
    pub fn fail(&self, path: &str, kind: io::ErrorKind) {
        self.tree().failing.push((path.to_owned(), kind));
    }

    /// Takes back every [`fail`](Self::fail).
    pub fn heal(&self) {
        self.tree().failing.clear();
    }

    /// Whether a file or folder is there.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.tree().nodes.contains_key(path)
    }

    /// How often it was asked since the last call of this.
    pub fn take_calls(&self) -> MemoryCalls {
        std::mem::take(&mut self.tree().calls)
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree {
    fn make_folders_above(&mut self, path: &str) {
        let depth = components(path).unwrap_or_else(|e| panic!("{e}")).count();
        assert!(depth > 0, "the root is a folder");
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in std::iter::once(0).chain(ends) {
            let folder = &path[..end];
            match self.nodes.get(folder) {
                Some(node) => assert!(node.content.is_none(), "{folder} is a file"),
                None => {
                    self.nodes.insert(folder.to_owned(), Node { content: None, modified: self.time });
                    self.touch_folder_above(folder);
                }
            }
        }
    }

    fn touch_folder_above(&mut self, path: &str) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let time = self.time + Duration::from_nanos(self.folder_changes);
        if let Some(node) = self.nodes.get_mut(folder) {
            node.modified = time;
            self.folder_changes += 1;
        }
    }

    /// The node at `path`, unless it is to fail.
    fn find(&self, path: &str) -> Result<&Node, StorageError> {
        let _ = components(path)?;
        if let Some((_, kind)) = self.failing.iter().find(|(failing, _)| is_at_or_below(path, failing)) {
            return Err(StorageError::Io { path: display(path), source: (*kind).into() });
        }
        self.nodes.get(path).ok_or_else(|| StorageError::NotFound(display(path)))
    }
}

impl Node {
    fn kind(&self) -> EntryKind {
        match &self.content {
            Some(content) => EntryKind::File { bytes: content.len() as u64, modified: Some(self.modified) },
            None => EntryKind::Folder { modified: Some(self.modified) },
        }
    }
}

impl Storage for MemoryStorage {
    fn list(&self, folder: &str) -> Result<Vec<Entry>, StorageError> {
        let mut tree = self.tree();
        tree.calls.lists += 1;
        if tree.find(folder)?.content.is_some() {
            return Err(StorageError::Io {
                path: display(folder),
                source: io::ErrorKind::NotADirectory.into(),
            });
        }
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = tree.nodes.range(start.clone()..).take_while(|(at, _)| at.starts_with(&start));
        let children = below.filter_map(|(at, node)| {
            let name = &at[start.len()..];
            let is_child = !name.is_empty() && !name.contains('/');
            is_child.then(|| Entry { name: name.to_owned(), kind: node.kind() })
        });
        Ok(children.collect())
    }

    fn stat(&self, path: &str) -> Result<EntryKind, StorageError> {
        let mut tree = self.tree();
        tree.calls.stats += 1;
        tree.find(path).map(Node::kind)
    }

    fn read(&self, file: &str, bytes_max: u64) -> Result<Vec<u8>, StorageError> {
        let mut tree = self.tree();
        tree.calls.reads += 1;
        let Some(content) = &tree.find(file)?.content else {
            return Err(StorageError::Io { path: display(file), source: io::ErrorKind::IsADirectory.into() });
        };
        let bytes = content.len() as u64;
        if bytes > bytes_max {
            return Err(StorageError::TooLarge { path: display(file), bytes, bytes_max });
        }
        Ok(content.clone())
    }

    fn display(&self, path: &str) -> String {
        display(path)
    }
}

fn display(path: &str) -> String {
    format!("memory:/{path}")
}

fn is_at_or_below(path: &str, root: &str) -> bool {
    root.is_empty() || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(storage: &MemoryStorage, folder: &str) -> Vec<String> {
        storage.list(folder).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn behaves_as_a_disk_does() {
        let storage = MemoryStorage::new();
        assert!(names(&storage, "").is_empty());
        storage.write("m/.tmp/model.pkl", "ab");
        storage.append("m/.tmp/model.pkl", b"c");
        storage.write("mm/1/x", "");
        assert_eq!(names(&storage, ""), ["m", "mm"]);
        storage.rename("m/.tmp", "m/1");
        assert_eq!(names(&storage, "m"), ["1"]);
        assert_eq!(storage.read("m/1/model.pkl", 3).unwrap(), b"abc");
        assert!(matches!(storage.read("m/1/model.pkl", 2), Err(StorageError::TooLarge { bytes: 3, .. })));
        assert!(matches!(storage.read("m/1", 2), Err(StorageError::Io { .. })));
        assert!(matches!(storage.list("m/2"), Err(StorageError::NotFound(_))));
        assert!(matches!(storage.list("m/../m"), Err(StorageError::NotAPath(_))));
        storage.remove("m");
        assert_eq!(names(&storage, ""), ["mm"]);
        storage.remove("");
        assert!(matches!(storage.list(""), Err(StorageError::NotFound(_))));
        storage.create_folder("m/2");
        assert_eq!(names(&storage, "m"), ["2"]);
    }

    #[test]
    fn times_move_as_on_disk() {
        let storage = MemoryStorage::new();
        let modified = |path: &str| match storage.stat(path).unwrap() {
            EntryKind::File { modified, .. } | EntryKind::Folder { modified } => modified.unwrap(),
            EntryKind::Unreachable { why } => panic!("{why}"),
        };
        storage.write("m/.tmp/f", "");
        let first = modified("m/.tmp/f");
        storage.set_time(first + Duration::from_secs(1));
        storage.rename("m/.tmp", "m/1");
        assert_eq!(modified("m/1/f"), first);
        assert_eq!(modified("m/1"), first + Duration::from_secs(1));
        // The folders that it left and entered, which are one here.
        assert_eq!(modified("m"), first + Duration::from_secs(1) + Duration::from_nanos(1));
        let before = modified("");
        assert!(before < first + Duration::from_secs(1));
        storage.write("n", "");
        assert!(modified("") > before);
        storage.set_time(first + Duration::from_secs(2));
        storage.append("m/1/f", b"x");
        assert_eq!(modified("m/1"), first + Duration::from_secs(1));
        assert_eq!(modified("m/1/f"), first + Duration::from_secs(2));
    }

    #[test]
    fn fails_on_request_and_counts() {
        let storage = MemoryStorage::new();
        storage.write("m/1/f", "x");
        storage.take_calls();
        storage.fail("m/1", io::ErrorKind::PermissionDenied);
        assert!(storage.list("m").is_ok());
        assert!(matches!(storage.list("m/1"), Err(StorageError::Io { .. })));
        assert!(matches!(storage.read("m/1/f", 9), Err(StorageError::Io { .. })));
        storage.heal();
        assert!(storage.stat("m/1/f").is_ok());
        assert_eq!(storage.take_calls(), MemoryCalls { lists: 2, stats: 1, reads: 1 });
    }
}
