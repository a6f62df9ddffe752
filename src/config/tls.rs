//! `--ssl_config_file` and its like: a text-format `tensorflow.serving.SSLConfig`.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{ConfigError, given, invalid, textproto};
use crate::limits;
use crate::proto::tensorflow::serving as pb;
use crate::security::{Protocols, Tls, TlsText};

/// Flags that say who can listen in.
#[derive(Debug, Clone, clap::Args)]
pub struct TlsFlags {
    /// gRPC over TLS: a text-format SSLConfig with the PEM texts of key and
    /// certificate; read again when it changes
    #[arg(long = "ssl_config_file", value_name = "FILE", help_heading = "Security")]
    pub ssl_config_file: Option<OsString>,

    /// REST and metrics over TLS: the same kind of file, or the same file
    #[arg(long = "rest_api_ssl_config_file", value_name = "FILE", help_heading = "Security")]
    pub rest_api_ssl_config_file: Option<OsString>,
}

/// A file with keys, and what it says. It is read again when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it said when it was read.
    pub text: TlsText,
}

/// What the two ports do.
#[derive(Debug, Default)]
pub(super) struct TlsFiles {
    pub(super) grpc: Option<TlsFile>,
    pub(super) rest: Option<TlsFile>,
}

/// Reads a text-format `SSLConfig`. Whether a server can be made of it is another
/// question.
///
/// # Errors
/// In words, with the reference's text for what is no such message.
pub fn read_ssl_config(path: &Path) -> Result<TlsText, String> {
    let unreadable = |why: String| format!("Invalid protobuf file: '{}' ({why})", path.display());
    let max = limits::SSL_CONFIG_BYTES_MAX;
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(|why| unreadable(why.to_string()))?;
    file.take(max + 1).read_to_end(&mut content).map_err(|why| unreadable(why.to_string()))?;
    if content.len() as u64 > max {
        return Err(unreadable(format!("it has more than {max} bytes")));
    }
    let content = String::from_utf8_lossy(&content);
    let read: pb::SslConfig = textproto::parse("tensorflow.serving.SSLConfig", &content)
        .map_err(|error| format!("{error}\nInvalid protobuf file: '{}'", path.display()))?;
    Ok(TlsText {
        server_key: read.server_key,
        server_cert: read.server_cert,
        custom_ca: read.custom_ca,
        client_verify: read.client_verify,
    })
}

/// Reads and checks the files that the flags name.
pub(super) fn resolve(flags: &TlsFlags) -> Result<TlsFiles, ConfigError> {
    let file = |flag, path: &Option<OsString>, protocols| -> Result<_, ConfigError> {
        let Some(path) = given(path.as_ref()) else { return Ok(None) };
        let text = read_ssl_config(&path).map_err(|why| invalid(flag, why))?;
        Tls::new(&text, protocols).map_err(|why| invalid(flag, format!("{}: {why}", path.display())))?;
        Ok(Some(TlsFile { path, text }))
    };
    Ok(TlsFiles {
        grpc: file("ssl_config_file", &flags.ssl_config_file, Protocols::Grpc)?,
        rest: file("rest_api_ssl_config_file", &flags.rest_api_ssl_config_file, Protocols::Http)?,
    })
}
