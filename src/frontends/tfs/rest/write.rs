//! Tensors → JSON, byte for byte as RapidJSON's `PrettyWriter` has it: four spaces
//! a level, and in the row form each instance on one line.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::number::{put_bf16, put_f16, put_f32, put_f64};
use crate::dataplane::Classes;
use crate::error::ServingError;
use crate::tensor::{DType, Elements, NamedTensors, Tensor};

/// `{"predictions": [...]}`: one entry per row of the outputs.
///
/// # Errors
/// INVALID_ARGUMENT for no outputs at all, an output without rows or with other
/// rows than the rest, and a dtype that JSON does not hold.
pub(super) fn row(outputs: &NamedTensors) -> Result<Vec<u8>, ServingError> {
    let mut rows: Option<usize> = None;
    for (name, tensor) in outputs.iter() {
        let Some((own, _)) = tensor.shape().rows() else {
            let text = format!("Tensor name: {name} has no shape information ");
            return Err(ServingError::invalid_argument(text));
        };
        if let Some(expected) = rows.filter(|&expected| expected != own) {
            return Err(ServingError::invalid_argument(format!(
                "Tensor name: {name} has inconsistent batch size: {own} expecting: {expected}"
            )));
        }
        rows = Some(own);
        check(tensor)?;
    }
    let Some(rows) = rows else { return Err(no_outputs()) };

    let mut out = Vec::with_capacity(room(outputs));
    out.extend_from_slice(b"{\n    \"predictions\": [");
    let named = outputs.len() > 1;
    for i in 0..rows {
        if named {
            out.extend_from_slice(if i > 0 { b",\n        {" } else { b"\n        {" });
        } else if i > 0 {
            out.extend_from_slice(b", ");
        }
        for (k, (name, tensor)) in outputs.iter().enumerate() {
            if named {
                out.extend_from_slice(if k > 0 { b",\n            " } else { b"\n            " });
                put_string(&mut out, name.as_bytes());
                out.extend_from_slice(b": ");
            }
            let inner = &tensor.shape()[1..];
            let size = inner.iter().product::<usize>();
            let mut values = Values { name, tensor, next: i * size, one_line: true };
            values.put(&mut out, inner, if named { 3 } else { 2 });
        }
        if named {
            out.extend_from_slice(b"\n        }");
        }
    }
    out.extend_from_slice(if rows > 0 { b"\n    ]\n}" } else { b"]\n}" });
    Ok(out)
}

/// `{"outputs": ...}`: one value, or an object of them.
///
/// # Errors
/// INVALID_ARGUMENT for no outputs at all and a dtype that JSON does not hold.
pub(super) fn columnar(outputs: &NamedTensors) -> Result<Vec<u8>, ServingError> {
    let mut out = Vec::with_capacity(room(outputs));
    out.extend_from_slice(b"{\n    \"outputs\": ");
    let named = outputs.len() > 1;
    if named {
        out.push(b'{');
    }
    for (k, (name, tensor)) in outputs.iter().enumerate() {
        check(tensor)?;
        if named {
            out.extend_from_slice(if k > 0 { b",\n        " } else { b"\n        " });
            put_string(&mut out, name.as_bytes());
            out.extend_from_slice(b": ");
        }
        let mut values = Values { name, tensor, next: 0, one_line: false };
        values.put(&mut out, tensor.shape(), if named { 2 } else { 1 });
    }
    if outputs.is_empty() {
        return Err(no_outputs());
    }
    out.extend_from_slice(if named { b"\n    }\n}" } else { b"\n}" });
    Ok(out)
}

fn no_outputs() -> ServingError {
    ServingError::invalid_argument("Cannot convert empty tensor map to JSON")
}

/// A first guess at the length of the answer.
fn room(outputs: &NamedTensors) -> usize {
    64 + outputs
        .iter()
        .map(|(_, tensor)| tensor.shape().elements().saturating_mul(12))
        .sum::<usize>()
        .min(64 << 20)
}

/// Refuses the dtypes that the reference's JSON does not hold, save those that
/// are plain numbers.
fn check(tensor: &Tensor) -> Result<(), ServingError> {
    match tensor.dtype() {
        DType::Complex64
        | DType::Complex128
        | DType::QInt8
        | DType::QUInt8
        | DType::QInt16
        | DType::QUInt16
        | DType::QInt32 => Err(ServingError::invalid_argument(format!(
            "Failed to write JSON value for tensor type: {}",
            tensor.dtype()
        ))),
        _ => Ok(()),
    }
}

/// The elements of one tensor, written one after another.
struct Values<'t> {
    name: &'t str,
    tensor: &'t Tensor,
    /// The next element to write.
    next: usize,
    one_line: bool,
}

impl Values<'_> {
    /// Writes what these dimensions hold; `level` lists and objects are open.
    fn put(&mut self, out: &mut Vec<u8>, dims: &[usize], level: usize) {
        let Some((&size, inner)) = dims.split_first() else {
            self.put_run(out, 1, level);
            return;
        };
        out.push(b'[');
        if inner.is_empty() {
            self.put_run_of_list(out, size, level);
        } else {
            for i in 0..size {
                self.put_separator(out, i, level);
                self.put(out, inner, level + 1);
            }
        }
        if size > 0 && !self.one_line {
            put_line(out, level);
        }
        out.push(b']');
    }

    fn put_separator(&self, out: &mut Vec<u8>, i: usize, level: usize) {
        if i > 0 {
            out.push(b',');
        }
        if !self.one_line {
            put_line(out, level + 1);
        } else if i > 0 {
            out.push(b' ');
        }
    }

    fn put_run_of_list(&mut self, out: &mut Vec<u8>, count: usize, level: usize) {
        if count > 0 {
            self.put_separator(out, 0, level);
            self.put_run(out, count, level);
        }
    }

    /// Writes `count` elements, with what belongs between them.
    fn put_run(&mut self, out: &mut Vec<u8>, count: usize, level: usize) {
        let range = self.next..self.next + count;
        self.next += count;
        // Within a list, elements stand one level deeper than the list.
        macro_rules! run {
            ($values:expr, $put:expr) => {
                for (i, value) in $values[range].iter().enumerate() {
                    if i > 0 {
                        self.put_separator(out, i, level);
                    }
                    $put(out, value);
                }
            };
        }
        // Writing to a vector cannot fail.
        macro_rules! whole {
            ($values:expr) => {
                run!($values, |out: &mut Vec<u8>, value| _ = write!(out, "{value}"))
            };
        }
        match self.tensor.elements() {
            Elements::F32(values) => run!(values, |out: &mut Vec<u8>, &value| put_f32(out, value)),
            Elements::F64(values) => run!(values, |out: &mut Vec<u8>, &value| put_f64(out, value)),
            Elements::F16(values) => run!(values, |out: &mut Vec<u8>, &value| put_f16(out, value)),
            Elements::BF16(values) => run!(values, |out: &mut Vec<u8>, &value| put_bf16(out, value)),
            Elements::I8(values) => whole!(values),
            Elements::I16(values) => whole!(values),
            Elements::I32(values) => whole!(values),
            Elements::I64(values) => whole!(values),
            Elements::U8(values) => whole!(values),
            Elements::U16(values) => whole!(values),
            Elements::U32(values) => whole!(values),
            Elements::U64(values) => whole!(values),
            Elements::Bool(values) => run!(values, |out: &mut Vec<u8>, &value: &u8| {
                out.extend_from_slice(if value != 0 { b"true" } else { b"false" });
            }),
            Elements::Strings(values) if self.name.ends_with("_bytes") => {
                // In a list the object stands where its elements do.
                let level = if self.is_listed() { level + 1 } else { level };
                run!(values, |out: &mut Vec<u8>, value: &bytes::Bytes| {
                    out.push(b'{');
                    put_line(out, level + 1);
                    out.extend_from_slice(b"\"b64\": \"");
                    out.extend_from_slice(STANDARD.encode(value).as_bytes());
                    out.push(b'"');
                    put_line(out, level);
                    out.push(b'}');
                });
            }
            Elements::Strings(values) => {
                run!(values, |out: &mut Vec<u8>, value: &bytes::Bytes| put_string(out, value));
            }
            // Refused before anything is written.
            Elements::C64(_) | Elements::C128(_) => {}
        }
    }

    /// Whether the elements stand in lists of their own; in the row form the
    /// first dimension is the list of instances.
    fn is_listed(&self) -> bool {
        self.tensor.shape().rank() > usize::from(self.one_line)
    }
}

fn put_line(out: &mut Vec<u8>, level: usize) {
    out.push(b'\n');
    out.resize(out.len() + 4 * level, b' ');
}

/// Appends a string as RapidJSON escapes it. Bytes that are no UTF-8 go out as
/// they are, as in the reference.
pub(super) fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            // Writing to a vector cannot fail.
            ..=0x1f => _ = write!(out, "\\u{byte:04X}"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// `{"results": [[["label", score], ...], ...]}`: the classes of each example.
///
/// # Errors
/// INVALID_ARGUMENT for no examples at all.
pub(super) fn classes(classes: &Classes) -> Result<Vec<u8>, ServingError> {
    if classes.examples == 0 {
        let text = "Cannot convert empty ClassificationResults to JSON";
        return Err(ServingError::invalid_argument(text));
    }
    let mut out = b"{\n    \"results\": [".to_vec();
    for example in 0..classes.examples {
        out.extend_from_slice(if example > 0 { b", [" } else { b"[" });
        for class in 0..classes.per_example {
            let at = example * classes.per_example + class;
            out.extend_from_slice(if class > 0 { b", [" } else { b"[" });
            let label = classes.labels.as_ref().and_then(|labels| labels.get(at));
            put_string(&mut out, label.map_or(b"", |label| label.as_bytes()));
            out.extend_from_slice(b", ");
            let score = classes.scores.as_ref().and_then(|scores| scores.get(at));
            put_f32(&mut out, score.copied().unwrap_or_default());
            out.push(b']');
        }
        out.push(b']');
    }
    out.extend_from_slice(b"\n    ]\n}");
    Ok(out)
}

/// `{"results": [value, ...]}`: one number for each example.
///
/// # Errors
/// INVALID_ARGUMENT for no examples at all.
pub(super) fn values(values: &[f32]) -> Result<Vec<u8>, ServingError> {
    if values.is_empty() {
        let text = "Cannot convert empty RegressionResults to JSON";
        return Err(ServingError::invalid_argument(text));
    }
    let mut out = b"{\n    \"results\": [".to_vec();
    for (i, &value) in values.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b", " } else { b"" });
        put_f32(&mut out, value);
    }
    out.extend_from_slice(b"]\n}");
    Ok(out)
}

/// `{"error": message}`.
pub(super) fn error(message: &str) -> Vec<u8> {
    let mut out = b"{\n    \"error\": ".to_vec();
    put_string(&mut out, message.as_bytes());
    out.extend_from_slice(b"\n}");
    out
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn named(tensors: Vec<(&str, Tensor)>) -> NamedTensors {
        tensors.into_iter().collect()
    }

    fn text(json: Result<Vec<u8>, ServingError>) -> String {
        String::from_utf8(json.unwrap()).unwrap()
    }

    #[test]
    fn rows_stand_on_one_line_each() {
        let y = Tensor::vector(vec![2.5f32, 3.0, 4.5].into());
        assert_eq!(text(row(&named(vec![("y", y)]))), "{\n    \"predictions\": [2.5, 3.0, 4.5\n    ]\n}");
        let y = Tensor::new([2, 2], vec![1i64, 2, 3, 4].into()).unwrap();
        assert_eq!(text(row(&named(vec![("y", y)]))), "{\n    \"predictions\": [[1, 2], [3, 4]\n    ]\n}");
        let none = Tensor::new([0, 2], Vec::<f64>::new().into()).unwrap();
        assert_eq!(text(row(&named(vec![("y", none)]))), "{\n    \"predictions\": []\n}");
        let a = Tensor::vector(vec![true, false].into());
        let b = Tensor::new([2, 1], vec![Bytes::from_static(b"x\n"), Bytes::from_static(b"\x01\xff")].into())
            .unwrap();
        assert_eq!(
            row(&named(vec![("a", a), ("b", b)])).unwrap(),
            b"{\n    \"predictions\": [\n        {\n            \"a\": true,\n            \"b\": [\"x\\n\"]\n        },\n        \
              {\n            \"a\": false,\n            \"b\": [\"\\u0001\xff\"]\n        }\n    ]\n}"
        );
    }

    #[test]
    fn columns_stand_one_value_a_line() {
        let y = Tensor::new([1, 2], vec![1u8, 2].into()).unwrap();
        assert_eq!(
            text(columnar(&named(vec![("y", y)]))),
            "{\n    \"outputs\": [\n        [\n            1,\n            2\n        ]\n    ]\n}"
        );
        let a = Tensor::new(crate::tensor::Shape::scalar(), vec![1u16].into()).unwrap();
        let b = Tensor::new([0], Vec::<f64>::new().into()).unwrap();
        assert_eq!(
            text(columnar(&named(vec![("a", a), ("b", b)]))),
            "{\n    \"outputs\": {\n        \"a\": 1,\n        \"b\": []\n    }\n}"
        );
    }

    #[test]
    fn strings_called_bytes_are_base64() {
        let strings = || Tensor::vector(vec![Bytes::from_static(b"\x00\x01")].into());
        assert_eq!(
            text(row(&named(vec![("y_bytes", strings())]))),
            "{\n    \"predictions\": [{\n            \"b64\": \"AAE=\"\n        }\n    ]\n}"
        );
        assert_eq!(
            text(columnar(&named(vec![("y_bytes", strings())]))),
            "{\n    \"outputs\": [\n        {\n            \"b64\": \"AAE=\"\n        }\n    ]\n}"
        );
    }

    #[test]
    fn results_stand_on_one_line() {
        let labels = Some(["a", "b", "a", "b"].map(String::from).to_vec());
        let scores = Some(vec![0.25f32, 0.75, 1.0, 0.0].into());
        let both = Classes { examples: 2, per_example: 2, labels, scores };
        assert_eq!(
            text(classes(&both)),
            "{\n    \"results\": [[[\"a\", 0.25], [\"b\", 0.75]], [[\"a\", 1.0], [\"b\", 0.0]]\n    ]\n}"
        );
        let neither = Classes { examples: 1, per_example: 1, labels: None, scores: None };
        assert_eq!(text(classes(&neither)), "{\n    \"results\": [[[\"\", 0.0]]\n    ]\n}");
        assert_eq!(text(values(&[2.5, 3.0])), "{\n    \"results\": [2.5, 3.0]\n}");
        let none = classes(&Classes { examples: 0, ..neither }).unwrap_err();
        assert_eq!(none.message(), "Cannot convert empty ClassificationResults to JSON");
        assert_eq!(values(&[]).unwrap_err().message(), "Cannot convert empty RegressionResults to JSON");
    }

    #[test]
    fn what_json_does_not_hold_is_refused() {
        let refused = |json: Result<Vec<u8>, ServingError>| json.unwrap_err().message().to_owned();
        let scalar = || Tensor::new(crate::tensor::Shape::scalar(), vec![1f32].into()).unwrap();
        assert_eq!(refused(row(&named(vec![("y", scalar())]))), "Tensor name: y has no shape information ");
        let rows = |n: usize| Tensor::vector(vec![0f32; n].into());
        assert_eq!(
            refused(row(&named(vec![("a", rows(2)), ("b", rows(3))]))),
            "Tensor name: b has inconsistent batch size: 3 expecting: 2"
        );
        assert_eq!(refused(columnar(&named(vec![]))), "Cannot convert empty tensor map to JSON");
        assert_eq!(refused(row(&named(vec![]))), "Cannot convert empty tensor map to JSON");
        let complex = Tensor::vector(vec![[0f32; 2]].into());
        assert_eq!(
            refused(columnar(&named(vec![("c", complex)]))),
            "Failed to write JSON value for tensor type: complex64"
        );
    }
}
