//! From starting the process to its first answer.

use std::path::Path;
use std::time::Instant;

use crate::common::sample;
use crate::common::server::Server;
use crate::common::verdict;
use crate::{Outcome, client_runtime, connect, median, millis, resident};

/// Starts; medians are over these.
const STARTS: usize = 21;

/// Process to answer, ms.
const READY_MS: f64 = 100.0;
/// Memory after the answer, MB.
pub(crate) const RESIDENT_MB: f64 = 30.0;

pub(crate) fn measure() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let (mut ready, mut memory) = (Vec::new(), Vec::new());
    for start in 0..=STARTS {
        let began = Instant::now();
        let server = Server::longshore(Path::new(sample::REPOSITORY), None, &folder.path().join("log"), &[])?;
        client_runtime()?.block_on(async {
            let answer = connect(&server).await?.predict(sample::request(sample::MODEL)).await?;
            sample::check(answer.get_ref())?;
            Outcome::Ok(())
        })?;
        let took = millis(began.elapsed());
        // The first start reads the program from the disk.
        if start > 0 {
            ready.push(took);
            memory.push(resident(&server)?);
        }
    }
    let slowest = ready.iter().copied().fold(0.0, f64::max);
    println!("\nstart of the sample repository, median of {STARTS} (slowest {slowest:.1} ms)");
    verdict::tell("process to first answer", median(ready), "<=", READY_MS, " ms");
    verdict::tell("resident then", median(memory), "<=", RESIDENT_MB, " MB");
    Ok(())
}
