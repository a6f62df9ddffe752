//! The metrics of the process, under the names that all Prometheus clients use.
//! Source: Prometheus, "Writing client libraries", process metrics; proc(5).

use procfs::WithCurrentSystemInfo as _;
use procfs::process::{LimitValue, Process};

use super::page::{Kind as Is, Page};

/// What cannot be read is left out.
pub(super) fn write(page: &mut Page) {
    let Ok(process) = Process::myself() else { return };
    let ticks = procfs::ticks_per_second() as f64;
    let mut tell = |name: &str, kind, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            page.family(name, kind, help);
            page.sample(&[], value);
        }
    };
    if let Ok(stat) = process.stat() {
        let cpu = (stat.utime + stat.stime) as f64 / ticks;
        tell("process_cpu_seconds_total", Is::Counter, "Time on a processor, user and system.", Some(cpu));
        let resident = stat.rss_bytes().get() as f64;
        tell("process_resident_memory_bytes", Is::Gauge, "Memory that is resident.", Some(resident));
        tell("process_virtual_memory_bytes", Is::Gauge, "Memory that is mapped.", Some(stat.vsize as f64));
        tell("process_threads", Is::Gauge, "Threads of the operating system.", Some(stat.num_threads as f64));
        let start = procfs::boot_time_secs().ok().map(|boot| boot as f64 + stat.starttime as f64 / ticks);
        tell("process_start_time_seconds", Is::Gauge, "When it began, since the Unix epoch.", start);
    }
    let open = process.fd_count().ok().map(|count| count as f64);
    tell("process_open_fds", Is::Gauge, "File descriptors that are open.", open);
    if let Ok(limits) = process.limits() {
        let bound = |limit| match limit {
            LimitValue::Unlimited => None,
            LimitValue::Value(value) => Some(value as f64),
        };
        let most = bound(limits.max_open_files.soft_limit);
        tell("process_max_fds", Is::Gauge, "File descriptors that may be open.", most);
        let most = bound(limits.max_address_space.soft_limit);
        tell("process_virtual_memory_max_bytes", Is::Gauge, "Memory that may be mapped.", most);
    }
}
