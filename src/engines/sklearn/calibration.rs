//! `CalibratedClassifierCV`: what classifiers say, made into probabilities that can be trusted.

use std::sync::Arc;

use super::compose::members::{Members, shared};
use super::isotonic::Curve;
use super::labels::Labels;
use super::math::{argmax, expit, softmax};
use super::registry::Row;
use super::samples::Samples;
use super::state::Part;
use super::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, ask_one, bounded, numbers};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const MODULES: [&str; 1] = ["sklearn.calibration"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[Row::new("sklearn.calibration", "CalibratedClassifierCV", &[], build)];

#[derive(Debug)]
struct Calibrated {
    facts: Facts,
    estimators: Members,
    /// How each estimator is read.
    ways: Vec<Way>,
    labels: Arc<Labels>,
}

#[derive(Debug)]
struct Way {
    /// `decision_function` where there is one, else `predict_proba`.
    method: Method,
    /// Numbers that it gives for a row; of two probabilities, the second alone is read.
    given: usize,
    calibration: Calibration,
    /// The class that each number speaks for.
    classes: Vec<usize>,
}

#[derive(Debug)]
enum Calibration {
    /// Each class by itself.
    Each(Vec<Calibrator>),
    /// All classes at once: the logits times this.
    Temperature(f64),
}

#[derive(Debug)]
enum Calibrator {
    /// `1 / (1 + exp(a · x + b))`.
    Sigmoid {
        a: f64,
        b: f64,
    },
    Isotonic(Curve),
}

/// Source: `sklearn.calibration.CalibratedClassifierCV`.
fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "calibrated_classifiers_";
    let labels = Arc::new(part.labels("classes_")?);
    let classes = labels.len();
    let (mut estimators, mut ways) = (Members::new(), Vec::new());
    for (i, value) in part.list(NAME)?.into_iter().enumerate() {
        let one = part.object(value, NAME, &format!("{NAME}[{i}]"), &MODULES, "_CalibratedClassifier")?;
        // Named `base_estimator` until 1.1.
        let name = if one.attr("estimator").is_some() { "estimator" } else { "base_estimator" };
        let estimator = one.child(one.fitted(name)?, name)?;
        ways.push(way(&one, name, estimator.facts(), &labels)?);
        estimators.push(estimator);
    }
    if estimators.is_empty() || classes < 2 {
        return Err(part.refuse(NAME, format!("has {} classifiers of {classes} classes", estimators.len())));
    }
    let all = shared(part, NAME, &estimators)?;
    let methods = vec![
        Spec::new(Method::Predict, labels.dtype(), None),
        Spec::new(Method::PredictProba, DType::Double, Some(classes)),
    ];
    let facts = all.facts(part, Check::Within, methods).labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(Calibrated { facts, estimators, ways, labels }))
}

fn way(one: &Part<'_>, name: &str, facts: &Facts, labels: &Labels) -> Result<Way, ModelError> {
    const NAME: &str = "calibrators";
    let refuse = |why: &str| Err(one.refuse(name, format!("is a {}, {why}", facts.class)));
    let spec = facts.spec(Method::DecisionFunction).or(facts.spec(Method::PredictProba));
    let Some(spec) = spec.filter(|spec| spec.dtype == DType::Double) else {
        return refuse("which has neither decision_function nor predict_proba");
    };
    let given = match spec.gives {
        Gives::One => 1,
        Gives::Columns(columns) if columns > 0 => columns,
        _ => return refuse("whose answers are no numbers for each class"),
    };
    let Some(own) = facts.labels.as_deref() else { return refuse("which is no classifier") };
    let method = one.one_of("method", "sigmoid", &["sigmoid", "isotonic", "temperature"])?;
    let places: Option<Vec<usize>> = match method {
        // All classes are looked at together, in their order.
        "temperature" => Some(Vec::new()),
        _ => labels.places(&own.take(0..own.len())).into_iter().collect(),
    };
    let Some(mut classes) = places else { return refuse("whose labels are not among the classes") };
    let two = labels.len() == 2;
    let values = one.list(NAME)?;
    // Of two classes, only the second is looked at.
    let speaking =
        if own.len() == 2 && (given == 1 || spec.method == Method::PredictProba) { 1 } else { given };
    let calibration = if method == "temperature" {
        let [value] = values[..] else {
            return Err(one.refuse(NAME, format!("has {}; expected one", values.len())));
        };
        let scaling = one.object(value, NAME, "calibrators[0]", &MODULES, "_TemperatureScaling")?;
        if own.len() != labels.len() || !(given == labels.len() || (given == 1 && two)) {
            return refuse("which does not know all classes");
        }
        Calibration::Temperature(scaling.number("beta_")?)
    } else {
        let read: Result<Vec<Calibrator>, ModelError> =
            values.into_iter().enumerate().map(|(i, value)| calibrator(one, i, value)).collect();
        let read = read?;
        if read.is_empty() || read.len() > speaking.min(classes.len()) {
            return Err(one.refuse(NAME, format!("has {} for {speaking} numbers of a row", read.len())));
        }
        if two {
            classes = vec![1];
        }
        if classes.len() < read.len() {
            return Err(one.refuse(NAME, format!("has {} for {} classes", read.len(), classes.len())));
        }
        Calibration::Each(read)
    };
    Ok(Way { method: spec.method, given, calibration, classes })
}

fn calibrator<'a>(one: &Part<'a>, i: usize, value: Ref<'a>) -> Result<Calibrator, ModelError> {
    const NAME: &str = "calibrators";
    let place = format!("{NAME}[{i}]");
    if value.object().is_some_and(|object| object.class().name == "_SigmoidCalibration") {
        let sigmoid = one.object(value, NAME, &place, &MODULES, "_SigmoidCalibration")?;
        return Ok(Calibrator::Sigmoid { a: sigmoid.number("a_")?, b: sigmoid.number("b_")? });
    }
    let isotonic = one.inner(value, &place)?;
    if isotonic.class != "IsotonicRegression" {
        return Err(one.unexpected(NAME, value, "a sigmoid or an isotonic regression for each class"));
    }
    Curve::read(&isotonic).map(Calibrator::Isotonic)
}

impl Calibrator {
    fn at(&self, value: f64) -> Result<f64, RunError> {
        match self {
            Self::Sigmoid { a, b } => Ok(expit(-(a * value + b))),
            Self::Isotonic(curve) => curve.at(value),
        }
    }
}

impl Way {
    /// Adds the calibrated probabilities of all rows to `sums`: `[rows, classes]`.
    fn add(
        &self,
        estimator: &dyn Estimator,
        x: Samples<'_>,
        classes: usize,
        sums: &mut [f64],
    ) -> Result<(), RunError> {
        let said = ask_one(estimator, x, self.method)?;
        let said = numbers(&said)?;
        let mut row = vec![0.0; classes];
        for (sums, said) in sums.chunks_exact_mut(classes).zip(said.chunks_exact(self.given)) {
            row.fill(0.0);
            match &self.calibration {
                Calibration::Each(calibrators) => {
                    // Of two probabilities, the second is read.
                    let read = if calibrators.len() == 1 && said.len() == 2 { &said[1..] } else { said };
                    for ((calibrator, &value), &class) in calibrators.iter().zip(read).zip(&self.classes) {
                        row[class] = calibrator.at(value)?;
                    }
                    share(&mut row);
                }
                Calibration::Temperature(beta) => {
                    self.logits(said, &mut row);
                    row.iter_mut().for_each(|logit| *logit *= beta);
                    softmax(&mut row);
                }
            }
            for (sum, &share) in sums.iter_mut().zip(&row) {
                *sum += if share > 1.0 && share <= 1.0 + 1e-5 { 1.0 } else { share };
            }
        }
        Ok(())
    }

    /// Source: `sklearn.calibration._convert_to_logits`. Whether a batch looks like
    /// probabilities is not asked of its numbers: the method says so.
    fn logits(&self, said: &[f64], row: &mut [f64]) {
        match (said, &mut *row) {
            (&[decision], [no, yes]) => (*no, *yes) = (-decision, decision),
            (said, row) if self.method == Method::PredictProba => {
                row.iter_mut().zip(said).for_each(|(logit, share)| *logit = (share + 1e-12).ln());
            }
            (said, row) => row.copy_from_slice(said),
        }
    }
}

/// Makes the shares of a row sum to 1. Where all are 0, each gets the same.
fn share(row: &mut [f64]) {
    if let [no, yes] = row {
        *no = 1.0 - *yes;
        return;
    }
    let sum: f64 = row.iter().sum();
    if sum == 0.0 {
        #[allow(clippy::cast_precision_loss, reason = "a number of classes")]
        let even = 1.0 / row.len() as f64;
        row.fill(even);
    } else {
        row.iter_mut().for_each(|share| *share /= sum);
    }
}

impl Estimator for Calibrated {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let (rows, classes) = (x.rows(), self.labels.len());
        bounded(self.facts.class, rows, classes)?;
        let mut means = vec![0.0; rows * classes];
        for (estimator, way) in self.estimators.iter().zip(&self.ways) {
            way.add(&**estimator, x, classes, &mut means)?;
        }
        #[allow(clippy::cast_precision_loss, reason = "a number of estimators")]
        let count = self.estimators.len() as f64;
        means.iter_mut().for_each(|mean| *mean /= count);
        for &method in wanted {
            let elements: Elements = match method {
                Method::Predict => self.labels.take(means.chunks_exact(classes).map(argmax)),
                _ => means.clone().into(),
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
