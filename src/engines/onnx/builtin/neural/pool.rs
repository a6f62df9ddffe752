//! Pooling: one number of what each window sees.

use super::super::numbers::doubles;
use super::super::op::{Built, Node, made, many, one, op, shape};
use super::super::registry::{Row, row};
use super::reals::{Real, in_reals, tensor};
use super::window::{Spec, Window, unravel};
use crate::tensor::{Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("AveragePool", 1, average_pool),
    row("GlobalAveragePool", 1, |node| global(node, Kind::Average)),
    row("GlobalLpPool", 2, global_lp_pool),
    row("GlobalMaxPool", 1, |node| global(node, Kind::Max)),
    row("LpPool", 2, lp_pool),
    row("MaxPool", 1, max_pool),
    row("MaxUnpool", 9, max_unpool),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Max,
    Average,
    /// The root of the sum of powers.
    Lp(f64),
}

/// The kernel that a pool must state.
fn kernel(spec: &Spec) -> Result<Vec<usize>, String> {
    spec.kernel.clone().ok_or_else(|| "attribute \"kernel_shape\" is missing".to_owned())
}

fn over(spec: &Spec, kernel: &[usize], x: &Tensor) -> Result<(Vec<usize>, Window), String> {
    if x.shape().rank() < 3 {
        return Err(format!("an image of shape {}; expected 3 or more dimensions", x.shape()));
    }
    let window = spec.over(&x.shape()[2..], kernel)?;
    let dims: Vec<usize> = x.shape()[..2].iter().copied().chain(window.out.iter().copied()).collect();
    shape(dims.iter().copied())?;
    Ok((dims, window))
}

fn average_pool(node: &mut Node<'_>) -> Built {
    let spec = Spec::read(node)?;
    let kernel = kernel(&spec)?;
    let with_padding = node.attributes.flag("count_include_pad", false)?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let (dims, window) = over(&spec, &kernel, x)?;
        let counts = counts(&window, with_padding)?;
        in_reals!(x.dtype(), averages(x, &window, dims, &counts)).and_then(one)
    })
}

/// How many elements each window sees; with those of the padding, if wanted.
fn counts(window: &Window, with_padding: bool) -> Result<Vec<f64>, String> {
    let mut counts = vec![0.0; window.outputs()];
    let none = vec![0; window.dims.len()];
    let padded: Vec<usize> =
        (0..window.dims.len()).map(|at| window.dims[at] + window.begin[at] + window.end[at]).collect();
    let whole =
        Window::new(&padded, &window.kernel, &window.strides, &window.dilations, &none, &none, &window.out)?;
    let window = if with_padding { &whole } else { window };
    window.for_runs(0..window.rows(), |run| {
        counts[run.row..][run.outputs].iter_mut().for_each(|count| *count += 1.0);
    });
    Ok(counts)
}

fn averages<T: Real>(
    x: &Tensor,
    window: &Window,
    dims: Vec<usize>,
    counts: &[f64],
) -> Result<Tensor, String> {
    let mut sums = folded::<T>(x, window, T::zero(), |sum, x| *sum += x)?;
    for run in sums.chunks_mut(counts.len().max(1)) {
        // A window that sees nothing has no average.
        run.iter_mut().zip(counts).for_each(|(sum, &count)| *sum /= T::c(count));
    }
    tensor(dims, sums, x.dtype())
}

/// Starts each output with `first`, and puts what its window sees into it.
fn folded<T: Real>(x: &Tensor, window: &Window, first: T, put: impl Fn(&mut T, T)) -> Result<Vec<T>, String> {
    let (values, area, outputs) = (T::of(x.elements())?, window.image().max(1), window.outputs());
    let mut made = vec![first; x.elements().len() / area * outputs];
    for (image, made) in values.chunks_exact(area).zip(made.chunks_exact_mut(outputs.max(1))) {
        window.for_runs(0..window.rows(), |run| {
            let line = &mut made[run.row..][run.outputs];
            for (x, to) in line.iter_mut().enumerate() {
                put(to, image[run.from + x * run.step]);
            }
        });
    }
    Ok(made)
}

fn max_pool(node: &mut Node<'_>) -> Built {
    let spec = Spec::read(node)?;
    let kernel = kernel(&spec)?;
    let by_columns = node.attributes.flag("storage_order", false)?;
    let with_places = node.has_output(1);
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let (dims, window) = over(&spec, &kernel, x)?;
        if !with_places {
            return in_reals!(x.dtype(), greatest(x, &window, dims)).and_then(one);
        }
        let (y, places) = in_reals!(x.dtype(), greatest_and_place(x, &window, dims.clone(), by_columns))?;
        many([y, made(dims, places)?])
    })
}

fn greatest<T: Real>(x: &Tensor, window: &Window, dims: Vec<usize>) -> Result<Tensor, String> {
    let values = folded::<T>(x, window, T::neg_infinity(), |most, x| {
        if x > *most || x.is_nan() {
            *most = x;
        }
    })?;
    tensor(dims, values, x.dtype())
}

/// The greatest element of each window, and where it lies in the whole tensor.
fn greatest_and_place<T: Real>(
    x: &Tensor,
    window: &Window,
    dims: Vec<usize>,
    by_columns: bool,
) -> Result<(Tensor, Vec<i64>), String> {
    let (values, area, outputs) = (T::of(x.elements())?, window.image().max(1), window.outputs());
    let planes = x.elements().len() / area;
    let (mut most, mut places) = (vec![T::neg_infinity(); planes * outputs], vec![0usize; planes * outputs]);
    for (plane, image) in values.chunks_exact(area).enumerate() {
        let (most, places) = (&mut most[plane * outputs..], &mut places[plane * outputs..]);
        window.for_runs(0..window.rows(), |run| {
            for (i, x) in run.outputs.clone().enumerate() {
                let (at, to) = (run.from + i * run.step, run.row + x);
                if image[at] > most[to] {
                    (most[to], places[to]) = (image[at], plane * area + at);
                }
            }
        });
    }
    let mut at = vec![0; window.dims.len()];
    let number = |place: &usize| {
        if !by_columns {
            return i64::try_from(*place).unwrap_or(i64::MAX);
        }
        unravel(place % area, &window.dims, &mut at);
        let within = at.iter().zip(&window.dims).rev().fold(0, |number, (at, dim)| number * dim + at);
        i64::try_from(place / area * area + within).unwrap_or(i64::MAX)
    };
    let places = places.iter().map(number).collect();
    Ok((tensor(dims, most, x.dtype())?, places))
}

/// The power that a pool by powers sums.
fn power(node: &Node<'_>) -> Result<f64, String> {
    // It was a float once.
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let p = node.attributes.int("p")?.unwrap_or(2) as f64;
    if p < 1.0 {
        return Err(format!("p is {p}; expected 1 or more"));
    }
    Ok(p)
}

fn powers<T: Real>(x: &Tensor, window: &Window, dims: Vec<usize>, p: f64) -> Result<Tensor, String> {
    let (power, root) = (T::c(p), T::c(1.0 / p));
    let mut values = folded::<T>(x, window, T::zero(), |sum, x| *sum += x.abs().powf(power))?;
    values.iter_mut().for_each(|value| *value = value.powf(root));
    tensor(dims, values, x.dtype())
}

fn lp_pool(node: &mut Node<'_>) -> Built {
    let spec = Spec::read(node)?;
    let (kernel, p) = (kernel(&spec)?, power(node)?);
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let (dims, window) = over(&spec, &kernel, x)?;
        in_reals!(x.dtype(), powers(x, &window, dims, p)).and_then(one)
    })
}

fn global_lp_pool(node: &mut Node<'_>) -> Built {
    let p = power(node)?;
    global(node, Kind::Lp(p))
}

fn global(_: &mut Node<'_>, kind: Kind) -> Built {
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        in_reals!(x.dtype(), of_whole_images(x, kind)).and_then(one)
    })
}

fn of_whole_images<T: Real>(x: &Tensor, kind: Kind) -> Result<Tensor, String> {
    let rank = x.shape().rank();
    if rank < 3 {
        return Err(format!("an image of shape {}; expected 3 or more dimensions", x.shape()));
    }
    let dims: Vec<usize> = (0..rank).map(|at| if at < 2 { x.shape()[at] } else { 1 }).collect();
    let (values, area) = (T::of(x.elements())?, x.shape()[2..].iter().product::<usize>());
    if area == 0 {
        return Err("images without elements".to_owned());
    }
    let one = |image: &[T]| match kind {
        Kind::Max => {
            image.iter().fold(T::neg_infinity(), |most, &x| if x > most || x.is_nan() { x } else { most })
        }
        #[allow(clippy::cast_precision_loss, reason = "no image is that large")]
        Kind::Average => T::c(image.iter().map(|x| x.wide()).sum::<f64>() / area as f64),
        Kind::Lp(p) => T::c(image.iter().map(|x| x.wide().abs().powf(p)).sum::<f64>().powf(1.0 / p)),
    };
    let values = values.chunks_exact(area).map(one).collect();
    tensor(dims, values, x.dtype())
}

fn max_unpool(node: &mut Node<'_>) -> Built {
    let spec = Spec::read(node)?;
    let kernel = kernel(&spec)?;
    op(move |inputs| {
        let (x, places) = (inputs.tensor(0)?, inputs.tensor(1)?);
        if x.shape().rank() != kernel.len() + 2 || x.shape() != places.shape() {
            return Err(format!("an image of shape {} with places of {}", x.shape(), places.shape()));
        }
        let rank = kernel.len();
        let strides = Spec::each(spec.strides.as_ref(), rank, 1)?;
        let pads = Spec::each(spec.pads.as_ref(), rank * 2, 0)?;
        let image = (0..rank).map(|at| {
            let full = (x.shape()[2 + at].max(1) - 1).saturating_mul(strides[at]).saturating_add(kernel[at]);
            full.saturating_sub(pads[at].saturating_add(pads[rank + at]))
        });
        let inferred: Vec<usize> = x.shape()[..2].iter().copied().chain(image).collect();
        let dims = match inputs.ints(2)? {
            None => inferred.clone(),
            Some(stated) => {
                let stated: Option<Vec<usize>> =
                    stated.iter().map(|&dim| usize::try_from(dim).ok()).collect();
                stated
                    .filter(|stated| stated.len() == rank + 2)
                    .ok_or("output_shape is not that of an image")?
            }
        };
        let Elements::I64(places) = places.elements() else { return Err("places are not int64".to_owned()) };
        let all = shape(dims.iter().copied())?.elements();
        // Places count in the image that the pool had; in a larger one it lies in the corner.
        let (mut values, from) = (vec![0.0; all], doubles(x.elements())?);
        let mut at = vec![0; rank + 2];
        for (value, &place) in from.iter().zip(places.iter()) {
            let place = usize::try_from(place).ok().filter(|&place| place < inferred.iter().product());
            unravel(place.ok_or("a place is not in the image")?, &inferred, &mut at);
            let within = at.iter().zip(&dims).all(|(at, dim)| at < dim);
            if !within {
                return Err("a place is not in output_shape".to_owned());
            }
            values[at.iter().zip(&dims).fold(0, |number, (at, dim)| number * dim + at)] = *value;
        }
        one(tensor::<f64>(dims, values, x.dtype())?)
    })
}
