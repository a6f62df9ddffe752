//! Arithmetic of two or more tensors, element by element, with broadcasting.

use std::borrow::Cow;

use super::super::elements::{View, broadcast_dims};
use super::super::numbers::{Wide, narrow, wide};
use super::super::op::{Built, Node, made, one, op, shape};
use super::super::registry::{Row, row};
use super::cast::cast;
use crate::tensor::{DType, Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("Add", 1, |node| binary(node, ADD)),
    row("Sub", 1, |node| binary(node, SUB)),
    row("Mul", 1, |node| binary(node, MUL)),
    row("Div", 1, |node| binary(node, DIV)),
    row("Mod", 10, modulo),
    row("Pow", 1, power),
    row("PRelu", 1, |node| binary(node, PRELU)),
    row("Max", 1, |node| many(node, MAX, false)),
    row("Min", 1, |node| many(node, MIN, false)),
    row("Sum", 1, |node| many(node, ADD, false)),
    row("Mean", 1, |node| many(node, ADD, true)),
    row("BitShift", 11, bit_shift),
    row("BitwiseAnd", 18, |node| bitwise(node, |a, b| a & b)),
    row("BitwiseOr", 18, |node| bitwise(node, |a, b| a | b)),
    row("BitwiseXor", 18, |node| bitwise(node, |a, b| a ^ b)),
    row("BitwiseNot", 18, bitwise_not),
];

/// A function of two numbers of one kind, for each kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    single: fn(f32, f32) -> f32,
    double: fn(f64, f64) -> f64,
    int: fn(i64, i64) -> i64,
    unsigned: fn(u64, u64) -> u64,
    /// Whether the second integer must not be 0.
    divides: bool,
}

const ADD: Kernel = Kernel {
    single: |a, b| a + b,
    double: |a, b| a + b,
    int: i64::wrapping_add,
    unsigned: u64::wrapping_add,
    divides: false,
};
const SUB: Kernel = Kernel {
    single: |a, b| a - b,
    double: |a, b| a - b,
    int: i64::wrapping_sub,
    unsigned: u64::wrapping_sub,
    divides: false,
};
const MUL: Kernel = Kernel {
    single: |a, b| a * b,
    double: |a, b| a * b,
    int: i64::wrapping_mul,
    unsigned: u64::wrapping_mul,
    divides: false,
};
const DIV: Kernel = Kernel {
    single: |a, b| a / b,
    double: |a, b| a / b,
    int: i64::wrapping_div,
    unsigned: u64::wrapping_div,
    divides: true,
};
/// As numpy's: NaN wins.
const MAX: Kernel = Kernel {
    single: |a, b| if a.is_nan() || a > b { a } else { b },
    double: |a, b| if a.is_nan() || a > b { a } else { b },
    int: i64::max,
    unsigned: u64::max,
    divides: false,
};
const MIN: Kernel = Kernel {
    single: |a, b| if a.is_nan() || a < b { a } else { b },
    double: |a, b| if a.is_nan() || a < b { a } else { b },
    int: i64::min,
    unsigned: u64::min,
    divides: false,
};
const PRELU: Kernel = Kernel {
    single: |x, slope| if x < 0.0 { x * slope } else { x },
    double: |x, slope| if x < 0.0 { x * slope } else { x },
    int: |x, slope| if x < 0 { x.wrapping_mul(slope) } else { x },
    unsigned: |x, _| x,
    divides: false,
};
/// C's `fmod`: the sign is that of the dividend.
const FMOD: Kernel = Kernel {
    single: |a, b| a % b,
    double: |a, b| a % b,
    int: i64::wrapping_rem,
    unsigned: u64::wrapping_rem,
    divides: true,
};
/// Python's `%`: the sign is that of the divisor.
const MODULO: Kernel = Kernel {
    #[allow(clippy::cast_possible_truncation, reason = "a rest of floats is a float")]
    single: |a, b| floor_mod(a.into(), b.into()) as f32,
    double: floor_mod,
    int: |a, b| {
        let rest = a.wrapping_rem(b);
        if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
    },
    unsigned: u64::wrapping_rem,
    divides: true,
};

/// Python's `%` of floats.
fn floor_mod(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest == 0.0 {
        0.0f64.copysign(b)
    } else if (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    }
}

/// Two lists of elements, each as one of `dims`, combined.
pub(super) fn zip<A: Copy, B: Copy, C>(
    (a, a_dims): (&[A], &[usize]),
    (b, b_dims): (&[B], &[usize]),
    dims: &[usize],
    f: impl Fn(A, B) -> C,
) -> Vec<C> {
    if a_dims == b_dims {
        return a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect();
    }
    let total: usize = dims.iter().product();
    if let ([b], true) = (b, a.len() == total) {
        return a.iter().map(|&a| f(a, *b)).collect();
    }
    if let ([a], true) = (a, b.len() == total) {
        return b.iter().map(|&b| f(*a, b)).collect();
    }
    // A row that is added to each row.
    if a.len() == total && !b.is_empty() && dims.ends_with(b_dims) {
        return a.chunks_exact(b.len()).flat_map(|row| row.iter().zip(b).map(|(&a, &b)| f(a, b))).collect();
    }
    let spread = |own: &[usize]| View::broadcast(own, dims);
    let a = spread(a_dims).map_or(Vec::new(), |view| view.copied(a));
    let b = spread(b_dims).map_or(Vec::new(), |view| view.copied(b));
    a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect()
}

fn combined(a: &Tensor, b: &Tensor, kernel: Kernel) -> Result<Tensor, String> {
    if a.dtype() != b.dtype() {
        return Err(format!("inputs are of {} and {}; expected one dtype", a.dtype(), b.dtype()));
    }
    let dims = broadcast_dims([&**a.shape(), &**b.shape()])?;
    shape(dims.iter().copied())?;
    let (a_dims, b_dims) = (a.shape(), b.shape());
    let wides = match (wide(a.elements())?, wide(b.elements())?) {
        (Wide::F32(a), Wide::F32(b)) => {
            Wide::F32(zip((&a, a_dims), (&b, b_dims), &dims, kernel.single).into())
        }
        (Wide::F64(a), Wide::F64(b)) => {
            Wide::F64(zip((&a, a_dims), (&b, b_dims), &dims, kernel.double).into())
        }
        (Wide::I64(_), Wide::I64(b)) if kernel.divides && b.contains(&0) => return Err(DIVIDED.to_owned()),
        (Wide::U64(_), Wide::U64(b)) if kernel.divides && b.contains(&0) => return Err(DIVIDED.to_owned()),
        (Wide::I64(a), Wide::I64(b)) => Wide::I64(zip((&a, a_dims), (&b, b_dims), &dims, kernel.int).into()),
        (Wide::U64(a), Wide::U64(b)) => {
            Wide::U64(zip((&a, a_dims), (&b, b_dims), &dims, kernel.unsigned).into())
        }
        _ => return Err("inputs are of different kinds".to_owned()),
    };
    made(dims, narrow(wides, a.dtype())?)
}

const DIVIDED: &str = "an integer is divided by 0";

fn binary(node: &mut Node<'_>, kernel: Kernel) -> Built {
    let axis = old_axis(node)?;
    op(move |mut inputs| {
        let a = inputs.take(0)?;
        let b = with_axis(inputs.tensor(1)?, &a, axis)?;
        match in_place(a, &b, kernel) {
            Ok(sum) => one(sum),
            Err(a) => one(combined(&a, &b, kernel)?),
        }
    })
}

/// Where the second tensor keeps the first one's shape, and both are of `f32`: the
/// usual case, computed without another allocation. Otherwise the first tensor again.
fn in_place(a: Tensor, b: &Tensor, kernel: Kernel) -> Result<Tensor, Tensor> {
    let fits =
        a.shape().ends_with(b.shape()) || b.elements().len() == 1 && b.shape().rank() <= a.shape().rank();
    let (Elements::F32(_), Elements::F32(other), true) = (a.elements(), b.elements(), fits) else {
        return Err(a);
    };
    if other.is_empty() {
        return Err(a);
    }
    let dims = a.shape().clone();
    let Elements::F32(values) = a.into_elements() else { unreachable!("looked at above") };
    let mut values = values.into_vec();
    for row in values.chunks_exact_mut(other.len()) {
        row.iter_mut().zip(other.iter()).for_each(|(a, b)| *a = (kernel.single)(*a, *b));
    }
    Ok(Tensor::new(dims, values.into()).expect("as many elements as before"))
}

/// `axis` of opsets below 7, which broadcast only where told to.
fn old_axis(node: &Node<'_>) -> Result<Option<i64>, String> {
    node.attributes.ignore(&["consumed_inputs"]);
    if node.opset >= 7 {
        return Ok(None);
    }
    let axis = node.attributes.int("axis")?;
    node.attributes.ignore(&["broadcast"]);
    Ok(axis)
}

/// The second tensor with dimensions of 1 behind it, so that it starts at `axis` of the first.
fn with_axis<'a>(b: &'a Tensor, a: &Tensor, axis: Option<i64>) -> Result<Cow<'a, Tensor>, String> {
    let Some(axis) = axis else { return Ok(Cow::Borrowed(b)) };
    let axis = super::super::op::axis(axis, a.shape().rank())?;
    let behind = (a.shape().rank() - axis).saturating_sub(b.shape().rank());
    let dims = b.shape().iter().copied().chain(std::iter::repeat_n(1, behind));
    made(dims, b.elements().clone()).map(Cow::Owned)
}

fn modulo(node: &mut Node<'_>) -> Built {
    if node.attributes.flag("fmod", false)? { binary(node, FMOD) } else { binary(node, MODULO) }
}

fn many(node: &mut Node<'_>, kernel: Kernel, is_mean: bool) -> Built {
    node.attributes.ignore(&["consumed_inputs"]);
    op(move |mut inputs| {
        let count = inputs.len();
        let mut sum = inputs.take(0)?;
        for at in 1..count {
            sum = combined(&sum, inputs.tensor(at)?, kernel)?;
        }
        if is_mean {
            let count = cast(&made([], vec![count as f64])?, sum.dtype())?;
            sum = combined(&sum, &count, DIV)?;
        }
        one(sum)
    })
}

/// The exponent may be of another dtype; the result is of the base's.
fn power(node: &mut Node<'_>) -> Built {
    let axis = old_axis(node)?;
    op(move |inputs| {
        let a = inputs.tensor(0)?;
        let b = with_axis(inputs.tensor(1)?, a, axis)?;
        let kernel = Kernel {
            single: |a, b| if b == 2.0 { a * a } else { a.powf(b) },
            double: f64::powf,
            int: |a, b| match u32::try_from(b) {
                Ok(b) => a.wrapping_pow(b),
                // What is less than 1 is cut to 0.
                Err(_) => match a {
                    1 => 1,
                    -1 => 1 - 2 * (b & 1),
                    _ => 0,
                },
            },
            unsigned: |a, b| a.wrapping_pow(u32::try_from(b).unwrap_or(u32::MAX)),
            divides: false,
        };
        if a.dtype() == b.dtype() {
            return one(combined(a, &b, kernel)?);
        }
        let is_float = |tensor: &Tensor| {
            matches!(tensor.dtype(), DType::Float | DType::Double | DType::Half | DType::BFloat16)
        };
        if is_float(&b) && !is_float(a) {
            let power = combined(&cast(a, DType::Double)?, &cast(&b, DType::Double)?, kernel)?;
            return one(cast(&power, a.dtype())?);
        }
        one(combined(a, &cast(&b, a.dtype())?, kernel)?)
    })
}

fn bit_shift(node: &mut Node<'_>) -> Built {
    let is_left = match node.required("direction", node.attributes.text("direction"))? {
        "LEFT" => true,
        "RIGHT" => false,
        other => return Err(format!("direction {other:?} is none that is known")),
    };
    // Signed numbers keep their sign when they go to the right; a shift below 0 is one
    // past the width.
    let signed = move |a: i64, b: i64| {
        let by = u32::try_from(b).unwrap_or(u32::MAX);
        if is_left { a.checked_shl(by).unwrap_or(0) } else { a >> by.min(63) }
    };
    let unsigned = move |a: u64, b: u64| {
        let by = u32::try_from(b).unwrap_or(u32::MAX);
        if is_left { a.checked_shl(by) } else { a.checked_shr(by) }.unwrap_or(0)
    };
    op(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let dims = broadcast_dims([&**a.shape(), &**b.shape()])?;
        shape(dims.iter().copied())?;
        let shifted = match (wide(a.elements())?, wide(b.elements())?) {
            (Wide::I64(x), Wide::I64(y)) => {
                Wide::I64(zip((&x, a.shape()), (&y, b.shape()), &dims, signed).into())
            }
            (Wide::U64(x), Wide::U64(y)) => {
                Wide::U64(zip((&x, a.shape()), (&y, b.shape()), &dims, unsigned).into())
            }
            _ => return Err("inputs are not integers of one kind".to_owned()),
        };
        one(made(dims, narrow(shifted, a.dtype())?)?)
    })
}

fn bitwise(_: &mut Node<'_>, f: fn(u64, u64) -> u64) -> Built {
    op(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let dims = broadcast_dims([&**a.shape(), &**b.shape()])?;
        shape(dims.iter().copied())?;
        let bits = match (wide(a.elements())?, wide(b.elements())?) {
            (Wide::I64(x), Wide::I64(y)) => {
                let one = |a: i64, b: i64| f(a.cast_unsigned(), b.cast_unsigned()).cast_signed();
                Wide::I64(zip((&x, a.shape()), (&y, b.shape()), &dims, one).into())
            }
            (Wide::U64(x), Wide::U64(y)) => Wide::U64(zip((&x, a.shape()), (&y, b.shape()), &dims, f).into()),
            _ => return Err("inputs are not integers of one kind".to_owned()),
        };
        one(made(dims, narrow(bits, a.dtype())?)?)
    })
}

fn bitwise_not(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let x = inputs.tensor(0)?;
        let bits = match wide(x.elements())? {
            Wide::I64(x) => Wide::I64(x.iter().map(|x| !x).collect()),
            Wide::U64(x) => Wide::U64(x.iter().map(|x| !x).collect()),
            _ => return Err(format!("input 0 is of {}; expected integers", x.dtype())),
        };
        one(made(x.shape().iter().copied(), narrow(bits, x.dtype())?)?)
    })
}
