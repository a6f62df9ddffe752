//! Least angle regression of one row, from what its atoms have in common with it and with
//! each other. Source: `sklearn.linear_model._least_angle._lars_path_solver`; Efron, Hastie,
//! Johnstone and Tibshirani, Least Angle Regression, 2004.

use super::coding::ROUNDS_MAX;
use crate::engines::sklearn::attributes::Matrix;

/// `numpy.finfo(numpy.float32)`: what no correlation is told apart by, and what nothing is
/// divided by less than.
const TOLERANCE: f64 = f32::EPSILON as f64;
const TINY: f64 = f32::MIN_POSITIVE as f64;

/// Which path is gone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Path {
    /// Atoms are added, so many.
    Angles { atoms: usize },
    /// That of the lasso with weights of 0 or more, down to this penalty, in so many steps.
    PositiveLasso { alpha: f64, steps: usize },
}

/// The atoms that have a weight, and what they share.
struct Active {
    /// Which atoms: the first ones have a weight.
    order: Vec<usize>,
    count: usize,
    signs: Vec<f64>,
    /// The Cholesky factor of the products of those with a weight, row by row.
    factor: Vec<Vec<f64>>,
}

impl Active {
    /// Adds the atom at the place after those with a weight; `false` when the others explain it.
    fn add(&mut self, gram: &Matrix, sign: f64) -> bool {
        let atom = gram.row(self.order[self.count]);
        let mut line: Vec<f64> = self.order[..self.count].iter().map(|&other| atom[other]).collect();
        forward(&self.factor, &mut line);
        let own = atom[self.order[self.count]];
        let rest = (own - line.iter().map(|v| v * v).sum::<f64>()).abs().sqrt().max(f64::EPSILON);
        if rest < 1e-7 {
            return false;
        }
        line.push(rest);
        self.factor.push(line);
        self.signs.push(sign);
        self.count += 1;
        true
    }

    /// Takes away the weight at a place; the atom stands right after those that have one.
    fn drop(&mut self, gram: &Matrix, place: usize) {
        self.order[place..self.count].rotate_left(1);
        self.signs.remove(place);
        self.count -= 1;
        let (count, signs) = (self.count, std::mem::take(&mut self.signs));
        self.count = 0;
        self.factor.clear();
        for sign in &signs[..count] {
            // They were independent before, and are so without one.
            if !self.add(gram, *sign) {
                break;
            }
        }
        self.signs.truncate(self.count);
    }

    /// The direction that makes the same angle with all of them, and its length's inverse.
    fn direction(&self) -> (Vec<f64>, f64) {
        let mut weights = self.signs.clone();
        forward(&self.factor, &mut weights);
        for i in (0..weights.len()).rev() {
            let known: f64 = (i + 1..weights.len()).map(|j| self.factor[j][i] * weights[j]).sum();
            weights[i] = (weights[i] - known) / self.factor[i][i];
        }
        if weights[..] == [0.0] {
            return (vec![1.0], 1.0);
        }
        let sum: f64 = weights.iter().zip(&self.signs).map(|(weight, sign)| weight * sign).sum();
        let scale = 1.0 / sum.sqrt();
        weights.iter_mut().for_each(|weight| *weight *= scale);
        (weights, scale)
    }
}

fn forward(factor: &[Vec<f64>], values: &mut [f64]) {
    for i in 0..values.len() {
        let known: f64 = (0..i).map(|j| factor[i][j] * values[j]).sum();
        values[i] = (values[i] - known) / factor[i][i];
    }
}

/// The least of these that is above 0.
fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|value| *value > 0.0).fold(f64::MAX, f64::min)
}

/// The weights of the atoms: `common` are their products with a row of so many features, `gram`
/// those with each other. `None` when the path has no end.
pub(super) fn weights(common: &[f64], gram: &Matrix, features: usize, path: Path) -> Option<Vec<f64>> {
    let (steps, penalty, lasso) = match path {
        Path::Angles { atoms } => (atoms, 0.0, false),
        Path::PositiveLasso { alpha, steps } => (steps, alpha, true),
    };
    #[allow(clippy::cast_precision_loss, reason = "a number of features")]
    let scale = features as f64;
    let mut active =
        Active { order: (0..common.len()).collect(), count: 0, signs: Vec::new(), factor: Vec::new() };
    // What the atoms without a weight have in common with the rest of the row, in their order.
    let mut shared = common.to_vec();
    let (mut code, mut before) = (vec![0.0; common.len()], vec![0.0; common.len()]);
    let mut alpha_before = 0.0;
    let (mut taken, mut dropped) = (0, false);
    for _ in 0..ROUNDS_MAX {
        let most = |best: usize, i: usize| {
            let size = |i: usize| if lasso { shared[i] } else { shared[i].abs() };
            if size(i) > size(best) { i } else { best }
        };
        let most = (0..shared.len()).fold(0, most);
        let largest = shared.get(most).map_or(0.0, |&most| if lasso { most } else { most.abs() });
        let alpha = largest / scale;
        if alpha <= penalty + TOLERANCE {
            if (alpha - penalty).abs() > TOLERANCE && taken > 0 {
                let way = (alpha_before - penalty) / (alpha_before - alpha);
                code.iter_mut()
                    .zip(&before)
                    .for_each(|(code, before)| *code = before + way * (*code - before));
            }
            return Some(code);
        }
        if taken >= steps || active.count >= common.len() {
            return Some(code);
        }
        if !dropped {
            let sign = if lasso { 1.0 } else { shared[most].signum() };
            shared.swap(0, most);
            let place = active.count;
            active.order.swap(place, place + most);
            if !active.add(gram, sign) {
                // It stays where it was, and is not looked at again.
                shared[0] = 0.0;
                shared.swap(0, most);
                continue;
            }
            shared.remove(0);
        }
        if lasso && taken > 0 && alpha_before < alpha {
            return Some(code);
        }
        let (direction, angle) = active.direction();
        let with_weight = &active.order[..active.count];
        let turned: Vec<f64> = active.order[active.count..]
            .iter()
            .map(|&atom| {
                let row = gram.row(atom);
                let sum: f64 = with_weight.iter().zip(&direction).map(|(&other, d)| row[other] * d).sum();
                (sum * 1e15).round_ties_even() / 1e15
            })
            .collect();
        let pairs = || shared.iter().zip(&turned);
        let mut length = least(pairs().map(|(c, t)| (largest - c) / (angle - t + TINY))).min(largest / angle);
        if !lasso {
            length = length.min(least(pairs().map(|(c, t)| (largest + c) / (angle + t + TINY))));
        }
        let zeros: Vec<f64> =
            with_weight.iter().zip(&direction).map(|(&atom, d)| -code[atom] / (d + TINY)).collect();
        let zero = least(zeros.iter().copied());
        dropped = zero < length;
        let gone: Vec<usize> = (0..zeros.len()).rev().filter(|&i| dropped && zeros[i] == zero).collect();
        if dropped && lasso {
            length = zero;
        }
        for &i in &gone {
            active.signs[i] = -active.signs[i];
        }
        taken += 1;
        alpha_before = alpha;
        before = std::mem::replace(&mut code, vec![0.0; common.len()]);
        for (&atom, d) in active.order[..active.count].iter().zip(&direction) {
            code[atom] = before[atom] + length * d;
        }
        shared.iter_mut().zip(&turned).for_each(|(shared, turned)| *shared -= length * turned);
        if dropped && lasso {
            for &i in &gone {
                let atom = active.order[i];
                active.drop(gram, i);
                let explained: f64 = gram.row(atom).iter().zip(&code).map(|(g, c)| g * c).sum();
                shared.insert(0, common[atom] - explained);
            }
        }
    }
    None
}
