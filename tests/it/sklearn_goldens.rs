//! What scikit-learn 0.20 to 1.9 answered, and what Longshore answers from the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use longshore::engines;
use longshore::proto::tensorflow::feature::Kind;
use longshore::proto::tensorflow::{self as tf, Feature};
use longshore::servable::{Call, RunError, Servable, Signature, TensorSpec};
use longshore::storage::{MemoryStorage, ModelDir};
use longshore::tensor::{DType, Elements, Tensor};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::Value;

/// Opens a folder with one file.
pub(crate) fn open(name: &str, file: Vec<u8>) -> Result<Arc<dyn Servable>, engines::OpenError> {
    let storage = MemoryStorage::new();
    storage.write(&format!("m/1/{name}"), file);
    engines::open(&ModelDir::new(Arc::new(storage), "m/1"))
}

/// Standard base64 with padding, as Python writes it.
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("{c} is no base64"),
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0, |bits, &c| bits << 6 | digit(c)) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

/// An array of a golden file.
#[derive(Debug, Clone)]
struct Golden {
    dtype: String,
    shape: Vec<usize>,
    values: Vec<Value>,
}

impl Golden {
    fn of(json: &Value) -> Self {
        let numbers = json["shape"].as_array().unwrap().iter();
        Self {
            dtype: json["dtype"].as_str().unwrap().to_owned(),
            shape: numbers.map(|n| usize::try_from(n.as_u64().unwrap()).unwrap()).collect(),
            values: json["values"].as_array().unwrap().clone(),
        }
    }

    fn doubles(&self) -> Vec<f64> {
        self.values.iter().map(double).collect()
    }

    /// Panics unless `tensor` holds this: numbers to 1e-9, everything else exactly.
    #[track_caller]
    fn assert_is(&self, tensor: &Tensor, place: &str) {
        assert_eq!(tensor.shape()[..], self.shape[..], "{place}: shape");
        let dtype = match &*self.dtype {
            "float64" | "float32" => DType::Double,
            "int64" | "int32" => DType::Int64,
            "bool" => DType::Bool,
            "str" => DType::String,
            other => panic!("{place}: dtype {other}"),
        };
        assert_eq!(tensor.dtype(), dtype, "{place}: dtype");
        match tensor.elements() {
            Elements::F64(got) => {
                for (i, (&got, want)) in got.iter().zip(self.doubles()).enumerate() {
                    assert!(close(got, want), "{place}: element {i} is {got}, scikit-learn's is {want}");
                }
            }
            Elements::I64(got) => {
                let want: Vec<i64> = self.values.iter().map(|value| value.as_i64().unwrap()).collect();
                assert_eq!(got[..], want[..], "{place}");
            }
            Elements::Bool(got) => {
                let want: Vec<u8> = self.values.iter().map(|value| value.as_bool().unwrap().into()).collect();
                assert_eq!(got[..], want[..], "{place}");
            }
            Elements::Strings(got) => {
                let want: Vec<&[u8]> =
                    self.values.iter().map(|value| value.as_str().unwrap().as_bytes()).collect();
                assert_eq!(got[..], want[..], "{place}");
            }
            other => panic!("{place}: {other:?}"),
        }
    }
}

fn double(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn close(got: f64, want: f64) -> bool {
    // The floor is for sums that cancel to next to nothing.
    got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= (1e-9 * want.abs()).max(1e-14)
}

pub(crate) struct Case {
    /// Version and name.
    place: String,
    /// Which golden file it is from.
    file_name: String,
    class: String,
    file: Vec<u8>,
    input: Golden,
    n_features: usize,
    feature_names: Option<Vec<String>>,
    methods: BTreeMap<String, Golden>,
    /// An input with NaN that scikit-learn refuses.
    refuses: Option<Golden>,
}

impl Case {
    pub(crate) fn open(&self) -> Arc<dyn Servable> {
        open("model.joblib", self.file.clone()).unwrap_or_else(|error| panic!("{}: {error}", self.place))
    }

    fn matrix(&self) -> Tensor {
        Tensor::new([self.input.shape[0], self.n_features], self.input.doubles().into()).unwrap()
    }

    fn columns(&self) -> Vec<Tensor> {
        let values = self.input.doubles();
        let column = |i| values.iter().skip(i).step_by(self.n_features).copied().collect::<Vec<f64>>();
        (0..self.n_features).map(|i| Tensor::vector(column(i).into())).collect()
    }
}

const VERSIONS: [&str; 12] = [
    "0.20.4", "0.24.2", "1.0.2", "1.1.3", "1.2.2", "1.3.2", "1.4.2", "1.5.2", "1.6.1", "1.7.2", "1.8.0",
    "1.9.1",
];

const FAMILIES: [&str; 2] = ["sklearn", "trees"];

pub(crate) fn golden_file(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sklearn").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases = Vec::new();
    // Of 0.20.4, which is older than what is promised, only the first family is there.
    let files = FAMILIES.iter().flat_map(|family| VERSIONS.map(|version| (family, version)));
    for (family, version) in files.filter(|file| *file != (&"trees", "0.20.4")) {
        let golden = golden_file(&format!("{family}-{version}.json"));
        assert_eq!(golden["provenance"]["scikit-learn"], version);
        for case in golden["cases"].as_array().unwrap() {
            let text = |key: &str| case[key].as_str().unwrap();
            let names =
                |names: &Vec<Value>| names.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
            let methods = case["methods"].as_object().unwrap().iter();
            cases.push(Case {
                file_name: format!("{family}-{version}.json"),
                place: format!("{version}, {} ({})", text("name"), text("container")),
                class: text("class").to_owned(),
                file: from_base64(text("file")),
                input: Golden::of(&golden["inputs"][text("input")]),
                n_features: usize::try_from(case["n_features"].as_u64().unwrap()).unwrap(),
                feature_names: case["feature_names"].as_array().map(names),
                methods: methods.map(|(name, answer)| (name.clone(), Golden::of(answer))).collect(),
                refuses: case["refuses"].as_str().map(|name| Golden::of(&golden["inputs"][name])),
            });
        }
    }
    cases
});

pub(crate) fn ask(
    model: &dyn Servable,
    signature: &str,
    inputs: Vec<Tensor>,
    outputs: &[usize],
) -> Result<Vec<Tensor>, RunError> {
    let (position, _) =
        model.signatures().find(signature).unwrap_or_else(|| panic!("no signature {signature}"));
    model.run(Call { signature: position, inputs: inputs.into(), outputs })
}

/// The methods behind the outputs of `serving_default`.
fn default_methods(case: &Case) -> Vec<(&'static str, &'static str)> {
    if case.methods.contains_key("predict") {
        let mut outputs = vec![("predictions", "predict")];
        if case.methods.contains_key("predict_proba") {
            outputs.push(("probabilities", "predict_proba"));
        }
        return outputs;
    }
    vec![("transformed", "transform")]
}

/// The signature for `tf.Example`s. Of the regressors, those that predict one number
/// have one.
fn for_examples(case: &Case) -> Option<&'static str> {
    let predict = case.methods.get("predict")?;
    let class = case.class.as_str();
    let is = |kinds: &[&str]| kinds.iter().any(|kind| class.contains(kind));
    // Pipelines end in whatever; these goldens' classify when their labels are words.
    let classifies = is(&["Classifier", "LogisticRegression", "Perceptron", "LinearSVC"])
        || case.methods.contains_key("predict_proba");
    match predict.shape[..] {
        [_] if classifies => Some("classify"),
        [_] | [_, 1] if predict.dtype.starts_with("float") => Some("regress"),
        _ => None,
    }
}

/// Whether a stated output is what the golden one is.
fn assert_states(spec: &TensorSpec, golden: &Golden, tensor: &Tensor, place: &str) {
    let dims = spec.dims.as_deref().unwrap();
    assert_eq!(dims.len(), golden.shape.len(), "{place}: rank");
    assert_eq!(dims[0], None, "{place}");
    assert!(
        dims[1..].iter().zip(&golden.shape[1..]).all(|(dim, &want)| *dim == Some(want)),
        "{place}: {dims:?}"
    );
    assert_eq!(spec.dtype, tensor.dtype(), "{place}");
}

#[test]
fn every_method_of_every_golden_answers_as_scikit_learn_did() {
    let mut replayed = 0;
    for case in &*CASES {
        let model = case.open();
        let mut wanted: BTreeSet<&str> = case.methods.keys().map(String::as_str).collect();
        wanted.insert("serving_default");
        if case.feature_names.is_some() {
            wanted.insert("columns");
        }
        wanted.extend(for_examples(case));
        // Answers of several outputs and of three dimensions, how sure a prediction is, what features
        // contributed to it and the ways through trees are among the families'.
        let plain = |signature: &&Signature| {
            let other = ["predict_std", "contributions", "decision_path"].contains(&&*signature.name);
            !other
                && signature.outputs.iter().all(|output| {
                    *output.name != *"outputs_0" && output.dims.as_deref().is_some_and(|dims| dims.len() < 3)
                })
        };
        let signatures: BTreeSet<&str> =
            model.signatures().iter().filter(plain).map(|signature| &*signature.name).collect();
        assert_eq!(signatures, wanted, "{}: signatures", case.place);

        for (method, golden) in &case.methods {
            let place = format!("{}: {method}", case.place);
            let (_, signature) = model.signatures().find(method).unwrap();
            assert_eq!(&*signature.inputs[0].name, "inputs");
            assert_eq!(&*signature.outputs[0].name, "outputs");
            let answers =
                ask(&*model, method, vec![case.matrix()], &[0]).unwrap_or_else(|e| panic!("{place}: {e}"));
            golden.assert_is(&answers[0], &place);
            assert_states(&signature.outputs[0], golden, &answers[0], &place);
            replayed += 1;
        }

        if let Some(missing) = &case.refuses {
            let rows = doubles(missing.shape[0], case.n_features, missing.doubles());
            let refused = ask(&*model, "predict", vec![rows], &[0]);
            let Err(RunError::InvalidInput(said)) = refused else { panic!("{}: {refused:?}", case.place) };
            assert!(said.starts_with("Input X contains NaN.\n"), "{}: {said}", case.place);
        }

        let defaults = default_methods(case);
        let mut ways = vec![("", vec![case.matrix()])];
        if let Some(names) = &case.feature_names {
            let (_, signature) = model.signatures().find("columns").unwrap();
            let inputs: Vec<&str> = signature.inputs.iter().map(|input| &*input.name).collect();
            assert_eq!(inputs, *names, "{}", case.place);
            ways.push(("columns", case.columns()));
        }
        for (signature, inputs) in ways {
            let (_, stated) = model.signatures().find(signature).unwrap();
            let outputs = stated.outputs.iter().map(|output| &*output.name);
            let outputs: Vec<&str> = outputs.filter(|name| !name.starts_with("probabilities_")).collect();
            assert_eq!(
                outputs,
                defaults.iter().map(|(output, _)| *output).collect::<Vec<_>>(),
                "{}",
                case.place
            );
            let all: Vec<usize> = (0..defaults.len()).collect();
            let together = ask(&*model, signature, inputs.clone(), &all).unwrap();
            for (i, (output, method)) in defaults.iter().enumerate() {
                let place = format!("{}: {signature} {output}", case.place);
                case.methods[*method].assert_is(&together[i], &place);
                // Alone it is the same, and alone.
                let alone = ask(&*model, signature, inputs.clone(), &[i]).unwrap();
                assert!(all_same(&alone, &together[i..=i]), "{place}: {alone:?}");
            }
            let backwards: Vec<usize> = all.iter().rev().copied().collect();
            let reversed: Vec<Tensor> = together.into_iter().rev().collect();
            let swapped = ask(&*model, signature, inputs, &backwards).unwrap();
            assert!(all_same(&swapped, &reversed), "{}: {swapped:?}", case.place);
        }
    }
    assert!(replayed > 1800, "{replayed} methods replayed");
}

/// One example for each row, with a feature per column if there are names.
fn examples_of(rows: &[f32], width: usize, names: Option<&[String]>) -> Tensor {
    let floats = |value: &[f32]| Some(Kind::FloatList(tf::FloatList { value: value.to_vec() }));
    let example = |row: &[f32]| {
        let feature = match names {
            None => [("inputs".to_owned(), Feature { kind: floats(row) })].into_iter().collect(),
            Some(names) => {
                let values = row.chunks(1).map(|value| Feature { kind: floats(value) });
                names.iter().cloned().zip(values).collect()
            }
        };
        Bytes::from(tf::Example { features: Some(tf::Features { feature }) }.encode_to_vec())
    };
    Tensor::vector(rows.chunks(width).map(example).collect::<Vec<_>>().into())
}

#[test]
#[allow(clippy::cast_possible_truncation, reason = "examples carry single precision")]
fn examples_are_answered_as_the_same_numbers_are() {
    let (mut classified, mut regressed) = (0, 0);
    for case in &*CASES {
        let Some(signature) = for_examples(case) else { continue };
        let place = format!("{}: {signature}", case.place);
        let model = case.open();
        let single: Vec<f32> = case.input.doubles().iter().map(|&value| value as f32).collect();
        let input = examples_of(&single, case.n_features, case.feature_names.as_deref());
        let exact: Vec<f64> = single.iter().map(|&value| f64::from(value)).collect();
        let rows = case.input.shape[0];
        let matrix = Tensor::new([rows, case.n_features], exact.into()).unwrap();
        let method = |name| ask(&*model, name, vec![matrix.clone()], &[0]).unwrap().remove(0);
        let singles = |tensor: Tensor| match tensor.elements() {
            Elements::F64(values) => values.iter().map(|&value| value as f32).collect::<Vec<f32>>(),
            other => panic!("{place}: {other:?}"),
        };
        let spec = &model.signatures().find(signature).unwrap().1;
        let all: Vec<usize> = (0..spec.outputs.len()).collect();
        let answers = ask(&*model, signature, vec![input], &all).unwrap();
        if signature == "regress" {
            let want = Tensor::vector(singles(method("predict")).into());
            assert!(answers[0] == want, "{place}: {:?} is not {want:?}", answers[0]);
            regressed += 1;
            continue;
        }
        let Elements::Strings(labels) = answers[0].elements() else { panic!("{place}: labels are text") };
        let predicted = match method("predict").elements() {
            Elements::I64(values) => values.iter().map(|value| value.to_string().into()).collect(),
            Elements::Strings(values) => values.clone(),
            Elements::Bool(values) => {
                values.iter().map(|&value| Bytes::from(if value == 0 { "False" } else { "True" })).collect()
            }
            Elements::F64(values) => values.iter().map(|value| format!("{value:?}").into()).collect(),
            other => panic!("{place}: {other:?}"),
        };
        let chosen: Vec<Bytes> = match answers.get(1) {
            None => labels.clone(),
            Some(scores) => {
                let want = method("predict_proba");
                let k = want.shape()[1];
                assert_eq!((answers[0].shape(), scores.shape()), (want.shape(), want.shape()), "{place}");
                let want = singles(want);
                let Elements::F32(got) = scores.elements() else { panic!("{place}: {scores:?}") };
                // As bits: NaN is itself.
                assert!(
                    got.iter().map(|v| v.to_bits()).eq(want.iter().map(|v| v.to_bits())),
                    "{place}: {got:?}"
                );
                let best = |row: &[f32]| (0..k).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
                let ties = want
                    .chunks(k)
                    .any(|row| row.iter().filter(|p| p.is_nan() || **p >= row[best(row)]).count() > 1);
                if ties || case.class == "SGDClassifier" {
                    // Its scores decide, and may lie where its probabilities are clipped.
                    continue;
                }
                want.chunks(k).zip(labels.chunks(k)).map(|(row, labels)| labels[best(row)].clone()).collect()
            }
        };
        assert_eq!(chosen, predicted, "{place}");
        classified += 1;
    }
    assert!(classified > 100 && regressed > 300, "{classified} classified, {regressed} regressed");
}

#[test]
fn every_class_is_in_the_goldens_of_every_version() {
    let classes = |version: &str| -> BTreeSet<&str> {
        CASES.iter().filter(|case| case.place.starts_with(version)).map(|case| case.class.as_str()).collect()
    };
    let newest = classes("1.9.1");
    assert_eq!(newest.len(), 57);
    let young: &[(&str, &[&str])] = &[
        (
            "0.20.4",
            &[
                "GammaRegressor",
                "PoissonRegressor",
                "QuantileRegressor",
                "SGDOneClassSVM",
                "TweedieRegressor",
            ],
        ),
        ("0.24.2", &["QuantileRegressor", "SGDOneClassSVM"]),
    ];
    let first_family: BTreeSet<&str> =
        CASES.iter().filter(|case| case.file_name.starts_with("sklearn-")).map(|case| &*case.class).collect();
    for version in VERSIONS {
        let later = young.iter().find(|(old, _)| *old == version).map_or(&[][..], |(_, classes)| *classes);
        let mut expected = newest.clone();
        expected.retain(|class| !later.contains(class));
        if version == "0.20.4" {
            expected.retain(|class| first_family.contains(class));
        }
        assert_eq!(classes(version), expected, "{version}");
    }
}

/// The same bits: NaN is itself.
pub(crate) fn same(a: &Tensor, b: &Tensor) -> bool {
    match (a.elements(), b.elements()) {
        (Elements::F64(x), Elements::F64(y)) => {
            a.shape() == b.shape() && x.iter().map(|v| v.to_bits()).eq(y.iter().map(|v| v.to_bits()))
        }
        _ => a == b,
    }
}

fn all_same(a: &[Tensor], b: &[Tensor]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

fn rows_of(tensor: &Tensor) -> Vec<Tensor> {
    longshore::tensor::split_rows(tensor, &vec![1; tensor.shape()[0]]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// A row's answer is the same, bit for bit, whatever its company and place.
    #[test]
    fn a_rows_answer_does_not_depend_on_its_batch(
        case in 0usize..10_000,
        rows in proptest::collection::vec(proptest::collection::vec(-50.0f64..50.0, 3), 1..9),
        order in any::<prop::sample::Index>(),
    ) {
        let case = &CASES[case % CASES.len()];
        let model = case.open();
        let matrix = |rows: &[Vec<f64>]| {
            let values: Vec<f64> = rows.iter().flat_map(|row| &row[..case.n_features]).copied().collect();
            Tensor::new([rows.len(), case.n_features], values.into()).unwrap()
        };
        let mut turned = rows.clone();
        let by = order.index(rows.len());
        turned.rotate_left(by);
        turned.reverse();
        for method in case.methods.keys() {
            let ask = |rows: &[Vec<f64>]| ask(&*model, method, vec![matrix(rows)], &[0]).unwrap().remove(0);
            let batch = rows_of(&ask(&rows));
            for (row, answer) in rows.iter().zip(&batch) {
                prop_assert!(same(&ask(std::slice::from_ref(row)), answer), "{}: {method}", case.place);
            }
            let mut expected = batch;
            expected.rotate_left(by);
            expected.reverse();
            prop_assert!(all_same(&rows_of(&ask(&turned)), &expected), "{}: {method}", case.place);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A damaged file is refused, or answers something; it never panics, at load or later.
    #[test]
    fn a_damaged_file_is_refused_or_answers(
        case in 0usize..10_000,
        wounds in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let plain: Vec<&Case> = CASES.iter().filter(|case| case.file[0] == 0x80).collect();
        let case = plain[case % plain.len()];
        let mut file = case.file.clone();
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

pub(crate) fn case(version: &str, name: &str) -> &'static Case {
    let start = format!("{version}, {name} (");
    CASES.iter().find(|case| case.place.starts_with(&start)).unwrap_or_else(|| panic!("no case {start}"))
}

pub(crate) fn doubles(rows: usize, width: usize, values: Vec<f64>) -> Tensor {
    Tensor::new([rows, width], values.into()).unwrap()
}

#[test]
fn no_rows_are_answered_with_no_rows() {
    for case in CASES.iter().filter(|case| case.place.starts_with("1.9.1")) {
        let model = case.open();
        for (method, golden) in &case.methods {
            let empty = doubles(0, case.n_features, vec![]);
            let answer = ask(&*model, method, vec![empty], &[0]).unwrap().remove(0);
            assert_eq!(answer.shape()[0], 0, "{}: {method}", case.place);
            assert_eq!(answer.shape()[1..], golden.shape[1..], "{}: {method}", case.place);
        }
        let narrow = ask(&*model, "", vec![doubles(0, case.n_features + 1, vec![])], &[0]);
        assert!(matches!(narrow, Err(RunError::InvalidInput(_))), "{}", case.place);
    }
}

#[test]
fn every_real_dtype_is_taken_as_numpy_converts_it() {
    let model = case("1.9.1", "LinearRegression").open();
    let values = [1u8, 0, 1, 1, 1, 0];
    let as_doubles: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
    let want = ask(&*model, "", vec![doubles(2, 3, as_doubles)], &[0]).unwrap();
    macro_rules! elements {
        ($($of:expr),*) => {[$(values.iter().map(|&v| ($of)(v)).collect::<Vec<_>>().into()),*]};
    }
    let kinds: [Elements; 12] = elements![
        f32::from,
        f64::from,
        |v| half::f16::from_f32(f32::from(v)),
        |v| half::bf16::from_f32(f32::from(v)),
        |v| v as i8,
        i16::from,
        i32::from,
        i64::from,
        u8::from,
        u16::from,
        u32::from,
        u64::from
    ];
    for elements in kinds.into_iter().chain([values.map(|v| v == 1).to_vec().into()]) {
        let dtype = elements.dtype();
        let input = Tensor::new([2, 3], elements).unwrap();
        let (_, signature) = model.signatures().find("").unwrap();
        assert!(signature.inputs[0].takes(dtype));
        assert_eq!(ask(&*model, "", vec![input], &[0]).unwrap(), want, "{dtype}");
    }
}
