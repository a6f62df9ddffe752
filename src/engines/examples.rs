//! `tf.Example`s as the rows of a matrix, or of a table.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::formats::example::{self, Example, Values};
use crate::limits;
use crate::servable::{RunError, TensorSpec};
use crate::tensor::{DType, Elements, Tensor};

/// The feature that holds a whole row, in the order of the model's features.
const ROW: &str = "inputs";

/// What the features of an example are to a model.
#[derive(Debug)]
pub(super) struct Layout {
    /// Numbers in a row.
    pub(super) width: usize,
    /// Their names, distinct, when the model was fitted on a data frame.
    pub(super) columns: Option<Vec<Arc<str>>>,
}

impl Layout {
    /// Reads a vector of serialized examples into `[rows, width]` numbers.
    ///
    /// An example has one feature per column, or the single feature [`ROW`] with all
    /// of them. Nothing else: a feature that the model does not know is more often a
    /// misspelt one than a superfluous one.
    pub(super) fn read(&self, input: &Tensor) -> Result<(usize, Vec<f64>), RunError> {
        let mut values = Vec::new();
        let rows = each(input, self.width, |example| self.append(example, &mut values))?;
        Ok((rows, values))
    }

    fn append(&self, example: &Example, values: &mut Vec<f64>) -> Result<(), String> {
        let whole_row = example.len() == 1 && example.get(ROW).is_some();
        match &self.columns {
            Some(columns) if !whole_row || columns.iter().any(|column| **column == *ROW) => {
                for column in columns {
                    append(example, column, 1, values)?;
                }
                if example.len() > columns.len() {
                    return Err(superfluous(example, columns.iter().map(|column| &**column)));
                }
            }
            _ => {
                append(example, ROW, self.width, values)?;
                if example.len() > 1 {
                    return Err(superfluous(example, std::iter::once(ROW)));
                }
            }
        }
        Ok(())
    }
}

/// Reads a vector of serialized examples into a tensor for each column: text where the
/// column is string, numbers otherwise. An example has one feature per column, with one
/// value; it may have features of the names `besides`, which are not looked at.
pub(super) fn read_columns(
    input: &Tensor,
    columns: &[TensorSpec],
    besides: &[Arc<str>],
) -> Result<Vec<Tensor>, RunError> {
    let mut read: Vec<(Vec<f64>, Vec<Bytes>)> = vec![(Vec::new(), Vec::new()); columns.len()];
    each(input, columns.len(), |example| {
        for (column, (numbers, texts)) in columns.iter().zip(&mut read) {
            if column.dtype == DType::String {
                texts.push(text(example, &column.name)?);
            } else {
                append(example, &column.name, 1, numbers)?;
            }
        }
        let besides = besides.iter().filter(|name| example.get(name).is_some());
        let known = columns.iter().map(|column| &*column.name).chain(besides.map(|name| &**name));
        let known: HashSet<&str> = known.collect();
        if example.len() > known.len() { Err(superfluous(example, known.into_iter())) } else { Ok(()) }
    })?;
    let tensor = |(column, (numbers, texts)): (&TensorSpec, (Vec<f64>, Vec<Bytes>))| {
        Tensor::vector(if column.dtype == DType::String { texts.into() } else { numbers.into() })
    };
    Ok(columns.iter().zip(read).map(tensor).collect())
}

/// Reads each example of a vector of them, `width` values each; gives how many there are.
fn each(
    input: &Tensor,
    width: usize,
    mut take: impl FnMut(&Example) -> Result<(), String>,
) -> Result<usize, RunError> {
    let (Elements::Strings(examples), 1) = (input.elements(), input.shape().rank()) else {
        return Err(RunError::InvalidInput(format!(
            "input `{ROW}` is {} of shape {}; expected serialized tf.Examples, string of shape [-1]",
            input.dtype(),
            input.shape()
        )));
    };
    // Integers take one byte in an example and eight here.
    if width.checked_mul(examples.len()).is_none_or(|all| all > limits::TENSOR_BYTES_MAX / 8) {
        return Err(RunError::InvalidInput(format!(
            "{} examples of {width} numbers have more than {} bytes; send fewer",
            examples.len(),
            limits::TENSOR_BYTES_MAX
        )));
    }
    for (i, bytes) in examples.iter().enumerate() {
        example::read(bytes.clone())
            .map_err(|error| error.to_string())
            .and_then(|example| take(&example))
            .map_err(|why| RunError::InvalidInput(format!("example {i} {why}")))?;
    }
    Ok(examples.len())
}

/// The one text of a feature.
fn text(example: &Example, name: &str) -> Result<Bytes, String> {
    let what = match example.get(name) {
        None => return Err(format!("has no feature `{name}`; expected 1 text in it")),
        Some(Values::Bytes([text])) => return Ok(text.clone()),
        Some(Values::Bytes(texts)) => format!("{} texts", texts.len()),
        Some(Values::Floats(_) | Values::Ints(_)) => "numbers".to_owned(),
    };
    Err(format!("has {what} in feature `{name}`; expected 1 text in a bytes list"))
}

fn append(example: &Example, name: &str, count: usize, values: &mut Vec<f64>) -> Result<(), String> {
    let numbers = |count| if count == 1 { "1 number".to_owned() } else { format!("{count} numbers") };
    let length = match example.get(name) {
        None => return Err(format!("has no feature `{name}`; expected {} in it", numbers(count))),
        Some(Values::Bytes(_)) => {
            let wanted = numbers(count);
            return Err(format!("has bytes in feature `{name}`; expected {wanted} in a float or int64 list"));
        }
        Some(Values::Floats(floats)) => {
            values.extend(floats.iter().take(count).map(|&value| f64::from(value)));
            floats.len()
        }
        #[allow(clippy::cast_precision_loss, reason = "as numpy's astype does")]
        Some(Values::Ints(ints)) => {
            values.extend(ints.iter().take(count).map(|&value| value as f64));
            ints.len()
        }
    };
    if length != count {
        return Err(format!("has {} in feature `{name}`; expected {count}", numbers(length)));
    }
    Ok(())
}

fn superfluous<'a>(example: &Example, known: impl Iterator<Item = &'a str>) -> String {
    let known: HashSet<&str> = known.collect();
    let mut names: Vec<&str> = example.names().filter(|name| !known.contains(name)).collect();
    names.sort_unstable();
    let shown: Vec<String> =
        names.iter().take(limits::NAMES_IN_MESSAGE_MAX).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > shown.len() { " and more" } else { "" };
    format!("has features that the model does not take: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;

    use super::*;
    use crate::proto::tensorflow::feature::Kind;
    use crate::proto::tensorflow::{self as pb, Feature};

    fn floats(value: &[f32]) -> Kind {
        Kind::FloatList(pb::FloatList { value: value.to_vec() })
    }

    fn ints(value: &[i64]) -> Kind {
        Kind::Int64List(pb::Int64List { value: value.to_vec() })
    }

    fn example(features: Vec<(&str, Kind)>) -> Bytes {
        let feature = features
            .into_iter()
            .map(|(name, kind)| (name.to_owned(), Feature { kind: Some(kind) }))
            .collect();
        pb::Example { features: Some(pb::Features { feature }) }.encode_to_vec().into()
    }

    fn read(layout: &Layout, examples: Vec<Bytes>) -> Result<(usize, Vec<f64>), String> {
        layout.read(&Tensor::vector(examples.into())).map_err(|error| error.to_string())
    }

    fn frame() -> Layout {
        Layout { width: 2, columns: Some(vec!["age".into(), "rooms".into()]) }
    }

    fn plain(width: usize) -> Layout {
        Layout { width, columns: None }
    }

    #[test]
    fn floats_and_integers_become_rows() {
        let examples = vec![
            example(vec![("rooms", ints(&[3])), ("age", floats(&[0.1]))]),
            example(vec![("inputs", ints(&[-1, i64::MAX]))]),
        ];
        let want = vec![f64::from(0.1f32), 3.0, -1.0, 9_223_372_036_854_775_807.0];
        assert_eq!(read(&frame(), examples), Ok((2, want)));
        assert_eq!(
            read(&plain(3), vec![example(vec![("inputs", floats(&[1.0, 2.0, 3.0]))])]),
            Ok((1, vec![1.0, 2.0, 3.0]))
        );
        assert_eq!(read(&plain(3), vec![]), Ok((0, vec![])));
        // A column may be called as the row is.
        let odd = Layout { width: 1, columns: Some(vec!["inputs".into()]) };
        assert_eq!(read(&odd, vec![example(vec![("inputs", ints(&[4]))])]), Ok((1, vec![4.0])));
    }

    #[test]
    fn what_does_not_fit_names_the_example_and_the_feature() {
        let good = || example(vec![("age", ints(&[1])), ("rooms", ints(&[2]))]);
        let bytes = Kind::BytesList(pb::BytesList { value: vec![Bytes::new()] });
        let cases = [
            (example(vec![("age", ints(&[1]))]), "has no feature `rooms`; expected 1 number in it"),
            (
                example(vec![("age", ints(&[1])), ("rooms", ints(&[2, 3]))]),
                "has 2 numbers in feature `rooms`; expected 1",
            ),
            (
                example(vec![("age", ints(&[1])), ("rooms", floats(&[]))]),
                "has 0 numbers in feature `rooms`; expected 1",
            ),
            (
                example(vec![("age", ints(&[1])), ("rooms", bytes)]),
                "has bytes in feature `rooms`; expected 1 number in a float or int64 list",
            ),
            (
                example(vec![
                    ("age", ints(&[1])),
                    ("rooms", ints(&[2])),
                    ("zip", ints(&[3])),
                    ("b", ints(&[])),
                ]),
                "has features that the model does not take: `b`, `zip`",
            ),
            (example(vec![("inputs", ints(&[1, 2, 3]))]), "has 3 numbers in feature `inputs`; expected 2"),
        ];
        for (bad, why) in cases {
            assert_eq!(read(&frame(), vec![good(), bad]), Err(format!("example 1 {why}")));
        }
        assert_eq!(
            read(&plain(2), vec![example(vec![("age", ints(&[1]))])]),
            Err("example 0 has no feature `inputs`; expected 2 numbers in it".to_owned())
        );
        let names = ["inputs", "a", "b", "c", "d", "e", "f"];
        assert_eq!(
            read(&plain(1), vec![example(names.iter().map(|&name| (name, ints(&[1]))).collect())]),
            Err("example 0 has features that the model does not take: `a`, `b`, `c`, `d`, `e` and more"
                .to_owned())
        );
        let garbage = read(&frame(), vec![good(), good(), Bytes::from_static(b"\x0a\xff")]).unwrap_err();
        assert!(garbage.starts_with("example 2 cannot be read as a tf.Example: "), "{garbage}");
    }

    #[test]
    fn columns_are_numbers_or_text_and_others_are_known_by_name() {
        let dims = [None];
        let columns =
            [TensorSpec::new("age", DType::Double, &dims), TensorSpec::new("sex", DType::String, &dims)];
        let texts = |texts: &[&'static str]| {
            let value = texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
            Kind::BytesList(pb::BytesList { value })
        };
        let read = |features: Vec<(&str, Kind)>| {
            let examples = Tensor::vector(vec![example(features)].into());
            read_columns(&examples, &columns, &["name".into()]).map_err(|error| error.to_string())
        };
        let want =
            vec![Tensor::vector(vec![3.0].into()), Tensor::vector(vec![Bytes::from_static(b"f")].into())];
        assert_eq!(read(vec![("age", ints(&[3])), ("sex", texts(&["f"]))]), Ok(want.clone()));
        assert_eq!(
            read(vec![("age", ints(&[3])), ("sex", texts(&["f"])), ("name", texts(&["x", "y"]))]),
            Ok(want)
        );
        for (bad, why) in [
            (vec![("age", ints(&[3]))], "has no feature `sex`; expected 1 text in it"),
            (
                vec![("age", ints(&[3])), ("sex", ints(&[1]))],
                "has numbers in feature `sex`; expected 1 text in a bytes list",
            ),
            (
                vec![("age", ints(&[3])), ("sex", texts(&["f", "m"]))],
                "has 2 texts in feature `sex`; expected 1 text in a bytes list",
            ),
            (
                vec![("age", texts(&["3"])), ("sex", texts(&["f"]))],
                "has bytes in feature `age`; expected 1 number in a float or int64 list",
            ),
            (
                vec![("age", ints(&[3])), ("sex", texts(&["f"])), ("zip", ints(&[1]))],
                "has features that the model does not take: `zip`",
            ),
        ] {
            assert_eq!(read(bad), Err(format!("example 0 {why}")));
        }
    }

    #[test]
    fn only_a_vector_of_strings_is_read_and_only_as_much_as_a_tensor_holds() {
        for (input, shown) in [
            (Tensor::vector(vec![1f64].into()), "double of shape [1]"),
            (Tensor::new([1, 1], vec![Bytes::new()].into()).unwrap(), "string of shape [1,1]"),
        ] {
            assert_eq!(
                frame().read(&input).unwrap_err().to_string(),
                format!("input `inputs` is {shown}; expected serialized tf.Examples, string of shape [-1]")
            );
        }
        for width in [usize::MAX, limits::TENSOR_BYTES_MAX / 16 + 1] {
            let refused = read(&plain(width), vec![Bytes::new(), Bytes::new()]).unwrap_err();
            assert!(refused.ends_with("have more than 268435456 bytes; send fewer"), "{refused}");
        }
    }
}
