//! An estimator as a servable: signatures, and tensors to and from a matrix.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use ndarray::ArrayView2;
use smallvec::SmallVec;

use super::{Estimator, Method, ModelError, Spec, Whom, ask};
use crate::servable::{
    Call, DEFAULT_SIGNATURE, Method as SignatureMethod, RunError, Servable, Signature, Signatures, TensorSpec,
};
use crate::tensor::{DType, Elements, Tensor};

/// The input of every signature but [`COLUMNS`].
const INPUTS: &str = "inputs";
/// The output of every signature that is one method.
const OUTPUTS: &str = "outputs";
/// The signature with one input per column, by name.
const COLUMNS: &str = "columns";

/// A scikit-learn model that answers.
#[derive(Debug)]
pub(in crate::engines) struct SklearnModel {
    estimator: Box<dyn Estimator>,
    signatures: Signatures,
    /// What each signature means, in their order.
    plans: Vec<Plan>,
}

#[derive(Debug)]
struct Plan {
    /// Whether the inputs are columns, rather than one matrix.
    columns: bool,
    /// The method behind each output.
    methods: SmallVec<[Method; 2]>,
}

impl SklearnModel {
    /// Makes the signatures: `serving_default`, one per method, and `columns` for
    /// an estimator that was fitted on a data frame.
    pub(super) fn new(estimator: Box<dyn Estimator>) -> Result<Self, ModelError> {
        let facts = estimator.facts();
        let default: SmallVec<[(&str, Spec); 2]> =
            match (facts.spec(Method::Predict), facts.spec(Method::Transform)) {
                (Some(&predict), _) => {
                    let probabilities = facts.spec(Method::PredictProba);
                    [("predictions", predict)]
                        .into_iter()
                        .chain(probabilities.map(|&p| ("probabilities", p)))
                        .collect()
                }
                (None, Some(&transform)) => [("transformed", transform)].into_iter().collect(),
                (None, None) => {
                    let whom = Whom { class: facts.class.to_owned(), place: String::new() };
                    let why = "are neither predict nor transform".to_owned();
                    return Err(ModelError::Attribute { whom, attribute: "methods".to_owned(), why });
                }
            };
        let mut signatures = Vec::with_capacity(facts.methods.len() + 2);
        let mut plans = Vec::with_capacity(facts.methods.len() + 2);
        let mut add = |name: &str, inputs, outputs: &[(&str, Spec)]| {
            let output = |&(name, spec): &(&str, Spec)| TensorSpec::new(name, spec.dtype, &dims(spec.gives));
            signatures.push(Signature {
                name: name.into(),
                inputs,
                outputs: outputs.iter().map(output).collect(),
                method: SignatureMethod::Predict,
            });
            let methods = outputs.iter().map(|(_, spec)| spec.method).collect();
            plans.push(Plan { columns: name == COLUMNS, methods });
        };

        add(DEFAULT_SIGNATURE, vec![matrix_spec(facts.n_features)], &default);
        for spec in &facts.methods {
            add(spec.method.name(), vec![matrix_spec(spec.takes)], &[(OUTPUTS, *spec)]);
        }
        // pandas allows two columns of one name; a request does not.
        let distinct = |names: &&Vec<Arc<str>>| names.iter().collect::<HashSet<_>>().len() == names.len();
        if let Some(names) = facts.feature_names.as_ref().filter(distinct) {
            let column =
                |name: &Arc<str>| TensorSpec::new(name.clone(), DType::Double, &dims(None)).any_real();
            add(COLUMNS, names.iter().map(column).collect(), &default);
        }
        Ok(Self { signatures: Signatures::new(signatures), plans, estimator })
    }
}

fn dims(width: Option<usize>) -> SmallVec<[Option<usize>; 2]> {
    std::iter::once(None).chain(width.map(Some)).collect()
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
        let wanted: SmallVec<[Method; 2]> = call
            .outputs
            .iter()
            .map(|&i| plan.methods.get(i).copied())
            .collect::<Option<_>>()
            .ok_or_else(no_such)?;
        let mut answers = Vec::with_capacity(wanted.len());
        if wanted.is_empty() {
            return Ok(answers);
        }
        if plan.columns {
            let (rows, values) = join_columns(&self.signatures[call.signature].inputs, &call.inputs)?;
            ask(&*self.estimator, view(rows, call.inputs.len(), &values)?, &wanted, &mut answers)?;
        } else {
            let input = call.inputs.first().ok_or_else(no_such)?;
            let &[rows, width] = &**input.shape() else {
                let takes =
                    self.signatures[call.signature].inputs[0].dims.as_deref().and_then(|dims| dims[1]);
                return Err(not_a_matrix(input, takes.unwrap_or_default()));
            };
            let values = as_f64(INPUTS, input)?;
            ask(&*self.estimator, view(rows, width, &values)?, &wanted, &mut answers)?;
        }
        Ok(answers)
    }
}

fn view(rows: usize, width: usize, values: &[f64]) -> Result<ArrayView2<'_, f64>, RunError> {
    // It fails only for rows without columns, more of them than memory has addresses.
    ArrayView2::from_shape((rows, width), values).map_err(|error| {
        RunError::InvalidInput(format!("input `{INPUTS}` has shape [{rows},{width}]: {error}"))
    })
}

/// scikit-learn's words, with what was sent instead of its values.
fn not_a_matrix(input: &Tensor, takes: usize) -> RunError {
    let shape = input.shape();
    RunError::InvalidInput(match shape.rank() {
        rank @ 0..=1 => {
            let found = if rank == 0 { "scalar" } else { "1D" };
            format!(
                "Expected 2D array, got {found} array instead: input `{INPUTS}` has shape {shape}. Reshape your data \
                 to [-1,{takes}]: one row per sample, one column per feature."
            )
        }
        rank => format!(
            "Found array with dim {rank}, while dim <= 2 is required: input `{INPUTS}` has shape {shape}, and \
             [-1,{takes}] is expected."
        ),
    })
}

/// One value per row from each column, side by side.
fn join_columns(specs: &[TensorSpec], columns: &[Tensor]) -> Result<(usize, Vec<f64>), RunError> {
    let width = columns.len();
    let rows = columns.first().map_or(0, |column| column.elements().len());
    // All of them before anything is allocated: one long column must not pay for many short ones.
    for (spec, column) in specs.iter().zip(columns) {
        let shape = column.shape();
        if shape.rank() != 1 {
            let message =
                format!("column `{}` has shape {shape}; [-1] is expected, one value per row", spec.name);
            return Err(RunError::InvalidInput(message));
        }
        if shape[0] != rows {
            let (name, first) = (&spec.name, &specs[0].name);
            let message = format!("column `{name}` has {} rows, but column `{first}` has {rows}", shape[0]);
            return Err(RunError::InvalidInput(message));
        }
    }
    let mut values = vec![0.0; rows * width];
    for (i, (spec, column)) in specs.iter().zip(columns).enumerate() {
        let source = as_f64(&spec.name, column)?;
        for (value, &given) in values.iter_mut().skip(i).step_by(width).zip(source.iter()) {
            *value = given;
        }
    }
    Ok((rows, values))
}

/// The elements as numpy's `astype(float64)` has them; doubles are not copied.
fn as_f64<'a>(name: &str, tensor: &'a Tensor) -> Result<Cow<'a, [f64]>, RunError> {
    #[allow(clippy::cast_precision_loss, reason = "as numpy's astype does")]
    Ok(Cow::Owned(match tensor.elements() {
        Elements::F64(values) => return Ok(Cow::Borrowed(values)),
        Elements::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::F16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::BF16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::I8(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::I16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::I64(values) => values.iter().map(|&value| value as f64).collect(),
        Elements::U8(values) | Elements::Bool(values) => {
            values.iter().map(|&value| f64::from(value)).collect()
        }
        Elements::U16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::U32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::U64(values) => values.iter().map(|&value| value as f64).collect(),
        Elements::C64(_) | Elements::C128(_) | Elements::Strings(_) => {
            let message = format!("input `{name}` is {}; expected real numbers", tensor.dtype());
            return Err(RunError::InvalidInput(message));
        }
    }))
}
