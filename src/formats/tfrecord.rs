//! TFRecord: one record after another, each with its length, guarded by checksums.
//!
//! A record is its length (8 bytes, little-endian), the masked CRC32C of these
//! bytes (4), the data, and the masked CRC32C of the data (4). Files may be
//! compressed as a whole; such are not read here. Source:
//! `tensorflow/core/lib/io/record_reader.h`.

use bytes::{Buf as _, Bytes};

/// The bytes of a length and its checksum.
const HEADER_BYTES: usize = 12;
/// The bytes of a checksum.
const CRC_BYTES: usize = 4;

/// The bytes that a record has besides its data.
pub const FRAME_BYTES: usize = HEADER_BYTES + CRC_BYTES;

/// Why what follows is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TfRecordError {
    /// A checksum says that something has changed.
    #[error("corrupted record at {at}{}", if *at == 0 { " (Is this even a TFRecord file?)" } else { "" })]
    Corrupted {
        /// Where the guarded bytes begin in the file.
        at: usize,
    },
    /// The file ends within it.
    #[error("truncated record at {at}' failed with Read less bytes than requested")]
    Truncated {
        /// Where the record begins in the file.
        at: usize,
    },
}

/// The records of a file, one after the other. After an error there are no more.
#[derive(Debug, Clone)]
pub struct Records {
    rest: Bytes,
    at: usize,
}

/// The records of a file. They share its bytes.
#[must_use]
pub fn records(file: Bytes) -> Records {
    Records { rest: file, at: 0 }
}

impl Iterator for Records {
    type Item = Result<Bytes, TfRecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest.clear();
        }
        Some(record)
    }
}

impl Records {
    fn record(&mut self) -> Result<Bytes, TfRecordError> {
        let at = self.at;
        let truncated = || TfRecordError::Truncated { at };
        let header = self.rest.split_at_checked(HEADER_BYTES).ok_or_else(truncated)?.0;
        let (length, mut crc) = header.split_at(8);
        if crc.get_u32_le() != masked_crc(length) {
            return Err(TfRecordError::Corrupted { at });
        }
        let length = { length }.get_u64_le();
        let end = usize::try_from(length).ok().and_then(|length| length.checked_add(HEADER_BYTES));
        let whole = end.and_then(|end| end.checked_add(CRC_BYTES)).filter(|&whole| whole <= self.rest.len());
        let (Some(end), Some(whole)) = (end, whole) else { return Err(truncated()) };
        let data = self.rest.slice(HEADER_BYTES..end);
        if self.rest.slice(end..whole).get_u32_le() != masked_crc(&data) {
            return Err(TfRecordError::Corrupted { at: at + HEADER_BYTES });
        }
        self.rest.advance(whole);
        self.at += whole;
        Ok(data)
    }
}

/// Appends one record, whose data `encode` appends.
pub fn put(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    encode(out);
    let length = ((out.len() - start - HEADER_BYTES) as u64).to_le_bytes();
    let (crc_of_length, crc) = (masked_crc(&length), masked_crc(&out[start + HEADER_BYTES..]));
    out[start..start + 8].copy_from_slice(&length);
    out[start + 8..start + HEADER_BYTES].copy_from_slice(&crc_of_length.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
}

/// A checksum of data that may hold checksums itself: rotated, and moved.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hello`, nothing, and `world!`, as TensorFlow 2.21 wrote them.
    const FILE: &[u8] = b"\x05\0\0\0\0\0\0\0\xea\xb2\x04\x3ehello\xbb\x1f\x1c\x19\
        \0\0\0\0\0\0\0\0\x29\x03\x98\x07\xd8\xea\x82\xa2\
        \x06\0\0\0\0\0\0\0\x73\x69\xd5\x37world!\x0a\xc6\xaf\x4f";

    fn read(file: &[u8]) -> (Vec<Bytes>, Option<String>) {
        let (mut read, mut error) = (Vec::new(), None);
        for record in records(Bytes::copy_from_slice(file)) {
            assert!(error.is_none(), "something after an error");
            match record {
                Ok(record) => read.push(record),
                Err(why) => error = Some(why.to_string()),
            }
        }
        (read, error)
    }

    #[test]
    fn what_tensorflow_wrote_is_read_without_a_copy() {
        let all = [&b"hello"[..], b"", b"world!"].map(Bytes::from_static).to_vec();
        assert_eq!(read(FILE), (all, None));
        assert_eq!(read(b""), (vec![], None));
        let file = Bytes::from_static(FILE);
        let first = records(file.clone()).next().unwrap().unwrap();
        assert!(std::ptr::eq(first.as_ptr(), file[12..].as_ptr()));
    }

    #[test]
    fn what_is_written_is_as_tensorflow_writes_it() {
        let mut file = Vec::new();
        for data in [&b"hello"[..], b"", b"world!"] {
            put(&mut file, |out| out.extend_from_slice(data));
        }
        assert_eq!(file, FILE);
    }

    #[test]
    fn a_changed_byte_anywhere_is_found_at_its_place() {
        for i in 0..FILE.len() {
            let mut changed = FILE.to_vec();
            changed[i] ^= 0x10;
            // Where the second and third record begin.
            let (before, start) = [(2, 37), (1, 21), (0, 0)].into_iter().find(|(_, at)| *at <= i).unwrap();
            let at = if i < start + HEADER_BYTES { start } else { start + HEADER_BYTES };
            let hint = if at == 0 { " (Is this even a TFRecord file?)" } else { "" };
            let (good, error) = read(&changed);
            assert_eq!(
                (good.len(), error),
                (before, Some(format!("corrupted record at {at}{hint}"))),
                "byte {i}"
            );
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_found_unless_it_ends_between_records() {
        for length in 0..FILE.len() {
            let (good, error) = read(&FILE[..length]);
            let start = [37, 21, 0].into_iter().find(|start| *start <= length).unwrap();
            let want = (start != length)
                .then(|| format!("truncated record at {start}' failed with Read less bytes than requested"));
            assert_eq!(
                (good.len(), error),
                (
                    match start {
                        0 => 0,
                        21 => 1,
                        _ => 2,
                    },
                    want
                ),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn a_length_of_everything_is_only_a_cut_off_record() {
        for length in [u64::MAX, u64::MAX - 12, u64::MAX - 16, 1 << 40] {
            let bytes = length.to_le_bytes();
            let file = [&bytes[..], &masked_crc(&bytes).to_le_bytes(), &[0; 8]].concat();
            assert!(read(&file).1.unwrap().starts_with("truncated record at 0"), "{length}");
        }
    }
}
