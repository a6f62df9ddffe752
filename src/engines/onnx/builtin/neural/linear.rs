//! Attention whose memory is a matrix, and the convolution that goes before it.

use super::super::op::{Built, Inputs, Node, many, op, shape};
use super::super::registry::{Row, row};
use super::attention::Heads;
use super::reals::{Real, in_reals, tensor};
use crate::tensor::Tensor;

pub(super) const ROWS: &[Row] = &[
    row("CausalConvWithState", 27, causal_conv),
    row("LinearAttention", 27, linear_attention),
    row("SwiGLU", 28, swiglu),
];

#[derive(Debug, Clone)]
struct Plan {
    decays: bool,
    corrects: bool,
    scale: Option<f64>,
    q_heads: usize,
    kv_heads: usize,
}

fn linear_attention(node: &mut Node<'_>) -> Built {
    let (decays, corrects) = match node.attributes.text("update_rule")?.unwrap_or("gated_delta") {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(format!("update_rule is {other:?}, which is not served")),
    };
    node.attributes.ignore(&["chunk_size"]);
    let heads = |name: &str| -> Result<usize, String> {
        let heads = node.required(name, node.attributes.int(name))?;
        usize::try_from(heads).ok().filter(|&heads| heads > 0).ok_or_else(|| format!("{name} is {heads}"))
    };
    let plan = Plan {
        decays,
        corrects,
        scale: node.attributes.float("scale")?.map(f64::from).filter(|&scale| scale != 0.0),
        q_heads: heads("q_num_heads")?,
        kv_heads: heads("kv_num_heads")?,
    };
    if !plan.q_heads.is_multiple_of(plan.kv_heads) {
        return Err(format!("{} heads of queries share {} of keys", plan.q_heads, plan.kv_heads));
    }
    op(move |inputs| {
        let dtype = inputs.tensor(0)?.dtype();
        in_reals!(dtype, remembered(&plan, &inputs)).and_then(many)
    })
}

/// An input `[batch, steps, heads · size]` that one update rule wants and others do not have.
fn gate<T: Real>(
    inputs: &Inputs<'_>,
    at: usize,
    wanted: bool,
    heads: usize,
    steps: (usize, usize),
    what: &str,
) -> Result<Option<Vec<T>>, String> {
    match (inputs.optional(at)?, wanted) {
        (None, false) => Ok(None),
        (Some(gate), true) => {
            let fits = gate.shape().rank() == 3
                && (gate.shape()[0], gate.shape()[1]) == steps
                && (gate.shape()[2].is_multiple_of(heads) && gate.shape()[2] > 0 || gate.shape()[2] == 1);
            if !fits {
                return Err(format!("{what} is of shape {}", gate.shape()));
            }
            Ok(Some(T::of(gate.elements())?.into_owned()))
        }
        (None, true) => Err(format!("{what} is missing")),
        (Some(_), false) => Err(format!("{what} is given; this update rule has none")),
    }
}

fn remembered<T: Real>(plan: &Plan, inputs: &Inputs<'_>) -> Result<[Tensor; 2], String> {
    let given = [inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?];
    if given.iter().any(|tensor| tensor.shape().rank() != 3) {
        return Err("queries, keys and values have 3 dimensions".to_owned());
    }
    let q = Heads::<T>::read(given[0], Some(plan.q_heads), "query")?;
    let k = Heads::<T>::read(given[1], Some(plan.kv_heads), "key")?;
    let v = Heads::<T>::read(given[2], Some(plan.kv_heads), "value")?;
    let (batch, steps) = (q.batch, q.length);
    let fits = (k.batch, k.length, k.size) == (batch, steps, q.size) && (v.batch, v.length) == (batch, steps);
    if !fits {
        return Err("queries, keys and values do not fit each other".to_owned());
    }
    let state_dims = [batch, k.heads, k.size, v.size];
    let area = k.size * v.size;
    let past = inputs.optional(3)?;
    let mut state = match past {
        Some(past) if past.shape()[..] == state_dims => T::of(past.elements())?.into_owned(),
        Some(past) => {
            return Err(format!("past_state is of shape {}; expected {state_dims:?}", past.shape()));
        }
        None => vec![T::zero(); shape(state_dims)?.elements()],
    };
    let decay = gate::<T>(inputs, 4, plan.decays, k.heads, (batch, steps), "decay")?;
    let beta = gate::<T>(inputs, 5, plan.corrects, k.heads, (batch, steps), "beta")?;
    #[allow(clippy::cast_precision_loss, reason = "a head is small")]
    let scale = T::c(plan.scale.unwrap_or(1.0 / (k.size as f64).sqrt()));
    let mut y = vec![T::zero(); shape([batch, q.heads, steps, v.size])?.elements()];
    let shared = q.heads / k.heads;
    for stack in 0..batch {
        for head in 0..k.heads {
            let state = &mut state[(stack * k.heads + head) * area..][..area];
            for step in 0..steps {
                let key = &k.head(stack, head)[step * k.size..][..k.size];
                let mut value = v.head(stack, head)[step * v.size..][..v.size].to_vec();
                let at = stack * steps + step;
                if let Some(decay) = &decay {
                    let width = decay.len() / (batch * steps);
                    let own = &decay[at * width..][..width];
                    let each = width / k.heads;
                    for (place, line) in state.chunks_exact_mut(v.size.max(1)).enumerate() {
                        let of = if width == 1 { 0 } else { head * each + place % each };
                        let kept = own[of].exp();
                        line.iter_mut().for_each(|number| *number *= kept);
                    }
                }
                if let Some(beta) = &beta {
                    let width = beta.len() / (batch * steps);
                    let rate = beta[at * width + if width == 1 { 0 } else { head }];
                    for (place, value) in value.iter_mut().enumerate() {
                        let known =
                            (0..k.size).fold(T::zero(), |sum, of| sum + state[of * v.size + place] * key[of]);
                        *value = rate * (*value - known);
                    }
                }
                for (line, &key) in state.chunks_exact_mut(v.size.max(1)).zip(key) {
                    line.iter_mut().zip(&value).for_each(|(number, &value)| *number += key * value);
                }
                for query_head in head * shared..(head + 1) * shared {
                    let query = &q.head(stack, query_head)[step * q.size..][..q.size];
                    let into = &mut y[((stack * q.heads + query_head) * steps + step) * v.size..][..v.size];
                    for (line, &query) in state.chunks_exact(v.size.max(1)).zip(query) {
                        into.iter_mut().zip(line).for_each(|(to, &number)| *to += query * number);
                    }
                    into.iter_mut().for_each(|to| *to *= scale);
                }
            }
        }
    }
    let y = Heads { values: y, batch, heads: q.heads, length: steps, size: v.size };
    let dtype = given[0].dtype();
    Ok([y.given(true, dtype)?, tensor(state_dims, state, past.map_or(dtype, Tensor::dtype))?])
}

fn causal_conv(node: &mut Node<'_>) -> Built {
    let is_swish = match node.attributes.text("activation")?.unwrap_or("none") {
        "none" | "" => false,
        "silu" | "swish" => true,
        other => return Err(format!("activation is {other:?}; expected none, silu or swish")),
    };
    op(move |inputs| {
        let dtype = inputs.tensor(0)?.dtype();
        in_reals!(dtype, with_state(&inputs, is_swish)).and_then(many)
    })
}

fn with_state<T: Real>(inputs: &Inputs<'_>, is_swish: bool) -> Result<[Tensor; 2], String> {
    let (x, w) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let ([batch, channels, length], [w_channels, 1, kernel]) = (&x.shape()[..], &w.shape()[..]) else {
        return Err(format!("input of shape {} and weights of {}", x.shape(), w.shape()));
    };
    let (batch, channels, length, kernel) = (*batch, *channels, *length, *kernel);
    if *w_channels != channels || kernel == 0 {
        return Err(format!("weights of shape {} do not fit {channels} channels", w.shape()));
    }
    let kept = kernel - 1;
    let state_dims = [batch, channels, kept];
    let (values, weights) = (T::of(x.elements())?, T::of(w.elements())?);
    let bias = inputs.optional(2)?.map(|bias| T::of(bias.elements())).transpose()?;
    if bias.as_ref().is_some_and(|bias| bias.len() != channels) {
        return Err(format!("the bias has not one number for each of {channels} channels"));
    }
    let past = match inputs.optional(3)? {
        Some(past) if past.shape()[..] == state_dims => T::of(past.elements())?.into_owned(),
        Some(past) => {
            return Err(format!("past_state is of shape {}; expected {state_dims:?}", past.shape()));
        }
        None => vec![T::zero(); shape(state_dims)?.elements()],
    };
    let (mut y, mut state) = (Vec::with_capacity(values.len()), Vec::with_capacity(past.len()));
    let mut line = Vec::with_capacity(kept + length);
    for row in 0..batch * channels {
        let channel = row % channels;
        line.clear();
        line.extend_from_slice(&past[row * kept..][..kept]);
        line.extend_from_slice(&values[row * length..][..length]);
        let (weights, bias) =
            (&weights[channel * kernel..][..kernel], bias.as_ref().map_or(T::zero(), |b| b[channel]));
        for seen in line.windows(kernel) {
            let sum = seen.iter().zip(weights).fold(bias, |sum, (&x, &w)| sum + x * w);
            y.push(if is_swish { sum / (T::one() + (-sum).exp()) } else { sum });
        }
        state.extend_from_slice(&line[line.len() - kept..]);
    }
    Ok([tensor([batch, channels, length], y, x.dtype())?, tensor(state_dims, state, x.dtype())?])
}

fn swiglu(node: &mut Node<'_>) -> Built {
    let alpha = node.attributes.float("alpha")?.map_or(1.0, f64::from);
    op(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        in_reals!(a.dtype(), gated(a, b, alpha)).and_then(super::super::op::one)
    })
}

fn gated<T: Real>(a: &Tensor, b: &Tensor, alpha: f64) -> Result<Tensor, String> {
    if a.shape() != b.shape() {
        return Err(format!("inputs of shape {} and {}; expected the same", a.shape(), b.shape()));
    }
    let (gates, values, alpha) = (T::of(a.elements())?, T::of(b.elements())?, T::c(alpha));
    let one = |(&gate, &value): (&T, &T)| gate / (T::one() + (-alpha * gate).exp()) * value;
    let values = gates.iter().zip(values.iter()).map(one).collect();
    tensor(a.shape().iter().copied(), values, a.dtype())
}
