//! Elements taken from, and put to, places that other tensors state.

use super::super::elements::{View, pick, pick_runs, strides};
use super::super::numbers::{Wide, narrow, wide};
use super::super::op::{Built, Node, axis, ints, made, many, one, op, shape, size};
use super::super::registry::{Row, row};
use super::cast::cast;
use super::compare::truths;
use crate::tensor::{Elements, Tensor, concat_rows};

pub(super) const ROWS: &[Row] = &[
    row("Compress", 9, compress),
    row("Gather", 1, gather),
    row("GatherElements", 11, gather_elements),
    row("GatherND", 11, gather_nd),
    row("NonZero", 9, non_zero),
    row("OneHot", 9, one_hot),
    row("ReverseSequence", 10, reverse_sequence),
    row("Scatter", 9, scatter_elements),
    row("ScatterElements", 11, scatter_elements),
    row("ScatterND", 11, scatter_nd),
    row("Trilu", 14, trilu),
    row("Unique", 11, unique),
];

/// An index that may count from the end.
fn place(index: i64, dim: usize) -> Result<usize, String> {
    axis(index, dim).map_err(|_| format!("index {index} is past a dimension of {dim}"))
}

fn gather(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(0);
    op(move |inputs| {
        let (x, indices) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let at = axis(along, x.shape().rank())?;
        let dims = x.shape();
        let from =
            ints(indices)?.into_iter().map(|index| place(index, dims[at])).collect::<Result<Vec<_>, _>>()?;
        let inner: usize = dims[at + 1..].iter().product();
        let outer: usize = dims[..at].iter().product();
        let result = dims[..at].iter().chain(indices.shape().iter()).chain(&dims[at + 1..]).copied();
        let whole = shape(result)?;
        let starts =
            (0..outer).flat_map(|row| from.iter().map(move |&index| (row * dims[at] + index) * inner));
        one(made(whole.iter().copied(), pick_runs(x.elements(), starts, inner))?)
    })
}

/// For each element of `indices`, the place in `dims` of its own position with the index put in along an axis.
fn places(dims: &[usize], indices: &Tensor, at: usize) -> Result<Vec<usize>, String> {
    let own = indices.shape();
    if own.rank() != dims.len()
        || own.iter().zip(dims).enumerate().any(|(d, (own, dim))| d != at && own > dim)
    {
        return Err(format!("indices of shape {own} do not fit a tensor of {dims:?}"));
    }
    let steps = strides(dims);
    // Where each position lies without the axis.
    let base = View {
        dims: own.iter().copied().collect(),
        strides: steps.iter().enumerate().map(|(d, &step)| if d == at { 0 } else { step }).collect(),
        offset: 0,
    };
    let step = steps[at];
    let mut found = Vec::with_capacity(own.elements());
    let values = ints(indices)?;
    let mut values = values.into_iter();
    let mut wrong = None;
    base.for_runs(|start, length, stride| {
        for i in 0..length {
            let Some(index) = values.next() else { return };
            match place(index, dims[at]) {
                Ok(index) => {
                    let to = start + stride * i.cast_signed() + step * index.cast_signed();
                    found.push(usize::try_from(to).unwrap_or(usize::MAX));
                }
                Err(error) => wrong = Some(error),
            }
        }
    });
    wrong.map_or(Ok(found), Err)
}

fn gather_elements(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(0);
    op(move |inputs| {
        let (x, indices) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let at = axis(along, x.shape().rank())?;
        let from = places(x.shape(), indices, at)?;
        one(made(indices.shape().iter().copied(), pick(x.elements(), from.into_iter().map(Some)))?)
    })
}

/// The first elements of the slices that index tuples name, and how long each slice is.
fn tuples(dims: &[usize], indices: &Tensor, batch: usize) -> Result<(Vec<usize>, usize), String> {
    let Some((&depth, outer)) = indices.shape().split_last() else {
        return Err("indices are a scalar; expected a dimension for tuples".to_owned());
    };
    if batch + depth > dims.len() || outer.len() < batch || outer[..batch] != dims[..batch] {
        return Err(format!("indices of shape {} do not fit a tensor of {dims:?}", indices.shape()));
    }
    let steps = strides(dims);
    let run: usize = dims[batch + depth..].iter().product();
    let rows: usize = dims[..batch].iter().product();
    let each: usize = outer[batch..].iter().product();
    let whole: usize = dims[batch..].iter().product();
    let values = ints(indices)?;
    let mut starts = Vec::with_capacity(rows.saturating_mul(each).min(values.len().max(1)));
    for row in 0..rows {
        for number in 0..each {
            let mut at = row * whole;
            for (d, &index) in values[(row * each + number) * depth..][..depth].iter().enumerate() {
                at += place(index, dims[batch + d])? * steps[batch + d].unsigned_abs();
            }
            starts.push(at);
        }
    }
    Ok((starts, run))
}

fn gather_nd(node: &mut Node<'_>) -> Built {
    let batch = size(node.attributes.int("batch_dims")?.unwrap_or(0), "batch_dims")?;
    op(move |inputs| {
        let (x, indices) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let depth = indices.shape().last().copied().unwrap_or(0);
        let outer = indices.shape().iter().take(indices.shape().rank().saturating_sub(1)).copied();
        let inner = x.shape().iter().skip(batch.saturating_add(depth)).copied();
        let whole = shape(outer.chain(inner))?;
        let (starts, run) = tuples(x.shape(), indices, batch)?;
        one(made(whole.iter().copied(), pick_runs(x.elements(), starts.into_iter(), run))?)
    })
}

/// How what is put there and what was there become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    Replace,
    Add,
    Mul,
    Min,
    Max,
}

impl Join {
    fn read(node: &Node<'_>) -> Result<Self, String> {
        Ok(match node.attributes.text("reduction")? {
            None | Some("none") => Self::Replace,
            Some("add") => Self::Add,
            Some("mul") => Self::Mul,
            Some("min") => Self::Min,
            Some("max") => Self::Max,
            Some(other) => return Err(format!("reduction {other:?} is none that is known")),
        })
    }
}

/// `x` with the elements of `updates` at `to`.
fn put(x: &Tensor, updates: &Tensor, to: &[usize], join: Join) -> Result<Tensor, String> {
    if x.dtype() != updates.dtype() || updates.elements().len() != to.len() {
        return Err(format!(
            "updates of {} and shape {} do not fit a tensor of {}",
            updates.dtype(),
            updates.shape(),
            x.dtype()
        ));
    }
    if join == Join::Replace {
        let mut from: Vec<usize> = (0..x.elements().len()).collect();
        to.iter().enumerate().for_each(|(at, &place)| from[place] = x.elements().len() + at);
        let both = [Tensor::vector(x.elements().clone()), Tensor::vector(updates.elements().clone())];
        let both = concat_rows(&both).map_err(|error| error.to_string())?;
        return made(x.shape().iter().copied(), pick(both.elements(), from.into_iter().map(Some)));
    }
    macro_rules! joined {
        ($kind:ident, $x:expr, $y:expr, $add:expr, $mul:expr) => {{
            let mut values = $x.into_owned();
            for (&place, &update) in to.iter().zip($y.iter()) {
                let value = &mut values[place];
                *value = match join {
                    Join::Add => $add(*value, update),
                    Join::Mul => $mul(*value, update),
                    Join::Min if update < *value => update,
                    Join::Max if update > *value => update,
                    Join::Min | Join::Max | Join::Replace => *value,
                };
            }
            Wide::$kind(values.into())
        }};
    }
    let values = match (wide(x.elements())?, wide(updates.elements())?) {
        (Wide::F32(x), Wide::F32(y)) => joined!(F32, x, y, |a: f32, b: f32| a + b, |a: f32, b: f32| a * b),
        (Wide::F64(x), Wide::F64(y)) => joined!(F64, x, y, |a: f64, b: f64| a + b, |a: f64, b: f64| a * b),
        (Wide::I64(x), Wide::I64(y)) => joined!(I64, x, y, i64::wrapping_add, i64::wrapping_mul),
        (Wide::U64(x), Wide::U64(y)) => joined!(U64, x, y, u64::wrapping_add, u64::wrapping_mul),
        _ => return Err("updates are of another kind".to_owned()),
    };
    made(x.shape().iter().copied(), narrow(values, x.dtype())?)
}

fn scatter_elements(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(0);
    let join = Join::read(node)?;
    op(move |inputs| {
        let (x, indices, updates) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
        let at = axis(along, x.shape().rank())?;
        let to = places(x.shape(), indices, at)?;
        if indices.shape() != updates.shape() {
            return Err(format!("indices have shape {} and updates {}", indices.shape(), updates.shape()));
        }
        one(put(x, updates, &to, join)?)
    })
}

fn scatter_nd(node: &mut Node<'_>) -> Built {
    let join = Join::read(node)?;
    op(move |inputs| {
        let (x, indices, updates) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
        let (starts, run) = tuples(x.shape(), indices, 0)?;
        if starts.len().checked_mul(run) != Some(updates.elements().len()) {
            return Err(format!("updates have shape {}, which the indices do not ask for", updates.shape()));
        }
        let to: Vec<usize> = starts.into_iter().flat_map(|start| start..start + run).collect();
        one(put(x, updates, &to, join)?)
    })
}

fn compress(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?;
    op(move |inputs| {
        let (x, wanted) = (inputs.tensor(0)?, truths(inputs.tensor(1)?)?);
        let kept: Vec<usize> =
            wanted.iter().enumerate().filter(|(_, wanted)| **wanted != 0).map(|(at, _)| at).collect();
        let (outer, dim, inner, dims): (usize, usize, usize, Vec<usize>) = match along {
            None => (1, x.elements().len(), 1, vec![kept.len()]),
            Some(at) => {
                let at = axis(at, x.shape().rank())?;
                let mut dims = x.shape().to_vec();
                let dim = std::mem::replace(&mut dims[at], kept.len());
                (dims[..at].iter().product(), dim, dims[at + 1..].iter().product(), dims)
            }
        };
        if kept.last().is_some_and(|&last| last >= dim) {
            return Err(format!("an element past the {dim} that are there is wanted"));
        }
        let starts = (0..outer).flat_map(|row| kept.iter().map(move |&at| (row * dim + at) * inner));
        one(made(dims, pick_runs(x.elements(), starts, inner))?)
    })
}

/// The positions of what is not 0, a column each.
fn non_zero(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let x = inputs.tensor(0)?;
        let is: Vec<bool> = match x.elements() {
            Elements::Bool(values) => values.iter().map(|&x| x != 0).collect(),
            Elements::Strings(values) => values.iter().map(|x| !x.is_empty()).collect(),
            other => match wide(other)? {
                Wide::F32(v) => v.iter().map(|&x| x != 0.0).collect(),
                Wide::F64(v) => v.iter().map(|&x| x != 0.0).collect(),
                Wide::I64(v) => v.iter().map(|&x| x != 0).collect(),
                Wide::U64(v) => v.iter().map(|&x| x != 0).collect(),
            },
        };
        let found: Vec<usize> = is.iter().enumerate().filter(|(_, is)| **is).map(|(at, _)| at).collect();
        let rank = x.shape().rank();
        let steps = strides(x.shape());
        let mut positions = Vec::with_capacity(rank * found.len());
        for (&step, &dim) in steps.iter().zip(x.shape().iter()) {
            positions.extend(found.iter().map(|at| (at / step.unsigned_abs() % dim).cast_signed() as i64));
        }
        one(made([rank, found.len()], positions)?)
    })
}

fn one_hot(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(-1);
    op(move |inputs| {
        let (indices, values) = (inputs.tensor(0)?, inputs.tensor(2)?);
        let depth = cast(inputs.tensor(1)?, crate::tensor::DType::Int64)?;
        let depth = size(*ints(&depth)?.first().ok_or("input 1 is empty")?, "depth")?;
        if values.elements().len() != 2 {
            return Err("input 2 does not have two elements".to_owned());
        }
        let at = axis(along, indices.shape().rank() + 1)?;
        let mut dims = indices.shape().to_vec();
        dims.insert(at, depth);
        let whole = shape(dims.iter().copied())?;
        let inner: usize = indices.shape()[at..].iter().product();
        let mut from = vec![0usize; whole.elements()];
        let cast = cast(indices, crate::tensor::DType::Int64)?;
        for (number, index) in ints(&cast)?.into_iter().enumerate() {
            // What is out of range is hot nowhere.
            if let Ok(index) = place(index, depth) {
                from[(number / inner * depth + index) * inner + number % inner] = 1;
            }
        }
        one(made(dims, pick(values.elements(), from.into_iter().map(Some)))?)
    })
}

fn reverse_sequence(node: &mut Node<'_>) -> Built {
    let batch_axis = node.attributes.int("batch_axis")?.unwrap_or(1);
    let time_axis = node.attributes.int("time_axis")?.unwrap_or(0);
    op(move |inputs| {
        let (x, lengths) = (inputs.tensor(0)?, ints(inputs.tensor(1)?)?);
        let rank = x.shape().rank();
        let (batch, time) = (axis(batch_axis, rank)?, axis(time_axis, rank)?);
        let dims = x.shape();
        if batch == time || lengths.len() != dims[batch] {
            return Err(format!("there are {} lengths for {} sequences", lengths.len(), dims[batch]));
        }
        let lengths =
            lengths.iter().map(|&length| size(length, "a length")).collect::<Result<Vec<_>, _>>()?;
        if lengths.iter().any(|&length| length > dims[time]) {
            return Err(format!("a length is more than {}", dims[time]));
        }
        let steps = strides(dims);
        let from = (0..x.elements().len()).map(|at| {
            let position = |d: usize| at / steps[d].unsigned_abs() % dims[d];
            let (t, length) = (position(time), lengths[position(batch)]);
            Some(if t < length {
                at - t * steps[time].unsigned_abs() + (length - 1 - t) * steps[time].unsigned_abs()
            } else {
                at
            })
        });
        one(made(dims.iter().copied(), pick(x.elements(), from))?)
    })
}

/// A triangle of each matrix; the rest is 0.
fn trilu(node: &mut Node<'_>) -> Built {
    let upper = node.attributes.flag("upper", true)?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let shift = inputs.ints(1)?.and_then(|k| k.first().copied()).unwrap_or(0);
        let [.., rows, columns] = **x.shape() else {
            return Err(format!("input 0 has shape {}; expected matrices", x.shape()));
        };
        let from = (0..x.elements().len()).map(|at| {
            let (row, column) = (at / columns % rows, at % columns);
            let beyond =
                (column.cast_signed() as i64).saturating_sub(row.cast_signed() as i64).saturating_sub(shift);
            (if upper { beyond >= 0 } else { beyond <= 0 }).then_some(at)
        });
        one(made(x.shape().iter().copied(), pick(x.elements(), from))?)
    })
}

/// Each element, or slice along an axis, once.
fn unique(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?;
    let sorted = node.attributes.flag("sorted", true)?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let (outer, dim, inner) = match along {
            None => (1, x.elements().len(), 1),
            Some(at) => {
                let at = axis(at, x.shape().rank())?;
                let dims = x.shape();
                (dims[..at].iter().product::<usize>(), dims[at], dims[at + 1..].iter().product::<usize>())
            }
        };
        let members = |number: usize| {
            (0..outer).flat_map(move |row| (0..inner).map(move |i| (row * dim + number) * inner + i))
        };
        let order_of = |a: usize, b: usize| -> std::cmp::Ordering {
            macro_rules! by {
                ($values:expr, $cmp:expr) => {
                    members(a)
                        .map(|at| &$values[at])
                        .zip(members(b).map(|at| &$values[at]))
                        .map(|(a, b)| $cmp(a, b))
                        .find(|order| order.is_ne())
                        .unwrap_or(std::cmp::Ordering::Equal)
                };
            }
            match x.elements() {
                Elements::F32(v) => by!(v, f32::total_cmp),
                Elements::F64(v) => by!(v, f64::total_cmp),
                Elements::F16(v) => by!(v, |a: &half::f16, b: &half::f16| a.total_cmp(b)),
                Elements::BF16(v) => by!(v, |a: &half::bf16, b: &half::bf16| a.total_cmp(b)),
                Elements::I8(v) => by!(v, i8::cmp),
                Elements::I16(v) => by!(v, i16::cmp),
                Elements::I32(v) => by!(v, i32::cmp),
                Elements::I64(v) => by!(v, i64::cmp),
                Elements::U8(v) | Elements::Bool(v) => by!(v, u8::cmp),
                Elements::U16(v) => by!(v, u16::cmp),
                Elements::U32(v) => by!(v, u32::cmp),
                Elements::U64(v) => by!(v, u64::cmp),
                Elements::Strings(v) => by!(v, bytes::Bytes::cmp),
                Elements::C64(_) | Elements::C128(_) => std::cmp::Ordering::Equal,
            }
        };
        let mut order: Vec<usize> = (0..dim).collect();
        order.sort_by(|&a, &b| order_of(a, b).then(a.cmp(&b)));
        // Groups of equals, each with its first member in front.
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for number in order {
            match groups.last_mut() {
                Some(group) if order_of(group[0], number).is_eq() => group.push(number),
                _ => groups.push(vec![number]),
            }
        }
        if !sorted {
            groups.sort_by_key(|group| group[0]);
        }
        let signed = |n: usize| n.cast_signed() as i64;
        let mut inverse = vec![0i64; dim];
        for (number, group) in groups.iter().enumerate() {
            group.iter().for_each(|&member| inverse[member] = signed(number));
        }
        let groups_ref = &groups;
        let from = (0..outer).flat_map(|row| {
            groups_ref
                .iter()
                .flat_map(move |group| (0..inner).map(move |i| Some((row * dim + group[0]) * inner + i)))
        });
        let values = pick(x.elements(), from);
        let mut dims = vec![groups.len()];
        if let Some(at) = along {
            dims = x.shape().to_vec();
            let at = axis(at, dims.len())?;
            dims[at] = groups.len();
        }
        let firsts: Vec<i64> = groups.iter().map(|group| signed(group[0])).collect();
        let counts: Vec<i64> = groups.iter().map(|group| signed(group.len())).collect();
        let vector = |values: Vec<i64>| Tensor::vector(values.into());
        many([made(dims, values)?, vector(firsts), vector(inverse), vector(counts)])
    })
}
