//! Maps: `ZipMap`, `CastMap`, `DictVectorizer`.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::super::backend::Value;
use super::super::op::{Built, Node, made, one, op, shape, size};
use super::super::registry::{ML, Row, row_in};
use super::labels::Labels;
use crate::tensor::{DType, Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row_in(ML, "ZipMap", 1, zip_map),
    row_in(ML, "CastMap", 1, cast_map),
    row_in(ML, "DictVectorizer", 1, dict_vectorizer),
];

/// A row of numbers becomes a map from labels. Keys ascend, as those of onnxruntime's maps.
fn zip_map(node: &mut Node<'_>) -> Built {
    let labels = Labels::read(&node.attributes, "classlabels_int64s", "classlabels_strings")?;
    let labels = labels.ok_or("it has no class labels")?;
    let width = labels.len();
    let mut order: Vec<usize> = (0..width).collect();
    match &labels {
        Labels::Ints(list) => order.sort_by_key(|&at| list[at]),
        Labels::Strings(list) => order.sort_by(|&a, &b| list[a].cmp(&list[b])),
    }
    let is_sorted = order.iter().enumerate().all(|(at, from)| at == *from);
    let keys = labels.at(order.iter().copied());
    op(move |mut inputs| {
        let x = inputs.take(0)?;
        let rows = match **x.shape() {
            [found] if found == width => 1,
            [rows, found] if found == width => rows,
            _ => {
                return Err(format!(
                    "input 0 has shape {}; expected {width} columns, one for each label",
                    x.shape()
                ));
            }
        };
        let values = x.into_elements();
        let values = if is_sorted {
            values
        } else {
            let from = (0..rows).flat_map(|row| order.iter().map(move |&at| Some(row * width + at)));
            super::super::elements::pick(&values, from)
        };
        one(Value::Table { keys: keys.clone(), values: made([rows, width], values)? })
    })
}

/// A map as its keys and values. A table of one row is one too.
fn map_of(value: Option<Value>) -> Result<(Elements, Elements), String> {
    match value {
        Some(Value::Map { keys, values }) => Ok((keys, values)),
        Some(Value::Table { keys, values }) if values.shape().first() == Some(&1) => {
            Ok((keys, values.into_elements()))
        }
        _ => Err("input 0 is no map".to_owned()),
    }
}

/// The values of a map in the order of their keys, dense or at the places that the keys are.
fn cast_map(node: &mut Node<'_>) -> Built {
    let to = match node.attributes.text("cast_to")? {
        None | Some("TO_FLOAT") => DType::Float,
        Some("TO_INT64") => DType::Int64,
        Some("TO_STRING") => DType::String,
        Some(other) => return Err(format!("cast_to {other:?} is none that is known")),
    };
    let is_sparse = match node.attributes.text("map_form")? {
        None | Some("DENSE") => false,
        Some("SPARSE") => true,
        Some(other) => return Err(format!("map_form {other:?} is none that is known")),
    };
    let most = node.attributes.int("max_map")?.unwrap_or(1);
    let most = if is_sparse { size(most, "max_map")? } else { 0 };
    op(move |mut inputs| {
        let (keys, values) = map_of(inputs.take_value(0))?;
        let Elements::I64(keys) = keys else { return Err("its keys are not integers".to_owned()) };
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|&at| keys[at]);
        let values = super::super::ops::cast::cast(&Tensor::vector(values), to)?.into_elements();
        if !is_sparse {
            let many = keys.len();
            return one(made([1, many], super::super::elements::pick(&values, order.into_iter().map(Some)))?);
        }
        shape([1, most])?;
        let mut places = vec![None; most];
        for at in order {
            let key = size(keys[at], "a key")?;
            *places.get_mut(key).ok_or_else(|| format!("key {key} is past max_map, {most}"))? = Some(at);
        }
        one(made([1, most], super::super::elements::pick(&values, places.into_iter()))?)
    })
}

/// The values of a map at the places that a vocabulary gives their keys.
fn dict_vectorizer(node: &mut Node<'_>) -> Built {
    let words = Labels::read(&node.attributes, "int64_vocabulary", "string_vocabulary")?;
    let words = words.ok_or("it has no vocabulary")?;
    let width = words.len();
    let (mut ints, mut strings): (HashMap<i64, usize>, HashMap<Bytes, usize>) = Default::default();
    match words {
        Labels::Ints(list) => ints.extend(list.into_iter().zip(0..)),
        Labels::Strings(list) => strings.extend(list.into_iter().zip(0..)),
    }
    op(move |mut inputs| {
        let (keys, values) = map_of(inputs.take_value(0))?;
        let mut places = vec![None; width];
        match keys {
            Elements::I64(keys) => {
                keys.iter()
                    .enumerate()
                    .filter_map(|(at, key)| Some((at, *ints.get(key)?)))
                    .for_each(|(at, place)| places[place] = Some(at));
            }
            Elements::Strings(keys) => {
                keys.iter()
                    .enumerate()
                    .filter_map(|(at, key)| Some((at, *strings.get(key)?)))
                    .for_each(|(at, place)| places[place] = Some(at));
            }
            other => return Err(format!("its keys are {}; expected integers or texts", other.dtype())),
        }
        one(made([1, width], super::super::elements::pick(&values, places.into_iter()))?)
    })
}
