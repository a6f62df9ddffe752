//! A steady load by a real client, and what became of each request.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use longshore::proto::tensorflow::serving::PredictRequest;
use longshore::proto::tensorflow::serving::model_spec::VersionChoice;
use longshore::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::transport::Channel;

use crate::common::sample;
use crate::common::server::Server;
use crate::{Outcome, client_runtime, connect};

/// A request that takes this long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    /// Callers on each connection, each with one request at a time.
    pub(crate) callers: usize,
    /// From one request of a caller to its next; zero: as soon as it is answered.
    pub(crate) every: Duration,
}

/// Requests that have ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Every latency, ms, and when its request ended; sorted by [`Load::take`].
    latencies: Vec<(f64, Instant)>,
    /// What went wrong with each that failed.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    /// The latency that `part` of the requests do not exceed, ms.
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * part).round() as usize).map_or(f64::NAN, |(latency, _)| *latency)
    }

    pub(crate) fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// The requests that were in flight within any of these times. They are few.
    pub(crate) fn during(&self, times: &[(Instant, Instant)]) -> Self {
        let began = |latency: f64, end: Instant| end - Duration::from_secs_f64(latency / 1e3);
        let touched = |&&(latency, end): &&(f64, Instant)| {
            times.iter().any(|(from, to)| began(latency, end) <= *to && end >= *from)
        };
        Self { latencies: self.latencies.iter().filter(touched).copied().collect(), failures: Vec::new() }
    }

    pub(crate) fn worst(&self) -> f64 {
        self.percentile(1.0)
    }

    /// Takes another's in.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.latencies.append(&mut other.latencies);
        self.failures.append(&mut other.failures);
        self.sort();
    }

    fn sort(&mut self) {
        self.latencies.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    }
}

/// A load that goes on until it is dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    tally: Mutex<Tally>,
    newest: AtomicI64,
    stop: AtomicBool,
}

impl Load {
    pub(crate) fn start(server: &Server, model: &str, shape: Shape) -> Outcome<Self> {
        let shared = Arc::new(Shared::default());
        let runtime = client_runtime()?;
        let mut clients = Vec::new();
        for _ in 0..shape.connections {
            clients.push(runtime.block_on(connect(server))?);
        }
        let (request, for_thread) = (sample::request(model), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let mut callers = JoinSet::new();
                let all = shape.connections * shape.callers;
                for number in 0..all {
                    let client = clients[number % clients.len()].clone();
                    // Spread over the interval, so that they do not all ask at once.
                    let offset = shape.every.mul_f64(number as f64 / all as f64);
                    let shared = Arc::clone(&for_thread);
                    callers.spawn(shared.call(client, request.clone(), Instant::now() + offset, shape.every));
                }
                callers.join_all().await;
            });
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What has ended since the last time, latencies sorted.
    pub(crate) fn take(&self) -> Tally {
        let mut tally =
            std::mem::take(&mut *self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner));
        tally.sort();
        tally
    }

    /// The highest version that has answered.
    pub(crate) fn newest(&self) -> i64 {
        self.shared.newest.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A caller that panicked has been told of on stderr.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// One caller: one request after the other, each at its time.
    async fn call(
        self: Arc<Self>,
        mut client: PredictionServiceClient<Channel>,
        request: PredictRequest,
        mut next: Instant,
        every: Duration,
    ) {
        while !self.stop.load(Ordering::Relaxed) {
            sleep_until(next).await;
            let sent = Instant::now();
            let outcome = timeout(PATIENCE, client.predict(request.clone())).await;
            let now = Instant::now();
            let failure = match outcome {
                Ok(Ok(answer)) => {
                    let spec = answer.get_ref().model_spec.as_ref();
                    if let Some(VersionChoice::Version(version)) = spec.and_then(|s| s.version_choice.clone())
                    {
                        self.newest.fetch_max(version, Ordering::Relaxed);
                    }
                    sample::check(answer.get_ref()).err()
                }
                Ok(Err(status)) => Some(status.to_string()),
                Err(late) => Some(late.to_string()),
            };
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.failures.extend(failure);
            tally.latencies.push(((now - sent).as_secs_f64() * 1e3, now));
            if every.is_zero() {
                continue;
            }
            next += every;
            // A slow answer holds up the requests that were due meanwhile. They count
            // as sent when they were due, else slowness would hide itself.
            while next < now {
                tally.latencies.push(((now - next).as_secs_f64() * 1e3, now));
                next += every;
            }
        }
    }
}
