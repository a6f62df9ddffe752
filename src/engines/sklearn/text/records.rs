//! `DictVectorizer` and `FeatureHasher`: records of names and values, of which a column of
//! text holds one in each row, as JSON.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::count::{Vocabulary, vocabulary};
use super::hashing::Hasher;
use super::{entries_of, texts};
use crate::engines::sklearn::attributes::Answers;
use crate::engines::sklearn::json_rows::{JsonRows, read, unexpected};
use crate::engines::sklearn::samples::{Csr, Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, answer, bounded,
};
use crate::servable::RunError;
use crate::tensor::Tensor;

const OBJECT: &str = r#"a JSON object of names and values, such as {"city": "Oslo", "rooms": 3}"#;
const PAIRS: &str = r#"a JSON list of pairs, such as [["city", "Oslo"], ["rooms", 3]]"#;
const NAMES: &str = r#"a JSON list of texts, such as ["red", "large"]"#;

#[derive(Debug)]
struct Records {
    facts: Facts,
    how: How,
    answers: Answers,
    /// Single precision.
    single: bool,
}

#[derive(Debug)]
enum How {
    /// Each name, or name and text, has a column.
    Known { vocabulary: Vocabulary, separator: String },
    /// The hash of each is its column.
    Hashed { hasher: Hasher, of: Of },
}

/// What a record is.
#[derive(Debug, Clone, Copy)]
enum Of {
    Object,
    Pairs,
    Names,
}

/// Source: `sklearn.feature_extraction.DictVectorizer`.
pub(super) fn build_dict(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let vocabulary = vocabulary(part)?;
    let separator = part.text("separator")?.map_or_else(|| "=".to_owned(), |text| text.into_owned());
    build(part, vocabulary.terms.len(), How::Known { vocabulary, separator })
}

/// Source: `sklearn.feature_extraction.FeatureHasher`.
pub(super) fn build_hasher(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let hasher = Hasher::read(part)?;
    let of = match part.one_of("input_type", "dict", &["dict", "pair", "string"])? {
        "pair" => Of::Pairs,
        "string" => Of::Names,
        _ => Of::Object,
    };
    build(part, hasher.width(), How::Hashed { hasher, of })
}

fn build(part: &Part<'_>, width: usize, how: How) -> Result<Box<dyn Estimator>, ModelError> {
    let answers = part.answers("dtype")?;
    let mut methods = vec![Spec::new(Method::Transform, answers.dtype(), Gives::Columns(width))];
    if let How::Known { .. } = how {
        methods.push(Spec::inverse_into_json(width));
    }
    let facts = Facts::new(part, 1, Check::Width, methods)?.taking(Input::Texts);
    Ok(Box::new(Records { facts, how, answers, single: part.is_single("dtype") }))
}

/// The number that a value is to Python.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}

impl Records {
    fn width(&self) -> usize {
        match &self.how {
            How::Known { vocabulary, .. } => vocabulary.terms.len(),
            How::Hashed { hasher, .. } => hasher.width(),
        }
    }

    fn vectorize(&self, x: &Samples<'_>) -> Result<Csr, RunError> {
        let mut rows = Csr::new(self.width());
        let mut entries = Vec::new();
        for (i, text) in texts(x, self.facts.class)?.iter().enumerate() {
            entries.clear();
            match &self.how {
                How::Known { vocabulary, separator } => {
                    known(text, i, &vocabulary.columns, separator, &mut entries)?;
                }
                How::Hashed { hasher, of } => hashed(text, i, *hasher, *of, &mut entries)?,
            }
            Hasher::push_row(&mut rows, &mut entries);
        }
        if self.single {
            #[allow(clippy::cast_possible_truncation, reason = "as scikit-learn's arrays do")]
            rows.values_mut().iter_mut().for_each(|value| *value = f64::from(*value as f32));
        }
        Ok(rows)
    }
}

/// Source: `DictVectorizer._transform`. What was not fitted is left out.
fn known(
    text: &Bytes,
    i: usize,
    columns: &HashMap<Arc<str>, u32>,
    separator: &str,
    entries: &mut Vec<(u32, f64)>,
) -> Result<(), RunError> {
    let Value::Object(record) = read(text, i, OBJECT)? else { return Err(unexpected(text, i, OBJECT)) };
    for (name, value) in &record {
        let mut add = |name: &str, value| entries.extend(columns.get(name).map(|&column| (column, value)));
        let one_of = |text: &str| format!("{name}{separator}{text}");
        match value {
            Value::Null => add(name, f64::NAN),
            Value::Bool(_) | Value::Number(_) => add(name, number(value).unwrap_or(f64::NAN)),
            Value::String(text) => add(&one_of(text), 1.0),
            Value::Array(texts) => {
                for value in texts {
                    let Value::String(text) = value else {
                        return Err(unsupported(
                            i,
                            name,
                            "in an iterable; only iterables of string are supported",
                        ));
                    };
                    add(&one_of(text), 1.0);
                }
            }
            Value::Object(_) => return Err(unsupported(i, name, "; dict objects are not supported")),
        }
    }
    Ok(())
}

/// Source: `sklearn.feature_extraction._hashing_fast.transform`.
fn hashed(
    text: &Bytes,
    i: usize,
    hasher: Hasher,
    of: Of,
    entries: &mut Vec<(u32, f64)>,
) -> Result<(), RunError> {
    let mut add = |name: &str, value: &Value| {
        let (name, value) = match value {
            Value::String(text) => (format!("{name}={text}"), 1.0),
            value => {
                let wrong = || unsupported(i, name, "; numbers and texts are");
                (name.to_owned(), number(value).ok_or_else(wrong)?)
            }
        };
        if value != 0.0 {
            entries.push(hasher.place(name.as_bytes(), value));
        }
        Ok(())
    };
    match (of, read(text, i, of.expected())?) {
        (Of::Object, Value::Object(record)) => record.iter().try_for_each(|(name, value)| add(name, value)),
        (Of::Pairs, Value::Array(pairs)) => {
            pairs.iter().try_for_each(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([Value::String(name), value]) => add(name, value),
                _ => Err(unexpected(text, i, PAIRS)),
            })
        }
        (Of::Names, Value::Array(names)) => {
            let one = Value::from(1);
            names.iter().try_for_each(|name| match name {
                Value::String(name) => add(name, &one),
                _ => Err(unexpected(text, i, NAMES)),
            })
        }
        _ => Err(unexpected(text, i, of.expected())),
    }
}

impl Of {
    fn expected(self) -> &'static str {
        match self {
            Self::Object => OBJECT,
            Self::Pairs => PAIRS,
            Self::Names => NAMES,
        }
    }
}

fn unsupported(i: usize, name: &str, why: &str) -> RunError {
    let name: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    RunError::InvalidInput(format!("sample {i} has an unsupported value type for {name}{why}"))
}

impl Estimator for Records {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        if let (How::Known { vocabulary, .. }, [Method::InverseTransform]) = (&self.how, wanted) {
            let mut rows = JsonRows::new(self.facts.class);
            for row in entries_of(x)? {
                rows.push_object(row.iter().map(|&(column, value)| (&*vocabulary.terms[column], value)))?;
            }
            answers.push(rows.into_tensor()?);
            return Ok(());
        }
        let rows = self.vectorize(&x)?;
        for _ in wanted {
            bounded(self.facts.class, rows.rows(), rows.width())?;
            let dense = rows.dense(0..rows.rows()).into_raw_vec_and_offset().0;
            answers.push(answer(rows.rows(), Some(rows.width()), self.answers.of(dense))?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        self.vectorize(&x).map(Frame::Sparse)
    }
}
