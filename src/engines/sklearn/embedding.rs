//! `RandomTreesEmbedding`: which leaf of each tree a sample falls into, one column a leaf.

use ndarray::ArrayView2;

use super::forest::{Shape, read};
use super::registry::Row;
use super::samples::{Csr, Frame, Samples};
use super::state::Part;
use super::tree::{Trees, path_specs, single};
use super::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// The classes that are built here.
pub(super) const ROWS: &[Row] =
    &[Row::new("sklearn.ensemble", "RandomTreesEmbedding", &["_forest", "forest"], build)];

const ENCODERS: [&str; 1] = ["sklearn.preprocessing._encoders"];

#[derive(Debug)]
struct Embedding {
    facts: Facts,
    trees: Trees,
    /// The column of each leaf, by its number.
    columns: Vec<u32>,
    width: usize,
    sparse: bool,
}

/// Source: `sklearn.ensemble.RandomTreesEmbedding`.
fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const ENCODER: &str = "one_hot_encoder_";
    const CATEGORIES: &str = "categories_";
    let (trees, dimensions, nan) = read(part, &["ExtraTreeRegressor"], false)?;
    let encoder = part.within(ENCODER, &ENCODERS, "OneHotEncoder")?;
    let categories = encoder.list(CATEGORIES)?;
    let count = trees.forest.trees();
    if categories.len() != count {
        let why = format!("has the leaves of {} trees; expected {count}", categories.len());
        return Err(encoder.refuse(CATEGORIES, why));
    }
    // The encoder's columns: the leaves of each tree, rising.
    let mut first = vec![0usize; count];
    let mut known = Vec::with_capacity(count);
    let mut width = 0usize;
    for (first, leaves) in first.iter_mut().zip(categories) {
        let leaves = encoder.indices_of(CATEGORIES, leaves)?;
        *first = width;
        width += leaves.len();
        known.push(leaves);
    }
    let mut columns = Vec::with_capacity(trees.forest.leaves());
    for (leaf, tree) in trees.tree_of_leaves().enumerate() {
        let node = trees.forest.origin(leaf) as usize;
        let place = known[tree].binary_search(&node).ok();
        let column = place.and_then(|place| u32::try_from(first[tree] + place).ok());
        columns.push(column.ok_or_else(|| {
            encoder.refuse(CATEGORIES, format!("does not have leaf {node} of tree {tree}"))
        })?);
    }
    let n_features = part.n_features(dimensions.features, "estimators_")?;
    let mut methods = vec![Spec::transform(width), Spec::new(Method::Apply, DType::Int64, Some(count))];
    methods.extend(path_specs(&trees, Shape::Many));
    let facts = Facts::new(part, n_features, Check::Single { nan }, methods)?;
    let sparse = part.flag("sparse_output", true)?;
    Ok(Box::new(Embedding { facts, trees, columns, width, sparse }))
}

impl Embedding {
    fn embed(&self, x: ArrayView2<'_, f64>) -> Csr {
        let (rows, count) = (x.nrows(), self.trees.forest.trees());
        let mut places = vec![0u32; rows * count];
        self.trees
            .forest
            .walk(&single(&x), |row, tree, leaf| places[row * count + tree] = self.columns[leaf]);
        let mut embedded = Csr::new(self.width);
        places.chunks_exact(count).for_each(|row| embedded.push_row(row.iter().map(|&column| (column, 1.0))));
        embedded
    }
}

impl Estimator for Embedding {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.nrows(), self.trees.forest.trees())?;
        for &method in wanted {
            let elements = match method {
                Method::Apply => self.trees.apply(&single(&x), x.nrows()).into(),
                Method::DecisionPath => self.trees.paths(&single(&x), x.nrows()).into(),
                Method::PathStarts => self.trees.path_starts(x.nrows()).into(),
                _ => self.embed(x).dense(0..x.nrows()).into_raw_vec_and_offset().0.into(),
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        bounded(self.facts.class, x.rows(), self.trees.forest.trees())?;
        let dense = x.to_dense(self.facts.class)?;
        let embedded = self.embed(dense.view());
        if self.sparse {
            return Ok(Frame::Sparse(embedded));
        }
        Samples::Sparse(&embedded).to_dense(self.facts.class).map(Frame::Dense)
    }
}
