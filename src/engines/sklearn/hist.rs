//! Histogram-based gradient boosting: trees over doubles, with missing values and categories.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ndarray::ArrayView2;

use super::boosting::{Link, Tie, choose};
use super::contributions;
use super::labels::Labels;
use super::registry::Row;
use super::samples::{self, Kind, Samples, Table};
use super::state::Part;
use super::{Check, Estimator, Facts, Input, Method, ModelError, Spec, answer, bounded, flat};
use crate::engines::trees::{CategorySet, Forest, Node, Test};
use crate::formats::pickle::{Array, DTypeKind, Ref};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const HIST: &[&str] = &["_hist_gradient_boosting.gradient_boosting"];
const ENSEMBLE: &str = "sklearn.ensemble";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(ENSEMBLE, "HistGradientBoostingClassifier", HIST, build_classifier),
    Row::new(ENSEMBLE, "HistGradientBoostingRegressor", HIST, build_regressor),
];

const PREDICTORS: [&str; 1] = ["sklearn.ensemble._hist_gradient_boosting.predictor"];
const BINNING: [&str; 1] = ["sklearn.ensemble._hist_gradient_boosting.binning"];
const COLUMNS: [&str; 1] = ["sklearn.compose._column_transformer"];
const ENCODERS: [&str; 1] = ["sklearn.preprocessing._encoders"];

/// Where a column of the trees comes from, for files since 1.4 with categories.
#[derive(Debug)]
struct Column {
    /// The column of the input.
    source: usize,
    /// Its categories, whose places the trees know; other values are missing.
    categories: Option<Categories>,
}

/// The categories of a column, in the order of their places.
#[derive(Debug)]
enum Categories {
    Numbers(Vec<f64>),
    Texts(HashMap<Bytes, f64>),
}

impl Categories {
    fn kind(&self) -> Kind {
        match self {
            Self::Numbers(_) => Kind::Numbers,
            Self::Texts(_) => Kind::Texts,
        }
    }

    /// The place of a number, NaN when it is none of them.
    #[allow(clippy::cast_precision_loss, reason = "a place in a short list")]
    fn of_number(&self, value: f64) -> f64 {
        match self {
            // At most 256, and NaN among them is not equal to itself: missing stays missing.
            Self::Numbers(all) => {
                all.iter().position(|&category| category == value).map_or(f64::NAN, |place| place as f64)
            }
            Self::Texts(_) => f64::NAN,
        }
    }

    fn of_text(&self, text: &Bytes) -> f64 {
        match self {
            Self::Texts(all) => all.get(text).copied().unwrap_or(f64::NAN),
            Self::Numbers(_) => {
                let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
                number.map_or(f64::NAN, |number| self.of_number(number))
            }
        }
    }
}

#[derive(Debug)]
struct Boosting {
    facts: Facts,
    forest: Forest<f64>,
    /// One for each leaf; the learning rate is in them.
    values: Vec<f64>,
    baseline: Vec<f64>,
    columns: Option<Vec<Column>>,
    link: Link,
    labels: Option<(Arc<Labels>, Tie)>,
}

/// `HistGradientBoostingRegressor`. Source: `sklearn.ensemble._hist_gradient_boosting`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    part.fitted("_predictors")?;
    let link = match &*part.text("loss")?.unwrap_or_default() {
        "least_squares" | "least_absolute_deviation" | "squared_error" | "absolute_error" | "quantile" => {
            Link::Identity
        }
        "poisson" | "gamma" => Link::Log,
        other => return Err(part.refuse("loss", format!("is '{other}', which is no loss of scikit-learn's"))),
    };
    build(part, link, None)
}

/// `HistGradientBoostingClassifier`.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    part.fitted("_predictors")?;
    let labels = Arc::new(part.labels("classes_")?);
    match &*part.text("loss")?.unwrap_or_default() {
        "auto" | "log_loss" | "binary_crossentropy" | "categorical_crossentropy" => {}
        other => return Err(part.refuse("loss", format!("is '{other}', which is no loss of scikit-learn's"))),
    }
    let link = if labels.len() > 2 { Link::Multinomial } else { Link::Logit };
    let tie = if part.version() < (1, 4) { Tie::Probability } else { Tie::First };
    build(part, link, Some((labels, tie)))
}

fn build(
    part: &Part<'_>,
    link: Link,
    labels: Option<(Arc<Labels>, Tie)>,
) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "_predictors";
    let width = if link == Link::Multinomial { labels.as_ref().map_or(1, |(l, _)| l.len()) } else { 1 };
    if let Some((labels, _)) = labels.as_ref().filter(|(labels, _)| labels.len() < 2) {
        return Err(part.refuse("classes_", format!("has {} labels; expected at least 2", labels.len())));
    }
    let baseline = part.finite_numbers("_baseline_prediction")?.values;
    if baseline.len() != width {
        let why = format!("has {} numbers; expected {width}", baseline.len());
        return Err(part.refuse("_baseline_prediction", why));
    }
    let count = part.fitted("_n_features")?;
    let Some(features) = count.as_i64().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0) else {
        return Err(part.unexpected("_n_features", count, "a number of features"));
    };
    let n_features = part.n_features(features, "_n_features")?;
    let known = known_categories(part, features)?;
    let columns = columns(part, features)?;

    let value = part.fitted(NAME)?;
    let mut forest = Forest::new(features);
    let mut values = Vec::new();
    for (i, stage) in value.items().into_iter().flatten().enumerate() {
        let Some(stage) = stage.items().filter(|stage| stage.len() == width) else {
            let why = format!("has {} at [{i}]; expected {width} trees", stage.describe());
            return Err(part.refuse(NAME, why));
        };
        for (k, tree) in stage.enumerate() {
            let place = format!("{NAME}[{i}][{k}]");
            let tree = part.object(tree, NAME, &place, &PREDICTORS, "TreePredictor")?;
            let (nodes, leaves) = read(&tree, &known)?;
            let covers = tree.array("nodes")?.field("count").and_then(|field| field.to_f64().ok());
            let ends = forest
                .add_if_covered(&nodes, covers.as_deref())
                .map_err(|error| tree.refuse("nodes", error.to_string()))?;
            for &leaf in ends {
                let value = leaves[leaf as usize];
                if !value.is_finite() {
                    return Err(tree.refuse("nodes", format!("holds {value} at leaf {leaf}")));
                }
                values.push(value);
            }
        }
    }
    if value.items().is_none() {
        return Err(part.unexpected(NAME, value, "a list of the trees of each stage"));
    }

    let spec = |method, dtype, gives: Option<usize>| Spec::new(method, dtype, gives);
    let mut methods = match &labels {
        Some((labels, _)) => vec![
            spec(Method::Predict, labels.dtype(), None),
            spec(Method::PredictProba, DType::Double, Some(labels.len())),
            spec(Method::DecisionFunction, DType::Double, (width > 1).then_some(width)),
        ],
        None => vec![spec(Method::Predict, DType::Double, None)],
    };
    methods.extend(contributions::spec(&forest, width));
    let named = labels.as_ref().map(|(labels, _)| Arc::clone(labels));
    // Missing and infinite values are what it is for.
    let mut kinds = vec![Kind::Numbers; n_features];
    for column in columns.iter().flatten() {
        if let Some(categories) = &column.categories {
            kinds[column.source] = categories.kind();
        }
    }
    let facts = Facts::new(part, n_features, Check::Width, methods)?;
    let facts = facts.labelled(named).taking(Input::of_kinds(kinds));
    Ok(Box::new(Boosting { facts, forest, values, baseline, columns, link, labels }))
}

/// The nodes of one tree, and the value of each that is a leaf.
fn read(tree: &Part<'_>, known: &[CategorySet]) -> Result<(Vec<Node>, Vec<f64>), ModelError> {
    const NAME: &str = "nodes";
    const SETS: &str = "raw_left_cat_bitsets";
    let array = tree.array(NAME)?;
    if array.shape().len() != 1 {
        return Err(tree.refuse(NAME, format!("is {array}; expected one record per node")));
    }
    let field = |name: &str| {
        array.field(name).ok_or_else(|| tree.refuse(NAME, format!("has no field {name}: it is {array}")))
    };
    let wrong = |name: &str, error: String| tree.refuse(NAME, format!("has a wrong field {name}: {error}"));
    let integers = |name: &str| field(name)?.to_i64().map_err(|error| wrong(name, error.to_string()));
    let doubles = |name: &str| field(name)?.to_f64().map_err(|error| wrong(name, error.to_string()));
    let flags = |name: &str| field(name)?.to_bools().map_err(|error| wrong(name, error.to_string()));
    let (features, left, right) = (integers("feature_idx")?, integers("left")?, integers("right")?);
    // Named `threshold` until 0.23.
    let (values, thresholds) = (doubles("value")?, doubles("num_threshold")?);
    let (missing, leaves, categorical) =
        (flags("missing_go_to_left")?, flags("is_leaf")?, flags("is_categorical")?);
    let places = integers("bitset_idx")?;

    let words = tree.array(SETS)?;
    if !matches!(words.shape(), &[_, 8]) {
        return Err(tree.refuse(SETS, format!("is {words}; expected 8 words for each split")));
    }
    let words = words.to_i64().map_err(|error| tree.refuse(SETS, error.to_string()))?;
    let words: Option<Vec<u32>> = words.into_iter().map(|word| u32::try_from(word).ok()).collect();
    let words = words.ok_or_else(|| tree.refuse(SETS, "holds more than 32 bits in a word"))?;
    let (sets, _) = words.as_chunks::<8>();

    let mut nodes = Vec::with_capacity(array.len());
    for i in 0..array.len() {
        if leaves[i] {
            nodes.push(Node::Leaf);
            continue;
        }
        let test = if categorical[i] {
            let at = |n: i64| usize::try_from(n).ok();
            let set = at(places[i]).and_then(|place| sets.get(place));
            let set = set.ok_or_else(|| {
                tree.refuse(NAME, format!("names categories {} at node {i}, of {}", places[i], sets.len()))
            })?;
            let known = at(features[i]).and_then(|feature| known.get(feature)).copied().unwrap_or_default();
            Test::Among { left: CategorySet::from_words(*set), known }
        } else {
            Test::AtMost(thresholds[i])
        };
        nodes.push(Node::Split {
            feature: features[i],
            test,
            missing_left: missing[i],
            left: left[i],
            right: right[i],
        });
    }
    Ok((nodes, values))
}

/// The categories that each column of the trees was fitted with. Source:
/// `_BinMapper.make_known_categories_bitsets`.
fn known_categories(part: &Part<'_>, features: usize) -> Result<Vec<CategorySet>, ModelError> {
    const NAME: &str = "bin_thresholds_";
    let mapper = part.within("_bin_mapper", &BINNING, "_BinMapper")?;
    let categorical = mapper.array("is_categorical_")?.to_bools();
    let categorical = categorical.map_err(|error| mapper.refuse("is_categorical_", error.to_string()))?;
    let thresholds = mapper.fitted(NAME)?;
    let Some(each) = thresholds.elements().filter(|each| each.len() == features) else {
        return Err(mapper.unexpected(NAME, thresholds, &format!("a list of {features} arrays")));
    };
    if categorical.len() != features {
        let why = format!("has {} flags for {features} features", categorical.len());
        return Err(mapper.refuse("is_categorical_", why));
    }
    let mut known = vec![CategorySet::default(); features];
    for ((set, values), _) in known.iter_mut().zip(each).zip(&categorical).filter(|(_, of)| **of) {
        for value in mapper.numbers_of(NAME, values)? {
            let whole = (0.0..256.0).contains(&value) && value.fract() == 0.0;
            if !whole {
                return Err(mapper.refuse(NAME, format!("holds category {value}; expected 0 to 255")));
            }
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
            set.insert(value as u8);
        }
    }
    Ok(known)
}

/// Since 1.4 an encoder stands before the trees when there are categories: it puts the
/// categorical columns first and their categories' places for their values. Source:
/// `BaseHistGradientBoosting._preprocess_X`.
fn columns(part: &Part<'_>, features: usize) -> Result<Option<Vec<Column>>, ModelError> {
    const NAME: &str = "_preprocessor";
    if part.attr(NAME).is_none() {
        return Ok(None);
    }
    let outer = part.within(NAME, &COLUMNS, "ColumnTransformer")?;
    let categorical = part.array("is_categorical_")?.to_bools();
    let categorical = categorical.map_err(|error| part.refuse("is_categorical_", error.to_string()))?;
    if categorical.len() != features {
        let why = format!("has {} flags for {features} features", categorical.len());
        return Err(part.refuse("is_categorical_", why));
    }
    let value = outer.fitted("transformers_")?;
    let first = value.items().and_then(|mut items| items.next()).and_then(Ref::items);
    let mut first = first.into_iter().flatten();
    let encoder = match (first.next().and_then(Ref::to_str).as_deref(), first.next()) {
        (Some("encoder"), Some(encoder)) => encoder,
        _ => return Err(outer.unexpected("transformers_", value, "an encoder of categories first")),
    };
    let encoder = outer.object(encoder, "transformers_", "transformers_[0]", &ENCODERS, "OrdinalEncoder")?;
    let categories = encoder.fitted("categories_")?;
    let many = categorical.iter().filter(|&&of| of).count();
    let Some(each) = categories.items().filter(|each| each.len() == many) else {
        return Err(encoder.unexpected("categories_", categories, &format!("a list of {many} arrays")));
    };
    let encoded = (0..features).filter(|&source| categorical[source]).zip(each);
    let mut columns = Vec::with_capacity(features);
    for (source, values) in encoded {
        let categories = read_categories(&encoder, values)?;
        columns.push(Column { source, categories: Some(categories) });
    }
    let plain = (0..features).filter(|&source| !categorical[source]);
    columns.extend(plain.map(|source| Column { source, categories: None }));
    Ok(Some(columns))
}

/// The categories of one column, numbers or text; a missing value among them has a place,
/// which nothing that is sent is at.
fn read_categories<'a>(encoder: &Part<'a>, values: Ref<'a>) -> Result<Categories, ModelError> {
    const NAME: &str = "categories_";
    // Each row is held against them one by one. Trees have no more bins.
    const MOST: usize = 256;
    if let Some(count) = values.array().map(Array::len).filter(|&count| count > MOST) {
        return Err(encoder.refuse(NAME, format!("has {count} categories; expected at most {MOST}")));
    }
    let texts: Vec<Option<String>> = match values.array().map(|array| array.dtype().kind()) {
        Some(DTypeKind::Object) => {
            values.elements().into_iter().flatten().map(|value| Some(value.to_str()?.into_owned())).collect()
        }
        Some(DTypeKind::Unicode) => match encoder.labels_of(NAME, values)? {
            Labels::Texts(texts) => {
                texts.iter().map(|text| Some(String::from_utf8_lossy(text).into_owned())).collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    if texts.iter().all(Option::is_none) {
        return encoder.numbers_of(NAME, values).map(Categories::Numbers);
    }
    #[allow(clippy::cast_precision_loss, reason = "a place in a short list")]
    let placed = texts.into_iter().enumerate().filter_map(|(at, text)| Some((text?.into(), at as f64)));
    Ok(Categories::Texts(placed.collect()))
}

impl Boosting {
    /// A table as the trees look at it.
    fn encode_table(&self, columns: &[Column], table: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let (rows, width) = (table.rows(), columns.len());
        bounded(self.facts.class, rows, width)?;
        let mut all = vec![0.0; rows * width];
        for (at, column) in columns.iter().enumerate() {
            let given = table.column(column.source);
            let places = all.iter_mut().skip(at).step_by(width);
            match (&*given, &column.categories) {
                (samples::Column::Numbers(values), Some(categories)) => {
                    places.zip(values).for_each(|(to, &value)| *to = categories.of_number(value));
                }
                (samples::Column::Texts(values), Some(categories)) => {
                    places.zip(values).for_each(|(to, value)| *to = categories.of_text(value));
                }
                (other, None) => {
                    let alone = Table::new(rows, vec![other.clone()]);
                    let numbers = Samples::Table(&alone).to_dense(self.facts.class)?;
                    places.zip(&numbers).for_each(|(to, &value)| *to = value);
                }
            }
        }
        Ok(all)
    }

    /// The input as the trees look at it.
    fn encode(&self, columns: &[Column], x: &[f64]) -> Vec<f64> {
        let mut all = Vec::with_capacity(x.len());
        for row in x.chunks_exact(columns.len()) {
            all.extend(columns.iter().map(|column| {
                let value = row[column.source];
                column.categories.as_ref().map_or(value, |categories| categories.of_number(value))
            }));
        }
        all
    }

    /// `[rows, width]`.
    fn raw(&self, x: &[f64], rows: usize) -> Vec<f64> {
        let width = self.baseline.len();
        let mut raw = self.baseline.repeat(rows);
        self.forest.walk(x, |row, tree, leaf| raw[row * width + tree % width] += self.values[leaf]);
        raw
    }

    /// `[rows, width, features + 1]`, the features in the order of the input.
    fn contributions(&self, x: &[f64]) -> Vec<f64> {
        let mut all = contributions::contributions(&self.forest, &self.values, &self.baseline, x);
        if let Some(columns) = &self.columns {
            let mut encoded = Vec::with_capacity(columns.len());
            for sums in all.chunks_exact_mut(columns.len() + 1) {
                encoded.clear();
                encoded.extend_from_slice(&sums[..columns.len()]);
                columns.iter().zip(&encoded).for_each(|(column, sum)| sums[column.source] = *sum);
            }
        }
        all
    }
}

impl Estimator for Boosting {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        match &self.columns {
            Some(columns) => self.answer(&self.encode(columns, flat(&x)), x.nrows(), wanted, answers),
            None => self.answer(flat(&x), x.nrows(), wanted, answers),
        }
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        match (&self.columns, x) {
            (_, Samples::Dense(x)) => self.compute(x, wanted, answers),
            (Some(columns), x @ Samples::Table(_)) => {
                self.answer(&self.encode_table(columns, x)?, x.rows(), wanted, answers)
            }
            (_, x) => self.compute(x.to_dense(self.facts.class)?.view(), wanted, answers),
        }
    }
}

impl Boosting {
    /// Answers for rows as the trees look at them.
    fn answer(
        &self,
        x: &[f64],
        rows: usize,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let width = self.baseline.len();
        bounded(self.facts.class, rows, width)?;
        let needs_raw = wanted.iter().any(|&method| method != Method::Contributions);
        let raw = if needs_raw { self.raw(x, rows) } else { Vec::new() };
        for &method in wanted {
            let elements: Elements = match (method, &self.labels) {
                (Method::Contributions, _) => self.contributions(x).into(),
                (Method::Predict, Some((labels, tie))) => choose(labels, self.link, *tie, &raw, width),
                (Method::PredictProba, _) => self.link.probabilities(&raw, width).into(),
                (Method::Predict, None) if self.link == Link::Log => {
                    raw.iter().map(|raw| raw.exp()).collect::<Vec<_>>().into()
                }
                _ => raw.clone().into(),
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
