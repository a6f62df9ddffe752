//! Metadata as protobuf's JSON has them: one space a level, every field written out,
//! 64-bit numbers and doubles that are none as strings, bytes in base64.

use std::fmt::{Display, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::status::Indented;
use crate::proto::tensorflow::serving::SignatureDefMap;
use crate::proto::tensorflow::tensor_info::Encoding;
use crate::proto::tensorflow::{DataType, SignatureDef, TensorInfo, TensorProto, TensorShapeProto};
use crate::servable::About;

/// `GetModelMetadataResponse`. The reference joins two printed messages by hand,
/// which is why lines break and begin where they do. What runs the model follows
/// where there is something to say of it.
pub(super) fn metadata(model: &str, version: i64, signatures: &SignatureDefMap, about: &About) -> String {
    let mut spec = Indented::new();
    spec.object(|json| {
        json.string("name", model);
        json.string("signature_name", "");
        json.string("version", &version.to_string());
    });
    let mut map = Indented::new();
    map.object(|json| {
        json.key("signature_def");
        json.object(|json| {
            // Sorted by name; protobuf's maps have no order.
            for (name, signature) in &signatures.signature_def {
                json.key(name);
                json.object(|json| put_signature(json, signature));
            }
        });
    });
    let (spec, map) = (spec.end(), map.end());
    let engine = if *about == About::default() { String::new() } else { engine(about) };
    format!("{{\n\"model_spec\":{spec},\n\"metadata\": {{\"signature_def\": {map}{engine}}}\n}}\n")
}

/// A member `engine` of the metadata, with the comma before it.
fn engine(about: &About) -> String {
    let mut json = Indented::new();
    json.object(|json| {
        json.string("name", &about.engine);
        json.string("reason", &about.reason);
        json.key("properties");
        json.object(|json| about.properties.iter().for_each(|(key, value)| json.string(key, value)));
    });
    format!(",\"engine\": {}", json.end())
}

fn put_signature(json: &mut Indented, signature: &SignatureDef) {
    for (field, infos) in [("inputs", &signature.inputs), ("outputs", &signature.outputs)] {
        json.key(field);
        json.object(|json| {
            for (alias, info) in infos {
                json.key(alias);
                json.object(|json| put_info(json, info));
            }
        });
    }
    json.string("method_name", &signature.method_name);
    json.key("defaults");
    json.object(|json| {
        for (alias, tensor) in &signature.defaults {
            json.key(alias);
            json.object(|json| put_tensor(json, tensor));
        }
    });
}

fn put_info(json: &mut Indented, info: &TensorInfo) {
    json.string("dtype", &dtype_name(info.dtype));
    json.key("tensor_shape");
    json.object(|json| put_shape(json, info.tensor_shape.as_ref()));
    match &info.encoding {
        None => {}
        Some(Encoding::Name(name)) => json.string("name", name),
        Some(Encoding::CooSparse(sparse)) => {
            json.key("coo_sparse");
            json.object(|json| {
                json.string("values_tensor_name", &sparse.values_tensor_name);
                json.string("indices_tensor_name", &sparse.indices_tensor_name);
                json.string("dense_shape_tensor_name", &sparse.dense_shape_tensor_name);
            });
        }
        Some(Encoding::CompositeTensor(composite)) => {
            json.key("composite_tensor");
            json.object(|json| {
                json.key("components");
                json.list(|json| {
                    for component in &composite.components {
                        json.item();
                        json.object(|json| put_info(json, component));
                    }
                });
            });
        }
    }
}

fn dtype_name(number: i32) -> String {
    DataType::try_from(number).map_or_else(|_| number.to_string(), |known| known.as_str_name().to_owned())
}

fn put_shape(json: &mut Indented, shape: Option<&TensorShapeProto>) {
    json.key("dim");
    json.list(|json| {
        for dim in shape.iter().flat_map(|shape| &shape.dim) {
            json.item();
            json.object(|json| {
                json.string("size", &dim.size.to_string());
                json.string("name", &dim.name);
            });
        }
    });
    json.key("unknown_rank");
    json.out += if shape.is_some_and(|shape| shape.unknown_rank) { "true" } else { "false" };
}

fn put_tensor(json: &mut Indented, tensor: &TensorProto) {
    let quoted = |value: &dyn Display| format!("\"{value}\"");
    json.string("dtype", &dtype_name(tensor.dtype));
    json.key("tensor_shape");
    json.object(|json| put_shape(json, tensor.tensor_shape.as_ref()));
    json.key("version_number");
    _ = write!(json.out, "{}", tensor.version_number);
    json.string("tensor_content", &STANDARD.encode(&tensor.tensor_content));
    put_list(json, "half_val", &tensor.half_val, ToString::to_string);
    put_list(json, "float_val", &tensor.float_val, |value| real(value, f64::from(*value)));
    put_list(json, "double_val", &tensor.double_val, |value| real(value, *value));
    put_list(json, "int_val", &tensor.int_val, ToString::to_string);
    put_list(json, "string_val", &tensor.string_val, |value| quoted(&STANDARD.encode(value)));
    put_list(json, "scomplex_val", &tensor.scomplex_val, |value| real(value, f64::from(*value)));
    put_list(json, "int64_val", &tensor.int64_val, |value| quoted(value));
    put_list(json, "bool_val", &tensor.bool_val, ToString::to_string);
    put_list(json, "dcomplex_val", &tensor.dcomplex_val, |value| real(value, *value));
    put_list::<()>(json, "resource_handle_val", &[], |()| String::new());
    put_list::<()>(json, "variant_val", &[], |()| String::new());
    put_list(json, "uint32_val", &tensor.uint32_val, ToString::to_string);
    put_list(json, "uint64_val", &tensor.uint64_val, |value| quoted(value));
    json.string("float8_val", &STANDARD.encode(&tensor.float8_val));
}

fn put_list<T>(json: &mut Indented, name: &str, values: &[T], shown: impl Fn(&T) -> String) {
    json.key(name);
    json.list(|json| {
        for value in values {
            json.item();
            json.out += &shown(value);
        }
    });
}

/// A number of either width, in as few digits as mean it; what is none as a string.
fn real<T: Display + std::fmt::LowerExp>(value: &T, wide: f64) -> String {
    let size = wide.abs();
    if wide.is_nan() {
        "\"NaN\"".to_owned()
    } else if wide.is_infinite() {
        if wide > 0.0 { "\"Infinity\"".to_owned() } else { "\"-Infinity\"".to_owned() }
    } else if size != 0.0 && !(1e-5..1e15).contains(&size) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontends::tfs::signature_def::signature_def_map;
    use crate::frontends::tfs::tensor_proto::{self, Form};
    use crate::servable::{Method, Signature, Signatures, TensorSpec};
    use crate::tensor::{DType, Tensor};

    fn signatures() -> SignatureDefMap {
        let mut open = TensorSpec::new("y", DType::String, &[]);
        open.dims = None;
        let signatures = Signatures::new(vec![Signature {
            name: "serving_default".into(),
            inputs: vec![TensorSpec::new("x", DType::Float, &[None, Some(3)])],
            outputs: vec![open],
            method: Method::Predict,
        }]);
        signature_def_map(&signatures)
    }

    #[test]
    fn metadata_are_printed_as_the_reference_joins_them() {
        assert_eq!(
            metadata("m", 123, &signatures(), &About::default()),
            r#"{
"model_spec":{
 "name": "m",
 "signature_name": "",
 "version": "123"
}
,
"metadata": {"signature_def": {
 "signature_def": {
  "serving_default": {
   "inputs": {
    "x": {
     "dtype": "DT_FLOAT",
     "tensor_shape": {
      "dim": [
       {
        "size": "-1",
        "name": ""
       },
       {
        "size": "3",
        "name": ""
       }
      ],
      "unknown_rank": false
     },
     "name": "x:0"
    }
   },
   "outputs": {
    "y": {
     "dtype": "DT_STRING",
     "tensor_shape": {
      "dim": [],
      "unknown_rank": true
     },
     "name": "y:0"
    }
   },
   "method_name": "tensorflow/serving/predict",
   "defaults": {}
  }
 }
}
}
}
"#
        );
    }

    #[test]
    fn what_only_files_state_is_printed_too() {
        let mut map = signatures();
        let signature = map.signature_def.get_mut("serving_default").unwrap();
        let values = vec![0.5f32, 1.0, f32::NAN, 1e20];
        let tensor = tensor_proto::encode(Tensor::vector(values.into()), Form::TypedFields);
        signature.defaults.insert("x".to_owned(), tensor);
        signature.outputs.get_mut("y").unwrap().dtype = 0;
        let printed = metadata("m", 1, &map, &About::default());
        let read: serde_json::Value = serde_json::from_str(&printed).unwrap();
        let read = &read["metadata"]["signature_def"]["signature_def"]["serving_default"];
        assert_eq!(read["outputs"]["y"]["dtype"], "DT_INVALID");
        let default = &read["defaults"]["x"];
        assert_eq!(default["dtype"], "DT_FLOAT");
        assert_eq!(default["float_val"], serde_json::json!([0.5, 1, "NaN", 1e20]));
        assert_eq!(default["int64_val"], serde_json::json!([]));
    }
}
