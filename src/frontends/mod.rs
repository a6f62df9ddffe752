//! The doors: wire to values and back, and nothing else.

pub mod authority;
pub mod health;
pub mod status;
pub mod tfs;
