use bytes::Bytes;

use super::super::backend::{Backend as _, Value};
use super::*;
use crate::proto::onnx::attribute_proto::AttributeType;
use crate::proto::onnx::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    ValueInfoProto,
};
use crate::tensor::Tensor;

fn node(op_type: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: op_type.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: outputs.iter().map(|&name| name.to_owned()).collect(),
        ..Default::default()
    }
}

fn named(name: &str) -> ValueInfoProto {
    ValueInfoProto { name: name.to_owned(), ..Default::default() }
}

fn graph(nodes: Vec<NodeProto>, inputs: &[&str], outputs: &[&str]) -> GraphProto {
    GraphProto {
        node: nodes,
        input: inputs.iter().map(|name| named(name)).collect(),
        output: outputs.iter().map(|name| named(name)).collect(),
        ..Default::default()
    }
}

fn model(graph: GraphProto) -> ModelProto {
    let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
    ModelProto {
        graph: Some(graph),
        opset_import: vec![opset("", 21), opset("own", 1)],
        ..Default::default()
    }
}

fn open_proto(proto: ModelProto) -> Result<Graph, String> {
    open(&Model::new(proto).unwrap())
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::vector(values.to_vec().into())
}

#[test]
fn nodes_are_sorted_and_only_what_is_wanted_runs() {
    let nodes = vec![
        node("Size", &["b"], &["n"]),
        node("Identity", &["a"], &["b"]),
        node("Identity", &["x"], &["a"]),
        // Nobody wants this, and nobody could run it.
        node("NoSuchThing", &["x"], &["unused"]),
    ];
    let graph = open_proto(model(graph(nodes, &["x"], &["n", "b"]))).unwrap();
    let x = floats(&[1.0, 2.0]);
    let three = graph.run(vec![x.clone()], &[0, 1, 0]).unwrap();
    let size = Value::Tensor(Tensor::new([], vec![2i64].into()).unwrap());
    assert_eq!(three, [size.clone(), Value::Tensor(x.clone()), size]);
    assert_eq!(graph.run(vec![x.clone()], &[1]).unwrap(), [Value::Tensor(x)]);
}

#[test]
fn graphs_that_cannot_be_run_are_refused_with_the_node() {
    let refused = |nodes| open_proto(model(graph(nodes, &["x"], &["y"]))).unwrap_err();
    assert_eq!(
        refused(vec![node("Identity", &["z"], &["y"])]),
        r#"node "y" (Identity): the name "z" is not defined"#
    );
    assert_eq!(
        refused(vec![node("Identity", &["z"], &["y"]), node("Identity", &["y"], &["z"])]),
        r#"node "y" (Identity): it needs its own result; expected a graph without cycles"#
    );
    assert_eq!(
        refused(vec![node("Identity", &["x"], &["y"]), node("Size", &["x"], &["y"])]),
        r#"node "y" (Size): the name "y" is defined twice"#
    );
    assert_eq!(
        refused(vec![node("Fancy", &["x"], &["z"]), node("Other", &["z"], &["y"])]),
        "operator Fancy (ai.onnx, opset 21) at node \"z\" (Fancy) is not built in; \
         operator Other (ai.onnx, opset 21) at node \"y\" (Other) is not built in"
    );
    assert_eq!(refused(vec![]), r#"output "y" is not defined"#);
    let mut odd = node("Identity", &["x"], &["y"]);
    odd.attribute.push(AttributeProto { name: "zeal".to_owned(), ..Default::default() });
    assert_eq!(refused(vec![odd]), r#"node "y" (Identity): attribute "zeal" is not understood"#);
}

#[test]
fn a_function_of_the_model_is_called_with_its_attributes() {
    let mut inner = node("Constant", &[], &["c"]);
    let reference = AttributeProto {
        name: "value_int".to_owned(),
        ref_attr_name: "number".to_owned(),
        r#type: AttributeType::Int as i32,
        ..Default::default()
    };
    inner.attribute.push(reference);
    let function = FunctionProto {
        name: "Number".to_owned(),
        domain: "own".to_owned(),
        input: vec!["x".to_owned()],
        output: vec!["c".to_owned(), "same".to_owned()],
        attribute: vec!["number".to_owned()],
        node: vec![inner, node("Identity", &["x"], &["same"])],
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 21 }],
        ..Default::default()
    };
    let mut call = node("Number", &["x"], &["y", "z"]);
    call.domain = "own".to_owned();
    call.attribute.push(AttributeProto {
        name: "number".to_owned(),
        i: 7,
        r#type: AttributeType::Int as i32,
        ..Default::default()
    });
    let mut proto = model(graph(vec![call], &["x"], &["y", "z"]));
    proto.functions.push(function);
    let x = floats(&[3.0]);
    let found = open_proto(proto.clone()).unwrap().run(vec![x.clone()], &[0, 1]).unwrap();
    assert_eq!(found, [Value::Tensor(Tensor::new([], vec![7i64].into()).unwrap()), Value::Tensor(x)]);

    // A function that calls itself would never be built.
    let mut again = node("Number", &["x"], &["c"]);
    again.domain = "own".to_owned();
    proto.functions[0].node[0] = again;
    proto.functions[0].opset_import.push(OperatorSetIdProto { domain: "own".to_owned(), version: 1 });
    assert!(open_proto(proto).unwrap_err().ends_with("graphs and functions lie in each other"));
}

#[test]
fn what_is_constant_is_computed_once() {
    let mut proto = graph(vec![node("Shape", &["w"], &["s"]), node("Size", &["s"], &["y"])], &[], &["y"]);
    proto.initializer.push(TensorProto {
        name: "w".to_owned(),
        data_type: 1,
        dims: vec![2, 1],
        raw_data: Bytes::from_static(&[0; 8]),
        ..Default::default()
    });
    let graph = open_proto(model(proto)).unwrap();
    assert_eq!(format!("{graph:?}"), "Graph { plan: [] }");
    let size = Value::Tensor(Tensor::new([], vec![2i64].into()).unwrap());
    assert_eq!(graph.run(vec![], &[0]).unwrap(), [size]);
}

#[test]
fn an_operator_of_classical_models_or_few_weights_make_a_graph_classical() {
    let is = |nodes| is_classical(&Model::new(model(graph(nodes, &["x"], &["y"]))).unwrap());
    let mut scaler = node("Scaler", &["x"], &["y"]);
    scaler.domain = "ai.onnx.ml".to_owned();
    assert!(is(vec![scaler, node("Conv", &["x"], &["z"])]));
    assert!(is(vec![node("Identity", &["x"], &["y"])]));
    assert!(!is(vec![node("Conv", &["x"], &["y"])]));
    let with_weights = |dim| {
        let mut graph = graph(vec![node("Identity", &["x"], &["y"])], &["x"], &["y"]);
        graph.initializer.push(TensorProto { dims: vec![dim, 256], ..Default::default() });
        is_classical(&Model::new(model(graph)).unwrap())
    };
    assert!(with_weights(256) && !with_weights(257));
}
