//! `RANSACRegressor`: whatever was fitted on the inliers answers.

use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, ask};
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct Ransac {
    facts: Facts,
    estimator: Box<dyn Estimator>,
}

/// Source: `sklearn.linear_model.RANSACRegressor.predict`.
pub(in crate::engines::sklearn) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let estimator = part.child(part.fitted("estimator_")?, "estimator_")?;
    let inner = estimator.facts();
    let Some(&predict) = inner.spec(Method::Predict) else {
        return Err(part.refuse("estimator_", format!("is a {}, which has no predict", inner.class)));
    };
    let n_features = part.n_features(inner.n_features, "estimator_")?;
    // It looks at the width only, and leaves the values to the estimator within.
    let facts = Facts::new(part, n_features, Check::Width, vec![predict])?.labelled(inner.labels.clone());
    Ok(Box::new(Ransac { facts, estimator }))
}

impl Estimator for Ransac {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        ask(&*self.estimator, x, wanted, answers)
    }
}
