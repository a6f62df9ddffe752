//! Reading images at places between their elements.

use super::super::numbers::doubles;
use super::super::op::{Built, Inputs, Node, one, op, shape, size};
use super::super::registry::{Row, row};
use super::conv::convolved;
use super::reals::{Real, in_reals, tensor};
use super::window::{Spec, Window, unravel};
use crate::limits;
use crate::tensor::Tensor;

pub(super) const ROWS: &[Row] = &[
    row("AffineGrid", 20, affine_grid),
    row("DeformConv", 19, deform_conv),
    row("GridSample", 16, grid_sample),
    row("MaxRoiPool", 1, max_roi_pool),
    row("RoiAlign", 10, roi_align),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

fn grid_sample(node: &mut Node<'_>) -> Built {
    let mode = match node.attributes.text("mode")?.unwrap_or("linear") {
        "linear" | "bilinear" => Mode::Linear,
        "nearest" => Mode::Nearest,
        "cubic" | "bicubic" => Mode::Cubic,
        other => return Err(format!("mode is {other:?}; expected linear, nearest or cubic")),
    };
    let padding = match node.attributes.text("padding_mode")?.unwrap_or("zeros") {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        other => return Err(format!("padding_mode is {other:?}; expected zeros, border or reflection")),
    };
    let align = node.attributes.flag("align_corners", false)?;
    op(move |inputs| {
        let (x, grid) = (inputs.tensor(0)?, inputs.tensor(1)?);
        in_reals!(x.dtype(), sampled(x, grid, mode, padding, align)).and_then(one)
    })
}

/// Mirrored at the borders until it is within them.
fn reflected(x: f64, least: f64, most: f64) -> f64 {
    let range = most - least;
    if range <= 0.0 {
        return least;
    }
    let (past, up) = if x < least { (least - x, true) } else { (x - most, false) };
    if past <= 0.0 {
        return x;
    }
    let turns = (past / range).floor();
    let rest = past - turns * range;
    if (turns % 2.0 == 0.0) == up { least + rest } else { most - rest }
}

/// The elements around a place along one dimension, with their weights; none for
/// those that count as 0.
fn around(x: f64, dim: usize, mode: Mode, padding: Padding, align: bool) -> Vec<(usize, f64)> {
    let last = dim as f64 - 1.0;
    let (least, most) = if align { (0.0, last) } else { (-0.5, last + 0.5) };
    let mut x = if mode == Mode::Nearest { x.round_ties_even() } else { x };
    if x < least || x > most {
        x = match padding {
            Padding::Zeros => x,
            Padding::Border => x.clamp(0.0, last),
            Padding::Reflection => reflected(x, least, most),
        };
    }
    if !x.is_finite() {
        return Vec::new();
    }
    let floor = x.floor();
    let taps: Vec<(f64, f64)> = match mode {
        Mode::Nearest => vec![(x, 1.0)],
        Mode::Linear => vec![(floor, 1.0 - (x - floor)), (floor + 1.0, x - floor)],
        Mode::Cubic => (-1..3)
            .map(|step| (floor + f64::from(step), super::resize::cubic(x - floor - f64::from(step), -0.75)))
            .collect(),
    };
    let place = |(at, weight): (f64, f64)| {
        let at = match padding {
            Padding::Zeros => (at >= 0.0 && at <= last).then_some(at)?,
            Padding::Border => at.clamp(0.0, last),
            // Cut to a whole number, as the reference does.
            Padding::Reflection => reflected(at, least, most).trunc().clamp(0.0, last),
        };
        Some((at as usize, weight))
    };
    taps.into_iter().filter_map(place).collect()
}

/// Sums over all elements that the dimensions' taps meet at.
fn gathered<T: Real>(image: &[T], taps: &[Vec<(usize, f64)>], dims: &[usize]) -> T {
    fn sum<T: Real>(image: &[T], taps: &[Vec<(usize, f64)>], dims: &[usize], at: usize) -> f64 {
        let Some((first, rest)) = taps.split_first() else { return image[at].wide() };
        let mut total = 0.0;
        for &(place, weight) in first {
            total += weight * sum(image, rest, &dims[1..], at * dims[0] + place);
        }
        total
    }
    T::c(sum(image, taps, dims, 0))
}

fn sampled<T: Real>(
    x: &Tensor,
    grid: &Tensor,
    mode: Mode,
    padding: Padding,
    align: bool,
) -> Result<Tensor, String> {
    let rank = x.shape().rank().saturating_sub(2);
    let fits = rank > 0
        && grid.shape().rank() == rank + 2
        && grid.shape()[rank + 1] == rank
        && grid.shape()[0] == x.shape()[0];
    if !fits {
        return Err(format!("an image of shape {} and a grid of {}", x.shape(), grid.shape()));
    }
    let (batch, channels, image_dims) = (x.shape()[0], x.shape()[1], &x.shape()[2..]);
    if image_dims.contains(&0) {
        return Err("an image without elements cannot be read".to_owned());
    }
    let dims: Vec<usize> =
        [batch, channels].into_iter().chain(grid.shape()[1..=rank].iter().copied()).collect();
    let total = shape(dims.iter().copied())?.elements();
    let area: usize = image_dims.iter().product();
    let (values, places) = (T::of(x.elements())?, doubles(grid.elements())?);
    let outputs = total.checked_div(batch * channels).unwrap_or(0);
    let mut made = vec![T::zero(); total];
    for stack in 0..batch {
        for output in 0..outputs {
            let place = &places[(stack * outputs + output) * rank..][..rank];
            // The last number of a place is of the first dimension.
            let taps: Vec<Vec<(usize, f64)>> = image_dims
                .iter()
                .zip(place.iter().rev())
                .map(|(&dim, &at)| {
                    let length = dim as f64;
                    let x = if align {
                        (at + 1.0) / 2.0 * (length - 1.0)
                    } else {
                        ((at + 1.0) * length - 1.0) / 2.0
                    };
                    around(x, dim, mode, padding, align)
                })
                .collect();
            for channel in 0..channels {
                let image = &values[(stack * channels + channel) * area..][..area];
                made[(stack * channels + channel) * outputs + output] = gathered(image, &taps, image_dims);
            }
        }
    }
    tensor(dims, made, x.dtype())
}

fn affine_grid(node: &mut Node<'_>) -> Built {
    let align = node.attributes.flag("align_corners", false)?;
    op(move |inputs| {
        let theta = inputs.tensor(0)?;
        let stated = inputs.ints(1)?.ok_or("size is missing")?;
        let stated: Vec<usize> = stated.iter().map(|&dim| size(dim, "size")).collect::<Result<_, _>>()?;
        let rank = stated.len().saturating_sub(2);
        if !(2..=3).contains(&rank) || theta.shape()[..] != [stated[0], rank, rank + 1] {
            return Err(format!("theta of shape {} for an image of {stated:?}", theta.shape()));
        }
        let image = &stated[2..];
        let dims: Vec<usize> = [stated[0]].into_iter().chain(image.iter().copied()).chain([rank]).collect();
        let total = shape(dims.iter().copied())?.elements();
        let matrices = doubles(theta.elements())?;
        let (mut made, mut at) = (Vec::with_capacity(total), vec![0; rank]);
        let coordinate = |at: usize, dim: usize| {
            let (at, dim) = (at as f64, dim as f64);
            if align {
                if dim > 1.0 { at * 2.0 / (dim - 1.0) - 1.0 } else { 0.0 }
            } else {
                (at * 2.0 + 1.0) / dim - 1.0
            }
        };
        for matrix in matrices.chunks_exact(rank * (rank + 1)) {
            for number in 0..image.iter().product() {
                unravel(number, image, &mut at);
                // x, y(, z), 1: the last dimension first.
                let mut place: Vec<f64> =
                    at.iter().zip(image).rev().map(|(&at, &dim)| coordinate(at, dim)).collect();
                place.push(1.0);
                for line in matrix.chunks_exact(rank + 1) {
                    made.push(line.iter().zip(&place).map(|(a, b)| a * b).sum::<f64>());
                }
            }
        }
        one(tensor::<f64>(dims, made, theta.dtype())?)
    })
}

/// Numbers of a box of `rois`, and its image.
fn boxes(inputs: &Inputs<'_>, x: &Tensor, columns: usize) -> Result<Vec<Vec<f64>>, String> {
    let rois = inputs.tensor(1)?;
    if x.shape().rank() != 4 || rois.shape().rank() != 2 || rois.shape()[1] != columns {
        return Err(format!("an image of shape {} and boxes of {}", x.shape(), rois.shape()));
    }
    let numbers = doubles(rois.elements())?;
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err("a box is not finite".to_owned());
    }
    Ok(numbers.chunks_exact(columns).map(<[f64]>::to_vec).collect())
}

/// Which image of the batch a number names.
fn image_of(number: f64, batch: usize) -> Result<usize, String> {
    if number >= 0.0 && number < batch as f64 {
        Ok(number as usize)
    } else {
        Err(format!("a box on image {number} of {batch}"))
    }
}

#[derive(Debug, Clone)]
struct Align {
    height: usize,
    width: usize,
    samples: usize,
    scale: f64,
    half_pixel: bool,
    is_max: bool,
}

fn roi_align(node: &mut Node<'_>) -> Built {
    let count = |name: &str, usual: i64| size(node.attributes.int(name)?.unwrap_or(usual), name);
    let usual = if node.opset >= 16 { "half_pixel" } else { "output_half_pixel" };
    let align = Align {
        height: count("output_height", 1)?,
        width: count("output_width", 1)?,
        samples: count("sampling_ratio", 0)?,
        scale: node.attributes.float("spatial_scale")?.map_or(1.0, f64::from),
        half_pixel: match node.attributes.text("coordinate_transformation_mode")?.unwrap_or(usual) {
            "half_pixel" => true,
            "output_half_pixel" => false,
            other => return Err(format!("coordinate_transformation_mode is {other:?}, which is not served")),
        },
        is_max: match node.attributes.text("mode")?.unwrap_or("avg") {
            "avg" => false,
            "max" => true,
            other => return Err(format!("mode is {other:?}; expected avg or max")),
        },
    };
    if align.height == 0 || align.width == 0 || align.samples > 1 << 10 {
        return Err("an output without elements, or too many samples".to_owned());
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let boxes = boxes(&inputs, x, 4)?;
        let images = doubles(inputs.tensor(2)?.elements())?;
        if images.len() != boxes.len() {
            return Err(format!("{} images of {} boxes", images.len(), boxes.len()));
        }
        let images =
            images.iter().map(|&number| image_of(number, x.shape()[0])).collect::<Result<Vec<_>, _>>()?;
        let dims = [boxes.len(), x.shape()[1], align.height, align.width];
        shape(dims)?;
        in_reals!(x.dtype(), aligned(&align, x, &boxes, &images, dims)).and_then(one)
    })
}

/// Four elements around a place and their weights; nothing when it is outside.
fn corners(y: f64, x: f64, height: usize, width: usize) -> Option<[(usize, f64); 4]> {
    let (h, w) = (height as f64, width as f64);
    if !(-1.0..=h).contains(&y) || !(-1.0..=w).contains(&x) || height == 0 || width == 0 {
        return None;
    }
    let side = |at: f64, dim: usize| {
        let at = at.max(0.0);
        let low = (at as usize).min(dim - 1);
        let high = (low + 1).min(dim - 1);
        (low, high, if low == dim - 1 { 0.0 } else { at - low as f64 })
    };
    let ((y0, y1, dy), (x0, x1, dx)) = (side(y, height), side(x, width));
    Some([
        (y0 * width + x0, (1.0 - dy) * (1.0 - dx)),
        (y0 * width + x1, (1.0 - dy) * dx),
        (y1 * width + x0, dy * (1.0 - dx)),
        (y1 * width + x1, dy * dx),
    ])
}

fn aligned<T: Real>(
    align: &Align,
    x: &Tensor,
    boxes: &[Vec<f64>],
    images: &[usize],
    dims: [usize; 4],
) -> Result<Tensor, String> {
    let (channels, height, width) = (x.shape()[1], x.shape()[2], x.shape()[3]);
    let values = T::of(x.elements())?;
    let mut made = Vec::with_capacity(dims.iter().product());
    let offset = if align.half_pixel { 0.5 } else { 0.0 };
    for (numbers, &image) in boxes.iter().zip(images) {
        let [left, top, right, bottom] = [0, 1, 2, 3].map(|at| numbers[at] * align.scale - offset);
        let (mut wide, mut high) = (right - left, bottom - top);
        if !align.half_pixel {
            (wide, high) = (wide.max(1.0), high.max(1.0));
        }
        let (cell_h, cell_w) = (high / align.height as f64, wide / align.width as f64);
        let samples =
            |cell: f64| if align.samples > 0 { align.samples } else { cell.ceil().max(0.0) as usize };
        let (rows, columns) = (samples(cell_h), samples(cell_w));
        let all = rows.saturating_mul(columns).saturating_mul(align.height * align.width);
        if all > limits::ONNX_ELEMENTS_MAX {
            return Err("a box is too large".to_owned());
        }
        // The samples of each cell are the same for every channel.
        let mut cells = Vec::with_capacity(align.height * align.width);
        for cell in 0..align.height * align.width {
            let (row, column) = (cell / align.width, cell % align.width);
            let samples = (0..rows * columns).map(|sample| {
                let (sy, sx) = ((sample / columns) as f64 + 0.5, (sample % columns) as f64 + 0.5);
                let y = top + row as f64 * cell_h + sy * cell_h / rows as f64;
                let x = left + column as f64 * cell_w + sx * cell_w / columns as f64;
                corners(y, x, height, width)
            });
            cells.push(samples.collect::<Vec<_>>());
        }
        for channel in 0..channels {
            let plane = &values[(image * channels + channel) * height * width..][..height * width];
            let read = |&(at, weight): &(usize, f64)| plane[at].wide() * weight;
            for cell in &cells {
                let value = if align.is_max {
                    let one = |sample: &Option<[(usize, f64); 4]>| {
                        sample
                            .as_ref()
                            .map_or(0.0, |four| four.iter().map(read).fold(f64::NEG_INFINITY, f64::max))
                    };
                    cell.iter().map(one).reduce(f64::max).unwrap_or(0.0)
                } else {
                    let sum: f64 = cell.iter().flatten().map(|four| four.iter().map(read).sum::<f64>()).sum();
                    sum / cell.len().max(1) as f64
                };
                made.push(T::c(value));
            }
        }
    }
    tensor(dims, made, x.dtype())
}

fn max_roi_pool(node: &mut Node<'_>) -> Built {
    let pooled = node.required("pooled_shape", super::window::sizes(node, "pooled_shape", 1))?;
    let scale = node.attributes.float("spatial_scale")?.map_or(1.0, f64::from);
    let [height, width] = pooled[..] else {
        return Err(format!("pooled_shape is {pooled:?}; expected 2 sizes"));
    };
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let boxes = boxes(&inputs, x, 5)?;
        let dims = [boxes.len(), x.shape()[1], height, width];
        shape(dims)?;
        in_reals!(x.dtype(), pooled_boxes(x, &boxes, scale, dims)).and_then(one)
    })
}

fn pooled_boxes<T: Real>(
    x: &Tensor,
    boxes: &[Vec<f64>],
    scale: f64,
    dims: [usize; 4],
) -> Result<Tensor, String> {
    let (channels, height, width) = (x.shape()[1], x.shape()[2], x.shape()[3]);
    let (values, [_, _, out_h, out_w]) = (T::of(x.elements())?, dims);
    let mut made = Vec::with_capacity(dims.iter().product());
    for numbers in boxes {
        let image = image_of(numbers[0], x.shape()[0])?;
        // Halves go away from 0.
        let [left, top, right, bottom] = [1, 2, 3, 4].map(|at| (numbers[at] * scale).round());
        let (wide, high) = ((right - left + 1.0).max(1.0), (bottom - top + 1.0).max(1.0));
        let range = |at: usize, of: usize, size: f64, from: f64, dim: usize| {
            let cell = size / of as f64;
            let start = ((at as f64 * cell).floor() + from).clamp(0.0, dim as f64);
            let end = (((at + 1) as f64 * cell).ceil() + from).clamp(0.0, dim as f64);
            start as usize..end as usize
        };
        for channel in 0..channels {
            let plane = &values[(image * channels + channel) * height * width..][..height * width];
            for row in 0..out_h {
                for column in 0..out_w {
                    let rows = range(row, out_h, high, top, height);
                    let columns = range(column, out_w, wide, left, width);
                    let cells = rows.flat_map(|y| columns.clone().map(move |x| y * width + x));
                    made.push(cells.map(|at| plane[at]).reduce(T::max).unwrap_or(T::zero()));
                }
            }
        }
    }
    tensor(dims, made, x.dtype())
}

#[derive(Debug, Clone)]
struct Deform {
    spec: Spec,
    group: usize,
    offset_group: usize,
}

fn deform_conv(node: &mut Node<'_>) -> Built {
    let count = |name: &str| -> Result<usize, String> {
        let count = node.attributes.int(name)?.unwrap_or(1);
        usize::try_from(count).ok().filter(|&count| count > 0).ok_or_else(|| format!("{name} is {count}"))
    };
    let (group, offset_group) = (count("group")?, count("offset_group")?);
    let plan = Deform { spec: Spec::read(node)?, group, offset_group };
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        in_reals!(x.dtype(), deformed(&plan, &inputs)).and_then(one)
    })
}

/// Every place of the kernel reads at its own place and an offset; what was read is
/// then an image of its own for an ordinary product.
fn deformed<T: Real>(plan: &Deform, inputs: &Inputs<'_>) -> Result<Tensor, String> {
    let (x, w, offset) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
    let (bias, mask) = (inputs.optional(3)?, inputs.optional(4)?);
    let ([batch, channels, height, width], [out, own, kh, kw]) = (&x.shape()[..], &w.shape()[..]) else {
        return Err(format!("an image of shape {} and weights of {}", x.shape(), w.shape()));
    };
    let (batch, channels, height, width) = (*batch, *channels, *height, *width);
    let (out, own, places) = (*out, *own, kh * kw);
    let fits = own.checked_mul(plan.group) == Some(channels)
        && out.is_multiple_of(plan.group)
        && channels.is_multiple_of(plan.offset_group);
    if !fits {
        return Err(format!("{channels} channels do not fit weights of {}", w.shape()));
    }
    let window = plan.spec.over(&[height, width], &[*kh, *kw])?;
    let (out_h, out_w, outputs) = (window.out[0], window.out[1], window.outputs());
    let read_dims = [batch, plan.offset_group * places * 2, out_h, out_w];
    if offset.shape()[..] != read_dims {
        return Err(format!("offsets of shape {}; expected {read_dims:?}", offset.shape()));
    }
    if mask.is_some_and(|mask| mask.shape()[..] != [batch, plan.offset_group * places, out_h, out_w]) {
        return Err("the mask is not of the offsets' shape".to_owned());
    }
    let dims = [batch, out, out_h, out_w];
    shape(dims)?;
    let total = shape([batch, channels * places, outputs])?.elements();
    let (values, offsets) = (T::of(x.elements())?, doubles(offset.elements())?);
    let mask = mask.map(|mask| doubles(mask.elements())).transpose()?;
    let mut columns = Vec::with_capacity(total);
    for stack in 0..batch {
        for channel in 0..channels {
            let plane = &values[(stack * channels + channel) * height * width..][..height * width];
            let group = channel / (channels / plan.offset_group);
            for place in 0..places {
                let from = (stack * plan.offset_group + group) * places + place;
                for output in 0..outputs {
                    let at = |axis: usize, output: usize, place: usize| {
                        (output * window.strides[axis] + place * window.dilations[axis]) as f64
                            - window.begin[axis] as f64
                    };
                    let y = at(0, output / out_w, place / kw) + offsets[from * 2 * outputs + output];
                    let x = at(1, output % out_w, place % kw) + offsets[(from * 2 + 1) * outputs + output];
                    let taps = [
                        around(y, height, Mode::Linear, Padding::Zeros, true),
                        around(x, width, Mode::Linear, Padding::Zeros, true),
                    ];
                    let value: T = gathered(plane, &taps, &[height, width]);
                    let kept = mask.as_ref().map_or(1.0, |mask| mask[from * outputs + output]);
                    columns.push(value * T::c(kept));
                }
            }
        }
    }
    let whole = [outputs.max(1)];
    let points = Window::new(&whole, &[1], &[1], &[1], &[0], &[0], &[outputs])?;
    let (weights, bias) = (T::of(w.elements())?, bias.map(|bias| T::of(bias.elements())).transpose()?);
    if bias.as_ref().is_some_and(|bias| bias.len() != out) {
        return Err(format!("the bias has not one number for each of {out} channels"));
    }
    let made = convolved(plan.group, &points, &columns, &weights, bias.as_deref(), batch, out);
    tensor(dims, made, x.dtype())
}
