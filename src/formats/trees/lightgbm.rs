//! LightGBM's model files, `model.txt`, which is also what a pickled `Booster` holds.
//!
//! Lines of `key=value`: first those of the model, then a block for each tree. Numbers of
//! a list stand apart by spaces. Source: `GBDT::SaveModelToString` and `Tree::ToString` of
//! LightGBM 2.0 to 4.7.

use std::collections::HashMap;
use std::str::FromStr;

/// Why a text is no model of LightGBM's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {why}")]
pub struct LightgbmError {
    /// Where in the file.
    pub place: String,
    /// What is wrong with it: a predicate.
    pub why: String,
}

/// A booster.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Columns of the input.
    pub features: usize,
    /// Their names; `Column_0`, … unless the data had others.
    pub feature_names: Vec<String>,
    /// Trees of one iteration: one for each class of a multi-class model.
    pub trees_per_iteration: usize,
    /// What the sums mean, with its parameters: `binary sigmoid:1`. None for a function of the
    /// user's own.
    pub objective: Option<String>,
    /// Whether the trees' mean is meant, not their sum: random forests.
    pub average: bool,
    /// In the order of iterations.
    pub trees: Vec<Tree>,
}

/// One tree. It has one split less than leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The column that each split looks at.
    pub features: Vec<i64>,
    /// Of a split on numbers its threshold, of one on categories its place in [`Tree::boundaries`].
    pub thresholds: Vec<f64>,
    /// [`CATEGORICAL`], [`DEFAULT_LEFT`], and how missing values are told.
    pub decisions: Vec<u8>,
    /// Children of each split: a split, or as its complement a leaf.
    pub left: Vec<i64>,
    /// The same.
    pub right: Vec<i64>,
    /// What each leaf adds.
    pub leaves: Vec<f64>,
    /// Rows of each split. Not in every file.
    pub split_counts: Vec<f64>,
    /// Rows of each leaf. Not in every file.
    pub leaf_counts: Vec<f64>,
    /// Where the words of each split on categories begin, and the end of the last.
    pub boundaries: Vec<usize>,
    /// Sets of categories that go left, 32 in a word, the lowest bit first.
    pub words: Vec<u32>,
    /// The linear functions of the leaves.
    pub linear: Option<Linear>,
}

/// Linear functions in the place of leaves' values.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// The constant of each leaf.
    pub constants: Vec<f64>,
    /// How many columns each leaf looks at.
    pub counts: Vec<usize>,
    /// These columns, one leaf's after another's.
    pub features: Vec<usize>,
    /// Their coefficients.
    pub coefficients: Vec<f64>,
}

/// The bit of a decision that marks a split on categories.
pub const CATEGORICAL: u8 = 1;
/// The bit of a decision that sends missing values left.
pub const DEFAULT_LEFT: u8 = 2;

/// Lines with keys, in a part of the file.
struct Fields<'a> {
    part: String,
    values: HashMap<&'a str, &'a str>,
}

fn wrong(place: impl Into<String>, why: impl Into<String>) -> LightgbmError {
    LightgbmError { place: place.into(), why: why.into() }
}

/// Reads `model.txt`.
///
/// # Errors
/// [`LightgbmError`], which names the place.
pub fn read(file: &[u8]) -> Result<Model, LightgbmError> {
    let text = std::str::from_utf8(file)
        .map_err(|error| wrong("the file", format!("is no text at byte {}", error.valid_up_to())))?;
    let mut lines = text.lines().map(str::trim_end).peekable();
    let first = lines.next().unwrap_or_default();
    if first != "tree" {
        let shown: String = first.chars().take(40).collect();
        return Err(wrong(
            "the file",
            format!("is no LightGBM model: it begins with {shown:?}; expected \"tree\""),
        ));
    }
    let mut head = Fields::new("the model");
    while let Some(line) = lines.next_if(|line| !line.starts_with("Tree=") && *line != END) {
        head.add(line);
    }
    let features = head
        .one::<usize>("max_feature_idx")?
        .checked_add(1)
        .ok_or_else(|| wrong("the model", "has too many features"))?;
    let mut model = Model {
        features,
        feature_names: head
            .get("feature_names")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        trees_per_iteration: head.one("num_tree_per_iteration")?,
        objective: head.get("objective").map(str::to_owned),
        average: head.get("average_output").is_some(),
        trees: Vec::new(),
    };
    loop {
        let Some(line) = lines.next() else {
            return Err(wrong("the file", format!("ends after {} trees without {END:?}", model.trees.len())));
        };
        if line == END {
            break;
        }
        let Some(number) = line.strip_prefix("Tree=") else { continue };
        if number.parse() != Ok(model.trees.len()) {
            return Err(wrong(
                "the file",
                format!("has tree {number:?} where tree {} is expected", model.trees.len()),
            ));
        }
        let mut fields = Fields::new(format!("tree {number}"));
        while let Some(line) = lines.next_if(|line| !line.starts_with("Tree=") && *line != END) {
            fields.add(line);
        }
        model.trees.push(tree(&fields)?);
    }
    // Where each tree's bytes are counted there are as many counts as trees.
    if let Some(sizes) = head.get("tree_sizes") {
        let stated = sizes.split_whitespace().count();
        if stated != model.trees.len() {
            return Err(wrong(
                "the file",
                format!("has {} trees, but {stated} tree_sizes", model.trees.len()),
            ));
        }
    }
    Ok(model)
}

/// What follows the last tree.
const END: &str = "end of trees";

fn tree(fields: &Fields<'_>) -> Result<Tree, LightgbmError> {
    let leaves: usize = fields.one("num_leaves")?;
    let splits = leaves.checked_sub(1).ok_or_else(|| wrong(&*fields.part, "has no leaves"))?;
    let categorical: usize = fields.optional("num_cat")?.unwrap_or(0);
    let mut tree = Tree {
        features: Vec::new(),
        thresholds: Vec::new(),
        decisions: Vec::new(),
        left: Vec::new(),
        right: Vec::new(),
        leaves: fields.list("leaf_value", leaves)?,
        split_counts: Vec::new(),
        leaf_counts: Vec::new(),
        boundaries: Vec::new(),
        words: Vec::new(),
        linear: None,
    };
    if fields.optional("is_linear")? == Some(1u8) {
        let constants = fields.list("leaf_const", leaves)?;
        let counts: Vec<usize> = fields.list("num_features", leaves)?;
        let many = counts.iter().try_fold(0usize, |all, &count| all.checked_add(count));
        let many = many.ok_or_else(|| wrong(&*fields.part, "has too many num_features"))?;
        tree.linear = Some(Linear {
            constants,
            counts,
            features: fields.list("leaf_features", many)?,
            coefficients: fields.list("leaf_coeff", many)?,
        });
    }
    if splits == 0 {
        return Ok(tree);
    }
    tree.features = fields.list("split_feature", splits)?;
    tree.thresholds = fields.list("threshold", splits)?;
    tree.decisions = fields.list("decision_type", splits)?;
    tree.left = fields.list("left_child", splits)?;
    tree.right = fields.list("right_child", splits)?;
    if fields.get("internal_count").is_some() && fields.get("leaf_count").is_some() {
        tree.split_counts = fields.list("internal_count", splits)?;
        tree.leaf_counts = fields.list("leaf_count", leaves)?;
    }
    if categorical > 0 {
        let boundaries =
            categorical.checked_add(1).ok_or_else(|| wrong(&*fields.part, "has too large a num_cat"))?;
        tree.boundaries = fields.list("cat_boundaries", boundaries)?;
        let words = tree.boundaries.last().copied().unwrap_or(0);
        tree.words = fields.list("cat_threshold", words)?;
        if !tree.boundaries.is_sorted() {
            return Err(wrong(&*fields.part, "has cat_boundaries that fall"));
        }
    }
    Ok(tree)
}

impl<'a> Fields<'a> {
    fn new(part: impl Into<String>) -> Self {
        Self { part: part.into(), values: HashMap::new() }
    }

    /// The first line of a key counts; some keys have no value.
    fn add(&mut self, line: &'a str) {
        if !line.is_empty() {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            self.values.entry(key).or_insert(value);
        }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.values.get(key).copied()
    }

    fn needed(&self, key: &str) -> Result<&'a str, LightgbmError> {
        self.get(key).ok_or_else(|| wrong(&*self.part, format!("has no {key}")))
    }

    fn one<T: FromStr>(&self, key: &str) -> Result<T, LightgbmError> {
        self.needed(key)?;
        self.optional(key)?.ok_or_else(|| wrong(&*self.part, format!("has no {key}")))
    }

    fn optional<T: FromStr>(&self, key: &str) -> Result<Option<T>, LightgbmError> {
        self.get(key).map(|text| self.number(key, text.trim())).transpose()
    }

    fn number<T: FromStr>(&self, key: &str, text: &str) -> Result<T, LightgbmError> {
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(40).collect();
            wrong(&*self.part, format!("has {shown:?} in {key}; expected a number"))
        })
    }

    /// So many numbers.
    fn list<T: FromStr>(&self, key: &str, many: usize) -> Result<Vec<T>, LightgbmError> {
        let numbers = self.needed(key)?.split_whitespace().map(|text| self.number(key, text));
        let numbers: Vec<T> = numbers.collect::<Result<_, _>>()?;
        if numbers.len() != many {
            return Err(wrong(
                &*self.part,
                format!("has {} numbers in {key}; expected {many}", numbers.len()),
            ));
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\n\
        objective=binary sigmoid:1\nfeature_names=a b\ntree_sizes=1 2\n\nTree=0\nnum_leaves=2\nnum_cat=0\n\
        split_feature=1\nthreshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=1 -1e-3\n\
        leaf_count=3 4\ninternal_count=7\nshrinkage=1\n\n\nTree=1\nnum_leaves=1\nleaf_value=2\n\n\nend of trees\n\nparameters:\n";

    #[test]
    fn a_model_is_read_and_what_is_missing_is_named() {
        let model = read(TEXT.as_bytes()).unwrap();
        assert_eq!((model.features, model.trees.len(), model.average), (2, 2, false));
        assert_eq!(model.feature_names, ["a", "b"]);
        assert_eq!((&model.trees[0].leaves[..], &model.trees[0].left[..]), (&[1.0, -1e-3][..], &[-1][..]));
        assert_eq!(model.trees[1].leaves, [2.0]);
        let refused = |from: &str, to: &str| read(TEXT.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert_eq!(
            refused("tree\nv", "tee\nv"),
            "the file is no LightGBM model: it begins with \"tee\"; expected \"tree\""
        );
        assert_eq!(refused("end of trees", "end"), "the file ends after 2 trees without \"end of trees\"");
        assert_eq!(refused("Tree=1", "Tree=2"), "the file has tree \"2\" where tree 1 is expected");
        assert_eq!(refused("tree_sizes=1 2", "tree_sizes=1"), "the file has 2 trees, but 1 tree_sizes");
        assert_eq!(refused("num_leaves=2", "num_leaves=3"), "tree 0 has 2 numbers in leaf_value; expected 3");
        assert_eq!(refused("num_leaves=2", "num_leaves=0"), "tree 0 has no leaves");
        assert_eq!(refused("num_cat=0", "num_cat=18446744073709551615"), "tree 0 has too large a num_cat");
        assert_eq!(refused("num_cat=0", "num_cat=1"), "tree 0 has no cat_boundaries");
        assert_eq!(
            refused("threshold=0.5", "threshold=x"),
            "tree 0 has \"x\" in threshold; expected a number"
        );
        assert_eq!(refused("threshold=0.5\n", ""), "tree 0 has no threshold");
        assert_eq!(
            refused("max_feature_idx=1", "max_feature_idx=18446744073709551615"),
            "the model has too many features"
        );
        assert_eq!(read(b"\xff").unwrap_err().to_string(), "the file is no text at byte 0");
    }
}
