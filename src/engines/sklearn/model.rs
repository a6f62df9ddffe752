//! An estimator as a servable: signatures, and tensors to and from a matrix.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use ndarray::ArrayView2;
use smallvec::SmallVec;

use super::labels::as_texts;
use super::samples::{Column, Kind, Samples, Table};
use super::{Estimator, Facts, Gives, Input, Method, ModelError, Spec, Takes, Whom, answer, ask, bounded};
use crate::engines::examples::{Layout, read_columns};
use crate::engines::rows::{self, COLUMNS, INPUTS, OUTPUTS, as_f64, join_columns, not_a_matrix, same_length};
use crate::limits;
use crate::servable::{
    Call, DEFAULT_SIGNATURE, Method as SignatureMethod, RunError, Servable, Signature, Signatures, TensorSpec,
};
use crate::tensor::{DType, Elements, Tensor};

/// A scikit-learn model that answers.
#[derive(Debug)]
pub(in crate::engines) struct SklearnModel {
    estimator: Box<dyn Estimator>,
    signatures: Signatures,
    /// What each signature means, in their order.
    plans: Vec<Plan>,
    /// How a `tf.Example` is a row.
    layout: Layout,
    /// The columns that are looked at, each an input.
    columns: Vec<TensorSpec>,
    /// The label of each class as text.
    class_names: Vec<Bytes>,
}

#[derive(Debug)]
struct Plan {
    takes: Given,
    /// What stands behind each output.
    gives: SmallVec<[Output; 2]>,
}

/// What the inputs of a signature are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// One matrix of numbers.
    Matrix,
    /// One vector of numbers.
    Vector,
    /// One vector of texts.
    Texts,
    /// One matrix of texts.
    TextMatrix,
    /// One column each.
    Columns,
    /// Serialized `tf.Example`s, each a row of numbers.
    Examples,
    /// Serialized `tf.Example`s with a feature for each column that is looked at.
    ExampleTable,
    /// The same, one text each.
    ExampleTexts,
}

/// What an output of a signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// What a method answers.
    Answer(Spec),
    /// The label of every class as text, again for each row: `[rows, classes]`.
    ClassNames(usize),
    /// The predicted label as text: `[rows, 1]`.
    PredictedName,
    /// The probabilities in single precision: `[rows, classes]`.
    Scores(usize),
    /// The prediction in single precision: `[rows]`.
    Value,
}

/// The outputs of a signature, by name.
type Outputs = SmallVec<[(Cow<'static, str>, Output); 2]>;

impl Output {
    /// The method that has to be asked for it. No two outputs of a signature share one.
    fn method(self) -> Option<Method> {
        match self {
            Self::Answer(spec) => Some(spec.method),
            Self::ClassNames(_) => None,
            Self::PredictedName | Self::Value => Some(Method::Predict),
            Self::Scores(_) => Some(Method::PredictProba),
        }
    }

    fn spec(self, name: &str) -> TensorSpec {
        let (dtype, gives) = match self {
            Self::Answer(spec) => (spec.dtype, spec.gives),
            Self::ClassNames(classes) => (DType::String, Gives::Columns(classes)),
            Self::PredictedName => (DType::String, Gives::Columns(1)),
            Self::Scores(classes) => (DType::Float, Gives::Columns(classes)),
            Self::Value => (DType::Float, Gives::One),
        };
        TensorSpec::new(name, dtype, &dims(gives))
    }
}

impl SklearnModel {
    /// Makes the signatures: `serving_default`, one per method, `columns` for an
    /// estimator that was fitted on a data frame, and `classify` or `regress`.
    pub(super) fn new(estimator: Box<dyn Estimator>) -> Result<Self, ModelError> {
        let facts = estimator.facts();
        let default = default_outputs(facts)?;
        let mut signatures = Vec::with_capacity(facts.methods.len() + 3);
        let mut plans = Vec::with_capacity(facts.methods.len() + 3);
        let mut add = |name: &str, method, (takes, inputs): (Given, Vec<TensorSpec>), outputs: &Outputs| {
            let outputs_spec = outputs.iter().map(|(name, output)| output.spec(name)).collect();
            signatures.push(Signature { name: name.into(), inputs, outputs: outputs_spec, method });
            plans.push(Plan { takes, gives: outputs.iter().map(|&(_, output)| output).collect() });
        };

        add(DEFAULT_SIGNATURE, SignatureMethod::Predict, inputs(facts, Takes::Samples), &default);
        for (name, specs) in by_signature(&facts.methods) {
            let takes = specs.first().map_or(Takes::Samples, |spec| spec.takes);
            let outputs = specs.iter().map(|spec| (spec.method.output(), Output::Answer(*spec))).collect();
            add(name, SignatureMethod::Predict, inputs(facts, takes), &outputs);
        }
        // pandas allows two columns of one name; a request does not.
        let distinct = |names: &&Vec<Arc<str>>| names.iter().collect::<HashSet<_>>().len() == names.len();
        let columns = facts.feature_names.as_ref().filter(distinct);
        if columns.is_some() {
            add(COLUMNS, SignatureMethod::Predict, (Given::Columns, columns_of(facts)), &default);
        }
        if let Some((method, outputs)) = for_examples(facts) {
            let examples = vec![TensorSpec::new(INPUTS, DType::String, &dims(Gives::One))];
            // Without names, columns of text cannot be told apart.
            let takes = match facts.input {
                Input::Texts => Some(Given::ExampleTexts),
                // Nobody knows how long a row should be.
                Input::AnyWidth => None,
                Input::Table(_) if columns.is_some() => Some(Given::ExampleTable),
                Input::Table(ref kinds) if kinds.contains(&Kind::Texts) => None,
                _ => Some(Given::Examples),
            };
            if let Some(takes) = takes {
                add(method.signature_name(), method, (takes, examples), &outputs);
            }
        }

        let layout = Layout { width: facts.n_features, columns: columns.cloned() };
        let labels = facts.labels.as_deref();
        let class_names = labels.and_then(|labels| as_texts(&labels.take(0..labels.len())));
        let class_names = class_names.unwrap_or_default();
        // Rows of examples are read by column where a column may be text.
        let columns = if matches!(facts.input, Input::Table(_)) { columns_of(facts) } else { Vec::new() };
        Ok(Self { signatures: Signatures::new(signatures), plans, layout, columns, class_names, estimator })
    }

    /// Calls `then` with the samples that the inputs are, or hold.
    fn with_samples<T>(
        &self,
        takes: Given,
        specs: &[TensorSpec],
        inputs: &[Tensor],
        then: impl FnOnce(Samples<'_>) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let first = inputs.first().ok_or_else(|| RunError::Internal("a run without inputs".to_owned()))?;
        match takes {
            Given::Matrix => {
                let (rows, width) = as_matrix(first, specs)?;
                then(Samples::Dense(view(rows, width, &as_f64(INPUTS, first)?)?))
            }
            Given::Vector => {
                let rows = match first.shape()[..] {
                    [rows] | [rows, 1] => rows,
                    _ => return Err(not_a_vector(first)),
                };
                then(Samples::Dense(view(rows, 1, &as_f64(INPUTS, first)?)?))
            }
            Given::Texts => match (first.elements(), first.shape().rank()) {
                (Elements::Strings(texts), 1) => then(Samples::Texts(texts)),
                _ => Err(not_a_vector(first)),
            },
            Given::TextMatrix => {
                let (rows, width) = as_matrix(first, specs)?;
                let Elements::Strings(texts) = first.elements() else { return Err(not_a_vector(first)) };
                let column = |i| texts.iter().skip(i).step_by(width.max(1)).cloned().collect();
                then(Samples::Table(&Table::new(
                    rows,
                    (0..width).map(|i| Column::Texts(column(i))).collect(),
                )))
            }
            Given::Columns => self.with_columns(specs, inputs, then),
            Given::ExampleTable => {
                let besides = self.layout.columns.as_deref().unwrap_or_default();
                self.with_columns(&self.columns, &read_columns(first, &self.columns, besides)?, then)
            }
            Given::ExampleTexts => {
                let column = TensorSpec::new(INPUTS, DType::String, &dims(Gives::One));
                let read = read_columns(first, &[column], &[])?;
                match read.first().map(Tensor::elements) {
                    Some(Elements::Strings(texts)) => then(Samples::Texts(texts)),
                    _ => Err(RunError::Internal("examples of texts gave none".to_owned())),
                }
            }
            Given::Examples => {
                let (rows, values) = self.layout.read(first)?;
                then(Samples::Dense(view(rows, self.layout.width, &values)?))
            }
        }
    }

    /// The same, from one input a column.
    fn with_columns<T>(
        &self,
        specs: &[TensorSpec],
        inputs: &[Tensor],
        then: impl FnOnce(Samples<'_>) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let facts = self.estimator.facts();
        let plain = specs.iter().all(|spec| spec.dtype != DType::String);
        if plain && inputs.len() == facts.n_features {
            let (rows, values) = join_columns(specs, inputs)?;
            return then(Samples::Dense(view(rows, inputs.len(), &values)?));
        }
        let rows = same_length(specs, inputs)?;
        // A request may be small and its table large: columns nobody looks at are in it.
        bounded(facts.class, rows, facts.n_features)?;
        let mut columns = vec![Column::Numbers(Vec::new()); facts.n_features];
        let used = columns.iter_mut().zip(kinds(facts)).filter(|(_, kind)| *kind != Kind::Unused);
        for (((column, _), spec), input) in used.zip(specs).zip(inputs) {
            *column = match input.elements() {
                Elements::Strings(texts) => Column::Texts(texts.clone()),
                _ => Column::Numbers(as_f64(&spec.name, input)?.into_owned()),
            };
        }
        for (column, kind) in columns.iter_mut().zip(kinds(facts)) {
            if kind == Kind::Unused {
                *column = Column::Numbers(vec![0.0; rows]);
            }
        }
        let table = Table::new(rows, columns);
        if plain {
            let dense = Samples::Table(&table).to_dense(facts.class)?;
            return then(Samples::Dense(dense.view()));
        }
        then(Samples::Table(&table))
    }

    /// An output from the answer of the method behind it.
    fn output(&self, gives: Output, rows: usize, given: Option<Tensor>) -> Result<Tensor, RunError> {
        let unexpected = || RunError::Internal("a method answered with an unexpected dtype".to_owned());
        let singles = |given: &Tensor| match given.elements() {
            #[allow(clippy::cast_possible_truncation, reason = "as numpy's astype does")]
            Elements::F64(values) => Ok(values.iter().map(|&value| value as f32).collect::<Vec<_>>().into()),
            _ => Err(unexpected()),
        };
        let given = || given.ok_or_else(|| RunError::Internal("a method gave no answer".to_owned()));
        match gives {
            Output::Answer(_) => given(),
            Output::ClassNames(classes) => {
                let names = self.class_names.iter().cycle().take(rows * classes).cloned();
                answer(rows, Some(classes), names.collect::<Vec<_>>().into())
            }
            Output::PredictedName => {
                let names = as_texts(given()?.elements()).ok_or_else(unexpected)?;
                answer(rows, Some(1), names.into())
            }
            Output::Scores(classes) => answer(rows, Some(classes), singles(&given()?)?),
            Output::Value => answer(rows, None, singles(&given()?)?),
        }
    }
}

/// The outputs of `serving_default`: the prediction with its probabilities, else what a
/// transformer gives, else what the first method gives.
fn default_outputs(facts: &Facts) -> Result<Outputs, ModelError> {
    let is_probability =
        |spec: &&Spec| matches!(spec.method, Method::PredictProba | Method::PredictProbaOf(_));
    let named = |spec: &Spec| (spec.method.default_output(), Output::Answer(*spec));
    if let Some(predict) = facts.spec(Method::Predict) {
        let probabilities = facts.methods.iter().filter(is_probability);
        return Ok(std::iter::once(predict).chain(probabilities).map(named).collect());
    }
    if let Some(transform) = facts.spec(Method::Transform) {
        return Ok(std::iter::once(named(transform)).collect());
    }
    match by_signature(&facts.methods).first() {
        Some((_, specs)) => Ok(specs.iter().map(named).collect()),
        None => {
            let whom = Whom { class: facts.class.to_owned(), place: String::new() };
            let why = "are none that answer for samples it has not seen".to_owned();
            Err(ModelError::Attribute { whom, attribute: "methods".to_owned(), why })
        }
    }
}

/// The methods by the signature that they belong to, in the order of their first.
fn by_signature(methods: &[Spec]) -> Vec<(&'static str, SmallVec<[Spec; 2]>)> {
    let mut found: Vec<(&'static str, SmallVec<[Spec; 2]>)> = Vec::with_capacity(methods.len());
    for spec in methods {
        let name = spec.method.signature();
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, specs)) => specs.push(*spec),
            None => found.push((name, std::iter::once(*spec).collect())),
        }
    }
    found
}

/// What stands behind the Classify or the Regress call: an estimator has one, or none.
///
/// A classifier tells the probability of every class. One that knows none tells the
/// label that it predicts, without a score: its decisions are no probabilities.
fn for_examples(facts: &Facts) -> Option<(SignatureMethod, Outputs)> {
    let predict = facts.spec(Method::Predict)?;
    if let Some(labels) = &facts.labels {
        let outputs = match facts.spec(Method::PredictProba) {
            Some(_) => [
                ("classes".into(), Output::ClassNames(labels.len())),
                ("scores".into(), Output::Scores(labels.len())),
            ]
            .into_iter()
            .collect(),
            None => std::iter::once(("classes".into(), Output::PredictedName)).collect(),
        };
        return Some((SignatureMethod::Classify, outputs));
    }
    let one_number = predict.dtype == DType::Double && predict.gives.values() == Some(1);
    one_number.then(|| (SignatureMethod::Regress, std::iter::once((OUTPUTS.into(), Output::Value)).collect()))
}

fn dims(gives: Gives) -> SmallVec<[Option<usize>; 3]> {
    let mut dims: SmallVec<[Option<usize>; 3]> = rows::dims(gives.columns()).into_iter().collect();
    match gives {
        Gives::Layers(columns, layers) => dims.extend([Some(columns), Some(layers)]),
        Gives::AsTaken => dims.push(None),
        Gives::One | Gives::Columns(_) => {}
    }
    dims
}

/// The inputs of a method, and how they are read.
fn inputs(facts: &Facts, takes: Takes) -> (Given, Vec<TensorSpec>) {
    let matrix = |dtype, width| TensorSpec::new(INPUTS, dtype, &dims(Gives::Columns(width)));
    let vector = |dtype| TensorSpec::new(INPUTS, dtype, &dims(Gives::One));
    let all = |kinds: &[Kind], kind| kinds.iter().all(|&other| other == kind || other == Kind::Unused);
    match (takes, &facts.input) {
        (Takes::Matrix(width), _) => (Given::Matrix, vec![matrix(DType::Double, width).any_real()]),
        (Takes::Samples, Input::AnyWidth) => {
            (Given::Matrix, vec![TensorSpec::new(INPUTS, DType::Double, &dims(Gives::AsTaken)).any_real()])
        }
        (Takes::Samples, Input::Matrix) => {
            (Given::Matrix, vec![matrix(DType::Double, facts.n_features).any_real()])
        }
        (Takes::Vector, _) | (Takes::Samples, Input::Vector) => {
            (Given::Vector, vec![vector(DType::Double).any_real()])
        }
        (Takes::Samples, Input::Texts) => (Given::Texts, vec![vector(DType::String)]),
        (Takes::Samples, Input::Table(kinds)) if all(kinds, Kind::Numbers) => {
            (Given::Matrix, vec![matrix(DType::Double, facts.n_features).any_real()])
        }
        (Takes::Samples, Input::Table(kinds)) if all(kinds, Kind::Texts) => {
            (Given::TextMatrix, vec![matrix(DType::String, facts.n_features)])
        }
        // No tensor holds numbers and text.
        (Takes::Samples, Input::Table(_)) => (Given::Columns, columns_of(facts)),
    }
}

/// The kind of each column.
fn kinds(facts: &Facts) -> Vec<Kind> {
    facts.input.kinds(facts.n_features).unwrap_or_else(|| match facts.input {
        Input::Texts => vec![Kind::Texts; facts.n_features],
        _ => vec![Kind::Numbers; facts.n_features],
    })
}

/// One input a column, by the names that it was fitted on, else scikit-learn's `x0`, `x1`, …
/// Those that nobody looks at are left out, as a data frame may leave them out.
fn columns_of(facts: &Facts) -> Vec<TensorSpec> {
    let name = |i: usize| match &facts.feature_names {
        Some(names) => names[i].clone(),
        None => format!("x{i}").into(),
    };
    let spec = |(i, kind)| match kind {
        Kind::Numbers => Some(TensorSpec::new(name(i), DType::Double, &dims(Gives::One)).any_real()),
        Kind::Texts => Some(TensorSpec::new(name(i), DType::String, &dims(Gives::One))),
        Kind::Unused => None,
    };
    kinds(facts).into_iter().enumerate().filter_map(spec).collect()
}

impl Servable for SklearnModel {
    fn platform(&self) -> &'static str {
        "sklearn"
    }

    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
        let no_such =
            || RunError::Internal("the signature, or one of its outputs, does not exist".to_owned());
        let plan = self.plans.get(call.signature).ok_or_else(no_such)?;
        let wanted: SmallVec<[Output; 2]> = call
            .outputs
            .iter()
            .map(|&i| plan.gives.get(i).copied())
            .collect::<Option<_>>()
            .ok_or_else(no_such)?;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let specs = &self.signatures[call.signature].inputs;
        let methods: SmallVec<[Method; 2]> = wanted.iter().filter_map(|output| output.method()).collect();
        self.with_samples(plan.takes, specs, &call.inputs, |samples| {
            let rows = samples.rows();
            for output in &wanted {
                if let Output::ClassNames(classes) = output {
                    check_names(rows, *classes)?;
                }
            }
            let mut answers = Vec::with_capacity(wanted.len());
            if !methods.is_empty() {
                ask(&*self.estimator, samples, &methods, &mut answers)?;
            }
            if !matches!(plan.takes, Given::Examples | Given::ExampleTable | Given::ExampleTexts) {
                return Ok(answers);
            }
            let mut answers = answers.into_iter();
            let output = |output: &Output| {
                let given = output.method().and_then(|_| answers.next());
                self.output(*output, rows, given)
            };
            wanted.iter().map(output).collect()
        })
    }
}

/// A model with many classes makes a large answer of a small request.
fn check_names(rows: usize, classes: usize) -> Result<(), RunError> {
    if rows.checked_mul(classes).is_some_and(|names| names <= limits::TENSOR_STRINGS_MAX) {
        return Ok(());
    }
    Err(RunError::InvalidInput(format!(
        "{rows} examples, for which the answer would have more than {} class names; send fewer",
        limits::TENSOR_STRINGS_MAX
    )))
}

fn view(rows: usize, width: usize, values: &[f64]) -> Result<ArrayView2<'_, f64>, RunError> {
    // It fails only for rows without columns, more of them than memory has addresses.
    ArrayView2::from_shape((rows, width), values).map_err(|error| {
        RunError::InvalidInput(format!("input `{INPUTS}` has shape [{rows},{width}]: {error}"))
    })
}

/// Rows and columns of what should be a matrix.
fn as_matrix(input: &Tensor, specs: &[TensorSpec]) -> Result<(usize, usize), RunError> {
    if let &[rows, width] = &**input.shape() {
        return Ok((rows, width));
    }
    let takes = specs[0].dims.as_deref().and_then(|dims| dims[1]);
    Err(not_a_matrix(input, takes.unwrap_or_default()))
}

fn not_a_vector(input: &Tensor) -> RunError {
    RunError::InvalidInput(format!(
        "input `{INPUTS}` is {} of shape {}; [-1] is expected, one value per sample",
        input.dtype(),
        input.shape()
    ))
}
