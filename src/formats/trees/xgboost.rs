//! XGBoost's model files, `model.json` and `model.ubj`, and what a pickled `Booster` holds.
//!
//! The same schema in two containers, of which versions differ in what they leave out.
//! Source: `doc/model.schema` of XGBoost, and what 1.0 to 3.4 write.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::ubjson::{self, UbjsonError};

/// Why bytes are no model of XGBoost's.
#[derive(Debug, thiserror::Error)]
pub enum XgboostError {
    /// No JSON, or of another form.
    #[error("is no XGBoost model in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// No UBJSON, or of another form.
    #[error("is no XGBoost model in UBJSON: {0}")]
    Ubjson(#[from] UbjsonError),
    /// Neither begins as this does.
    #[error("is no XGBoost model: it begins with {start:?}{}", if start == "binf" || start == "bs64" { ", the old binary format; save it again with save_model(\"model.json\")" } else { ", and `{` is expected" })]
    Unknown {
        /// The first bytes.
        start: String,
    },
    /// A part is not what it must be.
    #[error("{place} {why}")]
    Field {
        /// Where in the file.
        place: String,
        /// What is wrong with it: a predicate.
        why: String,
    },
}

/// A booster.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The library's version that wrote it.
    pub version: Vec<u32>,
    /// What the library notes beside the model, such as `best_iteration`.
    pub attributes: BTreeMap<String, String>,
    /// Columns of the input.
    pub features: usize,
    /// Their names; empty when it was not fitted on a data frame.
    pub feature_names: Vec<String>,
    /// `reg:squarederror`, …
    pub objective: String,
    /// Classes of `multi:…`, else 0.
    pub classes: usize,
    /// Numbers that are predicted for a row, where there are no classes; at least 1.
    pub targets: usize,
    /// What predictions start from, in the objective's own terms: one, or one for each output.
    pub base_score: Vec<f32>,
    /// What is added to it.
    pub booster: Booster,
}

/// What a model adds up.
#[derive(Debug, Clone, PartialEq)]
pub enum Booster {
    /// `gbtree` and `dart`.
    Trees {
        /// In the order in which they are added.
        trees: Vec<Tree>,
        /// The output that each adds to.
        groups: Vec<u32>,
        /// What `dart` weighs each with; empty where all weigh 1.
        weights: Vec<f32>,
        /// Where the trees of each iteration begin, and the end of the last; since 2.0.
        iterations: Vec<usize>,
        /// Trees of a forest that one iteration is.
        parallel: usize,
    },
    /// `gblinear`: `[features + 1, outputs]`, row-major, the biases last.
    Linear(Vec<f32>),
}

/// One tree; the lists of nodes are equally long, those of categories are as the file has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// -1 for a leaf.
    pub left: Vec<i32>,
    /// Of a split its right child. Of a leaf of several numbers its place in them, since 3.1.
    pub right: Vec<i32>,
    /// The column that a split looks at.
    pub features: Vec<i64>,
    /// Of a split its threshold, of a leaf its value.
    pub conditions: Vec<f32>,
    /// Whether a missing value goes left.
    pub default_left: Vec<bool>,
    /// The hessians of the rows that came by. Not in every file.
    pub covers: Vec<f32>,
    /// Numbers of a leaf.
    pub leaf_width: usize,
    /// What leaves of several numbers hold: `[nodes, leaf_width]` by node until 3.0.
    pub leaf_weights: LeafWeights,
    /// The splits on categories, with those that go right.
    pub categories: Vec<(usize, Vec<u32>)>,
}

/// Where the numbers of a leaf stand.
#[derive(Debug, Clone, PartialEq)]
pub enum LeafWeights {
    /// In [`Tree::conditions`].
    Conditions,
    /// At the node's number.
    ByNode(Vec<f32>),
    /// At the number in [`Tree::right`].
    ByLeaf(Vec<f32>),
}

/// Reads `model.json`, `model.ubj` or the bytes of a pickled `Booster`.
///
/// # Errors
/// [`XgboostError`], which names the place.
pub fn read(file: &[u8]) -> Result<Model, XgboostError> {
    // Both begin with a brace; in UBJSON the length of the first key follows.
    let raw: RawFile = match file {
        [b'{', b'i' | b'U' | b'I' | b'l' | b'L' | b'N' | b'$' | b'#', ..] => ubjson::read(file)?,
        _ if file.trim_ascii_start().first() == Some(&b'{') => serde_json::from_slice(&without_nan(file))?,
        _ => {
            let start = String::from_utf8_lossy(&file[..file.len().min(4)]).into_owned();
            return Err(XgboostError::Unknown { start });
        }
    };
    let raw = match raw {
        RawFile { learner: None, model: Some(inner), .. } => *inner,
        raw => raw,
    };
    let learner = raw.learner.ok_or_else(|| field("learner", "is not there"))?;
    let parameters = learner.learner_model_param;
    let model = Model {
        version: raw.version,
        attributes: learner.attributes,
        features: number("num_feature", &parameters.num_feature)?,
        feature_names: learner.feature_names,
        objective: learner.objective.name,
        classes: number("num_class", &parameters.num_class)?,
        targets: parameters.num_target.map_or(Ok(1), |text| number("num_target", &text))?.max(1),
        base_score: base_score(&parameters.base_score)?,
        booster: booster(learner.gradient_booster, 0)?,
    };
    Ok(model)
}

/// JSON has no NaN and no infinity, and XGBoost writes them all the same. A text of the
/// same length stands for each, which the numbers here are read from as well.
fn without_nan(file: &[u8]) -> Cow<'_, [u8]> {
    const BARE: [(&[u8], &[u8]); 3] =
        [(b"-Infinity", b"\"-infini\""), (b"Infinity", b"\"infini\""), (b"NaN", b"\"n\"")];
    let mut text = Cow::Borrowed(file);
    let (mut at, mut quoted) = (0, false);
    while at < file.len() {
        match file[at] {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            b'N' | b'I' | b'-' if !quoted => {
                if let Some((bare, named)) = BARE.iter().find(|(bare, _)| file[at..].starts_with(bare)) {
                    text.to_mut()[at..at + bare.len()].copy_from_slice(named);
                    at += bare.len() - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text
}

fn field(place: impl Into<String>, why: impl Into<String>) -> XgboostError {
    XgboostError::Field { place: place.into(), why: why.into() }
}

fn number(place: &str, text: &str) -> Result<usize, XgboostError> {
    text.trim().parse().map_err(|_| field(place, format!("is {text:?}; expected a whole number")))
}

/// One number, or since 3.1 a list of them.
fn base_score(text: &str) -> Result<Vec<f32>, XgboostError> {
    let list = text.trim().trim_start_matches('[').trim_end_matches(']');
    let scores: Option<Vec<f32>> = list
        .split(',')
        .map(|score| score.trim().parse().ok().filter(|score: &f32| score.is_finite()))
        .collect();
    scores.ok_or_else(|| field("base_score", format!("is {text:?}; expected a number, or a list of them")))
}

fn booster(raw: RawBooster, depth: usize) -> Result<Booster, XgboostError> {
    match (&*raw.name, raw.model, raw.gbtree) {
        ("gbtree", Some(model), _) => trees(model, raw.weight_drop),
        ("dart", None, Some(inner)) if depth == 0 => {
            match booster(RawBooster { weight_drop: raw.weight_drop, ..*inner }, 1)? {
                trees @ Booster::Trees { .. } => Ok(trees),
                Booster::Linear(_) => Err(field("gradient_booster.gbtree", "has no trees")),
            }
        }
        ("gblinear", Some(RawModel { weights: Some(weights), .. }), _) => {
            Ok(Booster::Linear(singles(weights)))
        }
        ("gbtree" | "dart" | "gblinear", _, _) => {
            Err(field("gradient_booster", format!("is {} without its model", raw.name)))
        }
        (other, _, _) => {
            let why = format!("is {other:?}; expected \"gbtree\", \"dart\" or \"gblinear\"");
            Err(field("gradient_booster.name", why))
        }
    }
}

fn trees(model: RawModel, weight_drop: Option<Vec<Single>>) -> Result<Booster, XgboostError> {
    let raw = model.trees.ok_or_else(|| field("gradient_booster.model.trees", "is not there"))?;
    let groups = model.tree_info;
    if groups.len() != raw.len() {
        let why = format!("has {} numbers for {} trees", groups.len(), raw.len());
        return Err(field("gradient_booster.model.tree_info", why));
    }
    let weights = singles(weight_drop.or(model.weight_drop).unwrap_or_default());
    if !weights.is_empty() && weights.len() != raw.len() {
        let why = format!("has {} numbers for {} trees", weights.len(), raw.len());
        return Err(field("weight_drop", why));
    }
    let parallel = model.gbtree_model_param.and_then(|parameters| parameters.num_parallel_tree);
    let parallel = parallel.map_or(Ok(1), |text| number("num_parallel_tree", &text))?.max(1);
    let trees: Result<Vec<Tree>, XgboostError> =
        raw.into_iter().enumerate().map(|(i, raw)| tree(i, raw)).collect();
    Ok(Booster::Trees { trees: trees?, groups, weights, iterations: model.iteration_indptr, parallel })
}

fn tree(i: usize, raw: RawTree) -> Result<Tree, XgboostError> {
    let wrong = |what: &str, why: String| field(format!("trees[{i}].{what}"), why);
    let nodes = raw.left_children.len();
    if nodes == 0 {
        return Err(wrong("left_children", "is empty".to_owned()));
    }
    let leaf_width =
        raw.tree_param.size_leaf_vector.map_or(Ok(0), |text| number("size_leaf_vector", &text))?;
    // It was 0 for leaves of one number until 2.0.
    let leaf_width = leaf_width.max(1);
    for (what, length) in [
        ("right_children", raw.right_children.len()),
        ("split_indices", raw.split_indices.len()),
        ("split_conditions", raw.split_conditions.len()),
        ("default_left", raw.default_left.len()),
    ] {
        if length != nodes {
            return Err(wrong(what, format!("has {length} numbers for {nodes} nodes")));
        }
    }
    // Optional lists may be empty.
    for (what, length) in [("sum_hessian", raw.sum_hessian.len()), ("split_type", raw.split_type.len())] {
        if length != nodes && length != 0 {
            return Err(wrong(what, format!("has {length} numbers for {nodes} nodes")));
        }
    }
    let leaf_weights = if leaf_width == 1 {
        LeafWeights::Conditions
    } else if raw.leaf_weights.is_empty() {
        let needed = nodes.checked_mul(leaf_width);
        if needed != Some(raw.base_weights.len()) {
            let why = format!("has {} numbers for {nodes} nodes of {leaf_width}", raw.base_weights.len());
            return Err(wrong("base_weights", why));
        }
        LeafWeights::ByNode(singles(raw.base_weights))
    } else {
        if !raw.leaf_weights.len().is_multiple_of(leaf_width) {
            let why = format!("has {} numbers for leaves of {leaf_width}", raw.leaf_weights.len());
            return Err(wrong("leaf_weights", why));
        }
        LeafWeights::ByLeaf(singles(raw.leaf_weights))
    };

    let splits = raw.categories_nodes.len();
    if raw.categories_segments.len() != splits || raw.categories_sizes.len() != splits {
        let (segments, sizes) = (raw.categories_segments.len(), raw.categories_sizes.len());
        return Err(wrong(
            "categories_nodes",
            format!("has {splits} numbers, but there are {segments} segments and {sizes} sizes"),
        ));
    }
    let mut categories = Vec::with_capacity(splits);
    let mut end_before = 0;
    for ((&node, &start), &size) in
        raw.categories_nodes.iter().zip(&raw.categories_segments).zip(&raw.categories_sizes)
    {
        // One after the other: no two splits copy the same categories.
        let end = start.checked_add(size).filter(|&end| end <= raw.categories.len() && start >= end_before);
        let Some(end) = end else {
            let why = format!("names {size} categories from {start} on, of {}", raw.categories.len());
            return Err(wrong("categories_segments", why));
        };
        end_before = end;
        if categories.last().is_some_and(|&(before, _)| before >= node) {
            return Err(wrong("categories_nodes", format!("names node {node} out of order")));
        }
        if raw.split_type.get(node) != Some(&1) {
            return Err(wrong(
                "categories_nodes",
                format!("names node {node}, which is no split on categories"),
            ));
        }
        categories.push((node, raw.categories[start..end].to_vec()));
    }
    let many = raw.split_type.iter().filter(|&&kind| kind == 1).count();
    if many != categories.len() {
        return Err(wrong(
            "split_type",
            format!("has {many} splits on categories, but there are the categories of {}", categories.len()),
        ));
    }
    Ok(Tree {
        left: raw.left_children,
        right: raw.right_children,
        features: raw.split_indices,
        conditions: singles(raw.split_conditions),
        default_left: raw.default_left.into_iter().map(|flag| flag.0).collect(),
        covers: singles(raw.sum_hessian),
        leaf_width,
        leaf_weights,
        categories,
    })
}

fn singles(values: Vec<Single>) -> Vec<f32> {
    // The same memory: one is the other in another name.
    values.into_iter().map(|value| value.0).collect()
}

#[derive(Deserialize)]
struct RawFile {
    learner: Option<RawLearner>,
    #[serde(default)]
    version: Vec<u32>,
    /// What a pickle holds has the model beside its configuration.
    #[serde(rename = "Model")]
    model: Option<Box<RawFile>>,
}

#[derive(Deserialize)]
struct RawLearner {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    feature_names: Vec<String>,
    gradient_booster: RawBooster,
    learner_model_param: RawParameters,
    objective: RawObjective,
}

#[derive(Deserialize)]
struct RawParameters {
    base_score: String,
    num_class: String,
    num_feature: String,
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct RawObjective {
    name: String,
}

#[derive(Deserialize)]
struct RawBooster {
    name: String,
    model: Option<RawModel>,
    gbtree: Option<Box<RawBooster>>,
    weight_drop: Option<Vec<Single>>,
}

#[derive(Deserialize)]
struct RawModel {
    trees: Option<Vec<RawTree>>,
    #[serde(default)]
    tree_info: Vec<u32>,
    #[serde(default)]
    iteration_indptr: Vec<usize>,
    gbtree_model_param: Option<RawForest>,
    /// Newer versions have it here, older ones beside the booster.
    weight_drop: Option<Vec<Single>>,
    weights: Option<Vec<Single>>,
}

#[derive(Deserialize)]
struct RawForest {
    num_parallel_tree: Option<String>,
}

#[derive(Deserialize)]
struct RawTree {
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<i64>,
    split_conditions: Vec<Single>,
    default_left: Vec<Flag>,
    tree_param: RawTreeParameters,
    #[serde(default)]
    sum_hessian: Vec<Single>,
    #[serde(default)]
    base_weights: Vec<Single>,
    #[serde(default)]
    leaf_weights: Vec<Single>,
    #[serde(default)]
    split_type: Vec<u8>,
    #[serde(default)]
    categories: Vec<u32>,
    #[serde(default)]
    categories_nodes: Vec<usize>,
    #[serde(default)]
    categories_segments: Vec<usize>,
    #[serde(default)]
    categories_sizes: Vec<usize>,
}

#[derive(Deserialize)]
struct RawTreeParameters {
    size_leaf_vector: Option<String>,
}

/// A number that may be none: see [`without_nan`].
struct Single(f32);

impl<'de> Deserialize<'de> for Single {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SingleVisitor).map(Self)
    }
}

struct SingleVisitor;

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the file's numbers are singles"
)]
impl Visitor<'_> for SingleVisitor {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<f32, E> {
        Ok(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<f32, E> {
        match value {
            "n" => Ok(f32::NAN),
            "infini" => Ok(f32::INFINITY),
            "-infini" => Ok(f32::NEG_INFINITY),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }
}

/// `true` and `false` until 1.5, 1 and 0 since.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagVisitor).map(Self)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<bool, E> {
        Ok(value != 0)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<bool, E> {
        Ok(value != 0)
    }
}
