//! The few functions that linear models are made of.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::flat;
use super::samples::{Csr, Samples};
use crate::servable::RunError;

/// Models with at least so many outputs and coefficients go through a blocked
/// matrix product, whose packing costs about one pass over the coefficients. The
/// choice must not depend on the number of rows, or a row's last bits would
/// depend on its company.
const BLOCKED_OUTPUTS_MIN: usize = 4;
const BLOCKED_COEFFICIENTS_MIN: usize = 4096;

/// `x · coefᵀ + intercept`.
#[derive(Debug)]
pub(super) struct Affine {
    /// `[outputs, features]`, row-major.
    coef: Vec<f64>,
    /// One per output.
    intercept: Vec<f64>,
    features: usize,
}

impl Affine {
    /// `coef` is `[intercept.len(), features]`, neither of them 0.
    pub(super) fn new(coef: Vec<f64>, intercept: Vec<f64>, features: usize) -> Self {
        debug_assert!(features > 0 && !intercept.is_empty() && coef.len() == intercept.len() * features);
        Self { coef, intercept, features }
    }

    pub(super) fn outputs(&self) -> usize {
        self.intercept.len()
    }

    /// The same of samples of whatever kind; of sparse ones only the entries are looked at.
    pub(super) fn apply_samples(&self, x: Samples<'_>, class: &str) -> Result<Vec<f64>, RunError> {
        match x {
            Samples::Dense(x) => Ok(self.apply(x)),
            Samples::Sparse(x) => Ok(self.apply_sparse(x)),
            Samples::Texts(_) | Samples::Table(_) => Ok(self.apply(x.to_dense(class)?.view())),
        }
    }

    fn apply_sparse(&self, x: &Csr) -> Vec<f64> {
        let mut y = Vec::with_capacity(x.rows() * self.outputs());
        for i in 0..x.rows() {
            let (columns, values) = x.row(i);
            for (coef, intercept) in self.coef.chunks_exact(self.features).zip(&self.intercept) {
                let terms = columns.iter().zip(values).map(|(&column, value)| value * coef[column as usize]);
                y.push(terms.sum::<f64>() + intercept);
            }
        }
        y
    }

    /// `x` is `[rows, features]`, the answer `[rows, outputs]`, row-major.
    pub(super) fn apply(&self, x: ArrayView2<'_, f64>) -> Vec<f64> {
        let (rows, outputs) = (x.nrows(), self.outputs());
        if outputs >= BLOCKED_OUTPUTS_MIN && self.coef.len() >= BLOCKED_COEFFICIENTS_MIN {
            let mut y = self.intercept.repeat(rows);
            let coef = ArrayView2::from_shape((outputs, self.features), &self.coef);
            let sums = ArrayViewMut2::from_shape((rows, outputs), &mut y);
            if let (Ok(coef), Ok(mut sums)) = (coef, sums) {
                general_mat_mul(1.0, &x, &coef.t(), 1.0, &mut sums);
            }
            return y;
        }
        let mut y = Vec::with_capacity(rows * outputs);
        for row in flat(&x).chunks_exact(self.features) {
            let coefs = self.coef.chunks_exact(self.features);
            y.extend(coefs.zip(&self.intercept).map(|(coef, intercept)| dot(row, coef) + intercept));
        }
        y
    }
}

/// Four sums side by side, which the compiler keeps in vector registers.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; 4];
    for (a, b) in a.zip(b) {
        for i in 0..4 {
            sums[i] += a[i] * b[i];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// The logistic function. Source: `scipy.special.expit`.
pub(super) fn expit(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Softmax of one row, in place. Source: `sklearn.utils.extmath.softmax`.
pub(super) fn softmax(row: &mut [f64]) {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in &mut *row {
        *value = (*value - max).exp();
        sum += *value;
    }
    for value in row {
        *value /= sum;
    }
}

/// The logarithm of the sum of the exponentials. Source: `scipy.special.logsumexp`.
pub(super) fn log_sum_exp(row: &[f64]) -> f64 {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Without any that is finite, the largest is the answer; subtracted it would be NaN.
    let max = if max.is_finite() { max } else { 0.0 };
    row.iter().map(|value| (value - max).exp()).sum::<f64>().ln() + max
}

/// The logarithm of each class's share of a row, from logarithms of what they have.
pub(super) fn log_shares(scores: &[f64], classes: usize) -> Vec<f64> {
    let mut all = scores.to_vec();
    for row in all.chunks_exact_mut(classes) {
        let sum = log_sum_exp(row);
        row.iter_mut().for_each(|value| *value -= sum);
    }
    all
}

/// Each class's share of a row, from logarithms of what they have.
pub(super) fn shares(scores: &[f64], classes: usize) -> Vec<f64> {
    let mut all = log_shares(scores, classes);
    all.iter_mut().for_each(|value| *value = value.exp());
    all
}

/// What one-vs-one classifiers say together of each class: votes, and below 1 how sure they
/// are. `pairs` has, for each pair of classes in order, whether its second has won, if either
/// has, and how sure that is. Source: `sklearn.utils.multiclass._ovr_decision_function`.
pub(super) fn votes(pairs: impl Iterator<Item = (Option<bool>, f64)>, scores: &mut [f64]) {
    let classes = scores.len();
    let mut sums = vec![0.0; classes];
    scores.fill(0.0);
    let of_classes = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
    for ((i, j), (second, confidence)) in of_classes.zip(pairs) {
        sums[i] -= confidence;
        sums[j] += confidence;
        if let Some(second) = second {
            scores[if second { j } else { i }] += 1.0;
        }
    }
    for (score, sum) in scores.iter_mut().zip(&sums) {
        *score += sum / (3.0 * (sum.abs() + 1.0));
    }
}

/// The place of the first largest value; a NaN counts as largest. Source: `numpy.argmax`.
pub(super) fn argmax(row: &[f64]) -> usize {
    let mut best = 0;
    for (i, &value) in row.iter().enumerate() {
        if value.is_nan() {
            return i;
        }
        if value > row[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(model: &Affine, x: &[f64]) -> Vec<f64> {
        let mut y = Vec::new();
        for row in x.chunks_exact(model.features) {
            for (coef, intercept) in model.coef.chunks_exact(model.features).zip(&model.intercept) {
                y.push(row.iter().zip(coef).map(|(a, b)| a * b).sum::<f64>() + intercept);
            }
        }
        y
    }

    proptest! {
        /// Both ways of multiplying give the textbook's sums, and one row of a
        /// batch gives the bits that it gives alone.
        #[test]
        fn a_product_is_right_and_a_rows_bits_are_its_own(
            rows in 0usize..7, features in 1usize..12, outputs in 1usize..6, wide: bool, seed: u64,
        ) {
            let features = if wide { features * 1100 } else { features };
            let mut state = seed | 1;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
            };
            let mut many = |n: usize| (0..n).map(|_| next()).collect::<Vec<f64>>();
            let model = Affine::new(many(outputs * features), many(outputs), features);
            let x = many(rows * features);
            let all = model.apply(ArrayView2::from_shape((rows, features), &x).unwrap());
            for (got, want) in all.iter().zip(plain(&model, &x)) {
                prop_assert!((got - want).abs() <= 1e-11, "{got} {want}");
            }
            prop_assert_eq!(all.len(), rows * outputs);
            for (row, answer) in x.chunks_exact(features).zip(all.chunks_exact(outputs)) {
                let alone = model.apply(ArrayView2::from_shape((1, features), row).unwrap());
                prop_assert_eq!(&alone[..], answer);
            }
            let sparse = Csr::of(ArrayView2::from_shape((rows, features), &x).unwrap());
            for (got, want) in model.apply_sparse(&sparse).iter().zip(&all) {
                prop_assert!((got - want).abs() <= 1e-11, "{got} {want}");
            }
        }
    }

    #[test]
    fn argmax_is_numpys() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(&[1.0, f64::NAN, 9.0]), 1);
        assert_eq!(argmax(&[f64::NEG_INFINITY, f64::NEG_INFINITY]), 0);
    }

    #[test]
    fn sums_of_exponentials_are_taken_far_out() {
        assert_eq!(log_sum_exp(&[1000.0, 1000.0]), 1000.0 + 2f64.ln());
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 2]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[0.0, f64::INFINITY]), f64::INFINITY);
        assert!(log_sum_exp(&[f64::NAN, 0.0]).is_nan());
    }

    #[test]
    fn pairs_vote_and_how_sure_they_are_breaks_ties() {
        let mut scores = [9.0; 3];
        votes([(Some(false), -2.0), (Some(true), 1.0), (Some(true), 0.5)].into_iter(), &mut scores);
        assert_eq!(scores, [1.0 + 1.0 / 6.0, -2.5 / 10.5, 2.0 + 1.5 / 7.5]);
        votes([(None, 1.0)].into_iter(), &mut scores[..2]);
        assert_eq!(scores[..2], [-1.0 / 6.0, 1.0 / 6.0]);
    }

    #[test]
    fn softmax_and_expit_stay_finite_far_out() {
        let mut row = [1000.0, -1000.0, 1000.0];
        softmax(&mut row);
        assert_eq!(row, [0.5, 0.0, 0.5]);
        assert_eq!([expit(-1e9), expit(0.0), expit(1e9)], [0.0, 0.5, 1.0]);
    }
}
