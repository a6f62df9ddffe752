//! Selectors: some of the columns are kept, as `fit` has found.

mod importances;
mod masks;

use super::compose::frames::pick;
use super::registry::Row;
use super::samples::{Frame, Samples};
use super::state::Part;
use super::{Check, Estimator, Facts, Method, ModelError, Spec, answer, ask, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

const SELECTION: &str = "sklearn.feature_selection";
const UNIVARIATE: &[&str] = &["_univariate_selection", "univariate_selection"];
const RFE: &[&str] = &["_rfe", "rfe"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(SELECTION, "GenericUnivariateSelect", UNIVARIATE, masks::build_generic),
    Row::new(SELECTION, "RFE", RFE, build_elimination),
    Row::new(SELECTION, "RFECV", RFE, build_elimination),
    Row::new(SELECTION, "SelectFdr", UNIVARIATE, masks::build_fdr),
    Row::new(SELECTION, "SelectFpr", UNIVARIATE, masks::build_fpr),
    Row::new(SELECTION, "SelectFromModel", &["_from_model", "from_model"], importances::build),
    Row::new(SELECTION, "SelectFwe", UNIVARIATE, masks::build_fwe),
    Row::new(SELECTION, "SelectKBest", UNIVARIATE, masks::build_best),
    Row::new(SELECTION, "SelectPercentile", UNIVARIATE, masks::build_percentile),
    Row::new(SELECTION, "SequentialFeatureSelector", &["_sequential"], build_sequential),
    Row::new(
        SELECTION,
        "VarianceThreshold",
        &["_variance_threshold", "variance_threshold"],
        masks::build_variance,
    ),
];

#[derive(Debug)]
struct Selector {
    facts: Facts,
    /// The columns that are kept, rising.
    kept: Vec<usize>,
    /// What answers for them, of those that eliminate features for an estimator.
    estimator: Option<Box<dyn Estimator>>,
}

/// A selector that keeps these columns.
fn selector(part: &Part<'_>, mask: &[bool], attribute: &str, check: Check) -> Result<Selector, ModelError> {
    let n_features = part.n_features(mask.len(), attribute)?;
    if n_features == 0 {
        return Err(part.refuse(attribute, "has no features; expected at least one"));
    }
    let kept: Vec<usize> = mask.iter().enumerate().filter(|(_, kept)| **kept).map(|(i, _)| i).collect();
    let mut methods = vec![Spec::transform(kept.len())];
    // Of no columns, scikit-learn refuses whatever it is given.
    if !kept.is_empty() {
        methods.push(Spec::inverse_transform(kept.len(), n_features));
    }
    let facts = Facts::new(part, n_features, check, methods)?;
    Ok(Selector { facts, kept, estimator: None })
}

/// The mask that `fit` leaves.
fn support(part: &Part<'_>) -> Result<Vec<bool>, ModelError> {
    const NAME: &str = "support_";
    let mask = part.array(NAME)?;
    if mask.shape().len() != 1 {
        return Err(part.refuse(NAME, format!("is {mask}; expected one flag per feature")));
    }
    mask.to_bools().map_err(|error| part.refuse(NAME, error.to_string()))
}

/// What a selector looks at: what its estimator looks at, since their tags are the same.
fn check_of(takes_nan: bool) -> Check {
    if takes_nan { Check::Width } else { Check::Finite }
}

/// `RFE` and `RFECV`. Source: `sklearn.feature_selection._rfe`.
fn build_elimination(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "estimator_";
    let mask = support(part)?;
    let estimator = part.child(part.fitted(NAME)?, NAME)?;
    let inner = estimator.facts();
    let takes_nan = matches!(inner.check, Check::FiniteOrNan | Check::Single { nan: true } | Check::Width);
    let mut selector = selector(part, &mask, "support_", check_of(takes_nan))?;
    if inner.n_features != selector.kept.len() {
        let why = format!("takes {} features; support_ keeps {}", inner.n_features, selector.kept.len());
        return Err(part.refuse(NAME, why));
    }
    let forwards = ["predict", "predict_proba", "predict_log_proba", "decision_function"];
    let forwarded = inner.methods.iter().filter(|spec| forwards.contains(&spec.method.signature()));
    selector.facts.methods.extend(forwarded.copied());
    selector.facts.labels.clone_from(&inner.labels);
    selector.estimator = Some(estimator);
    Ok(Box::new(selector))
}

/// Source: `sklearn.feature_selection.SequentialFeatureSelector`. Its estimator is not fitted.
fn build_sequential(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let mask = support(part)?;
    let takes_nan = importances::takes_nan(&part.inner(part.fitted("estimator")?, "estimator")?);
    Ok(Box::new(selector(part, &mask, "support_", check_of(takes_nan))?))
}

impl Estimator for Selector {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let class = self.facts.class;
        if wanted.contains(&Method::InverseTransform) {
            let (rows, width) = (x.rows(), self.facts.n_features);
            let x = x.to_dense(class)?;
            let mut all = vec![0.0; rows * width];
            let given = flat(&x.view()).chunks_exact(self.kept.len().max(1));
            for (row, given) in all.chunks_exact_mut(width).zip(given) {
                self.kept.iter().zip(given).for_each(|(&at, &value)| row[at] = value);
            }
            for _ in wanted {
                answers.push(answer(rows, Some(width), all.clone().into())?);
            }
            return Ok(());
        }
        let kept = pick(x, &self.kept);
        for &method in wanted {
            match &self.estimator {
                Some(estimator) if method != Method::Transform => {
                    ask(&**estimator, kept.samples(), &[method], answers)?;
                }
                _ => answers.push(kept.samples().to_frame().into_tensor(class)?),
            }
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        Ok(pick(x, &self.kept))
    }
}
