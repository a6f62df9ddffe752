//! `RANSACRegressor`: whatever was fitted on the inliers answers.

use ndarray::ArrayView2;

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
    let feature_names = part.feature_names(n_features)?;
    // It looks at the width only, and leaves the values to the estimator within.
    let facts = Facts {
        class: part.class,
        n_features,
        feature_names,
        labels: inner.labels.clone(),
        check: Check::Width,
        methods: vec![predict],
    };
    Ok(Box::new(Ransac { facts, estimator }))
}

impl Estimator for Ransac {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        ask(&*self.estimator, x, wanted, answers)
    }
}
