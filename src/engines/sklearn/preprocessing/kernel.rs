//! `KernelCenterer`: a kernel matrix as if its samples had been centred before.

use ndarray::ArrayView2;

use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct KernelCenterer {
    facts: Facts,
    /// The mean of each column of the fitted kernel.
    columns: Vec<f64>,
    /// The mean of all of it.
    all: f64,
}

/// Source: `sklearn.preprocessing.KernelCenterer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let columns = part.row_of_numbers("K_fit_rows_")?;
    let n_features = part.n_features(columns.len(), "K_fit_rows_")?;
    let all = part.number("K_fit_all_")?;
    let facts = Facts::new(part, n_features, Check::Finite, vec![Spec::transform(n_features)])?;
    Ok(Box::new(KernelCenterer { facts, columns, all }))
}

impl Estimator for KernelCenterer {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let width = self.columns.len();
        for _ in wanted {
            let mut values = flat(&x).to_vec();
            for row in values.chunks_exact_mut(width) {
                #[allow(clippy::cast_precision_loss, reason = "a number of samples")]
                let mean = row.iter().sum::<f64>() / width as f64;
                row.iter_mut().zip(&self.columns).for_each(|(k, column)| *k = *k - column - mean + self.all);
            }
            answers.push(answer(x.nrows(), Some(width), values.into())?);
        }
        Ok(())
    }
}
