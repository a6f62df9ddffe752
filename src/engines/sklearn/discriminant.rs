//! Linear and quadratic discriminant analysis: normal distributions of the classes.
//!
//! Source: `sklearn.discriminant_analysis`; Hastie, Tibshirani and Friedman, The Elements of
//! Statistical Learning, 2009, section 4.3.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::labels::Labels;
use super::math::{Affine, argmax, expit, log_shares, shares, softmax};
use super::normal::{Normals, Standard, directions};
use super::registry::Row;
use super::state::Part;
use super::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const PACKAGE: &str = "sklearn.discriminant_analysis";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(PACKAGE, "LinearDiscriminantAnalysis", &[], build_linear),
    Row::new(PACKAGE, "QuadraticDiscriminantAnalysis", &[], build_quadratic),
];

#[derive(Debug)]
struct Linear {
    facts: Facts,
    labels: Arc<Labels>,
    scores: Affine,
    /// The directions that tell the classes apart best.
    directions: Option<Affine>,
}

#[derive(Debug)]
struct Quadratic {
    facts: Facts,
    labels: Arc<Labels>,
    /// One of each class.
    normals: Normals,
}

/// `LinearDiscriminantAnalysis`.
fn build_linear(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let coef = part.matrix("coef_")?;
    let labels = Arc::new(part.labels("classes_")?);
    let classes = labels.len();
    let scores = if classes == 2 { 1 } else { classes };
    if coef.rows != scores || classes < 2 || coef.columns == 0 {
        let why =
            format!("has shape ({}, {}), which does not fit {classes} classes", coef.rows, coef.columns);
        return Err(part.refuse("coef_", why));
    }
    let intercept = part.vector_of("intercept_", scores)?;
    let n_features = part.n_features(coef.columns, "coef_")?;
    let directions = best_directions(part, n_features)?;
    let several = (scores > 1).then_some(scores);
    let mut methods = vec![
        Spec::new(Method::Predict, labels.dtype(), None),
        Spec::new(Method::DecisionFunction, DType::Double, several),
        Spec::new(Method::PredictProba, DType::Double, Some(classes)),
        Spec::new(Method::PredictLogProba, DType::Double, Some(classes)),
    ];
    methods.extend(directions.as_ref().map(|directions| Spec::transform(directions.outputs())));
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(Some(Arc::clone(&labels)));
    let scores = Affine::new(coef.values, intercept, n_features);
    Ok(Box::new(Linear { facts, labels, scores, directions }))
}

/// What `transform` is made of. With the solver `lsqr` scikit-learn's raises, and with no
/// direction there is nothing to give.
fn best_directions(part: &Part<'_>, n_features: usize) -> Result<Option<Affine>, ModelError> {
    const SCALINGS: &str = "scalings_";
    let solver = part.one_of("solver", "svd", &["svd", "lsqr", "eigen"])?;
    if solver == "lsqr" {
        return Ok(None);
    }
    let scalings = part.matrix(SCALINGS)?;
    if scalings.rows != n_features {
        return Err(part.refuse(SCALINGS, format!("has {} rows; expected {n_features}", scalings.rows)));
    }
    let kept = part.count("_max_components")?.min(scalings.columns);
    if kept == 0 {
        return Ok(None);
    }
    let row = |direction: usize| scalings.iter().map(move |row| row[direction]);
    let coef: Vec<f64> = (0..kept).flat_map(row).collect();
    // (x - centre) · scalings
    let offset = if solver == "svd" {
        let centre = part.vector_of("xbar_", n_features)?;
        let moved = |row: &[f64]| -row.iter().zip(&centre).map(|(a, b)| a * b).sum::<f64>();
        coef.chunks_exact(n_features).map(moved).collect()
    } else {
        vec![0.0; kept]
    };
    Ok(Some(Affine::new(coef, offset, n_features)))
}

/// `QuadraticDiscriminantAnalysis`.
fn build_quadratic(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const ROTATIONS: &str = "rotations_";
    const SCALINGS: &str = "scalings_";
    let means = part.matrix("means_")?;
    let (classes, n_features) = (means.rows, part.n_features(means.columns, "means_")?);
    let labels = Arc::new(part.labels("classes_")?);
    if labels.len() != classes || classes < 2 {
        return Err(part.refuse("means_", format!("has {classes} rows for {} classes", labels.len())));
    }
    let priors = part.vector_of("priors_", classes)?;
    let (rotations, scalings) = (part.list(ROTATIONS)?, part.list(SCALINGS)?);
    if rotations.len() != classes || scalings.len() != classes {
        return Err(part.refuse(ROTATIONS, format!("and {SCALINGS} are not of {classes} classes")));
    }
    let mut normals = Normals::default();
    for (i, (rotation, scaling)) in rotations.into_iter().zip(scalings).enumerate() {
        let rotation = part.matrix_at(ROTATIONS, i, rotation)?;
        let scaling = part.numbers_of(SCALINGS, scaling)?;
        let (rows, columns) = (rotation.rows, rotation.columns);
        if rows != n_features || columns == 0 || columns != scaling.len() {
            let why =
                format!("has shape ({rows}, {columns}) at [{i}]; expected ({n_features}, {})", scaling.len());
            return Err(part.refuse(ROTATIONS, why));
        }
        let scales = scaling.iter().map(|scale| scale.powf(-0.5));
        let row = |(direction, scale): (usize, f64)| rotation.iter().map(move |row| row[direction] * scale);
        let coef: Vec<f64> = scales.enumerate().flat_map(row).collect();
        normals.standard.push(Standard::new(means.row(i), directions(coef, n_features)));
        normals.base.push(priors[i].ln() - 0.5 * scaling.iter().map(|scale| scale.ln()).sum::<f64>());
    }
    let each = (classes > 2).then_some(classes);
    let methods = vec![
        Spec::new(Method::Predict, labels.dtype(), None),
        Spec::new(Method::DecisionFunction, DType::Double, each),
        Spec::new(Method::PredictProba, DType::Double, Some(classes)),
        Spec::new(Method::PredictLogProba, DType::Double, Some(classes)),
    ];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(Quadratic { facts, labels, normals }))
}

impl Linear {
    fn probabilities(&self, scores: &[f64]) -> Vec<f64> {
        if self.labels.len() == 2 {
            return scores.iter().map(|&score| expit(score)).flat_map(|one| [1.0 - one, one]).collect();
        }
        let mut all = scores.to_vec();
        all.chunks_exact_mut(self.labels.len()).for_each(softmax);
        all
    }
}

impl Estimator for Linear {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.nrows(), self.scores.outputs())?;
        let scores = self.scores.apply(x);
        for &method in wanted {
            let elements: Elements = match (method, &self.directions) {
                (Method::Predict, _) if self.labels.len() == 2 => {
                    self.labels.take(scores.iter().map(|&score| usize::from(score > 0.0)))
                }
                (Method::Predict, _) => self.labels.take(scores.chunks_exact(self.labels.len()).map(argmax)),
                (Method::PredictProba, _) => self.probabilities(&scores).into(),
                (Method::PredictLogProba, _) => {
                    let mut all = self.probabilities(&scores);
                    // scikit-learn's logarithm of nothing is that of the smallest number.
                    all.iter_mut().for_each(|p| *p = if *p == 0.0 { f64::MIN_POSITIVE.ln() } else { p.ln() });
                    all.into()
                }
                (Method::Transform, Some(directions)) => directions.apply(x).into(),
                _ => scores.clone().into(),
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}

impl Estimator for Quadratic {
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
        let scores = self.normals.log_densities(x, self.facts.class)?;
        for &method in wanted {
            let elements: Elements = match method {
                Method::Predict => self.labels.take(scores.chunks_exact(classes).map(argmax)),
                Method::PredictProba => shares(&scores, classes).into(),
                Method::PredictLogProba => log_shares(&scores, classes).into(),
                _ if classes == 2 => {
                    scores.chunks_exact(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>().into()
                }
                _ => scores.clone().into(),
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
