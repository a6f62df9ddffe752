//! Longshore, a model inference server.

// Declared in reading order, lowest floor first.
pub mod limits;

pub mod error;
pub mod ids;
pub mod proto;

pub mod tensor;

pub mod formats;
pub mod storage;

pub mod servable;

pub mod engines;

pub mod execution;
pub mod lifecycle;
pub mod repository;

pub mod frontends;
