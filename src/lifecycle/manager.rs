//! The manager: carries out what [`Streams`] decides.
//!
//! One task is the only writer of states and of the catalog. Models are loaded
//! on load threads and freed on the unload thread, neither ever on the task.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::catalog::{Catalog, Publisher, Retired};
use super::loader::{Aspired, LoadError, Loader};
use super::monitor::StateMonitor;
use super::state::State;
use super::streams::{Effect, Event, Streams};
use crate::error::Code;
use crate::ids::{ModelName, ServableId};
use crate::memory;

/// How the manager works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many versions load at once. A load that hangs keeps its thread.
    pub num_load_threads: NonZeroUsize,
    /// How many versions are freed at once.
    pub num_unload_threads: NonZeroUsize,
    /// The pause before the second try of a version that failed; it doubles
    /// with each further failure.
    pub retry_pause_first: Duration,
    /// The longest that this pause grows.
    pub retry_pause_max: Duration,
    /// How often a version that failed is tried again without its files having
    /// changed; `None` for as long as it is wanted.
    pub retries_max: Option<u32>,
}

impl Default for Options {
    /// One load thread per core that the process may use, one that frees; 1 s to
    /// 60 s, for ever.
    fn default() -> Self {
        Self {
            num_load_threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            num_unload_threads: NonZeroUsize::MIN,
            retry_pause_first: Duration::from_secs(1),
            retry_pause_max: Duration::from_secs(60),
            retries_max: None,
        }
    }
}

/// Carries out the decisions for one server. See [`Manager::start`].
pub struct Manager<L: Loader> {
    streams: Streams<L>,
    publisher: Publisher<L::Servable>,
    monitor: Arc<StateMonitor>,
    commands: UnboundedReceiver<Command<L>>,
    reports: UnboundedReceiver<Report<L>>,
    loads: mpsc::Sender<Load<L>>,
    unloads: mpsc::Sender<Retired<L::Servable>>,
    threads: Vec<JoinHandle<()>>,
    /// Who waits for models to be tried, by the number that the streams know.
    waiting: HashMap<u64, oneshot::Sender<()>>,
    waits: u64,
}

enum Command<L> {
    Aspire(BTreeMap<ModelName, Aspired<L>>),
    Await(BTreeSet<ModelName>, oneshot::Sender<()>),
    Shutdown,
}

type Report<L> = Event<L, <L as Loader>::Servable>;

/// Work for a load thread.
struct Load<L> {
    id: ServableId,
    loader: L,
}

/// What [`Manager::start`] gives: the way to tell it what should be served, and
/// the two places where its work shows.
pub type Started<L> = (ManagerHandle<L>, Arc<Catalog<<L as Loader>::Servable>>, Arc<StateMonitor>);

impl<L: Loader> Manager<L> {
    /// Starts one: a task on the current tokio runtime, its load threads and
    /// its unload threads.
    ///
    /// # Errors
    /// When a thread cannot be started.
    ///
    /// # Panics
    /// Outside a tokio runtime with its timer enabled.
    pub fn start(options: Options) -> io::Result<Started<L>> {
        let (commands_in, commands) = unbounded_channel();
        let (reports_in, reports) = unbounded_channel();
        let (loads, loads_out) = mpsc::channel();
        let (unloads, unloads_out) = mpsc::channel();

        let loads_out = Arc::new(Mutex::new(loads_out));
        let mut threads = Vec::new();
        for number in 0..options.num_load_threads.get() {
            let (loads_out, reports) = (Arc::clone(&loads_out), reports_in.clone());
            let thread = thread::Builder::new().name(format!("load-{number}"));
            threads.push(thread.spawn(move || load_all(&loads_out, &reports))?);
        }
        let unloads_out = Arc::new(Mutex::new(unloads_out));
        for number in 0..options.num_unload_threads.get() {
            let (unloads_out, reports) = (Arc::clone(&unloads_out), reports_in.clone());
            let thread = thread::Builder::new().name(format!("unload-{number}"));
            threads.push(thread.spawn(move || free_all::<L>(&unloads_out, &reports))?);
        }
        drop(reports_in);

        let monitor = Arc::new(StateMonitor::default());
        let publisher = Publisher::new(Arc::clone(&monitor), unloads.clone());
        let catalog = publisher.catalog();
        let streams = Streams::new(options);
        let manager = Self {
            streams,
            publisher,
            monitor: Arc::clone(&monitor),
            commands,
            reports,
            loads,
            unloads,
            threads,
            waiting: HashMap::new(),
            waits: 0,
        };
        tokio::spawn(manager.run());
        Ok((ManagerHandle { commands: commands_in }, catalog, monitor))
    }

    async fn run(mut self) {
        let mut ending = false;
        // Taken while looking for the newest list, and next in turn.
        let mut after = None;
        while !(ending && self.streams.is_empty()) {
            let wake = self.streams.next_wake().map(tokio::time::Instant::from_std);
            let next = match after.take() {
                Some(command) => Next::Command(command),
                None => tokio::select! {
                    // With all handles gone there is nobody to serve for.
                    command = self.commands.recv(), if !ending => {
                        Next::Command(command.unwrap_or(Command::Shutdown))
                    }
                    Some(report) = self.reports.recv() => Next::Event(report),
                    () = sleep_until(wake) => Next::Event(Event::Tick),
                },
            };
            let event = match next {
                Next::Event(event) => event,
                Next::Command(Command::Aspire(list)) => {
                    let (list, then) = newest(list, &mut self.commands);
                    after = then;
                    Event::Aspire(list)
                }
                Next::Command(Command::Await(models, told)) => {
                    self.waits += 1;
                    self.waiting.insert(self.waits, told);
                    Event::Await { number: self.waits, models }
                }
                Next::Command(Command::Shutdown) => {
                    ending = true;
                    Event::Aspire(BTreeMap::new())
                }
            };
            let now = tokio::time::Instant::now().into_std();
            for effect in self.streams.handle(event, now) {
                self.carry_out(effect);
            }
        }
        let Self { publisher, loads, unloads, threads, commands, .. } = self;
        // The threads end when nobody can give them work any more.
        drop((publisher, loads, unloads));
        let joined = tokio::task::spawn_blocking(|| {
            for thread in threads {
                // A thread that panicked has ended too.
                let _ = thread.join();
            }
        });
        let _ = joined.await;
        // `ManagerHandle::shutdown` waits for this.
        drop(commands);
    }

    fn carry_out(&mut self, effect: Effect<L, L::Servable>) {
        match effect {
            Effect::AddModel(model) => self.monitor.add_model(&model),
            Effect::SetLabels { model, labels } => self.publisher.set_labels(&model, &labels),
            Effect::RemoveModel(model) => {
                self.publisher.remove(&model);
                self.monitor.remove_model(&model);
            }
            Effect::StartLoad { id, loader } => {
                // The threads live as long as this sender.
                let _ = self.loads.send(Load { id, loader });
            }
            Effect::Publish { id, servable } => self.publisher.publish(id, servable),
            Effect::Retire { id } => self.publisher.retire(&id),
            Effect::Free { id, servable } => {
                let _ = self.unloads.send(Retired { id, servable });
            }
            Effect::SetState { id, state, error, load_took } => {
                tell(&id, state, error.as_ref(), load_took);
                self.monitor.set(&id, state, error);
            }
            Effect::Forget { id } => self.monitor.forget(&id),
            Effect::FirstPassDone => self.monitor.first_pass_done(),
            Effect::Tried { number } => {
                if let Some(told) = self.waiting.remove(&number) {
                    // Whoever asked may have stopped waiting.
                    let _ = told.send(());
                }
            }
            Effect::Fault { id, fault } => {
                tracing::error!(model = %id.name, version = id.version.get(), %fault, "event ignored");
            }
        }
    }
}

/// What [`Manager::run`] woke up for.
enum Next<L: Loader> {
    Command(Command<L>),
    Event(Report<L>),
}

type List<L> = BTreeMap<ModelName, Aspired<L>>;

/// The last of the lists that wait one behind the other, and the command that
/// comes after it: each list is whole, so that only the newest counts.
fn newest<L>(
    mut list: List<L>,
    commands: &mut UnboundedReceiver<Command<L>>,
) -> (List<L>, Option<Command<L>>) {
    loop {
        match commands.try_recv() {
            Ok(Command::Aspire(newer)) => list = newer,
            Ok(other) => return (list, Some(other)),
            Err(_) => return (list, None),
        }
    }
}

async fn sleep_until(wake: Option<tokio::time::Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// One line per change of state.
fn tell(id: &ServableId, state: State, error: Option<&LoadError>, load_took: Option<Duration>) {
    let (model, version) = (&id.name, id.version.get());
    let load_ms = load_took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    match (state, error) {
        (State::Failed, Some(error)) => {
            tracing::warn!(%model, version, %state, load_ms, %error, "version failed to load");
        }
        (_, Some(reason)) => {
            tracing::info!(%model, version, %state, load_ms, %reason, "version changed state")
        }
        (_, None) => tracing::info!(%model, version, %state, load_ms, "version changed state"),
    }
}

/// A load that takes as long has had buffers worth giving back; most are far quicker.
const LONG_LOAD: Duration = Duration::from_millis(20);

/// The body of a load thread.
fn load_all<L: Loader>(loads: &Mutex<mpsc::Receiver<Load<L>>>, reports: &UnboundedSender<Report<L>>) {
    // The lock is held while waiting: the other threads then wait for the lock.
    let next = || loads.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(Load { id, mut loader }) = next() {
        let started = Instant::now();
        // A thread of its own: an allocator's pages belong to the thread that took them
        // first, and those of one that has ended go back as soon as they are free.
        let outcome = thread::scope(|scope| {
            let thread = thread::Builder::new().name("load".to_owned());
            match thread.spawn_scoped(scope, || loader.load()) {
                Ok(thread) => thread.join(),
                Err(error) => {
                    Ok(Err(LoadError::new(Code::ResourceExhausted, format!("no thread to load it: {error}"))))
                }
            }
        });
        let took = started.elapsed();
        if took >= LONG_LOAD {
            memory::give_back();
        }
        let report = match outcome {
            Ok(Ok(servable)) => Event::LoadDone { id, servable, took },
            Ok(Err(error)) => Event::LoadFailed { id, loader, error, took },
            Err(panic) => {
                let why = format!("loading panicked: {}", panic_message(&*panic));
                Event::LoadFailed { id, loader, error: LoadError::new(Code::Internal, why), took }
            }
        };
        // With the manager gone, so is whoever wanted it loaded.
        let _ = reports.send(report);
    }
}

/// The body of an unload thread.
fn free_all<L: Loader>(
    retired: &Mutex<mpsc::Receiver<Retired<L::Servable>>>,
    reports: &UnboundedSender<Report<L>>,
) {
    // The lock is held while waiting: the other threads then wait for the lock.
    let next = || retired.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let waiting = || retired.try_lock().ok()?.try_recv().ok();
    let mut current = next();
    while let Some(Retired { id, servable }) = current {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(servable))) {
            let why = panic_message(&*panic);
            tracing::error!(model = %id.name, version = id.version.get(), why, "freeing panicked");
        }
        let _ = reports.send(Event::Freed { id });
        current = waiting().or_else(|| {
            // Once for all that were freed together.
            memory::give_back();
            next()
        });
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Tells the manager what should be served. Cheap to clone; when the last clone
/// is dropped, the manager unloads everything and ends, as after
/// [`shutdown`](Self::shutdown).
pub struct ManagerHandle<L> {
    commands: UnboundedSender<Command<L>>,
}

impl<L: Loader> ManagerHandle<L> {
    /// States the whole list of what should be served: models left out are
    /// unloaded. Never blocks; may be called from any thread. After
    /// [`shutdown`](Self::shutdown) it does nothing.
    pub fn aspire(&self, models: BTreeMap<ModelName, Aspired<L>>) {
        let _ = self.commands.send(Command::Aspire(models));
    }

    /// Waits until each of these models has been tried, as the last list that was
    /// stated before this call, or a newer one, wants it: each wanted version is
    /// available or has failed its first try. A model that is not wanted is not
    /// waited for. What became of them the state monitor tells.
    ///
    /// There is no bound: put a time limit around it. After
    /// [`shutdown`](Self::shutdown) it returns at once.
    pub fn tried(&self, models: BTreeSet<ModelName>) -> impl Future<Output = ()> + Send + use<L> {
        let (told, tried) = oneshot::channel();
        let _ = self.commands.send(Command::Await(models, told));
        async move {
            let _ = tried.await;
        }
    }

    /// Unloads everything and ends the manager's threads. Waits for handles in
    /// use and for loads under way, which cannot be interrupted: put a time
    /// limit around it.
    pub async fn shutdown(self) {
        let _ = self.commands.send(Command::Shutdown);
        self.commands.closed().await;
    }
}

impl<L> Clone for ManagerHandle<L> {
    fn clone(&self) -> Self {
        Self { commands: self.commands.clone() }
    }
}

impl<L> fmt::Debug for ManagerHandle<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerHandle").finish_non_exhaustive()
    }
}

impl<L: Loader> fmt::Debug for Manager<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
