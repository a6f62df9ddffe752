//! `QuantileTransformer`: each value's place among the fitted ones.

use ndarray::ArrayView2;

use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// So near to an end of the fitted values, a value counts as the end.
const BOUNDS_THRESHOLD: f64 = 1e-7;

#[derive(Debug)]
struct QuantileTransformer {
    facts: Facts,
    /// The quantiles of each column, rising; and the same negated, from the end.
    columns: Vec<(Vec<f64>, Vec<f64>)>,
    /// Which quantiles these are, from 0 to 1; and the same negated, from the end.
    references: (Vec<f64>, Vec<f64>),
    normal: bool,
}

/// Source: `sklearn.preprocessing.QuantileTransformer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let quantiles = part.matrix("quantiles_")?;
    let n_features = part.n_features(quantiles.columns, "quantiles_")?;
    let references = part.vector_of("references_", quantiles.rows)?;
    if quantiles.rows == 0 || !references.is_sorted() {
        return Err(part.refuse("references_", "are no rising numbers"));
    }
    let negated = |values: &[f64]| values.iter().rev().map(|value| -value).collect::<Vec<f64>>();
    let mut columns = Vec::with_capacity(n_features);
    for i in 0..n_features {
        let column: Vec<f64> = quantiles.iter().map(|row| row[i]).collect();
        if !column.is_sorted() {
            return Err(part.refuse("quantiles_", format!("do not rise in column {i}")));
        }
        let from_end = negated(&column);
        columns.push((column, from_end));
    }
    let normal = part.one_of("output_distribution", "uniform", &["uniform", "normal"])? == "normal";
    let methods = vec![Spec::transform(n_features), Spec::inverse_transform(n_features, n_features)];
    let facts = Facts::new(part, n_features, Check::FiniteOrNan, methods)?;
    let from_end = negated(&references);
    Ok(Box::new(QuantileTransformer { facts, columns, references: (references, from_end), normal }))
}

/// The straight line through points whose `xs` rise. Source: `numpy.interp`.
fn interpolate(x: f64, xs: &[f64], ys: &[f64]) -> f64 {
    let after = xs.partition_point(|&known| known <= x);
    if after == 0 {
        return ys[0];
    }
    let at = after - 1;
    if after == xs.len() || xs[at] == x {
        return ys[at];
    }
    let slope = (ys[after] - ys[at]) / (xs[after] - xs[at]);
    slope * (x - xs[at]) + ys[at]
}

/// The normal distribution below `x`. Source: `scipy.special.ndtr`.
fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Its inverse for 0 < p < 1. Source: Acklam's rational approximation, then one of
/// Halley's steps, which makes it as exact as doubles are.
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let polynomial = |of: &[f64], x: f64| of.iter().fold(0.0, |sum, factor| sum * x + factor);
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    let near = if p < 0.024_25 {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / polynomial(&D, q)
    } else {
        let q = p - 0.5;
        polynomial(&A, q * q) * q / polynomial(&B, q * q)
    };
    let error = (normal_cdf(near) - p) * (2.0 * std::f64::consts::PI).sqrt() * (near * near / 2.0).exp();
    near - error / (1.0 + near * error / 2.0)
}

impl QuantileTransformer {
    /// Source: `QuantileTransformer._transform_col`.
    fn transform(&self, x: f64, (quantiles, from_end): &(Vec<f64>, Vec<f64>)) -> f64 {
        if x.is_nan() {
            return x;
        }
        let (lower, upper) = (quantiles[0], quantiles[quantiles.len() - 1]);
        let place = if self.is_at(x, lower, f64::lt) {
            0.0
        } else if self.is_at(x, upper, f64::gt) {
            1.0
        } else {
            // The middle, where several quantiles are the same.
            let (references, references_from_end) = &self.references;
            0.5 * (interpolate(x, quantiles, references) - interpolate(-x, from_end, references_from_end))
        };
        if !self.normal {
            return place;
        }
        let bound = normal_quantile(BOUNDS_THRESHOLD - f64::EPSILON);
        if place <= 0.0 {
            bound
        } else if place >= 1.0 {
            -bound
        } else {
            normal_quantile(place).clamp(bound, -bound)
        }
    }

    fn invert(&self, x: f64, (quantiles, _): &(Vec<f64>, Vec<f64>)) -> f64 {
        if x.is_nan() {
            return x;
        }
        let place = if self.normal { normal_cdf(x) } else { x };
        if self.is_at(place, 0.0, f64::lt) {
            quantiles[0]
        } else if self.is_at(place, 1.0, f64::gt) {
            quantiles[quantiles.len() - 1]
        } else {
            interpolate(place, &self.references.0, quantiles)
        }
    }

    /// Whether a value counts as this end. The upper end of a column of one value is the lower too.
    fn is_at(&self, x: f64, end: f64, beyond: fn(&f64, &f64) -> bool) -> bool {
        if !self.normal {
            return x == end;
        }
        let towards = if beyond(&0.0, &1.0) { -BOUNDS_THRESHOLD } else { BOUNDS_THRESHOLD };
        beyond(&(x + towards), &end)
    }
}

impl Estimator for QuantileTransformer {
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
            let mut values = flat(&x).to_vec();
            for row in values.chunks_exact_mut(self.columns.len()) {
                for (value, column) in row.iter_mut().zip(&self.columns) {
                    *value = match method {
                        Method::InverseTransform => self.invert(*value, column),
                        _ => self.transform(*value, column),
                    };
                }
            }
            answers.push(answer(x.nrows(), Some(self.columns.len()), values.into())?);
        }
        Ok(())
    }
}
