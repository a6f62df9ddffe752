//! `IterativeImputer`: each feature's missing values are predicted from the other features,
//! in the rounds that were fitted.

use ndarray::{Array2, ArrayView2};

use super::indicator;
use super::simple::{self, SimpleImputer};
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, ask, flat};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::{Elements, Tensor};

#[derive(Debug)]
struct IterativeImputer {
    facts: Facts,
    /// What missing values are at first.
    initial: SimpleImputer,
    /// The features that are kept, by their place among all.
    kept: Vec<usize>,
    /// Of the kept, those that had values when they were fitted: only these are predicted.
    learned: Vec<bool>,
    steps: Vec<Step>,
    indicated: Vec<usize>,
}

/// One feature is predicted from others; all are places among the kept.
#[derive(Debug)]
struct Step {
    feature: usize,
    from: Vec<usize>,
    estimator: Box<dyn Estimator>,
    low: f64,
    high: f64,
}

/// Source: `sklearn.impute.IterativeImputer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    if part.flag("sample_posterior", false)? {
        return Err(
            part.refuse("sample_posterior", "is True; answers that are drawn at random are not served")
        );
    }
    let initial =
        simple::read_first(&part.within("initial_imputer_", &["sklearn.impute._base"], "SimpleImputer")?)?;
    let n_features = part.n_features(initial.n_features(), "initial_imputer_")?;
    let kept = initial.kept();
    let learned: Vec<bool> = match part.attr("_is_empty_feature") {
        Some(_) => {
            let empty = part.array("_is_empty_feature")?;
            let empty = empty.to_bools().map_err(|error| {
                part.refuse("_is_empty_feature", format!("is no array of booleans: {error}"))
            })?;
            if empty.len() != n_features {
                return Err(part.refuse(
                    "_is_empty_feature",
                    format!("has {} flags for {n_features} features", empty.len()),
                ));
            }
            kept.iter().map(|&i| !empty[i]).collect()
        }
        None => vec![true; kept.len()],
    };
    let steps = if part.count("n_iter_")? > 0 { steps(part, kept.len())? } else { Vec::new() };
    let indicated = indicator::added(part, n_features)?;
    let width = kept.len() + indicated.len();
    let check = if initial.missing().takes_nan() { Check::FiniteOrNan } else { Check::Finite };
    let facts = Facts::new(part, n_features, check, vec![Spec::transform(width)])?;
    Ok(Box::new(IterativeImputer { facts, initial, kept, learned, steps, indicated }))
}

/// Reads the rounds; where there are none, the first values stay.
fn steps(part: &Part<'_>, kept: usize) -> Result<Vec<Step>, ModelError> {
    let mut limits = Vec::with_capacity(2);
    for name in ["_min_value", "_max_value"] {
        let numbers = part.row_of_numbers(name)?;
        if numbers.len() != kept || numbers.iter().any(|number| number.is_nan()) {
            let why = format!("has {} numbers for {kept} features, or one that is none", numbers.len());
            return Err(part.refuse(name, why));
        }
        limits.push(numbers);
    }
    let steps = part.list("imputation_sequence_")?.into_iter().enumerate();
    steps.map(|(i, value)| step(part, i, value, kept, &limits)).collect()
}

/// Reads one `(feat_idx, neighbor_feat_idx, estimator)`.
fn step<'a>(
    part: &Part<'a>,
    i: usize,
    value: Ref<'a>,
    kept: usize,
    limits: &[Vec<f64>],
) -> Result<Step, ModelError> {
    const NAME: &str = "imputation_sequence_";
    let wrong = || {
        let why = format!(
            "has {} at [{i}]; expected a feature, those before it, and an estimator",
            value.describe()
        );
        part.refuse(NAME, why)
    };
    let items: Vec<Ref<'a>> = match value.object() {
        Some(object) => object.args().collect(),
        None => value.items().map(Iterator::collect).unwrap_or_default(),
    };
    let &[feature, from, estimator] = &items[..] else { return Err(wrong()) };
    let feature =
        feature.as_i64().and_then(|n| usize::try_from(n).ok()).filter(|&n| n < kept).ok_or_else(wrong)?;
    let from = part.indices_of(NAME, from)?;
    if from.iter().any(|&n| n >= kept) {
        return Err(wrong());
    }
    let estimator = part.child(estimator, &format!("{NAME}[{i}]"))?;
    let inner = estimator.facts();
    let fits = inner.n_features == from.len();
    let predicts = inner.spec(Method::Predict).is_some_and(|spec| spec.gives.values() == Some(1));
    if !fits || !predicts {
        let why = format!(
            "has a {} at [{i}], which does not predict one number of {} features",
            inner.class,
            from.len()
        );
        return Err(part.refuse(NAME, why));
    }
    let (low, high) = (limits[0][feature], limits[1][feature]);
    if low > high {
        return Err(
            part.refuse("_min_value", format!("is {low} for feature {feature}, which is above {high}"))
        );
    }
    Ok(Step { feature, from, estimator, low, high })
}

impl IterativeImputer {
    /// scikit-learn leaves the first values when every value of every row is missing; what a row
    /// is answered must not depend on the others, so that such a row goes through the rounds here.
    fn impute(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, RunError> {
        let missing = self.initial.missing();
        let width = self.kept.len();
        let mut filled = self.initial.impute(x);
        let given = |row: usize, i: usize| x[[row, self.kept[i]]];
        for step in &self.steps {
            if !self.learned[step.feature] {
                continue;
            }
            let rows: Vec<usize> =
                (0..x.nrows()).filter(|&row| missing.is(given(row, step.feature))).collect();
            if rows.is_empty() {
                continue;
            }
            let from = |(row, place)| filled[rows[row] * width + step.from[place]];
            let inputs = Array2::from_shape_fn((rows.len(), step.from.len()), from);
            let mut answers = Vec::with_capacity(1);
            ask(&*step.estimator, Samples::Dense(inputs.view()), &[Method::Predict], &mut answers)?;
            let predicted = answers.pop().map(|answer| answer.elements().clone());
            let predicted: Vec<f64> = match predicted {
                Some(Elements::F64(values)) => values.to_vec(),
                #[allow(clippy::cast_precision_loss, reason = "as numpy's astype does")]
                Some(Elements::I64(values)) => values.iter().map(|&value| value as f64).collect(),
                _ => return Err(RunError::Internal("an imputer's estimator predicted no number".to_owned())),
            };
            for (row, value) in rows.into_iter().zip(predicted) {
                filled[row * width + step.feature] = value.clamp(step.low, step.high);
            }
        }
        Ok(filled)
    }
}

impl Estimator for IterativeImputer {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let filled = self.impute(x)?;
        let (kept, width) = (self.kept.len(), self.kept.len() + self.indicated.len());
        for _ in wanted {
            let mut all = Vec::with_capacity(x.nrows() * width);
            for (i, row) in flat(&x).chunks_exact(self.facts.n_features).enumerate() {
                all.extend_from_slice(&filled[i * kept..(i + 1) * kept]);
                let missing = self.indicated.iter().map(|&i| self.initial.missing().is(row[i]));
                all.extend(missing.map(|is_missing| f64::from(u8::from(is_missing))));
            }
            answers.push(answer(x.nrows(), Some(width), all.into())?);
        }
        Ok(())
    }
}
