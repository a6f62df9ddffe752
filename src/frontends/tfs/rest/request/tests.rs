//! Every rule and every message of the Predict body.

use proptest::prelude::*;

use super::*;
use crate::frontends::tfs::rest::write;
use crate::servable::Method;
use crate::tensor::{DType, Elements, Tensor};
use half::{bf16, f16};

fn signature(inputs: &[(&str, DType)]) -> Signature {
    Signature {
        name: "serving_default".into(),
        inputs: inputs.iter().map(|&(name, dtype)| TensorSpec::new(name, dtype, &[None])).collect(),
        outputs: vec![],
        method: Method::Predict,
    }
}

fn read(body: &str, inputs: &[(&str, DType)]) -> Result<(Format, NamedTensors), ServingError> {
    Request::parse(Bytes::copy_from_slice(body.as_bytes()))?.tensors(&signature(inputs))
}

/// The one tensor that a value makes of a dtype, in the columnar form.
fn one(value: &str, dtype: DType) -> Result<Tensor, ServingError> {
    let (_, tensors) = read(&format!("{{\"inputs\": {value}}}"), &[("x", dtype)])?;
    Ok(tensors.get("x").unwrap().clone())
}

#[track_caller]
fn refused(body: &str, inputs: &[(&str, DType)], want: &str) {
    let error = read(body, inputs).expect_err("must be refused");
    assert_eq!((error.code(), error.message()), (Code::InvalidArgument, want), "{body}");
}

const X: &[(&str, DType)] = &[("x", DType::Float)];
const XY: &[(&str, DType)] = &[("x", DType::Float), ("y", DType::Int32)];

#[test]
fn rows_of_one_input_are_values_lists_or_objects() {
    let want = Tensor::new([2, 2], vec![1f32, 2.0, 3.0, 4.5].into()).unwrap();
    for body in [
        r#"{"instances": [[1, 2], [3, 4.5]]}"#,
        r#"{"instances": [{"x": [1, 2]}, {"x": [3, 4.5]}], "other": {}}"#,
    ] {
        let (format, tensors) = read(body, X).unwrap();
        assert_eq!((format, tensors.get("x")), (Format::Row, Some(&want)), "{body}");
    }
    let (_, tensors) = read(r#"{"instances": [1.5, 2]}"#, X).unwrap();
    assert_eq!(tensors.get("x").unwrap(), &Tensor::vector(vec![1.5f32, 2.0].into()));
}

#[test]
fn rows_of_several_inputs_are_objects() {
    let body = r#"{"instances": [{"x": 1, "y": [2]}, {"y": [4], "x": 3, "x": 9}]}"#;
    let (_, tensors) = read(body, XY).unwrap();
    assert_eq!(tensors.get("x").unwrap(), &Tensor::vector(vec![1f32, 3.0].into()));
    assert_eq!(tensors.get("y").unwrap(), &Tensor::new([2, 1], vec![2i32, 4].into()).unwrap());
}

#[test]
fn columns_are_values_by_name_or_one_value() {
    let (format, tensors) = read(r#"{"inputs": {"z": 0, "y": [[1, 2]], "x": 3, "y": 0}}"#, XY).unwrap();
    assert_eq!(format, Format::Columnar);
    assert_eq!(
        tensors.get("x").unwrap(),
        &Tensor::new(crate::tensor::Shape::scalar(), vec![3f32].into()).unwrap()
    );
    assert_eq!(tensors.get("y").unwrap(), &Tensor::new([1, 2], vec![1i32, 2].into()).unwrap());
    assert_eq!(
        one("[[], []]", DType::Int64).unwrap(),
        Tensor::new([2, 0], Vec::<i64>::new().into()).unwrap()
    );
    assert_eq!(one("7", DType::Int64).unwrap().shape().rank(), 0);
}

#[test]
fn each_dtype_takes_its_values() {
    let is = |value: &str, dtype, want: Elements| {
        assert_eq!(one(value, dtype).unwrap().elements(), &want, "{dtype}")
    };
    is("[1, -2.5, 1e3, 1e60, 1e-60]", DType::Float, vec![1f32, -2.5, 1000.0, f32::INFINITY, 0.0].into());
    is("[Infinity, -Inf, 0.1]", DType::Double, vec![f64::INFINITY, f64::NEG_INFINITY, 0.1].into());
    is("[1.5, 65520, 0.1]", DType::Half, vec![f16::from_f32(1.5), f16::INFINITY, f16::from_f64(0.1)].into());
    is("[1.5, 3]", DType::BFloat16, vec![bf16::from_f32(1.5), bf16::from_f32(3.0)].into());
    is("[2147483647, -2147483648]", DType::Int32, vec![i32::MAX, i32::MIN].into());
    is("[1, 300, -1]", DType::Int8, vec![1i8, 44, -1].into());
    is("[70000]", DType::Int16, vec![70000i32 as i16].into());
    is("[255, 256, -1]", DType::UInt8, vec![255u8, 0, 255].into());
    is("[65535]", DType::UInt16, vec![u16::MAX].into());
    is("[9223372036854775807, -9223372036854775808]", DType::Int64, vec![i64::MAX, i64::MIN].into());
    is("[4294967295]", DType::UInt32, vec![u32::MAX].into());
    is("[18446744073709551615]", DType::UInt64, vec![u64::MAX].into());
    is("[true, false]", DType::Bool, vec![true, false].into());
    is(
        r#"["é", {"b64": "AAE="}, {"b64": "AA E"}, "\u0000"]"#,
        DType::String,
        Elements::from(vec![
            Bytes::from_static("é".as_bytes()),
            Bytes::from_static(&[0, 1]),
            Bytes::from_static(&[0, 1]),
            Bytes::from_static(&[0]),
        ]),
    );
    assert!(matches!(one("[NaN]", DType::Float).unwrap().elements(), Elements::F32(v) if v[0].is_nan()));
}

#[test]
fn each_dtype_refuses_others_by_value_and_type() {
    for (value, kind, dtype) in [
        ("\"a\"", "String", DType::Float),
        ("null", "Null", DType::Float),
        ("true", "True", DType::Double),
        ("1.0", "Number", DType::Int32),
        ("1000.0", "Number", DType::Int64),
        ("2147483648", "Number", DType::Int32),
        ("2147483648", "Number", DType::Int8),
        ("65536", "Number", DType::UInt16),
        ("9223372036854775808", "Number", DType::Int64),
        ("-1", "Number", DType::UInt32),
        ("4294967296", "Number", DType::UInt32),
        ("-1", "Number", DType::UInt64),
        ("1", "Number", DType::Bool),
        ("0", "Number", DType::Bool),
        ("1", "Number", DType::String),
        ("false", "False", DType::String),
    ] {
        let want = format!("JSON Value: {value} Type: {kind} is not of expected type: {dtype}");
        assert_eq!(one(&format!("[{value}]"), dtype).unwrap_err().message(), want);
    }
    let error = one("[1e3]", DType::Int64).unwrap_err();
    assert_eq!(error.message(), "JSON Value: 1000.0 Type: Number is not of expected type: int64");
    let error = one("[{\"b64\": \"AAE=\"}]", DType::Float).unwrap_err();
    assert_eq!(
        error.message(),
        "JSON Value: {\n    \"b64\": \"AAE=\"\n} Type: Object is not of expected type: float"
    );
    for dtype in [DType::Complex64, DType::QInt8] {
        let error = one("[[1.5]]", dtype).unwrap_err();
        let want = format!("Conversion of JSON Value: 1.5 to type: {dtype}");
        assert_eq!((error.code(), error.message()), (Code::Unimplemented, want.as_str()));
    }
    let want = "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON Value: 1 \
                to type: complex64";
    refused(r#"{"instances": [1]}"#, &[("x", DType::Complex64)], want);
}

#[test]
fn what_is_no_request_is_told_so() {
    refused("", X, "JSON Parse error: The document is empty");
    refused(" ", X, "JSON Parse error: The document is empty. at offset: 1");
    refused("{", X, "JSON Parse error: Missing a name for object member. at offset: 1");
    refused("[1, 2]", X, "JSON Value: [1, 2] Is not object");
    refused("2.5", X, "JSON Value: 2.5 Is not object");
    refused(
        r#"{"signature_name": 5}"#,
        X,
        "JSON Value: {\n    \"signature_name\": 5\n} not formatted correctly. 'signature_name' key must be a string \
         value.",
    );
    refused("{}", X, "Missing 'inputs' or 'instances' key");
    refused(
        r#"{"instances": [1], "inputs": 1}"#,
        X,
        "JSON Value: {\n    \"instances\": [1],\n    \"inputs\": 1\n} Not formatted correctly expecting only one of \
         'inputs' or 'instances' keys to exist ",
    );
    refused(
        r#"{"instances": 1}"#,
        X,
        "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array",
    );
    refused(
        r#"{"instances": []}"#,
        X,
        "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
    );
    refused(r#"{"inputs": 1}"#, &[], "Failed to get input map for signature: DEFAULT");
    refused(r#"{"signature_name": "s"}"#, &[], "Failed to get input map for signature: s");
}

#[test]
fn an_output_filter_is_a_list_of_names() {
    let wanted =
        |body: &'static str| Request::parse(Bytes::from_static(body.as_bytes())).unwrap().outputs_wanted();
    assert_eq!(wanted("{}").unwrap(), Vec::<String>::new());
    assert_eq!(wanted(r#"{"output_filter": ["a", "b"]}"#).unwrap(), ["a", "b"]);
    assert_eq!(
        wanted(r#"{"output_filter": "y"}"#).unwrap_err().message(),
        "JSON Value: {\n    \"output_filter\": \"y\"\n} not formatted correctly. 'output_filter' key must be a list \
         of strings."
    );
}

#[test]
fn examples_are_a_list_of_objects() {
    let read = |body: &'static str| Request::parse(Bytes::from_static(body.as_bytes())).unwrap().examples();
    let examples = read(r#"{"examples": [{"a": 1}, {}], "context": {"b": "x"}}"#).unwrap();
    assert_eq!((examples.examples.len(), examples.context.is_empty()), (2, false));
    assert!(read(r#"{"examples": [{}]}"#).unwrap().context.is_empty());
    for (body, want) in [
        ("{}", "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
        (
            "{\"examples\": 1}",
            "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array",
        ),
        ("{\"examples\": []}", "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
        ("{\"examples\": [1]}", "Example must be JSON object but got JSON Number"),
        ("{\"examples\": [{}], \"context\": []}", "Example must be JSON object but got JSON Array"),
    ] {
        assert_eq!(read(body).unwrap_err().message(), want);
    }
}

#[test]
fn a_list_for_several_inputs_is_told_so() {
    refused(
        r#"{"instances": [1]}"#,
        XY,
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per \
         tensorinfo_map",
    );
    refused(
        r#"{"inputs": [1]}"#,
        XY,
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per \
         tensorinfo_map",
    );
    refused(r#"{"inputs": {"x": 1}}"#, XY, "Missing named input: y in 'inputs' object.");
}

#[test]
fn an_instance_that_differs_is_told_by_its_number() {
    refused(r#"{"instances": [{"x": 1}, 2]}"#, X, "Expecting object but got list at item 1 of input list");
    refused(
        r#"{"instances": [1, {"x": 2}]}"#,
        X,
        "Expecting value/list but got object at item 1 of input list",
    );
    let list = "of 'instances' list. Error: INVALID_ARGUMENT:";
    refused(
        r#"{"instances": [1, "a"]}"#,
        X,
        &format!(
            "Failed to process element: 1 {list} JSON Value: \"a\" Type: String is not of expected type: float"
        ),
    );
    refused(
        r#"{"instances": [{"x": 1, "y": "a"}]}"#,
        XY,
        &format!(
            "Failed to process element: 0 key: y {list} JSON Value: \"a\" Type: String is not of expected type: int32"
        ),
    );
    refused(
        r#"{"instances": [{"x": 1, "z": 2}]}"#,
        XY,
        &format!("Failed to process element: 0 key: z {list} JSON object: does not have named input: z"),
    );
    refused(
        r#"{"instances": [{"x": 1}]}"#,
        XY,
        "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"x\": 1\n} keys must be equal to: x,y",
    );
    refused(
        r#"{"instances": [[1, 2], [3]]}"#,
        X,
        &format!("Failed to process element: 1 {list} Expecting tensor size: 2 but got: 1"),
    );
    refused(
        r#"{"instances": [[1, 2], [[3], [4]]]}"#,
        X,
        &format!("Failed to process element: 1 {list} Expecting shape [2] but got: [2,1]"),
    );
}

#[test]
fn ragged_lists_are_told_by_level() {
    refused(
        r#"{"inputs": [[1], 2]}"#,
        X,
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    );
    refused(r#"{"inputs": [1, [2]]}"#, X, "Encountered list at unexpected level: 1 expected < 1");
    refused(
        r#"{"inputs": [[1], [2, 3]]}"#,
        X,
        "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
    );
}

#[test]
fn broken_base64_is_told_so() {
    const S: &[(&str, DType)] = &[("x", DType::String)];
    refused(r#"{"inputs": [{"b64": "?"}]}"#, S, "Unable to base64 decode");
    refused(
        r#"{"inputs": [{"c64": "AA"}]}"#,
        S,
        "JSON Value: {\n    \"c64\": \"AA\"\n} not formatted correctly for base64 data",
    );
    // One b64 object is a value, not an object of inputs.
    assert_eq!(one(r#"{"b64": "AA=="}"#, DType::String).unwrap().shape().rank(), 0);
    let (_, tensors) = read(r#"{"instances": [{"b64": "AA"}, "x"]}"#, S).unwrap();
    assert_eq!(tensors.get("x").unwrap().shape().to_string(), "[2]");
}

#[test]
fn a_small_text_makes_no_large_tensor() {
    // Lists of nothing cost their brackets, whatever shape they claim.
    let empties = format!("[{}]", vec!["[]"; 1000].join(","));
    assert_eq!(one(&empties, DType::Double).unwrap().shape().to_string(), "[1000,0]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Bodies that are nearly right, by every dtype.
    #[test]
    fn any_body_is_refused_or_comes_back(
        key in "instances|inputs|examples",
        parts in r#"(\[|\]|,|1|-2.5e3|300|"a"|\{"x":|"y":|\{"b64":"AA"\}|\}|NaN|true|null| ){0,14}"#,
        closed in any::<bool>(),
    ) {
        // Closed as its brackets are open, half of the time, so that more of them are JSON.
        let mut open = String::new();
        for c in parts.chars() {
            match c {
                '[' => open.insert(0, ']'),
                '{' => open.insert(0, '}'),
                ']' | '}' if open.starts_with(c) => _ = open.remove(0),
                _ => {}
            }
        }
        let end = if closed { open } else { String::new() };
        let body = format!("{{\"{key}\": [{parts}{end}]}}");
        crate::frontends::tfs::rest::check_any_body(body.into());
    }
}

proptest! {
    /// What is written is read again as the same tensor, in both forms.
    #[test]
    fn tensors_go_there_and_back(values in prop::collection::vec(any::<u64>(), 6), which in 0usize..14, rows in 1usize..7) {
        let rows = [1, 2, 3, 6][rows % 4];
        let shape = [rows, 6 / rows];
        macro_rules! of {
            ($convert:expr) => { Elements::from(values.iter().copied().map($convert).collect::<Vec<_>>()) };
        }
        // NaN is not equal to itself; everything else is here.
        let double = |v: u64| Some(f64::from_bits(v)).filter(|v| !v.is_nan()).unwrap_or(0.5);
        let elements = match which {
            0 => of!(|v| Some(f32::from_bits(v as u32)).filter(|v| !v.is_nan()).unwrap_or(0.5)),
            1 => of!(double),
            2 => of!(|v| Some(f16::from_bits(v as u16)).filter(|v| !v.is_nan()).unwrap_or(f16::ONE)),
            3 => of!(|v| Some(bf16::from_bits(v as u16)).filter(|v| !v.is_nan()).unwrap_or(bf16::ONE)),
            4 => of!(|v| v as i8),
            5 => of!(|v| v as i16),
            6 => of!(|v| v as i32),
            7 => of!(|v| v as i64),
            8 => of!(|v| v as u8),
            9 => of!(|v| v as u16),
            10 => of!(|v| v as u32),
            11 => of!(|v| v),
            12 => of!(|v| v % 2 == 0),
            _ => of!(|v| Bytes::from(v.to_string())),
        };
        let tensor = Tensor::new(shape, elements).unwrap();
        let named: NamedTensors = [("x", tensor.clone())].into_iter().collect();
        for (json, from, to) in [
            (write::row(&named).unwrap(), "predictions", "instances"),
            (write::columnar(&named).unwrap(), "outputs", "inputs"),
        ] {
            let body = String::from_utf8(json).unwrap().replacen(from, to, 1);
            let (_, again) = read(&body, &[("x", tensor.dtype())]).unwrap();
            prop_assert_eq!(again.get("x").unwrap(), &tensor);
        }
    }
}
