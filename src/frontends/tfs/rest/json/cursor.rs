//! The second look: a walk through a text that is known to be well-formed.

use bytes::Bytes;

/// What a value is, seen by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Object,
    List,
    String,
    Number,
}

impl Kind {
    /// RapidJSON's word, as error texts have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::False => "False",
            Self::True => "True",
            Self::Object => "Object",
            Self::List => "Array",
            Self::String => "String",
            Self::Number => "Number",
        }
    }
}

/// A place in a scanned text: before a value, an item or a member. Cheap to
/// clone, which is how one looks ahead.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'t> {
    text: &'t Bytes,
    at: usize,
    /// The sizes of the lists and objects that open from here on.
    sizes: &'t [u32],
}

impl<'t> Cursor<'t> {
    /// A cursor on the value at this place, where these sizes begin.
    pub(super) fn new(text: &'t Bytes, at: usize, sizes: &'t [u32]) -> Self {
        let mut cursor = Self { text, at, sizes };
        cursor.gap();
        cursor
    }

    fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Passes whatever stands between values.
    fn gap(&mut self) {
        while matches!(self.byte(), b' ' | b'\n' | b'\r' | b'\t' | b',' | b':') {
            self.at += 1;
        }
    }

    /// What the value here is.
    pub(crate) fn kind(&self) -> Kind {
        match self.byte() {
            b'n' => Kind::Null,
            b'f' => Kind::False,
            b't' => Kind::True,
            b'{' => Kind::Object,
            b'[' => Kind::List,
            b'"' => Kind::String,
            _ => Kind::Number,
        }
    }

    /// Bytes from here to the end: no more than half as many values can follow.
    pub(crate) fn bytes_left(&self) -> usize {
        self.text.len() - self.at
    }

    /// How many items or members the list or object here has.
    pub(crate) fn size(&self) -> usize {
        self.sizes.first().map_or(0, |&size| size as usize)
    }

    /// Goes into the list or object here, to its first item or member, and gives
    /// its size. Whoever enters must pass each item, and then [`leave`](Self::leave).
    pub(crate) fn enter(&mut self) -> usize {
        let size = self.size();
        self.sizes = self.sizes.split_first().map_or(&[], |(_, rest)| rest);
        self.at += 1;
        self.gap();
        size
    }

    /// Passes the end of a list or object.
    pub(crate) fn leave(&mut self) {
        self.at += 1;
        self.gap();
    }

    /// Passes the value here.
    pub(crate) fn skip(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.byte() {
                b'"' => self.pass_string(),
                b'[' | b'{' => {
                    depth += 1;
                    self.sizes = self.sizes.split_first().map_or(&[], |(_, rest)| rest);
                    self.at += 1;
                }
                b']' | b'}' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => _ = self.token(),
            }
            self.gap();
            if depth == 0 || self.at >= self.text.len() {
                return;
            }
        }
    }

    /// Takes the value here as it stands in the text, with whatever parts it from the
    /// next one.
    pub(crate) fn raw(&mut self) -> Bytes {
        let start = self.at;
        self.skip();
        self.text.slice(start..self.at)
    }

    /// Takes the number or word here.
    pub(crate) fn token(&mut self) -> &'t str {
        let start = self.at;
        while matches!(self.byte(), b'0'..=b'9' | b'+' | b'-' | b'.' | b'a'..=b'z' | b'A'..=b'Z') {
            self.at += 1;
        }
        let token = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        self.gap();
        token
    }

    /// Takes the truth value here; `None` for anything else.
    pub(crate) fn boolean(&mut self) -> Option<bool> {
        let value = match self.kind() {
            Kind::True => true,
            Kind::False => false,
            _ => return None,
        };
        self.token();
        Some(value)
    }

    /// Takes the number here, whatever its form; `None` for anything else.
    pub(crate) fn double(&mut self) -> Option<f64> {
        if self.kind() != Kind::Number {
            return None;
        }
        if let Some((value, length)) = short_decimal(&self.text[self.at..]) {
            self.at += length;
            self.gap();
            return Some(value);
        }
        // Rust's parser takes all that the scan lets through, `NaN` and `-Inf` included.
        self.token().parse().ok()
    }

    /// Takes the whole number here: digits only, no fraction, no exponent.
    /// `None` for anything else, and for what `T` does not hold.
    pub(crate) fn integer<T: std::str::FromStr>(&mut self) -> Option<T> {
        if self.kind() != Kind::Number {
            return None;
        }
        let token = self.token();
        // Zero has no sign here; unsigned types would not take it.
        (if token == "-0" { "0" } else { token }).parse().ok()
    }

    fn pass_string(&mut self) {
        self.at += 1;
        loop {
            match self.byte() {
                b'"' => break,
                b'\\' => self.at += 2,
                _ if self.at >= self.text.len() => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
    }

    /// Takes the string here, or the name of the member here; `None` for anything
    /// else. Without escapes it is a slice of the text, not a copy.
    pub(crate) fn string(&mut self) -> Option<Bytes> {
        if self.kind() != Kind::String {
            return None;
        }
        let start = self.at + 1;
        self.pass_string();
        let raw = start..self.at - 1;
        self.gap();
        if self.text[raw.clone()].contains(&b'\\') {
            return Some(unescaped(&self.text[raw]).into());
        }
        Some(self.text.slice(raw))
    }
}

/// The number here, and its length, if it has 15 digits at most and no exponent: then
/// its digits and the power of ten below them are doubles without error, and one division
/// rounds to nearest. Source: Clinger, "How to read floating point numbers accurately".
fn short_decimal(text: &[u8]) -> Option<(f64, usize)> {
    const DIGITS_MAX: usize = 15;
    const POWERS: [f64; DIGITS_MAX + 1] =
        [1., 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let is_negative = text.first() == Some(&b'-');
    let (mut at, mut digits, mut whole, mut point) = (usize::from(is_negative), 0, 0_u64, None);
    loop {
        match text.get(at) {
            Some(digit @ b'0'..=b'9') if digits < DIGITS_MAX => {
                whole = whole * 10 + u64::from(digit - b'0');
                digits += 1;
            }
            Some(b'.') if point.is_none() => point = Some(digits),
            Some(b'0'..=b'9' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-') => return None,
            _ => break,
        }
        at += 1;
    }
    let power = POWERS.get(digits - point.unwrap_or(digits))?;
    let value = whole as f64 / power;
    (digits > 0).then_some((if is_negative { -value } else { value }, at))
}

/// The bytes that an escaped string means. The scan has checked the escapes.
pub(super) fn unescaped(raw: &[u8]) -> Vec<u8> {
    let hex = |at: usize| {
        let digits = raw.get(at..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0xfffd)
    };
    let (mut out, mut at) = (Vec::with_capacity(raw.len()), 0);
    while let Some(&byte) = raw.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let escape = raw.get(at).copied().unwrap_or(b'\\');
        at += 1;
        out.push(match escape {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut point = hex(at);
                at += 4;
                if (0xd800..0xdc00).contains(&point) {
                    point = 0x10000 + ((point - 0xd800) << 10) + (hex(at + 2).wrapping_sub(0xdc00) & 0x3ff);
                    at += 6;
                }
                let point = char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(point.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        });
    }
    out
}
