//! Replaces the list of models while they are served: when the file that lists
//! them says something else, and when a client asks for it.
//!
//! Both are served here one after another, on the control loop. A list is checked
//! whole before anything is done about it; then it is handed to the watcher, which
//! looks at once, and to the manager with what was found. What is waited for is
//! bounded, and what did not become available is said by name.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::App;
use super::assembly::disk;
use crate::config::{
    ListedModel, ModelConfigFile, ModelList, Models, ServerConfig, read_model_config, unsupported_type,
};
use crate::error::{Code, ServingError};
use crate::frontends::tfs::management::{Manage, Reloaded};
use crate::ids::ModelName;
use crate::lifecycle::State;
use crate::limits;
use crate::proto::tensorflow::serving as pb;
use crate::repository::{ModelPlace, ModelPlaces, Trouble};

/// What the last look at the models found, beside the models.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Which list was looked at.
    pub(super) edition: u64,
    /// Whether something was being written.
    pub(super) is_settling: bool,
    /// What stands in the way of models.
    pub(super) troubles: Vec<Trouble>,
}

/// A client's wish.
#[derive(Debug)]
pub(super) struct Wish {
    config: pb::ModelServerConfig,
    answer: oneshot::Sender<Result<(), ServingError>>,
}

/// Where the doors leave wishes.
#[derive(Debug)]
pub(super) struct Inbox(mpsc::Sender<Wish>);

/// The doors' end, and the end that [`keep_reloading`] reads.
pub(super) fn inbox() -> (Arc<Inbox>, mpsc::Receiver<Wish>) {
    let (wishes, asked) = mpsc::channel(limits::RELOADS_WAITING_MAX);
    (Arc::new(Inbox(wishes)), asked)
}

impl Manage for Inbox {
    fn reload(&self, config: pb::ModelServerConfig) -> Reloaded<'_> {
        Box::pin(async {
            let (answer, answered) = oneshot::channel();
            self.0.try_send(Wish { config, answer }).map_err(|why| match why {
                mpsc::error::TrySendError::Full(_) => {
                    ServingError::new(Code::ResourceExhausted, "too many reloads wait for their turn already")
                }
                mpsc::error::TrySendError::Closed(_) => stopping(),
            })?;
            answered.await.unwrap_or_else(|_| Err(stopping()))
        })
    }
}

fn stopping() -> ServingError {
    ServingError::new(Code::Unavailable, "the server is stopping; models are not changed any more")
}

/// Serves wishes and the file, for ever.
pub(super) async fn keep_reloading(app: &App, asked: &mut mpsc::Receiver<Wish>) -> Infallible {
    let mut reloader = Reloader::new(app);
    let mut file = app.config.model_config_file.clone().and_then(PolledFile::new);
    loop {
        tokio::select! {
            Some(Wish { config, answer }) = asked.recv() => {
                let outcome = reloader.wish(&config).await;
                match &outcome {
                    Ok(()) => tracing::info!("the models were reloaded by a client"),
                    Err(error) => tracing::warn!(code = error.code().name(), %error, "a client's reload"),
                }
                // The client may have stopped waiting; what it asked for is done.
                let _ = answer.send(outcome);
            }
            () = tick(file.as_mut()) => {
                if let Some(file) = &mut file {
                    file.poll(&mut reloader).await;
                }
            }
        }
    }
}

async fn tick(file: Option<&mut PolledFile>) {
    match file {
        Some(file) => _ = file.timer.tick().await,
        None => std::future::pending().await,
    }
}

/// The file that lists the models, read again and again.
struct PolledFile {
    path: PathBuf,
    timer: tokio::time::Interval,
    /// What was logged last, so that it is not logged each time.
    complaint: Option<String>,
}

impl PolledFile {
    fn new(ModelConfigFile { path, poll }: ModelConfigFile) -> Option<Self> {
        let mut timer = tokio::time::interval(poll?);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Self { path, timer, complaint: None })
    }

    async fn poll(&mut self, reloader: &mut Reloader<'_>) {
        let path = self.path.clone();
        // A file system that hangs shall not hold up the control loop.
        let read = tokio::task::spawn_blocking(move || read_model_config(&path)).await;
        let outcome = match read {
            Ok(Ok(list)) => reloader.file(list).await.map_err(|error| {
                format!(
                    "PollFilesystemAndReloadConfig failed to ReloadConfig: {}: {error}",
                    error.code().name()
                )
            }),
            Ok(Err(error)) => Err(error.to_string()),
            // The runtime is ending, or reading panicked; the next look tells.
            Err(_) => return,
        };
        match outcome {
            Ok(Applied::AsItWas) => {}
            Ok(Applied::Changed) => {
                tracing::info!(file = %self.path.display(), "the models were reloaded from their file");
                self.complaint = None;
            }
            Err(complaint) => {
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!("{complaint}");
                }
                self.complaint = Some(complaint);
            }
        }
    }
}

/// What came of a file.
enum Applied {
    AsItWas,
    Changed,
}

struct Reloader<'a> {
    app: &'a App,
    current: Current,
    edition: u64,
}

/// What is served.
enum Current {
    /// A folder of models, which no list can take the place of.
    Repository,
    /// A config that said nothing.
    Nothing,
    List(ModelList),
}

impl<'a> Reloader<'a> {
    fn new(app: &'a App) -> Self {
        let current = match served(&app.config) {
            None => Current::Repository,
            Some(None) => Current::Nothing,
            Some(Some(list)) => Current::List(list),
        };
        Self { app, current, edition: FIRST_EDITION }
    }

    async fn wish(&mut self, config: &pb::ModelServerConfig) -> Result<(), ServingError> {
        let list = ModelList::check(config)?.ok_or_else(unsupported_type)?;
        self.apply(list).await
    }

    async fn file(&mut self, list: Option<ModelList>) -> Result<Applied, ServingError> {
        match (&self.current, list) {
            (Current::Nothing, None) => Ok(Applied::AsItWas),
            (Current::List(current), Some(list)) if *current == list => Ok(Applied::AsItWas),
            (_, None) => Err(illegal_transition("")),
            (_, Some(list)) => self.apply(list).await.map(|()| Applied::Changed),
        }
    }

    /// Serves this list and no other, unless it breaks a rule. Once it has begun
    /// nothing is taken back: the error then says what did not become available.
    async fn apply(&mut self, list: ModelList) -> Result<(), ServingError> {
        let nothing = ModelList::default();
        let former = match &self.current {
            Current::Repository => {
                return Err(illegal_transition(
                    " This server serves every model of a folder (--model_repository).",
                ));
            }
            Current::Nothing => &nothing,
            Current::List(list) => list,
        };
        list.may_follow(former)?;
        for warning in list.warnings() {
            tracing::warn!("{warning}");
        }
        let is_new = |name: &&ModelName| !former.models.contains_key(*name);
        let new: BTreeSet<ModelName> = list.models.keys().filter(is_new).cloned().collect();
        let is_other = |(name, model): &(&ModelName, &ListedModel)| former.models.get(*name) != Some(*model);
        let touched = list.models.iter().filter(is_other).map(|(name, _)| name.clone()).collect();
        self.edition += 1;
        let verdict = Verdict { app: self.app, list: &list, edition: self.edition };
        let timeout = self.app.config.reload.timeout;
        if let Some(watch) = &self.app.watch {
            watch.configure(places(&list, self.edition, &self.app.config), hints(&list));
        }
        let waited = tokio::time::timeout(timeout, verdict.wait(touched)).await;
        let outcome = verdict.say(&new, waited.is_err().then_some(timeout));
        self.current = Current::List(list);
        outcome
    }
}

fn illegal_transition(why: &str) -> ServingError {
    let text = "Cannot transition to requested config. It is only legal to transition from one ModelConfigList \
                to another.";
    ServingError::new(Code::FailedPrecondition, format!("{text}{why}"))
}

/// What a reload waits for, and what it answers.
struct Verdict<'a> {
    app: &'a App,
    list: &'a ModelList,
    edition: u64,
}

impl Verdict<'_> {
    /// Waits until the list was looked at, what was found has been tried, and the
    /// labels have versions to point at or none is being written any more.
    async fn wait(&self, touched: BTreeSet<ModelName>) {
        let mut looks = self.app.looks.clone();
        if looks.wait_for(|look| look.edition >= self.edition).await.is_err() {
            return;
        }
        let patience = Instant::now() + limits::FIRST_VERSION_WAIT_MAX;
        let mut awaited = touched;
        loop {
            // Read first: what this look found is what is waited for next.
            let is_settling = looks.borrow_and_update().is_settling;
            self.app.manager.tried(awaited).await;
            awaited = self.bad_labels().map(|(name, _)| name.clone()).collect();
            if awaited.is_empty() || !is_settling {
                return;
            }
            // A version that was just put there is loaded once its files rest.
            tokio::select! {
                changed = looks.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(patience) => return,
            }
        }
    }

    fn state(&self, model: &ModelName, version: i64) -> Option<State> {
        let versions = self.app.states.versions(model.as_str())?;
        versions.into_iter().find(|status| status.version.get() == version).map(|status| status.state)
    }

    /// The labels of the list that point at what is not available.
    fn bad_labels(&self) -> impl Iterator<Item = (&ModelName, i64)> {
        let labels =
            self.list.models.iter().flat_map(|(name, model)| model.labels().map(move |l| (name, l.1)));
        labels.filter(|(name, version)| self.state(name, *version) != Some(State::Available))
    }

    /// What became of the new models, and of the labels.
    fn say(&self, new: &BTreeSet<ModelName>, out_of_time: Option<Duration>) -> Result<(), ServingError> {
        let mut failed = Vec::new();
        for name in new {
            failed.extend(self.why_not(name, out_of_time));
        }
        let mut labels = self.label_complaints();
        if self.app.config.reload.allow_unavailable_labels {
            labels.clear();
        }
        if failed.is_empty() {
            return match labels.is_empty() {
                true => Ok(()),
                false => Err(ServingError::new(Code::FailedPrecondition, labels.join("; "))),
            };
        }
        let mut text = format!("{} model(s) did not become available: {{", failed.len());
        for one in &failed {
            _ = write!(text, "{one}, ");
        }
        text.push('}');
        for label in labels {
            _ = write!(text, "; {label}");
        }
        Err(ServingError::new(Code::Unknown, text))
    }

    fn label_complaints(&self) -> Vec<String> {
        let complaint = |(name, version)| {
            format!(
                "Request to assign label to version {version} of model {name}, which is not currently available \
                 for inference"
            )
        };
        let complaints: BTreeSet<String> = self.bad_labels().map(complaint).collect();
        complaints.into_iter().collect()
    }

    /// Why no version of a model is available, if none is.
    fn why_not(&self, name: &ModelName, out_of_time: Option<Duration>) -> Option<String> {
        let versions = self.app.states.versions(name.as_str()).unwrap_or_default();
        if versions.iter().any(|status| status.state == State::Available) {
            return None;
        }
        let (of, code, why) = match (versions.first(), out_of_time) {
            (Some(status), _) if status.error.is_some() => {
                let error = status.error.as_ref()?;
                (Some(status.version), error.code(), error.message().to_owned())
            }
            (Some(status), Some(timeout)) => {
                let why = format!("it is {} after {} s", status.state, timeout.as_secs_f64());
                (Some(status.version), Code::DeadlineExceeded, why)
            }
            (Some(status), None) => {
                (Some(status.version), Code::Unavailable, format!("it is {}", status.state))
            }
            (None, _) => {
                let looks = self.app.looks.borrow();
                let mut troubles =
                    looks.troubles.iter().filter(|trouble| trouble.model.as_ref() == Some(name));
                let why = troubles.next().map_or("it has no version", |trouble| trouble.message.as_str());
                (None, Code::NotFound, why.to_owned())
            }
        };
        let version = of.map_or_else(String::new, |version| format!(" version: {version}"));
        Some(format!("{{{{name: {name}{version}}} due to error: {}: {why}}}", code.name()))
    }
}

/// Logs the labels that point at nothing after the first pass, which stop nobody.
pub(super) fn warn_of_labels(app: &App) {
    if let Some(Some(list)) = served(&app.config).filter(|_| !app.config.reload.allow_unavailable_labels) {
        for complaint in (Verdict { app, list: &list, edition: FIRST_EDITION }).label_complaints() {
            tracing::warn!("{complaint}");
        }
    }
}

/// The edition of the list that the server starts with.
pub(super) const FIRST_EDITION: u64 = 1;

/// The list that the configuration is; `None` for a folder of models, of which
/// there is no list, and `Some(None)` for one that says nothing.
pub(super) fn served(config: &ServerConfig) -> Option<Option<ModelList>> {
    match &config.models {
        Models::Repository(_) => None,
        Models::Single(name, base_path) => Some(Some(ModelList::single(name.clone(), base_path.clone()))),
        Models::Listed(list) => Some(list.clone()),
    }
}

/// The list in the repository's words.
pub(super) fn places(list: &ModelList, edition: u64, config: &ServerConfig) -> ModelPlaces {
    let place = |(name, model): (&ModelName, &ListedModel)| {
        let storage = disk(&model.base_path, config.follow_symlinks);
        let location = model.base_path.display().to_string();
        (name.clone(), ModelPlace { storage, location, settings: model.settings.clone() })
    };
    ModelPlaces { edition, models: list.models.iter().map(place).collect() }
}

/// The folders whose events are of interest, each once.
pub(super) fn hints(list: &ModelList) -> Vec<PathBuf> {
    let paths: BTreeSet<_> = list.models.values().map(|model| &model.base_path).collect();
    paths.into_iter().cloned().collect()
}
