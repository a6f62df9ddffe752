//! A booster from what its file says.

use std::sync::Arc;

use super::objective::{Objective, Transform};
use super::{Body, Booster, Count, ModelError};
use crate::engines::trees::{Forest, Members, Node, Test};
use crate::formats::trees::xgboost::{self as format, LeafWeights, Model, Tree};

fn refuse(place: impl Into<String>, why: impl Into<String>) -> ModelError {
    ModelError::Model { place: place.into(), why: why.into() }
}

pub(super) fn build(model: Model, count: Count) -> Result<Booster, ModelError> {
    let Some(objective) = Objective::named(&model.objective) else {
        return Err(refuse(
            "objective",
            format!("is {:?}, which is none of XGBoost's that are known here", model.objective),
        ));
    };
    if model.features == 0 || u32::try_from(model.features).is_err() {
        return Err(refuse("num_feature", format!("is {}; expected 1 to {}", model.features, u32::MAX)));
    }
    if !model.feature_names.is_empty() && model.feature_names.len() != model.features {
        let why = format!("has {} names for {} features", model.feature_names.len(), model.features);
        return Err(refuse("feature_names", why));
    }
    let outputs = model.classes.max(model.targets).max(1);
    if matches!(objective.transform, Transform::Softmax | Transform::Softprob) && model.classes == 0 {
        return Err(refuse("num_class", format!("is 0, but the objective is {}", model.objective)));
    }
    let base = base(&model, objective, outputs)?;
    let feature_names = (!model.feature_names.is_empty())
        .then(|| model.feature_names.iter().map(|name| Arc::from(name.as_str())).collect());
    let body = match model.booster {
        format::Booster::Linear(weights) => {
            let needed = model.features.checked_add(1).and_then(|columns| columns.checked_mul(outputs));
            if needed != Some(weights.len()) {
                let why = format!(
                    "has {} numbers for {} features and {outputs} outputs",
                    weights.len(),
                    model.features
                );
                return Err(refuse("weights", why));
            }
            if let Some(weight) = weights.iter().find(|weight| !weight.is_finite()) {
                return Err(refuse("weights", format!("holds {weight}")));
            }
            Body::Linear(weights)
        }
        format::Booster::Trees { mut trees, groups, weights, iterations: starts, parallel } => {
            // Source: `XGBModel._get_iteration_range`.
            let best = model.attributes.get("best_iteration").and_then(|text| text.parse::<usize>().ok());
            if let (Count::Best, Some(best)) = (count, best) {
                let iterations = best.saturating_add(1);
                trees.truncate(first_trees(iterations, &starts, parallel, outputs, &trees));
            }
            forest(model.features, outputs, &trees, groups, &weights)?
        }
    };
    let means = means(&base, &body);
    Ok(Booster { features: model.features, feature_names, base, means, objective, body })
}

/// What the sums are on average. Those of a linear model start from their base; its
/// biases are told as weights are.
fn means(base: &[f32], body: &Body) -> Vec<f64> {
    let mut means: Vec<f64> = base.iter().map(|&base| f64::from(base)).collect();
    let Body::Trees { forest, values, width, groups } = body else { return means };
    if forest.explains() {
        for (tree, &group) in groups.iter().enumerate() {
            forest.shares(tree, |leaf, share| {
                for (number, value) in values[leaf * width..][..*width].iter().enumerate() {
                    means[group as usize + number] += share * f64::from(*value);
                }
            });
        }
    }
    means
}

/// What each sum starts from.
fn base(model: &Model, objective: Objective, outputs: usize) -> Result<Vec<f32>, ModelError> {
    let scores = &model.base_score;
    let mut margins = objective.link.margins(scores);
    if matches!(model.booster, format::Booster::Linear(_)) {
        // The first is every output's there. Source: `GBLinear::PredictBatchInternal`.
        margins.truncate(1);
    }
    if let Some(i) = margins.iter().position(|margin| !margin.is_finite()) {
        return Err(refuse(
            "base_score",
            format!("is {}, which {} cannot start from", scores[i], model.objective),
        ));
    }
    match margins.len() {
        1 => {
            // What a tree or a weight for each output justifies: there is at least one.
            let parts = match &model.booster {
                format::Booster::Trees { trees, .. } => {
                    trees.iter().fold(0usize, |all, tree| all.saturating_add(tree.leaf_width))
                }
                format::Booster::Linear(weights) => weights.len(),
            };
            if outputs > parts.max(1) {
                let why = format!("is {outputs}, but the model has no more than {parts} parts");
                return Err(refuse("num_class", why));
            }
            Ok(margins.repeat(outputs))
        }
        scores if scores == outputs => Ok(margins),
        scores => Err(refuse("base_score", format!("has {scores} numbers for {outputs} outputs"))),
    }
}

/// How many trees so many iterations have.
fn first_trees(
    iterations: usize,
    starts: &[usize],
    parallel: usize,
    outputs: usize,
    trees: &[Tree],
) -> usize {
    if let Some(&start) = starts.get(iterations) {
        return start;
    }
    let several = trees.first().is_some_and(|tree| tree.leaf_width > 1);
    let one = parallel.saturating_mul(if several { 1 } else { outputs });
    iterations.saturating_mul(one)
}

fn forest(
    features: usize,
    outputs: usize,
    trees: &[Tree],
    mut groups: Vec<u32>,
    weights: &[f32],
) -> Result<Body, ModelError> {
    let width = trees.first().map_or(1, |tree| tree.leaf_width);
    if width != 1 && width != outputs {
        return Err(refuse("size_leaf_vector", format!("is {width}, but there are {outputs} outputs")));
    }
    groups.truncate(trees.len());
    let groups_end = if width == 1 { outputs } else { 1 };
    if let Some(i) = groups.iter().position(|&group| group as usize >= groups_end) {
        return Err(refuse("tree_info", format!("names output {} at {i}, of {groups_end}", groups[i])));
    }
    let mut forest = Forest::new(features);
    let mut values = Vec::new();
    let covered = trees.iter().all(|tree| !tree.covers.is_empty());
    for (number, tree) in trees.iter().enumerate() {
        if tree.leaf_width != width {
            let why = format!("has leaves of {} numbers, where {width} are expected", tree.leaf_width);
            return Err(refuse(format!("trees[{number}]"), why));
        }
        let nodes = nodes(tree, &mut forest);
        let wrong = |source| ModelError::Tree { tree: number, source };
        let leaves = match covered {
            true => {
                let covers: Vec<f64> = tree.covers.iter().map(|&cover| f64::from(cover)).collect();
                forest.add_covered(&nodes, &covers).map_err(wrong)?
            }
            false => forest.add(&nodes).map_err(wrong)?,
        };
        let weight = weights.get(number).copied().unwrap_or(1.0);
        for &leaf in leaves {
            let leaf = leaf as usize;
            let Some(held) = held(tree, leaf) else {
                return Err(refuse(
                    format!("trees[{number}]"),
                    format!("has no leaf_weights at node {leaf}"),
                ));
            };
            for value in held {
                let value = value * weight;
                if !value.is_finite() {
                    return Err(refuse(format!("trees[{number}]"), format!("holds {value} at leaf {leaf}")));
                }
                values.push(value);
            }
        }
    }
    Ok(Body::Trees { forest: Box::new(forest), values, width, groups })
}

/// The numbers of a leaf.
fn held(tree: &Tree, leaf: usize) -> Option<&[f32]> {
    let at = |values, place: usize| -> Option<&[f32]> {
        let values: &Vec<f32> = values;
        let start = place.checked_mul(tree.leaf_width)?;
        values.get(start..start.checked_add(tree.leaf_width)?)
    };
    match &tree.leaf_weights {
        LeafWeights::Conditions => at(&tree.conditions, leaf),
        LeafWeights::ByNode(values) => at(values, leaf),
        LeafWeights::ByLeaf(values) => at(values, usize::try_from(tree.right[leaf]).ok()?),
    }
}

/// Source: `RegTree` and `GetNextNode`.
fn nodes(tree: &Tree, forest: &mut Forest<f32>) -> Vec<Node> {
    let mut categories = tree.categories.iter().peekable();
    let node = |i: usize| {
        let among = categories.next_if(|(node, _)| *node == i);
        if tree.left[i] == -1 {
            return Node::Leaf;
        }
        let test = match among {
            Some((_, right)) => Test::In {
                members: forest.keep(Members::from_list(right.clone())),
                left: false,
                truncated: false,
            },
            None => Test::Below(f64::from(tree.conditions[i])),
        };
        Node::Split {
            feature: tree.features[i],
            test,
            missing_left: tree.default_left[i],
            left: i64::from(tree.left[i]),
            right: i64::from(tree.right[i]),
        }
    };
    (0..tree.left.len()).map(node).collect()
}
