//! Tensors through real sockets: each message of `tests/golden/tensor_proto`, which
//! TensorFlow itself has read, goes to a servable that gives back what it gets.

use std::collections::BTreeMap;

use bytes::{Buf as _, Bytes};
use longshore::frontends::tfs::tensor_proto::Form;
use longshore::proto::tensorflow::serving as pb;
use longshore::proto::tensorflow::{DataType, TensorProto};
use prost::Message as _;
use serde_json::Value;
use tonic::Code;

use crate::made::{self, Doors, Model, Options};
use crate::server::spec;
use crate::wire::Grpc;

fn cases() -> BTreeMap<String, Value> {
    serde_json::from_str(include_str!("../golden/tensor_proto/cases.json")).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A Predict whose one input is this message, as it is.
fn request(message: &[u8]) -> Vec<u8> {
    let dtype = TensorProto::decode(message).unwrap().dtype;
    let name = DataType::try_from(dtype).map_or("", |known| known.as_str_name());
    let name = name.trim_start_matches("DT_").to_lowercase();
    // References and the like have no signature; they are refused before that is missed.
    let mut model_spec = spec("echo", None).unwrap();
    model_spec.signature_name = if name.ends_with("_ref") { String::new() } else { name };
    let request = pb::PredictRequest { model_spec: Some(model_spec), ..Default::default() };
    // Field 2, a map's entry: its key in field 1, its value in field 2.
    let mut entry = vec![0x0a, 1, b'x', 0x12];
    prost::encode_length_delimiter(message.len(), &mut entry).unwrap();
    entry.extend(message);
    let mut bytes = request.encode_to_vec();
    bytes.push(0x12);
    prost::encode_length_delimiter(entry.len(), &mut bytes).unwrap();
    bytes.extend(entry);
    bytes
}

/// The elements in the field that is the dtype's own, little-endian; all other
/// fields are empty.
fn typed_values(tensor: &TensorProto) -> Vec<u8> {
    use DataType::{
        DtBfloat16, DtBool, DtComplex64, DtComplex128, DtDouble, DtFloat, DtHalf, DtInt8, DtInt16, DtInt32,
        DtInt64, DtQint8, DtQint16, DtQint32, DtQuint8, DtQuint16, DtUint8, DtUint16, DtUint32, DtUint64,
    };
    let low = |values: &[i32], bytes: usize| -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()[..bytes].to_vec()).collect()
    };
    let mut rest = tensor.clone();
    (rest.dtype, rest.tensor_shape) = (0, None);
    let values = match tensor.dtype() {
        DtFloat => std::mem::take(&mut rest.float_val).iter().flat_map(|v| v.to_le_bytes()).collect(),
        DtDouble => std::mem::take(&mut rest.double_val).iter().flat_map(|v| v.to_le_bytes()).collect(),
        DtInt32 | DtQint32 => low(&std::mem::take(&mut rest.int_val), 4),
        DtInt16 | DtUint16 | DtQint16 | DtQuint16 => low(&std::mem::take(&mut rest.int_val), 2),
        DtInt8 | DtUint8 | DtQint8 | DtQuint8 => low(&std::mem::take(&mut rest.int_val), 1),
        DtHalf | DtBfloat16 => low(&std::mem::take(&mut rest.half_val), 2),
        DtInt64 => std::mem::take(&mut rest.int64_val).iter().flat_map(|v| v.to_le_bytes()).collect(),
        DtUint32 => std::mem::take(&mut rest.uint32_val).iter().flat_map(|v| v.to_le_bytes()).collect(),
        DtUint64 => std::mem::take(&mut rest.uint64_val).iter().flat_map(|v| v.to_le_bytes()).collect(),
        DtBool => std::mem::take(&mut rest.bool_val).into_iter().map(u8::from).collect(),
        DtComplex64 => std::mem::take(&mut rest.scomplex_val).iter().flat_map(|v| v.to_le_bytes()).collect(),
        DtComplex128 => std::mem::take(&mut rest.dcomplex_val).iter().flat_map(|v| v.to_le_bytes()).collect(),
        other => panic!("{other:?} is no number"),
    };
    assert_eq!(rest, TensorProto::default(), "another field is filled");
    values
}

/// The strings of `tensor_content`: all lengths as varints, then all bytes.
fn content_strings(tensor: &TensorProto, count: usize) -> Vec<Bytes> {
    let mut content = tensor.tensor_content.clone();
    let lengths: Vec<usize> =
        (0..count).map(|_| prost::decode_length_delimiter(&mut content).unwrap()).collect();
    let strings = lengths.into_iter().map(|length| content.split_to(length)).collect();
    assert!(!content.has_remaining(), "more than the strings");
    strings
}

async fn every_message_comes_back(form: Form) {
    let model = Model { servable: made::echo(), batching: None };
    let doors = Doors::open(vec![("echo", model)], Options { form, ..Options::default() }).await;
    let grpc = Grpc::open(doors.grpc).await;
    let (mut read, mut refused) = (0, 0);
    for (name, case) in cases() {
        let answer = grpc.call("PredictionService/Predict", &request(&hex(&case["message"]))).await;
        if case["refused"] == true {
            let (code, text) = answer.expect_err(&name);
            assert_eq!(code, Code::InvalidArgument, "{name}: {text}");
            assert!(text.starts_with("tensor parsing error: x ("), "{name}: {text}");
            refused += 1;
            continue;
        }
        let answer = answer.unwrap_or_else(|(code, text)| panic!("{name}: {code:?} {text}"));
        let tensor = &pb::PredictResponse::decode(answer).unwrap().outputs["y"];
        read += 1;
        let dims: Vec<i64> = case["dims"].as_array().unwrap().iter().map(|d| d.as_i64().unwrap()).collect();
        let shape = tensor.tensor_shape.as_ref().unwrap();
        assert!(shape.dim.iter().map(|dim| dim.size).eq(dims), "{name}: {shape:?}");
        assert!(shape.dim.iter().all(|dim| dim.name.is_empty()) && !shape.unknown_rank, "{name}");
        assert_eq!(tensor.dtype, case["dtype"], "{name}");
        if let Some(strings) = case["strings"].as_array() {
            let want: Vec<Vec<u8>> = strings.iter().map(hex).collect();
            match form {
                Form::TypedFields => assert_eq!(tensor.string_val, want, "{name}"),
                Form::Content => assert_eq!(content_strings(tensor, want.len()), want, "{name}"),
            }
            continue;
        }
        let want = hex(&case["content"]);
        match form {
            Form::TypedFields => assert_eq!(typed_values(tensor), want, "{name}"),
            Form::Content => {
                assert_eq!(tensor.tensor_content, want, "{name}");
                let empty = TensorProto {
                    tensor_content: Bytes::new(),
                    dtype: 0,
                    tensor_shape: None,
                    ..tensor.clone()
                };
                assert_eq!(empty, TensorProto::default(), "{name}");
            }
        }
    }
    assert!(read > 100 && refused > 10, "{read} were read and {refused} refused");
}

#[tokio::test]
async fn every_message_comes_back_in_typed_fields_as_tensorflow_read_it() {
    every_message_comes_back(Form::TypedFields).await;
}

#[tokio::test]
async fn every_message_comes_back_in_tensor_content_as_tensorflow_read_it() {
    every_message_comes_back(Form::Content).await;
}

/// What the reference's REST door cannot do with `--enable_serialization_as_tensor_content`.
#[tokio::test(flavor = "multi_thread")]
async fn rest_answers_the_same_whatever_the_form_of_grpc() {
    let model = Model { servable: made::echo(), batching: None };
    let doors =
        Doors::open(vec![("echo", model)], Options { form: Form::Content, ..Options::default() }).await;
    let body = br#"{"signature_name": "int32", "instances": [1, -2]}"#;
    let answer = crate::rest::Wire::open(doors.rest).ask("POST", "/v1/models/echo:predict", &[], body);
    assert_eq!(answer.body, b"{\n    \"predictions\": [1, -2\n    ]\n}");
}
