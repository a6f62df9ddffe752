//! `KBinsDiscretizer`: which of a few bins a number falls into.

use ndarray::ArrayView2;

use crate::engines::sklearn::math::argmax;
use crate::engines::sklearn::samples::{Csr, Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

#[derive(Debug)]
struct KBinsDiscretizer {
    facts: Facts,
    columns: Vec<Column>,
    encode: Encode,
    width: usize,
    /// A little more than the number is looked up, so that one at an edge falls above it.
    nudges: bool,
}

#[derive(Debug)]
struct Column {
    /// Between the bins, rising.
    edges: Vec<f64>,
    /// The middle of each bin.
    centers: Vec<f64>,
    /// The first of its output columns.
    start: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encode {
    Ordinal,
    Sparse,
    Dense,
}

/// Source: `sklearn.preprocessing.KBinsDiscretizer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "bin_edges_";
    let encode = match part.one_of("encode", "onehot", &["onehot", "onehot-dense", "ordinal"])? {
        "ordinal" => Encode::Ordinal,
        "onehot-dense" => Encode::Dense,
        _ => Encode::Sparse,
    };
    let n_bins = part.indices_of("n_bins_", part.fitted("n_bins_")?)?;
    // Columns of as many bins each may have become one matrix.
    let matrix =
        part.attr(NAME).and_then(|value| value.array()).is_some_and(|array| array.shape().len() == 2);
    let all: Vec<Vec<f64>> = if matrix {
        part.matrix(NAME)?.iter().map(<[f64]>::to_vec).collect()
    } else {
        part.list(NAME)?.into_iter().map(|edges| part.numbers_of(NAME, edges)).collect::<Result<_, _>>()?
    };
    let n_features = part.n_features(all.len(), NAME)?;
    if n_features == 0 || n_bins.len() != n_features {
        return Err(part.refuse("n_bins_", format!("has {} numbers for {n_features} features", n_bins.len())));
    }
    let mut columns = Vec::with_capacity(n_features);
    let mut width = 0usize;
    for (i, (edges, bins)) in all.iter().zip(n_bins).enumerate() {
        let sound = edges.len() >= 2
            && edges.len() - 1 == bins
            && edges.is_sorted()
            && !edges.iter().any(|e| e.is_nan());
        if !sound {
            return Err(part.refuse(NAME, format!("has no rising edges of {bins} bins for feature {i}")));
        }
        // In scikit-learn's order, so that infinite edges have its centers.
        let centers = edges.windows(2).map(|pair| (pair[1] + pair[0]) * 0.5).collect();
        columns.push(Column { edges: edges[1..bins].to_vec(), centers, start: width });
        width += bins;
    }
    let width = if encode == Encode::Ordinal { n_features } else { width };
    let methods = vec![Spec::transform(width), Spec::inverse_transform(width, n_features)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(KBinsDiscretizer { facts, columns, encode, width, nudges: part.version() < (1, 1) }))
}

impl KBinsDiscretizer {
    fn bin(&self, x: f64, column: &Column) -> usize {
        let x = if self.nudges { x + (1e-8 + 1e-5 * x.abs()) } else { x };
        column.edges.partition_point(|&edge| edge <= x)
    }

    /// `[rows, width]`.
    fn bins(&self, x: ArrayView2<'_, f64>) -> Vec<f64> {
        let rows = flat(&x).chunks_exact(self.columns.len());
        let mut all = vec![0.0; x.nrows() * self.width];
        for (row, to) in rows.zip(all.chunks_exact_mut(self.width)) {
            for (i, (&x, column)) in row.iter().zip(&self.columns).enumerate() {
                let bin = self.bin(x, column);
                #[allow(clippy::cast_precision_loss, reason = "a number of bins")]
                match self.encode {
                    Encode::Ordinal => to[i] = bin as f64,
                    Encode::Sparse | Encode::Dense => to[column.start + bin] = 1.0,
                }
            }
        }
        all
    }

    fn invert(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, RunError> {
        let mut all = Vec::with_capacity(x.nrows() * self.columns.len());
        for (row, values) in flat(&x).chunks_exact(self.width).enumerate() {
            for (i, column) in self.columns.iter().enumerate() {
                let bins = column.centers.len();
                let place = if self.encode == Encode::Ordinal {
                    // Python counts negative places from the end.
                    #[allow(clippy::cast_possible_truncation, reason = "as numpy's astype does")]
                    let place = values[i] as i64;
                    let count = i64::try_from(bins).unwrap_or(i64::MAX);
                    let from_start = if place < 0 { place.saturating_add(count) } else { place };
                    let wrong = || format!("index {place} is out of bounds for axis 0 with size {bins}");
                    let found = usize::try_from(from_start).ok().filter(|&place| place < bins);
                    found.ok_or_else(|| RunError::InvalidInput(wrong()))?
                } else {
                    let ones = &values[column.start..column.start + bins];
                    if ones.iter().sum::<f64>() == 0.0 {
                        return Err(RunError::InvalidInput(format!(
                            "Samples [{row}] can not be inverted when drop=None and handle_unknown='error' because \
                             they contain all zeros"
                        )));
                    }
                    argmax(ones)
                };
                all.push(column.centers[place]);
            }
        }
        Ok(all)
    }
}

impl Estimator for KBinsDiscretizer {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for method in wanted {
            let (width, values) = match method {
                Method::InverseTransform => (self.columns.len(), self.invert(x)?),
                _ => (self.width, self.bins(x)),
            };
            answers.push(answer(x.nrows(), Some(width), values.into())?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let x = x.to_dense(self.facts.class)?;
        if self.encode != Encode::Sparse {
            bounded(self.facts.class, x.nrows(), self.width)?;
            return Frame::matrix(x.nrows(), self.width, self.bins(x.view()));
        }
        let mut ones = Csr::new(self.width);
        for row in x.rows() {
            let places = row.iter().zip(&self.columns).map(|(&x, column)| column.start + self.bin(x, column));
            ones.push_row(places.filter_map(|place| Some((u32::try_from(place).ok()?, 1.0))));
        }
        Ok(Frame::Sparse(ones))
    }
}
