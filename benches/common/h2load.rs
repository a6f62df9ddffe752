//! Load by h2load, and what its log says.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::server::Server;

/// What is asked, and where.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Whose CPU time is told.
    pub(crate) server: &'a Server,
    /// HOST:PORT.
    pub(crate) address: &'a str,
    /// Where it is posted to.
    pub(crate) path: &'a str,
    /// `name: value`.
    pub(crate) headers: &'a [&'a str],
    /// Whether over HTTP/1.1; else over HTTP/2.
    pub(crate) http1: bool,
    /// The file whose content is posted.
    pub(crate) body: &'a Path,
}

/// What a gRPC client says of its messages.
pub(crate) const GRPC_HEADERS: [&str; 2] = ["content-type: application/grpc", "te: trailers"];
/// Where Predict lives in HTTP/2.
pub(crate) const PREDICT_PATH: &str = "/tensorflow.serving.PredictionService/Predict";

/// A message as it stands in an HTTP/2 body: uncompressed, length, message.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a message of a benchmark is short");
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

/// One way of asking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Connections, all by one client thread.
    pub(crate) connections: usize,
    /// Requests in flight per connection.
    pub(crate) streams: usize,
    /// Requests per turn.
    pub(crate) requests: usize,
}

/// What one turn, or the median of several, measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Answers per second of wall time.
    pub(crate) requests_per_second: f64,
    /// Mean latency, µs.
    pub(crate) mean: f64,
    /// Median latency, µs.
    pub(crate) p50: f64,
    /// 99th percentile of the latency, µs.
    pub(crate) p99: f64,
    /// User and system time of the server process per request, µs.
    pub(crate) server_cpu: f64,
}

/// Says where h2load comes from when it is missing.
pub(crate) fn find_h2load() -> Result<(), String> {
    match Command::new("h2load").arg("--version").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err("h2load is needed to make the load (Debian package nghttp2-client)".to_owned()),
    }
}

impl Load {
    /// One turn against one server.
    pub(crate) fn run(self, target: Target<'_>, log: &Path) -> Result<Sample, Box<dyn Error>> {
        // h2load appends to its log.
        match std::fs::remove_file(log) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let cpu_before = target.server.cpu_micros()?;
        let output = Command::new("h2load")
            .arg("--threads=1")
            .args(target.http1.then_some("--h1"))
            .args(target.headers.iter().map(|header| format!("--header={header}")))
            .arg(format!("--clients={}", self.connections))
            .arg(format!("--max-concurrent-streams={}", self.streams))
            .arg(format!("--requests={}", self.requests))
            .arg(format!("--data={}", target.body.display()))
            .arg(format!("--log-file={}", log.display()))
            .arg(format!("http://{}{}", target.address, target.path))
            .output()?;
        let cpu = target.server.cpu_micros()? - cpu_before;
        let said = String::from_utf8_lossy(&output.stdout);
        let all = format!("{0} succeeded, 0 failed, 0 errored, 0 timeout", self.requests);
        if !output.status.success() || !said.contains(&all) {
            return Err(format!("h2load: expected `{all}`, it said: {said}").into());
        }
        let requests_per_second = rate_in(&said).ok_or_else(|| format!("no rate in: {said}"))?;
        let mut latencies = latencies_in(&std::fs::read_to_string(log)?)?;
        latencies.sort_unstable_by(f64::total_cmp);
        let count = latencies.len() as f64;
        Ok(Sample {
            requests_per_second,
            mean: latencies.iter().sum::<f64>() / count,
            p50: percentile(&latencies, 0.50),
            p99: percentile(&latencies, 0.99),
            server_cpu: cpu / self.requests as f64,
        })
    }
}

impl Sample {
    /// The median of each measure over some turns, of which there is at least one.
    pub(crate) fn median(turns: &[Sample]) -> Sample {
        let median = |measure: fn(&Sample) -> f64| {
            let mut values: Vec<f64> = turns.iter().map(measure).collect();
            values.sort_unstable_by(f64::total_cmp);
            percentile(&values, 0.50)
        };
        Sample {
            requests_per_second: median(|turn| turn.requests_per_second),
            mean: median(|turn| turn.mean),
            p50: median(|turn| turn.p50),
            p99: median(|turn| turn.p99),
            server_cpu: median(|turn| turn.server_cpu),
        }
    }
}

/// `finished in 412.31ms, 242533.11 req/s, 25.4MB/s`
fn rate_in(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.starts_with("finished in "))?;
    let rate = line.split(", ").find_map(|part| part.strip_suffix(" req/s"))?;
    rate.parse().ok()
}

/// Each line: start in µs, HTTP status, latency in µs.
fn latencies_in(log: &str) -> Result<Vec<f64>, String> {
    let latencies: Option<Vec<f64>> = log.lines().map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    match latencies {
        Some(latencies) if !latencies.is_empty() => Ok(latencies),
        _ => Err("h2load wrote no readable log".to_owned()),
    }
}

/// Of sorted values, the one that `part` of them do not exceed.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}
