//! Running one servable well: inline when it is cheap, on the compute pool when
//! it is not, together with others where that was asked for, bounded, and never
//! past its deadline.
//!
//! Below this room nothing is async; above it nothing blocks.

mod batch;
mod cost;
mod lane;
mod pool;
mod timer;

pub use batch::{BatchFailure, BatchOptions, BatchOptionsError, BatchParameters};
pub use cost::CostModel;
pub use lane::{Lane, LaneOptions, Ran, RunFailure, RunTimes};
pub use pool::ComputePool;
