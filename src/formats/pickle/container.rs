//! joblib's compressions: the whole file is wrapped once, told by its first bytes.

use std::io::{self, Read};

use bytes::Bytes;
use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::{LzmaReader, XzReader};

use super::error::{Container, Problem};
use crate::limits;

/// The compression that a file begins with. None of them begins as a pickle does.
pub(super) fn detect(file: &[u8]) -> Option<Container> {
    Some(match file {
        // The second byte holds the level, and makes the first two a multiple of 31.
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Container::Zlib,
        [0x1f, 0x8b, ..] => Container::Gzip,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Container::Bzip2,
        [0x5d, 0x00, ..] => Container::Lzma,
        [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Container::Xz,
        [0x04, 0x22, 0x4d, 0x18, ..] => Container::Lz4,
        _ => return None,
    })
}

/// The pickle in a compressed file. It is never larger than the bounds on
/// expansion allow, and no more than that is ever allocated.
pub(super) fn expand(container: Container, file: &[u8]) -> Result<Bytes, Problem> {
    let max = file
        .len()
        .saturating_mul(limits::PICKLE_EXPANSION_MAX)
        .clamp(limits::PICKLE_EXPANSION_BYTES_FLOOR, limits::PICKLE_EXPANDED_BYTES_MAX);
    let memory_kib = limits::PICKLE_LZMA_MEMORY_KIB_MAX;
    let read = match container {
        Container::Zlib => read_bounded(ZlibDecoder::new(file), file.len(), max),
        Container::Gzip => read_bounded(MultiGzDecoder::new(file), file.len(), max),
        Container::Bzip2 => read_bounded(MultiBzDecoder::new(file), file.len(), max),
        Container::Lzma => LzmaReader::new_mem_limit(file, memory_kib, None)
            .and_then(|reader| read_bounded(reader, file.len(), max)),
        Container::Xz => read_bounded(XzReader::new_mem_limit(file, true, memory_kib), file.len(), max),
        Container::Lz4 => read_bounded(FrameDecoder::new(file), file.len(), max),
    };
    match read {
        Ok(Some(bytes)) => Ok(Bytes::from(bytes)),
        Ok(None) => Err(Problem::Bomb { container, bytes: file.len() as u64, max: max as u64 }),
        Err(error) => Err(Problem::Broken { container, reason: error.to_string() }),
    }
}

/// All that a reader gives; `None` if that is more than `max` bytes, of which there are 4096 or more.
pub(in crate::formats) fn read_bounded(
    mut reader: impl Read,
    hint: usize,
    max: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut out: Vec<u8> = Vec::new();
    // Most models shrink to a third or less.
    let mut room = hint.saturating_mul(4).clamp(4096, max);
    loop {
        let len = out.len();
        out.try_reserve_exact(room - len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        out.resize(room, 0);
        let mut filled = len;
        while filled < room {
            match reader.read(&mut out[filled..]) {
                Ok(0) => {
                    out.truncate(filled);
                    return Ok(Some(out));
                }
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if room == max {
            // Full to the brim: the next byte decides.
            return Ok((reader.read(&mut [0])? == 0).then_some(out));
        }
        room = room.saturating_mul(2).min(max);
    }
}
