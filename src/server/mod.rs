//! The server: the rooms joined, the ports, and the end.

mod assembly;
mod grpc;
mod http;
mod io_loops;
mod listeners;
mod loader;
mod record_warm_up;
mod reload;
mod request_log;
mod run;
mod signals;
mod tls;
mod unix_stream;
mod warm_up;

pub use assembly::App;
pub use record_warm_up::{RecordError, WarmUpFile, WarmUpSources, record_warm_up};
pub use signals::stop_signals;

use std::net::SocketAddr;

/// Why the server could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The folder to serve is not there.
    #[error(
        "the model repository {path} cannot be read: {source}; expected a folder with a folder for each \
         model (--model_repository=DIR)"
    )]
    Repository {
        /// As it was given.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The Unix socket cannot be had.
    #[error("cannot listen on unix:{path}: {source}")]
    ListenUnix {
        /// Where.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The keys of a port cannot be used.
    #[error("{path}: {source}")]
    Tls {
        /// Where they are.
        path: String,
        /// Why not.
        source: crate::security::TlsError,
    },
    /// The system gives no thread or runtime.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The reflection service cannot be built: the descriptors are broken.
    #[error("cannot describe the services for reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// An I/O loop ended by itself.
    #[error("an I/O loop ended: {0}")]
    Loop(String),
}
