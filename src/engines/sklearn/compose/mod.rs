//! Estimators that are made of others: what each is given, and what becomes of the answers.

mod bagging;
mod column_transformer;
mod delegate;
pub(super) mod frames;
pub(super) mod function;
pub(super) mod members;
mod stacking;
mod target;
mod threshold;
mod union;
mod voting;

use std::sync::Arc;

use super::registry::Row;
use super::state::Part;
use super::{Check, Estimator, Facts, Input, Method, ModelError, Spec};
use crate::formats::pickle::Ref;

const BAGGING: &[&str] = &["_bagging", "bagging"];
const ENSEMBLE: &str = "sklearn.ensemble";
const STACKING: &[&str] = &["_stacking"];
const VOTING: &[&str] = &["_voting", "voting"];
const SEARCH: &[&str] = &["_search"];
const HALVING: &[&str] = &["_search_successive_halving"];
const THRESHOLD: &[&str] = &["_classification_threshold"];
const SELECTION: &str = "sklearn.model_selection";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new("sklearn.compose", "ColumnTransformer", &["_column_transformer"], column_transformer::build),
    Row::new("sklearn.compose", "TransformedTargetRegressor", &["_target"], target::build),
    Row::new(ENSEMBLE, "BaggingClassifier", BAGGING, bagging::build_classifier),
    Row::new(ENSEMBLE, "BaggingRegressor", BAGGING, bagging::build_regressor),
    Row::new(ENSEMBLE, "StackingClassifier", STACKING, stacking::build_classifier),
    Row::new(ENSEMBLE, "StackingRegressor", STACKING, stacking::build_regressor),
    Row::new(ENSEMBLE, "VotingClassifier", VOTING, voting::build_classifier),
    Row::new(ENSEMBLE, "VotingRegressor", VOTING, voting::build_regressor),
    Row::new("sklearn.frozen", "FrozenEstimator", &["_frozen"], delegate::build_frozen),
    Row::new("sklearn.pipeline", "FeatureUnion", &[], union::build),
    Row::new("sklearn.preprocessing", "FunctionTransformer", &["_function_transformer"], function::build),
    Row::new(
        "sklearn.semi_supervised",
        "SelfTrainingClassifier",
        &["_self_training"],
        delegate::build_self_training,
    ),
    Row::new(SELECTION, "FixedThresholdClassifier", THRESHOLD, threshold::build_fixed),
    Row::new(SELECTION, "GridSearchCV", SEARCH, delegate::build_search),
    Row::new(SELECTION, "HalvingGridSearchCV", HALVING, delegate::build_search),
    Row::new(SELECTION, "HalvingRandomSearchCV", HALVING, delegate::build_search),
    Row::new(SELECTION, "RandomizedSearchCV", SEARCH, delegate::build_search),
    Row::new(SELECTION, "TunedThresholdClassifierCV", THRESHOLD, threshold::build_tuned),
];

/// What stands in the place of a transformer.
#[derive(Debug)]
pub(super) enum Slot {
    /// Its columns are left out.
    Drop,
    /// Its columns stay as they are.
    Pass,
    Is(Box<dyn Estimator>),
}

/// Reads what stands in the place of a transformer that is given so many features.
pub(super) fn slot<'a>(
    part: &Part<'a>,
    value: Ref<'a>,
    place: &str,
    given: Option<usize>,
) -> Result<Slot, ModelError> {
    match value.as_str() {
        Some("drop") => Ok(Slot::Drop),
        Some("passthrough") => Ok(Slot::Pass),
        _ if function::passes(value) => Ok(Slot::Pass),
        _ => part.child_given(value, place, given).map(Slot::Is),
    }
}

/// The pairs, or triples, of a list whose first item is a name.
pub(super) fn named<'a, const N: usize>(
    part: &Part<'a>,
    attribute: &'static str,
    expected: &str,
) -> Result<Vec<(String, [Ref<'a>; N])>, ModelError> {
    let value = part.fitted(attribute)?;
    let Some(items) = value.items() else {
        return Err(part.unexpected(attribute, value, &format!("a list of {expected}")));
    };
    let mut all = Vec::with_capacity(items.len());
    for (i, item) in items.enumerate() {
        let fields = item.items().filter(|fields| fields.len() == N + 1);
        let read = fields.and_then(|mut fields| {
            let name = fields.next()?.to_str()?.into_owned();
            let rest: Vec<Ref<'a>> = fields.collect();
            Some((name, <[Ref<'a>; N]>::try_from(rest).ok()?))
        });
        all.push(read.ok_or_else(|| {
            part.refuse(attribute, format!("has {} at [{i}]; expected {expected}", item.describe()))
        })?);
    }
    Ok(all)
}

/// A name of the file's, short and free of control characters.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

/// How many columns a transformer hands on.
pub(super) fn handed_on(part: &Part<'_>, attribute: &str, step: &dyn Estimator) -> Result<usize, ModelError> {
    let facts = step.facts();
    let Some(transform) = facts.spec(Method::Transform) else {
        return Err(part.refuse(attribute, format!("has a {}, which has no transform", facts.class)));
    };
    transform.gives.columns().ok_or_else(|| {
        let why = format!("has a {}, whose transform gives no columns to put beside others", facts.class);
        part.refuse(attribute, why)
    })
}

/// A weight by the name of a member.
pub(super) fn weight(part: &Part<'_>, name: &str) -> Result<Option<f64>, ModelError> {
    const NAME: &str = "transformer_weights";
    let Some(weights) = part.attr(NAME) else { return Ok(None) };
    if weights.entries().is_none() {
        return Err(part.unexpected(NAME, weights, "a dict"));
    }
    let Some(weight) = weights.get(name).filter(|weight| !weight.is_none()) else { return Ok(None) };
    let number = weight.as_f64().filter(|weight| weight.is_finite());
    number.map(Some).ok_or_else(|| part.unexpected(NAME, weight, "a number for each name"))
}

/// What estimators are that are all given the same samples.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) n_features: usize,
    pub(super) input: Input,
    pub(super) feature_names: Option<Vec<Arc<str>>>,
}

impl Common {
    /// Facts of an estimator that is given these samples.
    pub(super) fn facts(self, part: &Part<'_>, check: Check, methods: Vec<Spec>) -> Facts {
        let Self { n_features, input, feature_names } = self;
        Facts { class: part.class, n_features, input, feature_names, labels: None, check, methods }
    }
}

/// What samples suit all of these estimators, of which one that takes any number of columns is
/// no matter beside others. The names of the columns are those that
/// `part` was fitted on, else those of the first that has some.
pub(super) fn common<'e>(
    part: &Part<'_>,
    attribute: &str,
    all: impl Iterator<Item = &'e dyn Estimator>,
) -> Result<Common, ModelError> {
    let (any, some): (Vec<&Facts>, Vec<&Facts>) =
        all.map(|one| one.facts()).partition(|facts| facts.input == Input::AnyWidth);
    let mut all = if some.is_empty() { any } else { some }.into_iter();
    let Some(first) = all.next() else {
        return Err(part.refuse(attribute, "has no estimators; expected at least one"));
    };
    let (n_features, mut input) = (first.n_features, first.input.clone());
    let mut feature_names = first.feature_names.clone();
    for facts in all {
        let merged = input.merged(&facts.input, n_features).filter(|_| facts.n_features == n_features);
        input = merged.ok_or_else(|| {
            let why = format!(
                "has a {} of {} features and a {} of {n_features}, or they take different samples",
                facts.class, facts.n_features, first.class
            );
            part.refuse(attribute, why)
        })?;
        feature_names = feature_names.or_else(|| facts.feature_names.clone());
    }
    let feature_names = part.feature_names(n_features)?.or(feature_names);
    Ok(Common { n_features, input, feature_names })
}
