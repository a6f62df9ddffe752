//! Special functions that the standard library and `libm` do not have.

use std::f64::consts::PI;

/// The logarithmic derivative of the gamma function, for `x > 0`; NaN below. Good to 1e-14.
/// Source: NIST Digital Library of Mathematical Functions, 5.5.2 (recurrence) and 5.11.2.
pub(super) fn digamma(x: f64) -> f64 {
    // Bernoulli numbers over 2k: what is left out is below 1e-16 from 10 on.
    const SERIES: [f64; 7] =
        [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32760.0, 1.0 / 12.0];
    if x.is_nan() || x <= 0.0 {
        return f64::NAN;
    }
    let (mut x, mut below) = (x, 0.0);
    while x < 10.0 {
        below += 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = SERIES.iter().rev().fold(0.0, |sum, term| (sum + term) * square);
    x.ln() - 0.5 / x - series - below
}

/// The modified Bessel function of the second kind, of a real order `nu` from 0 to [`ORDER_MAX`],
/// for `x > 0`; NaN for other orders and below.
///
/// It is the integral of `exp(-x cosh t) cosh(nu t)` over `t > 0` (NIST Digital Library of
/// Mathematical Functions, 10.32.9). The integrand is smooth and falls off doubly
/// exponentially, so that the trapezoidal rule is as exact as double precision: all terms
/// are positive, and nothing cancels.
pub(super) fn bessel_k(nu: f64, x: f64) -> f64 {
    if x.is_nan() || x < 0.0 || !(0.0..=ORDER_MAX).contains(&nu) {
        return f64::NAN;
    }
    if x < 1e-300 {
        return f64::INFINITY;
    }
    // The largest exponent, at sinh t = nu / x; the sum is taken relative to it.
    let peak = (nu / x).asinh();
    let exponent = |t: f64, sign: f64| -x * t.cosh() + sign * nu * t;
    let most = exponent(peak, 1.0);
    if most < -800.0 {
        return 0.0;
    }
    // The integrand's peak is about (x² + nu²)^(-1/4) wide.
    let step = (0.6 / x.hypot(nu).sqrt()).min(0.125);
    let mut sum = 0.5 * (exponent(0.0, 1.0) - most).exp();
    let mut t = step;
    loop {
        let rising = (exponent(t, 1.0) - most).exp();
        sum += 0.5 * (rising + (exponent(t, -1.0) - most).exp());
        if t > peak && (rising.is_nan() || rising < 1e-18 * sum) {
            break;
        }
        t += step;
    }
    step * sum * most.exp()
}

/// The largest order that [`bessel_k`] is asked for: the time that it takes grows with it.
pub(super) const ORDER_MAX: f64 = 1000.0;

/// The logarithm of 2π.
pub(super) const LOG_2_PI: f64 = 1.837_877_066_409_345_3;

/// The logarithm of the volume of the unit ball in `n` dimensions.
pub(super) fn log_ball_volume(n: f64) -> f64 {
    0.5 * n * PI.ln() - libm::lgamma(0.5 * n + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `scipy.special` 1.16.
    #[test]
    fn they_are_what_scipy_has() {
        let close = |got: f64, want: f64| assert!((got - want).abs() <= 1e-13 * want.abs(), "{got} {want}");
        for (x, want) in DIGAMMA {
            close(digamma(x), want);
        }
        for (nu, x, want) in BESSEL_K {
            close(bessel_k(nu, x), want);
        }
        assert!(digamma(0.0).is_nan() && digamma(-1.5).is_nan() && bessel_k(1.0, -1.0).is_nan());
        for (x, want) in
            [(f64::INFINITY, 0.0), (1e308, 0.0), (1e5, 0.0), (0.0, f64::INFINITY), (f64::NAN, f64::NAN)]
        {
            assert_eq!(bessel_k(ORDER_MAX, x).to_bits(), want.to_bits(), "{x}");
        }
        assert!(bessel_k(ORDER_MAX, 1e-299) > 1e300);
    }

    const DIGAMMA: [(f64, f64); 6] = [
        (0.001, -1000.5755719318103),
        (0.5, -1.9635100260214235),
        (1.0, -0.5772156649015329),
        (2.5, 0.7031566406452432),
        (9.99, 2.250700372831201),
        (1234.5, 7.1180162318279985),
    ];
    const BESSEL_K: [(f64, f64, f64); 8] = [
        (0.0, 0.1, 2.427069024702017),
        (0.3, 1e-16, 116192.48107582018),
        (0.7, 0.5, 1.2384579270729803),
        (1.2, 2.0, 0.15291993267063406),
        (3.7, 5e-16, 1.113770994341987e+58),
        (2.2, 40.0, 8.909612495271162e-19),
        (25.5, 3.0, 4.553449977356725e+19),
        (1.5, 600.0, 1.3583709743187601e-262),
    ];
}
