//! Comparisons, logic, and choosing by them.

use super::super::elements::{View, broadcast_dims, pick};
use super::super::numbers::{Wide, wide};
use super::super::op::{Built, Node, made, one, op, shape};
use super::super::registry::{Row, row};
use super::arithmetic::zip;
use crate::tensor::{Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("Equal", 7, equal),
    row("Less", 7, |node| ordered(node, |order| order == Some(Less))),
    row("LessOrEqual", 12, |node| ordered(node, |order| matches!(order, Some(Less | Equal)))),
    row("Greater", 7, |node| ordered(node, |order| order == Some(Greater))),
    row("GreaterOrEqual", 12, |node| ordered(node, |order| matches!(order, Some(Greater | Equal)))),
    row("And", 7, |node| logic(node, |a, b| a & b)),
    row("Or", 7, |node| logic(node, |a, b| a | b)),
    row("Xor", 7, |node| logic(node, |a, b| a ^ b)),
    row("Not", 1, not),
    row("Where", 9, choose),
    row("IsNaN", 9, is_nan),
    row("IsInf", 10, is_inf),
];

use std::cmp::Ordering::{Equal, Greater, Less};

fn dims_of(a: &Tensor, b: &Tensor) -> Result<Vec<usize>, String> {
    if a.dtype() != b.dtype() {
        return Err(format!("inputs are of {} and {}; expected one dtype", a.dtype(), b.dtype()));
    }
    let dims = broadcast_dims([&**a.shape(), &**b.shape()])?;
    shape(dims.iter().copied())?;
    Ok(dims.into_vec())
}

fn equal(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let dims = dims_of(a, b)?;
        let (a_dims, b_dims) = (a.shape(), b.shape());
        let same: Vec<bool> = match (a.elements(), b.elements()) {
            (Elements::Bool(x), Elements::Bool(y)) => zip((x, a_dims), (y, b_dims), &dims, |a, b| a == b),
            (Elements::Strings(x), Elements::Strings(y)) => {
                let spread = |texts: &[bytes::Bytes], own: &[usize]| {
                    View::broadcast(own, &dims).map_or(Vec::new(), |view| view.copied(texts))
                };
                spread(x, a_dims).iter().zip(spread(y, b_dims)).map(|(a, b)| *a == b).collect()
            }
            (x, y) => match (wide(x)?, wide(y)?) {
                (Wide::F32(x), Wide::F32(y)) => zip((&x, a_dims), (&y, b_dims), &dims, |a, b| a == b),
                (Wide::F64(x), Wide::F64(y)) => zip((&x, a_dims), (&y, b_dims), &dims, |a, b| a == b),
                (Wide::I64(x), Wide::I64(y)) => zip((&x, a_dims), (&y, b_dims), &dims, |a, b| a == b),
                (Wide::U64(x), Wide::U64(y)) => zip((&x, a_dims), (&y, b_dims), &dims, |a, b| a == b),
                _ => return Err("inputs are of different kinds".to_owned()),
            },
        };
        one(made(dims, same)?)
    })
}

fn ordered(_: &mut Node<'_>, holds: fn(Option<std::cmp::Ordering>) -> bool) -> Built {
    op(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let dims = dims_of(a, b)?;
        let (a_dims, b_dims) = (a.shape(), b.shape());
        let truth: Vec<bool> = match (wide(a.elements())?, wide(b.elements())?) {
            (Wide::F32(x), Wide::F32(y)) => {
                zip((&x, a_dims), (&y, b_dims), &dims, |a, b| holds(a.partial_cmp(&b)))
            }
            (Wide::F64(x), Wide::F64(y)) => {
                zip((&x, a_dims), (&y, b_dims), &dims, |a, b| holds(a.partial_cmp(&b)))
            }
            (Wide::I64(x), Wide::I64(y)) => {
                zip((&x, a_dims), (&y, b_dims), &dims, |a, b| holds(Some(a.cmp(&b))))
            }
            (Wide::U64(x), Wide::U64(y)) => {
                zip((&x, a_dims), (&y, b_dims), &dims, |a, b| holds(Some(a.cmp(&b))))
            }
            _ => return Err("inputs are of different kinds".to_owned()),
        };
        one(made(dims, truth)?)
    })
}

/// The truth values of a tensor, a byte each.
pub(in crate::engines::onnx) fn truths(tensor: &Tensor) -> Result<&[u8], String> {
    match tensor.elements() {
        Elements::Bool(values) => Ok(values),
        other => Err(format!("elements of {}; expected bool", other.dtype())),
    }
}

fn logic(_: &mut Node<'_>, f: fn(u8, u8) -> u8) -> Built {
    op(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let dims = dims_of(a, b)?;
        let values = zip((truths(a)?, a.shape()), (truths(b)?, b.shape()), &dims, f);
        one(made(dims, Elements::Bool(values.into()))?)
    })
}

fn not(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let x = inputs.tensor(0)?;
        let values: Vec<bool> = truths(x)?.iter().map(|&x| x == 0).collect();
        one(made(x.shape().iter().copied(), values)?)
    })
}

fn choose(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let (asked, yes, no) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
        if yes.dtype() != no.dtype() {
            return Err(format!("inputs are of {} and {}; expected one dtype", yes.dtype(), no.dtype()));
        }
        let dims = broadcast_dims([&**asked.shape(), &**yes.shape(), &**no.shape()])?;
        shape(dims.iter().copied())?;
        let spread = |own: &[usize]| View::broadcast(own, &dims).ok_or("shapes do not fit each other");
        let asked = spread(asked.shape())?.copied(truths(asked)?);
        // Both choices behind each other, so that one pick takes from either.
        let count = yes.elements().len();
        let places = |own: &[usize], from: usize| -> Result<Vec<usize>, String> {
            let all: Vec<usize> = (from..from + own.iter().product::<usize>()).collect();
            Ok(spread(own)?.copied(&all))
        };
        let (from_yes, from_no) = (places(yes.shape(), 0)?, places(no.shape(), count)?);
        let both = [Tensor::vector(yes.elements().clone()), Tensor::vector(no.elements().clone())];
        let both = crate::tensor::concat_rows(&both).map_err(|error| error.to_string())?;
        let places = asked.iter().zip(from_yes.into_iter().zip(from_no));
        let chosen =
            pick(both.elements(), places.map(|(&asked, (yes, no))| Some(if asked != 0 { yes } else { no })));
        one(made(dims, chosen)?)
    })
}

fn is_nan(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let x = inputs.tensor(0)?;
        let truth: Vec<bool> = match wide(x.elements())? {
            Wide::F32(x) => x.iter().map(|x| x.is_nan()).collect(),
            Wide::F64(x) => x.iter().map(|x| x.is_nan()).collect(),
            _ => return Err(format!("input 0 is of {}; expected floats", x.dtype())),
        };
        one(made(x.shape().iter().copied(), truth)?)
    })
}

fn is_inf(node: &mut Node<'_>) -> Built {
    let positive = node.attributes.flag("detect_positive", true)?;
    let negative = node.attributes.flag("detect_negative", true)?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let is = |x: f64| x.is_infinite() && if x > 0.0 { positive } else { negative };
        let truth: Vec<bool> = match wide(x.elements())? {
            Wide::F32(x) => x.iter().map(|&x| is(x.into())).collect(),
            Wide::F64(x) => x.iter().map(|&x| is(x)).collect(),
            _ => return Err(format!("input 0 is of {}; expected floats", x.dtype())),
        };
        one(made(x.shape().iter().copied(), truth)?)
    })
}
