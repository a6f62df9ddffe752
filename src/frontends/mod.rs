//! The doors: wire to values and back, and nothing else.

pub mod tfs;
