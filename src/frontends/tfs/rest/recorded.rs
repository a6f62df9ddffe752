//! Bodies of REST requests → recorded calls, for whoever has requests as JSON and
//! wants them where recorded calls go.

use bytes::Bytes;

use super::super::{grpc, inference};
use super::json::{Kind, scan};
use super::request::Request;
use super::signature;
use crate::dataplane::{Inference, Predict};
use crate::error::ServingError;
use crate::ids::{ModelQuery, VersionChoice};
use crate::proto::tensorflow::serving as pb;
use crate::servable::{Method, Signatures};
use pb::prediction_log::LogType;

/// The bodies in a text: those of a list, or one after another, with or without
/// lines between them. After an error there are no more.
pub fn bodies(text: Bytes) -> impl Iterator<Item = Result<Bytes, ServingError>> {
    let mut rest = text;
    let documents = std::iter::from_fn(move || {
        let skipped = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let text = rest.split_off(skipped);
        if text.is_empty() {
            return None;
        }
        Some(match scan(text.clone(), &[]) {
            Ok(scanned) => {
                let mut cursor = scanned.cursor();
                let is_list = cursor.kind() == Kind::List;
                let items: Vec<Bytes> = if is_list {
                    (0..cursor.enter()).map(|_| cursor.raw()).collect()
                } else {
                    vec![cursor.raw()]
                };
                if is_list {
                    cursor.leave();
                }
                rest = text.slice(text.len() - cursor.bytes_left()..);
                Ok(items)
            }
            Err(why) => {
                rest = Bytes::new();
                Err(ServingError::invalid_argument(format!("JSON Parse error: {why}")))
            }
        })
    });
    documents.flat_map(|items| match items {
        Ok(items) => items.into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    })
}

/// One body as a recorded call of a version that has these signatures: a Classify
/// or Regress when it has `examples`, by its signature, else a Predict.
///
/// # Errors
/// Those of the call for a body that does not fit, in its words.
pub fn recorded(body: Bytes, signatures: &Signatures) -> Result<pb::PredictionLog, ServingError> {
    let request = Request::parse(body)?;
    // The version that is asked is the one whose folder the record will lie in.
    let query = ModelQuery { name: String::new(), choice: VersionChoice::Latest };
    let log_type = if request.has_examples() {
        let (method, examples) = (method(signatures, &request.signature)?, request.examples()?);
        let asked = Inference { query, signature: request.signature, examples, deadline: None };
        if method == Method::Classify {
            let request = Some(inference::classification(&asked));
            LogType::ClassifyLog(pb::ClassifyLog { request, response: None })
        } else {
            let request = Some(inference::regression(&asked));
            LogType::RegressLog(pb::RegressLog { request, response: None })
        }
    } else {
        let (_, inputs) = request.tensors(signature(signatures, &request.signature)?)?;
        let outputs_wanted = request.outputs_wanted()?;
        let asked = Predict { query, signature: request.signature, inputs, outputs_wanted, deadline: None };
        LogType::PredictLog(pb::PredictLog { request: Some(grpc::predict_request(&asked)), response: None })
    };
    Ok(pb::PredictionLog { log_metadata: None, log_type: Some(log_type) })
}

/// What is done with examples: what the signature is for, or the one there is.
fn method(signatures: &Signatures, name: &str) -> Result<Method, ServingError> {
    for method in [Method::Classify, Method::Regress] {
        if signatures.find_for(&method, name).is_some_and(|(_, found)| found.method == method) {
            return Ok(method);
        }
    }
    let name = if name.is_empty() { "" } else { &format!(" {name:?}") };
    Err(ServingError::invalid_argument(format!(
        "the body has 'examples', and the version has no signature{name} for Classify or Regress"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servable::{Signature, TensorSpec};
    use crate::tensor::DType;

    fn split(text: &'static str) -> Vec<Result<String, String>> {
        let one = |body: Result<Bytes, ServingError>| match body {
            Ok(body) => Ok(std::str::from_utf8(&body).unwrap().trim_end_matches([',', ' ', '\n']).to_owned()),
            Err(error) => Err(error.message().to_owned()),
        };
        bodies(Bytes::from_static(text.as_bytes())).map(one).collect()
    }

    #[test]
    fn bodies_stand_in_a_list_or_one_after_another() {
        let two = [Ok("{\"a\": [1, {}]}".to_owned()), Ok("{\"b\": \"}\"}".to_owned())];
        for text in [
            "[{\"a\": [1, {}]}, {\"b\": \"}\"}]",
            "{\"a\": [1, {}]}\n{\"b\": \"}\"}\n",
            " {\"a\": [1, {}]}{\"b\": \"}\"}",
            "[{\"a\": [1, {}]}]\n\n[ ]{\"b\": \"}\"}  ",
        ] {
            assert_eq!(split(text), two, "{text}");
        }
        assert_eq!(split(" \n"), []);
        assert_eq!(split("[]"), []);
        let broken = "JSON Parse error: Missing a name for object member. at offset: 1";
        assert_eq!(
            split("{\"a\": 1}\n{1}\n{\"b\": 2}"),
            [Ok("{\"a\": 1}".to_owned()), Err(broken.to_owned())]
        );
    }

    fn signatures() -> Signatures {
        let signature = |name: &str, method, dtype, input: &str| Signature {
            name: name.into(),
            inputs: vec![TensorSpec::new(input, dtype, &[None, Some(1)])],
            outputs: vec![TensorSpec::new("outputs", DType::Float, &[None])],
            method,
        };
        Signatures::new(vec![
            signature("serving_default", Method::Predict, DType::Int32, "x"),
            signature("regress", Method::Regress, DType::String, "inputs"),
        ])
    }

    #[test]
    fn a_body_is_recorded_as_the_call_that_its_signature_is_for() {
        let read = |text: &'static str| {
            recorded(text.into(), &signatures()).map_err(|e| e.message().to_owned()).map(|log| log.log_type)
        };
        let Ok(Some(LogType::PredictLog(log))) = read("{\"instances\": [[1], [2]]}") else {
            panic!("no Predict")
        };
        let request = log.request.unwrap();
        assert_eq!(&request.inputs["x"].tensor_content[..], b"\x01\0\0\0\x02\0\0\0");
        for text in ["{\"examples\": [{\"a\": 1}]}", "{\"examples\": [{}], \"signature_name\": \"regress\"}"]
        {
            let Ok(Some(LogType::RegressLog(log))) = read(text) else { panic!("no Regress") };
            assert!(log.request.unwrap().input.is_some());
        }
        for (text, want) in [
            (
                "{\"examples\": [{}], \"signature_name\": \"gone\"}",
                "the body has 'examples', and the version has no signature \"gone\" for Classify or Regress",
            ),
            (
                "{\"instances\": [[1.5]]}",
                "Failed to process element: 0 of 'instances' list. Error: \
              INVALID_ARGUMENT: JSON Value: 1.5 Type: Number is not of expected type: int32",
            ),
            (
                "{\"inputs\": 1, \"signature_name\": \"gone\"}",
                "Serving signature name: \"gone\" not found in signature def",
            ),
            ("3", "JSON Value: 3 Is not object"),
        ] {
            assert_eq!(read(text).unwrap_err(), want);
        }
    }
}
