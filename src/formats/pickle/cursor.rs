//! Bounded reads from the file.

use std::ops::Range;

use bytes::Bytes;

use super::error::Problem;

/// A place in the file. Nothing reads past the end.
pub(super) struct Cursor {
    source: Bytes,
    at: usize,
}

impl Cursor {
    pub(super) fn new(source: Bytes) -> Self {
        Self { source, at: 0 }
    }

    /// Bytes before the next one.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.source.len() - self.at
    }

    /// Where the next `len` bytes lie. `wanted` says what for.
    pub(super) fn take(&mut self, len: u64, wanted: &'static str) -> Result<Range<usize>, Problem> {
        let left = self.left();
        match usize::try_from(len) {
            Ok(len) if len <= left => {
                self.at += len;
                Ok(self.at - len..self.at)
            }
            _ => Err(Problem::Truncated { wanted: wanted.into(), needed: len, left: left as u64 }),
        }
    }

    pub(super) fn bytes(&mut self, len: u64, wanted: &'static str) -> Result<&[u8], Problem> {
        let range = self.take(len, wanted)?;
        Ok(&self.source[range])
    }

    /// The next `len` bytes without a copy.
    pub(super) fn slice(&mut self, len: u64, wanted: &'static str) -> Result<Bytes, Problem> {
        let range = self.take(len, wanted)?;
        Ok(self.source.slice(range))
    }

    pub(super) fn array<const N: usize>(&mut self, wanted: &'static str) -> Result<[u8; N], Problem> {
        let bytes = self.bytes(N as u64, wanted)?;
        Ok(bytes.try_into().expect("as many as were taken"))
    }

    pub(super) fn u8(&mut self, wanted: &'static str) -> Result<u8, Problem> {
        self.array::<1>(wanted).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, wanted: &'static str) -> Result<u16, Problem> {
        self.array(wanted).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, wanted: &'static str) -> Result<u32, Problem> {
        self.array(wanted).map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self, wanted: &'static str) -> Result<i32, Problem> {
        self.array(wanted).map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, wanted: &'static str) -> Result<u64, Problem> {
        self.array(wanted).map(u64::from_le_bytes)
    }

    /// Where the rest of the line lies, without its newline, which is passed.
    pub(super) fn line(&mut self, wanted: &'static str) -> Result<Range<usize>, Problem> {
        let rest = &self.source[self.at..];
        let Some(len) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(Problem::unexpected(wanted, "a line that ends", "the end of the file"));
        };
        let start = self.at;
        self.at += len + 1;
        Ok(start..start + len)
    }
}
