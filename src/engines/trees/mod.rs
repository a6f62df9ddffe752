//! Decision trees of every library: one table of nodes, one way to walk it.
//!
//! A [`Forest`] is checked when it is made: children exist, no node is reached
//! twice, features are in range, thresholds are numbers. Walking it can then
//! neither fail nor loop. What leaves mean, and in which order their values are
//! added up, is the caller's: [`Forest::walk`] hands out leaf numbers, for each row
//! in the order of the trees.

mod contributions;
mod covers;
mod error;
mod forest;
mod node;
mod table;

pub use error::TreeError;
pub use forest::Forest;
pub use node::{CategorySet, Members, MembersId, Node, NumbersId, Real, Test};
