//! Whole numbers that stand for real ones: `real = (whole - zero point) · scale`.

use std::borrow::Cow;

use half::f16;

use super::super::numbers::doubles;
use super::super::op::{Built, Node, axis, many, one, op, shape};
use super::super::registry::{Row, row};
use super::reals::{Matrix, Real as _, multiply, only, tensor};
use crate::formats::onnx::dtype;
use crate::proto::onnx::tensor_proto::DataType;
use crate::tensor::{DType, Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("DequantizeLinear", 10, dequantize),
    row("DynamicQuantizeLinear", 11, dynamic),
    row("MatMulInteger", 10, matmul_integer),
    row("QLinearMatMul", 10, q_linear_matmul),
    row("QuantizeLinear", 10, quantize),
];

/// The least and the greatest whole number of a dtype.
fn range(dtype: DType) -> Result<(f64, f64), String> {
    Ok(match dtype {
        DType::Int8 => (f64::from(i8::MIN), f64::from(i8::MAX)),
        DType::UInt8 => (0.0, f64::from(u8::MAX)),
        DType::Int16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
        DType::UInt16 => (0.0, f64::from(u16::MAX)),
        DType::Int32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        other => return Err(format!("quantised to {other}; expected integers of 8, 16 or 32 bits")),
    })
}

/// One number, or one for each of `many` channels.
pub(super) fn per_channel(tensor: &Tensor, many: usize) -> Result<Vec<f64>, String> {
    let values = doubles(tensor.elements())?;
    match values.len() {
        1 => Ok(vec![values[0]; many]),
        len if len == many => Ok(values.into_owned()),
        len => Err(format!("{len} scales; expected one, or one for each of {many} channels")),
    }
}

/// Real numbers as whole ones of the zero point's dtype.
pub(super) fn requantised(
    dims: Vec<usize>,
    mut values: Vec<f64>,
    scale: &Tensor,
    zero: &Tensor,
) -> Result<Tensor, String> {
    let ((least, most), scale) = (range(zero.dtype())?, only(scale, "the scale of y")?);
    let zero_point = only(zero, "the zero point of y")?;
    values.iter_mut().for_each(|x| *x = ((*x / scale).round_ties_even() + zero_point).clamp(least, most));
    tensor::<f64>(dims, values, zero.dtype())
}

/// How scales and zero points lie along a tensor.
#[derive(Debug, Clone, Copy)]
struct Layout {
    axis: i64,
    /// Elements along the axis that share a scale; 0 when there is one for each.
    block: usize,
}

impl Layout {
    fn read(node: &Node<'_>) -> Result<Self, String> {
        let block = node.attributes.int("block_size")?.unwrap_or(0);
        let block = usize::try_from(block).map_err(|_| "block_size is below 0")?;
        Ok(Self { axis: node.attributes.int("axis")?.unwrap_or(1), block })
    }

    /// The number in `given` that each element of `x` has.
    fn spread(self, given: &Tensor, x: &Tensor) -> Result<Vec<f64>, String> {
        let (values, dims) = (doubles(given.elements())?, x.shape());
        if values.len() == 1 && self.block == 0 {
            return Ok(vec![values[0]; x.elements().len()]);
        }
        let along = axis(self.axis, dims.rank())?;
        let step: usize = dims[along + 1..].iter().product();
        let misfit = || format!("scales or zero points of shape {} do not fit {dims}", given.shape());
        let (own, block) = match self.block {
            0 if values.len() == dims[along] => (None, 1),
            0 => return Err(misfit()),
            block => (Some(given.shape()), block),
        };
        let Some(own) = own else {
            return Ok((0..x.elements().len()).map(|at| values[at / step % dims[along]]).collect());
        };
        let fits = own.rank() == dims.rank()
            && (0..own.rank())
                .all(|at| own[at] == if at == along { dims[at].div_ceil(block) } else { dims[at] });
        if !fits {
            return Err(misfit());
        }
        let place = |at: usize| {
            let (outer, within, inner) = (at / (step * dims[along]), at / step % dims[along], at % step);
            values[(outer * own[along] + within / block) * step + inner]
        };
        Ok((0..x.elements().len()).map(place).collect())
    }
}

/// The dtype that an attribute names by its number in ONNX.
pub(super) fn named(node: &Node<'_>, name: &str) -> Result<Option<DType>, String> {
    let Some(number) = node.attributes.int(name)?.filter(|&number| number != 0) else { return Ok(None) };
    let kind = i32::try_from(number).ok().and_then(|number| DataType::try_from(number).ok());
    let kind = kind.ok_or_else(|| format!("{name} is {number}, which is no element type"))?;
    dtype(kind).map(Some).ok_or_else(|| format!("{name} is {}, which is not served", kind.as_str_name()))
}

fn quantize(node: &mut Node<'_>) -> Built {
    let layout = Layout::read(node)?;
    let stated = named(node, "output_dtype")?;
    // Only of use for 8-bit floats, which are not served.
    node.attributes.ignore(&["saturate"]);
    let precision = named(node, "precision")?;
    op(move |inputs| {
        let (x, scale, zero) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.optional(2)?);
        let to = zero.map(Tensor::dtype).or(stated).unwrap_or(DType::UInt8);
        let (least, most) = range(to)?;
        let scales = layout.spread(scale, x)?;
        let zeros = zero.map(|zero| layout.spread(zero, x)).transpose()?;
        // The quotient is rounded in the precision that the division has, and then to a whole number.
        let in_single = precision.unwrap_or(scale.dtype()) != DType::Double && x.dtype() != DType::Double;
        let in_half = precision.unwrap_or(scale.dtype()) == DType::Half && x.dtype() == DType::Half;
        let values = doubles(x.elements())?;
        let whole = |(at, (x, scale)): (usize, (&f64, &f64))| {
            let quotient = x / scale;
            #[allow(clippy::cast_possible_truncation, reason = "rounded to single precision")]
            let quotient = if in_half {
                f16::from_f64(quotient).to_f64()
            } else if in_single {
                f64::from(quotient as f32)
            } else {
                quotient
            };
            let zero = zeros.as_ref().map_or(0.0, |zeros| zeros[at]);
            (quotient.round_ties_even() + zero).clamp(least, most)
        };
        let values = values.iter().zip(&scales).enumerate().map(whole).collect();
        one(tensor::<f64>(x.shape().iter().copied(), values, to)?)
    })
}

fn dequantize(node: &mut Node<'_>) -> Built {
    let layout = Layout::read(node)?;
    let stated = named(node, "output_dtype")?;
    op(move |inputs| {
        let (x, scale, zero) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.optional(2)?);
        let scales = layout.spread(scale, x)?;
        let zeros = zero.map(|zero| layout.spread(zero, x)).transpose()?;
        let values = doubles(x.elements())?;
        let real = |(at, (x, scale)): (usize, (&f64, &f64))| {
            (x - zeros.as_ref().map_or(0.0, |zeros| zeros[at])) * scale
        };
        let values = values.iter().zip(&scales).enumerate().map(real).collect();
        one(tensor::<f64>(x.shape().iter().copied(), values, stated.unwrap_or(scale.dtype()))?)
    })
}

fn dynamic(_: &mut Node<'_>) -> Built {
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let Elements::F32(values) = x.elements() else {
            return Err(format!("elements of {}; expected float", x.dtype()));
        };
        let least = values.iter().fold(0.0f32, |least, &x| least.min(x));
        let most = values.iter().fold(0.0f32, |most, &x| most.max(x));
        let scale = if most > least { (most - least) / 255.0 } else { 1.0 };
        let zero = (-least / scale).round_ties_even().clamp(0.0, 255.0);
        let whole: Vec<f32> =
            values.iter().map(|x| ((x / scale).round_ties_even() + zero).clamp(0.0, 255.0)).collect();
        many([
            tensor(x.shape().iter().copied(), whole, DType::UInt8)?,
            tensor([], vec![scale], DType::Float)?,
            tensor([], vec![zero], DType::UInt8)?,
        ])
    })
}

/// Which dimension zero points and scales of a matrix are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Rows,
    Columns,
}

/// One number for all, or one for each row or column, in the elements' places.
fn spread_matrix(given: &Tensor, x: &Tensor, of: Of) -> Result<Vec<f64>, String> {
    let values = doubles(given.elements())?;
    let dims = x.shape();
    let rank = dims.rank();
    let (rows, columns) =
        (if rank > 1 { dims[rank - 2] } else { 1 }, if rank > 0 { dims[rank - 1] } else { 1 });
    let (length, total) = (if of == Of::Rows { rows } else { columns }, x.elements().len());
    let stacks = total.checked_div(rows * columns).unwrap_or(0);
    match values.len() {
        1 => Ok(vec![values[0]; total]),
        // One for each, the same in every matrix of a stack or each its own.
        len if len == length || len == length * stacks => Ok((0..total)
            .map(|at| {
                let (stack, row, column) = (at / (rows * columns), at / columns % rows, at % columns);
                let place = if of == Of::Rows { row } else { column };
                values[if len == length { place } else { stack * length + place }]
            })
            .collect()),
        len => Err(format!("{len} scales or zero points; expected one, or one for each of {length}")),
    }
}

/// A tensor less its zero points.
fn centred<'t>(x: &'t Tensor, zero: Option<&Tensor>, of: Of) -> Result<Cow<'t, [f64]>, String> {
    let values = doubles(x.elements())?;
    let Some(zero) = zero else { return Ok(values) };
    let zeros = spread_matrix(zero, x, of)?;
    Ok(values.iter().zip(&zeros).map(|(value, zero)| value - zero).collect())
}

/// numpy's `matmul` of doubles: stacks of matrices, whose outer dimensions broadcast.
fn stacked_product(
    a: &[f64],
    a_dims: &[usize],
    b: &[f64],
    b_dims: &[usize],
) -> Result<(Vec<usize>, Vec<f64>), String> {
    let misfit = || format!("shapes {a_dims:?} and {b_dims:?} cannot be multiplied");
    let whole = |dims: &[usize], row: bool| match dims {
        [] => None,
        [one] if row => Some(vec![1, *one]),
        [one] => Some(vec![*one, 1]),
        dims => Some(dims.to_vec()),
    };
    let (a_whole, b_whole) =
        (whole(a_dims, true).ok_or_else(misfit)?, whole(b_dims, false).ok_or_else(misfit)?);
    let (a_stack, a_matrix) = a_whole.split_at(a_whole.len() - 2);
    let (b_stack, b_matrix) = b_whole.split_at(b_whole.len() - 2);
    let (rows, inner, columns) = (a_matrix[0], a_matrix[1], b_matrix[1]);
    if b_matrix[0] != inner {
        return Err(misfit());
    }
    let stack = super::super::elements::broadcast_dims([a_stack, b_stack])?;
    let places = |own: &[usize]| {
        let numbers: Vec<usize> = (0..own.iter().product()).collect();
        super::super::elements::View::broadcast(own, &stack).map(|view| view.copied(&numbers))
    };
    let (a_places, b_places) = (places(a_stack).ok_or_else(misfit)?, places(b_stack).ok_or_else(misfit)?);
    let mut dims: Vec<usize> = stack.to_vec();
    dims.extend(
        [(a_dims.len() > 1).then_some(rows), (b_dims.len() > 1).then_some(columns)].into_iter().flatten(),
    );
    let mut values = vec![0.0; shape(stack.iter().copied().chain([rows, columns]))?.elements()];
    let (one_a, one_b, one) = (rows * inner, inner * columns, rows * columns);
    if one > 0 && inner > 0 {
        for ((&at, &bt), into) in a_places.iter().zip(&b_places).zip(values.chunks_exact_mut(one)) {
            let a = Matrix::new(&a[at * one_a..][..one_a], rows, inner);
            multiply(a, Matrix::new(&b[bt * one_b..][..one_b], inner, columns), 0.0, into, columns, 0);
        }
    }
    Ok((dims, values))
}

fn matmul_integer(_: &mut Node<'_>) -> Built {
    op(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let left = centred(a, inputs.optional(2)?, Of::Rows)?;
        let right = centred(b, inputs.optional(3)?, Of::Columns)?;
        let (dims, values) = stacked_product(&left, a.shape(), &right, b.shape())?;
        one(tensor::<f64>(dims, values, DType::Int32)?)
    })
}

fn q_linear_matmul(_: &mut Node<'_>) -> Built {
    op(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(3)?);
        let scaled = |x: &Tensor, scale: &Tensor, zero: &Tensor, of| -> Result<Vec<f64>, String> {
            let scales = spread_matrix(scale, x, of)?;
            Ok(centred(x, Some(zero), of)?.iter().zip(&scales).map(|(value, scale)| value * scale).collect())
        };
        let left = scaled(a, inputs.tensor(1)?, inputs.tensor(2)?, Of::Rows)?;
        let right = scaled(b, inputs.tensor(4)?, inputs.tensor(5)?, Of::Columns)?;
        let (dims, values) = stacked_product(&left, a.shape(), &right, b.shape())?;
        let (scale, zero) = (inputs.tensor(6)?, inputs.tensor(7)?);
        if scale.elements().len() == 1 {
            return one(requantised(dims, values, scale, zero)?);
        }
        // One for each row of the result.
        let shaped = tensor::<f64>(dims.iter().copied(), values, DType::Double)?;
        let (scales, zeros) =
            (spread_matrix(scale, &shaped, Of::Rows)?, spread_matrix(zero, &shaped, Of::Rows)?);
        let (least, most) = range(zero.dtype())?;
        let values = f64::of(shaped.elements())?;
        let whole = |(x, (scale, zero)): (&f64, (&f64, &f64))| {
            ((x / scale).round_ties_even() + zero).clamp(least, most)
        };
        let values = values.iter().zip(scales.iter().zip(&zeros)).map(whole).collect();
        one(tensor::<f64>(dims, values, zero.dtype())?)
    })
}
