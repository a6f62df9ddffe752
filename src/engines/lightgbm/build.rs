//! A booster from what its file says.

use std::sync::Arc;

use super::objective::Transform;
use super::{Booster, Linear, ModelError};
use crate::engines::trees::{Forest, Members, MembersId, Node, Test};
use crate::formats::trees::lightgbm::{CATEGORICAL, DEFAULT_LEFT, Model, Tree};

/// How a split's missing values are told, in the third and fourth bit of its decision.
/// Source: `MissingType`.
const MISSING_NONE: u8 = 0;
const MISSING_ZERO: u8 = 1;
const MISSING_NAN: u8 = 2;

fn refuse(place: impl Into<String>, why: impl Into<String>) -> ModelError {
    ModelError::Model { place: place.into(), why: why.into() }
}

pub(super) fn build(mut model: Model, iterations: Option<usize>) -> Result<Booster, ModelError> {
    let outputs = model.trees_per_iteration;
    if outputs == 0 || !model.trees.len().is_multiple_of(outputs) || (model.trees.is_empty() && outputs > 1) {
        let why = format!("is {outputs}, but there are {} trees", model.trees.len());
        return Err(refuse("num_tree_per_iteration", why));
    }
    if let Some(iterations) = iterations {
        model.trees.truncate(iterations.saturating_mul(outputs));
    }
    if model.feature_names.len() != model.features {
        let why = format!("has {} names for {} features", model.feature_names.len(), model.features);
        return Err(refuse("feature_names", why));
    }
    let transform = Transform::of(model.objective.as_deref()).map_err(|why| refuse("objective", why))?;
    let mut booster = Booster {
        forest: Forest::new(model.features),
        feature_names: model.feature_names.iter().map(|name| Arc::from(name.as_str())).collect(),
        numbers: Vec::new(),
        values: Vec::new(),
        linear: Vec::new(),
        outputs,
        means: vec![0.0; outputs],
        divisor: 1.0,
        transform,
    };
    let linear = model.trees.iter().any(|tree| tree.linear.is_some());
    // A tree of one leaf needs no counts.
    let covered = model.trees.iter().all(|tree| tree.split_counts.len() == tree.features.len());
    for (number, tree) in model.trees.iter().enumerate() {
        add(&mut booster, number, tree, linear, covered)?;
    }
    #[allow(clippy::cast_precision_loss, reason = "a number of iterations")]
    if model.average && !model.trees.is_empty() {
        booster.divisor = (model.trees.len() / outputs) as f64;
    }
    if booster.forest.explains() {
        for tree in 0..booster.forest.trees() {
            let (values, mean) = (&booster.values, &mut booster.means[tree % outputs]);
            booster.forest.shares(tree, |leaf, share| *mean += share * values[leaf]);
        }
    }
    Ok(booster)
}

fn add(
    booster: &mut Booster,
    number: usize,
    tree: &Tree,
    linear: bool,
    covered: bool,
) -> Result<(), ModelError> {
    let place = || format!("tree {number}");
    let (features, splits) = (booster.forest.features(), tree.features.len());
    // Each set once, however many splits name it.
    let sets = tree.boundaries.windows(2).map(|ends| Members::Words(tree.words[ends[0]..ends[1]].into()));
    let sets: Vec<MembersId> = sets.map(|set| booster.forest.keep(set)).collect();
    let mut nodes = Vec::with_capacity(splits + tree.leaves.len());
    for i in 0..splits {
        let test = test(tree, &sets, i).map_err(|why| refuse(place(), why))?;
        // Splits come first here, then leaves, whose numbers are complements in the file.
        let child = |child: i64| {
            if child < 0 { i64::try_from(splits).unwrap_or(i64::MAX).saturating_add(!child) } else { child }
        };
        let known =
            |child: i64| child >= 0 || usize::try_from(!child).is_ok_and(|leaf| leaf < tree.leaves.len());
        if let Some(child) = [tree.left[i], tree.right[i]].into_iter().find(|&child| !known(child)) {
            return Err(refuse(
                place(),
                format!("has child {child} at split {i}, but only {} leaves", tree.leaves.len()),
            ));
        }
        if let Some(child) = [tree.left[i], tree.right[i]]
            .into_iter()
            .find(|&child| child >= 0 && child.unsigned_abs() >= splits as u64)
        {
            return Err(refuse(place(), format!("has child {child} at split {i}, but only {splits} splits")));
        }
        let (left, right) = (child(tree.left[i]), child(tree.right[i]));
        nodes.push(Node::Split {
            feature: tree.features[i],
            test,
            missing_left: missing_left(tree, i),
            left,
            right,
        });
    }
    nodes.resize(splits + tree.leaves.len(), Node::Leaf);
    let wrong = |source| ModelError::Tree { tree: number, source };
    let leaves = if covered {
        let mut covers = tree.split_counts.clone();
        covers.extend_from_slice(if splits == 0 { &[1.0] } else { &tree.leaf_counts });
        booster.forest.add_covered(&nodes, &covers).map_err(wrong)?
    } else {
        booster.forest.add(&nodes).map_err(wrong)?
    };
    // Where the terms of each leaf begin.
    let starts: Vec<usize> = tree
        .linear
        .iter()
        .flat_map(|linear| &linear.counts)
        .scan(0, |at, &count| {
            let start = *at;
            *at += count;
            Some(start)
        })
        .collect();
    for &leaf in leaves {
        let leaf = leaf as usize - splits;
        let value = tree.leaves[leaf];
        if !value.is_finite() {
            return Err(refuse(place(), format!("holds {value} at leaf {leaf}")));
        }
        #[allow(clippy::cast_possible_truncation, reason = "a leaf of a forest, which has 32 bits of them")]
        booster.numbers.push(leaf as u32);
        booster.values.push(value);
        if !linear {
            continue;
        }
        let Some(functions) = &tree.linear else {
            booster.linear.push(None);
            continue;
        };
        let constant = functions.constants[leaf];
        let range = starts[leaf]..starts[leaf] + functions.counts[leaf];
        let term = |(&feature, &coefficient): (&usize, &f64)| {
            let column = u32::try_from(feature).ok().filter(|_| feature < features);
            column.filter(|_| coefficient.is_finite()).map(|column| (column, coefficient))
        };
        let terms: Option<_> =
            functions.features[range.clone()].iter().zip(&functions.coefficients[range]).map(term).collect();
        let Some(terms) = terms.filter(|_| constant.is_finite()) else {
            return Err(refuse(
                place(),
                format!(
                    "has a linear function at leaf {leaf} of a column that is not there, or of what is no number"
                ),
            ));
        };
        booster.linear.push(Some(Linear { constant, terms }));
    }
    Ok(())
}

/// Source: `Tree::NumericalDecision` and `Tree::CategoricalDecision`.
fn test(tree: &Tree, sets: &[MembersId], i: usize) -> Result<Test, String> {
    let (threshold, decision) = (tree.thresholds[i], tree.decisions[i]);
    if decision & CATEGORICAL == 0 {
        return match missing_type(tree, i) {
            MISSING_ZERO => Ok(Test::AtMostButZero(threshold)),
            MISSING_NONE | MISSING_NAN => Ok(Test::AtMost(threshold)),
            _ => Err(format!("has decision_type {decision} at split {i}")),
        };
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked, and whole in a good file"
    )]
    let set = (threshold >= 0.0).then_some(threshold as usize).and_then(|set| sets.get(set));
    match set {
        // A negative value is truncated before it is looked at.
        Some(&members) => Ok(Test::In { members, left: true, truncated: true }),
        None => Err(format!("names categories {threshold} at split {i}, of {}", sets.len())),
    }
}

fn missing_type(tree: &Tree, i: usize) -> u8 {
    tree.decisions[i] >> 2 & 3
}

fn missing_left(tree: &Tree, i: usize) -> bool {
    let decision = tree.decisions[i];
    if decision & CATEGORICAL != 0 {
        return false;
    }
    match missing_type(tree, i) {
        // NaN counts as 0.
        MISSING_NONE => 0.0 <= tree.thresholds[i],
        _ => decision & DEFAULT_LEFT != 0,
    }
}
