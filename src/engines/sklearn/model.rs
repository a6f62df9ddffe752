//! An estimator as a servable: signatures, and tensors to and from a matrix.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use ndarray::ArrayView2;
use smallvec::SmallVec;

use super::labels::as_texts;
use super::{Estimator, Facts, Method, ModelError, Spec, Whom, answer, ask};
use crate::engines::examples::Layout;
use crate::engines::rows::{COLUMNS, INPUTS, OUTPUTS, as_f64, dims, join_columns, not_a_matrix};
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
    /// The label of each class as text.
    class_names: Vec<Bytes>,
}

#[derive(Debug)]
struct Plan {
    takes: Takes,
    /// What stands behind each output.
    gives: SmallVec<[Gives; 2]>,
}

/// What the inputs of a signature are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// One matrix.
    Matrix,
    /// One column each.
    Columns,
    /// Serialized `tf.Example`s.
    Examples,
}

/// What an output of a signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
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
type Outputs = SmallVec<[(&'static str, Gives); 2]>;

impl Gives {
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
        match self {
            Self::Answer(spec) => TensorSpec::new(name, spec.dtype, &dims(spec.gives)),
            Self::ClassNames(classes) => TensorSpec::new(name, DType::String, &dims(Some(classes))),
            Self::PredictedName => TensorSpec::new(name, DType::String, &dims(Some(1))),
            Self::Scores(classes) => TensorSpec::new(name, DType::Float, &dims(Some(classes))),
            Self::Value => TensorSpec::new(name, DType::Float, &dims(None)),
        }
    }
}

impl SklearnModel {
    /// Makes the signatures: `serving_default`, one per method, `columns` for an
    /// estimator that was fitted on a data frame, and `classify` or `regress`.
    pub(super) fn new(estimator: Box<dyn Estimator>) -> Result<Self, ModelError> {
        let facts = estimator.facts();
        let default: Outputs = match (facts.spec(Method::Predict), facts.spec(Method::Transform)) {
            (Some(&predict), _) => {
                let probabilities = facts.spec(Method::PredictProba);
                [("predictions", Gives::Answer(predict))]
                    .into_iter()
                    .chain(probabilities.map(|&p| ("probabilities", Gives::Answer(p))))
                    .collect()
            }
            (None, Some(&transform)) => [("transformed", Gives::Answer(transform))].into_iter().collect(),
            (None, None) => {
                let whom = Whom { class: facts.class.to_owned(), place: String::new() };
                let why = "are neither predict nor transform".to_owned();
                return Err(ModelError::Attribute { whom, attribute: "methods".to_owned(), why });
            }
        };
        let mut signatures = Vec::with_capacity(facts.methods.len() + 3);
        let mut plans = Vec::with_capacity(facts.methods.len() + 3);
        let mut add = |name: &str, method, takes, inputs, outputs: &[(&str, Gives)]| {
            let output = |&(name, gives): &(&str, Gives)| gives.spec(name);
            let outputs_spec = outputs.iter().map(output).collect();
            signatures.push(Signature { name: name.into(), inputs, outputs: outputs_spec, method });
            plans.push(Plan { takes, gives: outputs.iter().map(|&(_, gives)| gives).collect() });
        };
        let predict = SignatureMethod::Predict;

        add(DEFAULT_SIGNATURE, predict, Takes::Matrix, vec![matrix_spec(facts.n_features)], &default);
        for spec in &facts.methods {
            let inputs = vec![matrix_spec(spec.takes)];
            add(spec.method.name(), predict, Takes::Matrix, inputs, &[(OUTPUTS, Gives::Answer(*spec))]);
        }
        // pandas allows two columns of one name; a request does not.
        let distinct = |names: &&Vec<Arc<str>>| names.iter().collect::<HashSet<_>>().len() == names.len();
        let columns = facts.feature_names.as_ref().filter(distinct);
        if let Some(names) = columns {
            let column =
                |name: &Arc<str>| TensorSpec::new(name.clone(), DType::Double, &dims(None)).any_real();
            add(COLUMNS, predict, Takes::Columns, names.iter().map(column).collect(), &default);
        }
        if let Some((method, outputs)) = for_examples(facts) {
            let inputs = vec![TensorSpec::new(INPUTS, DType::String, &dims(None))];
            add(method.signature_name(), method, Takes::Examples, inputs, &outputs);
        }

        let layout = Layout { width: facts.n_features, columns: columns.cloned() };
        let labels = facts.labels.as_deref();
        let class_names = labels.and_then(|labels| as_texts(&labels.take(0..labels.len())));
        let class_names = class_names.unwrap_or_default();
        Ok(Self { signatures: Signatures::new(signatures), plans, layout, class_names, estimator })
    }

    /// The matrix that the inputs are, or hold.
    fn matrix<'a>(
        &self,
        takes: Takes,
        specs: &[TensorSpec],
        inputs: &'a [Tensor],
    ) -> Result<(usize, usize, Cow<'a, [f64]>), RunError> {
        let first = inputs.first().ok_or_else(|| RunError::Internal("a run without inputs".to_owned()))?;
        match takes {
            Takes::Matrix => {
                let &[rows, width] = &**first.shape() else {
                    let takes = specs[0].dims.as_deref().and_then(|dims| dims[1]);
                    return Err(not_a_matrix(first, takes.unwrap_or_default()));
                };
                Ok((rows, width, as_f64(INPUTS, first)?))
            }
            Takes::Columns => {
                let (rows, values) = join_columns(specs, inputs)?;
                Ok((rows, inputs.len(), values.into()))
            }
            Takes::Examples => {
                let (rows, values) = self.layout.read(first)?;
                Ok((rows, self.layout.width, values.into()))
            }
        }
    }

    /// An output from the answer of the method behind it.
    fn output(&self, gives: Gives, rows: usize, given: Option<Tensor>) -> Result<Tensor, RunError> {
        let unexpected = || RunError::Internal("a method answered with an unexpected dtype".to_owned());
        let singles = |given: &Tensor| match given.elements() {
            #[allow(clippy::cast_possible_truncation, reason = "as numpy's astype does")]
            Elements::F64(values) => Ok(values.iter().map(|&value| value as f32).collect::<Vec<_>>().into()),
            _ => Err(unexpected()),
        };
        let given = || given.ok_or_else(|| RunError::Internal("a method gave no answer".to_owned()));
        match gives {
            Gives::Answer(_) => given(),
            Gives::ClassNames(classes) => {
                let names = self.class_names.iter().cycle().take(rows * classes).cloned();
                answer(rows, Some(classes), names.collect::<Vec<_>>().into())
            }
            Gives::PredictedName => {
                let names = as_texts(given()?.elements()).ok_or_else(unexpected)?;
                answer(rows, Some(1), names.into())
            }
            Gives::Scores(classes) => answer(rows, Some(classes), singles(&given()?)?),
            Gives::Value => answer(rows, None, singles(&given()?)?),
        }
    }
}

/// What stands behind the Classify or the Regress call: an estimator has one, or none.
///
/// A classifier tells the probability of every class. One that knows none tells the
/// label that it predicts, without a score: its decisions are no probabilities.
fn for_examples(facts: &Facts) -> Option<(SignatureMethod, Outputs)> {
    let predict = facts.spec(Method::Predict)?;
    if let Some(labels) = &facts.labels {
        let outputs = match facts.spec(Method::PredictProba) {
            Some(_) => {
                [("classes", Gives::ClassNames(labels.len())), ("scores", Gives::Scores(labels.len()))]
                    .into_iter()
                    .collect()
            }
            None => std::iter::once(("classes", Gives::PredictedName)).collect(),
        };
        return Some((SignatureMethod::Classify, outputs));
    }
    let one_number = predict.dtype == DType::Double && matches!(predict.gives, None | Some(1));
    one_number.then(|| (SignatureMethod::Regress, std::iter::once((OUTPUTS, Gives::Value)).collect()))
}

fn matrix_spec(width: usize) -> TensorSpec {
    TensorSpec::new(INPUTS, DType::Double, &[None, Some(width)]).any_real()
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
        let wanted: SmallVec<[Gives; 2]> = call
            .outputs
            .iter()
            .map(|&i| plan.gives.get(i).copied())
            .collect::<Option<_>>()
            .ok_or_else(no_such)?;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let specs = &self.signatures[call.signature].inputs;
        let (rows, width, values) = self.matrix(plan.takes, specs, &call.inputs)?;
        for gives in &wanted {
            if let Gives::ClassNames(classes) = gives {
                check_names(rows, *classes)?;
            }
        }
        let methods: SmallVec<[Method; 2]> = wanted.iter().filter_map(|gives| gives.method()).collect();
        let mut answers = Vec::with_capacity(wanted.len());
        if !methods.is_empty() {
            ask(&*self.estimator, view(rows, width, &values)?, &methods, &mut answers)?;
        }
        if plan.takes != Takes::Examples {
            return Ok(answers);
        }
        let mut answers = answers.into_iter();
        let output = |gives: &Gives| {
            let given = gives.method().and_then(|_| answers.next());
            self.output(*gives, rows, given)
        };
        wanted.iter().map(output).collect()
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
