//! Sources: each look at one states the whole list of what should be served.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::model::{Model, earlier, some_of};
use super::model_toml::BatchingSettings;
use super::{ModelSettings, Now};
use crate::engines::ModelOptions;
use crate::ids::{ModelName, ServableId, Version};
use crate::request_log::RequestLogSettings;
use crate::storage::{Entry, EntryKind, ModelDir, Storage, StorageError};

/// A version that should be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AspiredVersion {
    /// Its number.
    pub version: Version,
    /// Stands for its files when they were last found finished. It stays as it
    /// is while the version is served; see [`Source::look_closely_at`].
    pub fingerprint: u64,
    /// Its files.
    pub dir: ModelDir,
}

/// What should be served of one model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AspiredModel {
    /// The versions, lowest first. Empty for a model of which there has been no
    /// finished version yet, or whose policy names none.
    pub versions: Vec<AspiredVersion>,
    /// Names for versions, which need not be among [`versions`](Self::versions).
    pub labels: BTreeMap<String, Version>,
    /// What kind of files it is said to have, unchecked.
    pub platform: Option<String>,
    /// How its requests are said to be batched, unchecked.
    pub batching: Option<BatchingSettings>,
    /// Which of its requests are said to be recorded.
    pub request_log: Option<RequestLogSettings>,
    /// What its engine is told.
    pub engine: ModelOptions,
    /// Whether there is no finished version yet, and one is likely within
    /// moments: a start-up does well to wait for it, but never for ever, so this
    /// is said for [`FIRST_VERSION_WAIT_MAX`](crate::limits::FIRST_VERSION_WAIT_MAX)
    /// at the most.
    pub first_is_coming: bool,
}

/// What should be served of every model, by name.
pub type Models = BTreeMap<ModelName, Arc<AspiredModel>>;

/// Something that a person should put right, and that stopped nothing else.
/// It is stated at each look for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// Whose trouble it is, where it is one model's.
    pub model: Option<ModelName>,
    /// What is wrong, where, and what was expected.
    pub message: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            Some(model) => write!(f, "model {model}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// All that should be served, as of one look.
#[derive(Debug, Clone, Default)]
pub struct Rescan {
    /// By name. A model that is not in it should not be served any more. The
    /// `Arc`s are the ones of the last look where nothing has changed.
    pub models: Arc<Models>,
    /// What is wrong at present.
    pub troubles: Vec<Trouble>,
    /// When something that is being written could be finished.
    pub look_again_in: Option<Duration>,
    /// The [`ModelPlaces::edition`] that this is the outcome of; 0 before the first.
    pub edition: u64,
}

/// Where one configured model lies, and how it is to be served.
#[derive(Debug, Clone)]
pub struct ModelPlace {
    /// Its versions lie in the root of this.
    pub storage: Arc<dyn Storage>,
    /// Tells this place from another: a model that stays in its place is
    /// looked at through the storage that it had.
    pub location: String,
    /// What goes before a `model.toml` there.
    pub settings: ModelSettings,
}

/// All models that a list of configured models names.
#[derive(Debug, Clone, Default)]
pub struct ModelPlaces {
    /// Sets this list apart from the ones before it, for whoever waits for it.
    pub edition: u64,
    /// By name.
    pub models: BTreeMap<ModelName, ModelPlace>,
}

/// Why a look states nothing. What the last one stated stands.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder of all models.
    #[error("cannot look for models: {0}; what is served stays")]
    Repository(#[source] StorageError),
    /// The folder of one model.
    #[error("cannot look for versions of {model}: {error}; what is served stays")]
    BasePath {
        /// The model.
        model: ModelName,
        /// Why not.
        #[source]
        error: StorageError,
    },
}

/// Where models come from.
pub trait Source: Send + fmt::Debug + 'static {
    /// Looks at everything and states everything that should be served. Blocks
    /// for as long as the storage does.
    ///
    /// # Errors
    /// [`SourceError`] when nothing could be looked at. That is no empty list:
    /// the last one stands.
    fn rescan(&mut self, now: Now) -> Result<Rescan, SourceError>;

    /// From now on looks at the files of these versions each time, and of no
    /// others that are finished. When they have changed and come to rest again,
    /// the version has a new [`AspiredVersion::fingerprint`]. Meant for versions
    /// whose load has failed.
    fn look_closely_at(&mut self, versions: &BTreeSet<ServableId>);

    /// From the next look on, serves these models and no others. Only a
    /// [`ListSource`](super::ListSource) has a list to replace: a source whose
    /// models are what lies in a folder goes on stating that.
    fn configure(&mut self, places: ModelPlaces) {
        tracing::warn!(
            models = places.models.len(),
            "this source finds its models itself; the list is unused"
        );
    }
}

/// One model, whose versions lie in the root of a storage: `--model_base_path`,
/// or a model of `--model_config_file`.
#[derive(Debug)]
pub struct ModelSource {
    name: ModelName,
    model: Model,
    models: Arc<Models>,
}

impl ModelSource {
    /// The model `name`. `given` goes before what a `model.toml` in the root
    /// says; a version is finished when unchanged for `settle`.
    #[must_use]
    pub fn new(name: ModelName, storage: Arc<dyn Storage>, given: ModelSettings, settle: Duration) -> Self {
        let model = Model::new(name.clone(), storage, String::new(), given, settle);
        Self { name, model, models: Arc::default() }
    }

    /// Goes on with other settings, and in another place where one is given.
    /// What was stated stands until a look finds what takes its place.
    pub(super) fn reconfigure(&mut self, storage: Option<Arc<dyn Storage>>, given: ModelSettings) {
        self.model.reconfigure(storage, given);
    }
}

impl Source for ModelSource {
    fn rescan(&mut self, now: Now) -> Result<Rescan, SourceError> {
        let look_again_in = self
            .model
            .rescan(None, now)
            .map_err(|error| SourceError::BasePath { model: self.name.clone(), error })?;
        let stated = self.model.stated();
        if self.models.get(&self.name).is_none_or(|before| !Arc::ptr_eq(before, stated)) {
            self.models = Arc::new([(self.name.clone(), Arc::clone(stated))].into());
        }
        let troubles = troubles_of(&self.name, &self.model).collect();
        Ok(Rescan { models: Arc::clone(&self.models), troubles, look_again_in, edition: 0 })
    }

    fn look_closely_at(&mut self, versions: &BTreeSet<ServableId>) {
        self.model.look_closely_at(versions_of(&self.name, versions));
    }
}

/// Every child folder of a storage's root is a model, named after it:
/// `--model_repository`.
#[derive(Debug)]
pub struct RepositorySource {
    storage: Arc<dyn Storage>,
    settle: Duration,
    known: BTreeMap<ModelName, Known>,
    closely: BTreeSet<ServableId>,
    looks: u64,
    models: Arc<Models>,
}

/// A model of the repository.
#[derive(Debug)]
struct Known {
    model: Model,
    seen_in_look: u64,
}

impl RepositorySource {
    /// The models in the root of `storage`; a version is finished when unchanged
    /// for `settle`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, settle: Duration) -> Self {
        let (known, closely) = (BTreeMap::new(), BTreeSet::new());
        Self { storage, settle, known, closely, looks: 0, models: Arc::default() }
    }

    /// Whether a child of the root is a model, or one that cannot be reached now.
    fn may_be_model(&self, entry: &Entry) -> bool {
        match entry.kind {
            EntryKind::File { .. } => false,
            EntryKind::Folder { .. } => ModelName::new(&entry.name).is_ok(),
            EntryKind::Unreachable { .. } => self.known.contains_key(entry.name.as_str()),
        }
    }

    /// Begins to look at a model, if the folder's name can be a model's.
    fn begin(&mut self, folder: &str) {
        let Ok(name) = ModelName::new(folder) else { return };
        let (storage, given) = (Arc::clone(&self.storage), ModelSettings::default());
        let mut model = Model::new(name.clone(), storage, folder.to_owned(), given, self.settle);
        model.look_closely_at(versions_of(&name, &self.closely));
        self.known.insert(name, Known { model, seen_in_look: 0 });
    }

    /// What there is to say of children of the root that are no models.
    fn oddities(&self, entries: &[Entry]) -> Vec<Trouble> {
        let (mut messages, mut misnamed) = (Vec::new(), Vec::new());
        for Entry { name, kind } in entries {
            match kind {
                EntryKind::File { .. } => {}
                EntryKind::Folder { .. } => misnamed.extend(ModelName::new(name).err()),
                EntryKind::Unreachable { why } => messages.push(format!("{name} cannot be reached: {why}")),
            }
        }
        if !misnamed.is_empty() {
            messages.push(format!("left out of {}: {}", self.storage.display(""), some_of(&misnamed)));
        }
        messages.into_iter().map(|message| Trouble { model: None, message }).collect()
    }

    /// The models' folders are known to be gone; what was stated stands.
    fn forget_versions(&mut self) {
        self.known.values_mut().for_each(|known| known.model.forget_versions());
    }
}

/// What `mkfs` puts into the root of an ext file system, readable to root only.
const LOST_AND_FOUND: &str = "lost+found";

impl Source for RepositorySource {
    fn rescan(&mut self, now: Now) -> Result<Rescan, SourceError> {
        let mut entries = match self.storage.list("") {
            Ok(entries) => entries,
            Err(why) => {
                if matches!(why, StorageError::NotFound(_)) {
                    self.forget_versions();
                }
                return Err(SourceError::Repository(why));
            }
        };
        entries.retain(|entry| !entry.name.starts_with('.') && entry.name != LOST_AND_FOUND);
        let mut troubles = Vec::new();
        if !entries.iter().any(|entry| self.may_be_model(entry)) {
            // An unmounted volume leaves an empty folder behind.
            self.forget_versions();
            troubles.extend(self.oddities(&entries));
            let so = if self.known.is_empty() { "" } else { "; what was served stays" };
            let expected = "expected a folder per model, with a folder per version in it, such as prices/1";
            let message = format!("no model is found in {}: {expected}{so}", self.storage.display(""));
            troubles.push(Trouble { model: None, message });
            return Ok(Rescan {
                models: Arc::clone(&self.models),
                troubles,
                look_again_in: None,
                edition: 0,
            });
        }

        self.looks += 1;
        let (mut look_again_in, mut is_changed, mut is_odd) = (None, false, false);
        for entry in &entries {
            let modified = match &entry.kind {
                EntryKind::File { .. } => continue,
                EntryKind::Folder { modified } => Some(*modified),
                EntryKind::Unreachable { .. } => None,
            };
            is_odd |= modified.is_none();
            if modified.is_some() && !self.known.contains_key(entry.name.as_str()) {
                self.begin(&entry.name);
            }
            let Some(known) = self.known.get_mut(entry.name.as_str()) else {
                is_odd = true;
                continue;
            };
            known.seen_in_look = self.looks;
            // A model behind a link stays when the link breaks.
            if let Some(modified) = modified {
                let name = known.model.name().clone();
                match known.model.rescan(modified, now) {
                    Ok(again) => look_again_in = earlier(look_again_in, again),
                    Err(error) => {
                        let message = SourceError::BasePath { model: name.clone(), error }.to_string();
                        troubles.push(Trouble { model: Some(name.clone()), message });
                    }
                }
                troubles.extend(troubles_of(&name, &known.model));
            }
            is_changed |= known.model.take_news();
        }
        if is_odd {
            troubles.extend(self.oddities(&entries));
        }
        let before = self.known.len();
        self.known.retain(|_, known| known.seen_in_look == self.looks);
        if is_changed || self.known.len() != before {
            let stated =
                self.known.iter().map(|(name, known)| (name.clone(), Arc::clone(known.model.stated())));
            self.models = Arc::new(stated.collect());
        }
        Ok(Rescan { models: Arc::clone(&self.models), troubles, look_again_in, edition: 0 })
    }

    fn look_closely_at(&mut self, versions: &BTreeSet<ServableId>) {
        self.closely.clone_from(versions);
        for (name, known) in &mut self.known {
            known.model.look_closely_at(versions_of(name, versions));
        }
    }
}

fn troubles_of<'a>(name: &'a ModelName, model: &'a Model) -> impl Iterator<Item = Trouble> + 'a {
    model.troubles().iter().map(|message| Trouble { model: Some(name.clone()), message: message.clone() })
}

fn versions_of(name: &ModelName, all: &BTreeSet<ServableId>) -> BTreeSet<Version> {
    let first = ServableId { name: name.clone(), version: Version::MIN };
    all.range(first..).take_while(|id| id.name == *name).map(|id| id.version).collect()
}
