//! `OrdinalEncoder`: the place of each value among the categories of its column.

use ndarray::Array2;

use super::categories::{self, Categories, Inverse, Nothing};
use crate::engines::sklearn::attributes::Answers;
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

#[derive(Debug)]
struct OrdinalEncoder {
    facts: Facts,
    columns: Vec<Column>,
    inverse: Inverse,
    /// What stands for values that were never seen, where they are not refused.
    unknown: Option<f64>,
    /// What stands for missing values, in the columns that had some.
    missing: f64,
    answers: Answers,
}

/// One column of the input.
#[derive(Debug)]
struct Column {
    categories: Categories,
    /// What each category is encoded as.
    codes: Vec<f64>,
    /// The place of the missing value.
    missing: Option<usize>,
    /// The code that the inverse takes for rare categories.
    rare: Option<f64>,
}

/// Source: `sklearn.preprocessing.OrdinalEncoder`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let categories = categories::read(part)?;
    let n_features = part.n_features(categories.len(), "categories_")?;
    let unknown = match part.one_of("handle_unknown", "error", &["error", "use_encoded_value"])? {
        "error" => None,
        _ => Some(one_number(part, "unknown_value")?),
    };
    let answers = part.answers("dtype")?;
    // Until 0.24 missing values were refused; until 1.0 they stayed NaN.
    let takes_missing = part.version() >= (1, 0);
    let missing = if part.attr("encoded_missing_value").is_some() {
        one_number(part, "encoded_missing_value")?
    } else {
        f64::NAN
    };
    let missing_of = |column: &Categories| column.missing().filter(|_| takes_missing);
    let places: Vec<Option<usize>> = categories.iter().map(missing_of).collect();
    let rare = categories::rare(part, &categories, &places)?;
    let inverse =
        Inverse::new(&categories, &rare, if unknown.is_some() { Nothing::Always } else { Nothing::Never });

    let kinds = categories.iter().map(Categories::kind).collect();
    let mut columns = Vec::with_capacity(n_features);
    for ((categories, rare), missing_place) in categories.into_iter().zip(&rare).zip(places) {
        #[allow(clippy::cast_precision_loss, reason = "a number of categories")]
        let code = |place: usize| match rare.as_ref().and_then(|rare| rare.codes.get(place)) {
            _ if Some(place) == missing_place => missing,
            Some(&code) => code as f64,
            None => place as f64,
        };
        #[allow(clippy::cast_precision_loss, reason = "a number of categories")]
        let rare = rare.as_ref().map(|rare| (categories.len() - rare.places.len()) as f64);
        let codes = (0..categories.len()).map(code).collect();
        columns.push(Column { categories, codes, missing: missing_place, rare });
    }
    let whole = |code: f64| code.fract() == 0.0;
    let all_whole = columns.iter().all(|column| column.codes.iter().all(|&code| whole(code)))
        && unknown.is_none_or(whole);
    if answers != Answers::Floats && !all_whole {
        return Err(part.refuse("dtype", "is one of integers, but not all codes are whole numbers"));
    }
    let dtype = inverse.columns.first().map_or(DType::Double, Labels::dtype);
    let methods = vec![
        Spec::new(Method::Transform, answers.dtype(), Gives::Columns(n_features)),
        Spec { dtype, ..Spec::inverse_transform(n_features, n_features) },
    ];
    let check = if takes_missing { Check::FiniteOrNan } else { Check::Finite };
    let facts = Facts::new(part, n_features, check, methods)?.taking(Input::of_kinds(kinds));
    Ok(Box::new(OrdinalEncoder { facts, columns, inverse, unknown, missing, answers }))
}

/// A number, NaN too.
fn one_number(part: &Part<'_>, name: &'static str) -> Result<f64, ModelError> {
    let value = part.fitted(name)?;
    value.as_f64().ok_or_else(|| part.unexpected(name, value, "a number"))
}

/// Equal, as NaN is to NaN.
fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

impl OrdinalEncoder {
    fn encode(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let width = self.columns.len();
        let mut codes = vec![0.0; x.rows() * width];
        for (i, column) in self.columns.iter().enumerate() {
            let values = x.column(i);
            let places = column.categories.places(&values)?;
            for (row, place) in places.iter().enumerate() {
                codes[row * width + i] = match (place, self.unknown) {
                    (Some(place), _) => column.codes[*place],
                    (None, Some(unknown)) => unknown,
                    (None, None) => return Err(categories::unknown(&values, &places, i)),
                };
            }
        }
        Ok(codes)
    }

    /// Source: `OrdinalEncoder.inverse_transform`.
    fn invert(&self, x: &Array2<f64>) -> Result<Elements, RunError> {
        let mut places = Vec::with_capacity(x.len());
        for row in x.rows() {
            for (i, (&code, column)) in row.iter().zip(&self.columns).enumerate() {
                places.push(self.place(code, i, column)?);
            }
        }
        Ok(Labels::take_each(&self.inverse.columns, &places))
    }

    fn place(&self, code: f64, i: usize, column: &Column) -> Result<usize, RunError> {
        #[allow(clippy::cast_precision_loss, reason = "a number of categories")]
        let code = match column.missing {
            Some(place) if same(code, self.missing) => place as f64,
            _ => code,
        };
        // Of the labels the last is that for no category, and that before it for the rare.
        let nothing = self.inverse.nothing(i);
        let labels = nothing - usize::from(column.rare.is_some());
        if column.rare == Some(code) {
            return Ok(labels);
        }
        if self.unknown.is_some_and(|unknown| same(code, unknown)) {
            return Ok(nothing);
        }
        // Python counts negative places from the end.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "as numpy's astype does"
        )]
        let place = if code < 0.0 { (code + labels as f64) as i64 } else { code as i64 };
        let place = usize::try_from(place).ok().filter(|&place| place < labels && !code.is_nan());
        let wrong =
            || RunError::InvalidInput(format!("index {code} is out of bounds for axis 0 with size {labels}"));
        place.ok_or_else(wrong)
    }
}

impl Estimator for OrdinalEncoder {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for method in wanted {
            let elements = match method {
                Method::InverseTransform => self.invert(&x.to_dense(self.facts.class)?)?,
                _ => self.answers.of(self.encode(x)?),
            };
            answers.push(answer(x.rows(), Some(self.columns.len()), elements)?);
        }
        Ok(())
    }
}
