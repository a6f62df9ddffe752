//! Status and metadata as protobuf's JSON has them: one space a level, every field
//! written out, 64-bit numbers as strings.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::write::put_string;
use crate::error::Code;
use crate::ids::ModelName;
use crate::lifecycle::VersionStatus;
use crate::servable::{Signature, Signatures, TensorSpec};

/// A writer of indented JSON, one member or item a line.
struct Indented {
    out: String,
    level: usize,
    empty: bool,
}

impl Indented {
    fn new() -> Self {
        Self { out: String::new(), level: 0, empty: true }
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', self.level));
    }

    /// Begins an item of a list.
    fn item(&mut self) {
        if !self.empty {
            self.out.push(',');
        }
        self.line();
        self.empty = false;
    }

    /// Begins a member of an object.
    fn key(&mut self, name: &str) {
        self.item();
        let mut quoted = Vec::new();
        put_string(&mut quoted, name.as_bytes());
        _ = write!(self.out, "{}: ", String::from_utf8_lossy(&quoted));
    }

    fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        let mut quoted = Vec::new();
        put_string(&mut quoted, value.as_bytes());
        self.out += &String::from_utf8_lossy(&quoted);
    }

    fn within(&mut self, brackets: [char; 2], inside: impl FnOnce(&mut Self)) {
        self.out.push(brackets[0]);
        self.level += 1;
        self.empty = true;
        inside(self);
        self.level -= 1;
        if !self.empty {
            self.line();
        }
        self.empty = false;
        self.out.push(brackets[1]);
    }

    fn object(&mut self, inside: impl FnOnce(&mut Self)) {
        self.within(['{', '}'], inside);
    }

    fn list(&mut self, inside: impl FnOnce(&mut Self)) {
        self.within(['[', ']'], inside);
    }

    /// Protobuf ends each message with a line.
    fn end(mut self) -> String {
        self.out.push('\n');
        self.out
    }
}

fn put_versions(json: &mut Indented, versions: &[VersionStatus]) {
    json.key("model_version_status");
    json.list(|json| {
        for version in versions {
            json.item();
            json.object(|json| {
                json.string("version", &version.version.to_string());
                json.string("state", version.state.wire_name());
                json.key("status");
                json.object(|json| {
                    let error = version.error.as_ref();
                    json.string("error_code", error.map_or(Code::Ok, |error| error.code()).name());
                    json.string("error_message", error.map_or("", |error| error.message()));
                });
            });
        }
    });
}

/// `GetModelStatusResponse`.
pub(super) fn status(versions: &[VersionStatus]) -> String {
    let mut json = Indented::new();
    json.object(|json| put_versions(json, versions));
    json.end()
}

/// Every model with its versions; ours, in the form of the answer for one.
pub(super) fn models(models: &[(ModelName, Vec<VersionStatus>)]) -> String {
    let mut json = Indented::new();
    json.object(|json| {
        json.key("models");
        json.list(|json| {
            for (name, versions) in models {
                json.item();
                json.object(|json| {
                    json.string("name", name.as_str());
                    put_versions(json, versions);
                });
            }
        });
    });
    json.end()
}

/// `GetModelMetadataResponse`. The reference joins two printed messages by hand,
/// which is why lines break and begin where they do.
pub(super) fn metadata(model: &str, version: i64, signatures: &Signatures) -> String {
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
            let sorted: BTreeMap<&str, &Signature> = signatures.iter().map(|s| (&*s.name, s)).collect();
            for (name, signature) in sorted {
                json.key(name);
                json.object(|json| put_signature(json, signature));
            }
        });
    });
    let (spec, map) = (spec.end(), map.end());
    format!("{{\n\"model_spec\":{spec},\n\"metadata\": {{\"signature_def\": {map}}}\n}}\n")
}

fn put_signature(json: &mut Indented, signature: &Signature) {
    for (field, specs) in [("inputs", &signature.inputs), ("outputs", &signature.outputs)] {
        json.key(field);
        json.object(|json| {
            for spec in specs {
                json.key(&spec.name);
                json.object(|json| put_info(json, spec));
            }
        });
    }
    json.string("method_name", signature.method.wire_name());
    json.key("defaults");
    json.object(|_| {});
}

fn put_info(json: &mut Indented, spec: &TensorSpec) {
    json.string("dtype", &format!("DT_{}", spec.dtype.name().to_uppercase()));
    json.key("tensor_shape");
    json.object(|json| {
        json.key("dim");
        json.list(|json| {
            for dim in spec.dims.iter().flatten() {
                json.item();
                json.object(|json| {
                    json.string("size", &dim.map_or_else(|| "-1".to_owned(), |size| size.to_string()));
                    json.string("name", "");
                });
            }
        });
        json.key("unknown_rank");
        json.out += if spec.dims.is_none() { "true" } else { "false" };
    });
    json.string("name", &format!("{}:0", spec.name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Version;
    use crate::lifecycle::{LoadError, State};
    use crate::servable::Method;
    use crate::tensor::DType;

    #[test]
    fn a_status_is_printed_as_protobuf_does() {
        let version = |number: i64, state, error| VersionStatus {
            version: number.to_string().parse::<Version>().unwrap(),
            state,
            error,
        };
        let failed = LoadError::new(Code::NotFound, "no \"file\"");
        assert_eq!(
            status(&[version(12, State::Available, None), version(3, State::Failed, Some(failed))]),
            r#"{
 "model_version_status": [
  {
   "version": "12",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  },
  {
   "version": "3",
   "state": "END",
   "status": {
    "error_code": "NOT_FOUND",
    "error_message": "no \"file\""
   }
  }
 ]
}
"#
        );
        assert_eq!(models(&[]), "{\n \"models\": []\n}\n");
    }

    #[test]
    fn metadata_are_printed_as_the_reference_joins_them() {
        let mut open = TensorSpec::new("y", DType::String, &[]);
        open.dims = None;
        let signatures = Signatures::new(vec![Signature {
            name: "serving_default".into(),
            inputs: vec![TensorSpec::new("x", DType::Float, &[None, Some(3)])],
            outputs: vec![open],
            method: Method::Predict,
        }]);
        assert_eq!(
            metadata("m", 123, &signatures),
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
}
