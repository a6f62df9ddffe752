//! Encoders of targets: `LabelEncoder`, `LabelBinarizer` and `MultiLabelBinarizer`.

use ndarray::ArrayView2;
use serde_json::Value;

use super::categories::Categories;
use crate::engines::sklearn::json_rows::{JsonRows, read, unexpected};
use crate::engines::sklearn::labels::{Labels, python_float, python_repr};
use crate::engines::sklearn::math::argmax;
use crate::engines::sklearn::samples::{Column, Kind, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, Takes, answer, bounded, flat,
};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const LIST: &str = r#"a JSON list of labels, such as ["red", "large"]"#;

#[derive(Debug)]
struct Encoder {
    facts: Facts,
    classes: Categories,
    labels: Labels,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// The place of a label.
    Place,
    /// `high` in the column of the label, `low` in the others.
    Columns { low: i64, high: i64 },
    /// The same in one column, which is that of the second label.
    OneColumn { low: i64, high: i64 },
    /// Indicators of several labels stay such.
    Indicators { low: i64, high: i64 },
    /// 1 in the column of each label of a list.
    Lists,
}

/// Source: `sklearn.preprocessing.LabelEncoder`.
pub(super) fn build_encoder(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build(part, How::Place)
}

/// Source: `sklearn.preprocessing.LabelBinarizer`.
pub(super) fn build_binarizer(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let whole = |name, default: i64| {
        let Some(value) = part.attr(name) else { return Ok(default) };
        value.as_i64().ok_or_else(|| part.unexpected(name, value, "a whole number"))
    };
    let (low, high) = (whole("neg_label", 0)?, whole("pos_label", 1)?);
    if low >= high {
        return Err(part.refuse("neg_label", format!("is {low}, which is not less than pos_label, {high}")));
    }
    let kinds = &["binary", "multiclass", "multilabel-indicator"];
    build(
        part,
        match part.one_of("y_type_", "multiclass", kinds)? {
            "binary" => How::OneColumn { low, high },
            "multiclass" => How::Columns { low, high },
            _ => How::Indicators { low, high },
        },
    )
}

/// Source: `sklearn.preprocessing.MultiLabelBinarizer`.
pub(super) fn build_lists(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build(part, How::Lists)
}

fn build(part: &Part<'_>, how: How) -> Result<Box<dyn Estimator>, ModelError> {
    let classes = Categories::of_attribute(part, "classes_")?;
    let labels = classes.labels().clone();
    let count = labels.len();
    if matches!(how, How::OneColumn { .. }) && count > 2 {
        return Err(part.refuse("classes_", format!("has {count} labels, but y_type_ is 'binary'")));
    }
    let input = match (how, classes.kind()) {
        (How::Indicators { .. }, _) => Input::Matrix,
        (How::Lists, _) | (_, Kind::Texts) => Input::Texts,
        (_, Kind::Numbers | Kind::Unused) => Input::Vector,
    };
    let transform = |gives| Spec::new(Method::Transform, DType::Int64, gives);
    let inverse = |takes, dtype, gives| Spec { takes, ..Spec::new(Method::InverseTransform, dtype, gives) };
    let methods = match how {
        How::Place => vec![transform(Gives::One), inverse(Takes::Vector, labels.dtype(), Gives::One)],
        How::Columns { .. } => {
            vec![transform(Gives::Columns(count)), inverse(Takes::Matrix(count), labels.dtype(), Gives::One)]
        }
        How::OneColumn { .. } => {
            vec![transform(Gives::Columns(1)), inverse(Takes::Matrix(1), labels.dtype(), Gives::One)]
        }
        How::Indicators { .. } => {
            let gives = Gives::Columns(count);
            vec![transform(gives), inverse(Takes::Matrix(count), DType::Int64, gives)]
        }
        How::Lists => vec![transform(Gives::Columns(count)), Spec::inverse_into_json(count)],
    };
    let width = if matches!(how, How::Indicators { .. }) { count } else { 1 };
    let class = part.class;
    let facts = Facts {
        class,
        n_features: width,
        input,
        feature_names: None,
        labels: None,
        check: Check::Finite,
        methods,
    };
    Ok(Box::new(Encoder { facts, classes, labels, how }))
}

impl Encoder {
    fn transform(&self, x: Samples<'_>) -> Result<Vec<i64>, RunError> {
        let count = self.labels.len();
        let place = |place: usize| i64::try_from(place).unwrap_or(i64::MAX);
        match self.how {
            How::Place => {
                let column = x.column(0);
                let places = self.classes.places(&column)?;
                if let Some(row) = places.iter().position(Option::is_none) {
                    return Err(unseen(&column, row));
                }
                Ok(places.into_iter().flatten().map(place).collect())
            }
            How::Columns { low, high } => {
                let places = self.classes.places(&x.column(0))?;
                let row =
                    |found: Option<usize>| (0..count).map(move |i| if Some(i) == found { high } else { low });
                Ok(places.into_iter().flat_map(row).collect())
            }
            How::OneColumn { low, high } => {
                let places = self.classes.places(&x.column(0))?;
                Ok(places.into_iter().map(|found| if found == Some(1) { high } else { low }).collect())
            }
            How::Indicators { low, high } => {
                let x = x.to_dense(self.facts.class)?;
                Ok(x.iter().map(|&value| if value == 0.0 { low } else { high }).collect())
            }
            How::Lists => self.lists(x),
        }
    }

    /// Labels that were not fitted are left out, as scikit-learn does with a warning.
    fn lists(&self, x: Samples<'_>) -> Result<Vec<i64>, RunError> {
        let count = self.labels.len();
        let mut all = vec![0; x.rows() * count];
        let column = x.column(0);
        let Column::Texts(texts) = &*column else {
            return Err(RunError::InvalidInput(format!(
                "{} is given numbers; expected {LIST}",
                self.facts.class
            )));
        };
        for (row, text) in texts.iter().enumerate() {
            let Value::Array(labels) = read(text, row, LIST)? else {
                return Err(unexpected(text, row, LIST));
            };
            for label in labels {
                let column = match (&label, self.classes.kind()) {
                    (Value::String(label), Kind::Texts) => Column::Texts(vec![label.clone().into()]),
                    (Value::Number(label), Kind::Numbers) => {
                        Column::Numbers(label.as_f64().into_iter().collect())
                    }
                    (Value::Bool(label), Kind::Numbers) => Column::Numbers(vec![f64::from(u8::from(*label))]),
                    (Value::Array(_) | Value::Object(_), _) => return Err(unexpected(text, row, LIST)),
                    _ => continue,
                };
                for place in self.classes.places(&column)?.into_iter().flatten() {
                    all[row * count + place] = 1;
                }
            }
        }
        Ok(all)
    }

    /// Source: `MultiLabelBinarizer.inverse_transform`.
    fn invert_lists(&self, x: ArrayView2<'_, f64>) -> Result<Elements, RunError> {
        let mut strange: Vec<f64> = x.iter().copied().filter(|value| !matches!(value, 0.0 | 1.0)).collect();
        if !strange.is_empty() {
            strange.sort_by(f64::total_cmp);
            strange.dedup();
            let each: Vec<String> = strange.into_iter().take(8).map(shown).collect();
            return Err(RunError::InvalidInput(format!(
                "Expected only 0s and 1s in label indicator. Also got [{}]",
                each.join(" ")
            )));
        }
        let mut rows = JsonRows::new(self.facts.class);
        for row in x.rows() {
            let places = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
            rows.push_labels(&self.labels, places.map(|(place, _)| place))?;
        }
        rows.into_tensor().map(|tensor| tensor.elements().clone())
    }

    fn invert(&self, x: ArrayView2<'_, f64>) -> Result<Elements, RunError> {
        let count = self.labels.len();
        #[allow(clippy::cast_precision_loss, reason = "as scikit-learn's halves are")]
        let threshold = |low: i64, high: i64| (high as f64 + low as f64) / 2.0;
        Ok(match self.how {
            How::Lists => return self.invert_lists(x),
            How::Place => {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "whole, and below the count"
                )]
                let place = |&code: &f64| {
                    let is_place = code >= 0.0 && code.fract() == 0.0 && code < count as f64;
                    let wrong = || format!("y contains previously unseen labels: [{}]", shown(code));
                    if is_place { Ok(code as usize) } else { Err(RunError::InvalidInput(wrong())) }
                };
                let places: Vec<usize> = flat(&x).iter().map(place).collect::<Result<_, _>>()?;
                self.labels.take(places.into_iter())
            }
            How::Columns { .. } => {
                self.labels.take(flat(&x).chunks_exact(count).map(|row| argmax(row).min(count - 1)))
            }
            How::OneColumn { low, high } => {
                let threshold = threshold(low, high);
                self.labels.take(flat(&x).iter().map(|&value| usize::from(value > threshold).min(count - 1)))
            }
            How::Indicators { low, high } => {
                let threshold = threshold(low, high);
                flat(&x).iter().map(|&value| i64::from(value > threshold)).collect::<Vec<_>>().into()
            }
        })
    }
}

/// A whole number without its fraction, as numpy prints those that were given as integers.
fn shown(number: f64) -> String {
    let text = python_float(number);
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

fn unseen(column: &Column, row: usize) -> RunError {
    let label = match column {
        Column::Numbers(values) => format!("[{}]", shown(values[row])),
        Column::Texts(texts) => python_repr(&texts[row]),
    };
    RunError::InvalidInput(format!("y contains previously unseen labels: {label}"))
}

impl Estimator for Encoder {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for &method in wanted {
            let gives = self.facts.gives(method);
            bounded(self.facts.class, x.rows(), gives.values().unwrap_or(usize::MAX))?;
            let elements = match method {
                Method::InverseTransform => self.invert(x.to_dense(self.facts.class)?.view())?,
                _ => self.transform(x)?.into(),
            };
            answers.push(answer(x.rows(), gives, elements)?);
        }
        Ok(())
    }
}
