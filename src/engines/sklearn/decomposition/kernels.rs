//! What is made of kernels: principal components of one, and an approximation by a part of the samples.

use ndarray::ArrayView2;

use super::linear_map::not_empty;
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::math::Affine;
use crate::engines::sklearn::pairwise::{Alike, Kernel};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// How samples are compared with those that were kept.
#[derive(Debug)]
enum Compare {
    Alike(Alike),
    /// The sample is its kernel's values, one for each.
    Precomputed,
}

impl Compare {
    fn read(
        part: &Part<'_>,
        points: Option<&Matrix>,
        gamma: Option<f64>,
        coef0: f64,
    ) -> Result<Self, ModelError> {
        const CHOICES: &[&str] = &[
            "linear",
            "rbf",
            "poly",
            "polynomial",
            "sigmoid",
            "laplacian",
            "cosine",
            "chi2",
            "additive_chi2",
            "precomputed",
        ];
        let name = part.one_of("kernel", "rbf", CHOICES)?;
        let Some(points) = points.filter(|_| name != "precomputed") else { return Ok(Self::Precomputed) };
        let degree = part.number_or("degree", 3.0)?;
        let kernel = Kernel::named(name, gamma, coef0, degree, points.columns);
        Ok(Self::Alike(Alike::new(kernel, points.values.clone(), points.columns)))
    }

    /// `[rows, kept]`.
    fn values(&self, x: ArrayView2<'_, f64>, kept: usize) -> Result<Vec<f64>, RunError> {
        bounded("A kernel", x.nrows(), kept)?;
        match self {
            Self::Precomputed => Ok(flat(&x).to_vec()),
            Self::Alike(alike) => {
                alike.kernel().check(flat(&x))?;
                let mut values = vec![0.0; x.nrows() * kept];
                let rows = flat(&x).chunks_exact(x.ncols().max(1));
                rows.zip(values.chunks_exact_mut(kept)).for_each(|(row, out)| alike.apply(row, out));
                Ok(values)
            }
        }
    }
}

/// A matrix of kernel values made into columns.
fn projected(affine: &Affine, values: &[f64], rows: usize, kept: usize) -> Result<Vec<f64>, RunError> {
    let values = ArrayView2::from_shape((rows, kept), values);
    Ok(affine.apply(values.map_err(|error| RunError::Internal(error.to_string()))?))
}

/// Principal components in the space of a kernel.
#[derive(Debug)]
pub(in crate::engines::sklearn) struct KernelComponents {
    compare: Compare,
    kept: usize,
    /// What the fitted samples' kernel is on average with each, and at all.
    means: Vec<f64>,
    mean: f64,
    axes: Affine,
}

impl KernelComponents {
    fn read(part: &Part<'_>) -> Result<(Self, usize, usize, Option<f64>), ModelError> {
        let young = part.version() >= (1, 0);
        let (values, vectors) =
            if young { ("eigenvalues_", "eigenvectors_") } else { ("lambdas_", "alphas_") };
        let vectors = not_empty(part, vectors)?;
        let values = part.vector_of(values, vectors.columns)?;
        let kept = vectors.rows;
        let scale: Vec<f64> = values.iter().map(|v| if *v == 0.0 { 0.0 } else { 1.0 / v.sqrt() }).collect();
        if scale.iter().any(|scale| scale.is_nan()) {
            return Err(part.refuse(if young { "eigenvalues_" } else { "lambdas_" }, "holds numbers below 0"));
        }
        let axes = vectors.map(|_, j, value| value * scale[j]).transposed();
        let samples = part.matrix("X_fit_")?;
        let precomputed = part.text("kernel")?.as_deref() == Some("precomputed");
        if samples.rows != kept || samples.columns == 0 {
            return Err(part.refuse("X_fit_", format!("has {} rows; expected {kept}", samples.rows)));
        }
        let n_features = if precomputed { kept } else { samples.columns };
        // Settled by fit since 1.3.
        let gamma = if part.attr("gamma_").is_some() { "gamma_" } else { "gamma" };
        let gamma = if part.attr(gamma).is_some() { Some(part.number(gamma)?) } else { None };
        let compare = Compare::read(part, Some(&samples), gamma, part.number_or("coef0", 1.0)?)?;
        let centre = part.within(
            "_centerer",
            &["sklearn.preprocessing._data", "sklearn.preprocessing.data"],
            "KernelCenterer",
        )?;
        let means = centre.vector_of("K_fit_rows_", kept)?;
        let mean = centre.number("K_fit_all_")?;
        let outputs = axes.rows;
        let axes = Affine::new(axes.values, vec![0.0; outputs], kept);
        Ok((Self { compare, kept, means, mean, axes }, n_features, outputs, gamma))
    }

    /// Of a kernel that is given as such: how many samples it is with.
    pub(in crate::engines::sklearn) fn precomputed(part: &Part<'_>) -> Result<(Self, usize), ModelError> {
        let (components, _, outputs, _) = Self::read(part)?;
        if !matches!(components.compare, Compare::Precomputed) {
            return Err(part.refuse("kernel", "is not 'precomputed'"));
        }
        Ok((components, outputs))
    }

    pub(in crate::engines::sklearn) fn kept(&self) -> usize {
        self.kept
    }

    /// `[rows, components]` of the rows of samples, or of kernel values.
    pub(in crate::engines::sklearn) fn project(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, RunError> {
        let mut values = self.compare.values(x, self.kept)?;
        // Source: `sklearn.preprocessing.KernelCenterer`.
        #[allow(clippy::cast_precision_loss, reason = "a number of samples")]
        for row in values.chunks_exact_mut(self.kept) {
            let own = row.iter().sum::<f64>() / self.kept as f64;
            row.iter_mut()
                .zip(&self.means)
                .for_each(|(value, mean)| *value = *value - mean - own + self.mean);
        }
        projected(&self.axes, &values, x.nrows(), self.kept)
    }
}

#[derive(Debug)]
struct KernelPca {
    facts: Facts,
    components: KernelComponents,
    back: Option<(Compare, usize, Affine)>,
}

/// Source: `sklearn.decomposition.KernelPCA`.
pub(super) fn build_pca(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (components, n_features, outputs, gamma) = KernelComponents::read(part)?;
    let n_features = part.n_features(n_features, "X_fit_")?;
    // Until 1.0 the way back depended on the place of a row in its batch.
    let back = if part.flag("fit_inverse_transform", false)? && part.version() >= (1, 0) {
        let points = not_empty(part, "X_transformed_fit_")?;
        let dual = part.matrix_of("dual_coef_", n_features)?;
        if points.columns != outputs || dual.rows != points.rows {
            let why = format!("has {} rows for {} samples", dual.rows, points.rows);
            return Err(part.refuse("dual_coef_", why));
        }
        let compare = Compare::read(part, Some(&points), gamma, part.number_or("coef0", 1.0)?)?;
        let affine = Affine::new(dual.transposed().values, vec![0.0; n_features], points.rows);
        Some((compare, points.rows, affine))
    } else {
        None
    };
    let mut methods = vec![Spec::transform(outputs)];
    methods.extend(back.as_ref().map(|_| Spec::inverse_transform(outputs, n_features)));
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(KernelPca { facts, components, back }))
}

impl Estimator for KernelPca {
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
            let values = match (method, &self.back) {
                (Method::InverseTransform, Some((compare, kept, dual))) => {
                    projected(dual, &compare.values(x, *kept)?, x.nrows(), *kept)?
                }
                _ => self.components.project(x)?,
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Nystroem {
    facts: Facts,
    compare: Compare,
    kept: usize,
    normal: Affine,
}

/// Source: `sklearn.kernel_approximation.Nystroem`.
pub(super) fn build_nystroem(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let normal = not_empty(part, "normalization_")?;
    let kept = normal.columns;
    let precomputed = part.text("kernel")?.as_deref() == Some("precomputed");
    if precomputed {
        return Err(part.refuse("kernel", "is 'precomputed', whose columns are not known here"));
    }
    let points = not_empty(part, "components_")?;
    if points.rows != kept {
        return Err(part.refuse("components_", format!("has {} rows; expected {kept}", points.rows)));
    }
    let n_features = part.n_features(points.columns, "components_")?;
    let gamma = if part.attr("gamma").is_some() { Some(part.number("gamma")?) } else { None };
    let compare = Compare::read(part, Some(&points), gamma, part.number_or("coef0", 1.0)?)?;
    let facts = Facts::new(part, n_features, Check::Finite, vec![Spec::transform(normal.rows)])?;
    let normal = Affine::new(normal.values, vec![0.0; normal.rows], kept);
    Ok(Box::new(Nystroem { facts, compare, kept, normal }))
}

impl Estimator for Nystroem {
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
            let values = projected(&self.normal, &self.compare.values(x, self.kept)?, x.nrows(), self.kept)?;
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}
