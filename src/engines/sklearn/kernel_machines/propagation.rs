//! `LabelPropagation` and `LabelSpreading`: a sample is what the fitted ones near it are.

use std::sync::Arc;

use ndarray::ArrayView2;

use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::math::argmax;
use crate::engines::sklearn::pairwise::{Alike, Kernel, Points};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded, flat};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

#[derive(Debug)]
struct Propagation {
    facts: Facts,
    labels: Arc<Labels>,
    near: Near,
    /// `[samples, classes]`: how likely each fitted sample is of each class.
    shares: Matrix,
}

/// Which fitted samples count, and how much.
#[derive(Debug)]
enum Near {
    /// All of them, by a kernel.
    Kernel(Alike),
    /// The nearest ones, each as much as another.
    Nearest(Points, usize),
}

/// Source: `sklearn.semi_supervised._label_propagation.BaseLabelPropagation.predict_proba`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const SHARES: &str = "label_distributions_";
    let samples = part.matrix("X_")?;
    let (count, features) = (samples.rows, samples.columns);
    let labels = Arc::new(part.labels("classes_")?);
    let shares = part.matrix_of(SHARES, labels.len())?;
    if shares.rows != count || shares.values.is_empty() || samples.values.is_empty() {
        let why = format!("has {} rows of {} classes for {count} samples", shares.rows, shares.columns);
        return Err(part.refuse(SHARES, why));
    }
    let near = if part.one_of("kernel", "rbf", &["rbf", "knn"])? == "rbf" {
        let gamma = part.number_or("gamma", 20.0)?;
        Near::Kernel(Alike::new(Kernel::Rbf { gamma }, samples.values, features))
    } else {
        const NEIGHBORS: &str = "n_neighbors";
        let neighbors = part.count(NEIGHBORS)?;
        if !(1..=count).contains(&neighbors) {
            return Err(part.refuse(NEIGHBORS, format!("is {neighbors}; expected 1 to {count}, the samples")));
        }
        Near::Nearest(Points::new(&samples.values, features), neighbors)
    };
    let n_features = part.n_features(features, "X_")?;
    let methods = vec![
        Spec::new(Method::Predict, labels.dtype(), None),
        Spec::new(Method::PredictProba, DType::Double, Some(labels.len())),
    ];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?.labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(Propagation { facts, labels, near, shares }))
}

impl Propagation {
    /// `[rows, classes]`.
    fn probabilities(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, RunError> {
        let classes = self.labels.len();
        bounded(self.facts.class, x.nrows(), classes)?;
        let mut all = vec![0.0; x.nrows() * classes];
        let mut near = vec![0.0; self.shares.rows];
        let mut order: Vec<usize> = Vec::new();
        for (row, sums) in flat(&x).chunks_exact(self.facts.n_features).zip(all.chunks_exact_mut(classes)) {
            let mut add = |sample: usize, weight: f64| {
                let shares = self.shares.row(sample);
                sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += weight * share);
            };
            match &self.near {
                Near::Kernel(alike) => {
                    alike.apply(row, &mut near);
                    near.iter().enumerate().for_each(|(sample, &weight)| add(sample, weight));
                }
                Near::Nearest(points, count) => {
                    points.squared_distances(row, &mut near);
                    order.clear();
                    order.extend(0..near.len());
                    // Of two as near the first counts.
                    order.select_nth_unstable_by(count - 1, |&a, &b| {
                        near[a].total_cmp(&near[b]).then(a.cmp(&b))
                    });
                    order[..*count].sort_unstable();
                    order[..*count].iter().for_each(|&sample| add(sample, 1.0));
                }
            }
            let sum: f64 = sums.iter().sum();
            sums.iter_mut().for_each(|value| *value /= sum);
        }
        Ok(all)
    }
}

impl Estimator for Propagation {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let all = self.probabilities(x)?;
        for &method in wanted {
            let elements: Elements = match method {
                Method::Predict => self.labels.take(all.chunks_exact(self.labels.len()).map(argmax)),
                _ => all.clone().into(),
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
