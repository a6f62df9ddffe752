//! The labels that classifiers answer with.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;

use crate::formats::pickle::Ref;
use crate::tensor::{DType, Elements};

/// Where `LabelBinarizer` lives, and lived until 0.21.
pub(super) const BINARIZERS: [&str; 2] = ["sklearn.preprocessing._label", "sklearn.preprocessing.label"];

/// One label per class, in the order of the classifier's scores. Source: the
/// attribute `classes_`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Labels {
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
    Texts(Vec<Bytes>),
}

impl Labels {
    pub(super) fn texts<'a>(texts: impl Iterator<Item = Cow<'a, str>>) -> Self {
        Self::Texts(texts.map(|text| Bytes::from(text.into_owned())).collect())
    }

    /// How many classes there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ints(labels) => labels.len(),
            Self::Floats(labels) => labels.len(),
            Self::Bools(labels) => labels.len(),
            Self::Texts(labels) => labels.len(),
        }
    }

    /// The place of a label, which is appended when it is none of them yet; `None` for one
    /// of another kind.
    pub(super) fn place_or_push(&mut self, label: Ref<'_>) -> Option<usize> {
        macro_rules! place {
            ($labels:ident, $label:expr) => {{
                let label = $label;
                let known = $labels.iter().position(|other| *other == label);
                known.unwrap_or_else(|| {
                    $labels.push(label);
                    $labels.len() - 1
                })
            }};
        }
        Some(match self {
            Self::Ints(labels) => place!(labels, label.as_i64()?),
            Self::Floats(labels) => place!(labels, label.as_f64()?),
            Self::Bools(labels) => place!(labels, label.as_bool()?),
            Self::Texts(labels) => place!(labels, Bytes::from(label.to_str()?.into_owned())),
        })
    }

    /// What a tensor of labels holds.
    pub(super) fn dtype(&self) -> DType {
        match self {
            Self::Ints(_) => DType::Int64,
            Self::Floats(_) => DType::Double,
            Self::Bools(_) => DType::Bool,
            Self::Texts(_) => DType::String,
        }
    }

    /// The labels at these places, each below [`Labels::len`].
    pub(super) fn take(&self, places: impl Iterator<Item = usize>) -> Elements {
        match self {
            Self::Ints(labels) => places.map(|i| labels[i]).collect::<Vec<_>>().into(),
            Self::Floats(labels) => places.map(|i| labels[i]).collect::<Vec<_>>().into(),
            Self::Bools(labels) => places.map(|i| labels[i]).collect::<Vec<_>>().into(),
            Self::Texts(labels) => places.map(|i| labels[i].clone()).collect::<Vec<_>>().into(),
        }
    }

    /// The labels of several outputs side by side: `places` holds one place per
    /// output for each row. The outputs' labels are of one kind.
    pub(super) fn take_each(outputs: &[Self], places: &[usize]) -> Elements {
        let each = || outputs.iter().cycle().zip(places);
        macro_rules! of {
            ($kind:ident) => {
                each()
                    .filter_map(|(labels, &i)| match labels {
                        Self::$kind(labels) => labels.get(i).cloned(),
                        _ => None,
                    })
                    .collect::<Vec<_>>()
                    .into()
            };
        }
        match outputs.first() {
            None | Some(Self::Ints(_)) => of!(Ints),
            Some(Self::Floats(_)) => of!(Floats),
            Some(Self::Bools(_)) => of!(Bools),
            Some(Self::Texts(_)) => of!(Texts),
        }
    }

    /// The place of each of these labels; `None` for one that is not there.
    pub(super) fn places(&self, elements: &Elements) -> Vec<Option<usize>> {
        match (self, elements) {
            (Self::Ints(labels), Elements::I64(given)) => {
                given.iter().map(|given| labels.iter().position(|label| label == given)).collect()
            }
            (Self::Floats(labels), Elements::F64(given)) => {
                given.iter().map(|given| labels.iter().position(|label| label == given)).collect()
            }
            (Self::Bools(labels), Elements::Bool(given)) => {
                given.iter().map(|&given| labels.iter().position(|&label| u8::from(label) == given)).collect()
            }
            (Self::Texts(labels), Elements::Strings(given)) => {
                given.iter().map(|given| labels.iter().position(|label| label == given)).collect()
            }
            _ => vec![None; elements.len()],
        }
    }
}

/// Labels as text, as Python's `str` prints them; `None` for what no label is made of.
pub(super) fn as_texts(labels: &Elements) -> Option<Vec<Bytes>> {
    Some(match labels {
        Elements::I64(labels) => labels.iter().map(|label| label.to_string().into()).collect(),
        Elements::F64(labels) => labels.iter().map(|&label| python_float(label).into()).collect(),
        Elements::Bool(labels) => {
            let text = |&label: &u8| Bytes::from_static(if label == 0 { b"False" } else { b"True" });
            labels.iter().map(text).collect()
        }
        Elements::Strings(labels) => labels.clone(),
        _ => return None,
    })
}

/// Both languages print the shortest digits that read back the same, and turn to
/// exponents at the same sizes, but Python writes those with sign and two digits.
pub(super) fn python_float(value: f64) -> String {
    let text = if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") };
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |below| ('-', below));
    let mut python = format!("{digits}e{sign}");
    let _ = write!(python, "{exponent:0>2}");
    python
}

/// As Python's `repr` shows a text in an error message: quoted, and what cannot be seen
/// escaped. Of a longer one 64 characters are shown.
pub(super) fn python_repr(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for letter in text.chars().take(64) {
        match letter {
            _ if letter == quote => shown.extend(['\\', letter]),
            '\'' | '"' => shown.push(letter),
            _ => shown.extend(letter.escape_debug()),
        }
    }
    if text.chars().nth(64).is_some() {
        shown.push('…');
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_as_python_prints_them() {
        let read = |labels: Labels| as_texts(&labels.take(0..labels.len())).unwrap();
        assert_eq!(read(Labels::Ints(vec![-3, 0, i64::MAX])), ["-3", "0", "9223372036854775807"]);
        assert_eq!(read(Labels::Bools(vec![false, true])), ["False", "True"]);
        assert_eq!(read(Labels::texts(["é", ""].into_iter().map(Cow::from))), ["é", ""]);
        let floats = [
            (1.0, "1.0"),
            (-0.5, "-0.5"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.25e-10, "1.25e-10"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in floats {
            assert_eq!(read(Labels::Floats(vec![value])), [text]);
        }
        assert_eq!(as_texts(&vec![1f32].into()), None);
    }

    #[test]
    fn texts_are_shown_as_python_shows_them() {
        for (text, shown) in [
            ("x", "'x'"),
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("a\nb\\", "'a\\nb\\\\'"),
            ("naïve", "'naïve'"),
        ] {
            assert_eq!(python_repr(text.as_bytes()), shown);
        }
        assert_eq!(python_repr(&[b'y'; 70]).chars().count(), 64 + 3);
    }
}
