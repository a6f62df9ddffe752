//! From one dtype to another: `Cast`, `CastLike`, `BitCast`.

use bytes::Bytes;
use half::{bf16, f16};

use super::super::numbers::{Wide, wide};
use super::super::op::{Built, Node, made, one, op};
use super::super::registry::{Row, row};
use crate::formats::onnx::dtype;
use crate::proto::onnx::tensor_proto::DataType;
use crate::tensor::{Buffer, DType, Elements, Tensor};

pub(super) const ROWS: &[Row] =
    &[row("BitCast", 26, bit_cast), row("Cast", 1, cast_to), row("CastLike", 15, cast_like)];

fn target(node: &Node<'_>) -> Result<DType, String> {
    // The oldest opset has the type's name.
    let number = match node.attributes.text("to") {
        Ok(Some(name)) if !name.is_empty() => {
            DataType::from_str_name(&name.to_uppercase()).map_or(-1, |kind| kind as i32)
        }
        _ => i32::try_from(node.required("to", node.attributes.int("to"))?).unwrap_or(-1),
    };
    let kind = DataType::try_from(number).map_err(|_| format!("element type {number} is not known"))?;
    dtype(kind).ok_or_else(|| format!("elements of {} are not served", kind.as_str_name()))
}

fn cast_to(node: &mut Node<'_>) -> Built {
    let to = target(node)?;
    // What these say is of floats of 8 bits.
    node.attributes.ignore(&["saturate", "round_mode"]);
    op(move |mut inputs| {
        let x = inputs.take(0)?;
        if x.dtype() == to { one(x) } else { one(cast(&x, to)?) }
    })
}

fn cast_like(node: &mut Node<'_>) -> Built {
    node.attributes.ignore(&["saturate", "round_mode"]);
    op(move |mut inputs| {
        let to = inputs.tensor(1)?.dtype();
        one(cast(&inputs.take(0)?, to)?)
    })
}

/// Numbers on their way to another dtype.
enum Way {
    Floats(Vec<f64>),
    Ints(Vec<i64>),
    Unsigned(Vec<u64>),
}

/// The tensor with its elements converted: numbers are cut to integers, and kept
/// within their range when they were floats; texts are read and written.
pub(in crate::engines::onnx) fn cast(x: &Tensor, to: DType) -> Result<Tensor, String> {
    let dims = x.shape().iter().copied();
    if x.dtype() == to {
        return Ok(x.clone());
    }
    // The two that are usual.
    #[allow(clippy::cast_possible_truncation, reason = "the nearest number")]
    match (x.elements(), to) {
        (Elements::F64(v), DType::Float) => {
            return made(dims, v.iter().map(|&x| x as f32).collect::<Vec<_>>());
        }
        (Elements::F32(v), DType::Double) => {
            return made(dims, v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        }
        _ => {}
    }
    let way = match x.elements() {
        Elements::Strings(texts) if to.is_real() => read_texts(texts, to)?,
        Elements::Bool(values) => Way::Ints(values.iter().map(|&x| x.into()).collect()),
        elements => match wide(elements)? {
            Wide::F32(v) => Way::Floats(v.iter().map(|&x| x.into()).collect()),
            Wide::F64(v) => Way::Floats(v.into_owned()),
            Wide::I64(v) => Way::Ints(v.into_owned()),
            Wide::U64(v) => Way::Unsigned(v.into_owned()),
        },
    };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
        reason = "what a cast is"
    )]
    fn numbers<T>(
        way: Way,
        floats: impl Fn(f64) -> T,
        ints: impl Fn(i64) -> T,
        unsigned: impl Fn(u64) -> T,
    ) -> Vec<T> {
        match way {
            Way::Floats(v) => v.into_iter().map(floats).collect(),
            Way::Ints(v) => v.into_iter().map(ints).collect(),
            Way::Unsigned(v) => v.into_iter().map(unsigned).collect(),
        }
    }
    macro_rules! plain {
        ($kind:ty) => {
            numbers(way, |x| x as $kind, |x| x as $kind, |x| x as $kind).into()
        };
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
        reason = "what a cast is"
    )]
    let elements: Elements = match to {
        DType::Float => plain!(f32),
        DType::Double => plain!(f64),
        DType::Int8 => plain!(i8),
        DType::Int16 => plain!(i16),
        DType::Int32 => plain!(i32),
        DType::Int64 => plain!(i64),
        DType::UInt8 => plain!(u8),
        DType::UInt16 => plain!(u16),
        DType::UInt32 => plain!(u32),
        DType::UInt64 => plain!(u64),
        DType::Half => {
            numbers(way, f16::from_f64, |x| f16::from_f64(x as f64), |x| f16::from_f64(x as f64)).into()
        }
        DType::BFloat16 => {
            numbers(way, bf16::from_f64, |x| bf16::from_f64(x as f64), |x| bf16::from_f64(x as f64)).into()
        }
        DType::Bool => numbers(way, |x| x != 0.0, |x| x != 0, |x| x != 0).into(),
        DType::String => {
            let is_double = x.dtype() == DType::Double;
            let float = |value: f64| Bytes::from(shown(value, if is_double { 17 } else { 8 }));
            numbers(way, float, |x| x.to_string().into(), |x| x.to_string().into()).into()
        }
        other => return Err(format!("a cast to {other} is not served")),
    };
    made(dims, elements)
}

/// Texts as numbers of this dtype.
fn read_texts(texts: &[Bytes], to: DType) -> Result<Way, String> {
    let text = |bytes: &Bytes| {
        std::str::from_utf8(bytes)
            .map(|text| text.trim().to_owned())
            .map_err(|_| "a text is not UTF-8".to_owned())
    };
    let wrong = |text: &str| format!("{:?} is no number of {to}", text.chars().take(64).collect::<String>());
    let float = |bytes: &Bytes| {
        let text = text(bytes)?;
        text.parse::<f64>().map_err(|_| wrong(&text))
    };
    match to {
        DType::Float | DType::Double | DType::Half | DType::BFloat16 => {
            texts.iter().map(float).collect::<Result<_, _>>().map(Way::Floats)
        }
        DType::UInt64 => {
            let one = |bytes: &Bytes| {
                let text = text(bytes)?;
                text.parse::<u64>().map_err(|_| wrong(&text))
            };
            texts.iter().map(one).collect::<Result<_, _>>().map(Way::Unsigned)
        }
        _ => {
            let one = |bytes: &Bytes| {
                let text = text(bytes)?;
                text.parse::<i64>().map_err(|_| wrong(&text))
            };
            texts.iter().map(one).collect::<Result<_, _>>().map(Way::Ints)
        }
    }
}

/// A number with so many significant digits, as C's `%g` writes it; what is no number
/// by the specification's names.
fn shown(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if power < -4 || usize::try_from(power).is_ok_and(|power| power >= digits) {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), power.abs());
    }
    let decimals = usize::try_from(i32::try_from(digits).unwrap_or(17) - 1 - power).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}"))
}

/// The same bits as elements of another dtype of the same width.
fn bit_cast(node: &mut Node<'_>) -> Built {
    let to = target(node)?;
    op(move |mut inputs| {
        let x = inputs.take(0)?;
        let dims = x.shape().clone();
        let from = x.dtype();
        if from.element_bytes() != to.element_bytes() || to == DType::String {
            return Err(format!("the bits of {from} are not those of {to}"));
        }
        macro_rules! bytes {
            ($($variant:ident),*) => {
                match x.into_elements() {
                    $(Elements::$variant(values) => values.into_le_bytes(),)*
                    Elements::Strings(_) => return Err("texts have no bits".to_owned()),
                }
            };
        }
        let bytes = bytes!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, C64, C128);
        fn buffer<T: bytemuck::Pod>(bytes: Bytes) -> Result<Buffer<T>, String> {
            Buffer::from_le_bytes(bytes).ok_or_else(|| "the bits do not fill elements".to_owned())
        }
        let elements = match to {
            DType::Float => Elements::F32(buffer(bytes)?),
            DType::Double => Elements::F64(buffer(bytes)?),
            DType::Half => Elements::F16(buffer(bytes)?),
            DType::BFloat16 => Elements::BF16(buffer(bytes)?),
            DType::Int8 => Elements::I8(buffer(bytes)?),
            DType::Int16 => Elements::I16(buffer(bytes)?),
            DType::Int32 => Elements::I32(buffer(bytes)?),
            DType::Int64 => Elements::I64(buffer(bytes)?),
            DType::UInt8 => Elements::U8(buffer(bytes)?),
            DType::UInt16 => Elements::U16(buffer(bytes)?),
            DType::UInt32 => Elements::U32(buffer(bytes)?),
            DType::UInt64 => Elements::U64(buffer(bytes)?),
            DType::Bool => {
                Elements::Bool(bytes.iter().map(|&byte| u8::from(byte != 0)).collect::<Vec<u8>>().into())
            }
            other => return Err(format!("a cast to {other} is not served")),
        };
        one(made(dims.iter().copied(), elements)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_does() {
        for (value, digits, text) in [
            (0.478_925_47, 8, "0.47892547"),
            (1.0, 8, "1"),
            (0.0, 8, "0"),
            (-2.5, 17, "-2.5"),
            (1e10, 8, "1e+10"),
            (123_456_789.0, 8, "1.2345679e+08"),
            (1e-5, 8, "1e-05"),
            (f64::NEG_INFINITY, 8, "-INF"),
        ] {
            assert_eq!(shown(value, digits), text);
        }
    }
}
