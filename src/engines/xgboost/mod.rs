//! XGBoost's models, with the library's numbers: sums in single precision, in the order of
//! the trees.

mod build;
mod objective;

use std::sync::Arc;

use smallvec::SmallVec;

use self::objective::Objective;
use super::boosted::{self, Method, Spec};
use super::trees::{Forest, TreeError};
use crate::formats::trees::xgboost::{self as format, XgboostError};
use crate::servable::RunError;
use crate::tensor::{DType, Elements};

/// Why a file is no model that can be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It is no file of XGBoost's, or one that is not read.
    #[error(transparent)]
    Format(#[from] XgboostError),
    /// A tree is none.
    #[error("trees[{tree}] {source}")]
    Tree {
        /// Its number.
        tree: usize,
        /// Why not.
        source: TreeError,
    },
    /// Parts do not fit each other, or are not known.
    #[error("{place} {why}")]
    Model {
        /// Which part.
        place: String,
        /// What is wrong with it: a predicate.
        why: String,
    },
}

/// Which trees count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    All,
    Best,
}

/// A model of XGBoost's.
#[derive(Debug)]
pub(super) struct Booster {
    features: usize,
    feature_names: Option<Vec<Arc<str>>>,
    /// What each sum starts from.
    base: Vec<f32>,
    /// What each sum is on average over the training data, where contributions are told.
    means: Vec<f64>,
    objective: Objective,
    body: Body,
}

/// What is added up.
#[derive(Debug)]
enum Body {
    Trees {
        forest: Box<Forest<f32>>,
        /// `[leaves, width]`, row-major.
        values: Vec<f32>,
        /// Numbers of a leaf: 1, or one for each sum.
        width: usize,
        /// The sum that each tree adds to, where leaves have one number.
        groups: Vec<u32>,
    },
    /// `[features + 1, sums]`, row-major, the biases last.
    Linear(Vec<f32>),
}

impl Booster {
    /// Reads a file, or what a pickled `Booster` holds. All its trees count, or those up to
    /// the best iteration, if it says which that was: so its wrappers do.
    pub(super) fn read(file: &[u8], count: Count) -> Result<Self, ModelError> {
        build::build(format::read(file)?, count)
    }

    fn outputs(&self) -> usize {
        self.base.len()
    }

    /// `[rows, outputs]`: the sums.
    fn margins(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let outputs = self.outputs();
        let mut margins = self.base.repeat(rows);
        match &self.body {
            Body::Trees { forest, values, width: 1, groups } => {
                if outputs == 1 {
                    forest.walk(x, |row, _, leaf| margins[row] += values[leaf]);
                } else {
                    forest.walk(x, |row, tree, leaf| {
                        margins[row * outputs + groups[tree] as usize] += values[leaf];
                    });
                }
            }
            Body::Trees { forest, values, width, .. } => forest.walk(x, |row, _, leaf| {
                let sums = &mut margins[row * outputs..][..outputs];
                sums.iter_mut().zip(&values[leaf * width..]).for_each(|(sum, value)| *sum += value);
            }),
            Body::Linear(weights) => {
                let (weights, biases) = weights.split_at(self.features * outputs);
                for (x, sums) in x.chunks_exact(self.features).zip(margins.chunks_exact_mut(outputs)) {
                    for (group, sum) in sums.iter_mut().enumerate() {
                        *sum += biases[group];
                        for (value, weights) in x.iter().zip(weights.chunks_exact(outputs)) {
                            // A missing value adds nothing.
                            if !value.is_nan() {
                                *sum += value * weights[group];
                            }
                        }
                    }
                }
            }
        }
        margins
    }

    /// `[rows, trees]`: the number of the leaf in its tree. No linear model has any.
    fn leaves(&self, x: &[f32], rows: usize) -> Vec<i32> {
        let Body::Trees { forest, .. } = &self.body else { return Vec::new() };
        let trees = forest.trees();
        let mut leaves = vec![0; rows * trees];
        forest.walk(x, |row, tree, leaf| {
            leaves[row * trees + tree] = forest.origin(leaf).cast_signed();
        });
        leaves
    }

    /// `[rows, outputs, features + 1]`; the last of each is what the sum is without features.
    #[allow(clippy::cast_possible_truncation, reason = "added up in double, answered in single precision")]
    fn contributions(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let (outputs, width) = (self.outputs(), self.features + 1);
        let mut all = vec![0.0f32; rows * outputs * width];
        for (x, told) in x.chunks_exact(self.features).zip(all.chunks_exact_mut(outputs * width)) {
            let mut sums = vec![0.0f64; outputs * width];
            for (sum, start) in sums.chunks_exact_mut(width).zip(&self.means) {
                sum[width - 1] = *start;
            }
            match &self.body {
                Body::Trees { forest, values, width: numbers, groups } => {
                    for (tree, &group) in groups.iter().enumerate() {
                        forest.contributions(tree, x, |feature, leaf, share| {
                            for (number, value) in values[leaf * numbers..][..*numbers].iter().enumerate() {
                                sums[(group as usize + number) * width + feature] +=
                                    share * f64::from(*value);
                            }
                        });
                    }
                }
                Body::Linear(weights) => {
                    for (feature, weights) in weights.chunks_exact(outputs).enumerate() {
                        // The bias stands where the next feature would.
                        let value = x.get(feature).copied().unwrap_or(1.0);
                        if !value.is_nan() {
                            for (group, weight) in weights.iter().enumerate() {
                                sums[group * width + feature] += f64::from(value * weight);
                            }
                        }
                    }
                }
            }
            told.iter_mut().zip(sums).for_each(|(told, sum)| *told = sum as f32);
        }
        all
    }
}

impl boosted::Booster for Booster {
    type Value = f32;
    const PLATFORM: &'static str = "xgboost";

    fn features(&self) -> usize {
        self.features
    }

    fn feature_names(&self) -> Option<&[Arc<str>]> {
        self.feature_names.as_deref()
    }

    fn specs(&self) -> Vec<Spec> {
        let outputs = self.outputs();
        let several: SmallVec<[usize; 2]> =
            if outputs > 1 { [outputs].into_iter().collect() } else { SmallVec::new() };
        let one = if self.objective.transform.gives_one() { SmallVec::new() } else { several.clone() };
        let mut specs = vec![
            Spec { method: Method::Predict, dtype: DType::Float, dims: one },
            Spec { method: Method::Raw, dtype: DType::Float, dims: several.clone() },
        ];
        let explains = match &self.body {
            Body::Trees { forest, .. } => {
                let dims = [forest.trees()].into_iter().collect();
                specs.push(Spec { method: Method::Leaf, dtype: DType::Int32, dims });
                forest.explains()
            }
            Body::Linear(_) => true,
        };
        if explains {
            let dims = several.into_iter().chain([self.features + 1]).collect();
            specs.push(Spec { method: Method::Contributions, dtype: DType::Float, dims });
        }
        specs
    }

    /// Source: `Booster._validate_features` and `Learner::ValidateDMatrix`.
    fn wrong_width(&self, width: usize) -> String {
        format!("Feature shape mismatch, expected: {}, got {width}", self.features)
    }

    fn compute(&self, method: Method, x: &[f32], rows: usize) -> Result<Elements, RunError> {
        // Source: `SparsePage::Push`.
        if x.iter().any(|value| value.is_infinite()) {
            return Err(RunError::InvalidInput(
                "Input data contains `inf` or a value too large, while `missing` is not set to `inf`"
                    .to_owned(),
            ));
        }
        Ok(match method {
            Method::Predict => self.objective.transform.apply(self.margins(x, rows), self.outputs()).into(),
            Method::Raw => self.margins(x, rows).into(),
            Method::Leaf => self.leaves(x, rows).into(),
            Method::Contributions => self.contributions(x, rows).into(),
        })
    }
}
