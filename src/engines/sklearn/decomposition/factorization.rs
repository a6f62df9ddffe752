//! `NMF` and `MiniBatchNMF`: rows as sums of parts, none of them negative.
//!
//! scikit-learn looks for the weights of all rows that are asked together, and stops when
//! they move little as a whole. Here each row is answered as if it was asked alone.

use ndarray::ArrayView2;

use super::linear_map::{Step, not_empty, run};
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// What keeps divisors above zero: single precision's, as in scikit-learn.
const EPSILON: f64 = f32::EPSILON as f64;
/// More rounds than these for one row are not promised to anyone.
const ROUNDS_MAX: usize = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Solver {
    /// One weight after the other. Cichocki and Phan, 2009.
    CoordinateDescent,
    /// All weights at once, by factors. Févotte and Idier, 2011. `until_still`: what
    /// ends it is that the weights rest, else that the error does.
    Multiplicative { beta: f64, gamma: f64, until_still: bool },
}

#[derive(Debug)]
struct Factorization {
    facts: Facts,
    /// `[components, features]`.
    parts: Matrix,
    /// The products of the parts with each other.
    gram: Matrix,
    solver: Solver,
    /// What a weight costs, and its square.
    costs: (f64, f64),
    rounds: usize,
    tolerance: f64,
    back: Vec<Step>,
}

/// Source: `sklearn.decomposition.NMF`, `MiniBatchNMF`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let parts = not_empty(part, "components_")?;
    let n_features = part.n_features(parts.columns, "components_")?;
    let mini = part.class == "MiniBatchNMF";
    let beta = match part.attr("beta_loss") {
        None => 2.0,
        Some(value) => match (value.as_f64(), value.to_str().as_deref()) {
            (Some(beta), _) if beta.is_finite() => beta,
            (_, Some("frobenius")) => 2.0,
            (_, Some("kullback-leibler")) => 1.0,
            (_, Some("itakura-saito")) => 0.0,
            _ => return Err(part.unexpected("beta_loss", value, "a number, or the name of a divergence")),
        },
    };
    let gamma = match beta {
        beta if beta < 1.0 => 1.0 / (2.0 - beta),
        beta if beta > 2.0 => 1.0 / (beta - 1.0),
        _ => 1.0,
    };
    let solver = if !mini && part.one_of("solver", "cd", &["cd", "mu"])? == "cd" {
        if part.flag("shuffle", false)? {
            return Err(part.refuse("shuffle", "is True: what it answers depends on chance"));
        }
        Solver::CoordinateDescent
    } else {
        Solver::Multiplicative { beta, gamma, until_still: mini }
    };
    let rounds = match part.attr("transform_max_iter") {
        Some(_) if mini => part.count("transform_max_iter")?,
        _ => part.count("max_iter")?,
    };
    if rounds > ROUNDS_MAX {
        return Err(part.refuse("max_iter", format!("is {rounds}; at most {ROUNDS_MAX} rounds are made")));
    }
    let costs = costs(part, n_features)?;
    let tolerance = part.number("tol")?;
    let methods = vec![Spec::transform(parts.rows), Spec::inverse_transform(parts.rows, n_features)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    let back = vec![Step::times_transposed(&parts.transposed())];
    if !parts.has_gram() {
        let why = format!("has {} rows, more than are compared with each other", parts.rows);
        return Err(part.refuse("components_", why));
    }
    let gram = parts.times(&parts.transposed());
    Ok(Box::new(Factorization { facts, parts, gram, solver, costs, rounds, tolerance, back }))
}

fn costs(part: &Part<'_>, n_features: usize) -> Result<(f64, f64), ModelError> {
    let share = part.number_or("l1_ratio", 0.0)?;
    #[allow(clippy::cast_precision_loss, reason = "a number of features")]
    let scaled = |alpha: f64| alpha * n_features as f64;
    // Until 1.2 there was one weight for all, which was not scaled.
    let old = part.attr("alpha").and_then(|alpha| alpha.as_f64());
    let alpha = match old {
        Some(alpha) => {
            let on = part.one_of(
                "regularization",
                "both",
                &["both", "components", "transformation", "deprecated"],
            )?;
            if on == "components" { 0.0 } else { alpha }
        }
        None => scaled(part.number_or("alpha_W", 0.0)?),
    };
    if !(alpha >= 0.0 && (0.0..=1.0).contains(&share)) {
        return Err(part.refuse("l1_ratio", "and the weight of the penalty have to be 0 or above"));
    }
    Ok((alpha * share, alpha * (1.0 - share)))
}

impl Factorization {
    fn weights(&self, row: &[f64]) -> Vec<f64> {
        match self.solver {
            Solver::CoordinateDescent => self.descend(row),
            Solver::Multiplicative { beta, gamma, until_still } => {
                self.multiply(row, beta, gamma, until_still)
            }
        }
    }

    fn products(&self, row: &[f64]) -> Vec<f64> {
        self.parts.iter().map(|part| part.iter().zip(row).map(|(p, x)| p * x).sum()).collect()
    }

    /// Source: `sklearn.decomposition._cdnmf_fast`.
    fn descend(&self, row: &[f64]) -> Vec<f64> {
        let (first, second) = self.costs;
        let products = self.products(row);
        let mut weights = vec![0.0; self.parts.rows];
        let mut at_first = 0.0;
        for round in 0..self.rounds {
            let mut violation = 0.0;
            for t in 0..weights.len() {
                let gram = self.gram.row(t);
                let others: f64 = gram.iter().zip(&weights).map(|(g, w)| g * w).sum();
                let gradient = others + second * weights[t] - (products[t] - first);
                let projected = if weights[t] == 0.0 { gradient.min(0.0) } else { gradient };
                violation += projected.abs();
                let curvature = gram[t] + second;
                if curvature != 0.0 {
                    weights[t] = (weights[t] - gradient / curvature).max(0.0);
                }
            }
            if round == 0 {
                at_first = violation;
            }
            if at_first == 0.0 || violation / at_first <= self.tolerance {
                break;
            }
        }
        weights
    }

    /// Source: `sklearn.decomposition._nmf._multiplicative_update_w`.
    fn multiply(&self, row: &[f64], beta: f64, gamma: f64, until_still: bool) -> Vec<f64> {
        let count = self.parts.rows;
        #[allow(clippy::cast_precision_loss, reason = "numbers of features and components")]
        let start = (row.iter().sum::<f64>() / row.len() as f64 / count as f64).sqrt();
        let mut weights = vec![start; count];
        let products = self.products(row);
        let at_first = self.divergence(row, &weights, beta);
        let mut before = at_first;
        for round in 1..=self.rounds {
            let last = weights.clone();
            let (over, under) = self.factors(row, &weights, &products, beta);
            for ((weight, over), under) in weights.iter_mut().zip(over).zip(under) {
                let under = under + self.costs.0 + self.costs.1 * *weight;
                let factor = over / if under == 0.0 { EPSILON } else { under };
                *weight *= if gamma == 1.0 { factor } else { factor.powf(gamma) };
            }
            if until_still {
                let length =
                    |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
                let moved = length(&mut weights.iter().zip(&last).map(|(a, b)| a - b));
                if self.tolerance > 0.0 && moved / length(&mut weights.iter().copied()) <= self.tolerance {
                    break;
                }
                continue;
            }
            if beta < 1.0 {
                weights.iter_mut().filter(|w| **w < f64::EPSILON).for_each(|weight| *weight = 0.0);
            }
            if self.tolerance > 0.0 && round % 10 == 0 {
                let error = self.divergence(row, &weights, beta);
                if (before - error) / at_first < self.tolerance {
                    break;
                }
                before = error;
            }
        }
        weights
    }

    /// The row that the weights make.
    fn made(&self, weights: &[f64]) -> Vec<f64> {
        let mut made = vec![0.0; self.parts.columns];
        for (part, weight) in self.parts.iter().zip(weights) {
            made.iter_mut().zip(part).for_each(|(sum, p)| *sum += weight * p);
        }
        made
    }

    fn factors(&self, row: &[f64], weights: &[f64], products: &[f64], beta: f64) -> (Vec<f64>, Vec<f64>) {
        if beta == 2.0 {
            let under = self.gram.iter().map(|gram| gram.iter().zip(weights).map(|(g, w)| g * w).sum());
            return (products.to_vec(), under.collect());
        }
        let made = self.made(weights);
        let safe = |value: f64, below: bool| if below && value < EPSILON { EPSILON } else { value };
        let ratio = |(&x, &made): (&f64, &f64)| {
            let made = safe(made, beta < 2.0);
            if beta == 1.0 { x / made } else { made.powf(beta - 2.0) * x }
        };
        let ratios: Vec<f64> = row.iter().zip(&made).map(ratio).collect();
        let powers: Vec<f64> = made.iter().map(|&made| safe(made, beta < 1.0).powf(beta - 1.0)).collect();
        let with = |values: &[f64]| -> Vec<f64> {
            self.parts.iter().map(|part| part.iter().zip(values).map(|(p, v)| p * v).sum()).collect()
        };
        let under = if beta == 1.0 {
            self.parts.iter().map(|part| part.iter().sum()).collect()
        } else {
            with(&powers)
        };
        (with(&ratios), under)
    }

    /// Source: `sklearn.decomposition._nmf._beta_divergence`, its square root.
    fn divergence(&self, row: &[f64], weights: &[f64], beta: f64) -> f64 {
        let made = self.made(weights);
        if beta == 2.0 {
            return row.iter().zip(&made).map(|(x, m)| (x - m) * (x - m)).sum::<f64>().sqrt();
        }
        let pairs =
            || row.iter().copied().zip(made.iter().map(|m| m.max(EPSILON))).filter(|(x, _)| *x > EPSILON);
        #[allow(clippy::cast_precision_loss, reason = "a number of features")]
        let divergence = if beta == 1.0 {
            let total: f64 = made.iter().sum();
            pairs().map(|(x, m)| x * (x / m).ln() - x).sum::<f64>() + total
        } else if beta == 0.0 {
            pairs().map(|(x, m)| x / m - (x / m).ln()).sum::<f64>() - row.len() as f64
        } else {
            let crossed: f64 = pairs().map(|(x, m)| x * m.powf(beta - 1.0)).sum();
            let of_row: f64 = pairs().map(|(x, _)| x.powf(beta)).sum();
            let of_made: f64 = made.iter().map(|m| m.powf(beta)).sum();
            (of_row - beta * crossed + of_made * (beta - 1.0)) / (beta * (beta - 1.0))
        };
        (2.0 * divergence.max(0.0)).sqrt()
    }
}

impl Estimator for Factorization {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for &method in wanted {
            let values = if method == Method::InverseTransform {
                run(&self.back, x)?
            } else {
                if flat(&x).iter().any(|&value| value < 0.0) {
                    let why = format!("Negative values in data passed to {} (input X)", self.facts.class);
                    return Err(RunError::InvalidInput(why));
                }
                flat(&x).chunks_exact(self.facts.n_features).flat_map(|row| self.weights(row)).collect()
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}
