//! Naive Bayes: how likely a row is for each class is the product of how likely each
//! feature is.
//!
//! Source: `sklearn.naive_bayes`; Manning, Raghavan and Schütze, Introduction to Information
//! Retrieval, 2008, chapter 13; Rennie et al., Tackling the poor assumptions of naive Bayes
//! text classifiers, 2003 (`ComplementNB`).

use std::sync::Arc;

use super::attributes::Matrix;
use super::labels::Labels;
use super::math::{Affine, argmax, log_shares, shares};
use super::registry::Row;
use super::samples::{Csr, Samples};
use super::special::LOG_2_PI;
use super::state::Part;
use super::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded, flat};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

const BAYES: &str = "sklearn.naive_bayes";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(BAYES, "BernoulliNB", &[], build_bernoulli),
    Row::new(BAYES, "CategoricalNB", &[], build_categorical),
    Row::new(BAYES, "ComplementNB", &[], build_complement),
    Row::new(BAYES, "GaussianNB", &[], build_gaussian),
    Row::new(BAYES, "MultinomialNB", &[], build_multinomial),
];

/// Logarithms of probabilities: none of them NaN or above all numbers.
const LOG_PROBABILITIES: &str = "feature_log_prob_";

#[derive(Debug)]
struct Bayes {
    facts: Facts,
    labels: Arc<Labels>,
    likelihood: Likelihood,
}

/// The logarithm of how likely a row and a class are together.
#[derive(Debug)]
enum Likelihood {
    /// Normal distributions, one a feature.
    Gaussian {
        means: Matrix,
        /// Twice the variances.
        spreads: Matrix,
        /// What does not depend on the row.
        base: Vec<f64>,
    },
    /// A weighted sum, of 0 and 1 where there is a threshold.
    Weighted { affine: Affine, threshold: Option<f64> },
    /// Of each feature, `[categories, classes]`.
    Categorical { features: Vec<Matrix>, base: Vec<f64> },
}

/// `GaussianNB`.
fn build_gaussian(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let means = part.matrix("theta_")?;
    let labels = labels(part, means.rows, "theta_")?;
    // Until 0.24 it had another name.
    let name = if part.attr("var_").is_some() { "var_" } else { "sigma_" };
    let mut spreads = part.matrix_of(name, means.columns)?;
    if spreads.rows != means.rows || spreads.values.iter().any(|&variance| variance < 0.0) {
        let why = format!("has {} rows, or a variance below 0; expected {} rows", spreads.rows, means.rows);
        return Err(part.refuse(name, why));
    }
    let priors = part.vector_of("class_prior_", means.rows)?;
    let base = spreads.iter().zip(&priors).map(|(variances, prior)| {
        prior.ln() - 0.5 * variances.iter().map(|variance| LOG_2_PI + variance.ln()).sum::<f64>()
    });
    let base = base.collect();
    spreads.values.iter_mut().for_each(|variance| *variance *= 2.0);
    let n_features = part.n_features(means.columns, "theta_")?;
    bayes(part, n_features, labels, Likelihood::Gaussian { means, spreads, base })
}

/// `MultinomialNB`.
fn build_multinomial(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let weights = log_probabilities(part)?;
    let base = log_priors(part, weights.rows)?;
    build_weighted(part, weights, base, None)
}

/// `ComplementNB`: the priors count only when there is one class.
fn build_complement(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let weights = log_probabilities(part)?;
    let base = if weights.rows == 1 { log_priors(part, 1)? } else { vec![0.0; weights.rows] };
    build_weighted(part, weights, base, None)
}

/// `BernoulliNB`: what is absent counts, too.
fn build_bernoulli(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let mut weights = log_probabilities(part)?;
    let mut base = log_priors(part, weights.rows)?;
    let columns = weights.columns.max(1);
    for (row, base) in weights.values.chunks_exact_mut(columns).zip(&mut base) {
        let mut absent = 0.0;
        for value in row {
            let without = (1.0 - value.exp()).ln();
            absent += without;
            *value -= without;
        }
        *base += absent;
    }
    let threshold = part.attr("binarize").map(|_| part.number("binarize")).transpose()?;
    build_weighted(part, weights, base, threshold)
}

fn build_weighted(
    part: &Part<'_>,
    weights: Matrix,
    base: Vec<f64>,
    threshold: Option<f64>,
) -> Result<Box<dyn Estimator>, ModelError> {
    let labels = labels(part, weights.rows, LOG_PROBABILITIES)?;
    let n_features = part.n_features(weights.columns, LOG_PROBABILITIES)?;
    let affine = Affine::new(weights.values, base, weights.columns);
    bayes(part, n_features, labels, Likelihood::Weighted { affine, threshold })
}

/// `CategoricalNB`: each feature is a category's number.
fn build_categorical(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let items = part.list(LOG_PROBABILITIES)?;
    let n_features = part.n_features(items.len(), LOG_PROBABILITIES)?;
    let labels = part.labels("classes_")?;
    let classes = labels.len();
    let mut features = Vec::with_capacity(items.len());
    for item in items {
        let shape = item.array().map(|array| array.shape().to_vec()).unwrap_or_default();
        let values = part.numbers_of(LOG_PROBABILITIES, item)?;
        if shape.len() != 2 || shape[0] != classes || values.iter().any(|value| value.is_nan()) {
            let why = format!("has an array that is no matrix of {classes} rows of numbers");
            return Err(part.refuse(LOG_PROBABILITIES, why));
        }
        let by_class = Matrix { values, rows: classes, columns: shape[1] };
        let of_category = |category| by_class.iter().map(move |row| row[category]);
        let values = (0..by_class.columns).flat_map(of_category).collect();
        features.push(Matrix { values, rows: by_class.columns, columns: classes });
    }
    let base = log_priors(part, classes)?;
    if features.is_empty() || classes == 0 {
        return Err(part.refuse(LOG_PROBABILITIES, "is empty"));
    }
    bayes(part, n_features, Arc::new(labels), Likelihood::Categorical { features, base })
}

/// `[classes, features]`; a probability of 0 has the logarithm minus infinity.
fn log_probabilities(part: &Part<'_>) -> Result<Matrix, ModelError> {
    let numbers = part.numbers(LOG_PROBABILITIES)?;
    let sound = numbers.values.iter().all(|value| !value.is_nan() && *value < f64::INFINITY);
    match numbers.shape[..] {
        [rows, columns] if rows > 0 && columns > 0 && sound => {
            Ok(Matrix { values: numbers.values, rows, columns })
        }
        _ => {
            let why = format!("has shape {}, or a NaN; expected a matrix", numbers.shown_shape());
            Err(part.refuse(LOG_PROBABILITIES, why))
        }
    }
}

fn log_priors(part: &Part<'_>, classes: usize) -> Result<Vec<f64>, ModelError> {
    const NAME: &str = "class_log_prior_";
    let numbers = part.numbers(NAME)?;
    let sound = numbers.values.iter().all(|value| !value.is_nan());
    if numbers.values.len() == classes && sound {
        return Ok(numbers.values);
    }
    Err(part.refuse(NAME, format!("has shape {}, or a NaN; expected ({classes},)", numbers.shown_shape())))
}

fn labels(part: &Part<'_>, classes: usize, attribute: &str) -> Result<Arc<Labels>, ModelError> {
    let labels = part.labels("classes_")?;
    if labels.len() == classes && classes > 0 {
        return Ok(Arc::new(labels));
    }
    Err(part.refuse(attribute, format!("has {classes} rows for {} classes", labels.len())))
}

fn bayes(
    part: &Part<'_>,
    n_features: usize,
    labels: Arc<Labels>,
    likelihood: Likelihood,
) -> Result<Box<dyn Estimator>, ModelError> {
    let each = |method| Spec::new(method, DType::Double, Some(labels.len()));
    let methods = vec![
        Spec::new(Method::Predict, labels.dtype(), None),
        each(Method::PredictProba),
        each(Method::PredictLogProba),
        each(Method::PredictJointLogProba),
    ];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(Bayes { facts, labels, likelihood }))
}

impl Bayes {
    /// `[rows, classes]`.
    fn joint(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let (rows, class) = (x.rows(), self.facts.class);
        bounded(class, rows, self.labels.len())?;
        let dense;
        match (&self.likelihood, x) {
            (Likelihood::Weighted { affine, threshold: None }, x) => affine.apply_samples(x, class),
            (Likelihood::Weighted { affine, threshold: Some(threshold) }, Samples::Sparse(x)) => {
                affine.apply_samples(Samples::Sparse(&binarized(x, *threshold)?), class)
            }
            (_, x) => {
                let x = match x {
                    Samples::Dense(x) => x,
                    x => {
                        dense = x.to_dense(class)?;
                        dense.view()
                    }
                };
                let values = flat(&x).chunks_exact(self.facts.n_features);
                let mut joint = Vec::with_capacity(rows * self.labels.len());
                match &self.likelihood {
                    Likelihood::Weighted { affine, threshold } => {
                        let threshold = threshold.unwrap_or_default();
                        let x = x.mapv(|value| f64::from(u8::from(value > threshold)));
                        joint = affine.apply(x.view());
                    }
                    Likelihood::Gaussian { means, spreads, base } => {
                        for row in values {
                            let classes = means.iter().zip(spreads.iter()).zip(base);
                            joint.extend(
                                classes.map(|((means, spreads), base)| base - misfit(row, means, spreads)),
                            );
                        }
                    }
                    Likelihood::Categorical { features, base } => {
                        for row in values {
                            let start = joint.len();
                            joint.resize(start + base.len(), 0.0);
                            for (i, (&value, feature)) in row.iter().zip(features).enumerate() {
                                let category = feature.row(category(value, i, feature.rows)?);
                                joint[start..].iter_mut().zip(category).for_each(|(sum, log)| *sum += log);
                            }
                            joint[start..].iter_mut().zip(base).for_each(|(sum, base)| *sum += base);
                        }
                    }
                }
                Ok(joint)
            }
        }
    }
}

/// The squared differences, each over its spread.
fn misfit(row: &[f64], means: &[f64], spreads: &[f64]) -> f64 {
    let features = row.iter().zip(means).zip(spreads);
    features.map(|((value, mean), spread)| (value - mean) * (value - mean) / spread).sum()
}

/// Which of the categories a number is, in numpy's words when it is none.
fn category(value: f64, feature: usize, categories: usize) -> Result<usize, RunError> {
    // numpy's astype cuts off what comes after the point.
    #[allow(clippy::cast_possible_truncation, reason = "it saturates, and is then no category")]
    let number = value as i64;
    if number < 0 {
        let message = "Negative values in data passed to CategoricalNB (input X).".to_owned();
        return Err(RunError::InvalidInput(message));
    }
    usize::try_from(number).ok().filter(|&category| category < categories).ok_or_else(|| {
        RunError::InvalidInput(format!(
            "index {number} is out of bounds for axis 1 with size {categories} (feature {feature})"
        ))
    })
}

/// 1 for what is above the threshold. Source: `sklearn.preprocessing.binarize`.
fn binarized(x: &Csr, threshold: f64) -> Result<Csr, RunError> {
    if threshold < 0.0 {
        let message = "Cannot binarize a sparse matrix with threshold < 0".to_owned();
        return Err(RunError::InvalidInput(message));
    }
    let mut x = x.clone();
    x.values_mut().iter_mut().for_each(|value| *value = f64::from(u8::from(*value > threshold)));
    Ok(x)
}

impl Estimator for Bayes {
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
        let joint = self.joint(x)?;
        let classes = self.labels.len();
        for &method in wanted {
            let elements = match method {
                Method::Predict => self.labels.take(joint.chunks_exact(classes).map(argmax)),
                Method::PredictProba => shares(&joint, classes).into(),
                Method::PredictLogProba => log_shares(&joint, classes).into(),
                _ => joint.clone().into(),
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
