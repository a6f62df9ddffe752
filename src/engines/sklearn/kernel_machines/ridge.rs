//! `KernelRidge`: weighted kernels of the fitted samples.

use crate::engines::sklearn::math::{Affine, dot};
use crate::engines::sklearn::pairwise::{Alike, Kernel};
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded, flat};
use crate::limits;
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Ridge {
    facts: Facts,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// With a linear kernel the samples come down to a weight for each feature, and where the
    /// kernel is given they are not needed.
    Weights(Affine),
    /// `[targets, samples]`: what each sample's kernel counts.
    Kernels { alike: Alike, weights: Vec<f64>, targets: usize },
}

/// Source: `sklearn.kernel_ridge.KernelRidge`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const DUAL: &str = "dual_coef_";
    const FITTED: &str = "X_fit_";
    const KERNELS: &[&str] = &[
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
    part.fitted(DUAL)?;
    let name = part.one_of("kernel", "linear", KERNELS)?;
    let dual = part.finite_numbers(DUAL)?;
    let (count, targets) = match dual.shape[..] {
        [count] if count > 0 => (count, None),
        [count, targets] if count > 0 && targets > 0 => (count, Some(targets)),
        _ => {
            let why = format!("has shape {}; expected one row for each sample", dual.shown_shape());
            return Err(part.refuse(DUAL, why));
        }
    };
    let width = targets.unwrap_or(1);
    let by_target = (0..width).flat_map(|target| dual.values.iter().skip(target).step_by(width).copied());
    let weights: Vec<f64> = by_target.collect();
    let (form, n_features) = if name == "precomputed" {
        (Form::Weights(Affine::new(weights, vec![0.0; width], count)), part.n_features(count, DUAL)?)
    } else {
        let fitted = part.csr(FITTED)?;
        let features = fitted.width();
        let numbers = count.saturating_mul(features);
        // A dense matrix has all of its numbers in the file; a sparse one may have none.
        let held = numbers <= limits::TENSOR_BYTES_MAX / 8 || part.fitted(FITTED)?.array().is_some();
        if fitted.rows() != count || features == 0 || !held {
            let why = format!("has shape ({}, {features}); expected {count} rows", fitted.rows());
            return Err(part.refuse(FITTED, why));
        }
        if part.fitted(FITTED)?.array().is_none() {
            part.pay_again(FITTED, numbers.saturating_mul(16))?;
        }
        let gamma = part.attr("gamma").map(|_| part.number("gamma")).transpose()?;
        let (coef0, degree) = (part.number_or("coef0", 1.0)?, part.number_or("degree", 3.0)?);
        let kernel = Kernel::named(name, gamma, coef0, degree, features);
        let form = if kernel == Kernel::Linear && width <= count {
            let mut coef = vec![0.0; width * features];
            for (weights, coef) in weights.chunks_exact(count).zip(coef.chunks_exact_mut(features)) {
                for (row, weight) in weights.iter().enumerate() {
                    let (places, values) = fitted.row(row);
                    places
                        .iter()
                        .zip(values)
                        .for_each(|(&place, value)| coef[place as usize] += weight * value);
                }
            }
            Form::Weights(Affine::new(coef, vec![0.0; width], features))
        } else {
            let values = fitted.dense(0..count).into_raw_vec_and_offset().0;
            Form::Kernels { alike: Alike::new(kernel, values, features), weights, targets: width }
        };
        (form, part.n_features(features, FITTED)?)
    };
    let methods = vec![Spec::new(Method::Predict, DType::Double, targets)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Ridge { facts, form }))
}

impl Ridge {
    fn predict(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let class = self.facts.class;
        let (alike, weights, targets) = match &self.form {
            Form::Weights(affine) => return affine.apply_samples(x, class),
            Form::Kernels { alike, weights, targets } => (alike, weights, *targets),
        };
        let rows = x.rows();
        bounded(class, rows, targets)?;
        let mut kernels = vec![0.0; alike.len()];
        let mut spread = vec![0.0; self.facts.n_features];
        let mut y = Vec::with_capacity(rows * targets);
        let mut add = |row: &[f64]| {
            alike.kernel().check(row)?;
            alike.apply(row, &mut kernels);
            y.extend(weights.chunks_exact(kernels.len()).map(|weights| dot(weights, &kernels)));
            Ok::<_, RunError>(())
        };
        match x {
            Samples::Sparse(x) => {
                for row in 0..rows {
                    let (places, values) = x.row(row);
                    spread.fill(0.0);
                    places.iter().zip(values).for_each(|(&place, &value)| spread[place as usize] = value);
                    add(&spread)?;
                }
            }
            x => {
                let dense;
                let x = match x {
                    Samples::Dense(x) => x,
                    x => {
                        dense = x.to_dense(class)?;
                        dense.view()
                    }
                };
                flat(&x).chunks_exact(self.facts.n_features).try_for_each(add)?;
            }
        }
        Ok(y)
    }
}

impl Estimator for Ridge {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let rows = x.rows();
        let y = self.predict(x)?;
        for &method in wanted {
            answers.push(answer(rows, self.facts.gives(method), y.clone().into())?);
        }
        Ok(())
    }
}
