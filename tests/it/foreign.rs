//! The rooms that call foreign libraries, in this process and without a server, so that
//! a memory checker can watch: strings, numbers, several threads, loads and unloads.
//!
//! `LONGSHORE_ONNXRUNTIME` names ONNX Runtime's library; `.ci/run` sets it and runs these
//! under valgrind where there is one. Without it there is nothing here to run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore::engines::{EngineOptions, Engines, ModelOptions};
use longshore::libraries::LibraryChoice;
use longshore::proto::onnx::tensor_proto::DataType;
use longshore::proto::onnx::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TypeProto, ValueInfoProto, type_proto,
};
use longshore::servable::Call;
use longshore::storage::{DiskStorage, LinkPolicy, MemoryStorage, ModelDir};
use longshore::tensor::{Elements, Shape, Tensor};
use prost::Message as _;
use smallvec::smallvec;

fn engines() -> Option<Engines> {
    let library = PathBuf::from(std::env::var_os("LONGSHORE_ONNXRUNTIME")?);
    Some(Engines::new(EngineOptions {
        onnxruntime: LibraryChoice::Path(library),
        ..EngineOptions::default()
    }))
}

/// A graph of one node with one input and one output of this type and any shape.
fn one_node(operator: &str, data_type: DataType) -> Vec<u8> {
    let value = |name: &str| {
        let tensor = type_proto::Tensor { elem_type: data_type as i32, shape: None };
        let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
        ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
    };
    let node = NodeProto {
        op_type: operator.to_owned(),
        input: vec!["x".to_owned()],
        output: vec!["y".to_owned()],
        ..NodeProto::default()
    };
    let graph = GraphProto {
        name: "g".to_owned(),
        node: vec![node],
        input: vec![value("x")],
        output: vec![value("y")],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
    let model =
        ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() };
    model.encode_to_vec()
}

#[test]
fn numbers_and_strings_go_through_onnx_runtime_and_come_back() {
    let Some(engines) = engines() else { return };
    let options = |backend: &str| {
        let onnx = toml::from_str(&format!("backend = {backend:?}")).unwrap();
        ModelOptions { onnx }
    };
    let strings = ["", "x", "a text that is longer than the short ones", "\u{1F6A2}"];
    let strings = Elements::Strings(strings.iter().map(|text| text.as_bytes().to_vec().into()).collect());
    for (data_type, elements) in
        [(DataType::String, strings), (DataType::Float, Elements::F32(vec![1.5, -2.0, f32::NAN, 0.0].into()))]
    {
        let storage = MemoryStorage::new();
        storage.write("1/model.onnx", one_node("Identity", data_type));
        let model = engines.open(&ModelDir::new(Arc::new(storage), "1"), options("onnxruntime")).unwrap();
        assert!(model.about().engine.starts_with("onnxruntime 1."), "{:?}", model.about());
        let tensor = Tensor::new(Shape::new([2, 2]).unwrap(), elements).unwrap();
        let told =
            model.run(Call { signature: 0, inputs: smallvec![tensor.clone()], outputs: &[0] }).unwrap();
        assert_eq!(format!("{:?}", told[0]), format!("{tensor:?}"));
    }
}

#[test]
fn one_session_answers_threads_at_once_and_is_given_back() {
    let Some(engines) = engines() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_repository");
    let storage: Arc<DiskStorage> = Arc::new(DiskStorage::new(root, LinkPolicy::Within));
    for _ in 0..3 {
        let dir = ModelDir::new(storage.clone(), "digits_cnn/1");
        let model = engines.open(&dir, ModelOptions::default()).unwrap();
        let ask = |rows: usize| {
            let pixels = Elements::F32(vec![3.0; rows * 64].into());
            let pixels = Tensor::new(Shape::new([rows, 8, 8]).unwrap(), pixels).unwrap();
            model.run(Call { signature: 0, inputs: smallvec![pixels], outputs: &[1] })
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..5).map(|rows| scope.spawn(move || ask(rows).unwrap())).collect();
            for (rows, thread) in (1..5).zip(threads) {
                assert_eq!(thread.join().unwrap()[0].shape()[..], [rows, 10]);
            }
        });
        assert_eq!(ask(0).unwrap()[0].shape()[..], [0, 10]);
    }
}
