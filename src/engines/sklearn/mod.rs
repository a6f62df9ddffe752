//! scikit-learn estimators, rebuilt from an inert pickle and answering with
//! scikit-learn's numbers.
//!
//! One table, [`registry`], has one row per class: its name, the modules it has
//! lived in, and the builder that reads its attributes ([`state`]) into an
//! [`Estimator`]. A class that is not in the table is refused, as is an attribute
//! that would change the answer and is not understood: nothing is guessed.
//!
//! The families: [`linear`], [`tree`], [`forest`], [`boosting`], [`hist`], [`isolation`], [`adaboost`], [`preprocessing`], [`pipeline`]. [`model`] makes a
//! servable of the outermost estimator.
//!
//! Numbers are `f64` throughout, so an answer to `float32` input is more exact
//! than scikit-learn's, which keeps some of them in `float32`. What a row is
//! answered never depends on the other rows of its batch.

mod adaboost;
mod boosting;
mod error;
mod forest;
mod hist;
mod isolation;
mod labels;
mod linear;
mod math;
mod model;
mod pipeline;
mod preprocessing;
mod registry;
mod state;
mod tree;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ndarray::ArrayView2;

use self::labels::Labels;
use crate::formats::pickle;
use crate::limits;
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Shape, Tensor};

pub use error::{ModelError, Whom};
pub(super) use model::SklearnModel;

/// Reads a pickle or joblib file and builds the estimator in it.
pub(super) fn open(file: impl Into<Bytes>) -> Result<SklearnModel, ModelError> {
    let document = pickle::load(file)?;
    let budget = state::Budget::default();
    let estimator = state::build(&document, document.root(), String::new(), 0, &budget)?;
    SklearnModel::new(estimator)
}

/// A method that takes samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Predict,
    PredictProba,
    PredictLogProba,
    DecisionFunction,
    ScoreSamples,
    Apply,
    Transform,
    InverseTransform,
}

impl Method {
    const ALL: [Self; 8] = [
        Self::Predict,
        Self::PredictProba,
        Self::PredictLogProba,
        Self::DecisionFunction,
        Self::ScoreSamples,
        Self::Apply,
        Self::Transform,
        Self::InverseTransform,
    ];

    /// scikit-learn's name for it.
    fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::PredictProba => "predict_proba",
            Self::PredictLogProba => "predict_log_proba",
            Self::DecisionFunction => "decision_function",
            Self::ScoreSamples => "score_samples",
            Self::Apply => "apply",
            Self::Transform => "transform",
            Self::InverseTransform => "inverse_transform",
        }
    }
}

/// What a method takes and gives, per row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spec {
    method: Method,
    /// Columns of its input.
    takes: usize,
    /// What its answer holds.
    dtype: DType,
    /// Columns of its answer; `None` for one value per row, without columns.
    gives: Option<usize>,
}

/// What an estimator looks at in its input before it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Width, and no NaN or infinity: most estimators.
    Finite,
    /// Width, and no infinity; NaN is let through.
    FiniteOrNan,
    /// Width, and nothing that single precision does not hold: trees.
    Single {
        /// Whether NaN is let through.
        nan: bool,
    },
    /// Only the width: the estimator within looks at the values.
    Width,
    /// Nothing: the first estimator within looks at everything, and speaks for itself.
    Within,
}

/// What all estimators have.
#[derive(Debug)]
struct Facts {
    /// The class, as scikit-learn's messages print it.
    class: &'static str,
    /// Columns of the input; at least 1.
    n_features: usize,
    /// Their names, when it was fitted on a data frame.
    feature_names: Option<Vec<Arc<str>>>,
    /// What it classifies into, when `predict` gives each row one of these.
    labels: Option<Arc<Labels>>,
    check: Check,
    /// The methods that it has.
    methods: Vec<Spec>,
}

impl Facts {
    fn spec(&self, method: Method) -> Option<&Spec> {
        self.methods.iter().find(|spec| spec.method == method)
    }
}

/// A fitted estimator. Immutable; checked to be consistent when it was built.
trait Estimator: fmt::Debug + Send + Sync {
    fn facts(&self) -> &Facts;

    /// Computes the `wanted` methods, all of which it has and which take the same
    /// input, and appends one answer for each, in their order. `x` is in standard
    /// layout and has passed the estimator's [`Check`]. Call it through [`ask`].
    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError>;
}

/// Checks the input as scikit-learn does, in its words, then computes.
///
/// No rows are answered with no rows. scikit-learn raises there, but a server's
/// batch may well be empty.
fn ask(
    estimator: &dyn Estimator,
    x: ArrayView2<'_, f64>,
    wanted: &[Method],
    answers: &mut Vec<Tensor>,
) -> Result<(), RunError> {
    let facts = estimator.facts();
    match facts.check {
        Check::Within => return estimator.compute(x, wanted, answers),
        Check::Width => {}
        Check::Finite => check_values(facts.class, flat(&x), false, "float64", f64::is_finite)?,
        Check::FiniteOrNan => check_values(facts.class, flat(&x), true, "float64", f64::is_finite)?,
        Check::Single { nan } => {
            #[allow(clippy::cast_possible_truncation, reason = "as numpy's astype does")]
            let finite = |value: f64| (value as f32).is_finite();
            check_values(facts.class, flat(&x), nan, "float32", finite)?;
        }
    }
    let takes =
        wanted.first().and_then(|&method| facts.spec(method)).map_or(facts.n_features, |spec| spec.takes);
    if x.ncols() != takes {
        return Err(RunError::InvalidInput(format!(
            "X has {} features, but {} is expecting {takes} features as input.",
            x.ncols(),
            facts.class
        )));
    }
    for spec in wanted.iter().filter_map(|&method| facts.spec(method)) {
        bounded(facts.class, x.nrows(), spec.gives.unwrap_or(1))?;
    }
    estimator.compute(x, wanted, answers)
}

/// A model may well have more outputs than features: a small request is no large
/// answer. `width` numbers are held for each row.
fn bounded(class: &str, rows: usize, width: usize) -> Result<(), RunError> {
    let values = width.checked_mul(rows);
    if values.is_some_and(|values| values <= limits::TENSOR_BYTES_MAX / 8) {
        return Ok(());
    }
    Err(RunError::InvalidInput(format!(
        "X has {rows} samples, for which the answer of {class} would have more than {} bytes; send fewer",
        limits::TENSOR_BYTES_MAX
    )))
}

/// Source: `sklearn.utils.validation.check_array`, its words of 1.1 and later.
fn check_values(
    class: &str,
    values: &[f64],
    nan_allowed: bool,
    dtype: &str,
    finite: impl Fn(f64) -> bool,
) -> Result<(), RunError> {
    // Both are rare, so one pass that the compiler can vectorise comes first.
    if values.iter().fold(true, |all, &value| all & finite(value)) {
        return Ok(());
    }
    if !nan_allowed && values.iter().any(|value| value.is_nan()) {
        return Err(RunError::InvalidInput(format!(
            "Input X contains NaN.\n{class} does not accept missing values encoded as NaN natively. For supervised \
             learning, you might want to consider sklearn.ensemble.HistGradientBoostingClassifier and Regressor \
             which accept missing values encoded as NaNs natively. Alternatively, it is possible to preprocess the \
             data, for instance by using an imputer transformer in a pipeline or drop samples with missing values. \
             See https://scikit-learn.org/stable/modules/impute.html You can find a list of all estimators that \
             handle NaN values at the following page: \
             https://scikit-learn.org/stable/modules/impute.html#estimators-that-handle-nan-values"
        )));
    }
    if values.iter().any(|&value| !finite(value) && !value.is_nan()) {
        return Err(RunError::InvalidInput(format!(
            "Input X contains infinity or a value too large for dtype('{dtype}')."
        )));
    }
    Ok(())
}

/// The values of a matrix in standard layout, row by row.
fn flat<'a>(x: &ArrayView2<'a, f64>) -> &'a [f64] {
    x.to_slice().expect("inputs are made in standard layout")
}

/// An answer of so many rows; `width` as in [`Spec::gives`].
fn answer(rows: usize, width: Option<usize>, elements: Elements) -> Result<Tensor, RunError> {
    let shape = match width {
        Some(width) => Shape::new([rows, width]),
        None => Shape::new([rows]),
    };
    let shape = shape.map_err(|error| RunError::Internal(error.to_string()))?;
    Tensor::new(shape, elements).map_err(|error| RunError::Internal(error.to_string()))
}

/// An answer of real numbers as a matrix, for the estimator that takes it next.
fn matrix(tensor: &Tensor) -> Result<ArrayView2<'_, f64>, RunError> {
    match (tensor.elements(), &**tensor.shape()) {
        (Elements::F64(values), &[rows, width]) => ArrayView2::from_shape((rows, width), values)
            .map_err(|error| RunError::Internal(error.to_string())),
        _ => Err(RunError::Internal(format!("a step gave {} of shape {}", tensor.dtype(), tensor.shape()))),
    }
}
