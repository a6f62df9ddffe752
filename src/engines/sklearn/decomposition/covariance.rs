//! Covariances: how far a row is from the mean, and whether that is too far.

use ndarray::ArrayView2;

use super::linear_map::not_empty;
use super::projection::squared_distances;
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Covariance {
    facts: Facts,
    location: Vec<f64>,
    precision: Matrix,
    /// Of an envelope: what a score has to reach to be inside.
    offset: f64,
}

/// Source: `sklearn.covariance.EmpiricalCovariance.mahalanobis`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    with_methods(part, Vec::new(), 0.0)
}

/// Source: `sklearn.covariance.EllipticEnvelope`.
pub(super) fn build_envelope(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let methods = vec![
        Spec::new(Method::Predict, DType::Int64, Gives::One),
        Spec::new(Method::DecisionFunction, DType::Double, Gives::One),
        Spec::new(Method::ScoreSamples, DType::Double, Gives::One),
    ];
    with_methods(part, methods, part.number("offset_")?)
}

fn with_methods(
    part: &Part<'_>,
    mut methods: Vec<Spec>,
    offset: f64,
) -> Result<Box<dyn Estimator>, ModelError> {
    // Those that find a sparse precision always keep it; of the others an argument decides.
    let kept = part.attr("precision_").is_some();
    let name = if kept { "precision_" } else { "covariance_" };
    let matrix = not_empty(part, name)?;
    if matrix.rows != matrix.columns {
        return Err(part.refuse(name, format!("is {} by {}; expected a square", matrix.rows, matrix.columns)));
    }
    let precision = if kept { matrix } else { matrix.pseudo_inverse_symmetric() };
    let n_features = part.n_features(precision.rows, name)?;
    let location = part.vector_of("location_", n_features)?;
    methods.push(Spec::new(Method::Mahalanobis, DType::Double, Gives::One));
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Covariance { facts, location, precision, offset }))
}

impl Estimator for Covariance {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let distances = squared_distances(x, &self.location, &self.precision);
        for &method in wanted {
            let elements = match method {
                Method::Predict => {
                    let inside = |distance: &f64| if -distance - self.offset >= 0.0 { 1i64 } else { -1 };
                    distances.iter().map(inside).collect::<Vec<_>>().into()
                }
                Method::DecisionFunction => {
                    distances.iter().map(|distance| -distance - self.offset).collect::<Vec<_>>().into()
                }
                Method::ScoreSamples => distances.iter().map(|distance| -distance).collect::<Vec<_>>().into(),
                _ => distances.clone().into(),
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
