//! `IsolationForest`: the shorter the way to a row's leaves, the more of an outlier it is.

use ndarray::ArrayView2;

use super::contributions;
use super::forest::estimators;
use super::registry::Row;
use super::state::Part;
use super::tree::{Dimensions, Trees, single};
use super::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

const ENSEMBLE: &str = "sklearn.ensemble";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[Row::new(ENSEMBLE, "IsolationForest", &["_iforest", "iforest"], build)];

/// Those that it is made of; `base_estimator` is no argument of its.
const TREES: [&str; 1] = ["ExtraTreeRegressor"];

#[derive(Debug)]
struct Isolation {
    facts: Facts,
    /// A leaf's number is the length of the way to it, and what was cut off below it.
    trees: Trees,
    /// The length of all ways together that means a score of one half.
    usual: f64,
    /// What a way of no usual length means: 0 divided by 0 in 0.24, 1 since.
    single_is_one: bool,
    offset: f64,
}

/// Source: `sklearn.ensemble._iforest.IsolationForest`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const SAMPLES: &str = "max_samples_";
    const FEATURES: &str = "estimators_features_";
    let each = estimators(part, &TREES)?;
    let (value, count) = (part.fitted(FEATURES)?, each.len());
    let Some(mut columns) = value.items().filter(|columns| columns.len() == count) else {
        return Err(part.unexpected(FEATURES, value, &format!("a list of the columns of {count} trees")));
    };
    let stated = part.attr("n_features_in_").or(part.attr("n_features_"));
    let stated =
        stated.and_then(|value| value.as_i64()).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let mut made: Option<Trees> = None;
    for tree in each {
        let tree = tree?;
        let own = Dimensions::of(&tree)?;
        if own.width() != 1 {
            return Err(part.refuse("estimators_", "has trees of several outputs; expected one"));
        }
        let n_features = stated.unwrap_or(own.features);
        let Some(list) = columns.next() else { break };
        let columns = part.indices_of(FEATURES, list)?;
        if columns.len() != own.features || columns.iter().any(|&column| column >= n_features) {
            let why = format!("names {columns:?} of {n_features} features for a tree of {}", own.features);
            return Err(part.refuse(FEATURES, why));
        }
        let all = Dimensions { features: n_features, classes: own.classes.clone() };
        let trees = made.get_or_insert_with(|| Trees::new(&all));
        trees.add_paths(&tree, &own, &columns)?;
    }
    let Some(trees) = made else { return Err(part.refuse("estimators_", "has no trees")) };
    let n_features = part.n_features(trees.forest.features(), "estimators_")?;
    let samples = part.fitted(SAMPLES)?;
    // What 1.3 and later read; it is the same number.
    let samples = part.attr("_max_samples").unwrap_or(samples);
    let Some(samples) = samples.as_f64().filter(|&n| n >= 1.0 && n.is_finite()) else {
        return Err(part.unexpected(SAMPLES, samples, "a number of samples"));
    };
    let offset = part.finite_numbers("offset_")?.values;
    let &[offset] = &offset[..] else {
        return Err(part.refuse("offset_", format!("has {} numbers; expected one", offset.len())));
    };
    #[allow(clippy::cast_precision_loss, reason = "a number of trees")]
    let usual = trees.forest.trees() as f64 * average_path_length(samples);
    let spec = |method, dtype| Spec::new(method, dtype, Gives::One);
    let mut methods = vec![
        spec(Method::Predict, DType::Int64),
        spec(Method::DecisionFunction, DType::Double),
        spec(Method::ScoreSamples, DType::Double),
    ];
    methods.extend(contributions::spec(&trees.forest, 1));
    // Since 1.6 it looks at no values.
    let check = if part.version() < (1, 6) { Check::Single { nan: false } } else { Check::Width };
    let facts = Facts::new(part, n_features, check, methods)?.labelled(None);
    let single_is_one = part.version() >= (1, 0);
    Ok(Box::new(Isolation { facts, trees, usual, single_is_one, offset }))
}

/// The mean length of the ways in a tree of so many samples. Source:
/// `_average_path_length`; Liu, Ting and Zhou, Isolation Forest, 2008, equation 1.
pub(super) fn average_path_length(samples: f64) -> f64 {
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    if samples <= 1.0 {
        0.0
    } else if samples == 2.0 {
        1.0
    } else {
        2.0 * ((samples - 1.0).ln() + EULER_GAMMA) - 2.0 * (samples - 1.0) / samples
    }
}

impl Estimator for Isolation {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let (rows, x) = (x.nrows(), single(&x));
        let needs_scores = wanted.iter().any(|&method| method != Method::Contributions);
        let mut scores = if needs_scores { self.trees.sums(&x, rows) } else { Vec::new() };
        for score in &mut scores {
            let share = if self.usual == 0.0 && self.single_is_one { 1.0 } else { *score / self.usual };
            *score = -(-share).exp2();
        }
        for method in wanted {
            let decisions = scores.iter().map(|score| score - self.offset);
            let elements = match method {
                Method::Contributions => self.trees.mean_contributions(&x).into(),
                Method::ScoreSamples => scores.clone().into(),
                Method::DecisionFunction => decisions.collect::<Vec<_>>().into(),
                _ => decisions
                    .map(|decision| if decision < 0.0 { -1i64 } else { 1 })
                    .collect::<Vec<_>>()
                    .into(),
            };
            answers.push(answer(rows, self.facts.gives(*method), elements)?);
        }
        Ok(())
    }
}
