//! Linear classifiers: the largest weighted sum, or the sign of the only one,
//! chooses the label.

use std::sync::Arc;

use super::{Fitted, read};
use crate::engines::sklearn::labels::{BINARIZERS, Labels};
use crate::engines::sklearn::math::{Affine, argmax, expit, softmax};
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

/// What `predict` makes of the scores.
#[derive(Debug)]
enum Choice {
    /// One label for each row.
    Label(Arc<Labels>),
    /// Yes or no for each score.
    Indicator,
}

/// How scores become probabilities, for the classifiers that give any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probability {
    /// The logistic function of each score, divided by their sum over the classes.
    OneVsRest {
        /// Classes that all have probability 0 share the row, rather than be NaN:
        /// so since scikit-learn 1.9.
        zeros_share: bool,
    },
    /// Softmax of the scores; of `[-s, s]` for a single one.
    Multinomial,
    /// The score, clipped to [-1, 1] and moved to [0, 1], divided by their sum.
    ModifiedHuber,
}

#[derive(Debug)]
struct Classifier {
    facts: Facts,
    affine: Affine,
    choice: Choice,
    probability: Option<Probability>,
}

/// `Perceptron`, `LinearSVC`, …: labels and scores, no probabilities.
/// Source: `sklearn.linear_model._base.LinearClassifierMixin`.
pub(in crate::engines::sklearn) fn build_plain(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    labelled(part, None)
}

/// `LogisticRegression` and its `CV`.
/// Source: `sklearn.linear_model.LogisticRegression.predict_proba`.
pub(in crate::engines::sklearn) fn build_logistic(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    part.fitted("coef_")?;
    let solver = part.text("solver")?.unwrap_or_default();
    let two = part.labels("classes_")?.len() <= 2;
    let one_vs_rest = match part.text("multi_class")?.as_deref() {
        Some("ovr" | "warn") => true,
        Some("multinomial") => false,
        // Since 1.8 there is no such argument any more, and `auto` is the only way.
        None | Some("auto" | "deprecated") => {
            // newton-cholesky learned to do multinomial in 1.6.
            two || solver == "liblinear" || (solver == "newton-cholesky" && part.version() < (1, 6))
        }
        Some(other) => {
            let why = format!("is '{other}'; expected 'auto', 'ovr' or 'multinomial'");
            return Err(part.refuse("multi_class", why));
        }
    };
    labelled(part, Some(if one_vs_rest { logistic(part) } else { Probability::Multinomial }))
}

/// `SGDClassifier`: its loss decides whether, and how, it gives probabilities.
pub(in crate::engines::sklearn) fn build_sgd(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let loss = part.text("loss")?.unwrap_or_default();
    let probability = match &*loss {
        // `log` until 1.0.
        "log_loss" | "log" => Some(logistic(part)),
        "modified_huber" => Some(Probability::ModifiedHuber),
        "hinge"
        | "squared_hinge"
        | "perceptron"
        | "squared_error"
        | "squared_loss"
        | "huber"
        | "epsilon_insensitive"
        | "squared_epsilon_insensitive" => None,
        other => return Err(part.refuse("loss", format!("is '{other}', which is no loss of scikit-learn's"))),
    };
    labelled(part, probability)
}

/// `RidgeClassifier` and its `CV`: labels from the binarizer, or yes-or-no for each.
/// Source: `sklearn.linear_model._ridge._RidgeClassifierMixin.predict`.
pub(in crate::engines::sklearn) fn build_ridge(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let fitted = read(part)?;
    let binarizer = part.within("_label_binarizer", &BINARIZERS, "LabelBinarizer")?;
    let target = binarizer.text("y_type_")?.unwrap_or_default();
    let choice = match &*target {
        "binary" | "multiclass" => Choice::Label(binarizer.labels("classes_")?.into()),
        // Before 1.0 it took several labels but predicted one, and so would its users expect.
        "multilabel-indicator" if part.version() < (1, 0) => {
            Choice::Label(binarizer.labels("classes_")?.into())
        }
        "multilabel-indicator" => Choice::Indicator,
        other => {
            return Err(
                binarizer.refuse("y_type_", format!("is '{other}', which no RidgeClassifier is fitted on"))
            );
        }
    };
    classifier(part, fitted, choice, None)
}

fn logistic(part: &Part<'_>) -> Probability {
    Probability::OneVsRest { zeros_share: part.version() >= (1, 9) }
}

fn labelled(part: &Part<'_>, probability: Option<Probability>) -> Result<Box<dyn Estimator>, ModelError> {
    let fitted = read(part)?;
    classifier(part, fitted, Choice::Label(part.labels("classes_")?.into()), probability)
}

fn classifier(
    part: &Part<'_>,
    fitted: Fitted,
    choice: Choice,
    probability: Option<Probability>,
) -> Result<Box<dyn Estimator>, ModelError> {
    let Fitted { affine, n_features, .. } = fitted;
    let scores = affine.outputs();
    let classes = match &choice {
        Choice::Label(labels) => labels.len(),
        Choice::Indicator => scores,
    };
    // One row of scores tells two classes apart; otherwise each class has its own.
    if !matches!((&choice, scores, classes), (Choice::Label(_), 1, 2)) && (scores == 1 || classes != scores) {
        return Err(part.refuse("coef_", format!("has {scores} rows, which do not fit {classes} classes")));
    }
    let several = (scores > 1).then_some(scores);
    let spec = |method, dtype, gives: Option<usize>| Spec::new(method, dtype, gives);
    let mut methods = vec![match &choice {
        Choice::Label(labels) => spec(Method::Predict, labels.dtype(), None),
        Choice::Indicator => spec(Method::Predict, DType::Int64, several),
    }];
    methods.push(spec(Method::DecisionFunction, DType::Double, several));
    if probability.is_some() {
        methods.push(spec(Method::PredictProba, DType::Double, Some(classes)));
        methods.push(spec(Method::PredictLogProba, DType::Double, Some(classes)));
    }
    let labels = match &choice {
        Choice::Label(labels) => Some(Arc::clone(labels)),
        Choice::Indicator => None,
    };
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(labels);
    Ok(Box::new(Classifier { facts, affine, choice, probability }))
}

impl Classifier {
    fn choose(&self, scores: &[f64]) -> Elements {
        match &self.choice {
            Choice::Indicator => scores.iter().map(|&s| i64::from(s > 0.0)).collect::<Vec<_>>().into(),
            Choice::Label(labels) if self.affine.outputs() == 1 => {
                labels.take(scores.iter().map(|&score| usize::from(score > 0.0)))
            }
            Choice::Label(labels) => labels.take(scores.chunks_exact(self.affine.outputs()).map(argmax)),
        }
    }

    /// `[rows, classes]` from `[rows, scores]`.
    fn probabilities(&self, probability: Probability, scores: &[f64]) -> Vec<f64> {
        if self.affine.outputs() == 1 {
            let pair = |&score: &f64| {
                let one = match probability {
                    Probability::OneVsRest { .. } => expit(score),
                    Probability::ModifiedHuber => unit(score),
                    Probability::Multinomial => {
                        let mut both = [-score, score];
                        softmax(&mut both);
                        return both;
                    }
                };
                [1.0 - one, one]
            };
            return scores.iter().flat_map(pair).collect();
        }
        let mut all = scores.to_vec();
        for row in all.chunks_exact_mut(self.affine.outputs()) {
            match probability {
                Probability::Multinomial => softmax(row),
                Probability::OneVsRest { zeros_share } => normalise(row, expit, zeros_share),
                Probability::ModifiedHuber => normalise(row, unit, true),
            }
        }
        all
    }
}

/// [-1, 1] to [0, 1]; what lies outside is clipped.
fn unit(score: f64) -> f64 {
    f64::midpoint(score.clamp(-1.0, 1.0), 1.0)
}

fn normalise(row: &mut [f64], of: fn(f64) -> f64, zeros_share: bool) {
    row.iter_mut().for_each(|value| *value = of(*value));
    let sum: f64 = row.iter().sum();
    if sum == 0.0 && zeros_share {
        #[allow(clippy::cast_precision_loss, reason = "a number of classes")]
        let share = 1.0 / row.len() as f64;
        row.fill(share);
    } else {
        row.iter_mut().for_each(|value| *value /= sum);
    }
}

impl Estimator for Classifier {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.rows(), self.affine.outputs())?;
        let scores = self.affine.apply_samples(x, self.facts.class)?;
        for &method in wanted {
            let elements = match (method, self.probability) {
                (Method::PredictProba, Some(way)) => self.probabilities(way, &scores).into(),
                (Method::PredictLogProba, Some(way)) => {
                    let mut all = self.probabilities(way, &scores);
                    all.iter_mut().for_each(|p| *p = p.ln());
                    all.into()
                }
                (Method::Predict, _) => self.choose(&scores),
                _ => scores.clone().into(),
            };
            answers.push(answer(x.rows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
