//! TLS of one port: from PEM texts to what handshakes need, replaced while it is used.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, InconsistentKeys, RootCertStore, ServerConfig};

/// What `tensorflow.serving.SSLConfig` says. All are PEM texts, not names of files.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsText {
    /// The private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub server_key: String,
    /// The server's certificate, and those that lead from it to its authority.
    pub server_cert: String,
    /// The authorities that clients' certificates must come from.
    pub custom_ca: String,
    /// Whether clients must show a certificate.
    pub client_verify: bool,
}

impl fmt::Debug for TlsText {
    /// Without the texts: one of them is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsText").field("client_verify", &self.client_verify).finish_non_exhaustive()
    }
}

/// Why no server can be made of a [`TlsText`], naming the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// It has none of what it is for.
    #[error("{field}: expected {expected} in PEM, {found}")]
    Missing {
        /// Of the message.
        field: &'static str,
        /// Such as "a certificate".
        expected: &'static str,
        /// What there is instead.
        found: &'static str,
    },
    /// It is no PEM.
    #[error("{field}: {why}")]
    NotPem {
        /// Of the message.
        field: &'static str,
        /// Where it breaks off.
        why: &'static str,
    },
    /// It is one that cannot be used.
    #[error("{field}: {why}")]
    Unusable {
        /// Of the message.
        field: &'static str,
        /// Why not.
        why: String,
    },
    /// Key and certificate are not a pair.
    #[error("server_key is not the key of server_cert's first certificate")]
    KeyMismatch,
    /// Nobody could come in.
    #[error("client_verify: custom_ca is empty, and no client could be verified")]
    NoAuthority,
}

/// What is spoken behind TLS; clients choose from it by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/2 alone.
    Grpc,
    /// HTTP/2 and HTTP/1.1.
    Http,
}

/// One port's TLS 1.2 and 1.3. Clones are the same port.
#[derive(Debug, Clone)]
pub struct Tls {
    protocols: Protocols,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// The port with these keys.
    ///
    /// # Errors
    /// [`TlsError`], naming the field.
    pub fn new(text: &TlsText, protocols: Protocols) -> Result<Self, TlsError> {
        let config = server_config(text, protocols)?;
        Ok(Self { protocols, current: Arc::new(RwLock::new(Arc::new(config))) })
    }

    /// Takes other keys, for handshakes that begin from now on.
    ///
    /// # Errors
    /// As [`new`](Self::new), and the old ones stay.
    pub fn replace(&self, text: &TlsText) -> Result<(), TlsError> {
        let config = Arc::new(server_config(text, self.protocols)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// What the next handshake needs.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn server_config(text: &TlsText, protocols: Protocols) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let unusable = |field| move |why: rustls::Error| TlsError::Unusable { field, why: why.to_string() };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable("server_key"))?;
    // Also where nobody is verified: a text that is wrong should not wait to be used.
    let authorities = authorities(&text.custom_ca)?;
    let builder = if text.client_verify {
        if authorities.is_empty() {
            return Err(TlsError::NoAuthority);
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider));
        let verifier = verifier
            .build()
            .map_err(|why| TlsError::Unusable { field: "custom_ca", why: why.to_string() })?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = private_key(&text.server_key)?;
    let key = provider.key_provider.load_private_key(key).map_err(unusable("server_key"))?;
    let pair = CertifiedKey::new(certificates("server_cert", &text.server_cert)?, key);
    match pair.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(TlsError::KeyMismatch);
        }
        Err(why @ rustls::Error::InvalidCertificate(CertificateError::BadEncoding)) => {
            return Err(unusable("server_cert")(why));
        }
        // Such as X.509 version 1, which cannot be looked into here, and which
        // clients of the reference take.
        Ok(()) | Err(_) => {}
    }
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = match protocols {
        Protocols::Grpc => vec![b"h2".to_vec()],
        Protocols::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn authorities(text: &str) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    if text.trim().is_empty() {
        return Ok(store);
    }
    for (i, certificate) in certificates("custom_ca", text)?.into_iter().enumerate() {
        store.add(certificate).map_err(|why| TlsError::Unusable {
            field: "custom_ca",
            why: format!("certificate {i} cannot be used as an authority: {why}"),
        })?;
    }
    Ok(store)
}

fn certificates(field: &'static str, text: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|why| not_pem(field, &why))?;
    if found.is_empty() {
        return Err(missing(field, "a certificate (-----BEGIN CERTIFICATE-----)", text));
    }
    Ok(found)
}

fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    const FIELD: &str = "server_key";
    let expected = "a private key that is not encrypted (-----BEGIN PRIVATE KEY-----)";
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|why| match why {
        pem::Error::NoItemsFound => missing(FIELD, expected, text),
        why => not_pem(FIELD, &why),
    })
}

fn missing(field: &'static str, expected: &'static str, text: &str) -> TlsError {
    let found = if text.trim().is_empty() {
        "it is empty"
    } else if text.contains("ENCRYPTED") {
        "found an encrypted one"
    } else if text.contains("-----BEGIN") {
        "found something else"
    } else if text.trim_start().starts_with('/') {
        "found a path; it takes the file's content, not its name"
    } else {
        "found none"
    };
    TlsError::Missing { field, expected, found }
}

/// In words of our own: the library's show the text.
fn not_pem(field: &'static str, why: &pem::Error) -> TlsError {
    let why = match why {
        pem::Error::MissingSectionEnd { .. } => "a section has no -----END line",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is broken",
        pem::Error::Base64Decode(_) => "the text between -----BEGIN and -----END is not base64",
        _ => "it is not PEM",
    };
    TlsError::NotPem { field, why }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn good() -> TlsText {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        TlsText {
            server_key: key.serialize_pem(),
            server_cert: certificate.pem(),
            custom_ca: certificate.pem(),
            client_verify: true,
        }
    }

    #[track_caller]
    fn refused(text: &TlsText, says: &str) {
        assert_eq!(Tls::new(text, Protocols::Grpc).unwrap_err().to_string(), says);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_field() {
        let good = good();
        for protocols in [Protocols::Grpc, Protocols::Http] {
            Tls::new(&good, protocols).unwrap();
        }
        let with = |change: &dyn Fn(&mut TlsText)| {
            let mut text = good.clone();
            change(&mut text);
            text
        };
        refused(
            &with(&|t| t.server_key = self::good().server_key),
            "server_key is not the key of server_cert's first certificate",
        );
        refused(
            &with(&|t| t.server_key.clear()),
            "server_key: expected a private key that is not encrypted (-----BEGIN PRIVATE KEY-----) in PEM, it is empty",
        );
        refused(
            &with(&|t| t.server_key = "/etc/tls/key.pem".to_owned()),
            "server_key: expected a private key that is not encrypted (-----BEGIN PRIVATE KEY-----) in PEM, \
             found a path; it takes the file's content, not its name",
        );
        refused(
            &with(&|t| t.server_key = t.server_key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
            "server_key: expected a private key that is not encrypted (-----BEGIN PRIVATE KEY-----) in PEM, \
             found an encrypted one",
        );
        refused(
            &with(&|t| t.server_cert = t.server_key.clone()),
            "server_cert: expected a certificate (-----BEGIN CERTIFICATE-----) in PEM, found something else",
        );
        refused(&with(&|t| t.server_cert.truncate(100)), "server_cert: a section has no -----END line");
        refused(
            &with(&|t| t.server_key = t.server_key.replacen('M', "*", 1)),
            "server_key: the text between -----BEGIN and -----END is not base64",
        );
        let junk = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        refused(
            &with(&|t| t.server_cert = junk.to_owned()),
            "server_cert: invalid peer certificate: BadEncoding",
        );
        let broken = Tls::new(&with(&|t| t.custom_ca.push_str(junk)), Protocols::Grpc).unwrap_err();
        assert!(broken.to_string().starts_with("custom_ca: certificate 1 cannot be used"), "{broken}");
        refused(
            &with(&|t| t.custom_ca.clear()),
            "client_verify: custom_ca is empty, and no client could be verified",
        );
        assert!(
            Tls::new(&with(&|t| (t.client_verify, t.custom_ca) = (false, String::new())), Protocols::Grpc)
                .is_ok()
        );
    }

    #[test]
    fn what_is_broken_replaces_nothing() {
        let tls = Tls::new(&good(), Protocols::Http).unwrap();
        let before = tls.current();
        tls.replace(&TlsText::default()).unwrap_err();
        assert!(Arc::ptr_eq(&before, &tls.current()));
        tls.clone().replace(&good()).unwrap();
        assert!(!Arc::ptr_eq(&before, &tls.current()));
        assert_eq!(tls.current().alpn_protocols, [&b"h2"[..], b"http/1.1"]);
    }

    #[test]
    fn nothing_shows_the_key() {
        assert_eq!(format!("{:?}", good()), "TlsText { client_verify: true, .. }");
    }
}
