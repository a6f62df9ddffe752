//! Tensors as the rows that an engine takes: a matrix, or one column per feature.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::servable::{RunError, TensorSpec};
use crate::tensor::{Elements, Tensor};

/// The input that is a matrix.
pub(super) const INPUTS: &str = "inputs";
/// The output of a signature that is one method.
pub(super) const OUTPUTS: &str = "outputs";
/// The signature with one input per column, by name.
pub(super) const COLUMNS: &str = "columns";

/// Any number of rows, of so many columns; `None` for one value per row.
pub(super) fn dims(width: Option<usize>) -> SmallVec<[Option<usize>; 2]> {
    std::iter::once(None).chain(width.map(Some)).collect()
}

/// Why `input` is no matrix of so many columns, in scikit-learn's words, with what was sent
/// instead of its values.
pub(super) fn not_a_matrix(input: &Tensor, takes: usize) -> RunError {
    let shape = input.shape();
    RunError::InvalidInput(match shape.rank() {
        rank @ 0..=1 => {
            let found = if rank == 0 { "scalar" } else { "1D" };
            format!(
                "Expected 2D array, got {found} array instead: input `{INPUTS}` has shape {shape}. Reshape your data \
                 to [-1,{takes}]: one row per sample, one column per feature."
            )
        }
        rank => format!(
            "Found array with dim {rank}, while dim <= 2 is required: input `{INPUTS}` has shape {shape}, and \
             [-1,{takes}] is expected."
        ),
    })
}

/// One value per row from each column, side by side: the number of rows, and row-major values.
pub(super) fn join_columns(specs: &[TensorSpec], columns: &[Tensor]) -> Result<(usize, Vec<f64>), RunError> {
    let (rows, width) = (same_length(specs, columns)?, columns.len());
    let mut values = vec![0.0; rows * width];
    for (i, (spec, column)) in specs.iter().zip(columns).enumerate() {
        let source = as_f64(&spec.name, column)?;
        for (value, &given) in values.iter_mut().skip(i).step_by(width).zip(source.iter()) {
            *value = given;
        }
    }
    Ok((rows, values))
}

/// The rows of columns, each of one value per row.
pub(super) fn same_length(specs: &[TensorSpec], columns: &[Tensor]) -> Result<usize, RunError> {
    let rows = columns.first().map_or(0, |column| column.elements().len());
    // All of them before anything is allocated: one long column must not pay for many short ones.
    for (spec, column) in specs.iter().zip(columns) {
        let shape = column.shape();
        if shape.rank() != 1 {
            let message =
                format!("column `{}` has shape {shape}; [-1] is expected, one value per row", spec.name);
            return Err(RunError::InvalidInput(message));
        }
        if shape[0] != rows {
            let (name, first) = (&spec.name, &specs[0].name);
            let message = format!("column `{name}` has {} rows, but column `{first}` has {rows}", shape[0]);
            return Err(RunError::InvalidInput(message));
        }
    }
    Ok(rows)
}

/// The elements as numpy's `astype(float64)` has them; doubles are not copied.
pub(super) fn as_f64<'a>(name: &str, tensor: &'a Tensor) -> Result<Cow<'a, [f64]>, RunError> {
    #[allow(clippy::cast_precision_loss, reason = "as numpy's astype does")]
    Ok(Cow::Owned(match tensor.elements() {
        Elements::F64(values) => return Ok(Cow::Borrowed(values)),
        Elements::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::F16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::BF16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::I8(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::I16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::I64(values) => values.iter().map(|&value| value as f64).collect(),
        Elements::U8(values) | Elements::Bool(values) => {
            values.iter().map(|&value| f64::from(value)).collect()
        }
        Elements::U16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::U32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::U64(values) => values.iter().map(|&value| value as f64).collect(),
        Elements::C64(_) | Elements::C128(_) | Elements::Strings(_) => {
            let message = format!("input `{name}` is {}; expected real numbers", tensor.dtype());
            return Err(RunError::InvalidInput(message));
        }
    }))
}
