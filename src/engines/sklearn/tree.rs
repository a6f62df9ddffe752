//! Decision trees: what a fitted tree holds, and the four estimators that are one tree.

use ndarray::ArrayView2;

use super::contributions::contributions;
use super::forest::{Ensemble, Shape};
use super::isolation::average_path_length;
use super::registry::Row;
use super::state::{Numbers, Part};
use super::{Estimator, Gives, Method, ModelError, Spec, flat};
use crate::engines::trees::{Forest, Node, Test, TreeError};
use crate::limits;
use crate::tensor::DType;

const MODULES: &[&str] = &["_classes", "tree"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new("sklearn.tree", "DecisionTreeClassifier", MODULES, build_classifier),
    Row::new("sklearn.tree", "DecisionTreeRegressor", MODULES, build_regressor),
    Row::new("sklearn.tree", "ExtraTreeClassifier", MODULES, build_classifier),
    Row::new("sklearn.tree", "ExtraTreeRegressor", MODULES, build_regressor),
];

/// The classes of trees that answer with labels.
pub(super) const CLASSIFIERS: [&str; 2] = ["DecisionTreeClassifier", "ExtraTreeClassifier"];
/// The classes of trees that answer with numbers.
pub(super) const REGRESSORS: [&str; 2] = ["DecisionTreeRegressor", "ExtraTreeRegressor"];

/// Where the trees' own class lives.
const TREE: [&str; 1] = ["sklearn.tree._tree"];
/// `TREE_LEAF`: a leaf's left child.
const NO_CHILD: i64 = -1;

/// Trees over the same features with the same outputs, and what each leaf holds.
#[derive(Debug)]
pub(super) struct Trees {
    pub(super) forest: Forest<f32>,
    /// `[leaves, width]`, row-major.
    values: Vec<f64>,
    /// Numbers of one leaf: outputs × most classes of any (1 for numbers).
    width: usize,
    /// How many leaves there are with each tree: they are numbered in the order of the trees.
    ends: Vec<usize>,
    /// Of each node of each tree that was added with its values, its parent; of a root, itself.
    parents: Vec<u32>,
    /// Where the nodes of each tree start among them, with their end behind: scikit-learn's
    /// `n_nodes_ptr`. Empty when nobody asks for paths.
    starts: Vec<usize>,
}

/// What a tree is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dimensions {
    pub(super) features: usize,
    /// The number of classes of each output; 1 for numbers.
    pub(super) classes: Vec<usize>,
}

impl Dimensions {
    /// Numbers of one leaf.
    pub(super) fn width(&self) -> usize {
        self.classes.len() * self.stride()
    }

    /// Numbers of one output of one leaf.
    pub(super) fn stride(&self) -> usize {
        self.classes.iter().copied().max().unwrap_or(0)
    }

    /// Reads what the tree of this estimator was made for. Source: the arguments of
    /// `sklearn.tree._tree.Tree`: `n_features`, `n_classes` (an array) and `n_outputs`.
    pub(super) fn of(part: &Part<'_>) -> Result<Self, ModelError> {
        let tree = part.within("tree_", &TREE, "Tree")?;
        let mut args = tree.args();
        let positive = |n: i64| usize::try_from(n).ok().filter(|&n| n > 0);
        let mut read = || {
            let features = args.next()?.as_i64().and_then(positive)?;
            let classes = args.next()?.array().filter(|array| array.shape().len() == 1)?;
            // Each output is in the leaves' values, whose size justifies them; a tree has a few.
            let classes: Option<Vec<usize>> = classes.to_i64().ok()?.into_iter().map(positive).collect();
            let outputs = args.next()?.as_i64().and_then(positive)?;
            let read = Self { features, classes: classes?.into_iter().collect() };
            let product = outputs.checked_mul(read.stride());
            (read.classes.len() == outputs && product.is_some()).then_some(read)
        };
        read().ok_or_else(|| {
            tree.refuse(
                "__args__",
                "are not a number of features, the classes of each output and their number",
            )
        })
    }
}

impl Trees {
    pub(super) fn new(dimensions: &Dimensions) -> Self {
        Self {
            forest: Forest::new(dimensions.features),
            values: Vec::new(),
            width: dimensions.width(),
            ends: Vec::new(),
            parents: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// The same, of trees whose paths may be asked for.
    pub(super) fn with_paths(dimensions: &Dimensions) -> Self {
        Self { starts: vec![0], ..Self::new(dimensions) }
    }

    /// Adds the tree of an estimator, after `finish` has had each of its leaves' values.
    /// Source: `sklearn.tree._tree.Tree.__setstate__`; fields are where the file says.
    pub(super) fn add(
        &mut self,
        part: &Part<'_>,
        dimensions: &Dimensions,
        finish: impl Fn(&mut [f64]),
    ) -> Result<(), ModelError> {
        let own = Dimensions::of(part)?;
        let tree = part.within("tree_", &TREE, "Tree")?;
        if own != *dimensions {
            let show = |d: &Dimensions| format!("{} features and {:?} classes", d.features, d.classes);
            let why = format!("are for {}; expected {}", show(&own), show(dimensions));
            return Err(tree.refuse("__args__", why));
        }
        let nodes = nodes(&tree)?;
        let Numbers { values, shape } = tree.numbers("values")?;
        if shape[..] != [nodes.len(), own.classes.len(), own.stride()] {
            let shown = Numbers { values, shape }.shown_shape();
            let want = format!("({}, {}, {})", nodes.len(), own.classes.len(), own.stride());
            return Err(tree.refuse("values", format!("has shape {shown}; expected {want}")));
        }
        let covers = covers(&tree);
        let leaves = self.forest.add_if_covered(&nodes, covers.as_deref());
        let leaves = leaves.map_err(|error| tree.refuse("nodes", error.to_string()))?;
        self.values.reserve(leaves.len() * self.width);
        for &leaf in leaves {
            let start = leaf as usize * self.width;
            let row = &values[start..start + self.width];
            if let Some(value) = row.iter().find(|value| !value.is_finite()) {
                return Err(tree.refuse("values", format!("holds {value} at leaf {leaf}")));
            }
            let at = self.values.len();
            self.values.extend_from_slice(row);
            finish(&mut self.values[at..]);
        }
        self.ends.push(self.forest.leaves());
        if !self.starts.is_empty() {
            self.add_parents(&nodes);
        }
        Ok(())
    }

    /// The parents of a tree that was found to be one. Nodes that are reached from nowhere are
    /// their own, and on no path.
    fn add_parents(&mut self, nodes: &[Node]) {
        let first = self.parents.len();
        // A forest's nodes are counted by 32 bits.
        self.parents.extend((0u32..).take(nodes.len()));
        for (i, node) in (0u32..).zip(nodes) {
            let Node::Split { left, right, .. } = *node else { continue };
            for child in [left, right] {
                let child = usize::try_from(child).ok().filter(|&child| child < nodes.len());
                if let Some(child) = child {
                    self.parents[first + child] = i;
                }
            }
        }
        self.starts.push(self.parents.len());
    }

    /// Adds a tree over some columns of the input, each of whose leaves means the length
    /// of the way to it, with the usual rest of the way that its samples would have had.
    /// Source: `IsolationForest._compute_score_samples`.
    pub(super) fn add_paths(
        &mut self,
        part: &Part<'_>,
        dimensions: &Dimensions,
        columns: &[usize],
    ) -> Result<(), ModelError> {
        let tree = part.within("tree_", &TREE, "Tree")?;
        let mut nodes = nodes(&tree)?;
        for (i, node) in nodes.iter_mut().enumerate() {
            let Node::Split { feature, .. } = node else { continue };
            let column = usize::try_from(*feature).ok().and_then(|feature| columns.get(feature));
            let column = column.and_then(|&column| i64::try_from(column).ok());
            *feature = column.ok_or_else(|| {
                let error = TreeError::Feature { node: i, feature: *feature, features: dimensions.features };
                tree.refuse("nodes", error.to_string())
            })?;
        }
        let samples = tree.array("nodes")?.field("n_node_samples").and_then(|field| field.to_i64().ok());
        let samples =
            samples.ok_or_else(|| tree.refuse("nodes", "has no field n_node_samples of integers"))?;
        let covers = covers(&tree);
        let leaves = self.forest.add_if_covered(&nodes, covers.as_deref());
        let leaves = leaves.map_err(|error| tree.refuse("nodes", error.to_string()))?;
        // What was added has no cycles, and each node one way to it.
        let mut ways = vec![0.0; nodes.len()];
        let mut open = vec![(0usize, 0.0)];
        while let Some((at, way)) = open.pop() {
            ways[at] = way;
            if let Node::Split { left, right, .. } = nodes[at] {
                open.extend(
                    [left, right].into_iter().filter_map(|n| Some((usize::try_from(n).ok()?, way + 1.0))),
                );
            }
        }
        for &leaf in leaves {
            #[allow(clippy::cast_precision_loss, reason = "a number of samples")]
            let rest = average_path_length(samples[leaf as usize] as f64);
            // In scikit-learn's order: nodes on the way, what is cut off, less the root.
            self.values.push(ways[leaf as usize] + 1.0 + rest - 1.0);
        }
        Ok(())
    }

    /// The tree of each leaf that was added with its values, in the order of their numbers.
    pub(super) fn tree_of_leaves(&self) -> impl Iterator<Item = usize> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let each = starts.zip(&self.ends).enumerate();
        each.flat_map(|(tree, (start, &end))| std::iter::repeat_n(tree, end - start))
    }

    /// The numbers of a leaf.
    #[inline]
    pub(super) fn leaf(&self, leaf: usize) -> &[f64] {
        &self.values[leaf * self.width..][..self.width]
    }

    /// Adds up the leaves of every tree: `[rows, width]`, in the order of the trees,
    /// as scikit-learn does.
    pub(super) fn sums(&self, x: &[f32], rows: usize) -> Vec<f64> {
        let mut sums = vec![0.0; rows * self.width];
        if self.width == 1 {
            self.forest.walk(x, |row, _, leaf| sums[row] += self.values[leaf]);
            return sums;
        }
        self.forest.walk(x, |row, _, leaf| {
            let sums = &mut sums[row * self.width..][..self.width];
            sums.iter_mut().zip(self.leaf(leaf)).for_each(|(sum, value)| *sum += value);
        });
        sums
    }

    /// What each feature contributed to the sums: `[rows, outputs, features + 1]`. `start` is
    /// what the outputs start from: as many as a leaf has numbers, or the trees take turns.
    pub(super) fn contributions(&self, start: &[f64], x: &[f32]) -> Vec<f64> {
        contributions(&self.forest, &self.values, start, x)
    }

    /// The mean of the trees' [`contributions`](Self::contributions), which start from 0.
    pub(super) fn mean_contributions(&self, x: &[f32]) -> Vec<f64> {
        let mut all = self.contributions(&vec![0.0; self.width], x);
        #[allow(clippy::cast_precision_loss, reason = "a number of trees")]
        let trees = self.forest.trees() as f64;
        all.iter_mut().for_each(|sum| *sum /= trees);
        all
    }

    /// 1 for each node that a row comes by: `[rows, nodes of all trees]`.
    pub(super) fn paths(&self, x: &[f32], rows: usize) -> Vec<i64> {
        let nodes = self.parents.len();
        let mut paths = vec![0; rows * nodes];
        self.forest.walk(x, |row, tree, leaf| {
            let first = self.starts[tree];
            let path = &mut paths[row * nodes..][..nodes];
            let mut at = self.forest.origin(leaf) as usize;
            loop {
                path[first + at] = 1;
                let parent = self.parents[first + at] as usize;
                if parent == at {
                    break;
                }
                at = parent;
            }
        });
        paths
    }

    /// Where the nodes of each tree start in a path, and their end, again for each row.
    #[allow(clippy::cast_possible_wrap, reason = "a number of nodes")]
    pub(super) fn path_starts(&self, rows: usize) -> Vec<i64> {
        std::iter::repeat_n(&self.starts, rows).flatten().map(|&start| start as i64).collect()
    }

    /// Which node of which tree each row ends at: `[rows, trees]`.
    pub(super) fn apply(&self, x: &[f32], rows: usize) -> Vec<i64> {
        let trees = self.forest.trees();
        let mut ends = vec![0; rows * trees];
        self.forest.walk(x, |row, tree, leaf| ends[row * trees + tree] = i64::from(self.forest.origin(leaf)));
        ends
    }
}

/// The methods that tell the paths through trees; of one tree it is not said where they start.
pub(super) fn path_specs(trees: &Trees, shape: Shape) -> impl Iterator<Item = Spec> {
    let spec = |method, columns| Spec::new(method, DType::Int64, Gives::Columns(columns));
    let starts = (shape == Shape::Many).then(|| spec(Method::PathStarts, trees.starts.len()));
    std::iter::once(spec(Method::DecisionPath, trees.parents.len())).chain(starts)
}

/// How much each feature lowers the impurity in a fitted tree, and how many nodes that has.
/// Source: `sklearn.tree._tree.Tree.compute_feature_importances`, not normalised.
pub(super) fn importances(part: &Part<'_>) -> Result<(Vec<f64>, usize), ModelError> {
    const NAME: &str = "nodes";
    let features = Dimensions::of(part)?.features;
    if features > limits::TENSOR_BYTES_MAX / 8 {
        return Err(part.refuse("tree_", format!("is made for {features} features")));
    }
    let tree = part.within("tree_", &TREE, "Tree")?;
    let nodes = nodes(&tree)?;
    let array = tree.array(NAME)?;
    let doubles = |name: &str| {
        let values = array.field(name).and_then(|field| field.to_f64().ok());
        values.ok_or_else(|| tree.refuse(NAME, format!("has no field {name} of numbers")))
    };
    let (impurity, weight) = (doubles("impurity")?, doubles("weighted_n_node_samples")?);
    let mut scores = vec![0.0; features];
    let product = |at: i64| {
        let at = usize::try_from(at).ok()?;
        Some(weight.get(at)? * impurity.get(at)?)
    };
    for (i, node) in nodes.iter().enumerate() {
        let Node::Split { feature, left, right, .. } = *node else { continue };
        let place = usize::try_from(feature).ok().filter(|&place| place < features);
        let products = product(left).zip(product(right));
        let Some((place, (left, right))) = place.zip(products) else {
            return Err(
                tree.refuse(NAME, format!("names a feature or a child that does not exist at node {i}"))
            );
        };
        scores[place] += weight[i] * impurity[i] - left - right;
    }
    if let Some(all) = weight.first().filter(|all| **all != 0.0) {
        scores.iter_mut().for_each(|score| *score /= all);
    }
    if scores.iter().any(|score| !score.is_finite()) {
        return Err(tree.refuse(NAME, "holds impurities that are no numbers"));
    }
    Ok((scores, nodes.len()))
}

/// The weight of the samples that came by each node, where the file tells it.
fn covers(tree: &Part<'_>) -> Option<Vec<f64>> {
    tree.array("nodes").ok()?.field("weighted_n_node_samples")?.to_f64().ok()
}

/// Reads the structured array of nodes.
fn nodes(tree: &Part<'_>) -> Result<Vec<Node>, ModelError> {
    const NAME: &str = "nodes";
    let array = tree.array(NAME)?;
    if array.shape().len() != 1 {
        return Err(tree.refuse(NAME, format!("is {array}; expected one record per node")));
    }
    let field = |name: &str| {
        array.field(name).ok_or_else(|| tree.refuse(NAME, format!("has no field {name}: it is {array}")))
    };
    let integers = |name: &str| {
        let values = field(name)?.to_i64();
        values.map_err(|error| tree.refuse(NAME, format!("has a wrong field {name}: {error}")))
    };
    let (left, right, feature) = (integers("left_child")?, integers("right_child")?, integers("feature")?);
    let thresholds = field("threshold")?.to_f64();
    let thresholds =
        thresholds.map_err(|error| tree.refuse(NAME, format!("has a wrong field threshold: {error}")))?;
    // Since scikit-learn 1.3; before, no tree saw a missing value.
    let missing = match array.field("missing_go_to_left") {
        None => Vec::new(),
        Some(field) => field
            .to_bools()
            .map_err(|error| tree.refuse(NAME, format!("has a wrong field missing_go_to_left: {error}")))?,
    };
    let node = |i: usize| match left[i] {
        NO_CHILD => Node::Leaf,
        left => Node::Split {
            feature: feature[i],
            test: Test::AtMost(thresholds[i]),
            missing_left: missing.get(i).copied().unwrap_or(false),
            left,
            right: right[i],
        },
    };
    Ok((0..array.len()).map(node).collect())
}

/// Whether this tree lets NaN through. Source: `_support_missing_values` and the tag
/// `allow_nan` of `sklearn.tree._classes`, which have changed over the versions.
pub(super) fn takes_missing(part: &Part<'_>) -> bool {
    let version = part.version();
    let text = |name| part.attr(name).and_then(|value| value.to_str());
    let (splitter, criterion) = (text("splitter"), text("criterion"));
    let splitter = match splitter.as_deref() {
        Some("best") if part.class.starts_with("Extra") => version < (1, 6),
        Some("best") => true,
        Some("random") => version >= (1, 6),
        _ => false,
    };
    let criteria: &[&str] = match CLASSIFIERS.contains(&part.class) {
        true => &["gini", "log_loss", "entropy"],
        false => &["squared_error", "friedman_mse", "poisson"],
    };
    match version {
        (0, _) | (1, ..3) => false,
        (1, ..9) => {
            let monotonic = version >= (1, 4) && part.attr("monotonic_cst").is_some();
            splitter && !monotonic && criterion.is_some_and(|criterion| criteria.contains(&&*criterion))
        }
        _ => splitter || !part.class.starts_with("Extra"),
    }
}

/// Divides the counts of a leaf by their sum, for each output, where that is not 0.
/// Until scikit-learn 1.3 leaves held counts, and `predict_proba` did this; since
/// then they hold fractions, which are answered as they are.
pub(super) fn fractions<'d>(part: &Part<'_>, dimensions: &'d Dimensions) -> impl Fn(&mut [f64]) + use<'d> {
    let counts = part.version() < (1, 4);
    move |leaf| {
        if !counts {
            return;
        }
        for (row, &classes) in leaf.chunks_exact_mut(dimensions.stride()).zip(&dimensions.classes) {
            let row = &mut row[..classes];
            let sum: f64 = row.iter().sum();
            if sum != 0.0 {
                row.iter_mut().for_each(|value| *value /= sum);
            }
        }
    }
}

/// The input as the trees compare it. Source: `sklearn.tree._tree.DTYPE`.
#[allow(clippy::cast_possible_truncation, reason = "as numpy's astype does; checked to be finite")]
pub(super) fn single(x: &ArrayView2<'_, f64>) -> Vec<f32> {
    flat(x).iter().map(|&value| value as f32).collect()
}

/// `DecisionTreeClassifier` and `ExtraTreeClassifier`.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let dimensions = Dimensions::of(part)?;
    let mut trees = Trees::with_paths(&dimensions);
    trees.add(part, &dimensions, fractions(part, &dimensions))?;
    Ensemble::classifier(part, trees, dimensions, Shape::Single, takes_missing(part))
}

/// `DecisionTreeRegressor` and `ExtraTreeRegressor`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let dimensions = Dimensions::of(part)?;
    let mut trees = Trees::with_paths(&dimensions);
    trees.add(part, &dimensions, |_| {})?;
    Ensemble::regressor(part, trees, dimensions, Shape::Single, takes_missing(part))
}
