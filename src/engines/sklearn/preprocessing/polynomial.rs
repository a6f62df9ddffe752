//! `PolynomialFeatures`: products of features.

use ndarray::ArrayView2;

use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::formats::pickle::Ref;
use crate::limits;
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct PolynomialFeatures {
    facts: Facts,
    bias: bool,
    /// All products from degree 1: one feature alone, or times a product before it. In
    /// scikit-learn's order, which is that of `itertools.combinations`.
    terms: Vec<Term>,
    /// How many of them, which are of lower degrees, are only means to the others.
    hidden: usize,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    feature: u32,
    times: Option<u32>,
}

/// Source: `sklearn.preprocessing.PolynomialFeatures`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let n_features = part.n_features_in()?;
    let (min, max) = degrees(part)?;
    let bias = part.flag("include_bias", true)?;
    let (terms, hidden) = terms(part, n_features, (min, max), part.flag("interaction_only", false)?)?;
    let width = terms.len() - hidden + usize::from(bias);
    // `n_output_features_` since 0.20: what the file says must be what is made.
    if part.attr("n_output_features_").is_some() && part.count("n_output_features_")? != width {
        let why = format!("is not {width}, the number of products up to degree {max}");
        return Err(part.refuse("n_output_features_", why));
    }
    let facts = Facts::new(part, n_features, Check::Finite, vec![Spec::transform(width)])?;
    Ok(Box::new(PolynomialFeatures { facts, bias, terms, hidden }))
}

/// The lowest and the highest degree. A pair of them since 1.0.
fn degrees(part: &Part<'_>) -> Result<(usize, usize), ModelError> {
    const NAME: &str = "degree";
    let value = part.fitted(NAME)?;
    let degree = |item: Ref<'_>| item.as_i64().and_then(|n| usize::try_from(n).ok());
    if let Some(max) = degree(value) {
        return Ok((0, max));
    }
    let pair: Option<Vec<usize>> = value.items().and_then(|items| items.map(degree).collect());
    match pair.as_deref() {
        Some(&[min, max]) if min <= max => Ok((min, max)),
        _ => Err(part.unexpected(NAME, value, "a degree, or the lowest and the highest")),
    }
}

fn terms(
    part: &Part<'_>,
    n_features: usize,
    (min, max): (usize, usize),
    interaction_only: bool,
) -> Result<(Vec<Term>, usize), ModelError> {
    let too_many = || {
        let max = limits::POLYNOMIAL_TERMS_MAX;
        part.refuse("degree", format!("makes more than {max} products of {n_features} features"))
    };
    let all_features = u32::try_from(n_features).map_err(|_| too_many())?;
    if n_features > limits::POLYNOMIAL_TERMS_MAX {
        return Err(too_many());
    }
    let mut terms: Vec<Term> = Vec::new();
    let mut hidden = 0;
    // Where the products of the degree before stand.
    let mut before = 0..0;
    for degree in 1..=max {
        let start = terms.len();
        for feature in 0..all_features {
            if degree == 1 {
                terms.push(Term { feature, times: None });
                continue;
            }
            // The first of a product's features is the lowest, and products stand in its order.
            let least = feature + u32::from(interaction_only);
            let skipped = terms[before.clone()].partition_point(|term| term.feature < least);
            let times = before.start + skipped..before.end;
            if terms.len() + times.len() > limits::POLYNOMIAL_TERMS_MAX {
                return Err(too_many());
            }
            for time in times {
                terms.push(Term { feature, times: u32::try_from(time).ok() });
            }
        }
        before = start..terms.len();
        if degree < min {
            hidden = terms.len();
        }
        // No higher degree has any, either.
        if before.is_empty() {
            break;
        }
    }
    Ok((terms, hidden))
}

impl Estimator for PolynomialFeatures {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let width = self.terms.len() - self.hidden + usize::from(self.bias);
        let mut products = vec![0.0; self.terms.len()];
        for _ in wanted {
            let mut all = Vec::with_capacity(x.nrows() * width);
            for row in flat(&x).chunks_exact(self.facts.n_features) {
                for (i, term) in self.terms.iter().enumerate() {
                    let value = row[term.feature as usize];
                    products[i] = term.times.map_or(value, |times| products[times as usize] * value);
                }
                all.extend(self.bias.then_some(1.0));
                all.extend_from_slice(&products[self.hidden..]);
            }
            answers.push(answer(x.nrows(), Some(width), all.into())?);
        }
        Ok(())
    }
}
