//! Classifiers and regressors that ask the neighbours.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::metric::Fitted;
use super::search::{Neighbor, Reach, Search, Weights};
use super::unsupervised::{answer_kneighbors, answer_radius, kneighbors, n_neighbors, radius_neighbors};
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::math::argmax;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, bounded, flat,
};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// One output of a classifier.
#[derive(Debug)]
struct Output {
    /// The classes, and behind them the label of outliers when it is none of them.
    labels: Labels,
    classes: usize,
    /// The class of each fitted sample.
    of_samples: Vec<usize>,
    /// Of those that look within a radius: the label of samples without neighbours.
    outlier: Option<usize>,
}

#[derive(Debug)]
enum Target {
    Classes(Vec<Output>),
    /// `[samples, outputs]`.
    Numbers {
        values: Vec<f64>,
        outputs: usize,
    },
}

#[derive(Debug)]
struct Vote {
    facts: Facts,
    fitted: Fitted,
    reach: Reach,
    weights: Weights,
    target: Target,
}

/// What both kinds read.
fn common(part: &Part<'_>) -> Result<(Fitted, usize, Reach, Weights, Vec<Spec>), ModelError> {
    let fitted = Fitted::read(part)?;
    let n_features = part.n_features(fitted.features(), "_fit_X")?;
    let weights = match part.one_of("weights", "uniform", &["uniform", "distance"])? {
        "distance" => Weights::Distance,
        _ => Weights::Uniform,
    };
    let (reach, methods) = if part.class.starts_with('K') {
        let count = n_neighbors(part, "n_neighbors", &fitted)?;
        (Reach::Nearest(count), kneighbors(count).to_vec())
    } else {
        (Reach::Radius(part.number("radius")?), radius_neighbors().to_vec())
    };
    Ok((fitted, n_features, reach, weights, methods))
}

/// `KNeighborsClassifier` and `RadiusNeighborsClassifier`. Source: `sklearn.neighbors._classification`.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (fitted, n_features, reach, weights, neighbors) = common(part)?;
    let several = part.flag("outputs_2d_", false)?;
    let classes = part.fitted("classes_")?;
    let labels: Vec<Labels> = if several {
        let each = part.list("classes_")?.into_iter();
        each.map(|value| part.labels_of("classes_", value)).collect::<Result<_, _>>()?
    } else {
        vec![part.labels_of("classes_", classes)?]
    };
    let places = part.indices_of("_y", part.fitted("_y")?)?;
    if labels.is_empty() || places.len() != fitted.len() * labels.len() {
        let why =
            format!("has {} labels for {} samples of {} outputs", places.len(), fitted.len(), labels.len());
        return Err(part.refuse("_y", why));
    }
    let outliers = match reach {
        Reach::Radius(_) if part.attr("outlier_label_").is_some() => Some(part.list("outlier_label_")?),
        _ => None,
    };
    let count = labels.len();
    let mut outputs = Vec::with_capacity(count);
    for (k, mut labels) in labels.into_iter().enumerate() {
        let classes = labels.len();
        let of_samples: Vec<usize> = places.iter().skip(k).step_by(count).copied().collect();
        if let Some(place) = of_samples.iter().find(|place| **place >= classes) {
            return Err(part.refuse("_y", format!("has class {place} of {classes}")));
        }
        let outlier = match &outliers {
            None => None,
            Some(each) => {
                let value = each.get(k).copied();
                let known = value.and_then(|value| labels.place_or_push(value));
                Some(known.ok_or_else(|| {
                    part.refuse("outlier_label_", format!("has no label of the classes' kind at [{k}]"))
                })?)
            }
        };
        outputs.push(Output { labels, classes, of_samples, outlier });
    }
    let dtype = outputs[0].labels.dtype();
    if outputs.iter().any(|output| output.labels.dtype() != dtype) {
        return Err(part.refuse("classes_", "mixes kinds of labels; expected one kind for all outputs"));
    }
    let mut methods = vec![Spec::new(Method::Predict, dtype, several.then_some(count))];
    let named = if several {
        for (i, output) in (0..=u16::MAX).zip(&outputs) {
            methods.push(Spec::new(Method::PredictProbaOf(i), DType::Double, Some(output.classes)));
        }
        None
    } else {
        methods.push(Spec::new(Method::PredictProba, DType::Double, Some(outputs[0].classes)));
        // With a label of outliers that is no class, a prediction may be none of the classes.
        (outputs[0].labels.len() == outputs[0].classes).then(|| Arc::new(outputs[0].labels.clone()))
    };
    methods.extend(neighbors);
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(named);
    Ok(Box::new(Vote { facts, fitted, reach, weights, target: Target::Classes(outputs) }))
}

/// `KNeighborsRegressor` and `RadiusNeighborsRegressor`. Source: `sklearn.neighbors._regression`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (fitted, n_features, reach, weights, neighbors) = common(part)?;
    let targets = part.finite_numbers("_y")?;
    let outputs = match targets.shape[..] {
        [rows] if rows == fitted.len() => None,
        [rows, outputs] if rows == fitted.len() && outputs > 0 => Some(outputs),
        _ => {
            let why = format!(
                "has shape {}; expected one row for each of {} samples",
                targets.shown_shape(),
                fitted.len()
            );
            return Err(part.refuse("_y", why));
        }
    };
    let mut methods = vec![Spec::new(Method::Predict, DType::Double, outputs)];
    methods.extend(neighbors);
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    let target = Target::Numbers { values: targets.values, outputs: outputs.unwrap_or(1) };
    Ok(Box::new(Vote { facts, fitted, reach, weights, target }))
}

impl Vote {
    /// Calls `with` with the neighbours of each row and what they count.
    fn each(&self, x: ArrayView2<'_, f64>, mut with: impl FnMut(usize, &[Neighbor], &[f64])) {
        let mut search = Search::new(&self.fitted);
        let mut weights = Vec::new();
        for (i, row) in flat(&x).chunks_exact(self.fitted.features().max(1)).enumerate() {
            let neighbors = search.of(row, self.reach);
            self.weights.of(neighbors, &mut weights);
            with(i, neighbors, &weights);
        }
    }

    /// The votes for each class of each output, as shares: one `[rows, classes]` for each.
    fn shares(&self, x: ArrayView2<'_, f64>, outputs: &[Output]) -> Result<Vec<Vec<f64>>, RunError> {
        let rows = x.nrows();
        let width = outputs.iter().map(|output| output.classes).sum();
        bounded(self.facts.class, rows, width)?;
        let mut shares: Vec<Vec<f64>> =
            outputs.iter().map(|output| vec![0.0; rows * output.classes]).collect();
        let mut alone = Vec::new();
        self.each(x, |i, neighbors, weights| {
            for (output, shares) in outputs.iter().zip(&mut shares) {
                let row = &mut shares[i * output.classes..(i + 1) * output.classes];
                for (neighbor, weight) in neighbors.iter().zip(weights) {
                    row[output.of_samples[neighbor.place]] += weight;
                }
                match output.outlier {
                    None if neighbors.is_empty() => alone.push(i),
                    Some(label) if neighbors.is_empty() && label < output.classes => row[label] = 1.0,
                    _ => {}
                }
                let total: f64 = row.iter().sum();
                if total != 0.0 {
                    row.iter_mut().for_each(|share| *share /= total);
                }
            }
        });
        if let Some(first) = alone.first() {
            return Err(RunError::InvalidInput(format!(
                "No neighbors found for test samples, of which {first} is the first, you can try using larger radius, \
                 giving a label for outliers, or considering removing them from your dataset."
            )));
        }
        Ok(shares)
    }

    /// The mean of what the neighbours have: `[rows, outputs]`.
    #[allow(clippy::cast_precision_loss, reason = "a number of neighbours")]
    fn means(&self, x: ArrayView2<'_, f64>, values: &[f64], outputs: usize) -> Vec<f64> {
        let mut means = Vec::with_capacity(x.nrows() * outputs);
        self.each(x, |_, neighbors, weights| {
            // Without neighbours it is 0 / 0, which is scikit-learn's answer.
            let total: f64 = match self.weights {
                Weights::Uniform => neighbors.len() as f64,
                Weights::Distance => weights.iter().sum(),
            };
            means.extend((0..outputs).map(|output| {
                let of = |(neighbor, weight): (&Neighbor, &f64)| {
                    values[neighbor.place * outputs + output] * weight
                };
                neighbors.iter().zip(weights).map(of).sum::<f64>() / total
            }));
        });
        means
    }
}

/// The place of each row's label: the class with most votes, else the label of outliers.
fn chosen(output: &Output, shares: &[f64]) -> Vec<usize> {
    let choose = |row: &[f64]| match output.outlier {
        Some(label) if row.iter().all(|share| *share == 0.0) => label,
        _ => argmax(row),
    };
    shares.chunks_exact(output.classes.max(1)).map(choose).collect()
}

impl Estimator for Vote {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let is_vote = |method: &Method| {
            !matches!(
                method,
                Method::NeighborDistances
                    | Method::NeighborIndices
                    | Method::RadiusDistances
                    | Method::RadiusIndices
            )
        };
        let shares = match &self.target {
            Target::Classes(outputs) if wanted.iter().any(is_vote) => self.shares(x, outputs)?,
            _ => Vec::new(),
        };
        for &method in wanted {
            if let (Method::RadiusDistances | Method::RadiusIndices, Reach::Radius(radius)) =
                (method, self.reach)
            {
                answers.push(answer_radius(self.facts.class, &self.fitted, x, radius, method)?);
                continue;
            }
            let elements = match (&self.target, method) {
                (_, Method::NeighborDistances | Method::NeighborIndices) => {
                    let count = self.facts.gives(method).columns().unwrap_or(1);
                    answers.push(answer_kneighbors(&self.fitted, x, count, method)?);
                    continue;
                }
                (Target::Numbers { values, outputs }, _) => self.means(x, values, *outputs).into(),
                (Target::Classes(_), Method::PredictProba) => shares[0].clone().into(),
                (Target::Classes(_), Method::PredictProbaOf(i)) => shares[usize::from(i)].clone().into(),
                (Target::Classes(outputs), _) if self.facts.gives(method) == Gives::One => {
                    outputs[0].labels.take(chosen(&outputs[0], &shares[0]).into_iter())
                }
                (Target::Classes(outputs), _) => {
                    let each: Vec<Vec<usize>> =
                        outputs.iter().zip(&shares).map(|(output, shares)| chosen(output, shares)).collect();
                    let places: Vec<usize> =
                        (0..x.nrows()).flat_map(|row| each.iter().map(move |places| places[row])).collect();
                    let labels: Vec<Labels> = outputs.iter().map(|output| output.labels.clone()).collect();
                    Labels::take_each(&labels, &places)
                }
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
