//! The manager with its real threads, and a servable that is a text. Where
//! pauses matter, tokio's time is paused and jumps to whatever is waited for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::ids::{ModelQuery, Version, VersionChoice};
use crate::lifecycle::{AspiredVersion, Handle, Miss, Reader, VersionStatus};

/// A loaded text, which tells where it is freed.
struct Text {
    text: String,
    freed: Sender<(String, String)>,
    panics: bool,
}

impl Drop for Text {
    fn drop(&mut self) {
        let thread = thread::current().name().unwrap_or_default().to_owned();
        let _ = self.freed.send((self.text.clone(), thread));
        assert!(!self.panics, "a text that panics when freed");
    }
}

/// What the next try of a load does; after the last, loads succeed.
enum Try {
    Fail(&'static str),
    Panic(&'static str),
    /// Waits until the test lets it go on.
    /// Fails when the test drops its end.
    Wait(Receiver<()>),
    /// Gives a servable whose freeing panics.
    Fragile,
}

struct TextLoader {
    text: String,
    tries: VecDeque<Try>,
    freed: Sender<(String, String)>,
}

impl Loader for TextLoader {
    type Servable = Text;

    fn load(&mut self) -> Result<Text, LoadError> {
        let mut panics = false;
        match self.tries.pop_front() {
            Some(Try::Fail(why)) => return Err(LoadError::new(Code::InvalidArgument, why)),
            Some(Try::Panic(why)) => panic!("{why}"),
            Some(Try::Wait(go)) => {
                go.recv().map_err(|_| LoadError::new(Code::Unavailable, "the files went away"))?;
            }
            Some(Try::Fragile) => panics = true,
            None => {}
        }
        Ok(Text { text: self.text.clone(), freed: self.freed.clone(), panics })
    }
}

type List = BTreeMap<ModelName, Aspired<TextLoader>>;

struct Bench {
    handle: ManagerHandle<TextLoader>,
    catalog: Arc<Catalog<Text>>,
    reader: Reader<Text>,
    monitor: Arc<StateMonitor>,
    freed_in: Sender<(String, String)>,
    freed: Receiver<(String, String)>,
    late: tokio::sync::mpsc::Receiver<()>,
}

/// Two load threads, whatever the machine has.
fn options() -> Options {
    Options { num_load_threads: NonZeroUsize::new(2).unwrap(), ..Options::default() }
}

fn start() -> Bench {
    start_with(options())
}

fn start_with(options: Options) -> Bench {
    let (handle, catalog, monitor) = Manager::start(options).unwrap();
    let (freed_in, freed) = channel();
    let late = watchdog();
    Bench { handle, reader: catalog.reader(), catalog, monitor, freed_in, freed, late }
}

/// Closes when a test has waited too long. A thread, since paused time runs
/// ahead; it ends with the receiver.
fn watchdog() -> tokio::sync::mpsc::Receiver<()> {
    let (alive, late) = tokio::sync::mpsc::channel(1);
    thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end && !alive.is_closed() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    late
}

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

impl Bench {
    fn aspired(
        &self,
        model: &str,
        number: i64,
        fingerprint: u64,
        tries: Vec<Try>,
    ) -> AspiredVersion<TextLoader> {
        let (text, freed) = (format!("{model} {number}"), self.freed_in.clone());
        let loader = TextLoader { text, tries: tries.into(), freed };
        AspiredVersion { version: version(number), fingerprint, loader }
    }

    fn with(&self, mut list: List, model: &str, number: i64, tries: Vec<Try>) -> List {
        let aspired = self.aspired(model, number, 0, tries);
        let entry = list.entry(ModelName::new(model).unwrap());
        entry
            .or_insert(Aspired { versions: vec![], labels: BTreeMap::new(), first_is_coming: false })
            .versions
            .push(aspired);
        list
    }

    /// A list of plain versions.
    fn list(&self, versions: &[(&str, i64)]) -> List {
        versions.iter().fold(List::new(), |list, (model, number)| self.with(list, model, *number, vec![]))
    }

    fn look(&self, model: &str, choice: VersionChoice) -> Result<Handle<Text>, Miss> {
        self.reader.handle(&ModelQuery { name: model.to_owned(), choice })
    }

    #[track_caller]
    fn latest(&self, model: &str) -> String {
        self.look(model, VersionChoice::Latest).expect("something is available").text.clone()
    }

    fn status(&self, model: &str, number: i64) -> Option<VersionStatus> {
        self.monitor.versions(model)?.into_iter().find(|one| one.version == version(number))
    }

    fn state(&self, model: &str, number: i64) -> Option<State> {
        Some(self.status(model, number)?.state)
    }

    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let mut changes = self.monitor.subscribe();
        while !done(self) {
            tokio::select! {
                changed = changes.changed() => changed.unwrap(),
                _ = self.late.recv() => panic!("waited too long: {:?}", self.all()),
            }
        }
    }

    fn all(&self) -> Vec<Option<Vec<VersionStatus>>> {
        self.monitor.models().iter().map(|model| self.monitor.versions(model.as_str())).collect()
    }

    async fn until_state(&mut self, model: &str, number: i64, state: State) {
        self.until(|bench| bench.state(model, number) == Some(state)).await;
    }
}

#[tokio::test]
async fn a_new_version_takes_over_and_the_old_one_is_freed_after_its_last_handle() {
    let mut bench = start();
    bench.handle.aspire(bench.list(&[("ham", 1)]));
    bench.until_state("ham", 1, State::Available).await;
    let in_use = bench.look("ham", VersionChoice::Latest).unwrap();

    bench.handle.aspire(bench.list(&[("ham", 2)]));
    bench.until_state("ham", 1, State::Unloading).await;
    assert_eq!(bench.state("ham", 2), Some(State::Available));
    assert_eq!(bench.latest("ham"), "ham 2");
    bench.until(|bench| bench.look("ham", VersionChoice::Specific(1)).is_err()).await;
    assert!(bench.freed.try_recv().is_err(), "a version in use was freed");
    assert_eq!((in_use.text.as_str(), in_use.version()), ("ham 1", version(1)));

    drop(in_use);
    bench.until_state("ham", 1, State::Ended).await;
    assert_eq!(bench.freed.recv().unwrap(), ("ham 1".to_owned(), "unload-0".to_owned()));
}

#[tokio::test]
async fn a_new_version_that_fails_leaves_the_old_one_serving() {
    let mut bench = start();
    bench.handle.aspire(bench.list(&[("ham", 1)]));
    bench.until_state("ham", 1, State::Available).await;
    bench.handle.aspire(bench.with(List::new(), "ham", 2, vec![Try::Fail("no such file")]));
    bench.until_state("ham", 2, State::Failed).await;
    assert_eq!(bench.latest("ham"), "ham 1");
    assert_eq!(bench.status("ham", 2).unwrap().error.unwrap().message(), "no such file");
}

#[tokio::test(start_paused = true)]
async fn a_failed_version_is_tried_again_with_growing_pauses() {
    let mut bench = start();
    let started = tokio::time::Instant::now();
    let tries = vec![Try::Fail("one"), Try::Panic("two"), Try::Fail("three")];
    bench.handle.aspire(bench.with(List::new(), "ham", 1, tries));
    let mut seen = Vec::new();
    for failure in ["one", "loading panicked: two", "three"] {
        bench
            .until(|bench| {
                bench.status("ham", 1).is_some_and(|one| {
                    one.state == State::Failed && one.error.is_some_and(|error| error.message() == failure)
                })
            })
            .await;
        seen.push(started.elapsed().as_secs());
    }
    bench.until_state("ham", 1, State::Available).await;
    seen.push(started.elapsed().as_secs());
    assert_eq!(seen, [0, 1, 3, 7]);
    assert_eq!(bench.status("ham", 1).unwrap().error, None);
}

#[tokio::test]
async fn a_failed_version_is_tried_again_at_once_when_its_files_change() {
    let hour = Duration::from_secs(3600);
    let mut bench = start_with(Options { retry_pause_first: hour, retry_pause_max: hour, ..options() });
    bench.handle.aspire(bench.with(List::new(), "ham", 1, vec![Try::Fail("half a file")]));
    bench.until_state("ham", 1, State::Failed).await;
    // The second model shows that the manager has read the list.
    bench.handle.aspire(bench.list(&[("ham", 1), ("jam", 1)]));
    bench.until_state("jam", 1, State::Available).await;
    assert_eq!(bench.state("ham", 1), Some(State::Failed));
    let mut list = bench.list(&[("ham", 1)]);
    list.values_mut().for_each(|aspired| aspired.versions[0].fingerprint = 1);
    bench.handle.aspire(list);
    bench.until_state("ham", 1, State::Available).await;
}

#[tokio::test]
async fn files_that_changed_during_a_load_that_fails_are_tried_at_once() {
    let hour = Duration::from_secs(3600);
    let mut bench = start_with(Options { retry_pause_first: hour, retry_pause_max: hour, ..options() });
    let (go, wait) = channel();
    bench.handle.aspire(bench.with(List::new(), "ham", 1, vec![Try::Wait(wait)]));
    bench.until_state("ham", 1, State::Loading).await;
    let mut list = bench.list(&[("ham", 1), ("jam", 1)]);
    list.values_mut().for_each(|aspired| aspired.versions[0].fingerprint = 1);
    bench.handle.aspire(list);
    bench.until_state("jam", 1, State::Available).await;
    assert_eq!(bench.state("ham", 1), Some(State::Loading));
    drop(go);
    bench.until_state("ham", 1, State::Available).await;
}

#[tokio::test]
async fn a_panic_in_a_load_is_that_loads_failure_and_no_more() {
    let mut bench = start();
    let list = bench.with(bench.list(&[("jam", 1), ("spam", 1)]), "ham", 1, vec![Try::Panic("oh no")]);
    bench.handle.aspire(list);
    bench.until_state("ham", 1, State::Failed).await;
    bench.until_state("jam", 1, State::Available).await;
    bench.until_state("spam", 1, State::Available).await;
    let error = bench.status("ham", 1).unwrap().error.unwrap();
    assert_eq!((error.code(), error.message()), (Code::Internal, "loading panicked: oh no"));
}

#[tokio::test]
async fn a_panic_while_freeing_ends_the_version_and_no_more() {
    let mut bench = start();
    bench.handle.aspire(bench.with(List::new(), "ham", 1, vec![Try::Fragile]));
    bench.until_state("ham", 1, State::Available).await;
    for number in 2..4 {
        bench.handle.aspire(bench.list(&[("ham", number)]));
        bench.until_state("ham", number - 1, State::Ended).await;
    }
    assert_eq!(bench.latest("ham"), "ham 3");
}

#[tokio::test]
async fn a_load_that_takes_long_holds_up_no_other_model() {
    let mut bench = start();
    let (go, wait) = channel();
    let slow = bench.with(List::new(), "ham", 1, vec![Try::Wait(wait)]);
    bench
        .handle
        .aspire(["jam", "spam", "eggs"].iter().fold(slow, |list, name| bench.with(list, name, 1, vec![])));
    for model in ["jam", "spam", "eggs"] {
        bench.until_state(model, 1, State::Available).await;
    }
    assert_eq!(bench.state("ham", 1), Some(State::Loading));
    assert!(!bench.monitor.is_first_pass_done());
    go.send(()).unwrap();
    bench.monitor.first_pass().await;
    assert_eq!(bench.latest("ham"), "ham 1");
}

#[tokio::test]
async fn a_version_that_stops_being_wanted_while_it_loads_is_unloaded_again() {
    let mut bench = start();
    let (go, wait) = channel();
    bench.handle.aspire(bench.with(List::new(), "ham", 1, vec![Try::Wait(wait)]));
    bench.until_state("ham", 1, State::Loading).await;
    bench.handle.aspire(bench.list(&[("ham", 2)]));
    bench.until_state("ham", 2, State::Available).await;
    go.send(()).unwrap();
    bench.until_state("ham", 1, State::Ended).await;
    let error = bench.status("ham", 1).unwrap().error.unwrap();
    assert_eq!((error.code(), error.message()), (Code::Cancelled, "Loading of servable cancelled"));
    assert_eq!(bench.freed.recv().unwrap(), ("ham 1".to_owned(), "unload-0".to_owned()));
}

#[tokio::test]
async fn a_version_wanted_again_waits_until_its_old_instance_is_gone() {
    let mut bench = start();
    bench.handle.aspire(bench.list(&[("ham", 1)]));
    bench.until_state("ham", 1, State::Available).await;
    let in_use = bench.look("ham", VersionChoice::Latest).unwrap();
    bench.handle.aspire(List::new());
    bench.until_state("ham", 1, State::Unloading).await;
    // The second model shows that the manager has read the list.
    bench.handle.aspire(bench.list(&[("ham", 1), ("jam", 1)]));
    bench.until_state("jam", 1, State::Available).await;
    assert_eq!(bench.state("ham", 1), Some(State::Unloading));
    drop(in_use);
    bench.until_state("ham", 1, State::Available).await;
    assert_eq!(bench.freed.recv().unwrap().0, "ham 1");
    assert_eq!(bench.latest("ham"), "ham 1");
}

#[tokio::test]
async fn the_first_pass_ends_when_each_model_is_available_or_has_failed() {
    let mut bench = start();
    let (go, wait) = channel();
    let list = bench.with(bench.list(&[("ham", 1)]), "jam", 1, vec![Try::Wait(wait), Try::Fail("no")]);
    let list = bench.with(list, "spam", 1, vec![Try::Fail("broken")]);
    bench.handle.aspire(list);
    bench.until_state("ham", 1, State::Available).await;
    bench.until_state("spam", 1, State::Failed).await;
    assert!(!bench.monitor.is_first_pass_done());
    go.send(()).unwrap();
    bench.monitor.first_pass().await;
    assert_eq!(bench.state("jam", 1), Some(State::Available));
}

#[tokio::test]
async fn a_model_with_an_older_version_to_try_is_not_given_up_after_its_newest() {
    let mut bench = start();
    let (go, wait) = channel();
    let list = bench.with(List::new(), "ham", 2, vec![Try::Fail("broken")]);
    bench.handle.aspire(bench.with(list, "ham", 1, vec![Try::Wait(wait)]));
    bench.until_state("ham", 2, State::Failed).await;
    bench.until_state("ham", 1, State::Loading).await;
    assert!(!bench.monitor.is_first_pass_done());
    go.send(()).unwrap();
    bench.monitor.first_pass().await;
    assert_eq!(bench.latest("ham"), "ham 1");
}

#[tokio::test]
async fn an_empty_first_list_is_a_first_pass_done() {
    let bench = start();
    bench.handle.aspire(List::new());
    bench.monitor.first_pass().await;
}

#[tokio::test]
async fn a_label_may_move_to_a_version_of_the_same_list_and_answers_meanwhile() {
    let mut bench = start();
    let stable = || VersionChoice::Label("stable".to_owned());
    let label = |number, mut list: List| {
        let labels = BTreeMap::from([("stable".to_owned(), version(number))]);
        list.values_mut().for_each(|aspired| aspired.labels.clone_from(&labels));
        list
    };
    bench.handle.aspire(label(1, bench.list(&[("ham", 1)])));
    bench.until_state("ham", 1, State::Available).await;
    assert_eq!(bench.look("ham", stable()).unwrap().version(), version(1));

    let (go, wait) = channel();
    bench.handle.aspire(label(2, bench.with(List::new(), "ham", 2, vec![Try::Wait(wait)])));
    bench.until_state("ham", 2, State::Loading).await;
    assert_eq!(bench.look("ham", stable()).unwrap().version(), version(1));
    go.send(()).unwrap();
    bench.until_state("ham", 2, State::Available).await;
    assert_eq!(bench.look("ham", stable()).unwrap().version(), version(2));
}

#[tokio::test]
async fn a_model_that_nobody_wants_is_forgotten_when_it_is_gone() {
    let mut bench = start();
    bench.handle.aspire(bench.list(&[("ham", 1), ("jam", 1)]));
    bench.monitor.first_pass().await;
    bench.handle.aspire(bench.list(&[("jam", 1)]));
    bench.until(|bench| bench.monitor.versions("ham").is_none()).await;
    assert_eq!(bench.look("ham", VersionChoice::Latest).unwrap_err(), Miss::UnknownModel);
    assert_eq!(bench.monitor.models(), [ModelName::new("jam").unwrap()]);
}

#[tokio::test]
async fn a_version_listed_twice_counts_once() {
    let mut bench = start();
    bench.handle.aspire(bench.list(&[("ham", 1), ("ham", 2)]));
    bench.until_state("ham", 1, State::Available).await;
    bench.until_state("ham", 2, State::Available).await;
    bench.handle.aspire(bench.list(&[("ham", 2), ("ham", 2)]));
    bench.until_state("ham", 1, State::Ended).await;
    assert_eq!(bench.latest("ham"), "ham 2");
}

#[tokio::test]
async fn only_the_last_versions_that_ended_stay_listed() {
    let mut bench = start();
    for number in 1..=40 {
        bench.handle.aspire(bench.list(&[("ham", number)]));
        bench.until_state("ham", number, State::Available).await;
    }
    bench.until_state("ham", 39, State::Ended).await;
    let listed: Vec<i64> =
        bench.monitor.versions("ham").unwrap().iter().map(|one| one.version.get()).collect();
    assert_eq!(listed, (24..=40).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn shutdown_unloads_everything_and_waits_for_handles_in_use() {
    let mut bench = start();
    bench.handle.aspire(bench.list(&[("ham", 1), ("ham", 2), ("jam", 1)]));
    bench.until_state("ham", 1, State::Available).await;
    bench.monitor.first_pass().await;
    let in_use = bench.look("ham", VersionChoice::Latest).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let shutdown = {
        let (handle, over) = (bench.handle.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            handle.shutdown().await;
            over.store(true, Ordering::SeqCst);
        })
    };
    bench.until(|bench| bench.monitor.models().len() == 1).await;
    assert!(!over.load(Ordering::SeqCst), "a request was cut off");
    drop(in_use);
    shutdown.await.unwrap();
    let mut freed: Vec<_> = bench.freed.try_iter().map(|(text, _)| text).collect();
    freed.sort_unstable();
    assert_eq!(freed, ["ham 1", "ham 2", "jam 1"]);
    assert!(bench.monitor.models().is_empty());
    // Nothing more happens.
    bench.handle.aspire(bench.list(&[("ham", 1)]));
    assert_eq!(bench.look("ham", VersionChoice::Latest).unwrap_err(), Miss::UnknownModel);
}

#[tokio::test]
async fn dropping_the_last_handle_unloads_everything() {
    let bench = start();
    bench.handle.aspire(bench.list(&[("ham", 1)]));
    bench.monitor.first_pass().await;
    let Bench { handle, monitor, freed, .. } = bench;
    let mut changes = monitor.subscribe();
    drop(handle);
    while !monitor.models().is_empty() {
        changes.changed().await.unwrap();
    }
    assert_eq!(freed.recv().unwrap().0, "ham 1");
}

#[tokio::test]
async fn a_miss_says_why() {
    let mut bench = start();
    let (_go, wait) = channel();
    let list = bench.with(bench.list(&[("jam", 1)]), "ham", 3, vec![Try::Fail("no such file")]);
    let mut list = bench.with(list, "ham", 2, vec![Try::Wait(wait)]);
    let labels = [("canary", 3), ("gone", 9)].map(|(label, number)| (label.to_owned(), version(number)));
    list.values_mut().for_each(|aspired| aspired.labels = labels.clone().into());
    list.insert(
        ModelName::new("bare").unwrap(),
        Aspired { versions: Vec::new(), labels: BTreeMap::new(), first_is_coming: false },
    );
    bench.handle.aspire(list);
    bench.until_state("ham", 3, State::Failed).await;
    bench.until_state("ham", 2, State::Loading).await;
    bench.until_state("jam", 1, State::Available).await;

    let miss = |model, choice| bench.look(model, choice).unwrap_err();
    let label = |label: &str| VersionChoice::Label(label.to_owned());
    let not_ready =
        |number: Option<i64>, why: &str| Miss::NotReady { version: number.map(version), why: why.to_owned() };
    assert_eq!(miss("eggs", VersionChoice::Latest), Miss::UnknownModel);
    assert_eq!(miss("", VersionChoice::Latest), Miss::UnknownModel);
    assert_eq!(
        miss("ham", VersionChoice::Latest),
        not_ready(None, "version 3 is END: no such file; version 2 is LOADING")
    );
    assert_eq!(miss("bare", VersionChoice::Latest), not_ready(None, "it has no version"));
    assert_eq!(miss("ham", VersionChoice::Specific(2)), not_ready(Some(2), "version 2 is LOADING"));
    assert_eq!(miss("ham", VersionChoice::Specific(7)), Miss::UnknownVersion(7));
    assert_eq!(miss("jam", VersionChoice::Specific(-1)), Miss::UnknownVersion(-1));
    assert_eq!(
        miss("ham", label("canary")),
        not_ready(Some(3), "the label points at version 3, which is END: no such file")
    );
    assert_eq!(miss("jam", label("gone")), Miss::UnknownVersion(9));
    assert_eq!(miss("jam", label("stable")), Miss::UnknownLabel);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_thousand_swaps_under_load_without_one_miss() {
    const SWAPS: i64 = 2_000;
    let mut bench = start();
    bench.handle.aspire(bench.list(&[("ham", 0)]));
    bench.monitor.first_pass().await;
    let (over, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<_> = (0..2)
        .map(|number| {
            let reader = bench.catalog.reader();
            let (over, looks) = (Arc::clone(&over), Arc::clone(&looks));
            let query = ModelQuery { name: "ham".to_owned(), choice: VersionChoice::Latest };
            let body = move || {
                let mut newest = 0;
                // The handles of the last few look-ups stay in use.
                let mut in_use = VecDeque::new();
                while !over.load(Ordering::Relaxed) {
                    let handle = reader.handle(&query).expect("a version is available throughout");
                    assert!(handle.version().get() >= newest, "an older version came back");
                    newest = handle.version().get();
                    assert_eq!(handle.text, format!("ham {newest}"));
                    in_use.push_back(handle);
                    in_use.truncate(8 - in_use.len() % 8);
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            };
            thread::Builder::new().name(format!("reader-{number}")).spawn(body).unwrap()
        })
        .collect();
    for number in 1..=SWAPS {
        bench.handle.aspire(bench.list(&[("ham", number)]));
        bench.until_state("ham", number, State::Available).await;
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(looks.load(Ordering::Relaxed) > 1_000, "the readers hardly ran");
    bench.handle.clone().shutdown().await;
    let freed: Vec<_> = bench.freed.try_iter().collect();
    assert_eq!(freed.len(), usize::try_from(SWAPS).unwrap() + 1);
    assert!(freed.iter().all(|(_, thread)| thread == "unload-0"), "freed on a reader's thread");
}

#[tokio::test]
async fn whoever_waits_for_a_model_to_be_tried_waits_for_no_other() {
    let bench = start();
    let names = |names: &[&str]| names.iter().map(|name| ModelName::new(name).unwrap()).collect();
    bench.handle.tried(names(&["nobody wants this"])).await;

    let (go, held) = channel();
    let list = bench.with(bench.list(&[]), "ham", 1, vec![Try::Wait(held)]);
    bench.handle.aspire(bench.with(list, "spam", 1, vec![Try::Fail("stale")]));
    bench.handle.tried(names(&["spam"])).await;
    assert_eq!(bench.state("spam", 1), Some(State::Failed));
    let mut both = std::pin::pin!(bench.handle.tried(names(&["ham", "spam"])));
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut both).await.is_err());
    go.send(()).unwrap();
    both.await;
    assert_eq!(bench.state("ham", 1), Some(State::Available));
    // A list counts from the moment that it is stated.
    bench.handle.aspire(bench.list(&[("ham", 1), ("ham", 2)]));
    bench.handle.tried(names(&["ham"])).await;
    assert_eq!(bench.state("ham", 2), Some(State::Available));
}

#[tokio::test]
async fn a_bounded_number_of_retries_ends_until_the_files_change() {
    let retry_pause_first = Duration::from_millis(1);
    let mut bench = start_with(Options { retries_max: Some(1), retry_pause_first, ..options() });
    let tries = vec![Try::Fail("first"), Try::Fail("second")];
    bench.handle.aspire(bench.with(List::new(), "ham", 1, tries));
    let failed_with = |bench: &Bench, why| bench.status("ham", 1)?.error.map(|e| e.message() == why);
    bench.until(|bench| failed_with(bench, "second") == Some(true)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(failed_with(&bench, "second"), Some(true));

    let mut list = bench.list(&[("ham", 1)]);
    list.get_mut("ham").unwrap().versions[0].fingerprint = 7;
    bench.handle.aspire(list);
    bench.until_state("ham", 1, State::Available).await;
}
