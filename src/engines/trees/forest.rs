//! Many trees in one table, walked ten at a time.

use super::covers::Covers;
use super::error::TreeError;
use super::node::{
    FEATURE, Kept, MISSING_LEFT, Members, MembersId, Node, NumbersId, Packed, Real, SPECIAL, Special, Test,
};
use super::table::{Asking, Table, Walked};

/// Walks that go on at the same time: each step of one waits for memory, and the
/// others use the time (`docs/performance.md`).
const LANES: usize = 10;
/// Rows that pass through one tree before the next tree's turn: their values and
/// the tree should stay in the first cache.
const ROWS: usize = 25 * LANES;

/// Nodes of all trees. Their indices have 32 bits.
const NODES_MAX: usize = u32::MAX as usize;

/// Trees over the same features. `T` is what values are compared as.
#[derive(Debug)]
pub struct Forest<T: Real> {
    nodes: Table<T>,
    /// Where each tree starts in `nodes`.
    roots: Vec<u32>,
    /// Of each leaf, which node of its tree it was in the file.
    origins: Vec<u32>,
    /// What splits ask that are no comparisons.
    specials: Vec<Special>,
    /// The categories and numbers that they name.
    kept: Box<Kept>,
    features: usize,
    /// Of each place, how much of the training data came by. Empty, or of all trees.
    covers: Covers,
    depth: usize,
}

impl<T: Real> Forest<T> {
    /// No trees yet, over so many features (at least 1).
    ///
    /// # Panics
    /// When there are no features: there would be nothing to look at.
    #[must_use]
    pub fn new(features: usize) -> Self {
        assert!(features > 0, "a forest looks at features");
        Self {
            nodes: Table::new(),
            roots: Vec::new(),
            origins: Vec::new(),
            specials: Vec::new(),
            kept: Box::default(),
            features,
            covers: Covers::new(),
            depth: 0,
        }
    }

    /// Keeps categories for the splits of the next tree that ask for them.
    pub fn keep(&mut self, members: Members) -> MembersId {
        self.kept.members.push(members);
        MembersId(count(self.kept.members.len() - 1))
    }

    /// Keeps numbers for the splits of the next tree that ask for them. NaN is none.
    pub fn keep_numbers(&mut self, mut numbers: Vec<f64>) -> NumbersId {
        numbers.retain(|number| !number.is_nan());
        numbers.sort_unstable_by(f64::total_cmp);
        self.kept.numbers.push(numbers.into());
        NumbersId(count(self.kept.numbers.len() - 1))
    }

    /// Adds a tree and how much of the training data came by each of its nodes, which
    /// contributions are told by. Either all trees have that, or none.
    ///
    /// # Errors
    /// [`TreeError`]; the forest is then not to be used.
    pub fn add_covered(&mut self, tree: &[Node], covers: &[f64]) -> Result<&[u32], TreeError> {
        if covers.len() != tree.len() {
            return Err(TreeError::Covers { covers: covers.len(), nodes: tree.len() });
        }
        let first = self.covers.len();
        if first != self.nodes.len() {
            return Err(TreeError::Covers { covers: 0, nodes: self.nodes.len() });
        }
        if let Some(node) = covers.iter().position(|cover| !is_weight(*cover)) {
            return Err(TreeError::Cover { node, cover: covers[node] });
        }
        let mut placed = Vec::with_capacity(tree.len());
        let first_leaf = self.origins.len();
        self.insert(tree, |number, place| placed.push((number, place)))?;
        self.covers.resize(self.nodes.len());
        for (number, place) in placed {
            self.covers.set(place as usize, covers[number]);
        }
        Ok(&self.origins[first_leaf..])
    }

    /// Adds a tree with its covers where there are some for each node which are weights,
    /// and so it was with all trees before. Otherwise those that were there are forgotten.
    ///
    /// # Errors
    /// [`TreeError`], of what [`add`](Self::add) looks at; the forest is then not to be used.
    pub fn add_if_covered(&mut self, tree: &[Node], covers: Option<&[f64]>) -> Result<&[u32], TreeError> {
        let are_weights =
            |covers: &&[f64]| covers.len() == tree.len() && covers.iter().all(|&c| is_weight(c));
        match covers.filter(are_weights).filter(|_| self.is_covered()) {
            Some(covers) => self.add_covered(tree, covers),
            None => {
                self.covers = Covers::new();
                self.add(tree)
            }
        }
    }

    /// Adds a tree, whose root is its node 0, and says which nodes its leaves were:
    /// in the order of their numbers, which go on from those of the tree before.
    ///
    /// # Errors
    /// [`TreeError`]; the forest is then not to be used.
    pub fn add(&mut self, tree: &[Node]) -> Result<&[u32], TreeError> {
        let first_leaf = self.origins.len();
        self.insert(tree, |_, _| {})?;
        Ok(&self.origins[first_leaf..])
    }

    /// Adds a tree; `placed` is told each node's number and its place.
    fn insert(&mut self, tree: &[Node], mut placed: impl FnMut(usize, u32)) -> Result<(), TreeError> {
        // Each node is placed at most once, and the root has an empty place beside it.
        if self.nodes.len() + tree.len() >= NODES_MAX {
            return Err(TreeError::TooMany { max: NODES_MAX });
        }
        if tree.is_empty() {
            return Err(TreeError::Empty);
        }
        let root = self.place();
        self.roots.push(root);
        let mut seen = vec![false; tree.len()];
        // The left child is taken first, so that its children follow its own place.
        let mut open = vec![(0usize, root, 0usize)];
        seen[0] = true;
        while let Some((number, place, depth)) = open.pop() {
            placed(number, place);
            self.depth = self.depth.max(depth);
            let packed = match tree[number] {
                Node::Leaf => {
                    let leaf = count(self.origins.len());
                    self.origins.push(count(number));
                    Packed { threshold: T::INFINITY, feature: MISSING_LEFT, left: place, payload: leaf }
                }
                Node::Split { feature, test, missing_left, left, right } => {
                    let mut child = |child: i64| {
                        let at = usize::try_from(child).ok().filter(|&at| at < tree.len());
                        let at = at.ok_or(TreeError::Child { node: number, child, nodes: tree.len() })?;
                        if std::mem::replace(&mut seen[at], true) {
                            return Err(TreeError::Shared { node: at });
                        }
                        Ok(at)
                    };
                    let (left, right) = (child(left)?, child(right)?);
                    let column = usize::try_from(feature).ok().filter(|&column| column < self.features);
                    let column = column.and_then(|column| u32::try_from(column).ok());
                    let column = column.filter(|&column| column <= FEATURE).ok_or(TreeError::Feature {
                        node: number,
                        feature,
                        features: self.features,
                    })?;
                    let pair = self.place();
                    open.extend([(right, pair + 1, depth + 1), (left, pair, depth + 1)]);
                    let missing = if missing_left { MISSING_LEFT } else { 0 };
                    let compared =
                        |threshold| Packed { threshold, feature: column | missing, left: pair, payload: 0 };
                    let special = match test {
                        Test::AtMost(threshold) | Test::Below(threshold) | Test::AtMostButZero(threshold)
                            if threshold.is_nan() =>
                        {
                            return Err(TreeError::Threshold { node: number });
                        }
                        Test::AtMost(threshold) => Ok(compared(T::threshold(threshold))),
                        Test::Below(threshold) => Ok(compared(T::below(threshold))),
                        Test::AtMostButZero(threshold) => Err(Special::ButZero(threshold)),
                        Test::Among { left, known } => Err(Special::Among(left, known)),
                        Test::OneOf(numbers) => Err(Special::OneOf(numbers)),
                        Test::In { members, left, truncated } => Err(Special::In(members, left, truncated)),
                    };
                    special.unwrap_or_else(|special| {
                        self.specials.push(special);
                        let payload = count(self.specials.len() - 1);
                        Packed {
                            threshold: T::INFINITY,
                            feature: column | missing | SPECIAL,
                            left: pair,
                            payload,
                        }
                    })
                }
            };
            self.nodes.set(place, packed);
        }
        Ok(())
    }

    /// Room for two nodes, side by side.
    fn place(&mut self) -> u32 {
        let place = count(self.nodes.len());
        self.nodes.push_pair(place);
        place
    }

    /// How many columns a row has.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    /// How many trees there are.
    #[must_use]
    pub fn trees(&self) -> usize {
        self.roots.len()
    }

    /// How many leaves all trees have: one more than the highest leaf number.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.origins.len()
    }

    /// Which node of its tree a leaf was in the file.
    #[must_use]
    pub fn origin(&self, leaf: usize) -> u32 {
        self.origins[leaf]
    }

    /// Splits on the longest way from a root to a leaf.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn is_covered(&self) -> bool {
        self.covers.len() == self.nodes.len()
    }

    pub(super) fn cover(&self, place: u32) -> f64 {
        self.covers.get(place as usize)
    }

    pub(super) fn root(&self, tree: usize) -> u32 {
        self.roots[tree]
    }

    /// The feature that a split looks at and its left child, which the right one follows;
    /// or the number of a leaf.
    pub(super) fn children(&self, place: u32) -> Result<(usize, u32), usize> {
        self.nodes.children(place)
    }

    /// The child that a row goes to.
    pub(super) fn next(&self, place: u32, row: &[T]) -> u32 {
        match &self.nodes {
            Table::Narrow(nodes) => nodes.step::<true>(place, |feature| row[feature]).0,
            Table::Wide(nodes) => self.asking(nodes).step::<true>(place, |feature| row[feature]).0,
        }
    }

    /// Walks every row of `x` (row-major, as wide as there are features) through
    /// every tree and calls `arrive(row, tree, leaf)`; for each row in the order of
    /// the trees. Where a row ends does not depend on the others.
    pub fn walk(&self, x: &[T], arrive: impl FnMut(usize, usize, usize)) {
        self.walk_wide(x, self.features, arrive);
    }

    /// The same of rows that are `width` wide: what stands behind the features is not looked at.
    ///
    /// # Panics
    /// When rows are narrower than there are features.
    pub fn walk_wide(&self, x: &[T], width: usize, arrive: impl FnMut(usize, usize, usize)) {
        assert!(width >= self.features, "a row has every feature");
        // Most inputs have nothing missing, and most forests compare only.
        match &self.nodes {
            Table::Wide(nodes) if !self.specials.is_empty() => {
                self.walk_in::<true, _>(&self.asking(nodes), x, width, arrive);
            }
            Table::Wide(nodes) if x.iter().any(|value| value.is_nan()) => {
                self.walk_in::<true, _>(&nodes[..], x, width, arrive);
            }
            Table::Wide(nodes) => self.walk_in::<false, _>(&nodes[..], x, width, arrive),
            Table::Narrow(nodes) if x.iter().any(|value| value.is_nan()) => {
                self.walk_in::<true, _>(nodes, x, width, arrive);
            }
            Table::Narrow(nodes) => self.walk_in::<false, _>(nodes, x, width, arrive),
        }
    }

    fn asking<'f>(&'f self, nodes: &'f [Packed<T>]) -> Asking<'f, T> {
        Asking { nodes, specials: &self.specials, kept: &self.kept }
    }

    fn walk_in<const MISSING: bool, N: Walked<T> + ?Sized>(
        &self,
        nodes: &N,
        x: &[T],
        width: usize,
        mut arrive: impl FnMut(usize, usize, usize),
    ) {
        let rows = x.len() / width;
        if rows < LANES {
            // One row through ten trees at a time.
            for (row, values) in x.chunks_exact(width).enumerate() {
                for (group, roots) in self.roots.chunks(LANES).enumerate() {
                    let starts = std::array::from_fn(|lane| roots[lane.min(roots.len() - 1)]);
                    let ends = race::<T, MISSING, N>(nodes, starts, |_, feature| values[feature]);
                    for (lane, end) in ends.into_iter().enumerate().take(roots.len()) {
                        arrive(row, group * LANES + lane, end as usize);
                    }
                }
            }
            return;
        }
        // Ten rows at a time through one tree, which stays near.
        for (block, rows) in x.chunks(ROWS * width).enumerate() {
            for (tree, &root) in self.roots.iter().enumerate() {
                for (group, rows) in rows.chunks(LANES * width).enumerate() {
                    let many = rows.len() / width;
                    let starts: [usize; LANES] = std::array::from_fn(|lane| lane.min(many - 1) * width);
                    let value = |lane: usize, feature: usize| rows[starts[lane] + feature];
                    let ends = race::<T, MISSING, N>(nodes, [root; LANES], value);
                    let first = block * ROWS + group * LANES;
                    for (lane, end) in ends.into_iter().enumerate().take(many) {
                        arrive(first + lane, tree, end as usize);
                    }
                }
            }
        }
    }
}

/// From ten nodes down to ten leaves, whose numbers it gives. `value` is that of a feature,
/// for a lane.
#[inline]
fn race<T: Real, const MISSING: bool, N: Walked<T> + ?Sized>(
    nodes: &N,
    mut at: [u32; LANES],
    value: impl Fn(usize, usize) -> T,
) -> [u32; LANES] {
    loop {
        let mut moved = 0;
        for (lane, at) in at.iter_mut().enumerate() {
            let (next, step) = nodes.step::<MISSING>(*at, |feature| value(lane, feature));
            moved |= step;
            *at = next;
        }
        if moved == 0 {
            return at.map(|place| nodes.leaf(place));
        }
    }
}

/// Whether so much data can have come by.
fn is_weight(cover: f64) -> bool {
    cover.is_finite() && cover >= 0.0
}

/// A count of nodes or leaves, which are fewer than [`NODES_MAX`].
fn count(n: usize) -> u32 {
    u32::try_from(n).expect("a forest is bounded when trees are added")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::CategorySet;
    use super::*;

    const FEATURES: usize = 3;

    /// Where a row ends, one step after the other, as the libraries write it.
    fn plain(tree: &[Node], row: &[f64]) -> u32 {
        let mut at = 0;
        while let Node::Split { feature, test, missing_left, left, right } = tree[at] {
            let value = row[feature as usize];
            let goes_left = match test {
                Test::In { .. } | Test::OneOf(_) => unreachable!("not drawn"),
                _ if value.is_nan() => missing_left,
                Test::AtMostButZero(_) if value == 0.0 => missing_left,
                Test::AtMost(threshold) | Test::AtMostButZero(threshold) => value <= threshold,
                Test::Below(threshold) => value < threshold,
                Test::Among { left, known } => {
                    let category = (0.0..256.0).contains(&value).then_some(value as u8);
                    match category {
                        Some(category) if left.contains(category) => true,
                        Some(category) if known.contains(category) => false,
                        _ => missing_left,
                    }
                }
            };
            at = usize::try_from(if goes_left { left } else { right }).unwrap();
        }
        u32::try_from(at).unwrap()
    }

    fn split(feature: i64, threshold: f64, left: i64, right: i64) -> Node {
        Node::Split { feature, test: Test::AtMost(threshold), missing_left: false, left, right }
    }

    /// A tree grown by splitting some leaf again and again, its nodes numbered at random.
    fn tree() -> impl Strategy<Value = Vec<Node>> {
        let question =
            (any::<prop::sample::Index>(), 0..FEATURES as i64, -4i32..5, any::<bool>(), 0..6u8, any::<u32>());
        (proptest::collection::vec(question, 0..40), any::<u64>()).prop_map(|(questions, seed)| {
            let mut nodes = vec![Node::Leaf];
            for (leaf, feature, threshold, missing_left, kind, word) in questions {
                let leaves: Vec<usize> = (0..nodes.len()).filter(|&at| nodes[at] == Node::Leaf).collect();
                let test = if kind == 0 {
                    let known = CategorySet::from_words([word | 5, 0, 0, 0, 0, 0, 0, 1]);
                    Test::Among { left: CategorySet::from_words([word & 0x5555, 0, 0, 0, 0, 0, 0, 0]), known }
                } else {
                    let tests = [Test::AtMost, Test::AtMost, Test::AtMost, Test::Below, Test::AtMostButZero];
                    tests[usize::from(kind - 1)](f64::from(threshold) / 2.0)
                };
                let (left, right) = (nodes.len() as i64, nodes.len() as i64 + 1);
                nodes[leaves[leaf.index(leaves.len())]] =
                    Node::Split { feature, test, missing_left, left, right };
                nodes.extend([Node::Leaf, Node::Leaf]);
            }
            // The root stays the first.
            let mut order: Vec<usize> = (1..nodes.len()).collect();
            order.sort_by_key(|&at| (at as u64).wrapping_mul(seed | 1).rotate_left(17));
            order.insert(0, 0);
            let place = |old: i64| order.iter().position(|&at| at as i64 == old).unwrap() as i64;
            let moved = |node: Node| match node {
                Node::Leaf => Node::Leaf,
                Node::Split { feature, test, missing_left, left, right } => {
                    Node::Split { feature, test, missing_left, left: place(left), right: place(right) }
                }
            };
            order.iter().map(|&at| moved(nodes[at])).collect()
        })
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![8 => (-10i32..10).prop_map(|n| f64::from(n) / 4.0), 1 => Just(f64::NAN), 1 => 0.0..300.0f64]
    }

    proptest! {
        /// Every row ends where a plain walk of the file's nodes ends, in the order of
        /// the trees, alone and in company.
        #[test]
        fn a_walk_ends_where_it_should(
            trees in proptest::collection::vec(tree(), 1..20),
            rows in proptest::collection::vec(proptest::collection::vec(value(), FEATURES), 0..40),
        ) {
            let mut forest = Forest::<f64>::new(FEATURES);
            for tree in &trees {
                let leaves = tree.iter().filter(|node| **node == Node::Leaf).count();
                prop_assert_eq!(forest.add(tree).unwrap().len(), leaves);
            }
            prop_assert_eq!(forest.trees(), trees.len());
            let mut ends = vec![Vec::new(); rows.len()];
            forest.walk(&rows.concat(), |row, tree, leaf| ends[row].push((tree, leaf)));
            for (row, ends) in rows.iter().zip(&ends) {
                for (tree, &(number, leaf)) in ends.iter().enumerate() {
                    prop_assert_eq!(number, tree);
                    prop_assert_eq!(forest.origin(leaf), plain(&trees[tree], row), "{:?} {:?}", row, &trees[tree]);
                }
                prop_assert_eq!(ends.len(), trees.len());
                let mut alone = Vec::new();
                forest.walk(row, |_, tree, leaf| alone.push((tree, leaf)));
                prop_assert_eq!(&alone, ends);
            }
        }

        /// Whatever the nodes say, a tree is added or refused, and one that is added can be walked.
        #[test]
        fn no_nodes_make_it_panic_or_loop(
            nodes in proptest::collection::vec((-1i64..4, -2i64..10, -2i64..10, any::<f64>()), 0..10),
            missing_left: bool,
        ) {
            let tree: Vec<Node> = nodes.into_iter().map(|(feature, left, right, threshold)| match left {
                -1 => Node::Leaf,
                _ => Node::Split { feature, test: Test::AtMost(threshold), missing_left, left, right },
            }).collect();
            let mut forest = Forest::<f32>::new(FEATURES);
            if forest.add(&tree).is_ok() {
                forest.walk(&[0.0, f32::NAN, -1.0], |_, _, leaf| assert!(leaf < forest.leaves()));
            }
        }
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let refused = |nodes: &[Node]| Forest::<f32>::new(FEATURES).add(nodes).unwrap_err().to_string();
        let cases: [(&[Node], &str); 8] = [
            (&[], "has no nodes"),
            (&[split(0, 1.0, 1, 3), Node::Leaf], "has child 3 at node 0, but only 2 nodes"),
            (&[split(0, 1.0, 1, -7), Node::Leaf], "has child -7 at node 0, but only 2 nodes"),
            (&[split(0, 1.0, 0, 1), Node::Leaf], "reaches node 0 more than once, so it is no tree"),
            (&[split(0, 1.0, 1, 1), Node::Leaf], "reaches node 1 more than once, so it is no tree"),
            (
                &[split(0, 1.0, 1, 2), split(0, 0.0, 2, 1), Node::Leaf],
                "reaches node 2 more than once, so it is no tree",
            ),
            (
                &[split(3, 1.0, 1, 2), Node::Leaf, Node::Leaf],
                "splits on feature 3 at node 0, but there are 3 features",
            ),
            (&[split(0, f64::NAN, 1, 2), Node::Leaf, Node::Leaf], "has a threshold of NaN at node 0"),
        ];
        for (nodes, message) in cases {
            assert_eq!(refused(nodes), message);
        }
        assert_eq!(
            refused(&[split(-2, 1.0, 1, 2), Node::Leaf, Node::Leaf]),
            "splits on feature -2 at node 0, but there are 3 features"
        );
    }
}
