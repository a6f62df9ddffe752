//! Values that are there already: identities and constants.

use super::super::op::{Built, Node, made, one, op};
use super::super::registry::{Row, row};
use crate::tensor::{Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("Constant", 1, constant),
    row("Identity", 1, identity),
    row("Shape", 1, shape),
    row("Size", 1, size),
];

fn identity(_: &mut Node<'_>) -> Built {
    op(|mut inputs| one(inputs.take_value(0).ok_or("input 0 is missing")?))
}

fn constant(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let scalar = |elements: Elements| made([], elements);
    let value = if let Some(tensor) = attributes.tensor("value")? {
        tensor
    } else if let Some(value) = attributes.float("value_float")? {
        scalar(vec![value].into())?
    } else if let Some(value) = attributes.int("value_int")? {
        scalar(vec![value].into())?
    } else if let Some(value) = attributes.bytes("value_string")? {
        scalar(vec![value].into())?
    } else if let Some(values) = attributes.floats("value_floats")? {
        Tensor::vector(values.to_vec().into())
    } else if let Some(values) = attributes.ints("value_ints")? {
        Tensor::vector(values.to_vec().into())
    } else if let Some(values) = attributes.strings("value_strings")? {
        Tensor::vector(values.to_vec().into())
    } else if let Some(sparse) = attributes.sparse("sparse_value")? {
        super::super::sparse::dense(sparse)?
    } else {
        return Err("it has no value".to_owned());
    };
    op(move |_| one(value.clone()))
}

fn shape(node: &mut Node<'_>) -> Built {
    let start = node.attributes.int("start")?.unwrap_or(0);
    let end = node.attributes.int("end")?;
    op(move |inputs| {
        let dims: Vec<i64> = inputs.tensor(0)?.shape().iter().map(|&dim| dim.cast_signed() as i64).collect();
        let rank = dims.len().cast_signed() as i64;
        let place = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank);
        let (start, end) = (place(start), end.map_or(rank, place));
        let within =
            dims.get(start.cast_unsigned() as usize..end.cast_unsigned() as usize).unwrap_or_default();
        one(Tensor::vector(within.to_vec().into()))
    })
}

fn size(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let many = inputs.tensor(0)?.elements().len();
        one(made([], vec![many.cast_signed() as i64])?)
    })
}
