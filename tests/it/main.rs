//! Tests of the whole, in one binary: real files, and real sockets on loopback.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no public face")]

mod batches;
mod batching;
mod boosted_goldens;
mod boosted_refusals;
mod config;
mod deadlines;
mod drain;
mod fuzz_corpus;
mod inference;
mod made;
mod metrics;
mod pickle_goldens;
mod pickle_hostile;
mod protocol;
mod record_warmup;
mod reload;
mod request_log;
mod rest;
mod rollouts;
mod samples;
mod saved_models;
mod server;
mod sklearn_callables;
mod sklearn_documentation;
mod sklearn_families;
mod sklearn_goldens;
mod sklearn_refusals;
mod skops_hostile;
mod tensors;
mod tfs_cases;
mod tfs_rows;
mod tls;
mod unix_socket;
mod warm_up;
mod wire;
