//! `FeatureAgglomeration`: features that are alike become one.

use ndarray::ArrayView2;

use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// What becomes of the features of a cluster: numpy's function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    Mean,
    Median,
    Max,
    Min,
    Sum,
}

#[derive(Debug)]
struct Agglomeration {
    facts: Facts,
    /// The features of each cluster.
    members: Vec<Vec<usize>>,
    /// The cluster of each feature.
    clusters: Vec<usize>,
    pooling: Pooling,
}

/// Source: `sklearn.cluster.FeatureAgglomeration`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let labels = part.indices_of("labels_", part.fitted("labels_")?)?;
    if labels.is_empty() {
        return Err(part.refuse("labels_", "is empty; expected one label per feature"));
    }
    let n_features = part.n_features(labels.len(), "labels_")?;
    let mut distinct = labels.clone();
    distinct.sort_unstable();
    distinct.dedup();
    // By the mean the labels are places; they are those of clusters, without gaps.
    if distinct.last() != Some(&(distinct.len() - 1)) {
        return Err(part.refuse("labels_", "leaves out a number; expected each cluster from 0 on"));
    }
    let function = part.fitted("pooling_func")?;
    let name =
        function.global().filter(|global| global.module.starts_with("numpy")).map(|global| global.name);
    let pooling = match name {
        Some("mean") => Pooling::Mean,
        Some("median") => Pooling::Median,
        Some("max" | "amax") => Pooling::Max,
        Some("min" | "amin") => Pooling::Min,
        Some("sum") => Pooling::Sum,
        _ => {
            let expected = "numpy's mean, median, max, min or sum; other functions are not called";
            return Err(part.unexpected("pooling_func", function, expected));
        }
    };
    let mut members = vec![Vec::new(); distinct.len()];
    for (feature, &label) in labels.iter().enumerate() {
        members[label].push(feature);
    }
    let methods = vec![Spec::transform(members.len()), Spec::inverse_transform(members.len(), n_features)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Agglomeration { facts, members, clusters: labels, pooling }))
}

impl Agglomeration {
    fn pool(&self, row: &[f64], members: &[usize], held: &mut Vec<f64>) -> f64 {
        let values = || members.iter().map(|&feature| row[feature]);
        #[allow(clippy::cast_precision_loss, reason = "a number of features")]
        let count = members.len() as f64;
        match self.pooling {
            Pooling::Sum => values().sum(),
            Pooling::Mean => values().sum::<f64>() / count,
            Pooling::Max => values().fold(f64::NEG_INFINITY, f64::max),
            Pooling::Min => values().fold(f64::INFINITY, f64::min),
            Pooling::Median => {
                held.clear();
                held.extend(values());
                held.sort_by(f64::total_cmp);
                let middle = held.len() / 2;
                if held.len() % 2 == 1 { held[middle] } else { f64::midpoint(held[middle - 1], held[middle]) }
            }
        }
    }
}

impl Estimator for Agglomeration {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let mut held = Vec::new();
        for &method in wanted {
            let mut values = Vec::new();
            for row in flat(&x).chunks_exact(x.ncols().max(1)) {
                if method == Method::InverseTransform {
                    values.extend(self.clusters.iter().map(|&cluster| row[cluster]));
                } else {
                    values.extend(self.members.iter().map(|members| self.pool(row, members, &mut held)));
                }
            }
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}
