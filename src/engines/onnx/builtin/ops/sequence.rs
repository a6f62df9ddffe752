//! Sequences and optional values.

use super::super::super::backend::Value;
use super::super::op::{Built, Input, Node, axis, ints, made, one, op, size};
use super::super::registry::{Row, row};
use super::shape::{concatenated, part_sizes, parted, sequence};
use crate::limits;
use crate::tensor::Tensor;

pub(super) const ROWS: &[Row] = &[
    row("ConcatFromSequence", 11, concat_from_sequence),
    row("Optional", 15, optional),
    row("OptionalGetElement", 15, optional_get),
    row("OptionalHasElement", 15, optional_has),
    row("SequenceAt", 11, sequence_at),
    row("SequenceConstruct", 11, construct),
    row("SequenceEmpty", 11, empty),
    row("SequenceErase", 11, erase),
    row("SequenceInsert", 11, insert),
    row("SequenceLength", 11, length),
    row("SequenceMap", 17, sequence_map),
    row("SplitToSequence", 11, split_to_sequence),
];

fn construct(_: &mut Node<'_>) -> Built {
    op(|mut inputs| {
        let count = inputs.len();
        let values =
            (0..count).map(|at| inputs.take(at).map(Value::Tensor)).collect::<Result<Vec<_>, _>>()?;
        one(Value::Sequence(values))
    })
}

fn empty(node: &mut Node<'_>) -> Built {
    // A sequence knows the dtype of its tensors, and one without any needs none.
    node.attributes.ignore(&["dtype"]);
    op(|_| one(Value::Sequence(Vec::new())))
}

/// A place in a list of `len`, which may count from the end; with `past`, its end too.
fn position(tensor: &Tensor, len: usize, past: bool) -> Result<usize, String> {
    let at = *ints(tensor)?.first().ok_or("the position is empty")?;
    if past && usize::try_from(at) == Ok(len) {
        return Ok(len);
    }
    axis(at, len).map_err(|_| format!("position {at} is not one of a sequence of {len}"))
}

fn sequence_at(_: &mut Node<'_>) -> Built {
    op(|mut inputs| {
        let mut values = sequence(inputs.take_value(0).ok_or("input 0 is missing")?)?;
        let at = position(inputs.tensor(1)?, values.len(), false)?;
        one(values.swap_remove(at))
    })
}

fn erase(_: &mut Node<'_>) -> Built {
    op(|mut inputs| {
        let mut values = sequence(inputs.take_value(0).ok_or("input 0 is missing")?)?;
        let last = values.len().checked_sub(1).ok_or("the sequence is empty")?;
        let at = inputs.optional(1)?.map_or(Ok(last), |at| position(at, values.len(), false))?;
        values.remove(at);
        one(Value::Sequence(values))
    })
}

fn insert(_: &mut Node<'_>) -> Built {
    op(|mut inputs| {
        let mut values = sequence(inputs.take_value(0).ok_or("input 0 is missing")?)?;
        if values.len() >= limits::ONNX_SEQUENCE_MAX {
            return Err(format!("a sequence has {} values; no more are kept", values.len()));
        }
        let at = inputs.optional(2)?.map_or(Ok(values.len()), |at| position(at, values.len(), true))?;
        values.insert(at, Value::Tensor(inputs.take(1)?));
        one(Value::Sequence(values))
    })
}

fn length(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let many = match inputs.value(0) {
            Some(Value::Sequence(values)) => values.len(),
            Some(Value::Table { values, .. }) => values.shape().rows().map_or(0, |(rows, _)| rows),
            _ => return Err("input 0 is no sequence".to_owned()),
        };
        one(made([], vec![many.cast_signed() as i64])?)
    })
}

fn concat_from_sequence(node: &mut Node<'_>) -> Built {
    let along = node.required("axis", node.attributes.int("axis"))?;
    let is_new = node.attributes.flag("new_axis", false)?;
    op(move |mut inputs| {
        let values = sequence(inputs.take_value(0).ok_or("input 0 is missing")?)?;
        let mut tensors = Vec::with_capacity(values.len());
        for value in values {
            let Value::Tensor(tensor) = value else {
                return Err("the sequence is none of tensors".to_owned());
            };
            if !is_new {
                tensors.push(tensor);
                continue;
            }
            let at = axis(along, tensor.shape().rank() + 1)?;
            let mut dims = tensor.shape().to_vec();
            dims.insert(at, 1);
            tensors.push(made(dims, tensor.into_elements())?);
        }
        one(concatenated(&tensors.iter().collect::<Vec<_>>(), along)?)
    })
}

fn split_to_sequence(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(0);
    let keep = node.attributes.flag("keepdims", true)?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let at = axis(along, x.shape().rank())?;
        let dim = x.shape()[at];
        let (sizes, drop) = match inputs.optional(1)? {
            None => (vec![1; dim], !keep),
            Some(split) if split.shape().rank() == 0 => {
                let each = size(*ints(split)?.first().ok_or("input 1 is empty")?, "a part")?.max(1);
                ((0..dim.div_ceil(each)).map(|number| each.min(dim - number * each)).collect(), false)
            }
            Some(split) => (part_sizes(dim, Some(&ints(split)?), 0, true)?, false),
        };
        let parts = parted(x, at, &sizes)?.into_iter().map(|part| {
            if !drop {
                return Ok(Value::Tensor(part));
            }
            let mut dims = part.shape().to_vec();
            dims.remove(at);
            made(dims, part.into_elements()).map(Value::Tensor)
        });
        one(Value::Sequence(parts.collect::<Result<_, _>>()?))
    })
}

/// A graph for each element of sequences; tensors beside them go into each.
fn sequence_map(node: &mut Node<'_>) -> Built {
    let own = node.inputs.len();
    let body = node.subgraph("body")?;
    op(move |inputs| {
        let length = |value: &Value| match value {
            Value::Sequence(values) => Some(values.len()),
            _ => None,
        };
        let count = inputs.value(0).and_then(length).ok_or("input 0 is no sequence")?;
        let mut results: Vec<Vec<Value>> = vec![Vec::with_capacity(count); body.outputs()];
        for at in 0..count {
            let element = |input: usize| match inputs.value(input) {
                Some(Value::Sequence(values)) => values
                    .get(at)
                    .map(Input::Borrowed)
                    .ok_or_else(|| "the sequences have different lengths".to_owned()),
                Some(value) => Ok(Input::Borrowed(value)),
                None => Ok(Input::Absent),
            };
            let elements = (0..own).map(element).collect::<Result<Vec<_>, _>>()?;
            let values = body.run(elements, &inputs)?;
            results.iter_mut().zip(values).for_each(|(result, value)| result.push(value));
        }
        Ok(results.into_iter().map(Value::Sequence).collect())
    })
}

fn optional(node: &mut Node<'_>) -> Built {
    node.attributes.ignore(&["type"]);
    op(|mut inputs| one(inputs.take_value(0).unwrap_or(Value::Absent)))
}

fn optional_get(_: &mut Node<'_>) -> Built {
    op(|mut inputs| match inputs.take_value(0) {
        None | Some(Value::Absent) => Err("the optional value is not there".to_owned()),
        Some(value) => one(value),
    })
}

fn optional_has(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let has = !matches!(inputs.value(0), None | Some(Value::Absent));
        one(made([], vec![has])?)
    })
}
