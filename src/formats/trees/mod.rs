//! The files of the libraries of boosted trees, as plain structs: what they say, not yet
//! whether the trees are trees.

pub mod lightgbm;
mod ubjson;
pub mod xgboost;

pub use ubjson::UbjsonError;
