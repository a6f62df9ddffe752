//! When to look: a thread that drives a [`Source`].
//!
//! Events of the file system, a timer, and what is settling all say only "look
//! again"; none of them says what has changed. The timer is the truth: events do
//! not come for other machines' changes on a network file system, nor past the
//! system's limit of watches. They only make a look come sooner.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::{ModelPlaces, Now, Rescan, Source, SourceError, Trouble};
use crate::ids::ServableId;
use crate::limits;

/// How often to look without being told to.
/// Source: TensorFlow Serving's `--file_system_poll_wait_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// At once, then with this much time between two looks, and sooner on events.
    /// Where a look is long, more time: see [`limits::POLL_SHARE`].
    Every(Duration),
    /// At once, and then only when asked. What is being written at that look is
    /// looked at until it is finished.
    Once,
    /// Only on events and when asked; not even at the start, as in the reference.
    Never,
}

impl Poll {
    /// As the flag says it: seconds, 0 for [`Once`](Self::Once), less for
    /// [`Never`](Self::Never).
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        match u64::try_from(seconds) {
            Ok(0) => Self::Once,
            Ok(seconds) => Self::Every(Duration::from_secs(seconds)),
            Err(_) => Self::Never,
        }
    }
}

/// How to watch.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// How often to look.
    pub poll: Poll,
    /// The folders on disk whose events say "look again", with all that is below.
    pub hints: Vec<PathBuf>,
    /// Whether events are wanted from behind symbolic links: only where the
    /// storage follows them to anywhere.
    pub follow_links: bool,
}

/// A source that is being watched. Dropping it stops the thread.
#[derive(Debug)]
pub struct WatchHandle {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl WatchHandle {
    /// Has the source looked at soon, though never more often than
    /// [`limits::LOOK_PAUSE_MIN`] allows.
    pub fn look_now(&self) {
        self.bell.ring(|orders| orders.asked = true);
    }

    /// Before the next look, tells the source to
    /// [look closely](Source::look_closely_at) at these versions and no others.
    pub fn look_closely_at(&self, versions: BTreeSet<ServableId>) {
        self.bell.ring(|orders| orders.closely = Some(versions));
    }

    /// Before the next look, which is soon, [configures](Source::configure) the
    /// source. From then on `hints` are the folders whose events say "look again".
    pub fn configure(&self, places: ModelPlaces, hints: Vec<PathBuf>) {
        self.bell.ring(|orders| {
            orders.places = Some((places, hints));
            orders.asked = true;
        });
    }

    /// Stops, and waits for a look that is under way. After this the sink is not
    /// called any more.
    pub fn stop(mut self) {
        self.stop_and_wait();
    }

    fn stop_and_wait(&mut self) {
        self.bell.ring(|orders| orders.stop = true);
        if let Some(thread) = self.thread.take()
            // The sink may own its own handle.
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches the models has panicked");
        }
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        self.stop_and_wait();
    }
}

/// Starts a thread that looks at `source`, at once unless `options` say
/// otherwise, and hands the outcome of every look to `sink`. Troubles and errors
/// are logged here when they come, not each time they are seen.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn<S: Source>(
    source: S,
    options: WatchOptions,
    sink: impl FnMut(Result<Rescan, SourceError>) + Send + 'static,
) -> io::Result<WatchHandle> {
    let bell = Arc::new(Bell::default());
    let driver = Driver { source, sink, bell: Arc::clone(&bell), journal: Journal::default() };
    let thread = std::thread::Builder::new().name("model-watch".into()).spawn(move || driver.run(options))?;
    Ok(WatchHandle { bell, thread: Some(thread) })
}

/// What the thread waits for.
#[derive(Debug, Default)]
struct Bell {
    orders: Mutex<Orders>,
    rung: Condvar,
}

/// What has been asked since the last look.
#[derive(Debug, Default)]
struct Orders {
    stop: bool,
    asked: bool,
    hinted: bool,
    closely: Option<BTreeSet<ServableId>>,
    places: Option<(ModelPlaces, Vec<PathBuf>)>,
}

/// What is to be told to the source before it looks.
#[derive(Debug, Default)]
struct Told {
    closely: Option<BTreeSet<ServableId>>,
    places: Option<(ModelPlaces, Vec<PathBuf>)>,
}

impl Bell {
    fn ring(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.lock());
        self.rung.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `due`, or until asked or hinted but not before `earliest`.
    /// `None` to stop.
    fn wait(&self, mut due: Option<Instant>, earliest: Instant) -> Option<Told> {
        let mut orders = self.lock();
        loop {
            if orders.stop {
                return None;
            }
            if orders.asked || orders.hinted {
                due = Some(due.map_or(earliest, |due| due.min(earliest)));
            }
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            orders = match left {
                Some(Duration::ZERO) => {
                    (orders.asked, orders.hinted) = (false, false);
                    return Some(Told { closely: orders.closely.take(), places: orders.places.take() });
                }
                Some(left) => self.rung.wait_timeout(orders, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.rung.wait(orders).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

struct Driver<S, F> {
    source: S,
    sink: F,
    bell: Arc<Bell>,
    journal: Journal,
}

impl<S: Source, F: FnMut(Result<Rescan, SourceError>)> Driver<S, F> {
    fn run(mut self, mut options: WatchOptions) {
        let wants_hints = options.poll != Poll::Once;
        let mut hints = None;
        let mut earliest = Instant::now();
        let mut due = (options.poll != Poll::Never).then_some(earliest);
        loop {
            // The first look does not wait for the watches, of which there may be
            // thousands; what happens before they are set up is seen by another.
            if wants_hints && hints.is_none() && due.is_none_or(|due| due > Instant::now()) {
                hints = Some(Hints::new(&options, &self.bell));
            }
            let Some(told) = self.bell.wait(due, earliest) else { return };
            if let Some(versions) = told.closely {
                self.source.look_closely_at(&versions);
            }
            if let Some((places, roots)) = told.places {
                self.source.configure(places);
                if let Some(hints) = &mut hints {
                    hints.watch_these(&roots);
                }
                options.hints = roots;
            }
            let began = Instant::now();
            if let Some(hints) = &mut hints {
                hints.renew();
            }
            let look_again_in = self.look();
            let ended = Instant::now();
            earliest = ended + limits::LOOK_PAUSE_MIN;
            let next = [
                match options.poll {
                    Poll::Every(pause) => began.checked_add(stretched(pause, ended - began)),
                    Poll::Once | Poll::Never => None,
                },
                look_again_in.and_then(|pause| ended.checked_add(pause)),
            ];
            due = next.into_iter().flatten().min().map(|due| due.max(earliest));
        }
    }

    fn look(&mut self) -> Option<Duration> {
        let outcome = self.source.rescan(Now::read());
        let look_again_in = outcome.as_ref().ok().and_then(|rescan| rescan.look_again_in);
        let (come, gone) = self.journal.news(&outcome);
        for trouble in come {
            tracing::warn!("{trouble}");
        }
        for trouble in gone {
            tracing::info!("no longer: {trouble}");
        }
        (self.sink)(outcome);
        look_again_in
    }
}

/// The pause between two looks by the timer, where a look takes so long: longer
/// than wanted if the looks would use more than their share. Events, and what is
/// settling, are looked at no later for it.
fn stretched(pause: Duration, look: Duration) -> Duration {
    let share = look.saturating_mul(limits::POLL_SHARE);
    share.clamp(pause, pause.saturating_mul(limits::POLL_STRETCH_MAX))
}

/// What has been logged and still lasts.
#[derive(Debug, Default)]
struct Journal {
    troubles: BTreeSet<Trouble>,
    error: Option<String>,
}

impl Journal {
    /// What there is to log as come, and as gone.
    fn news(&mut self, outcome: &Result<Rescan, SourceError>) -> (Vec<Trouble>, Vec<Trouble>) {
        let stated = |message: &String| Trouble { model: None, message: message.clone() };
        let (error, troubles) = match outcome {
            Ok(rescan) => (None, rescan.troubles.iter().cloned().collect()),
            // The troubles of single models have not been looked at.
            Err(error) => (Some(error.to_string()), self.troubles.clone()),
        };
        let mut come: Vec<_> = troubles.difference(&self.troubles).cloned().collect();
        let mut gone: Vec<_> = self.troubles.difference(&troubles).cloned().collect();
        if error != self.error {
            come.extend(error.iter().map(stated));
            gone.extend(self.error.iter().map(stated));
        }
        (self.troubles, self.error) = (troubles, error);
        (come, gone)
    }
}

/// The watches that ring the bell.
struct Hints {
    watcher: Option<RecommendedWatcher>,
    roots: Vec<(PathBuf, Option<Identity>)>,
    bell: Arc<Bell>,
    has_warned: bool,
}

/// Which folder a path leads to at present: a watch stays with the folder, not
/// with the path, and dies when a volume is unmounted or a link exchanged.
type Identity = (u64, u64);

impl Hints {
    fn new(options: &WatchOptions, bell: &Arc<Bell>) -> Self {
        let ring = Arc::clone(bell);
        let handler = move |event: notify::Result<notify::Event>| {
            if is_news(&event) {
                ring.ring(|orders| orders.hinted = true);
            }
        };
        let config = notify::Config::default().with_follow_symlinks(options.follow_links);
        let roots: Vec<_> = options.hints.iter().map(|root| (root.clone(), None)).collect();
        let mut hints = Self { watcher: None, roots, bell: Arc::clone(bell), has_warned: false };
        match RecommendedWatcher::new(handler, config) {
            Ok(watcher) => hints.watcher = Some(watcher),
            Err(why) => hints.warn(Path::new("the file system"), &why),
        }
        hints.renew();
        hints
    }

    /// Watches these roots from the next [`renew`](Self::renew) on, and no others.
    fn watch_these(&mut self, roots: &[PathBuf]) {
        let gone = self.roots.extract_if(.., |(root, _)| !roots.contains(root));
        for (root, watched) in gone {
            if let (Some(watcher), Some(_)) = (&mut self.watcher, watched) {
                // It may be gone already, and the watch with it.
                let _ = watcher.unwatch(&root);
            }
        }
        for root in roots {
            if !self.roots.iter().any(|(known, _)| known == root) {
                self.roots.push((root.clone(), None));
            }
        }
    }

    /// Watches each root that is not watched yet, or that is not the folder it was.
    fn renew(&mut self) {
        let Some(mut watcher) = self.watcher.take() else { return };
        let mut roots = std::mem::take(&mut self.roots);
        for (root, watched) in &mut roots {
            let present = identity(root);
            if present == *watched {
                continue;
            }
            // Fails when the folder that was watched is gone, and the watch with it.
            let _ = watcher.unwatch(root);
            *watched = present;
            if present.is_some() {
                if let Err(why) = watcher.watch(root, RecursiveMode::Recursive) {
                    self.warn(root, &why);
                }
                // For what has changed before the watch was there.
                self.bell.ring(|orders| orders.hinted = true);
            }
        }
        (self.watcher, self.roots) = (Some(watcher), roots);
    }

    fn warn(&mut self, what: &Path, why: &notify::Error) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!("no events from {}: {why}; changes are found by polling alone", what.display());
        }
    }
}

/// Whether an event can mean that there is something new. Looking makes events
/// too: of folders that are opened, read and closed.
fn is_news(event: &notify::Result<notify::Event>) -> bool {
    match event {
        Ok(event) => match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Access(_) => false,
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other => true,
        },
        // Events were lost, perhaps.
        Err(_) => true,
    }
}

#[cfg(unix)]
fn identity(root: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    root.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(root: &Path) -> Option<Identity> {
    root.exists().then_some((0, 0))
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, remove_dir_all, rename, write};
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

    use super::*;
    use crate::ids::{ModelName, Version};
    use crate::repository::{RepositorySource, tests::in_words};
    use crate::storage::{DiskStorage, LinkPolicy, MemoryStorage};

    const SETTLE: Duration = Duration::from_millis(40);
    /// Far longer than anything here takes; only a failing test waits for it.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn options(poll: Poll, root: Option<&Path>) -> WatchOptions {
        WatchOptions { poll, hints: root.map(Path::to_owned).into_iter().collect(), follow_links: false }
    }

    struct Watched {
        handle: WatchHandle,
        looks: Receiver<String>,
    }

    impl Watched {
        fn start(source: RepositorySource, options: WatchOptions) -> Self {
            let (sink, looks) = channel();
            let sink = move |outcome: Result<Rescan, SourceError>| {
                let words =
                    outcome.map_or_else(|error| format!("error: {error}"), |rescan| in_words(&rescan));
                let _ = sink.send(words);
            };
            Self { handle: spawn(source, options, sink).unwrap(), looks }
        }

        #[track_caller]
        fn wait_for(&self, want: &str) {
            let began = Instant::now();
            let mut last = String::new();
            while began.elapsed() < PATIENCE {
                match self.looks.recv_timeout(PATIENCE) {
                    Ok(look) if look == want => return,
                    Ok(look) => last = look,
                    Err(_) => break,
                }
            }
            panic!("expected {want:?}, and saw {last:?} last");
        }

        /// How many looks there are in `time` after whatever is under way has ended.
        fn count_looks(&self, time: Duration) -> usize {
            std::thread::sleep(Duration::from_millis(300));
            while self.looks.try_recv().is_ok() {}
            std::thread::sleep(time);
            self.looks.try_iter().count()
        }
    }

    fn on_disk(root: &Path) -> RepositorySource {
        RepositorySource::new(Arc::new(DiskStorage::new(root.to_owned(), LinkPolicy::Within)), SETTLE)
    }

    fn in_memory() -> (Arc<MemoryStorage>, RepositorySource) {
        let storage = Arc::new(MemoryStorage::new());
        (Arc::clone(&storage), RepositorySource::new(storage, SETTLE))
    }

    #[test]
    fn events_bring_a_look_and_looking_makes_none() {
        let dir = tempfile::tempdir().unwrap();
        create_dir_all(dir.path().join("m/1")).unwrap();
        write(dir.path().join("m/1/f"), "x").unwrap();
        // No timer: what is seen is seen by events, and by what is settling.
        let watched =
            Watched::start(on_disk(dir.path()), options(Poll::Every(PATIENCE * 100), Some(dir.path())));
        watched.wait_for("m:1");
        assert_eq!(watched.count_looks(Duration::from_millis(300)), 0);
        watched.handle.look_now();
        assert_eq!(watched.count_looks(Duration::from_millis(300)), 0);

        create_dir_all(dir.path().join("m/.tmp")).unwrap();
        write(dir.path().join("m/.tmp/f"), "x").unwrap();
        rename(dir.path().join("m/.tmp"), dir.path().join("m/2")).unwrap();
        watched.wait_for("m:2");
        // Inside of what was renamed into place.
        write(dir.path().join("m/2/g"), "x").unwrap();
        create_dir_all(dir.path().join("n/1")).unwrap();
        write(dir.path().join("n/1/f"), "x").unwrap();
        watched.wait_for("m:2 n:1");
        remove_dir_all(dir.path().join("m")).unwrap();
        watched.wait_for("n:1");
    }

    #[test]
    fn events_come_again_when_the_root_does() {
        let dir = tempfile::tempdir().unwrap();
        let (root, away) = (dir.path().join("root"), dir.path().join("away"));
        let poll = Poll::Every(Duration::from_millis(100));
        let watched = Watched::start(on_disk(&root), options(poll, Some(&root)));
        assert!(watched.looks.recv_timeout(PATIENCE).unwrap().starts_with("error: cannot look for models: "));
        create_dir_all(root.join("m/1")).unwrap();
        write(root.join("m/1/f"), "x").unwrap();
        watched.wait_for("m:1");
        rename(&root, &away).unwrap();
        create_dir_all(root.join("n/1")).unwrap();
        write(root.join("n/1/f"), "x").unwrap();
        watched.wait_for("n:1");
    }

    #[test]
    fn without_events_the_timer_looks() {
        let (storage, source) = in_memory();
        let missing = Path::new("/nowhere/at/all");
        let watched = Watched::start(source, options(Poll::Every(Duration::from_millis(60)), Some(missing)));
        watched.wait_for("");
        storage.write("m/1/f", "x");
        watched.wait_for("m:1");
        storage.write("m/2/f", "x");
        watched.wait_for("m:2");
    }

    #[test]
    fn once_is_once_and_never_is_when_asked() {
        let (storage, source) = in_memory();
        storage.write("m/1/f", "x");
        let watched = Watched::start(source, options(Poll::Once, None));
        watched.wait_for("m:1");
        storage.write("m/2/f", "x");
        assert_eq!(watched.count_looks(Duration::from_millis(200)), 0);
        watched.handle.look_now();
        watched.wait_for("m:2");

        let (storage, source) = in_memory();
        storage.write("m/1/f", "x");
        let watched = Watched::start(source, options(Poll::Never, None));
        assert_eq!(watched.looks.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout));
        watched.handle.look_now();
        watched.wait_for("m:1");
    }

    #[test]
    fn what_settles_is_looked_at_again_even_once() {
        let dir = tempfile::tempdir().unwrap();
        create_dir_all(dir.path().join("m/1")).unwrap();
        write(dir.path().join("m/1/f"), "x").unwrap();
        let watched = Watched::start(on_disk(dir.path()), options(Poll::Once, Some(dir.path())));
        watched.wait_for("m:1");
    }

    #[test]
    fn a_storm_of_events_brings_few_looks() {
        let (_storage, source) = in_memory();
        let watched = Watched::start(source, options(Poll::Never, None));
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(500) {
            watched.handle.look_now();
            std::thread::sleep(Duration::from_millis(1));
        }
        let looks = watched.looks.try_iter().count();
        let most = began.elapsed().as_millis() / limits::LOOK_PAUSE_MIN.as_millis() + 2;
        assert!((1..=most).contains(&(looks as u128)), "{looks} looks, at most {most}");
    }

    #[test]
    fn a_failed_version_is_looked_at_closely() {
        let (storage, source) = in_memory();
        storage.write("m/1/f", "x");
        let (sink, looks) = channel();
        let watched = spawn(source, options(Poll::Every(Duration::from_millis(60)), None), move |outcome| {
            let _ = sink.send(outcome.unwrap().models["m"].versions[0].fingerprint);
        })
        .unwrap();
        let first = looks.recv_timeout(PATIENCE).unwrap();
        let id = ServableId { name: ModelName::new("m").unwrap(), version: Version::new(1).unwrap() };
        watched.look_closely_at([id].into());
        storage.append("m/1/f", b"y");
        let began = Instant::now();
        while looks.recv_timeout(PATIENCE).unwrap() == first {
            assert!(began.elapsed() < PATIENCE, "the change was not seen");
        }
    }

    #[test]
    fn stopping_ends_the_looks() {
        let (_storage, source) = in_memory();
        let watched = Watched::start(source, options(Poll::Every(Duration::from_millis(50)), None));
        watched.wait_for("");
        watched.handle.stop();
        let left: Vec<_> = watched.looks.iter().collect();
        assert!(left.len() < 3, "the sink lives on: {left:?}");
    }

    #[test]
    fn troubles_are_news_when_they_come_and_when_they_go() {
        let trouble = |message: &str| Trouble { model: None, message: message.into() };
        let rescan = |messages: &[&str]| {
            let troubles = messages.iter().map(|message| trouble(message)).collect();
            Ok(Rescan { troubles, ..Rescan::default() })
        };
        let error = || {
            let why = crate::storage::StorageError::NotFound("/models".into());
            Err(SourceError::Repository(why))
        };
        let mut journal = Journal::default();
        assert_eq!(journal.news(&rescan(&["a", "b"])), (vec![trouble("a"), trouble("b")], vec![]));
        assert_eq!(journal.news(&rescan(&["b", "a"])), (vec![], vec![]));
        assert_eq!(journal.news(&rescan(&["b", "c"])), (vec![trouble("c")], vec![trouble("a")]));
        let (come, gone) = journal.news(&error());
        assert!(come[0].message.contains("/models does not exist") && gone.is_empty());
        assert_eq!(journal.news(&error()), (vec![], vec![]));
        let (come, gone) = journal.news(&rescan(&["b", "c"]));
        assert!(come.is_empty() && gone.len() == 1);
    }

    #[test]
    fn long_looks_come_less_often() {
        let (second, ms) = (Duration::from_secs(1), Duration::from_millis);
        assert_eq!(stretched(second, ms(3)), second);
        assert_eq!(stretched(second, ms(25)), ms(2500));
        assert_eq!(stretched(second, ms(900)), second * 5);
        assert_eq!(stretched(Duration::MAX, Duration::MAX), Duration::MAX);
    }

    #[test]
    fn polling_is_said_as_in_the_reference() {
        assert_eq!(Poll::from_seconds(5), Poll::Every(Duration::from_secs(5)));
        assert_eq!(Poll::from_seconds(0), Poll::Once);
        assert_eq!(Poll::from_seconds(-1), Poll::Never);
    }
}
