//! Functions of one number, and activations.

use super::super::numbers::{Wide, map_floats, narrow, wide};
use super::super::op::{Built, Node, made, one, op};
use super::super::registry::{Row, row};
use super::cast::cast;
use crate::tensor::{DType, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("Abs", 1, |node| signed(node, f32::abs, f64::abs, i64::wrapping_abs)),
    row("Neg", 1, |node| signed(node, |x| -x, |x| -x, i64::wrapping_neg)),
    row("Sign", 9, |node| signed(node, sign32, sign64, i64::signum)),
    row("Ceil", 1, |node| floats(node, f32::ceil, f64::ceil)),
    row("Floor", 1, |node| floats(node, f32::floor, f64::floor)),
    row("Round", 11, |node| floats(node, f32::round_ties_even, f64::round_ties_even)),
    row("Sqrt", 1, |node| floats(node, f32::sqrt, f64::sqrt)),
    row("Exp", 1, |node| floats(node, f32::exp, f64::exp)),
    row("Log", 1, |node| floats(node, f32::ln, f64::ln)),
    row("Reciprocal", 1, |node| floats(node, f32::recip, f64::recip)),
    row("Erf", 9, |node| floats(node, libm::erff, libm::erf)),
    row("Sin", 7, |node| floats(node, f32::sin, f64::sin)),
    row("Cos", 7, |node| floats(node, f32::cos, f64::cos)),
    row("Tan", 7, |node| floats(node, f32::tan, f64::tan)),
    row("Asin", 7, |node| floats(node, f32::asin, f64::asin)),
    row("Acos", 7, |node| floats(node, f32::acos, f64::acos)),
    row("Atan", 7, |node| floats(node, f32::atan, f64::atan)),
    row("Sinh", 9, |node| floats(node, f32::sinh, f64::sinh)),
    row("Cosh", 9, |node| floats(node, f32::cosh, f64::cosh)),
    row("Asinh", 9, |node| floats(node, f32::asinh, f64::asinh)),
    row("Acosh", 9, |node| floats(node, f32::acosh, f64::acosh)),
    row("Atanh", 9, |node| floats(node, f32::atanh, f64::atanh)),
    row("Tanh", 1, |node| floats(node, f32::tanh, f64::tanh)),
    row("Sigmoid", 1, |node| floats(node, sigmoid32, sigmoid)),
    row("Relu", 1, |node| {
        signed(node, |x| if x < 0.0 { 0.0 } else { x }, |x| if x < 0.0 { 0.0 } else { x }, |x| x.max(0))
    }),
    row("Softplus", 1, |node| floats(node, |x| softplus(x.into()) as f32, softplus)),
    row("Softsign", 1, |node| floats(node, |x| x / (1.0 + x.abs()), |x| x / (1.0 + x.abs()))),
    row("HardSwish", 14, |node| floats(node, |x| hard_swish(x.into()) as f32, hard_swish)),
    row("Mish", 18, |node| floats(node, |x| mish(x.into()) as f32, mish)),
    row("LeakyRelu", 1, |node| with(node, &[("alpha", 0.01)], |x, [a, _]| if x < 0.0 { a * x } else { x })),
    row("Elu", 1, |node| with(node, &[("alpha", 1.0)], |x, [a, _]| if x < 0.0 { a * x.exp_m1() } else { x })),
    row("Celu", 12, |node| {
        with(node, &[("alpha", 1.0)], |x, [a, _]| x.max(0.0) + (a * (x / a).exp_m1()).min(0.0))
    }),
    row("Selu", 1, |node| {
        with(node, &[("alpha", 1.673_263_2), ("gamma", 1.050_701)], |x, [a, g]| {
            if x > 0.0 { g * x } else { g * a * x.exp_m1() }
        })
    }),
    row("HardSigmoid", 1, |node| {
        with(node, &[("alpha", 0.2), ("beta", 0.5)], |x, [a, b]| (a * x + b).clamp(0.0, 1.0))
    }),
    row("ThresholdedRelu", 10, |node| with(node, &[("alpha", 1.0)], |x, [a, _]| if x > a { x } else { 0.0 })),
    row("Swish", 24, |node| with(node, &[("alpha", 1.0)], |x, [a, _]| x * sigmoid(a * x))),
    row("Shrink", 9, shrink),
    row("Gelu", 20, gelu),
    row("Clip", 1, clip_6),
    row("Clip", 11, clip),
];

fn sign32(x: f32) -> f32 {
    if x == 0.0 || x.is_nan() { x } else { x.signum() }
}

fn sign64(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x } else { x.signum() }
}

/// 1 / (1 + e^-x), without overflow.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

fn sigmoid32(x: f32) -> f32 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn hard_swish(x: f64) -> f64 {
    x * (x / 6.0 + 0.5).clamp(0.0, 1.0)
}

fn mish(x: f64) -> f64 {
    x * softplus(x).tanh()
}

/// A function of floats.
fn floats(node: &mut Node<'_>, single: fn(f32) -> f32, double: fn(f64) -> f64) -> Built {
    node.attributes.ignore(&["consumed_inputs"]);
    op(move |mut inputs| one(map_floats(inputs.take(0)?, single, double)?))
}

/// A function of floats and integers.
fn signed(node: &mut Node<'_>, single: fn(f32) -> f32, double: fn(f64) -> f64, int: fn(i64) -> i64) -> Built {
    node.attributes.ignore(&["consumed_inputs"]);
    op(move |mut inputs| {
        let x = inputs.take(0)?;
        if is_float(&x) {
            return one(map_floats(x, single, double)?);
        }
        let values = match wide(x.elements())? {
            Wide::I64(values) => Wide::I64(values.iter().map(|&x| int(x)).collect()),
            // Nothing is below 0.
            other => other,
        };
        let elements = narrow(values, x.dtype())?;
        one(made(x.shape().iter().copied(), elements)?)
    })
}

fn is_float(x: &Tensor) -> bool {
    matches!(x.dtype(), DType::Float | DType::Double | DType::Half | DType::BFloat16)
}

/// A function with up to two numbers of attributes, computed in double precision.
fn with(node: &mut Node<'_>, names: &[(&str, f32)], f: fn(f64, [f64; 2]) -> f64) -> Built {
    node.attributes.ignore(&["consumed_inputs"]);
    let mut settings = [0.0; 2];
    for (setting, (name, default)) in settings.iter_mut().zip(names) {
        *setting = f64::from(node.attributes.float(name)?.unwrap_or(*default));
    }
    #[allow(clippy::cast_possible_truncation, reason = "the nearest float")]
    op(move |mut inputs| {
        one(map_floats(inputs.take(0)?, |x| f(x.into(), settings) as f32, |x| f(x, settings))?)
    })
}

/// What is near 0 becomes 0, the rest comes nearer.
fn shrink(node: &mut Node<'_>) -> Built {
    let limit = f64::from(node.attributes.float("lambd")?.unwrap_or(0.5));
    let bias = f64::from(node.attributes.float("bias")?.unwrap_or(0.0));
    let one_number = move |x: f64| {
        if x < -limit {
            x + bias
        } else if x > limit {
            x - bias
        } else {
            0.0
        }
    };
    op(move |mut inputs| {
        let x = inputs.take(0)?;
        let dtype = x.dtype();
        let doubles = cast(&x, DType::Double)?;
        one(cast(&map_floats(doubles, |x| x, one_number)?, dtype)?)
    })
}

fn gelu(node: &mut Node<'_>) -> Built {
    let f: fn(f64) -> f64 = match node.attributes.text("approximate")? {
        None | Some("none") => |x| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Some("tanh") => |x| {
            let scale = (2.0 / std::f64::consts::PI).sqrt();
            0.5 * x * (1.0 + (scale * (x + 0.044_715 * x.powi(3))).tanh())
        },
        Some(other) => return Err(format!("approximate {other:?} is none that is known")),
    };
    #[allow(clippy::cast_possible_truncation, reason = "the nearest float")]
    op(move |mut inputs| one(map_floats(inputs.take(0)?, |x| f(x.into()) as f32, f)?))
}

/// Limits that stand in attributes.
fn clip_6(node: &mut Node<'_>) -> Built {
    node.attributes.ignore(&["consumed_inputs"]);
    let low = node.attributes.float("min")?.unwrap_or(f32::MIN);
    let high = node.attributes.float("max")?.unwrap_or(f32::MAX);
    op(move |mut inputs| {
        let double = |x: f64| x.max(f64::from(low)).min(f64::from(high));
        one(map_floats(inputs.take(0)?, |x| x.max(low).min(high), double)?)
    })
}

/// Limits that are inputs, either of which may be left out.
fn clip(_: &mut Node<'_>) -> Built {
    op(|mut inputs| {
        let x = inputs.take(0)?;
        let limit = |at: usize| -> Result<Option<&Tensor>, String> {
            let Some(limit) = inputs.optional(at)? else { return Ok(None) };
            if limit.elements().len() != 1 || limit.dtype() != x.dtype() {
                return Err(format!("input {at} is no single element of {}", x.dtype()));
            }
            Ok(Some(limit))
        };
        let (low, high) = (limit(1)?, limit(2)?);
        macro_rules! clipped {
            ($values:expr, $kind:ident, $low:expr, $high:expr) => {{
                let of = |limit: Option<&Tensor>, default| match limit
                    .map(|limit| wide(limit.elements()))
                    .transpose()?
                {
                    Some(Wide::$kind(values)) => Ok::<_, String>(values[0]),
                    _ => Ok(default),
                };
                let (low, high) = (of(low, $low)?, of(high, $high)?);
                Wide::$kind(
                    $values
                        .iter()
                        .map(|&x| if x < low { low } else { x })
                        .map(|x| if x > high { high } else { x })
                        .collect(),
                )
            }};
        }
        let values = match wide(x.elements())? {
            Wide::F32(values) => clipped!(values, F32, f32::NEG_INFINITY, f32::INFINITY),
            Wide::F64(values) => clipped!(values, F64, f64::NEG_INFINITY, f64::INFINITY),
            Wide::I64(values) => clipped!(values, I64, i64::MIN, i64::MAX),
            Wide::U64(values) => clipped!(values, U64, u64::MIN, u64::MAX),
        };
        one(made(x.shape().iter().copied(), narrow(values, x.dtype())?)?)
    })
}
