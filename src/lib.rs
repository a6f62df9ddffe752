//! Longshore, a model inference server.

// Declared in reading order, lowest floor first.
pub mod error;
pub mod ids;
pub mod limits;
pub mod proto;

pub mod tensor;

pub mod formats;
pub mod storage;

pub mod engines;
pub mod servable;

pub mod execution;
pub mod lifecycle;
pub mod frontends;
pub mod repository;
