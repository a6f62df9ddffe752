//! Normal distributions of several dimensions.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::math::Affine;
use super::{bounded, flat};
use crate::servable::RunError;

/// What makes a distribution the standard one: its mean taken off, and then directions, or
/// scales of the features.
#[derive(Debug)]
pub(super) struct Standard {
    mean: Vec<f64>,
    axes: Axes,
}

#[derive(Debug)]
enum Axes {
    /// Distributions may share them.
    Directions(Arc<Affine>),
    Scales(Vec<f64>),
}

impl Standard {
    /// The distribution of this mean with these [`directions`].
    pub(super) fn new(mean: &[f64], directions: Arc<Affine>) -> Self {
        Self { mean: mean.to_vec(), axes: Axes::Directions(directions) }
    }

    /// One scale for each feature.
    pub(super) fn scaled(mean: &[f64], scales: Vec<f64>) -> Self {
        Self { mean: mean.to_vec(), axes: Axes::Scales(scales) }
    }

    /// The squared Mahalanobis distance of each row from the mean.
    pub(super) fn squares(&self, x: ArrayView2<'_, f64>) -> Vec<f64> {
        let rows = flat(&x).chunks_exact(self.mean.len());
        match &self.axes {
            Axes::Scales(scales) => rows.map(|row| scaled_square(row, &self.mean, scales)).collect(),
            Axes::Directions(directions) => {
                let centred: Vec<f64> = rows
                    .flat_map(|row| row.iter().zip(&self.mean).map(|(value, mean)| value - mean))
                    .collect();
                // It has the shape of `x`, which is a matrix already.
                let moved = match ArrayView2::from_shape(x.dim(), &centred) {
                    Ok(centred) => directions.apply(centred),
                    Err(_) => Vec::new(),
                };
                let square = |row: &[f64]| row.iter().map(|value| value * value).sum();
                moved.chunks_exact(directions.outputs()).map(square).collect()
            }
        }
    }
}

/// Several distributions, each with the logarithm of its density, and of how often it is drawn
/// from, at its mean.
#[derive(Debug, Default)]
pub(super) struct Normals {
    pub(super) standard: Vec<Standard>,
    pub(super) base: Vec<f64>,
}

impl Normals {
    pub(super) fn len(&self) -> usize {
        self.base.len()
    }

    /// The logarithm of how often each distribution gives a row like this: `[rows, distributions]`.
    pub(super) fn log_densities(&self, x: ArrayView2<'_, f64>, class: &str) -> Result<Vec<f64>, RunError> {
        let count = self.len();
        bounded(class, x.nrows(), count)?;
        let mut logs = vec![0.0; x.nrows() * count];
        for (k, (standard, base)) in self.standard.iter().zip(&self.base).enumerate() {
            let own = logs.iter_mut().skip(k).step_by(count);
            own.zip(standard.squares(x)).for_each(|(log, square)| *log = base - 0.5 * square);
        }
        Ok(logs)
    }
}

/// `values` is `[directions, features]`, one row per direction, neither of them 0.
pub(super) fn directions(values: Vec<f64>, features: usize) -> Arc<Affine> {
    let count = values.len() / features;
    Arc::new(Affine::new(values, vec![0.0; count], features))
}

fn scaled_square(row: &[f64], mean: &[f64], scales: &[f64]) -> f64 {
    let features = row.iter().zip(mean).zip(scales);
    features.map(|((value, mean), scale)| (value - mean) * scale).map(|value| value * value).sum()
}
