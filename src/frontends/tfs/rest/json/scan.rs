//! The first look: is it JSON, and how long is each list and object?

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::Cursor;
use super::cursor::unescaped;
use crate::limits::{JSON_DEPTH_MAX, JSON_LISTS_MAX};

/// Why a text is not JSON: RapidJSON's words, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{text} at offset: {offset}")]
pub(crate) struct ParseError {
    text: &'static str,
    /// Bytes from the beginning.
    offset: usize,
}

/// A text whose first value is well-formed.
#[derive(Debug)]
pub(crate) struct Scanned {
    text: Bytes,
    /// Items of each list and members of each object, in the order of their opening.
    sizes: Vec<u32>,
    /// Where the members that were asked for have their values: how many bytes
    /// come before, and how many lists and objects open before.
    members: Vec<Option<(usize, usize)>>,
}

impl Scanned {
    /// A cursor on the text's value.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor::new(&self.text, 0, &self.sizes)
    }

    /// A cursor on the value of the first member that has the name which was asked
    /// for at this `position`; `None` when the text's value has no such member.
    pub(crate) fn member(&self, position: usize) -> Option<Cursor<'_>> {
        let (at, opened) = *self.members.get(position)?.as_ref()?;
        Some(Cursor::new(&self.text, at, self.sizes.get(opened..)?))
    }
}

/// Checks the first value in `text`; what follows it is not looked at. When it is
/// an object, its members of these `names` are found on the way.
///
/// # Errors
/// [`ParseError`] as RapidJSON says it, or for more than [`JSON_DEPTH_MAX`] lists
/// and objects within each other or [`JSON_LISTS_MAX`] of them in all.
pub(crate) fn scan(text: Bytes, names: &[&str]) -> Result<Scanned, ParseError> {
    let members = vec![None; names.len()];
    let mut scanner = Scanner { text: &text, at: 0, depth: 0, sizes: Vec::new(), names, members };
    scanner.space();
    if scanner.peek() == 0 {
        return scanner.fail("The document is empty.");
    }
    scanner.value()?;
    let Scanner { sizes, members, .. } = scanner;
    Ok(Scanned { text, sizes, members })
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    sizes: Vec<u32>,
    names: &'t [&'t str],
    members: Vec<Option<(usize, usize)>>,
}

impl Scanner<'_> {
    /// The next byte; 0 at the end, as RapidJSON's streams have it.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == byte && self.at < self.text.len();
        self.at += usize::from(there);
        there
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn fail<T>(&self, text: &'static str) -> Result<T, ParseError> {
        Err(ParseError { text, offset: self.at })
    }

    fn value(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            b'[' => self.list(),
            b'{' => self.object(),
            b'"' => self.string(),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), ParseError> {
        for &byte in word {
            if !self.take(byte) {
                return self.fail("Invalid value.");
            }
        }
        Ok(())
    }

    /// Notes a list or object; its size is told when it ends.
    fn open(&mut self) -> Result<usize, ParseError> {
        if self.depth == JSON_DEPTH_MAX {
            return self.fail("The document is nested too deeply.");
        }
        if self.sizes.len() == JSON_LISTS_MAX {
            return self.fail("The document has too many lists and objects.");
        }
        self.depth += 1;
        self.at += 1;
        self.sizes.push(0);
        self.space();
        Ok(self.sizes.len() - 1)
    }

    fn list(&mut self) -> Result<(), ParseError> {
        let this = self.open()?;
        let mut size = 0u32;
        if !self.take(b']') {
            loop {
                self.value()?;
                // Each item takes two bytes of a text of less than 2^32.
                size += 1;
                self.space();
                if self.take(b',') {
                    self.space();
                } else if self.take(b']') {
                    break;
                } else {
                    return self.fail("Missing a comma or ] after an array element.");
                }
            }
        }
        self.depth -= 1;
        self.sizes[this] = size;
        Ok(())
    }

    fn object(&mut self) -> Result<(), ParseError> {
        let this = self.open()?;
        let mut size = 0u32;
        if !self.take(b'}') {
            loop {
                if self.peek() != b'"' {
                    return self.fail("Missing a name for object member.");
                }
                let name = self.at;
                self.string()?;
                let name = name + 1..self.at - 1;
                self.space();
                if !self.take(b':') {
                    return self.fail("Missing a colon after a name of object member.");
                }
                self.space();
                if self.depth == 1 {
                    self.note(name);
                }
                self.value()?;
                size += 1;
                self.space();
                if self.take(b',') {
                    self.space();
                } else if self.take(b'}') {
                    break;
                } else {
                    return self.fail("Missing a comma or } after an object member.");
                }
            }
        }
        self.depth -= 1;
        self.sizes[this] = size;
        Ok(())
    }

    /// Remembers where a value is whose name was asked for.
    fn note(&mut self, name: Range<usize>) {
        let raw = &self.text[name];
        let name = if raw.contains(&b'\\') { Cow::Owned(unescaped(raw)) } else { Cow::Borrowed(raw) };
        let asked = self.names.iter().position(|asked| asked.as_bytes() == &*name);
        if let Some(member) = asked.and_then(|i| self.members.get_mut(i)) {
            member.get_or_insert((self.at, self.sizes.len()));
        }
    }

    fn string(&mut self) -> Result<(), ParseError> {
        self.at += 1;
        loop {
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.escape()?,
                0 => return self.fail("Missing a closing quotation mark in string."),
                1..=0x1f => return self.fail("Invalid encoding in string."),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), ParseError> {
        let offset = self.at;
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                let high = self.hex(offset)?;
                if (0xd800..0xe000).contains(&high) {
                    let wrong = ParseError { text: "The surrogate pair in string is invalid.", offset };
                    if high >= 0xdc00 || !self.take(b'\\') || !self.take(b'u') {
                        return Err(wrong);
                    }
                    if !(0xdc00..0xe000).contains(&self.hex(offset)?) {
                        return Err(wrong);
                    }
                }
            }
            _ => return Err(ParseError { text: "Invalid escape character in string.", offset }),
        }
        Ok(())
    }

    fn hex(&mut self, offset: usize) -> Result<u32, ParseError> {
        let mut number = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.peek()).to_digit(16) else {
                return Err(ParseError { text: "Incorrect hex digit after \\u escape in string.", offset });
            };
            number = number << 4 | digit;
            self.at += 1;
        }
        Ok(number)
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        self.at > start
    }

    fn number(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        self.take(b'-');
        match self.peek() {
            b'0' => self.at += 1,
            b'1'..=b'9' => _ = self.digits(),
            b'N' => return self.word(b"NaN"),
            b'I' => {
                self.word(b"Inf")?;
                return if self.peek() == b'i' { self.word(b"inity") } else { Ok(()) };
            }
            _ => return self.fail("Invalid value."),
        }
        if self.take(b'.') && !self.digits() {
            return self.fail("Miss fraction part in number.");
        }
        let exponent = matches!(self.peek(), b'e' | b'E');
        if exponent {
            self.at += 1;
            if !self.take(b'+') {
                self.take(b'-');
            }
            if !self.digits() {
                return self.fail("Miss exponent in number.");
            }
        }
        // Without an exponent it takes 309 digits to leave the doubles.
        if exponent || self.at - start > 308 {
            let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
            if text.parse::<f64>().is_ok_and(f64::is_infinite) {
                return Err(ParseError { text: "Number too big to be stored in double.", offset: start });
            }
        }
        Ok(())
    }
}
