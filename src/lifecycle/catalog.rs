//! The catalog: what is being served right now, and how a request finds it.
//!
//! The truth is one map behind an `RwLock`, model to an immutable snapshot of
//! its versions and labels. The manager replaces one model's snapshot per
//! change, so that a change costs the same with one model as with ten thousand.
//!
//! Two I/O loops that touch one reference count or one lock slow each other down
//! several-fold, so no loop looks there for a request. Each has a [`Reader`]: a
//! private cache, filled from the truth one model at a time as requests ask for
//! it, whose entries count references of their own. The publisher, having changed
//! a model, takes that model out of every reader's cache; a loop that sleeps for
//! a week therefore keeps no retired model alive.
//!
//! That no stale entry survives rests on two orders. The publisher changes the
//! truth *before* it empties the caches; a reader copies from the truth *while*
//! it holds its cache's lock. So a copy of the old state is either complete when
//! the publisher comes by, and is taken out, or starts later, and is a copy of
//! the new.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak, mpsc};

use smallvec::SmallVec;

use super::monitor::{StateMonitor, VersionStatus};
use super::state::State;
use crate::ids::{ModelName, ModelQuery, ServableId, Version, VersionChoice};
use crate::limits;

/// What is being served: name → versions and labels.
pub struct Catalog<S> {
    models: RwLock<HashMap<ModelName, Arc<Snapshot<S>>>>,
    readers: Mutex<Vec<Weak<Cache<S>>>>,
    monitor: Arc<StateMonitor>,
}

/// One model at one moment.
struct Snapshot<S> {
    /// The available versions, highest first.
    versions: Vec<Arc<Published<S>>>,
    labels: Arc<Labels>,
}

type Labels = BTreeMap<String, Target>;

/// Where a label points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    wanted: Version,
    /// Where it pointed before, until the wanted version is first available: a
    /// label that moves to a version still loading goes on answering.
    until_then: Option<Version>,
}

/// A servable in the catalog. Where the last reference is dropped is not where
/// its memory is freed: that may take long, and may be on an I/O loop.
struct Published<S> {
    id: ServableId,
    /// Taken by `drop` only.
    servable: Option<S>,
    retired: mpsc::Sender<Retired<S>>,
}

impl<S> Drop for Published<S> {
    fn drop(&mut self) {
        if let Some(servable) = self.servable.take() {
            // With the unload thread gone there is nowhere better than here.
            let _ = self.retired.send(Retired { id: self.id.clone(), servable });
        }
    }
}

/// A servable that no look-up finds and no request uses any more. Whoever
/// receives it frees it by dropping it.
#[derive(Debug)]
pub struct Retired<S> {
    /// Which one.
    pub id: ServableId,
    /// The last of it.
    pub servable: S,
}

/// Why a look-up found nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Miss {
    /// Nobody wants a model of this name served.
    #[error("no such model")]
    UnknownModel,
    /// The model or version should be served, but is not yet, or has failed.
    #[error("{why}")]
    NotReady {
        /// The version that was asked for, by number or by label; `None` for the latest.
        version: Option<Version>,
        /// The states and errors that stand in the way.
        why: String,
    },
    /// The model has no such version, or no longer.
    #[error("no version {0}")]
    UnknownVersion(i64),
    /// The model has no such label.
    #[error("no such label")]
    UnknownLabel,
}

impl<S> Catalog<S> {
    /// A reader for one I/O loop. Make one per loop, not per request: it starts
    /// empty, and the publisher visits each.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Reader<S> {
        let cache = Arc::new(Cache { models: Mutex::default() });
        let mut readers = lock(&self.readers);
        readers.retain(|reader| reader.strong_count() > 0);
        readers.push(Arc::downgrade(&cache));
        Reader { cache, catalog: Arc::clone(self) }
    }

    fn snapshot(&self, model: &str) -> Option<Arc<Snapshot<S>>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).get(model).cloned()
    }
}

/// One I/O loop's way into the catalog. A clone shares its cache, which is right
/// within a loop and slow between loops.
pub struct Reader<S> {
    cache: Arc<Cache<S>>,
    catalog: Arc<Catalog<S>>,
}

impl<S> Clone for Reader<S> {
    fn clone(&self) -> Self {
        Self { cache: Arc::clone(&self.cache), catalog: Arc::clone(&self.catalog) }
    }
}

/// Aligned so that the locks of two loops share no cache line, nor the pair of
/// lines that the hardware fetches together.
#[repr(align(128))]
struct Cache<S> {
    models: Mutex<HashMap<ModelName, Cached<S>>>,
}

/// A reader's copy of a [`Snapshot`].
struct Cached<S> {
    /// Highest first, as there.
    versions: SmallVec<[Arc<Lease<S>>; 1]>,
    labels: Arc<Labels>,
}

/// A reader's hold on a version. Its handles count references here, and see an
/// id whose name is the reader's own copy, so that cloning either stays off
/// the other loops' cache lines.
struct Lease<S> {
    id: ServableId,
    published: Arc<Published<S>>,
}

/// A version in use. The manager frees the version when it is retired and its
/// last handle is dropped: keep it for one request.
pub struct Handle<S>(Arc<Lease<S>>);

impl<S> Handle<S> {
    /// Which version of which model this is.
    #[must_use]
    pub fn id(&self) -> &ServableId {
        &self.0.id
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.id.version
    }
}

impl<S> Deref for Handle<S> {
    type Target = S;

    fn deref(&self) -> &S {
        match &self.0.published.servable {
            Some(servable) => servable,
            None => unreachable!("a published servable is taken by its drop only"),
        }
    }
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Why one look at one state of a model found nothing.
enum Absent {
    Latest,
    Version(i64),
    Label,
    LabelTarget(Version),
}

impl<S> Cached<S> {
    fn of(name: &ModelName, snapshot: &Snapshot<S>) -> Self {
        let lease = |published: &Arc<Published<S>>| {
            let id = ServableId { name: name.clone(), version: published.id.version };
            Arc::new(Lease { id, published: Arc::clone(published) })
        };
        Self { versions: snapshot.versions.iter().map(lease).collect(), labels: Arc::clone(&snapshot.labels) }
    }

    fn version(&self, number: i64) -> Option<&Arc<Lease<S>>> {
        // Highest first: the order is turned round.
        let at = self.versions.binary_search_by(|lease| number.cmp(&lease.id.version.get())).ok()?;
        Some(&self.versions[at])
    }

    fn find(&self, choice: &VersionChoice) -> Result<&Arc<Lease<S>>, Absent> {
        match choice {
            VersionChoice::Latest => self.versions.first().ok_or(Absent::Latest),
            VersionChoice::Specific(number) => self.version(*number).ok_or(Absent::Version(*number)),
            VersionChoice::Label(label) => {
                let target = self.labels.get(label).ok_or(Absent::Label)?;
                self.version(target.wanted.get())
                    .or_else(|| self.version(target.until_then?.get()))
                    .ok_or(Absent::LabelTarget(target.wanted))
            }
        }
    }
}

impl<S> Reader<S> {
    /// The version that `query` asks for. Never blocks on a load; costs no
    /// memory shared with other readers once the model has been asked for.
    ///
    /// # Errors
    /// [`Miss`] says why there is none.
    pub fn handle(&self, query: &ModelQuery) -> Result<Handle<S>, Miss> {
        self.look(query).map_err(|absent| self.miss(query, absent))
    }

    fn look(&self, query: &ModelQuery) -> Result<Handle<S>, Option<Absent>> {
        let mut models = lock(&self.cache.models);
        if let Some(model) = models.get(query.name.as_str()) {
            return model.find(&query.choice).map(|lease| Handle(Arc::clone(lease))).map_err(Some);
        }
        let snapshot = self.catalog.snapshot(&query.name).ok_or(None)?;
        let Ok(name) = ModelName::new(&query.name) else { return Err(None) };
        let model = Cached::of(&name, &snapshot);
        let found = model.find(&query.choice).map(|lease| Handle(Arc::clone(lease))).map_err(Some);
        models.insert(name, model);
        found
    }

    /// The states told may be newer than the look: a version may be said to be
    /// AVAILABLE that was not a moment ago.
    #[cold]
    fn miss(&self, query: &ModelQuery, absent: Option<Absent>) -> Miss {
        let Some(absent) = absent else { return Miss::UnknownModel };
        self.catalog.monitor.with_versions(&query.name, |versions| {
            let Some(versions) = versions else { return Miss::UnknownModel };
            let coming = |number: i64| {
                let status = versions.get(&Version::new(number)?)?;
                status.is_coming().then_some(status)
            };
            match absent {
                Absent::Label => Miss::UnknownLabel,
                Absent::Version(number) => match coming(number) {
                    Some(status) => {
                        let why = format!("version {} is {}", status.version, status.explained());
                        Miss::NotReady { version: Some(status.version), why }
                    }
                    None => Miss::UnknownVersion(number),
                },
                Absent::LabelTarget(version) => match coming(version.get()) {
                    Some(status) => {
                        let why =
                            format!("the label points at version {version}, which is {}", status.explained());
                        Miss::NotReady { version: Some(version), why }
                    }
                    None => Miss::UnknownVersion(version.get()),
                },
                Absent::Latest => {
                    let newest = versions.values().rev().take(limits::MISS_VERSIONS_LISTED_MAX);
                    let listed: Vec<_> = newest
                        .map(|status| format!("version {} is {}", status.version, status.explained()))
                        .collect();
                    let why = if listed.is_empty() { "it has no version".into() } else { listed.join("; ") };
                    Miss::NotReady { version: None, why }
                }
            }
        })
    }
}

impl VersionStatus {
    /// Whether it should be served and may yet be.
    fn is_coming(&self) -> bool {
        matches!(self.state, State::Start | State::Loading | State::Available | State::Failed)
    }

    /// `LOADING`, `END: no such file`.
    fn explained(&self) -> String {
        match &self.error {
            Some(error) => format!("{}: {error}", self.state),
            None => self.state.to_string(),
        }
    }
}

/// The writing side of a [`Catalog`]. There is one, and the manager has it.
pub struct Publisher<S> {
    catalog: Arc<Catalog<S>>,
    retired: mpsc::Sender<Retired<S>>,
}

impl<S> Publisher<S> {
    /// An empty catalog. Look-ups that miss ask `monitor` why; what is retired
    /// goes to `retired` when its last handle is dropped, and is to be freed there.
    #[must_use]
    pub fn new(monitor: Arc<StateMonitor>, retired: mpsc::Sender<Retired<S>>) -> Self {
        let (models, readers) = (RwLock::default(), Mutex::default());
        Self { catalog: Arc::new(Catalog { models, readers, monitor }), retired }
    }

    /// The reading side.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog<S>> {
        Arc::clone(&self.catalog)
    }

    /// Makes a model known and replaces its labels.
    pub fn set_labels(&mut self, model: &ModelName, labels: &BTreeMap<String, Version>) {
        self.change(model, |versions, old| {
            let ready = |version: &Version| versions.iter().any(|one| one.id.version == *version);
            let target = |(label, wanted): (&String, &Version)| {
                let before = old.get(label).into_iter().flat_map(|old| [Some(old.wanted), old.until_then]);
                let until_then = before.flatten().find(ready).filter(|_| !ready(wanted));
                (label.clone(), Target { wanted: *wanted, until_then })
            };
            *old = labels.iter().map(target).collect();
        });
    }

    /// Lets look-ups find a version, and labels that waited for it point at it.
    pub fn publish(&mut self, id: ServableId, servable: S) {
        let (version, retired) = (id.version, self.retired.clone());
        let name = id.name.clone();
        let published = Arc::new(Published { id, servable: Some(servable), retired });
        self.change(&name, |versions, labels| {
            versions.retain(|one| one.id.version != version);
            let at = versions.partition_point(|one| one.id.version > version);
            versions.insert(at, published);
            labels.values_mut().filter(|target| target.wanted == version).for_each(|t| t.until_then = None);
        });
    }

    /// Lets look-ups no longer find a version. Its last handle may be dropped in here.
    pub fn retire(&mut self, id: &ServableId) {
        self.change(&id.name, |versions, labels| {
            versions.retain(|one| one.id.version != id.version);
            let waiting = labels.values_mut().filter(|target| target.until_then == Some(id.version));
            waiting.for_each(|target| target.until_then = None);
        });
    }

    /// Forgets a model and retires what is left of it.
    pub fn remove(&mut self, model: &ModelName) {
        let old = self.write().remove(model);
        self.empty_caches(model);
        drop(old);
    }

    /// Replaces the snapshot of one model by a changed copy. The old one is
    /// dropped when no lock is held.
    fn change(&self, model: &ModelName, change: impl FnOnce(&mut Vec<Arc<Published<S>>>, &mut Labels)) {
        let old = self.catalog.snapshot(model.as_str());
        let (mut versions, mut labels) = match &old {
            Some(old) => (old.versions.clone(), Labels::clone(&old.labels)),
            None => Default::default(),
        };
        change(&mut versions, &mut labels);
        let new = Arc::new(Snapshot { versions, labels: Arc::new(labels) });
        match self.write().entry(model.clone()) {
            Entry::Occupied(mut entry) => drop(entry.insert(new)),
            Entry::Vacant(entry) => drop(entry.insert(new)),
        }
        self.empty_caches(model);
    }

    fn empty_caches(&self, model: &ModelName) {
        let readers: Vec<_> = lock(&self.catalog.readers).iter().filter_map(Weak::upgrade).collect();
        for reader in readers {
            let cached = lock(&reader.models).remove(model.as_str());
            drop(cached);
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<ModelName, Arc<Snapshot<S>>>> {
        self.catalog.models.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// A poisoned lock is taken as it is: each critical section above is one look-up
// or one map operation, and leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> fmt::Debug for Catalog<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Publisher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Handle<S> {
    /// The id; the servable may have nothing to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(self.id()).finish()
    }
}

#[cfg(test)]
mod tests;
