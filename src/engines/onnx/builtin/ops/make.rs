//! Tensors made of little: `Range`, `ConstantOfShape`, `EyeLike`, `Dropout`.

use super::super::elements::{pick, zeros_like};
use super::super::numbers::{Wide, narrow, wide};
use super::super::op::{Built, Node, ints, made, many, one, op, shape, size};
use super::super::registry::{Row, row};
use super::cast::cast;
use crate::formats::onnx::dtype;
use crate::limits;
use crate::proto::onnx::tensor_proto::DataType;
use crate::tensor::{DType, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("ConstantOfShape", 9, constant_of_shape),
    row("Dropout", 1, dropout),
    row("EyeLike", 9, eye_like),
    row("Range", 11, range),
];

fn constant_of_shape(node: &mut Node<'_>) -> Built {
    let value = node.attributes.tensor("value")?;
    let value = match value {
        Some(value) if value.elements().len() == 1 => value,
        Some(_) => return Err("value does not have one element".to_owned()),
        None => made([1], vec![0f32])?,
    };
    op(move |inputs| {
        let dims = ints(inputs.tensor(0)?)?;
        let dims = dims.iter().map(|&dim| size(dim, "a dimension")).collect::<Result<Vec<_>, _>>()?;
        let whole = shape(dims)?;
        let elements = pick(value.elements(), std::iter::repeat_n(Some(0), whole.elements()));
        one(made(whole.iter().copied(), elements)?)
    })
}

/// What a dtype attribute says, or else the tensor's own.
fn eye_like(node: &mut Node<'_>) -> Built {
    let shift = node.attributes.int("k")?.unwrap_or(0);
    let to = node.attributes.int("dtype")?;
    let to = match to {
        None => None,
        Some(number) => {
            let kind = i32::try_from(number).ok().and_then(|number| DataType::try_from(number).ok());
            Some(kind.and_then(dtype).ok_or_else(|| format!("element type {number} is not served"))?)
        }
    };
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let [rows, columns] = **x.shape() else {
            return Err(format!("input 0 has shape {}; expected a matrix", x.shape()));
        };
        let is_one = |at: usize| {
            let (row, column) = ((at / columns).cast_signed() as i64, (at % columns).cast_signed() as i64);
            i64::from(column.saturating_sub(row) == shift)
        };
        let eye = made([rows, columns], (0..rows * columns).map(is_one).collect::<Vec<i64>>())?;
        one(cast(&eye, to.unwrap_or(x.dtype()))?)
    })
}

/// In inference everything stays.
fn dropout(node: &mut Node<'_>) -> Built {
    node.attributes.ignore(&["ratio", "seed", "is_test", "consumed_inputs"]);
    let is_new = node.opset >= 12;
    let wants_mask = node.has_output(1);
    op(move |mut inputs| {
        if is_new
            && inputs
                .optional(2)?
                .is_some_and(|mode| super::compare::truths(mode).is_ok_and(|mode| mode == [1]))
        {
            let ratio = inputs
                .optional(1)?
                .map(|ratio| super::super::numbers::doubles(ratio.elements()).map(|r| r.first().copied()));
            let ratio = ratio.transpose()?.flatten().unwrap_or(0.5);
            if ratio != 0.0 {
                return Err("it is in training mode; models are served in inference".to_owned());
            }
        }
        let x = inputs.take(0)?;
        if !wants_mask {
            return one(x);
        }
        let mask = made(x.shape().iter().copied(), vec![true; x.elements().len()])?;
        let mask = if is_new || x.dtype() == DType::Bool { mask } else { cast(&mask, DType::Bool)? };
        many([x, mask])
    })
}

fn range(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let (start, limit, delta) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
        let single = |x: &Tensor| x.elements().len() == 1 && x.dtype() == start.dtype();
        if !single(start) || !single(limit) || !single(delta) {
            return Err("expected three single numbers of one dtype".to_owned());
        }
        let many_of = |count: f64| -> Result<usize, String> {
            #[allow(clippy::cast_precision_loss, reason = "a bound")]
            if count.is_nan() || count > limits::ONNX_ELEMENTS_MAX as f64 {
                return Err(format!(
                    "a range of {count} numbers is too long; at most {} are made",
                    limits::ONNX_ELEMENTS_MAX
                ));
            }
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded, and cut at 0"
            )]
            Ok(count.max(0.0) as usize)
        };
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "numbers of a range")]
        let values = match (wide(start.elements())?, wide(limit.elements())?, wide(delta.elements())?) {
            (Wide::F32(s), Wide::F32(l), Wide::F32(d)) => {
                let count = many_of(((f64::from(l[0]) - f64::from(s[0])) / f64::from(d[0])).ceil())?;
                Wide::F32((0..count).map(|at| s[0] + at as f32 * d[0]).collect())
            }
            (Wide::F64(s), Wide::F64(l), Wide::F64(d)) => {
                let count = many_of(((l[0] - s[0]) / d[0]).ceil())?;
                Wide::F64((0..count).map(|at| s[0] + at as f64 * d[0]).collect())
            }
            (Wide::I64(s), Wide::I64(l), Wide::I64(d)) => {
                if d[0] == 0 {
                    return Err("the step is 0".to_owned());
                }
                let count = many_of(((l[0] as f64 - s[0] as f64) / d[0] as f64).ceil())?;
                Wide::I64((0i64..).take(count).map(|at| s[0].wrapping_add(at.wrapping_mul(d[0]))).collect())
            }
            _ => return Err(format!("a range of {} is not served", start.dtype())),
        };
        let elements = narrow(values, start.dtype())?;
        if elements.is_empty() {
            return one(Tensor::vector(zeros_like(start.elements(), 0)));
        }
        one(Tensor::vector(elements))
    })
}
