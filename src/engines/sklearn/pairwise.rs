//! How near or how alike a sample is to each of many points: what support vectors, kernel
//! machines, processes and densities are made of.
//!
//! Source: `sklearn.metrics.pairwise`. Squared distances are summed from differences, where
//! scikit-learn expands the square: that is more exact, and no slower here.

use crate::servable::RunError;

/// Points that are compared side by side, which the compiler keeps in vector registers.
const LANES: usize = 8;

/// Many points, laid out for comparing one sample with all of them.
#[derive(Debug)]
pub(super) struct Points {
    /// `[len / LANES, features, LANES]`: points in blocks, a block feature by feature.
    blocks: Vec<f64>,
    /// Those that fill no block: `[len % LANES, features]`.
    rest: Vec<f64>,
    features: usize,
    len: usize,
}

impl Points {
    /// `values` is `[points, features]`, row-major; there is at least one feature.
    pub(super) fn new(values: &[f64], features: usize) -> Self {
        debug_assert!(features > 0 && values.len().is_multiple_of(features));
        let whole = values.chunks_exact(features * LANES);
        let rest = whole.remainder().to_vec();
        let mut blocks = Vec::with_capacity(values.len() - rest.len());
        for block in whole {
            for feature in 0..features {
                blocks.extend((0..LANES).map(|lane| block[lane * features + feature]));
            }
        }
        Self { blocks, rest, features, len: values.len() / features }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Goes through the features of each point, beginning with 0: `add(so far, x, point)`.
    /// `out` has a place for each point. The order is the same in and outside of blocks.
    #[inline]
    fn fold(&self, x: &[f64], out: &mut [f64], add: impl Fn(f64, f64, f64) -> f64) {
        let (in_blocks, others) = out.split_at_mut(self.len - self.len % LANES);
        let blocks = self.blocks.chunks_exact(self.features * LANES);
        for (block, out) in blocks.zip(in_blocks.chunks_exact_mut(LANES)) {
            let mut sums = [0.0; LANES];
            for (&x, values) in x.iter().zip(block.chunks_exact(LANES)) {
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum = add(*sum, x, value);
                }
            }
            out.copy_from_slice(&sums);
        }
        for (point, out) in self.rest.chunks_exact(self.features).zip(others) {
            *out = x.iter().zip(point).fold(0.0, |sum, (&x, &value)| add(sum, x, value));
        }
    }

    /// The product of the sample and each point.
    pub(super) fn dots(&self, x: &[f64], out: &mut [f64]) {
        self.fold(x, out, |sum, a, b| sum + a * b);
    }

    /// The squared Euclidean distances.
    pub(super) fn squared_distances(&self, x: &[f64], out: &mut [f64]) {
        self.fold(x, out, |sum, a, b| sum + (a - b) * (a - b));
    }

    /// The sums of absolute differences.
    pub(super) fn manhattan_distances(&self, x: &[f64], out: &mut [f64]) {
        self.fold(x, out, |sum, a, b| sum + (a - b).abs());
    }

    /// The largest absolute difference.
    pub(super) fn chebyshev_distances(&self, x: &[f64], out: &mut [f64]) {
        self.fold(x, out, |most, a, b| most.max((a - b).abs()));
    }

    /// The sums of absolute differences, each raised to `power`.
    pub(super) fn minkowski_sums(&self, x: &[f64], power: f64, out: &mut [f64]) {
        self.fold(x, out, |sum, a, b| sum + (a - b).abs().powf(power));
    }

    /// Sums of squared differences, each divided by the sum of the two.
    fn chi_squares(&self, x: &[f64], out: &mut [f64]) {
        self.fold(x, out, |sum, a, b| {
            let (difference, both) = (a - b, a + b);
            if both == 0.0 { sum } else { sum + difference * difference / both }
        });
    }
}

/// How alike two samples are. Source: `sklearn.metrics.pairwise.pairwise_kernels`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kernel {
    /// `x·y`.
    Linear,
    /// `(gamma x·y + coef0)^degree`.
    Polynomial { gamma: f64, coef0: f64, degree: f64 },
    /// `exp(-gamma |x - y|²)`.
    Rbf { gamma: f64 },
    /// `tanh(gamma x·y + coef0)`.
    Sigmoid { gamma: f64, coef0: f64 },
    /// `exp(-gamma Σ|x - y|)`.
    Laplacian { gamma: f64 },
    /// `x·y / (|x| |y|)`.
    Cosine,
    /// `-Σ (x - y)² / (x + y)`.
    AdditiveChi2,
    /// `exp(gamma` times the additive one`)`.
    Chi2 { gamma: f64 },
}

impl Kernel {
    /// The names that scikit-learn has for the kernels that are functions of two samples.
    pub(super) const NAMES: &'static [&'static str] =
        &["linear", "rbf", "poly", "polynomial", "sigmoid", "laplacian", "cosine", "chi2", "additive_chi2"];

    /// The kernel of this name, one of [`Kernel::NAMES`]. Without a `gamma` it is one over the
    /// number of features; of `chi2` it is 1.
    pub(super) fn named(name: &str, gamma: Option<f64>, coef0: f64, degree: f64, features: usize) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a number of features")]
        let scaled = gamma.unwrap_or(1.0 / features as f64);
        match name {
            "rbf" => Self::Rbf { gamma: scaled },
            "poly" | "polynomial" => Self::Polynomial { gamma: scaled, coef0, degree },
            "sigmoid" => Self::Sigmoid { gamma: scaled, coef0 },
            "laplacian" => Self::Laplacian { gamma: scaled },
            "cosine" => Self::Cosine,
            "chi2" => Self::Chi2 { gamma: gamma.unwrap_or(1.0) },
            "additive_chi2" => Self::AdditiveChi2,
            _ => Self::Linear,
        }
    }

    /// Of a product of two samples, for the kernels that are made of it.
    pub(super) fn of_dot(self, dot: f64) -> f64 {
        match self {
            Self::Polynomial { gamma, coef0, degree } => power(gamma * dot + coef0, degree),
            Self::Sigmoid { gamma, coef0 } => (gamma * dot + coef0).tanh(),
            _ => dot,
        }
    }

    /// Refuses samples that it is not for, in scikit-learn's words.
    pub(super) fn check(self, values: &[f64]) -> Result<(), RunError> {
        if matches!(self, Self::AdditiveChi2 | Self::Chi2 { .. }) && values.iter().any(|&value| value < 0.0) {
            return Err(RunError::InvalidInput("X contains negative values.".to_owned()));
        }
        Ok(())
    }
}

/// `base` raised to a power that is a small whole number, mostly.
fn power(base: f64, degree: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
    if degree.fract() == 0.0 && degree.abs() <= 64.0 { base.powi(degree as i32) } else { base.powf(degree) }
}

/// The points that samples are compared with, by a kernel.
#[derive(Debug)]
pub(super) struct Alike {
    kernel: Kernel,
    points: Points,
}

impl Alike {
    /// `values` is `[points, features]`, row-major; there is at least one feature.
    pub(super) fn new(kernel: Kernel, mut values: Vec<f64>, features: usize) -> Self {
        if kernel == Kernel::Cosine {
            values.chunks_exact_mut(features).for_each(normalise);
        }
        Self { kernel, points: Points::new(&values, features) }
    }

    pub(super) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// How many points there are.
    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// How alike the sample is to each point.
    pub(super) fn apply(&self, x: &[f64], out: &mut [f64]) {
        let points = &self.points;
        let exps = |out: &mut [f64], gamma: f64| out.iter_mut().for_each(|v| *v = (*v * gamma).exp());
        match self.kernel {
            Kernel::Linear => points.dots(x, out),
            Kernel::Polynomial { .. } | Kernel::Sigmoid { .. } => {
                points.dots(x, out);
                out.iter_mut().for_each(|dot| *dot = self.kernel.of_dot(*dot));
            }
            Kernel::Rbf { gamma } => {
                points.squared_distances(x, out);
                exps(out, -gamma);
            }
            Kernel::Laplacian { gamma } => {
                points.manhattan_distances(x, out);
                exps(out, -gamma);
            }
            Kernel::Cosine => {
                let mut x = x.to_vec();
                normalise(&mut x);
                points.dots(&x, out);
            }
            Kernel::AdditiveChi2 => {
                points.chi_squares(x, out);
                out.iter_mut().for_each(|value| *value = -*value);
            }
            Kernel::Chi2 { gamma } => {
                points.chi_squares(x, out);
                exps(out, -gamma);
            }
        }
    }

    /// How alike a sample is to itself.
    pub(super) fn of_itself(&self, x: &[f64]) -> f64 {
        let alone = Self::new(self.kernel, x.to_vec(), x.len());
        let mut out = [0.0];
        alone.apply(x, &mut out);
        out[0]
    }
}

/// To length 1; a row of zeros stays. Source: `sklearn.preprocessing.normalize`.
fn normalise(row: &mut [f64]) {
    let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
    if norm > 0.0 {
        row.iter_mut().for_each(|value| *value /= norm);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In a block or beside one, a point is compared in the same bits, and rightly.
        #[test]
        fn points_in_blocks_and_beside_them_are_compared_alike(
            points in 1usize..20, features in 1usize..6, seed in 0u32..1000,
        ) {
            let value = |i: usize| f64::from((u32::try_from(i).unwrap() * 7919 + seed) % 101) / 17.0 - 2.5;
            let values: Vec<f64> = (0..points * features).map(value).collect();
            let x: Vec<f64> = (0..features).map(|i| value(i + 500)).collect();
            let all = Points::new(&values, features);
            let (mut dots, mut squares) = (vec![0.0; points], vec![0.0; points]);
            all.dots(&x, &mut dots);
            all.squared_distances(&x, &mut squares);
            for (i, point) in values.chunks_exact(features).enumerate() {
                let mut sums = (0.0, 0.0);
                for (a, b) in x.iter().zip(point) {
                    sums = (sums.0 + a * b, sums.1 + (a - b) * (a - b));
                }
                prop_assert_eq!((dots[i], squares[i]), sums);
            }
        }
    }

    #[test]
    fn kernels_are_what_their_formulas_say() {
        let values = vec![1.0, 2.0, 0.0, 0.0];
        let of = |kernel| {
            let mut out = [0.0; 2];
            Alike::new(kernel, values.clone(), 2).apply(&[3.0, 1.0], &mut out);
            out
        };
        assert_eq!(of(Kernel::Linear), [5.0, 0.0]);
        assert_eq!(of(Kernel::Polynomial { gamma: 2.0, coef0: 1.0, degree: 2.0 }), [121.0, 1.0]);
        assert_eq!(of(Kernel::Rbf { gamma: 0.5 }), [(-2.5f64).exp(), (-5.0f64).exp()]);
        assert_eq!(of(Kernel::Laplacian { gamma: 0.5 }), [(-1.5f64).exp(), (-2.0f64).exp()]);
        assert_eq!(of(Kernel::AdditiveChi2), [-(4.0 / 4.0 + 1.0 / 3.0), -4.0]);
        let [cosine, of_nothing] = of(Kernel::Cosine);
        assert!((cosine - 5.0 / 50f64.sqrt()).abs() < 1e-15 && of_nothing == 0.0);
    }
}
