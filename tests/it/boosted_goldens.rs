//! What XGBoost and LightGBM answered, and what Longshore answers from the same files.

use std::collections::BTreeSet;
use std::path::Path;

use longshore::servable::{Call, Servable};
use longshore::tensor::{DType, Elements, Tensor};
use serde_json::Value;

use crate::sklearn_goldens::{from_base64, open};

/// A golden file of this library.
fn goldens(library: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(library);
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found.push((name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// NaN is null; what JSON has no number for is a text.
fn doubles(json: &Value) -> Vec<f64> {
    let double = |value: &Value| match value {
        Value::String(text) => text.parse().unwrap(),
        value => value.as_f64().unwrap_or(f64::NAN),
    };
    json.as_array().unwrap().iter().map(double).collect()
}

fn as_doubles(tensor: &Tensor) -> Vec<f64> {
    match tensor.elements() {
        Elements::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Elements::F64(values) => values.to_vec(),
        Elements::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        other => panic!("{other:?}"),
    }
}

fn ask(model: &dyn Servable, signature: &str, inputs: Vec<Tensor>) -> Result<Tensor, String> {
    let (position, _) =
        model.signatures().find(signature).ok_or_else(|| format!("no signature {signature}"))?;
    let call = Call { signature: position, inputs: inputs.into(), outputs: &[0] };
    model.run(call).map(|mut answers| answers.remove(0)).map_err(|error| error.to_string())
}

/// How far an answer may be off: relative to it, or to the largest of all, where terms cancel.
struct Tolerance {
    relative: f64,
    of_largest: f64,
}

#[track_caller]
fn assert_close(got: &[f64], want: &[f64], tolerance: &Tolerance, place: &str) {
    assert_eq!(got.len(), want.len(), "{place}: length");
    let largest = want.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let off = (got - want).abs();
        let allowed = (tolerance.relative * want.abs()).max(tolerance.of_largest * largest);
        let same = got == want || (got.is_nan() && want.is_nan());
        assert!(same || off <= allowed, "{place}: element {i} is {got}, the library's is {want}");
    }
}

/// Checks every case of a library; the number of cases in each file must be at least this.
fn check(library: &str, dtype: DType, cases_min: usize, tolerance: fn(&str) -> Tolerance) {
    let mut wrong = Vec::new();
    let mut checked = BTreeSet::new();
    for (version, golden) in goldens(library) {
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() >= cases_min, "{version} has {} cases", cases.len());
        for case in cases {
            let place =
                format!("{version} {} {}", case["name"].as_str().unwrap(), case["file"].as_str().unwrap());
            let outcome = std::panic::catch_unwind(|| check_case(&golden, case, dtype, &place, tolerance));
            match outcome {
                Ok(methods) => checked.extend(methods),
                Err(panic) => {
                    let why = panic.downcast_ref::<String>().cloned();
                    wrong.push(
                        why.or_else(|| panic.downcast_ref::<&str>().map(|why| (*why).to_owned()))
                            .unwrap_or_default(),
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(checked.into_iter().collect::<Vec<_>>(), ["contributions", "leaf", "predict", "raw"]);
}

fn check_case(
    golden: &Value,
    case: &Value,
    dtype: DType,
    place: &str,
    tolerance: fn(&str) -> Tolerance,
) -> Vec<String> {
    let model = open(case["file"].as_str().unwrap(), from_base64(case["bytes"].as_str().unwrap()));
    let model = model.unwrap_or_else(|error| panic!("{place}: {error}"));
    let input = &golden["inputs"][case["input"].as_str().unwrap()];
    let (values, shape) = (doubles(&input["values"]), &input["shape"]);
    let dims: Vec<usize> = doubles(shape).iter().map(|&dim| dim as usize).collect();
    let (rows, width) = (dims[0], dims[1]);
    let matrix = |values: &[f64], rows: usize| Tensor::new([rows, width], values.to_vec().into()).unwrap();
    let mut methods = Vec::new();
    for (method, want) in case["answers"].as_object().unwrap() {
        let want = doubles(want);
        let place = format!("{place} {method}");
        let answer = ask(&*model, method, vec![matrix(&values, rows)])
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        let stated = if method == "leaf" { DType::Int32 } else { dtype };
        assert_eq!(answer.dtype(), stated, "{place}");
        assert_close(&as_doubles(&answer), &want, &tolerance(method), &place);
        // A row's answer does not depend on the others.
        let per_row = want.len() / rows;
        for row in 0..rows {
            let one = ask(&*model, method, vec![matrix(&values[row * width..][..width], 1)]).unwrap();
            assert_eq!(
                format!("{:?}", as_doubles(&one)),
                format!("{:?}", &as_doubles(&answer)[row * per_row..][..per_row]),
                "{place}: row {row} alone"
            );
        }
        methods.push(method.clone());
    }
    let default = ask(&*model, "", vec![matrix(&values, rows)]).unwrap();
    let predict = ask(&*model, "predict", vec![matrix(&values, rows)]).unwrap();
    assert_eq!(format!("{default:?}"), format!("{predict:?}"), "{place}");
    if let Some(names) = case["feature_names"].as_array() {
        let (_, signature) = model.signatures().find("columns").unwrap();
        let stated: Vec<&str> = signature.inputs.iter().map(|input| &*input.name).collect();
        assert_eq!(stated, names.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>());
        let column = |i: usize| values.iter().copied().skip(i).step_by(width).collect::<Vec<f64>>();
        let columns = (0..width).map(|i| Tensor::vector(column(i).into())).collect();
        let answer = ask(&*model, "columns", columns).unwrap();
        assert_eq!(format!("{answer:?}"), format!("{predict:?}"), "{place}: columns");
    }
    let none = ask(&*model, "predict", vec![matrix(&[], 0)]).unwrap();
    assert_eq!(none.shape()[0], 0, "{place}: no rows");
    methods
}

#[test]
fn xgboosts_answers_are_its_own() {
    check("xgboost", DType::Float, 30, |method| match method {
        "leaf" => Tolerance { relative: 0.0, of_largest: 0.0 },
        // The library adds them up in single precision.
        "contributions" => Tolerance { relative: 1e-5, of_largest: 2e-6 },
        _ => Tolerance { relative: 1e-6, of_largest: 1e-7 },
    });
}

#[test]
fn lightgbms_answers_are_its_own() {
    check("lightgbm", DType::Double, 30, |method| match method {
        "leaf" => Tolerance { relative: 0.0, of_largest: 0.0 },
        "contributions" => Tolerance { relative: 1e-9, of_largest: 1e-12 },
        _ => Tolerance { relative: 1e-12, of_largest: 1e-15 },
    });
}
