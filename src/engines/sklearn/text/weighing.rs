//! `TfidfTransformer`: counts, weighed by how rare their terms are, and rows of length 1.

use crate::engines::sklearn::preprocessing::Norm;
use crate::engines::sklearn::samples::{Csr, Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// How counts become weights.
#[derive(Debug)]
pub(super) struct Weighing {
    sublinear: bool,
    /// One weight for each term.
    idf: Option<Vec<f64>>,
    norm: Option<Norm>,
    /// Single precision, in which scikit-learn rounds after every step.
    single: bool,
}

impl Weighing {
    /// Reads a fitted `TfidfTransformer`.
    pub(super) fn read(part: &Part<'_>) -> Result<Self, ModelError> {
        let (idf, single) = if part.flag("use_idf", true)? { weights(part)? } else { (None, false) };
        Ok(Self { sublinear: part.flag("sublinear_tf", false)?, idf, norm: norm(part)?, single })
    }

    /// Only the norm.
    pub(super) fn of_norm(part: &Part<'_>, single: bool) -> Result<Self, ModelError> {
        Ok(Self { sublinear: false, idf: None, norm: norm(part)?, single })
    }

    /// How many terms it weighs, where it knows them.
    pub(super) fn width(&self) -> Option<usize> {
        self.idf.as_ref().map(Vec::len)
    }

    pub(super) fn in_single_precision(self, single: bool) -> Self {
        Self { single, ..self }
    }

    /// Source: `TfidfTransformer.transform`.
    pub(super) fn weigh(&self, x: &mut Csr) {
        #[allow(clippy::cast_possible_truncation, reason = "as scikit-learn's arrays do")]
        let round = |value: f64| if self.single { f64::from(value as f32) } else { value };
        for (column, value) in x.entries_mut() {
            if self.sublinear {
                *value = round(round(value.ln()) + 1.0);
            }
            if let Some(idf) = &self.idf {
                *value = round(*value * idf[column as usize]);
            }
        }
        let Some(norm) = self.norm else { return };
        x.rows_mut(|row| {
            let length = norm.of(row);
            if length != 0.0 {
                row.iter_mut().for_each(|value| *value = round(*value / length));
            }
        });
    }
}

fn norm(part: &Part<'_>) -> Result<Option<Norm>, ModelError> {
    if part.attr("norm").is_none() {
        return Ok(None);
    }
    Ok(Some(match part.one_of("norm", "l2", &["l1", "l2", "max"])? {
        "l1" => Norm::L1,
        "max" => Norm::Max,
        _ => Norm::L2,
    }))
}

/// The weights, and whether they are kept in single precision. Until 1.4 they are the
/// diagonal of a sparse matrix.
fn weights(part: &Part<'_>) -> Result<(Option<Vec<f64>>, bool), ModelError> {
    const DIAGONAL: &str = "_idf_diag";
    if part.attr(DIAGONAL).is_none() {
        let idf = part.row_of_numbers("idf_")?;
        if idf.iter().any(|weight| !weight.is_finite()) {
            return Err(part.refuse("idf_", "holds a weight that is no number"));
        }
        let single = part.array("idf_")?.dtype().itemsize() == 4;
        return Ok((Some(idf), single));
    }
    let diagonal = part.csr(DIAGONAL)?;
    let mut idf = Vec::with_capacity(diagonal.rows());
    for i in 0..diagonal.rows() {
        match diagonal.row(i) {
            ([column], [weight]) if *column as usize == i => idf.push(*weight),
            _ => return Err(part.refuse(DIAGONAL, format!("has more, or less, than one weight in row {i}"))),
        }
    }
    if idf.is_empty() || idf.len() != diagonal.width() {
        return Err(part.refuse(DIAGONAL, "is no square matrix of weights"));
    }
    Ok((Some(idf), false))
}

#[derive(Debug)]
struct TfidfTransformer {
    facts: Facts,
    weighing: Weighing,
}

/// Source: `sklearn.feature_extraction.text.TfidfTransformer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let weighing = Weighing::read(part)?;
    let n_features = match weighing.width() {
        Some(width) => part.n_features(width, "idf_")?,
        None => part.n_features_in()?,
    };
    let facts = Facts::new(part, n_features, Check::Finite, vec![Spec::transform(n_features)])?;
    Ok(Box::new(TfidfTransformer { facts, weighing }))
}

impl Estimator for TfidfTransformer {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for _ in wanted {
            answers.push(self.transform(x)?.into_tensor(self.facts.class)?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let mut x = match x {
            Samples::Sparse(x) => x.clone(),
            x => Csr::of(x.to_dense(self.facts.class)?.view()),
        };
        self.weighing.weigh(&mut x);
        Ok(Frame::Sparse(x))
    }
}
