//! Ensembles of trees: `TreeEnsembleClassifier`, `TreeEnsembleRegressor`, `TreeEnsemble`.
//!
//! Sums are made in single precision where the model's numbers are single, tree after
//! tree, as onnxruntime's one-row path makes them.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::super::numbers::{doubles, floats};
use super::super::op::{Built, Inputs, Node, made, many, one, op, shape, size};
use super::super::registry::{ML, Row, row_in};
use super::ensemble::{Aggregate, Ensemble, Mode, Number, Question, Scores, Weight, read};
use super::labels::Labels;
use super::transform::{PostTransform, Second, binary};
use crate::engines::trees::{Forest, Node as TreeNode};
use crate::tensor::{DType, Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row_in(ML, "TreeEnsembleClassifier", 1, classifier),
    row_in(ML, "TreeEnsembleRegressor", 1, regressor),
    row_in(ML, "TreeEnsemble", 5, ensemble),
];

/// Rows of numbers as trees take them.
pub(super) trait Take: Number {
    fn take(elements: &Elements) -> Result<Cow<'_, [Self]>, String>;
    fn given(values: Vec<Self>) -> Elements;
}

impl Take for f32 {
    fn take(elements: &Elements) -> Result<Cow<'_, [Self]>, String> {
        floats(elements)
    }

    fn given(values: Vec<Self>) -> Elements {
        values.into()
    }
}

impl Take for f64 {
    fn take(elements: &Elements) -> Result<Cow<'_, [Self]>, String> {
        doubles(elements)
    }

    fn given(values: Vec<Self>) -> Elements {
        values.into()
    }
}

impl<T: Take> Ensemble<T> {
    /// The scores of a matrix, or of one row without a dimension for rows.
    fn ask(&self, x: &Tensor, aggregate: Aggregate) -> Result<(usize, Scores<T>), String> {
        let (rows, width) = match **x.shape() {
            [width] => (1, width),
            [rows, width] => (rows, width),
            _ => return Err(format!("input 0 has shape {}; expected a matrix", x.shape())),
        };
        let features = self.forest.features();
        if width < features {
            return Err(format!("input 0 has {width} columns; the trees look at {features}"));
        }
        shape([rows, self.targets])?;
        let values = T::take(x.elements())?;
        let mut scores = self.scores(&values, width, rows, aggregate);
        if aggregate == Aggregate::Average {
            // Without a tree there is nothing to divide.
            let trees = T::from(self.forest.trees().max(1)).unwrap_or_else(T::one);
            scores.values.iter_mut().for_each(|score| *score /= trees);
        }
        Ok((rows, scores))
    }
}

/// Whether the model's numbers are doubles: some attribute says them so.
fn is_double(node: &Node<'_>) -> Result<bool, String> {
    for name in [
        "nodes_values_as_tensor",
        "base_values_as_tensor",
        "target_weights_as_tensor",
        "class_weights_as_tensor",
    ] {
        if node.attributes.tensor(name)?.is_some_and(|tensor| tensor.dtype() == DType::Double) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn base_values<T: Number>(node: &Node<'_>) -> Result<Vec<T>, String> {
    let values = node.attributes.floats_or_tensor("base_values", "base_values_as_tensor")?;
    Ok(values.unwrap_or_default().into_iter().map(T::of).collect())
}

fn regressor(node: &mut Node<'_>) -> Built {
    if is_double(node)? { regressor_of::<f64>(node) } else { regressor_of::<f32>(node) }
}

fn regressor_of<T: Take>(node: &Node<'_>) -> Built {
    let targets = size(node.attributes.int("n_targets")?.unwrap_or(1), "n_targets")?.max(1);
    let ensemble = read::<T>(&node.attributes, "target", targets)?;
    let base = base_values::<T>(node)?;
    if !base.is_empty() && base.len() != targets {
        return Err(format!("base_values has {} entries for {targets} targets", base.len()));
    }
    let transform = PostTransform::read(&node.attributes)?;
    let aggregate = Aggregate::read(&node.attributes)?;
    op(move |inputs| {
        let (rows, scores) = scored(&ensemble, &inputs, aggregate, &base, transform)?;
        let values: Vec<f32> = scores.into_iter().map(|score| score.to_f32().unwrap_or(f32::NAN)).collect();
        one(made([rows, ensemble.targets], values)?)
    })
}

/// Scores with base values, transformed.
fn scored<T: Take>(
    ensemble: &Ensemble<T>,
    inputs: &Inputs<'_>,
    aggregate: Aggregate,
    base: &[T],
    transform: PostTransform,
) -> Result<(usize, Vec<T>), String> {
    let (rows, mut scores) = ensemble.ask(inputs.tensor(0)?, aggregate)?;
    let targets = ensemble.targets;
    if !base.is_empty() || transform != PostTransform::None {
        for (number, row) in scores.values.chunks_exact_mut(targets).enumerate() {
            row.iter_mut().zip(base).for_each(|(score, base)| *score += *base);
            // Of several scores one that no leaf told of is 0, whatever its base value.
            let told = scores.told.get(number * targets..(number + 1) * targets);
            if let Some(told) = told.filter(|_| targets > 1) {
                row.iter_mut()
                    .zip(told)
                    .filter(|(_, told)| !**told)
                    .for_each(|(score, _)| *score = T::zero());
            }
            match row {
                // One score knows no others: only the normal distribution is undone.
                [score] if transform == PostTransform::Probit => *score = super::transform::probit(*score),
                [_] => {}
                row => transform.apply(row),
            }
        }
    }
    Ok((rows, scores.values))
}

fn classifier(node: &mut Node<'_>) -> Built {
    if is_double(node)? { classifier_of::<f64>(node) } else { classifier_of::<f32>(node) }
}

/// What a classifier makes of scores.
struct Decision<T> {
    labels: Labels,
    base: Vec<T>,
    transform: PostTransform,
    /// Two classes, and leaves of one of them only.
    is_binary: bool,
    /// No leaf adds less than 0.
    are_positive: bool,
}

fn classifier_of<T: Take>(node: &Node<'_>) -> Built {
    let attributes = &node.attributes;
    let labels = Labels::read(attributes, "classlabels_int64s", "classlabels_strings")?;
    let labels = labels.ok_or("it has no class labels")?;
    let classes = labels.len();
    let ensemble = read::<T>(attributes, "class", classes)?;
    let base = base_values::<T>(node)?;
    if base.len() > classes {
        return Err(format!("base_values has {} entries for {classes} classes", base.len()));
    }
    let weights =
        attributes.floats_or_tensor("class_weights", "class_weights_as_tensor")?.unwrap_or_default();
    let ids = attributes.ints("class_ids")?.unwrap_or_default();
    let decision = Decision {
        base,
        transform: PostTransform::read(attributes)?,
        is_binary: classes == 2 && ids.windows(2).all(|pair| pair[0] == pair[1]) && !ids.is_empty(),
        are_positive: weights.iter().all(|&weight| weight >= 0.0),
        labels,
    };
    let wants_scores = node.has_output(1);
    op(move |inputs| {
        let classes = ensemble.targets;
        let (rows, mut scores) = ensemble.ask(inputs.tensor(0)?, Aggregate::Sum)?;
        let mut chosen: SmallVec<[usize; 8]> = SmallVec::with_capacity(rows);
        let mut given = vec![0f32; if wants_scores { rows * classes } else { 0 }];
        let mut out: SmallVec<[T; 8]> = SmallVec::from_elem(T::zero(), classes);
        for row in 0..rows {
            let told = scores.told.get(row * classes..(row + 1) * classes);
            let values = &mut scores.values[row * classes..][..classes];
            chosen.push(decision.of(values, told, &mut out));
            if wants_scores {
                let given = &mut given[row * classes..][..classes];
                given.iter_mut().zip(&out).for_each(|(to, from)| *to = from.to_f32().unwrap_or(f32::NAN));
            }
        }
        let labels = made([rows], decision.labels.at(chosen.into_iter()))?;
        if wants_scores { many([labels, made([rows, classes], given)?]) } else { one(labels) }
    })
}

impl<T: Number> Decision<T> {
    /// The class of a row, and its scores as they are given. `told` says which scores
    /// any leaf added to; all did when it is not there. Follows onnxruntime's
    /// `TreeAggregatorClassifier` where the specification is silent.
    fn of(&self, scores: &mut [T], told: Option<&[bool]>, out: &mut [T]) -> usize {
        let told = |class: usize| told.is_none_or(|told| told[class]);
        match scores {
            [first, second] => {
                let (has_first, mut has_second) = (told(0), told(1));
                let mut is_pair = has_second;
                match self.base[..] {
                    // Of two base values the first is not asked for when the second class has a score.
                    [_, base] if has_second => {
                        *second = base + *first;
                        *first = -*second;
                    }
                    [base0, base1] => {
                        *first += base0;
                        *second += base1;
                        is_pair = true;
                        has_second = false;
                    }
                    [base] => *first += base,
                    _ => {}
                }
                // What no leaf told of is 0, whatever the base values.
                let or_zero = |score: T, has: bool| if has { score } else { T::zero() };
                let weight = if has_second { *second } else { or_zero(*first, has_first) };
                let (yes, second_score) = self.binary(weight);
                if is_pair {
                    out.copy_from_slice(&[or_zero(*first, has_first), or_zero(*second, has_second)]);
                    self.transform.apply(out);
                } else {
                    binary(or_zero(*first, has_first), self.transform, second_score, out);
                }
                usize::from(yes)
            }
            scores => {
                let mut best: Option<(usize, T)> = None;
                for (class, score) in scores.iter_mut().enumerate() {
                    let base = self.base.get(class);
                    *score += base.copied().unwrap_or_default();
                    let counts = told(class) || base.is_some();
                    if counts && best.is_none_or(|(_, most)| *score > most) {
                        best = Some((class, *score));
                    }
                }
                out.copy_from_slice(scores);
                if out.len() > 1 {
                    self.transform.apply(out);
                } else if self.transform == PostTransform::Probit {
                    out[0] = super::transform::probit(out[0]);
                }
                best.map_or(0, |(class, _)| class)
            }
        }
    }

    /// Whether this weight means the second class, and how its one score becomes two.
    fn binary(&self, weight: T) -> (bool, Second) {
        if !self.is_binary {
            let second = if self.base.is_empty() { Second::Opposite } else { Second::No };
            return (weight > T::zero(), second);
        }
        if self.are_positive {
            return (weight > T::of(0.5), Second::Complement);
        }
        (weight > T::zero(), Second::Opposite)
    }
}

fn ensemble(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let splits = node.required("nodes_splits", attributes.tensor("nodes_splits"))?;
    if splits.dtype() == DType::Double {
        ensemble_of::<f64>(node, &splits)
    } else {
        ensemble_of::<f32>(node, &splits)
    }
}

/// A tree's node or leaf while the tree is laid out: its number, and whether it is a leaf.
type Place = (usize, bool);

fn ensemble_of<T: Take>(node: &Node<'_>, splits: &Tensor) -> Built {
    let attributes = &node.attributes;
    let ints = |name: &str| node.required(name, attributes.ints(name));
    let numbers = |name: &str| -> Result<Option<Vec<f64>>, String> {
        let tensor = attributes.tensor(name)?;
        tensor.map(|tensor| doubles(tensor.elements()).map(Cow::into_owned)).transpose()
    };
    let modes = node.required("nodes_modes", attributes.tensor("nodes_modes"))?;
    let Elements::U8(modes) = modes.elements() else { return Err("nodes_modes is not of uint8".to_owned()) };
    let modes = modes.iter().map(|&mode| Mode::number(mode)).collect::<Result<Vec<_>, _>>()?;
    let splits = doubles(splits.elements())?;
    let (features, roots) = (ints("nodes_featureids")?, ints("tree_roots")?);
    let (yes, no) = (ints("nodes_truenodeids")?, ints("nodes_falsenodeids")?);
    let (yes_leafs, no_leafs) = (ints("nodes_trueleafs")?, ints("nodes_falseleafs")?);
    let missing = attributes.ints("nodes_missing_value_tracks_true")?.unwrap_or_default();
    attributes.ignore(&["nodes_hitrates"]);
    let leaf_targets = ints("leaf_targetids")?;
    let weights = numbers("leaf_weights")?.ok_or("attribute \"leaf_weights\" is missing")?;
    let nodes = modes.len();
    let lists = [splits.len(), features.len(), yes.len(), no.len(), yes_leafs.len(), no_leafs.len()];
    if lists.iter().any(|&length| length != nodes) || (!missing.is_empty() && missing.len() != nodes) {
        return Err(format!("nodes_* have lists of different lengths; nodes_modes has {nodes}"));
    }
    if leaf_targets.len() != weights.len() {
        return Err(format!(
            "leaf_targetids has {} entries for {} leaf_weights",
            leaf_targets.len(),
            weights.len()
        ));
    }
    // Sets are one list, each ended by NaN, in the order of the nodes that ask for one.
    let membership = numbers("membership_values")?.unwrap_or_default();
    let mut sets = membership.split(|value| value.is_nan());
    let members: Vec<Vec<f64>> = modes
        .iter()
        .map(|mode| match mode {
            Mode::Member => sets.next().map(<[f64]>::to_vec).ok_or("membership_values has too few sets"),
            _ => Ok(Vec::new()),
        })
        .collect::<Result<_, _>>()?;
    let targets = size(attributes.int("n_targets")?.unwrap_or(1), "n_targets")?.max(1);
    let aggregate = Aggregate::number(attributes.int("aggregate_function")?.unwrap_or(1))?;
    let transform = PostTransform::number(attributes.int("post_transform")?.unwrap_or(0))?;
    let of_leaf: Vec<Vec<Weight>> = leaf_targets
        .iter()
        .zip(&weights)
        .map(|(&target, &weight)| size(target, "leaf_targetids").map(|target| vec![(target, weight)]))
        .collect::<Result<_, _>>()?;
    let width = size(features.iter().copied().max().unwrap_or(0).saturating_add(1), "nodes_featureids")?;
    let mut forest: Forest<T> = Forest::new(width.max(1));
    let mut leaf_of = Vec::new();
    let mut taken = vec![false; nodes];
    for (tree, &root) in roots.iter().enumerate() {
        let wrong = |what: &str| format!("tree {tree}: {what}");
        // Nodes in the order in which they are reached; a leaf is a node for each
        // way to it, so that a tree of one leaf may name it twice.
        let mut places: Vec<Place> = vec![(size(root, "tree_roots")?, false)];
        let mut tree_nodes = Vec::new();
        let mut next = 0;
        while let Some(&(at, is_leaf)) = places.get(next) {
            next += 1;
            if is_leaf {
                if at >= of_leaf.len() {
                    return Err(wrong(&format!("leaf {at} is not there")));
                }
                tree_nodes.push(TreeNode::Leaf);
                continue;
            }
            let is_taken = taken.get_mut(at).ok_or_else(|| wrong(&format!("node {at} is not there")))?;
            if std::mem::replace(is_taken, true) {
                return Err(wrong(&format!("node {at} is reached twice")));
            }
            let mut child = |to: i64, is_leaf: i64| -> Result<i64, String> {
                places.push((size(to, "a child")?, is_leaf != 0));
                i64::try_from(places.len() - 1).map_err(|_| wrong("too many nodes"))
            };
            let question = Question {
                mode: modes[at],
                feature: features[at],
                value: splits[at],
                members: members[at].clone(),
                missing_yes: missing.get(at).is_some_and(|&yes| yes != 0),
                yes: child(yes[at], yes_leafs[at])?,
                no: child(no[at], no_leafs[at])?,
            };
            tree_nodes.push(question.node(&mut forest));
        }
        let origins = forest.add(&tree_nodes).map_err(|error| wrong(&error.to_string()))?;
        leaf_of.extend(origins.iter().map(|&origin| places[origin as usize].0));
    }
    let ensemble = Ensemble::new(forest, &leaf_of, &of_leaf, targets)?;
    op(move |inputs| {
        let (rows, scores) = scored(&ensemble, &inputs, aggregate, &[], transform)?;
        one(made([rows, ensemble.targets], T::given(scores))?)
    })
}
