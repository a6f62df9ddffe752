//! `LatentDirichletAllocation`: the topics of a document, by the words in it.

use ndarray::ArrayView2;

use super::linear_map::not_empty;
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// More rounds than these for one document are not promised to anyone.
const ROUNDS_MAX: usize = 100_000;

#[derive(Debug)]
struct Topics {
    facts: Facts,
    /// The weight of each topic for a word: `[words, topics]`.
    words: Matrix,
    prior: f64,
    rounds: usize,
    tolerance: f64,
}

/// Source: `sklearn.decomposition.LatentDirichletAllocation`; Hoffman, Blei and Bach,
/// Online Learning for Latent Dirichlet Allocation, 2010.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let weights = not_empty(part, "exp_dirichlet_component_")?;
    let n_features = part.n_features(weights.columns, "exp_dirichlet_component_")?;
    let (prior, tolerance) = (part.number("doc_topic_prior_")?, part.number("mean_change_tol")?);
    let rounds = part.count("max_doc_update_iter")?;
    if rounds > ROUNDS_MAX {
        let why = format!("is {rounds}; at most {ROUNDS_MAX} rounds are made for a document");
        return Err(part.refuse("max_doc_update_iter", why));
    }
    let facts = Facts::new(part, n_features, Check::Finite, vec![Spec::transform(weights.rows)])?;
    Ok(Box::new(Topics { facts, words: weights.transposed(), prior, rounds, tolerance }))
}

impl Topics {
    /// The shares of the topics of one document, of its words and their counts.
    fn shares(&self, words: &[(usize, f64)], to: &mut Vec<f64>) {
        let topics = self.words.columns;
        let mut document = vec![1.0; topics];
        let mut expected = vec![0.0; topics];
        self.expect(&document, &mut expected);
        let mut last = vec![0.0; topics];
        for _ in 0..self.rounds {
            last.copy_from_slice(&document);
            document.fill(0.0);
            for &(word, count) in words {
                let weights = self.words.row(word);
                let norm: f64 = expected.iter().zip(weights).map(|(e, w)| e * w).sum::<f64>() + f64::EPSILON;
                document.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += count / norm * weight);
            }
            document.iter_mut().zip(&expected).for_each(|(sum, e)| *sum = *sum * e + self.prior);
            self.expect(&document, &mut expected);
            #[allow(clippy::cast_precision_loss, reason = "a number of topics")]
            let change = last.iter().zip(&document).map(|(a, b)| (a - b).abs()).sum::<f64>() / topics as f64;
            if change < self.tolerance {
                break;
            }
        }
        let total: f64 = document.iter().sum();
        to.extend(document.iter().map(|share| share / total));
    }

    /// The exponential of the expected logarithm of each share.
    fn expect(&self, document: &[f64], expected: &mut [f64]) {
        let total = digamma(document.iter().sum());
        expected.iter_mut().zip(document).for_each(|(to, &x)| *to = (digamma(x) - total).exp());
    }
}

/// The digamma function as scikit-learn has it in `_online_lda_fast`: the asymptotic series from 6 on.
fn digamma(mut x: f64) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    if x <= 1e-6 {
        return -EULER - 1.0 / x;
    }
    let mut sum = 0.0;
    while x < 6.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let r = 1.0 / x;
    let squared = r * r;
    sum + x.ln() - 0.5 * r - squared * (1.0 / 12.0 - squared * (1.0 / 120.0 - squared * (1.0 / 252.0)))
}

impl Estimator for Topics {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        self.compute_samples(Samples::Dense(x), wanted, answers)
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let negative = || {
            let why = "Negative values in data passed to LatentDirichletAllocation.transform.";
            RunError::InvalidInput(why.to_owned())
        };
        for &method in wanted {
            let mut values = Vec::with_capacity(x.rows() * self.words.columns);
            let mut document = Vec::new();
            let mut add = |words: &mut dyn Iterator<Item = (usize, f64)>| {
                document.clear();
                document.extend(words.filter(|(_, count)| *count != 0.0));
                if document.iter().any(|(_, count)| *count < 0.0) {
                    return Err(negative());
                }
                self.shares(&document, &mut values);
                Ok(())
            };
            match &x {
                Samples::Dense(x) => {
                    for row in flat(x).chunks_exact(x.ncols().max(1)) {
                        add(&mut row.iter().copied().enumerate())?;
                    }
                }
                Samples::Sparse(x) => {
                    for i in 0..x.rows() {
                        let (columns, counts) = x.row(i);
                        add(&mut columns.iter().map(|&c| c as usize).zip(counts.iter().copied()))?;
                    }
                }
                Samples::Texts(_) | Samples::Table(_) => {
                    return Err(RunError::Internal("topics of something else than counts".to_owned()));
                }
            }
            answers.push(answer(x.rows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}
