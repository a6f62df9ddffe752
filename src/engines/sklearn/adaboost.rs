//! AdaBoost: estimators of any served class, each with the weight that it earned.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::labels::Labels;
use super::math::{argmax, softmax};
use super::registry::Row;
use super::state::Part;
use super::{Check, Estimator, Facts, Method, ModelError, Spec, answer, ask, bounded};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const ADABOOST: &[&str] = &["_weight_boosting", "weight_boosting"];
const ENSEMBLE: &str = "sklearn.ensemble";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(ENSEMBLE, "AdaBoostClassifier", ADABOOST, build_classifier),
    Row::new(ENSEMBLE, "AdaBoostRegressor", ADABOOST, build_regressor),
];

/// What the estimators say for each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    /// `SAMME.R`, which was until 1.5: the logarithms of the probabilities, relative to their mean.
    Logarithms,
    /// `SAMME`: the weight for the class that it predicts, and for the others...
    Votes {
        /// ...their share of the weight, taken off: since 1.3. Before, nothing.
        against: bool,
    },
}

#[derive(Debug)]
struct Classifier {
    facts: Facts,
    estimators: Estimators,
    weights: Vec<f64>,
    total: f64,
    labels: Arc<Labels>,
    say: Say,
}

#[derive(Debug)]
struct Regressor {
    facts: Facts,
    estimators: Estimators,
    weights: Vec<f64>,
}

type Estimators = Vec<Box<dyn Estimator>>;

/// The estimators and their weights; all of them have `method`, and give `gives` of `dtype`.
fn members(
    part: &Part<'_>,
    method: Method,
    gives: Option<usize>,
    dtype: DType,
) -> Result<(Estimators, Vec<f64>), ModelError> {
    const NAME: &str = "estimators_";
    let value = part.fitted(NAME)?;
    let Some(items) = value.items().filter(|items| items.len() > 0) else {
        return Err(part.unexpected(NAME, value, "a list of at least one estimator"));
    };
    let mut built: Estimators = Vec::with_capacity(items.len());
    for (i, item) in items.enumerate() {
        let estimator = part.child(item, &format!("{NAME}[{i}]"))?;
        let facts = estimator.facts();
        let width = built.first().map_or(facts.n_features, |first| first.facts().n_features);
        let fits = facts.spec(method).is_some_and(|spec| spec.gives == gives.into() && spec.dtype == dtype);
        if !fits || facts.n_features != width {
            let columns = gives.map_or("one value".to_owned(), |gives| format!("{gives} columns"));
            let why = format!(
                "has a {} at [{i}]; expected one with {} of {width} features that gives {columns} of {dtype}",
                facts.class,
                method.signature()
            );
            return Err(part.refuse(NAME, why));
        }
        built.push(estimator);
    }
    let weights = part.finite_numbers("estimator_weights_")?.values;
    // Those that were never fitted have a weight, of zero, nevertheless.
    if weights.len() < built.len() {
        let why = format!("has {} numbers for {} estimators", weights.len(), built.len());
        return Err(part.refuse("estimator_weights_", why));
    }
    Ok((built, weights))
}

/// `AdaBoostClassifier`. Source: `sklearn.ensemble._weight_boosting`.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    part.fitted("estimators_")?;
    let labels = Arc::new(part.labels("classes_")?);
    let classes = labels.len();
    if classes < 2 {
        return Err(part.refuse("classes_", format!("has {classes} labels; expected at least 2")));
    }
    // No argument since 1.8, and without effect since 1.6.
    let say = match part.text("algorithm")?.as_deref() {
        Some("SAMME.R") => Say::Logarithms,
        None | Some("SAMME" | "deprecated") => Say::Votes { against: part.version() >= (1, 3) },
        Some(other) => {
            return Err(part.refuse("algorithm", format!("is '{other}'; expected 'SAMME' or 'SAMME.R'")));
        }
    };
    let (estimators, weights) = match say {
        Say::Logarithms => members(part, Method::PredictProba, Some(classes), DType::Double)?,
        Say::Votes { .. } => members(part, Method::Predict, None, labels.dtype())?,
    };
    let n_features = part.n_features(estimators[0].facts().n_features, "estimators_")?;
    let spec = |method, dtype, gives: Option<usize>| Spec::new(method, dtype, gives);
    let methods = vec![
        spec(Method::Predict, labels.dtype(), None),
        spec(Method::PredictProba, DType::Double, Some(classes)),
        spec(Method::PredictLogProba, DType::Double, Some(classes)),
        spec(Method::DecisionFunction, DType::Double, (classes > 2).then_some(classes)),
    ];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(Some(Arc::clone(&labels)));
    let total = weights.iter().sum();
    Ok(Box::new(Classifier { facts, estimators, weights, total, labels, say }))
}

/// `AdaBoostRegressor`: the weighted median.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (estimators, weights) = members(part, Method::Predict, None, DType::Double)?;
    let n_features = part.n_features(estimators[0].facts().n_features, "estimators_")?;
    let methods = vec![Spec::new(Method::Predict, DType::Double, None)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Regressor { facts, estimators, weights }))
}

impl Classifier {
    /// What all estimators say for each class: `[rows, classes]`.
    fn sums(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, RunError> {
        let classes = self.labels.len();
        #[allow(clippy::cast_precision_loss, reason = "a number of classes")]
        let count = classes as f64;
        let mut sums = vec![0.0; x.nrows() * classes];
        for (estimator, weight) in self.estimators.iter().zip(&self.weights) {
            let mut answers = Vec::with_capacity(1);
            match self.say {
                Say::Logarithms => {
                    ask(&**estimator, x, &[Method::PredictProba], &mut answers)?;
                    let Elements::F64(shares) = answers[0].elements() else { continue };
                    let rows = sums.chunks_exact_mut(classes).zip(shares.chunks_exact(classes));
                    for (sums, shares) in rows {
                        let logs = || shares.iter().map(|share| share.max(f64::EPSILON).ln());
                        let mean = 1.0 / count * logs().sum::<f64>();
                        let said = logs().map(|log| (count - 1.0) * (log - mean));
                        sums.iter_mut().zip(said).for_each(|(sum, said)| *sum += said);
                    }
                }
                Say::Votes { against } => {
                    ask(&**estimator, x, &[Method::Predict], &mut answers)?;
                    let others = if against { -1.0 / (count - 1.0) * weight } else { 0.0 };
                    let votes = self.labels.places(answers[0].elements());
                    for (sums, vote) in sums.chunks_exact_mut(classes).zip(votes) {
                        for (class, sum) in sums.iter_mut().enumerate() {
                            *sum += if vote == Some(class) { *weight } else { others };
                        }
                    }
                }
            }
        }
        sums.iter_mut().for_each(|sum| *sum /= self.total);
        Ok(sums)
    }
}

impl Estimator for Classifier {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let classes = self.labels.len();
        bounded(self.facts.class, x.nrows(), classes)?;
        let sums = self.sums(x)?;
        let decisions: Vec<f64> = match classes {
            2 => sums.chunks_exact(2).map(|pair| -pair[0] + pair[1]).collect(),
            _ => sums,
        };
        for &method in wanted {
            let elements: Elements = match method {
                Method::DecisionFunction => decisions.clone().into(),
                Method::Predict if classes == 2 => {
                    self.labels.take(decisions.iter().map(|&decision| usize::from(decision > 0.0)))
                }
                Method::Predict => self.labels.take(decisions.chunks_exact(classes).map(argmax)),
                _ => {
                    #[allow(clippy::cast_precision_loss, reason = "a number of classes")]
                    let others = (classes - 1) as f64;
                    let mut shares: Vec<f64> = match classes {
                        2 => {
                            decisions.iter().flat_map(|&decision| [-decision / 2.0, decision / 2.0]).collect()
                        }
                        _ => decisions.iter().map(|decision| decision / others).collect(),
                    };
                    shares.chunks_exact_mut(classes).for_each(softmax);
                    if method == Method::PredictLogProba {
                        shares.iter_mut().for_each(|share| *share = share.ln());
                    }
                    shares.into()
                }
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}

impl Estimator for Regressor {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.nrows(), self.estimators.len())?;
        let mut said = Vec::with_capacity(self.estimators.len());
        for estimator in &self.estimators {
            ask(&**estimator, x, &[Method::Predict], &mut said)?;
        }
        let columns: Vec<&[f64]> = said
            .iter()
            .filter_map(|tensor| match tensor.elements() {
                Elements::F64(values) => Some(&values[..]),
                _ => None,
            })
            .collect();
        let mut medians = Vec::with_capacity(x.nrows());
        let mut row: Vec<(f64, f64)> = Vec::with_capacity(columns.len());
        for i in 0..x.nrows() {
            row.clear();
            row.extend(columns.iter().zip(&self.weights).map(|(column, &weight)| (column[i], weight)));
            row.sort_by(|a, b| a.0.total_cmp(&b.0));
            let total = row.iter().fold(0.0, |sum, (_, weight)| sum + weight);
            let mut sum = 0.0;
            let median = row.iter().find(|(_, weight)| {
                sum += weight;
                sum >= 0.5 * total
            });
            medians.push(median.or(row.first()).map_or(f64::NAN, |(value, _)| *value));
        }
        for _ in wanted {
            answers.push(answer(x.nrows(), None, medians.clone().into())?);
        }
        Ok(())
    }
}
