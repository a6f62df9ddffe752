//! What encoders learned of each column: its categories, and which of them are rare.
//!
//! A missing value is a category like others. A text column of a request has no missing
//! values, so the text that Python prints for one stands for it: `nan`, `None`, `<NA>`.

use std::collections::HashMap;

use bytes::Bytes;

use crate::engines::sklearn::ModelError;
use crate::engines::sklearn::labels::{Labels, as_texts, python_float, python_repr};
use crate::engines::sklearn::samples::{Column, Kind, parse_number};
use crate::engines::sklearn::state::Part;
use crate::formats::pickle::{DTypeKind, Ref, View};
use crate::limits;
use crate::servable::RunError;

/// The text for the class of rare categories in the inverse of a transform.
const INFREQUENT: &str = "infrequent_sklearn";

/// The categories of one column, in the order of their codes.
#[derive(Debug)]
pub(super) struct Categories {
    keys: Keys,
    /// The same as the inverse gives them.
    labels: Labels,
    /// Whether numpy holds them as Python's objects.
    objects: bool,
    /// Whether the last one is NaN.
    ends_with_nan: bool,
}

/// How a value finds its place among the categories.
#[derive(Debug)]
enum Keys {
    /// Numbers in rising order with their places; the place of NaN.
    Numbers {
        rising: Vec<(f64, usize)>,
        nan: Option<usize>,
    },
    Texts(HashMap<Bytes, usize>),
}

/// The categories of a column that were seen too rarely to have a code each.
#[derive(Debug)]
pub(super) struct Rare {
    /// Which these are, rising; at least one.
    pub(super) places: Vec<usize>,
    /// The code of each category that is grouped at all.
    pub(super) codes: Vec<usize>,
}

/// Reads the attribute `categories_`.
pub(super) fn read(part: &Part<'_>) -> Result<Vec<Categories>, ModelError> {
    const NAME: &str = "categories_";
    let columns = part.list(NAME)?;
    if columns.is_empty() {
        return Err(part.refuse(NAME, "is empty; expected the categories of at least one column"));
    }
    columns.into_iter().map(|column| Categories::of(part, NAME, column)).collect()
}

impl Categories {
    fn of<'a>(part: &Part<'a>, name: &'static str, value: Ref<'a>) -> Result<Self, ModelError> {
        let objects = value.array().filter(|array| matches!(array.dtype().kind(), DTypeKind::Object));
        let Some(objects) = objects else {
            return Self::new(part, name, part.labels_of(name, value)?, false);
        };
        let items = || objects.objects(value.document()).into_iter().flatten();
        let is_missing = |item: Ref<'_>| match item.view() {
            View::None => true,
            View::Float(number) => number.is_nan(),
            View::Global(global) => global.name == "NA",
            _ => false,
        };
        if items().all(|item| item.to_str().is_none()) && items().all(|item| item.as_f64().is_some()) {
            part.pay_again(name, objects.len().saturating_mul(8))?;
            let mixed = |_| items().filter_map(Ref::as_f64).collect();
            let labels = part.labels_of(name, value).unwrap_or_else(|error| Labels::Floats(mixed(error)));
            return Self::new(part, name, labels, true);
        }
        let text = |item: Ref<'a>| match item.view() {
            View::None => Some("None".into()),
            View::Float(number) if number.is_nan() => Some("nan".into()),
            View::Global(_) if is_missing(item) => Some("<NA>".into()),
            _ => item.to_str(),
        };
        let texts: Option<Vec<_>> = items().map(text).collect();
        let Some(texts) = texts else {
            return Err(
                part.refuse(name, "mixes text with other categories; expected all text or all numbers")
            );
        };
        for text in &texts {
            part.pay_again(name, text.len())?;
        }
        let ends_with_nan = items().last().is_some_and(|item| matches!(item.view(), View::Float(_)));
        let made = Self::new(part, name, Labels::texts(texts.into_iter()), true)?;
        Ok(Self { ends_with_nan, ..made })
    }

    fn new(part: &Part<'_>, name: &'static str, labels: Labels, objects: bool) -> Result<Self, ModelError> {
        if labels.len() == 0 {
            return Err(part.refuse(name, "has a column without categories"));
        }
        let numbers: Vec<f64> = match &labels {
            #[allow(clippy::cast_precision_loss, reason = "requests are made of doubles")]
            Labels::Ints(labels) => labels.iter().map(|&label| label as f64).collect(),
            Labels::Floats(labels) => labels.clone(),
            Labels::Bools(labels) => labels.iter().map(|&label| f64::from(u8::from(label))).collect(),
            Labels::Texts(texts) => {
                let keys = Keys::Texts(texts.iter().cloned().zip(0..).collect());
                return Ok(Self { keys, labels, objects, ends_with_nan: false });
            }
        };
        let nan = numbers.iter().rposition(|number| number.is_nan());
        let mut rising: Vec<(f64, usize)> =
            numbers.iter().copied().zip(0..).filter(|(n, _)| !n.is_nan()).collect();
        rising.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let ends_with_nan = nan == Some(numbers.len() - 1);
        Ok(Self { keys: Keys::Numbers { rising, nan }, labels, objects, ends_with_nan })
    }

    /// The categories that are one attribute.
    pub(super) fn of_attribute(part: &Part<'_>, name: &'static str) -> Result<Self, ModelError> {
        Self::of(part, name, part.fitted(name)?)
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// What a column of requests holds.
    pub(super) fn kind(&self) -> Kind {
        match self.keys {
            Keys::Numbers { .. } => Kind::Numbers,
            Keys::Texts(_) => Kind::Texts,
        }
    }

    /// The place of a last category that is NaN.
    pub(super) fn missing(&self) -> Option<usize> {
        self.ends_with_nan.then(|| self.len() - 1)
    }

    /// The place of each value of a column; `None` for what was never seen.
    pub(super) fn places(&self, column: &Column) -> Result<Vec<Option<usize>>, RunError> {
        match (&self.keys, column) {
            (Keys::Numbers { .. }, Column::Numbers(values)) => {
                Ok(values.iter().map(|&value| self.place_of_number(value)).collect())
            }
            (Keys::Numbers { .. }, Column::Texts(texts)) => {
                texts.iter().map(|text| Ok(self.place_of_number(parse_number(text)?))).collect()
            }
            (Keys::Texts(places), Column::Texts(texts)) => {
                Ok(texts.iter().map(|text| places.get(text).copied()).collect())
            }
            (Keys::Texts(places), Column::Numbers(values)) => {
                Ok(values.iter().map(|&value| places.get(python_float(value).as_bytes()).copied()).collect())
            }
        }
    }

    fn place_of_number(&self, value: f64) -> Option<usize> {
        let Keys::Numbers { rising, nan } = &self.keys else { return None };
        if value.is_nan() {
            return *nan;
        }
        // Both zeros are one category.
        let at = rising.partition_point(|(category, _)| *category < value);
        rising.get(at).filter(|(category, _)| *category == value).map(|(_, place)| *place)
    }

    /// All of them as text.
    fn texts(&self) -> Vec<Bytes> {
        as_texts(&self.labels.take(0..self.len())).unwrap_or_default()
    }
}

/// scikit-learn's refusal of what was never seen in column `i`.
pub(super) fn unknown(column: &Column, places: &[Option<usize>], i: usize) -> RunError {
    let mut shown: Vec<String> = Vec::new();
    let mut more = false;
    for (row, _) in places.iter().enumerate().filter(|(_, place)| place.is_none()) {
        let value = match column {
            Column::Numbers(values) => python_float(values[row]),
            Column::Texts(texts) => python_repr(&texts[row]),
        };
        if shown.contains(&value) {
            continue;
        }
        if shown.len() == limits::NAMES_IN_MESSAGE_MAX {
            more = true;
            break;
        }
        shown.push(value);
    }
    shown.sort_unstable();
    if more {
        shown.push("...".to_owned());
    }
    RunError::InvalidInput(format!(
        "Found unknown categories [{}] in column {i} during transform",
        shown.join(", ")
    ))
}

/// Reads which categories are rare, column by column. Since scikit-learn 1.1 (of
/// `OrdinalEncoder` 1.3). `missing` categories are never grouped: they come last.
pub(super) fn rare(
    part: &Part<'_>,
    categories: &[Categories],
    missing: &[Option<usize>],
) -> Result<Vec<Option<Rare>>, ModelError> {
    const NAME: &str = "_infrequent_indices";
    if !part.flag("_infrequent_enabled", false)? {
        return Ok(categories.iter().map(|_| None).collect());
    }
    let columns = part.list(NAME)?;
    if columns.len() != categories.len() {
        return Err(part.refuse(
            NAME,
            format!("has {} columns, but categories_ has {}", columns.len(), categories.len()),
        ));
    }
    let mut all = Vec::with_capacity(columns.len());
    for ((column, categories), missing) in columns.into_iter().zip(categories).zip(missing) {
        if column.is_none() {
            all.push(None);
            continue;
        }
        let places = part.indices_of(NAME, column)?;
        let grouped = missing.unwrap_or(categories.len());
        let rising = places.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || places.last().is_none_or(|&last| last >= grouped) {
            return Err(part.refuse(NAME, format!("is no list of rising places among {grouped} categories")));
        }
        let frequent = grouped - places.len();
        let mut next = 0;
        let code = |place: usize| match places.binary_search(&place) {
            Ok(_) => frequent,
            Err(_) => {
                next += 1;
                next - 1
            }
        };
        let codes = (0..grouped).map(code).collect();
        all.push(Some(Rare { places, codes }));
    }
    Ok(all)
}

/// What the inverse of a transform gives: for each column the labels of the codes, and in
/// the last place the label for what no category is.
#[derive(Debug)]
pub(super) struct Inverse {
    pub(super) columns: Vec<Labels>,
}

impl Inverse {
    /// `rare` columns give the frequent categories, then one label for the others;
    /// `nothing` tells that a code may stand for no category, which is Python's `None`.
    pub(super) fn new(categories: &[Categories], rare: &[Option<Rare>], nothing: Nothing) -> Self {
        let objects = categories.iter().any(|column| column.objects || column.kind() == Kind::Texts)
            || rare.iter().any(Option::is_some)
            || nothing == Nothing::Always;
        let all = |wanted: fn(&Labels) -> bool| categories.iter().all(|column| wanted(&column.labels));
        let floats =
            nothing == Nothing::Sometimes || categories.iter().any(|c| matches!(c.labels, Labels::Floats(_)));
        let bools = all(|labels| matches!(labels, Labels::Bools(_))) && !floats;
        let column = |(categories, rare): (&Categories, &Option<Rare>)| {
            let kept = || {
                (0..categories.len())
                    .filter(|i| rare.as_ref().is_none_or(|r| r.places.binary_search(i).is_err()))
            };
            if objects {
                let texts = categories.texts();
                let mut kept: Vec<Bytes> = kept().map(|i| texts[i].clone()).collect();
                if rare.is_some() {
                    kept.push(Bytes::from_static(INFREQUENT.as_bytes()));
                }
                kept.push(Bytes::from_static(b"None"));
                return Labels::Texts(kept);
            }
            match &categories.labels {
                Labels::Bools(labels) if bools => {
                    Labels::Bools(labels.iter().copied().chain([false]).collect())
                }
                #[allow(clippy::cast_precision_loss, reason = "as numpy's common type does")]
                Labels::Ints(labels) if floats => {
                    Labels::Floats(labels.iter().map(|&label| label as f64).chain([f64::NAN]).collect())
                }
                Labels::Ints(labels) => Labels::Ints(labels.iter().copied().chain([0]).collect()),
                Labels::Bools(labels) if floats => Labels::Floats(
                    labels.iter().map(|&label| f64::from(u8::from(label))).chain([f64::NAN]).collect(),
                ),
                Labels::Bools(labels) => {
                    Labels::Ints(labels.iter().map(|&label| i64::from(label)).chain([0]).collect())
                }
                Labels::Floats(labels) => Labels::Floats(labels.iter().copied().chain([f64::NAN]).collect()),
                Labels::Texts(labels) => Labels::Texts(labels.clone()),
            }
        };
        Self { columns: categories.iter().zip(rare).map(column).collect() }
    }

    /// The place of the label for no category.
    pub(super) fn nothing(&self, i: usize) -> usize {
        self.columns[i].len() - 1
    }
}

/// Whether the inverse of a transform may find no category for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nothing {
    Never,
    /// Numbers stay numbers, and NaN stands for it.
    Sometimes,
    /// scikit-learn makes objects of all categories, whether there is such a code or not.
    Always,
}
