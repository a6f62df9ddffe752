//! New versions under a steady load, against the same load without.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::server::Server;
use crate::common::verdict;
use crate::folders::Folders;
use crate::load::{Load, Shape, Tally};
use crate::{Outcome, median, millis};

const MODEL: &str = "prices";
/// Steady and swapping phases take turns, so that what the machine does besides
/// hits both alike.
const ROUNDS: i64 = 25;
const SWAPS_PER_ROUND: i64 = 2;
/// From one version's first answer to the next version's coming.
const PAUSE: Duration = Duration::from_millis(150);
const STEADY: Duration = Duration::from_millis(300);
/// After the first answer of a new version: the old one is unloaded and freed.
const AFTERMATH: Duration = Duration::from_millis(20);
/// For one version to be served.
const PATIENCE: Duration = Duration::from_secs(20);

/// As much as this client can drive.
const PEAK: Shape = Shape { connections: 8, callers: 32, every: Duration::ZERO };
/// The part of it that the steady load is: far from where queues grow.
const STEADY_PART: f64 = 0.3;
const CONNECTIONS: usize = 8;
const CALLERS: usize = 8;

/// The worst request while versions change, ms.
const WORST_MS: f64 = 20.0;
/// 99th percentile of latency against the steady one.
const P99_RATIO: f64 = 1.2;

pub(crate) fn measure() -> Outcome<()> {
    let folders = Folders::new()?;
    folders.write(MODEL, 1)?;
    let last = 1 + ROUNDS * SWAPS_PER_ROUND;
    for version in 2..=last {
        folders.make_ready(MODEL, version)?;
    }
    folders.settle();
    let server = Server::longshore(&folders.repository(), None, &folders.log(), &[])?;

    let peak = {
        let load = Load::start(&server, MODEL, PEAK)?;
        // The first second warms caches and connections up.
        thread::sleep(Duration::from_secs(1));
        load.take();
        let began = Instant::now();
        thread::sleep(Duration::from_secs(2));
        load.take().requests() as f64 / began.elapsed().as_secs_f64()
    };
    let every = Duration::from_secs_f64((CONNECTIONS * CALLERS) as f64 / (peak * STEADY_PART));
    let load = Load::start(&server, MODEL, Shape { connections: CONNECTIONS, callers: CALLERS, every })?;
    thread::sleep(Duration::from_secs(1));
    load.take();

    let (mut steady, mut swapping) = (Tally::default(), Tally::default());
    let (mut ratios, mut to_served) = (Vec::new(), Vec::new());
    let mut moments = Vec::new();
    let mut versions = 2..=last;
    println!(
        "\n{} swaps under load, {} connections × {CALLERS} callers, a request of each every {:.1} ms ({:.0}/s; this client's peak is {peak:.0}/s); latencies in ms",
        last - 1,
        CONNECTIONS,
        millis(every),
        peak * STEADY_PART
    );
    println!("{:<12}{:>12}{:>10}{:>10}{:>10}", "", "requests", "p50", "p99", "worst");
    for _ in 0..ROUNDS {
        thread::sleep(STEADY);
        let calm = load.take();
        for version in versions.by_ref().take(SWAPS_PER_ROUND as usize) {
            let (began, from) = (Instant::now(), tokio::time::Instant::now());
            folders.drop_in(MODEL, version)?;
            while load.newest() < version {
                if began.elapsed() > PATIENCE {
                    return Err(format!("version {version} was not served within {PATIENCE:?}").into());
                }
                thread::sleep(Duration::from_millis(1));
            }
            to_served.push(millis(began.elapsed()));
            moments.push((from, tokio::time::Instant::now() + AFTERMATH));
            thread::sleep(PAUSE);
        }
        let busy = load.take();
        ratios.push(busy.percentile(0.99) / calm.percentile(0.99));
        steady.add(calm);
        swapping.add(busy);
    }
    drop(load);
    print_row("steady", &steady);
    print_row("swapping", &swapping);
    print_row("  in a swap", &swapping.during(&moments));
    println!("renamed into place to first answer: {:.1} ms (median)", median(to_served));
    for failure in steady.failures.iter().chain(&swapping.failures).take(3) {
        println!("failed: {failure}");
    }
    let failed = steady.failures.len() + swapping.failures.len();
    verdict::tell("failed requests", failed as f64, "<=", 0.0, "");
    verdict::tell("worst request while swapping", swapping.worst(), "<=", WORST_MS, " ms");
    verdict::tell("p99 against steady, median of rounds", median(ratios), "<=", P99_RATIO, "");
    Ok(())
}

fn print_row(name: &str, tally: &Tally) {
    println!(
        "{name:<12}{:>12}{:>10.2}{:>10.2}{:>10.2}",
        tally.requests(),
        tally.percentile(0.5),
        tally.percentile(0.99),
        tally.worst(),
    );
}
