//! `MissingIndicator`: which values are missing; by itself, and beside an imputer's answer.

use super::missing::Missing;
use crate::engines::sklearn::attributes::Answers;
use crate::engines::sklearn::samples::{Kind, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// The features that an imputer says of whether they were missing, in the order of its answer.
pub(super) fn features(part: &Part<'_>, n_features: usize) -> Result<Vec<usize>, ModelError> {
    const NAME: &str = "features_";
    let features = part.indices_of(NAME, part.fitted(NAME)?)?;
    let rising = features.windows(2).all(|pair| pair[0] < pair[1]);
    if rising && features.last().is_none_or(|&last| last < n_features) {
        return Ok(features);
    }
    Err(part.refuse(NAME, format!("is no list of rising indices of {n_features} features")))
}

/// The same of the indicator within an imputer, which has one where it is asked to add its answer.
pub(super) fn added(part: &Part<'_>, n_features: usize) -> Result<Vec<usize>, ModelError> {
    if !part.flag("add_indicator", false)? {
        return Ok(Vec::new());
    }
    features(&part.within("indicator_", &["sklearn.impute._base"], "MissingIndicator")?, n_features)
}

#[derive(Debug)]
struct MissingIndicator {
    facts: Facts,
    missing: Missing,
    features: Vec<usize>,
    /// Features that never were missing are refused when they are.
    refuses_new: bool,
}

/// Source: `sklearn.impute.MissingIndicator`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let n_features = part.count("_n_features")?;
    let n_features = part.n_features(n_features, "_n_features")?;
    let features = features(part, n_features)?;
    let all = part.one_of("features", "missing-only", &["missing-only", "all"])? == "all";
    let missing = Missing::read(part)?;
    let refuses_new = part.flag("error_on_new", true)? && !all;
    let check = if missing.takes_nan() { Check::FiniteOrNan } else { Check::Finite };
    let methods = vec![Spec::new(Method::Transform, DType::Bool, Gives::Columns(features.len()))];
    let mut facts = Facts::new(part, n_features, check, methods)?;
    if missing.is_textual() {
        facts = facts.taking(Input::of_kinds(vec![Kind::Texts; n_features]));
    }
    Ok(Box::new(MissingIndicator { facts, missing, features, refuses_new }))
}

impl MissingIndicator {
    /// `[rows, features]`: 1 for what is missing.
    fn mask(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let width = self.features.len();
        let mut all = vec![0.0; x.rows() * width];
        let mut new = Vec::new();
        for i in 0..self.facts.n_features {
            let mask = self.missing.mask(&x.column(i));
            match self.features.binary_search(&i) {
                Ok(at) => {
                    for (row, &is_missing) in mask.iter().enumerate() {
                        all[row * width + at] = f64::from(u8::from(is_missing));
                    }
                }
                Err(_) if self.refuses_new && mask.contains(&true) => new.push(i.to_string()),
                Err(_) => {}
            }
        }
        if new.is_empty() {
            return Ok(all);
        }
        Err(RunError::InvalidInput(format!(
            "The features [{}] have missing values in transform but have no missing values in fit.",
            new.join(" ")
        )))
    }
}

impl Estimator for MissingIndicator {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for _ in wanted {
            let mask = Answers::Bools.of(self.mask(x)?);
            answers.push(answer(x.rows(), Some(self.features.len()), mask)?);
        }
        Ok(())
    }
}
