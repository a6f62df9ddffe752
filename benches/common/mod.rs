//! What the benchmarks of the whole server share.

pub(crate) mod sample;
pub(crate) mod server;
pub(crate) mod verdict;
