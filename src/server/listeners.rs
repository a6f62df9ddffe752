//! Where connections come from: a TCP port, a Unix socket.

use std::io;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixSocket};

use super::ServerError;
use crate::frontends::tfs::management::Peer;
use crate::limits;

/// A connection on its way from the acceptor's runtime to an I/O loop's.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(StdTcpStream, SocketAddr),
    Unix(StdUnixStream),
}

impl Socket {
    pub(super) fn peer(&self) -> Peer {
        match self {
            Self::Tcp(_, address) => Peer::Tcp(*address),
            Self::Unix(_) => Peer::Unix,
        }
    }
}

/// What is listened on.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// The next connection; `None` for one that was lost as it came.
    pub(super) async fn accept(&self) -> io::Result<Option<Socket>> {
        let socket = match self {
            Self::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                let prepared = socket.set_nodelay(true).and_then(|()| socket.into_std());
                prepared.map(|socket| Socket::Tcp(socket, peer))
            }
            Self::Unix(listener) => listener.accept().await?.0.into_std().map(Socket::Unix),
        };
        if let Err(error) = &socket {
            tracing::debug!(%error, "a connection was lost as it came");
        }
        Ok(socket.ok())
    }
}

/// A Unix socket of ours in the file system, removed with this.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    socket: Option<UnixSocket>,
}

impl SocketFile {
    /// Takes the path, and does not listen yet. A socket that a server left
    /// behind is replaced; one on which somebody listens is not, nor any other file.
    pub(super) fn bind(path: &Path) -> Result<Self, ServerError> {
        let refused = |source| ServerError::ListenUnix { path: path.display().to_string(), source };
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        if is_socket {
            if StdUnixStream::connect(path).is_ok() {
                return Err(refused(io::ErrorKind::AddrInUse.into()));
            }
            std::fs::remove_file(path).map_err(refused)?;
        }
        let socket = UnixSocket::new_stream().map_err(refused)?;
        socket.bind(path).map_err(refused)?;
        Ok(Self { path: path.to_owned(), socket: Some(socket) })
    }

    /// From here on clients can connect.
    pub(super) fn listen(&mut self) -> Result<Listener, ServerError> {
        let refused = |source| ServerError::ListenUnix { path: self.path.display().to_string(), source };
        let socket = self.socket.take().ok_or_else(|| refused(io::ErrorKind::InvalidInput.into()))?;
        socket.listen(limits::LISTEN_BACKLOG).map(Listener::Unix).map_err(refused)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it, which is all that is wanted.
        let _ = std::fs::remove_file(&self.path);
    }
}
