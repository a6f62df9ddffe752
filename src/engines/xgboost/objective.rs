//! What the sums of a booster mean, by its objective.

/// How sums become predictions. Source: `ObjFunction::PredTransform`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    /// They are the predictions.
    Identity,
    /// Log-odds: a probability.
    Logistic,
    /// A logarithm.
    Exp,
    /// 1 above 0, else 0.
    Hinge,
    /// One for each class: the class of the largest, as a number.
    Softmax,
    /// One for each class: probabilities.
    Softprob,
    /// The first is a prediction; the others are what the next one is higher by, through
    /// softplus and a small gap: expectiles do not cross.
    Rising,
}

/// How a base score becomes what sums start from. Source: `ObjFunction::ProbToMargin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Identity,
    Logit,
    Log,
    /// Of [`Transform::Rising`].
    Rising,
}

/// An objective of the library's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Objective {
    pub(super) transform: Transform,
    pub(super) link: Link,
}

impl Objective {
    /// The objective of this name, in versions 1.0 to 3.4.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (transform, link) = match name {
            "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:pseudohubererror"
            | "reg:absoluteerror"
            | "reg:quantileerror"
            | "rank:pairwise"
            | "rank:ndcg"
            | "rank:map"
            | "binary:logitraw" => (Transform::Identity, Link::Identity),
            "reg:expectileerror" => (Transform::Rising, Link::Rising),
            "reg:logistic" | "binary:logistic" => (Transform::Logistic, Link::Logit),
            "binary:hinge" => (Transform::Hinge, Link::Identity),
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                (Transform::Exp, Link::Log)
            }
            "multi:softmax" => (Transform::Softmax, Link::Identity),
            "multi:softprob" => (Transform::Softprob, Link::Identity),
            _ => return None,
        };
        Some(Self { transform, link })
    }
}

impl Link {
    /// What the sums start from, where predictions start from these.
    pub(super) fn margins(self, base_scores: &[f32]) -> Vec<f32> {
        let of = |(i, &score): (usize, &f32)| match self {
            Self::Identity => score,
            Self::Logit => -(1.0 / score - 1.0).ln(),
            Self::Log => score.ln(),
            Self::Rising if i == 0 => score,
            Self::Rising => (score - base_scores[i - 1] - GAP).max(GAP).exp_m1().ln(),
        };
        base_scores.iter().enumerate().map(of).collect()
    }
}

impl Transform {
    /// Whether a row has one prediction, however many sums.
    pub(super) fn gives_one(self) -> bool {
        self == Self::Softmax
    }

    /// The predictions of rows that hold `outputs` sums each.
    pub(super) fn apply(self, mut margins: Vec<f32>, outputs: usize) -> Vec<f32> {
        match self {
            Self::Identity => {}
            Self::Logistic => margins.iter_mut().for_each(|margin| *margin = logistic(*margin)),
            Self::Exp => margins.iter_mut().for_each(|margin| *margin = margin.exp()),
            Self::Hinge => {
                margins.iter_mut().for_each(|margin| *margin = if *margin > 0.0 { 1.0 } else { 0.0 });
            }
            Self::Softmax => return margins.chunks_exact(outputs).map(largest).collect(),
            Self::Softprob => margins.chunks_exact_mut(outputs).for_each(softmax),
            Self::Rising => {
                for row in margins.chunks_exact_mut(outputs) {
                    for i in 1..row.len() {
                        row[i] = row[i - 1] + (softplus(row[i]) + GAP);
                    }
                }
            }
        }
        margins
    }
}

/// Source: `common::Sigmoid`, which keeps `exp` finite.
fn logistic(margin: f32) -> f32 {
    const EXPONENT_MAX: f32 = 88.7;
    1.0 / ((-margin).min(EXPONENT_MAX).exp() + 1.0)
}

/// What expectiles are apart at least.
const GAP: f32 = 1e-6;

/// `ln(1 + exp(x))`, without overflow.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The place of the first of the largest numbers.
#[allow(clippy::cast_precision_loss, reason = "a class, which XGBoost answers as a float")]
fn largest(margins: &[f32]) -> f32 {
    let better = |best: usize, i: usize| if margins[i] > margins[best] { i } else { best };
    (1..margins.len()).fold(0, better) as f32
}

/// Source: `common::Softmax`: the sum is double.
#[allow(clippy::cast_possible_truncation, reason = "as the library does")]
fn softmax(margins: &mut [f32]) {
    let most = margins.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for margin in margins.iter_mut() {
        *margin = (*margin - most).exp();
        sum += f64::from(*margin);
    }
    margins.iter_mut().for_each(|margin| *margin /= sum as f32);
}
