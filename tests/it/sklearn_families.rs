//! What every family of scikit-learn's estimators answered, and what Longshore answers
//! from the same files. `tests/golden/sklearn/family.py` describes and makes them.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use longshore::servable::{RunError, Servable};
use longshore::tensor::{DType, Elements, Shape, Tensor, split_rows};
use proptest::prelude::*;
use serde_json::Value;

use crate::sklearn_goldens::{ask, from_base64, open, same};

/// What a model is asked with.
#[derive(Debug, Clone)]
enum Input {
    /// A tensor for the one input of a signature.
    One(Tensor),
    /// Columns, by name.
    Columns(Vec<(String, Tensor)>),
}

#[derive(Debug)]
struct Case {
    place: String,
    file: Vec<u8>,
    value: Value,
    inputs: Arc<Value>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn double(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| text(value).parse().unwrap())
}

fn strings(values: &[Value]) -> Elements {
    values.iter().map(|value| Bytes::copy_from_slice(text(value).as_bytes())).collect::<Vec<_>>().into()
}

/// An array of a golden file.
fn tensor(json: &Value) -> Tensor {
    let dims = list(&json["shape"]).iter().map(|n| usize::try_from(n.as_u64().unwrap()).unwrap());
    let values = list(&json["values"]);
    let elements: Elements = match text(&json["dtype"]) {
        "float64" => values.iter().map(double).collect::<Vec<_>>().into(),
        "int64" => values.iter().map(|value| value.as_i64().unwrap()).collect::<Vec<_>>().into(),
        "bool" => Elements::Bool(
            values.iter().map(|value| u8::from(value.as_bool().unwrap())).collect::<Vec<_>>().into(),
        ),
        "str" => strings(values),
        "json" => values.iter().map(|value| Bytes::from(value.to_string())).collect::<Vec<_>>().into(),
        other => panic!("dtype {other}"),
    };
    Tensor::new(Shape::new(dims.collect::<Vec<_>>()).unwrap(), elements).unwrap()
}

impl Case {
    fn open(&self) -> Arc<dyn Servable> {
        let skops = text(&self.value["container"]).starts_with("skops");
        let name = if skops { "model.skops" } else { "model.joblib" };
        open(name, self.file.clone()).unwrap_or_else(|error| panic!("{}: {error}", self.place))
    }

    fn input(&self, name: &Value) -> Input {
        let json = &self.inputs[text(name)];
        match text(&json["kind"]) {
            "matrix" | "vector" => Input::One(tensor(json)),
            "texts" => Input::One(Tensor::vector(strings(list(&json["values"])))),
            "table" => Input::Columns(
                list(&json["columns"])
                    .iter()
                    .map(|column| (text(&column["name"]).to_owned(), tensor(&column["values"])))
                    .collect(),
            ),
            other => panic!("kind {other}"),
        }
    }

    /// The inputs of a signature in its order. A table for a signature of one input is
    /// sent as one tensor of texts.
    fn arranged(&self, model: &dyn Servable, signature: &str, input: Input) -> Vec<Tensor> {
        let (_, stated) = model.signatures().find(signature).unwrap_or_else(|| {
            panic!("{}: no signature {signature}", self.place);
        });
        let columns = match input {
            Input::One(tensor) if stated.inputs.len() == 1 => return vec![tensor],
            Input::One(tensor) => {
                let width = tensor.shape()[1];
                let Elements::F64(values) = tensor.elements() else { panic!("{}: {tensor:?}", self.place) };
                let column = |i| values.iter().skip(i).step_by(width).copied().collect::<Vec<f64>>();
                return (0..width).map(|i| Tensor::vector(column(i).into())).collect();
            }
            Input::Columns(columns) => columns,
        };
        if stated.inputs.len() == 1 && columns.len() != 1 {
            let rows = columns[0].1.elements().len();
            let texts = columns.iter().map(|(_, column)| match column.elements() {
                Elements::Strings(texts) => texts,
                other => panic!("{}: a table of texts and {other:?} for one input", self.place),
            });
            let texts: Vec<_> = texts.collect();
            let rowwise = (0..rows).flat_map(|row| texts.iter().map(move |column| column[row].clone()));
            let elements = rowwise.collect::<Vec<Bytes>>().into();
            return vec![Tensor::new([rows, columns.len()], elements).unwrap()];
        }
        if stated.inputs.len() == 1 {
            let rows = columns[0].1.elements().len();
            let flat = columns[0].1.elements().clone();
            let matrix = stated.inputs[0].dims.as_deref().is_some_and(|dims| dims.len() == 2);
            let shape = if matrix { Shape::new([rows, 1]) } else { Shape::new([rows]) };
            return vec![Tensor::new(shape.unwrap(), flat).unwrap()];
        }
        let find = |name: &str| {
            let found = columns.iter().find(|(known, _)| known == name);
            found.unwrap_or_else(|| panic!("{}: no column {name}", self.place)).1.clone()
        };
        stated.inputs.iter().map(|input| find(&input.name)).collect()
    }

    fn close(&self, got: f64, want: f64) -> bool {
        let relative = self.value["tolerance"].as_f64().unwrap();
        // The floor is for sums that cancel to next to nothing.
        got == want
            || (got.is_nan() && want.is_nan())
            || (got - want).abs() <= (relative * want.abs()).max(1e-13)
    }

    /// Rows of JSON: the same values in the same order, numbers as close as others.
    fn assert_rows(&self, got: &Tensor, want: &Value, place: &str) {
        let Elements::Strings(rows) = got.elements() else { panic!("{place}: {got:?}") };
        assert_eq!(got.shape()[..], [list(&want["values"]).len()], "{place}: shape");
        for (row, want) in rows.iter().zip(list(&want["values"])) {
            let got: Value = serde_json::from_slice(row).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert!(self.alike(&got, want), "{place}: {got}, scikit-learn's is {want}");
        }
    }

    fn alike(&self, got: &Value, want: &Value) -> bool {
        match (got, want) {
            (Value::Number(got), Value::Number(want)) if got.is_f64() == want.is_f64() => {
                self.close(got.as_f64().unwrap(), want.as_f64().unwrap())
            }
            (Value::Array(got), Value::Array(want)) => {
                got.len() == want.len() && got.iter().zip(want).all(|(got, want)| self.alike(got, want))
            }
            (Value::Object(got), Value::Object(want)) => {
                got.len() == want.len()
                    && got.iter().all(|(name, got)| want.get(name).is_some_and(|want| self.alike(got, want)))
            }
            (got, want) => got == want,
        }
    }

    fn assert_is(&self, got: &Tensor, want: &Tensor, place: &str) {
        assert_eq!(got.shape(), want.shape(), "{place}: shape");
        match (got.elements(), want.elements()) {
            (Elements::F64(got), Elements::F64(want)) => {
                for (i, (&got, &want)) in got.iter().zip(want.iter()).enumerate() {
                    assert!(self.close(got, want), "{place}: element {i} is {got}, scikit-learn's is {want}");
                }
            }
            (got, want) => assert_eq!(got, want, "{place}"),
        }
    }
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sklearn/families");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let inputs = Arc::new(json["inputs"].clone());
        for case in list(&json["cases"]) {
            cases.push(Case {
                place: format!("{stem}, {} ({})", text(&case["name"]), text(&case["container"])),
                file: from_base64(text(&case["file"])),
                value: case.clone(),
                inputs: Arc::clone(&inputs),
            });
        }
    }
    cases
});

/// All cases, so that one that fails hides no other.
fn each_case(mut check: impl FnMut(&Case)) {
    let failed = |case: &&Case| catch_unwind(AssertUnwindSafe(|| check(case))).is_err();
    let failed: Vec<&str> = CASES.iter().filter(failed).map(|case| &*case.place).collect();
    assert!(failed.is_empty(), "{} cases failed, as is said above: {failed:#?}", failed.len());
}

#[test]
fn every_family_answers_as_scikit_learn_did() {
    let mut replayed = 0;
    each_case(|case| {
        let model = case.open();
        let signatures: BTreeSet<&str> = model.signatures().iter().map(|s| &*s.name).collect();
        let beside = ["serving_default", "columns", "classify", "regress"];
        let of_methods: Vec<&str> =
            signatures.iter().copied().filter(|name| !beside.contains(name)).collect();
        let wanted: Vec<&str> = list(&case.value["signatures"]).iter().map(text).collect();
        // No method of scikit-learn's, and one that is younger here than most files: only the families
        // `contributions` and `paths` state them.
        let beside =
            |name: &&str| !["contributions", "decision_path"].contains(name) || wanted.contains(name);
        let of_methods: Vec<&str> = of_methods.into_iter().filter(beside).collect();
        assert_eq!(of_methods, wanted, "{}: signatures", case.place);
        if !case.value["feature_names"].is_null() {
            assert!(signatures.contains("columns"), "{}: {signatures:?}", case.place);
        }
        for asked in list(&case.value["asks"]) {
            let signature = text(&asked["signature"]);
            let place = format!("{}: {signature}", case.place);
            let (_, stated) = model.signatures().find(signature).unwrap();
            let inputs = case.arranged(&*model, signature, case.input(&asked["input"]));
            for (name, want) in asked["outputs"].as_object().unwrap() {
                let found = stated.outputs.iter().position(|output| *output.name == **name);
                let at = found.unwrap_or_else(|| panic!("{place}: no output {name}"));
                let answers = ask(&*model, signature, inputs.clone(), &[at]);
                let answer = answers.unwrap_or_else(|error| panic!("{place}: {error}")).remove(0);
                match text(&want["dtype"]) {
                    "json" => case.assert_rows(&answer, want, &place),
                    _ => case.assert_is(&answer, &tensor(want), &place),
                }
                let spec = &stated.outputs[at];
                assert_eq!(spec.dtype, answer.dtype(), "{place}: the stated dtype");
                let dims = spec.dims.as_deref().unwrap();
                let fits =
                    |(stated, &got): (&Option<usize>, &usize)| stated.is_none_or(|stated| stated == got);
                assert_eq!(dims.len(), answer.shape().rank(), "{place}: the stated rank");
                assert!(dims.iter().zip(answer.shape().iter()).all(fits), "{place}: {dims:?}");
                replayed += 1;
            }
        }
        for refused in list(&case.value["refuses"]) {
            let signature = text(&refused["signature"]);
            let inputs = case.arranged(&*model, signature, case.input(&refused["input"]));
            let answer = ask(&*model, signature, inputs, &[0]);
            let Err(RunError::InvalidInput(said)) = answer else { panic!("{}: {answer:?}", case.place) };
            let want = text(&refused["says"]);
            // What follows scikit-learn's first line is advice, which changes with versions.
            let first = want.lines().next().unwrap_or_default();
            assert!(said.starts_with(first), "{}: said {said:?}, scikit-learn {want:?}", case.place);
        }
    });
    assert!(replayed > 0, "nothing was replayed");
}

/// Rows of all inputs, turned around or alone.
fn picked(inputs: &[Tensor], rows: &[usize]) -> Vec<Tensor> {
    let pick = |input: &Tensor| {
        let parts = split_rows(input, &vec![1; input.shape()[0]]).unwrap();
        let chosen: Vec<&Tensor> = rows.iter().map(|&row| &parts[row]).collect();
        longshore::tensor::concat_rows(&chosen).unwrap()
    };
    inputs.iter().map(pick).collect()
}

#[test]
fn a_rows_answer_does_not_depend_on_its_company_and_no_rows_give_no_rows() {
    each_case(|case| {
        let model = case.open();
        for asked in list(&case.value["asks"]) {
            let signature = text(&asked["signature"]);
            let place = format!("{}: {signature}", case.place);
            let inputs = case.arranged(&*model, signature, case.input(&asked["input"]));
            let outputs: Vec<usize> =
                (0..model.signatures().find(signature).unwrap().1.outputs.len()).collect();
            let rows = inputs[0].shape()[0];
            let all = ask(&*model, signature, inputs.clone(), &outputs).unwrap();
            let backwards: Vec<usize> = (0..rows).rev().collect();
            let turned = ask(&*model, signature, picked(&inputs, &backwards), &outputs).unwrap();
            for (all, turned) in all.iter().zip(&turned) {
                let expected = picked(std::slice::from_ref(all), &backwards).remove(0);
                assert!(same(turned, &expected), "{place}: turned around it is {turned:?}, not {expected:?}");
            }
            for row in [0, rows - 1] {
                let alone = ask(&*model, signature, picked(&inputs, &[row]), &outputs).unwrap();
                for (all, alone) in all.iter().zip(&alone) {
                    let expected = picked(std::slice::from_ref(all), &[row]).remove(0);
                    assert!(
                        same(alone, &expected),
                        "{place}: row {row} alone is {alone:?}, not {expected:?}"
                    );
                }
            }
            let none: Vec<Tensor> = inputs.iter().map(without_rows).collect();
            let answers = ask(&*model, signature, none, &outputs);
            let answers = answers.unwrap_or_else(|error| panic!("{place}: without rows: {error}"));
            for (answer, all) in answers.iter().zip(&all) {
                assert_eq!(answer.shape()[0], 0, "{place}");
                assert_eq!(answer.shape()[1..], all.shape()[1..], "{place}");
                assert_eq!(answer.dtype(), all.dtype(), "{place}");
            }
        }
    });
}

fn without_rows(input: &Tensor) -> Tensor {
    let mut dims = input.shape().to_vec();
    dims[0] = 0;
    let elements: Elements = match input.dtype() {
        DType::Double => Vec::<f64>::new().into(),
        DType::Int64 => Vec::<i64>::new().into(),
        DType::Bool => Elements::Bool(Vec::<u8>::new().into()),
        DType::String => Vec::<Bytes>::new().into(),
        other => panic!("{other}"),
    };
    Tensor::new(Shape::new(dims).unwrap(), elements).unwrap()
}

#[test]
fn a_wrong_width_is_refused_in_scikit_learns_words() {
    let mut asked = 0;
    for case in &*CASES {
        let model = case.open();
        let (_, stated) = model.signatures().find("").unwrap();
        let Some(&[None, Some(width)]) = stated.inputs[0].dims.as_deref() else { continue };
        if stated.inputs.len() != 1 || stated.inputs[0].dtype != DType::Double {
            continue;
        }
        let wide = Tensor::new([2, width + 1], vec![0.5; 2 * (width + 1)].into()).unwrap();
        let answer = ask(&*model, "", vec![wide], &[0]);
        let Err(RunError::InvalidInput(said)) = answer else { panic!("{}: {answer:?}", case.place) };
        let start = format!("X has {} features, but ", width + 1);
        let end = format!(" is expecting {width} features as input");
        let right = said.starts_with(&start) && said.trim_end_matches('.').ends_with(&end);
        assert!(right, "{}: {said}", case.place);
        asked += 1;
    }
    assert!(asked > 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A damaged file is refused, or answers something; it never panics, at load or later.
    #[test]
    fn a_damaged_family_is_refused_or_answers(
        case in 0usize..100_000,
        wounds in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let plain: Vec<&Case> = CASES.iter().filter(|case| case.file[0] == 0x80).collect();
        let mut file = plain[case % plain.len()].file.clone();
        for (at, byte) in wounds {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        crate::fuzz_corpus::drive::sklearn(&file);
    }
}
