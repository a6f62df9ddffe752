//! Gradient boosting: each tree adds to a raw sum, and the loss says what it means.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::contributions;
use super::forest::estimators;
use super::labels::Labels;
use super::math::{argmax, expit, softmax};
use super::registry::Row;
use super::state::Part;
use super::tree::{Dimensions, REGRESSORS, Trees, single};
use super::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, ask, bounded, matrix};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const BOOSTING: &[&str] = &["_gb", "gradient_boosting"];
const ENSEMBLE: &str = "sklearn.ensemble";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(ENSEMBLE, "GradientBoostingClassifier", BOOSTING, build_classifier),
    Row::new(ENSEMBLE, "GradientBoostingRegressor", BOOSTING, build_regressor),
];

/// How the raw sum of a row becomes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// It is the prediction.
    Identity,
    /// It is the prediction's logarithm.
    Log,
    /// It is the second class's log-odds.
    Logit,
    /// It is half the second class's log-odds: the exponential loss.
    HalfLogit,
    /// There is one for each class: softmax.
    Multinomial,
}

impl Link {
    /// The classes' probabilities of rows that hold `width` raw sums each.
    pub(super) fn probabilities(self, raw: &[f64], width: usize) -> Vec<f64> {
        let pair = |one: f64| [1.0 - one, one];
        match self {
            Self::Multinomial => {
                let mut all = raw.to_vec();
                all.chunks_exact_mut(width).for_each(softmax);
                all
            }
            Self::HalfLogit => raw.iter().flat_map(|&raw| pair(expit(2.0 * raw))).collect(),
            _ => raw.iter().flat_map(|&raw| pair(expit(raw))).collect(),
        }
    }
}

/// Which of two classes a raw sum chooses, where versions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie {
    /// The second class from 0 on.
    Second,
    /// The second class above 0.
    First,
    /// The second class if it is the more probable one.
    Probability,
}

/// The labels that rows of `width` raw sums choose.
pub(super) fn choose(labels: &Labels, link: Link, tie: Tie, raw: &[f64], width: usize) -> Elements {
    if link == Link::Multinomial {
        return labels.take(raw.chunks_exact(width).map(argmax));
    }
    labels.take(raw.iter().map(|&raw| {
        usize::from(match tie {
            Tie::Second => raw >= 0.0,
            Tie::First => raw > 0.0,
            Tie::Probability => expit(raw) > 1.0 - expit(raw),
        })
    }))
}

/// What the sums start from.
#[derive(Debug)]
enum Start {
    /// The same for every row: one number for each sum.
    Constant(Vec<f64>),
    /// What an estimator answers, through the link of the loss.
    Estimator {
        estimator: Box<dyn Estimator>,
        method: Method,
        /// How far from 0 and 1 its probabilities are kept.
        eps: f64,
        /// Whether the classes' logarithms are taken relative to their mean.
        centred: bool,
    },
}

#[derive(Debug)]
struct Boosting {
    facts: Facts,
    /// One sum for each: the trees of a stage stand one after the other.
    trees: Trees,
    width: usize,
    start: Start,
    link: Link,
    labels: Option<(Arc<Labels>, Tie)>,
}

/// `GradientBoostingRegressor`: with every loss, the raw sum is the prediction.
/// Source: `sklearn.ensemble._gb`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    part.fitted("estimators_")?;
    let known = ["ls", "lad", "squared_error", "absolute_error", "huber", "quantile"];
    let loss = part.text("loss")?.unwrap_or_default();
    if !known.contains(&&*loss) {
        return Err(part.refuse("loss", format!("is '{loss}', which is no loss of scikit-learn's")));
    }
    build(part, Link::Identity, None)
}

/// `GradientBoostingClassifier`: log loss (`deviance` until 1.0) and exponential loss.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    part.fitted("estimators_")?;
    let labels = Arc::new(part.labels("classes_")?);
    let old = part.version() < (1, 4);
    let (link, tie) = match &*part.text("loss")?.unwrap_or_default() {
        "exponential" => (Link::HalfLogit, Tie::Second),
        "deviance" | "log_loss" if labels.len() > 2 => (Link::Multinomial, Tie::First),
        "deviance" | "log_loss" => (Link::Logit, if old { Tie::Probability } else { Tie::Second }),
        other => return Err(part.refuse("loss", format!("is '{other}', which is no loss of scikit-learn's"))),
    };
    build(part, link, Some((labels, tie)))
}

fn build(
    part: &Part<'_>,
    link: Link,
    labels: Option<(Arc<Labels>, Tie)>,
) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "estimators_";
    let width = if link == Link::Multinomial { labels.as_ref().map_or(1, |(l, _)| l.len()) } else { 1 };
    let value = part.fitted(NAME)?;
    let stages =
        value.array().filter(|array| matches!(array.shape(), &[stages, k] if stages > 0 && k == width));
    if stages.is_none() {
        return Err(part.unexpected(NAME, value, &format!("an array of trees, {width} for each stage")));
    }
    if let Some((labels, _)) = labels.as_ref().filter(|(labels, _)| width == 1 && labels.len() != 2) {
        let why = format!("has {} labels, which one tree for each stage does not tell apart", labels.len());
        return Err(part.refuse("classes_", why));
    }
    let Some(rate) = part.fitted("learning_rate")?.as_f64().filter(|rate| rate.is_finite()) else {
        return Err(part.unexpected("learning_rate", part.fitted("learning_rate")?, "a number"));
    };
    let mut made: Option<(Trees, Dimensions)> = None;
    for tree in estimators(part, &REGRESSORS)? {
        let tree = tree?;
        if made.is_none() {
            let dimensions = Dimensions::of(&tree)?;
            if dimensions.width() != 1 {
                return Err(part.refuse(NAME, "has trees of several outputs; expected one"));
            }
            made = Some((Trees::new(&dimensions), dimensions));
        }
        let Some((trees, dimensions)) = &mut made else { continue };
        trees.add(&tree, dimensions, |leaf| leaf.iter_mut().for_each(|value| *value *= rate))?;
    }
    let Some((trees, dimensions)) = made else { return Err(part.refuse(NAME, "has no trees")) };
    let n_features = part.n_features(dimensions.features, NAME)?;
    let start = start(part, link, labels.as_ref().map(|(labels, _)| labels.len()), n_features)?;

    let spec = |method, dtype, gives: Option<usize>| Spec::new(method, dtype, gives);
    let mut methods = Vec::new();
    match &labels {
        Some((labels, _)) => {
            let classes = Some(labels.len());
            methods.push(spec(Method::Predict, labels.dtype(), None));
            methods.push(spec(Method::PredictProba, DType::Double, classes));
            methods.push(spec(Method::PredictLogProba, DType::Double, classes));
            methods.push(spec(Method::DecisionFunction, DType::Double, (width > 1).then_some(width)));
            let leaves = Gives::Layers(trees.forest.trees() / width, width);
            methods.push(Spec::new(Method::Apply, DType::Double, leaves));
        }
        None => {
            methods.push(spec(Method::Predict, DType::Double, None));
            methods.push(spec(Method::Apply, DType::Double, Some(trees.forest.trees())));
        }
    }
    // What an estimator starts from is a matter of features, too, and not of trees.
    if let Start::Constant(_) = &start {
        methods.extend(contributions::spec(&trees.forest, width));
    }
    let check = Check::Single { nan: false };
    let named = labels.as_ref().map(|(labels, _)| Arc::clone(labels));
    let facts = Facts::new(part, n_features, check, methods)?.labelled(named);
    Ok(Box::new(Boosting { facts, trees, width, start, link, labels }))
}

/// Reads `init_`, which the sums start from.
fn start(
    part: &Part<'_>,
    link: Link,
    classes: Option<usize>,
    n_features: usize,
) -> Result<Start, ModelError> {
    const NAME: &str = "init_";
    let value = part.fitted(NAME)?;
    if value.to_str().as_deref() == Some("zero") {
        return Ok(Start::Constant(vec![
            0.0;
            if link == Link::Multinomial { classes.unwrap_or(1) } else { 1 }
        ]));
    }
    // Single precision's epsilon until 1.7.
    let eps = if part.version() < (1, 8) { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let centred = part.version() >= (1, 4);
    let class = value.object().map_or("", |object| object.class().name);
    match (class, classes) {
        ("DummyRegressor", None) => {
            let dummy = part.within(NAME, &["sklearn.dummy"], "DummyRegressor")?;
            let constant = dummy.finite_numbers("constant_")?;
            match constant.values[..] {
                [constant] => Ok(Start::Constant(vec![constant])),
                _ => Err(dummy.refuse("constant_", "has several numbers; expected one")),
            }
        }
        ("DummyClassifier", Some(classes)) => {
            let dummy = part.within(NAME, &["sklearn.dummy"], "DummyClassifier")?;
            let strategy = dummy.text("strategy")?.unwrap_or_default();
            if strategy != "prior" {
                return Err(dummy.refuse("strategy", format!("is '{strategy}'; expected 'prior'")));
            }
            let mut prior = dummy.finite_numbers("class_prior_")?.values;
            if prior.len() != classes {
                let why = format!("has {} numbers for {classes} classes", prior.len());
                return Err(dummy.refuse("class_prior_", why));
            }
            Ok(Start::Constant(link_of(link, &mut prior, eps, centred)))
        }
        _ => {
            let estimator = part.child(value, NAME)?;
            let method = if classes.is_some() { Method::PredictProba } else { Method::Predict };
            let inner = estimator.facts();
            let gives =
                inner.spec(method).filter(|spec| spec.dtype == DType::Double && spec.gives == classes.into());
            if gives.is_none() || inner.n_features != n_features {
                let want =
                    classes.map_or("one number".to_owned(), |n| format!("probabilities of {n} classes"));
                let why =
                    format!("is a {}; expected one that gives {want} for {n_features} features", inner.class);
                return Err(part.refuse(NAME, why));
            }
            Ok(Start::Estimator { estimator, method, eps, centred })
        }
    }
}

/// The raw sums that mean these probabilities. Source: `get_init_raw_predictions` of
/// `sklearn.ensemble._gb_losses`, `_init_raw_predictions` of `sklearn.ensemble._gb` since 1.4.
fn link_of(link: Link, probabilities: &mut [f64], eps: f64, centred: bool) -> Vec<f64> {
    probabilities.iter_mut().for_each(|p| *p = p.clamp(eps, 1.0 - eps));
    if link == Link::Multinomial {
        let mut logs: Vec<f64> = probabilities.iter().map(|p| p.ln()).collect();
        if centred {
            #[allow(clippy::cast_precision_loss, reason = "a number of classes")]
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            logs.iter_mut().for_each(|log| *log -= mean);
        }
        return logs;
    }
    let p = probabilities.get(1).copied().unwrap_or(0.5);
    let odds = (p / (1.0 - p)).ln();
    vec![if link == Link::HalfLogit { 0.5 * odds } else { odds }]
}

impl Boosting {
    /// `[rows, width]`.
    fn raw(&self, x: &[f32], rows: usize) -> Result<Vec<f64>, RunError> {
        let mut raw = match &self.start {
            Start::Constant(start) => start.repeat(rows),
            Start::Estimator { estimator, method, eps, centred } => {
                // scikit-learn hands it what the trees are given.
                let double: Vec<f64> = x.iter().map(|&value| f64::from(value)).collect();
                let double = ArrayView2::from_shape((rows, self.facts.n_features), &double)
                    .map_err(|error| RunError::Internal(error.to_string()))?;
                let mut answers = Vec::with_capacity(1);
                ask(&**estimator, double, &[*method], &mut answers)?;
                match (answers[0].elements(), method) {
                    (_, Method::PredictProba) => {
                        let mut given = matrix(&answers[0])?.to_owned();
                        let rows = given.rows_mut().into_iter();
                        rows.flat_map(|mut row| match row.as_slice_mut() {
                            Some(row) => link_of(self.link, row, *eps, *centred),
                            None => Vec::new(),
                        })
                        .collect()
                    }
                    (Elements::F64(values), _) => values.to_vec(),
                    _ => return Err(RunError::Internal("init_ gave no numbers".to_owned())),
                }
            }
        };
        let width = self.width;
        self.trees
            .forest
            .walk(x, |row, tree, leaf| raw[row * width + tree % width] += self.trees.leaf(leaf)[0]);
        Ok(raw)
    }
}

impl Estimator for Boosting {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.nrows(), self.width)?;
        let (rows, x) = (x.nrows(), single(&x));
        let needs_raw = wanted.iter().any(|method| !matches!(method, Method::Apply | Method::Contributions));
        let raw = if needs_raw { self.raw(&x, rows)? } else { Vec::new() };
        for &method in wanted {
            let elements: Elements = match (method, &self.labels) {
                #[allow(clippy::cast_precision_loss, reason = "scikit-learn's are doubles, too")]
                (Method::Apply, _) => {
                    self.trees.apply(&x, rows).into_iter().map(|leaf| leaf as f64).collect::<Vec<_>>().into()
                }
                (Method::Contributions, _) => match &self.start {
                    Start::Constant(start) => self.trees.contributions(start, &x).into(),
                    Start::Estimator { .. } => {
                        return Err(RunError::Internal("init_ has no contributions".to_owned()));
                    }
                },
                (Method::Predict, Some((labels, tie))) => choose(labels, self.link, *tie, &raw, self.width),
                (Method::PredictProba, _) => self.link.probabilities(&raw, self.width).into(),
                (Method::PredictLogProba, _) => {
                    let mut all = self.link.probabilities(&raw, self.width);
                    all.iter_mut().for_each(|p| *p = p.ln());
                    all.into()
                }
                _ => raw.clone().into(),
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
