//! `LocalOutlierFactor`: whether a sample lies where its neighbours lie closer together.

use ndarray::ArrayView2;

use super::metric::Fitted;
use super::search::{Reach, Search};
use super::unsupervised::{answer_kneighbors, kneighbors, n_neighbors};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Factor {
    facts: Facts,
    fitted: Fitted,
    /// Neighbours that a sample is compared with.
    count: usize,
    /// Neighbours that `kneighbors` tells.
    told: usize,
    /// How densely the neighbourhood of each fitted sample is populated.
    densities: Vec<f64>,
    /// How far each fitted sample's farthest neighbour is.
    farthest: Vec<f64>,
    offset: f64,
}

/// Source: `sklearn.neighbors.LocalOutlierFactor`; Breunig, Kriegel, Ng and Sander, LOF, 2000.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let fitted = Fitted::read(part)?;
    let n_features = part.n_features(fitted.features(), "_fit_X")?;
    if !part.flag("novelty", false)? {
        let why = "is False: it has scored the samples that it was fitted on, and answers for no others";
        return Err(part.refuse("novelty", why));
    }
    let count = n_neighbors(part, "n_neighbors_", &fitted)?;
    let told = n_neighbors(part, "n_neighbors", &fitted)?;
    let densities = part.vector_of("_lrd", fitted.len())?;
    let distances = part.matrix_of("_distances_fit_X_", count)?;
    if distances.rows != fitted.len() {
        let why = format!("has {} rows; expected one for each of {} samples", distances.rows, fitted.len());
        return Err(part.refuse("_distances_fit_X_", why));
    }
    let farthest = distances.iter().map(|row| row[count - 1]).collect();
    let offset = part.number("offset_")?;
    let mut methods = vec![
        Spec::new(Method::Predict, DType::Int64, Gives::One),
        Spec::new(Method::DecisionFunction, DType::Double, Gives::One),
        Spec::new(Method::ScoreSamples, DType::Double, Gives::One),
    ];
    methods.extend(kneighbors(told));
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Factor { facts, fitted, count, told, densities, farthest, offset }))
}

impl Factor {
    #[allow(clippy::cast_precision_loss, reason = "a number of neighbours")]
    fn scores(&self, x: ArrayView2<'_, f64>) -> Vec<f64> {
        let mut search = Search::new(&self.fitted);
        let score = |row: &[f64]| {
            let neighbors = search.of(row, Reach::Nearest(self.count));
            let reach = neighbors.iter().map(|n| n.distance.max(self.farthest[n.place])).sum::<f64>();
            // The summand keeps copies of one sample from being infinitely dense.
            let density = 1.0 / (reach / self.count as f64 + 1e-10);
            -(neighbors.iter().map(|n| self.densities[n.place] / density).sum::<f64>() / self.count as f64)
        };
        flat(&x).chunks_exact(self.fitted.features().max(1)).map(score).collect()
    }
}

impl Estimator for Factor {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for &method in wanted {
            let elements = match method {
                Method::NeighborDistances | Method::NeighborIndices => {
                    answers.push(answer_kneighbors(&self.fitted, x, self.told, method)?);
                    continue;
                }
                Method::ScoreSamples => self.scores(x).into(),
                Method::DecisionFunction => {
                    self.scores(x).iter().map(|score| score - self.offset).collect::<Vec<_>>().into()
                }
                _ => {
                    let side = |score: f64| if score - self.offset < 0.0 { -1i64 } else { 1 };
                    self.scores(x).into_iter().map(side).collect::<Vec<_>>().into()
                }
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
