//! What a rollout costs: the start, a swap under load, and ten thousand models.
//!
//! `cargo bench --bench rollout [-- start | swaps | many]` measures the real binary
//! as a process of its own, over real folders, asked by a real gRPC client:
//!
//! * `start`: from starting the process to its first answer, and its memory then;
//! * `swaps`: fifty new versions under a steady load, against the same load without;
//! * `many`: ten thousand models in one repository: start, memory, what polling
//!   costs, how soon one new version is served, and whether memory comes back.
//!
//! Server, client and folders share this machine, and latencies feel whatever else
//! it does. For published numbers, `--profile dist` and a quiet machine.

#[path = "../common/mod.rs"]
mod common;
mod folders;
mod load;
mod many;
mod start;
mod swaps;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use common::server::Server;
use longshore::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use tonic::transport::Channel;

/// As the server's own binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;
/// A part of this benchmark: its name and what it does.
type Part = (&'static str, fn() -> Outcome<()>);

const PARTS: [Part; 3] = [("start", start::measure), ("swaps", swaps::measure), ("many", many::measure)];

fn main() -> ExitCode {
    // cargo adds flags of its own.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = chosen.iter().find(|word| PARTS.iter().all(|(name, _)| name != word)) {
        eprintln!("rollout: {unknown:?} is no part of it; expected start, swaps or many");
        return ExitCode::FAILURE;
    }
    for (name, measure) in PARTS {
        if (chosen.is_empty() || chosen.iter().any(|word| word == name))
            && let Err(error) = measure()
        {
            eprintln!("rollout: {name}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// A runtime for a client.
fn client_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn connect(server: &Server) -> Outcome<PredictionServiceClient<Channel>> {
    Ok(PredictionServiceClient::connect(format!("http://{}", server.address())).await?)
}

/// Memory of the server that lies in the machine's, in MB (10⁶ bytes). Source:
/// proc(5), `status`.
fn resident(server: &Server) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle one; of an even number, the higher of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
