//! Longshore, a model inference server: TensorFlow Serving's API and operating
//! model, scikit-learn files served natively, nothing in a model file executed.
//!
//! The library is the binary's inside; `ARCHITECTURE.md` is its map.
//!
//! # The way of one request
//! socket → [`frontends`] (wire → values) → [`dataplane`] (find the version, check
//! the inputs) → [`execution`] (inline, or on a compute thread) → [`engines`]
//! (numbers) → and back.
//!
//! # The way of one new version
//! folder → [`repository`] (look, settle, choose) → [`lifecycle`] (load, publish,
//! retire) → [`engines`] over [`formats`] over [`storage`].
//!
//! # What is deliberately absent
//! * [`engines`] and [`formats`] know no clock, no network, no thread and no file
//!   system: bytes in, numbers out.
//! * [`lifecycle`] does not know what a tensor is.
//! * Generated protobuf types ([`proto`]) are read in [`frontends`] (wire), [`formats`]
//!   and [`config`] (files); on the way of a request none goes below the doors.
//! * Nothing imports, calls or evaluates what a model file names.

// Declared in reading order, lowest floor first; `tests/tidy.rs` holds the floors.
pub mod limits;
pub mod memory;

pub mod error;
pub mod ids;
pub mod proto;

pub mod libraries;
pub mod telemetry;
pub mod tensor;

pub mod formats;
pub mod storage;

pub mod servable;

pub mod engines;

pub mod request_log;

pub mod execution;
pub mod lifecycle;
pub mod repository;

pub mod dataplane;

pub mod frontends;

pub mod security;

pub mod config;

pub mod server;

pub mod cli;
