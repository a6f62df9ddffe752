//! LightGBM's models, with the library's numbers: doubles, added up in the order of the trees.

mod build;
mod objective;

use std::sync::Arc;

use smallvec::SmallVec;

use self::objective::Transform;
use super::boosted::{self, Method, Spec};
use super::trees::{Forest, TreeError};
use crate::formats::trees::lightgbm::{self as format, LightgbmError};
use crate::servable::RunError;
use crate::tensor::{DType, Elements};

/// Why a file is no model that can be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It is no file of LightGBM's, or one that is not read.
    #[error(transparent)]
    Format(#[from] LightgbmError),
    /// A tree is none. Its splits come first, then its leaves.
    #[error("tree {tree} {source}")]
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

/// A model of LightGBM's.
#[derive(Debug)]
pub(super) struct Booster {
    forest: Forest<f64>,
    feature_names: Vec<Arc<str>>,
    /// Of each leaf, its number in its tree.
    numbers: Vec<u32>,
    /// Of each leaf.
    values: Vec<f64>,
    /// Functions of the row in the place of values. Empty where no tree has them.
    linear: Vec<Option<Linear>>,
    /// Sums of a row; the trees of an iteration stand one after the other.
    outputs: usize,
    /// What each sum is on average over the training data, where contributions are told.
    means: Vec<f64>,
    /// What sums are divided by before they become predictions: the iterations of a random forest.
    divisor: f64,
    transform: Transform,
}

/// What a leaf of a linear tree adds, unless a value that it looks at is missing.
#[derive(Debug)]
struct Linear {
    constant: f64,
    /// Columns and their coefficients.
    terms: Box<[(u32, f64)]>,
}

impl Linear {
    /// Source: `Tree::Predict`.
    fn at(&self, row: &[f64]) -> Option<f64> {
        let mut sum = self.constant;
        for &(feature, coefficient) in &self.terms {
            let value = row[feature as usize];
            if value.is_nan() {
                return None;
            }
            sum += coefficient * value;
        }
        Some(sum)
    }
}

impl Booster {
    /// Reads a file, which is also what a pickled `Booster` holds. Of the trees only those
    /// of the first `iterations` count, if that is given.
    pub(super) fn read(file: &[u8], iterations: Option<usize>) -> Result<Self, ModelError> {
        build::build(format::read(file)?, iterations)
    }

    /// `[rows, outputs]`: the sums.
    fn raw(&self, x: &[f64], rows: usize) -> Vec<f64> {
        let (outputs, features) = (self.outputs, self.forest.features());
        let mut raw = vec![0.0; rows * outputs];
        if !self.linear.is_empty() {
            self.forest.walk(x, |row, tree, leaf| {
                let linear =
                    self.linear[leaf].as_ref().and_then(|linear| linear.at(&x[row * features..][..features]));
                raw[row * outputs + tree % outputs] += linear.unwrap_or(self.values[leaf]);
            });
        } else if outputs == 1 {
            self.forest.walk(x, |row, _, leaf| raw[row] += self.values[leaf]);
        } else {
            self.forest.walk(x, |row, tree, leaf| raw[row * outputs + tree % outputs] += self.values[leaf]);
        }
        raw
    }

    /// `[rows, trees]`.
    fn leaves(&self, x: &[f64], rows: usize) -> Vec<i32> {
        let trees = self.forest.trees();
        let mut leaves = vec![0; rows * trees];
        self.forest.walk(x, |row, tree, leaf| leaves[row * trees + tree] = self.numbers[leaf].cast_signed());
        leaves
    }

    /// `[rows, outputs, features + 1]`; the last of each is what the sum is without features.
    fn contributions(&self, x: &[f64], rows: usize) -> Vec<f64> {
        let (features, width) = (self.forest.features(), self.forest.features() + 1);
        let mut all = vec![0.0; rows * self.outputs * width];
        for (x, sums) in x.chunks_exact(features).zip(all.chunks_exact_mut(self.outputs * width)) {
            for (sum, mean) in sums.chunks_exact_mut(width).zip(&self.means) {
                sum[features] = *mean;
            }
            for tree in 0..self.forest.trees() {
                let sum = &mut sums[tree % self.outputs * width..][..width];
                self.forest
                    .contributions(tree, x, |feature, leaf, share| sum[feature] += share * self.values[leaf]);
            }
        }
        all
    }
}

impl boosted::Booster for Booster {
    type Value = f64;
    const PLATFORM: &'static str = "lightgbm";

    fn features(&self) -> usize {
        self.forest.features()
    }

    fn feature_names(&self) -> Option<&[Arc<str>]> {
        Some(&self.feature_names)
    }

    fn specs(&self) -> Vec<Spec> {
        let several: SmallVec<[usize; 2]> =
            if self.outputs > 1 { [self.outputs].into_iter().collect() } else { SmallVec::new() };
        let trees = [self.forest.trees()].into_iter().collect();
        let mut specs = vec![
            Spec { method: Method::Predict, dtype: DType::Double, dims: several.clone() },
            Spec { method: Method::Raw, dtype: DType::Double, dims: several },
            Spec { method: Method::Leaf, dtype: DType::Int32, dims: trees },
        ];
        // The library tells no contributions of linear trees.
        if self.forest.explains() && self.linear.is_empty() {
            // One class after the other in one row, as the library has them.
            let dims = [self.outputs * (self.features() + 1)].into_iter().collect();
            specs.push(Spec { method: Method::Contributions, dtype: DType::Double, dims });
        }
        specs
    }

    /// Source: `LGBM_BoosterPredictForMat`.
    fn wrong_width(&self, width: usize) -> String {
        format!(
            "The number of features in data ({width}) is not the same as it was in training data ({}).",
            self.features()
        )
    }

    fn compute(&self, method: Method, x: &[f64], rows: usize) -> Result<Elements, RunError> {
        Ok(match method {
            Method::Predict => {
                let mut sums = self.raw(x, rows);
                if self.divisor != 1.0 {
                    sums.iter_mut().for_each(|sum| *sum /= self.divisor);
                }
                self.transform.apply(&mut sums, self.outputs);
                sums.into()
            }
            Method::Raw => self.raw(x, rows).into(),
            Method::Leaf => self.leaves(x, rows).into(),
            Method::Contributions => self.contributions(x, rows).into(),
        })
    }
}
