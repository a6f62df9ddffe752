//! The `longshore` binary. Everything is in the library's `cli`.

use std::process::ExitCode;

/// Made for many small allocations on many threads. What it keeps after thousands
/// of models were unloaded stands in `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    longshore::cli::run(std::env::args_os())
}
