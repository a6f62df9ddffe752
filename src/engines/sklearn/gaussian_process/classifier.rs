//! `GaussianProcessClassifier`: a latent function for two classes, or several such.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::covariance::Covariance;
use super::{Triangle, training_points};
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::math::{argmax, dot, votes};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, bounded, flat,
};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

const BASE: &str = "base_estimator_";
const LAPLACE: &str = "_BinaryGaussianProcessClassifierLaplace";
const MODULES: [&str; 2] = ["sklearn.gaussian_process._gpc", "sklearn.gaussian_process.gpc"];

/// The logistic function as a sum of error functions: their slopes and weights. Source: Williams
/// and Barber, Bayesian Classification with Gaussian Processes, 1998, appendix A.
const SLOPES: [f64; 5] = [0.41, 0.4, 0.37, 0.44, 0.39];
const WEIGHTS: [f64; 5] = [-1854.8214151, 3516.89893646, 221.29346712, 128.12323805, -2010.49422654];

/// Two classes: Laplace's approximation of the posterior. Source: Rasmussen and Williams,
/// algorithm 3.2.
#[derive(Debug)]
struct Binary {
    covariance: Covariance,
    /// What each point's covariance counts.
    weights: Vec<f64>,
    /// The square roots of the points' weights in the variance.
    roots: Vec<f64>,
    factor: Triangle,
}

/// How the classifiers of two classes decide among more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Among {
    Two,
    OneVsRest,
    OneVsOne,
}

#[derive(Debug)]
struct Classifier {
    facts: Facts,
    labels: Arc<Labels>,
    binaries: Vec<Binary>,
    among: Among,
}

/// Source: `sklearn.gaussian_process.GaussianProcessClassifier`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let base = part.fitted(BASE)?;
    let labels = Arc::new(part.labels("classes_")?);
    let classes = labels.len();
    let way = part.one_of("multi_class", "one_vs_rest", &["one_vs_rest", "one_vs_one"])?;
    let (among, wrapper, expected) = match (classes, way) {
        (0 | 1, _) => {
            return Err(part.refuse("classes_", format!("has {classes} labels; expected at least 2")));
        }
        (2, _) => (Among::Two, "", 1),
        (_, "one_vs_rest") => (Among::OneVsRest, "OneVsRestClassifier", classes),
        _ => (Among::OneVsOne, "OneVsOneClassifier", classes.saturating_mul(classes - 1) / 2),
    };
    let mut n_features = None;
    let mut read = |part: &Part<'_>| {
        let (binary, features) = Binary::read(part)?;
        match n_features.replace(features) {
            Some(known) if known != features => {
                Err(part.refuse("X_train_", format!("has {features} columns; the others have {known}")))
            }
            _ => Ok(binary),
        }
    };
    let binaries = if among == Among::Two {
        vec![read(&part.object(base, BASE, BASE, &MODULES, LAPLACE)?)?]
    } else {
        const ESTIMATORS: &str = "estimators_";
        let within = part.within(BASE, &["sklearn.multiclass"], wrapper)?;
        let list: Vec<Ref<'_>> = within.list(ESTIMATORS)?;
        if list.len() != expected {
            let why = format!("has {} estimators for {classes} classes; expected {expected}", list.len());
            return Err(within.refuse(ESTIMATORS, why));
        }
        let one = |(i, value): (usize, Ref<'_>)| {
            let place = format!("{ESTIMATORS}[{i}]");
            read(&within.object(value, ESTIMATORS, &place, &MODULES, LAPLACE)?)
        };
        list.into_iter().enumerate().map(one).collect::<Result<_, _>>()?
    };
    let n_features = part.n_features(n_features.unwrap_or_default(), "X_train_")?;
    let mut methods = vec![Spec::new(Method::Predict, labels.dtype(), None)];
    // scikit-learn's predict_proba of one_vs_one raises.
    if among != Among::OneVsOne {
        methods.push(Spec::new(Method::PredictProba, DType::Double, Some(classes)));
    }
    if among == Among::Two {
        let latent = |method| Spec::new(method, DType::Double, Gives::One);
        methods.extend([latent(Method::LatentMean), latent(Method::LatentVariance)]);
    }
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(Classifier { facts, labels, binaries, among }))
}

impl Binary {
    /// The classifier, and the number of its features.
    fn read(part: &Part<'_>) -> Result<(Self, usize), ModelError> {
        let points = training_points(part)?;
        let targets = part.vector_of("y_train_", points.rows)?;
        let likely = part.vector_of("pi_", points.rows)?;
        let roots = part.vector_of("W_sr_", points.rows)?;
        let covariance = Covariance::read(part, &points)?;
        let factor = Triangle::read(part, points.rows)?;
        let weights = targets.iter().zip(&likely).map(|(target, likely)| target - likely).collect();
        Ok((Self { covariance, weights, roots, factor }, points.columns))
    }

    /// The latent function's mean, and its variance if that is wanted.
    fn latent(&self, row: &[f64], known: &mut Vec<f64>, variance: bool) -> Result<(f64, f64), RunError> {
        known.resize(self.weights.len(), 0.0);
        self.covariance.apply(row, known)?;
        let mean = dot(known, &self.weights);
        if !variance {
            return Ok((mean, f64::NAN));
        }
        known.iter_mut().zip(&self.roots).for_each(|(value, root)| *value *= root);
        Ok((mean, self.covariance.of_itself(row) - self.factor.solved_square(known)))
    }
}

/// How likely the second class is: the logistic function of a normal variable, on average.
fn likely(mean: f64, variance: f64) -> f64 {
    let alpha = 1.0 / (2.0 * variance);
    let terms = SLOPES.iter().zip(&WEIGHTS).map(|(slope, weight)| {
        let integral = (std::f64::consts::PI / alpha).sqrt()
            * libm::erf(slope * mean * (alpha / (alpha + slope * slope)).sqrt())
            / (2.0 * (variance * 2.0 * std::f64::consts::PI).sqrt());
        weight * integral
    });
    terms.sum::<f64>() + 0.5 * WEIGHTS.iter().sum::<f64>()
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
        let (rows, count, classes) = (x.nrows(), self.binaries.len(), self.labels.len());
        bounded(self.facts.class, rows, count)?;
        // The sign of the mean tells two classes apart; all else needs the variance, too.
        let variance = self.among != Among::Two
            || wanted.iter().any(|method| !matches!(method, Method::Predict | Method::LatentMean));
        let mut latent = Vec::with_capacity(rows * count);
        let mut known = Vec::new();
        for row in flat(&x).chunks_exact(self.facts.n_features) {
            for binary in &self.binaries {
                latent.push(binary.latent(row, &mut known, variance)?);
            }
        }
        let of_rows = || latent.chunks_exact(count);
        for &method in wanted {
            let elements = match method {
                Method::LatentMean => latent.iter().map(|(mean, _)| *mean).collect::<Vec<_>>().into(),
                Method::LatentVariance => {
                    latent.iter().map(|(_, variance)| *variance).collect::<Vec<_>>().into()
                }
                Method::PredictProba if self.among == Among::Two => {
                    let pair = |&(mean, variance): &(f64, f64)| {
                        let second = likely(mean, variance);
                        [1.0 - second, second]
                    };
                    latent.iter().flat_map(pair).collect::<Vec<_>>().into()
                }
                Method::PredictProba => {
                    let mut all: Vec<f64> =
                        latent.iter().map(|&(mean, variance)| likely(mean, variance)).collect();
                    for row in all.chunks_exact_mut(classes) {
                        let sum: f64 = row.iter().sum();
                        if sum != 0.0 {
                            row.iter_mut().for_each(|value| *value /= sum);
                        }
                    }
                    all.into()
                }
                _ => {
                    let mut scores = vec![0.0; classes];
                    let place = |row: &[(f64, f64)]| match self.among {
                        Among::Two => usize::from(row[0].0 > 0.0),
                        Among::OneVsRest => {
                            scores
                                .iter_mut()
                                .zip(row)
                                .for_each(|(score, &(mean, variance))| *score = likely(mean, variance));
                            argmax(&scores)
                        }
                        Among::OneVsOne => {
                            let pairs = row
                                .iter()
                                .map(|&(mean, variance)| (Some(mean > 0.0), likely(mean, variance)));
                            votes(pairs, &mut scores);
                            argmax(&scores)
                        }
                    };
                    self.labels.take(of_rows().map(place))
                }
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
