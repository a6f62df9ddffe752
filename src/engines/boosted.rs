//! Boosters as servables: the signatures that XGBoost's and LightGBM's models share.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use super::examples::Layout;
use super::rows::{COLUMNS, INPUTS, OUTPUTS, as_f64, dims, join_columns, not_a_matrix};
use crate::limits;
use crate::servable::{
    Call, DEFAULT_SIGNATURE, Method as SignatureMethod, RunError, Servable, Signature, Signatures, TensorSpec,
};
use crate::tensor::{DType, Elements, Shape, Tensor};

/// What a booster can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// What the library's own `predict` answers.
    Predict,
    /// The sums, before the objective makes predictions of them.
    Raw,
    /// Where each tree ends.
    Leaf,
    /// What each feature contributed to the sums, and what they start from as the last column.
    Contributions,
}

impl Method {
    /// The name of its signature.
    fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Raw => "raw",
            Self::Leaf => "leaf",
            Self::Contributions => "contributions",
        }
    }
}

/// What a method answers, per row.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) method: Method,
    pub(super) dtype: DType,
    /// The dimensions after that of the rows.
    pub(super) dims: SmallVec<[usize; 2]>,
}

/// What values are to a library: XGBoost's are single, LightGBM's double.
pub(super) trait Number: Copy + fmt::Debug + Send + Sync + 'static {
    const DTYPE: DType;

    /// The elements of an input; those of the library's own dtype are not copied.
    fn read<'a>(name: &str, tensor: &'a Tensor) -> Result<Cow<'a, [Self]>, RunError>;

    fn from_double(value: f64) -> Self;
}

impl Number for f32 {
    const DTYPE: DType = DType::Float;

    fn read<'a>(name: &str, tensor: &'a Tensor) -> Result<Cow<'a, [Self]>, RunError> {
        match tensor.elements() {
            Elements::F32(values) => Ok(Cow::Borrowed(values)),
            _ => Ok(as_f64(name, tensor)?.iter().map(|&value| Self::from_double(value)).collect()),
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "as the library does")]
    fn from_double(value: f64) -> Self {
        value as Self
    }
}

impl Number for f64 {
    const DTYPE: DType = DType::Double;

    fn read<'a>(name: &str, tensor: &'a Tensor) -> Result<Cow<'a, [Self]>, RunError> {
        as_f64(name, tensor)
    }

    fn from_double(value: f64) -> Self {
        value
    }
}

/// How many rows, and their values.
type Rows<'a, V> = (usize, Cow<'a, [V]>);

/// A model of either library. Immutable, and checked when it was built.
pub(super) trait Booster: fmt::Debug + Send + Sync + 'static {
    /// What it takes.
    type Value: Number;
    /// The platform's name.
    const PLATFORM: &'static str;

    /// Columns of the input; at least 1.
    fn features(&self) -> usize;

    /// Their names, if the model has them.
    fn feature_names(&self) -> Option<&[Arc<str>]>;

    /// What it can be asked for; [`Method::Predict`] first.
    fn specs(&self) -> Vec<Spec>;

    /// The library's words for rows of another width.
    fn wrong_width(&self, width: usize) -> String;

    /// Answers one method: `x` is `[rows, features]`.
    ///
    /// # Errors
    /// [`RunError::InvalidInput`] for values that the library refuses.
    fn compute(&self, method: Method, x: &[Self::Value], rows: usize) -> Result<Elements, RunError>;
}

/// A booster that answers.
#[derive(Debug)]
pub(super) struct BoostedModel<B> {
    booster: B,
    signatures: Signatures,
    plans: Vec<(Takes, Spec)>,
    layout: Layout,
}

/// What the inputs of a signature are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Matrix,
    Columns,
    /// Serialized `tf.Example`s; the answer is single, for the Regress call.
    Examples,
}

impl<B: Booster> BoostedModel<B> {
    /// Makes the signatures: `serving_default`, one per method, `columns` for a model with
    /// names, and `regress` where one number is predicted.
    pub(super) fn new(booster: B) -> Self {
        let mut signatures = Vec::new();
        let mut plans = Vec::new();
        let mut add = |name: &str, method, takes, inputs, output: &str, spec: &Spec| {
            let all: SmallVec<[Option<usize>; 4]> =
                std::iter::once(None).chain(spec.dims.iter().copied().map(Some)).collect();
            let outputs = vec![TensorSpec::new(output, spec.dtype, &all)];
            signatures.push(Signature { name: name.into(), inputs, outputs, method });
            plans.push((takes, spec.clone()));
        };
        let specs = booster.specs();
        let width = booster.features();
        let matrix = || {
            let spec = TensorSpec::new(INPUTS, B::Value::DTYPE, &dims(Some(width)));
            vec![spec.any_real()]
        };
        add(DEFAULT_SIGNATURE, SignatureMethod::Predict, Takes::Matrix, matrix(), "predictions", &specs[0]);
        for spec in &specs {
            add(spec.method.name(), SignatureMethod::Predict, Takes::Matrix, matrix(), OUTPUTS, spec);
        }
        let distinct = |names: &&[Arc<str>]| names.iter().collect::<HashSet<_>>().len() == names.len();
        let columns = booster.feature_names().filter(distinct);
        if let Some(names) = columns {
            let column =
                |name: &Arc<str>| TensorSpec::new(Arc::clone(name), B::Value::DTYPE, &dims(None)).any_real();
            let inputs = names.iter().map(column).collect();
            add(COLUMNS, SignatureMethod::Predict, Takes::Columns, inputs, "predictions", &specs[0]);
        }
        if specs[0].dims.is_empty() {
            let inputs = vec![TensorSpec::new(INPUTS, DType::String, &dims(None))];
            let method = SignatureMethod::Regress;
            let spec = Spec { dtype: DType::Float, ..specs[0].clone() };
            add(method.signature_name(), method, Takes::Examples, inputs, OUTPUTS, &spec);
        }
        let layout = Layout { width, columns: columns.map(<[_]>::to_vec) };
        Self { signatures: Signatures::new(signatures), plans, layout, booster }
    }

    /// The rows that the inputs are, and how many.
    fn rows<'a>(
        &self,
        takes: Takes,
        specs: &[TensorSpec],
        inputs: &'a [Tensor],
    ) -> Result<Rows<'a, B::Value>, RunError> {
        let first = inputs.first().ok_or_else(|| RunError::Internal("a run without inputs".to_owned()))?;
        let singles = |values: Vec<f64>| values.into_iter().map(B::Value::from_double).collect();
        match takes {
            Takes::Matrix => {
                let &[rows, width] = &**first.shape() else {
                    return Err(not_a_matrix(first, self.booster.features()));
                };
                if width != self.booster.features() {
                    return Err(RunError::InvalidInput(self.booster.wrong_width(width)));
                }
                Ok((rows, B::Value::read(INPUTS, first)?))
            }
            Takes::Columns => join_columns(specs, inputs).map(|(rows, values)| (rows, singles(values))),
            Takes::Examples => self.layout.read(first).map(|(rows, values)| (rows, singles(values))),
        }
    }
}

impl<B: Booster> Servable for BoostedModel<B> {
    fn platform(&self) -> &'static str {
        B::PLATFORM
    }

    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
        let internal = |why: &str| RunError::Internal(why.to_owned());
        let (takes, spec) =
            self.plans.get(call.signature).ok_or_else(|| internal("the signature does not exist"))?;
        match call.outputs {
            [] => return Ok(Vec::new()),
            [0] => {}
            _ => return Err(internal("the output does not exist")),
        }
        let (rows, x) = self.rows(*takes, &self.signatures[call.signature].inputs, &call.inputs)?;
        let shape: SmallVec<[usize; 4]> = std::iter::once(rows).chain(spec.dims.iter().copied()).collect();
        // A model may well have more outputs than features: a small request is no large answer.
        // The sums of all outputs are held, also where one label is answered.
        let values = shape.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
        let sums = self.plans.iter().map(|(_, spec)| spec).filter(|spec| spec.method == Method::Raw);
        let sums = sums.flat_map(|spec| spec.dims.iter()).try_fold(rows, |all, &dim| all.checked_mul(dim));
        let values = values.zip(sums).map(|(values, sums)| values.max(sums));
        if values.is_none_or(|values| values > limits::TENSOR_BYTES_MAX / 8) {
            return Err(RunError::InvalidInput(format!(
                "{rows} rows, for which the answer would have more than {} bytes; send fewer",
                limits::TENSOR_BYTES_MAX
            )));
        }
        let mut elements = self.booster.compute(spec.method, &x, rows)?;
        if let (Takes::Examples, Elements::F64(values)) = (takes, &elements) {
            elements = values.iter().map(|&value| f32::from_double(value)).collect::<Vec<_>>().into();
        }
        let shape = Shape::new(shape).map_err(|error| RunError::Internal(error.to_string()))?;
        Ok(vec![Tensor::new(shape, elements).map_err(|error| RunError::Internal(error.to_string()))?])
    }
}
