//! What serving a model costs above an empty echo of the same messages.
//!
//! `cargo bench --bench overhead [-- ROUNDS]` asks three servers the same Predict
//! in turns, each in a process of its own on this machine:
//!
//! * `echo, multi-thread`: tonic on tokio's multi-thread runtime, as everybody writes it;
//! * `echo, loops`: tonic on one current-thread loop per core, the fastest we know;
//! * `longshore`: the sample model, so parsing, look-up, checks and arithmetic as well.
//!
//! h2load makes the load (Debian package `nghttp2-client`). Absolute numbers are
//! those of the machine; the ratios of one run are what counts. For published
//! numbers, `--profile dist`.

#[path = "../common/mod.rs"]
mod common;
mod echo;
#[path = "../common/h2load.rs"]
mod h2load;
mod servers;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use common::verdict;
use h2load::{Load, Sample, Target};
use servers::Server;

/// As the server's own binary has it, so that the servers differ in shape alone.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns that each server takes; medians are over these.
const ROUNDS: usize = 9;
/// Many small requests in flight: 8 connections of 32 streams.
const THROUGHPUT: Load = Load { connections: 8, streams: 32, requests: 100_000 };
/// One request at a time.
const LATENCY: Load = Load { connections: 1, streams: 1, requests: 8_000 };

/// Requests per second, at least this part of the loops' echo.
const THROUGHPUT_TARGET: f64 = 0.85;
/// Mean latency of one request at a time, at most this multiple of the loops' echo.
const LATENCY_TARGET: f64 = 1.15;

/// Places in the table.
const MULTI: usize = 0;
const LOOPS: usize = 1;
const OURS: usize = 2;
const NAMES: [&str; 3] = ["echo, multi-thread", "echo, loops", "longshore"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some(servers::ECHO_MULTI) => echo::multi_thread(),
        Some(servers::ECHO_LOOPS) => echo::loops(),
        _ => measure(arguments.iter().find_map(|word| word.parse().ok()).unwrap_or(ROUNDS)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overhead: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(rounds: usize) -> Result<(), Box<dyn Error>> {
    h2load::find_h2load()?;
    let folder = tempfile::tempdir()?;
    let body = folder.path().join("body");
    std::fs::write(&body, servers::framed_request())?;

    let running = [
        servers::echo(servers::ECHO_MULTI)?,
        servers::echo(servers::ECHO_LOOPS)?,
        servers::longshore(&folder.path().join("longshore.log"))?,
    ];
    servers::check_answers(&running)?;

    println!("{rounds} rounds; medians; latencies in µs as h2load sees them; CPU of the server process\n");
    let many = alternate(&running, THROUGHPUT, rounds, &body, folder.path())?;
    print_table(THROUGHPUT, &many, |sample| sample.requests_per_second);
    let single = alternate(&running, LATENCY, rounds, &body, folder.path())?;
    print_table(LATENCY, &single, |sample| sample.mean);

    let rate = |place: usize| many[place].requests_per_second;
    let mean = |place: usize| single[place].mean;
    let verdicts = [
        ("requests/s against the loops' echo", rate(OURS) / rate(LOOPS), ">=", THROUGHPUT_TARGET),
        ("requests/s against the multi-thread echo", rate(OURS) / rate(MULTI), ">=", 1.0),
        ("mean latency against the loops' echo", mean(OURS) / mean(LOOPS), "<=", LATENCY_TARGET),
    ];
    for (what, ratio, relation, target) in verdicts {
        verdict::tell(what, ratio, relation, target, "");
    }
    Ok(())
}

/// Lets the servers take turns, so that what the machine does besides hits all
/// alike, and gives the median of each measure per server.
fn alternate(
    servers: &[Server; 3],
    load: Load,
    rounds: usize,
    body: &Path,
    folder: &Path,
) -> Result<[Sample; 3], Box<dyn Error>> {
    let log = folder.join("h2load.log");
    let mut samples: [Vec<Sample>; 3] = Default::default();
    for round in 0..=rounds {
        for turn in 0..servers.len() {
            // Whoever goes first changes with each round.
            let place = (round + turn) % servers.len();
            let server = &servers[place];
            let target = Target {
                server,
                address: server.address(),
                path: h2load::PREDICT_PATH,
                headers: &h2load::GRPC_HEADERS,
                http1: false,
                body,
            };
            let sample = load.run(target, &log)?;
            // Round 0 warms caches and connections up.
            if round > 0 {
                samples[place].push(sample);
            }
        }
    }
    Ok(samples.map(|of_one| Sample::median(&of_one)))
}

fn print_table(load: Load, samples: &[Sample; 3], compared: fn(&Sample) -> f64) {
    println!("{} connections × {} streams", load.connections, load.streams);
    println!(
        "{:<20}{:>12}{:>10}{:>10}{:>10}{:>14}{:>12}",
        "", "requests/s", "mean", "p50", "p99", "CPU µs/req", "vs loops"
    );
    for (name, sample) in NAMES.iter().zip(samples) {
        println!(
            "{name:<20}{:>12.0}{:>10.1}{:>10.0}{:>10.0}{:>14.2}{:>12.3}",
            sample.requests_per_second,
            sample.mean,
            sample.p50,
            sample.p99,
            sample.server_cpu,
            compared(sample) / compared(&samples[LOOPS]),
        );
    }
    println!();
}
