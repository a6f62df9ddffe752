//! What each feature contributed to the leaf that a row ended in: TreeSHAP.
//!
//! Where a split's answer is taken for unknown, a row goes both ways, in the proportion of
//! the training data that did. Source: Lundberg and others, "Consistent Individualized
//! Feature Attribution for Tree Ensembles" (2018), algorithm 2, and what the libraries call
//! `pred_contribs`, `pred_contrib` and `tree_path_dependent`.

use super::forest::Forest;
use super::node::Real;
use crate::limits;

/// A feature on the way to a place, once for all its splits there.
#[derive(Debug, Clone, Copy)]
struct Step {
    feature: usize,
    /// The share of the data that goes this way where the feature is unknown.
    unknown: f64,
    /// Whether the row goes this way where it is known: 1 or 0.
    known: f64,
    /// The weight of the sets of known features that are as large as this step's number.
    weight: f64,
}

/// The root's step, which belongs to no feature.
const NO_FEATURE: usize = usize::MAX;

impl<T: Real> Forest<T> {
    /// Whether [`contributions`](Self::contributions) can be told: how much data came by
    /// each node is known, and no tree is deeper than [`limits::CONTRIBUTIONS_DEPTH_MAX`].
    #[must_use]
    pub fn explains(&self) -> bool {
        self.is_covered() && self.depth() <= limits::CONTRIBUTIONS_DEPTH_MAX
    }

    /// Calls `add(leaf, share)` with the share of the training data that ended in each leaf
    /// of a tree. It must be one that [`explains`](Self::explains).
    pub fn shares(&self, tree: usize, mut add: impl FnMut(usize, f64)) {
        let root = self.root(tree);
        let all = self.cover(root);
        let mut open = vec![root];
        while let Some(place) = open.pop() {
            match self.children(place) {
                Ok((_, left)) => open.extend([left + 1, left]),
                Err(leaf) => add(leaf, ratio(self.cover(place), all)),
            }
        }
    }

    /// Calls `add(feature, leaf, share)` for every feature on the way to every leaf of a
    /// tree: the feature's contribution is the sum of these shares of the leaves' values.
    /// It must be a forest that [`explains`](Self::explains), and a row as wide as it.
    pub fn contributions(&self, tree: usize, row: &[T], mut add: impl FnMut(usize, usize, f64)) {
        let mut path = Vec::with_capacity(4 * (self.depth() + 2));
        self.descend(
            row,
            self.root(tree),
            0,
            Step { feature: NO_FEATURE, unknown: 1.0, known: 1.0, weight: 0.0 },
            &mut path,
            &mut add,
        );
    }

    /// Goes on from `place`, with the steps from `from` on before `last`.
    fn descend(
        &self,
        row: &[T],
        place: u32,
        from: usize,
        last: Step,
        path: &mut Vec<Step>,
        add: &mut impl FnMut(usize, usize, f64),
    ) {
        let start = path.len();
        path.extend_from_within(from..start);
        extend(path, start, last);
        match self.children(place) {
            Err(leaf) => {
                let steps = &path[start..];
                for (i, step) in steps.iter().enumerate().skip(1) {
                    add(step.feature, leaf, without(steps, i) * (step.known - step.unknown));
                }
            }
            Ok((feature, left)) => {
                // A feature that was asked before is one step with what it is asked now.
                let before = path[start..].iter().position(|step| step.feature == feature);
                let (unknown, known) = match before {
                    None => (1.0, 1.0),
                    Some(i) => {
                        let Step { unknown, known, .. } = path[start + i];
                        unwind(path, start, i);
                        (unknown, known)
                    }
                };
                let hot = self.next(place, row);
                let cover = self.cover(place);
                for child in [left, left + 1] {
                    let unknown = unknown * ratio(self.cover(child), cover);
                    let known = if child == hot { known } else { 0.0 };
                    self.descend(row, child, start, Step { feature, unknown, known, weight: 0.0 }, path, add);
                }
            }
        }
        path.truncate(start);
    }
}

fn ratio(part: f64, all: f64) -> f64 {
    if all == 0.0 { 0.0 } else { part / all }
}

#[allow(clippy::cast_precision_loss, reason = "a depth")]
fn number(n: usize) -> f64 {
    n as f64
}

/// Adds a step: each set of known features is with or without it.
fn extend(path: &mut Vec<Step>, start: usize, step: Step) {
    let last = path.len() - start;
    let first = if last == 0 { 1.0 } else { 0.0 };
    path.push(Step { weight: first, ..step });
    let steps = &mut path[start..];
    let all = number(last + 1);
    for i in (0..last).rev() {
        let weight = steps[i].weight;
        steps[i + 1].weight += step.known * weight * number(i + 1) / all;
        steps[i].weight = step.unknown * weight * number(last - i) / all;
    }
}

/// Takes a step back out.
fn unwind(path: &mut Vec<Step>, start: usize, step: usize) {
    let steps = &mut path[start..];
    let last = steps.len() - 1;
    let Step { unknown, known, .. } = steps[step];
    let all = number(last + 1);
    let mut next = steps[last].weight;
    for i in (0..last).rev() {
        let weight = steps[i].weight;
        if known != 0.0 {
            steps[i].weight = next * all / (number(i + 1) * known);
            next = weight - steps[i].weight * unknown * number(last - i) / all;
        } else {
            steps[i].weight = ratio(weight * all, unknown * number(last - i));
        }
    }
    for i in step..last {
        let weight = steps[i].weight;
        steps[i] = Step { weight, ..steps[i + 1] };
    }
    path.pop();
}

/// The sum of the weights that [`unwind`] would leave.
fn without(steps: &[Step], step: usize) -> f64 {
    let last = steps.len() - 1;
    let Step { unknown, known, .. } = steps[step];
    let all = number(last + 1);
    let (mut next, mut sum) = (steps[last].weight, 0.0);
    for i in (0..last).rev() {
        if known != 0.0 {
            let weight = next * all / (number(i + 1) * known);
            sum += weight;
            next = steps[i].weight - weight * unknown * number(last - i) / all;
        } else {
            sum += ratio(steps[i].weight * all, unknown * number(last - i));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{Node, Test};
    use super::*;

    const FEATURES: usize = 4;

    /// The mean value where only some features are known.
    fn mean(tree: &[Node], covers: &[f64], values: &[f64], row: &[f64], known: usize, at: usize) -> f64 {
        let Node::Split { feature, test: Test::AtMost(threshold), missing_left, left, right } = tree[at]
        else {
            return values[at];
        };
        let (feature, left, right) = (feature as usize, left as usize, right as usize);
        let go = |child| mean(tree, covers, values, row, known, child);
        if known >> feature & 1 == 1 {
            let value = row[feature];
            let goes_left = value <= threshold || (value.is_nan() && missing_left);
            return go(if goes_left { left } else { right });
        }
        (covers[left] * go(left) + covers[right] * go(right)) / covers[at]
    }

    /// Shapley values as they are defined, over all sets of features.
    fn shapley(f: impl Fn(usize) -> f64) -> Vec<f64> {
        let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
        let all = FEATURES as u32;
        let of = |feature: usize| {
            let sets = (0..1usize << FEATURES).filter(|set| set >> feature & 1 == 0);
            let term = |set: usize| {
                let size = set.count_ones();
                factorial(size) * factorial(all - size - 1) / factorial(all)
                    * (f(set | 1 << feature) - f(set))
            };
            sets.map(term).sum()
        };
        (0..FEATURES).map(of).collect()
    }

    #[test]
    fn contributions_are_shapley_values() {
        let split = |feature, threshold, left, right| Node::Split {
            feature,
            test: Test::AtMost(threshold),
            missing_left: false,
            left,
            right,
        };
        // Feature 0 is asked twice on one way, and one cover is 0.
        let tree = [
            split(0, 0.5, 1, 2),
            split(1, 0.2, 3, 4),
            split(2, 0.7, 5, 6),
            split(0, 0.1, 7, 8),
            Node::Leaf,
            Node::Leaf,
            split(3, 0.3, 9, 10),
            Node::Leaf,
            Node::Leaf,
            Node::Leaf,
            Node::Leaf,
        ];
        let covers = [20.0, 12.0, 8.0, 7.0, 5.0, 3.0, 5.0, 4.0, 3.0, 5.0, 0.0];
        let values: Vec<f64> = (0..11).map(|i| f64::from(i * i) - 20.0).collect();
        let mut forest = Forest::<f64>::new(FEATURES);
        let leaves = forest.add_covered(&tree, &covers).unwrap().to_vec();
        assert!(forest.explains());
        for bits in 0..16u32 {
            let row: Vec<f64> = (0..4).map(|i| f64::from(bits >> i & 1) * 0.9 + 0.05).collect();
            let want = shapley(|known| mean(&tree, &covers, &values, &row, known, 0));
            let mut got = [0.0; FEATURES];
            forest.contributions(0, &row, |feature, leaf, share| {
                got[feature] += share * values[leaves[leaf] as usize]
            });
            for (got, want) in got.iter().zip(&want) {
                assert!((got - want).abs() < 1e-9, "{got} {want} for {row:?}");
            }
        }
        let mut shares = BTreeMap::new();
        forest.shares(0, |leaf, share| assert!(shares.insert(leaves[leaf], share).is_none()));
        assert_eq!(shares, BTreeMap::from([(4, 0.25), (5, 0.15), (7, 0.2), (8, 0.15), (9, 0.25), (10, 0.0)]));
    }

    /// One place of a tree that is drawn: what its split asks unless it is a leaf, and
    /// what came by if it is.
    type Drawn = (bool, usize, f64, bool, u8);

    /// A tree of at most three splits on a way, from 15 places; and its covers.
    fn drawn(places: &[Drawn], scale: f64) -> (Vec<Node>, Vec<f64>) {
        let (mut tree, mut covers) = (vec![Node::Leaf], vec![0.0]);
        let mut open = vec![(0usize, 0usize)];
        while let Some((place, at)) = open.pop() {
            let (is_leaf, feature, threshold, missing_left, cover) = places[place];
            if is_leaf || place >= 7 {
                covers[at] = f64::from(cover) * scale;
                continue;
            }
            let left = tree.len();
            tree[at] = Node::Split {
                feature: feature as i64,
                test: Test::AtMost(threshold),
                missing_left,
                left: left as i64,
                right: left as i64 + 1,
            };
            tree.extend([Node::Leaf; 2]);
            covers.extend([0.0; 2]);
            open.extend([(2 * place + 1, left), (2 * place + 2, left + 1)]);
        }
        // Children come after their parents.
        for at in (0..tree.len()).rev() {
            if let Node::Split { left, .. } = tree[at] {
                covers[at] = covers[left as usize] + covers[left as usize + 1];
            }
        }
        (tree, covers)
    }

    proptest! {
        #[test]
        fn contributions_of_any_tree_are_shapley_values(
            places in proptest::collection::vec(
                (proptest::bool::weighted(0.2), 0..FEATURES, 0.0..1.0, any::<bool>(), 1..20u8), 15),
            scale in prop_oneof![Just(1.0), Just(0.1)],
            row in proptest::collection::vec(prop_oneof![4 => 0.0..1.0, 1 => Just(f64::NAN)], FEATURES),
        ) {
            let (tree, covers) = drawn(&places, scale);
            let values: Vec<f64> = (0..tree.len()).map(|i| (i * i) as f64 - 20.0).collect();
            let mut forest = Forest::<f64>::new(FEATURES);
            let leaves = forest.add_if_covered(&tree, Some(&covers)).unwrap().to_vec();
            let f = |known| mean(&tree, &covers, &values, &row, known, 0);
            let mut got = [0.0; FEATURES];
            forest.contributions(0, &row, |feature, leaf, share| {
                got[feature] += share * values[leaves[leaf] as usize]
            });
            for (got, want) in got.iter().zip(shapley(f)) {
                prop_assert!((got - want).abs() < 1e-9, "{got} {want}");
            }
            let mut all = 0.0;
            forest.shares(0, |leaf, share| all += share * values[leaves[leaf] as usize]);
            prop_assert!((all - f(0)).abs() < 1e-9);
            prop_assert!((all + got.iter().sum::<f64>() - f((1 << FEATURES) - 1)).abs() < 1e-9);
        }
    }

    #[test]
    fn what_is_not_known_of_all_nodes_explains_nothing() {
        let mut forest = Forest::<f32>::new(1);
        forest.add_covered(&[Node::Leaf], &[3.0]).unwrap();
        forest.add(&[Node::Leaf]).unwrap();
        assert!(!forest.explains());
        assert_eq!(
            forest.add_covered(&[Node::Leaf], &[3.0]).unwrap_err().to_string(),
            "tells how much data came by of 0 nodes, but there are 4"
        );
        let mut forest = Forest::<f32>::new(1);
        let refused = |covers: &[f64]| {
            Forest::<f32>::new(1).add_covered(&[Node::Leaf], covers).unwrap_err().to_string()
        };
        assert_eq!(refused(&[]), "tells how much data came by of 0 nodes, but there are 1");
        assert_eq!(refused(&[-1.0]), "has -1 as the weight of the data at node 0");
        assert_eq!(refused(&[f64::NAN]), "has NaN as the weight of the data at node 0");
        // A tree that is a chain.
        let depth = limits::CONTRIBUTIONS_DEPTH_MAX as i64 + 1;
        let mut chain: Vec<Node> = (0..depth)
            .map(|i| Node::Split {
                feature: 0,
                test: Test::AtMost(0.0),
                missing_left: true,
                left: i + 1,
                right: depth + 1 + i,
            })
            .collect();
        chain.resize(2 * depth as usize + 1, Node::Leaf);
        forest.add_covered(&chain, &vec![1.0; chain.len()]).unwrap();
        assert!(!forest.explains());
    }
}
