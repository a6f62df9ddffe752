//! The I/O loops: one single-threaded runtime per core, each with connections of
//! its own.
//!
//! A request then never wakes another core, which halves what it costs compared
//! with one runtime over all cores (`docs/performance.md`). The price is that
//! connections are spread when they are accepted, in turns, and stay.

use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::ServerError;
use super::grpc::Services;
use super::http::HttpService;
use crate::limits;

/// What one loop serves, port by port.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) grpc: Services,
    pub(super) http: HttpService,
}

/// Which port a socket came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Grpc,
    Http,
}

/// Where the sockets of one loop are handed in.
pub(super) type Give = mpsc::Sender<(Kind, StdTcpStream)>;

/// The running loops.
#[derive(Debug)]
pub(super) struct IoLoops {
    sockets: Vec<Give>,
    threads: Vec<JoinHandle<()>>,
    drain: watch::Sender<bool>,
    /// One message per loop that has ended, and why when it was not asked to.
    ended: mpsc::Receiver<std::io::Result<()>>,
}

impl IoLoops {
    /// Starts one loop for each of these sets of doors.
    pub(super) fn start(doors: Vec<Doors>) -> Result<Self, ServerError> {
        let (drain, draining) = watch::channel(false);
        let (end, ended) = mpsc::channel(doors.len().max(1));
        let (mut sockets, mut threads) = (Vec::new(), Vec::new());
        for (i, doors) in doors.into_iter().enumerate() {
            let (give, take) = mpsc::channel(limits::SOCKETS_WAITING_MAX);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(ServerError::Thread)?;
            let (draining, end) = (draining.clone(), end.clone());
            let run = move || {
                let outcome = runtime.block_on(serve(doors, take, draining));
                // With it go the connections, and with them their handles.
                drop(runtime);
                // Nobody listens any more when the server has stopped waiting.
                let _ = end.blocking_send(outcome);
            };
            let thread = std::thread::Builder::new().name(format!("io-{i}")).spawn(run);
            threads.push(thread.map_err(ServerError::Thread)?);
            sockets.push(give);
        }
        Ok(Self { sockets, threads, drain, ended })
    }

    /// Accepts connections of one port and hands them out in turns, for ever.
    pub(super) async fn accept(sockets: Vec<Give>, kind: Kind, listener: TcpListener) {
        for turn in (0..sockets.len()).cycle() {
            let socket = loop {
                match listener.accept().await {
                    Ok((socket, _)) => match prepare(socket) {
                        Ok(socket) => break socket,
                        Err(error) => tracing::debug!(%error, "a connection was lost as it came"),
                    },
                    Err(error) => {
                        // Out of file descriptors, most likely: some will be closed.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            };
            if sockets[turn].send((kind, socket)).await.is_err() {
                return; // The loop has ended: the server is stopping.
            }
        }
    }

    /// Where [`accept`](Self::accept) hands its sockets.
    pub(super) fn sockets(&self) -> Vec<Give> {
        self.sockets.clone()
    }

    /// Waits until a loop ends that was not asked to, and says why.
    pub(super) async fn failure(&mut self) -> ServerError {
        match self.ended.recv().await {
            Some(Err(why)) => ServerError::Loop(why.to_string()),
            Some(Ok(())) | None => ServerError::Loop("nobody asked it to".to_owned()),
        }
    }

    /// Sends GOAWAY (HTTP/1.1: `Connection: close`) on every connection; requests in
    /// flight go on.
    pub(super) fn go_away(&mut self) {
        self.sockets.clear();
        self.drain.send_replace(true);
    }

    /// Waits until every loop has finished its requests.
    pub(super) async fn finished(&mut self) {
        while !self.threads.is_empty() {
            // The loops that have ended are counted here and joined at once.
            if self.ended.recv().await.is_none() {
                break;
            }
            self.threads.pop();
        }
    }
}

/// From the acceptor's runtime to none, on the way to the loop's.
fn prepare(socket: TcpStream) -> std::io::Result<StdTcpStream> {
    socket.set_nodelay(true)?;
    socket.into_std()
}

/// Serves the sockets that come until asked to stop, then lets each connection
/// finish what it has begun.
async fn serve(
    doors: Doors,
    mut sockets: mpsc::Receiver<(Kind, StdTcpStream)>,
    mut draining: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let connections = GracefulShutdown::new();
    loop {
        let socket = tokio::select! {
            socket = sockets.recv() => socket,
            // An error is the server being gone, which is a reason to stop too.
            _ = draining.wait_for(|&draining| draining) => None,
        };
        let Some((kind, socket)) = socket else { break };
        let socket = TcpStream::from_std(socket)?;
        match kind {
            Kind::Grpc => drive(connections.watch(doors.grpc.connection(socket))),
            Kind::Http => drive(connections.watch(doors.http.connection(socket))),
        }
    }
    connections.shutdown().await;
    Ok(())
}

/// Lets a connection run beside the others.
fn drive<E: std::fmt::Display>(connection: impl Future<Output = Result<(), E>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // A caller that left in the middle, or that speaks another protocol.
            tracing::debug!(%error, "a connection ended badly");
        }
    });
}

/// A bound port that does not listen yet, so that a conflict is known at once
/// and a probe still finds the port closed.
pub(super) fn bind(address: SocketAddr) -> Result<tokio::net::TcpSocket, ServerError> {
    let refused = |source| ServerError::Listen { address, source };
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4().map_err(refused)?
    } else {
        tokio::net::TcpSocket::new_v6().map_err(refused)?
    };
    socket.set_reuseaddr(true).map_err(refused)?;
    socket.bind(address).map_err(refused)?;
    Ok(socket)
}
