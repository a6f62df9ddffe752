//! Rows moved, stretched and multiplied by matrices, one step after the other.

use std::borrow::Cow;

use ndarray::ArrayView2;

use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::math::Affine;
use crate::engines::sklearn::samples::Csr;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{ModelError, flat};
use crate::servable::RunError;

/// One step. The lengths of its numbers are those of the rows that it is given.
#[derive(Debug)]
pub(super) enum Step {
    Subtract(Vec<f64>),
    Divide(Vec<f64>),
    Multiply(Vec<f64>),
    Add(Vec<f64>),
    Affine(Affine),
    /// The product with each row of a matrix that is mostly zero.
    Sparse(Csr),
}

impl Step {
    /// `X @ matrixᵀ`.
    pub(super) fn times_transposed(matrix: &Matrix) -> Self {
        Self::Affine(Affine::new(matrix.values.clone(), vec![0.0; matrix.rows], matrix.columns))
    }

    fn apply(&self, values: &mut Cow<'_, [f64]>, width: usize, rows: usize) -> Result<usize, RunError> {
        let each = |values: &mut [f64], by: &[f64], how: fn(f64, f64) -> f64| {
            for row in values.chunks_exact_mut(by.len()) {
                row.iter_mut().zip(by).for_each(|(value, &by)| *value = how(*value, by));
            }
        };
        match self {
            Self::Subtract(by) => each(values.to_mut(), by, |x, by| x - by),
            Self::Divide(by) => each(values.to_mut(), by, |x, by| x / by),
            Self::Multiply(by) => each(values.to_mut(), by, |x, by| x * by),
            Self::Add(by) => each(values.to_mut(), by, |x, by| x + by),
            Self::Affine(affine) => {
                let x = ArrayView2::from_shape((rows, width), &values[..]);
                let x = x.map_err(|error| RunError::Internal(error.to_string()))?;
                *values = Cow::Owned(affine.apply(x));
                return Ok(affine.outputs());
            }
            Self::Sparse(matrix) => {
                let product = |row: &[f64], i: usize| {
                    let (columns, weights) = matrix.row(i);
                    columns
                        .iter()
                        .zip(weights)
                        .map(|(&column, weight)| row[column as usize] * weight)
                        .sum::<f64>()
                };
                let rows = values.chunks_exact(width);
                let products = rows.flat_map(|row| (0..matrix.rows()).map(move |i| product(row, i)));
                *values = Cow::Owned(products.collect());
                return Ok(matrix.rows());
            }
        }
        Ok(width)
    }
}

/// All steps, row-major.
pub(super) fn run(steps: &[Step], x: ArrayView2<'_, f64>) -> Result<Vec<f64>, RunError> {
    let (rows, mut width) = x.dim();
    let mut values = Cow::Borrowed(flat(&x));
    for step in steps {
        width = step.apply(&mut values, width, rows)?;
    }
    Ok(values.into_owned())
}

/// A matrix that is not empty: an answer has at least one column, and takes at least one.
pub(super) fn not_empty(part: &Part<'_>, name: &'static str) -> Result<Matrix, ModelError> {
    let matrix = part.matrix(name)?;
    if matrix.rows == 0 || matrix.columns == 0 {
        return Err(part.refuse(name, "has no numbers; expected at least one row and column"));
    }
    Ok(matrix)
}
