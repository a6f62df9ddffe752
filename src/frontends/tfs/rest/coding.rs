//! `Content-Encoding` of requests, `Accept-Encoding` of answers: gzip.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use hyper::HeaderMap;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

use crate::limits::{REST_COMPRESSED_BYTES_MIN, REST_EXPANDED_BYTES_MAX};

/// Why a compressed body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodingError {
    #[error("the gzip body has more than {REST_EXPANDED_BYTES_MAX} bytes once expanded")]
    TooLarge,
    #[error("the body is not gzip, though Content-Encoding says so: {0}")]
    Broken(String),
}

/// The body as it was before it was compressed. Encodings other than gzip are not
/// looked at, as in the reference.
pub(super) fn expanded(headers: &HeaderMap, body: Bytes) -> Result<Bytes, CodingError> {
    let gzip = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("gzip")));
    if !gzip {
        return Ok(body);
    }
    let mut out = Vec::new();
    let limit = REST_EXPANDED_BYTES_MAX as u64 + 1;
    MultiGzDecoder::new(&body[..])
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|why| CodingError::Broken(why.to_string()))?;
    if out.len() > REST_EXPANDED_BYTES_MAX {
        return Err(CodingError::TooLarge);
    }
    Ok(out.into())
}

/// Whether the caller takes a gzip answer: it says so, with a quality above zero.
/// Source: RFC 9110, 12.5.3. `*` is not taken for it.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            quality.is_some_and(|quality| quality.trim().parse::<f32>().is_ok_and(|quality| quality <= 0.0))
        });
        named && !refused
    })
}

/// The body compressed, where that is worth it.
pub(super) fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < REST_COMPRESSED_BYTES_MIN {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: hyper::header::HeaderName, value: &str) -> HeaderMap {
        [(name, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn gzip_is_expanded_within_bounds() {
        let gzip = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            Bytes::from(encoder.finish().unwrap())
        };
        let coded = headers(CONTENT_ENCODING, "gzip");
        assert_eq!(expanded(&coded, gzip(b"abc")).unwrap(), "abc");
        assert_eq!(expanded(&HeaderMap::new(), Bytes::from_static(b"abc")).unwrap(), "abc");
        assert!(matches!(expanded(&coded, Bytes::from_static(b"abc")), Err(CodingError::Broken(_))));
        let bomb = gzip(&vec![0; REST_EXPANDED_BYTES_MAX + 1]);
        assert_eq!(expanded(&coded, bomb), Err(CodingError::TooLarge));
    }

    #[test]
    fn gzip_is_sent_to_those_who_ask_for_it() {
        for (value, want) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("br", false),
            ("identity", false),
            ("*", false),
        ] {
            assert_eq!(takes_gzip(&headers(ACCEPT_ENCODING, value)), want, "{value}");
        }
        assert_eq!(compressed(b"short"), None);
        let long = vec![b' '; REST_COMPRESSED_BYTES_MIN];
        assert_eq!(
            expanded(&headers(CONTENT_ENCODING, "gzip"), compressed(&long).unwrap().into()).unwrap(),
            long
        );
    }
}
