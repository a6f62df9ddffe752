//! Other shapes for the same elements, and parts of tensors.

use smallvec::SmallVec;

use super::super::super::backend::Value;
use super::super::elements::{View, pick, pick_runs, reshaped, strides, zeros_like};
use super::super::op::{Built, Inputs, Node, Outputs, axis, ints, made, many, one, op, shape, size};
use super::super::registry::{Row, row};
use super::matrix::transposed;
use crate::tensor::{Tensor, concat_rows};

pub(super) const ROWS: &[Row] = &[
    row("Concat", 1, concat),
    row("Expand", 8, expand),
    row("Flatten", 1, flatten),
    row("Pad", 1, pad),
    row("Reshape", 1, reshape),
    row("Slice", 1, slice_1),
    row("Slice", 10, slice),
    row("Split", 1, split),
    row("Squeeze", 1, squeeze),
    row("Tile", 6, tile),
    row("Transpose", 1, transpose),
    row("Unsqueeze", 1, unsqueeze),
];

fn reshape(node: &mut Node<'_>) -> Built {
    // A shape that never changes is read once.
    let stated = match node.attributes.ints("shape")? {
        Some(dims) => Some(dims.to_vec()),
        None => node.constant(1).map(ints).transpose()?,
    };
    let allow_zero = node.attributes.flag("allowzero", false)?;
    node.attributes.ignore(&["consumed_inputs"]);
    op(move |mut inputs| {
        let wanted = match &stated {
            Some(dims) => dims.clone(),
            None => inputs.ints(1)?.ok_or("input 1 is missing")?,
        };
        let x = inputs.take(0)?;
        let mut dims: SmallVec<[usize; 6]> = SmallVec::new();
        let mut open = None;
        for (at, &dim) in wanted.iter().enumerate() {
            dims.push(match dim {
                -1 if open.is_none() => {
                    open = Some(at);
                    1
                }
                0 if !allow_zero => *x
                    .shape()
                    .get(at)
                    .ok_or_else(|| format!("dimension {at} is to stay, and there is none"))?,
                dim => size(dim, "a dimension of the shape")?,
            });
        }
        if let Some(open) = open {
            let known = shape(dims.iter().copied())?.elements();
            let total = x.elements().len();
            if known == 0 || total % known != 0 {
                return Err(format!("{total} elements do not fill shape {wanted:?}"));
            }
            dims[open] = total / known;
        }
        one(reshaped(x, dims)?)
    })
}

fn flatten(node: &mut Node<'_>) -> Built {
    let at = node.attributes.int("axis")?.unwrap_or(1);
    op(move |mut inputs| {
        let x = inputs.take(0)?;
        let rank = x.shape().rank();
        let at = if usize::try_from(at) == Ok(rank) { rank } else { axis(at, rank)? };
        let rows: usize = x.shape()[..at].iter().product();
        let columns: usize = x.shape()[at..].iter().product();
        one(reshaped(x, [rows, columns])?)
    })
}

/// The axes of an attribute of old opsets or of an input.
fn axes(inputs: &Inputs<'_>, stated: Option<&Vec<i64>>) -> Result<Option<Vec<i64>>, String> {
    match stated {
        Some(axes) => Ok(Some(axes.clone())),
        None => inputs.ints(1),
    }
}

fn squeeze(node: &mut Node<'_>) -> Built {
    let stated = node.attributes.ints("axes")?.map(<[i64]>::to_vec);
    op(move |mut inputs| {
        let axes = axes(&inputs, stated.as_ref())?;
        let x = inputs.take(0)?;
        let rank = x.shape().rank();
        let mut gone: Vec<bool> = x.shape().iter().map(|&dim| axes.is_none() && dim == 1).collect();
        for at in axes.unwrap_or_default() {
            let at = axis(at, rank)?;
            if x.shape()[at] != 1 {
                return Err(format!("dimension {at} is {}; expected 1", x.shape()[at]));
            }
            gone[at] = true;
        }
        let dims: SmallVec<[usize; 6]> =
            x.shape().iter().zip(gone).filter(|(_, gone)| !gone).map(|(&dim, _)| dim).collect();
        one(reshaped(x, dims)?)
    })
}

fn unsqueeze(node: &mut Node<'_>) -> Built {
    let stated = node.attributes.ints("axes")?.map(<[i64]>::to_vec);
    op(move |mut inputs| {
        let axes = axes(&inputs, stated.as_ref())?.ok_or("input 1 is missing")?;
        let x = inputs.take(0)?;
        let rank = x.shape().rank() + axes.len();
        shape(std::iter::repeat_n(1, rank))?;
        let mut is_new = vec![false; rank];
        for at in axes {
            let at = axis(at, rank)?;
            if std::mem::replace(&mut is_new[at], true) {
                return Err(format!("axis {at} is there twice"));
            }
        }
        let mut own = x.shape().iter().copied();
        let dims: SmallVec<[usize; 6]> =
            is_new.into_iter().map(|is_new| if is_new { 1 } else { own.next().unwrap_or(1) }).collect();
        one(reshaped(x, dims)?)
    })
}

fn transpose(node: &mut Node<'_>) -> Built {
    let stated = node.attributes.ints("perm")?.map(<[i64]>::to_vec);
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let rank = x.shape().rank();
        let order = match &stated {
            None => (0..rank).rev().collect(),
            Some(order) => order.iter().map(|&at| axis(at, rank)).collect::<Result<Vec<_>, _>>()?,
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted.into_iter().ne(0..rank) {
            return Err(format!("perm {order:?} does not name each of {rank} dimensions once"));
        }
        one(transposed(x, &order)?)
    })
}

fn expand(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let x = inputs.tensor(0)?;
        let wanted = ints(inputs.tensor(1)?)?;
        let wanted = wanted.iter().map(|&dim| size(dim, "a dimension")).collect::<Result<Vec<_>, _>>()?;
        let dims = super::super::elements::broadcast_dims([&**x.shape(), wanted.as_slice()])?;
        shape(dims.iter().copied())?;
        let view = View::broadcast(x.shape(), &dims).ok_or("the shapes do not fit each other")?;
        one(made(dims, view.of(x.elements()))?)
    })
}

fn tile(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let x = inputs.tensor(0)?;
        let times = ints(inputs.tensor(1)?)?;
        let rank = x.shape().rank();
        if times.len() != rank {
            return Err(format!("input 1 has {} numbers for {rank} dimensions", times.len()));
        }
        let times =
            times.iter().map(|&times| size(times, "a number of repeats")).collect::<Result<Vec<_>, _>>()?;
        let dims: Result<Vec<usize>, _> = x
            .shape()
            .iter()
            .zip(&times)
            .map(|(&dim, &times)| dim.checked_mul(times).ok_or("the result is too large"))
            .collect();
        let dims = dims?;
        shape(dims.iter().copied())?;
        // Each dimension as two: how often, which does not move, and the dimension itself.
        let mut view = View { dims: SmallVec::new(), strides: SmallVec::new(), offset: 0 };
        for ((&dim, &times), &stride) in x.shape().iter().zip(&times).zip(&strides(x.shape())) {
            view.dims.extend([times, dim]);
            view.strides.extend([0, stride]);
        }
        one(made(dims, view.of(x.elements()))?)
    })
}

/// Tensors one behind the other along an axis.
pub(in crate::engines::onnx) fn concatenated(tensors: &[&Tensor], along: i64) -> Result<Tensor, String> {
    let first = *tensors.first().ok_or("there is nothing to join")?;
    let at = axis(along, first.shape().rank())?;
    let mut dims = first.shape().to_vec();
    dims[at] = 0;
    for tensor in tensors {
        let fits = tensor.shape().rank() == dims.len()
            && tensor.shape().iter().enumerate().all(|(d, &dim)| d == at || dim == dims[d]);
        if !fits || tensor.dtype() != first.dtype() {
            return Err(format!(
                "a tensor of {} and shape {} does not follow one of {} and shape {} along axis {at}",
                tensor.dtype(),
                tensor.shape(),
                first.dtype(),
                first.shape()
            ));
        }
        dims[at] = dims[at].checked_add(tensor.shape()[at]).ok_or("the result is too large")?;
    }
    let whole = shape(dims.iter().copied())?;
    // Along the first dimension they lie together already; else all are put behind each
    // other first, and then picked run by run.
    let flat: Vec<Tensor> = tensors.iter().map(|tensor| Tensor::vector(tensor.elements().clone())).collect();
    let all = concat_rows(&flat).map_err(|error| error.to_string())?.into_elements();
    let outer: usize = dims[..at].iter().product();
    if outer <= 1 {
        return made(whole.iter().copied(), all);
    }
    let inner: usize = dims[at + 1..].iter().product();
    let mut starts = Vec::with_capacity(tensors.len());
    let mut start = 0;
    for tensor in tensors {
        starts.push((start, tensor.shape()[at] * inner));
        start += tensor.elements().len();
    }
    // Runs of different lengths: the greatest common one picks them all.
    let run = starts.iter().fold(0, |run, (_, length)| gcd(run, *length)).max(1);
    let starts = &starts;
    let places = (0..outer).flat_map(|row| {
        starts.iter().flat_map(move |&(start, length)| {
            (0..length / run).map(move |at| start + row * length + at * run)
        })
    });
    made(whole.iter().copied(), pick_runs(&all, places, run))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn concat(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(1);
    op(move |inputs| one(concatenated(&inputs.tensors()?, along)?))
}

/// Part of a dimension: from where, how many, and by which step.
#[derive(Debug, Clone, Copy)]
struct Cut {
    start: usize,
    length: usize,
    step: isize,
}

/// What `start:end:step` means of a dimension, as Python has it.
fn cut(start: i64, end: i64, step: i64, dim: usize) -> Result<Cut, String> {
    if step == 0 {
        return Err("a step is 0".to_owned());
    }
    let dim = i64::try_from(dim).map_err(|_| "a dimension is too large")?;
    let (low, high) = if step > 0 { (0, dim) } else { (-1, dim - 1) };
    let place = |at: i64| (if at < 0 { at.saturating_add(dim) } else { at }).clamp(low, high);
    let (start, end) = (place(start), place(end));
    let distance = if step > 0 { end - start } else { start - end };
    let length = if distance <= 0 { 0 } else { (distance - 1) / step.saturating_abs() + 1 };
    Ok(Cut {
        start: usize::try_from(start.max(0)).unwrap_or(0),
        length: usize::try_from(length).unwrap_or(0),
        step: isize::try_from(step).unwrap_or(if step > 0 { isize::MAX } else { isize::MIN }),
    })
}

fn sliced(x: &Tensor, cuts: &[Option<Cut>]) -> Result<Tensor, String> {
    let mut view = View::whole(x.shape());
    for (at, cut) in cuts.iter().enumerate() {
        let Some(cut) = cut else { continue };
        view.offset += view.strides[at].saturating_mul(isize::try_from(cut.start).unwrap_or(0));
        view.dims[at] = cut.length;
        // A single element needs no step, and a huge one would leave the numbers.
        view.strides[at] = if cut.length > 1 { view.strides[at].saturating_mul(cut.step) } else { 0 };
    }
    made(view.dims.iter().copied(), view.of(x.elements()))
}

fn sliced_by(
    x: &Tensor,
    starts: &[i64],
    ends: &[i64],
    axes: Option<&[i64]>,
    steps: Option<&[i64]>,
) -> Result<Tensor, String> {
    let rank = x.shape().rank();
    let all: Vec<i64> = (0i64..).take(starts.len()).collect();
    let axes = axes.unwrap_or(&all);
    if ends.len() != starts.len()
        || axes.len() != starts.len()
        || steps.is_some_and(|steps| steps.len() != starts.len())
    {
        return Err("starts, ends, axes and steps have different lengths".to_owned());
    }
    let mut cuts = vec![None; rank];
    for (at, &along) in axes.iter().enumerate() {
        let along = axis(along, rank)?;
        cuts[along] = Some(cut(starts[at], ends[at], steps.map_or(1, |steps| steps[at]), x.shape()[along])?);
    }
    sliced(x, &cuts)
}

fn slice_1(node: &mut Node<'_>) -> Built {
    let starts = node.required("starts", node.attributes.ints("starts"))?.to_vec();
    let ends = node.required("ends", node.attributes.ints("ends"))?.to_vec();
    let axes = node.attributes.ints("axes")?.map(<[i64]>::to_vec);
    op(move |inputs| one(sliced_by(inputs.tensor(0)?, &starts, &ends, axes.as_deref(), None)?))
}

fn slice(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let (starts, ends) = (ints(inputs.tensor(1)?)?, ints(inputs.tensor(2)?)?);
        let (axes, steps) = (inputs.ints(3)?, inputs.ints(4)?);
        one(sliced_by(inputs.tensor(0)?, &starts, &ends, axes.as_deref(), steps.as_deref())?)
    })
}

/// The sizes of parts of a dimension: as stated, or as equal as they can be.
pub(super) fn part_sizes(
    dim: usize,
    stated: Option<&[i64]>,
    parts: usize,
    is_new: bool,
) -> Result<Vec<usize>, String> {
    if let Some(stated) = stated {
        let sizes = stated.iter().map(|&part| size(part, "a part")).collect::<Result<Vec<_>, _>>()?;
        let sum = sizes.iter().try_fold(0usize, |sum, &part| sum.checked_add(part));
        if sum != Some(dim) {
            return Err(format!("parts of {sizes:?} do not make up a dimension of {dim}"));
        }
        return Ok(sizes);
    }
    if parts == 0 || (!is_new && !dim.is_multiple_of(parts)) {
        return Err(format!("a dimension of {dim} has no {parts} equal parts"));
    }
    let each = dim.div_ceil(parts);
    Ok((0..parts).map(|at| dim.saturating_sub(at * each).min(each)).collect())
}

pub(super) fn parted(x: &Tensor, at: usize, sizes: &[usize]) -> Result<Vec<Tensor>, String> {
    let mut start = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for &length in sizes {
        let mut cuts = vec![None; x.shape().rank()];
        cuts[at] = Some(Cut { start, length, step: 1 });
        parts.push(sliced(x, &cuts)?);
        start += length;
    }
    Ok(parts)
}

fn split(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(0);
    let stated = node.attributes.ints("split")?.map(<[i64]>::to_vec);
    let parts = node.attributes.int("num_outputs")?;
    let parts = match parts {
        Some(parts) => size(parts, "num_outputs")?,
        None => node.outputs.len(),
    };
    let outputs = node.outputs.len();
    let is_new = node.opset >= 18;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let at = axis(along, x.shape().rank())?;
        let sizes = match &stated {
            Some(sizes) => Some(sizes.clone()),
            None => inputs.ints(1)?,
        };
        if parts > outputs {
            return Err(format!("it makes {parts} parts and has {outputs} outputs"));
        }
        many(parted(x, at, &part_sizes(x.shape()[at], sizes.as_deref(), parts, is_new)?)?)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

fn pad(node: &mut Node<'_>) -> Built {
    let mode = match node.attributes.text("mode")? {
        None | Some("constant") => Mode::Constant,
        Some("reflect") => Mode::Reflect,
        Some("edge") => Mode::Edge,
        Some("wrap") => Mode::Wrap,
        Some(other) => return Err(format!("mode {other:?} is none that is known")),
    };
    let stated = match node.attributes.ints("pads")? {
        None => node.attributes.ints("paddings")?,
        stated => stated,
    };
    let stated = stated.map(<[i64]>::to_vec);
    let value = node.attributes.float("value")?;
    op(move |inputs| padded(&inputs, mode, stated.as_deref(), value))
}

fn padded(
    inputs: &Inputs<'_>,
    mode: Mode,
    stated: Option<&[i64]>,
    value: Option<f32>,
) -> Result<Outputs, String> {
    let x = inputs.tensor(0)?;
    let rank = x.shape().rank();
    let pads = match stated {
        Some(pads) => pads.to_vec(),
        None => ints(inputs.tensor(1)?)?,
    };
    let axes = match inputs.ints(3)? {
        Some(axes) => axes.iter().map(|&at| axis(at, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("it has {} pads for {} axes", pads.len(), axes.len()));
    }
    let mut before = vec![0i64; rank];
    let mut dims = x.shape().to_vec();
    for (number, &at) in axes.iter().enumerate() {
        before[at] = pads[number];
        let dim = i64::try_from(dims[at]).map_err(|_| "a dimension is too large")?;
        let dim = dim.checked_add(pads[number]).and_then(|dim| dim.checked_add(pads[number + axes.len()]));
        dims[at] = size(dim.ok_or("a dimension is too large")?, "a padded dimension")?;
    }
    let whole = shape(dims.iter().copied())?;
    // For each dimension, where each place takes its element from.
    let mut from: Vec<Vec<Option<usize>>> = Vec::with_capacity(rank);
    for at in 0..rank {
        let dim = i64::try_from(x.shape()[at]).unwrap_or(i64::MAX);
        if dim == 0 && dims[at] > 0 && mode != Mode::Constant {
            return Err(format!("dimension {at} has no elements to pad with"));
        }
        let place = |to: usize| {
            let to = i64::try_from(to).unwrap_or(i64::MAX).saturating_sub(before[at]);
            let from = match mode {
                _ if (0..dim).contains(&to) => to,
                Mode::Constant => return None,
                Mode::Edge => to.clamp(0, dim - 1),
                Mode::Wrap => to.rem_euclid(dim),
                Mode::Reflect if dim == 1 => 0,
                Mode::Reflect => {
                    let period = 2 * (dim - 1);
                    let within = to.rem_euclid(period);
                    within.min(period - within)
                }
            };
            usize::try_from(from).ok()
        };
        from.push((0..dims[at]).map(place).collect());
    }
    // The element to fill with is put behind the others.
    let fill = match inputs.optional(2)? {
        Some(fill) if fill.elements().len() == 1 && fill.dtype() == x.dtype() => {
            Tensor::vector(fill.elements().clone())
        }
        Some(_) => return Err(format!("input 2 is no single element of {}", x.dtype())),
        None => match value {
            Some(value) => super::cast::cast(&made([1], vec![value])?, x.dtype())?,
            None => Tensor::vector(zeros_like(x.elements(), 1)),
        },
    };
    let all =
        concat_rows(&[Tensor::vector(x.elements().clone()), fill]).map_err(|error| error.to_string())?;
    let outside = x.elements().len();
    let own = strides(x.shape());
    let mut places: Vec<Option<usize>> = vec![Some(0)];
    for (from, &stride) in from.iter().zip(&own) {
        let stride = stride.unsigned_abs();
        let mut next = Vec::with_capacity(places.len().saturating_mul(from.len()));
        for &at in &places {
            next.extend(from.iter().map(|&step| Some(at? + step? * stride)));
        }
        places = next;
    }
    if rank == 0 {
        places = vec![Some(0)];
    }
    let elements = pick(all.elements(), places.into_iter().map(|place| Some(place.unwrap_or(outside))));
    one(made(whole.iter().copied(), elements)?)
}

/// A value that is not a tensor cannot be shaped; for those that take either.
pub(super) fn sequence(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Sequence(values) => Ok(values),
        Value::Table { keys, values } => {
            let rows = values.shape().rows().map_or(0, |(rows, _)| rows);
            let row = |at: usize| {
                let row =
                    crate::tensor::slice_rows(&values, at..at + 1).map_err(|error| error.to_string())?;
                Ok(Value::Map { keys: keys.clone(), values: row.into_elements() })
            };
            (0..rows).map(row).collect()
        }
        _ => Err("expected a sequence".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Elements;

    #[test]
    fn a_cut_is_pythons() {
        for (start, end, step, dim, want) in [
            (0, 3, 1, 5, vec![0i64, 1, 2]),
            (-1, i64::MIN, -1, 4, vec![3, 2, 1, 0]),
            (1, i64::MAX, 2, 6, vec![1, 3, 5]),
            (10, 0, -3, 5, vec![4, 1]),
            (3, 1, 1, 5, vec![]),
            (0, 1, i64::MAX, 5, vec![0]),
            (0, 1, 1, 0, vec![]),
        ] {
            let x = Tensor::vector((0..dim as i64).collect::<Vec<i64>>().into());
            let got = sliced_by(&x, &[start], &[end], None, Some(&[step])).unwrap();
            assert_eq!(got.elements(), &Elements::from(want), "{start}:{end}:{step} of {dim}");
        }
    }
}
