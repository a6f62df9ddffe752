//! What a fitted estimator is to the rest: its facts, and how it is asked.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use super::labels::Labels;
use super::samples::{Column, Csr, Frame, Kind, Samples};
use super::state::Part;
use super::{Gives, Method, ModelError, Spec, Takes};
use crate::limits;
use crate::servable::RunError;
use crate::tensor::{Elements, Shape, Tensor, concat_rows};

/// What an estimator's samples are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// `[rows, n_features]` numbers.
    Matrix,
    /// `[rows, any number]` numbers, of an estimator that does not say how many it was fitted on,
    /// and looks at none or at each by itself.
    AnyWidth,
    /// `[rows]` numbers.
    Vector,
    /// `[rows]` texts.
    Texts,
    /// `[rows, n_features]`, each column of a kind of its own.
    Table(Arc<[Kind]>),
}

impl Input {
    /// The kind of each of `n` columns; `None` for samples without columns.
    pub(super) fn kinds(&self, n: usize) -> Option<Vec<Kind>> {
        match self {
            Self::Matrix | Self::AnyWidth => Some(vec![Kind::Numbers; n]),
            Self::Table(kinds) => Some(kinds.to_vec()),
            Self::Vector | Self::Texts => None,
        }
    }

    /// Samples with such columns.
    pub(super) fn of_kinds(kinds: Vec<Kind>) -> Self {
        let all = |kind| kinds.iter().all(|&other| other == kind);
        if all(Kind::Numbers) || all(Kind::Unused) {
            return Self::Matrix;
        }
        Self::Table(kinds.into())
    }

    /// Samples that suit both, each of which takes `n` columns; `None` if there are none. A
    /// column that one takes as text and the other as numbers is text: it can be read as
    /// numbers.
    pub(super) fn merged(&self, other: &Self, n: usize) -> Option<Self> {
        if self == other {
            return Some(self.clone());
        }
        let both = self.kinds(n)?.into_iter().zip(other.kinds(n)?);
        let merge = |(one, other)| match (one, other) {
            (Kind::Texts, _) | (_, Kind::Texts) => Kind::Texts,
            (Kind::Numbers, _) | (_, Kind::Numbers) => Kind::Numbers,
            (Kind::Unused, Kind::Unused) => Kind::Unused,
        };
        Some(Self::of_kinds(both.map(merge).collect()))
    }
}

/// What an estimator looks at in its input before it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
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
pub(super) struct Facts {
    /// The class, as scikit-learn's messages print it.
    pub(super) class: &'static str,
    /// Columns of the input; at least 1. It says nothing of an input of any width.
    pub(super) n_features: usize,
    /// What its samples are.
    pub(super) input: Input,
    /// Their names, when it was fitted on a data frame.
    pub(super) feature_names: Option<Vec<Arc<str>>>,
    /// What it classifies into, when `predict` gives each row one of these.
    pub(super) labels: Option<Arc<Labels>>,
    pub(super) check: Check,
    /// The methods that it has.
    pub(super) methods: Vec<Spec>,
}

impl Facts {
    /// Facts of an estimator that takes a matrix of numbers and gives no labels. The
    /// names of the columns are read here.
    pub(super) fn new(
        part: &Part<'_>,
        n_features: usize,
        check: Check,
        methods: Vec<Spec>,
    ) -> Result<Self, ModelError> {
        let feature_names = part.feature_names(n_features)?;
        let input = Input::Matrix;
        Ok(Self { class: part.class, n_features, input, feature_names, labels: None, check, methods })
    }

    /// Facts of an estimator that may not say how many features it takes.
    pub(super) fn of_any_width(
        part: &Part<'_>,
        check: Check,
        methods: Vec<Spec>,
    ) -> Result<Self, ModelError> {
        match part.stated_features()? {
            Some(n_features) => Self::new(part, n_features, check, methods),
            None => Ok(Self::new(part, 1, check, methods)?.taking(Input::AnyWidth)),
        }
    }

    /// The same, of an estimator whose `predict` gives each row one of these labels.
    pub(super) fn labelled(mut self, labels: Option<Arc<Labels>>) -> Self {
        self.labels = labels;
        self
    }

    /// The same, of an estimator that takes something else than a matrix of numbers.
    pub(super) fn taking(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// The shape of a method's answer, per row.
    pub(super) fn gives(&self, method: Method) -> Gives {
        self.spec(method).map_or(Gives::One, |spec| spec.gives)
    }

    pub(super) fn spec(&self, method: Method) -> Option<&Spec> {
        self.methods.iter().find(|spec| spec.method == method)
    }
}

/// A fitted estimator. Immutable; checked to be consistent when it was built.
pub(super) trait Estimator: fmt::Debug + Send + Sync {
    fn facts(&self) -> &Facts;

    /// Computes the `wanted` methods, all of which it has and which take the same
    /// input, and appends one answer for each, in their order. `x` is in standard
    /// layout and has passed the estimator's [`Check`]. Call it through [`ask`].
    ///
    /// Whoever takes more than a matrix of numbers has [`Estimator::compute_samples`]
    /// instead.
    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        self.compute_samples(Samples::Dense(x), wanted, answers)
    }

    /// The same of whatever the samples are. An estimator that says nothing else is
    /// given them as a dense matrix, a sparse one block by block.
    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        match x {
            Samples::Dense(x) => self.compute(x, wanted, answers),
            Samples::Sparse(x) => compute_in_blocks(self, x, wanted, answers),
            Samples::Texts(_) | Samples::Table(_) => {
                let x = x.to_dense(self.facts().class)?;
                self.compute(x.view(), wanted, answers)
            }
        }
    }

    /// What `transform` hands to the next step: it need not be a tensor. It has
    /// [`Method::Transform`]. Call it through [`ask_frame`].
    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        // Whoever hands on something sparse has a method of its own, and is not as wide as it looks.
        bound_answers(self.facts(), x.rows(), &[Method::Transform])?;
        let mut answers = Vec::with_capacity(1);
        self.compute_samples(x, &[Method::Transform], &mut answers)?;
        let answer =
            answers.pop().ok_or_else(|| RunError::Internal("transform gave no answer".to_owned()))?;
        Frame::of(answer)
    }
}

/// Numbers that are spread out at once of a sparse matrix.
const BLOCK_NUMBERS: usize = 1 << 20;

fn compute_in_blocks(
    estimator: &(impl Estimator + ?Sized),
    x: &Csr,
    wanted: &[Method],
    answers: &mut Vec<Tensor>,
) -> Result<(), RunError> {
    bounded(estimator.facts().class, 1, x.width())?;
    let rows = (BLOCK_NUMBERS / x.width().max(1)).max(1);
    let mut parts: Vec<Vec<Tensor>> = vec![Vec::new(); wanted.len()];
    let mut start = 0;
    // Without rows there is still one block, which has the shape of the answer.
    while start == 0 || start < x.rows() {
        let end = (start + rows).min(x.rows());
        let mut answered = Vec::with_capacity(wanted.len());
        estimator.compute(x.dense(start..end).view(), wanted, &mut answered)?;
        parts.iter_mut().zip(answered).for_each(|(part, answer)| part.push(answer));
        start += rows;
    }
    for part in parts {
        answers.push(concat_rows(&part).map_err(|error| RunError::Internal(error.to_string()))?);
    }
    Ok(())
}

/// Checks the input as scikit-learn does, in its words, then computes.
///
/// No rows are answered with no rows. scikit-learn raises there, but a server's
/// batch may well be empty.
pub(super) fn ask<'a>(
    estimator: &dyn Estimator,
    x: impl Into<Samples<'a>>,
    wanted: &[Method],
    answers: &mut Vec<Tensor>,
) -> Result<(), RunError> {
    let (facts, x) = (estimator.facts(), x.into());
    if facts.check == Check::Within {
        return estimator.compute_samples(x, wanted, answers);
    }
    let numbers = as_numbers(facts, x)?;
    let x = numbers.as_ref().map_or(x.reborrow(), |numbers| Samples::Dense(numbers.view()));
    admit(facts, x, wanted)?;
    bound_answers(facts, x.rows(), wanted)?;
    estimator.compute_samples(x, wanted, answers)
}

/// Checks the input, and gives what `transform` hands on.
pub(super) fn ask_frame(estimator: &dyn Estimator, x: Samples<'_>) -> Result<Frame, RunError> {
    let facts = estimator.facts();
    if facts.check == Check::Within {
        return estimator.transform(x);
    }
    let numbers = as_numbers(facts, x)?;
    let x = numbers.as_ref().map_or(x.reborrow(), |numbers| Samples::Dense(numbers.view()));
    admit(facts, x, &[Method::Transform])?;
    estimator.transform(x)
}

/// Text for an estimator of numbers is read as numbers.
fn as_numbers(facts: &Facts, x: Samples<'_>) -> Result<Option<Array2<f64>>, RunError> {
    match (x, &facts.input) {
        (Samples::Table(_) | Samples::Texts(_), Input::Matrix | Input::AnyWidth | Input::Vector) => {
            x.to_dense(facts.class).map(Some)
        }
        _ => Ok(None),
    }
}

fn admit(facts: &Facts, x: Samples<'_>, wanted: &[Method]) -> Result<(), RunError> {
    match &x {
        Samples::Dense(x) => check(facts, flat(x))?,
        Samples::Sparse(x) => check(facts, x.values())?,
        Samples::Texts(_) => {}
        Samples::Table(x) => {
            for column in x.columns() {
                if let Column::Numbers(values) = column {
                    check(facts, values)?;
                }
            }
        }
    }
    if facts.input == Input::AnyWidth {
        return Ok(());
    }
    let takes = match wanted.first().and_then(|&method| facts.spec(method)).map(|spec| spec.takes) {
        None | Some(Takes::Samples) => facts.n_features,
        Some(Takes::Matrix(width)) => width,
        Some(Takes::Vector) => 1,
    };
    if x.width() != takes {
        return Err(RunError::InvalidInput(format!(
            "X has {} features, but {} is expecting {takes} features as input.",
            x.width(),
            facts.class
        )));
    }
    Ok(())
}

/// Bounds what the methods answer for so many rows.
fn bound_answers(facts: &Facts, rows: usize, wanted: &[Method]) -> Result<(), RunError> {
    for spec in wanted.iter().filter_map(|&method| facts.spec(method)) {
        bounded(facts.class, rows, spec.gives.values().unwrap_or(usize::MAX))?;
    }
    Ok(())
}

fn check(facts: &Facts, values: &[f64]) -> Result<(), RunError> {
    match facts.check {
        Check::Within | Check::Width => Ok(()),
        Check::Finite => check_values(facts.class, values, false, "float64", f64::is_finite),
        Check::FiniteOrNan => check_values(facts.class, values, true, "float64", f64::is_finite),
        Check::Single { nan } => {
            #[allow(clippy::cast_possible_truncation, reason = "as numpy's astype does")]
            let finite = |value: f64| (value as f32).is_finite();
            check_values(facts.class, values, nan, "float32", finite)
        }
    }
}

/// A model may well have more outputs than features: a small request is no large
/// answer. `width` numbers are held for each row.
pub(super) fn bounded(class: &str, rows: usize, width: usize) -> Result<(), RunError> {
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
pub(super) fn check_values(
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

/// The answer of one method.
pub(super) fn ask_one<'a>(
    estimator: &dyn Estimator,
    x: impl Into<Samples<'a>>,
    method: Method,
) -> Result<Tensor, RunError> {
    let mut answers = Vec::with_capacity(1);
    ask(estimator, x, &[method], &mut answers)?;
    answers.pop().ok_or_else(|| RunError::Internal("a method gave no answer".to_owned()))
}

/// An answer of real numbers, row by row.
pub(super) fn numbers(tensor: &Tensor) -> Result<&[f64], RunError> {
    match tensor.elements() {
        Elements::F64(values) => Ok(values),
        _ => Err(RunError::Internal(format!("a member gave {} of shape {}", tensor.dtype(), tensor.shape()))),
    }
}

/// The values of a matrix in standard layout, row by row.
pub(super) fn flat<'a>(x: &ArrayView2<'a, f64>) -> &'a [f64] {
    x.to_slice().expect("inputs are made in standard layout")
}

/// An answer of so many rows, each of this shape.
pub(super) fn answer(rows: usize, gives: impl Into<Gives>, elements: Elements) -> Result<Tensor, RunError> {
    let shape = match gives.into() {
        Gives::One => Shape::new([rows]),
        Gives::Columns(columns) => Shape::new([rows, columns]),
        Gives::Layers(columns, layers) => Shape::new([rows, columns, layers]),
        Gives::AsTaken => Shape::new([rows, elements.len() / rows.max(1)]),
    };
    let shape = shape.map_err(|error| RunError::Internal(error.to_string()))?;
    Tensor::new(shape, elements).map_err(|error| RunError::Internal(error.to_string()))
}

/// An answer of real numbers as a matrix, for the estimator that takes it next.
pub(super) fn matrix(tensor: &Tensor) -> Result<ArrayView2<'_, f64>, RunError> {
    match (tensor.elements(), &**tensor.shape()) {
        (Elements::F64(values), &[rows, width]) => ArrayView2::from_shape((rows, width), values)
            .map_err(|error| RunError::Internal(error.to_string())),
        _ => Err(RunError::Internal(format!("a step gave {} of shape {}", tensor.dtype(), tensor.shape()))),
    }
}
