//! Neural networks: layers of weighted sums, each through a function.
//!
//! Source: `sklearn.neural_network`.

use std::borrow::Cow;
use std::sync::Arc;

use ndarray::ArrayView2;

use super::labels::{BINARIZERS, Labels};
use super::math::{Affine, argmax, expit, softmax};
use super::registry::Row;
use super::samples::Samples;
use super::state::Part;
use super::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const NEURAL: &str = "sklearn.neural_network";
const PERCEPTRON: &[&str] = &["_multilayer_perceptron", "multilayer_perceptron"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(NEURAL, "BernoulliRBM", &["_rbm", "rbm"], build_rbm),
    Row::new(NEURAL, "MLPClassifier", PERCEPTRON, build_classifier),
    Row::new(NEURAL, "MLPRegressor", PERCEPTRON, build_regressor),
];

/// What a layer's sums go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Identity,
    Exp,
    Logistic,
    Relu,
    Softmax,
    Tanh,
}

impl Activation {
    fn read(part: &Part<'_>, name: &str, choices: &'static [&'static str]) -> Result<Self, ModelError> {
        Ok(match part.one_of(name, choices[0], choices)? {
            "exp" => Self::Exp,
            "logistic" => Self::Logistic,
            "relu" => Self::Relu,
            "softmax" => Self::Softmax,
            "tanh" => Self::Tanh,
            _ => Self::Identity,
        })
    }

    /// In place; a row is `width` values.
    fn apply(self, values: &mut [f64], width: usize) {
        match self {
            Self::Identity => {}
            Self::Exp => values.iter_mut().for_each(|value| *value = value.exp()),
            Self::Logistic => values.iter_mut().for_each(|value| *value = expit(*value)),
            Self::Relu => {
                values.iter_mut().for_each(|value| *value = if *value < 0.0 { 0.0 } else { *value })
            }
            Self::Softmax => values.chunks_exact_mut(width).for_each(softmax),
            Self::Tanh => values.iter_mut().for_each(|value| *value = value.tanh()),
        }
    }
}

/// The layers of a network.
#[derive(Debug)]
struct Layers {
    first: Affine,
    others: Vec<Affine>,
    hidden: Activation,
    last: Activation,
    /// The most numbers that any layer makes of a row.
    widest: usize,
}

impl Layers {
    fn read(part: &Part<'_>) -> Result<(Self, usize), ModelError> {
        const COEFS: &str = "coefs_";
        const INTERCEPTS: &str = "intercepts_";
        let (coefs, intercepts) = (part.list(COEFS)?, part.list(INTERCEPTS)?);
        if coefs.is_empty() || coefs.len() != intercepts.len() {
            let why = format!("has {} layers, and {INTERCEPTS} {}", coefs.len(), intercepts.len());
            return Err(part.refuse(COEFS, why));
        }
        let mut layers: Vec<Affine> = Vec::with_capacity(coefs.len());
        let mut n_features = None;
        for (i, (coef, intercept)) in coefs.into_iter().zip(intercepts).enumerate() {
            let coef = part.matrix_at(COEFS, i, coef)?;
            let takes = layers.last().map_or(coef.rows, Affine::outputs);
            let intercept = part.numbers_of(INTERCEPTS, intercept)?;
            let fits = coef.rows == takes && coef.columns == intercept.len() && coef.rows * coef.columns > 0;
            if !fits || intercept.iter().any(|value| !value.is_finite()) {
                let (shown, gives) = (format!("({}, {})", coef.rows, coef.columns), intercept.len());
                let why = format!(
                    "has shape {shown} at [{i}]; expected ({takes}, {gives}) and finite {INTERCEPTS}"
                );
                return Err(part.refuse(COEFS, why));
            }
            n_features.get_or_insert(coef.rows);
            let by_output = (0..coef.columns).flat_map(|output| coef.iter().map(move |row| row[output]));
            layers.push(Affine::new(by_output.collect(), intercept, coef.rows));
        }
        let n_features = part.n_features(n_features.unwrap_or_default(), COEFS)?;
        let hidden = Activation::read(
            part,
            "activation",
            &["relu", "identity", "logistic", "tanh", "exp", "softmax"],
        )?;
        let last = Activation::read(
            part,
            "out_activation_",
            &["identity", "logistic", "softmax", "exp", "relu", "tanh"],
        )?;
        let widest = layers.iter().map(Affine::outputs).max().unwrap_or_default();
        let first = layers.remove(0);
        Ok((Self { first, others: layers, hidden, last, widest }, n_features))
    }

    fn outputs(&self) -> usize {
        self.others.last().unwrap_or(&self.first).outputs()
    }

    /// `[rows, outputs]`.
    fn apply(&self, x: Samples<'_>, class: &str) -> Result<Vec<f64>, RunError> {
        let rows = x.rows();
        bounded(class, rows, self.widest)?;
        let mut width = self.first.outputs();
        let mut values = self.first.apply_samples(x, class)?;
        for layer in &self.others {
            self.hidden.apply(&mut values, width);
            let x = ArrayView2::from_shape((rows, width), &values);
            values = layer.apply(x.map_err(|error| RunError::Internal(error.to_string()))?);
            width = layer.outputs();
        }
        self.last.apply(&mut values, width);
        Ok(values)
    }
}

/// What a network's outputs mean.
#[derive(Debug)]
enum Meaning {
    /// They are the prediction.
    Numbers,
    /// How likely the second of two labels is.
    One(Arc<Labels>),
    /// How likely each label is.
    Each(Arc<Labels>),
    /// How likely each label is, of which several may hold.
    Several,
}

#[derive(Debug)]
struct Perceptron {
    facts: Facts,
    layers: Layers,
    meaning: Meaning,
}

/// `MLPRegressor`.
fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (layers, n_features) = Layers::read(part)?;
    let gives = (layers.outputs() > 1).then_some(layers.outputs());
    let methods = vec![Spec::new(Method::Predict, DType::Double, gives)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Perceptron { facts, layers, meaning: Meaning::Numbers }))
}

/// `MLPClassifier`.
fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (layers, n_features) = Layers::read(part)?;
    let binarizer = part.within("_label_binarizer", &BINARIZERS, "LabelBinarizer")?;
    let target = binarizer.text("y_type_")?.unwrap_or_default();
    let labels = Arc::new(binarizer.labels("classes_")?);
    let (classes, outputs) = (labels.len(), layers.outputs());
    let (meaning, expected) = match &*target {
        "binary" if classes == 2 => (Meaning::One(Arc::clone(&labels)), 1),
        "multiclass" => (Meaning::Each(Arc::clone(&labels)), classes),
        "multilabel-indicator" => (Meaning::Several, classes),
        other => {
            let why = format!("is '{other}', with {classes} classes, which no MLPClassifier is fitted on");
            return Err(binarizer.refuse("y_type_", why));
        }
    };
    if outputs != expected {
        return Err(part.refuse("coefs_", format!("ends in {outputs} outputs; expected {expected}")));
    }
    let known = match &meaning {
        Meaning::One(labels) | Meaning::Each(labels) => Some(Arc::clone(labels)),
        Meaning::Numbers | Meaning::Several => None,
    };
    let predict = match &known {
        Some(labels) => Spec::new(Method::Predict, labels.dtype(), None),
        None => Spec::new(Method::Predict, DType::Int64, Some(classes)),
    };
    let probabilities = |method| Spec::new(method, DType::Double, Some(classes));
    let methods = vec![predict, probabilities(Method::PredictProba), probabilities(Method::PredictLogProba)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(known);
    Ok(Box::new(Perceptron { facts, layers, meaning }))
}

impl Perceptron {
    fn predict(&self, values: &[f64]) -> Elements {
        match &self.meaning {
            Meaning::Numbers => values.to_vec().into(),
            Meaning::One(labels) => labels.take(values.iter().map(|&value| usize::from(value > 0.5))),
            Meaning::Each(labels) => labels.take(values.chunks_exact(labels.len()).map(argmax)),
            Meaning::Several => values.iter().map(|&value| i64::from(value > 0.5)).collect::<Vec<_>>().into(),
        }
    }

    fn probabilities<'a>(&self, values: &'a [f64]) -> Cow<'a, [f64]> {
        match self.meaning {
            Meaning::One(_) => values.iter().flat_map(|&one| [1.0 - one, one]).collect(),
            _ => Cow::Borrowed(values),
        }
    }
}

impl Estimator for Perceptron {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let rows = x.rows();
        let values = self.layers.apply(x, self.facts.class)?;
        for &method in wanted {
            let elements = match method {
                Method::PredictProba => self.probabilities(&values).into_owned().into(),
                Method::PredictLogProba => {
                    self.probabilities(&values).iter().map(|p| p.ln()).collect::<Vec<_>>().into()
                }
                _ => self.predict(&values),
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Machine {
    facts: Facts,
    hidden: Affine,
}

/// `BernoulliRBM`: how likely each hidden unit is on. `score_samples` draws random numbers.
fn build_rbm(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let components = part.matrix("components_")?;
    if components.values.is_empty() {
        return Err(part.refuse("components_", "is empty"));
    }
    let n_features = part.n_features(components.columns, "components_")?;
    let intercept = part.vector_of("intercept_hidden_", components.rows)?;
    let methods = vec![Spec::transform(components.rows)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Machine { facts, hidden: Affine::new(components.values, intercept, n_features) }))
}

impl Estimator for Machine {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let rows = x.rows();
        let mut values = self.hidden.apply_samples(x, self.facts.class)?;
        Activation::Logistic.apply(&mut values, self.hidden.outputs());
        for &method in wanted {
            answers.push(answer(rows, self.facts.gives(method), values.clone().into())?);
        }
        Ok(())
    }
}
