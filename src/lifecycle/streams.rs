//! The manager's decisions: events in, effects out.
//!
//! No clock, thread, lock or channel in here, so that every schedule of loads,
//! failures and requests can be played in a test.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::loader::{Aspired, AspiredVersion, LoadError};
use super::manager::Options;
use super::state::{IllegalStep, State, Step};
use super::transition::{self, Action, Candidate};
use crate::ids::{ModelName, ServableId, Version};
use crate::limits;

/// What happened. `L` is a loader, `S` what it loads; neither is looked into.
#[derive(Debug)]
pub(super) enum Event<L, S> {
    /// The source states the whole list of what should be served.
    Aspire(BTreeMap<ModelName, Aspired<L>>),
    /// Someone waits for these models to be tried, under this number.
    Await { number: u64, models: BTreeSet<ModelName> },
    /// A load thread made a servable.
    LoadDone { id: ServableId, servable: S, took: Duration },
    /// A load thread failed; the loader comes back for another try.
    LoadFailed { id: ServableId, loader: L, error: LoadError, took: Duration },
    /// The last handle of a version was dropped and its memory freed.
    Freed { id: ServableId },
    /// The time of [`Streams::next_wake`] has come.
    Tick,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub(super) enum Effect<L, S> {
    /// The status calls know this model from now on.
    AddModel(ModelName),
    /// The model's labels are now these.
    SetLabels { model: ModelName, labels: BTreeMap<String, Version> },
    /// No trace of the model remains.
    RemoveModel(ModelName),
    /// A load thread, of which one is free, is to load this.
    StartLoad { id: ServableId, loader: L },
    /// Look-ups are to find it.
    Publish { id: ServableId, servable: S },
    /// Look-ups are to find it no longer.
    Retire { id: ServableId },
    /// It was never published, and is to be freed.
    Free { id: ServableId, servable: S },
    /// The status calls are to tell this.
    SetState { id: ServableId, state: State, error: Option<LoadError>, load_took: Option<Duration> },
    /// The status calls are to tell nothing of it any more.
    Forget { id: ServableId },
    /// Each model of the first list is available or has failed its first try.
    FirstPassDone,
    /// All that is wanted of the models of this [`Event::Await`] has been tried.
    Tried { number: u64 },
    /// An event that cannot have happened; nothing else was done about it.
    Fault { id: ServableId, fault: IllegalStep },
}

/// All servable streams (one per model) and the queue for the load threads.
pub(super) struct Streams<L> {
    options: Options,
    streams: BTreeMap<ModelName, Stream<L>>,
    /// Models with a version to load, first come first served. What exactly to
    /// load is decided anew when a thread is free.
    queue: VecDeque<ModelName>,
    /// The same, to look up.
    queued: HashSet<ModelName>,
    loads_running: usize,
    /// When to look at which model again. May hold times that no longer matter.
    retries: BTreeSet<(Instant, ModelName)>,
    /// The models of the first list that are still to be tried.
    first_pass: Option<BTreeSet<ModelName>>,
    first_list_given: bool,
    /// Who waits for which models.
    waits: Vec<(u64, BTreeSet<ModelName>)>,
}

/// One model's versions.
struct Stream<L> {
    model: ModelName,
    /// Whether the model stands in the last aspired list.
    listed: bool,
    /// Whether its first version is likely to be listed soon.
    first_is_coming: bool,
    labels: BTreeMap<String, Version>,
    versions: BTreeMap<Version, Entry<L>>,
}

/// One version.
struct Entry<L> {
    state: State,
    aspired: bool,
    fingerprint: u64,
    /// For the next load. Present in `Start` and in `Failed` while aspired; in
    /// `Loading` when the files changed meanwhile; in `Unloading` when the
    /// version is wanted again.
    loader: Option<L>,
    /// Failures in a row of these files.
    failures: u32,
    /// When a failed version may be tried again.
    retry_at: Option<Instant>,
    tried: bool,
    error: Option<LoadError>,
}

impl<L> Streams<L> {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            streams: BTreeMap::new(),
            queue: VecDeque::new(),
            queued: HashSet::new(),
            loads_running: 0,
            retries: BTreeSet::new(),
            first_pass: None,
            first_list_given: false,
            waits: Vec::new(),
        }
    }

    /// When to send [`Event::Tick`], if nothing else happens first.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Whether no model is left in any state, and no load runs.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Decides what to do about `event`.
    pub(super) fn handle<S>(&mut self, event: Event<L, S>, now: Instant) -> Vec<Effect<L, S>> {
        let mut effects = Vec::new();
        match event {
            Event::Aspire(list) => self.aspire(list, now, &mut effects),
            Event::Await { number, mut models } => {
                models.retain(|model| self.streams.get(model).is_some_and(|stream| !stream.is_tried()));
                self.waits.push((number, models));
            }
            Event::LoadDone { id, servable, took } => {
                self.loads_running = self.loads_running.saturating_sub(1);
                match self.find(&id) {
                    Some((stream, _)) => stream.load_done(&id, servable, took, &mut effects),
                    None => effects.push(Effect::Free { id: id.clone(), servable }),
                }
                self.settle(&id.name, now, &mut effects);
            }
            Event::LoadFailed { id, loader, error, took } => {
                self.loads_running = self.loads_running.saturating_sub(1);
                if let Some((stream, options)) = self.find(&id) {
                    let retry_at = stream.load_failed(&id, loader, error, took, now, options, &mut effects);
                    self.retries.extend(retry_at.map(|at| (at, id.name.clone())));
                }
                self.settle(&id.name, now, &mut effects);
            }
            Event::Freed { id } => {
                if let Some((stream, _)) = self.find(&id) {
                    stream.freed(&id, &mut effects);
                }
                self.settle(&id.name, now, &mut effects);
            }
            Event::Tick => {
                while self.retries.first().is_some_and(|(at, _)| *at <= now) {
                    if let Some((_, model)) = self.retries.pop_first() {
                        self.settle(&model, now, &mut effects);
                    }
                }
            }
        }
        self.start_loads(now, &mut effects);
        if self.first_pass.as_ref().is_some_and(BTreeSet::is_empty) {
            self.first_pass = None;
            effects.push(Effect::FirstPassDone);
        }
        let tried = self.waits.extract_if(.., |(_, models)| models.is_empty());
        effects.extend(tried.map(|(number, _)| Effect::Tried { number }));
        effects
    }

    fn find(&mut self, id: &ServableId) -> Option<(&mut Stream<L>, &Options)> {
        Some((self.streams.get_mut(&id.name)?, &self.options))
    }

    fn aspire<S>(
        &mut self,
        list: BTreeMap<ModelName, Aspired<L>>,
        now: Instant,
        effects: &mut Vec<Effect<L, S>>,
    ) {
        if !self.first_list_given {
            self.first_list_given = true;
            self.first_pass = Some(list.keys().cloned().collect());
        }
        let left_out: Vec<_> =
            self.streams.keys().filter(|name| !list.contains_key(*name)).cloned().collect();
        for model in left_out {
            if let Some(stream) = self.streams.get_mut(&model) {
                stream.listed = false;
                stream.first_is_coming = false;
                stream.aspire(Vec::new(), now, effects);
            }
            self.settle(&model, now, effects);
        }
        for (model, aspired) in list {
            // Most of a long list is as it was.
            if self.streams.get(&model).is_some_and(|stream| stream.is_as_wanted(&aspired)) {
                continue;
            }
            let stream = self.streams.entry(model.clone()).or_insert_with(|| {
                effects.push(Effect::AddModel(model.clone()));
                effects.push(Effect::SetLabels { model: model.clone(), labels: aspired.labels.clone() });
                Stream::new(model.clone(), aspired.labels.clone())
            });
            stream.listed = true;
            stream.first_is_coming = aspired.first_is_coming;
            if stream.labels != aspired.labels {
                stream.labels.clone_from(&aspired.labels);
                effects.push(Effect::SetLabels { model: model.clone(), labels: aspired.labels });
            }
            stream.aspire(aspired.versions, now, effects);
            self.settle(&model, now, effects);
        }
    }

    /// Takes one model as far as it goes without waiting.
    fn settle<S>(&mut self, model: &ModelName, now: Instant, effects: &mut Vec<Effect<L, S>>) {
        let Some(stream) = self.streams.get_mut(model) else { return };
        while let Some(action) = stream.next_action(now) {
            match action {
                Action::Unload(version) => stream.unload(version, effects),
                Action::Load(_) => {
                    if self.queued.insert(model.clone()) {
                        self.queue.push_back(model.clone());
                    }
                    break;
                }
            }
        }
        stream.forget_old(effects);
        let (settled, tried) = (stream.is_settled(), stream.is_tried());
        if stream.is_gone() {
            self.streams.remove(model);
            effects.push(Effect::RemoveModel(model.clone()));
        }
        if settled && let Some(waiting) = &mut self.first_pass {
            waiting.remove(model);
        }
        if tried {
            self.waits.iter_mut().for_each(|(_, models)| _ = models.remove(model));
        }
    }

    fn start_loads<S>(&mut self, now: Instant, effects: &mut Vec<Effect<L, S>>) {
        while self.loads_running < self.options.num_load_threads.get() {
            let Some(model) = self.queue.pop_front() else { return };
            self.queued.remove(&model);
            let Some(stream) = self.streams.get_mut(&model) else { continue };
            if let Some(Action::Load(version)) = stream.next_action(now)
                && stream.load(version, effects)
            {
                self.loads_running += 1;
            }
        }
    }
}

impl<L> Stream<L> {
    fn new(model: ModelName, labels: BTreeMap<String, Version>) -> Self {
        Self { model, listed: true, first_is_coming: false, labels, versions: BTreeMap::new() }
    }

    fn id(&self, version: Version) -> ServableId {
        ServableId { name: self.model.clone(), version }
    }

    fn next_action(&self, now: Instant) -> Option<Action> {
        let candidate = |(version, entry): (&Version, &Entry<L>)| Candidate {
            version: *version,
            state: entry.state,
            aspired: entry.aspired,
            retry_due: entry.retry_at.is_some_and(|at| at <= now),
        };
        let candidates: smallvec::SmallVec<[Candidate; 4]> = self.versions.iter().map(candidate).collect();
        transition::next_action(&candidates)
    }

    /// Whether `wanted` says nothing new.
    fn is_as_wanted(&self, wanted: &Aspired<L>) -> bool {
        let known = |one: &AspiredVersion<L>| {
            let entry = self.versions.get(&one.version);
            entry.is_some_and(|entry| entry.aspired && entry.fingerprint == one.fingerprint)
        };
        let distinct: BTreeSet<Version> = wanted.versions.iter().map(|one| one.version).collect();
        self.listed
            && self.first_is_coming == wanted.first_is_coming
            && self.labels == wanted.labels
            && self.versions.values().filter(|entry| entry.aspired).count() == distinct.len()
            && wanted.versions.iter().all(known)
    }

    /// Takes one step of a version's life, with its error from now on, and tells
    /// it. `false` when the step is illegal, in which case nothing changed.
    fn step<S>(
        &mut self,
        version: Version,
        step: Step,
        error: Option<LoadError>,
        load_took: Option<Duration>,
        effects: &mut Vec<Effect<L, S>>,
    ) -> bool {
        let id = self.id(version);
        let state = self.versions.get(&version).map_or(State::Ended, |entry| entry.state);
        match (state.after(step), self.versions.get_mut(&version)) {
            (Ok(state), Some(entry)) => {
                entry.state = state;
                entry.error.clone_from(&error);
                effects.push(Effect::SetState { id, state, error, load_took });
                true
            }
            (Err(fault), _) => {
                effects.push(Effect::Fault { id, fault });
                false
            }
            (Ok(_), None) => {
                effects.push(Effect::Fault { id, fault: IllegalStep { from: state, step } });
                false
            }
        }
    }

    fn aspire<S>(&mut self, wanted: Vec<AspiredVersion<L>>, now: Instant, effects: &mut Vec<Effect<L, S>>) {
        let wanted: BTreeMap<Version, AspiredVersion<L>> =
            wanted.into_iter().map(|one| (one.version, one)).collect();
        let dropped: Vec<Version> = self
            .versions
            .iter()
            .filter(|(version, entry)| entry.aspired && !wanted.contains_key(version))
            .map(|(version, _)| *version)
            .collect();
        for version in dropped {
            self.stop_aspiring(version, effects);
        }
        for (version, aspired) in wanted {
            self.aspire_one(version, aspired, now, effects);
        }
    }

    fn stop_aspiring<S>(&mut self, version: Version, effects: &mut Vec<Effect<L, S>>) {
        let Some(entry) = self.versions.get_mut(&version) else { return };
        entry.aspired = false;
        entry.loader = None;
        entry.retry_at = None;
        if entry.state == State::Start {
            self.step(version, Step::Abandoned, Some(LoadError::cancelled()), None, effects);
        }
    }

    fn aspire_one<S>(
        &mut self,
        version: Version,
        AspiredVersion { fingerprint, loader, .. }: AspiredVersion<L>,
        now: Instant,
        effects: &mut Vec<Effect<L, S>>,
    ) {
        let Some(entry) = self.versions.get_mut(&version) else {
            let entry = Entry {
                state: State::Start,
                aspired: true,
                fingerprint,
                loader: Some(loader),
                failures: 0,
                retry_at: None,
                tried: false,
                error: None,
            };
            self.versions.insert(version, entry);
            let id = self.id(version);
            effects.push(Effect::SetState { id, state: State::Start, error: None, load_took: None });
            return;
        };
        let was_aspired = std::mem::replace(&mut entry.aspired, true);
        let changed = entry.fingerprint != fingerprint;
        let anew = match entry.state {
            State::Available => return,
            State::Start | State::Loading if !changed => return,
            State::Failed if was_aspired && !changed => return,
            State::Start | State::Loading | State::Unloading => false,
            State::Failed if was_aspired => {
                entry.retry_at = Some(now);
                false
            }
            State::Failed | State::Ended => true,
        };
        entry.fingerprint = fingerprint;
        entry.loader = Some(loader);
        entry.failures = 0;
        if anew || entry.state == State::Unloading {
            entry.tried = false;
        }
        if anew {
            self.step(version, Step::AspiredAnew, None, None, effects);
        }
    }

    /// Whether the load begins.
    fn load<S>(&mut self, version: Version, effects: &mut Vec<Effect<L, S>>) -> bool {
        let Some(loader) = self.versions.get_mut(&version).and_then(|entry| {
            entry.retry_at = None;
            entry.loader.take()
        }) else {
            return false;
        };
        let begins = self.step(version, Step::LoadStarted, None, None, effects);
        if begins {
            effects.push(Effect::StartLoad { id: self.id(version), loader });
        }
        begins
    }

    fn load_done<S>(
        &mut self,
        id: &ServableId,
        servable: S,
        took: Duration,
        effects: &mut Vec<Effect<L, S>>,
    ) {
        let aspired = self.versions.get_mut(&id.version).is_some_and(|entry| {
            entry.tried = true;
            entry.failures = 0;
            entry.loader = None;
            entry.aspired
        });
        let told = effects.len();
        if !aspired {
            self.step(id.version, Step::LoadUnwanted, Some(LoadError::cancelled()), Some(took), effects);
            effects.push(Effect::Free { id: id.clone(), servable });
        } else if self.step(id.version, Step::LoadDone, None, Some(took), effects) {
            // Said only after look-ups find it.
            effects.insert(told, Effect::Publish { id: id.clone(), servable });
        } else {
            effects.push(Effect::Free { id: id.clone(), servable });
        }
    }

    /// Gives the time of the next try, if there is to be one.
    #[allow(clippy::too_many_arguments, reason = "the parts of one event, and its surroundings")]
    fn load_failed<S>(
        &mut self,
        id: &ServableId,
        loader: L,
        error: LoadError,
        took: Duration,
        now: Instant,
        options: &Options,
        effects: &mut Vec<Effect<L, S>>,
    ) -> Option<Instant> {
        if !self.step(id.version, Step::LoadFailed, Some(error), Some(took), effects) {
            return None;
        }
        let entry = self.versions.get_mut(&id.version)?;
        entry.tried = true;
        if !entry.aspired {
            return None;
        }
        if entry.loader.is_some() {
            // The files changed while they were loaded: these have not been tried.
            entry.retry_at = Some(now);
        } else {
            entry.loader = Some(loader);
            let may_retry = options.retries_max.is_none_or(|most| entry.failures < most);
            let pause = may_retry.then(|| options.retry_pause(entry.failures));
            entry.retry_at = pause.and_then(|pause| now.checked_add(pause));
            entry.failures = entry.failures.saturating_add(1);
        }
        entry.retry_at
    }

    fn unload<S>(&mut self, version: Version, effects: &mut Vec<Effect<L, S>>) {
        // Said before look-ups stop finding it.
        if self.step(version, Step::UnloadChosen, None, None, effects) {
            effects.push(Effect::Retire { id: self.id(version) });
        }
    }

    fn freed<S>(&mut self, id: &ServableId, effects: &mut Vec<Effect<L, S>>) {
        let Some(entry) = self.versions.get_mut(&id.version) else { return };
        let (aspired, error) = (entry.aspired, entry.error.clone());
        if self.step(id.version, Step::Freed, error, None, effects) && aspired {
            self.step(id.version, Step::AspiredAnew, None, None, effects);
        }
    }

    /// Keeps the entries of the last versions that are gone.
    fn forget_old<S>(&mut self, effects: &mut Vec<Effect<L, S>>) {
        let over = self.versions.values().filter(|entry| entry.is_over()).count();
        let too_many = over.saturating_sub(limits::ENDED_VERSIONS_KEPT);
        let oldest: Vec<Version> = self
            .versions
            .iter()
            .filter(|(_, entry)| entry.is_over())
            .map(|(version, _)| *version)
            .take(too_many)
            .collect();
        for version in oldest {
            self.versions.remove(&version);
            effects.push(Effect::Forget { id: self.id(version) });
        }
    }

    /// Whether the first pass need not wait for this model any longer.
    fn is_settled(&self) -> bool {
        let mut entries = self.versions.values();
        let mut aspired = self.versions.values().filter(|entry| entry.aspired);
        entries.any(|entry| entry.state == State::Available)
            || (!self.first_is_coming && aspired.all(|entry| entry.tried))
    }

    /// Whether nothing that is wanted of it still waits for its first try.
    fn is_tried(&self) -> bool {
        let mut aspired = self.versions.values().filter(|entry| entry.aspired);
        !self.first_is_coming && aspired.all(|entry| entry.state == State::Available || entry.tried)
    }

    fn is_gone(&self) -> bool {
        !self.listed && self.versions.values().all(Entry::is_over)
    }
}

impl<L> Entry<L> {
    /// Whether nothing more will happen to it unless it is wanted anew.
    fn is_over(&self) -> bool {
        !self.aspired && matches!(self.state, State::Failed | State::Ended)
    }
}

impl Options {
    /// The pause after a failure that `earlier` others came before.
    fn retry_pause(&self, earlier: u32) -> Duration {
        let doubled = 1_u32.checked_shl(earlier).and_then(|times| self.retry_pause_first.checked_mul(times));
        doubled.map_or(self.retry_pause_max, |pause| pause.min(self.retry_pause_max))
    }
}

#[cfg(test)]
mod tests;
