//! Convolutions: what each window sees, times the weights.

use std::borrow::Cow;

use super::super::numbers::doubles;
use super::super::op::{Built, Node, one, op, shape};
use super::super::registry::{Row, row};
use super::quant::{per_channel, requantised};
use super::reals::{Matrix, Real, in_reals, multiply, product, tensor};
use super::window::{Auto, Spec, Window, reach, sizes};
use crate::limits;
use crate::tensor::{DType, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("Conv", 1, conv),
    row("ConvInteger", 10, conv_integer),
    row("ConvTranspose", 1, conv_transpose),
    row("QLinearConv", 10, q_linear_conv),
];

/// What a convolution does with its channels and windows.
#[derive(Debug, Clone)]
struct Plan {
    group: usize,
    spec: Spec,
}

impl Plan {
    fn read(node: &Node<'_>) -> Result<Self, String> {
        let group = node.attributes.int("group")?.unwrap_or(1);
        let group = usize::try_from(group).ok().filter(|&group| group > 0);
        Ok(Self { group: group.ok_or("group is not above 0")?, spec: Spec::read(node)? })
    }

    /// The windows over `x` of weights `w`, if their channels fit.
    fn over(&self, x: &[usize], w: &[usize]) -> Result<Window, String> {
        if x.len() < 3 || w.len() != x.len() {
            return Err(format!(
                "an image of shape {x:?} and weights of {w:?}; expected 3 or more dimensions, and as many"
            ));
        }
        if w[1].checked_mul(self.group) != Some(x[1]) || !w[0].is_multiple_of(self.group) {
            return Err(format!("{} channels do not fit weights of {w:?} in {} groups", x[1], self.group));
        }
        self.spec.over(&x[2..], &w[2..])
    }
}

fn conv(node: &mut Node<'_>) -> Built {
    let plan = Plan::read(node)?;
    op(move |inputs| {
        let (x, w, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.optional(2)?);
        in_reals!(x.dtype(), floating(&plan, x, w, bias)).and_then(one)
    })
}

fn floating<T: Real>(plan: &Plan, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, String> {
    let window = plan.over(x.shape(), w.shape())?;
    let dims = out_dims(x.shape()[0], w.shape()[0], &window)?;
    let bias = bias.map(|bias| T::of(bias.elements())).transpose()?;
    if bias.as_ref().is_some_and(|bias| bias.len() != w.shape()[0]) {
        return Err(format!("the bias has not one number for each of {} channels", w.shape()[0]));
    }
    let (image, weights) = (T::of(x.elements())?, T::of(w.elements())?);
    let made = convolved(plan.group, &window, &image, &weights, bias.as_deref(), x.shape()[0], w.shape()[0]);
    tensor(dims, made, x.dtype())
}

fn out_dims(batch: usize, channels: usize, window: &Window) -> Result<Vec<usize>, String> {
    let dims: Vec<usize> = [batch, channels].into_iter().chain(window.out.iter().copied()).collect();
    shape(dims.iter().copied())?;
    Ok(dims)
}

/// The convolution of `batch` images: `[batch, channels, …]`, with a bias for each channel.
pub(super) fn convolved<T: Real>(
    group: usize,
    window: &Window,
    image: &[T],
    weights: &[T],
    bias: Option<&[T]>,
    batch: usize,
    channels: usize,
) -> Vec<T> {
    let outputs = window.outputs();
    let mut made = Vec::with_capacity(batch * channels * outputs);
    for _ in 0..batch {
        match bias {
            Some(bias) => bias.iter().for_each(|&bias| made.extend(std::iter::repeat_n(bias, outputs))),
            None => made.resize(made.len() + channels * outputs, T::zero()),
        }
    }
    let (own, parts) = (channels / group, batch * group);
    if own == 0 || outputs == 0 || parts == 0 || image.is_empty() {
        return made;
    }
    let depth = weights.len() / channels;
    // As many rows of outputs at once as a cache holds; at least one.
    let step = (limits::ONNX_PATCH_ELEMENTS / (depth * window.row()).max(1)).max(1);
    let mut columns = Vec::new();
    for (part, image) in image.chunks_exact(image.len() / parts).enumerate() {
        let within = part % group;
        let weights = Matrix::new(&weights[within * own * depth..][..own * depth], own, depth);
        let made = &mut made[part * own * outputs..][..own * outputs];
        if window.is_pointwise() {
            multiply(weights, Matrix::new(image, depth, outputs), T::one(), made, outputs, 0);
            continue;
        }
        for start in (0..window.rows()).step_by(step) {
            let rows = start..(start + step).min(window.rows());
            let (from, many) = (start * window.row(), rows.len() * window.row());
            window.gather(image, rows, &mut columns);
            multiply(weights, Matrix::new(&columns, depth, many), T::one(), made, outputs, from);
        }
    }
    made
}

/// Elements less their zero point: one, or one for each run of `each` elements.
fn centred(tensor: &Tensor, zero: Option<&Tensor>, each: usize) -> Result<Vec<f64>, String> {
    let values = doubles(tensor.elements())?;
    let Some(zero) = zero else { return Ok(values.into_owned()) };
    let zeros = doubles(zero.elements())?;
    if zeros.len() == 1 {
        return Ok(values.iter().map(|value| value - zeros[0]).collect());
    }
    if each == 0 || zeros.len() != values.len() / each {
        return Err(format!("{} zero points; expected one, or one for each channel", zeros.len()));
    }
    Ok(values
        .chunks(each)
        .zip(zeros.iter())
        .flat_map(|(run, zero)| run.iter().map(move |value| value - zero))
        .collect())
}

/// The convolution of integers less their zero points: exact, in doubles.
fn of_integers(
    plan: &Plan,
    (x, x_zero): (&Tensor, Option<&Tensor>),
    (w, w_zero): (&Tensor, Option<&Tensor>),
    bias: Option<&[f64]>,
) -> Result<(Vec<usize>, Vec<f64>), String> {
    let window = plan.over(x.shape(), w.shape())?;
    let (batch, channels) = (x.shape()[0], w.shape()[0]);
    let dims = out_dims(batch, channels, &window)?;
    if bias.is_some_and(|bias| bias.len() != channels) {
        return Err(format!("the bias has not one number for each of {channels} channels"));
    }
    let image = centred(x, x_zero, 0)?;
    let weights = centred(w, w_zero, w.elements().len().checked_div(channels).unwrap_or(0))?;
    Ok((dims, convolved(plan.group, &window, &image, &weights, bias, batch, channels)))
}

fn conv_integer(node: &mut Node<'_>) -> Built {
    let plan = Plan::read(node)?;
    op(move |inputs| {
        let x = (inputs.tensor(0)?, inputs.optional(2)?);
        let (dims, values) = of_integers(&plan, x, (inputs.tensor(1)?, inputs.optional(3)?), None)?;
        one(tensor(dims, values, DType::Int32)?)
    })
}

fn q_linear_conv(node: &mut Node<'_>) -> Built {
    let plan = Plan::read(node)?;
    op(move |inputs| {
        let x = (inputs.tensor(0)?, inputs.optional(2)?);
        let w = (inputs.tensor(3)?, inputs.optional(5)?);
        let bias = inputs.optional(8)?.map(|bias| doubles(bias.elements())).transpose()?;
        let (dims, mut values) = of_integers(&plan, x, w, bias.as_deref())?;
        let channels = dims[1];
        let scales = per_channel(inputs.tensor(4)?, channels)?;
        let x_scale = super::reals::only(inputs.tensor(1)?, "the scale of x")?;
        let area = dims[2..].iter().product::<usize>().max(1);
        for (run, scale) in values.chunks_mut(area).zip(scales.iter().cycle()) {
            run.iter_mut().for_each(|value| *value *= scale * x_scale);
        }
        one(requantised(dims, values, inputs.tensor(6)?, inputs.tensor(7)?)?)
    })
}

fn conv_transpose(node: &mut Node<'_>) -> Built {
    let plan = Plan::read(node)?;
    let wanted = sizes(node, "output_shape", 0)?;
    let more = sizes(node, "output_padding", 0)?;
    op(move |inputs| {
        let (x, w, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.optional(2)?);
        let (window, channels) =
            transposed_window(&plan, x.shape(), w.shape(), wanted.as_ref(), more.as_ref())?;
        in_reals!(x.dtype(), transposed(&plan, &window, channels, x, w, bias)).and_then(one)
    })
}

/// The windows over the *result*, of which `x` holds the outputs.
fn transposed_window(
    plan: &Plan,
    x: &[usize],
    w: &[usize],
    wanted: Option<&Vec<usize>>,
    more: Option<&Vec<usize>>,
) -> Result<(Window, usize), String> {
    if x.len() < 3 || w.len() != x.len() || w[0] != x[1] || !w[0].is_multiple_of(plan.group) {
        return Err(format!(
            "an image of shape {x:?} does not fit weights of {w:?} in {} groups",
            plan.group
        ));
    }
    let channels = w[1].checked_mul(plan.group).ok_or("too many channels")?;
    let (dims, kernel, rank) = (&x[2..], &w[2..], x.len() - 2);
    if plan.spec.kernel.as_ref().is_some_and(|stated| stated != kernel) {
        return Err(format!("kernel_shape is not that of weights of {w:?}"));
    }
    let strides = Spec::each(plan.spec.strides.as_ref(), rank, 1)?;
    let dilations = Spec::each(plan.spec.dilations.as_ref(), rank, 1)?;
    let pads = Spec::each(plan.spec.pads.as_ref(), rank * 2, 0)?;
    let more = Spec::each(more, rank, 0)?;
    // Some files state the whole shape.
    let wanted = wanted.map(|wanted| if wanted.len() == rank + 2 { &wanted[2..] } else { &wanted[..] });
    if wanted.is_some_and(|wanted| wanted.len() != rank) {
        return Err(format!("output_shape is not of {rank} sizes"));
    }
    let (mut begin, mut end, mut out) = (vec![0; rank], vec![0; rank], vec![0; rank]);
    for at in 0..rank {
        let full = (dims[at].max(1) - 1)
            .saturating_mul(strides[at])
            .saturating_add(more[at])
            .saturating_add(reach(kernel[at], dilations[at]));
        let auto = plan.spec.auto;
        let stated = match (wanted, auto) {
            (Some(wanted), _) => Some(wanted[at]),
            (None, Auto::SameUpper | Auto::SameLower) => Some(dims[at].saturating_mul(strides[at])),
            (None, Auto::NotSet | Auto::Valid) => None,
        };
        match stated {
            Some(stated) => {
                let total = full.saturating_sub(stated);
                begin[at] = if auto == Auto::SameUpper { total / 2 } else { total - total / 2 };
                end[at] = total - begin[at];
                out[at] = stated;
            }
            None => {
                if auto == Auto::NotSet {
                    (begin[at], end[at]) = (pads[at], pads[rank + at]);
                }
                out[at] =
                    full.checked_sub(begin[at].saturating_add(end[at])).ok_or("more padding than result")?;
            }
        }
    }
    Ok((Window::new(&out, kernel, &strides, &dilations, &begin, &end, dims)?, channels))
}

fn transposed<T: Real>(
    plan: &Plan,
    window: &Window,
    channels: usize,
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, String> {
    let (batch, group) = (x.shape()[0], plan.group);
    let dims: Vec<usize> = [batch, channels].into_iter().chain(window.dims.iter().copied()).collect();
    shape(dims.iter().copied())?;
    let (image, weights): (Cow<'_, [T]>, Cow<'_, [T]>) = (T::of(x.elements())?, T::of(w.elements())?);
    let (own, area, seen) = (w.shape()[0] / group, window.image(), window.outputs());
    let depth = w.shape()[1] * window.places();
    shape([depth, seen])?;
    let mut made = vec![T::zero(); batch * channels * area];
    if own * depth * seen * area > 0 {
        for (part, (image, made)) in
            image.chunks_exact(own * seen).zip(made.chunks_exact_mut(w.shape()[1] * area)).enumerate()
        {
            let weights = &weights[part % group * own * depth..][..own * depth];
            let columns = product(Matrix::transposed(weights, depth, own), Matrix::new(image, own, seen));
            window.scatter(&columns, made);
        }
    }
    if let Some(bias) = bias {
        let bias = T::of(bias.elements())?;
        if bias.len() != channels {
            return Err(format!("the bias has not one number for each of {channels} channels"));
        }
        for (run, &bias) in made.chunks_mut(area.max(1)).zip(bias.iter().cycle()) {
            run.iter_mut().for_each(|value| *value += bias);
        }
    }
    tensor(dims, made, x.dtype())
}
