//! Linear models: `LinearClassifier` and `LinearRegressor`.

use ndarray::{ArrayView2, CowArray};

use super::super::numbers::floats;
use super::super::op::{Built, Node, made, many, one, op, shape, size};
use super::super::registry::{ML, Row, row_in};
use super::labels::Labels;
use super::transform::{PostTransform, Second, binary, probit};
use crate::tensor::Tensor;

pub(super) const ROWS: &[Row] =
    &[row_in(ML, "LinearClassifier", 1, classifier), row_in(ML, "LinearRegressor", 1, regressor)];

/// A weight for each score and column, and what is added to each score.
struct Weights {
    /// `[targets, columns]`.
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    targets: usize,
    columns: usize,
}

impl Weights {
    fn new(coefficients: &[f32], intercepts: &[f32], targets: usize) -> Result<Self, String> {
        if targets == 0 || coefficients.is_empty() || !coefficients.len().is_multiple_of(targets) {
            return Err(format!("{} coefficients are not those of {targets} scores", coefficients.len()));
        }
        if !intercepts.is_empty() && intercepts.len() != targets {
            return Err(format!("it has {} intercepts for {targets} scores", intercepts.len()));
        }
        let columns = coefficients.len() / targets;
        Ok(Self { coefficients: coefficients.to_vec(), intercepts: intercepts.to_vec(), targets, columns })
    }

    /// `[rows, targets]`.
    fn scores(&self, x: &Tensor) -> Result<(usize, Vec<f32>), String> {
        let (rows, columns) = match **x.shape() {
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => return Err(format!("input 0 has shape {}; expected a matrix", x.shape())),
        };
        if columns != self.columns {
            return Err(format!("input 0 has {columns} columns; expected {}", self.columns));
        }
        shape([rows, self.targets])?;
        let values = floats(x.elements())?;
        let mut scores = if rows < 8 {
            let mut scores = Vec::with_capacity(rows * self.targets);
            for row in values.chunks_exact(columns) {
                scores.extend(self.coefficients.chunks_exact(columns).map(|weights| dot(row, weights)));
            }
            scores
        } else {
            let view = |values, dims| ArrayView2::from_shape(dims, values).map_err(|error| error.to_string());
            let weights = view(&self.coefficients, (self.targets, columns))?;
            let scores = view(&values, (rows, columns))?.dot(&weights.t());
            CowArray::from(scores).as_standard_layout().iter().copied().collect()
        };
        if !self.intercepts.is_empty() {
            for row in scores.chunks_exact_mut(self.targets) {
                row.iter_mut().zip(&self.intercepts).for_each(|(score, intercept)| *score += intercept);
            }
        }
        Ok((rows, scores))
    }
}

/// A dot product in single precision, four sums at a time.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f32 = a4.remainder().iter().zip(b4.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a4.zip(b4) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
}

fn regressor(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let targets = size(attributes.int("targets")?.unwrap_or(1), "targets")?;
    let coefficients = node.required("coefficients", attributes.floats("coefficients"))?;
    let weights = Weights::new(coefficients, attributes.floats("intercepts")?.unwrap_or_default(), targets)?;
    let transform = PostTransform::read(attributes)?;
    op(move |inputs| {
        let (rows, mut scores) = weights.scores(inputs.tensor(0)?)?;
        for row in scores.chunks_exact_mut(weights.targets) {
            match row {
                [score] if transform == PostTransform::Probit => *score = probit(*score),
                [_] => {}
                row => transform.apply(row),
            }
        }
        one(made([rows, weights.targets], scores)?)
    })
}

fn classifier(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let labels = Labels::read(attributes, "classlabels_ints", "classlabels_strings")?;
    let coefficients = node.required("coefficients", attributes.floats("coefficients"))?;
    let intercepts = attributes.floats("intercepts")?.unwrap_or_default();
    attributes.ignore(&["multi_class"]);
    let transform = PostTransform::read(attributes)?;
    let classes = labels.as_ref().map_or(1, Labels::len);
    // One row of weights decides between two labels.
    let targets = if intercepts.is_empty() { classes } else { intercepts.len() };
    let weights = Weights::new(coefficients, intercepts, targets)?;
    let labels = labels.unwrap_or(Labels::Ints(vec![0, 1]));
    let is_pair = targets == 1 && labels.len() == 2;
    if targets > 1 && targets > labels.len() {
        return Err(format!("it has {} class labels for {targets} scores", labels.len()));
    }
    op(move |inputs| {
        let (rows, scores) = weights.scores(inputs.tensor(0)?)?;
        let width = if is_pair { 2 } else { targets };
        let mut given = vec![0f32; rows * width];
        let mut chosen = Vec::with_capacity(rows);
        for (row, out) in scores.chunks_exact(targets).zip(given.chunks_exact_mut(width)) {
            if let [score] = *row {
                chosen.push(usize::from(score > 0.0).min(labels.len() - 1));
                let second = if is_pair { Second::Complement } else { Second::No };
                binary(score, transform, second, out);
            } else {
                let best = row
                    .iter()
                    .enumerate()
                    .fold(0, |best, (at, score)| if *score > row[best] { at } else { best });
                chosen.push(best);
                out.copy_from_slice(row);
                transform.apply(out);
            }
        }
        many([made([rows], labels.at(chosen.into_iter()))?, made([rows, width], given)?])
    })
}
