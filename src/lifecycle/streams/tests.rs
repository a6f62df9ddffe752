//! Random schedules of everything that can happen, played without a clock or a
//! thread against the real catalog and the real monitor, with what must always
//! hold checked after each single effect.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::*;
use crate::error::Code;
use crate::ids::{ModelQuery, VersionChoice};
use crate::lifecycle::{Catalog, Handle, Miss, Publisher, Reader, Retired, StateMonitor};

const SEEDS: u64 = 1_000;
const STEPS: usize = 120;
const MODELS: [&str; 3] = ["ham", "jam", "spam"];
const HIGHEST_VERSION: u64 = 40;
const LOAD_THREADS: usize = 2;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }
}

/// Counts what became of each servable, by the serial number of its making.
#[derive(Default)]
struct Ledger {
    made: u64,
    freed: BTreeSet<u64>,
    /// Handles in use.
    held: BTreeMap<u64, u32>,
}

/// The servable.
struct Token {
    serial: u64,
    ledger: Rc<RefCell<Ledger>>,
}

impl Token {
    fn new(ledger: &Rc<RefCell<Ledger>>) -> Self {
        let mut book = ledger.borrow_mut();
        book.made += 1;
        Self { serial: book.made, ledger: Rc::clone(ledger) }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut ledger = self.ledger.borrow_mut();
        assert!(ledger.freed.insert(self.serial), "freed twice");
        assert_eq!(ledger.held.get(&self.serial).copied().unwrap_or(0), 0, "freed while in use");
    }
}

/// The loader: which version it is for, so that none loads with another's.
#[derive(Clone, Debug)]
struct FakeLoader(ServableId);

type Wanted = BTreeMap<ModelName, BTreeSet<Version>>;

struct World {
    dice: Dice,
    now: Instant,
    streams: Streams<FakeLoader>,
    publisher: Publisher<Token>,
    monitor: Arc<StateMonitor>,
    /// Two, so that each sees what the other's caching might hide.
    readers: [Reader<Token>; 2],
    ledger: Rc<RefCell<Ledger>>,
    retired: mpsc::Receiver<Retired<Token>>,
    awaiting_free: Vec<Retired<Token>>,
    loading: Vec<(ServableId, FakeLoader)>,
    held: Vec<Handle<Token>>,
    wanted: Wanted,
    broken: BTreeSet<ServableId>,
    fingerprints: BTreeMap<ServableId, u64>,
    states: BTreeMap<ServableId, State>,
    /// Models that were available once and have had something aspired ever since.
    must_answer: BTreeSet<ModelName>,
    first_pass_done: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let options =
            Options { num_load_threads: NonZeroUsize::new(LOAD_THREADS).unwrap(), ..Options::default() };
        let monitor = Arc::new(StateMonitor::default());
        let (retire, retired) = mpsc::channel();
        let publisher = Publisher::new(Arc::clone(&monitor), retire);
        let catalog: Arc<Catalog<Token>> = publisher.catalog();
        Self {
            dice: Dice(seed),
            now: Instant::now(),
            streams: Streams::new(options),
            publisher,
            monitor,
            readers: [catalog.reader(), catalog.reader()],
            ledger: Rc::default(),
            retired,
            awaiting_free: Vec::new(),
            loading: Vec::new(),
            held: Vec::new(),
            wanted: Wanted::new(),
            broken: BTreeSet::new(),
            fingerprints: BTreeMap::new(),
            states: BTreeMap::new(),
            must_answer: BTreeSet::new(),
            first_pass_done: false,
        }
    }

    fn look(&self, reader: usize, name: &str, choice: VersionChoice) -> Result<Handle<Token>, Miss> {
        self.readers[reader].handle(&ModelQuery { name: name.to_owned(), choice })
    }

    fn finds(&self, id: &ServableId) -> [bool; 2] {
        let specific = || VersionChoice::Specific(id.version.get());
        [0, 1].map(|reader| {
            self.look(reader, id.name.as_str(), specific()).is_ok_and(|handle| handle.id() == id)
        })
    }

    fn happens(&mut self, event: Event<FakeLoader, Token>) {
        for effect in self.streams.handle(event, self.now) {
            self.carry_out(effect);
            for model in &self.must_answer {
                for reader in [0, 1] {
                    let found = self.look(reader, model.as_str(), VersionChoice::Latest);
                    assert!(found.is_ok(), "{model} went away: {found:?}");
                }
            }
        }
        self.check_between_events();
    }

    fn carry_out(&mut self, effect: Effect<FakeLoader, Token>) {
        match effect {
            Effect::AddModel(model) => self.monitor.add_model(&model),
            Effect::SetLabels { model, labels } => self.publisher.set_labels(&model, &labels),
            Effect::RemoveModel(model) => {
                assert!(!self.wanted.contains_key(&model), "{model} was removed while wanted");
                self.publisher.remove(&model);
                self.monitor.remove_model(&model);
                self.states.retain(|id, _| id.name != model);
            }
            Effect::StartLoad { id, loader } => {
                assert_eq!(loader.0, id, "loads with another version's loader");
                assert!(self.loading.iter().all(|(other, _)| *other != id), "{id} loads twice at once");
                self.loading.push((id, loader));
                assert!(self.loading.len() <= LOAD_THREADS, "more loads than threads");
            }
            Effect::Publish { id, servable } => self.publisher.publish(id, servable),
            Effect::Retire { id } => {
                self.publisher.retire(&id);
                assert_eq!(self.finds(&id), [false; 2], "{id} was retired and is found");
            }
            Effect::Free { id, servable } => self.awaiting_free.push(Retired { id, servable }),
            Effect::SetState { id, state, error, .. } => {
                self.check_edge(&id, state);
                if state == State::Available {
                    self.must_answer.insert(id.name.clone());
                }
                self.monitor.set(&id, state, error);
            }
            Effect::Forget { id } => {
                self.monitor.forget(&id);
                assert_eq!(self.states.remove(&id).map(State::wire_number), Some(50), "{id} forgotten alive");
            }
            Effect::Tried { .. } => {}
            Effect::FirstPassDone => {
                assert!(!self.first_pass_done, "the first pass ends once");
                self.first_pass_done = true;
            }
            Effect::Fault { id, fault } => panic!("{id}: {fault}"),
        }
    }

    fn check_edge(&mut self, id: &ServableId, to: State) {
        use State::{Available, Ended, Failed, Loading, Start, Unloading};
        let from = self.states.insert(id.clone(), to);
        let legal = match from {
            None => to == Start,
            Some(Start) => matches!(to, Loading | Ended),
            Some(Loading) => matches!(to, Available | Failed | Unloading),
            Some(Available) => to == Unloading,
            Some(Unloading) => to == Ended,
            Some(Failed) => matches!(to, Loading | Start),
            Some(Ended) => to == Start,
        };
        assert!(legal, "{id} went from {from:?} to {to:?}");
        if to == Available || from == Some(Available) {
            assert_eq!(self.finds(id), [true; 2], "{id} is said to be {to} and is not found");
        }
    }

    fn is_wanted(&self, id: &ServableId) -> bool {
        self.wanted.get(&id.name).is_some_and(|versions| versions.contains(&id.version))
    }

    fn check_between_events(&mut self) {
        self.awaiting_free.extend(self.retired.try_iter());
        for model in self.monitor.models() {
            let of_model = |id: &&ServableId| id.name == model;
            let in_state = |wanted: State| {
                self.states.iter().filter(move |(_, state)| **state == wanted).map(|(id, _)| id)
            };
            let ready: Vec<_> = in_state(State::Available).filter(of_model).collect();
            let surplus = ready.iter().filter(|id| !self.is_wanted(id)).count();
            let wants_some = self.wanted.get(&model).is_some_and(|versions| !versions.is_empty());
            let keeps_one = wants_some && ready.len() == surplus;
            assert!(surplus <= usize::from(keeps_one), "{model} keeps {surplus} that nobody wants");

            let loads = in_state(State::Loading).filter(of_model).filter(|id| self.is_wanted(id)).count();
            assert!(loads <= 1, "{model} loads {loads} versions at once");

            let told = self.monitor.versions(model.as_str()).unwrap();
            let over = told.iter().filter(|one| one.state.wire_number() == 50).count();
            let failed = told
                .iter()
                .filter(|one| self.is_wanted(&ServableId { name: model.clone(), version: one.version }))
                .count();
            assert!(over <= limits::ENDED_VERSIONS_KEPT + failed, "{model} lists {over} that are over");
            assert!(told.is_sorted_by(|a, b| a.version > b.version));

            let highest = ready.iter().max().map(|id| id.version);
            for reader in [0, 1] {
                let latest = self.look(reader, model.as_str(), VersionChoice::Latest);
                assert_eq!(latest.ok().map(|handle| handle.version()), highest, "{model}'s latest");
            }
        }
    }

    /// The source looked again: something else is wanted, and some files changed.
    fn aspire_something_else(&mut self) {
        let mut wanted = Wanted::new();
        for model in MODELS {
            let name = ModelName::new(model).unwrap();
            let before = self.wanted.get(&name).cloned();
            let versions = match (self.dice.below(10), before) {
                (0, _) => continue,
                (1, _) => BTreeSet::new(),
                (2..=5, Some(before)) => before,
                _ => {
                    let count = self.dice.below(3) + 1;
                    (0..count)
                        .map(|_| Version::new((self.dice.next() % HIGHEST_VERSION) as i64).unwrap())
                        .collect()
                }
            };
            wanted.insert(name, versions);
        }
        self.aspire(wanted);
    }

    fn aspire(&mut self, wanted: Wanted) {
        let mut list = BTreeMap::new();
        for (name, versions) in &wanted {
            let mut aspired =
                Aspired { versions: Vec::new(), labels: BTreeMap::new(), first_is_coming: false };
            for &version in versions {
                let id = ServableId { name: name.clone(), version };
                if self.dice.one_in(6) {
                    *self.fingerprints.entry(id.clone()).or_default() += 1;
                    self.set_broken(&id);
                }
                let fingerprint = self.fingerprints.get(&id).copied().unwrap_or(0);
                aspired.versions.push(AspiredVersion { version, fingerprint, loader: FakeLoader(id) });
            }
            list.insert(name.clone(), aspired);
        }
        self.must_answer.retain(|model| wanted.get(model).is_some_and(|versions| !versions.is_empty()));
        self.wanted = wanted;
        self.happens(Event::Aspire(list));
    }

    /// Files that were loaded are not looked at again, so they stay good.
    fn set_broken(&mut self, id: &ServableId) {
        if self.states.get(id) == Some(&State::Available) {
            return;
        }
        if self.dice.one_in(3) {
            self.broken.insert(id.clone());
        } else {
            self.broken.remove(id);
        }
    }

    fn finish_a_load(&mut self) {
        if self.loading.is_empty() {
            return;
        }
        let (id, loader) = self.loading.swap_remove(self.dice.below(self.loading.len()));
        let took = Duration::ZERO;
        if self.broken.contains(&id) {
            let error = LoadError::new(Code::InvalidArgument, "broken");
            self.happens(Event::LoadFailed { id, loader, error, took });
        } else {
            let servable = Token::new(&self.ledger);
            self.happens(Event::LoadDone { id, servable, took });
        }
    }

    fn take_a_handle(&mut self) {
        let model = MODELS[self.dice.below(MODELS.len())];
        let choice = match self.dice.below(2) {
            0 => VersionChoice::Latest,
            _ => VersionChoice::Specific((self.dice.next() % HIGHEST_VERSION) as i64),
        };
        let reader = self.dice.below(2);
        if let Ok(handle) = self.look(reader, model, choice) {
            *self.ledger.borrow_mut().held.entry(handle.serial).or_default() += 1;
            self.held.push(handle);
        }
    }

    fn drop_a_handle(&mut self) {
        if !self.held.is_empty() {
            let handle = self.held.swap_remove(self.dice.below(self.held.len()));
            *self.ledger.borrow_mut().held.get_mut(&handle.serial).unwrap() -= 1;
        }
    }

    /// The unload thread gets round to one.
    fn free_one(&mut self) {
        self.awaiting_free.extend(self.retired.try_iter());
        if !self.awaiting_free.is_empty() {
            let Retired { id, servable } = self.awaiting_free.swap_remove(0);
            drop(servable);
            self.happens(Event::Freed { id });
        }
    }

    fn wait(&mut self) {
        if let Some(wake) = self.streams.next_wake() {
            self.now = self.now.max(wake);
            self.happens(Event::Tick);
        }
    }

    fn anything(&mut self) {
        match self.dice.below(16) {
            0..=1 => self.aspire_something_else(),
            2..=6 => self.finish_a_load(),
            7..=9 => self.take_a_handle(),
            10..=11 => self.drop_a_handle(),
            12..=14 => self.free_one(),
            _ => self.wait(),
        }
    }

    /// What is under way comes to its end.
    fn finish_all(&mut self) {
        while !self.loading.is_empty() || !self.held.is_empty() || !self.awaiting_free.is_empty() {
            self.finish_a_load();
            self.drop_a_handle();
            self.free_one();
        }
    }

    /// Nothing new happens, for longer than any pause.
    fn come_to_rest(&mut self) {
        self.finish_all();
        let end = self.now + 2 * Options::default().retry_pause_max;
        while self.now < end && self.streams.next_wake().is_some() {
            self.wait();
            self.finish_all();
        }
    }

    fn check_at_rest(&self) {
        for (model, versions) in &self.wanted {
            let available = |(id, state): (&ServableId, &State)| {
                (id.name == *model && *state == State::Available).then_some(id.version)
            };
            let available: BTreeSet<Version> = self.states.iter().filter_map(available).collect();
            let loadable: BTreeSet<Version> = versions
                .iter()
                .filter(|version| {
                    !self.broken.contains(&ServableId { name: model.clone(), version: **version })
                })
                .copied()
                .collect();
            if !loadable.is_empty() || versions.is_empty() {
                assert_eq!(
                    available,
                    loadable,
                    "{model}, which stands at {:?}",
                    self.monitor.versions(model.as_str())
                );
            } else {
                assert!(available.is_disjoint(versions) && available.len() <= 1, "{model}: {available:?}");
            }
        }
        let alive =
            self.states.iter().filter(|(id, state)| **state == State::Available && !self.is_wanted(id));
        assert!(alive.count() <= self.wanted.len());
    }
}

/// Says which seed to replay.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was seed {}", self.0);
        }
    }
}

#[test]
fn whatever_happens_in_whatever_order() {
    let mut freed = 0;
    for seed in 0..SEEDS {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.anything();
        }
        world.come_to_rest();
        world.check_at_rest();

        world.aspire(Wanted::new());
        world.come_to_rest();
        assert!(world.streams.is_empty() && world.monitor.models().is_empty(), "something stays behind");
        assert!(world.first_pass_done);
        let ledger = world.ledger.borrow();
        assert_eq!(ledger.freed.len() as u64, ledger.made, "something made was never freed");
        freed += ledger.freed.len();
    }
    // The schedules are worth their name.
    assert!(freed as u64 > SEEDS * 10, "only {freed} servables lived");
}

fn pauses(options: Options, failures: u32) -> Vec<u64> {
    (0..failures).map(|earlier| options.retry_pause(earlier).as_secs()).collect()
}

#[test]
fn pauses_double_up_to_their_cap() {
    assert_eq!(pauses(Options::default(), 8), [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(Options::default().retry_pause(u32::MAX).as_secs(), 60);
}
