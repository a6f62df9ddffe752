//! The thread that writes.

use std::time::{Duration, Instant};

use super::files::Files;
use super::queue::Queue;

/// Complaints of one kind are logged at most this often.
const COMPLAINING_PAUSE: Duration = Duration::from_secs(30);

/// Writes until the queue is closed and empty.
pub(super) fn run(queue: &Queue, mut files: Files) {
    let (mut dropped, mut failing) = (Complaint::default(), Complaint::default());
    loop {
        let taken = queue.take(files.next_due());
        let is_last = taken.closed;
        let mut error = None;
        for queued in taken.records {
            error = files.append(queued).err().or(error);
        }
        error = files.flush().err().or(error);
        files.close_old(Instant::now());

        dropped.count += queue.dropped();
        if dropped.is_due(is_last) {
            tracing::warn!(
                records = dropped.take(),
                "request log: records were dropped, since they came faster than they could be written"
            );
        }
        if let Some(error) = error {
            failing.count += 1;
            if failing.is_due(is_last) {
                failing.take();
                tracing::error!("request log: {error}; records are lost");
            }
        }
        if is_last {
            return;
        }
    }
}

/// What is to be said, and when it was said last.
#[derive(Default)]
struct Complaint {
    count: u64,
    said: Option<Instant>,
}

impl Complaint {
    fn is_due(&self, now_or_never: bool) -> bool {
        self.count > 0 && (now_or_never || self.said.is_none_or(|said| said.elapsed() > COMPLAINING_PAUSE))
    }

    fn take(&mut self) -> u64 {
        self.said = Some(Instant::now());
        std::mem::take(&mut self.count)
    }
}
