use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The message as it comes off the wire: its bytes slices of one buffer.
fn received(proto: &TensorProto) -> TensorProto {
    TensorProto::decode(Bytes::from(proto.encode_to_vec())).unwrap()
}

fn message(dtype: DType, dims: &[i64]) -> TensorProto {
    TensorProto {
        dtype: dtype.number(),
        tensor_shape: Some(shape_proto(dims.iter().copied())),
        ..TensorProto::default()
    }
}

fn floats(dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto { float_val: values.to_vec(), ..message(DType::Float, dims) }
}

fn with_content(dtype: DType, dims: &[i64], content: impl Into<Bytes>) -> TensorProto {
    TensorProto { tensor_content: content.into(), ..message(dtype, dims) }
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// See `tests/golden/tensor_proto/make.py`: TensorFlow's own reading of each message.
#[test]
fn every_message_is_read_as_tensorflow_reads_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tensor_proto/cases.json");
    let cases: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() > 100);
    for (name, case) in cases {
        let raw = hex(case["message"].as_str().unwrap());
        check_any_bytes(Bytes::from(raw.clone()));
        let read = decode(TensorProto::decode(Bytes::from(raw)).unwrap());
        if case["refused"] == true {
            assert!(read.is_err(), "{name} was read as {read:?}");
            continue;
        }
        let tensor = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        let numbers = |key: &str| case[key].as_array().unwrap().iter().map(|d| d.as_u64().unwrap());
        assert_eq!(tensor.dtype().number(), case["dtype"], "{name}");
        assert!(tensor.shape().iter().map(|&d| d as u64).eq(numbers("dims")), "{name}: {}", tensor.shape());
        if let Elements::Strings(strings) = tensor.elements() {
            let expected: Vec<Vec<u8>> =
                case["strings"].as_array().unwrap().iter().map(|s| hex(s.as_str().unwrap())).collect();
            assert_eq!(*strings, expected, "{name}");
        } else {
            let expected = hex(case["content"].as_str().unwrap());
            assert_eq!(encode(tensor, Form::Content).tensor_content, expected, "{name}");
        }
    }
}

#[test]
fn refusals_name_what_was_expected() {
    let dims = |n| vec![1; n];
    let cases = [
        (TensorProto { dtype: 0, ..TensorProto::default() }, "dtype DT_INVALID cannot be served"),
        (TensorProto { dtype: 101, ..TensorProto::default() }, "dtype DT_FLOAT_REF cannot be served"),
        (TensorProto { dtype: 20, ..TensorProto::default() }, "dtype DT_RESOURCE cannot be served"),
        (TensorProto { dtype: 21, ..TensorProto::default() }, "dtype DT_VARIANT cannot be served"),
        (TensorProto { dtype: 24, ..TensorProto::default() }, "dtype DT_FLOAT8_E5M2 cannot be served"),
        (TensorProto { dtype: 29, ..TensorProto::default() }, "dtype DT_INT4 cannot be served"),
        (TensorProto { dtype: -7, ..TensorProto::default() }, "dtype -7 cannot be served"),
        (floats(&dims(255), &[1.0]), "255 dimensions are more than 254"),
        (floats(&[2, -1], &[1.0]), "dimension 1 is -1, and must not be negative"),
        (floats(&[0, i64::MIN], &[]), "dimension 1 is -9223372036854775808, and must not be negative"),
        (
            floats(&[1 << 40, 1 << 40], &[1.0]),
            "the shape's elements cannot be counted: the product of its dimensions overflows",
        ),
        (
            floats(&[i64::MAX], &[1.0]),
            "a float tensor of shape [9223372036854775807] has more than 268435456 bytes",
        ),
        (
            with_content(DType::Float, &[3], vec![0; 11]),
            "tensor_content of 11 bytes is not a whole number of float elements",
        ),
        (
            with_content(DType::Double, &[3], vec![0; 16]),
            "tensor_content: 2 elements do not fill shape [3], which holds 3",
        ),
        (
            with_content(DType::Bool, &[3], vec![1, 0, 2]),
            "element 2 of a bool tensor_content is 2, and must be 0 or 1",
        ),
        (
            with_content(DType::String, &[2], vec![1, 5, b'a', b'b']),
            "tensor_content of 2 strings: 4 bytes do not hold their lengths, then their bytes",
        ),
    ];
    for (proto, expected) in cases {
        assert_eq!(decode(received(&proto)).unwrap_err().to_string(), expected);
    }
}

/// Refused by arithmetic alone: memory for the larger claims could not be had.
#[test]
fn a_small_message_cannot_claim_the_machine() {
    let claim = floats(&[1_000_000, 1_000_000], &[1.0]);
    assert!(claim.encoded_len() < 32);
    assert!(matches!(decode(received(&claim)), Err(TensorProtoError::Bytes { .. })));

    let strings = TensorProto {
        string_val: vec![Bytes::from_static(b"a")],
        ..message(DType::String, &[1_000_000, 1_000_000])
    };
    assert!(matches!(decode(received(&strings)), Err(TensorProtoError::Strings(_))));

    // More lengths than bytes, a length that never ends, and one that overflows a sum.
    let lengths = with_content(DType::String, &[1 << 22], vec![0; 3]);
    assert!(matches!(decode(received(&lengths)), Err(TensorProtoError::StringContent { .. })));
    let endless = with_content(DType::String, &[1], vec![0xff; 9]);
    assert!(matches!(decode(received(&endless)), Err(TensorProtoError::StringContent { .. })));
    let huge = with_content(DType::String, &[2], [[0xff; 9].as_slice(), &[1], &[1]].concat());
    assert!(matches!(decode(received(&huge)), Err(TensorProtoError::StringContent { .. })));
}

#[test]
fn the_bound_is_on_bytes_and_repeated_values_count() {
    assert_eq!(decode_within(floats(&[16], &[2.5]), 64).unwrap().shape().elements(), 16);
    assert!(matches!(
        decode_within(floats(&[17], &[2.5]), 64),
        Err(TensorProtoError::Bytes { bytes_max: 64, .. })
    ));
    let repeated = |count| TensorProto {
        string_val: vec![Bytes::new(), Bytes::from_static(b"12345678")],
        ..message(DType::String, &[count])
    };
    assert!(decode_within(repeated(9), 64).is_ok());
    assert!(matches!(decode_within(repeated(10), 64), Err(TensorProtoError::Bytes { .. })));
}

#[test]
fn values_are_moved_and_content_is_shared_where_it_lies_aligned() {
    let proto = TensorProto { double_val: vec![1.0, 2.0, 3.0], ..message(DType::Double, &[3]) };
    let start = proto.double_val.as_ptr();
    let tensor = decode(proto).unwrap();
    let Elements::F64(values) = tensor.elements() else { panic!("{tensor:?}") };
    assert!(std::ptr::eq(values.as_ptr(), start));
    let proto = encode(tensor, Form::TypedFields);
    assert!(std::ptr::eq(proto.double_val.as_ptr(), start));

    let message_bytes = Bytes::from(vec![0u8; 64]);
    let offset = message_bytes.as_ptr().align_offset(8);
    let content = message_bytes.slice(offset..offset + 24);
    let tensor = decode(with_content(DType::Double, &[3], content.clone())).unwrap();
    let proto = encode(tensor, Form::Content);
    assert!(std::ptr::eq(proto.tensor_content.as_ptr(), content.as_ptr()));
}

#[test]
fn dtypes_have_tensorflows_numbers_and_names() {
    for dtype in DType::ALL {
        let name = DataType::try_from(dtype.number()).unwrap().as_str_name();
        assert_eq!(name, format!("DT_{}", dtype.name().to_uppercase()));
    }
}

#[test]
fn an_empty_tensor_has_dtype_and_shape_only() {
    for dtype in DType::ALL {
        let empty = message(dtype, &[2, 0]);
        let tensor = decode(empty.clone()).unwrap();
        assert_eq!(tensor.dtype(), dtype);
        assert_eq!(encode(tensor.clone(), Form::TypedFields), empty);
        assert_eq!(encode(tensor, Form::Content), empty);
    }
}

fn any_tensor() -> impl Strategy<Value = TensorProto> {
    let dtype = proptest::sample::select(DType::ALL.to_vec());
    let dims = proptest::collection::vec(1i64..5, 0..4);
    (dtype, dims).prop_flat_map(|(dtype, dims)| {
        let count = dims.iter().product::<i64>() as usize;
        let size = dtype.element_bytes().unwrap_or(0);
        let bytes = proptest::collection::vec(any::<u8>(), size * count);
        let strings = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), count);
        (bytes, strings).prop_map(move |(mut bytes, strings)| {
            if dtype == DType::String {
                let string_val = strings.into_iter().map(Bytes::from).collect();
                return TensorProto { string_val, ..message(dtype, &dims) };
            }
            if dtype == DType::Bool {
                bytes.iter_mut().for_each(|byte| *byte &= 1);
            }
            with_content(dtype, &dims, bytes)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_dtype_comes_back_from_both_forms(proto in any_tensor()) {
        let tensor = decode(received(&proto)).unwrap();
        let typed = received(&encode(tensor.clone(), Form::TypedFields));
        prop_assert!(typed.tensor_content.is_empty());
        let content = received(&encode(tensor, Form::Content));
        prop_assert!(!content.tensor_content.is_empty());
        // The content is what went in, or what went in is the typed form: strings.
        prop_assert_eq!(if proto.string_val.is_empty() { &content } else { &typed }, &proto);
        prop_assert_eq!(encode(decode(typed.clone()).unwrap(), Form::Content), content.clone());
        let from_content = encode(decode(content).unwrap(), Form::TypedFields);
        // Compared as bytes, for NaN differs from itself.
        prop_assert_eq!(from_content.encode_to_vec(), typed.encode_to_vec());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        check_any_bytes(bytes.into());
    }

    #[test]
    fn no_message_makes_it_panic(
        dtype in 0i32..35, dims in proptest::collection::vec(-1i64..6, 0..4), ints in any::<Vec<i32>>(),
        floats in any::<Vec<f32>>(), bools in any::<Vec<bool>>(), content in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let proto = TensorProto {
            dtype,
            tensor_shape: Some(shape_proto(dims.into_iter())),
            tensor_content: content.clone().into(),
            half_val: ints.clone(), int_val: ints, bool_val: bools, string_val: vec![content.into()],
            float_val: floats.clone(), scomplex_val: floats,
            ..TensorProto::default()
        };
        check_any_bytes(proto.encode_to_vec().into());
    }
}
