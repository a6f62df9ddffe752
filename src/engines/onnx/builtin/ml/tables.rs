//! Look-ups: `LabelEncoder`, `CategoryMapper`, `OneHotEncoder`.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::elements::pick;
use super::super::numbers::{Wide, doubles, wide};
use super::super::op::{Built, Node, made, one, op, shape};
use super::super::registry::{ML, Row, row_in};
use super::labels::Labels;
use crate::tensor::{Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row_in(ML, "CategoryMapper", 1, category_mapper),
    row_in(ML, "LabelEncoder", 1, label_encoder_1),
    row_in(ML, "LabelEncoder", 2, label_encoder),
    row_in(ML, "OneHotEncoder", 1, one_hot),
];

/// What is looked for, with its place.
enum Keys {
    Ints(HashMap<i64, usize>),
    /// By their bits as doubles: NaN is a key too, and -0 is 0.
    Floats(HashMap<u64, usize>),
    Strings(HashMap<Bytes, usize>),
}

/// The bits by which a number is found.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

impl Keys {
    fn new(keys: &Elements) -> Result<Self, String> {
        // The first of equal keys counts.
        fn places<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
            let mut places = HashMap::new();
            keys.enumerate().for_each(|(at, key)| _ = places.entry(key).or_insert(at));
            places
        }
        if let Elements::Strings(keys) = keys {
            return Ok(Self::Strings(places(keys.iter().cloned())));
        }
        if let Elements::Bool(keys) = keys {
            return Ok(Self::Ints(places(keys.iter().map(|&key| key.into()))));
        }
        Ok(match wide(keys)? {
            Wide::I64(keys) => Self::Ints(places(keys.iter().copied())),
            _ => Self::Floats(places(doubles(keys)?.iter().map(|&key| bits(key)))),
        })
    }

    /// The place of each element; `missing` for what is not there.
    fn find(&self, x: &Elements, missing: usize) -> Result<Vec<usize>, String> {
        let or = |place: Option<&usize>| place.copied().unwrap_or(missing);
        match (self, x) {
            (Self::Strings(keys), Elements::Strings(x)) => Ok(x.iter().map(|x| or(keys.get(x))).collect()),
            (Self::Ints(keys), Elements::Bool(x)) => Ok(x.iter().map(|&x| or(keys.get(&x.into()))).collect()),
            (Self::Strings(_), other) | (_, other @ Elements::Strings(_)) => {
                Err(format!("input 0 is of {}; the keys are of another kind", other.dtype()))
            }
            (Self::Ints(keys), x) => match wide(x)? {
                Wide::I64(x) => Ok(x.iter().map(|x| or(keys.get(x))).collect()),
                _ => Err(format!("input 0 is of {}; the keys are integers", x.dtype())),
            },
            (Self::Floats(keys), x) => Ok(doubles(x)?.iter().map(|&x| or(keys.get(&bits(x)))).collect()),
        }
    }
}

/// Keys to values, the default behind the last.
struct Table {
    keys: Keys,
    values: Elements,
}

impl Table {
    fn map(&self, x: &Tensor) -> Result<Tensor, String> {
        let missing = self.values.len() - 1;
        let places = self.keys.find(x.elements(), missing)?;
        made(x.shape().iter().copied(), pick(&self.values, places.into_iter().map(Some)))
    }
}

/// The values with the default behind them.
fn with_default(values: Elements, default: &Elements) -> Result<Elements, String> {
    let row = |elements: Elements| Tensor::vector(elements);
    crate::tensor::concat_rows(&[row(values), row(default.clone())])
        .map(Tensor::into_elements)
        .map_err(|error| format!("the default is of another kind than the values: {error}"))
}

/// The two ways of a list of classes: texts to their numbers, and back.
fn label_encoder_1(node: &mut Node<'_>) -> Built {
    let classes = node.required("classes_strings", node.attributes.strings("classes_strings"))?;
    let numbers: Vec<i64> = (0i64..).take(classes.len()).collect();
    two_ways(node, classes.to_vec(), numbers)
}

fn category_mapper(node: &mut Node<'_>) -> Built {
    let texts = node.required("cats_strings", node.attributes.strings("cats_strings"))?;
    let numbers = node.required("cats_int64s", node.attributes.ints("cats_int64s"))?;
    if texts.len() != numbers.len() {
        return Err(format!("it has {} texts and {} numbers", texts.len(), numbers.len()));
    }
    two_ways(node, texts.to_vec(), numbers.to_vec())
}

fn two_ways(node: &Node<'_>, texts: Vec<Bytes>, numbers: Vec<i64>) -> Built {
    let default_int = node.attributes.int("default_int64")?.unwrap_or(-1);
    let default_text = node.attributes.bytes("default_string")?.unwrap_or(Bytes::from_static(b"_Unused"));
    let (texts, numbers) = (Elements::from(texts), Elements::from(numbers));
    let (from_text, from_number) = (Keys::new(&texts)?, Keys::new(&numbers)?);
    let to_number = Table { keys: from_text, values: with_default(numbers, &vec![default_int].into())? };
    let to_text = Table { keys: from_number, values: with_default(texts, &vec![default_text].into())? };
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let table = if matches!(x.elements(), Elements::Strings(_)) { &to_number } else { &to_text };
        one(table.map(x)?)
    })
}

fn label_encoder(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let list = |side: &str| -> Result<Elements, String> {
        if let Some(tensor) = attributes.tensor(&format!("{side}_tensor"))? {
            return Ok(tensor.into_elements());
        }
        let lists = [
            attributes.strings(&format!("{side}_strings"))?.map(|list| list.to_vec().into()),
            attributes.ints(&format!("{side}_int64s"))?.map(|list| list.to_vec().into()),
            attributes.floats(&format!("{side}_floats"))?.map(|list| list.to_vec().into()),
        ];
        let mut there = lists.into_iter().flatten().filter(|list: &Elements| !list.is_empty());
        match (there.next(), there.next()) {
            (Some(list), None) => Ok(list),
            _ => Err(format!("expected one list of {side}")),
        }
    };
    let (keys, values) = (list("keys")?, list("values")?);
    if keys.len() != values.len() {
        return Err(format!("it has {} keys and {} values", keys.len(), values.len()));
    }
    let default_text = attributes.bytes("default_string")?.unwrap_or(Bytes::from_static(b"_Unused"));
    let default_int = attributes.int("default_int64")?.unwrap_or(-1);
    let default_float = attributes.float("default_float")?.unwrap_or(-0.0);
    let default = match attributes.tensor("default_tensor")? {
        Some(tensor) => tensor.into_elements(),
        None => match &values {
            Elements::Strings(_) => vec![default_text].into(),
            Elements::F32(_) => vec![default_float].into(),
            Elements::F64(_) => vec![f64::from(default_float)].into(),
            Elements::I16(_) => vec![-1i16].into(),
            Elements::I32(_) => vec![-1i32].into(),
            Elements::I64(_) => vec![default_int].into(),
            other => return Err(format!("values of {} need a default_tensor", other.dtype())),
        },
    };
    if default.len() != 1 {
        return Err("default_tensor has more or less than one element".to_owned());
    }
    let table = Table { keys: Keys::new(&keys)?, values: with_default(values, &default)? };
    op(move |inputs| one(table.map(inputs.tensor(0)?)?))
}

/// 1 in the column of the category, 0 in all others.
fn one_hot(node: &mut Node<'_>) -> Built {
    let categories = Labels::read(&node.attributes, "cats_int64s", "cats_strings")?;
    let categories = categories.ok_or("it has no categories")?;
    let zeros = node.attributes.flag("zeros", true)?;
    let many = categories.len();
    let keys = Keys::new(&categories.elements())?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let whole = shape(x.shape().iter().copied().chain([many]))?;
        let places = match (&keys, x.elements()) {
            (Keys::Ints(_), Elements::F32(_) | Elements::F64(_)) => {
                #[allow(
                    clippy::cast_possible_truncation,
                    reason = "categories are integers, and numbers are cut to these"
                )]
                let cut: Vec<i64> = doubles(x.elements())?.iter().map(|&x| x as i64).collect();
                keys.find(&cut.into(), many)?
            }
            (_, elements) => keys.find(elements, many)?,
        };
        let mut values = vec![0f32; whole.elements()];
        for (row, place) in places.into_iter().enumerate() {
            if place < many {
                values[row * many + place] = 1.0;
            } else if !zeros {
                return Err("an element is none of the categories".to_owned());
            }
        }
        one(made(whole.iter().copied(), values)?)
    })
}
