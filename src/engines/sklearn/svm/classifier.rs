//! `SVC` and `NuSVC`: each two classes are told apart, and the class with most votes wins.

use std::sync::Arc;

use super::machine::Machine;
use crate::engines::coupling::{Coupling, share};
use crate::engines::sklearn::labels::Labels;
use crate::engines::sklearn::math::{argmax, votes};
use crate::engines::sklearn::samples::Samples;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer};
use crate::limits;
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Classifier {
    facts: Facts,
    machine: Machine,
    labels: Arc<Labels>,
    /// The slope and offset of the sigmoid of each pair.
    sigmoids: Option<Vec<(f64, f64)>>,
    /// Whether decisions are told by class rather than by pair.
    by_class: bool,
    /// Whether the decision by class chooses, rather than votes alone.
    break_ties: bool,
}

/// Source: `sklearn.svm._base.BaseSVC`; libsvm's `svm_predict_values`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    part.fitted("support_vectors_")?;
    let labels = Arc::new(part.labels("classes_")?);
    let classes = labels.len();
    if !(2..=limits::TENSOR_STRINGS_MAX).contains(&classes) {
        return Err(part.refuse("classes_", format!("has {classes} labels; expected at least 2")));
    }
    let machine = Machine::read(part, Some(classes))?;
    let pairs = machine.decisions();
    let sigmoids = sigmoids(part, pairs)?;
    let shape = part.one_of("decision_function_shape", "ovr", &["ovr", "ovo"])?;
    let by_class = shape == "ovr" && classes > 2;
    let break_ties = part.flag("break_ties", false)?;
    let decisions = if classes == 2 { None } else { Some(if by_class { classes } else { pairs }) };
    let mut methods = Vec::with_capacity(4);
    // scikit-learn's predict refuses to break the ties of pairs.
    if !(break_ties && shape == "ovo") {
        methods.push(Spec::new(Method::Predict, labels.dtype(), None));
    }
    methods.push(Spec::new(Method::DecisionFunction, DType::Double, decisions));
    if sigmoids.is_some() {
        methods.push(Spec::new(Method::PredictProba, DType::Double, Some(classes)));
        methods.push(Spec::new(Method::PredictLogProba, DType::Double, Some(classes)));
    }
    let facts = Facts::new(part, machine.n_features, Check::Finite, methods)?;
    let facts = facts.labelled(Some(Arc::clone(&labels)));
    Ok(Box::new(Classifier {
        facts,
        machine,
        labels,
        sigmoids,
        by_class,
        break_ties: break_ties && by_class,
    }))
}

/// Platt's sigmoids, one for each pair of classes, if probabilities were fitted.
fn sigmoids(part: &Part<'_>, pairs: usize) -> Result<Option<Vec<(f64, f64)>>, ModelError> {
    // Since 1.9 it may say 'deprecated', which is no.
    let wanted = match part.attr("probability") {
        Some(value) if value.to_str().as_deref() == Some("deprecated") => false,
        _ => part.flag("probability", false)?,
    };
    let [a, b] = if part.attr("_probA").is_some() { ["_probA", "_probB"] } else { ["probA_", "probB_"] };
    if !wanted || part.attr(a).is_none() || part.finite_numbers(a)?.values.is_empty() {
        return Ok(None);
    }
    let (a, b) = (part.vector_of(a, pairs)?, part.vector_of(b, pairs)?);
    Ok(Some(a.into_iter().zip(b).collect()))
}

impl Classifier {
    /// Votes for each class; what is not won by the first of a pair is won by the second.
    fn most_votes(&self, decisions: &[f64], counts: &mut [u32]) -> usize {
        counts.fill(0);
        let classes = counts.len();
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        for ((i, j), &decision) in pairs.zip(decisions) {
            counts[if decision > 0.0 { i } else { j }] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or_default();
        counts.iter().position(|&count| count == most).unwrap_or_default()
    }

    /// The decisions by class: scikit-learn's are those of the second of a pair.
    fn by_class(decisions: &[f64], scores: &mut [f64]) {
        votes(decisions.iter().map(|&decision| (Some(decision < 0.0), -decision)), scores);
    }

    fn predict(&self, decisions: &[f64]) -> Vec<usize> {
        let classes = self.labels.len();
        let rows = decisions.chunks_exact(self.machine.decisions());
        if self.break_ties {
            let mut scores = vec![0.0; classes];
            return rows
                .map(|row| {
                    Self::by_class(row, &mut scores);
                    argmax(&scores)
                })
                .collect();
        }
        let mut counts = vec![0; classes];
        rows.map(|row| self.most_votes(row, &mut counts)).collect()
    }

    fn decision_function(&self, decisions: &[f64]) -> Vec<f64> {
        let classes = self.labels.len();
        if classes == 2 {
            return decisions.iter().map(|decision| -decision).collect();
        }
        if !self.by_class {
            return decisions.to_vec();
        }
        let rows = decisions.chunks_exact(self.machine.decisions());
        let mut all = vec![0.0; rows.len() * classes];
        rows.zip(all.chunks_exact_mut(classes)).for_each(|(row, scores)| Self::by_class(row, scores));
        all
    }

    fn probabilities(&self, sigmoids: &[(f64, f64)], decisions: &[f64]) -> Vec<f64> {
        let classes = self.labels.len();
        let rows = decisions.chunks_exact(self.machine.decisions());
        let mut all = vec![0.0; rows.len() * classes];
        let mut coupling = Coupling::new(classes);
        for (row, p) in rows.zip(all.chunks_exact_mut(classes)) {
            coupling.couple(row.iter().zip(sigmoids).map(|(&d, &(a, b))| share(d, a, b)), p);
        }
        all
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
        let rows = x.rows();
        let decisions = self.machine.decide(x)?;
        for &method in wanted {
            let elements = match (method, &self.sigmoids) {
                (Method::Predict, _) => self.labels.take(self.predict(&decisions).into_iter()),
                (Method::PredictProba, Some(sigmoids)) => self.probabilities(sigmoids, &decisions).into(),
                (Method::PredictLogProba, Some(sigmoids)) => {
                    let mut all = self.probabilities(sigmoids, &decisions);
                    all.iter_mut().for_each(|p| *p = p.ln());
                    all.into()
                }
                _ => self.decision_function(&decisions).into(),
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
