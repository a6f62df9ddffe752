//! `SplineTransformer`: each feature as the values of B-splines at it.

use ndarray::ArrayView2;

use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::samples::{Csr, Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded, flat};
use crate::formats::pickle::Ref;
use crate::limits;
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct SplineTransformer {
    facts: Facts,
    columns: Vec<Column>,
    beyond: Beyond,
    /// The last spline of a feature tells nothing that the others do not.
    bias: bool,
    /// NaN has no splines, rather than being refused.
    zeros_for_nan: bool,
    sparse: bool,
}

/// What becomes of values beyond the knots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Refused,
    /// The splines stay as they are at the end.
    Constant,
    /// They go on as straight lines.
    Linear,
    /// Their polynomials go on.
    Continued,
    Periodic,
}

/// The splines of one feature.
#[derive(Debug)]
struct Column {
    spline: Spline,
    /// The first and the last knot that splines are defined between, as this column has them.
    low: f64,
    high: f64,
    /// How many splines reach beyond each end.
    reach: usize,
    /// Values at the ends, and their slopes.
    at_low: Vec<f64>,
    at_high: Vec<f64>,
    slope_low: Vec<f64>,
    slope_high: Vec<f64>,
}

/// scipy's `BSpline`: piecewise polynomials of degree `k` over the knots, one for each
/// column of the coefficients.
#[derive(Debug)]
struct Spline {
    knots: Vec<f64>,
    coefficients: Matrix,
    k: usize,
}

/// Source: `sklearn.preprocessing.SplineTransformer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "bsplines_";
    let modes = &["error", "constant", "linear", "continue", "periodic"];
    let beyond = match part.one_of("extrapolation", "constant", modes)? {
        "error" => Beyond::Refused,
        "linear" => Beyond::Linear,
        "continue" => Beyond::Continued,
        "periodic" => Beyond::Periodic,
        _ => Beyond::Constant,
    };
    let degree = part.count("degree")?;
    let splines = part.list(NAME)?;
    let n_features = part.n_features(splines.len(), NAME)?;
    let splines: Vec<Spline> =
        splines.into_iter().enumerate().map(|(i, value)| spline(part, i, value)).collect::<Result<_, _>>()?;
    let Some(n_splines) = splines.first().map(|spline| spline.coefficients.columns) else {
        return Err(part.refuse(NAME, "is empty; expected the splines of each feature"));
    };
    let mut columns = Vec::with_capacity(n_features);
    let mut reach = degree;
    for (i, spline) in splines.into_iter().enumerate() {
        if spline.coefficients.columns != n_splines || spline.k != degree {
            return Err(part.refuse(NAME, format!("has other splines for feature {i} than for the first")));
        }
        // scikit-learn looks that far into the knots for the ends.
        let ends = spline.knots.get(reach).zip(spline.knots.len().checked_sub(reach + 1));
        let Some((&low, high)) = ends else {
            return Err(part.refuse(NAME, format!("has too few knots for feature {i}")));
        };
        let high = spline.knots[high];
        // A straight line takes two splines at each end. That the next feature's are looked
        // for as far, too, is scikit-learn's way.
        if beyond == Beyond::Linear && reach <= 1 {
            reach += 1;
        }
        if reach > n_splines {
            return Err(part.refuse(NAME, format!("has {n_splines} splines, fewer than {reach} at each end")));
        }
        let values = |x, derivative| {
            let mut all = vec![0.0; n_splines];
            spline.values(x, derivative, &mut all);
            all
        };
        let derivative = usize::from(degree > 0);
        let slopes = |x| if degree > 0 { values(x, derivative) } else { vec![0.0; n_splines] };
        let (at_low, at_high, slope_low, slope_high) =
            (values(low, 0), values(high, 0), slopes(low), slopes(high));
        columns.push(Column { low, high, reach, at_low, at_high, slope_low, slope_high, spline });
    }
    let bias = part.flag("include_bias", true)?;
    let width = n_features * (n_splines - usize::from(!bias));
    // Since 1.8.
    let zeros_for_nan = part.one_of("handle_missing", "error", &["error", "zeros"])? == "zeros";
    let check = if zeros_for_nan { Check::FiniteOrNan } else { Check::Finite };
    let facts = Facts::new(part, n_features, check, vec![Spec::transform(width)])?;
    let sparse = part.flag("sparse_output", false)?;
    Ok(Box::new(SplineTransformer { facts, columns, beyond, bias, zeros_for_nan, sparse }))
}

/// Reads a `BSpline`. Since scipy 1.16 what makes it up lies in an object within.
fn spline<'a>(part: &Part<'a>, i: usize, value: Ref<'a>) -> Result<Spline, ModelError> {
    const NAME: &str = "bsplines_";
    const MODULES: [&str; 1] = ["scipy.interpolate._bsplines"];
    let place = format!("{NAME}[{i}]");
    let outer = part.object(value, NAME, &place, &MODULES, "BSpline")?;
    let within = || value.object()?.state()?.items()?.next();
    let spline = match within() {
        Some(within) if !outer.has("k") => part.object(within, NAME, &place, &MODULES, "_BSpline")?,
        _ => outer,
    };
    let k = spline.count("k")?;
    // scipy 1.17 has them under these names.
    let (t, c) = if spline.has("_t") { ("_t", "_c") } else { ("t", "c") };
    let knots = spline.finite_numbers(t)?.values;
    let coefficients = spline.matrix(c)?;
    if k > limits::SPLINE_DEGREE_MAX {
        return Err(spline.refuse(
            "k",
            format!("is {k}; splines are evaluated up to degree {}", limits::SPLINE_DEGREE_MAX),
        ));
    }
    let sound = knots.is_sorted() && knots.len() > 2 * k + 1 && coefficients.columns > 0;
    if !sound || coefficients.rows != knots.len() - k - 1 {
        return Err(spline.refuse(t, "has knots that do not rise, or that the coefficients do not fit"));
    }
    Ok(Spline { knots, coefficients, k })
}

impl Spline {
    /// Values, or their first derivatives, of all splines at `x`. Beyond the knots the
    /// polynomials of the outermost go on.
    /// Source: `scipy.interpolate` (`_deBoor_D`); de Boor, A Practical Guide to Splines.
    fn values(&self, x: f64, derivative: usize, to: &mut [f64]) {
        let (t, k) = (&self.knots, self.k);
        let n = t.len() - k - 1;
        let interval = (t[k..n].partition_point(|&knot| knot <= x) + k).clamp(k + 1, n) - 1;
        let mut basis = [0.0; limits::SPLINE_DEGREE_MAX + 1];
        let mut before = basis;
        basis[0] = 1.0;
        for j in 1..=k {
            before[..j].copy_from_slice(&basis[..j]);
            basis[0] = 0.0;
            let derives = j > k - derivative.min(k);
            for m in 1..=j {
                let (above, below) = (t[interval + m], t[interval + m - j]);
                if above == below {
                    basis[m] = 0.0;
                } else if derives {
                    #[allow(clippy::cast_precision_loss, reason = "a degree")]
                    let weight = j as f64 * before[m - 1] / (above - below);
                    basis[m - 1] -= weight;
                    basis[m] = weight;
                } else {
                    let weight = before[m - 1] / (above - below);
                    basis[m - 1] += weight * (above - x);
                    basis[m] = weight * (x - below);
                }
            }
        }
        to.fill(0.0);
        for (a, value) in basis[..=k].iter().enumerate() {
            let row = self.coefficients.row(interval + a - k);
            to.iter_mut().zip(row).for_each(|(to, coefficient)| *to += coefficient * value);
        }
    }
}

impl Column {
    fn transform(&self, x: f64, beyond: Beyond, to: &mut [f64]) -> Result<(), RunError> {
        let spline = &self.spline;
        let (start, end) = (spline.knots[spline.k], spline.knots[spline.knots.len() - spline.k - 1]);
        match beyond {
            Beyond::Continued => spline.values(x, 0, to),
            Beyond::Periodic => {
                let period = end - start;
                let x = if period > 0.0 { start + (x - start).rem_euclid(period) } else { 0.0 };
                spline.values(x, 0, to);
            }
            Beyond::Refused if !(start..=end).contains(&x) => {
                return Err(RunError::InvalidInput(
                    "`X` contains values beyond the limits of the knots.".to_owned(),
                ));
            }
            Beyond::Constant | Beyond::Linear if x < self.low || x > self.high => {
                to.fill(0.0);
                let below = x < self.low;
                let (values, slopes, from) = if below {
                    (&self.at_low, &self.slope_low, self.low)
                } else {
                    (&self.at_high, &self.slope_high, self.high)
                };
                let range = if below { 0..self.reach } else { to.len() - self.reach..to.len() };
                for j in range {
                    let slope = if beyond == Beyond::Linear { (x - from) * slopes[j] } else { 0.0 };
                    to[j] = values[j] + slope;
                }
            }
            Beyond::Refused | Beyond::Constant | Beyond::Linear => spline.values(x, 0, to),
        }
        Ok(())
    }
}

impl SplineTransformer {
    fn splines(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, RunError> {
        let n_splines = self.columns[0].at_low.len();
        let kept = n_splines - usize::from(!self.bias);
        let mut values = vec![0.0; n_splines];
        let mut all = Vec::with_capacity(x.nrows() * self.columns.len() * kept);
        for row in flat(&x).chunks_exact(self.columns.len()) {
            for (&x, column) in row.iter().zip(&self.columns) {
                if self.zeros_for_nan && x.is_nan() {
                    values.fill(0.0);
                } else {
                    column.transform(x, self.beyond, &mut values)?;
                }
                all.extend_from_slice(&values[..kept]);
            }
        }
        Ok(all)
    }
}

impl Estimator for SplineTransformer {
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
            answers.push(answer(x.nrows(), self.facts.gives(method), self.splines(x)?.into())?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let width = self.facts.gives(Method::Transform).columns().unwrap_or(1);
        bounded(self.facts.class, x.rows(), width)?;
        let x = x.to_dense(self.facts.class)?;
        let frame = Frame::matrix(x.nrows(), width, self.splines(x.view())?)?;
        match frame {
            Frame::Dense(dense) if self.sparse => Ok(Frame::Sparse(Csr::of(dense.view()))),
            frame => Ok(frame),
        }
    }
}
