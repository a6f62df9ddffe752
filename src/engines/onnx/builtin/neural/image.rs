//! Moving the elements of images, and choosing among boxes on them.

use super::super::elements::{View, pick};
use super::super::numbers::doubles;
use super::super::op::{Built, Inputs, Node, axis, made, one, op, shape, size};
use super::super::registry::{Row, row};
use super::reals::{Real, in_reals, only, tensor};
use super::window::{Spec, Window, sizes};
use crate::tensor::{Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("CenterCropPad", 18, center_crop_pad),
    row("Col2Im", 18, col2im),
    row("DepthToSpace", 1, depth_to_space),
    row("NonMaxSuppression", 10, non_max_suppression),
    row("SpaceToDepth", 1, space_to_depth),
    row("TensorScatter", 24, tensor_scatter),
];

fn block_size(node: &Node<'_>) -> Result<usize, String> {
    let size = node.required("blocksize", node.attributes.int("blocksize"))?;
    usize::try_from(size).ok().filter(|&size| size > 0).ok_or_else(|| format!("blocksize is {size}"))
}

/// Whether blocks are read column, row, depth.
fn by_columns(node: &Node<'_>) -> Result<bool, String> {
    match node.attributes.text("mode")?.unwrap_or("DCR") {
        "DCR" => Ok(false),
        "CRD" => Ok(true),
        other => Err(format!("mode is {other:?}; expected DCR or CRD")),
    }
}

/// Reads a tensor in other dimensions, their order changed, as a third shape.
fn moved(x: &Tensor, split: &[usize], order: &[usize], dims: &[usize]) -> Result<Tensor, String> {
    let whole = View::whole(split);
    let view = View {
        dims: order.iter().map(|&at| whole.dims[at]).collect(),
        strides: order.iter().map(|&at| whole.strides[at]).collect(),
        offset: 0,
    };
    made(dims.iter().copied(), view.of(x.elements()))
}

fn depth_to_space(node: &mut Node<'_>) -> Built {
    let (block, by_columns) = (block_size(node)?, by_columns(node)?);
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let area = block.checked_mul(block).ok_or("blocksize is too large")?;
        let [n, c, h, w] = x.shape()[..] else { return Err(format!("an image of shape {}", x.shape())) };
        if !c.is_multiple_of(area) {
            return Err(format!("{c} channels are not blocks of {block} x {block}"));
        }
        let (split, order) = if by_columns {
            ([n, c / area, block, block, h, w], [0, 1, 4, 2, 5, 3])
        } else {
            ([n, block, block, c / area, h, w], [0, 3, 4, 1, 5, 2])
        };
        one(moved(x, &split, &order, &[n, c / area, h * block, w * block])?)
    })
}

fn space_to_depth(node: &mut Node<'_>) -> Built {
    let (block, by_columns) = (block_size(node)?, by_columns(node)?);
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let [n, c, h, w] = x.shape()[..] else { return Err(format!("an image of shape {}", x.shape())) };
        if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
            return Err(format!("an image of {h} x {w} is not blocks of {block} x {block}"));
        }
        let split = [n, c, h / block, block, w / block, block];
        let order = if by_columns { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
        let channels = c.checked_mul(block).and_then(|c| c.checked_mul(block)).ok_or("too many channels")?;
        one(moved(x, &split, &order, &[n, channels, h / block, w / block])?)
    })
}

fn col2im(node: &mut Node<'_>) -> Built {
    let strides = sizes(node, "strides", 1)?;
    let dilations = sizes(node, "dilations", 1)?;
    let pads = sizes(node, "pads", 0)?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let list = |at: usize, what: &str| -> Result<Vec<usize>, String> {
            inputs
                .ints(at)?
                .ok_or_else(|| format!("{what} is missing"))?
                .iter()
                .map(|&i| size(i, what))
                .collect()
        };
        let (image, block) = (list(1, "image_shape")?, list(2, "block_shape")?);
        let rank = image.len();
        if rank == 0 || block.len() != rank || block.contains(&0) {
            return Err(format!("blocks of {block:?} in an image of {image:?}"));
        }
        let strides = Spec::each(strides.as_ref(), rank, 1)?;
        let dilations = Spec::each(dilations.as_ref(), rank, 1)?;
        let pads = Spec::each(pads.as_ref(), rank * 2, 0)?;
        let spec = Spec {
            kernel: None,
            strides: Some(strides),
            dilations: Some(dilations),
            pads: Some(pads),
            auto: super::window::Auto::NotSet,
            ceil: false,
        };
        let window = spec.over(&image, &block)?;
        let [n, rows, columns] = x.shape()[..] else {
            return Err(format!("columns of shape {}; expected 3 dimensions", x.shape()));
        };
        if !rows.is_multiple_of(window.places()) || columns != window.outputs() {
            return Err(format!("columns of shape {} are not the blocks of {image:?}", x.shape()));
        }
        let channels = rows / window.places();
        let dims: Vec<usize> = [n, channels].into_iter().chain(image).collect();
        shape(dims.iter().copied())?;
        in_reals!(x.dtype(), laid(x, &window, n, channels, dims)).and_then(one)
    })
}

fn laid<T: Real>(
    x: &Tensor,
    window: &Window,
    n: usize,
    channels: usize,
    dims: Vec<usize>,
) -> Result<Tensor, String> {
    let values = T::of(x.elements())?;
    let (own, area) = (channels * window.places() * window.outputs(), channels * window.image());
    let mut made = vec![T::zero(); n * area];
    if own > 0 && area > 0 {
        values
            .chunks_exact(own)
            .zip(made.chunks_exact_mut(area))
            .for_each(|(from, to)| window.scatter(from, to));
    }
    tensor(dims, made, x.dtype())
}

fn center_crop_pad(node: &mut Node<'_>) -> Built {
    let axes = node.attributes.ints("axes")?.map(<[i64]>::to_vec);
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let rank = x.shape().rank();
        let axes: Vec<usize> = match &axes {
            Some(axes) => axes.iter().map(|&at| axis(at, rank)).collect::<Result<_, _>>()?,
            None => (0..rank).collect(),
        };
        let wanted = inputs.ints(1)?.ok_or("shape is missing")?;
        if wanted.len() != axes.len() {
            return Err(format!("{} sizes for {} axes", wanted.len(), axes.len()));
        }
        let (mut dims, mut shift) = (x.shape().to_vec(), vec![0i64; rank]);
        for (&at, &wanted) in axes.iter().zip(&wanted) {
            let wanted = size(wanted, "a size")?;
            let old = std::mem::replace(&mut dims[at], wanted);
            // The first element that is kept, or the place of the first.
            shift[at] = if wanted <= old {
                ((old - wanted) / 2).cast_signed() as i64
            } else {
                -(((wanted - old) / 2) as i64)
            };
        }
        let total = shape(dims.iter().copied())?.elements();
        let mut at = vec![0; rank];
        let places = (0..total).map(|number| {
            super::window::unravel(number, &dims, &mut at);
            at.iter().zip(&shift).zip(x.shape().iter()).try_fold(0usize, |place, ((&at, &shift), &dim)| {
                let from = usize::try_from(at as i64 + shift).ok().filter(|&from| from < dim)?;
                Some(place * dim + from)
            })
        });
        let elements = pick(x.elements(), places);
        one(made(dims.iter().copied(), elements)?)
    })
}

fn tensor_scatter(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(-2);
    let circular = match node.attributes.text("mode")?.unwrap_or("linear") {
        "linear" => false,
        "circular" => true,
        other => return Err(format!("mode is {other:?}; expected linear or circular")),
    };
    op(move |inputs| {
        let (past, update) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let rank = past.shape().rank();
        let along = axis(along, rank)?;
        let fits = update.shape().rank() == rank
            && (0..rank).all(|at| at == along || update.shape()[at] == past.shape()[at])
            && update.shape()[along] <= past.shape()[along];
        if along == 0 || !fits || past.dtype() != update.dtype() {
            return Err(format!("an update of shape {} to a cache of {}", update.shape(), past.shape()));
        }
        let (most, new) = (past.shape()[along], update.shape()[along]);
        let starts = match inputs.ints(2)? {
            None => vec![0; past.shape()[0]],
            Some(starts) if starts.len() == past.shape()[0] => {
                starts.iter().map(|&at| size(at, "a write index")).collect::<Result<_, _>>()?
            }
            Some(starts) => {
                return Err(format!("{} write indices for a batch of {}", starts.len(), past.shape()[0]));
            }
        };
        if !circular && starts.iter().any(|start| start.saturating_add(new) > most) {
            return Err(format!("a write index is past the end of a cache of {most}"));
        }
        // For each run after the axis: from the update, or from the cache.
        let run: usize = past.shape()[along + 1..].iter().product();
        let (outer, batches): (usize, usize) =
            (past.shape()[..along].iter().product(), past.shape()[0].max(1));
        let mut from: Vec<Option<usize>> = vec![None; outer * most];
        for (number, lines) in from.chunks_mut(most.max(1)).enumerate() {
            let start = starts[number / (outer / batches).max(1)];
            for step in 0..new {
                lines[(start + step) % most] = Some(number * new + step);
            }
        }
        one(made(past.shape().iter().copied(), either(past.elements(), update.elements(), &from, run)?)?)
    })
}

/// Runs of `run` elements: the one of `b` that is named, or else the one of `a` in that place.
fn either(a: &Elements, b: &Elements, from: &[Option<usize>], run: usize) -> Result<Elements, String> {
    fn runs<T: Clone>(a: &[T], b: &[T], from: &[Option<usize>], run: usize) -> Vec<T> {
        let mut made = Vec::with_capacity(a.len());
        for (place, from) in from.iter().enumerate() {
            made.extend_from_slice(match from {
                Some(other) => &b[other * run..][..run],
                None => &a[place * run..][..run],
            });
        }
        made
    }
    macro_rules! pairs {
        ($($kind:ident),*) => {
            match (a, b) {
                $((Elements::$kind(a), Elements::$kind(b)) => Elements::$kind(runs(a, b, from, run).into()),)*
                _ => return Err("the cache and its update are of different dtypes".to_owned()),
            }
        };
    }
    Ok(pairs!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, C64, C128, Strings))
}

/// A box: from and to in each direction.
type Corners = [f64; 4];

fn corners(numbers: &[f64], is_center: bool) -> Corners {
    let [a, b, c, d] = [numbers[0], numbers[1], numbers[2], numbers[3]];
    if is_center {
        return [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0];
    }
    [a.min(c), b.min(d), a.max(c), b.max(d)]
}

/// The part of two boxes that both have, of what one of them has.
fn overlap(a: &Corners, b: &Corners) -> f64 {
    let side = |at: usize| a[at + 2].min(b[at + 2]) - a[at].max(b[at]);
    let (width, height) = (side(0), side(1));
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let area = |c: &Corners| (c[2] - c[0]) * (c[3] - c[1]);
    let both = width * height;
    let either = area(a) + area(b) - both;
    if area(a) <= 0.0 || area(b) <= 0.0 || either <= 0.0 { 0.0 } else { both / either }
}

fn number(inputs: &Inputs<'_>, at: usize) -> Result<Option<f64>, String> {
    let Some(tensor) = inputs.optional(at)?.filter(|tensor| !tensor.elements().is_empty()) else {
        return Ok(None);
    };
    only(tensor, &format!("input {at}")).map(Some)
}

fn non_max_suppression(node: &mut Node<'_>) -> Built {
    let is_center = node.attributes.flag("center_point_box", false)?;
    op(move |inputs| {
        let (boxes, scores) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let ([batch, many, 4], [batch_too, classes, many_too]) = (&boxes.shape()[..], &scores.shape()[..])
        else {
            return Err(format!("boxes of shape {} and scores of {}", boxes.shape(), scores.shape()));
        };
        if batch != batch_too || many != many_too {
            return Err(format!("boxes of shape {} and scores of {}", boxes.shape(), scores.shape()));
        }
        let most = number(&inputs, 2)?.unwrap_or(0.0).max(0.0);
        let (limit, least) = (number(&inputs, 3)?.unwrap_or(0.0), number(&inputs, 4)?);
        let (boxes, scores) = (doubles(boxes.elements())?, doubles(scores.elements())?);
        let mut found: Vec<i64> = Vec::new();
        for (row, scores) in scores.chunks_exact((*many).max(1)).enumerate() {
            let (stack, class) = (row / classes, row % classes);
            let own = &boxes[stack * many * 4..][..many * 4];
            let mut order: Vec<usize> =
                (0..*many).filter(|&at| least.is_none_or(|least| scores[at] > least)).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            let mut kept: Vec<Corners> = Vec::new();
            for at in order {
                if kept.len() as f64 >= most {
                    break;
                }
                let corners = corners(&own[at * 4..], is_center);
                if kept.iter().all(|other| overlap(&corners, other) <= limit) {
                    kept.push(corners);
                    found.extend([stack, class, at].map(|number| i64::try_from(number).unwrap_or(i64::MAX)));
                }
            }
        }
        one(made([found.len() / 3, 3], found)?)
    })
}
