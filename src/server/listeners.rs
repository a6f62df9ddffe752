//! Where connections come from: a TCP port, a Unix socket.

use std::io;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
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
    /// Device and inode of the file that is ours: somebody may have taken its place.
    ours: Option<(u64, u64)>,
}

impl SocketFile {
    /// Takes the path, and does not listen yet. A socket that a server left
    /// behind is replaced at once; one on which somebody listens goes on until
    /// [`listen`](Self::listen), so that its clients find one of the two. Any other
    /// file is refused.
    pub(super) fn bind(path: &Path) -> Result<Self, ServerError> {
        let mut file = Self { path: path.to_owned(), socket: None, ours: None };
        if StdUnixStream::connect(path).is_err() {
            file.take().map_err(|source| file.refused(source))?;
        }
        Ok(file)
    }

    /// From here on clients can connect.
    pub(super) fn listen(&mut self) -> Result<Listener, ServerError> {
        if self.socket.is_none() {
            tracing::warn!(path = %self.path.display(), "taking over a Unix socket that somebody listens on");
            self.take().map_err(|source| self.refused(source))?;
        }
        let socket = self.socket.take().ok_or_else(|| self.refused(io::ErrorKind::InvalidInput.into()))?;
        socket.listen(limits::LISTEN_BACKLOG).map(Listener::Unix).map_err(|source| self.refused(source))
    }

    fn take(&mut self) -> io::Result<()> {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|file| file.file_type().is_socket()) {
            std::fs::remove_file(&self.path)?;
        }
        let socket = UnixSocket::new_stream()?;
        socket.bind(&self.path)?;
        self.ours = identity(&self.path);
        self.socket = Some(socket);
        Ok(())
    }

    fn refused(&self, source: io::Error) -> ServerError {
        ServerError::ListenUnix { path: self.path.display().to_string(), source }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.ours.is_some() && identity(&self.path) == self.ours {
            // Somebody may have removed it, which is all that is wanted.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
