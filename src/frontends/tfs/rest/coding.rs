//! `Content-Encoding` of requests, `Accept-Encoding` of answers: gzip and zstd.

use std::io::{Read, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use hyper::{HeaderMap, Response, header};

use crate::limits::{
    REST_CODINGS_MAX, REST_COMPRESSED_BYTES_MIN, REST_EXPANDED_BYTES_MAX, REST_ZSTD_WINDOW_LOG_MAX,
};

/// A way to compress a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// Source: RFC 8878, and RFC 9659 for its window.
    Zstd,
}

/// Why a compressed body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodingError {
    #[error("the {0} body has more than {REST_EXPANDED_BYTES_MAX} bytes once expanded")]
    TooLarge(&'static str),
    #[error("the body is not {0}, though Content-Encoding says so: {1}")]
    Broken(&'static str, String),
    #[error("Content-Encoding names {0} codings; expected at most {REST_CODINGS_MAX}")]
    Many(usize),
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What one entry of `Content-Encoding` means. The reference looks for `gzip`
    /// within it, which `x-gzip` has too.
    fn applied(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry.contains("gzip") {
            Some(Self::Gzip)
        } else if entry == "zstd" {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    fn expand(self, body: &[u8]) -> Result<Bytes, CodingError> {
        let broken = |why: std::io::Error| CodingError::Broken(self.name(), why.to_string());
        let mut out = Vec::new();
        let mut all =
            |reader: &mut dyn Read| reader.take(REST_EXPANDED_BYTES_MAX as u64 + 1).read_to_end(&mut out);
        match self {
            Self::Gzip => all(&mut MultiGzDecoder::new(body)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(body).map_err(broken)?;
                decoder.window_log_max(REST_ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
                all(&mut decoder)
            }
        }
        .map_err(broken)?;
        if out.len() > REST_EXPANDED_BYTES_MAX {
            return Err(CodingError::TooLarge(self.name()));
        }
        Ok(out.into())
    }

    fn compress(self, body: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
                encoder.write_all(body)?;
                encoder.finish()
            }
            // Its fastest level packs numbers tighter than the next ones do.
            Self::Zstd => zstd::bulk::compress(body, 1),
        }
    }
}

/// The body as it was before it was compressed. Encodings other than ours are not
/// looked at, as in the reference.
pub(super) fn expanded(headers: &HeaderMap, body: Bytes) -> Result<Bytes, CodingError> {
    if !headers.contains_key(CONTENT_ENCODING) {
        return Ok(body);
    }
    let values = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<Coding> =
        values.flat_map(|value| value.split(',')).filter_map(Coding::applied).collect();
    if codings.len() > REST_CODINGS_MAX {
        return Err(CodingError::Many(codings.len()));
    }
    // What was applied last is taken off first.
    codings.iter().rev().try_fold(body, |body, coding| coding.expand(&body))
}

/// The coding that the caller likes best among ours: the one of the highest quality,
/// zstd among equals. Source: RFC 9110, 12.5.3. `*` is not taken for either.
fn wanted(headers: &HeaderMap) -> Option<Coding> {
    let (mut gzip, mut zstd, mut identity) = (0.0, 0.0, 0.0);
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for entry in values.flat_map(|value| value.split(',')) {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let quality = match name {
            _ if name.eq_ignore_ascii_case("gzip") => &mut gzip,
            _ if name.eq_ignore_ascii_case("zstd") => &mut zstd,
            _ if name.eq_ignore_ascii_case("identity") => &mut identity,
            _ => continue,
        };
        let given = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let given = given.and_then(|given| given.trim().parse::<f32>().ok());
        *quality = given.filter(|given| (0.0..=1.0).contains(given)).unwrap_or(1.0);
    }
    let (coding, quality) = if zstd >= gzip { (Coding::Zstd, zstd) } else { (Coding::Gzip, gzip) };
    (quality > 0.0 && quality >= identity).then_some(coding)
}

/// The answer with its body compressed, if its caller likes that and it is worth it.
pub(super) fn compressed(asked: &HeaderMap, mut response: Response<Bytes>) -> Response<Bytes> {
    if response.body().len() < REST_COMPRESSED_BYTES_MIN {
        return response;
    }
    let Some(coding) = wanted(asked) else { return response };
    // Writing to memory does not fail; if it did, the plain answer is as good.
    let Ok(compressed) = coding.compress(response.body()) else { return response };
    if compressed.len() < response.body().len() {
        *response.body_mut() = compressed.into();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

/// What must hold for any bytes that are said to be compressed: they are refused, or
/// expand within bounds. For the fuzz target and the replay of its corpus.
///
/// # Panics
/// When it does not hold.
pub(super) fn check_any_coded(body: &[u8]) {
    for coding in [Coding::Gzip, Coding::Zstd] {
        if let Ok(plain) = coding.expand(body) {
            let again = coding.compress(&plain).expect("memory can be written to");
            assert_eq!(coding.expand(&again).as_ref(), Ok(&plain));
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        [(name, value.parse().unwrap())].into_iter().collect()
    }

    fn packed(coding: Coding, bytes: &[u8]) -> Bytes {
        coding.compress(bytes).unwrap().into()
    }

    #[test]
    fn bodies_are_expanded_within_bounds() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let coded = headers(CONTENT_ENCODING, coding.name());
            assert_eq!(expanded(&coded, packed(coding, b"abc")).unwrap(), "abc");
            assert_eq!(expanded(&HeaderMap::new(), Bytes::from_static(b"abc")).unwrap(), "abc");
            let broken = expanded(&coded, Bytes::from_static(b"abc")).unwrap_err();
            assert!(matches!(broken, CodingError::Broken(name, _) if name == coding.name()), "{broken}");
            let cut = packed(coding, &[7; 5000]);
            assert!(expanded(&coded, cut.slice(..cut.len() - 3)).is_err());
            let bomb = packed(coding, &vec![0; REST_EXPANDED_BYTES_MAX + 1]);
            assert_eq!(expanded(&coded, bomb), Err(CodingError::TooLarge(coding.name())));
            // Frames and members may follow each other.
            let two = [packed(coding, b"ab"), packed(coding, b"c")].concat();
            assert_eq!(expanded(&coded, two.into()).unwrap(), "abc");
        }
        let twice = packed(Coding::Zstd, &packed(Coding::Gzip, b"abc"));
        assert_eq!(expanded(&headers(CONTENT_ENCODING, "X-Gzip, zstd"), twice).unwrap(), "abc");
        let many = expanded(&headers(CONTENT_ENCODING, "gzip, zstd, gzip"), Bytes::new());
        assert_eq!(many, Err(CodingError::Many(3)));
        assert_eq!(expanded(&headers(CONTENT_ENCODING, "br"), Bytes::from_static(b"abc")).unwrap(), "abc");
    }

    #[test]
    fn a_zstd_frame_cannot_ask_for_a_large_window() {
        // Magic number, no content size, a window of 2^41 bytes, an empty last block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00];
        let coded = headers(CONTENT_ENCODING, "zstd");
        assert!(matches!(expanded(&coded, frame.to_vec().into()), Err(CodingError::Broken("zstd", _))));
        // The same with 2^23.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68, 0x01, 0x00, 0x00];
        assert_eq!(expanded(&coded, frame.to_vec().into()).unwrap(), "");
    }

    #[test]
    fn callers_choose_by_quality() {
        use Coding::{Gzip, Zstd};
        for (value, want) in [
            ("gzip", Some(Gzip)),
            ("zstd", Some(Zstd)),
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("deflate, GZIP;q=0.5", Some(Gzip)),
            ("gzip;q=0.9, zstd;q=0.8", Some(Gzip)),
            ("gzip ; q=0.9,ZSTD;Q=0.95", Some(Zstd)),
            ("gzip;q=0", None),
            ("gzip; q=0.0, br", None),
            ("gzip;q=0, zstd", Some(Zstd)),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("gzip;q=what", Some(Gzip)),
            ("gzip;q=nan", Some(Gzip)),
            ("br", None),
            ("identity", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(wanted(&headers(ACCEPT_ENCODING, value)), want, "{value}");
        }
        assert_eq!(wanted(&HeaderMap::new()), None);
    }

    #[test]
    fn answers_are_compressed_where_it_is_worth_it() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let asked = headers(ACCEPT_ENCODING, coding.name());
            let answered = |plain: &[u8]| {
                let (told, body) =
                    compressed(&asked, Response::new(Bytes::copy_from_slice(plain))).into_parts();
                (told.headers, body)
            };
            assert_eq!(answered(b"short"), (HeaderMap::new(), Bytes::from_static(b"short")));
            let long = vec![b' '; REST_COMPRESSED_BYTES_MIN];
            let (told, body) = answered(&long);
            assert_eq!(told[CONTENT_ENCODING], coding.name());
            assert_eq!(told[header::VARY], "Accept-Encoding");
            assert!(body.len() < 100);
            assert_eq!(expanded(&told, body).unwrap(), long);
            // What does not get shorter stays as it is.
            let mut state = 1u64;
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .take(2000)
            .collect();
            assert_eq!(answered(&noise), (HeaderMap::new(), noise.into()));
        }
    }
}
