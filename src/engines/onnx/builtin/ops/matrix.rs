//! Products of matrices: `MatMul`, `Gemm`, `Einsum`, `Det`.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar};

use super::super::elements::{View, broadcast_dims, strides};
use super::super::numbers::{Wide, doubles, narrow, wide};
use super::super::op::{Built, Node, made, one, op, shape};
use super::super::registry::{Row, row};
use super::cast::cast;
use super::einsum::einsum;
use crate::tensor::Tensor;

pub(super) const ROWS: &[Row] =
    &[row("MatMul", 1, mat_mul), row("Gemm", 1, gemm), row("Einsum", 12, einsum), row("Det", 11, det)];

/// `[m, k]` times `[k, n]` into `[m, n]`; either may be given transposed.
fn product<T: LinalgScalar>(
    (a, a_turned): (&[T], bool),
    (b, b_turned): (&[T], bool),
    (m, k, n): (usize, usize, usize),
    out: &mut [T],
    alpha: T,
    beta: T,
) -> Result<(), String> {
    let view = |values, turned: bool, rows, columns| {
        let dims = if turned { (columns, rows) } else { (rows, columns) };
        let view = ArrayView2::from_shape(dims, values).map_err(|error| error.to_string())?;
        Ok::<_, String>(if turned { view.reversed_axes() } else { view })
    };
    let (a, b) = (view(a, a_turned, m, k)?, view(b, b_turned, k, n)?);
    let mut out = ArrayViewMut2::from_shape((m, n), out).map_err(|error| error.to_string())?;
    general_mat_mul(alpha, &a, &b, beta, &mut out);
    Ok(())
}

/// Products of stacks of matrices, as numpy's `matmul`.
pub(in crate::engines::onnx) fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    let (mut a_dims, mut b_dims) = (a.shape().to_vec(), b.shape().to_vec());
    let (a_is_vector, b_is_vector) = (a_dims.len() == 1, b_dims.len() == 1);
    if a_is_vector {
        a_dims.insert(0, 1);
    }
    if b_is_vector {
        b_dims.push(1);
    }
    let ([a_outer @ .., m, k], [b_outer @ .., k_too, n]) = (a_dims.as_slice(), b_dims.as_slice()) else {
        return Err("a scalar is no matrix".to_owned());
    };
    if k != k_too {
        return Err(format!("shapes {} and {} do not fit: {k} against {k_too}", a.shape(), b.shape()));
    }
    let (m, k, n) = (*m, *k, *n);
    let outer = broadcast_dims([a_outer, b_outer])?;
    let mut dims = outer.to_vec();
    if !a_is_vector {
        dims.push(m);
    }
    if !b_is_vector {
        dims.push(n);
    }
    let whole = shape(dims.iter().copied())?;
    // The number of the matrix that stands at each place.
    let numbers = |own: &[usize]| -> Result<Vec<usize>, String> {
        let all: Vec<usize> = (0..own.iter().product()).collect();
        Ok(View::broadcast(own, &outer).ok_or("shapes do not fit each other")?.copied(&all))
    };
    let (from_a, from_b) = (numbers(a_outer)?, numbers(b_outer)?);
    macro_rules! stacked {
        ($a:expr, $b:expr, $zero:expr, $one:expr) => {{
            let mut out = vec![$zero; whole.elements()];
            if m * n > 0 {
                // One matrix for all of a stack: one product.
                if from_b.iter().all(|&at| at == 0) && from_a.len() * m * k == $a.len() {
                    product((&$a, false), (&$b, false), (from_a.len() * m, k, n), &mut out, $one, $zero)?;
                } else {
                    for ((out, &at_a), &at_b) in out.chunks_exact_mut(m * n).zip(&from_a).zip(&from_b) {
                        let (a, b) = (&$a[at_a * m * k..][..m * k], &$b[at_b * k * n..][..k * n]);
                        product((a, false), (b, false), (m, k, n), out, $one, $zero)?;
                    }
                }
            }
            out.into()
        }};
    }
    let values = match (wide(a.elements())?, wide(b.elements())?) {
        (Wide::F32(a), Wide::F32(b)) => Wide::F32(stacked!(a, b, 0f32, 1f32)),
        (Wide::F64(a), Wide::F64(b)) => Wide::F64(stacked!(a, b, 0f64, 1f64)),
        (Wide::I64(a), Wide::I64(b)) => {
            use std::num::Wrapping;
            let wrap = |values: &[i64]| values.iter().copied().map(Wrapping).collect::<Vec<_>>();
            let (a, b) = (wrap(&a), wrap(&b));
            let sums: Vec<Wrapping<i64>> = stacked!(a, b, Wrapping(0i64), Wrapping(1i64));
            Wide::I64(sums.into_iter().map(|sum| sum.0).collect())
        }
        (Wide::U64(a), Wide::U64(b)) => {
            use std::num::Wrapping;
            let wrap = |values: &[u64]| values.iter().copied().map(Wrapping).collect::<Vec<_>>();
            let (a, b) = (wrap(&a), wrap(&b));
            let sums: Vec<Wrapping<u64>> = stacked!(a, b, Wrapping(0u64), Wrapping(1u64));
            Wide::U64(sums.into_iter().map(|sum| sum.0).collect())
        }
        _ => return Err(format!("inputs are of {} and {}; expected one dtype", a.dtype(), b.dtype())),
    };
    made(dims, narrow(values, a.dtype())?)
}

fn mat_mul(_: &mut Node<'_>) -> Built {
    op(|inputs| one(matmul(inputs.tensor(0)?, inputs.tensor(1)?)?))
}

/// `alpha A B + beta C`.
fn gemm(node: &mut Node<'_>) -> Built {
    let alpha = node.attributes.float("alpha")?.unwrap_or(1.0);
    let beta = node.attributes.float("beta")?.unwrap_or(1.0);
    let (turn_a, turn_b) = (node.attributes.flag("transA", false)?, node.attributes.flag("transB", false)?);
    node.attributes.ignore(&["broadcast"]);
    op(move |inputs| {
        let (a, b, c) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.optional(2)?);
        let dims = |x: &Tensor, turned: bool, at: usize| match **x.shape() {
            [rows, columns] => Ok(if turned { (columns, rows) } else { (rows, columns) }),
            _ => Err(format!("input {at} has shape {}; expected a matrix", x.shape())),
        };
        let ((m, k), (k_too, n)) = (dims(a, turn_a, 0)?, dims(b, turn_b, 1)?);
        if k != k_too {
            return Err(format!("shapes {} and {} do not fit: {k} against {k_too}", a.shape(), b.shape()));
        }
        let whole = shape([m, n])?;
        let spread = c.map(|c| View::broadcast(c.shape(), &whole).ok_or("input 2 does not fit the product"));
        let spread = spread.transpose()?;
        macro_rules! computed {
            ($kind:ident, $a:expr, $b:expr, $zero:expr, $alpha:expr, $beta:expr) => {{
                let mut out = match (c, &spread) {
                    (Some(c), Some(view)) => match wide(c.elements())? {
                        Wide::$kind(c) => view.copied(&c),
                        _ => return Err("input 2 is of another dtype".to_owned()),
                    },
                    _ => vec![$zero; m * n],
                };
                if m * n > 0 {
                    product(($a, turn_a), ($b, turn_b), (m, k, n), &mut out, $alpha, $beta)?;
                }
                Wide::$kind(out.into())
            }};
        }
        let values = match (wide(a.elements())?, wide(b.elements())?) {
            (Wide::F32(a), Wide::F32(b)) => computed!(F32, &a, &b, 0f32, alpha, beta),
            (Wide::F64(a), Wide::F64(b)) => computed!(F64, &a, &b, 0f64, f64::from(alpha), f64::from(beta)),
            _ => {
                // Integers, with factors that may be fractions.
                let (a, b) = (doubles(a.elements())?, doubles(b.elements())?);
                let mut out = match (c, &spread) {
                    (Some(c), Some(view)) => view.copied(&doubles(c.elements())?),
                    _ => vec![0.0; m * n],
                };
                product((&a, turn_a), (&b, turn_b), (m, k, n), &mut out, f64::from(alpha), f64::from(beta))?;
                return one(cast(&made([m, n], out)?, inputs.tensor(0)?.dtype())?);
            }
        };
        one(made([m, n], narrow(values, a.dtype())?)?)
    })
}

/// Determinants of a stack of square matrices, by elimination with pivots.
fn det(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let x = inputs.tensor(0)?;
        let [outer @ .., n, n_too] = &**x.shape() else {
            return Err(format!("input 0 has shape {}; expected square matrices", x.shape()));
        };
        let n = *n;
        if n != *n_too || n == 0 {
            return Err(format!("input 0 has shape {}; expected square matrices", x.shape()));
        }
        let values = doubles(x.elements())?;
        let of = |matrix: &[f64]| {
            let mut m = matrix.to_vec();
            let mut det = 1.0;
            for column in 0..n {
                let pivot =
                    (column..n).max_by(|&a, &b| m[a * n + column].abs().total_cmp(&m[b * n + column].abs()));
                let pivot = pivot.unwrap_or(column);
                if m[pivot * n + column] == 0.0 {
                    return 0.0;
                }
                if pivot != column {
                    (0..n).for_each(|at| m.swap(pivot * n + at, column * n + at));
                    det = -det;
                }
                let top = m[column * n + column];
                det *= top;
                for row in column + 1..n {
                    let factor = m[row * n + column] / top;
                    for at in column..n {
                        m[row * n + at] -= factor * m[column * n + at];
                    }
                }
            }
            det
        };
        let dets: Vec<f64> = values.chunks_exact(n * n).map(of).collect();
        one(cast(&made(outer.iter().copied(), dets)?, x.dtype())?)
    })
}

/// The tensor with its dimensions in another order.
pub(in crate::engines::onnx) fn transposed(x: &Tensor, order: &[usize]) -> Result<Tensor, String> {
    let own = strides(x.shape());
    let view = View {
        dims: order.iter().map(|&at| x.shape()[at]).collect(),
        strides: order.iter().map(|&at| own[at]).collect(),
        offset: 0,
    };
    made(view.dims.iter().copied(), view.of(x.elements()))
}
