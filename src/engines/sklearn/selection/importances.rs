//! `SelectFromModel`, and how important each feature is to a fitted estimator.

use super::{check_of, selector};
use crate::engines::sklearn::state::{Numbers, Part};
use crate::engines::sklearn::tree::{self, CLASSIFIERS, REGRESSORS};
use crate::engines::sklearn::{Estimator, ModelError};

/// Source: `sklearn.feature_selection.SelectFromModel`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let name = if part.attr("estimator_").is_some() { "estimator_" } else { "estimator" };
    let estimator = part.inner(part.fitted(name)?, name)?;
    let scores = scores(part, &estimator)?;
    let threshold = threshold(part, &estimator, &scores)?;
    let mut mask = vec![part.attr("max_features").is_none(); scores.len()];
    if part.attr("max_features").is_some() {
        // It may be a function, of which 1.1 and later keep what it gave.
        let most = if part.attr("max_features_").is_some() { "max_features_" } else { "max_features" };
        let most = part.count(most)?;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| (-scores[a]).total_cmp(&-scores[b]));
        order.iter().take(most).for_each(|&i| mask[i] = true);
    }
    mask.iter_mut().zip(&scores).for_each(|(kept, score)| *kept &= *score >= threshold);
    let takes_nan = takes_nan(&estimator);
    Ok(Box::new(selector(part, &mask, name, check_of(takes_nan))?))
}

/// Whether an estimator, fitted or not, lets NaN through: its tag `allow_nan`.
pub(super) fn takes_nan(estimator: &Part<'_>) -> bool {
    match estimator.class {
        "HistGradientBoostingClassifier" | "HistGradientBoostingRegressor" => true,
        "RandomForestClassifier" | "RandomForestRegressor" => estimator.version() >= (1, 4),
        "ExtraTreesClassifier" | "ExtraTreesRegressor" => estimator.version() >= (1, 6),
        class if CLASSIFIERS.contains(&class) || REGRESSORS.contains(&class) => {
            tree::takes_missing(estimator)
        }
        _ => false,
    }
}

/// One number for each feature. Source: `_get_feature_importances`.
fn scores(part: &Part<'_>, estimator: &Part<'_>) -> Result<Vec<f64>, ModelError> {
    const COEF: &str = "coef_";
    let getter = part.one_of("importance_getter", "auto", &["auto", COEF, "feature_importances_"])?;
    let coef = estimator.attr(COEF).is_some();
    if !coef || getter == "feature_importances_" {
        return of_trees(estimator);
    }
    let order = part.attr("norm_order").map_or(Some(1.0), |order| order.as_f64());
    let order = order.filter(|order| !order.is_nan() && *order != 0.0);
    let order =
        order.ok_or_else(|| part.refuse("norm_order", "is no order of a norm; expected 1, 2 or inf"))?;
    let Numbers { values, shape } = estimator.finite_numbers(COEF)?;
    match shape[..] {
        [_] => Ok(values.into_iter().map(f64::abs).collect()),
        [_, features] if features > 0 => {
            let column = |i| values.iter().skip(i).step_by(features).map(|value: &f64| value.abs());
            Ok((0..features).map(|i| norm(column(i), order)).collect())
        }
        _ => Err(estimator.refuse(COEF, "has no number for each feature")),
    }
}

/// The norm of absolute values. Source: `numpy.linalg.norm`.
fn norm(values: impl Iterator<Item = f64>, order: f64) -> f64 {
    if order == f64::INFINITY {
        values.fold(0.0, f64::max)
    } else if order == f64::NEG_INFINITY {
        values.fold(f64::INFINITY, f64::min)
    } else if order == 1.0 {
        values.sum()
    } else if order == 2.0 {
        values.map(|value| value * value).sum::<f64>().sqrt()
    } else {
        values.map(|value| value.powf(order)).sum::<f64>().powf(1.0 / order)
    }
}

/// What a feature's score must reach. Source: `_calculate_threshold`, whose default has
/// changed with what the estimators' penalties are named.
fn threshold(part: &Part<'_>, estimator: &Part<'_>, scores: &[f64]) -> Result<f64, ModelError> {
    const NAME: &str = "threshold";
    let Some(value) = part.attr(NAME) else {
        return Ok(if is_sparse(estimator) { 1e-5 } else { mean(scores) });
    };
    let Some(text) = value.to_str() else {
        // Below or above all is a way to say that only `max_features` counts.
        let number = value.as_f64().filter(|number| !number.is_nan());
        return number.ok_or_else(|| part.unexpected(NAME, value, "a number"));
    };
    let (scale, reference) = match text.split_once('*') {
        Some((scale, reference)) => (scale.trim().parse().ok(), reference.trim()),
        None => (Some(1.0), &*text),
    };
    let reference = match reference {
        "mean" => Some(mean(scores)),
        "median" => Some(median(scores)),
        _ => None,
    };
    let product = scale.zip(reference).map(|(scale, reference): (f64, f64)| scale * reference);
    product.ok_or_else(|| {
        part.unexpected(NAME, value, "a number, 'mean' or 'median', or a multiple: '1.25*mean'")
    })
}

/// Whether an estimator's penalty leaves most coefficients at 0.
fn is_sparse(estimator: &Part<'_>) -> bool {
    let version = estimator.version();
    let penalty = estimator.attr("penalty").and_then(|penalty| penalty.to_str());
    // Source: `numpy.isclose`.
    let is_one = |name: &str| {
        let close = |value: f64| (value - 1.0).abs() <= 1e-8 + 1e-5;
        estimator.attr(name).is_some_and(|value| match value.array() {
            Some(array) => array.to_f64().is_ok_and(|values| values.into_iter().all(close)),
            None => value.as_f64().is_some_and(close),
        })
    };
    let class = estimator.class;
    penalty.as_deref() == Some("l1")
        || class.contains("Lasso")
        || (class.contains("ElasticNet")
            && version >= (1, 1)
            && if class.ends_with("CV") { is_one("l1_ratio_") } else { is_one("l1_ratio") })
        || (class == "LogisticRegression" && version >= (1, 8) && is_one("l1_ratio"))
        || (class == "LogisticRegressionCV" && version >= (1, 8) && is_one("l1_ratio_"))
}

#[allow(clippy::cast_precision_loss, reason = "a number of features")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(low), Some(high)) if sorted.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (_, Some(one)) => *one,
        _ => f64::NAN,
    }
}

/// Source: the properties `feature_importances_` of trees and their ensembles.
fn of_trees(estimator: &Part<'_>) -> Result<Vec<f64>, ModelError> {
    const NAME: &str = "estimators_";
    let trees = |part: &Part<'_>| -> Result<Vec<(Vec<f64>, usize)>, ModelError> {
        let all: Vec<&str> = CLASSIFIERS.into_iter().chain(REGRESSORS).collect();
        let values = part.list(NAME)?.into_iter().enumerate();
        values.map(|(i, value)| tree::importances(&part.child_part(value, NAME, i, &all)?)).collect()
    };
    match estimator.class {
        class if CLASSIFIERS.contains(&class) || REGRESSORS.contains(&class) => {
            let (mut scores, _) = tree::importances(estimator)?;
            normalise(&mut scores);
            Ok(scores)
        }
        "RandomForestClassifier"
        | "RandomForestRegressor"
        | "ExtraTreesClassifier"
        | "ExtraTreesRegressor" => combined(estimator, trees(estimator)?, true),
        "GradientBoostingClassifier" | "GradientBoostingRegressor" => {
            combined(estimator, trees(estimator)?, false)
        }
        "AdaBoostClassifier" | "AdaBoostRegressor" => {
            let weights = estimator.finite_numbers("estimator_weights_")?.values;
            let total: f64 = weights.iter().sum();
            let mut sums: Vec<f64> = Vec::new();
            for ((i, value), weight) in estimator.list(NAME)?.into_iter().enumerate().zip(weights) {
                let member = estimator.inner(value, &format!("{NAME}[{i}]"))?;
                let scores = of_trees(&member)?;
                sums.resize(scores.len().max(sums.len()), 0.0);
                sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += weight * score / total);
            }
            Ok(sums)
        }
        class => Err(estimator.refuse(
            "feature_importances_",
            format!("is not known for a {class}; expected one with coef_, a tree or an ensemble of trees"),
        )),
    }
}

/// The mean over those of several trees that split at all.
fn combined(part: &Part<'_>, trees: Vec<(Vec<f64>, usize)>, each: bool) -> Result<Vec<f64>, ModelError> {
    let mut sums: Vec<f64> = Vec::new();
    for (mut scores, nodes) in trees {
        if sums.is_empty() {
            sums = vec![0.0; scores.len()];
        }
        if scores.len() != sums.len() {
            return Err(part.refuse("estimators_", "has trees of different numbers of features"));
        }
        if nodes > 1 {
            if each {
                normalise(&mut scores);
            }
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
        }
    }
    normalise(&mut sums);
    Ok(sums)
}

fn normalise(scores: &mut [f64]) {
    let sum: f64 = scores.iter().sum();
    if sum > 0.0 {
        scores.iter_mut().for_each(|score| *score /= sum);
    }
}
