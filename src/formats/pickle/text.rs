//! The text that protocols 0 to 2 write numbers and strings in.

/// A decimal integer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decimal {
    Small(i64),
    /// Little-endian two's complement, shortest, of at least 9 bytes.
    Big(Vec<u8>),
}

/// `-123`; `None` for anything else, and for more than `digits_max` digits.
pub(super) fn decimal(text: &[u8], digits_max: usize) -> Option<Decimal> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > digits_max || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if let Some(small) = str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
        return Some(Decimal::Small(small));
    }
    // Schoolbook, quadratic: `digits_max` keeps it short.
    let mut magnitude: Vec<u8> = Vec::new();
    for digit in digits {
        let mut carry = u16::from(digit - b'0');
        for byte in &mut magnitude {
            carry += u16::from(*byte) * 10;
            [*byte, _] = carry.to_le_bytes();
            carry >>= 8;
        }
        if carry > 0 {
            magnitude.push(carry.to_le_bytes()[0]);
        }
    }
    magnitude.push(0);
    if negative {
        let mut carry = true;
        for byte in &mut magnitude {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    magnitude.truncate(shortest(&magnitude).len());
    match small(&magnitude) {
        Some(value) => Some(Decimal::Small(value)),
        None => Some(Decimal::Big(magnitude)),
    }
}

/// Two's complement without the bytes that only repeat the sign.
pub(super) fn shortest(bytes: &[u8]) -> &[u8] {
    let mut len = bytes.len();
    while len > 1 {
        let sign = if bytes[len - 2] & 0x80 == 0 { 0 } else { 0xff };
        if bytes[len - 1] != sign {
            break;
        }
        len -= 1;
    }
    &bytes[..len]
}

/// A little-endian two's complement integer of at most 8 bytes.
pub(super) fn small(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > 8 {
        return None;
    }
    let fill = if bytes.last().is_some_and(|top| top & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

/// Python's raw-unicode-escape: latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn raw_unicode_escape(bytes: &[u8]) -> Result<String, &'static str> {
    let mut text = String::with_capacity(bytes.len());
    let mut high: Option<u32> = None;
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let (code, escaped, after) = match (first, tail) {
            (b'\\', [b'u', tail @ ..]) => (hex(tail, 4)?, true, &tail[4..]),
            (b'\\', [b'U', tail @ ..]) => (hex(tail, 8)?, true, &tail[8..]),
            // A backslash before anything else protects it: `\\u0041` is no escape.
            (b'\\', [second, tail @ ..]) => {
                if high.is_some() {
                    return Err("a lone surrogate");
                }
                text.push('\\');
                text.push(char::from(*second));
                rest = tail;
                continue;
            }
            _ => (u32::from(*first), false, tail),
        };
        rest = after;
        match (high.take(), code) {
            // Narrow builds of Python 2 wrote pairs of surrogates.
            (None, 0xd800..=0xdbff) if escaped => high = Some(code),
            (Some(high), 0xdc00..=0xdfff) if escaped => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00);
                text.push(char::from_u32(code).ok_or("no character")?);
            }
            (None, _) => text.push(char::from_u32(code).ok_or("a lone surrogate or no character")?),
            (Some(_), _) => return Err("a lone surrogate"),
        }
    }
    if high.is_some() { Err("a lone surrogate") } else { Ok(text) }
}

/// The inside of the quoted string of a STRING instruction, Python 2's `repr`.
pub(super) fn string_escape(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let [kind, tail @ ..] = tail else { return Err("a backslash at the end") };
        rest = tail;
        match kind {
            b'\n' => {}
            b'\\' | b'\'' | b'"' => out.push(*kind),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b't' => out.push(b'\t'),
            b'n' => out.push(b'\n'),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'r' => out.push(b'\r'),
            b'x' => {
                out.push(u8::try_from(hex(rest, 2)?).map_err(|_| "no byte")?);
                rest = &rest[2..];
            }
            b'0'..=b'7' => {
                let more = rest.iter().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
                let digits = std::iter::once(kind).chain(&rest[..more]);
                let value = digits.fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push(u8::try_from(value & 0xff).map_err(|_| "no byte")?);
                rest = &rest[more..];
            }
            other => out.extend([b'\\', *other]),
        }
    }
    Ok(out)
}

/// Exactly `digits` hexadecimal digits at the start of `bytes`.
fn hex(bytes: &[u8], digits: usize) -> Result<u32, &'static str> {
    let bytes = bytes.get(..digits).ok_or("an escape that is cut short")?;
    bytes.iter().try_fold(0u32, |value, &byte| {
        let digit = char::from(byte).to_digit(16).ok_or("an escape without hexadecimal digits")?;
        Ok(value << 4 | digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_of_every_size() {
        let small = |value| Some(Decimal::Small(value));
        assert_eq!(decimal(b"0", 10), small(0));
        assert_eq!(decimal(b"-17", 10), small(-17));
        assert_eq!(decimal(b"9223372036854775807", 30), small(i64::MAX));
        assert_eq!(decimal(b"-9223372036854775808", 30), small(i64::MIN));
        let big = |bytes: &[u8]| Some(Decimal::Big(bytes.to_vec()));
        assert_eq!(decimal(b"9223372036854775808", 30), big(&[0, 0, 0, 0, 0, 0, 0, 0x80, 0]));
        assert_eq!(
            decimal(b"-9223372036854775809", 30),
            big(&[255, 255, 255, 255, 255, 255, 255, 0x7f, 255])
        );
        assert_eq!(decimal(b"18446744073709551616", 30), big(&[0, 0, 0, 0, 0, 0, 0, 0, 1]));
        for wrong in [&b""[..], b"-", b"1.5", b" 1", b"1 ", b"12345678901", b"--1", b"0x10"] {
            assert_eq!(decimal(wrong, 10), None, "{wrong:?}");
        }
    }

    #[test]
    fn escapes_as_python_reads_them() {
        assert_eq!(raw_unicode_escape(b"a\\u005cu0041\xe9").unwrap(), "a\\u0041é");
        assert_eq!(raw_unicode_escape(b"\\\\u0041").unwrap(), "\\\\u0041");
        assert_eq!(raw_unicode_escape(b"\\U0001f600\\ud83d\\ude00").unwrap(), "😀😀");
        for wrong in [&b"\\u12"[..], b"\\uzzzz", b"\\ud800", b"\\ud800a", b"\\udc00", b"\\U00110000"] {
            assert!(raw_unicode_escape(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(string_escape(b"a\\n\\x41\\101\\0\\q\\\\\\'").unwrap(), b"a\nAA\0\\q\\'");
        for wrong in [&b"\\"[..], b"\\x4", b"\\xzz"] {
            assert!(string_escape(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_128_bit_number_keeps_its_value(value: i128) {
            match decimal(value.to_string().as_bytes(), 40).unwrap() {
                Decimal::Small(read) => prop_assert_eq!(i128::from(read), value),
                Decimal::Big(bytes) => {
                    let whole = value.to_le_bytes();
                    prop_assert!(bytes.len() > 8);
                    prop_assert_eq!(&bytes[..], shortest(&whole));
                }
            }
        }
    }
}
