use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::proto::onnx::tensor_proto::{DataLocation, DataType};
use crate::proto::onnx::tensor_shape_proto::{Dimension, dimension};
use crate::proto::onnx::{
    AttributeProto, FunctionProto, OperatorSetIdProto, SparseTensorProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use crate::tensor::Elements;

fn value(name: &str) -> ValueInfoProto {
    let dim = |value| Dimension { value: Some(value), ..Dimension::default() };
    let dims = vec![dim(dimension::Value::DimParam("N".to_owned())), dim(dimension::Value::DimValue(2))];
    let tensor =
        type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim: dims }) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
}

/// A model that adds a tensor of two numbers, which lies in a file.
fn adds(location: &str, length: &str) -> ModelProto {
    let entry =
        |key: &str, value: &str| StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
    let weights = TensorProto {
        name: "w".to_owned(),
        dims: vec![2],
        data_type: DataType::Float as i32,
        data_location: DataLocation::External as i32,
        external_data: vec![entry("location", location), entry("offset", "4"), entry("length", length)],
        ..TensorProto::default()
    };
    let node = NodeProto {
        op_type: "Add".to_owned(),
        input: vec!["x".to_owned(), "w".to_owned()],
        output: vec!["y".to_owned()],
        ..NodeProto::default()
    };
    let graph = GraphProto {
        node: vec![node],
        initializer: vec![weights],
        input: vec![value("x"), value("w")],
        output: vec![value("y")],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
    ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() }
}

fn read(model: &ModelProto) -> Result<Model, OnnxError> {
    let file: Vec<u8> = [9.0f32, 1.0, 2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut beside = |name: &str| match name {
        "w.bin" => Ok(Bytes::from(file.clone())),
        other => Err(format!("{other} does not exist")),
    };
    Model::read(Bytes::from(model.encode_to_vec()), &mut beside)
}

#[test]
fn external_data_become_the_models_own() {
    let model = read(&adds("./w.bin", "8")).unwrap();
    let weights = tensor(&model.graph().initializer[0]).unwrap();
    assert_eq!(weights.elements(), &Elements::F32(vec![1.0, 2.0].into()));
    let inputs = model.inputs().unwrap();
    assert_eq!(inputs.len(), 1, "an input with a value of its own is not asked for");
    let dims = Some(vec![Dim::Symbol("N".to_owned()), Dim::Known(2)]);
    assert_eq!(inputs[0].kind, ValueType::Tensor { data_type: DataType::Float, dims });
    assert_eq!(model.opset("ai.onnx"), Some(17));
}

#[test]
fn what_is_wrong_with_external_data_is_said_with_its_place() {
    let text = |model| read(&model).unwrap_err().to_string();
    assert_eq!(
        text(adds("w.bin", "9")),
        r#"tensor "w", whose data lie in "w.bin": it has 12 bytes; 9 bytes from byte 4 were expected"#
    );
    assert_eq!(
        text(adds("w.bin", "18446744073709551615")),
        r#"tensor "w", whose data lie in "w.bin": it has 12 bytes; 18446744073709551615 bytes from byte 4 were expected"#
    );
    assert!(text(adds("../w.bin", "8")).contains("does not exist"));
    assert!(text(adds("", "8")).contains("no file is named"));
}

#[test]
fn external_data_are_found_wherever_a_model_can_hold_them() {
    let hidden = adds("w.bin", "8").graph.unwrap().initializer.remove(0);
    let sparse = SparseTensorProto { values: Some(hidden.clone()), ..SparseTensorProto::default() };
    let attribute = AttributeProto { t: Some(hidden.clone()), ..AttributeProto::default() };
    let with = |attribute: &AttributeProto| NodeProto {
        op_type: "Constant".to_owned(),
        attribute: vec![attribute.clone()],
        ..NodeProto::default()
    };
    let within = GraphProto { node: vec![with(&attribute)], ..GraphProto::default() };
    let attributes = [
        attribute.clone(),
        AttributeProto { tensors: vec![hidden], ..AttributeProto::default() },
        AttributeProto { sparse_tensor: Some(sparse.clone()), ..AttributeProto::default() },
        AttributeProto { sparse_tensors: vec![sparse], ..AttributeProto::default() },
        AttributeProto { g: Some(within.clone()), ..AttributeProto::default() },
        AttributeProto { graphs: vec![within], ..AttributeProto::default() },
    ];
    let left = |model: &Model| format!("{:?}", model.proto()).contains("w.bin");
    for attribute in &attributes {
        let mut in_graph = adds("w.bin", "8");
        in_graph.graph.as_mut().unwrap().node.push(with(attribute));
        let mut in_function = adds("w.bin", "8");
        in_function.functions =
            vec![FunctionProto { node: vec![with(attribute)], ..FunctionProto::default() }];
        let mut in_default = adds("w.bin", "8");
        in_default.functions =
            vec![FunctionProto { attribute_proto: vec![attribute.clone()], ..FunctionProto::default() }];
        for model in [in_graph, in_function, in_default] {
            assert!(!left(&read(&model).unwrap()), "{attribute:?}");
        }
    }
}

#[test]
fn no_damaged_model_makes_a_panic() {
    let bytes = adds("w.bin", "8").encode_to_vec();
    let mut beside = |_: &str| Err("nothing lies beside it".to_owned());
    for end in 0..bytes.len() {
        let _ = Model::read(Bytes::copy_from_slice(&bytes[..end]), &mut beside);
    }
    for at in 0..bytes.len() {
        for flip in [1u8, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            if let Ok(model) = Model::read(damaged.into(), &mut beside) {
                let _ = (model.inputs(), model.outputs());
                model.graph().initializer.iter().for_each(|proto| drop(tensor(proto)));
            }
        }
    }
}
