//! Several classes, or several labels, told apart by estimators that know two.

use std::sync::Arc;

use ndarray::Array2;

use super::compose::members::reals;
use super::compose::{Common, common};
use super::labels::Labels;
use super::math::{argmax, votes};
use super::registry::Row;
use super::samples::Samples;
use super::state::Part;
use super::{
    Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, answer, ask_one, bounded, numbers,
};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const MODULE: &str = "sklearn.multiclass";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(MODULE, "OneVsOneClassifier", &[], build_one_vs_one),
    Row::new(MODULE, "OneVsRestClassifier", &[], build_one_vs_rest),
    Row::new(MODULE, "OutputCodeClassifier", &[], build_output_code),
];

const BINARIZERS: [&str; 2] = ["sklearn.preprocessing._label", "sklearn.preprocessing.label"];
const NAME: &str = "estimators_";

/// An estimator of two classes.
#[derive(Debug)]
enum Side {
    Is {
        estimator: Box<dyn Estimator>,
        /// What is asked of it: `_predict_binary`.
        score: Method,
    },
    /// There was only one class to learn: its number.
    Always(f64),
}

fn sides(part: &Part<'_>) -> Result<Vec<Side>, ModelError> {
    let mut sides = Vec::new();
    for (i, value) in part.list(NAME)?.into_iter().enumerate() {
        let place = format!("{NAME}[{i}]");
        if value.object().is_some_and(|object| object.class().is(MODULE, "_ConstantPredictor")) {
            let constant = part.object(value, NAME, &place, &[MODULE], "_ConstantPredictor")?;
            sides.push(Side::Always(constant.number("y_")?));
            continue;
        }
        let estimator = part.child(value, &place)?;
        let facts = estimator.facts();
        let has = |method, gives: Gives| {
            facts.spec(method).is_some_and(|spec| spec.gives == gives && spec.dtype == DType::Double)
        };
        let score = if facts.spec(Method::DecisionFunction).is_some() {
            Some(Method::DecisionFunction).filter(|&method| has(method, Gives::One))
        } else if facts.labels.is_some() {
            Some(Method::PredictProba).filter(|&method| has(method, Gives::Columns(2)))
        } else {
            Some(Method::Predict).filter(|&method| has(method, Gives::One))
        };
        let Some(score) = score else {
            let why = format!("has a {} at [{i}], which does not tell two classes apart", facts.class);
            return Err(part.refuse(NAME, why));
        };
        sides.push(Side::Is { estimator, score });
    }
    Ok(sides)
}

/// What samples suit all of them.
fn shared(part: &Part<'_>, sides: &[Side]) -> Result<Common, ModelError> {
    let estimators = sides.iter().filter_map(|side| match side {
        Side::Is { estimator, .. } => Some(&**estimator),
        Side::Always(_) => None,
    });
    common(part, NAME, estimators)
}

fn second(shares: &Tensor) -> Result<Vec<f64>, RunError> {
    Ok(numbers(shares)?.iter().skip(1).step_by(2).copied().collect())
}

impl Side {
    fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Is { estimator, .. } => Some(estimator.facts()),
            Self::Always(_) => None,
        }
    }

    fn has(&self, method: Method) -> bool {
        self.facts().is_none_or(|facts| facts.spec(method).is_some())
    }

    /// Source: `_predict_binary`.
    fn score(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        match self {
            Self::Always(value) => Ok(vec![*value; x.rows()]),
            Self::Is { estimator, score } => {
                let said = ask_one(&**estimator, x, *score)?;
                if *score == Method::PredictProba { second(&said) } else { Ok(numbers(&said)?.to_vec()) }
            }
        }
    }

    fn predict(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        match self {
            Self::Always(value) => Ok(vec![*value; x.rows()]),
            Self::Is { estimator, .. } => reals(&ask_one(&**estimator, x, Method::Predict)?),
        }
    }

    /// The probability of the second class.
    fn share(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        match self {
            Self::Always(value) => Ok(vec![*value; x.rows()]),
            Self::Is { estimator, .. } => second(&ask_one(&**estimator, x, Method::PredictProba)?),
        }
    }

    /// Source: `_threshold_for_binary_predict`.
    fn threshold(&self) -> f64 {
        match self {
            Self::Is { score: Method::DecisionFunction, .. } => 0.0,
            _ => 0.5,
        }
    }
}

/// What several say, row by row.
fn by_row(columns: &[Vec<f64>], rows: usize) -> Vec<f64> {
    (0..rows).flat_map(|i| columns.iter().map(move |column| column[i])).collect()
}

#[derive(Debug)]
struct OneVsRest {
    facts: Facts,
    sides: Vec<Side>,
    labels: Arc<Labels>,
    /// Whether a row may have several labels, or none.
    multilabel: bool,
    /// Of equal scores the first is chosen since 1.8, before it was the last.
    first_of_equals: bool,
    /// Probabilities that are all 0 stay so since 1.7, before they were NaN.
    zeros_stay: bool,
}

/// Source: `sklearn.multiclass.OneVsRestClassifier`.
fn build_one_vs_rest(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let sides = sides(part)?;
    let binarizer = part.within("label_binarizer_", &BINARIZERS, "LabelBinarizer")?;
    let labels = Arc::new(binarizer.labels("classes_")?);
    let kind = binarizer.text("y_type_")?.unwrap_or_default();
    let (multilabel, expected) = match (&*kind, labels.len()) {
        ("binary", 2) => (false, 1),
        ("multiclass", classes) => (false, classes),
        ("multilabel-indicator", classes) => (true, classes),
        (other, classes) => {
            let shown: String = other.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(binarizer.refuse("y_type_", format!("is '{shown}' of {classes} classes")));
        }
    };
    if sides.len() != expected || sides.is_empty() {
        return Err(part.refuse(NAME, format!("has {} estimators; expected {expected}", sides.len())));
    }
    let all = shared(part, &sides)?;
    let classes = labels.len();
    let mut methods = vec![match multilabel {
        true => Spec::new(Method::Predict, DType::Int64, Some(classes)),
        false => Spec::new(Method::Predict, labels.dtype(), None),
    }];
    let two_shares = |side: &Side| {
        side.facts()
            .and_then(|facts| facts.spec(Method::PredictProba))
            .is_none_or(|spec| spec.gives == Gives::Columns(2))
    };
    if sides.iter().all(|side| side.has(Method::PredictProba) && two_shares(side)) {
        methods.push(Spec::new(Method::PredictProba, DType::Double, Some(classes)));
    }
    if sides.iter().all(|side| side.has(Method::DecisionFunction)) {
        let several = (sides.len() > 1).then_some(sides.len());
        methods.push(Spec::new(Method::DecisionFunction, DType::Double, several));
    }
    let named = (!multilabel).then(|| Arc::clone(&labels));
    let facts = all.facts(part, Check::Within, methods).labelled(named);
    let version = part.version();
    Ok(Box::new(OneVsRest {
        facts,
        sides,
        labels,
        multilabel,
        first_of_equals: version >= (1, 8),
        zeros_stay: version >= (1, 7),
    }))
}

impl OneVsRest {
    fn predict(&self, x: Samples<'_>) -> Result<Elements, RunError> {
        let scores: Result<Vec<Vec<f64>>, RunError> = self.sides.iter().map(|side| side.score(x)).collect();
        let scores = scores?;
        let threshold = self.sides[0].threshold();
        if self.multilabel {
            let flags = by_row(&scores, x.rows()).into_iter().map(|score| i64::from(score > threshold));
            return Ok(flags.collect::<Vec<_>>().into());
        }
        if let [scores] = &scores[..] {
            return Ok(self.labels.take(scores.iter().map(|&score| usize::from(score > threshold))));
        }
        let choose = |i: usize| {
            let mut best = (f64::NEG_INFINITY, 0);
            for (class, column) in scores.iter().enumerate() {
                let score = column[i];
                let wins = score > best.0
                    || (score == best.0 && (!self.first_of_equals || score == f64::NEG_INFINITY));
                if wins {
                    best = (score, class);
                }
            }
            best.1
        };
        Ok(self.labels.take((0..x.rows()).map(choose)))
    }

    fn shares(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let shares: Result<Vec<Vec<f64>>, RunError> = self.sides.iter().map(|side| side.share(x)).collect();
        let shares = shares?;
        let mut all = match &shares[..] {
            [only] if !self.multilabel => only.iter().flat_map(|&share| [1.0 - share, share]).collect(),
            several => by_row(several, x.rows()),
        };
        if !self.multilabel {
            for row in all.chunks_exact_mut(self.labels.len()) {
                let sum: f64 = row.iter().sum();
                if sum != 0.0 || !self.zeros_stay {
                    row.iter_mut().for_each(|share| *share /= sum);
                }
            }
        }
        Ok(all)
    }
}

impl Estimator for OneVsRest {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.rows(), self.labels.len())?;
        for &method in wanted {
            let elements = match method {
                Method::Predict => self.predict(x)?,
                Method::PredictProba => self.shares(x)?.into(),
                _ => {
                    let scores: Result<Vec<Vec<f64>>, RunError> =
                        self.sides.iter().map(|side| side.score(x)).collect();
                    by_row(&scores?, x.rows()).into()
                }
            };
            answers.push(answer(x.rows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct OneVsOne {
    facts: Facts,
    sides: Vec<Side>,
    labels: Arc<Labels>,
    /// The columns that each is given, where that is not all of them.
    picked: Option<Vec<Vec<usize>>>,
}

/// Source: `sklearn.multiclass.OneVsOneClassifier`.
fn build_one_vs_one(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let sides = sides(part)?;
    let labels = Arc::new(part.labels("classes_")?);
    let classes = labels.len();
    let pairs = classes.checked_mul(classes.saturating_sub(1)).map(|twice| twice / 2);
    if pairs != Some(sides.len()) || sides.is_empty() {
        let why = format!("has {} estimators for the pairs of {classes} classes", sides.len());
        return Err(part.refuse(NAME, why));
    }
    if !sides.iter().all(|side| side.has(Method::Predict)) {
        return Err(part.refuse(NAME, "has estimators without predict"));
    }
    let picked = picked(part, &sides)?;
    let all = match &picked {
        None => shared(part, &sides)?,
        Some(_) => {
            let n_features = part.n_features_in()?;
            Common { n_features, input: Input::Matrix, feature_names: part.feature_names(n_features)? }
        }
    };
    let methods = vec![
        Spec::new(Method::Predict, labels.dtype(), None),
        Spec::new(Method::DecisionFunction, DType::Double, (classes > 2).then_some(classes)),
    ];
    let facts = all.facts(part, Check::Width, methods).labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(OneVsOne { facts, sides, labels, picked }))
}

/// Of kernels between samples: the columns that each estimator is given, which are the samples
/// that it was fitted on.
fn picked(part: &Part<'_>, sides: &[Side]) -> Result<Option<Vec<Vec<usize>>>, ModelError> {
    const INDICES: &str = "pairwise_indices_";
    if part.attr(INDICES).is_none() {
        return Ok(None);
    }
    let each = part.list(INDICES)?;
    let width = part.n_features_in()?;
    if each.len() != sides.len() {
        return Err(part.refuse(INDICES, format!("has {} lists for {} estimators", each.len(), sides.len())));
    }
    let mut picked = Vec::with_capacity(each.len());
    for (i, (value, side)) in each.into_iter().zip(sides).enumerate() {
        let columns = part.indices_of(INDICES, value)?;
        let takes = side.facts().map_or(columns.len(), |facts| facts.n_features);
        if columns.len() != takes || columns.iter().any(|&column| column >= width) {
            let why = format!("has {} columns at [{i}]; expected {takes} of {width}", columns.len());
            return Err(part.refuse(INDICES, why));
        }
        picked.push(columns);
    }
    Ok(Some(picked))
}

impl OneVsOne {
    /// Votes, and the confidence that breaks their ties: `[rows, classes]`.
    fn decisions(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let (rows, classes) = (x.rows(), self.labels.len());
        let whole = match &self.picked {
            Some(_) => Some(x.to_dense(self.facts.class)?),
            None => None,
        };
        let mut said = Vec::with_capacity(self.sides.len());
        for (i, side) in self.sides.iter().enumerate() {
            let columns = self.picked.as_ref().map(|picked| &picked[i]);
            let part = columns.zip(whole.as_ref()).map(|(columns, whole)| {
                // In standard layout, which `select` does not promise.
                Array2::from_shape_fn((rows, columns.len()), |(row, i)| whole[(row, columns[i])])
            });
            let x = part.as_ref().map_or(x.reborrow(), |part| Samples::Dense(part.view()));
            said.push((side.predict(x)?, side.score(x)?));
        }
        let mut all = vec![0.0; rows * classes];
        for (row, decisions) in all.chunks_exact_mut(classes).enumerate() {
            // A regressor says neither.
            let won = |said: f64| [0.0, 1.0].contains(&said).then_some(said == 1.0);
            votes(said.iter().map(|(said, scores)| (won(said[row]), scores[row])), decisions);
        }
        Ok(all)
    }
}

impl Estimator for OneVsOne {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let classes = self.labels.len();
        bounded(self.facts.class, x.rows(), classes)?;
        let decisions = self.decisions(x)?;
        let decisions = match classes {
            2 => decisions.into_iter().skip(1).step_by(2).collect(),
            _ => decisions,
        };
        for &method in wanted {
            let elements: Elements = match method {
                Method::Predict if classes == 2 => {
                    let threshold = self.sides[0].threshold();
                    self.labels.take(decisions.iter().map(|&decision| usize::from(decision > threshold)))
                }
                Method::Predict => self.labels.take(decisions.chunks_exact(classes).map(argmax)),
                _ => decisions.clone().into(),
            };
            answers.push(answer(x.rows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct OutputCode {
    facts: Facts,
    sides: Vec<Side>,
    labels: Arc<Labels>,
    /// `[classes, estimators]`.
    codes: Vec<f64>,
}

/// Source: `sklearn.multiclass.OutputCodeClassifier`.
fn build_output_code(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const CODES: &str = "code_book_";
    let sides = sides(part)?;
    let labels = Arc::new(part.labels("classes_")?);
    let codes = part.matrix_of(CODES, sides.len())?;
    if codes.rows != labels.len() || sides.is_empty() || codes.rows == 0 {
        return Err(part.refuse(CODES, format!("has {} rows for {} classes", codes.rows, labels.len())));
    }
    let all = shared(part, &sides)?;
    let methods = vec![Spec::new(Method::Predict, labels.dtype(), None)];
    let facts = all.facts(part, Check::Within, methods).labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(OutputCode { facts, sides, labels, codes: codes.values }))
}

impl Estimator for OutputCode {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.rows(), self.sides.len())?;
        let scores: Result<Vec<Vec<f64>>, RunError> = self.sides.iter().map(|side| side.score(x)).collect();
        let scores = by_row(&scores?, x.rows());
        let width = self.sides.len();
        let nearest = |row: &[f64]| {
            let mut best = (f64::INFINITY, 0);
            for (class, code) in self.codes.chunks_exact(width).enumerate() {
                let distance: f64 = row.iter().zip(code).map(|(a, b)| (a - b) * (a - b)).sum();
                if distance < best.0 {
                    best = (distance, class);
                }
            }
            best.1
        };
        for _ in wanted {
            let places = scores.chunks_exact(width).map(nearest);
            answers.push(answer(x.rows(), None, self.labels.take(places))?);
        }
        Ok(())
    }
}
