//! What a look-up costs while versions are swapped, and what publishing costs
//! with many models. `cargo bench --bench catalog`.
//!
//! Look-ups are counted per second of a thread's own CPU time, so that a busy
//! machine does not pass for a slow catalog; beside them, in the same run, the
//! same work on a bare `RwLock<HashMap>` with a clone of an `Arc`.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use longshore::ids::{ModelName, ModelQuery, ServableId, Version, VersionChoice};
use longshore::lifecycle::{
    Aspired, AspiredVersion, Catalog, LoadError, Loader, Manager, Options, Publisher, Retired, State,
    StateMonitor,
};

/// As many models as a well-used server has.
const MODELS: usize = 20;
/// As many as the budget speaks of.
const MANY_MODELS: usize = 10_000;
const SWAP_EVERY: Duration = Duration::from_millis(1);

fn main() {
    // Without the flag that `cargo bench` gives, only see that it runs.
    let measured = std::env::args().any(|arg| arg == "--bench");
    let duration = Duration::from_millis(if measured { 2_000 } else { 20 });
    let rounds = if measured { 3 } else { 1 };

    println!("look-ups per second of CPU and thread, {MODELS} models, a swap every millisecond");
    for _ in 0..rounds {
        for threads in [1, 2] {
            let ours = catalog_look_ups(threads, duration);
            let bare = bare_look_ups(threads, duration);
            println!(
                "  {threads} thread(s): catalog {:>5.1} M/s ({:>4.1} ns), bare RwLock + Arc {:>5.1} M/s ({:>5.1} ns)",
                ours / 1e6,
                1e9 / ours,
                bare / 1e6,
                1e9 / bare
            );
        }
    }
    println!("{MANY_MODELS} models made available");
    println!("  published one by one, two warm readers: {:?}", publish_many());
    let (all, one_more) = load_many();
    println!("  through the manager, loads that do nothing: {all:?}");
    println!("  the same list again with one model more, until that is available: {one_more:?}");
}

fn names(count: usize) -> Vec<ModelName> {
    (0..count).map(|number| ModelName::new(&format!("some_model_{number}")).unwrap()).collect()
}

fn id(name: &ModelName, version: i64) -> ServableId {
    ServableId { name: name.clone(), version: Version::new(version).unwrap() }
}

fn publisher() -> (Publisher<u64>, mpsc::Receiver<Retired<u64>>) {
    let (retire, retired) = mpsc::channel();
    (Publisher::new(Arc::new(StateMonitor::default()), retire), retired)
}

/// The seconds that this thread has spent on a core; wall time where the
/// system does not say.
fn cpu_seconds(started: Instant) -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = schedstat.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| started.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

/// Runs `look` on each thread until `duration` is over, while `swap` is called
/// every millisecond; gives look-ups per second and thread.
fn measure(
    threads: usize,
    duration: Duration,
    reader: impl Fn() -> Box<dyn FnMut(usize) + Send>,
    mut swap: impl FnMut(i64),
) -> f64 {
    let over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (over, mut look) = (Arc::clone(&over), reader());
            thread::spawn(move || {
                let (started, mut looks) = (Instant::now(), 0_usize);
                let before = cpu_seconds(started);
                while !over.load(Ordering::Relaxed) {
                    // The call through the box is paid once for many look-ups.
                    look(1_000);
                    looks += 1_000;
                }
                looks as f64 / (cpu_seconds(started) - before)
            })
        })
        .collect();
    let started = Instant::now();
    let mut version = 1;
    while started.elapsed() < duration {
        thread::sleep(SWAP_EVERY);
        version += 1;
        swap(version);
    }
    over.store(true, Ordering::Relaxed);
    let rates: Vec<f64> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    rates.iter().sum::<f64>() / rates.len() as f64
}

fn catalog_look_ups(threads: usize, duration: Duration) -> f64 {
    let (mut publisher, retired) = publisher();
    let catalog: Arc<Catalog<u64>> = publisher.catalog();
    let names = names(MODELS);
    for name in &names {
        publisher.publish(id(name, 1), 1);
    }
    let queries: Vec<ModelQuery> = names
        .iter()
        .map(|name| ModelQuery { name: name.as_str().to_owned(), choice: VersionChoice::Latest })
        .collect();
    let reader = || {
        let (reader, queries) = (catalog.reader(), queries.clone());
        Box::new(move |looks: usize| {
            for query in queries.iter().cycle().take(looks) {
                let handle = reader.handle(black_box(query)).expect("a version is available throughout");
                black_box(*handle);
            }
        }) as Box<dyn FnMut(usize) + Send>
    };
    let mut serving = [1; MODELS];
    measure(threads, duration, reader, |version| {
        let place = version as usize % MODELS;
        let old = std::mem::replace(&mut serving[place], version);
        publisher.publish(id(&names[place], version), version as u64);
        publisher.retire(&id(&names[place], old));
        retired.try_iter().for_each(drop);
    })
}

fn bare_look_ups(threads: usize, duration: Duration) -> f64 {
    type Bare = Arc<RwLock<HashMap<String, Arc<u64>>>>;
    let names: Vec<String> = names(MODELS).iter().map(|name| name.as_str().to_owned()).collect();
    let models: Bare = Arc::new(RwLock::new(names.iter().map(|name| (name.clone(), Arc::new(1))).collect()));
    let reader = || {
        let (models, names) = (Arc::clone(&models), names.clone());
        Box::new(move |looks: usize| {
            for name in names.iter().cycle().take(looks) {
                let servable = models.read().unwrap().get(black_box(name)).cloned();
                black_box(*servable.expect("a version is available throughout"));
            }
        }) as Box<dyn FnMut(usize) + Send>
    };
    measure(threads, duration, reader, |version| {
        let name = names[version as usize % MODELS].clone();
        models.write().unwrap().insert(name, Arc::new(version as u64));
    })
}

fn publish_many() -> Duration {
    let (mut publisher, _retired) = publisher();
    let catalog: Arc<Catalog<u64>> = publisher.catalog();
    let readers = [catalog.reader(), catalog.reader()];
    let names = names(MANY_MODELS);
    let mut took = Duration::ZERO;
    for name in &names {
        let started = Instant::now();
        publisher.set_labels(name, &BTreeMap::new());
        publisher.publish(id(name, 1), 1);
        took += started.elapsed();
        let query = ModelQuery { name: name.as_str().to_owned(), choice: VersionChoice::Latest };
        readers.iter().for_each(|reader| drop(reader.handle(&query)));
    }
    took
}

struct Nothing;

impl Loader for Nothing {
    type Servable = u64;

    fn load(&mut self) -> Result<u64, LoadError> {
        Ok(1)
    }
}

fn list(count: usize) -> BTreeMap<ModelName, Aspired<Nothing>> {
    let version = Version::new(1).unwrap();
    let aspired = || Aspired {
        versions: vec![AspiredVersion { version, fingerprint: 0, loader: Nothing }],
        labels: BTreeMap::new(),
        first_is_coming: false,
    };
    names(count).into_iter().map(|name| (name, aspired())).collect()
}

fn load_many() -> (Duration, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (handle, _catalog, monitor) = Manager::start(Options::default()).unwrap();
        let (first, second) = (list(MANY_MODELS), list(MANY_MODELS + 1));
        let last = format!("some_model_{MANY_MODELS}");

        let started = Instant::now();
        handle.aspire(first);
        monitor.first_pass().await;
        let all = started.elapsed();

        let mut changes = monitor.subscribe();
        let is_there = || monitor.versions(&last).is_some_and(|all| all[0].state == State::Available);
        let started = Instant::now();
        handle.aspire(second);
        while !is_there() {
            changes.changed().await.expect("the monitor lives");
        }
        let one_more = started.elapsed();
        handle.shutdown().await;
        (all, one_more)
    })
}
