//! Every committed pickle reads as the Python that wrote it said.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::fuzz_corpus::drive;

use longshore::formats::pickle::{Array, DTypeKind, Document, Entries, Items, Ref, View, load};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pickle")
}

/// The pickles of the golden folder, with what they must read as.
pub(crate) fn goldens() -> Vec<(String, Vec<u8>, Value)> {
    let mut all = Vec::new();
    for index in ["golden.json", "golden-np122.json", "golden-py27.json"] {
        let text = fs::read_to_string(folder().join(index)).unwrap();
        let index: Value = serde_json::from_str(&text).unwrap();
        for (name, number) in index["files"].as_object().unwrap() {
            let number = usize::try_from(number.as_u64().unwrap()).unwrap();
            let bytes = fs::read(folder().join(name)).unwrap();
            all.push((name.clone(), bytes, index["expectations"][number].clone()));
        }
    }
    assert!(all.len() >= 24, "{} goldens", all.len());
    all
}

/// A value in the language of `make.py`.
fn encode(value: Ref<'_>, depth: usize) -> Value {
    assert!(depth < 20, "goldens are shallow");
    let all = |items: Items<'_>| items.map(|item| encode(item, depth + 1)).collect::<Vec<_>>();
    let pairs = |entries: Entries<'_>| {
        entries.map(|(k, v)| json!([encode(k, depth + 1), encode(v, depth + 1)])).collect::<Vec<_>>()
    };
    match value.view() {
        View::None => Value::Null,
        View::Bool(value) => json!(value),
        View::Int(value) if value.unsigned_abs() < 1 << 53 => json!(value),
        View::Int(value) => json!({"int": value.to_string()}),
        View::BigInt(bytes) => {
            let fill = if bytes[bytes.len() - 1] & 0x80 == 0 { 0 } else { 0xff };
            let mut wide = [fill; 32];
            wide[..bytes.len()].copy_from_slice(bytes);
            json!({"bigint": wide.iter().rev().map(|b| format!("{b:02x}")).collect::<String>()})
        }
        View::Float(value) => json!({"float": format!("{:016x}", value.to_bits())}),
        View::Str(text) => json!(text),
        View::Bytes(bytes) => json!({"bytes": hex(bytes)}),
        View::List(items) => json!(all(items)),
        View::Tuple(items) => json!({"tuple": all(items)}),
        View::Set(items) => {
            let mut items = all(items);
            items.sort_by_key(Value::to_string);
            json!({"set": items})
        }
        View::Dict(entries) => json!({"dict": pairs(entries)}),
        View::Global(global) => json!({"global": global.to_string().replace("__builtin__", "builtins")}),
        View::Object(object) => json!({
            "object": object.class().to_string().replace("__builtin__", "builtins"),
            "args": all(object.args()),
            "state": object.state().map(|state| encode(state, depth + 1)),
            "items": all(object.items()),
            "entries": pairs(object.entries()),
        }),
        View::Array(array) => encode_array(array, value.document(), depth),
        View::DType(dtype) => json!({"dtype": dtype.to_string()}),
    }
}

fn encode_array(array: &Array, document: &Document, depth: usize) -> Value {
    let values = match array.dtype().kind() {
        DTypeKind::Bool => json!(array.to_bools().unwrap()),
        DTypeKind::Int | DTypeKind::UInt => {
            json!(array.to_i64().unwrap().iter().map(i64::to_string).collect::<Vec<_>>())
        }
        DTypeKind::Float if array.dtype().itemsize() <= 8 => {
            let bits = |value: &f64| format!("{:016x}", value.to_bits());
            json!(array.to_f64().unwrap().iter().map(bits).collect::<Vec<_>>())
        }
        DTypeKind::Unicode | DTypeKind::ByteString => json!(array.to_strings(document).unwrap()),
        DTypeKind::Object => {
            let items = array.objects(document).unwrap();
            json!(items.map(|item| encode(item, depth + 1)).collect::<Vec<_>>())
        }
        DTypeKind::Struct(fields) => {
            let field = |name: &str| encode_array(&array.field(name).unwrap(), document, depth + 1);
            fields.iter().map(|f| (f.name().to_owned(), field(f.name()))).collect()
        }
        DTypeKind::Float | DTypeKind::Complex | DTypeKind::Void | DTypeKind::DateTime => {
            return json!({"array": array.dtype().to_string(), "shape": array.shape()});
        }
    };
    json!({"array": array.dtype().to_string(), "shape": array.shape(), "values": values})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The first place where two expectations differ.
fn difference(path: &str, got: &Value, want: &Value) -> Option<String> {
    match (got, want) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(&format!("{path}[{i}]"), a, b))
        }
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().zip(b.values()).find_map(|((k, a), b)| difference(&format!("{path}.{k}"), a, b))
        }
        _ if got == want => None,
        _ => {
            let short = |value: &Value| value.to_string().chars().take(300).collect::<String>();
            Some(format!("{path}: got {}, want {}", short(got), short(want)))
        }
    }
}

#[test]
pub(crate) fn goldens_read_as_python_reads_them() {
    for (name, bytes, want) in goldens() {
        let document = load(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let got = encode(document.root(), 0);
        if let Some(difference) = difference(&name, &got, &want) {
            panic!("{difference}");
        }
    }
}

#[test]
fn objects_of_other_libraries_stay_objects() {
    for name in ["libraries-p2.pkl", "libraries-p5.pkl", "libraries-joblib.pkl"] {
        let document =
            load(fs::read(folder().join(name)).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let get =
            |key: &str| document.root().get(key).unwrap().object().unwrap_or_else(|| panic!("{name}: {key}"));
        let numbers = |value: Option<Ref<'_>>| value.unwrap().array().unwrap().to_f64().unwrap();

        let csr = get("csr");
        assert!(csr.class().is("scipy.sparse._csr", "csr_matrix"), "{name}: {csr:?}");
        assert_eq!(numbers(csr.attr("data")), [1.5, 2.5, 3.5]);
        assert_eq!(numbers(csr.attr("indices")), [1.0, 0.0, 2.0]);
        assert_eq!(numbers(csr.attr("indptr")), [0.0, 1.0, 3.0]);
        let shape: Vec<_> = csr.attr("_shape").unwrap().items().unwrap().map(Ref::as_i64).collect();
        assert_eq!(shape, [Some(2), Some(3)]);
        assert_eq!(numbers(get("csc").attr("indptr")), [0.0, 1.0, 2.0, 3.0]);

        let masked = get("masked");
        assert!(
            masked.class().is("numpy.ma.core", "_mareconstruct")
                || masked.class().is("numpy.ma", "_mareconstruct")
        );
        assert_eq!(masked.state().unwrap().items().unwrap().len(), 7);

        let class_and_args = |key: &str| {
            let object = get(key);
            (object.class().name, object.args().map(|arg| arg.as_f64()).collect::<Vec<_>>())
        };
        assert_eq!(class_and_args("complex"), ("complex", vec![Some(1.0), Some(2.0)]));
        let (range, args) = class_and_args("range");
        assert!(["range", "xrange"].contains(&range), "{name}: {range}");
        assert_eq!(args, [Some(2.0), Some(9.0), Some(3.0)]);
        assert_eq!(get("partial").class().to_string(), "functools.partial");
        assert_eq!(get("generator").class().name, "__randomstate_ctor");
        drive::walk(&document);
    }
}

#[test]
fn attributes_are_found_in_dicts_and_slots_and_the_last_of_two_counts() {
    let document = load(fs::read(folder().join("values-p4.pkl")).unwrap()).unwrap();
    let objects = document.root().items().unwrap().filter_map(Ref::object).collect::<Vec<_>>();
    let slotted = objects.iter().find(|object| object.class().is("golden", "Slotted")).unwrap();
    assert_eq!(slotted.attr("x").and_then(Ref::as_i64), Some(7));
    assert_eq!(slotted.attr("y").and_then(Ref::as_i64), Some(8));
    assert!(slotted.attr("z").is_none());
    let names: Vec<_> = slotted.attrs().map(|(name, _)| name).collect();
    assert_eq!(names, ["y", "x"]);
    let args = objects.iter().find(|object| object.class().is("golden", "WithArgs")).unwrap();
    assert_eq!(args.kwargs().and_then(|kwargs| kwargs.get("k")).and_then(Ref::as_str), Some("v"));

    let document = load(b"}(\x8c\x01aK\x01\x8c\x01aK\x02u.".to_vec()).unwrap();
    assert_eq!(document.root().get("a").and_then(Ref::as_i64), Some(2));
}

#[test]
fn one_object_twice_is_one_object() {
    // ([shared], shared) where the list is changed after both were made.
    let document = load(b"]\x94\x85h\x00\x86h\x00K\x07a0.".to_vec()).unwrap();
    let [outer, inner] = document.root().items().unwrap().collect::<Vec<_>>()[..] else {
        panic!("two items")
    };
    let first = outer.items().unwrap().get(0).unwrap();
    assert_eq!(first.id(), inner.id());
    assert_eq!(first.items().unwrap().get(0).and_then(Ref::as_i64), Some(7));
}
