//! `KNNImputer`: what is missing is what the nearest of the fitted samples have there.

use ndarray::ArrayView2;

use super::indicator;
use super::missing::Missing;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct KnnImputer {
    facts: Facts,
    missing: Missing,
    /// `[fitted, features]`, NaN where one was missing.
    fitted: Vec<f64>,
    /// For each feature the mean of what was fitted; `None` when nothing was.
    means: Vec<Option<f64>>,
    neighbors: usize,
    /// Near neighbours count more.
    by_distance: bool,
    /// Features without fitted values are 0, rather than left out.
    keeps_empty: bool,
    indicated: Vec<usize>,
    width: usize,
}

/// Source: `sklearn.impute.KNNImputer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let fitted = part.numbers("_fit_X")?;
    let &[rows, columns] = &fitted.shape[..] else {
        return Err(part.refuse("_fit_X", format!("has shape {}; expected a matrix", fitted.shown_shape())));
    };
    let n_features = part.n_features(columns, "_fit_X")?;
    if rows == 0 || n_features == 0 {
        return Err(part.refuse("_fit_X", "is empty"));
    }
    part.one_of("metric", "nan_euclidean", &["nan_euclidean"])?;
    let by_distance = part.one_of("weights", "uniform", &["uniform", "distance"])? == "distance";
    let neighbors = match part.count("n_neighbors")? {
        0 => return Err(part.refuse("n_neighbors", "is 0")),
        neighbors => neighbors,
    };
    let missing = Missing::read(part)?;
    if missing.is_textual() {
        return Err(part.refuse("missing_values", "is no number, but what is fitted are numbers"));
    }
    let fitted: Vec<f64> =
        fitted.values.into_iter().map(|value| if missing.is(value) { f64::NAN } else { value }).collect();
    let means: Vec<Option<f64>> = (0..n_features).map(|i| mean(&fitted, n_features, i)).collect();
    // Since 1.2.
    let keeps_empty = part.flag("keep_empty_features", false)?;
    let indicated = indicator::added(part, n_features)?;
    let kept = if keeps_empty { n_features } else { means.iter().flatten().count() };
    let width = kept + indicated.len();
    let check = if missing.takes_nan() { Check::FiniteOrNan } else { Check::Finite };
    let facts = Facts::new(part, n_features, check, vec![Spec::transform(width)])?;
    Ok(Box::new(KnnImputer {
        facts,
        missing,
        fitted,
        means,
        neighbors,
        by_distance,
        keeps_empty,
        indicated,
        width,
    }))
}

fn mean(fitted: &[f64], n_features: usize, i: usize) -> Option<f64> {
    let there = || fitted.iter().skip(i).step_by(n_features).filter(|value| !value.is_nan());
    #[allow(clippy::cast_precision_loss, reason = "a number of samples")]
    let count = there().count() as f64;
    (count > 0.0).then(|| there().sum::<f64>() / count)
}

impl KnnImputer {
    /// The distance of a row to each fitted sample over the features that both have, as if they
    /// had all; NaN where they share none. Source: `sklearn.metrics.pairwise.nan_euclidean_distances`.
    fn distances(&self, row: &[f64]) -> Vec<f64> {
        let distance = |fitted: &[f64]| {
            let (mut sum, mut shared) = (0.0, 0.0);
            for (a, b) in row.iter().zip(fitted) {
                if !b.is_nan() && !self.missing.is(*a) {
                    sum += (a - b) * (a - b);
                    shared += 1.0;
                }
            }
            #[allow(clippy::cast_precision_loss, reason = "a number of features")]
            let all = row.len() as f64;
            if shared == 0.0 { f64::NAN } else { (sum / shared * all).sqrt() }
        };
        self.fitted.chunks_exact(row.len()).map(distance).collect()
    }

    /// What the nearest have of feature `i`, where `mean` is that of all.
    fn neighbors_value(&self, distances: &[f64], i: usize, mean: f64) -> f64 {
        let width = self.means.len();
        let values = self.fitted.iter().skip(i).step_by(width);
        let donors = distances.iter().zip(values).filter(|(_, value)| !value.is_nan());
        let mut donors: Vec<(f64, f64)> = donors.map(|(distance, value)| (*distance, *value)).collect();
        let near = self.neighbors.min(donors.len());
        // Those that share no feature are farthest.
        donors.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        donors.truncate(near);
        donors.retain(|(distance, _)| !distance.is_nan());
        if donors.is_empty() {
            return mean;
        }
        let touching = donors.iter().any(|(distance, _)| *distance == 0.0);
        let weight = |distance: f64| match self.by_distance {
            false => 1.0,
            true if touching => f64::from(u8::from(distance == 0.0)),
            true => 1.0 / distance,
        };
        let (sum, weights) = donors.iter().fold((0.0, 0.0), |(sum, weights), (distance, value)| {
            (sum + weight(*distance) * value, weights + weight(*distance))
        });
        sum / weights
    }
}

impl Estimator for KnnImputer {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for _ in wanted {
            let mut all = Vec::with_capacity(x.nrows() * self.width);
            for row in flat(&x).chunks_exact(self.facts.n_features) {
                let mut distances = None;
                for (i, (&value, mean)) in row.iter().zip(&self.means).enumerate() {
                    match mean {
                        None if self.keeps_empty => all.push(0.0),
                        None => {}
                        Some(mean) if self.missing.is(value) => {
                            let distances = distances.get_or_insert_with(|| self.distances(row));
                            all.push(self.neighbors_value(distances, i, *mean));
                        }
                        Some(_) => all.push(value),
                    }
                }
                let missing = self.indicated.iter().map(|&i| self.missing.is(row[i]));
                all.extend(missing.map(|is_missing| f64::from(u8::from(is_missing))));
            }
            answers.push(answer(x.nrows(), Some(self.width), all.into())?);
        }
        Ok(())
    }
}
