//! `GET /openapi.json`: what this door answers, with a schema for each signature of
//! each model. Source: OpenAPI 3.1.0, whose schemas are JSON Schema 2020-12.
//!
//! JSON of the reference has bare `NaN`, `Infinity` and `-Infinity`, which no schema
//! can say; the description does.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::servable::{DEFAULT_SIGNATURE, Method, Signature, Signatures, TensorSpec};
use crate::tensor::DType;

/// What stands unescaped in a path: RFC 3986, 2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const ABOUT: &str = "The models that are served now, newest version each. Put /versions/N or /labels/L \
    before the colon to ask another version, whose signatures may differ. NaN, Infinity and -Infinity \
    stand as bare words in numbers, in requests and answers.";

/// One model and what its newest version takes and gives.
pub(super) struct Described<'s> {
    pub(super) name: &'s str,
    pub(super) signatures: &'s Signatures,
}

/// The document. `left_out` models were too many to be in it.
pub(super) fn document(models: &[Described<'_>], left_out: usize) -> String {
    let mut paths = Map::new();
    let mut ids = BTreeSet::new();
    // Names that differ only in signs that no program has are told apart by numbers.
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    let mut path = |path: String, method: &str, tag: &str, id: String, mut operation: Value| {
        let mut unique = id.clone();
        while !ids.insert(unique.clone()) {
            let number = numbers.entry(id.clone()).or_insert(1);
            *number += 1;
            unique = format!("{id}_{number}");
        }
        operation["operationId"] = unique.into();
        operation["tags"] = json!([tag]);
        operation["responses"]["default"] = json!({ "$ref": "#/components/responses/Error" });
        paths.insert(path, json!({ method: operation }));
    };
    path("/v1/models".into(), "get", "models", "models".into(), get("All models", "Models"));
    path("/healthz".into(), "get", "health", "healthz".into(), text("Whether the process is there"));
    path("/readyz".into(), "get", "health", "readyz".into(), text("Whether it takes requests"));
    for model in models {
        let Described { name, signatures } = model;
        let base = format!("/v1/models/{}", utf8_percent_encode(name, ESCAPED));
        let id = identifier(name);
        path(base.clone(), "get", name, format!("{id}_status"), get("The states of its versions", "Status"));
        let about = get("What it takes and gives", "Metadata");
        path(format!("{base}/metadata"), "get", name, format!("{id}_metadata"), about);
        if let Some(predict) = predict(signatures) {
            path(format!("{base}:predict"), "post", name, format!("{id}_predict"), predict);
        }
        for (verb, method) in [("classify", Method::Classify), ("regress", Method::Regress)] {
            if let Some(inference) = inference(signatures, method) {
                path(format!("{base}:{verb}"), "post", name, format!("{id}_{verb}"), inference);
            }
        }
    }
    let about = match left_out {
        0 => ABOUT.to_owned(),
        more => format!("{ABOUT} {more} more models are served and not described here."),
    };
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Longshore", "version": env!("CARGO_PKG_VERSION"), "description": about },
        "paths": paths,
        "components": components(),
    });
    format!("{document:#}\n")
}

/// A name that programs can have.
fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn get(about: &str, schema: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({
        "summary": about,
        "responses": { "200": { "description": about, "content": { "application/json": { "schema": schema } } } },
    })
}

fn text(about: &str) -> Value {
    let content = json!({ "text/plain": { "schema": { "type": "string" } } });
    json!({ "summary": about, "responses": { "200": { "description": about, "content": content } } })
}

fn post(about: &str, request: Value, answer: Value, binary: bool) -> Value {
    let content = |schema: Value, message: &str| {
        let mut content = json!({ "application/json": { "schema": schema } });
        if binary {
            let schema = json!({ "description": format!("A serialized tensorflow.serving.{message}") });
            content["application/x-protobuf"] = json!({ "schema": schema });
        }
        content
    };
    json!({
        "summary": about,
        "requestBody": { "required": true, "content": content(request, "PredictRequest") },
        "responses": { "200": { "description": "The answer", "content": content(answer, "PredictResponse") } },
    })
}

/// A schema that any of these satisfies.
fn any_of(mut schemas: Vec<Value>) -> Value {
    if schemas.len() == 1 { schemas.remove(0) } else { json!({ "anyOf": schemas }) }
}

fn predict(signatures: &Signatures) -> Option<Value> {
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    for signature in signatures.iter().filter(|signature| signature.method == Method::Predict) {
        let name = &signature.name;
        // Row form wants rows of everything; what JSON cannot say goes as protobuf.
        let inputs: Option<Vec<Value>> =
            signature.inputs.iter().map(|spec| value(spec, false, true)).collect();
        let rows: Option<Vec<Value>> = signature.inputs.iter().map(|spec| value(spec, true, true)).collect();
        if let Some(rows) = rows {
            let rows = json!({ "type": "array", "minItems": 1, "items": named(signature, rows, false) });
            requests.push(request(name, "by rows", "instances", "inputs", rows));
        }
        if let Some(inputs) = inputs {
            let inputs = named(signature, inputs, true);
            requests.push(request(name, "by columns", "inputs", "instances", inputs));
        }
        let outputs: Option<Vec<Value>> =
            signature.outputs.iter().map(|spec| value(spec, true, false)).collect();
        if let Some(outputs) = outputs {
            let rows = json!({ "type": "array", "items": given(signature, outputs) });
            answers.push(answer(name, "by rows", "predictions", rows));
        }
        let outputs: Option<Vec<Value>> =
            signature.outputs.iter().map(|spec| value(spec, false, false)).collect();
        if let Some(outputs) = outputs {
            answers.push(answer(name, "by columns", "outputs", given(signature, outputs)));
        }
    }
    if requests.is_empty() || answers.is_empty() {
        return None;
    }
    Some(post("Outputs for inputs", any_of(requests), any_of(answers), true))
}

fn request(signature: &str, form: &str, key: &str, other: &str, tensors: Value) -> Value {
    let mut required = vec![key];
    if signature != DEFAULT_SIGNATURE {
        required.push("signature_name");
    }
    json!({
        "title": format!("{signature}, {form}"),
        "type": "object",
        "required": required,
        "properties": {
            "signature_name": { "const": signature },
            "output_filter": {
                "type": "array",
                "items": { "type": "string" },
                "description": "The outputs that are wanted; all when it is left out",
            },
            key: tensors,
        },
        "not": { "required": [other] },
    })
}

fn answer(signature: &str, form: &str, key: &str, tensors: Value) -> Value {
    json!({
        "title": format!("{signature}, {form}"),
        "type": "object",
        "required": [key],
        "properties": { key: tensors },
        "additionalProperties": false,
    })
}

/// The inputs by name; a single one may also stand for itself.
fn named(signature: &Signature, values: Vec<Value>, more: bool) -> Value {
    let names: Vec<&str> = signature.inputs.iter().map(|spec| &*spec.name).collect();
    let properties: Map<String, Value> = signature
        .inputs
        .iter()
        .zip(&values)
        .map(|(spec, value)| (spec.name.to_string(), value.clone()))
        .collect();
    let object = json!({
        "type": "object",
        "required": names,
        "properties": properties,
        "additionalProperties": more,
    });
    match values.len() {
        1 => any_of(values.into_iter().chain([object]).collect()),
        _ => object,
    }
}

/// The outputs by name, or one for itself, when there is or was asked for but one.
fn given(signature: &Signature, values: Vec<Value>) -> Value {
    if values.len() == 1 {
        return any_of(values);
    }
    let properties: Map<String, Value> = signature
        .outputs
        .iter()
        .zip(&values)
        .map(|(spec, value)| (spec.name.to_string(), value.clone()))
        .collect();
    let object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    any_of([object].into_iter().chain(values).collect())
}

/// One tensor, or one row of it; `None` when JSON cannot say it.
fn value(spec: &TensorSpec, row: bool, asked: bool) -> Option<Value> {
    let element = element(spec, asked)?;
    let Some(dims) = &spec.dims else {
        return Some(json!({ "description": format!("{} of any shape", spec.dtype.wire_name()) }));
    };
    // A scalar has no rows.
    let dims = if row { dims.split_first()?.1 } else { &dims[..] };
    Some(dims.iter().rev().fold(element, |items, dim| {
        let mut list = json!({ "type": "array", "items": items });
        if let Some(size) = dim {
            list["minItems"] = json!(size);
            list["maxItems"] = json!(size);
        }
        list
    }))
}

fn element(spec: &TensorSpec, asked: bool) -> Option<Value> {
    Some(match spec.dtype {
        DType::Double => json!({ "type": "number", "format": "double" }),
        DType::Float => json!({ "type": "number", "format": "float" }),
        DType::Half | DType::BFloat16 => json!({ "type": "number", "description": spec.dtype.wire_name() }),
        DType::Int8 => json!({ "type": "integer", "minimum": i8::MIN, "maximum": i8::MAX }),
        DType::Int16 => json!({ "type": "integer", "minimum": i16::MIN, "maximum": i16::MAX }),
        DType::Int32 => json!({ "type": "integer", "format": "int32" }),
        DType::Int64 => json!({ "type": "integer", "format": "int64" }),
        DType::UInt8 => json!({ "type": "integer", "minimum": 0, "maximum": u8::MAX }),
        DType::UInt16 => json!({ "type": "integer", "minimum": 0, "maximum": u16::MAX }),
        DType::UInt32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        DType::UInt64 => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
        DType::Bool => json!({ "type": "boolean" }),
        DType::String => {
            let bytes = json!({ "$ref": "#/components/schemas/Bytes" });
            match (asked, spec.name.ends_with("_bytes")) {
                (true, _) => any_of(vec![json!({ "type": "string" }), bytes]),
                (false, true) => bytes,
                (false, false) => json!({ "type": "string" }),
            }
        }
        DType::Complex64
        | DType::Complex128
        | DType::QInt8
        | DType::QUInt8
        | DType::QInt16
        | DType::QUInt16
        | DType::QInt32 => return None,
    })
}

fn inference(signatures: &Signatures, method: Method) -> Option<Value> {
    let own = signatures.iter().filter(|signature| signature.method == method);
    let names: Vec<&str> = own.map(|signature| &*signature.name).collect();
    if names.is_empty() {
        return None;
    }
    let example = json!({ "$ref": "#/components/schemas/Example" });
    let request = json!({
        "type": "object",
        "required": ["examples"],
        "properties": {
            "signature_name": { "enum": names },
            "context": example,
            "examples": { "type": "array", "minItems": 1, "items": example },
        },
    });
    let number = json!({ "type": "number", "format": "float" });
    let (about, result) = if method == Method::Classify {
        let class = json!({
            "type": "array",
            "prefixItems": [{ "type": "string" }, number],
            "minItems": 2,
            "maxItems": 2,
        });
        ("Classes and scores of examples", json!({ "type": "array", "items": class }))
    } else {
        ("A number for each example", number)
    };
    let answer = json!({
        "type": "object",
        "required": ["results"],
        "properties": { "results": { "type": "array", "items": result } },
        "additionalProperties": false,
    });
    Some(post(about, request, answer, false))
}

/// What all models share.
fn components() -> Value {
    let error = json!({ "$ref": "#/components/schemas/Error" });
    let states = ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"];
    json!({
        "responses": {
            "Error": { "description": "What is wrong", "content": { "application/json": { "schema": error } } },
        },
        "schemas": {
            "Error": { "type": "object", "required": ["error"], "properties": { "error": { "type": "string" } } },
            "Bytes": {
                "type": "object",
                "required": ["b64"],
                "properties": { "b64": { "type": "string", "contentEncoding": "base64" } },
                "additionalProperties": false,
            },
            "Feature": { "anyOf": [
                { "type": ["number", "string", "boolean"] },
                { "$ref": "#/components/schemas/Bytes" },
            ] },
            "Example": {
                "type": "object",
                "description": "A tf.Example: features by name, each one value or a list of one kind",
                "additionalProperties": { "anyOf": [
                    { "$ref": "#/components/schemas/Feature" },
                    { "type": "array", "items": { "$ref": "#/components/schemas/Feature" } },
                ] },
            },
            "Status": {
                "type": "object",
                "required": ["model_version_status"],
                "properties": { "model_version_status": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["version", "state", "status"],
                        "properties": {
                            "version": { "type": "string" },
                            "state": { "enum": states },
                            "status": {
                                "type": "object",
                                "properties": {
                                    "error_code": { "type": "string" },
                                    "error_message": { "type": "string" },
                                },
                            },
                            "engine": { "type": "string" },
                        },
                    },
                } },
            },
            "Models": {
                "type": "object",
                "required": ["models"],
                "properties": { "models": {
                    "type": "array",
                    "items": { "allOf": [
                        { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } },
                        { "$ref": "#/components/schemas/Status" },
                    ] },
                } },
            },
            "Metadata": {
                "type": "object",
                "required": ["model_spec", "metadata"],
                "properties": {
                    "model_spec": { "type": "object" },
                    "metadata": {
                        "type": "object",
                        "required": ["signature_def"],
                        "properties": {
                            "signature_def": { "type": "object" },
                            "engine": {
                                "type": "object",
                                "required": ["name", "reason", "properties"],
                                "properties": {
                                    "name": { "type": "string" },
                                    "reason": { "type": "string" },
                                    "properties": {
                                        "type": "object",
                                        "additionalProperties": { "type": "string" },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, dtype: DType, dims: Option<&[Option<usize>]>) -> TensorSpec {
        TensorSpec { dims: dims.map(Into::into), ..TensorSpec::new(name, dtype, &[]) }
    }

    fn signatures(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Signatures {
        let name = DEFAULT_SIGNATURE.into();
        Signatures::new(vec![Signature { name, inputs, outputs, method: Method::Predict }])
    }

    fn described(name: &str, signatures: &Signatures) -> Value {
        serde_json::from_str(&document(&[Described { name, signatures }], 0)).unwrap()
    }

    #[test]
    fn tensors_become_nested_lists() {
        let batch = Some(&[None, Some(2), None][..]);
        let two = signatures(vec![spec("x", DType::Double, batch)], vec![spec("y", DType::String, batch)]);
        let all = described("a{b}/c", &two);
        let post = &all["paths"]["/v1/models/a%7Bb%7D%2Fc:predict"]["post"];
        assert_eq!(post["operationId"], "a_b__c_predict");
        let requests = &post["requestBody"]["content"]["application/json"]["schema"]["anyOf"];
        let number = json!({ "type": "number", "format": "double" });
        let inner = json!({ "type": "array", "items": number });
        let row = json!({ "type": "array", "items": inner, "minItems": 2, "maxItems": 2 });
        assert_eq!(requests[0]["required"], json!(["instances"]));
        assert_eq!(requests[0]["properties"]["instances"]["items"]["anyOf"][0], row);
        assert_eq!(requests[1]["properties"]["inputs"]["anyOf"][0], json!({ "type": "array", "items": row }));
        assert_eq!(requests.as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_has_no_rows_or_no_json_is_left_out() {
        let paths = |inputs, outputs| {
            let all = described("m", &signatures(inputs, outputs));
            let schema = &all["paths"]["/v1/models/m:predict"]["post"]["requestBody"]["content"];
            schema["application/json"]["schema"].clone()
        };
        let scalar = || vec![spec("x", DType::Int64, Some(&[]))];
        let columns = paths(scalar(), scalar());
        assert_eq!(columns["required"], json!(["inputs"]));
        let any = paths(vec![spec("x", DType::Bool, None)], scalar());
        assert_eq!(
            any["anyOf"][0]["properties"]["instances"]["items"]["anyOf"][0]["description"],
            "DT_BOOL of any shape"
        );
        assert_eq!(paths(vec![spec("x", DType::Complex64, Some(&[None]))], scalar()), Value::Null);
    }

    #[test]
    fn names_that_look_alike_stay_apart() {
        let one = signatures(
            vec![spec("x", DType::Float, Some(&[None]))],
            vec![spec("y", DType::Float, Some(&[None]))],
        );
        let models = ["a-b", "a_b", "a.b"].map(|name| Described { name, signatures: &one });
        let all: Value = serde_json::from_str(&document(&models, 7)).unwrap();
        let ids: BTreeSet<String> = all["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), all["paths"].as_object().unwrap().len());
        assert!(ids.contains("a_b_predict") && ids.contains("a_b_predict_3"), "{ids:?}");
        assert!(
            all["info"]["description"]
                .as_str()
                .unwrap()
                .ends_with("7 more models are served and not described here.")
        );
    }
}
