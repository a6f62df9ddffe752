//! Gaussian processes: what is known of some points tells what others are like.
//!
//! Source: `sklearn.gaussian_process`; Rasmussen and Williams, Gaussian Processes for Machine
//! Learning, 2006.

mod classifier;
mod covariance;
mod regressor;

use super::ModelError;
use super::attributes::Matrix;
use super::math::dot;
use super::registry::Row;
use super::state::Part;

const PROCESS: &str = "sklearn.gaussian_process";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(PROCESS, "GaussianProcessClassifier", &["_gpc", "gpc"], classifier::build),
    Row::new(PROCESS, "GaussianProcessRegressor", &["_gpr", "gpr"], regressor::build),
];

/// The points that a process was fitted on.
fn training_points(part: &Part<'_>) -> Result<Matrix, ModelError> {
    const NAME: &str = "X_train_";
    let points = part.matrix(NAME)?;
    if points.values.is_empty() {
        return Err(part.refuse(NAME, "is empty"));
    }
    Ok(points)
}

/// A lower triangular matrix: the Cholesky factor of a covariance.
#[derive(Debug)]
struct Triangle {
    /// `[n, n]`, row-major; what is above the diagonal is not looked at.
    values: Vec<f64>,
    n: usize,
}

impl Triangle {
    fn read(part: &Part<'_>, n: usize) -> Result<Self, ModelError> {
        const NAME: &str = "L_";
        let matrix = part.matrix_of(NAME, n)?;
        if matrix.rows != n {
            return Err(part.refuse(NAME, format!("has {} rows; expected {n}", matrix.rows)));
        }
        Ok(Self { values: matrix.values, n })
    }

    /// The squared length of what the matrix makes `right` of, which is overwritten with it.
    fn solved_square(&self, right: &mut [f64]) -> f64 {
        for (i, row) in self.values.chunks_exact(self.n).enumerate() {
            right[i] = (right[i] - dot(&row[..i], &right[..i])) / row[i];
        }
        dot(right, right)
    }
}
