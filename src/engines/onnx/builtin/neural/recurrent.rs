//! Recurrent networks: RNN, GRU and LSTM, in every direction, layout and activation.

use super::super::super::backend::Value;
use super::super::op::{Built, Inputs, Node, Outputs, op, shape};
use super::super::registry::{Row, row};
use super::reals::{Matrix, Real, in_reals, multiply, tensor};
use crate::tensor::{Elements, Tensor};

pub(super) const ROWS: &[Row] =
    &[row("GRU", 1, gru), row("LSTM", 1, lstm), row("RNN", 1, |node| recurrent(node, Cell::Rnn))];

/// What is computed at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Rnn,
    Gru { linear_before_reset: bool },
    Lstm { input_forget: bool },
}

impl Cell {
    /// Gates, of which each has as many weights.
    fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru { .. } => 3,
            Self::Lstm { .. } => 4,
        }
    }

    /// The activations of one direction when none are stated.
    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Rnn => &["Tanh"],
            Self::Gru { .. } => &["Sigmoid", "Tanh"],
            Self::Lstm { .. } => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// A function of one number, and its two parameters.
#[derive(Debug, Clone, Copy)]
struct Activation {
    kind: Kind,
    alpha: f64,
    beta: f64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Relu,
    Tanh,
    Sigmoid,
    Affine,
    LeakyRelu,
    ThresholdedRelu,
    ScaledTanh,
    HardSigmoid,
    Elu,
    Softsign,
    Softplus,
}

impl Activation {
    fn named(name: &str, alpha: Option<f64>, beta: Option<f64>) -> Result<Self, String> {
        let (kind, usual_alpha, usual_beta) = match name.to_ascii_lowercase().as_str() {
            "relu" => (Kind::Relu, 0.0, 0.0),
            "tanh" => (Kind::Tanh, 0.0, 0.0),
            "sigmoid" => (Kind::Sigmoid, 0.0, 0.0),
            "affine" => (Kind::Affine, 1.0, 0.0),
            "leakyrelu" => (Kind::LeakyRelu, 0.01, 0.0),
            "thresholdedrelu" => (Kind::ThresholdedRelu, 1.0, 0.0),
            "scaledtanh" => (Kind::ScaledTanh, 1.0, 1.0),
            "hardsigmoid" => (Kind::HardSigmoid, 0.2, 0.5),
            "elu" => (Kind::Elu, 1.0, 0.0),
            "softsign" => (Kind::Softsign, 0.0, 0.0),
            "softplus" => (Kind::Softplus, 0.0, 0.0),
            _ => return Err(format!("activation {name:?} is not one of ONNX's")),
        };
        Ok(Self { kind, alpha: alpha.unwrap_or(usual_alpha), beta: beta.unwrap_or(usual_beta) })
    }

    /// Whether files state parameters for it.
    fn has(self) -> (bool, bool) {
        match self.kind {
            Kind::Affine | Kind::ScaledTanh | Kind::HardSigmoid => (true, true),
            Kind::LeakyRelu | Kind::ThresholdedRelu | Kind::Elu => (true, false),
            _ => (false, false),
        }
    }

    fn of<T: Real>(self, x: T) -> T {
        let (one, alpha, beta) = (T::one(), T::c(self.alpha), T::c(self.beta));
        match self.kind {
            Kind::Relu => x.max(T::zero()),
            Kind::Tanh => x.tanh(),
            Kind::Sigmoid => one / (one + (-x).exp()),
            Kind::Affine => alpha * x + beta,
            Kind::LeakyRelu => {
                if x >= T::zero() {
                    x
                } else {
                    alpha * x
                }
            }
            Kind::ThresholdedRelu => {
                if x > alpha {
                    x
                } else {
                    T::zero()
                }
            }
            Kind::ScaledTanh => alpha * (beta * x).tanh(),
            Kind::HardSigmoid => (alpha * x + beta).max(T::zero()).min(one),
            Kind::Elu => {
                if x >= T::zero() {
                    x
                } else {
                    alpha * (x.exp() - one)
                }
            }
            Kind::Softsign => x / (one + x.abs()),
            Kind::Softplus => x.exp().ln_1p(),
        }
    }
}

/// One way along the sequence.
#[derive(Debug, Clone)]
struct Direction {
    backwards: bool,
    activations: Vec<Activation>,
}

#[derive(Debug, Clone)]
struct Plan {
    cell: Cell,
    hidden: Option<usize>,
    directions: Vec<Direction>,
    /// Numbers before an activation are kept within it, both ways.
    clip: Option<f64>,
    batch_first: bool,
    wanted: [bool; 3],
}

fn gru(node: &mut Node<'_>) -> Built {
    let linear_before_reset = node.attributes.flag("linear_before_reset", false)?;
    recurrent(node, Cell::Gru { linear_before_reset })
}

fn lstm(node: &mut Node<'_>) -> Built {
    let input_forget = node.attributes.flag("input_forget", false)?;
    recurrent(node, Cell::Lstm { input_forget })
}

fn recurrent(node: &mut Node<'_>, cell: Cell) -> Built {
    let backwards: &[bool] = match node.attributes.text("direction")?.unwrap_or("forward") {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(format!("direction is {other:?}; expected forward, reverse or bidirectional")),
    };
    let usual = cell.activations();
    let stated: Vec<String> = match node.attributes.strings("activations")? {
        Some(names) => names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
        None => backwards.iter().flat_map(|_| usual).map(|&name| name.to_owned()).collect(),
    };
    if stated.len() != usual.len() * backwards.len() {
        return Err(format!("{} activations; expected {}", stated.len(), usual.len() * backwards.len()));
    }
    // Parameters are listed for those that have some, in the order of the activations.
    let mut alphas = node.attributes.floats("activation_alpha")?.unwrap_or_default().iter().copied();
    let mut betas = node.attributes.floats("activation_beta")?.unwrap_or_default().iter().copied();
    let mut activations = Vec::with_capacity(stated.len());
    for name in &stated {
        let (alpha, beta) = Activation::named(name, None, None)?.has();
        let alpha = if alpha { alphas.next().map(f64::from) } else { None };
        let beta = if beta { betas.next().map(f64::from) } else { None };
        activations.push(Activation::named(name, alpha, beta)?);
    }
    let directions = backwards.iter().zip(activations.chunks(usual.len()));
    let hidden = node.attributes.int("hidden_size")?;
    node.attributes.ignore(&["output_sequence"]);
    let plan = Plan {
        cell,
        hidden: hidden.map(|size| usize::try_from(size).map_err(|_| "hidden_size is below 0")).transpose()?,
        directions: directions
            .map(|(&backwards, own)| Direction { backwards, activations: own.to_vec() })
            .collect(),
        clip: node.attributes.float("clip")?.map(f64::from).filter(|&clip| clip > 0.0),
        batch_first: node.attributes.flag("layout", false)?,
        wanted: [0, 1, 2].map(|at| node.has_output(at)),
    };
    op(move |inputs| {
        let dtype = inputs.tensor(0)?.dtype();
        in_reals!(dtype, ran(&plan, &inputs))
    })
}

/// Sizes that all inputs agree on.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    steps: usize,
    batch: usize,
    input: usize,
    hidden: usize,
}

/// An input's numbers, if it is there and has this shape.
fn given<T: Real>(
    inputs: &Inputs<'_>,
    at: usize,
    what: &str,
    dims: &[usize],
) -> Result<Option<Vec<T>>, String> {
    let Some(tensor) = inputs.optional(at)? else { return Ok(None) };
    if tensor.shape()[..] != *dims {
        return Err(format!("{what} is of shape {}; expected {dims:?}", tensor.shape()));
    }
    Ok(Some(T::of(tensor.elements())?.into_owned()))
}

/// `[batch, directions, …]` from `[directions, batch, …]` and back: the first two of these change places.
fn swapped<T: Copy>(values: &[T], outer: usize, inner: usize, run: usize) -> Vec<T> {
    let mut made = Vec::with_capacity(values.len());
    for b in 0..inner {
        for a in 0..outer {
            made.extend_from_slice(&values[(a * inner + b) * run..][..run]);
        }
    }
    made
}

fn ran<T: Real>(plan: &Plan, inputs: &Inputs<'_>) -> Result<Outputs, String> {
    let (x, w) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let recurrent = inputs.tensor(2)?;
    if x.shape().rank() != 3 || recurrent.shape().rank() != 3 {
        return Err(format!(
            "X of shape {} and R of {}; expected 3 dimensions",
            x.shape(),
            recurrent.shape()
        ));
    }
    let (first, second) = (x.shape()[0], x.shape()[1]);
    let (steps, batch) = if plan.batch_first { (second, first) } else { (first, second) };
    let sizes =
        Sizes { steps, batch, input: x.shape()[2], hidden: plan.hidden.unwrap_or(recurrent.shape()[2]) };
    let (ways, gates, hidden) = (plan.directions.len(), plan.cell.gates(), sizes.hidden);
    let gated = gates.checked_mul(hidden).ok_or("hidden_size is too large")?;
    if w.shape()[..] != [ways, gated, sizes.input] || recurrent.shape()[..] != [ways, gated, hidden] {
        return Err(format!(
            "W of shape {} and R of {} do not fit hidden_size {hidden}",
            w.shape(),
            recurrent.shape()
        ));
    }
    let every = shape([steps, ways, batch, hidden])?.elements();
    shape([steps, batch, gated])?;
    let mut values = T::of(x.elements())?.into_owned();
    if plan.batch_first {
        values = swapped(&values, batch, steps, sizes.input);
    }
    let (w, recurrent) = (T::of(w.elements())?, T::of(recurrent.elements())?);
    let bias = given::<T>(inputs, 3, "B", &[ways, 2 * gated])?;
    let lengths = lengths(inputs.optional(4)?, sizes)?;
    let state_dims = if plan.batch_first { [batch, ways, hidden] } else { [ways, batch, hidden] };
    let state = |at, what| -> Result<Vec<T>, String> {
        let Some(state) = given::<T>(inputs, at, what, &state_dims)? else {
            return Ok(vec![T::zero(); ways * batch * hidden]);
        };
        Ok(if plan.batch_first { swapped(&state, batch, ways, hidden) } else { state })
    };
    let is_lstm = matches!(plan.cell, Cell::Lstm { .. });
    let mut h = state(5, "initial_h")?;
    let mut c = if is_lstm { state(6, "initial_c")? } else { vec![T::zero(); ways * batch * hidden] };
    let peepholes = if is_lstm { given::<T>(inputs, 7, "P", &[ways, 3 * hidden])? } else { None };
    let mut y = vec![T::zero(); every];
    for (way, direction) in plan.directions.iter().enumerate() {
        let part = |values: &Option<Vec<T>>, many: usize| {
            values.as_ref().map(|values| values[way * many..][..many].to_vec())
        };
        let way_of = Way {
            plan,
            direction,
            sizes,
            w: &w[way * gated * sizes.input..][..gated * sizes.input],
            r: &recurrent[way * gated * hidden..][..gated * hidden],
            bias: part(&bias, 2 * gated),
            peepholes: part(&peepholes, 3 * hidden),
            lengths: &lengths,
        };
        let own = way * batch * hidden..(way + 1) * batch * hidden;
        way_of.walk(&values, &mut h[own.clone()], &mut c[own], |step, hidden_state| {
            let at = (step * ways + way) * batch * hidden;
            y[at..at + batch * hidden].copy_from_slice(hidden_state);
        });
    }
    outputs(plan, sizes, y, h, c, x)
}

/// What the node gives, in its layout.
fn outputs<T: Real>(
    plan: &Plan,
    Sizes { steps, batch, hidden, .. }: Sizes,
    mut y: Vec<T>,
    mut h: Vec<T>,
    mut c: Vec<T>,
    x: &Tensor,
) -> Result<Outputs, String> {
    let ways = plan.directions.len();
    let mut dims = [steps, ways, batch, hidden];
    let mut state = [ways, batch, hidden];
    if plan.batch_first {
        // [steps, ways, batch, …] becomes [batch, steps, ways, …].
        y = swapped(&y, steps * ways, batch, hidden);
        dims = [batch, steps, ways, hidden];
        (h, c) = (swapped(&h, ways, batch, hidden), swapped(&c, ways, batch, hidden));
        state = [batch, ways, hidden];
    }
    let mut made = Outputs::new();
    let tensors = [tensor(dims, y, x.dtype())?, tensor(state, h, x.dtype())?, tensor(state, c, x.dtype())?];
    for (wanted, value) in plan.wanted.iter().zip(tensors) {
        made.push(if *wanted { Value::Tensor(value) } else { Value::Absent });
    }
    Ok(made)
}

/// Steps of each row of the batch.
fn lengths(given: Option<&Tensor>, sizes: Sizes) -> Result<Vec<usize>, String> {
    let Some(given) = given else { return Ok(vec![sizes.steps; sizes.batch]) };
    let Elements::I32(values) = given.elements() else {
        return Err(format!("sequence_lens of {}; expected int32", given.dtype()));
    };
    let lengths: Option<Vec<usize>> = values
        .iter()
        .map(|&length| usize::try_from(length).ok().filter(|&length| length <= sizes.steps))
        .collect();
    let lengths =
        lengths.ok_or_else(|| format!("sequence_lens {:?} in sequences of {}", &values[..], sizes.steps))?;
    if lengths.len() != sizes.batch {
        return Err(format!("{} sequence_lens for {} sequences", lengths.len(), sizes.batch));
    }
    Ok(lengths)
}

/// One direction with its weights.
struct Way<'a, T> {
    plan: &'a Plan,
    direction: &'a Direction,
    sizes: Sizes,
    w: &'a [T],
    r: &'a [T],
    bias: Option<Vec<T>>,
    peepholes: Option<Vec<T>>,
    lengths: &'a [usize],
}

impl<T: Real> Way<'_, T> {
    /// Goes through `x`, `[steps, batch, input]`, moving the states; tells each step's
    /// hidden state, which is 0 past a sequence's end.
    fn walk(&self, x: &[T], h: &mut [T], c: &mut [T], mut each: impl FnMut(usize, &[T])) {
        let Sizes { steps, batch, input, hidden } = self.sizes;
        let gated = self.plan.cell.gates() * hidden;
        // What the inputs add to the gates does not wait for the steps before.
        let mut seen = vec![T::zero(); steps * batch * gated];
        let weights = Matrix::transposed(self.w, input, gated);
        multiply(Matrix::new(x, steps * batch, input), weights, T::zero(), &mut seen, gated, 0);
        let mut from_state = vec![T::zero(); batch * gated];
        let mut shown = vec![T::zero(); batch * hidden];
        for turn in 0..steps {
            let weights = Matrix::transposed(self.r, hidden, gated);
            multiply(Matrix::new(h, batch, hidden), weights, T::zero(), &mut from_state, gated, 0);
            shown.iter_mut().for_each(|value| *value = T::zero());
            // Going backwards, each row begins at its own end; all meet at step 0.
            let step = if self.direction.backwards { steps - 1 - turn } else { turn };
            for row in 0..batch {
                if step >= self.lengths[row] {
                    continue;
                }
                let x = &seen[(step * batch + row) * gated..][..gated];
                let r = &from_state[row * gated..][..gated];
                let (own_h, own_c) = (&mut h[row * hidden..][..hidden], &mut c[row * hidden..][..hidden]);
                match self.plan.cell {
                    Cell::Rnn => self.rnn(x, r, own_h),
                    Cell::Gru { linear_before_reset } => self.gru(x, r, own_h, linear_before_reset),
                    Cell::Lstm { input_forget } => self.lstm(x, r, own_h, own_c, input_forget),
                }
                shown[row * hidden..][..hidden].copy_from_slice(own_h);
            }
            each(step, &shown);
        }
    }

    /// The bias of the inputs, or of the states, of a unit of a gate.
    fn bias(&self, of_state: bool, gate: usize, unit: usize) -> T {
        let hidden = self.sizes.hidden;
        let from = if of_state { self.plan.cell.gates() * hidden } else { 0 };
        self.bias.as_ref().map_or(T::zero(), |bias| bias[from + gate * hidden + unit])
    }

    /// Both biases.
    fn biases(&self, gate: usize, unit: usize) -> T {
        self.bias(false, gate, unit) + self.bias(true, gate, unit)
    }

    fn act(&self, which: usize, x: T) -> T {
        let x = match self.plan.clip {
            Some(clip) => x.max(T::c(-clip)).min(T::c(clip)),
            None => x,
        };
        self.direction.activations[which].of(x)
    }

    fn rnn(&self, x: &[T], r: &[T], h: &mut [T]) {
        for (unit, h) in h.iter_mut().enumerate() {
            *h = self.act(0, x[unit] + r[unit] + self.biases(0, unit));
        }
    }

    /// Gates: update, reset, hidden.
    fn gru(&self, x: &[T], r: &[T], h: &mut [T], linear_before_reset: bool) {
        let hidden = h.len();
        let reset: Vec<T> =
            (0..hidden).map(|u| self.act(0, x[hidden + u] + r[hidden + u] + self.biases(1, u))).collect();
        // The product of the reset state, when the reset comes first.
        let mut of_reset = Vec::new();
        if !linear_before_reset {
            let state: Vec<T> = reset.iter().zip(h.iter()).map(|(&reset, &h)| reset * h).collect();
            of_reset = vec![T::zero(); hidden];
            let weights = Matrix::transposed(&self.r[2 * hidden * hidden..], hidden, hidden);
            multiply(Matrix::new(&state, 1, hidden), weights, T::zero(), &mut of_reset, hidden, 0);
        }
        for unit in 0..hidden {
            let update = self.act(0, x[unit] + r[unit] + self.biases(0, unit));
            let bias = self.bias(true, 2, unit);
            let from_state = if linear_before_reset {
                reset[unit] * (r[2 * hidden + unit] + bias)
            } else {
                of_reset[unit] + bias
            };
            let candidate = self.act(1, x[2 * hidden + unit] + self.bias(false, 2, unit) + from_state);
            h[unit] = (T::one() - update) * candidate + update * h[unit];
        }
    }

    /// Gates: input, output, forget, cell.
    fn lstm(&self, x: &[T], r: &[T], h: &mut [T], c: &mut [T], input_forget: bool) {
        let hidden = h.len();
        let peep = |which: usize, unit: usize| {
            self.peepholes.as_ref().map_or(T::zero(), |peepholes| peepholes[which * hidden + unit])
        };
        for unit in 0..hidden {
            let gate =
                |which: usize| x[which * hidden + unit] + r[which * hidden + unit] + self.biases(which, unit);
            let input = self.act(0, gate(0) + peep(0, unit) * c[unit]);
            let forget =
                if input_forget { T::one() - input } else { self.act(0, gate(2) + peep(2, unit) * c[unit]) };
            c[unit] = forget * c[unit] + input * self.act(1, gate(3));
            let output = self.act(0, gate(1) + peep(1, unit) * c[unit]);
            h[unit] = output * self.direction.activations[2].of(c[unit]);
        }
    }
}
