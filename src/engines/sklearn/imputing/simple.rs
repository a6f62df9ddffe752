//! `SimpleImputer`: one value for each column, filled in where one is missing.

use bytes::Bytes;
use ndarray::ArrayView2;

use super::indicator;
use super::missing::Missing;
use crate::engines::sklearn::labels::python_float;
use crate::engines::sklearn::samples::{Column, Frame, Kind, Samples, Table, parse_number};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, answer, flat,
};
use crate::formats::pickle::{DTypeKind, Ref, View};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
pub(super) struct SimpleImputer {
    facts: Facts,
    missing: Missing,
    /// For each column what is filled in; `None` for a column that is left out, since it
    /// had no values to learn from.
    fills: Vec<Option<Fill>>,
    /// The columns whose missing values are told of after the filled ones.
    indicated: Vec<usize>,
    width: usize,
}

#[derive(Debug, Clone)]
enum Fill {
    Number(f64),
    Text(Bytes),
}

/// Source: `sklearn.impute.SimpleImputer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    Ok(Box::new(read(part)?))
}

/// The imputer of numbers that another one begins with; it tells nothing of what was missing.
pub(super) fn read_first(part: &Part<'_>) -> Result<SimpleImputer, ModelError> {
    let imputer = read(part)?;
    if imputer.facts.input == Input::Matrix && imputer.indicated.is_empty() {
        return Ok(imputer);
    }
    Err(part.refuse("statistics_", "has text, or an indicator beside it, where numbers are imputed"))
}

fn read(part: &Part<'_>) -> Result<SimpleImputer, ModelError> {
    // Since 1.5 it may be a function, which has done its work: what it found is kept.
    let is_function = part.attr("strategy").is_some_and(|strategy| strategy.to_str().is_none());
    let strategy = match is_function {
        true => "mean",
        false => part.one_of("strategy", "mean", &["mean", "median", "most_frequent", "constant"])?,
    };
    let missing = Missing::read(part)?;
    // What was fitted is an array of Python's objects where there was text. Constants always are one.
    let fitted_on =
        part.attr("_fit_dtype").and_then(Ref::dtype).map(|dtype| matches!(dtype.kind(), DTypeKind::Object));
    let fills = fills(part, strategy == "constant" && fitted_on == Some(true))?;
    let n_features = part.n_features(fills.len(), "statistics_")?;
    // Columns without values stay since 1.2, when asked; before 1.8 constants let them stay anyhow.
    let keeps_all =
        part.flag("keep_empty_features", false)? || (strategy == "constant" && part.version() < (1, 8));
    let is_empty = |fill: &Fill| matches!(fill, Fill::Number(number) if number.is_nan());
    let textual = fills.iter().any(|fill| matches!(fill, Fill::Text(_))) || missing.is_textual();
    let kind = |fill: &Fill| match fill {
        Fill::Text(_) => Kind::Texts,
        Fill::Number(_) if textual && (is_empty(fill) || missing.is_textual()) => Kind::Texts,
        Fill::Number(_) => Kind::Numbers,
    };
    let kinds: Vec<Kind> = fills.iter().map(kind).collect();
    let fill = |fill: Fill| match fill {
        _ if !keeps_all && is_empty(&fill) => None,
        Fill::Number(number) if missing.is_textual() => Some(Fill::Text(python_float(number).into())),
        _ => Some(fill),
    };
    let fills: Vec<Option<Fill>> = fills.into_iter().map(fill).collect();

    let indicated = indicator::added(part, n_features)?;
    let width = fills.iter().flatten().count() + indicated.len();
    let gives_text =
        fills.iter().any(|fill| matches!(fill, Some(Fill::Text(_)))) || (textual && !indicated.is_empty());
    let dtype = if gives_text { DType::String } else { DType::Double };
    let mut methods = vec![Spec::new(Method::Transform, dtype, Gives::Columns(width))];
    if part.flag("add_indicator", false)? && !textual && missing.number().is_some() && width > 0 {
        methods.push(Spec::inverse_transform(width, n_features));
    }
    let check = if missing.takes_nan() { Check::FiniteOrNan } else { Check::Finite };
    let facts = Facts::new(part, n_features, check, methods)?.taking(Input::of_kinds(kinds));
    Ok(SimpleImputer { facts, missing, fills, indicated, width })
}

/// Reads `statistics_`: numbers, or objects of which each is a number or text.
fn fills(part: &Part<'_>, all_text: bool) -> Result<Vec<Fill>, ModelError> {
    const NAME: &str = "statistics_";
    let value = part.fitted(NAME)?;
    let objects = value.array().filter(|array| matches!(array.dtype().kind(), DTypeKind::Object));
    if objects.is_none() {
        return Ok(part.row_of_numbers(NAME)?.into_iter().map(Fill::Number).collect());
    }
    let fill = |item: Ref<'_>| {
        if let Some(text) = item.to_str() {
            return Ok(Fill::Text(Bytes::from(text.into_owned())));
        }
        match (item.view(), item.as_f64()) {
            (View::None, _) => Ok(Fill::Text(Bytes::from_static(b"None"))),
            (_, Some(number)) if all_text && !number.is_nan() => {
                let text = item.as_i64().map_or_else(|| python_float(number), |whole| whole.to_string());
                Ok(Fill::Text(text.into()))
            }
            (_, Some(number)) => Ok(Fill::Number(number)),
            _ => Err(part.unexpected(NAME, item, "a number or text for each column")),
        }
    };
    let fills: Vec<Fill> = part.list(NAME)?.into_iter().map(fill).collect::<Result<_, _>>()?;
    for fill in &fills {
        if let Fill::Text(text) = fill {
            part.pay_again(NAME, text.len())?;
        }
    }
    if fills.is_empty() {
        return Err(part.refuse(NAME, "is empty; expected one value per feature"));
    }
    Ok(fills)
}

impl SimpleImputer {
    pub(super) fn n_features(&self) -> usize {
        self.facts.n_features
    }

    pub(super) fn missing(&self) -> &Missing {
        &self.missing
    }

    /// The columns that are not left out.
    pub(super) fn kept(&self) -> Vec<usize> {
        (0..self.fills.len()).filter(|&i| self.fills[i].is_some()).collect()
    }

    /// `[rows, width]` of a matrix of numbers.
    pub(super) fn impute(&self, x: ArrayView2<'_, f64>) -> Vec<f64> {
        let mut all = Vec::with_capacity(x.nrows() * self.width);
        for row in flat(&x).chunks_exact(self.facts.n_features) {
            for (&value, fill) in row.iter().zip(&self.fills) {
                match fill {
                    Some(Fill::Number(fill)) if self.missing.is(value) => all.push(*fill),
                    Some(_) => all.push(value),
                    None => {}
                }
            }
            let missing = self.indicated.iter().map(|&i| self.missing.is(row[i]));
            all.extend(missing.map(|is_missing| f64::from(u8::from(is_missing))));
        }
        all
    }

    fn impute_table(&self, x: Samples<'_>) -> Result<Table, RunError> {
        let mut columns = Vec::with_capacity(self.width);
        for (i, fill) in self.fills.iter().enumerate() {
            let Some(fill) = fill else { continue };
            let column = x.column(i);
            columns.push(match (fill, &*column) {
                (Fill::Number(fill), Column::Numbers(values)) => {
                    let filled =
                        values.iter().map(|&value| if self.missing.is(value) { *fill } else { value });
                    Column::Numbers(filled.collect())
                }
                (Fill::Number(fill), Column::Texts(texts)) => {
                    let filled = texts
                        .iter()
                        .map(|text| if self.missing.is_text(text) { Ok(*fill) } else { parse_number(text) });
                    Column::Numbers(filled.collect::<Result<_, _>>()?)
                }
                (Fill::Text(fill), Column::Texts(texts)) => {
                    let filled =
                        texts.iter().map(|text| if self.missing.is_text(text) { fill } else { text });
                    Column::Texts(filled.cloned().collect())
                }
                (Fill::Text(fill), Column::Numbers(values)) => {
                    let filled = values.iter().map(|&value| {
                        if self.missing.is(value) { fill.clone() } else { python_float(value).into() }
                    });
                    Column::Texts(filled.collect())
                }
            });
        }
        for &i in &self.indicated {
            let text = |is_missing: bool| Bytes::from_static(if is_missing { b"True" } else { b"False" });
            columns.push(Column::Texts(self.missing.mask(&x.column(i)).into_iter().map(text).collect()));
        }
        Ok(Table::new(x.rows(), columns))
    }

    /// Where scikit-learn takes a column that is missing in every row of the batch for one
    /// that was left out, here those are left out that were so when it was fitted.
    /// Source: `SimpleImputer.inverse_transform`.
    fn invert(&self, x: ArrayView2<'_, f64>) -> Vec<f64> {
        let missing = self.missing.number().unwrap_or(f64::NAN);
        let mut all = Vec::with_capacity(x.nrows() * self.facts.n_features);
        for row in flat(&x).chunks_exact(self.width) {
            let start = all.len();
            let (filled, flags) = row.split_at(self.width - self.indicated.len());
            let mut filled = filled.iter();
            let value =
                |fill: &Option<Fill>| fill.as_ref().and_then(|_| filled.next()).copied().unwrap_or(0.0);
            all.extend(self.fills.iter().map(value));
            for (&i, _) in self.indicated.iter().zip(flags).filter(|(_, flag)| **flag != 0.0) {
                all[start + i] = missing;
            }
        }
        all
    }
}

impl Estimator for SimpleImputer {
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
            if *method == Method::InverseTransform {
                let x = x.to_dense(self.facts.class)?;
                answers.push(answer(x.nrows(), Some(self.facts.n_features), self.invert(x.view()).into())?);
            } else {
                answers.push(self.transform(x)?.into_tensor(self.facts.class)?);
            }
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        match (&self.facts.input, x) {
            (Input::Matrix, Samples::Dense(x)) => Frame::matrix(x.nrows(), self.width, self.impute(x)),
            (Input::Matrix, x) => {
                let x = x.to_dense(self.facts.class)?;
                Frame::matrix(x.nrows(), self.width, self.impute(x.view()))
            }
            _ => self.impute_table(x).map(Frame::Table),
        }
    }
}
