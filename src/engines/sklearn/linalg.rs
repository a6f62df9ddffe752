//! What models need of linear algebra when they are built: small matrices, once.

use nalgebra::DMatrix;

use super::attributes::Matrix;
use crate::limits;

impl Matrix {
    fn to_nalgebra(&self) -> DMatrix<f64> {
        DMatrix::from_row_slice(self.rows, self.columns, &self.values)
    }

    fn from_nalgebra(matrix: &DMatrix<f64>) -> Self {
        let (rows, columns) = matrix.shape();
        Self { values: matrix.transpose().as_slice().to_vec(), rows, columns }
    }

    /// Rows for columns.
    pub(super) fn transposed(&self) -> Self {
        let values = (0..self.columns).flat_map(|j| self.iter().map(move |row| row[j])).collect();
        Self { values, rows: self.columns, columns: self.rows }
    }

    /// Whether `self · selfᵀ` is of a size that is made at load.
    pub(super) fn has_gram(&self) -> bool {
        self.rows.saturating_mul(self.rows) <= limits::SQUARE_NUMBERS_MAX
    }

    /// `self · other`, which has as many rows as this has columns.
    pub(super) fn times(&self, other: &Self) -> Self {
        debug_assert_eq!(self.columns, other.rows);
        Self::from_nalgebra(&(self.to_nalgebra() * other.to_nalgebra()))
    }

    /// The same with something added to each number of the diagonal.
    pub(super) fn plus_diagonal(mut self, add: impl Fn(usize) -> f64) -> Self {
        for i in 0..self.rows.min(self.columns) {
            self.values[i * self.columns + i] += add(i);
        }
        self
    }

    /// Each number made into another; `how` is told its row and column.
    pub(super) fn map(mut self, how: impl Fn(usize, usize, f64) -> f64) -> Self {
        for (i, row) in self.values.chunks_exact_mut(self.columns.max(1)).enumerate() {
            row.iter_mut().enumerate().for_each(|(j, value)| *value = how(i, j, *value));
        }
        self
    }

    /// The inverse of a square matrix; `None` when it has none.
    pub(super) fn inverse(&self) -> Option<Self> {
        self.to_nalgebra().try_inverse().map(|inverse| Self::from_nalgebra(&inverse))
    }

    /// The logarithm of the determinant of a square matrix; minus infinity when that is
    /// not positive. Source: `sklearn.utils.extmath.fast_logdet`.
    pub(super) fn log_determinant(&self) -> f64 {
        let lu = self.to_nalgebra().lu();
        let sign: f64 = lu.p().determinant();
        let diagonal = lu.u().diagonal();
        let negative = diagonal.iter().filter(|value| **value < 0.0).count() % 2 == 1;
        if diagonal.iter().any(|value| *value == 0.0) || (sign < 0.0) != negative {
            return f64::NEG_INFINITY;
        }
        diagonal.iter().map(|value| value.abs().ln()).sum()
    }

    /// The pseudo-inverse of a symmetric matrix. Source: `scipy.linalg.pinvh`.
    pub(super) fn pseudo_inverse_symmetric(&self) -> Self {
        let eigen = self.to_nalgebra().symmetric_eigen();
        let largest = eigen.eigenvalues.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        #[allow(clippy::cast_precision_loss, reason = "a number of features")]
        let least = largest * self.rows as f64 * f64::EPSILON;
        let inverted = eigen.eigenvalues.map(|value| if value.abs() > least { 1.0 / value } else { 0.0 });
        let vectors = &eigen.eigenvectors;
        Self::from_nalgebra(&(vectors * DMatrix::from_diagonal(&inverted) * vectors.transpose()))
    }

    /// The pseudo-inverse, by singular values. Source: `scipy.linalg.pinv`. `None` when
    /// they cannot be found.
    pub(super) fn pseudo_inverse(&self) -> Option<Self> {
        let svd = self.to_nalgebra().try_svd(true, true, f64::EPSILON, 1000)?;
        #[allow(clippy::cast_precision_loss, reason = "a number of features")]
        let least = svd.singular_values.max() * self.rows.max(self.columns) as f64 * f64::EPSILON;
        svd.pseudo_inverse(least).ok().map(|inverse| Self::from_nalgebra(&inverse))
    }
}

/// Solves `matrix · w = 1` for a positive definite `[n, n]` matrix; `None` when it is none.
pub(super) fn solve_positive(matrix: &[f64], n: usize) -> Option<Vec<f64>> {
    let factor = DMatrix::from_row_slice(n, n, matrix).cholesky()?;
    Some(factor.solve(&nalgebra::DVector::from_element(n, 1.0)).as_slice().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize, values: &[f64]) -> Matrix {
        Matrix { values: values.to_vec(), rows, columns }
    }

    #[test]
    fn products_inverses_and_determinants_are_the_textbooks() {
        let a = matrix(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(a.times(&a.transposed()), matrix(2, 2, &[14.0, 32.0, 32.0, 77.0]));
        let b = matrix(2, 2, &[4.0, 1.0, 2.0, 3.0]);
        let one = b.times(&b.inverse().unwrap());
        assert!(one.values.iter().zip([1.0, 0.0, 0.0, 1.0]).all(|(got, want)| (got - want).abs() < 1e-15));
        assert!((b.log_determinant() - 10f64.ln()).abs() < 1e-14);
        assert_eq!(matrix(2, 2, &[1.0, 2.0, 2.0, 1.0]).log_determinant(), f64::NEG_INFINITY);
        assert_eq!(matrix(2, 2, &[1.0, 2.0, 2.0, 4.0]).inverse(), None);
    }

    #[test]
    fn pseudo_inverses_invert_what_can_be() {
        let a = matrix(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let there_and_back = a.times(&a.pseudo_inverse().unwrap()).times(&a);
        assert!(there_and_back.values.iter().zip(&a.values).all(|(got, want)| (got - want).abs() < 1e-12));
        let flat = matrix(2, 2, &[2.0, 2.0, 2.0, 2.0]).pseudo_inverse_symmetric();
        assert!(flat.values.iter().all(|value| (value - 0.125).abs() < 1e-15));
    }
}
