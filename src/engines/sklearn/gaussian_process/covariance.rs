//! Covariances of a sample and the fitted points, and of a sample with itself.
//!
//! Source: `sklearn.gaussian_process.kernels`; Rasmussen and Williams, chapter 4.

use std::f64::consts::PI;
use std::sync::Arc;

use crate::engines::sklearn::ModelError;
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::pairwise::{Alike, Kernel, Points};
use crate::engines::sklearn::special::{ORDER_MAX, bessel_k};
use crate::engines::sklearn::state::Part;
use crate::formats::pickle::Ref;
use crate::limits;
use crate::servable::RunError;

const KERNELS: &[&str] = &["sklearn.gaussian_process.kernels"];
const CLASSES: [&str; 11] = [
    "ConstantKernel",
    "DotProduct",
    "ExpSineSquared",
    "Exponentiation",
    "Matern",
    "PairwiseKernel",
    "Product",
    "RBF",
    "RationalQuadratic",
    "Sum",
    "WhiteKernel",
];

/// A kernel with the points that samples are compared with.
#[derive(Debug)]
pub(super) enum Covariance {
    Constant(f64),
    /// Noise, which a sample shares with itself alone.
    White(f64),
    Dot {
        points: Arc<Points>,
        offset: f64,
    },
    /// A function of the squared distance, with lengths that the features are measured in.
    Distance {
        points: Arc<Points>,
        lengths: Lengths,
        shape: Shape,
    },
    Pairwise(Alike),
    Sum(Box<[Covariance; 2]>),
    Product(Box<[Covariance; 2]>),
    Power(Box<Covariance>, f64),
}

/// What the features are measured in.
#[derive(Debug)]
pub(super) enum Lengths {
    /// One for all: the inverse of its square.
    One(f64),
    /// One each, in which the points are measured already.
    Each(Vec<f64>),
}

/// What a squared distance means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Rbf,
    RationalQuadratic {
        alpha: f64,
    },
    /// The periodicity, and the inverse of the length's square.
    ExpSineSquared {
        periodicity: f64,
        scale: f64,
    },
    Matern1,
    Matern3,
    Matern5,
    /// Of any order: `2^(1-nu) / gamma(nu)` is the factor.
    Matern {
        nu: f64,
        factor: f64,
    },
}

/// How much has been read of one kernel.
struct Reader<'p> {
    matrix: &'p Matrix,
    /// The points as they are, once any kernel has asked for them.
    plain: Option<Arc<Points>>,
    kernels: usize,
    copied: usize,
    /// How many features there are; of no points what the first list of lengths says.
    width: Option<usize>,
}

impl Covariance {
    /// Reads the kernel `kernel_` of a process that was fitted on these points.
    pub(super) fn read(part: &Part<'_>, points: &Matrix) -> Result<Self, ModelError> {
        let mut reader =
            Reader { matrix: points, plain: None, kernels: 0, copied: 0, width: Some(points.columns) };
        reader.read(part, "kernel_", part.fitted("kernel_")?)
    }

    /// Reads the kernel of a process that was never fitted, of which only [`Covariance::of_itself`]
    /// is asked, and how many features it is for, if it says. `None` for the kernel that is always 1.
    pub(super) fn read_prior(part: &Part<'_>) -> Result<(Option<Self>, Option<usize>), ModelError> {
        let Some(kernel) = part.attr("kernel") else { return Ok((None, None)) };
        let none = Matrix { values: Vec::new(), rows: 0, columns: 1 };
        let mut reader = Reader { matrix: &none, plain: None, kernels: 0, copied: 0, width: None };
        let covariance = reader.read(part, "kernel", kernel)?;
        Ok((Some(covariance), reader.width))
    }

    /// Covariances of a sample and each point.
    pub(super) fn apply(&self, x: &[f64], out: &mut [f64]) -> Result<(), RunError> {
        match self {
            Self::Constant(value) => out.fill(*value),
            Self::White(_) => out.fill(0.0),
            Self::Dot { points, offset } => {
                points.dots(x, out);
                out.iter_mut().for_each(|value| *value += offset);
            }
            Self::Distance { points, lengths, shape } => {
                match lengths {
                    Lengths::One(scale) => {
                        points.squared_distances(x, out);
                        out.iter_mut().for_each(|square| *square *= scale);
                    }
                    Lengths::Each(lengths) => {
                        let x: Vec<f64> =
                            x.iter().zip(lengths).map(|(value, length)| value / length).collect();
                        points.squared_distances(&x, out);
                    }
                }
                out.iter_mut().for_each(|square| *square = shape.of(*square));
            }
            Self::Pairwise(alike) => {
                alike.kernel().check(x)?;
                alike.apply(x, out);
            }
            Self::Sum(both) => both[0].with(&both[1], x, out, |a, b| a + b)?,
            Self::Product(both) => both[0].with(&both[1], x, out, |a, b| a * b)?,
            Self::Power(kernel, exponent) => {
                kernel.apply(x, out)?;
                out.iter_mut().for_each(|value| *value = value.powf(*exponent));
            }
        }
        Ok(())
    }

    fn with(
        &self,
        other: &Self,
        x: &[f64],
        out: &mut [f64],
        join: impl Fn(f64, f64) -> f64,
    ) -> Result<(), RunError> {
        self.apply(x, out)?;
        let mut others = vec![0.0; out.len()];
        other.apply(x, &mut others)?;
        out.iter_mut().zip(others).for_each(|(value, other)| *value = join(*value, other));
        Ok(())
    }

    /// The variance of a sample.
    pub(super) fn of_itself(&self, x: &[f64]) -> f64 {
        match self {
            Self::Constant(value) | Self::White(value) => *value,
            Self::Dot { offset, .. } => x.iter().map(|value| value * value).sum::<f64>() + offset,
            Self::Distance { .. } => 1.0,
            Self::Pairwise(alike) => alike.of_itself(x),
            Self::Sum(both) => both[0].of_itself(x) + both[1].of_itself(x),
            Self::Product(both) => both[0].of_itself(x) * both[1].of_itself(x),
            Self::Power(kernel, exponent) => kernel.of_itself(x).powf(*exponent),
        }
    }
}

impl Shape {
    fn of(self, square: f64) -> f64 {
        match self {
            Self::Rbf => (-0.5 * square).exp(),
            Self::RationalQuadratic { alpha } => (1.0 + square / (2.0 * alpha)).powf(-alpha),
            Self::ExpSineSquared { periodicity, scale } => {
                let sine = (PI * square.sqrt() / periodicity).sin();
                (-2.0 * scale * sine * sine).exp()
            }
            Self::Matern1 => (-square.sqrt()).exp(),
            Self::Matern3 => {
                let k = (3.0 * square).sqrt();
                (1.0 + k) * (-k).exp()
            }
            Self::Matern5 => {
                let k = (5.0 * square).sqrt();
                (1.0 + k + k * k / 3.0) * (-k).exp()
            }
            Self::Matern { nu, factor } => {
                let distance = square.sqrt();
                // No distance at all has no value; scikit-learn takes the least one instead.
                let distance = if distance == 0.0 { f64::EPSILON } else { distance };
                let k = (2.0 * nu).sqrt() * distance;
                factor * k.powf(nu) * bessel_k(nu, k)
            }
        }
    }
}

impl Reader<'_> {
    /// Reads the kernel `value`, which is an attribute of `owner`.
    fn read<'a>(
        &mut self,
        owner: &Part<'a>,
        attribute: &'static str,
        value: Ref<'a>,
    ) -> Result<Covariance, ModelError> {
        self.kernels += 1;
        if self.kernels > limits::PROCESS_KERNELS_MAX {
            let why = format!("is made of more than {} kernels", limits::PROCESS_KERNELS_MAX);
            return Err(owner.refuse(attribute, why));
        }
        let name = value.object().map(|object| object.class().name).unwrap_or_default();
        let Some(class) = CLASSES.into_iter().find(|class| *class == name) else {
            let expected = format!("a kernel of scikit-learn's: one of {}", CLASSES.join(", "));
            return Err(owner.unexpected(attribute, value, &expected));
        };
        let part = owner.object(value, attribute, attribute, KERNELS, class)?;
        let positive = |name| match part.number(name)? {
            number if number > 0.0 => Ok(number),
            number => Err(part.refuse(name, format!("is {number}; expected a number above 0"))),
        };
        Ok(match class {
            "ConstantKernel" => Covariance::Constant(part.number("constant_value")?),
            "WhiteKernel" => Covariance::White(part.number("noise_level")?),
            "DotProduct" => {
                let sigma = part.number("sigma_0")?;
                Covariance::Dot { points: self.plain(), offset: sigma * sigma }
            }
            "RBF" => self.distance(&part, Shape::Rbf)?,
            "Matern" => {
                let shape = matern(&part)?;
                self.distance(&part, shape)?
            }
            "RationalQuadratic" => {
                let (length, alpha) = (positive("length_scale")?, positive("alpha")?);
                let lengths = Lengths::One(1.0 / (length * length));
                Covariance::Distance {
                    points: self.plain(),
                    lengths,
                    shape: Shape::RationalQuadratic { alpha },
                }
            }
            "ExpSineSquared" => {
                let (length, periodicity) = (positive("length_scale")?, positive("periodicity")?);
                let shape = Shape::ExpSineSquared { periodicity, scale: 1.0 / (length * length) };
                Covariance::Distance { points: self.plain(), lengths: Lengths::One(1.0), shape }
            }
            "PairwiseKernel" => self.pairwise(&part)?,
            "Exponentiation" => {
                let kernel = self.read(&part, "kernel", part.fitted("kernel")?)?;
                Covariance::Power(Box::new(kernel), part.number("exponent")?)
            }
            _ => {
                let first = self.read(&part, "k1", part.fitted("k1")?)?;
                let both = Box::new([first, self.read(&part, "k2", part.fitted("k2")?)?]);
                if class == "Sum" { Covariance::Sum(both) } else { Covariance::Product(both) }
            }
        })
    }

    /// The points as they are.
    fn plain(&mut self) -> Arc<Points> {
        let matrix = self.matrix;
        let made = self.plain.get_or_insert_with(|| Arc::new(Points::new(&matrix.values, matrix.columns)));
        Arc::clone(made)
    }

    /// A copy of the points, which must not be many: kernels may share much of a file.
    fn copy(&mut self, part: &Part<'_>, name: &str) -> Result<Vec<f64>, ModelError> {
        self.copied = self.copied.saturating_add(self.matrix.values.len().saturating_mul(8));
        if self.copied <= limits::ESTIMATOR_SHARED_BYTES_MAX {
            return Ok(self.matrix.values.clone());
        }
        let max = limits::ESTIMATOR_SHARED_BYTES_MAX;
        Err(part
            .refuse(name, format!("needs a copy of the points; at most {max} bytes are copied for kernels")))
    }

    /// A kernel of the distance, which is measured in one length or in one for each feature.
    fn distance(&mut self, part: &Part<'_>, shape: Shape) -> Result<Covariance, ModelError> {
        const NAME: &str = "length_scale";
        let value = part.fitted(NAME)?;
        // Given as a list it is kept as one when nothing is optimised.
        let listed: Option<Vec<f64>> = value.items().and_then(|items| items.map(Ref::as_f64).collect());
        let lengths = if let Some(listed) = listed { listed } else { part.numbers(NAME)?.values };
        if let Some(wrong) = lengths.iter().find(|length| !(length.is_finite() && **length > 0.0)) {
            return Err(part.refuse(NAME, format!("holds {wrong}; expected numbers above 0")));
        }
        if let &[length] = &lengths[..] {
            let lengths = Lengths::One(1.0 / (length * length));
            return Ok(Covariance::Distance { points: self.plain(), lengths, shape });
        }
        let features = *self.width.get_or_insert(lengths.len().max(1));
        if lengths.len() != features {
            let why = format!("has {} lengths for {features} features", lengths.len());
            return Err(part.refuse(NAME, why));
        }
        let mut values = self.copy(part, NAME)?;
        for row in values.chunks_exact_mut(features) {
            row.iter_mut().zip(&lengths).for_each(|(value, length)| *value /= length);
        }
        let points = Arc::new(Points::new(&values, features));
        Ok(Covariance::Distance { points, lengths: Lengths::Each(lengths), shape })
    }

    /// A kernel of `sklearn.metrics.pairwise`, with its arguments.
    fn pairwise(&mut self, part: &Part<'_>) -> Result<Covariance, ModelError> {
        const ARGUMENTS: &str = "pairwise_kernels_kwargs";
        let name = part.one_of("metric", "linear", Kernel::NAMES)?;
        let (mut coef0, mut degree) = (1.0, 3.0);
        if let Some(arguments) = part.attr(ARGUMENTS) {
            let Some(entries) = arguments.entries() else {
                return Err(part.unexpected(ARGUMENTS, arguments, "a dict of numbers"));
            };
            for (key, value) in entries {
                let place = match key.as_str() {
                    Some("coef0") => &mut coef0,
                    Some("degree") => &mut degree,
                    _ => {
                        return Err(part
                            .refuse(ARGUMENTS, format!("has {}; expected coef0 or degree", key.describe())));
                    }
                };
                *place = value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| {
                    part.refuse(ARGUMENTS, format!("has {}; expected a number", value.describe()))
                })?;
            }
        }
        let (gamma, features) = (part.number("gamma")?, self.matrix.columns);
        let kernel = Kernel::named(name, Some(gamma), coef0, degree, features);
        Ok(Covariance::Pairwise(Alike::new(kernel, self.copy(part, "metric")?, features)))
    }
}

fn matern(part: &Part<'_>) -> Result<Shape, ModelError> {
    const NAME: &str = "nu";
    let nu = part.numbers(NAME)?.values;
    Ok(match nu[..] {
        [0.5] => Shape::Matern1,
        [1.5] => Shape::Matern3,
        [2.5] => Shape::Matern5,
        [f64::INFINITY] => Shape::Rbf,
        [nu] if nu > 0.0 && nu <= ORDER_MAX => {
            Shape::Matern { nu, factor: 2f64.powf(1.0 - nu) / libm::tgamma(nu) }
        }
        _ => {
            return Err(
                part.refuse(NAME, format!("is {nu:?}; expected a number from 0 to {ORDER_MAX}, or inf"))
            );
        }
    })
}
