//! What onnxruntime and the ONNX project's own tests answer, and what the built-in
//! operators answer from the same files; and that damaged files do no harm.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use longshore::engines::{BackendChoice, Engines, ModelOptions, OnnxOptions};
use longshore::formats::onnx::tensor;
use longshore::proto::onnx::TensorProto;
use longshore::servable::{Call, RunError, Servable};
use longshore::storage::{MemoryStorage, ModelDir};
use longshore::tensor::{Elements, Tensor};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::Value;

use crate::fuzz_corpus::drive;
use crate::sklearn_goldens::from_base64;

struct Case {
    name: String,
    operators: Vec<String>,
    model: Vec<u8>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    tolerance: f64,
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx/cases.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let tensors = |list: &Value| {
        let one = |text: &Value| {
            tensor(&TensorProto::decode(&*from_base64(text.as_str().unwrap())).unwrap()).unwrap()
        };
        list.as_array().unwrap().iter().map(one).collect()
    };
    let case = |case: &Value| Case {
        name: case["name"].as_str().unwrap().to_owned(),
        operators: case["operators"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_str().unwrap().to_owned())
            .collect(),
        model: from_base64(case["model"].as_str().unwrap()),
        inputs: tensors(&case["inputs"]),
        outputs: tensors(&case["outputs"]),
        tolerance: case["tolerance"].as_f64().unwrap(),
    };
    golden["cases"].as_array().unwrap().iter().map(case).collect()
});

/// A model on the built-in operators, whatever else there is.
fn open(model: &[u8]) -> Result<Arc<dyn Servable>, String> {
    let storage = MemoryStorage::new();
    storage.write("m/1/model.onnx", model);
    let options =
        ModelOptions { onnx: OnnxOptions { backend: BackendChoice::Builtin, ..OnnxOptions::default() } };
    Engines::built_in()
        .open(&ModelDir::new(Arc::new(storage), "m/1"), options)
        .map_err(|error| error.to_string())
}

fn run(model: &dyn Servable, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
    let outputs: Vec<usize> = (0..model.signatures()[0].outputs.len()).collect();
    model.run(Call { signature: 0, inputs: inputs.to_vec().into(), outputs: &outputs })
}

/// Numbers as doubles; `None` for texts.
fn doubles(elements: &Elements) -> Option<Vec<f64>> {
    Some(match elements {
        Elements::F32(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::F64(v) => v.to_vec(),
        Elements::F16(v) => v.iter().map(|x| x.to_f64()).collect(),
        Elements::BF16(v) => v.iter().map(|x| x.to_f64()).collect(),
        Elements::I8(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::I16(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::I32(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::I64(v) => v.iter().map(|&x| x as f64).collect(),
        Elements::U8(v) | Elements::Bool(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::U16(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::U32(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::U64(v) => v.iter().map(|&x| x as f64).collect(),
        Elements::C64(_) | Elements::C128(_) | Elements::Strings(_) => return None,
    })
}

fn compare(got: &Tensor, want: &Tensor, tolerance: f64) -> Result<(), String> {
    if (got.dtype(), got.shape()) != (want.dtype(), want.shape()) {
        let (is, should) = (got.shape(), want.shape());
        return Err(format!("{} {is}, expected {} {should}", got.dtype(), want.dtype()));
    }
    let (Some(got_numbers), Some(want_numbers)) = (doubles(got.elements()), doubles(want.elements())) else {
        return if got.elements() == want.elements() {
            Ok(())
        } else {
            Err(format!("{got:?}, expected {want:?}"))
        };
    };
    let largest = want_numbers.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs()));
    for (at, (got, want)) in got_numbers.iter().zip(&want_numbers).enumerate() {
        let same = got == want || (got.is_nan() && want.is_nan());
        if !same && (got - want).abs() > tolerance * want.abs().max(largest * 0.1) {
            return Err(format!("element {at} is {got}, expected {want}"));
        }
    }
    Ok(())
}

#[test]
fn every_case_is_answered_as_onnxruntime_answers_it() {
    let (mut wrong, mut operators) = (Vec::new(), BTreeSet::new());
    for case in &*CASES {
        operators.extend(case.operators.iter().cloned());
        let answered = open(&case.model).and_then(|model| {
            let got = run(&*model, &case.inputs).map_err(|error| error.to_string())?;
            if got.len() != case.outputs.len() {
                return Err(format!("{} outputs, expected {}", got.len(), case.outputs.len()));
            }
            got.iter().zip(&case.outputs).try_for_each(|(got, want)| compare(got, want, case.tolerance))
        });
        if let Err(error) = answered {
            wrong.push(format!("{}: {error}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let learning = operators.iter().filter(|name| name.starts_with("ai.onnx.ml.")).count();
    assert!(
        CASES.len() >= 250 && learning >= 16 && operators.len() >= 130,
        "{} cases, {operators:?}",
        CASES.len()
    );
}

#[test]
fn a_row_is_answered_as_it_is_in_a_batch() {
    let mut asked = 0;
    for case in CASES.iter().filter(|case| case.name.starts_with("sklearn_")) {
        let model = open(&case.model).unwrap();
        for at in 0..case.inputs[0].shape()[0] {
            let row = |tensor: &Tensor| longshore::tensor::slice_rows(tensor, at..at + 1).unwrap();
            let inputs: Vec<Tensor> = case.inputs.iter().map(row).collect();
            let alone = run(&*model, &inputs).unwrap();
            for (alone, want) in alone.iter().zip(&case.outputs) {
                compare(alone, &row(want), case.tolerance)
                    .unwrap_or_else(|error| panic!("{} row {at}: {error}", case.name));
            }
            asked += 1;
        }
    }
    assert!(asked >= 60, "only {asked} rows");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damaged files are refused, or answer something: they neither panic nor go on for ever.
    #[test]
    fn a_damaged_file_does_no_harm(
        which: prop::sample::Index,
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..24), 1..4),
    ) {
        let case = &CASES[which.index(CASES.len())];
        let mut bytes = case.model.clone();
        for (at, byte, how) in damages {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                // What keeps the lengths of messages gets furthest.
                2..=12 => bytes[at] = byte,
                _ => bytes[at] ^= 1 << (byte % 8),
            }
        }
        let begun = Instant::now();
        drive::onnx(&bytes);
        if let Ok(model) = open(&bytes) {
            let fits = model.signatures()[0].inputs.len() == case.inputs.len()
                && model.signatures()[0].inputs.iter().zip(&case.inputs).all(|(spec, input)| spec.dtype == input.dtype());
            if fits {
                _ = run(&*model, &case.inputs);
            }
        }
        prop_assert!(begun.elapsed() < Duration::from_secs(20), "{} took {:?}", case.name, begun.elapsed());
    }
}

#[test]
fn shapes_and_loops_without_end_are_bounded() {
    use longshore::proto::onnx::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TypeProto, ValueInfoProto,
        type_proto,
    };
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let node = |op_type: &str, input: &[&str], output: &[&str], attribute: Vec<AttributeProto>| NodeProto {
        op_type: op_type.to_owned(),
        input: names(input),
        output: names(output),
        attribute,
        ..NodeProto::default()
    };
    let ints = |list: &[i64]| AttributeProto {
        name: "value_ints".to_owned(),
        r#type: 7,
        ints: list.to_vec(),
        ..AttributeProto::default()
    };
    let value = |name: &str, elem_type| ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor { elem_type, shape: None })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    };
    let answered = |nodes: Vec<NodeProto>, elem_type| {
        let graph = GraphProto { node: nodes, output: vec![value("y", elem_type)], ..GraphProto::default() };
        let opset = OperatorSetIdProto { domain: String::new(), version: 21 };
        let model = ModelProto { graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() };
        run(&*open(&model.encode_to_vec()).unwrap(), &[]).map_err(|error| error.to_string())
    };
    let huge = || node("Constant", &[], &["s"], vec![ints(&[1 << 20, 1 << 20])]);
    let error = answered(vec![huge(), node("ConstantOfShape", &["s"], &["y"], vec![])], 1).unwrap_err();
    assert!(error.contains("is too large"), "{error}");
    // Nothing is in it, and it is too large all the same.
    let hollow = node("Constant", &[], &["s"], vec![ints(&[0, 1 << 40])]);
    let error = answered(vec![hollow, node("ConstantOfShape", &["s"], &["y"], vec![])], 1).unwrap_err();
    assert!(error.contains("is too large"), "{error}");
    // A loop that never says it is done.
    let body = GraphProto {
        node: vec![node("Identity", &["c"], &["again"], vec![]), node("Identity", &["v"], &["w"], vec![])],
        input: vec![value("i", 7), value("c", 9), value("v", 7)],
        output: vec![value("again", 9), value("w", 7)],
        ..GraphProto::default()
    };
    let body =
        AttributeProto { name: "body".to_owned(), r#type: 5, g: Some(body), ..AttributeProto::default() };
    let start = node("Constant", &[], &["v0"], vec![ints(&[1])]);
    let error = answered(vec![start, node("Loop", &["", "", "v0"], &["y"], vec![body])], 7).unwrap_err();
    assert!(error.contains("runs of nodes in one request"), "{error}");
}
