//! More readers of attributes: numbers by themselves, matrices dense and sparse, choices.

use super::error::ModelError;
use super::samples::Csr;
use super::state::Part;
use crate::formats::pickle::{DTypeKind, Ref, View};
use crate::limits;
use crate::tensor::{DType, Elements};

/// A matrix that `fit` makes, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Matrix {
    pub(super) values: Vec<f64>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Matrix {
    /// Its rows; a matrix without columns has none to go through.
    pub(super) fn iter(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.columns.max(1))
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.columns..(i + 1) * self.columns]
    }
}

/// What the numbers of an answer are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    Floats,
    Ints,
    Bools,
}

impl Answers {
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Floats => DType::Double,
            Self::Ints => DType::Int64,
            Self::Bools => DType::Bool,
        }
    }

    /// These numbers, converted as numpy's `astype` does.
    pub(super) fn of(self, numbers: Vec<f64>) -> Elements {
        match self {
            Self::Floats => numbers.into(),
            #[allow(clippy::cast_possible_truncation, reason = "as numpy's astype does")]
            Self::Ints => numbers.into_iter().map(|number| number as i64).collect::<Vec<_>>().into(),
            Self::Bools => {
                let bools: Vec<u8> = numbers.into_iter().map(|number| u8::from(number != 0.0)).collect();
                Elements::Bool(bools.into())
            }
        }
    }
}

/// Whether it is one of scipy's sparse matrices.
pub(super) fn is_sparse(value: Ref<'_>) -> bool {
    value.object().is_some_and(|object| object.class().module.starts_with("scipy.sparse"))
}

impl<'a> Part<'a> {
    /// A constructor argument that is the dtype of the answers: a class of numpy's or
    /// Python's, a dtype, or its name. Floats when it is left out.
    pub(super) fn answers(&self, name: &'static str) -> Result<Answers, ModelError> {
        let Some(value) = self.attr(name) else { return Ok(Answers::Floats) };
        let by_name = |text: &str| match text {
            "float" | "float16" | "float32" | "float64" | "double" | "longdouble" | "f4" | "f8" => {
                Some(Answers::Floats)
            }
            "bool" | "bool_" => Some(Answers::Bools),
            "int" | "long" | "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32"
            | "intp" | "int_" => Some(Answers::Ints),
            _ => None,
        };
        let answers = match value.view() {
            View::Global(global) if matches!(global.module, "numpy" | "builtins" | "__builtin__") => {
                by_name(global.name)
            }
            View::Str(text) => by_name(text),
            View::DType(dtype) => match dtype.kind() {
                DTypeKind::Float => Some(Answers::Floats),
                DTypeKind::Int | DTypeKind::UInt => Some(Answers::Ints),
                DTypeKind::Bool => Some(Answers::Bools),
                _ => None,
            },
            _ => None,
        };
        answers.ok_or_else(|| self.unexpected(name, value, "a dtype of floats, integers or booleans"))
    }

    /// Whether a constructor argument is the dtype of single precision.
    pub(super) fn is_single(&self, name: &str) -> bool {
        match self.attr(name).map(Ref::view) {
            Some(View::Global(global)) => global.name == "float32",
            Some(View::Str(text)) => matches!(text, "float32" | "f4"),
            Some(View::DType(dtype)) => matches!(dtype.kind(), DTypeKind::Float) && dtype.itemsize() == 4,
            _ => false,
        }
    }

    /// One finite number: a Python number, or an array of one.
    pub(super) fn number(&self, name: &'static str) -> Result<f64, ModelError> {
        let numbers = self.finite_numbers(name)?;
        match numbers.values[..] {
            [number] => Ok(number),
            _ => Err(self.refuse(name, format!("has shape {}; expected one number", numbers.shown_shape()))),
        }
    }

    /// The same for a constructor argument that may be left out, or be `None`.
    pub(super) fn number_or(&self, name: &'static str, default: f64) -> Result<f64, ModelError> {
        if self.attr(name).is_some() { self.number(name) } else { Ok(default) }
    }

    /// A whole number, not below 0.
    pub(super) fn count(&self, name: &'static str) -> Result<usize, ModelError> {
        let value = self.fitted(name)?;
        let count = value.as_i64().and_then(|n| usize::try_from(n).ok());
        count.ok_or_else(|| self.unexpected(name, value, "a whole number, not below 0"))
    }

    /// How wide the fitted data were, when no array tells.
    pub(super) fn n_features_in(&self) -> Result<usize, ModelError> {
        const NAME: &str = "n_features_in_";
        match self.count(NAME)? {
            0 => Err(self.refuse(NAME, "is 0; expected a number of features")),
            n if n > limits::FEATURES_MAX => {
                Err(self.refuse(NAME, format!("is {n}; at most {} are taken", limits::FEATURES_MAX)))
            }
            n => Ok(n),
        }
    }

    /// A constructor argument that is one of these words; `default` for files of versions
    /// that did not have it.
    pub(super) fn one_of(
        &self,
        name: &str,
        default: &'static str,
        choices: &'static [&'static str],
    ) -> Result<&'static str, ModelError> {
        let Some(value) = self.attr(name) else { return Ok(default) };
        let Some(text) = value.to_str() else {
            let callable = value.global().is_some() || value.object().is_some();
            let what = if callable { "; functions are not called" } else { "" };
            return Err(self.unexpected(name, value, &format!("one of {}{what}", choices.join(", "))));
        };
        let known = choices.iter().find(|choice| ***choice == *text);
        known.copied().ok_or_else(|| {
            let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
            self.refuse(name, format!("is '{shown}'; expected one of {}", choices.join(", ")))
        })
    }

    /// A matrix of finite numbers.
    pub(super) fn matrix(&self, name: &'static str) -> Result<Matrix, ModelError> {
        let numbers = self.finite_numbers(name)?;
        match numbers.shape[..] {
            [rows, columns] => Ok(Matrix { values: numbers.values, rows, columns }),
            _ => Err(self.refuse(name, format!("has shape {}; expected a matrix", numbers.shown_shape()))),
        }
    }

    /// A matrix of finite numbers at `index` in a list or an array of objects.
    pub(super) fn matrix_at(
        &self,
        name: &'static str,
        index: usize,
        value: Ref<'a>,
    ) -> Result<Matrix, ModelError> {
        let values = self.numbers_of(name, value)?;
        let &[rows, columns] = value.array().map_or(&[][..], |array| array.shape()) else {
            return Err(self.refuse(name, format!("has no matrix at [{index}]")));
        };
        if let Some(wrong) = values.iter().find(|value| !value.is_finite()) {
            return Err(self.refuse(name, format!("holds {wrong} at [{index}]")));
        }
        Ok(Matrix { values, rows, columns })
    }

    /// The same, of so many columns.
    pub(super) fn matrix_of(&self, name: &'static str, columns: usize) -> Result<Matrix, ModelError> {
        let matrix = self.matrix(name)?;
        if matrix.columns == columns {
            return Ok(matrix);
        }
        Err(self.refuse(name, format!("has {} columns; expected {columns}", matrix.columns)))
    }

    /// Finite numbers in a row, so many of them.
    pub(super) fn vector_of(&self, name: &'static str, len: usize) -> Result<Vec<f64>, ModelError> {
        let numbers = self.finite_numbers(name)?;
        if numbers.shape.len() == 1 && numbers.values.len() == len {
            return Ok(numbers.values);
        }
        Err(self.refuse(name, format!("has shape {}; expected ({len},)", numbers.shown_shape())))
    }

    /// An attribute that is one number for all outputs, or one per output.
    pub(super) fn one_or_each(&self, name: &'static str, outputs: usize) -> Result<Vec<f64>, ModelError> {
        let numbers = self.finite_numbers(name)?;
        match (numbers.shape.len(), numbers.values.len()) {
            (0 | 1, 1) => Ok(vec![numbers.values[0]; outputs]),
            (1, len) if len == outputs => Ok(numbers.values),
            _ => {
                let shape = numbers.shown_shape();
                let why =
                    format!("has shape {shape}; expected one number, or one for each of {outputs} outputs");
                Err(self.refuse(name, why))
            }
        }
    }

    /// A matrix that is scipy's sparse one in rows (CSR), or a dense one: its entries.
    pub(super) fn csr(&self, name: &'static str) -> Result<Csr, ModelError> {
        let value = self.fitted(name)?;
        if value.array().is_some() {
            let dense = self.matrix(name)?;
            let mut sparse = Csr::new(self.narrow(name, dense.columns)?);
            for row in dense.iter() {
                let entries = (0u32..).zip(row).filter(|(_, value)| **value != 0.0);
                sparse.push_row(entries.map(|(column, value)| (column, *value)));
            }
            return Ok(sparse);
        }
        let is_csr = |class: &str| matches!(class, "csr_matrix" | "csr_array");
        let object = value.object().filter(|object| {
            object.class().module.starts_with("scipy.sparse") && is_csr(object.class().name)
        });
        let Some(object) = object else {
            return Err(self.unexpected(name, value, "a matrix, dense or scipy's csr_matrix"));
        };
        let field = |field: &str| {
            object
                .attr(field)
                .ok_or_else(|| self.refuse(name, format!("has no {field}; expected a csr_matrix")))
        };
        let shape = object.attr("_shape").or_else(|| object.attr("shape"));
        let dims: Option<Vec<i64>> =
            shape.and_then(Ref::items).and_then(|items| items.map(Ref::as_i64).collect());
        let Some([rows, width]) = dims.as_deref().and_then(|dims| {
            let dim = |n: i64| usize::try_from(n).ok();
            match *dims {
                [rows, width] => Some([dim(rows)?, dim(width)?]),
                // A row by itself.
                [width] => Some([1, dim(width)?]),
                _ => None,
            }
        }) else {
            return Err(self.refuse(name, "has no shape of one or two dimensions"));
        };
        let values = self.numbers_of(name, field("data")?)?;
        let columns = self.indices_of(name, field("indices")?)?;
        let ends = self.indices_of(name, field("indptr")?)?;
        let sound = ends.len() == rows.saturating_add(1)
            && ends.first() == Some(&0)
            && ends.last() == Some(&values.len())
            && columns.len() == values.len()
            && ends.is_sorted()
            && values.iter().all(|value| value.is_finite())
            && columns.iter().all(|&column| column < width);
        if !sound {
            return Err(
                self.refuse(name, "is a csr_matrix whose data, indices and indptr contradict each other")
            );
        }
        let mut sparse = Csr::new(self.narrow(name, width)?);
        let mut entries: Vec<(u32, f64)> = Vec::new();
        for row in ends.windows(2) {
            let of_row = row[0]..row[1];
            entries.clear();
            #[allow(clippy::cast_possible_truncation, reason = "below the width, which fits")]
            entries.extend(
                columns[of_row.clone()].iter().map(|&c| c as u32).zip(values[of_row].iter().copied()),
            );
            entries.sort_by_key(|(column, _)| *column);
            // scipy adds up entries of one place.
            entries.dedup_by(|next, kept| {
                let double = next.0 == kept.0;
                if double {
                    kept.1 += next.1;
                }
                double
            });
            sparse.push_row(entries.iter().copied());
        }
        Ok(sparse)
    }

    /// A matrix of scipy's with its zeros, of which a small file may name many.
    pub(super) fn spread(&self, name: &'static str) -> Result<Matrix, ModelError> {
        let sparse = self.csr(name)?;
        let (rows, columns) = (sparse.rows(), sparse.width());
        let all = rows.saturating_mul(columns);
        if all > limits::TENSOR_BYTES_MAX / 8 {
            return Err(
                self.refuse(name, format!("has {rows} rows of {columns} numbers, which are not held"))
            );
        }
        self.pay_again(name, all.saturating_mul(16))?;
        Ok(Matrix { values: sparse.dense(0..rows).into_raw_vec_and_offset().0, rows, columns })
    }

    /// A width that the indices of a sparse matrix can name.
    fn narrow(&self, name: &str, width: usize) -> Result<usize, ModelError> {
        match u32::try_from(width) {
            Ok(_) => Ok(width),
            Err(_) => Err(self.refuse(name, format!("has {width} columns; at most {} are read", u32::MAX))),
        }
    }

    /// The items of a list, a tuple or an array of objects.
    pub(super) fn list(&self, name: &'static str) -> Result<Vec<Ref<'a>>, ModelError> {
        let value = self.fitted(name)?;
        let items = value.elements().or_else(|| value.items());
        Ok(items.ok_or_else(|| self.unexpected(name, value, "a list"))?.collect())
    }
}
