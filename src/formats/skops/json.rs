//! JSON with its keys in the file's order, which `serde_json::Value` forgets.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::error::Problem;
use crate::limits;

/// A JSON value.
#[derive(Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Of integers, those that do not fit.
    Float(f64),
    Str(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Map(Map<'a>),
}

/// Keys and values in the file's order. A key may be there twice; the later one counts.
#[derive(Debug, PartialEq)]
pub(super) struct Map<'a>(pub(super) Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Map<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.0.iter().rfind(|(known, _)| known == key).map(|(_, value)| value)
    }
}

impl Json<'_> {
    /// For messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Str(text) => format!("'{}'", crate::formats::pickle::clip(text)),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Map(map) => format!("an object of {}", map.0.len()),
        }
    }
}

/// Reads one JSON text.
pub(super) fn read(text: &[u8]) -> Result<Json<'_>, Problem> {
    let left = Cell::new(limits::SKOPS_JSON_VALUES_MAX);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = Seed { left: &left }.deserialize(&mut reader).and_then(|json| reader.end().map(|()| json));
    read.map_err(|error| Problem::Json(error.to_string()))
}

/// What reads one value, and counts it.
#[derive(Clone, Copy)]
struct Seed<'c> {
    left: &'c Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            let max = limits::SKOPS_JSON_VALUES_MAX;
            return Err(D::Error::custom(format_args!("it has more than {max} values")));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        #[allow(clippy::cast_precision_loss, reason = "documented: what does not fit is a float")]
        Ok(i64::try_from(value).map_or(Json::Float(value as f64), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Str(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Str(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(self)? {
            // Keys of JSON are texts.
            let Json::Str(key) = key else { return Err(A::Error::custom("a key that is no text")) };
            entries.push((key, map.next_value_seed(self)?));
        }
        Ok(Json::Map(Map(entries)))
    }
}
