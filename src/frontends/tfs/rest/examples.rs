//! The body of Classify and Regress → serialized `tf.Example`s. What a feature is
//! follows from its JSON, since only the model knows what it wants.

use bytes::Bytes;
use prost::Message as _;

use super::json::{Cursor, Kind};
use super::values::{decode_base64, is_base64};
use crate::error::ServingError;
use crate::proto::tensorflow::feature::Kind as Values;
use crate::proto::tensorflow::{BytesList, Example, Feature, Features, FloatList, Int64List};

fn invalid(text: String) -> ServingError {
    ServingError::invalid_argument(text)
}

/// The example at the cursor: an object of features, the last of a name counting.
///
/// # Errors
/// INVALID_ARGUMENT as the reference words it.
pub(super) fn example(cursor: &mut Cursor<'_>) -> Result<Bytes, ServingError> {
    if cursor.kind() != Kind::Object {
        let kind = cursor.kind().name();
        return Err(invalid(format!("Example must be JSON object but got JSON {kind}")));
    }
    let mut features = Features::default();
    for _ in 0..cursor.enter() {
        let name = String::from_utf8_lossy(&cursor.string().unwrap_or_default()).into_owned();
        let mut kind = None;
        if cursor.kind() == Kind::List {
            for _ in 0..cursor.enter() {
                add(cursor, &name, &mut kind)?;
            }
            cursor.leave();
        } else {
            add(cursor, &name, &mut kind)?;
        }
        features.feature.insert(name, Feature { kind });
    }
    cursor.leave();
    Ok(Example { features: Some(features) }.encode_to_vec().into())
}

/// Adds the value here to a feature: whole numbers and truth values are int64,
/// other numbers float, strings and `{"b64": ...}` bytes. A feature has one kind.
fn add(cursor: &mut Cursor<'_>, name: &str, values: &mut Option<Values>) -> Result<(), ServingError> {
    let unexpected = |kind: Kind| {
        invalid(format!("Feature: {name} has element with unexpected JSON type: {}", kind.name()))
    };
    match cursor.kind() {
        kind @ (Kind::Null | Kind::List) => Err(unexpected(kind)),
        Kind::Object if !is_base64(cursor) => Err(unexpected(Kind::Object)),
        Kind::False | Kind::True => {
            let list = integers(name, values)?;
            list.push(cursor.boolean().unwrap_or_default().into());
            Ok(())
        }
        Kind::String | Kind::Object => {
            let list = match values.get_or_insert_with(|| Values::BytesList(BytesList::default())) {
                Values::BytesList(list) => &mut list.value,
                other => return Err(other_kind(name, other)),
            };
            list.push(match cursor.kind() {
                Kind::String => cursor.string().unwrap_or_default(),
                _ => decode_base64(cursor)?,
            });
            Ok(())
        }
        Kind::Number => {
            let (mut whole, mut unsigned) = (cursor.clone(), cursor.clone());
            if let Some(number) = whole.integer::<i64>() {
                integers(name, values)?.push(number);
                *cursor = whole;
                return Ok(());
            }
            if unsigned.integer::<u64>().is_some() {
                integers(name, values)?;
                let text = format!("Feature: {name} has uint64_t element. Only int64_t is supported.");
                return Err(invalid(text));
            }
            let list = match values.get_or_insert_with(|| Values::FloatList(FloatList::default())) {
                Values::FloatList(list) => &mut list.value,
                other => return Err(other_kind(name, other)),
            };
            list.push(cursor.double().unwrap_or(f64::NAN) as f32);
            Ok(())
        }
    }
}

fn integers<'v>(name: &str, values: &'v mut Option<Values>) -> Result<&'v mut Vec<i64>, ServingError> {
    match values.get_or_insert_with(|| Values::Int64List(Int64List::default())) {
        Values::Int64List(list) => Ok(&mut list.value),
        other => Err(other_kind(name, other)),
    }
}

fn other_kind(name: &str, values: &Values) -> ServingError {
    let kind = match values {
        Values::BytesList(_) => "bytes",
        Values::FloatList(_) => "float",
        Values::Int64List(_) => "int64",
    };
    invalid(format!("Unexpected element type in feature: {name} expecting type: {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontends::tfs::rest::json::scan;

    fn read(text: &'static str) -> Result<Example, String> {
        let text = scan(Bytes::from_static(text.as_bytes()), &[]).unwrap();
        let bytes = example(&mut text.cursor()).map_err(|why| why.message().to_owned())?;
        Ok(Example::decode(bytes).unwrap())
    }

    #[test]
    fn features_have_the_kind_of_their_json() {
        let example = read(
            r#"{"i": 3, "b": [true, -2], "f": [1.5, 2e0], "s": ["é", {"b64": "AAE="}], "e": [], "i": 4}"#,
        );
        let features = example.unwrap().features.unwrap().feature;
        let integers = |value: &[i64]| Some(Values::Int64List(Int64List { value: value.to_vec() }));
        assert_eq!(features["i"].kind, integers(&[4]));
        assert_eq!(features["b"].kind, integers(&[1, -2]));
        assert_eq!(features["f"].kind, Some(Values::FloatList(FloatList { value: vec![1.5, 2.0] })));
        let value = vec![Bytes::from_static("é".as_bytes()), Bytes::from_static(&[0, 1])];
        assert_eq!(features["s"].kind, Some(Values::BytesList(BytesList { value })));
        assert_eq!(features["e"].kind, None);
    }

    #[test]
    fn what_is_no_feature_is_told_so() {
        for (text, want) in [
            ("[1]", "Example must be JSON object but got JSON Array"),
            ("null", "Example must be JSON object but got JSON Null"),
            ("{\"a\": null}", "Feature: a has element with unexpected JSON type: Null"),
            ("{\"a\": [[1]]}", "Feature: a has element with unexpected JSON type: Array"),
            ("{\"a\": {\"b\": 1}}", "Feature: a has element with unexpected JSON type: Object"),
            ("{\"a\": [1, 2.5]}", "Unexpected element type in feature: a expecting type: int64"),
            ("{\"a\": [2.5, 1]}", "Unexpected element type in feature: a expecting type: float"),
            ("{\"a\": [\"x\", true]}", "Unexpected element type in feature: a expecting type: bytes"),
            ("{\"a\": [1, \"x\"]}", "Unexpected element type in feature: a expecting type: int64"),
            ("{\"a\": 9223372036854775808}", "Feature: a has uint64_t element. Only int64_t is supported."),
            ("{\"a\": {\"b64\": \"?\"}}", "Unable to base64 decode"),
        ] {
            assert_eq!(read(text).err().as_deref(), Some(want), "{text}");
        }
    }
}
