//! Computing with elements: a few wide kinds stand for all dtypes of numbers.
//!
//! Integers of up to 32 bits, and signed ones of 64, are computed as `i64` and cut to
//! their width again, which wraps as their own arithmetic would; float16 and bfloat16
//! as `f32`, rounded once at the end.

use std::borrow::Cow;

use half::{bf16, f16};

use crate::tensor::{DType, Elements, Tensor};

/// Numbers in a kind that is computed with.
#[derive(Debug, Clone)]
pub(in crate::engines::onnx) enum Wide<'a> {
    F32(Cow<'a, [f32]>),
    F64(Cow<'a, [f64]>),
    I64(Cow<'a, [i64]>),
    U64(Cow<'a, [u64]>),
}

/// The elements as wide numbers.
///
/// # Errors
/// For texts, complex numbers and truth values.
pub(in crate::engines::onnx) fn wide(elements: &Elements) -> Result<Wide<'_>, String> {
    fn up<T: Copy, U: Clone>(values: &[T], up: impl Fn(T) -> U) -> Cow<'_, [U]> {
        Cow::Owned(values.iter().map(|&value| up(value)).collect())
    }
    Ok(match elements {
        Elements::F32(v) => Wide::F32(Cow::Borrowed(v)),
        Elements::F64(v) => Wide::F64(Cow::Borrowed(v)),
        Elements::F16(v) => Wide::F32(up(v, f16::to_f32)),
        Elements::BF16(v) => Wide::F32(up(v, bf16::to_f32)),
        Elements::I8(v) => Wide::I64(up(v, i64::from)),
        Elements::I16(v) => Wide::I64(up(v, i64::from)),
        Elements::I32(v) => Wide::I64(up(v, i64::from)),
        Elements::I64(v) => Wide::I64(Cow::Borrowed(v)),
        Elements::U8(v) => Wide::I64(up(v, i64::from)),
        Elements::U16(v) => Wide::I64(up(v, i64::from)),
        Elements::U32(v) => Wide::I64(up(v, i64::from)),
        Elements::U64(v) => Wide::U64(Cow::Borrowed(v)),
        Elements::Bool(_) | Elements::C64(_) | Elements::C128(_) | Elements::Strings(_) => {
            return Err(format!("elements of {}; expected numbers", elements.dtype()));
        }
    })
}

/// Wide numbers as elements of the dtype that they came from.
///
/// # Errors
/// When the dtype is none of their kind.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the width, as documented")]
pub(in crate::engines::onnx) fn narrow(values: Wide<'_>, dtype: DType) -> Result<Elements, String> {
    fn down<T: Copy, U>(values: &[T], down: impl Fn(T) -> U) -> Vec<U> {
        values.iter().map(|&value| down(value)).collect()
    }
    Ok(match (values, dtype) {
        (Wide::F32(v), DType::Float) => v.into_owned().into(),
        (Wide::F32(v), DType::Half) => down(&v, f16::from_f32).into(),
        (Wide::F32(v), DType::BFloat16) => down(&v, bf16::from_f32).into(),
        (Wide::F64(v), DType::Double) => v.into_owned().into(),
        (Wide::I64(v), DType::Int8) => down(&v, |x| x as i8).into(),
        (Wide::I64(v), DType::Int16) => down(&v, |x| x as i16).into(),
        (Wide::I64(v), DType::Int32) => down(&v, |x| x as i32).into(),
        (Wide::I64(v), DType::Int64) => v.into_owned().into(),
        (Wide::I64(v), DType::UInt8) => down(&v, |x| x as u8).into(),
        (Wide::I64(v), DType::UInt16) => down(&v, |x| x as u16).into(),
        (Wide::I64(v), DType::UInt32) => down(&v, |x| x as u32).into(),
        (Wide::U64(v), DType::UInt64) => v.into_owned().into(),
        (_, dtype) => return Err(format!("a result of {dtype} was expected of numbers of another kind")),
    })
}

/// All elements as doubles.
///
/// # Errors
/// For texts and complex numbers.
#[allow(clippy::cast_precision_loss, reason = "the nearest double")]
pub(in crate::engines::onnx) fn doubles(elements: &Elements) -> Result<Cow<'_, [f64]>, String> {
    if let Elements::Bool(values) = elements {
        return Ok(values.iter().map(|&value| f64::from(value)).collect());
    }
    Ok(match wide(elements)? {
        Wide::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
        Wide::F64(v) => v,
        Wide::I64(v) => v.iter().map(|&x| x as f64).collect(),
        Wide::U64(v) => v.iter().map(|&x| x as f64).collect(),
    })
}

/// All elements as single floats, the nearest ones.
///
/// # Errors
/// For texts and complex numbers.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the nearest float")]
pub(in crate::engines::onnx) fn floats(elements: &Elements) -> Result<Cow<'_, [f32]>, String> {
    if let Elements::Bool(values) = elements {
        return Ok(values.iter().map(|&value| f32::from(value)).collect());
    }
    Ok(match wide(elements)? {
        Wide::F32(v) => v,
        Wide::F64(v) => v.iter().map(|&x| x as f32).collect(),
        Wide::I64(v) => v.iter().map(|&x| x as f32).collect(),
        Wide::U64(v) => v.iter().map(|&x| x as f32).collect(),
    })
}

/// Applies a function of floats to each element of a float tensor, in its own kind.
///
/// # Errors
/// For elements that are no floats.
pub(in crate::engines::onnx) fn map_floats(
    tensor: Tensor,
    single: impl Fn(f32) -> f32,
    double: impl Fn(f64) -> f64,
) -> Result<Tensor, String> {
    let shape = tensor.shape().clone();
    let elements = match tensor.into_elements() {
        Elements::F32(values) => {
            let mut values = values.into_vec();
            values.iter_mut().for_each(|x| *x = single(*x));
            values.into()
        }
        Elements::F64(values) => {
            let mut values = values.into_vec();
            values.iter_mut().for_each(|x| *x = double(*x));
            values.into()
        }
        Elements::F16(v) => v.iter().map(|x| f16::from_f32(single(x.to_f32()))).collect::<Vec<_>>().into(),
        Elements::BF16(v) => v.iter().map(|x| bf16::from_f32(single(x.to_f32()))).collect::<Vec<_>>().into(),
        other => return Err(format!("elements of {}; expected floats", other.dtype())),
    };
    Tensor::new(shape, elements).map_err(|error| error.to_string())
}
