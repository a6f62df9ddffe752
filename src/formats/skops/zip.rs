//! Members of a zip archive, by its central directory.
//!
//! After PKWARE's APPNOTE 6.3.10: end of central directory (4.3.16) and its zip64
//! form (4.3.14, 4.3.15), central headers (4.3.12), local headers (4.3.7). Members are
//! stored or deflated, which is what `numpy.savez` and skops write; stored ones are
//! not copied.

use std::cell::Cell;
use std::collections::HashMap;

use bytes::Bytes;
use flate2::bufread::DeflateDecoder;

use super::error::Problem;
use crate::formats::pickle::{clip, read_bounded};
use crate::limits;

/// What expanding members may still cost, shared by an archive and those in it.
pub(super) struct Room {
    left: Cell<usize>,
    max: usize,
}

impl Room {
    /// For a file of this many bytes.
    pub(super) fn new(file_bytes: usize) -> Self {
        let max = file_bytes
            .saturating_mul(limits::PICKLE_EXPANSION_MAX)
            .clamp(limits::PICKLE_EXPANSION_BYTES_FLOOR, limits::PICKLE_EXPANDED_BYTES_MAX);
        Self { left: Cell::new(max), max }
    }

    fn take(&self, bytes: u64) -> Option<usize> {
        let bytes = usize::try_from(bytes).ok()?;
        self.left.set(self.left.get().checked_sub(bytes)?);
        Some(bytes)
    }
}

/// An archive whose directory was read.
pub(super) struct Archive {
    file: Bytes,
    members: HashMap<String, Member>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    flags: u16,
    method: u16,
    crc: u32,
    /// Bytes in the file.
    packed: u64,
    /// Bytes once expanded.
    size: u64,
    /// Where its local header begins.
    header_at: u64,
}

const END: &[u8] = b"PK\x05\x06";
const END_64_LOCATOR: &[u8] = b"PK\x06\x07";
const END_64: &[u8] = b"PK\x06\x06";
const CENTRAL: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
/// Bytes of an end of central directory without its comment.
const END_BYTES: usize = 22;

impl Archive {
    /// Reads the directory of an archive of at most `members_max` members.
    pub(super) fn open(file: Bytes, members_max: usize) -> Result<Self, Problem> {
        let (count, bytes, at) = directory(&file)?;
        if count > members_max as u64 {
            let (what, max) = ("the number of members of the zip archive", members_max as u64);
            return Err(Problem::TooLarge { what, found: count, max, unit: "members" });
        }
        let mut rest =
            part(&file, at, bytes).ok_or_else(|| broken("has its directory outside of the file"))?;
        let mut members = HashMap::new();
        for _ in 0..count {
            let (name, member, after) = central(rest)?;
            rest = after;
            if members.insert(name.to_owned(), member).is_some() {
                return Err(broken(format!("has two members '{}'", clip(name))));
            }
        }
        Ok(Self { file, members })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// The bytes of a member, whole and sound.
    pub(super) fn read(&self, name: &str, room: &Room) -> Result<Bytes, Problem> {
        let shown = || format!("member '{}'", clip(name));
        let Some(member) = self.members.get(name) else {
            return Err(broken(format!("has no {}", shown())));
        };
        if member.flags & 1 != 0 {
            return Err(broken(format!("has its {} encrypted", shown())));
        }
        let outside = || broken(format!("has its {} outside of the file", shown()));
        let header = part(&self.file, member.header_at, 30).ok_or_else(outside)?;
        if !header.starts_with(LOCAL) {
            return Err(broken(format!("has no header before its {}", shown())));
        }
        let lead = 30 + u64::from(u16_at(header, 26)) + u64::from(u16_at(header, 28));
        let start = member.header_at.checked_add(lead).ok_or_else(outside)?;
        let packed = part(&self.file, start, member.packed).ok_or_else(outside)?;
        let data = match member.method {
            0 if member.packed == member.size => self.file.slice_ref(packed),
            0 => return Err(broken(format!("stores its {} with two sizes", shown()))),
            8 => {
                let Some(size) = room.take(member.size) else {
                    return Err(Problem::TooLarge {
                        what: "the size of the expanded members of the zip archive",
                        found: (room.max - room.left.get()) as u64 + member.size.min(1 << 62),
                        max: room.max as u64,
                        unit: "bytes (for a file of this size)",
                    });
                };
                let read = read_bounded(DeflateDecoder::new(packed), packed.len(), size.max(4096));
                match read {
                    Ok(Some(bytes)) if bytes.len() == size => Bytes::from(bytes),
                    Ok(_) => {
                        return Err(broken(format!(
                            "says that its {} has {size} bytes, which it has not",
                            shown()
                        )));
                    }
                    Err(error) => return Err(broken(format!("has its {} damaged: {error}", shown()))),
                }
            }
            other => {
                return Err(broken(format!(
                    "has its {} in compression {other}; expected it stored or deflated",
                    shown()
                )));
            }
        };
        let mut crc = flate2::Crc::new();
        crc.update(&data);
        if crc.sum() != member.crc {
            return Err(broken(format!("has its {} damaged: its checksum is another", shown())));
        }
        Ok(data)
    }
}

/// Number of members, bytes and place of the central directory.
fn directory(file: &[u8]) -> Result<(u64, u64, u64), Problem> {
    if !file.starts_with(b"PK") {
        return Err(broken("is none: the file begins otherwise; expected what skops.io.dump writes"));
    }
    // A comment of at most 65535 bytes may follow.
    let from = file.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
    let ends = |at: &usize| {
        let end = &file[*at..];
        end.starts_with(END) && usize::from(u16_at(end, 20)) == end.len() - END_BYTES
    };
    let Some(at) = (from..=file.len().saturating_sub(END_BYTES)).rev().find(ends) else {
        return Err(broken("has no end; was the file copied whole?"));
    };
    let end = &file[at..];
    if u16_at(end, 4) != 0 || u16_at(end, 6) != 0 {
        return Err(broken("is one of several parts"));
    }
    let (count, bytes, place) = (u16_at(end, 10), u32_at(end, 12), u32_at(end, 16));
    if count != u16::MAX && bytes != u32::MAX && place != u32::MAX {
        return Ok((u64::from(count), u64::from(bytes), u64::from(place)));
    }
    // It may still be what it says, where no zip64 record precedes.
    let Some(locator) = at.checked_sub(20).map(|at| &file[at..]).filter(|l| l.starts_with(END_64_LOCATOR))
    else {
        return Ok((u64::from(count), u64::from(bytes), u64::from(place)));
    };
    match part(file, u64_at(locator, 8), 56) {
        Some(end) if end.starts_with(END_64) => Ok((u64_at(end, 32), u64_at(end, 40), u64_at(end, 48))),
        _ => Err(broken("has no zip64 end where it says")),
    }
}

/// The first header of a directory, and what follows it.
fn central(rest: &[u8]) -> Result<(&str, Member, &[u8]), Problem> {
    let short = || broken("has a directory that ends too early");
    let header = rest.get(..46).ok_or_else(short)?;
    if !header.starts_with(CENTRAL) {
        return Err(broken("has a directory with something else than headers"));
    }
    let name_end = 46 + usize::from(u16_at(header, 28));
    let extra_end = name_end + usize::from(u16_at(header, 30));
    let end = extra_end + usize::from(u16_at(header, 32));
    let (name, extra) = match (rest.get(46..name_end), rest.get(name_end..extra_end), rest.get(end..)) {
        (Some(name), Some(extra), Some(_)) => (name, extra),
        _ => return Err(short()),
    };
    let name = str::from_utf8(name).map_err(|_| broken("has a member whose name is not UTF-8"))?;
    let mut member = Member {
        flags: u16_at(header, 8),
        method: u16_at(header, 10),
        crc: u32_at(header, 16),
        packed: u64::from(u32_at(header, 20)),
        size: u64::from(u32_at(header, 24)),
        header_at: u64::from(u32_at(header, 42)),
    };
    let wide = u64::from(u32::MAX);
    if [member.size, member.packed, member.header_at].contains(&wide) {
        let mut fields = zip64(extra).unwrap_or_default().chunks_exact(8);
        for field in [&mut member.size, &mut member.packed, &mut member.header_at] {
            if *field == wide
                && let Some(bytes) = fields.next()
            {
                *field = u64_at(bytes, 0);
            }
        }
    }
    Ok((name, member, &rest[end..]))
}

/// The zip64 field of a header's extra fields.
fn zip64(mut extra: &[u8]) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let field = extra.get(4..4 + usize::from(u16_at(extra, 2)))?;
        if u16_at(extra, 0) == 1 {
            return Some(field);
        }
        extra = &extra[4 + field.len()..];
    }
    None
}

fn part(file: &[u8], at: u64, bytes: u64) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    file.get(at..at.checked_add(usize::try_from(bytes).ok()?)?)
}

fn broken(how: impl Into<String>) -> Problem {
    Problem::Archive(how.into())
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}
