//! Generalised linear models: the link between the weighted sum and the mean.

use super::regression::{Link, with_link};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Estimator, ModelError};

/// `PoissonRegressor` and `GammaRegressor`, whose link has always been the logarithm.
pub(in crate::engines::sklearn) fn build_log(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    with_link(part, Link::Log)
}

/// `TweedieRegressor`: `fit` has written down which link it chose, in
/// `_base_loss` since scikit-learn 1.1 and in `_link_instance` before.
pub(in crate::engines::sklearn) fn build_tweedie(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let old = part.attr("_link_instance").is_some();
    let name = if old { "_link_instance" } else { "_base_loss" };
    // Before `coef_` is looked at, so that an unfitted one is told so by its usual name.
    part.fitted("coef_")?;
    let value = part.fitted(name)?;
    let class = value.object().map(|object| object.class());
    let link = match class.map(|class| (class.module, class.name)) {
        Some(("sklearn._loss.loss", "HalfTweedieLoss" | "HalfPoissonLoss" | "HalfGammaLoss")) => Link::Log,
        Some(("sklearn._loss.loss", "HalfTweedieLossIdentity" | "HalfSquaredError")) => Link::Identity,
        Some(("sklearn.linear_model._glm.link", "LogLink")) => Link::Log,
        Some(("sklearn.linear_model._glm.link", "IdentityLink")) => Link::Identity,
        _ => return Err(part.unexpected(name, value, "a link or loss of scikit-learn's Tweedie family")),
    };
    with_link(part, link)
}
