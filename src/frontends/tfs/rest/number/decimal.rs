//! The figures of ordinary numbers by exact integer arithmetic: what C's `%g` prints,
//! without printing a number and reading it back to see whether that was enough.

/// The first figures of a positive number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figures {
    /// They, as one whole number.
    pub(super) whole: u64,
    /// How many there are.
    pub(super) count: usize,
    /// The power of ten of the first one.
    pub(super) exponent: i32,
}

/// The figures that `%g` has: fewer do not name the number, so more may be needed.
const SHORT: usize = 6;
/// Where the products below stay within 128 bits.
const RANGE: std::ops::Range<f64> = 1e-5..1e15;

const POWERS: [u128; 23] = {
    let mut powers = [1; 23];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// [`SHORT`] figures of `value` if they read back as the same number, else `full` of
/// them, rounded to nearest and ties to even. The number has `spare_bits` fewer bits than a
/// double. `None` for what is too large or too small, and where it is too close to tell.
pub(super) fn figures(value: f64, full: usize, spare_bits: u32) -> Option<Figures> {
    if !RANGE.contains(&value) {
        return None;
    }
    // The number is `mantissa / 2^scale`, the scale from 3 to 69.
    let bits = value.to_bits();
    let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
    let binary = i32::try_from(bits >> 52).ok()? - 1023;
    let scale = u32::try_from(52 - binary).ok()?;
    // At most one too low: log10(2) = 0.30103.
    let mut exponent = (binary * 30103).div_euclid(100_000);
    let full_exponent = i32::try_from(full).ok()? - 1;
    let scaled = |exponent: i32| {
        let power = *POWERS.get(usize::try_from(full_exponent - exponent).ok()?)?;
        Some((mantissa * power, power))
    };
    let (mut number, mut power) = scaled(exponent)?;
    if number >> scale >= POWERS[full] {
        exponent += 1;
        (number, power) = scaled(exponent)?;
    }
    let (whole, rest, half) = ((number >> scale) as u64, number & ((1 << scale) - 1), 1 << (scale - 1));
    let up = rest > half || (rest == half && whole % 2 == 1);
    let whole = whole + u64::from(up);

    // Neighbours of the number are one `unit` away, or half of one below a power of two.
    let step = POWERS[full - SHORT] as u64;
    let short = (whole + step / 2) / step;
    let off = number.abs_diff(u128::from(short * step) << scale);
    let unit = power << spare_bits;
    let (whole, count) = if 4 * off <= unit {
        (short, SHORT)
    } else if 2 * off > unit {
        (whole, full)
    } else {
        return None;
    };
    // Rounded up to a power of ten, it has a figure too many.
    if u128::from(whole) == POWERS[count] {
        return Some(Figures { whole: whole / 10, count, exponent: exponent + 1 });
    }
    Some(Figures { whole, count, exponent })
}
