//! What batching gains where it should, costs where it cannot help, and how it
//! stands three times the load that it can carry.
//!
//! `cargo bench --bench batching`. Lanes in this process, without network; the load
//! that is too much also through the gRPC door, over loopback. A run of
//! the models sleeps, as if an accelerator worked, so that what is measured is the
//! scheduling and not how many cores are free. Absolute numbers follow from the
//! chosen costs; the ratios of one run are what counts.

#[path = "common/verdict.rs"]
mod verdict;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use longshore::dataplane::DataPlane;
use longshore::error::Code;
use longshore::execution::{BatchOptions, BatchParameters, ComputePool, Lane, LaneOptions, RunFailure};
use longshore::frontends::tfs::grpc::Door;
use longshore::ids::{ModelName, Version};
use longshore::lifecycle::{self, Aspired, AspiredVersion, LoadError, Loader, Manager};
use longshore::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use longshore::proto::tensorflow::serving::{ModelSpec, PredictRequest};
use longshore::proto::tensorflow::tensor_shape_proto::Dim;
use longshore::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use longshore::servable::{
    Call, DEFAULT_SIGNATURE, Method, RunError, Servable, Signature, Signatures, TensorSpec,
};
use longshore::telemetry::Metrics;
use longshore::tensor::{DType, Tensor};
use smallvec::SmallVec;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};

/// As the server's own binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const THREADS: usize = 2;
const ROWS_MAX: i64 = 32;
/// Over which a load goes that goes over the network.
const CONNECTIONS: usize = 8;
/// Requests in flight, each of one row.
const CLIENTS: usize = 64;
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;

/// Gives back what it gets, after a pause.
#[derive(Debug)]
struct Synthetic {
    signatures: Signatures,
    fixed: Duration,
    per_row: Duration,
}

impl Servable for Synthetic {
    fn platform(&self) -> &'static str {
        "synthetic"
    }

    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
        let rows = u32::try_from(call.inputs[0].shape()[0]).unwrap_or(u32::MAX);
        let pause = self.fixed + self.per_row * rows;
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        Ok(call.inputs.into_vec())
    }
}

fn lane(fixed: Duration, per_row: Duration, batching: Option<&BatchParameters>) -> Lane {
    let spec = |name: &str| TensorSpec::new(name, DType::Float, &[None, Some(16)]);
    let signature = Signature {
        name: DEFAULT_SIGNATURE.into(),
        inputs: vec![spec("x")],
        outputs: vec![spec("y")],
        method: Method::Predict,
    };
    let servable = Synthetic { signatures: Signatures::new(vec![signature]), fixed, per_row };
    let pool = ComputePool::start(THREADS).expect("threads");
    let lane = Lane::new(Arc::new(servable), pool, LaneOptions::default());
    let options = batching.map(|parameters| BatchOptions::new(parameters).expect("good parameters"));
    options.into_iter().fold(lane, Lane::batched)
}

/// What a caller gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    Refused,
}

/// Asks for one row, as often as it is called.
type Ask = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// Asks a lane of this process.
fn within(lane: Lane) -> Ask {
    let lane = Arc::new(lane);
    Arc::new(move || {
        let lane = Arc::clone(&lane);
        Box::pin(async move {
            let x = Tensor::new([1, 16], vec![1.0f32; 16].into()).expect("16 numbers");
            match Lane::run(lane, 0, SmallVec::from_iter([x]), SmallVec::from_iter([0]), None).await {
                Ok(_) => Outcome::Answered,
                Err(RunFailure::Batch(_)) => Outcome::Refused,
                Err(other) => panic!("{other}"),
            }
        })
    })
}

/// Gives away a lane that is ready.
struct Ready(Option<Lane>);

impl Loader for Ready {
    type Servable = Lane;

    fn load(&mut self) -> Result<Lane, LoadError> {
        self.0
            .take()
            .ok_or_else(|| LoadError::new(Code::Internal, "there is one lane, and it is loaded once"))
    }
}

/// Serves a lane as model `m` on loopback, by a loop of its own as the server has them.
fn serve(lane: Lane) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let options = lifecycle::Options {
                num_load_threads: NonZeroUsize::MIN,
                num_unload_threads: NonZeroUsize::MIN,
                retry_pause_first: Duration::from_secs(1),
                retry_pause_max: Duration::from_secs(1),
                retries_max: Some(0),
            };
            let (manager, catalog, states) = Manager::start(options).expect("threads");
            let version = Version::new(1).expect("1 is one");
            let version = AspiredVersion { version, fingerprint: 0, loader: Ready(Some(lane)) };
            let aspired = Aspired { versions: vec![version], labels: [].into(), first_is_coming: false };
            manager.aspire([(ModelName::new("m").expect("a name"), aspired)].into());
            states.first_pass().await;
            let recorder = Arc::new(Metrics::start(1).1.remove(0));
            let door = Door::new(Arc::new(DataPlane::new(catalog.reader(), states)), recorder);
            let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(port.local_addr().expect("an address")).expect("somebody waits for it");
            let services = Server::builder().add_service(door.prediction_service());
            services.serve_with_incoming(TcpListenerStream::new(port)).await.expect("it serves to the end");
        });
    });
    told.recv().expect("an address")
}

/// Asks a lane through the gRPC door, over [`CONNECTIONS`] connections by turns.
fn through_grpc(runtime: &Runtime, lane: Lane) -> Ask {
    let address = format!("http://{}", serve(lane));
    let connect = || runtime.block_on(Channel::from_shared(address.clone()).expect("a URL").connect());
    let clients: Vec<_> =
        (0..CONNECTIONS).map(|_| PredictionServiceClient::new(connect().expect("a connection"))).collect();
    let dim = [1, 16].map(|size| Dim { size, ..Dim::default() }).to_vec();
    let x = TensorProto {
        dtype: DataType::DtFloat.into(),
        tensor_shape: Some(TensorShapeProto { dim, ..TensorShapeProto::default() }),
        float_val: vec![1.0; 16],
        ..TensorProto::default()
    };
    let request = PredictRequest {
        model_spec: Some(ModelSpec { name: "m".to_owned(), ..ModelSpec::default() }),
        inputs: [("x".to_owned(), x)].into(),
        ..PredictRequest::default()
    };
    let turn = AtomicUsize::new(0);
    Arc::new(move || {
        let mut client = clients[turn.fetch_add(1, Relaxed) % clients.len()].clone();
        let request = request.clone();
        Box::pin(async move {
            match client.predict(request).await {
                Ok(_) => Outcome::Answered,
                Err(status) if status.code() == tonic::Code::Unavailable => Outcome::Refused,
                Err(other) => panic!("{other}"),
            }
        })
    })
}

/// What one round showed.
#[derive(Debug, Clone, Copy)]
struct Sample {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// `clients` callers who ask again as soon as they are answered.
fn closed(runtime: &Runtime, ask: &Ask, clients: usize) -> Sample {
    let start = Instant::now();
    let callers: Vec<_> = (0..clients)
        .map(|_| {
            let ask = Arc::clone(ask);
            runtime.spawn(async move {
                let mut took = Vec::new();
                while start.elapsed() < ROUND {
                    let begun = Instant::now();
                    assert_eq!(ask().await, Outcome::Answered);
                    took.push(begun.elapsed());
                    // A cheap run never waits; others must have their turn.
                    tokio::task::yield_now().await;
                }
                took
            })
        })
        .collect();
    let mut took: Vec<Duration> = Vec::new();
    for caller in callers {
        took.extend(runtime.block_on(caller).expect("no panic"));
    }
    let per_second = took.len() as f64 / start.elapsed().as_secs_f64();
    took.sort_unstable();
    Sample { per_second, p50: quantile(&took, 0.5), p99: quantile(&took, 0.99) }
}

fn median(mut samples: Vec<Sample>) -> Sample {
    let middle = samples.len() / 2;
    samples.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let per_second = samples[middle].per_second;
    samples.sort_by_key(|sample| sample.p99);
    Sample { per_second, ..samples[middle] }
}

/// Lets the lanes take turns, so that what the machine does besides hits all alike.
fn alternate(runtime: &Runtime, lanes: &[Ask], clients: usize) -> Vec<Sample> {
    let mut samples = vec![Vec::new(); lanes.len()];
    for round in 0..ROUNDS {
        for turn in 0..lanes.len() {
            let place = (round + turn) % lanes.len();
            samples[place].push(closed(runtime, &lanes[place], clients));
        }
    }
    samples.into_iter().map(median).collect()
}

fn print(model: &str, names: &[&str], samples: &[Sample]) {
    println!("\n{model}\n{:<24}{:>14}{:>12}{:>12}{:>10}", "", "requests/s", "p50 µs", "p99 µs", "vs off");
    for (name, sample) in names.iter().zip(samples) {
        let (p50, p99) = (sample.p50.as_secs_f64() * 1e6, sample.p99.as_secs_f64() * 1e6);
        let ratio = sample.per_second / samples[0].per_second;
        println!("{name:<24}{:>14.0}{p50:>12.1}{p99:>12.1}{ratio:>10.2}", sample.per_second);
    }
}

/// What callers who come whatever happens saw.
struct Flood {
    offered: f64,
    answered: f64,
    refused: usize,
    refused_p99: Duration,
    refused_worst: Duration,
}

/// Asks `rate` times a second, however many are answered.
fn flood(runtime: &Runtime, ask: &Ask, rate: f64) -> Flood {
    let (answered, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let refused = Arc::new(std::sync::Mutex::new(Vec::new()));
    let over = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    runtime.block_on(async {
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        while start.elapsed() < ROUND {
            tick.tick().await;
            let due = (start.elapsed().as_secs_f64() * rate) as usize;
            while asked.load(Relaxed) < due {
                asked.fetch_add(1, Relaxed);
                let (answer, answered) = (ask(), Arc::clone(&answered));
                let (refused, over) = (Arc::clone(&refused), Arc::clone(&over));
                let begun = Instant::now();
                tokio::spawn(async move {
                    match answer.await {
                        // What is answered after the round is not of the round.
                        Outcome::Answered if over.load(Relaxed) => {}
                        Outcome::Answered => {
                            answered.fetch_add(1, Relaxed);
                        }
                        Outcome::Refused => refused.lock().expect("held").push(begun.elapsed()),
                    }
                });
            }
        }
        over.store(true, Relaxed);
    });
    let took = start.elapsed().as_secs_f64();
    let mut refused = std::mem::take(&mut *refused.lock().expect("held"));
    refused.sort_unstable();
    Flood {
        offered: asked.load(Relaxed) as f64 / took,
        answered: answered.load(Relaxed) as f64 / took,
        refused: refused.len(),
        refused_p99: quantile(&refused, 0.99),
        refused_worst: refused.last().copied().unwrap_or_default(),
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let at_once = BatchParameters {
        max_batch_size: Some(ROWS_MAX),
        max_enqueued_batches: Some(100),
        ..BatchParameters::default()
    };
    let waiting = BatchParameters { batch_timeout_micros: Some(1000), ..at_once.clone() };
    let ways = [None, Some(&at_once), Some(&waiting)];
    let names = ["no batching", "batching, no timeout", "batching, 1 ms"];
    let lanes = |fixed: u64, per_row: u64| {
        let [fixed, per_row] = [fixed, per_row].map(Duration::from_micros);
        ways.map(|way| within(lane(fixed, per_row, way)))
    };

    let dear = alternate(&runtime, &lanes(2000, 20), CLIENTS);
    print("2 ms a run and 20 µs a row, 64 callers", &names, &dear);
    let alone = alternate(&runtime, &lanes(2000, 20), 1);
    print("the same, 1 caller", &names, &alone);
    let by_row = alternate(&runtime, &lanes(0, 500), CLIENTS);
    print("500 µs a row and nothing a run, 64 callers", &names, &by_row);
    let cheap = alternate(&runtime, &lanes(0, 0)[..2], 1);
    print("a run that costs nothing, 1 caller", &names, &cheap);

    let small = BatchParameters { max_enqueued_batches: Some(4), ..at_once };
    let bounded = |fixed: u64, per_row: u64| {
        lane(Duration::from_millis(fixed), Duration::from_micros(per_row), Some(&small))
    };
    let near = overload(&runtime, &within(bounded(5, 50)), "5 ms a run and 50 µs a row, in this process");
    // Dearer, so that the network and both of its ends are not what is too slow.
    let far = through_grpc(&runtime, bounded(20, 200));
    let far = overload(&runtime, &far, "20 ms a run and 200 µs a row, through the gRPC door");

    let ratio = |samples: &[Sample]| samples[1].per_second / samples[0].per_second;
    verdict::tell("dear runs, throughput with batching", ratio(&dear), ">=", 4.0, " x");
    let p99 = |samples: &[Sample]| samples[1].p99.as_secs_f64() / samples[0].p99.as_secs_f64();
    verdict::tell("dear runs, p99 with batching", p99(&dear), "<=", 1.0, " x");
    verdict::tell("one caller, throughput with batching", ratio(&alone), ">=", 0.95, " x");
    verdict::tell("cost by the row, throughput with batching", ratio(&by_row), ">=", 0.95, " x");
    verdict::tell("cheap runs, throughput with batching", ratio(&cheap), ">=", 0.95, " x");
    for (place, (peak, flood)) in [("in this process", near), ("through gRPC", far)] {
        let goodput = format!("goodput at three times the load, {place}");
        verdict::tell(&goodput, flood.answered / peak, ">=", 0.9, " of peak");
        let refused = flood.refused_p99.as_secs_f64() * 1e3;
        verdict::tell(&format!("refusals, 99 in 100 within, {place}"), refused, "<=", 5.0, " ms");
    }
}

/// The most that is answered in a second, and what becomes of three times as much.
fn overload(runtime: &Runtime, ask: &Ask, what: &str) -> (f64, Flood) {
    // As many callers as fill the queue: while two batches run, two wait.
    let peak = (0..ROUNDS).map(|_| closed(runtime, ask, 4 * ROWS_MAX as usize)).collect();
    let peak = median(peak).per_second;
    let flood = flood(runtime, ask, 3.0 * peak);
    println!("\n{what}; 4 batches may wait, three times the load");
    println!(
        "peak {peak:.0}/s, offered {:.0}/s, answered {:.0}/s, refused {}: p99 {:?}, worst {:?}\n",
        flood.offered, flood.answered, flood.refused, flood.refused_p99, flood.refused_worst
    );
    (peak, flood)
}
