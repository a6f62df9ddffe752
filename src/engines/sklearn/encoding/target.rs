//! `TargetEncoder`: the mean of the target among the samples of a category, shrunk to that of all.

use super::categories::{self, Categories};
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Input, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct TargetEncoder {
    facts: Facts,
    columns: Vec<Column>,
    /// What stands for a category that was never seen: one number for each output of a column.
    means: Vec<f64>,
}

/// One column of the input.
#[derive(Debug)]
struct Column {
    categories: Categories,
    /// For each output the number of each category.
    encodings: Vec<Vec<f64>>,
}

/// Source: `sklearn.preprocessing.TargetEncoder`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "encodings_";
    let categories = categories::read(part)?;
    let n_features = part.n_features(categories.len(), "categories_")?;
    // Several classes since 1.4.
    let means = part.finite_numbers("target_mean_")?.values;
    let outputs = match part.one_of("target_type_", "continuous", &["continuous", "binary", "multiclass"])? {
        "multiclass" => part.labels("classes_")?.len(),
        _ => 1,
    };
    if means.len() != outputs {
        return Err(part.refuse("target_mean_", format!("has {} numbers for {outputs} targets", means.len())));
    }
    let encodings = part.list(NAME)?;
    if encodings.len() != n_features.saturating_mul(outputs) {
        let why = format!("has {} arrays for {n_features} features and {outputs} targets", encodings.len());
        return Err(part.refuse(NAME, why));
    }
    let kinds = categories.iter().map(Categories::kind).collect();
    let mut encodings = encodings.into_iter();
    let mut columns = Vec::with_capacity(n_features);
    for categories in categories {
        let mut of_column = Vec::with_capacity(outputs);
        for encoding in encodings.by_ref().take(outputs) {
            let encoding = part.numbers_of(NAME, encoding)?;
            if encoding.len() != categories.len() || encoding.iter().any(|number| !number.is_finite()) {
                let why = format!(
                    "has {} numbers for {} categories, or one that is none",
                    encoding.len(),
                    categories.len()
                );
                return Err(part.refuse(NAME, why));
            }
            of_column.push(encoding);
        }
        columns.push(Column { categories, encodings: of_column });
    }
    let methods = vec![Spec::transform(n_features * outputs)];
    let facts = Facts::new(part, n_features, Check::FiniteOrNan, methods)?.taking(Input::of_kinds(kinds));
    Ok(Box::new(TargetEncoder { facts, columns, means }))
}

impl Estimator for TargetEncoder {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let outputs = self.means.len();
        let width = self.columns.len() * outputs;
        let mut all = vec![0.0; x.rows() * width];
        for (i, column) in self.columns.iter().enumerate() {
            for (row, place) in column.categories.places(&x.column(i))?.into_iter().enumerate() {
                for (output, (encoding, mean)) in column.encodings.iter().zip(&self.means).enumerate() {
                    all[row * width + i * outputs + output] = place.map_or(*mean, |place| encoding[place]);
                }
            }
        }
        for _ in wanted {
            answers.push(answer(x.rows(), Some(width), all.clone().into())?);
        }
        Ok(())
    }
}
