//! Projections onto components: principal, independent, sparse, random, …

use ndarray::ArrayView2;

use super::linear_map::{Step, not_empty, run};
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::math::Affine;
use crate::engines::sklearn::samples::Csr;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer};
use crate::limits;
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// Multiplications that finding a pseudo-inverse at load may cost; a larger one's
/// `inverse_transform` is not offered.
const PSEUDO_INVERSE_COST_MAX: usize = 2_000_000_000;

#[derive(Debug)]
struct Projection {
    facts: Facts,
    forward: Vec<Step>,
    back: Option<Vec<Step>>,
    density: Option<Density>,
}

/// The logarithm of a normal density.
#[derive(Debug)]
struct Density {
    mean: Vec<f64>,
    /// The inverse of the covariance; `None` when it has none.
    precision: Option<Matrix>,
    log_determinant: f64,
}

impl Density {
    fn new(mean: Vec<f64>, precision: Option<Matrix>) -> Self {
        let log_determinant = precision.as_ref().map_or(0.0, Matrix::log_determinant);
        Self { mean, precision, log_determinant }
    }

    /// Source: `sklearn.decomposition.PCA.score_samples`.
    fn log_likelihoods(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, RunError> {
        let Some(precision) = &self.precision else {
            return Err(RunError::InvalidInput("singular matrix: the covariance has no inverse".to_owned()));
        };
        #[allow(clippy::cast_precision_loss, reason = "a number of features")]
        let constant =
            0.5 * (self.mean.len() as f64 * (2.0 * std::f64::consts::PI).ln() - self.log_determinant);
        Ok(squared_distances(x, &self.mean, precision)
            .iter()
            .map(|square| -0.5 * square - constant)
            .collect())
    }
}

/// `(x − mean)ᵀ · precision · (x − mean)` of each row.
pub(super) fn squared_distances(x: ArrayView2<'_, f64>, mean: &[f64], precision: &Matrix) -> Vec<f64> {
    let mut centred = vec![0.0; mean.len()];
    let square = |row: ArrayView2<'_, f64>| {
        for ((to, &value), &mean) in centred.iter_mut().zip(row.iter()).zip(mean) {
            *to = value - mean;
        }
        let weighted =
            precision.iter().map(|weights| weights.iter().zip(&centred).map(|(w, c)| w * c).sum::<f64>());
        weighted.zip(&centred).map(|(weighted, centred)| weighted * centred).sum::<f64>()
    };
    x.axis_chunks_iter(ndarray::Axis(0), 1).map(square).collect()
}

fn projection(
    part: &Part<'_>,
    n_features: usize,
    columns: usize,
    forward: Vec<Step>,
    back: Option<Vec<Step>>,
    density: Option<Density>,
) -> Result<Box<dyn Estimator>, ModelError> {
    let n_features = part.n_features(n_features, "components_")?;
    let mut methods = vec![Spec::transform(columns)];
    methods.extend(back.as_ref().map(|_| Spec::inverse_transform(columns, n_features)));
    methods.extend(density.as_ref().map(|_| Spec::new(Method::ScoreSamples, DType::Double, Gives::One)));
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Projection { facts, forward, back, density }))
}

/// `PCA` and `IncrementalPCA`. Source: `sklearn.decomposition._base._BasePCA`.
pub(super) fn build_pca(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let components = not_empty(part, "components_")?;
    let (count, n_features) = (components.rows, components.columns);
    let mean = part.vector_of("mean_", n_features)?;
    let whiten = part.flag("whiten", false)?;
    let variance = part.vector_of("explained_variance_", count)?;
    let scale: Vec<f64> = variance.iter().map(|variance| variance.sqrt()).collect();
    // Since 1.5 the mean is taken away after the projection, which rounds differently.
    let young = part.version() >= (1, 5);
    let mut forward = Vec::new();
    if young {
        let moved = components.iter().map(|row| -row.iter().zip(&mean).map(|(c, m)| c * m).sum::<f64>());
        forward.push(Step::Affine(Affine::new(components.values.clone(), moved.collect(), n_features)));
    } else {
        forward.push(Step::Subtract(mean.clone()));
        forward.push(Step::times_transposed(&components));
    }
    if whiten {
        let least = if young { f64::EPSILON } else { 0.0 };
        forward.push(Step::Divide(scale.iter().map(|scale| scale.max(least)).collect()));
    }
    let stretched = if whiten { components.clone().map(|i, _, c| scale[i] * c) } else { components.clone() };
    let back = Affine::new(stretched.transposed().values, mean.clone(), count);
    // Wide ones have no density here: its matrix has the square of their features.
    let density = if part.class == "PCA" && components.transposed().has_gram() {
        let noise = part.number("noise_variance_")?;
        Some(Density::new(mean, pca_precision(&stretched, &variance, noise, young)))
    } else {
        None
    };
    projection(part, n_features, count, forward, Some(vec![Step::Affine(back)]), density)
}

/// Source: `_BasePCA.get_precision`, `get_covariance`; Tipping and Bishop, Probabilistic
/// Principal Component Analysis, 1999.
fn pca_precision(components: &Matrix, variance: &[f64], noise: f64, young: bool) -> Option<Matrix> {
    let beyond: Vec<f64> = variance.iter().map(|variance| (variance - noise).max(0.0)).collect();
    if (young && noise == 0.0) || (!young && components.rows == components.columns) {
        let weighted = components.clone().map(|i, _, c| c * beyond[i]);
        return components.transposed().times(&weighted).plus_diagonal(|_| noise).inverse();
    }
    let inner = components.times(&components.transposed()).map(|_, _, value| value / noise);
    let inner = inner.plus_diagonal(|i| 1.0 / beyond[i]).inverse()?;
    let outer = components.transposed().times(&inner).times(components);
    Some(outer.map(|_, _, value| value / -(noise * noise)).plus_diagonal(|_| 1.0 / noise))
}

/// `SparsePCA` and `MiniBatchSparsePCA`: ridge regression on the components, which is a
/// matrix. Source: `sklearn.decomposition._sparse_pca._BaseSparsePCA`.
pub(super) fn build_sparse_pca(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let components = not_empty(part, "components_")?;
    let (count, n_features) = (components.rows, components.columns);
    let mean = part.vector_of("mean_", n_features)?;
    let alpha = part.number("ridge_alpha")?;
    if !components.has_gram() {
        return Err(part.refuse("components_", format!("has {count} rows, more than are solved for")));
    }
    let gram = components.times(&components.transposed()).plus_diagonal(|_| alpha);
    let Some(solver) = gram.inverse() else {
        return Err(part.refuse("components_", "have no ridge regression: the matrix to solve is singular"));
    };
    let forward = vec![Step::Subtract(mean.clone()), Step::times_transposed(&solver.times(&components))];
    let back = Affine::new(components.transposed().values, mean, count);
    let back = (part.version() >= (1, 2)).then(|| vec![Step::Affine(back)]);
    projection(part, n_features, count, forward, back, None)
}

/// Source: `sklearn.decomposition.TruncatedSVD`.
pub(super) fn build_svd(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let components = not_empty(part, "components_")?;
    let back = vec![Step::times_transposed(&components.transposed())];
    let forward = vec![Step::times_transposed(&components)];
    projection(part, components.columns, components.rows, forward, Some(back), None)
}

/// Source: `sklearn.decomposition.FactorAnalysis`.
pub(super) fn build_factors(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let components = not_empty(part, "components_")?;
    let (count, n_features) = (components.rows, components.columns);
    let mean = part.vector_of("mean_", n_features)?;
    let noise = part.vector_of("noise_variance_", n_features)?;
    if !components.has_gram() {
        return Err(part.refuse("components_", format!("has {count} rows, more than are solved for")));
    }
    let weighted = components.clone().map(|_, j, c| c / noise[j]);
    let inner = weighted.times(&components.transposed()).plus_diagonal(|_| 1.0);
    let Some(covariance) = inner.inverse() else {
        return Err(part.refuse("components_", "give a covariance that has no inverse"));
    };
    let is_wide = !components.transposed().has_gram();
    let precision = if is_wide {
        None
    } else if count == n_features {
        components.transposed().times(&components).plus_diagonal(|i| noise[i]).inverse()
    } else {
        let outer = components.transposed().times(&covariance).times(&components);
        Some(outer.map(|i, j, value| value / noise[i] / -noise[j]).plus_diagonal(|i| 1.0 / noise[i]))
    };
    let forward = vec![
        Step::Subtract(mean.clone()),
        Step::times_transposed(&weighted),
        Step::times_transposed(&covariance.transposed()),
    ];
    let density = (!is_wide).then(|| Density::new(mean, precision));
    projection(part, n_features, count, forward, None, density)
}

/// Source: `sklearn.decomposition.FastICA`.
pub(super) fn build_ica(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let components = not_empty(part, "components_")?;
    let (count, n_features) = (components.rows, components.columns);
    let mixing = part.matrix_of("mixing_", count)?;
    if mixing.rows != n_features {
        let why = format!("has {} rows; expected one for each of {n_features} features", mixing.rows);
        return Err(part.refuse("mixing_", why));
    }
    // False, or how the data are whitened: True until 1.3, then words.
    let whiten = part.attr("whiten").is_some_and(|whiten| whiten.as_bool() != Some(false));
    let (mut forward, mut back) =
        (vec![Step::times_transposed(&components)], vec![Step::times_transposed(&mixing)]);
    if whiten {
        let mean = part.vector_of("mean_", n_features)?;
        forward.insert(0, Step::Subtract(mean.clone()));
        back.push(Step::Add(mean));
    }
    projection(part, n_features, count, forward, Some(back), None)
}

/// Source: `sklearn.random_projection`.
pub(super) fn build_random(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let components = part.csr("components_")?;
    let (count, n_features) = (components.rows(), components.width());
    if count == 0 || n_features == 0 {
        return Err(part.refuse("components_", "has no numbers; expected at least one row and column"));
    }
    let inverse = if part.version() < (1, 1) {
        None
    } else if part.flag("compute_inverse_components", false)? {
        let inverse = part.matrix_of("inverse_components_", count)?;
        if inverse.rows != n_features {
            let why = format!("has {} rows; expected one for each of {n_features} features", inverse.rows);
            return Err(part.refuse("inverse_components_", why));
        }
        Some(inverse)
    } else {
        let cost = count.saturating_mul(n_features).saturating_mul(count.min(n_features));
        let numbers = count.saturating_mul(n_features);
        let is_held = cost <= PSEUDO_INVERSE_COST_MAX && numbers <= limits::SQUARE_NUMBERS_MAX;
        if is_held { dense(&components).pseudo_inverse() } else { None }
    };
    let back = inverse.map(|inverse| vec![Step::times_transposed(&inverse)]);
    projection(part, n_features, count, vec![Step::Sparse(components)], back, None)
}

fn dense(sparse: &Csr) -> Matrix {
    let values = sparse.dense(0..sparse.rows()).into_raw_vec_and_offset().0;
    Matrix { values, rows: sparse.rows(), columns: sparse.width() }
}

/// Source: `sklearn.neighbors.NeighborhoodComponentsAnalysis`.
pub(super) fn build_nca(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let components = not_empty(part, "components_")?;
    let forward = vec![Step::times_transposed(&components)];
    projection(part, components.columns, components.rows, forward, None, None)
}

impl Estimator for Projection {
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
            let values = match (method, &self.back, &self.density) {
                (Method::InverseTransform, Some(back), _) => run(back, x)?,
                (Method::ScoreSamples, _, Some(density)) => density.log_likelihoods(x)?,
                _ => run(&self.forward, x)?,
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}
