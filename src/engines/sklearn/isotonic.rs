//! `IsotonicRegression`: straight lines between the points that `fit` has found.

use ndarray::ArrayView2;

use super::registry::Row;
use super::state::Part;
use super::{Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[Row::new("sklearn.isotonic", "IsotonicRegression", &[], build)];

/// What becomes of a value beyond the points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Nan,
    Clip,
    Refuse,
}

/// The points, and what lies beyond them.
#[derive(Debug)]
pub(super) struct Curve {
    /// Rising; at least one.
    x: Vec<f64>,
    y: Vec<f64>,
    min: f64,
    max: f64,
    beyond: Beyond,
}

#[derive(Debug)]
struct Isotonic {
    facts: Facts,
    curve: Curve,
}

impl Curve {
    pub(super) fn read(part: &Part<'_>) -> Result<Self, ModelError> {
        const X: &str = "X_thresholds_";
        const Y: &str = "y_thresholds_";
        let (x, y) = (part.finite_numbers(X)?.values, part.finite_numbers(Y)?.values);
        if x.is_empty() || x.len() != y.len() || !x.is_sorted() {
            let why = format!("has {} points and {Y} {}; expected as many, rising", x.len(), y.len());
            return Err(part.refuse(X, why));
        }
        let (min, max) = (part.number("X_min_")?, part.number("X_max_")?);
        if min > max {
            return Err(part.refuse("X_min_", format!("is {min}, above X_max_ {max}")));
        }
        let beyond = match part.one_of("out_of_bounds", "nan", &["nan", "clip", "raise"])? {
            "clip" => Beyond::Clip,
            "raise" => Beyond::Refuse,
            _ => Beyond::Nan,
        };
        Ok(Self { x, y, min, max, beyond })
    }

    /// Source: `numpy.interp`, and `scipy.interpolate.interp1d` for what lies beyond.
    pub(super) fn at(&self, value: f64) -> Result<f64, RunError> {
        // A single point is the answer wherever one asks.
        if self.x.len() == 1 {
            return Ok(self.y[0]);
        }
        let value = if self.beyond == Beyond::Clip { value.clamp(self.min, self.max) } else { value };
        let (first, last) = (self.x[0], self.x[self.x.len() - 1]);
        if value < first || value > last {
            if self.beyond == Beyond::Refuse {
                let (way, end) = if value < first { ("below", "minimum") } else { ("above", "maximum") };
                let bound = if value < first { first } else { last };
                return Err(RunError::InvalidInput(format!(
                    "A value ({value}) in x_new is {way} the interpolation range's {end} value ({bound})."
                )));
            }
            return Ok(f64::NAN);
        }
        if value.is_nan() {
            return Ok(value);
        }
        let after = self.x.partition_point(|&x| x <= value);
        if after == self.x.len() {
            return Ok(self.y[after - 1]);
        }
        let before = after - 1;
        let slope = (self.y[after] - self.y[before]) / (self.x[after] - self.x[before]);
        Ok(slope * (value - self.x[before]) + self.y[before])
    }
}

/// Source: `sklearn.isotonic.IsotonicRegression`, which answers `predict` and `transform` alike.
fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let curve = Curve::read(part)?;
    let spec = |method| Spec::new(method, DType::Double, Gives::One);
    let methods = vec![spec(Method::Predict), spec(Method::Transform)];
    let facts = Facts::new(part, 1, Check::Finite, methods)?.taking(Input::Vector);
    Ok(Box::new(Isotonic { facts, curve }))
}

impl Estimator for Isotonic {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let values: Result<Vec<f64>, RunError> = flat(&x).iter().map(|&value| self.curve.at(value)).collect();
        let values = values?;
        for _ in wanted {
            answers.push(answer(x.nrows(), None, values.clone().into())?);
        }
        Ok(())
    }
}
