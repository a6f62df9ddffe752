//! One model over many looks: what lies in its folder, which versions are
//! finished, what its settings say, and so which versions are aspired.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::model_toml::{self, ModelSettings};
use super::settle::{self, Settling, Verdict};
use super::source::{AspiredModel, AspiredVersion};
use super::tree::{self, TreeError};
use super::{Now, VersionPolicy};
use crate::engines::ModelOptions;
use crate::ids::{ModelName, Version};
use crate::limits;
use crate::storage::{Entry, EntryKind, ModelDir, Storage, StorageError};

#[derive(Debug)]
pub(super) struct Model {
    name: ModelName,
    storage: Arc<dyn Storage>,
    /// Its folder in the storage.
    folder: String,
    /// The settings of the server's configuration, which go before `model.toml`.
    given: ModelSettings,
    settle: Duration,
    listing: Option<Listing>,
    toml: Toml,
    known: BTreeMap<Version, Known>,
    /// The versions whose files are looked at though they are finished.
    closely: BTreeSet<Version>,
    /// Whether a version that is wanted was not finished at the last look.
    restless: bool,
    /// When this model was first looked at.
    first_seen: Option<std::time::Instant>,
    stated: Arc<AspiredModel>,
    /// Whether [`Model::stated`] is another than when it was last asked.
    is_news: bool,
    troubles: Vec<String>,
}

/// The model's folder as it was last listed.
#[derive(Debug)]
struct Listing {
    /// The folder's own time before it was listed.
    modified: Option<SystemTime>,
    at: Now,
    /// Whether an unchanged time of the folder means an unchanged listing.
    shown_by_time: bool,
    versions: BTreeMap<Version, VersionFolder>,
    toml: Option<EntryKind>,
    troubles: Vec<String>,
}

#[derive(Debug)]
struct VersionFolder {
    /// `1`, or `0001`.
    name: String,
    modified: Option<SystemTime>,
}

/// A version that has been looked at.
#[derive(Debug, Default)]
struct Known {
    folder: String,
    /// The fingerprint that it was finished with. While it is stated it stays
    /// finished until its folder vanishes.
    finished: Option<u64>,
    settling: Option<Settling>,
}

#[derive(Debug, Default)]
struct Toml {
    /// Length and time of the file that was read, when they can be trusted to
    /// change with its content.
    seen: Option<(u64, SystemTime)>,
    /// The last settings that were understood; the default where there is no file.
    good: Option<ModelSettings>,
    trouble: Option<String>,
}

/// What one look at the versions found beside the versions.
#[derive(Default)]
struct Findings {
    look_again_in: Option<Duration>,
    restless: bool,
    troubles: Vec<String>,
}

impl Model {
    pub(super) fn new(
        name: ModelName,
        storage: Arc<dyn Storage>,
        folder: String,
        given: ModelSettings,
        settle: Duration,
    ) -> Self {
        Self {
            name,
            storage,
            folder,
            given,
            settle,
            listing: None,
            toml: Toml::default(),
            known: BTreeMap::new(),
            closely: BTreeSet::new(),
            restless: false,
            first_seen: None,
            stated: Arc::default(),
            is_news: true,
            troubles: Vec::new(),
        }
    }

    /// What is aspired, by the last look. The same `Arc` as long as it is the same.
    pub(super) fn stated(&self) -> &Arc<AspiredModel> {
        &self.stated
    }

    /// Whether something else is stated than when this was last asked.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    pub(super) fn name(&self) -> &ModelName {
        &self.name
    }

    pub(super) fn troubles(&self) -> &[String] {
        &self.troubles
    }

    pub(super) fn look_closely_at(&mut self, versions: BTreeSet<Version>) {
        self.closely = versions;
    }

    /// Goes on with other settings, and in another storage where one is given.
    /// What was stated stands until the next look.
    pub(super) fn reconfigure(&mut self, storage: Option<Arc<dyn Storage>>, given: ModelSettings) {
        self.given = given;
        self.listing = None;
        if let Some(storage) = storage {
            self.storage = storage;
            self.toml = Toml::default();
            self.known.clear();
            self.first_seen = None;
        }
    }

    /// Forgets which versions are finished, since their folders are known to have
    /// been gone: what is there when they come back may be something else. What
    /// was stated stands.
    pub(super) fn forget_versions(&mut self) {
        self.known.clear();
        self.listing = None;
    }

    /// Looks again. `modified` is the time of the model's folder, read before
    /// this call, or `None` where it is not known; it can spare the listing.
    /// Gives the time after which an unfinished version could be finished.
    ///
    /// # Errors
    /// When the folder cannot be listed. What was stated stands.
    pub(super) fn rescan(
        &mut self,
        modified: Option<SystemTime>,
        now: Now,
    ) -> Result<Option<Duration>, StorageError> {
        let listing = match self.listing.take().filter(|listing| self.still_holds(listing, modified, now)) {
            Some(listing) => {
                // Writing into a file does not change the time of its folder.
                let settings_changed = listing.toml.is_some() && {
                    let path = self.path_of(model_toml::FILE_NAME);
                    let toml = self.storage.stat(&path).unwrap_or_else(|e| unreachable_kind(&e));
                    self.look_at_toml(Some(&toml), now)
                };
                if !settings_changed {
                    self.listing = Some(listing);
                    return Ok(None);
                }
                listing
            }
            None => {
                let entries = match self.storage.list(&self.folder) {
                    Ok(entries) => entries,
                    Err(why) => {
                        self.troubles.clear();
                        if matches!(why, StorageError::NotFound(_)) {
                            self.forget_versions();
                        }
                        return Err(why);
                    }
                };
                let listing = self.read_listing(entries, modified, now);
                self.look_at_toml(listing.toml.as_ref(), now);
                listing
            }
        };
        let mut findings = Findings::default();
        self.decide(&listing, now, &mut findings);
        self.restless = findings.restless;
        self.troubles.clone_from(&listing.troubles);
        self.troubles.extend(self.toml.trouble.clone());
        self.troubles.append(&mut findings.troubles);
        self.listing = Some(listing);
        Ok(findings.look_again_in)
    }

    fn still_holds(&self, listing: &Listing, modified: Option<SystemTime>, now: Now) -> bool {
        let age = now.instant.saturating_duration_since(listing.at.instant);
        listing.shown_by_time
            && modified.is_some()
            && listing.modified == modified
            && age < limits::LISTING_AGE_MAX
            && !self.restless
            && self.closely.is_empty()
    }

    fn read_listing(&self, entries: Vec<Entry>, modified: Option<SystemTime>, now: Now) -> Listing {
        let mut versions = BTreeMap::<Version, VersionFolder>::new();
        let (mut toml, mut troubles) = (None, Vec::new());
        let mut plain_files = Vec::new();
        let mut shown_by_time = modified.is_some_and(|modified| is_past_its_tick(modified, now.wall));
        for Entry { name, kind } in entries {
            if name == model_toml::FILE_NAME {
                toml = Some(kind);
                continue;
            }
            let Ok(version) = name.parse::<Version>() else { continue };
            let modified = match kind {
                EntryKind::File { .. } => {
                    plain_files.push(name);
                    continue;
                }
                EntryKind::Folder { modified } => modified,
                EntryKind::Unreachable { why } => {
                    shown_by_time = false;
                    troubles.push(format!("version {name} cannot be reached: {why}"));
                    // What is served from behind a link stays when the link breaks.
                    if self.known.get(&version).is_none_or(|known| known.folder != name) {
                        continue;
                    }
                    None
                }
            };
            shown_by_time &= modified.is_some();
            // Names come in their order, so the last one is the one that stays.
            if let Some(former) = versions.get(&version) {
                let path = self.storage.display(&self.folder);
                let former = &former.name;
                troubles.push(format!(
                    "{former} and {name} in {path} are both version {version}; {name} is taken"
                ));
            }
            versions.insert(version, VersionFolder { name, modified });
        }
        if !plain_files.is_empty() {
            let path = self.storage.display(&self.folder);
            let names = some_of(&plain_files);
            troubles.push(format!(
                "not a version, since a version is a folder: the plain file {names} in {path}"
            ));
        }
        Listing { modified, at: now, shown_by_time, versions, toml, troubles }
    }

    /// Reads `model.toml` if it may have changed, and says whether that made a
    /// difference.
    fn look_at_toml(&mut self, kind: Option<&EntryKind>, now: Now) -> bool {
        let before = (self.toml.good.clone(), self.toml.trouble.clone());
        let path = self.path_of(model_toml::FILE_NAME);
        let read = match kind {
            None => {
                self.toml.seen = None;
                Ok(ModelSettings::default())
            }
            Some(EntryKind::File { bytes, modified }) => {
                let seen = modified.map(|modified| (*bytes, modified));
                if seen.is_some() && self.toml.seen == seen {
                    return false;
                }
                self.toml.seen = seen.filter(|(_, modified)| is_past_its_tick(*modified, now.wall));
                match self.storage.read(&path, limits::MODEL_TOML_BYTES_MAX) {
                    Ok(content) => ModelSettings::parse(&content)
                        .map_err(|why| format!("{}: {why}", self.storage.display(&path))),
                    Err(why) => {
                        self.toml.seen = None;
                        Err(why.to_string())
                    }
                }
            }
            Some(EntryKind::Folder { .. }) => Err(format!("{} is a folder", self.storage.display(&path))),
            Some(EntryKind::Unreachable { why }) => Err(why.clone()),
        };
        match read {
            Ok(settings) => {
                self.toml.good = Some(settings);
                self.toml.trouble = None;
            }
            Err(why) => {
                let so = match self.toml.good {
                    Some(_) => "the model's former settings stand",
                    None => "the model is not served until this is put right",
                };
                self.toml.trouble = Some(format!("{why}; {so}"));
            }
        }
        before != (self.toml.good.clone(), self.toml.trouble.clone())
    }

    /// Decides which versions are aspired, and states them.
    fn decide(&mut self, listing: &Listing, now: Now, findings: &mut Findings) {
        self.known.retain(|version, known| {
            listing.versions.get(version).is_some_and(|folder| folder.name == known.folder)
        });
        let Some(settings) = self.toml.good.as_ref().map(|good| self.given.or(good)) else { return };
        let policy = settings.version_policy.unwrap_or_default();

        let mut candidates: Vec<_> = listing.versions.keys().copied().collect();
        let mut looked_at = BTreeMap::new();
        // What is wanted but not finished is left out, and the policy asked again:
        // so that files are looked at only where the answer matters.
        let chosen = loop {
            let chosen = policy.choose(&candidates);
            for version in &chosen {
                if !looked_at.contains_key(version) {
                    let folder = &listing.versions[version];
                    looked_at.insert(*version, self.is_finished(*version, folder, now, findings));
                }
            }
            if chosen.iter().all(|version| looked_at[version]) {
                break chosen;
            }
            candidates.retain(|version| looked_at.get(version).is_none_or(|finished| *finished));
        };
        let is_waiting = looked_at.values().any(|finished| !finished);
        findings.restless |= is_waiting;
        report_missing(&policy, listing, &chosen, findings);

        let versions = if listing.versions.is_empty() {
            let path = self.storage.display(&self.folder);
            findings.troubles.push(format!(
                "no version of {} is found in {path}: expected folders with numbers for names, such as {}{}",
                self.name,
                self.storage.display(&self.path_of("1")),
                if self.stated.versions.is_empty() { "" } else { "; what was served stays" },
            ));
            self.stated.versions.clone()
        } else if chosen.is_empty() && is_waiting {
            // Only what is still being written could take over.
            self.stated.versions.clone()
        } else {
            chosen
                .into_iter()
                .filter_map(|version| self.aspired(version, &listing.versions[&version]))
                .collect()
        };
        // What is not served may be exchanged between two looks, and is looked at
        // anew when it is wanted again.
        self.known.retain(|version, known| {
            known.finished.is_none() || versions.iter().any(|stated| stated.version == *version)
        });
        let labels = settings.labels.unwrap_or_default();
        let first_seen = *self.first_seen.get_or_insert(now.instant);
        let first_is_coming = versions.is_empty()
            && findings.look_again_in.is_some()
            && now.instant.saturating_duration_since(first_seen) < limits::FIRST_VERSION_WAIT_MAX;
        let (platform, batching) = (settings.platform, settings.batching);
        let request_log = settings.request_log;
        let engine = ModelOptions { onnx: settings.onnx.unwrap_or_default() };
        let stated =
            AspiredModel { versions, labels, platform, batching, request_log, engine, first_is_coming };
        if *self.stated != stated {
            self.stated = Arc::new(stated);
            self.is_news = true;
        }
    }

    fn aspired(&self, version: Version, folder: &VersionFolder) -> Option<AspiredVersion> {
        let fingerprint = self.known.get(&version)?.finished?;
        let dir = ModelDir::new(Arc::clone(&self.storage), self.path_of(&folder.name));
        Some(AspiredVersion { version, fingerprint, dir })
    }

    /// Whether a version is finished. Its files are looked at only while that is
    /// not known, or while the caller has asked for it.
    fn is_finished(
        &mut self,
        version: Version,
        folder: &VersionFolder,
        now: Now,
        findings: &mut Findings,
    ) -> bool {
        let path = self.path_of(&folder.name);
        let known = self.known.entry(version).or_default();
        known.folder.clone_from(&folder.name);
        if known.finished.is_some() && !self.closely.contains(&version) {
            return true;
        }
        match tree::look(&*self.storage, &path, folder.modified) {
            Ok(look) if known.finished == Some(look.fingerprint) => known.settling = None,
            Ok(look) => match settle::decide(known.settling, &look, now, self.settle) {
                Verdict::Finished => (known.finished, known.settling) = (Some(look.fingerprint), None),
                Verdict::Unfinished { settling, look_again_in } => {
                    known.settling = Some(settling);
                    findings.look_again_in = earlier(findings.look_again_in, look_again_in);
                }
            },
            Err(why) => {
                known.settling = None;
                // What went away between two listings is just being changed.
                if matches!(why, TreeError::Storage(StorageError::NotFound(_))) {
                    findings.look_again_in = earlier(findings.look_again_in, Some(self.settle));
                } else {
                    findings.troubles.push(format!("version {version} cannot be looked at: {why}"));
                }
            }
        }
        known.finished.is_some()
    }

    fn path_of(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }
}

/// A version asked for by number that is not to be served is worth a word, since
/// no other takes its place.
fn report_missing(policy: &VersionPolicy, listing: &Listing, chosen: &[Version], findings: &mut Findings) {
    let missing: Vec<_> = policy.named().filter(|version| !listing.versions.contains_key(version)).collect();
    if !missing.is_empty() {
        findings.troubles.push(format!("the version policy names what is not there: {}", some_of(&missing)));
    }
    let is_unfinished =
        |version: &Version| listing.versions.contains_key(version) && !chosen.contains(version);
    let unfinished: Vec<_> = policy.named().filter(is_unfinished).collect();
    if !unfinished.is_empty() {
        findings
            .troubles
            .push(format!("the version policy names what is not finished yet: {}", some_of(&unfinished)));
    }
}

/// The names for a message, as many as fit one.
pub(super) fn some_of<T: ToString>(names: &[T]) -> String {
    let shown: Vec<_> = names.iter().take(limits::NAMES_IN_MESSAGE_MAX).map(T::to_string).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The earlier of two times to look again, where `None` means no need to.
pub(super) fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether a change after `wall` would show in a time that reads `modified` now.
fn is_past_its_tick(modified: SystemTime, wall: SystemTime) -> bool {
    wall.duration_since(modified).is_ok_and(|age| age >= limits::FILE_TIME_TICK_MAX)
}

fn unreachable_kind(why: &StorageError) -> EntryKind {
    EntryKind::Unreachable { why: why.to_string() }
}
