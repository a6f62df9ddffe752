//! An ensemble of trees: nodes from attributes, scores from leaves.

use std::collections::HashMap;

use bytes::Bytes;
use ndarray::NdFloat;

use super::super::attributes::Attributes;
use crate::engines::trees::{Forest, Node, Real, Test};

/// What trees compare and add up: `f32`, or `f64` where the model's numbers are doubles.
pub(super) trait Number: Real + NdFloat + Default {
    /// The nearest number.
    fn of(value: f64) -> Self;
}

impl Number for f32 {
    #[allow(clippy::cast_possible_truncation, reason = "the nearest number")]
    fn of(value: f64) -> Self {
        value as Self
    }
}

impl Number for f64 {
    fn of(value: f64) -> Self {
        value
    }
}

/// How a node asks, by the specification's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Leaf,
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    Unequal,
    Member,
}

impl Mode {
    fn named(name: &Bytes) -> Result<Self, String> {
        Ok(match &name[..] {
            b"LEAF" => Self::Leaf,
            b"BRANCH_LEQ" => Self::AtMost,
            b"BRANCH_LT" => Self::Below,
            b"BRANCH_GTE" => Self::AtLeast,
            b"BRANCH_GT" => Self::Above,
            b"BRANCH_EQ" => Self::Equal,
            b"BRANCH_NEQ" => Self::Unequal,
            other => {
                return Err(format!(
                    "a node's mode is {:?}; it is none that is known",
                    String::from_utf8_lossy(other)
                ));
            }
        })
    }

    /// Of `TreeEnsemble`, which has numbers.
    pub(super) fn number(number: u8) -> Result<Self, String> {
        let modes =
            [Self::AtMost, Self::Below, Self::AtLeast, Self::Above, Self::Equal, Self::Unequal, Self::Member];
        modes
            .get(usize::from(number))
            .copied()
            .ok_or_else(|| format!("a node's mode is {number}; it is none that is known"))
    }
}

/// A question as the file states it.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) mode: Mode,
    pub(super) feature: i64,
    pub(super) value: f64,
    /// Of [`Mode::Member`].
    pub(super) members: Vec<f64>,
    /// Whether a missing value is answered with yes.
    pub(super) missing_yes: bool,
    pub(super) yes: i64,
    pub(super) no: i64,
}

impl Question {
    /// The node that asks it. Its numbers were rounded to `T`.
    pub(super) fn node<T: Number>(self, forest: &mut Forest<T>) -> Node {
        let never = Test::Below(f64::NEG_INFINITY);
        let is_nan = self.value.is_nan();
        // `at most` is what the forest asks; what is the other way round swaps its children.
        let (test, swapped) = match self.mode {
            Mode::AtMost if is_nan => (never, false),
            Mode::Below if is_nan => (never, false),
            Mode::AtLeast | Mode::Above if is_nan => (Test::AtMost(f64::INFINITY), true),
            Mode::Leaf | Mode::AtMost => (Test::AtMost(self.value), false),
            Mode::Below => (Test::Below(self.value), false),
            Mode::AtLeast => (Test::Below(self.value), true),
            Mode::Above => (Test::AtMost(self.value), true),
            Mode::Equal => (Test::OneOf(forest.keep_numbers(vec![self.value])), false),
            Mode::Unequal => (Test::OneOf(forest.keep_numbers(vec![self.value])), true),
            Mode::Member => (Test::OneOf(forest.keep_numbers(self.members)), false),
        };
        let (left, right) = if swapped { (self.no, self.yes) } else { (self.yes, self.no) };
        // NaN differs from every number, whatever is said of missing values.
        let missing_yes = self.missing_yes || self.mode == Mode::Unequal;
        Node::Split { feature: self.feature, test, missing_left: missing_yes != swapped, left, right }
    }
}

/// What leaves add to scores.
#[derive(Debug)]
enum Leaves<T> {
    /// To the only score, or all to the same.
    One { target: usize, weights: Vec<T> },
    /// Each to one of them.
    Each { targets: Vec<u32>, weights: Vec<T> },
    /// Each to all of them, row by row.
    All(Vec<T>),
    /// Each to some.
    Some { starts: Vec<u32>, targets: Vec<u32>, weights: Vec<T> },
}

/// How a score is made of its leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Aggregate {
    Average,
    #[default]
    Sum,
    Min,
    Max,
}

impl Aggregate {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, String> {
        match attributes.text("aggregate_function")? {
            None | Some("SUM") => Ok(Self::Sum),
            Some("AVERAGE") => Ok(Self::Average),
            Some("MIN") => Ok(Self::Min),
            Some("MAX") => Ok(Self::Max),
            Some(other) => Err(format!("aggregate_function {other:?} is none that is known")),
        }
    }

    pub(super) fn number(number: i64) -> Result<Self, String> {
        let known = [Self::Average, Self::Sum, Self::Min, Self::Max];
        let found = usize::try_from(number).ok().and_then(|at| known.get(at).copied());
        found.ok_or_else(|| format!("aggregate_function {number} is none that is known"))
    }
}

/// The trees, and what their leaves add.
#[derive(Debug)]
pub(super) struct Ensemble<T: Real> {
    pub(super) forest: Forest<T>,
    leaves: Leaves<T>,
    /// How many scores there are.
    pub(super) targets: usize,
}

/// The scores of some rows before anything is done with them.
#[derive(Debug)]
pub(super) struct Scores<T> {
    /// `[rows, targets]`.
    pub(super) values: Vec<T>,
    /// For each, whether a leaf said anything of it. Empty when all were told of.
    pub(super) told: Vec<bool>,
}

/// A weight of a leaf: its target and how much.
pub(super) type Weight = (usize, f64);

impl<T: Number> Ensemble<T> {
    /// `trees` are nodes and, for each node, the number of its leaf in `weights`.
    pub(super) fn new(
        forest: Forest<T>,
        leaf_of: &[usize],
        weights: &[Vec<Weight>],
        targets: usize,
    ) -> Result<Self, String> {
        let all = || leaf_of.iter().flat_map(|&leaf| &weights[leaf]);
        if let Some((target, _)) = all().find(|(target, _)| *target >= targets) {
            return Err(format!("a leaf adds to score {target}; there are {targets}"));
        }
        let first = all().next().map_or(0, |(target, _)| *target);
        let are_single =
            leaf_of.iter().all(|&leaf| matches!(weights[leaf][..], [(target, _)] if target == first));
        let is_full = |list: &[Weight]| {
            list.len() == targets && list.iter().enumerate().all(|(at, (target, _))| at == *target)
        };
        let leaves = if are_single {
            let weights = leaf_of.iter().map(|&leaf| T::of(weights[leaf][0].1)).collect();
            Leaves::One { target: first, weights }
        } else if leaf_of.iter().all(|&leaf| weights[leaf].len() == 1) {
            let target =
                |(target, _): &Weight| u32::try_from(*target).map_err(|_| "there are too many scores");
            Leaves::Each {
                targets: all().map(target).collect::<Result<_, _>>()?,
                weights: all().map(|(_, weight)| T::of(*weight)).collect(),
            }
        } else if leaf_of.iter().all(|&leaf| is_full(&weights[leaf])) {
            Leaves::All(all().map(|(_, weight)| T::of(*weight)).collect())
        } else {
            let mut starts = vec![0u32];
            let (mut of, mut amounts) = (Vec::new(), Vec::new());
            for &leaf in leaf_of {
                for &(target, weight) in &weights[leaf] {
                    of.push(u32::try_from(target).map_err(|_| "there are too many scores")?);
                    amounts.push(T::of(weight));
                }
                starts.push(u32::try_from(of.len()).map_err(|_| "there are too many weights")?);
            }
            Leaves::Some { starts, targets: of, weights: amounts }
        };
        Ok(Self { forest, leaves, targets })
    }

    /// The scores of rows that are `width` wide, which is at least as wide as there are features.
    pub(super) fn scores(&self, x: &[T], width: usize, rows: usize, aggregate: Aggregate) -> Scores<T> {
        let targets = self.targets;
        let mut values = vec![T::zero(); rows * targets];
        match (&self.leaves, aggregate) {
            (Leaves::One { weights, .. }, Aggregate::Sum | Aggregate::Average) if targets == 1 => {
                self.forest.walk_wide(x, width, |row, _, leaf| values[row] += weights[leaf]);
            }
            // As of boosting for two classes: one sum, beside scores that nobody tells of.
            (Leaves::One { target, weights }, Aggregate::Sum | Aggregate::Average) => {
                let mut sums = vec![T::zero(); rows];
                self.forest.walk_wide(x, width, |row, _, leaf| sums[row] += weights[leaf]);
                let mut told = vec![false; values.len()];
                for (row, sum) in sums.into_iter().enumerate() {
                    values[row * targets + target] = sum;
                    told[row * targets + target] = self.forest.trees() > 0;
                }
                return Scores { values, told };
            }
            (Leaves::Each { targets: of, weights }, Aggregate::Sum | Aggregate::Average) => {
                let mut told = vec![false; values.len()];
                self.forest.walk_wide(x, width, |row, _, leaf| {
                    let at = row * targets + of[leaf] as usize;
                    values[at] += weights[leaf];
                    told[at] = true;
                });
                return Scores { values, told };
            }
            (Leaves::All(weights), Aggregate::Sum | Aggregate::Average) => {
                self.forest.walk_wide(x, width, |row, _, leaf| {
                    let weights = &weights[leaf * targets..][..targets];
                    let values = &mut values[row * targets..][..targets];
                    values.iter_mut().zip(weights).for_each(|(value, weight)| *value += *weight);
                });
            }
            _ => return self.scores_of_some(x, width, values, aggregate),
        }
        Scores {
            values,
            told: if self.forest.trees() == 0 { vec![false; rows * targets] } else { Vec::new() },
        }
    }

    fn scores_of_some(&self, x: &[T], width: usize, mut values: Vec<T>, aggregate: Aggregate) -> Scores<T> {
        let targets = self.targets;
        let mut told = vec![false; values.len()];
        let mut add = |at: usize, weight: T| {
            let value = &mut values[at];
            *value = match aggregate {
                Aggregate::Sum | Aggregate::Average => *value + weight,
                Aggregate::Min if told[at] && *value <= weight => *value,
                Aggregate::Max if told[at] && *value >= weight => *value,
                Aggregate::Min | Aggregate::Max => weight,
            };
            told[at] = true;
        };
        self.forest.walk_wide(x, width, |row, _, leaf| match &self.leaves {
            Leaves::One { target, weights } => add(row * targets + target, weights[leaf]),
            Leaves::Each { targets: of, weights } => add(row * targets + of[leaf] as usize, weights[leaf]),
            Leaves::All(weights) => {
                let weights = weights[leaf * targets..][..targets].iter().enumerate();
                weights.for_each(|(target, weight)| add(row * targets + target, *weight));
            }
            Leaves::Some { starts, targets: of, weights } => {
                for at in starts[leaf] as usize..starts[leaf + 1] as usize {
                    add(row * targets + of[at] as usize, weights[at]);
                }
            }
        });
        Scores { values, told }
    }
}

/// The trees of `TreeEnsembleClassifier` and `TreeEnsembleRegressor`. `prefix` is that
/// of the attributes of leaves, `class` or `target`; `double` whether comparisons are
/// made in double precision.
pub(super) fn read<T: Number>(
    attributes: &Attributes<'_>,
    prefix: &str,
    targets: usize,
) -> Result<Ensemble<T>, String> {
    let lacks = |name: &str| format!("attribute {name:?} is missing");
    let ints = |name: &str| Ok::<_, String>(attributes.ints(name)?.unwrap_or_default());
    let (tree_ids, node_ids) = (ints("nodes_treeids")?, ints("nodes_nodeids")?);
    let (features, yes, no) =
        (ints("nodes_featureids")?, ints("nodes_truenodeids")?, ints("nodes_falsenodeids")?);
    let modes = attributes.strings("nodes_modes")?.unwrap_or_default();
    let values = attributes.floats_or_tensor("nodes_values", "nodes_values_as_tensor")?.unwrap_or_default();
    let missing = ints("nodes_missing_value_tracks_true")?;
    attributes.ignore(&["nodes_hitrates", "nodes_hitrates_as_tensor"]);
    let many = node_ids.len();
    for (name, found) in [
        ("nodes_treeids", tree_ids.len()),
        ("nodes_featureids", features.len()),
        ("nodes_truenodeids", yes.len()),
        ("nodes_falsenodeids", no.len()),
        ("nodes_modes", modes.len()),
        ("nodes_values", values.len()),
    ] {
        if found != many {
            return Err(format!("{name} has {found} entries for {many} nodes"));
        }
    }
    if !missing.is_empty() && missing.len() != many {
        return Err(format!(
            "nodes_missing_value_tracks_true has {} entries for {many} nodes",
            missing.len()
        ));
    }
    let mut place: HashMap<(i64, i64), usize> = HashMap::with_capacity(many);
    let mut trees: Vec<Vec<usize>> = Vec::new();
    let mut tree_of: HashMap<i64, usize> = HashMap::new();
    for (at, (&tree, &node)) in tree_ids.iter().zip(node_ids).enumerate() {
        if place.insert((tree, node), at).is_some() {
            return Err(format!("node {node} of tree {tree} is there twice"));
        }
        let number = *tree_of.entry(tree).or_insert_with(|| {
            trees.push(Vec::new());
            trees.len() - 1
        });
        trees[number].push(at);
    }
    // Weights of leaves, in the order in which the file has them.
    let name = |what: &str| format!("{prefix}_{what}");
    let (leaf_trees, leaf_nodes) = (ints(&name("treeids"))?, ints(&name("nodeids"))?);
    let ids = ints(&name("ids"))?;
    let weights = attributes
        .floats_or_tensor(&name("weights"), &name("weights_as_tensor"))?
        .ok_or_else(|| lacks(&name("weights")))?;
    if leaf_trees.len() != ids.len() || leaf_nodes.len() != ids.len() || weights.len() != ids.len() {
        return Err(format!("{prefix}_* have lists of different lengths"));
    }
    let mut of_leaf: Vec<Vec<Weight>> = vec![Vec::new(); many];
    for ((key, &target), &weight) in
        leaf_trees.iter().copied().zip(leaf_nodes.iter().copied()).zip(ids).zip(&weights)
    {
        let at = *place
            .get(&key)
            .ok_or_else(|| format!("a weight is of node {} of tree {}, which is not there", key.1, key.0))?;
        // What is said of inner nodes is never asked for.
        if modes[at] != "LEAF" {
            continue;
        }
        let target = usize::try_from(target).ok().filter(|&target| target < targets);
        let target =
            target.ok_or_else(|| format!("a leaf adds to score {}; there are {targets}", ids[0].max(0)))?;
        of_leaf[at].push((target, weight));
    }
    of_leaf.iter_mut().for_each(|list| list.sort_by_key(|(target, _)| *target));
    let highest =
        features.iter().zip(modes).filter(|(_, mode)| *mode != "LEAF").map(|(feature, _)| *feature).max();
    let width = usize::try_from(highest.unwrap_or(0).saturating_add(1))
        .map_err(|_| "a feature's number is below 0")?;
    let mut forest: Forest<T> = Forest::new(width.max(1));
    let mut leaf_of = Vec::new();
    let mut number_in_tree = vec![0usize; many];
    for (tree, nodes) in trees.iter().enumerate() {
        let mut is_child = vec![false; nodes.len()];
        // The root comes first, whatever the file says.
        nodes.iter().enumerate().for_each(|(number, &at)| number_in_tree[at] = number);
        for &at in nodes.iter().filter(|&&at| modes[at] != "LEAF") {
            for child in [yes[at], no[at]] {
                if let Some(&child) = place.get(&(tree_ids[at], child)) {
                    is_child[number_in_tree[child]] = true;
                }
            }
        }
        let mut roots =
            is_child.iter().enumerate().filter(|(_, is_child)| !**is_child).map(|(number, _)| number);
        let (Some(root), None) = (roots.next(), roots.next()) else {
            return Err(format!("tree {}: expected one node that is nobody's child", tree_ids[nodes[0]]));
        };
        let mut order: Vec<usize> = nodes.clone();
        order.swap(0, root);
        order.iter().enumerate().for_each(|(number, &at)| number_in_tree[at] = number);
        let mut made = Vec::with_capacity(order.len());
        for &at in &order {
            let mode = Mode::named(&modes[at])?;
            if mode == Mode::Leaf {
                made.push(Node::Leaf);
                continue;
            }
            let child = |id: i64| {
                let found = place.get(&(tree_ids[at], id)).map(|&child| number_in_tree[child]);
                let found = found.and_then(|number| i64::try_from(number).ok());
                found.ok_or_else(|| {
                    format!(
                        "node {} of tree {} has child {id}, which is not there",
                        node_ids[at], tree_ids[at]
                    )
                })
            };
            let question = Question {
                mode,
                feature: features[at],
                value: values[at],
                members: Vec::new(),
                missing_yes: missing.get(at).is_some_and(|&yes| yes != 0),
                yes: child(yes[at])?,
                no: child(no[at])?,
            };
            made.push(question.node(&mut forest));
        }
        let origins = forest.add(&made).map_err(|error| format!("tree {tree}: {error}"))?;
        leaf_of.extend(origins.iter().map(|&origin| order[origin as usize]));
    }
    Ensemble::new(forest, &leaf_of, &of_leaf, targets)
}
