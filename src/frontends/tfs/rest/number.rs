//! Numbers as TensorFlow Serving prints them.
//!
//! The shortest of two forms that reads back as the same number: C's `%g` (six
//! digits), else `%.9g` for floats and `%.17g` for doubles. `.0` follows what has
//! neither a point nor an exponent; infinities and NaN are bare words.

mod decimal;

use std::fmt::LowerExp;
use std::io::Write as _;

use half::{bf16, f16};

/// Appends a float.
pub(super) fn put_f32(out: &mut Vec<u8>, value: f32) {
    if !value.is_finite() {
        return put_word(out, value.is_nan(), value.is_sign_negative());
    }
    let start = out.len();
    if !put_ordinary(out, value.into(), 9, 29) {
        put_general(out, value, 6);
        if parsed::<f32>(&out[start..]) != Some(value) {
            out.truncate(start);
            put_general(out, value, 9);
        }
    }
    put_point(out, start);
}

/// Appends a double.
pub(super) fn put_f64(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        return put_word(out, value.is_nan(), value.is_sign_negative());
    }
    let start = out.len();
    if !put_ordinary(out, value, 17, 0) {
        put_general(out, value, 6);
        if parsed::<f64>(&out[start..]) != Some(value) {
            out.truncate(start);
            put_general(out, value, 17);
        }
    }
    put_point(out, start);
}

/// The same the quick way, for a number that it can be done for; says whether it was.
fn put_ordinary(out: &mut Vec<u8>, value: f64, full: usize, spare_bits: u32) -> bool {
    let Some(found) = decimal::figures(value.abs(), full, spare_bits) else { return false };
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let mut figures = [b'0'; 24];
    let mut rest = found.whole;
    for figure in figures[..found.count].iter_mut().rev() {
        *figure += (rest % 10) as u8;
        rest /= 10;
    }
    put_figures(out, &figures[..found.count], found.exponent, found.count);
    true
}

/// Appends a half: six digits are enough for every one of them.
pub(super) fn put_f16(out: &mut Vec<u8>, value: f16) {
    put_f32_short(out, value.to_f32());
}

/// Appends a bfloat16: six digits are enough for every one of them.
pub(super) fn put_bf16(out: &mut Vec<u8>, value: bf16) {
    put_f32_short(out, value.to_f32());
}

fn put_f32_short(out: &mut Vec<u8>, value: f32) {
    if !value.is_finite() {
        return put_word(out, value.is_nan(), value.is_sign_negative());
    }
    let start = out.len();
    put_general(out, value, 6);
    put_point(out, start);
}

fn put_word(out: &mut Vec<u8>, nan: bool, negative: bool) {
    out.extend_from_slice(match (nan, negative) {
        (true, _) => b"NaN",
        (false, true) => b"-Infinity",
        (false, false) => b"Infinity",
    });
}

fn put_point(out: &mut Vec<u8>, start: usize) {
    if !out[start..].iter().any(|byte| matches!(byte, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// C's `%.{digits}g`. Source: C11 7.21.6.1.
fn put_general(out: &mut Vec<u8>, value: impl LowerExp, digits: usize) {
    // `-1.234500e-7`: sign, digits with a point behind the first, exponent.
    let mut scientific = [0u8; 40];
    let mut rest = &mut scientific[..];
    let space = rest.len();
    if write!(rest, "{value:.*e}", digits - 1).is_err() {
        return; // 17 digits, two signs, a point and `e308` fit in 40 bytes.
    }
    let used = space - rest.len();
    let text = &scientific[..used];
    let at = text.iter().rposition(|&byte| byte == b'e').unwrap_or(used);
    let exponent: i32 = parsed(&text[(at + 1).min(used)..]).unwrap_or(0);
    let mut mantissa = &text[..at];
    if let Some(unsigned) = mantissa.strip_prefix(b"-") {
        out.push(b'-');
        mantissa = unsigned;
    }
    let mut figures = [b'0'; 24];
    let mut count = 0;
    for &byte in mantissa.iter().filter(|&&byte| byte != b'.') {
        figures[count] = byte;
        count += 1;
    }
    put_figures(out, &figures[..count], exponent, digits);
}

/// Lays figures out as `%.{digits}g` does; the first one stands for so many powers of ten.
fn put_figures(out: &mut Vec<u8>, figures: &[u8], exponent: i32, digits: usize) {
    let zeros = figures.iter().rev().take_while(|&&figure| figure == b'0').count();
    let count = figures.len().saturating_sub(zeros).max(1);
    let figures = &figures[..count];
    if exponent < -4 || exponent >= i32::try_from(digits).unwrap_or(i32::MAX) {
        out.push(figures[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&figures[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing to a vector cannot fail.
        let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
        out.extend_from_slice(figures);
    } else {
        let whole = exponent.unsigned_abs() as usize + 1;
        if count <= whole {
            out.extend_from_slice(figures);
            out.extend(std::iter::repeat_n(b'0', whole - count));
        } else {
            out.extend_from_slice(&figures[..whole]);
            out.push(b'.');
            out.extend_from_slice(&figures[whole..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        put_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn float(value: f32) -> String {
        let mut out = Vec::new();
        put_f32(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_look_as_the_reference_prints_them() {
        for (value, want) in [
            (2.5, "2.5"),
            (3.0, "3.0"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (9_000_000.0, "9e+06"),
            (100_000.0, "100000.0"),
            (1_000_000.0, "1e+06"),
            (0.00003, "3e-05"),
            (0.0001, "0.0001"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0 / 3.0, "0.33333333333333331"),
            (1_234_567.0, "1234567.0"),
            (40.653_737_737_659_53, "40.653737737659533"),
            (1e22, "1e+22"),
            (1.5e300, "1.5e+300"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (5e-324, "4.94066e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(value), want);
        }
        for (value, want) in [
            (0.2, "0.2"),
            (1.0 / 3.0, "0.333333343"),
            (16_777_216.0, "16777216.0"),
            (3.402_823_5e38, "3.40282347e+38"),
        ] {
            assert_eq!(float(value), want);
        }
    }

    /// As it was done before there was a quicker way.
    fn double_the_long_way(value: f64) -> String {
        let mut out = Vec::new();
        put_general(&mut out, value, 6);
        if parsed::<f64>(&out) != Some(value) {
            out.clear();
            put_general(&mut out, value, 17);
        }
        put_point(&mut out, 0);
        String::from_utf8(out).unwrap()
    }

    fn float_the_long_way(value: f32) -> String {
        let mut out = Vec::new();
        put_general(&mut out, value, 6);
        if parsed::<f32>(&out) != Some(value) {
            out.clear();
            put_general(&mut out, value, 9);
        }
        put_point(&mut out, 0);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Fractions of few figures, of all figures, powers of two and their neighbours.
        #[test]
        fn the_quick_way_prints_what_the_long_way_does(
            whole in 1u64..10_000_000_000, over in 0u32..16, part in 1u64..1000, power in -20i32..55, bits: u64,
        ) {
            let power = 2f64.powi(power);
            let near = [power, power * (1.0 + f64::EPSILON), power * (1.0 - f64::EPSILON / 2.0)];
            let fractions = [whole as f64 / 10f64.powi(over as i32), whole as f64 / part as f64];
            let unit = f64::from_bits(bits >> 12 | 1023 << 52);
            for value in near.into_iter().chain(fractions).chain([unit * power, -unit]) {
                prop_assert_eq!(double(value), double_the_long_way(value));
                let single = value as f32;
                prop_assert_eq!(float(single), float_the_long_way(single));
                let single = power as f32 * (1.0 - f32::EPSILON / 2.0);
                prop_assert_eq!(float(single), float_the_long_way(single));
            }
        }

        #[test]
        fn what_is_printed_reads_back(bits in any::<u64>(), half in any::<u16>()) {
            let value = f64::from_bits(bits);
            let again: f64 = double(value).parse().unwrap();
            prop_assert!(again.to_bits() == bits || value.is_nan() && again.is_nan());
            let value = f32::from_bits(bits as u32);
            let again: f32 = float(value).parse().unwrap();
            prop_assert!(again.to_bits() == bits as u32 || value.is_nan() && again.is_nan());
            let mut out = Vec::new();
            put_f16(&mut out, f16::from_bits(half));
            out.push(b' ');
            put_bf16(&mut out, bf16::from_bits(half));
            let text = String::from_utf8(out).unwrap();
            let (first, second) = text.split_once(' ').unwrap();
            let first = f16::from_f64(first.parse().unwrap());
            let second = bf16::from_f64(second.parse().unwrap());
            prop_assert!(first.to_bits() == half || first.is_nan());
            prop_assert!(second.to_bits() == half || second.is_nan());
        }
    }
}
