//! What *should* be served: which versions of which models lie finished in a
//! folder, and which of them the version policy wants.
//!
//! A [`Source`] looks at the whole and states the whole *aspired* list, every
//! time: a lost, doubled or early event costs one look and never an error. It
//! reads no clock; what time it is comes in as a [`Now`]. The one thing here that
//! has a thread and a clock is the driver in [`watch`].
//!
//! * [`policy`] which versions: pure.
//! * [`settle`] whether a version is finished: pure; `tree` looks at its files.
//! * [`model_toml`] the settings beside the versions.
//! * `model` one model, over many looks; [`source`] a model, a repository; [`list`] many of
//!   the one, replaced while they are served.
//! * [`watch`] when to look.
//!
//! Trouble with one model stays its own, and trouble in looking never unloads
//! anything: what was stated before is stated again.

pub mod list;
mod model;
pub mod model_toml;
pub mod policy;
pub mod settle;
pub mod source;
mod tree;
pub mod watch;

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;

pub use list::ListSource;
pub use model_toml::{BatchingSettings, ModelSettings};
pub use policy::VersionPolicy;
pub use source::{
    AspiredModel, AspiredVersion, ModelPlace, ModelPlaces, ModelSource, Models, RepositorySource, Rescan,
    Source, SourceError, Trouble,
};
pub use watch::{Poll, WatchHandle, WatchOptions};

use std::time::{Instant, SystemTime};

/// What time it is, on two clocks: one that only moves forward, and the one that
/// stamps files, which people and time servers may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For measuring how long something has not changed.
    pub instant: Instant,
    /// For comparing with the times of files.
    pub wall: SystemTime,
}

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        Self { instant: Instant::now(), wall: SystemTime::now() }
    }
}
