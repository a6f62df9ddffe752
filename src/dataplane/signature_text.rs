//! A signature in protobuf's text format, for error messages.

use std::fmt::Write as _;

use crate::servable::{Signature, TensorSpec};

/// The `tensorflow.SignatureDef` of this signature, as protobuf prints it.
pub(super) fn text(signature: &Signature) -> String {
    let mut out = String::new();
    tensors(&mut out, "inputs", &signature.inputs);
    tensors(&mut out, "outputs", &signature.outputs);
    let _ = writeln!(out, "method_name: \"{}\"", signature.method.wire_name());
    out
}

/// A map prints in the order of its keys.
fn tensors(out: &mut String, field: &str, specs: &[TensorSpec]) {
    let mut specs: Vec<&TensorSpec> = specs.iter().collect();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    for spec in specs {
        let (key, name) = (escaped(&spec.name), escaped(&spec.tensor_name()));
        let dtype = spec.dtype.wire_name();
        let _ = write!(
            out,
            "{field} {{\n  key: \"{key}\"\n  value {{\n    name: \"{name}\"\n    dtype: {dtype}\n    \
             tensor_shape {{\n"
        );
        match &spec.dims {
            None => out.push_str("      unknown_rank: true\n"),
            Some(dims) => {
                for dim in dims {
                    let size = dim.map_or("-1".to_owned(), |dim| dim.to_string());
                    let _ = write!(out, "      dim {{\n        size: {size}\n      }}\n");
                }
            }
        }
        out.push_str("    }\n  }\n}\n");
    }
}

/// As C escapes, with what is not ASCII in octal.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'"' | b'\'' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servable::Method;
    use crate::tensor::DType;

    #[test]
    fn it_reads_as_protobuf_prints_it() {
        let mut open = TensorSpec::new("été \"1\"", DType::Double, &[]);
        open.dims = None;
        let signature = Signature {
            name: "classify".into(),
            inputs: vec![open, TensorSpec::new("a", DType::String, &[None])],
            outputs: vec![TensorSpec::new("scores", DType::Float, &[None, Some(3)])],
            method: Method::Classify,
        };
        let want = r#"inputs {
  key: "a"
  value {
    name: "a:0"
    dtype: DT_STRING
    tensor_shape {
      dim {
        size: -1
      }
    }
  }
}
inputs {
  key: "\303\251t\303\251 \"1\""
  value {
    name: "\303\251t\303\251 \"1\":0"
    dtype: DT_DOUBLE
    tensor_shape {
      unknown_rank: true
    }
  }
}
outputs {
  key: "scores"
  value {
    name: "scores:0"
    dtype: DT_FLOAT
    tensor_shape {
      dim {
        size: -1
      }
      dim {
        size: 3
      }
    }
  }
}
method_name: "tensorflow/serving/classify"
"#;
        assert_eq!(text(&signature), want);
    }
}
