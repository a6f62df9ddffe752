//! Running one servable well: inline when it is cheap, on the compute pool when
//! it is not, bounded, and never past its deadline.
//!
//! Below this room nothing is async; above it nothing blocks.

mod cost;
mod lane;
mod pool;

pub use cost::CostModel;
pub use lane::{Lane, LaneOptions, RunFailure};
pub use pool::ComputePool;
