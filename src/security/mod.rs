//! Who can listen in, and who may come in.

mod tls;

pub use tls::{Protocols, Tls, TlsError, TlsText};
