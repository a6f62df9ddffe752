//! Normalisation: elements less their mean, over their deviation, of one or another part.
//!
//! Means and variances are summed in doubles.

use super::super::op::{Built, Node, axis, made, one, op};
use super::super::registry::{Row, row};
use super::reals::{Real, in_reals, tensor};
use crate::tensor::{DType, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("BatchNormalization", 1, batch),
    row("GroupNormalization", 18, group),
    row("InstanceNormalization", 1, instance),
    row("LRN", 1, local_response),
    row("LayerNormalization", 17, layer),
    row("LpNormalization", 1, lp),
    row("MeanVarianceNormalization", 1, mean_variance),
    row("RMSNormalization", 23, root_mean_square),
];

/// The mean and the variance of numbers.
#[allow(clippy::cast_precision_loss, reason = "no tensor is that large")]
fn moments<T: Real>(values: impl Iterator<Item = T> + Clone) -> (f64, f64) {
    let (mut sum, mut many) = (0.0, 0usize);
    for value in values.clone() {
        sum += value.wide();
        many += 1;
    }
    let mean = sum / many as f64;
    let spread: f64 = values.map(|value| (value.wide() - mean).powi(2)).sum();
    (mean, spread / many as f64)
}

fn epsilon(node: &Node<'_>) -> Result<f64, String> {
    Ok(node.attributes.float("epsilon")?.map_or(1e-5, f64::from))
}

/// Rows of an image: its channels and the elements of each.
fn channels(x: &Tensor) -> Result<(usize, usize), String> {
    let dims = x.shape();
    if dims.rank() < 2 {
        return Err(format!("an image of shape {dims}; expected 2 or more dimensions"));
    }
    Ok((dims[1], dims[2..].iter().product()))
}

/// The numbers of an input, one for each channel.
fn each<'t, T: Real>(
    tensor: &'t Tensor,
    many: usize,
    what: &str,
) -> Result<std::borrow::Cow<'t, [T]>, String> {
    let values = T::of(tensor.elements())?;
    if values.len() != many {
        return Err(format!("{what} has {} numbers; expected {many}", values.len()));
    }
    Ok(values)
}

fn batch(node: &mut Node<'_>) -> Built {
    let epsilon = epsilon(node)?;
    // Momentum moves statistics that only training keeps; `spatial` and `is_test` are of old opsets.
    node.attributes.ignore(&["momentum", "consumed_inputs"]);
    if !node.attributes.flag("spatial", true)? {
        return Err("spatial = 0, statistics for each element, is not served".to_owned());
    }
    let trains = node.attributes.flag("training_mode", false)?;
    let is_test = node.attributes.flag("is_test", node.opset >= 7)?;
    if !is_test {
        return Err("statistics of the batch itself are of training; expected is_test".to_owned());
    }
    let momentum = node.attributes.float("momentum")?.map_or(0.9, f64::from);
    if trains && node.opset < 14 {
        return Err("training_mode before opset 14".to_owned());
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let others = [1, 2, 3, 4].map(|at| inputs.tensor(at));
        let [scale, bias, mean, variance] = others;
        let given = [scale?, bias?, mean?, variance?];
        if trains {
            return in_reals!(x.dtype(), of_the_batch(x, given, epsilon, momentum))
                .map(|values| values.into_iter().map(Into::into).collect());
        }
        in_reals!(x.dtype(), by_statistics(x, given, epsilon)).and_then(one)
    })
}

fn by_statistics<T: Real>(x: &Tensor, given: [&Tensor; 4], epsilon: f64) -> Result<Tensor, String> {
    let (many, area) = if x.shape().rank() == 1 { (1, 1) } else { channels(x)? };
    let [scale, bias, mean, variance] = given;
    let (scale, bias) = (each::<T>(scale, many, "scale")?, each::<T>(bias, many, "bias")?);
    let (mean, variance) = (each::<T>(mean, many, "mean")?, each::<T>(variance, many, "variance")?);
    let mut values = T::of(x.elements())?.into_owned();
    let slopes: Vec<T> =
        scale.iter().zip(variance.iter()).map(|(&s, v)| s / T::c((v.wide() + epsilon).sqrt())).collect();
    for (at, run) in values.chunks_mut(area.max(1)).enumerate() {
        let (mean, slope, bias) = (mean[at % many], slopes[at % many], bias[at % many]);
        run.iter_mut().for_each(|value| *value = (*value - mean) * slope + bias);
    }
    tensor(x.shape().iter().copied(), values, x.dtype())
}

/// The statistics of this batch, used and handed on: what `training_mode` asks for.
fn of_the_batch<T: Real>(
    x: &Tensor,
    given: [&Tensor; 4],
    epsilon: f64,
    momentum: f64,
) -> Result<[Tensor; 3], String> {
    let (many, area) = channels(x)?;
    let values = T::of(x.elements())?;
    let [scale, bias, mean, variance] = given;
    let found: Vec<(f64, f64)> = (0..many)
        .map(|channel| {
            let runs = values.chunks(area.max(1)).skip(channel).step_by(many);
            moments(runs.flatten().copied())
        })
        .collect();
    let own = |values: Vec<f64>| tensor::<f64>([many], values, mean.dtype());
    let (means, variances) = found.iter().copied().unzip();
    let (means, variances) = (own(means)?, own(variances)?);
    let moved = |old: &Tensor, new: &Tensor| {
        let (old, new) = (each::<f64>(old, many, "statistics")?.into_owned(), f64::of(new.elements())?);
        let values = old.iter().zip(new.iter()).map(|(old, new)| old * momentum + new * (1.0 - momentum));
        tensor::<f64>([many], values.collect(), mean.dtype())
    };
    let (next_mean, next_variance) = (moved(mean, &means)?, moved(variance, &variances)?);
    let y = by_statistics::<T>(x, [scale, bias, &means, &variances], epsilon)?;
    Ok([y, next_mean, next_variance])
}

fn instance(node: &mut Node<'_>) -> Built {
    let epsilon = epsilon(node)?;
    node.attributes.ignore(&["consumed_inputs"]);
    op(move |inputs| {
        let (x, scale, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
        let (many, area) = channels(x)?;
        in_reals!(x.dtype(), parts(x, area, many, scale, bias, epsilon)).and_then(one)
    })
}

/// Normalises each run of `area` elements; scale and bias are of `many` channels.
fn parts<T: Real>(
    x: &Tensor,
    area: usize,
    many: usize,
    scale: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Result<Tensor, String> {
    let (scale, bias) = (each::<T>(scale, many, "scale")?, each::<T>(bias, many, "bias")?);
    let mut values = T::of(x.elements())?.into_owned();
    for (at, run) in values.chunks_mut(area.max(1)).enumerate() {
        normalise(run, epsilon);
        let (scale, bias) = (scale[at % many], bias[at % many]);
        run.iter_mut().for_each(|value| *value = *value * scale + bias);
    }
    tensor(x.shape().iter().copied(), values, x.dtype())
}

/// The mean of a run becomes 0 and its variance 1; gives what they were: the mean, and
/// one over the deviation.
fn normalise<T: Real>(run: &mut [T], epsilon: f64) -> (f64, f64) {
    let (mean, variance) = moments(run.iter().copied());
    let inverse = 1.0 / (variance + epsilon).sqrt();
    run.iter_mut().for_each(|value| *value = T::c((value.wide() - mean) * inverse));
    (mean, inverse)
}

fn group(node: &mut Node<'_>) -> Built {
    let epsilon = epsilon(node)?;
    let groups = node.required("num_groups", node.attributes.int("num_groups"))?;
    let groups =
        usize::try_from(groups).ok().filter(|&groups| groups > 0).ok_or("num_groups is not above 0")?;
    node.attributes.ignore(&["stash_type"]);
    // Before opset 21 scale and bias were those of groups.
    let of_groups = node.opset < 21;
    op(move |inputs| {
        let (x, scale, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
        let (many, area) = channels(x)?;
        if !many.is_multiple_of(groups) {
            return Err(format!("{many} channels are not {groups} groups"));
        }
        in_reals!(x.dtype(), grouped(x, (groups, many, area), of_groups, scale, bias, epsilon)).and_then(one)
    })
}

fn grouped<T: Real>(
    x: &Tensor,
    (groups, many, area): (usize, usize, usize),
    of_groups: bool,
    scale: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Result<Tensor, String> {
    let numbers = if of_groups { groups } else { many };
    let (scale, bias) = (each::<T>(scale, numbers, "scale")?, each::<T>(bias, numbers, "bias")?);
    let own = many / groups;
    let mut values = T::of(x.elements())?.into_owned();
    for (group, run) in values.chunks_mut((own * area).max(1)).enumerate() {
        normalise(run, epsilon);
        for (channel, run) in run.chunks_mut(area.max(1)).enumerate() {
            let at = if of_groups { group % groups } else { group % groups * own + channel };
            run.iter_mut().for_each(|value| *value = *value * scale[at] + bias[at]);
        }
    }
    tensor(x.shape().iter().copied(), values, x.dtype())
}

/// Where the normalised dimensions begin, and how many elements they have.
fn tail(x: &Tensor, from: i64) -> Result<(usize, usize), String> {
    let from = axis(from, x.shape().rank())?;
    Ok((from, x.shape()[from..].iter().product()))
}

/// Element `i` of a run of dimensions `dims`, in a tensor that broadcasts to them.
fn spread<T: Real>(given: &Tensor, dims: &[usize], what: &str) -> Result<Vec<T>, String> {
    let values = T::of(given.elements())?;
    if values.len() == dims.iter().product::<usize>() {
        return Ok(values.into_owned());
    }
    let view = super::super::elements::View::broadcast(given.shape(), dims)
        .ok_or_else(|| format!("{what} of shape {} does not fit {dims:?}", given.shape()))?;
    Ok(view.copied(&values))
}

fn layer(node: &mut Node<'_>) -> Built {
    let epsilon = epsilon(node)?;
    let from = node.attributes.int("axis")?.unwrap_or(-1);
    node.attributes.ignore(&["stash_type"]);
    op(move |inputs| {
        let (x, scale, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.optional(2)?);
        in_reals!(x.dtype(), layered(x, scale, bias, from, epsilon))
            .map(|values| values.into_iter().map(Into::into).collect())
    })
}

fn layered<T: Real>(
    x: &Tensor,
    scale: &Tensor,
    bias: Option<&Tensor>,
    from: i64,
    epsilon: f64,
) -> Result<[Tensor; 3], String> {
    let (from, many) = tail(x, from)?;
    let dims = &x.shape()[from..];
    let scale = spread::<T>(scale, dims, "scale")?;
    let bias = bias.map(|bias| spread::<T>(bias, dims, "bias")).transpose()?;
    let mut values = T::of(x.elements())?.into_owned();
    let (mut means, mut inverses) = (Vec::new(), Vec::new());
    for run in values.chunks_mut(many.max(1)) {
        let (mean, inverse) = normalise(run, epsilon);
        means.push(mean);
        inverses.push(inverse);
        run.iter_mut().zip(&scale).for_each(|(value, &scale)| *value *= scale);
        if let Some(bias) = &bias {
            run.iter_mut().zip(bias).for_each(|(value, &bias)| *value += bias);
        }
    }
    let outer = || (0..x.shape().rank()).map(|at| if at < from { x.shape()[at] } else { 1 });
    // Statistics are kept in single precision, whatever the elements are.
    let kept = if x.dtype() == DType::Double { DType::Double } else { DType::Float };
    Ok([
        tensor(x.shape().iter().copied(), values, x.dtype())?,
        tensor::<f64>(outer(), means, kept)?,
        tensor::<f64>(outer(), inverses, kept)?,
    ])
}

fn root_mean_square(node: &mut Node<'_>) -> Built {
    let epsilon = epsilon(node)?;
    let from = node.attributes.int("axis")?.unwrap_or(-1);
    node.attributes.ignore(&["stash_type"]);
    op(move |inputs| {
        let (x, scale) = (inputs.tensor(0)?, inputs.tensor(1)?);
        in_reals!(x.dtype(), by_root_mean_square(x, scale, from, epsilon)).and_then(one)
    })
}

fn by_root_mean_square<T: Real>(
    x: &Tensor,
    scale: &Tensor,
    from: i64,
    epsilon: f64,
) -> Result<Tensor, String> {
    let (from, many) = tail(x, from)?;
    let scale = spread::<T>(scale, &x.shape()[from..], "scale")?;
    let mut values = T::of(x.elements())?.into_owned();
    for run in values.chunks_mut(many.max(1)) {
        #[allow(clippy::cast_precision_loss, reason = "no tensor is that large")]
        let mean = run.iter().map(|value| value.wide().powi(2)).sum::<f64>() / many as f64;
        let inverse = 1.0 / (mean + epsilon).sqrt();
        run.iter_mut().zip(&scale).for_each(|(value, &scale)| *value = T::c(value.wide() * inverse) * scale);
    }
    tensor(x.shape().iter().copied(), values, x.dtype())
}

fn lp(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(-1);
    let p = node.attributes.int("p")?.unwrap_or(2);
    if !matches!(p, 1 | 2) {
        return Err(format!("p is {p}; expected 1 or 2"));
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        in_reals!(x.dtype(), by_norm(x, along, p)).and_then(one)
    })
}

fn by_norm<T: Real>(x: &Tensor, along: i64, p: i64) -> Result<Tensor, String> {
    let along = axis(along, x.shape().rank())?;
    let (many, step) = (x.shape()[along], x.shape()[along + 1..].iter().product::<usize>());
    let mut values = T::of(x.elements())?.into_owned();
    for block in values.chunks_mut((many * step).max(1)) {
        for at in 0..step {
            let line = || block[at..].iter().step_by(step);
            let norm = match p {
                1 => line().map(|value| value.wide().abs()).sum::<f64>(),
                _ => line().map(|value| value.wide().powi(2)).sum::<f64>().sqrt(),
            };
            // Nothing but zeros stays so.
            let norm = if norm == 0.0 { 1.0 } else { norm };
            block[at..].iter_mut().step_by(step).for_each(|value| *value = T::c(value.wide() / norm));
        }
    }
    tensor(x.shape().iter().copied(), values, x.dtype())
}

fn mean_variance(node: &mut Node<'_>) -> Built {
    let axes: Vec<i64> = match node.attributes.ints("axes")? {
        Some(axes) => axes.to_vec(),
        None if node.attributes.flag("across_channels", false)? => vec![0, 1, 2, 3],
        None => vec![0, 2, 3],
    };
    if !node.attributes.flag("normalize_variance", true)? {
        return Err("normalize_variance = 0 is not served".to_owned());
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        in_reals!(x.dtype(), across(x, &axes)).and_then(one)
    })
}

fn across<T: Real>(x: &Tensor, axes: &[i64]) -> Result<Tensor, String> {
    let rank = x.shape().rank();
    let axes: Vec<usize> = axes.iter().map(|&at| axis(at, rank)).collect::<Result<_, _>>()?;
    let values = T::of(x.elements())?;
    // Which statistics an element goes to: its place in the dimensions that are kept.
    let kept: Vec<usize> = (0..rank).map(|at| if axes.contains(&at) { 1 } else { x.shape()[at] }).collect();
    let groups: Vec<usize> = (0..kept.iter().product()).collect();
    let view = super::super::elements::View::broadcast(&kept, x.shape()).ok_or("its axes do not fit")?;
    let of = view.copied(&groups);
    let (mut sums, mut squares, mut many) =
        (vec![0.0; groups.len()], vec![0.0; groups.len()], vec![0.0; groups.len()]);
    for (value, &group) in values.iter().zip(&of) {
        sums[group] += value.wide();
        many[group] += 1.0;
    }
    let means: Vec<f64> = sums.iter().zip(&many).map(|(sum, many)| sum / many).collect();
    for (value, &group) in values.iter().zip(&of) {
        squares[group] += (value.wide() - means[group]).powi(2);
    }
    let normal = |(value, &group): (&T, &usize)| {
        let deviation = (squares[group] / many[group]).sqrt();
        T::c((value.wide() - means[group]) / (deviation + 1e-9))
    };
    let values = values.iter().zip(&of).map(normal).collect();
    tensor(x.shape().iter().copied(), values, x.dtype())
}

fn local_response(node: &mut Node<'_>) -> Built {
    let number = |name: &str, usual: f32| node.attributes.float(name).map(|x| f64::from(x.unwrap_or(usual)));
    let (alpha, beta, bias) = (number("alpha", 1e-4)?, number("beta", 0.75)?, number("bias", 1.0)?);
    let size = node.required("size", node.attributes.int("size"))?;
    let size = usize::try_from(size).ok().filter(|&size| size > 0).ok_or("size is not above 0")?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        in_reals!(x.dtype(), response(x, alpha, beta, bias, size)).and_then(one)
    })
}

#[allow(clippy::cast_precision_loss, reason = "a small number")]
fn response<T: Real>(x: &Tensor, alpha: f64, beta: f64, bias: f64, size: usize) -> Result<Tensor, String> {
    let (many, area) = channels(x)?;
    let values = T::of(x.elements())?;
    let mut found = Vec::with_capacity(values.len());
    for image in values.chunks_exact((many * area).max(1)) {
        for channel in 0..many {
            let from = channel.saturating_sub((size - 1) / 2);
            let to = channel.saturating_add(size / 2).min(many - 1);
            for at in 0..area {
                let squares: f64 = (from..=to).map(|channel| image[channel * area + at].wide().powi(2)).sum();
                let value = image[channel * area + at].wide();
                found.push(T::c(value / (bias + alpha / size as f64 * squares).powf(beta)));
            }
        }
    }
    made(x.shape().iter().copied(), T::given(found, x.dtype())?)
}
