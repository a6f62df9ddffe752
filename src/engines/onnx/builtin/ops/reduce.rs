//! Reductions along axes, the places of extremes, running sums, and softmax.

use smallvec::SmallVec;

use super::super::elements::{View, strides};
use super::super::numbers::{Wide, doubles, narrow, wide};
use super::super::op::{Built, Inputs, Node, axis, ints, made, many, one, op, shape, size};
use super::super::registry::{Row, row};
use super::cast::cast;
use crate::tensor::{DType, Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("ReduceSum", 1, |node| reduce(node, 13, Reduce::Sum)),
    row("ReduceMean", 1, |node| reduce(node, 18, Reduce::Mean)),
    row("ReduceMax", 1, |node| reduce(node, 18, Reduce::Max)),
    row("ReduceMin", 1, |node| reduce(node, 18, Reduce::Min)),
    row("ReduceProd", 1, |node| reduce(node, 18, Reduce::Prod)),
    row("ReduceL1", 1, |node| reduce(node, 18, Reduce::L1)),
    row("ReduceL2", 1, |node| reduce(node, 18, Reduce::L2)),
    row("ReduceLogSum", 1, |node| reduce(node, 18, Reduce::LogSum)),
    row("ReduceLogSumExp", 1, |node| reduce(node, 18, Reduce::LogSumExp)),
    row("ReduceSumSquare", 1, |node| reduce(node, 18, Reduce::SumSquare)),
    row("ArgMax", 1, |node| arg(node, |a, b| a > b)),
    row("ArgMin", 1, |node| arg(node, |a, b| a < b)),
    row("CumSum", 11, |node| running(node, 0.0, |a, b| a + b, i64::wrapping_add, 0)),
    row("CumProd", 26, |node| running(node, 1.0, |a, b| a * b, i64::wrapping_mul, 1)),
    row("Softmax", 1, |node| softmax(node, Softmax::Plain)),
    row("LogSoftmax", 1, |node| softmax(node, Softmax::Log)),
    row("Hardmax", 1, |node| softmax(node, Softmax::Hard)),
    row("TopK", 1, top_k),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduce {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
    L1,
    L2,
    LogSum,
    LogSumExp,
    SumSquare,
}

impl Reduce {
    /// Of floats; the sum is made in double precision. Nothing has a sum too.
    fn doubles(self, values: &[f64]) -> f64 {
        let sum = |f: fn(f64) -> f64| values.iter().map(|&x| f(x)).sum::<f64>();
        let extreme = |is: fn(f64, f64) -> bool, none: f64| {
            values.iter().fold(none, |most, &x| if x.is_nan() || is(x, most) { x } else { most })
        };
        #[allow(clippy::cast_precision_loss, reason = "a count")]
        match self {
            Self::Sum => sum(|x| x),
            Self::Mean => sum(|x| x) / values.len() as f64,
            Self::Max => extreme(|x, most| x > most, f64::NEG_INFINITY),
            Self::Min => extreme(|x, most| x < most, f64::INFINITY),
            Self::Prod => values.iter().product(),
            Self::L1 => sum(f64::abs),
            Self::L2 => sum(|x| x * x).sqrt(),
            Self::LogSum => sum(|x| x).ln(),
            Self::SumSquare => sum(|x| x * x),
            Self::LogSumExp => {
                let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                if most.is_infinite() {
                    return most;
                }
                values.iter().map(|x| (x - most).exp()).sum::<f64>().ln() + most
            }
        }
    }

    /// Of integers of up to 64 bits, exactly; `None` for what needs floats.
    fn ints(self, values: &[i64], least: i64, most: i64) -> Option<i64> {
        let sum = |f: fn(i64) -> i64| values.iter().fold(0i64, |sum, &x| sum.wrapping_add(f(x)));
        Some(match self {
            Self::Sum => sum(|x| x),
            Self::Max => values.iter().copied().fold(least, i64::max),
            Self::Min => values.iter().copied().fold(most, i64::min),
            Self::Prod => values.iter().fold(1i64, |product, &x| product.wrapping_mul(x)),
            Self::L1 => sum(i64::wrapping_abs),
            Self::SumSquare => sum(|x| x.wrapping_mul(x)),
            Self::Mean if !values.is_empty() => sum(|x| x) / i64::try_from(values.len()).unwrap_or(i64::MAX),
            Self::Mean | Self::L2 | Self::LogSum | Self::LogSumExp => return None,
        })
    }
}

/// The axes to reduce, from the attribute or the input; all when nothing is said.
struct Axes {
    stated: Option<Vec<i64>>,
    keep: bool,
    none_is_none: bool,
}

impl Axes {
    fn read(node: &Node<'_>) -> Result<Self, String> {
        Ok(Self {
            stated: node.attributes.ints("axes")?.map(<[i64]>::to_vec),
            keep: node.attributes.flag("keepdims", true)?,
            none_is_none: node.attributes.flag("noop_with_empty_axes", false)?,
        })
    }

    /// For each dimension, whether it is reduced.
    fn of(&self, inputs: &Inputs<'_>, rank: usize) -> Result<Vec<bool>, String> {
        let stated = match &self.stated {
            Some(axes) => Some(axes.clone()),
            None => inputs.ints(1)?,
        };
        let stated = stated.filter(|axes| !axes.is_empty());
        let mut reduced = vec![false; rank];
        match stated {
            Some(axes) => {
                for at in axes {
                    reduced[axis(at, rank)?] = true;
                }
            }
            None => reduced.fill(!self.none_is_none),
        }
        Ok(reduced)
    }

    /// The dimensions of the result.
    fn result(&self, dims: &[usize], reduced: &[bool]) -> Vec<usize> {
        let each = dims.iter().zip(reduced);
        each.filter(|(_, reduced)| self.keep || !**reduced)
            .map(|(&dim, &reduced)| if reduced { 1 } else { dim })
            .collect()
    }
}

/// The elements with the reduced dimensions last, and how many lie in each of these runs.
fn runs(x: &Tensor, reduced: &[bool]) -> (View, usize) {
    let (dims, own) = (x.shape(), strides(x.shape()));
    let order = (0..dims.rank()).filter(|&at| !reduced[at]).chain((0..dims.rank()).filter(|&at| reduced[at]));
    let order: SmallVec<[usize; 6]> = order.collect();
    let run = dims.iter().zip(reduced).filter(|(_, reduced)| **reduced).map(|(dim, _)| dim).product();
    let view = View {
        dims: order.iter().map(|&at| dims[at]).collect(),
        strides: order.iter().map(|&at| own[at]).collect(),
        offset: 0,
    };
    (view, run)
}

fn reduce(node: &mut Node<'_>, input_since: i64, kind: Reduce) -> Built {
    let axes = Axes::read(node)?;
    if node.opset >= input_since && axes.stated.is_some() {
        return Err("attribute \"axes\" is not understood".to_owned());
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let reduced = axes.of(&inputs, x.shape().rank())?;
        let dims = axes.result(x.shape(), &reduced);
        let whole = shape(dims.iter().copied())?;
        let (view, run) = runs(x, &reduced);
        let count = whole.elements();
        let chunk = |at: usize| at * run..(at + 1) * run;
        if let Elements::Bool(values) = x.elements() {
            let values: Vec<i64> = view.copied(values).into_iter().map(i64::from).collect();
            let one_of = |at: usize| kind.ints(&values[chunk(at)], 0, 1).map(|x| x != 0);
            let truth = (0..count)
                .map(one_of)
                .collect::<Option<Vec<bool>>>()
                .ok_or("truth values cannot be reduced so")?;
            return one(made(dims, truth)?);
        }
        let (least, most) = range(x.dtype());
        #[allow(clippy::cast_possible_truncation, reason = "the nearest float")]
        let values = match wide(x.elements())? {
            Wide::F32(values) => {
                let values: Vec<f64> = view.copied(&values).into_iter().map(f64::from).collect();
                Wide::F32((0..count).map(|at| kind.doubles(&values[chunk(at)]) as f32).collect())
            }
            Wide::F64(values) => {
                let values = view.copied(&values);
                Wide::F64((0..count).map(|at| kind.doubles(&values[chunk(at)])).collect())
            }
            Wide::I64(values) => {
                let values = view.copied(&values);
                let one_of = |at: usize| {
                    kind.ints(&values[chunk(at)], least, most).unwrap_or_else(|| {
                        #[allow(clippy::cast_precision_loss, reason = "the nearest double")]
                        let doubles: Vec<f64> = values[chunk(at)].iter().map(|&x| x as f64).collect();
                        kind.doubles(&doubles) as i64
                    })
                };
                Wide::I64((0..count).map(one_of).collect())
            }
            Wide::U64(values) => {
                // Comparisons are the same with the highest bit turned; sums wrap alike.
                let is_order = matches!(kind, Reduce::Max | Reduce::Min);
                let turn = if is_order { i64::MIN } else { 0 };
                let values: Vec<i64> =
                    view.copied(&values).into_iter().map(|x| x.cast_signed() ^ turn).collect();
                let one_of = |at: usize| {
                    let found = kind.ints(&values[chunk(at)], i64::MIN, i64::MAX);
                    found.map(|x| (x ^ turn).cast_unsigned())
                };
                Wide::U64((0..count).map(one_of).collect::<Option<_>>().ok_or("uint64 cannot be reduced so")?)
            }
        };
        one(made(dims, narrow(values, x.dtype())?)?)
    })
}

/// The least and the greatest integer of a dtype.
fn range(dtype: DType) -> (i64, i64) {
    match dtype {
        DType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DType::UInt8 => (0, u8::MAX.into()),
        DType::UInt16 => (0, u16::MAX.into()),
        DType::UInt32 => (0, u32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

/// Where the extreme is along an axis.
fn arg(node: &mut Node<'_>, better: fn(f64, f64) -> bool) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(0);
    let keep = node.attributes.flag("keepdims", true)?;
    let last = node.attributes.flag("select_last_index", false)?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let along = axis(along, x.shape().rank())?;
        let mut reduced = vec![false; x.shape().rank()];
        reduced[along] = true;
        let dims = Axes { stated: None, keep, none_is_none: false }.result(x.shape(), &reduced);
        let (view, run) = runs(x, &reduced);
        if run == 0 {
            return Err(format!("dimension {along} has no elements"));
        }
        let best_of = |values: &mut dyn Iterator<Item = f64>| {
            let mut best = (0i64, f64::NAN);
            for (at, value) in (0i64..).zip(values) {
                if at == 0 || better(value, best.1) || (last && value == best.1) {
                    best = (at, value);
                }
            }
            best.0
        };
        let places: Vec<i64> = match wide(x.elements())? {
            Wide::F32(values) => view
                .copied(&values)
                .chunks_exact(run)
                .map(|run| best_of(&mut run.iter().map(|&x| x.into())))
                .collect(),
            _ => view
                .copied(&doubles(x.elements())?)
                .chunks_exact(run)
                .map(|run| best_of(&mut run.iter().copied()))
                .collect(),
        };
        one(made(dims, places)?)
    })
}

fn running(
    node: &mut Node<'_>,
    none: f64,
    f: fn(f64, f64) -> f64,
    g: fn(i64, i64) -> i64,
    none_int: i64,
) -> Built {
    let exclusive = node.attributes.flag("exclusive", false)?;
    let reverse = node.attributes.flag("reverse", false)?;
    fn along<T: Copy>(
        values: &[T],
        (outer, length, inner): (usize, usize, usize),
        (exclusive, reverse): (bool, bool),
        none: T,
        f: impl Fn(T, T) -> T,
    ) -> Vec<T> {
        let mut sums = values.to_vec();
        for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
            let mut sum = none;
            for step in 0..length {
                let step = if reverse { length - 1 - step } else { step };
                let at = (o * length + step) * inner + i;
                let next = f(sum, values[at]);
                sums[at] = if exclusive { sum } else { next };
                sum = next;
            }
        }
        sums
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let at = *inputs.ints(1)?.ok_or("input 1 is missing")?.first().ok_or("input 1 is empty")?;
        let at = axis(at, x.shape().rank())?;
        let dims = x.shape();
        let parts = (dims[..at].iter().product(), dims[at], dims[at + 1..].iter().product());
        let how = (exclusive, reverse);
        #[allow(clippy::cast_possible_truncation, reason = "the nearest float")]
        let values = match wide(x.elements())? {
            Wide::F32(v) => {
                Wide::F32(along(&v, parts, how, none as f32, |a, b| f(a.into(), b.into()) as f32).into())
            }
            Wide::F64(v) => Wide::F64(along(&v, parts, how, none, f).into()),
            Wide::I64(v) => Wide::I64(along(&v, parts, how, none_int, g).into()),
            Wide::U64(v) => {
                let g = |a: u64, b: u64| g(a.cast_signed(), b.cast_signed()).cast_unsigned();
                Wide::U64(along(&v, parts, how, none_int.cast_unsigned(), g).into())
            }
        };
        one(made(dims.iter().copied(), narrow(values, x.dtype())?)?)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Softmax {
    Plain,
    Log,
    Hard,
}

impl Softmax {
    /// Of one run.
    fn of(self, run: &mut [f64]) {
        let most = run.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self {
            Self::Plain => {
                run.iter_mut().for_each(|x| *x = (*x - most).exp());
                let sum: f64 = run.iter().sum();
                run.iter_mut().for_each(|x| *x /= sum);
            }
            Self::Log => {
                let sum: f64 = run.iter().map(|x| (x - most).exp()).sum();
                run.iter_mut().for_each(|x| *x = *x - most - sum.ln());
            }
            Self::Hard => {
                let first = run.iter().position(|&x| x == most);
                run.iter_mut().enumerate().for_each(|(at, x)| *x = f64::from(u8::from(Some(at) == first)));
            }
        }
    }

    /// The usual one, in single precision.
    fn of_single(run: &mut [f32]) {
        let most = run.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for x in run.iter_mut() {
            *x = (*x - most).exp();
            sum += *x;
        }
        let scale = 1.0 / sum;
        run.iter_mut().for_each(|x| *x *= scale);
    }
}

/// Along one axis since opset 13; before, along all from the axis on, as one.
fn softmax(node: &mut Node<'_>, kind: Softmax) -> Built {
    let is_old = node.opset < 13;
    let along = node.attributes.int("axis")?.unwrap_or(if is_old { 1 } else { -1 });
    op(move |mut inputs| {
        let x = inputs.take(0)?;
        let dims = x.shape().clone();
        let rank = dims.rank();
        let at = if is_old && usize::try_from(along) == Ok(rank) { rank } else { axis(along, rank.max(1))? };
        let (run, inner): (usize, usize) = if is_old {
            (dims[at..].iter().product(), 1)
        } else {
            (dims.get(at).copied().unwrap_or(1), dims[(at + 1).min(rank)..].iter().product())
        };
        if dims.elements() == 0 {
            return one(x);
        }
        if let (Elements::F32(_), 1, Softmax::Plain) = (x.elements(), inner, kind) {
            let Elements::F32(values) = x.into_elements() else {
                return Err("it is not of float".to_owned());
            };
            let mut values = values.into_vec();
            values.chunks_exact_mut(run).for_each(Softmax::of_single);
            return one(made(dims.iter().copied(), values)?);
        }
        let mut values = doubles(x.elements())?.into_owned();
        let mut room = vec![0.0; run];
        for block in values.chunks_exact_mut(run * inner) {
            for i in 0..inner {
                room.iter_mut().enumerate().for_each(|(at, x)| *x = block[at * inner + i]);
                kind.of(&mut room);
                room.iter().enumerate().for_each(|(at, x)| block[at * inner + i] = *x);
            }
        }
        one(cast(&made(dims.iter().copied(), values)?, x.dtype())?)
    })
}

/// The greatest or least elements along an axis, with their places.
fn top_k(node: &mut Node<'_>) -> Built {
    let along = node.attributes.int("axis")?.unwrap_or(-1);
    let largest = node.attributes.flag("largest", true)?;
    let stated = node.attributes.int("k")?;
    // Sorted is one of the orders that may be given when none is asked for.
    node.attributes.ignore(&["sorted"]);
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let count = match stated {
            Some(count) => count,
            None => *ints(inputs.tensor(1)?)?.first().ok_or("input 1 is empty")?,
        };
        let count = size(count, "k")?;
        let at = axis(along, x.shape().rank())?;
        let dims = x.shape();
        let length = dims[at];
        if count > length {
            return Err(format!("k is {count}, and there are {length} elements along the axis"));
        }
        let inner: usize = dims[at + 1..].iter().product();
        let outer: usize = dims[..at].iter().product();
        let keys = wide(x.elements())?;
        let compare = |a: usize, b: usize| {
            let order = match &keys {
                Wide::F32(v) => v[a].total_cmp(&v[b]),
                Wide::F64(v) => v[a].total_cmp(&v[b]),
                Wide::I64(v) => v[a].cmp(&v[b]),
                Wide::U64(v) => v[a].cmp(&v[b]),
            };
            // Of equal ones the first comes first.
            (if largest { order.reverse() } else { order }).then(a.cmp(&b))
        };
        let mut result = dims.to_vec();
        result[at] = count;
        let whole = shape(result.iter().copied())?;
        let mut from = vec![0usize; whole.elements()];
        let mut places = vec![0i64; whole.elements()];
        let mut order: Vec<usize> = Vec::with_capacity(length);
        for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
            order.clear();
            order.extend((0..length).map(|step| (o * length + step) * inner + i));
            order.sort_unstable_by(|&a, &b| compare(a, b));
            for (rank, &at) in order.iter().take(count).enumerate() {
                let to = (o * count + rank) * inner + i;
                from[to] = at;
                places[to] = i64::try_from(at / inner % length).unwrap_or(i64::MAX);
            }
        }
        let values = super::super::elements::pick(x.elements(), from.into_iter().map(Some));
        many([made(result.iter().copied(), values)?, made(result.iter().copied(), places)?])
    })
}
