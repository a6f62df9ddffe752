//! What estimators are given and what transformers hand on: matrices, dense or
//! sparse, texts, and tables whose columns are numbers or text.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use ndarray::{Array2, ArrayView2};

use super::{Gives, answer, bounded};
use crate::servable::RunError;
use crate::tensor::{Elements, Tensor};

/// What a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers, NaN where one is missing.
    Numbers,
    /// Text.
    Texts,
    /// Nobody looks at it.
    Unused,
}

/// The samples that an estimator is given: scikit-learn's `X`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Samples<'a> {
    /// `[rows, columns]` in standard layout.
    Dense(ArrayView2<'a, f64>),
    /// `[rows, columns]`, most of them zero.
    Sparse(&'a Csr),
    /// One text for each row, without columns.
    Texts(&'a [Bytes]),
    /// Columns of different kinds.
    Table(&'a Table),
}

/// What a transformer hands on.
#[derive(Debug)]
pub(super) enum Frame {
    /// `[rows, columns]` in standard layout.
    Dense(Array2<f64>),
    /// `[rows, columns]`, most of them zero.
    Sparse(Csr),
    /// One text for each row.
    Texts(Vec<Bytes>),
    /// Columns of different kinds.
    Table(Table),
}

/// Columns of the same length, each of a kind of its own.
#[derive(Debug, Clone)]
pub(super) struct Table {
    rows: usize,
    columns: Vec<Column>,
}

/// One column of a table.
#[derive(Debug, Clone)]
pub(super) enum Column {
    Numbers(Vec<f64>),
    Texts(Vec<Bytes>),
}

impl Column {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Numbers(_) => Kind::Numbers,
            Self::Texts(_) => Kind::Texts,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }
}

impl Table {
    /// A table of these columns, all of them `rows` long.
    pub(super) fn new(rows: usize, columns: Vec<Column>) -> Self {
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        Self { rows, columns }
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The table as numbers. Text that reads as a number is one, as for numpy's
    /// `astype(float)`, whose words the error has.
    fn to_dense(&self) -> Result<Array2<f64>, RunError> {
        let mut dense = Array2::zeros((self.rows, self.columns.len()));
        for (column, mut place) in self.columns.iter().zip(dense.columns_mut()) {
            match column {
                Column::Numbers(values) => place.iter_mut().zip(values).for_each(|(to, &value)| *to = value),
                Column::Texts(values) => {
                    for (to, text) in place.iter_mut().zip(values) {
                        *to = parse_number(text)?;
                    }
                }
            }
        }
        Ok(dense)
    }
}

/// The number that a text reads as: as numpy's `astype(float)`, whose words the error has.
pub(super) fn parse_number(text: &[u8]) -> Result<f64, RunError> {
    let text = String::from_utf8_lossy(text);
    text.trim().parse().map_err(|_| {
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        RunError::InvalidInput(format!("could not convert string to float: '{shown}'"))
    })
}

/// A sparse matrix: the entries of each row, by column. What is not there is 0.
#[derive(Debug, Clone)]
pub(super) struct Csr {
    width: usize,
    /// Where each row ends among the entries, with 0 before the first.
    ends: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl Csr {
    /// A matrix of `width` columns without rows.
    pub(super) fn new(width: usize) -> Self {
        Self { width, ends: vec![0], columns: Vec::new(), values: Vec::new() }
    }

    /// The entries of a dense matrix, of no more columns than can be named.
    pub(super) fn of(dense: ArrayView2<'_, f64>) -> Self {
        let mut sparse = Self::new(dense.ncols());
        for row in dense.rows() {
            sparse.push_row((0u32..).zip(row.iter().copied()).filter(|(_, value)| *value != 0.0));
        }
        sparse
    }

    /// Adds a row of (column, value) pairs: columns below the width, rising, no doubles.
    pub(super) fn push_row(&mut self, entries: impl IntoIterator<Item = (u32, f64)>) {
        for (column, value) in entries {
            debug_assert!((column as usize) < self.width);
            self.columns.push(column);
            self.values.push(value);
        }
        self.ends.push(self.values.len());
    }

    pub(super) fn rows(&self) -> usize {
        self.ends.len() - 1
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The columns and the values of the entries of a row.
    pub(super) fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let entries = self.ends[i]..self.ends[i + 1];
        (&self.columns[entries.clone()], &self.values[entries])
    }

    /// The entries of all rows.
    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }

    /// Changes the entries of each row.
    pub(super) fn rows_mut(&mut self, mut change: impl FnMut(&mut [f64])) {
        for ends in self.ends.windows(2) {
            change(&mut self.values[ends[0]..ends[1]]);
        }
    }

    /// The same entries with other values, made of their columns and values.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = (u32, &mut f64)> {
        self.columns.iter().copied().zip(&mut self.values)
    }

    /// The same entries with other values, to scale or weigh them.
    pub(super) fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// These rows with their zeros.
    pub(super) fn dense(&self, rows: Range<usize>) -> Array2<f64> {
        let mut dense = Array2::zeros((rows.len(), self.width));
        for (i, mut to) in rows.zip(dense.rows_mut()) {
            let (columns, values) = self.row(i);
            for (&column, &value) in columns.iter().zip(values) {
                to[column as usize] = value;
            }
        }
        dense
    }
}

impl<'a> From<ArrayView2<'a, f64>> for Samples<'a> {
    fn from(x: ArrayView2<'a, f64>) -> Self {
        Self::Dense(x)
    }
}

impl Samples<'_> {
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Dense(x) => x.nrows(),
            Self::Sparse(x) => x.rows(),
            Self::Texts(x) => x.len(),
            Self::Table(x) => x.rows,
        }
    }

    /// The same samples for a shorter while.
    pub(super) fn reborrow(&self) -> Samples<'_> {
        match self {
            Self::Dense(x) => Samples::Dense(x.view()),
            Self::Sparse(x) => Samples::Sparse(x),
            Self::Texts(x) => Samples::Texts(x),
            Self::Table(x) => Samples::Table(x),
        }
    }

    /// How many columns there are; texts are one.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Dense(x) => x.ncols(),
            Self::Sparse(x) => x.width(),
            Self::Texts(_) => 1,
            Self::Table(x) => x.columns.len(),
        }
    }

    /// Column `i` by itself; `i` is below the width.
    pub(super) fn column(&self, i: usize) -> Cow<'_, Column> {
        match self {
            Self::Dense(x) => Cow::Owned(Column::Numbers(x.column(i).to_vec())),
            Self::Sparse(x) => {
                let entry = |row| {
                    let (columns, values) = x.row(row);
                    let at = columns.iter().position(|&column| column as usize == i);
                    at.map_or(0.0, |at| values[at])
                };
                Cow::Owned(Column::Numbers((0..x.rows()).map(entry).collect()))
            }
            Self::Texts(x) => Cow::Owned(Column::Texts(x.to_vec())),
            Self::Table(x) => Cow::Borrowed(&x.columns[i]),
        }
    }

    /// A copy of the samples, to hand on.
    pub(super) fn to_frame(self) -> Frame {
        match self {
            Self::Dense(x) => Frame::Dense(x.to_owned()),
            Self::Sparse(x) => Frame::Sparse(x.clone()),
            Self::Texts(x) => Frame::Texts(x.to_vec()),
            Self::Table(x) => Frame::Table(x.clone()),
        }
    }

    /// The samples as a dense matrix of numbers, all rows at once.
    pub(super) fn to_dense(self, class: &str) -> Result<Array2<f64>, RunError> {
        bounded(class, self.rows(), self.width())?;
        Ok(match self {
            Self::Dense(x) => x.to_owned(),
            Self::Sparse(x) => x.dense(0..x.rows()),
            Self::Table(x) => x.to_dense()?,
            Self::Texts(x) => Table::new(x.len(), vec![Column::Texts(x.to_vec())]).to_dense()?,
        })
    }
}

impl Frame {
    /// The frame as the samples of the next step.
    pub(super) fn samples(&self) -> Samples<'_> {
        match self {
            Self::Dense(x) => Samples::Dense(x.view()),
            Self::Sparse(x) => Samples::Sparse(x),
            Self::Texts(x) => Samples::Texts(x),
            Self::Table(x) => Samples::Table(x),
        }
    }

    /// `[rows, width]` numbers, row by row.
    pub(super) fn matrix(rows: usize, width: usize, values: Vec<f64>) -> Result<Self, RunError> {
        let dense = Array2::from_shape_vec((rows, width), values);
        dense.map(Self::Dense).map_err(|error| RunError::Internal(error.to_string()))
    }

    /// The frame that a tensor of numbers or text is: `[rows, columns]`, or texts of `[rows]`.
    pub(super) fn of(tensor: Tensor) -> Result<Self, RunError> {
        let unexpected = |tensor: &Tensor| {
            RunError::Internal(format!("a step gave {} of shape {}", tensor.dtype(), tensor.shape()))
        };
        let dims = tensor.shape().to_vec();
        match (tensor.elements(), &dims[..]) {
            (Elements::F64(values), &[rows, width]) => Self::matrix(rows, width, values.to_vec()),
            #[allow(clippy::cast_precision_loss, reason = "as numpy's astype does")]
            (Elements::I64(values), &[rows, width]) => {
                Self::matrix(rows, width, values.iter().map(|&value| value as f64).collect())
            }
            (Elements::Bool(values), &[rows, width]) => {
                Self::matrix(rows, width, values.iter().map(|&value| f64::from(value)).collect())
            }
            (Elements::Strings(values), &[_]) => Ok(Self::Texts(values.to_vec())),
            (Elements::Strings(values), &[rows, width]) => {
                let column = |i| values.iter().skip(i).step_by(width).cloned().collect();
                Ok(Self::Table(Table::new(rows, (0..width).map(|i| Column::Texts(column(i))).collect())))
            }
            _ => Err(unexpected(&tensor)),
        }
    }

    /// The frame as an answer: numbers `[rows, columns]`, or text where any column is.
    pub(super) fn into_tensor(self, class: &str) -> Result<Tensor, RunError> {
        match self {
            Self::Dense(x) => {
                let (rows, width) = x.dim();
                answer(rows, Gives::Columns(width), x.into_raw_vec_and_offset().0.into())
            }
            Self::Sparse(x) => {
                bounded(class, x.rows(), x.width())?;
                Self::Dense(x.dense(0..x.rows())).into_tensor(class)
            }
            Self::Texts(x) => answer(x.len(), Gives::One, x.into()),
            Self::Table(x) => {
                if x.columns.iter().all(|column| column.kind() == Kind::Numbers) {
                    return Self::Dense(x.to_dense()?).into_tensor(class);
                }
                let text = |column: &Column, row: usize| match column {
                    Column::Numbers(values) => super::labels::python_float(values[row]).into(),
                    Column::Texts(values) => values[row].clone(),
                };
                let rows = (0..x.rows).flat_map(|row| x.columns.iter().map(move |column| text(column, row)));
                answer(x.rows, Gives::Columns(x.columns.len()), rows.collect::<Vec<Bytes>>().into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_rows_have_their_zeros() {
        let mut sparse = Csr::new(4);
        sparse.push_row([(1, 2.0), (3, -1.0)]);
        sparse.push_row([]);
        sparse.push_row([(0, 5.0)]);
        assert_eq!((sparse.rows(), sparse.width()), (3, 4));
        assert_eq!(sparse.dense(0..2).into_raw_vec_and_offset().0, [0.0, 2.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0]);
        let samples = Samples::Sparse(&sparse);
        assert!(matches!(&*samples.column(0), Column::Numbers(values) if *values == [0.0, 0.0, 5.0]));
    }

    #[test]
    fn text_that_reads_as_a_number_is_one() {
        let table = |text: &str| {
            let texts = Column::Texts(vec![Bytes::copy_from_slice(text.as_bytes())]);
            Table::new(1, vec![Column::Numbers(vec![1.5]), texts])
        };
        assert_eq!(table(" -2e3 ").to_dense().unwrap().into_raw_vec_and_offset().0, [1.5, -2000.0]);
        let error = table("many").to_dense().unwrap_err();
        assert_eq!(error, RunError::InvalidInput("could not convert string to float: 'many'".to_owned()));
    }
}
