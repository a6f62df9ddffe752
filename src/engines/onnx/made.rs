//! ONNX models made by hand, for tests.

use crate::formats::onnx::{Model, data_type};
use crate::proto::onnx::attribute_proto::AttributeType;
use crate::proto::onnx::tensor_proto::DataType;
use crate::proto::onnx::tensor_shape_proto::{Dimension, dimension};
use crate::proto::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};
use crate::tensor::{Elements, Tensor};

/// A graph that is being made, node after node.
#[derive(Debug, Clone)]
pub(super) struct Made {
    graph: GraphProto,
    opset: i64,
}

/// What an attribute may say.
#[derive(Debug, Clone)]
pub(super) enum Said<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'a str),
    Texts(&'a [&'a str]),
}

impl Made {
    pub(super) fn new(opset: i64) -> Self {
        Self { graph: GraphProto { name: "made".to_owned(), ..GraphProto::default() }, opset }
    }

    /// Dimensions are numbers, names, or `?` for any.
    pub(super) fn input(mut self, name: &str, kind: DataType, dims: &[&str]) -> Self {
        self.graph.input.push(value(name, kind, Some(dims)));
        self
    }

    pub(super) fn output(mut self, name: &str, kind: DataType, dims: &[&str]) -> Self {
        self.graph.output.push(value(name, kind, Some(dims)));
        self
    }

    /// An input of which not even the rank is stated.
    pub(super) fn input_of_any_shape(mut self, name: &str, kind: DataType) -> Self {
        self.graph.input.push(value(name, kind, None));
        self
    }

    pub(super) fn constant(mut self, name: &str, tensor: &Tensor) -> Self {
        self.graph.initializer.push(proto(name, tensor));
        self
    }

    pub(super) fn node(
        mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Said<'_>)],
    ) -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let (domain, op_type) = op.rsplit_once('/').unwrap_or(("", op));
        self.graph.node.push(NodeProto {
            op_type: op_type.to_owned(),
            domain: domain.to_owned(),
            input: names(inputs),
            output: names(outputs),
            attribute: attributes.iter().map(|(name, said)| attribute(name, said)).collect(),
            ..NodeProto::default()
        });
        self
    }

    pub(super) fn model(self) -> Model {
        let opset = |domain: &str| OperatorSetIdProto { domain: domain.to_owned(), version: self.opset };
        let mut domains: Vec<&str> = self.graph.node.iter().map(|node| node.domain.as_str()).collect();
        domains.push("");
        domains.sort_unstable();
        domains.dedup();
        let opset_import = domains.into_iter().map(opset).collect();
        let proto =
            ModelProto { ir_version: 10, graph: Some(self.graph), opset_import, ..ModelProto::default() };
        Model::new(proto).expect("it has a graph, an opset and outputs")
    }
}

fn value(name: &str, kind: DataType, dims: Option<&[&str]>) -> ValueInfoProto {
    let dim = |dim: &&str| {
        let value = match (*dim, dim.parse()) {
            ("?", _) => None,
            (_, Ok(size)) => Some(dimension::Value::DimValue(size)),
            (name, Err(_)) => Some(dimension::Value::DimParam(name.to_owned())),
        };
        Dimension { value, ..Dimension::default() }
    };
    let shape = dims.map(|dims| TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let kind = type_proto::Value::TensorType(type_proto::Tensor { elem_type: kind as i32, shape });
    let kind = TypeProto { value: Some(kind), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
}

fn attribute(name: &str, said: &Said<'_>) -> AttributeProto {
    let mut made = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    let kind = match *said {
        Said::Int(value) => {
            made.i = value;
            AttributeType::Int
        }
        Said::Ints(values) => {
            made.ints = values.to_vec();
            AttributeType::Ints
        }
        Said::Float(value) => {
            made.f = value;
            AttributeType::Float
        }
        Said::Text(text) => {
            made.s = text.as_bytes().to_vec().into();
            AttributeType::String
        }
        Said::Texts(texts) => {
            made.strings = texts.iter().map(|text| text.as_bytes().to_vec().into()).collect();
            AttributeType::Strings
        }
    };
    made.r#type = kind as i32;
    made
}

fn proto(name: &str, tensor: &Tensor) -> TensorProto {
    let mut made = TensorProto {
        name: name.to_owned(),
        dims: tensor.shape().iter().map(|&dim| i64::try_from(dim).unwrap()).collect(),
        data_type: data_type(tensor.dtype()).expect("a dtype that ONNX has") as i32,
        ..TensorProto::default()
    };
    match tensor.elements().clone() {
        Elements::F32(values) => made.raw_data = values.into_le_bytes(),
        Elements::F64(values) => made.raw_data = values.into_le_bytes(),
        Elements::F16(values) => made.raw_data = values.into_le_bytes(),
        Elements::I8(values) => made.raw_data = values.into_le_bytes(),
        Elements::U8(values) | Elements::Bool(values) => made.raw_data = values.into_le_bytes(),
        Elements::I32(values) => made.raw_data = values.into_le_bytes(),
        Elements::I64(values) => made.raw_data = values.into_le_bytes(),
        // Where ONNX puts them, and not raw: some look elsewhere.
        Elements::U32(values) => made.uint64_data = values.iter().map(|&value| value.into()).collect(),
        Elements::U64(values) => made.uint64_data = values.into_vec(),
        Elements::Strings(values) => made.string_data = values,
        other => panic!("no test has a constant of {}", other.dtype()),
    }
    made
}

/// A tensor of `f32`.
pub(super) fn floats<const N: usize>(dims: [usize; N], values: impl Into<Vec<f32>>) -> Tensor {
    Tensor::new(dims, values.into().into()).expect("as many as the dimensions say")
}
