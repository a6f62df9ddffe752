//! Who may change what is served, and what a door asks of whoever can.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Code, ServingError};
use crate::proto::tensorflow::serving as pb;

/// The other end of a connection. Whoever accepts a connection puts it into the
/// extensions of each of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection from here.
    Tcp(SocketAddr),
    /// A Unix socket: someone on this machine whom the file's permissions let in.
    Unix,
    /// Someone with a certificate that was verified, wherever they are.
    Verified,
}

impl Peer {
    /// Whether it is known who it is: someone on this machine (a loopback address,
    /// also when IPv4 is seen through an IPv6 socket, or a Unix socket), or with a
    /// certificate.
    #[must_use]
    pub fn is_known(self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix | Self::Verified => true,
        }
    }
}

/// What a [`Manage`] call becomes.
pub type Reloaded<'a> = Pin<Box<dyn Future<Output = Result<(), ServingError>> + Send + 'a>>;

/// Whoever runs the server, as the doors know it.
pub trait Manage: Send + Sync + fmt::Debug {
    /// Serves the models of this config and no others. Ends when each new model
    /// is available or has failed its first try, or when time is up.
    fn reload(&self, config: pb::ModelServerConfig) -> Reloaded<'_>;
}

/// The way to whoever runs the server, and who may take it.
#[derive(Debug, Clone)]
pub struct Management {
    manager: Arc<dyn Manage>,
    allow_remote: bool,
}

impl Management {
    /// Calls from [known](Peer::is_known) peers, or with `allow_remote` from any, go
    /// to `manager`.
    #[must_use]
    pub fn new(manager: Arc<dyn Manage>, allow_remote: bool) -> Self {
        Self { manager, allow_remote }
    }

    /// Whoever manages, when `peer` may ask for it. A connection of which nothing
    /// is known may not.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn open_to(&self, peer: Option<Peer>) -> Result<&dyn Manage, ServingError> {
        if self.allow_remote || peer.is_some_and(Peer::is_known) {
            return Ok(&*self.manager);
        }
        let text = "models are managed from this machine only: call through its loopback address or Unix \
                    socket, or start the server with --allow_remote_management, or with TLS that verifies \
                    clients (client_verify in --ssl_config_file)";
        Err(ServingError::new(Code::PermissionDenied, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Anybody;

    impl Manage for Anybody {
        fn reload(&self, _: pb::ModelServerConfig) -> Reloaded<'_> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[test]
    fn only_this_machine_and_clients_with_a_certificate_manage_unless_all_may() {
        let local = Management::new(Arc::new(Anybody), false);
        let tcp = |address: &str| Some(Peer::Tcp(address.parse().unwrap()));
        for peer in [
            tcp("127.0.0.1:5"),
            tcp("127.9.9.9:5"),
            tcp("[::1]:5"),
            tcp("[::ffff:127.0.0.1]:5"),
            Some(Peer::Unix),
            Some(Peer::Verified),
        ] {
            assert!(local.open_to(peer).is_ok(), "{peer:?}");
        }
        for peer in
            [tcp("10.0.0.1:5"), tcp("0.0.0.0:5"), tcp("[2001:db8::1]:5"), tcp("[::ffff:10.0.0.1]:5"), None]
        {
            assert_eq!(local.open_to(peer).unwrap_err().code(), Code::PermissionDenied, "{peer:?}");
            assert!(Management::new(Arc::new(Anybody), true).open_to(peer).is_ok());
        }
    }
}
