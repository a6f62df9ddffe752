//! Columns picked out of samples, and frames side by side.

use ndarray::{Array2, s};

use crate::engines::sklearn::bounded;
use crate::engines::sklearn::samples::{Column, Csr, Frame, Samples, Table};
use crate::servable::RunError;

/// These columns of the samples, in this order; each is below their width.
pub(in crate::engines::sklearn) fn pick(x: Samples<'_>, columns: &[usize]) -> Frame {
    match x {
        Samples::Dense(x) => {
            let mut picked = Vec::with_capacity(x.nrows() * columns.len());
            for row in x.rows() {
                picked.extend(columns.iter().map(|&column| row[column]));
            }
            let picked = Array2::from_shape_vec((x.nrows(), columns.len()), picked);
            Frame::Dense(picked.expect("it has a value for each row and column"))
        }
        Samples::Sparse(x) => Frame::Sparse(pick_sparse(x, columns)),
        Samples::Texts(_) | Samples::Table(_) => {
            let picked: Vec<Column> = columns.iter().map(|&column| x.column(column).into_owned()).collect();
            Frame::Table(Table::new(x.rows(), picked))
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "places of columns that a sparse matrix has")]
fn pick_sparse(x: &Csr, columns: &[usize]) -> Csr {
    let mut picked = Csr::new(columns.len());
    let rising = columns.is_sorted_by(|a, b| a < b);
    for i in 0..x.rows() {
        let (places, values) = x.row(i);
        if rising {
            let entries = places.iter().zip(values);
            picked.push_row(entries.filter_map(|(&place, &value)| {
                Some((columns.binary_search(&(place as usize)).ok()? as u32, value))
            }));
        } else {
            picked.push_row(columns.iter().enumerate().filter_map(|(to, &column)| {
                let at = places.binary_search(&(column as u32)).ok()?;
                Some((to as u32, values[at]))
            }));
        }
    }
    picked
}

/// Frames of the same rows side by side, dense, as `numpy.hstack` does: where one holds
/// text, the whole is a table. `width` is that of all of them.
pub(in crate::engines::sklearn) fn join(
    class: &str,
    rows: usize,
    width: usize,
    frames: Vec<Frame>,
) -> Result<Frame, RunError> {
    bounded(class, rows, width)?;
    let is_text = |frame: &Frame| match frame {
        Frame::Dense(_) | Frame::Sparse(_) => false,
        Frame::Texts(_) => true,
        Frame::Table(table) => table.columns().iter().any(|column| matches!(column, Column::Texts(_))),
    };
    if frames.iter().any(is_text) {
        let mut columns = Vec::with_capacity(width);
        for frame in &frames {
            let samples = frame.samples();
            columns.extend((0..samples.width()).map(|i| samples.column(i).into_owned()));
        }
        return Ok(Frame::Table(Table::new(rows, columns)));
    }
    let mut all = Array2::zeros((rows, width));
    let mut start = 0;
    for frame in frames {
        let part = match frame {
            Frame::Dense(part) => part,
            other => other.samples().to_dense(class)?,
        };
        let end = start + part.ncols();
        if part.nrows() != rows || end > width {
            return Err(RunError::Internal(format!("a part of {class} has an unexpected shape")));
        }
        all.slice_mut(s![.., start..end]).assign(&part);
        start = end;
    }
    Ok(Frame::Dense(all))
}

/// Answers of the same rows, each of `width` numbers a row, side by side.
pub(in crate::engines::sklearn) fn beside(parts: &[Vec<f64>], rows: usize, width: usize) -> Vec<f64> {
    let mut all = Vec::with_capacity(rows * width * parts.len());
    for i in 0..rows {
        for part in parts {
            all.extend_from_slice(&part[i * width..(i + 1) * width]);
        }
    }
    all
}

/// Frames side by side, sparse, as `scipy.sparse.hstack` does.
#[allow(clippy::cast_possible_truncation, reason = "the width of all fits, and every column is below it")]
pub(in crate::engines::sklearn) fn join_sparse(
    class: &str,
    rows: usize,
    width: usize,
    frames: Vec<Frame>,
) -> Result<Frame, RunError> {
    if u32::try_from(width).is_err() {
        return Err(RunError::InvalidInput(format!("the answer of {class} would have {width} columns")));
    }
    let parts: Result<Vec<Frame>, RunError> = frames
        .into_iter()
        .map(|frame| match frame {
            Frame::Dense(_) | Frame::Sparse(_) => Ok(frame),
            Frame::Texts(_) | Frame::Table(_) => {
                // scikit-learn's words for what it cannot convert.
                frame.samples().to_dense(class).map(Frame::Dense).map_err(|_| {
                    RunError::InvalidInput(
                        "For a sparse output, all columns should be a numeric or convertible to a numeric."
                            .to_owned(),
                    )
                })
            }
        })
        .collect();
    let parts = parts?;
    let mut all = Csr::new(width);
    let mut entries: Vec<(u32, f64)> = Vec::new();
    for i in 0..rows {
        entries.clear();
        let mut start = 0;
        for part in &parts {
            match part {
                Frame::Sparse(part) => {
                    let (columns, values) = part.row(i);
                    let shifted = columns.iter().map(|&column| start as u32 + column);
                    entries.extend(shifted.zip(values.iter().copied()));
                    start += part.width();
                }
                Frame::Dense(part) => {
                    let row = part.row(i);
                    let kept = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
                    entries.extend(kept.map(|(column, &value)| ((start + column) as u32, value)));
                    start += part.ncols();
                }
                Frame::Texts(_) | Frame::Table(_) => {}
            }
        }
        all.push_row(entries.iter().copied());
    }
    Ok(Frame::Sparse(all))
}

/// The frame with all its numbers multiplied.
pub(in crate::engines::sklearn) fn weighted(
    class: &str,
    frame: Frame,
    weight: Option<f64>,
) -> Result<Frame, RunError> {
    let Some(weight) = weight else { return Ok(frame) };
    Ok(match frame {
        Frame::Dense(mut x) => {
            x.iter_mut().for_each(|value| *value *= weight);
            Frame::Dense(x)
        }
        Frame::Sparse(mut x) => {
            x.values_mut().iter_mut().for_each(|value| *value *= weight);
            Frame::Sparse(x)
        }
        other => {
            let mut x = other.samples().to_dense(class)?;
            x.iter_mut().for_each(|value| *value *= weight);
            Frame::Dense(x)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse() -> Csr {
        let mut x = Csr::new(4);
        x.push_row([(0, 1.0), (2, 2.0)]);
        x.push_row([(3, 3.0)]);
        x
    }

    fn dense(frame: &Frame) -> Vec<f64> {
        frame.samples().to_dense("Test").unwrap().into_raw_vec_and_offset().0
    }

    #[test]
    fn columns_are_picked_in_any_order_sparse_as_dense() {
        let x = sparse();
        let all = x.dense(0..2);
        for columns in [&[0usize, 2, 3][..], &[3, 0], &[2, 2], &[]] {
            let picked = pick(Samples::Sparse(&x), columns);
            assert!(matches!(picked, Frame::Sparse(_)));
            assert_eq!(dense(&picked), dense(&pick(Samples::Dense(all.view()), columns)), "{columns:?}");
        }
    }

    #[test]
    fn sparse_and_dense_parts_are_joined_alike() {
        let parts = || vec![Frame::Sparse(sparse()), Frame::Dense(Array2::from_elem((2, 1), -1.0))];
        let want = [1.0, 0.0, 2.0, 0.0, -1.0, 0.0, 0.0, 0.0, 3.0, -1.0];
        assert_eq!(dense(&join("Test", 2, 5, parts()).unwrap()), want);
        let joined = join_sparse("Test", 2, 5, parts()).unwrap();
        assert!(matches!(joined, Frame::Sparse(_)));
        assert_eq!(dense(&joined), want);
    }
}
