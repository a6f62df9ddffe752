//! One I/O loop's hand: counts the requests of its doors.

use std::sync::Arc;
use std::time::Instant;

use super::Metrics;
use super::kinds::{Kind, Protocol, Rpc};
use super::models::Run;
use crate::error::Code;

/// Counts the requests that one I/O loop answers, in places that no other loop
/// writes. To be used by the doors of that loop alone: used by two threads at once
/// it would lose counts.
#[derive(Debug)]
pub struct Recorder {
    pub(super) metrics: Arc<Metrics>,
    pub(super) place: usize,
}

impl Recorder {
    /// Where it counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// A request has come.
    #[must_use]
    pub fn asked(&self, rpc: Rpc, protocol: Protocol) -> Asked<'_> {
        let kind = Kind { rpc, protocol };
        Asked { recorder: self, kind, started: Instant::now(), model: String::new(), is_told: false }
    }
}

/// A request under way. Dropped before it was answered it counts as CANCELLED: then
/// its caller has left.
#[derive(Debug)]
pub struct Asked<'a> {
    recorder: &'a Recorder,
    kind: Kind,
    started: Instant,
    model: String,
    is_told: bool,
}

impl Asked<'_> {
    /// Which model it names.
    pub fn of_model(&mut self, name: &str) {
        name.clone_into(&mut self.model);
    }

    /// The name that it was told, for an answer that repeats it.
    #[must_use]
    pub fn take_model(&mut self) -> String {
        std::mem::take(&mut self.model)
    }

    /// What it asks, where that is known only now.
    pub fn means(&mut self, rpc: Rpc) {
        self.kind.rpc = rpc;
    }

    /// It is nothing that is counted.
    pub fn is_not_counted(&mut self) {
        self.is_told = true;
    }

    /// The answer is made, by this run.
    pub fn answered_by(&mut self, run: &Run<'_>) {
        if !std::mem::replace(&mut self.is_told, true) {
            run.version.answered(self.recorder.place, self.kind, self.started, Instant::now(), run);
        }
    }

    /// The answer is made, without a model. Does nothing when it was counted already.
    pub fn answered(&mut self) {
        if !std::mem::replace(&mut self.is_told, true) {
            let model = self.recorder.metrics.named(&self.model);
            model.answered(self.recorder.place, self.kind, self.started.elapsed(), None);
        }
    }

    /// There is no answer.
    pub fn refused(&mut self, code: Code) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.recorder.metrics.named(&self.model).refused(self.kind, code);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.refused(Code::Cancelled);
    }
}
