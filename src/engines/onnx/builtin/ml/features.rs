//! Numbers of features: scaling, filling, choosing, joining.

use super::super::elements::pick;
use super::super::numbers::{Wide, doubles, floats, narrow, wide};
use super::super::op::{Built, Node, ints, made, one, op, shape, size};
use super::super::registry::{ML, Row, row_in};
use crate::tensor::{Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row_in(ML, "ArrayFeatureExtractor", 1, extractor),
    row_in(ML, "Binarizer", 1, binarizer),
    row_in(ML, "FeatureVectorizer", 1, vectorizer),
    row_in(ML, "Imputer", 1, imputer),
    row_in(ML, "Normalizer", 1, normalizer),
    row_in(ML, "Scaler", 1, scaler),
];

/// How many columns a matrix has; a vector is one row.
fn width(x: &Tensor) -> Result<usize, String> {
    x.shape().last().copied().ok_or_else(|| "input 0 is a scalar; expected a matrix".to_owned())
}

/// A list that has a number for each column, or one for all.
fn fits<T>(list: &[T], width: usize, what: &str) -> Result<(), String> {
    if list.len() == 1 || list.len() == width {
        return Ok(());
    }
    Err(format!("input 0 has {width} columns; {what} has {} entries", list.len()))
}

/// (x - offset) * scale, in single precision unless the input is double.
fn scaler(node: &mut Node<'_>) -> Built {
    let offset = node.attributes.floats("offset")?.unwrap_or(&[0.0]).to_vec();
    let scale = node.attributes.floats("scale")?.unwrap_or(&[1.0]).to_vec();
    op(move |mut inputs| {
        let x = inputs.take(0)?;
        let width = width(&x)?;
        fits(&offset, width, "offset")?;
        fits(&scale, width, "scale")?;
        let dims = x.shape().clone();
        if width == 0 {
            return one(made(dims.iter().copied(), Vec::<f32>::new())?);
        }
        let of = |list: &[f32], column: usize| if list.len() == 1 { list[0] } else { list[column] };
        #[allow(clippy::cast_possible_truncation, reason = "the operator gives floats")]
        let values: Vec<f32> = if let Elements::F64(values) = x.elements() {
            let one = |(column, &x): (usize, &f64)| {
                ((x - f64::from(of(&offset, column))) * f64::from(of(&scale, column))) as f32
            };
            values.chunks_exact(width).flat_map(|row| row.iter().enumerate().map(one)).collect()
        } else {
            let mut values = match x.into_elements() {
                Elements::F32(values) => values.into_vec(),
                other => floats(&other)?.into_owned(),
            };
            for row in values.chunks_exact_mut(width) {
                row.iter_mut()
                    .enumerate()
                    .for_each(|(column, x)| *x = (*x - of(&offset, column)) * of(&scale, column));
            }
            values
        };
        one(made(dims.iter().copied(), values)?)
    })
}

#[derive(Debug, Clone, Copy)]
enum Norm {
    Max,
    L1,
    L2,
}

fn normalizer(node: &mut Node<'_>) -> Built {
    let norm = match node.attributes.text("norm")? {
        None | Some("MAX") => Norm::Max,
        Some("L1") => Norm::L1,
        Some("L2") => Norm::L2,
        Some(other) => return Err(format!("norm {other:?} is none that is known")),
    };
    op(move |mut inputs| {
        let x = inputs.take(0)?;
        let (width, dims) = (width(&x)?, x.shape().clone());
        if dims.rank() > 2 {
            return Err(format!("input 0 has shape {dims}; expected a matrix"));
        }
        let mut values = match x.into_elements() {
            Elements::F32(values) => values.into_vec(),
            other => floats(&other)?.into_owned(),
        };
        for row in values.chunks_exact_mut(width.max(1)) {
            let by = match norm {
                Norm::Max => row.iter().copied().fold(f32::MIN, f32::max),
                Norm::L1 => row.iter().map(|x| x.abs()).sum(),
                Norm::L2 => row.iter().map(|x| x * x).sum::<f32>().sqrt(),
            };
            // A row of zeros stays one.
            if by != 0.0 {
                row.iter_mut().for_each(|x| *x /= by);
            }
        }
        one(made(dims.iter().copied(), values)?)
    })
}

fn imputer(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let floats = attributes.floats("imputed_value_floats")?.unwrap_or_default().to_vec();
    let ints = attributes.ints("imputed_value_int64s")?.unwrap_or_default().to_vec();
    let replaced_float = attributes.float("replaced_value_float")?.unwrap_or(f32::NAN);
    let replaced_int = attributes.int("replaced_value_int64")?.unwrap_or(0);
    if floats.is_empty() == ints.is_empty() {
        return Err("expected values for floats or for integers, and not both".to_owned());
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let width = width(x)?;
        let is_it = |value: f64| {
            if replaced_float.is_nan() { value.is_nan() } else { value == f64::from(replaced_float) }
        };
        let column = |at: usize, list: usize| if list == 1 { 0 } else { at % width };
        let filled = match wide(x.elements())? {
            Wide::F32(values) if !floats.is_empty() => {
                fits(&floats, width, "imputed_value_floats")?;
                let one = |(at, &x): (usize, &f32)| {
                    if is_it(x.into()) { floats[column(at, floats.len())] } else { x }
                };
                Wide::F32(values.iter().enumerate().map(one).collect())
            }
            Wide::F64(values) if !floats.is_empty() => {
                fits(&floats, width, "imputed_value_floats")?;
                let one = |(at, &x): (usize, &f64)| {
                    if is_it(x) { floats[column(at, floats.len())].into() } else { x }
                };
                Wide::F64(values.iter().enumerate().map(one).collect())
            }
            Wide::I64(values) if !ints.is_empty() => {
                fits(&ints, width, "imputed_value_int64s")?;
                let one = |(at, &x): (usize, &i64)| {
                    if x == replaced_int { ints[column(at, ints.len())] } else { x }
                };
                Wide::I64(values.iter().enumerate().map(one).collect())
            }
            _ => {
                return Err(format!(
                    "input 0 is of {}; the values to fill in are of another kind",
                    x.dtype()
                ));
            }
        };
        one(made(x.shape().iter().copied(), narrow(filled, x.dtype())?)?)
    })
}

fn binarizer(node: &mut Node<'_>) -> Built {
    let threshold = node.attributes.float("threshold")?.unwrap_or(0.0);
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let above = match wide(x.elements())? {
            Wide::F32(values) => {
                Wide::F32(values.iter().map(|&x| f32::from(u8::from(x > threshold))).collect())
            }
            Wide::F64(values) => {
                Wide::F64(values.iter().map(|&x| f64::from(u8::from(x > f64::from(threshold)))).collect())
            }
            #[allow(clippy::cast_precision_loss, reason = "compared as floats")]
            Wide::I64(values) => Wide::I64(values.iter().map(|&x| i64::from(x as f32 > threshold)).collect()),
            #[allow(clippy::cast_precision_loss, reason = "compared as floats")]
            Wide::U64(values) => Wide::U64(values.iter().map(|&x| u64::from(x as f32 > threshold)).collect()),
        };
        one(made(x.shape().iter().copied(), narrow(above, x.dtype())?)?)
    })
}

/// Some columns of each row.
fn extractor(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let (x, columns) = (inputs.tensor(0)?, ints(inputs.tensor(1)?)?);
        let width = width(x)?;
        let columns =
            columns.iter().map(|&column| size(column, "a column")).collect::<Result<Vec<_>, _>>()?;
        if let Some(column) = columns.iter().find(|column| **column >= width) {
            return Err(format!("column {column} is asked for, and input 0 has {width}"));
        }
        let rows = x.elements().len() / width.max(1);
        let mut dims = x.shape().to_vec();
        dims.pop();
        // A vector gives a matrix of one row.
        if dims.is_empty() {
            dims.push(1);
        }
        dims.push(columns.len());
        shape(dims.iter().copied())?;
        let places = (0..rows).flat_map(|row| columns.iter().map(move |column| Some(row * width + column)));
        one(made(dims, pick(x.elements(), places))?)
    })
}

/// Columns of several inputs side by side, as floats.
fn vectorizer(node: &mut Node<'_>) -> Built {
    let widths = node.attributes.ints("inputdimensions")?.unwrap_or_default();
    let widths = widths.iter().map(|&width| size(width, "inputdimensions")).collect::<Result<Vec<_>, _>>()?;
    op(move |inputs| {
        let tensors = inputs.tensors()?;
        if tensors.len() != widths.len() {
            return Err(format!("it has {} inputs and inputdimensions of {}", tensors.len(), widths.len()));
        }
        let rows = |x: &Tensor| if x.shape().rank() <= 1 { 1 } else { x.shape()[0] };
        let rows_all = tensors.first().map_or(0, |x| rows(x));
        let total =
            widths.iter().try_fold(0usize, |sum, &width| sum.checked_add(width)).ok_or("too many columns")?;
        let whole = shape([rows_all, total])?;
        let mut values = vec![0f32; whole.elements()];
        let mut first = 0;
        for (at, (x, &width)) in tensors.iter().zip(&widths).enumerate() {
            if rows(x) != rows_all {
                return Err(format!("input {at} has {} rows; input 0 has {rows_all}", rows(x)));
            }
            let from = doubles(x.elements())?;
            let own = from.len() / rows_all.max(1);
            for row in 0..rows_all {
                let from = &from[row * own..][..own.min(width)];
                let to = &mut values[row * total + first..][..from.len()];
                #[allow(clippy::cast_possible_truncation, reason = "the operator gives floats")]
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as f32);
            }
            first += width;
        }
        one(made([rows_all, total], values)?)
    })
}
