//! The servable: the graph's inputs and outputs as a signature.

use std::sync::Arc;

use smallvec::SmallVec;

use super::backend::{Backend, Value};
use super::choose::{Chosen, choose};
use super::{ModelError, OnnxOptions, OnnxRuntime};
use crate::formats::onnx::{Dim, Model, Named, ValueType, data_type, dtype};
use crate::servable::{
    About, Call, DEFAULT_SIGNATURE, Dims, Method, RunError, Servable, Signature, Signatures, TensorSpec,
};
use crate::tensor::{DType, Elements, Shape, Tensor, concat_rows};

/// What of a graph's output an output of the signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The tensor itself.
    Whole,
    /// Tensors of one shape, one after another along a new first dimension.
    Stacked,
    /// The values of maps, a row each.
    Values,
    /// The keys of maps, a row each.
    Keys,
}

/// An ONNX model on its back end.
#[derive(Debug)]
pub(in crate::engines) struct OnnxModel {
    backend: Arc<dyn Backend>,
    signatures: Signatures,
    /// The symbol of each dimension of each input; empty where there is none.
    symbols: Vec<Vec<String>>,
    /// For each output of the signature: which of the graph's, and what of it.
    outputs: Vec<(usize, Part)>,
    about: About,
}

impl OnnxModel {
    /// The signature of `model`, and the back end that runs it.
    ///
    /// # Errors
    /// [`ModelError`] when a value cannot be carried, or no back end runs the graph.
    pub(super) fn new(
        model: &Model,
        runtime: &OnnxRuntime,
        options: OnnxOptions,
    ) -> Result<Self, ModelError> {
        let inputs = model.inputs()?;
        let specs = inputs.iter().map(input_spec).collect::<Result<Vec<_>, _>>()?;
        let symbols = inputs.iter().map(|input| symbols(&input.kind)).collect();
        let (mut output_specs, mut outputs) = (Vec::new(), Vec::new());
        for (position, output) in model.outputs()?.iter().enumerate() {
            for (spec, part) in output_parts(output)? {
                output_specs.push(spec);
                outputs.push((position, part));
            }
        }
        let (backend, Chosen { name, reason }) = choose(model, runtime, options)?;
        let signature = Signature {
            name: DEFAULT_SIGNATURE.into(),
            inputs: specs,
            outputs: output_specs,
            method: Method::Predict,
        };
        let signatures = Signatures::new(vec![signature]);
        let about = About { engine: name, reason, properties: properties(model) };
        Ok(Self { backend, signatures, symbols, outputs, about })
    }

    /// Whether the inputs have the shapes that the signature states, and one size
    /// for each symbol.
    fn check(&self, inputs: &[Tensor]) -> Result<(), RunError> {
        let mut sizes: SmallVec<[(&str, usize, &str); 4]> = SmallVec::new();
        for ((spec, symbols), input) in self.signatures[0].inputs.iter().zip(&self.symbols).zip(inputs) {
            let Some(dims) = &spec.dims else { continue };
            let fits = dims.len() == input.shape().rank()
                && dims
                    .iter()
                    .zip(input.shape().iter())
                    .all(|(dim, size)| dim.is_none_or(|dim| dim == *size));
            if !fits {
                let text = format!(
                    "input {}: expected shape {}, found {}",
                    spec.name,
                    shown(dims, symbols),
                    input.shape()
                );
                return Err(RunError::InvalidInput(text));
            }
            for (symbol, &size) in symbols.iter().zip(input.shape().iter()).filter(|(s, _)| !s.is_empty()) {
                match sizes.iter().find(|(known, ..)| known == symbol) {
                    Some((_, expected, other)) if *expected != size => {
                        let text = format!(
                            "input {}: {symbol} is {size} in it, and {expected} in input {other}; expected the same",
                            spec.name
                        );
                        return Err(RunError::InvalidInput(text));
                    }
                    Some(_) => {}
                    None => sizes.push((symbol, size, &spec.name)),
                }
            }
        }
        Ok(())
    }
}

impl Servable for OnnxModel {
    fn platform(&self) -> &'static str {
        "onnx"
    }

    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn about(&self) -> About {
        self.about.clone()
    }

    fn run(&self, call: Call<'_>) -> Result<Vec<Tensor>, RunError> {
        self.check(&call.inputs)?;
        let mut wanted: SmallVec<[usize; 4]> = SmallVec::new();
        for &output in call.outputs {
            let (position, _) = self.outputs[output];
            if !wanted.contains(&position) {
                wanted.push(position);
            }
        }
        let mut values: SmallVec<[Value; 4]> = self.backend.run(call.inputs.into_vec(), &wanted)?.into();
        let mut answers = Vec::with_capacity(call.outputs.len());
        for (at, &output) in call.outputs.iter().enumerate() {
            let (position, part) = self.outputs[output];
            let spec = &self.signatures[0].outputs[output];
            let Some(place) = wanted.iter().position(|known| *known == position) else { continue };
            let again = call.outputs[at + 1..].iter().any(|&later| self.outputs[later].0 == position);
            let value = if again {
                values[place].clone()
            } else {
                std::mem::replace(&mut values[place], Value::Absent)
            };
            let answer = flat(value, part, spec.dtype)
                .map_err(|why| RunError::Internal(format!("output {}: {why}", spec.name)))?;
            answers.push(answer);
        }
        Ok(answers)
    }
}

/// The tensor of the signature that this part of a value is.
fn flat(value: Value, part: Part, dtype: DType) -> Result<Tensor, String> {
    match (value, part) {
        (Value::Tensor(tensor), Part::Whole) => Ok(tensor),
        (Value::Absent, _) => Err("the graph gave no value for it".to_owned()),
        (Value::Sequence(values), Part::Stacked) => stacked(values, dtype),
        (Value::Sequence(maps), part @ (Part::Values | Part::Keys)) => {
            let (mut rows, mut first) = (Vec::with_capacity(maps.len()), None);
            for map in maps {
                let Value::Map { keys, values } = map else {
                    return Err("expected maps in the sequence".to_owned());
                };
                match &first {
                    None => first = Some(keys.clone()),
                    Some(first) if *first == keys => {}
                    Some(_) => {
                        return Err("its maps have different keys; expected the same in every row".to_owned());
                    }
                }
                rows.push(row(if part == Part::Keys { keys } else { values })?);
            }
            if rows.is_empty() {
                return empty(dtype, [0, 0]);
            }
            concat_rows(&rows).map_err(|error| error.to_string())
        }
        (Value::Table { values, .. }, Part::Values) => Ok(values),
        (Value::Table { keys, values }, Part::Keys) => {
            let rows = values.shape().rows().map_or(0, |(rows, _)| rows);
            if rows == 0 {
                return empty(dtype, [0, keys.len()]);
            }
            concat_rows(&vec![row(keys)?; rows]).map_err(|error| error.to_string())
        }
        (Value::Map { keys, .. }, Part::Keys) => Ok(Tensor::vector(keys)),
        (Value::Map { values, .. }, Part::Values) => Ok(Tensor::vector(values)),
        (_, part) => Err(format!("the graph gave a value of another kind than {part:?}")),
    }
}

/// Elements as one row of a matrix.
fn row(elements: Elements) -> Result<Tensor, String> {
    let shape = Shape::new([1, elements.len()]).map_err(|error| error.to_string())?;
    Tensor::new(shape, elements).map_err(|error| error.to_string())
}

fn stacked(values: Vec<Value>, dtype: DType) -> Result<Tensor, String> {
    let mut rows = Vec::with_capacity(values.len());
    for value in values {
        let Value::Tensor(tensor) = value else { return Err("expected tensors in the sequence".to_owned()) };
        let dims = std::iter::once(1).chain(tensor.shape().iter().copied());
        let shape = Shape::new(dims).map_err(|error| error.to_string())?;
        rows.push(Tensor::new(shape, tensor.into_elements()).map_err(|error| error.to_string())?);
    }
    if rows.is_empty() {
        return empty(dtype, [0]);
    }
    concat_rows(&rows).map_err(|error| format!("its tensors cannot be stacked: {error}"))
}

/// No element, of this dtype.
fn empty<const N: usize>(dtype: DType, dims: [usize; N]) -> Result<Tensor, String> {
    let shape = Shape::new(dims).map_err(|error| error.to_string())?;
    let proto = crate::proto::onnx::TensorProto {
        dims: dims.iter().map(|_| 0).collect(),
        data_type: data_type(dtype).ok_or("its dtype is not ONNX's")? as i32,
        ..Default::default()
    };
    let elements = crate::formats::onnx::tensor(&proto).map_err(|error| error.to_string())?.into_elements();
    Tensor::new(shape, elements).map_err(|error| error.to_string())
}

fn input_spec(input: &Named) -> Result<TensorSpec, ModelError> {
    let wrong = || ModelError::Signature {
        what: "input",
        name: input.name.clone(),
        found: told(&input.kind),
        more: "",
    };
    let ValueType::Tensor { data_type, dims } = &input.kind else { return Err(wrong()) };
    let dtype = dtype(*data_type).ok_or_else(wrong)?;
    Ok(spec(&input.name, dtype, dims.as_deref().map(sizes)))
}

fn output_parts(output: &Named) -> Result<Vec<(TensorSpec, Part)>, ModelError> {
    let wrong = || ModelError::Signature {
        what: "output",
        name: output.name.clone(),
        found: told(&output.kind),
        more: ", or a sequence of these or of maps to numbers",
    };
    let kind = |data_type| dtype(data_type).ok_or_else(wrong);
    let of_map = |key, value: &ValueType, dims: Dims| {
        let ValueType::Tensor { data_type, .. } = value else { return Err(wrong()) };
        let labels = format!("{}_labels", output.name);
        Ok(vec![
            (spec(&output.name, kind(*data_type)?, Some(dims.clone())), Part::Values),
            (spec(&labels, kind(key)?, Some(dims)), Part::Keys),
        ])
    };
    match &output.kind {
        ValueType::Tensor { data_type, dims } => {
            Ok(vec![(spec(&output.name, kind(*data_type)?, dims.as_deref().map(sizes)), Part::Whole)])
        }
        ValueType::Map { key, value } => of_map(*key, value, [None].into_iter().collect()),
        ValueType::Sequence(inner) => match &**inner {
            ValueType::Map { key, value } => of_map(*key, value, [None, None].into_iter().collect()),
            ValueType::Tensor { data_type, .. } => {
                Ok(vec![(spec(&output.name, kind(*data_type)?, None), Part::Stacked)])
            }
            _ => Err(wrong()),
        },
        ValueType::Optional(inner) => match &**inner {
            ValueType::Tensor { data_type, dims } => {
                Ok(vec![(spec(&output.name, kind(*data_type)?, dims.as_deref().map(sizes)), Part::Whole)])
            }
            _ => Err(wrong()),
        },
    }
}

fn spec(name: &str, dtype: DType, dims: Option<Dims>) -> TensorSpec {
    let mut spec = TensorSpec::new(name, dtype, &[]);
    spec.dims = dims;
    spec
}

fn sizes(dims: &[Dim]) -> Dims {
    dims.iter().map(|dim| if let Dim::Known(size) = dim { Some(*size) } else { None }).collect()
}

fn symbols(kind: &ValueType) -> Vec<String> {
    let ValueType::Tensor { dims: Some(dims), .. } = kind else { return Vec::new() };
    let symbol = |dim: &Dim| if let Dim::Symbol(name) = dim { name.clone() } else { String::new() };
    dims.iter().map(symbol).collect()
}

/// A shape as the model states it: `[N,4]`, `?` for any.
fn shown(dims: &Dims, symbols: &[String]) -> String {
    let one = |(at, dim): (usize, &Option<usize>)| match (dim, symbols.get(at)) {
        (Some(size), _) => size.to_string(),
        (None, Some(symbol)) if !symbol.is_empty() => symbol.clone(),
        (None, _) => "?".to_owned(),
    };
    format!("[{}]", dims.iter().enumerate().map(one).collect::<Vec<_>>().join(","))
}

/// A type for a person to read.
fn told(kind: &ValueType) -> String {
    match kind {
        ValueType::Tensor { data_type, .. } => format!("a tensor of {}", data_type.as_str_name()),
        ValueType::Sequence(inner) => format!("a sequence of {}", told(inner)),
        ValueType::Map { key, value } => format!("a map from {} to {}", key.as_str_name(), told(value)),
        ValueType::Optional(inner) => format!("an optional value: {}", told(inner)),
    }
}

/// What the model says of itself.
fn properties(model: &Model) -> Vec<(String, String)> {
    let proto = model.proto();
    let opsets = proto.opset_import.iter().map(|import| {
        let domain = if import.domain.is_empty() { "ai.onnx" } else { &import.domain };
        format!("{domain} {}", import.version)
    });
    let producer = format!("{} {}", proto.producer_name, proto.producer_version).trim().to_owned();
    let own = [
        ("ir_version", proto.ir_version.to_string()),
        ("opsets", opsets.collect::<Vec<_>>().join(", ")),
        ("producer", producer),
        ("domain", proto.domain.clone()),
        ("description", proto.doc_string.clone()),
        (
            "model_version",
            if proto.model_version == 0 { String::new() } else { proto.model_version.to_string() },
        ),
    ];
    let own =
        own.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value));
    let custom =
        proto.metadata_props.iter().map(|entry| (format!("metadata.{}", entry.key), entry.value.clone()));
    own.chain(custom).collect()
}
