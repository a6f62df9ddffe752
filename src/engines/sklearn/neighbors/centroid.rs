//! `NearestCentroid`: the class whose middle is nearest.

use std::sync::Arc;

use ndarray::ArrayView2;

use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::math::argmax;
use crate::engines::sklearn::pairwise::Points;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, bounded, flat,
};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

#[derive(Debug)]
struct Centroids {
    facts: Facts,
    labels: Arc<Labels>,
    points: Points,
    manhattan: bool,
    /// Since 1.6: what makes likelihoods of distances.
    likelihood: Option<Likelihood>,
}

#[derive(Debug)]
struct Likelihood {
    /// What each feature is divided by: its deviation within the classes, or 1.
    scale: Vec<f64>,
    scaled: Points,
    /// Twice the logarithm of each class's share.
    priors: Vec<f64>,
    /// Whether all classes are equally likely, so that the nearest is the likeliest.
    equal: bool,
}

/// Source: `sklearn.neighbors.NearestCentroid`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let labels = Arc::new(part.labels("classes_")?);
    let classes = labels.len();
    let centroids = part.matrix("centroids_")?;
    if centroids.rows != classes || classes == 0 || centroids.columns == 0 {
        let why = format!("has {} rows; expected one for each of {classes} classes", centroids.rows);
        return Err(part.refuse("centroids_", why));
    }
    let n_features = part.n_features(centroids.columns, "centroids_")?;
    let metric = part.one_of("metric", "euclidean", &["euclidean", "manhattan", "l2", "l1", "cityblock"])?;
    let manhattan = matches!(metric, "manhattan" | "l1" | "cityblock");
    let likelihood = if part.version() < (1, 6) { None } else { Some(likelihood(part, &centroids)?) };
    let mut methods = vec![Spec::new(Method::Predict, labels.dtype(), Gives::One)];
    if likelihood.is_some() && metric == "euclidean" {
        let decision = if classes == 2 { Gives::One } else { Gives::Columns(classes) };
        methods.push(Spec::new(Method::PredictProba, DType::Double, Gives::Columns(classes)));
        methods.push(Spec::new(Method::PredictLogProba, DType::Double, Gives::Columns(classes)));
        methods.push(Spec::new(Method::DecisionFunction, DType::Double, decision));
    }
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(Some(Arc::clone(&labels)));
    let points = Points::new(&centroids.values, n_features);
    Ok(Box::new(Centroids { facts, labels, points, manhattan, likelihood }))
}

fn likelihood(part: &Part<'_>, centroids: &Matrix) -> Result<Likelihood, ModelError> {
    let deviation = part.vector_of("within_class_std_dev_", centroids.columns)?;
    let shares = part.vector_of("class_prior_", centroids.rows)?;
    let scale: Vec<f64> = deviation.iter().map(|&d| if d == 0.0 { 1.0 } else { d }).collect();
    let scaled = centroids.clone().map(|_, j, value| value / scale[j]);
    #[allow(clippy::cast_precision_loss, reason = "a number of classes")]
    let share = 1.0 / shares.len() as f64;
    // `numpy.isclose`.
    let equal = shares.iter().all(|&prior| (prior - share).abs() <= 1e-8 + 1e-5 * share);
    let priors = shares.iter().map(|prior| 2.0 * prior.ln()).collect();
    Ok(Likelihood { scaled: Points::new(&scaled.values, centroids.columns), scale, priors, equal })
}

impl Centroids {
    /// How well each class explains each row: `[rows, classes]`.
    fn scores(&self, x: ArrayView2<'_, f64>, likelihood: &Likelihood) -> Vec<f64> {
        let classes = self.labels.len();
        let mut scores = vec![0.0; x.nrows() * classes];
        let mut scaled = vec![0.0; likelihood.scale.len()];
        let rows = flat(&x).chunks_exact(self.facts.n_features);
        for (row, scores) in rows.zip(scores.chunks_exact_mut(classes)) {
            for ((to, value), scale) in scaled.iter_mut().zip(row).zip(&likelihood.scale) {
                *to = value / scale;
            }
            if self.manhattan {
                likelihood.scaled.manhattan_distances(&scaled, scores);
                scores.iter_mut().for_each(|distance| *distance *= *distance);
            } else {
                likelihood.scaled.squared_distances(&scaled, scores);
            }
            scores.iter_mut().zip(&likelihood.priors).for_each(|(score, prior)| *score = -*score + prior);
        }
        scores
    }

    /// The class of each row.
    fn nearest(&self, x: ArrayView2<'_, f64>) -> Vec<usize> {
        let mut distances = vec![0.0; self.labels.len()];
        let nearest = |row: &[f64]| {
            if self.manhattan {
                self.points.manhattan_distances(row, &mut distances);
            } else {
                self.points.squared_distances(row, &mut distances);
            }
            distances.iter_mut().for_each(|distance| *distance = -*distance);
            argmax(&distances)
        };
        flat(&x).chunks_exact(self.facts.n_features).map(nearest).collect()
    }
}

impl Estimator for Centroids {
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
        for &method in wanted {
            let elements: Elements = match (&self.likelihood, method) {
                (Some(likelihood), Method::Predict) if !likelihood.equal => {
                    let scores = self.scores(x, likelihood);
                    self.labels.take(scores.chunks_exact(classes).map(argmax))
                }
                (None, _) | (_, Method::Predict) => self.labels.take(self.nearest(x).into_iter()),
                (Some(likelihood), Method::DecisionFunction) => {
                    let scores = self.scores(x, likelihood);
                    if classes == 2 {
                        scores.chunks_exact(2).map(|row| row[1] - row[0]).collect::<Vec<_>>().into()
                    } else {
                        scores.into()
                    }
                }
                (Some(likelihood), _) => {
                    let mut scores = self.scores(x, likelihood);
                    for row in scores.chunks_exact_mut(classes) {
                        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                        row.iter_mut().for_each(|score| *score -= most);
                        let sum = row.iter().map(|score| score.exp()).sum::<f64>().ln();
                        row.iter_mut().for_each(|score| *score -= sum);
                    }
                    if method == Method::PredictProba {
                        scores.iter_mut().for_each(|score| *score = score.exp());
                    }
                    scores.into()
                }
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
