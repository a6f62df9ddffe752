//! Attention, and what is done to its queries and keys before.

use super::super::super::backend::Value;
use super::super::elements::{View, broadcast_dims};
use super::super::numbers::doubles;
use super::super::op::{Built, Input, Inputs, Node, Outputs, Subgraph, one, op, shape};
use super::super::registry::{Row, row, row_in};
use super::quant::named;
use super::reals::{Matrix, Real, in_reals, multiply, tensor};
use crate::tensor::{DType, Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("Attention", 23, attention),
    row_in("ai.onnx.preview", "FlexAttention", 1, flex),
    row("RotaryEmbedding", 23, rotary),
];

/// What a node says of its attention.
#[derive(Debug, Clone)]
struct Plan {
    scale: Option<f64>,
    softcap: f64,
    is_causal: bool,
    /// How far before and after its own place a query sees; as far as there is when `None`.
    left: Option<i64>,
    right: Option<i64>,
    q_heads: Option<usize>,
    kv_heads: Option<usize>,
    /// What the fourth output shows.
    shown: i64,
    /// The dtype that the weights are computed in.
    precision: Option<DType>,
    wanted: [bool; 4],
}

fn heads(node: &Node<'_>, name: &str) -> Result<Option<usize>, String> {
    let Some(heads) = node.attributes.int(name)? else { return Ok(None) };
    match usize::try_from(heads) {
        Ok(heads) if heads > 0 => Ok(Some(heads)),
        _ => Err(format!("{name} is {heads}; expected a number above 0")),
    }
}

fn attention(node: &mut Node<'_>) -> Built {
    let bound = |name: &str| -> Result<Option<i64>, String> {
        match node.attributes.int(name)?.unwrap_or(-1) {
            -1 => Ok(None),
            size if size >= 0 => Ok(Some(size)),
            size => Err(format!("{name} is {size}; expected -1 or more")),
        }
    };
    let plan = Plan {
        scale: node.attributes.float("scale")?.map(f64::from),
        softcap: node.attributes.float("softcap")?.map_or(0.0, f64::from),
        is_causal: node.attributes.flag("is_causal", false)?,
        left: bound("left_window_size")?,
        right: bound("right_window_size")?,
        q_heads: heads(node, "q_num_heads")?,
        kv_heads: heads(node, "kv_num_heads")?,
        shown: node.attributes.int("qk_matmul_output_mode")?.unwrap_or(0),
        precision: named(node, "softmax_precision")?,
        wanted: [0, 1, 2, 3].map(|at| node.has_output(at)),
    };
    if !(0..=3).contains(&plan.shown) {
        return Err(format!("qk_matmul_output_mode is {}; expected 0 to 3", plan.shown));
    }
    op(move |inputs| {
        let dtype = inputs.tensor(0)?.dtype();
        in_reals!(dtype, attended(&plan, &inputs))
    })
}

/// Numbers as `[batch, heads, length, size]`.
pub(super) struct Heads<T> {
    pub(super) values: Vec<T>,
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) length: usize,
    pub(super) size: usize,
}

impl<T: Real> Heads<T> {
    /// A tensor of that shape, or `[batch, length, heads · size]`.
    pub(super) fn read(tensor: &Tensor, heads: Option<usize>, what: &str) -> Result<Self, String> {
        let values = T::of(tensor.elements())?;
        match tensor.shape()[..] {
            [batch, heads, length, size] => {
                Ok(Self { values: values.into_owned(), batch, heads, length, size })
            }
            [batch, length, hidden] => {
                let heads = heads.ok_or("the number of heads is not stated")?;
                if !hidden.is_multiple_of(heads) {
                    return Err(format!("{what} of shape {} has not {heads} heads", tensor.shape()));
                }
                let size = hidden / heads;
                Ok(Self { values: turned(&values, batch, length, heads, size), batch, heads, length, size })
            }
            _ => Err(format!("{what} is of shape {}; expected 3 or 4 dimensions", tensor.shape())),
        }
    }

    /// The numbers of a head.
    pub(super) fn head(&self, batch: usize, head: usize) -> &[T] {
        let each = self.length * self.size;
        &self.values[(batch * self.heads + head) * each..][..each]
    }

    /// The same with what came before put in front.
    fn after(self, past: Option<&Tensor>, what: &str) -> Result<Self, String> {
        let Some(past) = past else { return Ok(self) };
        let past = Self::read(past, None, what)?;
        if (past.batch, past.heads, past.size) != (self.batch, self.heads, self.size) {
            return Err(format!("{what} does not fit what is added to it"));
        }
        let length = past.length + self.length;
        let total = shape([self.batch, self.heads, length, self.size])?.elements();
        let mut values = Vec::with_capacity(total);
        for batch in 0..self.batch {
            for head in 0..self.heads {
                values.extend_from_slice(past.head(batch, head));
                values.extend_from_slice(self.head(batch, head));
            }
        }
        Ok(Self { values, length, ..self })
    }

    /// A tensor of four dimensions, or of three with the heads side by side.
    pub(super) fn given(self, side_by_side: bool, dtype: DType) -> Result<Tensor, String> {
        let Self { values, batch, heads, length, size } = self;
        if !side_by_side {
            return tensor([batch, heads, length, size], values, dtype);
        }
        tensor([batch, length, heads * size], turned(&values, batch, heads, length, size), dtype)
    }
}

/// `[batch, a, b, size]` as `[batch, b, a, size]`.
fn turned<T: Copy>(values: &[T], batch: usize, a: usize, b: usize, size: usize) -> Vec<T> {
    let mut made = Vec::with_capacity(values.len());
    for stack in 0..batch {
        for inner in 0..b {
            for outer in 0..a {
                made.extend_from_slice(&values[((stack * a + outer) * b + inner) * size..][..size]);
            }
        }
    }
    made
}

fn attended<T: Real>(plan: &Plan, inputs: &Inputs<'_>) -> Result<Outputs, String> {
    let (q, k, v) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
    let (dtype, flat) = (q.dtype(), q.shape().rank() == 3);
    let q = Heads::<T>::read(q, plan.q_heads, "Q")?;
    let (past_key, past_value) = (inputs.optional(4)?, inputs.optional(5)?);
    let past = past_key.map_or(0, |past| past.shape().get(2).copied().unwrap_or(0));
    let value_dtype = v.dtype();
    let k = Heads::<T>::read(k, plan.kv_heads, "K")?.after(past_key, "past_key")?;
    let v = Heads::<T>::read(v, plan.kv_heads, "V")?.after(past_value, "past_value")?;
    if k.heads != v.heads
        || k.length != v.length
        || k.batch != q.batch
        || v.batch != q.batch
        || k.size != q.size
    {
        return Err("queries, keys and values do not fit each other".to_owned());
    }
    if k.heads == 0 || !q.heads.is_multiple_of(k.heads) {
        return Err(format!("{} heads of queries share {} of keys; expected a multiple", q.heads, k.heads));
    }
    let valid = lengths(inputs.optional(6)?, q.batch)?;
    let dims = [q.batch, q.heads, q.length, k.length];
    let every = shape(dims)?.elements();
    let mask = mask::<T>(plan, inputs.optional(3)?, &dims, valid.as_deref(), past)?;
    #[allow(clippy::cast_precision_loss, reason = "a head is small")]
    let scale = plan.scale.unwrap_or(1.0 / (q.size as f64).sqrt()).sqrt();
    // As the operator is defined: the root of the scale, in the inputs' own precision.
    let scale = rounded(T::c(scale), dtype)?;
    let (mut shown, mut y) = (Vec::new(), Vec::new());
    if plan.wanted[3] {
        shown.reserve(every);
    }
    y.reserve(shape([q.batch, q.heads, q.length, v.size])?.elements());
    // Narrow floats are rounded at every step, as the operator's definition does.
    let round = |values: &mut [T]| -> Result<(), String> {
        if matches!(dtype, DType::Half | DType::BFloat16) {
            let given = T::given(values.to_vec(), dtype)?;
            values.copy_from_slice(&T::of(&given)?);
        }
        Ok(())
    };
    let scaled = |values: &[T]| -> Result<Vec<T>, String> {
        let mut scaled: Vec<T> = values.iter().map(|&value| value * scale).collect();
        round(&mut scaled)?;
        Ok(scaled)
    };
    let (rows, columns) = (q.length, k.length);
    let mut scores = vec![T::zero(); rows * columns];
    for batch in 0..q.batch {
        for head in 0..q.heads {
            let shared = head / (q.heads / k.heads);
            let (queries, keys) = (scaled(q.head(batch, head))?, scaled(k.head(batch, shared))?);
            let keys = Matrix::transposed(&keys, q.size, columns);
            multiply(Matrix::new(&queries, rows, q.size), keys, T::zero(), &mut scores, columns, 0);
            round(&mut scores)?;
            if plan.wanted[3] && plan.shown == 0 {
                shown.extend_from_slice(&scores);
            }
            if plan.softcap > 0.0 {
                let cap = T::c(plan.softcap);
                scores.iter_mut().for_each(|score| *score = (*score / cap).tanh() * cap);
            }
            if plan.wanted[3] && plan.shown == 1 {
                shown.extend_from_slice(&scores);
            }
            let mask = mask
                .as_ref()
                .map(|mask| &mask[(batch * q.heads + head) * rows * columns..][..rows * columns]);
            if let Some(mask) = mask {
                scores.iter_mut().zip(mask).for_each(|(score, &mask)| *score += mask);
                round(&mut scores)?;
            }
            if plan.wanted[3] && plan.shown == 2 {
                shown.extend_from_slice(&scores);
            }
            weigh(&mut scores, mask, columns, |exponentials| {
                if plan.precision.unwrap_or(dtype) == dtype { round(exponentials) } else { Ok(()) }
            })?;
            round(&mut scores)?;
            if plan.wanted[3] && plan.shown == 3 {
                shown.extend_from_slice(&scores);
            }
            let start = y.len();
            y.resize(start + rows * v.size, T::zero());
            let weights = Matrix::new(&scores, rows, columns);
            multiply(
                weights,
                Matrix::new(v.head(batch, shared), columns, v.size),
                T::zero(),
                &mut y[start..],
                v.size,
                0,
            );
        }
    }
    let y = Heads { values: y, batch: q.batch, heads: q.heads, length: rows, size: v.size };
    let mut made: Outputs = [Value::Tensor(y.given(flat, dtype)?)].into_iter().collect();
    made.push(if plan.wanted[1] { Value::Tensor(k.given(false, dtype)?) } else { Value::Absent });
    made.push(if plan.wanted[2] { Value::Tensor(v.given(false, value_dtype)?) } else { Value::Absent });
    made.push(if plan.wanted[3] { Value::Tensor(tensor(dims, shown, dtype)?) } else { Value::Absent });
    Ok(made)
}

/// A number as its dtype holds it.
fn rounded<T: Real>(value: T, dtype: DType) -> Result<T, String> {
    Ok(T::of(&T::given(vec![value], dtype)?)?[0])
}

/// Makes weights of scores, row by row: exponentials over their sum. A row all of whose
/// keys are masked has no weight.
fn weigh<T: Real>(
    scores: &mut [T],
    mask: Option<&[T]>,
    columns: usize,
    round: impl Fn(&mut [T]) -> Result<(), String>,
) -> Result<(), String> {
    for (row, scores) in scores.chunks_mut(columns.max(1)).enumerate() {
        let is_masked = mask.is_some_and(|mask| {
            mask[row * columns..][..columns].iter().all(|&mask| mask == T::neg_infinity())
        });
        if is_masked {
            scores.fill(T::zero());
            continue;
        }
        let most = scores.iter().copied().fold(T::neg_infinity(), T::max);
        scores.iter_mut().for_each(|score| *score = (*score - most).exp());
        round(scores)?;
        let mut sum = [scores.iter().fold(T::zero(), |sum, &score| sum + score)];
        round(&mut sum)?;
        scores.iter_mut().for_each(|score| *score /= sum[0]);
    }
    Ok(())
}

/// How many keys of each row of the batch are real.
fn lengths(given: Option<&Tensor>, batch: usize) -> Result<Option<Vec<i64>>, String> {
    let Some(given) = given else { return Ok(None) };
    let lengths = super::super::op::ints(given).map_err(|error| format!("nonpad_kv_seqlen {error}"))?;
    if lengths.len() != batch {
        return Err(format!("{} lengths of keys for a batch of {batch}", lengths.len()));
    }
    Ok(Some(lengths))
}

/// What is added to the scores, if anything is: `dims` numbers, minus infinity where a
/// query does not see a key.
fn mask<T: Real>(
    plan: &Plan,
    given: Option<&Tensor>,
    dims: &[usize; 4],
    valid: Option<&[i64]>,
    past: usize,
) -> Result<Option<Vec<T>>, String> {
    let hides = plan.is_causal || plan.left.is_some() || plan.right.is_some() || valid.is_some();
    if given.is_none() && !hides {
        return Ok(None);
    }
    let [batch, heads, rows, columns] = *dims;
    let mut mask = match given {
        None => vec![T::zero(); dims.iter().product()],
        Some(given) => stated_mask(given, dims)?,
    };
    let signed = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    for stack in 0..batch * heads {
        let valid = valid.map(|valid| valid[stack / heads.max(1)]);
        // Keys before the first query.
        let offset = valid.map_or(signed(past), |valid| valid.saturating_sub(signed(rows)));
        for row in 0..rows {
            let at = offset.saturating_add(signed(row));
            let line = &mut mask[(stack * rows + row) * columns..][..columns];
            for (key, to) in line.iter_mut().enumerate() {
                let key = signed(key);
                let is_hidden = (plan.is_causal && key > at)
                    || plan.left.is_some_and(|left| key < at.saturating_sub(left))
                    || plan.right.is_some_and(|right| key > at.saturating_add(right))
                    || valid.is_some_and(|valid| key >= valid);
                if is_hidden {
                    *to = T::neg_infinity();
                }
            }
        }
    }
    Ok(Some(mask))
}

/// The mask of the input, whose last dimension may be too short: the rest is hidden.
fn stated_mask<T: Real>(given: &Tensor, dims: &[usize; 4]) -> Result<Vec<T>, String> {
    let misfit = || format!("a mask of shape {} does not fit {dims:?}", given.shape());
    let values: Vec<T> = match given.elements() {
        Elements::Bool(values) => {
            values.iter().map(|&seen| if seen == 0 { T::neg_infinity() } else { T::zero() }).collect()
        }
        other => T::of(other)?.into_owned(),
    };
    let (&own, outer) = given.shape().split_last().ok_or_else(misfit)?;
    let columns = dims[3];
    let (own_dims, values) = if own == columns || own == 1 && columns > 0 {
        (given.shape().to_vec(), values)
    } else if own < columns {
        let mut wide = Vec::with_capacity(shape(outer.iter().copied().chain([columns]))?.elements());
        for line in values.chunks(own.max(1)) {
            wide.extend_from_slice(line);
            wide.resize(wide.len() + columns - own, T::neg_infinity());
        }
        (outer.iter().copied().chain([columns]).collect(), wide)
    } else {
        return Err(misfit());
    };
    if broadcast_dims([&own_dims[..], &dims[..]])?[..] != dims[..] {
        return Err(misfit());
    }
    Ok(View::broadcast(&own_dims, dims).ok_or_else(misfit)?.copied(&values))
}

/// Attention whose scores and weights two graphs of the node may change.
fn flex(node: &mut Node<'_>) -> Built {
    let scale = node.attributes.float("scale")?.map(f64::from);
    let precision = named(node, "softmax_precision")?;
    let mut graph = |name: &str| -> Result<Option<Subgraph>, String> {
        if node.attributes.graph(name)?.is_none() {
            return Ok(None);
        }
        let graph = node.subgraph(name)?;
        if (graph.inputs(), graph.outputs()) != (1, 1) {
            return Err(format!(
                "{name} has {} inputs and {} outputs; expected one each",
                graph.inputs(),
                graph.outputs()
            ));
        }
        Ok(Some(graph))
    };
    let (of_scores, of_weights) = (graph("score_mod")?, graph("prob_mod")?);
    op(move |inputs| {
        let dtype = inputs.tensor(0)?.dtype();
        let usual = if matches!(dtype, DType::Half | DType::BFloat16) { DType::Float } else { dtype };
        let computed = precision.unwrap_or(usual);
        in_reals!(computed, flexed(&inputs, scale, computed, of_scores.as_ref(), of_weights.as_ref()))
            .and_then(one)
    })
}

/// What a graph makes of numbers of this shape.
fn changed<T: Real>(
    values: Vec<T>,
    dims: [usize; 4],
    dtype: DType,
    graph: Option<&Subgraph>,
    around: &Inputs<'_>,
) -> Result<Vec<T>, String> {
    let Some(graph) = graph else { return Ok(values) };
    let given = Input::Owned(Value::Tensor(tensor(dims, values, dtype)?));
    match graph.run([given], around)?.pop() {
        Some(Value::Tensor(made)) if made.shape()[..] == dims => Ok(T::of(made.elements())?.into_owned()),
        _ => Err(format!("its graph gives no tensor of shape {dims:?}")),
    }
}

fn flexed<T: Real>(
    inputs: &Inputs<'_>,
    scale: Option<f64>,
    dtype: DType,
    of_scores: Option<&Subgraph>,
    of_weights: Option<&Subgraph>,
) -> Result<Tensor, String> {
    let given = [inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?];
    if given.iter().any(|tensor| tensor.shape().rank() != 4) {
        return Err("queries, keys and values have 4 dimensions".to_owned());
    }
    let (q, k, v) = (
        Heads::<T>::read(given[0], None, "Q")?,
        Heads::<T>::read(given[1], None, "K")?,
        Heads::<T>::read(given[2], None, "V")?,
    );
    let fits = (k.batch, k.size) == (q.batch, q.size)
        && (v.batch, v.heads, v.length) == (q.batch, k.heads, k.length);
    if !fits || k.heads == 0 || !q.heads.is_multiple_of(k.heads) {
        return Err("queries, keys and values do not fit each other".to_owned());
    }
    let (dims, shared) = ([q.batch, q.heads, q.length, k.length], q.heads / k.heads);
    #[allow(clippy::cast_precision_loss, reason = "a head is small")]
    let root = rounded(T::c(scale.unwrap_or(1.0 / (q.size as f64).sqrt()).sqrt()), given[0].dtype())?;
    let scaled = |values: &[T]| -> Result<Vec<T>, String> {
        let scaled = values.iter().map(|&value| value * root).collect();
        Ok(T::of(&T::given(scaled, given[0].dtype())?)?.into_owned())
    };
    let area = q.length * k.length;
    let mut scores = vec![T::zero(); shape(dims)?.elements()];
    for (at, scores) in scores.chunks_exact_mut(area.max(1)).enumerate() {
        let (batch, head) = (at / q.heads, at % q.heads);
        let (queries, keys) = (scaled(q.head(batch, head))?, scaled(k.head(batch, head / shared))?);
        let keys = Matrix::transposed(&keys, q.size, k.length);
        multiply(Matrix::new(&queries, q.length, q.size), keys, T::zero(), scores, k.length, 0);
    }
    // The product is of the inputs' dtype.
    let scores = T::of(&T::given(scores, given[0].dtype())?)?.into_owned();
    let mut weights = changed(scores, dims, dtype, of_scores, inputs)?;
    weigh(&mut weights, None, k.length, |_| Ok(()))?;
    let weights = changed(weights, dims, dtype, of_weights, inputs)?;
    let mut y = vec![T::zero(); shape([q.batch, q.heads, q.length, v.size])?.elements()];
    let lines = weights.chunks_exact(area.max(1)).zip(y.chunks_exact_mut((q.length * v.size).max(1)));
    for (at, (weights, y)) in lines.enumerate() {
        let values = Matrix::new(v.head(at / q.heads, at % q.heads / shared), v.length, v.size);
        multiply(Matrix::new(weights, q.length, k.length), values, T::zero(), y, v.size, 0);
    }
    let y = Heads { values: y, batch: q.batch, heads: q.heads, length: q.length, size: v.size };
    y.given(false, given[2].dtype())
}

fn rotary(node: &mut Node<'_>) -> Built {
    let interleaved = node.attributes.flag("interleaved", false)?;
    let stated = node.attributes.int("num_heads")?.filter(|&heads| heads != 0);
    let heads = stated.map(|heads| usize::try_from(heads).map_err(|_| "num_heads is below 0")).transpose()?;
    let rotated = node.attributes.int("rotary_embedding_dim")?.unwrap_or(0);
    let rotated = usize::try_from(rotated).map_err(|_| "rotary_embedding_dim is below 0")?;
    op(move |inputs| {
        let dtype = inputs.tensor(0)?.dtype();
        in_reals!(dtype, embedded(&inputs, heads, rotated, interleaved)).and_then(one)
    })
}

fn embedded<T: Real>(
    inputs: &Inputs<'_>,
    heads: Option<usize>,
    rotated: usize,
    interleaved: bool,
) -> Result<Tensor, String> {
    let (x, cos, sin) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
    let flat = x.shape().rank() == 3;
    let mut parts = Heads::<T>::read(x, heads, "X")?;
    let rotated = if rotated == 0 { parts.size } else { rotated };
    let half = rotated / 2;
    if rotated > parts.size || !rotated.is_multiple_of(2) || half == 0 {
        return Err(format!(
            "{rotated} of {} numbers are rotated; expected an even part of them",
            parts.size
        ));
    }
    let (cosines, sines) = (T::of(cos.elements())?, T::of(sin.elements())?);
    if cos.shape() != sin.shape() || cos.shape().last() != Some(&half) {
        return Err(format!("caches of shape {} and {}; expected lines of {half}", cos.shape(), sin.shape()));
    }
    // Which line of the caches each step of each row of the batch has.
    let steps = parts.batch * parts.length;
    let lines: Vec<usize> = match inputs.optional(3)? {
        None if cos.shape().rank() == 3 && cosines.len() == steps * half => (0..steps).collect(),
        None => return Err(format!("caches of shape {} without position_ids", cos.shape())),
        Some(places) => {
            let most = cosines.len() / half;
            let places = doubles(places.elements())?;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be a place"
            )]
            let line = |&place: &f64| {
                if place >= 0.0 && place < most as f64 {
                    Ok(place as usize)
                } else {
                    Err(format!("position {place} of {most}"))
                }
            };
            let places: Vec<usize> = places.iter().map(line).collect::<Result<_, _>>()?;
            if places.len() == parts.length {
                (0..steps).map(|step| places[step % parts.length.max(1)]).collect()
            } else if places.len() == steps {
                places
            } else {
                return Err(format!("{} positions for {steps} steps", places.len()));
            }
        }
    };
    let Heads { batch, heads, length, size, .. } = parts;
    for (at, run) in parts.values.chunks_exact_mut(size.max(1)).enumerate() {
        let (stack, step) = (at / (heads * length), at % length);
        debug_assert!(stack < batch);
        let line = lines[stack * length + step] * half;
        for place in 0..half {
            let (cos, sin) = (cosines[line + place], sines[line + place]);
            let (a, b) = if interleaved { (2 * place, 2 * place + 1) } else { (place, half + place) };
            (run[a], run[b]) = (cos * run[a] - sin * run[b], sin * run[a] + cos * run[b]);
        }
    }
    parts.given(flat, x.dtype())
}
