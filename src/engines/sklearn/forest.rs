//! Forests, and single trees as forests of one: the mean of what the trees' leaves hold.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::contributions;
use super::labels::Labels;
use super::math::argmax;
use super::registry::Row;
use super::state::Part;
use super::tree::{CLASSIFIERS, Dimensions, REGRESSORS, Trees, fractions, path_specs, single, takes_missing};
use super::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const FOREST: &[&str] = &["_forest", "forest"];
const ENSEMBLE: &str = "sklearn.ensemble";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(ENSEMBLE, "ExtraTreesClassifier", FOREST, build_classifier),
    Row::new(ENSEMBLE, "ExtraTreesRegressor", FOREST, build_regressor),
    Row::new(ENSEMBLE, "RandomForestClassifier", FOREST, build_classifier),
    Row::new(ENSEMBLE, "RandomForestRegressor", FOREST, build_regressor),
];

/// Whether `apply` answers with one leaf, or one per tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Single,
    Many,
}

/// What the mean is made into.
#[derive(Debug)]
enum Target {
    /// One label.
    Label(Arc<Labels>),
    /// One label for each output, and probabilities for each output.
    Labels(Vec<Labels>),
    /// The mean is the answer.
    Numbers,
}

/// Trees that answer together.
#[derive(Debug)]
pub(super) struct Ensemble {
    facts: Facts,
    trees: Trees,
    dimensions: Dimensions,
    target: Target,
}

impl Ensemble {
    /// Source: `sklearn.ensemble._forest.ForestClassifier`, `sklearn.tree.DecisionTreeClassifier`.
    pub(super) fn classifier(
        part: &Part<'_>,
        trees: Trees,
        dimensions: Dimensions,
        shape: Shape,
        nan: bool,
    ) -> Result<Box<dyn Estimator>, ModelError> {
        const NAME: &str = "classes_";
        let outputs = if let &[classes] = &dimensions.classes[..] {
            vec![(part.labels(NAME)?, classes)]
        } else {
            let value = part.fitted(NAME)?;
            let Some(each) = value.items().filter(|each| each.len() == dimensions.classes.len()) else {
                let want = format!("a list of the labels of {} outputs", dimensions.classes.len());
                return Err(part.unexpected(NAME, value, &want));
            };
            let labels: Result<Vec<_>, _> = each.map(|value| part.labels_of(NAME, value)).collect();
            labels?.into_iter().zip(dimensions.classes.iter().copied()).collect()
        };
        for (labels, classes) in &outputs {
            if labels.len() != *classes {
                let why = format!("has {} labels, but the trees have {classes} classes", labels.len());
                return Err(part.refuse(NAME, why));
            }
            if labels.dtype() != outputs[0].0.dtype() {
                return Err(part.refuse(NAME, "mixes kinds of labels; expected one kind for all outputs"));
            }
        }
        let dtype = outputs[0].0.dtype();
        let mut labels: Vec<Labels> = outputs.into_iter().map(|(labels, _)| labels).collect();
        let target =
            if labels.len() == 1 { Target::Label(labels.remove(0).into()) } else { Target::Labels(labels) };
        Self::build(part, trees, dimensions, (shape, nan), (target, dtype))
    }

    /// Source: `sklearn.ensemble._forest.ForestRegressor`, `sklearn.tree.DecisionTreeRegressor`.
    pub(super) fn regressor(
        part: &Part<'_>,
        trees: Trees,
        dimensions: Dimensions,
        shape: Shape,
        nan: bool,
    ) -> Result<Box<dyn Estimator>, ModelError> {
        if dimensions.stride() != 1 {
            let why = format!("has {} classes, but predicts numbers", dimensions.stride());
            return Err(part.refuse("tree_", why));
        }
        Self::build(part, trees, dimensions, (shape, nan), (Target::Numbers, DType::Double))
    }

    fn build(
        part: &Part<'_>,
        trees: Trees,
        dimensions: Dimensions,
        (shape, nan): (Shape, bool),
        (target, dtype): (Target, DType),
    ) -> Result<Box<dyn Estimator>, ModelError> {
        let n_features = part.n_features(dimensions.features, "tree_")?;
        let outputs = dimensions.classes.len();
        let several = (outputs > 1).then_some(outputs);
        let leaves = (shape == Shape::Many).then_some(trees.forest.trees());
        let spec = |method, dtype, gives: Option<usize>| Spec::new(method, dtype, gives);
        let mut methods = vec![spec(Method::Predict, dtype, several)];
        if let Target::Label(labels) = &target {
            let classes = Some(labels.len());
            methods.push(spec(Method::PredictProba, DType::Double, classes));
            methods.push(spec(Method::PredictLogProba, DType::Double, classes));
        }
        if let Target::Labels(_) = &target {
            // Outputs that are counted by more than 16 bits are not told apart.
            for (i, &classes) in (0..=u16::MAX).zip(&dimensions.classes) {
                methods.push(spec(Method::PredictProbaOf(i), DType::Double, Some(classes)));
                methods.push(spec(Method::PredictLogProbaOf(i), DType::Double, Some(classes)));
            }
        }
        methods.push(spec(Method::Apply, DType::Int64, leaves));
        methods.extend(path_specs(&trees, shape));
        // Of classes of several outputs it would take one more dimension than there is.
        if !matches!(target, Target::Labels(_)) {
            methods.extend(contributions::spec(&trees.forest, dimensions.width()));
        }
        let check = Check::Single { nan };
        let labels = match &target {
            Target::Label(labels) => Some(Arc::clone(labels)),
            Target::Labels(_) | Target::Numbers => None,
        };
        let facts = Facts::new(part, n_features, check, methods)?.labelled(labels);
        Ok(Box::new(Self { facts, trees, dimensions, target }))
    }

    /// `[rows, width]`: the mean of the trees' leaves, added up in their order.
    fn means(&self, x: &[f32], rows: usize) -> Vec<f64> {
        let mut means = self.trees.sums(x, rows);
        let trees = self.trees.forest.trees();
        if trees > 1 {
            #[allow(clippy::cast_precision_loss, reason = "a number of trees")]
            means.iter_mut().for_each(|sum| *sum /= trees as f64);
        }
        means
    }

    /// The probabilities of one output: `[rows, its classes]`.
    fn of_output(&self, means: &[f64], output: u16) -> Vec<f64> {
        let (stride, output) = (self.dimensions.stride(), usize::from(output));
        let own = output * stride..output * stride + self.dimensions.classes[output];
        means.chunks_exact(self.dimensions.width()).flat_map(|row| row[own.clone()].iter().copied()).collect()
    }

    fn predict(&self, means: &[f64]) -> Elements {
        match &self.target {
            Target::Numbers => means.to_vec().into(),
            Target::Label(labels) => labels.take(means.chunks_exact(self.dimensions.stride()).map(argmax)),
            Target::Labels(labels) => {
                let outputs = means.chunks_exact(self.dimensions.stride());
                let classes = self.dimensions.classes.iter().cycle();
                let places: Vec<usize> = outputs.zip(classes).map(|(row, &n)| argmax(&row[..n])).collect();
                Labels::take_each(labels, &places)
            }
        }
    }
}

impl Estimator for Ensemble {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.nrows(), self.dimensions.width())?;
        let (rows, x) = (x.nrows(), single(&x));
        let is_mean = |method: &Method| {
            use Method::{Apply, Contributions, DecisionPath, PathStarts};
            !matches!(method, Apply | Contributions | DecisionPath | PathStarts)
        };
        let needs_means = wanted.iter().any(is_mean);
        let means = if needs_means { self.means(&x, rows) } else { Vec::new() };
        for &method in wanted {
            let elements = match method {
                Method::Apply => self.trees.apply(&x, rows).into(),
                Method::DecisionPath => self.trees.paths(&x, rows).into(),
                Method::PathStarts => self.trees.path_starts(rows).into(),
                Method::Contributions => self.trees.mean_contributions(&x).into(),
                Method::PredictProba => means.clone().into(),
                Method::PredictLogProba => means.iter().map(|mean| mean.ln()).collect::<Vec<_>>().into(),
                Method::PredictProbaOf(i) => self.of_output(&means, i).into(),
                Method::PredictLogProbaOf(i) => {
                    self.of_output(&means, i).into_iter().map(f64::ln).collect::<Vec<_>>().into()
                }
                _ => self.predict(&means),
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}

/// The fitted trees of an ensemble, each of one of these classes; there is at least one.
pub(super) fn estimators<'a>(
    part: &Part<'a>,
    classes: &[&str],
) -> Result<impl ExactSizeIterator<Item = Result<Part<'a>, ModelError>>, ModelError> {
    const NAME: &str = "estimators_";
    let value = part.fitted(NAME)?;
    let Some(items) = value.elements().filter(|items| items.len() > 0) else {
        return Err(part.unexpected(NAME, value, "a list of at least one tree"));
    };
    let open = move |(i, value): (usize, Ref<'a>)| part.child_part(value, NAME, i, classes);
    Ok(items.enumerate().map(open))
}

/// Reads all trees; `counts` says whether leaves hold classes.
pub(super) fn read(
    part: &Part<'_>,
    classes: &[&str],
    counts: bool,
) -> Result<(Trees, Dimensions, bool), ModelError> {
    let mut made: Option<(Trees, Dimensions, bool)> = None;
    for tree in estimators(part, classes)? {
        let tree = tree?;
        if made.is_none() {
            let dimensions = Dimensions::of(&tree)?;
            // Forests take NaN since 1.4, if their first tree does.
            let nan = part.version() >= (1, 4) && takes_missing(&tree);
            made = Some((Trees::with_paths(&dimensions), dimensions, nan));
        }
        let Some((trees, dimensions, _)) = &mut made else { continue };
        match counts {
            true => trees.add(&tree, dimensions, fractions(&tree, dimensions))?,
            false => trees.add(&tree, dimensions, |_| {})?,
        }
    }
    made.ok_or_else(|| part.refuse("estimators_", "has no trees"))
}

/// `RandomForestClassifier` and `ExtraTreesClassifier`.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (trees, dimensions, nan) = read(part, &CLASSIFIERS, true)?;
    Ensemble::classifier(part, trees, dimensions, Shape::Many, nan)
}

/// `RandomForestRegressor` and `ExtraTreesRegressor`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (trees, dimensions, nan) = read(part, &REGRESSORS, false)?;
    Ensemble::regressor(part, trees, dimensions, Shape::Many, nan)
}
