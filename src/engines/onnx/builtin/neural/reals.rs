//! The two kinds of real numbers that neural operators compute with.

use std::borrow::Cow;

use half::{bf16, f16};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, NdFloat, ShapeBuilder as _};

use super::super::numbers::{doubles, floats};
use crate::tensor::{DType, Elements, Tensor};

/// `f32`, for everything that is no wider, and `f64`.
pub(super) trait Real: NdFloat + Default {
    /// Elements of any real dtype.
    fn of(elements: &Elements) -> Result<Cow<'_, [Self]>, String>;

    /// Elements of a dtype: rounded to even and cut to their range when they are integers.
    fn given(values: Vec<Self>, dtype: DType) -> Result<Elements, String>;

    /// The nearest number.
    fn c(value: f64) -> Self;

    /// The same number.
    fn wide(self) -> f64;
}

/// Whole numbers of a dtype, which casts cut to its range.
macro_rules! whole {
    ($values:ident, $kind:ty) => {
        $values.iter().map(|x| x.round_ties_even() as $kind).collect::<Vec<$kind>>().into()
    };
}

macro_rules! real {
    ($kind:ty, $of:ident, $half:ident, $values:ident, $single:expr, $double:expr) => {
        impl Real for $kind {
            fn of(elements: &Elements) -> Result<Cow<'_, [Self]>, String> {
                $of(elements)
            }

            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut, as said")]
            fn given($values: Vec<Self>, dtype: DType) -> Result<Elements, String> {
                Ok(match dtype {
                    DType::Float => $single,
                    DType::Double => $double,
                    DType::Half => $values.iter().map(|&x| f16::$half(x)).collect::<Vec<f16>>().into(),
                    DType::BFloat16 => $values.iter().map(|&x| bf16::$half(x)).collect::<Vec<bf16>>().into(),
                    DType::Int8 => whole!($values, i8),
                    DType::Int16 => whole!($values, i16),
                    DType::Int32 => whole!($values, i32),
                    DType::Int64 => whole!($values, i64),
                    DType::UInt8 => whole!($values, u8),
                    DType::UInt16 => whole!($values, u16),
                    DType::UInt32 => whole!($values, u32),
                    DType::UInt64 => whole!($values, u64),
                    other => return Err(format!("a result of {other}; expected numbers")),
                })
            }

            #[allow(clippy::cast_possible_truncation, reason = "the nearest number")]
            fn c(value: f64) -> Self {
                value as Self
            }

            fn wide(self) -> f64 {
                self.into()
            }
        }
    };
}
real!(
    f32,
    floats,
    from_f32,
    values,
    values.into(),
    values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>().into()
);
real!(
    f64,
    doubles,
    from_f64,
    values,
    values.iter().map(|&x| x as f32).collect::<Vec<f32>>().into(),
    values.into()
);

/// Whether numbers of this dtype are computed as `f64`: doubles, and integers, whose
/// sums it holds exactly.
pub(super) fn is_wide(dtype: DType) -> bool {
    !matches!(dtype, DType::Float | DType::Half | DType::BFloat16)
}

/// Calls a function of one kind of numbers with the kind that a dtype is computed with.
macro_rules! in_reals {
    ($dtype:expr, $function:ident($($argument:expr),* $(,)?)) => {
        if $crate::engines::onnx::builtin::neural::reals::is_wide($dtype) {
            $function::<f64>($($argument),*)
        } else {
            $function::<f32>($($argument),*)
        }
    };
}
pub(super) use in_reals;

/// A tensor of these dimensions, of a dtype.
pub(super) fn tensor<T: Real>(
    dims: impl IntoIterator<Item = usize>,
    values: Vec<T>,
    dtype: DType,
) -> Result<Tensor, String> {
    super::super::op::made(dims, T::given(values, dtype)?)
}

/// The only number of a tensor.
pub(super) fn only(tensor: &Tensor, what: &str) -> Result<f64, String> {
    let values = doubles(tensor.elements())?;
    match &values[..] {
        [value] => Ok(*value),
        values => Err(format!("{what} has {} elements; expected one", values.len())),
    }
}

/// A matrix in a slice: `rows × columns`, or its transpose where it says so.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a, T: Real> Matrix<'a, T> {
    /// `values` are `rows` rows.
    pub(super) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self { values, rows, columns, transposed: false }
    }

    /// `values` are `columns` columns of this matrix.
    pub(super) fn transposed(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self { values, rows, columns, transposed: true }
    }

    fn view(&self) -> ArrayView2<'a, T> {
        let shape = (self.rows, self.columns).set_f(self.transposed);
        ArrayView2::from_shape(shape, self.values).expect("as many as the matrix has")
    }
}

/// `into = a · b + keep · into`; `into` is the columns `from..` of a matrix of `width`
/// columns.
///
/// # Panics
/// When the slices are not as long as the matrices say.
pub(super) fn multiply<T: Real>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    keep: T,
    into: &mut [T],
    width: usize,
    from: usize,
) {
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    let mut whole = ArrayViewMut2::from_shape((a.rows, width), into).expect("as many as the matrix has");
    let mut part = whole.slice_mut(ndarray::s![.., from..from + b.columns]);
    general_mat_mul(T::one(), &a.view(), &b.view(), keep, &mut part);
}

/// `a · b`.
pub(super) fn product<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Vec<T> {
    let mut into = vec![T::zero(); a.rows * b.columns];
    multiply(a, b, T::zero(), &mut into, b.columns, 0);
    into
}
