//! What is done with scores before they are given.
//!
//! Source: the ONNX-ML specification for the names; onnxruntime's `ml_common.h` for what
//! it leaves open, such as the constants of the inverse error function.

use ndarray::NdFloat;

use super::super::attributes::Attributes;

/// `post_transform` of an operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum PostTransform {
    #[default]
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

impl PostTransform {
    /// Of the attribute that has it as a text.
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, String> {
        match attributes.text("post_transform")? {
            None | Some("NONE") => Ok(Self::None),
            Some("SOFTMAX") => Ok(Self::Softmax),
            Some("LOGISTIC") => Ok(Self::Logistic),
            Some("SOFTMAX_ZERO") => Ok(Self::SoftmaxZero),
            Some("PROBIT") => Ok(Self::Probit),
            Some(other) => Err(format!("post_transform {other:?} is none that is known")),
        }
    }

    /// Of `TreeEnsemble`, which has it as a number.
    pub(super) fn number(number: i64) -> Result<Self, String> {
        let known = [Self::None, Self::Softmax, Self::Logistic, Self::SoftmaxZero, Self::Probit];
        let at = usize::try_from(number).ok();
        let found = at.and_then(|at| known.get(at).copied());
        found.ok_or_else(|| format!("post_transform {number} is none that is known"))
    }

    /// Of the scores of one row, at least two.
    pub(super) fn apply<T: NdFloat>(self, scores: &mut [T]) {
        match self {
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
            Self::Softmax => softmax(scores),
            Self::SoftmaxZero => softmax_zero(scores),
        }
    }
}

/// How the one score of two classes becomes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    /// It stays one.
    No,
    /// It is a probability: the other is 1 less it.
    Complement,
    /// It has a sign: the other has the other.
    Opposite,
}

/// The scores that one score of two classes becomes. Room for the second is behind it.
pub(super) fn binary<T: NdFloat>(score: T, transform: PostTransform, second: Second, out: &mut [T]) {
    let pair = match (transform, second) {
        (PostTransform::Probit, _) => [probit(score), T::zero()],
        (_, Second::No) => [score, T::zero()],
        (PostTransform::Logistic, _) => [logistic(-score), logistic(score)],
        (_, Second::Complement) => [T::one() - score, score],
        (_, Second::Opposite) => [-score, score],
    };
    out.iter_mut().zip(pair).for_each(|(out, score)| *out = score);
}

/// 1 / (1 + e^-x).
pub(super) fn logistic<T: NdFloat>(x: T) -> T {
    let v = T::one() / (T::one() + (-x.abs()).exp());
    if x < T::zero() { T::one() - v } else { v }
}

/// The inverse of the normal distribution, as far as an approximation of the inverse
/// error function by Winitzki (2008) goes; in single precision, on whose digits it depends.
pub(super) fn probit<T: NdFloat>(x: T) -> T {
    let single = x.to_f32().unwrap_or(f32::NAN);
    T::from(std::f32::consts::SQRT_2 * inverse_erf(2.0 * single - 1.0)).unwrap_or_else(T::nan)
}

fn inverse_erf(x: f32) -> f32 {
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = ((1.0 - x) * (1.0 + x)).ln();
    #[allow(clippy::approx_constant, reason = "the one that onnxruntime has")]
    let v = 2.0 / (3.14159 * 0.147) + 0.5 * log;
    let v2 = 1.0 / 0.147 * log;
    sign * (-v + (v * v - v2).sqrt()).sqrt()
}

fn softmax<T: NdFloat>(scores: &mut [T]) {
    let most = scores.iter().copied().fold(T::neg_infinity(), T::max);
    let mut sum = T::zero();
    for score in scores.iter_mut() {
        *score = (*score - most).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// Softmax of what is not 0; what is 0 stays near it.
fn softmax_zero<T: NdFloat>(scores: &mut [T]) {
    let most = scores.iter().copied().fold(T::neg_infinity(), T::max);
    let nearly = T::from(1e-7f32).unwrap_or_else(T::zero);
    let (scale, mut sum) = ((-most).exp(), T::zero());
    for score in scores.iter_mut() {
        if score.abs() > nearly {
            *score = (*score - most).exp();
            sum += *score;
        } else {
            *score *= scale;
        }
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}
