//! The I/O loops: one single-threaded runtime per core, each with connections of
//! its own.
//!
//! A request then never wakes another core, which halves what it costs compared
//! with one runtime over all cores (`docs/performance.md`). The price is that
//! connections are spread when they are accepted, in turns, and stay.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, watch};
use tokio_rustls::server::TlsStream;

use super::ServerError;
use super::grpc::{Calls, Connection, Services};
use super::http::HttpService;
use super::listeners::{Listener, Socket};
use super::tls::handshake;
use super::unix_stream::Mended;
use crate::config::GrpcOptions;
use crate::frontends::tfs::management::Peer;
use crate::limits;
use crate::security::Tls;

/// What one loop serves, port by port.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) grpc: Services,
    pub(super) http: HttpService,
    /// The gRPC port's and the Unix socket's TLS.
    pub(super) grpc_tls: Option<Tls>,
    /// The REST port's.
    pub(super) http_tls: Option<Tls>,
}

/// Which port a socket came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Grpc,
    Http,
}

/// Where the sockets of one loop are handed in.
pub(super) type Give = mpsc::Sender<(Kind, Socket)>;

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
    pub(super) fn start(doors: Vec<Doors>, options: &GrpcOptions) -> Result<Self, ServerError> {
        let (drain, draining) = watch::channel(false);
        let (end, ended) = mpsc::channel(doors.len().max(1));
        let (mut sockets, mut threads) = (Vec::new(), Vec::new());
        for (i, doors) in doors.into_iter().enumerate() {
            let (give, take) = mpsc::channel(limits::SOCKETS_WAITING_MAX);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(ServerError::Thread)?;
            let (draining, end, options) = (draining.clone(), end.clone(), options.clone());
            let run = move || {
                let outcome = runtime.block_on(serve(doors, options, take, draining));
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
    pub(super) async fn accept(sockets: Vec<Give>, kind: Kind, listener: Listener) {
        for turn in (0..sockets.len()).cycle() {
            let socket = loop {
                match listener.accept().await {
                    Ok(Some(socket)) => break socket,
                    Ok(None) => {}
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

/// Serves the sockets that come until asked to stop, then lets each connection
/// finish what it has begun.
async fn serve(
    doors: Doors,
    options: GrpcOptions,
    mut sockets: mpsc::Receiver<(Kind, Socket)>,
    mut draining: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let connections = GracefulShutdown::new();
    let drained = draining.clone();
    // Each connection holds a sender: when none is left, all have ended.
    let (open, mut all_closed) = mpsc::channel::<std::convert::Infallible>(1);
    loop {
        let socket = tokio::select! {
            socket = sockets.recv() => socket,
            // An error is the server being gone, which is a reason to stop too.
            _ = draining.wait_for(|&draining| draining) => None,
        };
        let Some((kind, socket)) = socket else { break };
        let limit = options.handshake_timeout.unwrap_or(limits::TLS_HANDSHAKE_TIMEOUT);
        let opening = Opening {
            services: doors.grpc.clone(),
            peer: socket.peer(),
            options: options.clone(),
            drained: drained.clone(),
            _open: open.clone(),
        };
        let drained = drained.clone();
        match (kind, socket) {
            (Kind::Http, Socket::Tcp(socket, _)) => {
                let socket = tokio::net::TcpStream::from_std(socket)?;
                let (http, watcher) = (doors.http.clone(), connections.watcher());
                match doors.http_tls.clone() {
                    None => tokio::spawn(tell_end(watcher.watch(http.connection(socket)))),
                    Some(tls) => tokio::spawn(async move {
                        let limit = limits::TLS_HANDSHAKE_TIMEOUT;
                        if let Some(socket) = handshake(tls, socket, limit, drained).await {
                            tell_end(watcher.watch(http.connection(socket))).await;
                        }
                    }),
                }
            }
            (Kind::Grpc, Socket::Tcp(socket, _)) => {
                let socket = tokio::net::TcpStream::from_std(socket)?;
                match doors.grpc_tls.clone() {
                    None => tokio::spawn(opening.serve(socket)),
                    Some(tls) => tokio::spawn(async move {
                        if let Some(socket) = handshake(tls, socket, limit, drained).await {
                            opening.behind(&socket).serve(socket).await;
                        }
                    }),
                }
            }
            // What comes through a Unix socket is always gRPC.
            (Kind::Http | Kind::Grpc, Socket::Unix(socket)) => {
                let socket = tokio::net::UnixStream::from_std(socket)?;
                match doors.grpc_tls.clone() {
                    None => tokio::spawn(opening.serve(Mended::new(socket))),
                    Some(tls) => tokio::spawn(async move {
                        if let Some(socket) = handshake(tls, socket, limit, drained).await {
                            opening.behind(&socket).serve(Mended::new(socket)).await;
                        }
                    }),
                }
            }
        };
    }
    connections.shutdown().await;
    drop(open);
    let _: Option<std::convert::Infallible> = all_closed.recv().await;
    Ok(())
}

/// All that a gRPC connection needs but the socket.
struct Opening {
    services: Services,
    peer: Peer,
    options: GrpcOptions,
    drained: watch::Receiver<bool>,
    /// Held until the connection has ended.
    _open: mpsc::Sender<std::convert::Infallible>,
}

impl Opening {
    /// The same for whoever came through this handshake.
    fn behind<S>(self, stream: &TlsStream<S>) -> Self {
        // There is one only where it is asked for and verified.
        let has_certificate = stream.get_ref().1.peer_certificates().is_some();
        Self { peer: if has_certificate { Peer::Verified } else { self.peer }, ..self }
    }

    /// Serves the connection to its end.
    async fn serve<S>(self, socket: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (calls, life) = Life::of(&self.options);
        let connection = self.services.connection(socket, self.peer, &self.options, calls);
        tell_end(drive(connection, life, self.drained)).await;
    }
}

/// Runs a connection to its end.
async fn tell_end<E: std::fmt::Display>(connection: impl Future<Output = Result<(), E>>) {
    if let Err(error) = connection.await {
        // A caller that left in the middle, or that speaks another protocol.
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// How old a connection may become, how long it may be without a request, and how
/// long it may then take to end.
#[derive(Debug)]
struct Life {
    age_max: Option<Duration>,
    grace: Option<Duration>,
    idle_max: Option<(Duration, watch::Receiver<usize>)>,
}

impl Life {
    /// The age give or take a tenth, as gRPC does it, so that connections that were
    /// opened together do not all come back together. Where it matters whether
    /// requests are in flight, they are to be counted.
    fn of(options: &GrpcOptions) -> (Option<Calls>, Self) {
        let share =
            f64::from(u16::try_from(RandomState::new().hash_one(()) & 0xffff).unwrap_or(0)) / 65_535.0;
        let age_max = options.connection_age_max.map(|most| most.mul_f64(0.9 + 0.2 * share));
        let counted = options.connection_idle_max.map(|most| (most, watch::channel(0)));
        let (calls, idle_max) = match counted {
            Some((most, (calls, count))) => (Some(Calls::new(calls)), Some((most, count))),
            None => (None, None),
        };
        (calls, Self { age_max, grace: options.connection_age_grace, idle_max })
    }
}

/// Ends when no request has been in flight for so long, or never.
async fn idle(idle_max: Option<(Duration, watch::Receiver<usize>)>) {
    let Some((most, mut calls)) = idle_max else { return std::future::pending().await };
    // An error is the connection being gone, and whoever waits for this with it.
    while calls.wait_for(|&count| count == 0).await.is_ok() {
        if tokio::time::timeout(most, calls.changed()).await.is_err() {
            return;
        }
    }
    std::future::pending().await
}

/// One connection to its end. It is told to go away when the server drains, or
/// when it is old or idle; requests in flight go on.
async fn drive<S>(
    connection: Connection<S>,
    life: Life,
    mut draining: watch::Receiver<bool>,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = pin!(connection);
    let grace = tokio::select! {
        biased;
        outcome = connection.as_mut() => Err(outcome),
        _ = draining.wait_for(|&draining| draining) => Ok(None),
        () = after(life.age_max) => Ok(life.grace),
        () = idle(life.idle_max) => Ok(None),
    };
    match grace {
        Err(outcome) => outcome,
        Ok(grace) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                outcome = connection => outcome,
                () = after(grace) => Ok(()),
            }
        }
    }
}

/// Ends after `pause`, or never.
async fn after(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// A bound port that does not listen yet, so that a conflict is known at once
/// and a probe still finds the port closed. Where there is no IPv6, all addresses
/// are those of IPv4.
pub(super) fn bind(address: SocketAddr, options: &GrpcOptions) -> Result<TcpSocket, ServerError> {
    let bound = |address: SocketAddr| {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(options.reuse_address.unwrap_or(true))?;
        #[cfg(unix)]
        socket.set_reuseport(options.reuse_port.unwrap_or(false))?;
        socket.bind(address)?;
        Ok(socket)
    };
    let all_of_ipv6 = address.is_ipv6() && address.ip().is_unspecified();
    bound(address)
        .or_else(|why: std::io::Error| match why.kind() {
            std::io::ErrorKind::AddrInUse | std::io::ErrorKind::PermissionDenied => Err(why),
            _ if all_of_ipv6 => bound(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port())),
            _ => Err(why),
        })
        .map_err(|source| ServerError::Listen { address, source })
}
