//! The nearest centre, and the distances to all of them.

use ndarray::ArrayView2;

use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::math::{Affine, argmax};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, bounded, flat,
};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// Centres, with their products ready to be taken.
#[derive(Debug)]
pub(super) struct Centres {
    products: Affine,
    /// The squared length of each.
    squares: Vec<f64>,
}

impl Centres {
    /// There is at least one, of at least one feature.
    pub(super) fn new(centres: &Matrix) -> Self {
        let squares = centres.iter().map(|centre| centre.iter().map(|c| c * c).sum()).collect();
        let products = Affine::new(centres.values.clone(), vec![0.0; centres.rows], centres.columns);
        Self { products, squares }
    }

    pub(super) fn len(&self) -> usize {
        self.squares.len()
    }

    /// The squared distance of each row to each centre, less the row's own square, which
    /// is the same for all: `[rows, centres]`.
    fn relative(&self, x: ArrayView2<'_, f64>) -> Vec<f64> {
        let mut products = self.products.apply(x);
        for row in products.chunks_exact_mut(self.len()) {
            row.iter_mut()
                .zip(&self.squares)
                .for_each(|(product, square)| *product = square - 2.0 * *product);
        }
        products
    }

    /// The place of the nearest centre, the first of several: one for each row.
    pub(super) fn nearest(&self, x: ArrayView2<'_, f64>) -> Vec<usize> {
        let mut relative = self.relative(x);
        relative.iter_mut().for_each(|distance| *distance = -*distance);
        relative.chunks_exact(self.len()).map(argmax).collect()
    }

    /// `[rows, centres]`. Source: `sklearn.metrics.pairwise.euclidean_distances`.
    pub(super) fn distances(&self, x: ArrayView2<'_, f64>) -> Vec<f64> {
        let mut distances = self.relative(x);
        let rows = flat(&x).chunks_exact(x.ncols().max(1));
        for (row, distances) in rows.zip(distances.chunks_exact_mut(self.len())) {
            let square: f64 = row.iter().map(|x| x * x).sum();
            distances.iter_mut().for_each(|distance| *distance = (*distance + square).max(0.0).sqrt());
        }
        distances
    }
}

#[derive(Debug)]
struct Clusters {
    facts: Facts,
    /// `None` when there is no cluster: each row is an outlier.
    centres: Option<Centres>,
    /// The label of each centre.
    labels: Vec<i64>,
}

fn places(n: usize) -> Vec<i64> {
    (0..).take(n).collect()
}

fn clusters(
    part: &Part<'_>,
    name: &'static str,
    centres: &Matrix,
    labels: Vec<i64>,
    distances: bool,
) -> Result<Box<dyn Estimator>, ModelError> {
    if centres.rows == 0 || centres.columns == 0 {
        return Err(part.refuse(name, "has no numbers; expected at least one centre"));
    }
    let n_features = part.n_features(centres.columns, name)?;
    let mut methods = vec![Spec::new(Method::Predict, DType::Int64, Gives::One)];
    methods.extend(distances.then(|| Spec::transform(centres.rows)));
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Clusters { facts, centres: Some(Centres::new(centres)), labels }))
}

/// `KMeans` and `MiniBatchKMeans`. Source: `sklearn.cluster._kmeans._BaseKMeans`.
pub(super) fn build_k_means(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let centres = part.matrix("cluster_centers_")?;
    clusters(part, "cluster_centers_", &centres, places(centres.rows), true)
}

/// Source: `sklearn.cluster.MeanShift.predict`.
pub(super) fn build_mean_shift(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let centres = part.matrix("cluster_centers_")?;
    clusters(part, "cluster_centers_", &centres, places(centres.rows), false)
}

/// Source: `sklearn.cluster.AffinityPropagation.predict`: what did not converge calls
/// every row an outlier.
pub(super) fn build_affinity(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "cluster_centers_";
    if part.attr(NAME).is_none() && part.text("affinity")?.as_deref() == Some("precomputed") {
        return Err(part.refuse("affinity", "is 'precomputed', which has no predict"));
    }
    let centres = part.matrix(NAME)?;
    if centres.rows == 0 {
        let n_features = part.n_features_in()?;
        let methods = vec![Spec::new(Method::Predict, DType::Int64, Gives::One)];
        let facts = Facts::new(part, n_features, Check::Finite, methods)?;
        return Ok(Box::new(Clusters { facts, centres: None, labels: Vec::new() }));
    }
    clusters(part, NAME, &centres, places(centres.rows), false)
}

/// Source: `sklearn.cluster.Birch`.
pub(super) fn build_birch(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let centres = part.matrix("subcluster_centers_")?;
    let labels = part.vector_of("subcluster_labels_", centres.rows)?;
    #[allow(clippy::cast_possible_truncation, reason = "labels are small whole numbers")]
    let labels = labels.into_iter().map(|label| label as i64).collect();
    clusters(part, "subcluster_centers_", &centres, labels, true)
}

impl Estimator for Clusters {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.nrows(), self.centres.as_ref().map_or(1, Centres::len))?;
        for &method in wanted {
            let elements = match (&self.centres, method) {
                (None, _) => vec![-1i64; x.nrows()].into(),
                (Some(centres), Method::Transform) => centres.distances(x).into(),
                (Some(centres), _) => {
                    centres.nearest(x).into_iter().map(|i| self.labels[i]).collect::<Vec<_>>().into()
                }
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
