//! What the fuzz targets of the formats do with their bytes. `cargo test` replays
//! the corpus through the same functions.

#![allow(dead_code, reason = "each target drives one function")]

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use longshore::engines;
use longshore::formats::example::{self, Values};
use longshore::formats::pickle::{Array, Document, Ref, View, load};
use longshore::formats::tfrecord;
use longshore::servable::{Call, Method, TensorSpec};
use longshore::storage::{MemoryStorage, ModelDir};
use longshore::tensor::{DType, Elements, Shape, Tensor};

/// Reads `data` as a pickle, and looks at everything in it from every side.
pub(crate) fn pickle(data: &[u8]) {
    if let Ok(document) = load(data.to_vec()) {
        walk(&document);
    }
}

/// Reads `data` as a pickle in one of joblib's compressions: the first byte
/// chooses which, the rest follows the magic bytes. What fits none is left to
/// [`pickle`].
pub(crate) fn joblib_container(data: &[u8]) {
    const MAGIC: [&[u8]; 6] = [
        &[0x78, 0x9c],
        &[0x1f, 0x8b, 8],
        b"BZh9",
        &[0x5d, 0, 0],
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        &[0x04, 0x22, 0x4d, 0x18],
    ];
    let Some((&choice, rest)) = data.split_first() else { return };
    match MAGIC.get(usize::from(choice)) {
        Some(magic) => pickle(&[magic, rest].concat()),
        None => pickle(data),
    }
}

/// Reads `data` as a `saved_model.pb`, and judges its graph.
pub(crate) fn saved_model(data: &[u8]) {
    longshore::formats::saved_model::check_any_bytes(data);
}

/// Reads `data` as a `tf.Example`, alone and after itself.
pub(crate) fn example(data: &[u8]) {
    let read = |bytes: Vec<u8>| example::read(bytes.into());
    let Ok(once) = read(data.to_vec()) else { return };
    let numbers = |name| match once.get(name) {
        Some(Values::Floats(values)) => values.len(),
        Some(Values::Ints(values)) => values.len(),
        Some(Values::Bytes(values)) => values.len(),
        None => panic!("a named feature is there"),
    };
    assert!(once.names().map(numbers).sum::<usize>() <= data.len());
    assert_eq!(once.names().count(), once.len());
    // A context before an example is both merged; with itself it stays what it is.
    if let Ok(twice) = read([data, data].concat()) {
        assert_eq!(twice.names().collect::<HashSet<_>>(), once.names().collect::<HashSet<_>>());
    }
}

/// Reads `data` as a TFRecord file.
pub(crate) fn tfrecord(data: &[u8]) {
    let mut bytes = 0;
    let mut ended = false;
    for record in tfrecord::records(Bytes::copy_from_slice(data)) {
        assert!(!ended, "something after an error");
        match record {
            // What guards a record comes with it.
            Ok(record) => bytes += record.len() + 16,
            Err(_) => ended = true,
        }
    }
    assert!(if ended { bytes < data.len() } else { bytes == data.len() });
}

/// Opens `data` as a scikit-learn model, and asks it for everything it can answer.
pub fn sklearn(data: &[u8]) {
    ask("model.pkl", data);
}

/// Reads `data` as a skops file, looks at everything in it, and opens it as a model.
pub fn skops(data: &[u8]) {
    if let Ok(document) = longshore::formats::skops::load(data.to_vec()) {
        walk(&document);
        ask("model.skops", data);
    }
}

/// Opens `data` as an XGBoost model, in JSON or UBJSON, and asks it the same.
pub fn xgboost(data: &[u8]) {
    ask("model.json", data);
}

/// The same for a LightGBM model.
pub fn lightgbm(data: &[u8]) {
    ask("model.txt", data);
}

/// Opens `data` as an ONNX model on the built-in operators, and asks it with two rows of each input.
pub fn onnx(data: &[u8]) {
    let storage = MemoryStorage::new();
    storage.write("1/model.onnx", data);
    let onnx =
        engines::OnnxOptions { backend: engines::BackendChoice::Builtin, ..engines::OnnxOptions::default() };
    let options = engines::ModelOptions { onnx };
    let dir = ModelDir::new(Arc::new(storage), "1");
    let Ok(model) = engines::Engines::built_in().open(&dir, options) else { return };
    let signature = &model.signatures()[0];
    let input = |spec: &TensorSpec| {
        let dims = spec.dims.as_deref().unwrap_or(&[None]).iter().map(|dim| dim.unwrap_or(2));
        // No input is made for a hoax.
        let shape = Shape::new(dims).ok().filter(|shape| shape.elements() <= 10_000)?;
        let many = shape.elements();
        let elements: Elements = match spec.dtype {
            DType::Float => (0..many).map(|i| i as f32 - 1.5).collect::<Vec<f32>>().into(),
            DType::Double => (0..many).map(|i| i as f64 - 1.5).collect::<Vec<f64>>().into(),
            DType::Int64 => (0..many as i64).collect::<Vec<i64>>().into(),
            DType::Int32 => (0..many as i32).collect::<Vec<i32>>().into(),
            DType::Bool => vec![true; many].into(),
            DType::String => (0..many).map(|i| Bytes::from(format!("word {i}"))).collect::<Vec<_>>().into(),
            _ => return None,
        };
        Tensor::new(shape, elements).ok()
    };
    let Some(inputs) = signature.inputs.iter().map(input).collect::<Option<Vec<Tensor>>>() else { return };
    let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
    _ = model.run(Call { signature: 0, inputs: inputs.into(), outputs: &outputs });
}

fn ask(file: &str, data: &[u8]) {
    let storage = MemoryStorage::new();
    storage.write(&format!("1/{file}"), data);
    let Ok(model) = engines::open(&ModelDir::new(Arc::new(storage), "1")) else { return };
    for (position, signature) in model.signatures().iter().enumerate() {
        let examples = || {
            let list = |tag: u8, value: &[u8]| [&[tag, value.len() as u8], value].concat();
            // One float under the name `inputs`: what models of one feature take.
            let feature = list(0x12, &list(0x0a, &1.5f32.to_le_bytes()));
            let entry = [list(0x0a, b"inputs"), list(0x12, &feature)].concat();
            let one = Bytes::from(list(0x0a, &list(0x0a, &entry)));
            Tensor::vector(Elements::from(vec![one.clone(), one]))
        };
        let input = |spec: &TensorSpec| {
            let width = match spec.dims.as_deref() {
                Some(&[None]) => None,
                // A scaler that changes nothing is as wide as the file says: no input is made for a hoax.
                Some(&[None, Some(width)]) if width <= 10_000 => Some(width),
                _ => return None,
            };
            let values = 2 * width.unwrap_or(1);
            let elements: Elements = match spec.dtype {
                DType::String => {
                    (0..values).map(|i| Bytes::from(format!("word {i}, a"))).collect::<Vec<_>>().into()
                }
                _ => (0..values).map(|i| i as f64 - 1.5).collect::<Vec<f64>>().into(),
            };
            let shape = width.map_or(Shape::new([2]), |width| Shape::new([2, width]));
            Some(Tensor::new(shape.unwrap(), elements).unwrap())
        };
        let inputs: Option<Vec<Tensor>> = match signature.method {
            Method::Predict | Method::Other(_) => signature.inputs.iter().map(input).collect(),
            Method::Classify | Method::Regress => Some(vec![examples()]),
        };
        let Some(inputs) = inputs else { continue };
        let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
        let call = Call { signature: position, inputs: inputs.into(), outputs: &outputs };
        // Numbers may overflow on their way through a pipeline, which is an error; an answer is as stated.
        let Ok(answers) = model.run(call) else { continue };
        assert_eq!(answers.len(), signature.outputs.len());
        for (answer, spec) in answers.iter().zip(&signature.outputs) {
            assert_eq!(answer.dtype(), spec.dtype);
            let dims = spec.dims.as_deref().unwrap();
            assert_eq!(answer.shape().rank(), dims.len());
            assert_eq!(answer.shape()[0], 2);
            assert!(answer.shape().iter().zip(dims).all(|(&is, dim)| dim.is_none_or(|stated| stated == is)));
        }
    }
}

/// Visits every value once, through every conversion.
pub(crate) fn walk(document: &Document) {
    // Arrays can share their bytes, so that their elements can outnumber the file.
    let mut elements_left: usize = 1 << 20;
    let mut seen = HashSet::new();
    let mut open = vec![document.root()];
    while let Some(value) = open.pop() {
        if !seen.insert(value.id()) {
            continue;
        }
        look(value);
        match value.view() {
            View::List(items) | View::Tuple(items) | View::Set(items) => open.extend(items),
            View::Dict(entries) => open.extend(entries.flat_map(|(key, value)| [key, value])),
            View::Object(object) => {
                let _ = (object.attr("me"), object.attrs().count(), object.class().to_string());
                open.extend(object.args());
                open.extend(object.items());
                open.extend(object.entries().flat_map(|(key, value)| [key, value]));
                open.extend(object.state());
                open.extend(object.kwargs());
            }
            View::Array(array) => {
                convert(array, document, &mut elements_left);
                for field in array.dtype().fields() {
                    let field = array.field(field.name());
                    if let Some(field) = field {
                        convert(&field, document, &mut elements_left);
                    }
                }
                open.extend(array.objects(document).into_iter().flatten());
            }
            _ => {}
        }
    }
}

fn look(value: Ref<'_>) {
    let told = value.describe();
    assert!(told.len() < 20_000 && !told.contains(char::is_control), "{told:?}");
    let _ =
        (value.as_bool(), value.as_i64(), value.as_f64(), value.as_str(), value.to_str(), value.as_bytes());
    let _ =
        (value.items().map(|i| i.len()), value.elements().map(|i| i.len()), value.get("x"), value.dtype());
}

fn convert(array: &Array, document: &Document, elements_left: &mut usize) {
    if array.len() > *elements_left {
        return;
    }
    *elements_left -= array.len();
    for len in [
        array.to_f64().map(|values| values.len()),
        array.to_i64().map(|values| values.len()),
        array.to_bools().map(|values| values.len()),
        array.to_strings(document).map(|values| values.len()),
        Ok(array.objects(document).map_or(array.len(), |items| items.len())),
        Ok(array.as_f64_slice().map_or(array.len(), <[f64]>::len)),
    ]
    .into_iter()
    .flatten()
    {
        assert_eq!(len, array.len());
    }
    let bytes = array.len() * array.dtype().itemsize();
    assert!(array.as_bytes().is_none_or(|all| all.len() == bytes));
}
