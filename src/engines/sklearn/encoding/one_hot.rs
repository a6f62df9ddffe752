//! `OneHotEncoder`: a column for each category, with 1 in that of the value.

use ndarray::Array2;

use super::categories::{self, Categories, Inverse, Nothing};
use crate::engines::sklearn::attributes::Answers;
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::samples::{Csr, Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, Takes, answer, bounded,
};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

#[derive(Debug)]
struct OneHotEncoder {
    facts: Facts,
    columns: Vec<Column>,
    inverse: Inverse,
    width: usize,
    sparse: bool,
    answers: Answers,
}

/// One column of the input.
#[derive(Debug)]
struct Column {
    categories: Categories,
    /// The output column of each category; `None` for one that is dropped.
    ones: Vec<Option<u32>>,
    unknown: Unknown,
    /// Output columns.
    start: usize,
    end: usize,
    /// The labels of these columns, as places in the inverse's list.
    labels: Vec<usize>,
    zeros: Zeros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Refused,
    /// Has a 1 in this column, or nowhere.
    At(Option<u32>),
}

/// What a row without a 1 in the columns of a feature means to the inverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zeros {
    /// This label.
    Label(usize),
    /// No category.
    Nothing,
    Refused,
}

/// Source: `sklearn.preprocessing.OneHotEncoder`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let categories = categories::read(part)?;
    let n_features = part.n_features(categories.len(), "categories_")?;
    // `warn` since 1.6, `infrequent_if_exist` since 1.1.
    let choices = &["error", "ignore", "infrequent_if_exist", "warn"];
    let handle_unknown = part.one_of("handle_unknown", "error", choices)?;
    let rare = categories::rare(part, &categories, &vec![None; n_features])?;
    let drops = drops(part, n_features)?;

    let may_be_nothing = handle_unknown != "error"
        && drops
            .iter()
            .zip(&rare)
            .any(|(drop, rare)| drop.is_none() && (handle_unknown == "ignore" || rare.is_none()));
    let nothing = if may_be_nothing { Nothing::Sometimes } else { Nothing::Never };
    let inverse = Inverse::new(&categories, &rare, nothing);

    let kinds = categories.iter().map(Categories::kind).collect();
    let mut columns = Vec::with_capacity(n_features);
    let mut start = 0;
    for (i, ((categories, rare), drop)) in categories.into_iter().zip(&rare).zip(drops).enumerate() {
        let codes: Vec<usize> = match rare {
            Some(rare) => rare.codes.clone(),
            None => (0..categories.len()).collect(),
        };
        let grouped = codes.iter().max().map_or(0, |last| last + 1);
        if drop.is_some_and(|drop| drop >= grouped) {
            let why = format!("drops a category of column {i} that is not one of its {grouped}");
            return Err(part.refuse("drop_idx_", why));
        }
        let column = |code: usize| match drop {
            Some(drop) if code == drop => None,
            Some(drop) if code > drop => u32::try_from(start + code - 1).ok(),
            _ => u32::try_from(start + code).ok(),
        };
        let width = grouped - usize::from(drop.is_some());
        if u32::try_from(start + width).is_err() {
            return Err(part.refuse("categories_", "has more categories than can be counted"));
        }
        let unknown = match (handle_unknown, rare) {
            ("error", _) => Unknown::Refused,
            ("infrequent_if_exist" | "warn", Some(rare)) => Unknown::At(column(rare.codes[rare.places[0]])),
            _ => Unknown::At(None),
        };
        let ignored = handle_unknown == "ignore" || (handle_unknown != "error" && rare.is_none());
        let zeros = match drop {
            Some(drop) => Zeros::Label(drop),
            None if ignored => Zeros::Nothing,
            None => Zeros::Refused,
        };
        columns.push(Column {
            ones: codes.iter().map(|&code| column(code)).collect(),
            labels: (0..grouped).filter(|&label| Some(label) != drop).collect(),
            end: start + width,
            categories,
            unknown,
            start,
            zeros,
        });
        start += width;
    }
    let width = start;
    let answers = part.answers("dtype")?;
    // Called `sparse` until 1.1.
    let name = if part.has("sparse_output") { "sparse_output" } else { "sparse" };
    let sparse = part.flag(name, true)?;
    let dtype = inverse.columns.first().map_or(DType::Double, Labels::dtype);
    let mut methods = vec![Spec::new(Method::Transform, answers.dtype(), Gives::Columns(width))];
    methods.push(Spec { takes: Takes::Matrix(width), dtype, ..Spec::inverse_transform(width, n_features) });
    let facts = Facts::new(part, n_features, Check::FiniteOrNan, methods)?.taking(Input::of_kinds(kinds));
    Ok(Box::new(OneHotEncoder { facts, columns, inverse, width, sparse, answers }))
}

/// The category that is dropped of each column, among those after the rare are grouped.
fn drops(part: &Part<'_>, n_features: usize) -> Result<Vec<Option<usize>>, ModelError> {
    // Before 1.2 the only one, and of the grouped categories too.
    let name = if part.has("_drop_idx_after_grouping") { "_drop_idx_after_grouping" } else { "drop_idx_" };
    if part.attr(name).is_none() {
        return Ok(vec![None; n_features]);
    }
    let value = part.fitted(name)?;
    let place = |item: Ref<'_>| match item.as_i64().map(usize::try_from) {
        Some(Ok(place)) => Ok(Some(place)),
        None if item.is_none() => Ok(None),
        _ => Err(part.unexpected(name, item, "places of categories")),
    };
    let drops: Vec<Option<usize>> = match value.elements() {
        Some(items) => items.map(place).collect::<Result<_, _>>()?,
        None => part.indices_of(name, value)?.into_iter().map(Some).collect(),
    };
    if drops.len() != n_features {
        return Err(part.refuse(name, format!("has {} places for {n_features} columns", drops.len())));
    }
    Ok(drops)
}

impl OneHotEncoder {
    /// The output column of each value, row by row.
    fn ones(&self, x: Samples<'_>) -> Result<Vec<Option<u32>>, RunError> {
        let width = self.columns.len();
        let mut ones = vec![None; x.rows() * width];
        for (i, column) in self.columns.iter().enumerate() {
            let values = x.column(i);
            let places = column.categories.places(&values)?;
            for (row, place) in places.iter().enumerate() {
                ones[row * width + i] = match (place, column.unknown) {
                    (Some(place), _) => column.ones[*place],
                    (None, Unknown::At(at)) => at,
                    (None, Unknown::Refused) => return Err(categories::unknown(&values, &places, i)),
                };
            }
        }
        Ok(ones)
    }

    /// `[rows, width]`.
    fn spread<T: Clone>(&self, ones: &[Option<u32>], zero: T, one: T) -> Vec<T> {
        let rows = ones.len() / self.columns.len();
        let mut values = vec![zero; rows * self.width];
        for (row, ones) in ones.chunks_exact(self.columns.len()).enumerate() {
            for &at in ones.iter().flatten() {
                values[row * self.width + at as usize] = one.clone();
            }
        }
        values
    }

    /// Source: `OneHotEncoder.inverse_transform`.
    fn invert(&self, x: &Array2<f64>) -> Result<Elements, RunError> {
        let mut places = Vec::with_capacity(x.nrows() * self.columns.len());
        for (row, values) in x.rows().into_iter().enumerate() {
            for (i, column) in self.columns.iter().enumerate() {
                let values = values.slice(ndarray::s![column.start..column.end]);
                let mut best = 0;
                let mut sum = 0.0;
                for (at, &value) in values.iter().enumerate() {
                    sum += value;
                    if value > values[best] {
                        best = at;
                    }
                }
                places.push(match (column.labels.get(best), column.zeros) {
                    (Some(&label), _) if sum != 0.0 => label,
                    (_, Zeros::Label(label)) => label,
                    (_, Zeros::Nothing) => self.inverse.nothing(i),
                    (_, Zeros::Refused) => {
                        return Err(RunError::InvalidInput(format!(
                            "Samples [{row}] can not be inverted when drop=None and handle_unknown='error' because \
                             they contain all zeros"
                        )));
                    }
                });
            }
        }
        Ok(Labels::take_each(&self.inverse.columns, &places))
    }
}

impl Estimator for OneHotEncoder {
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
            let (width, elements) = match method {
                Method::InverseTransform => {
                    (self.columns.len(), self.invert(&x.to_dense(self.facts.class)?)?)
                }
                _ => {
                    let ones = self.ones(x)?;
                    let elements = match self.answers {
                        Answers::Floats => self.spread(&ones, 0.0, 1.0).into(),
                        Answers::Ints => self.spread(&ones, 0i64, 1).into(),
                        Answers::Bools => Elements::Bool(self.spread(&ones, 0u8, 1).into()),
                    };
                    (self.width, elements)
                }
            };
            answers.push(answer(x.rows(), Some(width), elements)?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let ones = self.ones(x)?;
        if self.sparse {
            let mut csr = Csr::new(self.width);
            for row in ones.chunks_exact(self.columns.len()) {
                csr.push_row(row.iter().flatten().map(|&at| (at, 1.0)));
            }
            return Ok(Frame::Sparse(csr));
        }
        bounded(self.facts.class, x.rows(), self.width)?;
        Frame::matrix(x.rows(), self.width, self.spread(&ones, 0.0, 1.0))
    }
}
