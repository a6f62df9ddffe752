//! `KernelDensity`: how densely the fitted samples lie around a point.

use std::f64::consts::{FRAC_PI_2, PI};

use ndarray::ArrayView2;

use crate::engines::sklearn::math::log_sum_exp;
use crate::engines::sklearn::neighbors::metric::Metric;
use crate::engines::sklearn::neighbors::tree::State;
use crate::engines::sklearn::pairwise::Points;
use crate::engines::sklearn::special::{LOG_2_PI, log_ball_volume};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Density {
    facts: Facts,
    metric: Metric,
    /// The samples, row by row and side by side.
    rows: Vec<f64>,
    points: Points,
    window: Window,
    bandwidth: f64,
    /// The logarithm of each sample's weight, where they differ.
    log_weights: Option<Vec<f64>>,
    /// What makes a density of the sum of the windows.
    log_norm: f64,
}

/// How a sample's weight falls off with the distance. Source: `sklearn.neighbors._binary_tree`.
#[derive(Debug, Clone, Copy)]
enum Window {
    Gaussian,
    Tophat,
    Epanechnikov,
    Exponential,
    Linear,
    Cosine,
}

impl Window {
    /// The logarithm, at a distance in bandwidths.
    fn log(self, distance: f64) -> f64 {
        let inside = distance < 1.0;
        match self {
            Self::Gaussian => -0.5 * distance * distance,
            Self::Exponential => -distance,
            Self::Tophat if inside => 0.0,
            Self::Epanechnikov if inside => (1.0 - distance * distance).ln(),
            Self::Linear if inside => (1.0 - distance).ln(),
            Self::Cosine if inside => (FRAC_PI_2 * distance).cos().ln(),
            _ => f64::NEG_INFINITY,
        }
    }

    /// The logarithm of its integral over so many dimensions, for a bandwidth of 1.
    fn log_integral(self, dimensions: usize) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a number of features")]
        let d = dimensions as f64;
        let log_sphere = |n: f64| LOG_2_PI + log_ball_volume(n - 1.0);
        match self {
            Self::Gaussian => 0.5 * d * LOG_2_PI,
            Self::Tophat => log_ball_volume(d),
            Self::Epanechnikov => log_ball_volume(d) + (2.0 / (d + 2.0)).ln(),
            Self::Exponential => log_sphere(d - 1.0) + libm::lgamma(d),
            Self::Linear => log_ball_volume(d) - (d + 1.0).ln(),
            Self::Cosine => {
                let (mut sum, mut term) = (0.0, 2.0 / PI);
                let mut k = 1.0;
                while k <= d {
                    sum += term;
                    term *= -(d - k) * (d - k - 1.0) * (2.0 / PI) * (2.0 / PI);
                    k += 2.0;
                }
                sum.ln() + log_sphere(d - 1.0)
            }
        }
    }
}

/// Source: `sklearn.neighbors.KernelDensity.score_samples`. The sum is exact, as it is there unless
/// `atol` or `rtol` allow less.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const TREE: &str = "tree_";
    let (samples, weights) = State::read(part, TREE)?.samples();
    let samples = part.matrix_at(TREE, 0, samples)?;
    if samples.values.is_empty() {
        return Err(part.refuse(TREE, "has no samples"));
    }
    let n_features = part.n_features(samples.columns, TREE)?;
    let (count, rows) = (samples.rows, samples.values);
    let metric = Metric::read(part, n_features, ("metric", "metric_params"))?;
    let points = Points::new(&rows, n_features);
    let weights = weights.map(|weights| part.numbers_of(TREE, weights)).transpose()?;
    if weights.as_ref().is_some_and(|weights| {
        weights.len() != count || !weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0)
    }) {
        return Err(part.refuse(TREE, format!("has no weights for {count} samples")));
    }
    // Since 1.2 a bandwidth may be estimated, and stands by itself.
    let bandwidth = if part.attr("bandwidth_").is_some() { "bandwidth_" } else { "bandwidth" };
    let name = bandwidth;
    let bandwidth = part.number(name)?;
    if bandwidth <= 0.0 {
        return Err(part.refuse(name, format!("is {bandwidth}; expected a number above 0")));
    }
    let window = match part.one_of(
        "kernel",
        "gaussian",
        &["gaussian", "tophat", "epanechnikov", "exponential", "linear", "cosine"],
    )? {
        "tophat" => Window::Tophat,
        "epanechnikov" => Window::Epanechnikov,
        "exponential" => Window::Exponential,
        "linear" => Window::Linear,
        "cosine" => Window::Cosine,
        _ => Window::Gaussian,
    };
    #[allow(clippy::cast_precision_loss, reason = "a number of samples")]
    let total = weights.as_ref().map_or(count as f64, |weights| weights.iter().sum());
    #[allow(clippy::cast_precision_loss, reason = "a number of features")]
    let scale = n_features as f64 * bandwidth.ln();
    let log_norm = -window.log_integral(n_features) - scale - total.ln();
    let methods = vec![Spec::new(Method::ScoreSamples, DType::Double, Gives::One)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    let log_weights = weights.map(|weights| weights.into_iter().map(f64::ln).collect());
    Ok(Box::new(Density { facts, metric, rows, points, window, bandwidth, log_weights, log_norm }))
}

impl Estimator for Density {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let mut logs = vec![0.0; self.points.len()];
        let score = |row: &[f64]| {
            self.metric.compare_all(&self.points, &self.rows, row, &mut logs);
            for log in &mut logs {
                *log = self.window.log(self.metric.finish(*log) / self.bandwidth);
            }
            if let Some(weights) = &self.log_weights {
                logs.iter_mut().zip(weights).for_each(|(log, weight)| *log += weight);
            }
            log_sum_exp(&logs) + self.log_norm
        };
        let scores: Vec<f64> = flat(&x).chunks_exact(self.facts.n_features).map(score).collect();
        for _ in wanted {
            answers.push(answer(x.nrows(), None, scores.clone().into())?);
        }
        Ok(())
    }
}
