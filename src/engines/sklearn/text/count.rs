//! `CountVectorizer` and `TfidfVectorizer`: a column for each term of a vocabulary.

use std::collections::HashMap;
use std::sync::Arc;

use super::analyzer::Analyzer;
use super::weighing::Weighing;
use super::{entries_of, texts};
use crate::engines::sklearn::attributes::Answers;
use crate::engines::sklearn::json_rows::JsonRows;
use crate::engines::sklearn::samples::{Csr, Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, answer, bounded,
};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::Tensor;

/// The terms that have a column each.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// The column of each.
    pub(super) columns: HashMap<Arc<str>, u32>,
    /// The same by column.
    pub(super) terms: Vec<Arc<str>>,
}

#[derive(Debug)]
struct Vectorizer {
    facts: Facts,
    analyzer: Analyzer,
    vocabulary: Vocabulary,
    /// A term is there or not, however often.
    binary: bool,
    weighing: Option<Weighing>,
    answers: Answers,
}

/// Source: `sklearn.feature_extraction.text.CountVectorizer`.
pub(super) fn build_count(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build(part, part.answers("dtype")?, None)
}

/// Source: `sklearn.feature_extraction.text.TfidfVectorizer`.
pub(super) fn build_tfidf(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let transformer = part.within("_tfidf", &["sklearn.feature_extraction.text"], "TfidfTransformer")?;
    let single = part.is_single("dtype");
    let weighing = Weighing::read(&transformer)?.in_single_precision(single);
    build(part, Answers::Floats, Some(weighing))
}

fn build(
    part: &Part<'_>,
    answers: Answers,
    weighing: Option<Weighing>,
) -> Result<Box<dyn Estimator>, ModelError> {
    let analyzer = Analyzer::read(part)?;
    let vocabulary = vocabulary(part)?;
    let width = vocabulary.terms.len();
    if let Some(weights) = weighing.as_ref().and_then(Weighing::width).filter(|&weights| weights != width) {
        return Err(part.refuse("vocabulary_", format!("has {width} terms, but _tfidf weighs {weights}")));
    }
    let transform = Spec::new(Method::Transform, answers.dtype(), Gives::Columns(width));
    let methods = vec![transform, Spec::inverse_into_json(width)];
    let facts = Facts::new(part, 1, Check::Width, methods)?.taking(Input::Texts);
    let binary = part.flag("binary", false)?;
    Ok(Box::new(Vectorizer { facts, analyzer, vocabulary, binary, weighing, answers }))
}

/// Reads `vocabulary_`: each term has a column of its own, and none is left over.
pub(super) fn vocabulary(part: &Part<'_>) -> Result<Vocabulary, ModelError> {
    const NAME: &str = "vocabulary_";
    let value = part.fitted(NAME)?;
    let Some(entries) = value.entries() else {
        return Err(part.unexpected(NAME, value, "a dict of terms and their columns"));
    };
    let mut columns = HashMap::with_capacity(entries.len());
    for (term, column) in entries {
        let column = column.as_i64().and_then(|column| u32::try_from(column).ok());
        let (Some(term), Some(column)) = (term.to_str(), column) else {
            let why = format!("has the entry {}; expected terms and their columns", Ref::describe(term));
            return Err(part.refuse(NAME, why));
        };
        part.pay_again(NAME, term.len())?;
        columns.insert(Arc::from(&*term), column);
    }
    let mut terms: Vec<Option<Arc<str>>> = vec![None; columns.len()];
    for (term, &column) in &columns {
        match terms.get_mut(column as usize) {
            Some(place @ None) => *place = Some(Arc::clone(term)),
            _ => {
                let why = format!(
                    "gives a term column {column}; expected {} columns, each for one term",
                    terms.len()
                );
                return Err(part.refuse(NAME, why));
            }
        }
    }
    if terms.is_empty() {
        return Err(part.refuse(NAME, "is empty"));
    }
    Ok(Vocabulary { columns, terms: terms.into_iter().flatten().collect() })
}

impl Vectorizer {
    fn count(&self, x: &Samples<'_>) -> Result<Csr, RunError> {
        let mut counts = Csr::new(self.vocabulary.terms.len());
        let mut columns: Vec<u32> = Vec::new();
        for document in &*texts(x, self.facts.class)? {
            columns.clear();
            self.analyzer.terms(document, |term| columns.extend(self.vocabulary.columns.get(term)))?;
            columns.sort_unstable();
            #[allow(clippy::cast_precision_loss, reason = "a number of terms in a document")]
            let count = |run: &[u32]| if self.binary { 1.0 } else { run.len() as f64 };
            counts.push_row(columns.chunk_by(|a, b| a == b).map(|run| (run[0], count(run))));
        }
        if let Some(weighing) = &self.weighing {
            weighing.weigh(&mut counts);
        }
        Ok(counts)
    }
}

impl Estimator for Vectorizer {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        if wanted.contains(&Method::InverseTransform) {
            let mut rows = JsonRows::new(self.facts.class);
            for row in entries_of(x)? {
                rows.push_list(row.iter().map(|&(column, _)| &*self.vocabulary.terms[column]))?;
            }
            answers.push(rows.into_tensor()?);
            return Ok(());
        }
        let counts = self.count(&x)?;
        for _ in wanted {
            bounded(self.facts.class, counts.rows(), counts.width())?;
            let dense = counts.dense(0..counts.rows()).into_raw_vec_and_offset().0;
            answers.push(answer(counts.rows(), Some(counts.width()), self.answers.of(dense))?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        self.count(&x).map(Frame::Sparse)
    }
}
