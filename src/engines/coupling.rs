//! Probabilities from the decisions between each two classes.
//!
//! Source: Platt, Probabilistic outputs for support vector machines, 1999; Wu, Lin and Weng,
//! Probability estimates for multi-class classification by pairwise coupling, 2004, algorithm
//! 2. The bounds and the end of the iteration are libsvm's, on which the digits depend.

/// However sure a pair is, the other class keeps this.
const SHARE_MIN: f64 = 1e-7;

/// The share of the first of two classes: Platt's sigmoid.
pub(super) fn share(decision: f64, a: f64, b: f64) -> f64 {
    let z = decision * a + b;
    let share = if z >= 0.0 { (-z).exp() / (1.0 + (-z).exp()) } else { 1.0 / (1.0 + z.exp()) };
    share.clamp(SHARE_MIN, 1.0 - SHARE_MIN)
}

/// Room for the numbers of one row.
#[derive(Debug)]
pub(super) struct Coupling {
    classes: usize,
    /// `[classes, classes]`: the share of the first of two classes.
    shares: Vec<f64>,
    matrix: Vec<f64>,
    product: Vec<f64>,
}

impl Coupling {
    pub(super) fn new(classes: usize) -> Self {
        let square = || vec![0.0; classes * classes];
        Self { classes, shares: square(), matrix: square(), product: vec![0.0; classes] }
    }

    /// The probabilities that agree best with the shares of the pairs, in their order.
    pub(super) fn couple(&mut self, pairs: impl Iterator<Item = f64>, p: &mut [f64]) {
        let k = self.classes;
        let at = |i: usize, j: usize| i * k + j;
        let of_classes = (0..k).flat_map(|i| (i + 1..k).map(move |j| (i, j)));
        for ((i, j), share) in of_classes.zip(pairs) {
            self.shares[at(i, j)] = share;
            self.shares[at(j, i)] = 1.0 - share;
        }
        for t in 0..k {
            let others = (0..k).filter(|&j| j != t);
            self.matrix[at(t, t)] = others.map(|j| self.shares[at(j, t)].powi(2)).sum();
            for j in t + 1..k {
                let product = -self.shares[at(j, t)] * self.shares[at(t, j)];
                self.matrix[at(t, j)] = product;
                self.matrix[at(j, t)] = product;
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "a number of classes")]
        let (share, enough) = (1.0 / k as f64, 0.005 / k as f64);
        p.fill(share);
        for _ in 0..k.max(100) {
            let mut square = 0.0;
            for ((product, row), share) in self.product.iter_mut().zip(self.matrix.chunks_exact(k)).zip(&*p) {
                *product = row.iter().zip(&*p).map(|(value, p)| value * p).sum();
                square += share * *product;
            }
            let error = self.product.iter().map(|value| (value - square).abs()).fold(0.0, f64::max);
            if error < enough {
                break;
            }
            for t in 0..k {
                let own = self.matrix[at(t, t)];
                let step = (square - self.product[t]) / own;
                p[t] += step;
                let scale = 1.0 + step;
                square = (square + step * (step * own + 2.0 * self.product[t])) / scale / scale;
                let row = &self.matrix[t * k..(t + 1) * k];
                for ((product, value), p) in self.product.iter_mut().zip(row).zip(&mut *p) {
                    *product = (*product + step * value) / scale;
                    *p /= scale;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consistent_pairs_give_the_probabilities_they_come_from() {
        let truth = [0.5, 0.3, 0.2];
        let pairs = [(0, 1), (0, 2), (1, 2)].map(|(i, j): (usize, usize)| truth[i] / (truth[i] + truth[j]));
        let mut p = [0.0; 3];
        Coupling::new(3).couple(pairs.into_iter(), &mut p);
        // libsvm stops early: its probabilities are good to 0.005.
        assert!(p.iter().zip(truth).all(|(p, truth)| (p - truth).abs() < 0.02), "{p:?}");
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn no_pair_is_quite_sure() {
        assert_eq!(share(1e9, -1.0, 0.0), 1.0 - SHARE_MIN);
        assert_eq!(share(1e9, 1.0, 0.0), SHARE_MIN);
        assert_eq!(share(0.0, 5.0, 0.0), 0.5);
    }
}
