//! `VotingClassifier` and `VotingRegressor`: the mean, or the majority, of what several say.

use std::sync::Arc;

use super::frames::beside;
use super::members::{Members, all_give, codes, members, predicted_codes, reals, shared};
use super::named;
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::math::argmax;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, ask_one, bounded, numbers,
};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

#[derive(Debug)]
struct Classifier {
    facts: Facts,
    members: Members,
    weights: Vec<f64>,
    labels: Arc<Labels>,
    /// Whether the probabilities are averaged, rather than the predictions counted.
    soft: bool,
}

#[derive(Debug)]
struct Regressor {
    facts: Facts,
    members: Members,
    weights: Vec<f64>,
}

/// One weight for each member; those of estimators that were dropped are left out.
fn weights(part: &Part<'_>, count: usize) -> Result<Vec<f64>, ModelError> {
    const NAME: &str = "weights";
    let Some(value) = part.attr(NAME) else { return Ok(vec![1.0; count]) };
    let given: Option<Vec<f64>> = match value.items() {
        Some(items) => items.map(|item| item.as_f64().filter(|weight| weight.is_finite())).collect(),
        None => Some(part.finite_numbers(NAME)?.values),
    };
    let all = named::<1>(part, "estimators", "(name, estimator)")?;
    let kept = |(_, [estimator]): &(String, [crate::formats::pickle::Ref<'_>; 1])| {
        !estimator.is_none() && estimator.as_str() != Some("drop")
    };
    let weights: Option<Vec<f64>> = given.filter(|given| given.len() == all.len()).map(|given| {
        given.into_iter().zip(&all).filter(|(_, one)| kept(one)).map(|(weight, _)| weight).collect()
    });
    weights.filter(|weights| weights.len() == count && weights.iter().sum::<f64>() != 0.0).ok_or_else(|| {
        part.unexpected(NAME, value, &format!("a number for each of {} estimators, not 0 in all", all.len()))
    })
}

/// Source: `sklearn.ensemble.VotingClassifier`. The estimators are fitted on the places of
/// the classes.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "estimators_";
    let members = members(part, NAME)?;
    let labels = Arc::new(part.labels("classes_")?);
    let classes = labels.len();
    let soft = part.one_of("voting", "hard", &["hard", "soft"])? == "soft";
    for member in &members {
        let codes = codes(part, NAME, member.facts(), classes)?;
        if soft && !codes.iter().copied().eq(0..classes) {
            let why = format!("has a {} that knows other classes than all {classes}", member.facts().class);
            return Err(part.refuse(NAME, why));
        }
    }
    let weights = weights(part, members.len())?;
    let all = shared(part, NAME, &members)?;
    let mut methods = vec![Spec::new(Method::Predict, labels.dtype(), None)];
    if soft {
        all_give(part, NAME, &members, Method::PredictProba, Some(classes), DType::Double)?;
        methods.push(Spec::new(Method::PredictProba, DType::Double, Some(classes)));
        methods.push(if part.flag("flatten_transform", true)? {
            Spec::transform(classes.saturating_mul(members.len()))
        } else {
            // scikit-learn has the estimators first; batches are joined and parted by rows.
            Spec::new(Method::Transform, DType::Double, Gives::Layers(members.len(), classes))
        });
    } else {
        methods.push(Spec::new(Method::Transform, DType::Int64, Some(members.len())));
    }
    let facts = all.facts(part, Check::Within, methods).labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(Classifier { facts, members, weights, labels, soft }))
}

/// Source: `sklearn.ensemble.VotingRegressor`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "estimators_";
    let members = members(part, NAME)?;
    all_give(part, NAME, &members, Method::Predict, None, DType::Double)?;
    let weights = weights(part, members.len())?;
    let all = shared(part, NAME, &members)?;
    let methods = vec![Spec::new(Method::Predict, DType::Double, None), Spec::transform(members.len())];
    let facts = all.facts(part, Check::Within, methods);
    Ok(Box::new(Regressor { facts, members, weights }))
}

/// The weighted mean, place by place, as `numpy.average` has it.
fn average(said: &[Vec<f64>], weights: &[f64], len: usize) -> Vec<f64> {
    let mut mean = vec![0.0; len];
    for (said, weight) in said.iter().zip(weights) {
        mean.iter_mut().zip(said).for_each(|(mean, value)| *mean += value * weight);
    }
    let total: f64 = weights.iter().sum();
    mean.iter_mut().for_each(|mean| *mean /= total);
    mean
}

impl Classifier {
    fn probabilities(&self, x: Samples<'_>) -> Result<Vec<Vec<f64>>, RunError> {
        let ask =
            |member: &dyn Estimator| numbers(&ask_one(member, x, Method::PredictProba)?).map(<[f64]>::to_vec);
        self.members.iter().map(|member| ask(&**member)).collect()
    }

    fn votes(&self, x: Samples<'_>) -> Result<Vec<Vec<usize>>, RunError> {
        self.members.iter().map(|member| predicted_codes(&**member, x, self.labels.len())).collect()
    }
}

impl Estimator for Classifier {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let (rows, classes) = (x.rows(), self.labels.len());
        bounded(self.facts.class, rows, classes.saturating_mul(self.members.len()))?;
        if self.soft {
            let said = self.probabilities(x)?;
            let mean = average(&said, &self.weights, rows * classes);
            for &method in wanted {
                let elements: Elements = match method {
                    Method::Predict => self.labels.take(mean.chunks_exact(classes).map(argmax)),
                    Method::Transform => beside(&said, rows, classes).into(),
                    _ => mean.clone().into(),
                };
                answers.push(answer(rows, self.facts.gives(method), elements)?);
            }
            return Ok(());
        }
        let votes = self.votes(x)?;
        for &method in wanted {
            let elements: Elements = if method == Method::Transform {
                let row =
                    |i: usize| votes.iter().map(move |votes| i64::try_from(votes[i]).unwrap_or_default());
                (0..rows).flat_map(row).collect::<Vec<i64>>().into()
            } else {
                let mut counts = vec![0.0; classes];
                let majority = |i: usize| {
                    counts.fill(0.0);
                    for (votes, weight) in votes.iter().zip(&self.weights) {
                        counts[votes[i]] += weight;
                    }
                    argmax(&counts)
                };
                self.labels.take((0..rows).map(majority))
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}

impl Estimator for Regressor {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let rows = x.rows();
        bounded(self.facts.class, rows, self.members.len())?;
        let said: Result<Vec<Vec<f64>>, RunError> =
            self.members.iter().map(|member| reals(&ask_one(&**member, x, Method::Predict)?)).collect();
        let said = said?;
        for &method in wanted {
            let values = match method {
                Method::Transform => beside(&said, rows, 1),
                _ => average(&said, &self.weights, rows),
            };
            answers.push(answer(rows, self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}
