//! `BaggingClassifier` and `BaggingRegressor`: estimators of any served class, each over
//! some of the columns.

use std::sync::Arc;

use super::frames::pick;
use super::members::{codes, reals};
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::math::argmax;
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, answer, ask_one, bounded, numbers,
};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const NAME: &str = "estimators_";

#[derive(Debug)]
struct Member {
    estimator: Box<dyn Estimator>,
    /// Its columns; `None` for all, in their order.
    columns: Option<Vec<usize>>,
    /// Which of the ensemble's classes each of its own is.
    codes: Vec<usize>,
}

#[derive(Debug)]
struct Classifier {
    facts: Facts,
    members: Vec<Member>,
    labels: Arc<Labels>,
    /// Whether the members tell probabilities, or only what they predict.
    shares: bool,
    /// Whether they tell the logarithms of those.
    logs: bool,
}

#[derive(Debug)]
struct Regressor {
    facts: Facts,
    members: Vec<Member>,
}

fn members(part: &Part<'_>) -> Result<(Vec<Member>, usize), ModelError> {
    const FEATURES: &str = "estimators_features_";
    let values = part.list(NAME)?;
    let columns = part.list(FEATURES)?;
    if values.is_empty() || values.len() != columns.len() {
        let why = format!("has the columns of {} estimators; expected {}", columns.len(), values.len());
        return Err(part.refuse(FEATURES, why));
    }
    // 0.24 has it only in this attribute.
    let stated = if part.attr("n_features_in_").is_some() { "n_features_in_" } else { "n_features_" };
    let n_features = part.count(stated)?;
    let mut members = Vec::with_capacity(values.len());
    for (i, (value, columns)) in values.into_iter().zip(columns).enumerate() {
        let columns = part.indices_of(FEATURES, columns)?;
        let estimator = part.child_given(value, &format!("{NAME}[{i}]"), Some(columns.len()))?;
        let facts = estimator.facts();
        if facts.n_features != columns.len()
            || columns.iter().any(|&column| column >= n_features)
            || facts.input != Input::Matrix
        {
            let highest = columns.iter().max().copied().unwrap_or_default();
            let why = format!(
                "names {} columns up to {highest} at [{i}], of {n_features} features, for a {} of {}",
                columns.len(),
                facts.class,
                facts.n_features
            );
            return Err(part.refuse(FEATURES, why));
        }
        let all = columns.iter().copied().eq(0..n_features);
        members.push(Member { estimator, columns: (!all).then_some(columns), codes: Vec::new() });
    }
    Ok((members, part.n_features(n_features, FEATURES)?))
}

/// Source: `sklearn.ensemble.BaggingClassifier`. The estimators are fitted on the places of
/// the classes, and one may not have seen all of them.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (mut members, n_features) = members(part)?;
    let labels = Arc::new(part.labels("classes_")?);
    let classes = labels.len();
    for member in &mut members {
        member.codes = codes(part, NAME, member.estimator.facts(), classes)?;
    }
    let all = |method| {
        members.iter().all(|member| {
            let spec = member.estimator.facts().spec(method);
            spec.is_some_and(|spec| spec.gives == Gives::Columns(member.codes.len()))
        })
    };
    let (shares, logs) = (all(Method::PredictProba), all(Method::PredictLogProba));
    if !shares && !members.iter().all(|member| member.estimator.facts().spec(Method::Predict).is_some()) {
        return Err(part.refuse(NAME, "has estimators without predict"));
    }
    let mut methods = vec![
        Spec::new(Method::Predict, labels.dtype(), None),
        Spec::new(Method::PredictProba, DType::Double, Some(classes)),
        Spec::new(Method::PredictLogProba, DType::Double, Some(classes)),
    ];
    if let Some(decision) = members[0].estimator.facts().spec(Method::DecisionFunction) {
        let alike =
            |member: &Member| member.estimator.facts().spec(Method::DecisionFunction) == Some(decision);
        if !members.iter().all(alike) {
            return Err(part.refuse(NAME, "has estimators whose decision_function differs in shape"));
        }
        methods.push(*decision);
    }
    let facts = Facts::new(part, n_features, Check::Width, methods)?.labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(Classifier { facts, members, labels, shares, logs }))
}

/// Source: `sklearn.ensemble.BaggingRegressor`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (members, n_features) = members(part)?;
    let predict = members[0].estimator.facts().spec(Method::Predict).copied();
    let alike = |member: &Member| member.estimator.facts().spec(Method::Predict) == predict.as_ref();
    let predict = predict.filter(|spec| spec.dtype == DType::Double && members.iter().all(alike));
    let predict =
        predict.ok_or_else(|| part.refuse(NAME, "has estimators that do not all predict as many numbers"))?;
    let facts = Facts::new(part, n_features, Check::Width, vec![predict])?;
    Ok(Box::new(Regressor { facts, members }))
}

impl Member {
    fn ask(&self, x: Samples<'_>, method: Method) -> Result<Tensor, RunError> {
        match &self.columns {
            None => ask_one(&*self.estimator, x, method),
            Some(columns) => ask_one(&*self.estimator, pick(x, columns).samples(), method),
        }
    }
}

/// The mean over the members of a method's answer.
fn mean(members: &[Member], x: Samples<'_>, method: Method) -> Result<Vec<f64>, RunError> {
    let mut sums: Vec<f64> = Vec::new();
    for member in members {
        let said = member.ask(x, method)?;
        let said = numbers(&said)?;
        if sums.is_empty() {
            sums = said.to_vec();
        } else {
            sums.iter_mut().zip(said).for_each(|(sum, value)| *sum += value);
        }
    }
    divide(&mut sums, members.len());
    Ok(sums)
}

fn divide(sums: &mut [f64], count: usize) {
    #[allow(clippy::cast_precision_loss, reason = "a number of estimators")]
    let count = count as f64;
    sums.iter_mut().for_each(|sum| *sum /= count);
}

/// `ln(exp(a) + exp(b))`, as `numpy.logaddexp` has it.
fn log_add_exp(a: f64, b: f64) -> f64 {
    if a == b {
        return a + std::f64::consts::LN_2;
    }
    let difference = a - b;
    if difference > 0.0 { a + (-difference).exp().ln_1p() } else { b + difference.exp().ln_1p() }
}

impl Classifier {
    fn probabilities(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let (rows, classes) = (x.rows(), self.labels.len());
        let mut sums = vec![0.0; rows * classes];
        for member in &self.members {
            let own = member.codes.len();
            if self.shares {
                let said = member.ask(x, Method::PredictProba)?;
                let said = numbers(&said)?;
                for (sums, said) in sums.chunks_exact_mut(classes).zip(said.chunks_exact(own)) {
                    member.codes.iter().zip(said).for_each(|(&code, share)| sums[code] += share);
                }
            } else {
                let said = reals(&member.ask(x, Method::Predict)?)?;
                for (sums, code) in sums.chunks_exact_mut(classes).zip(said) {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
                    if let Some(sum) = sums.get_mut(code as usize) {
                        *sum += 1.0;
                    }
                }
            }
        }
        divide(&mut sums, self.members.len());
        Ok(sums)
    }

    fn logarithms(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let (rows, classes) = (x.rows(), self.labels.len());
        if !self.logs {
            let mut shares = self.probabilities(x)?;
            shares.iter_mut().for_each(|share| *share = share.ln());
            return Ok(shares);
        }
        let mut sums = vec![f64::NEG_INFINITY; rows * classes];
        let mut row = vec![f64::NEG_INFINITY; classes];
        for (i, member) in self.members.iter().enumerate() {
            let said = member.ask(x, Method::PredictLogProba)?;
            let said = numbers(&said)?;
            for (sums, said) in sums.chunks_exact_mut(classes).zip(said.chunks_exact(member.codes.len())) {
                row.fill(f64::NEG_INFINITY);
                member.codes.iter().zip(said).for_each(|(&code, log)| row[code] = *log);
                for (sum, &log) in sums.iter_mut().zip(&row) {
                    *sum = if i == 0 { log } else { log_add_exp(*sum, log) };
                }
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "a number of estimators")]
        let log_count = (self.members.len() as f64).ln();
        sums.iter_mut().for_each(|sum| *sum -= log_count);
        Ok(sums)
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
        bounded(self.facts.class, rows, classes)?;
        let needs_shares =
            wanted.iter().any(|method| matches!(method, Method::Predict | Method::PredictProba));
        let shares = if needs_shares { self.probabilities(x)? } else { Vec::new() };
        for &method in wanted {
            let elements: Elements = match method {
                Method::Predict => self.labels.take(shares.chunks_exact(classes).map(argmax)),
                Method::PredictProba => shares.clone().into(),
                Method::PredictLogProba => self.logarithms(x)?.into(),
                _ => mean(&self.members, x, method)?.into(),
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
        for &method in wanted {
            let means = mean(&self.members, x, method)?;
            answers.push(answer(x.rows(), self.facts.gives(method), means.into())?);
        }
        Ok(())
    }
}
