//! `tf.Example`: one row of features by name, as TensorFlow serializes it.
//!
//! Source: `tensorflow/core/example/example.proto`. As with all protobuf, two
//! messages that follow each other are one: features of the later one win.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;

use crate::limits;
use crate::proto::tensorflow::feature::Kind;
use crate::proto::tensorflow::{self as pb, Feature};

/// One row of features by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    features: HashMap<String, Feature>,
}

/// The values of one feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values<'a> {
    /// A `float_list`.
    Floats(&'a [f32]),
    /// An `int64_list`.
    Ints(&'a [i64]),
    /// A `bytes_list`.
    Bytes(&'a [Bytes]),
}

/// Why bytes are no [`Example`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExampleError {
    /// There are too many of them.
    #[error("has {0} bytes; at most {max} are read", max = limits::EXAMPLE_BYTES_MAX)]
    TooLong(usize),
    /// They are not this message.
    #[error("cannot be read as a tf.Example: {0}")]
    Message(#[from] prost::DecodeError),
}

/// Reads one serialized example. What it takes in memory is at most sixteen times
/// its length.
///
/// # Errors
/// [`ExampleError`] for bytes that are too many or are not one.
pub fn read(bytes: Bytes) -> Result<Example, ExampleError> {
    if bytes.len() > limits::EXAMPLE_BYTES_MAX {
        return Err(ExampleError::TooLong(bytes.len()));
    }
    let mut features = pb::Example::decode(bytes)?.features.unwrap_or_default().feature;
    // A feature of no kind is a missing one, as for TensorFlow's own parser.
    features.retain(|_, feature| feature.kind.is_some());
    Ok(Example { features })
}

impl Example {
    /// The values of the feature of this name; `None` when it is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Values<'_>> {
        Some(match self.features.get(name)?.kind.as_ref()? {
            Kind::FloatList(list) => Values::Floats(&list.value),
            Kind::Int64List(list) => Values::Ints(&list.value),
            Kind::BytesList(list) => Values::Bytes(&list.value),
        })
    }

    /// How many features there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The features' names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.features.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(features: &[(&str, Option<Kind>)]) -> Vec<u8> {
        let feature =
            features.iter().map(|(name, kind)| ((*name).to_owned(), Feature { kind: kind.clone() }));
        pb::Example { features: Some(pb::Features { feature: feature.collect() }) }.encode_to_vec()
    }

    fn floats(value: &[f32]) -> Option<Kind> {
        Some(Kind::FloatList(pb::FloatList { value: value.to_vec() }))
    }

    #[test]
    fn each_kind_of_list_is_read_and_none_is_missing() {
        let all = bytes(&[
            ("f", floats(&[1.5, -2.0])),
            ("i", Some(Kind::Int64List(pb::Int64List { value: vec![-7, i64::MAX] }))),
            ("b", Some(Kind::BytesList(pb::BytesList { value: vec![Bytes::from_static(b"\xff")] }))),
            ("empty", floats(&[])),
            ("none", None),
        ]);
        let example = read(all.into()).unwrap();
        assert_eq!(example.get("f"), Some(Values::Floats(&[1.5, -2.0])));
        assert_eq!(example.get("i"), Some(Values::Ints(&[-7, i64::MAX])));
        assert_eq!(example.get("b"), Some(Values::Bytes(&[Bytes::from_static(b"\xff")])));
        assert_eq!(example.get("empty"), Some(Values::Floats(&[])));
        assert_eq!((example.get("none"), example.get("other")), (None, None));
        assert_eq!((example.len(), example.names().count()), (4, 4));
        assert!(read(Bytes::new()).unwrap().is_empty());
    }

    #[test]
    fn lists_that_are_not_packed_are_read_too() {
        // Two floats, each with its own tag: what proto2 writers send.
        let list = [0x0d, 0, 0, 0x80, 0x3f, 0x0d, 0, 0, 0, 0x40];
        let mut wire = vec![0x0a, 19, 0x0a, 17, 0x0a, 1, b'x', 0x12, 12, 0x12, 10];
        wire.extend(list);
        assert_eq!(read(wire.into()).unwrap().get("x"), Some(Values::Floats(&[1.0, 2.0])));
    }

    #[test]
    fn of_two_that_follow_each_other_the_later_ones_features_win() {
        let context = bytes(&[("a", floats(&[1.0])), ("b", floats(&[2.0, 2.0]))]);
        let own = bytes(&[("b", floats(&[3.0])), ("c", floats(&[4.0]))]);
        let example = read([context, own].concat().into()).unwrap();
        assert_eq!(example.len(), 3);
        assert_eq!(example.get("a"), Some(Values::Floats(&[1.0])));
        assert_eq!(example.get("b"), Some(Values::Floats(&[3.0])));
    }

    #[test]
    fn what_is_none_is_refused() {
        let error = read(Bytes::from_static(b"\x0a\xff")).unwrap_err().to_string();
        assert!(error.starts_with("cannot be read as a tf.Example: "), "{error}");
        let long = limits::EXAMPLE_BYTES_MAX + 1;
        assert_eq!(read(vec![0; long].into()), Err(ExampleError::TooLong(long)));
        // A name has to be text.
        assert!(read(Bytes::from_static(b"\x0a\x05\x0a\x03\x0a\x01\xff")).is_err());
    }
}
