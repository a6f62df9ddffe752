//! Approximations of kernels by features: random waves, and sketches of polynomials.

use ndarray::ArrayView2;

use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::math::Affine;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// Multiplications that the sketch of one row may take.
const SKETCH_COST_MAX: usize = 200_000_000;

#[derive(Debug)]
enum Features {
    /// `cos(X · W + offset) · √(2 / n)`.
    Waves { affine: Affine, scale: f64 },
    /// The same of `log(X + skewedness)`.
    LogWaves { affine: Affine, scale: f64, skewedness: f64 },
    /// Vedaldi and Zisserman, Efficient additive kernels via explicit feature maps, 2011.
    Chi2 { steps: usize, interval: f64 },
    /// Pham and Pagh, Fast and scalable polynomial kernels via explicit feature maps, 2013.
    Sketch {
        degree: usize,
        width: usize,
        scale: f64,
        constant: Option<f64>,
        places: Vec<usize>,
        signs: Vec<f64>,
    },
}

#[derive(Debug)]
struct Approximation {
    facts: Facts,
    features: Features,
}

/// The weights and offsets of random waves.
fn waves(part: &Part<'_>) -> Result<(Affine, f64, usize, usize), ModelError> {
    let weights = super::linear_map::not_empty(part, "random_weights_")?;
    let (n_features, count) = (part.n_features(weights.rows, "random_weights_")?, weights.columns);
    let offset = part.vector_of("random_offset_", count)?;
    #[allow(clippy::cast_precision_loss, reason = "a number of components")]
    let scale = (2.0 / count as f64).sqrt();
    Ok((Affine::new(weights.transposed().values, offset, n_features), scale, n_features, count))
}

fn approximation(
    part: &Part<'_>,
    n_features: usize,
    columns: usize,
    features: Features,
) -> Result<Box<dyn Estimator>, ModelError> {
    let facts = Facts::new(part, n_features, Check::Finite, vec![Spec::transform(columns)])?;
    Ok(Box::new(Approximation { facts, features }))
}

/// Source: `sklearn.kernel_approximation.RBFSampler`.
pub(super) fn build_rbf(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (affine, scale, n_features, count) = waves(part)?;
    approximation(part, n_features, count, Features::Waves { affine, scale })
}

/// Source: `sklearn.kernel_approximation.SkewedChi2Sampler`.
pub(super) fn build_skewed(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (affine, scale, n_features, count) = waves(part)?;
    let skewedness = part.number("skewedness")?;
    approximation(part, n_features, count, Features::LogWaves { affine, scale, skewedness })
}

/// Source: `sklearn.kernel_approximation.AdditiveChi2Sampler`.
pub(super) fn build_chi2(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let steps = part.count("sample_steps")?;
    // Fitted until 1.2; since then the argument, or what suits the number of steps.
    let interval = match (part.attr("sample_interval_"), part.attr("sample_interval"), steps) {
        (Some(_), ..) => part.number("sample_interval_")?,
        (None, Some(_), _) => part.number("sample_interval")?,
        (None, None, 1) => 0.8,
        (None, None, 2) => 0.5,
        (None, None, 3) => 0.4,
        _ => {
            return Err(
                part.refuse("sample_interval", "is None; expected a number for other than 1, 2 or 3 steps")
            );
        }
    };
    let n_features = part.n_features_in()?;
    let columns = steps.checked_mul(2).and_then(|n| n.checked_sub(1)).and_then(|n| n.checked_mul(n_features));
    let Some(columns) = columns else {
        return Err(part.refuse("sample_steps", format!("is {steps}; expected a small number above 0")));
    };
    approximation(part, n_features, columns, Features::Chi2 { steps, interval })
}

/// Source: `sklearn.kernel_approximation.PolynomialCountSketch`.
pub(super) fn build_sketch(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (degree, width) = (part.count("degree")?, part.count("n_components")?);
    let (gamma, coef0) = (part.number("gamma")?, part.number("coef0")?);
    let hashes = |name| -> Result<Matrix, ModelError> {
        let matrix = part.matrix(name)?;
        if matrix.rows == degree && matrix.columns > 0 {
            return Ok(matrix);
        }
        Err(part.refuse(name, format!("has {} rows; expected one for each degree of {degree}", matrix.rows)))
    };
    let (places, signs) = (hashes("indexHash_")?, hashes("bitHash_")?);
    let constant = (coef0 != 0.0).then(|| coef0.sqrt());
    let hashed = places.columns;
    if signs.columns != hashed || degree == 0 {
        return Err(part.refuse("bitHash_", format!("has {} columns; expected {hashed}", signs.columns)));
    }
    if gamma < 0.0 || coef0 < 0.0 {
        return Err(part.refuse("gamma", "and coef0 have to be 0 or above"));
    }
    let n_features = hashed - usize::from(constant.is_some());
    if n_features == 0 {
        return Err(part.refuse("indexHash_", "is made for no features"));
    }
    let n_features = part.n_features(n_features, "indexHash_")?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a place")]
    let place = |&place: &f64| (place >= 0.0 && place < width as f64).then_some(place as usize);
    #[allow(clippy::cast_precision_loss, reason = "compared with a number of components")]
    let found: Option<Vec<usize>> = places.values.iter().map(place).collect();
    let Some(places) = found else {
        return Err(part.refuse("indexHash_", format!("has a place beyond {width} components")));
    };
    // The sketch of a row is a convolution for each degree.
    if width.saturating_mul(width).saturating_mul(degree) > SKETCH_COST_MAX {
        let why = format!("is {width}: a sketch of degree {degree} would take too long for a row");
        return Err(part.refuse("n_components", why));
    }
    let features =
        Features::Sketch { degree, width, scale: gamma.sqrt(), constant, places, signs: signs.values };
    approximation(part, n_features, width, features)
}

impl Features {
    fn of_row(&self, row: &[f64], to: &mut Vec<f64>) {
        match self {
            Self::Waves { .. } | Self::LogWaves { .. } => {}
            Self::Chi2 { steps, interval } => {
                let each = |to: &mut Vec<f64>, how: &dyn Fn(f64) -> f64| {
                    to.extend(row.iter().map(|&x| if x == 0.0 { 0.0 } else { how(x) }));
                };
                each(to, &|x| (x * interval).sqrt());
                for j in 1..*steps {
                    #[allow(clippy::cast_precision_loss, reason = "a number of steps")]
                    let j = j as f64;
                    let width = (std::f64::consts::PI * j * interval).cosh();
                    let factor = |x: f64| (2.0 * x * interval / width).sqrt();
                    each(to, &|x| factor(x) * (j * interval * x.ln()).cos());
                    each(to, &|x| factor(x) * (j * interval * x.ln()).sin());
                }
            }
            Self::Sketch { degree, width, scale, constant, places, signs } => {
                let hashed = row.len() + usize::from(constant.is_some());
                let mut product: Vec<f64> = Vec::new();
                for d in 0..*degree {
                    let mut sketch = vec![0.0; *width];
                    let values = row.iter().map(|x| scale * x).chain(*constant);
                    let hashes = places[d * hashed..].iter().zip(&signs[d * hashed..]);
                    values.zip(hashes).for_each(|(x, (&place, sign))| sketch[place] += sign * x);
                    product = if d == 0 { sketch } else { convolved(&product, &sketch) };
                }
                to.extend(product);
            }
        }
    }
}

/// The circular convolution: what the product of Fourier transforms is the transform of.
/// Sketches are mostly zero, so that it is taken directly.
fn convolved(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; a.len()];
    for (i, &x) in a.iter().enumerate().filter(|(_, x)| **x != 0.0) {
        let (end, start) = product.split_at_mut(i);
        let (near, far) = b.split_at(b.len() - i);
        start.iter_mut().zip(near).for_each(|(sum, y)| *sum += x * y);
        end.iter_mut().zip(far).for_each(|(sum, y)| *sum += x * y);
    }
    product
}

impl Estimator for Approximation {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let cosines = |affine: &Affine, x: ArrayView2<'_, f64>, scale: f64| {
            let mut waves = affine.apply(x);
            waves.iter_mut().for_each(|wave| *wave = wave.cos() * scale);
            waves
        };
        for &method in wanted {
            let values = match &self.features {
                Features::Waves { affine, scale } => cosines(affine, x, *scale),
                Features::LogWaves { affine, scale, skewedness } => {
                    if flat(&x).iter().any(|&value| value <= -skewedness) {
                        let why = "X may not contain entries smaller than -skewedness.";
                        return Err(RunError::InvalidInput(why.to_owned()));
                    }
                    let logs = x.mapv(|value| (value + skewedness).ln());
                    cosines(affine, logs.view(), *scale)
                }
                Features::Chi2 { .. } if flat(&x).iter().any(|&value| value < 0.0) => {
                    let why =
                        format!("Negative values in data passed to X in {}.transform.", self.facts.class);
                    return Err(RunError::InvalidInput(why));
                }
                features => {
                    let width = self.facts.gives(Method::Transform).values().unwrap_or(0);
                    let mut values = Vec::with_capacity(x.nrows() * width);
                    flat(&x).chunks_exact(x.ncols().max(1)).for_each(|row| features.of_row(row, &mut values));
                    values
                }
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circular_convolution_comes_round() {
        assert_eq!(convolved(&[1.0, 2.0, 0.0], &[0.0, 1.0, 3.0]), [6.0, 1.0, 5.0]);
    }
}
