//! The doors: wire to values and back, and nothing else.

pub mod authority;
mod counting;
pub mod health;
pub mod metrics;
pub mod status;
pub mod tfs;
