//! TLS at work: handshakes, and keys that follow their files.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use rustls::CertificateError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ServerError;
use crate::config::{TlsFile, read_ssl_config};
use crate::limits;
use crate::security::{Protocols, Tls, TlsText};

/// The connection behind a socket; `None` when there is none within `limit`, or the
/// server drains. Runs on the loop whose connection it will be.
pub(super) async fn handshake<S>(
    tls: Tls,
    socket: S,
    limit: Duration,
    mut draining: watch::Receiver<bool>,
) -> Option<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = tokio::time::timeout(limit, TlsAcceptor::from(tls.current()).accept(socket));
    let outcome = tokio::select! {
        outcome = handshake => outcome,
        _ = draining.wait_for(|&draining| draining) => return None,
    };
    match outcome {
        Ok(Ok(socket)) => Some(socket),
        // A caller without a certificate, with a stranger's, or that speaks no TLS.
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            if has_version_1(&error) {
                static ONCE: Once = Once::new();
                ONCE.call_once(|| tracing::warn!("{VERSION_1}"));
            }
            None
        }
        Err(_) => {
            tracing::debug!(limit_s = limit.as_secs_f64(), "a TLS handshake took too long");
            None
        }
    }
}

/// Clients of the reference may well have such certificates, and would not know.
const VERSION_1: &str = "a client's certificate is of X.509 version 1, which is refused: sign it with extensions \
                         (openssl x509 -req -extfile FILE), which makes it version 3. This is said once";

/// Whether a handshake failed for a certificate of X.509 version 1.
fn has_version_1(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match error {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            other.0.to_string() == "UnsupportedCertVersion"
        }
        _ => false,
    }
}

/// One port's TLS, and the file that it follows.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) tls: Tls,
    path: PathBuf,
    /// What was found there last, or why nothing was.
    found: Result<TlsText, String>,
}

impl Keys {
    pub(super) fn new(file: &TlsFile, protocols: Protocols) -> Result<Self, ServerError> {
        let tls = Tls::new(&file.text, protocols)
            .map_err(|source| ServerError::Tls { path: file.path.display().to_string(), source })?;
        Ok(Self { tls, path: file.path.clone(), found: Ok(file.text.clone()) })
    }

    /// Takes what the file says, when it says something else than before.
    fn look(&mut self) {
        let found = read_ssl_config(&self.path);
        if found == self.found {
            return;
        }
        let path = self.path.display();
        match &found {
            Ok(text) => match self.tls.replace(text) {
                Ok(()) => tracing::info!(%path, "new TLS keys, for connections from now on"),
                Err(error) => tracing::error!(%path, %error, "unusable TLS keys: the old ones stay"),
            },
            Err(error) => tracing::error!(%path, %error, "no TLS keys can be read: the old ones stay"),
        }
        self.found = found;
    }
}

/// Looks at the files again and again, for ever.
pub(super) async fn keep_looking(mut all: Vec<Keys>) -> Infallible {
    loop {
        if all.is_empty() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(limits::SSL_CONFIG_LOOK_PAUSE).await;
        // The file system may take its time, which others would wait for.
        let look = move || {
            all.iter_mut().for_each(Keys::look);
            all
        };
        all = tokio::task::spawn_blocking(look).await.unwrap_or_default();
    }
}
