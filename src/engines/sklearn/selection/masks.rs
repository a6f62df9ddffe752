//! Selectors by a number for each feature: its score, its p-value, its variance.

use super::{check_of, selector};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, ModelError};
use crate::formats::pickle::Ref;

type Built = Result<Box<dyn Estimator>, ModelError>;

/// How features are chosen, with the parameter that says how many.
#[derive(Debug, Clone, Copy)]
enum Way {
    Best,
    Percentile,
    Fpr,
    Fdr,
    Fwe,
}

/// Source: `sklearn.feature_selection.VarianceThreshold`.
pub(super) fn build_variance(part: &Part<'_>) -> Built {
    let variances = part.numbers("variances_")?.values;
    let threshold = part.number_or("threshold", 0.0)?;
    let mask: Vec<bool> = variances.iter().map(|&variance| variance > threshold).collect();
    Ok(Box::new(selector(part, &mask, "variances_", Check::Width)?))
}

/// Source: `sklearn.feature_selection.SelectKBest`.
pub(super) fn build_best(part: &Part<'_>) -> Built {
    build(part, Way::Best, "k")
}

/// Source: `sklearn.feature_selection.SelectPercentile`.
pub(super) fn build_percentile(part: &Part<'_>) -> Built {
    build(part, Way::Percentile, "percentile")
}

/// Source: `sklearn.feature_selection.SelectFpr`.
pub(super) fn build_fpr(part: &Part<'_>) -> Built {
    build(part, Way::Fpr, "alpha")
}

/// Source: `sklearn.feature_selection.SelectFdr`.
pub(super) fn build_fdr(part: &Part<'_>) -> Built {
    build(part, Way::Fdr, "alpha")
}

/// Source: `sklearn.feature_selection.SelectFwe`.
pub(super) fn build_fwe(part: &Part<'_>) -> Built {
    build(part, Way::Fwe, "alpha")
}

/// Source: `sklearn.feature_selection.GenericUnivariateSelect`.
pub(super) fn build_generic(part: &Part<'_>) -> Built {
    let way = match part.one_of("mode", "percentile", &["percentile", "k_best", "fpr", "fdr", "fwe"])? {
        "k_best" => Way::Best,
        "fpr" => Way::Fpr,
        "fdr" => Way::Fdr,
        "fwe" => Way::Fwe,
        _ => Way::Percentile,
    };
    build(part, way, "param")
}

fn build(part: &Part<'_>, way: Way, parameter: &'static str) -> Built {
    let numbers = match way {
        Way::Best | Way::Percentile => "scores_",
        Way::Fpr | Way::Fdr | Way::Fwe => "pvalues_",
    };
    let values = part.row_of_numbers(numbers)?;
    let all = part.attr(parameter).and_then(Ref::to_str).as_deref() == Some("all");
    let mask = if matches!(way, Way::Best) && all {
        vec![true; values.len()]
    } else {
        let parameter = part.number(parameter)?;
        match way {
            Way::Best => best(&values, parameter),
            Way::Percentile => percentile(&values, parameter),
            Way::Fpr => values.iter().map(|&p| p < parameter).collect(),
            Way::Fdr => false_discoveries(&values, parameter),
            Way::Fwe => values.iter().map(|&p| p < parameter / count(values.len())).collect(),
        }
    };
    Ok(Box::new(selector(part, &mask, numbers, check_of(false))?))
}

#[allow(clippy::cast_precision_loss, reason = "a number of features")]
fn count(n: usize) -> f64 {
    n as f64
}

/// Scores with NaN as the lowest. Source: `_clean_nans`.
fn without_nan(scores: &[f64]) -> Vec<f64> {
    scores.iter().map(|&score| if score.is_nan() { f64::MIN } else { score }).collect()
}

/// The `k` highest scores, of equal ones the later.
fn best(scores: &[f64], k: f64) -> Vec<bool> {
    let scores = without_nan(scores);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the number of scores"
    )]
    let k = k.clamp(0.0, count(scores.len())) as usize;
    let mut mask = vec![false; scores.len()];
    order.iter().rev().take(k).for_each(|&i| mask[i] = true);
    mask
}

/// The scores above a percentile; of those that are equal to it, the first that fit in.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the number of scores")]
fn percentile(scores: &[f64], keep: f64) -> Vec<bool> {
    let n = scores.len();
    if keep >= 100.0 || keep <= 0.0 {
        return vec![keep >= 100.0; n];
    }
    let scores = without_nan(scores);
    let mut sorted = scores.clone();
    sorted.sort_by(f64::total_cmp);
    // Source: `numpy.percentile`, the linear method.
    let at = (100.0 - keep) / 100.0 * count(n - 1);
    let (below, rest) = (at.floor() as usize, at.fract());
    let (low, high) = (sorted[below], sorted[(below + 1).min(n - 1)]);
    let threshold = if rest >= 0.5 { high - (high - low) * (1.0 - rest) } else { low + (high - low) * rest };
    let mut mask: Vec<bool> = scores.iter().map(|&score| score > threshold).collect();
    let most = (count(n) * keep / 100.0) as usize;
    let free = most.saturating_sub(mask.iter().filter(|&&kept| kept).count());
    let ties = (0..n).filter(|&i| scores[i] == threshold).take(free);
    ties.for_each(|i| mask[i] = true);
    mask
}

/// Benjamini and Hochberg's procedure.
fn false_discoveries(p_values: &[f64], alpha: f64) -> Vec<bool> {
    let mut sorted = p_values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let share = alpha / count(sorted.len());
    let mut selected =
        sorted.iter().enumerate().filter(|&(i, &p)| p <= share * count(i + 1)).map(|(_, &p)| p);
    let Some(highest) = selected.next_back() else { return vec![false; p_values.len()] };
    p_values.iter().map(|&p| p <= highest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_scores_the_later_are_best_and_the_first_fill_a_percentile() {
        let scores = [1.0, 2.0, f64::NAN, 2.0, 2.0];
        assert_eq!(best(&scores, 2.0), [false, false, false, true, true]);
        assert_eq!(best(&scores, 9.0), [true; 5]);
        // Two of five fit in; the threshold is 2.
        assert_eq!(percentile(&scores, 40.0), [false, true, false, true, false]);
        assert_eq!(percentile(&scores, 0.0), [false; 5]);
    }

    #[test]
    fn false_discoveries_are_few() {
        assert_eq!(false_discoveries(&[0.01, 0.9, 0.03, 0.04], 0.05), [true, false, false, false]);
        assert_eq!(false_discoveries(&[0.5, 0.6], 0.05), [false, false]);
    }
}
