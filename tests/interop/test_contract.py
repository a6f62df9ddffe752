"""Metadata, status and errors: what the reference's clients rely on."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from serving import AVAILABLE, CALL_SECONDS

NAME = "linear_regression"
ROWS = np.array([[0.5, -1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
CODE = grpc.StatusCode


def refused(code: grpc.StatusCode, call, *arguments, **named) -> str:
    """The text of the error that this call has to end in."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **named)
    assert caught.value.code() == code, f"{caught.value.code()}: {caught.value.details()}"
    return caught.value.details()


def test_metadata_unpacks_to_the_signatures_of_the_model(sample):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = NAME
    answer = sample.client.prediction.GetModelMetadata(request, timeout=CALL_SECONDS)
    assert (answer.model_spec.name, answer.model_spec.version.value) == (NAME, 1)
    assert list(answer.metadata) == ["signature_def"]
    packed = answer.metadata["signature_def"]
    assert isinstance(packed, any_pb2.Any)
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"

    signatures = sample.client.signatures(NAME)
    assert set(signatures) == {"serving_default", "predict", "regress"}
    for name, output in [("serving_default", "predictions"), ("predict", "outputs")]:
        signature = signatures[name]
        assert signature.method_name == "tensorflow/serving/predict"
        [(alias, info)] = signature.inputs.items()
        assert (alias, info.dtype) == ("inputs", tf.float64.as_datatype_enum)
        assert [dim.size for dim in info.tensor_shape.dim] == [-1, 4]
        [(alias, info)] = signature.outputs.items()
        assert (alias, info.dtype) == (output, tf.float64.as_datatype_enum)
        assert [dim.size for dim in info.tensor_shape.dim] == [-1]


def test_metadata_wants_a_field_that_it_knows(sample):
    ask = sample.client.prediction.GetModelMetadata
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = NAME
    text = refused(CODE.INVALID_ARGUMENT, ask, request)
    assert text == "GetModelMetadataRequest must specify at least one metadata_field"
    request.metadata_field.append("weights")
    assert refused(CODE.INVALID_ARGUMENT, ask, request) == "Metadata field weights is not supported"


def test_status_lists_the_version_that_serves(sample):
    [(version, entry)] = sample.client.status(NAME).items()
    assert (version, entry.state, entry.status.error_code) == (1, AVAILABLE, 0)
    assert list(sample.client.status(NAME, 1)) == [1]


def test_status_of_an_unknown_model_or_version_is_not_found(sample):
    status = sample.client.status
    assert refused(CODE.NOT_FOUND, status, "nobody") == "Could not find any versions of model nobody"
    assert refused(CODE.NOT_FOUND, status, NAME, 7) == f"Could not find version 7 of model {NAME}"
    empty = get_model_status_pb2.GetModelStatusRequest()
    assert refused(CODE.INVALID_ARGUMENT, sample.client.model.GetModelStatus, empty) == "Missing ModelSpec"


def test_predict_resolves_the_model_or_says_which_was_asked_for(sample):
    predict = sample.client.predict
    assert predict(NAME, ROWS, version=1).model_spec.version.value == 1
    text = refused(CODE.NOT_FOUND, predict, "nobody", ROWS)
    assert text.startswith("Servable not found for request: Latest(nobody)")
    text = refused(CODE.NOT_FOUND, predict, NAME, ROWS, version=9)
    assert text.startswith(f"Servable not found for request: Specific({NAME}, 9)")
    text = refused(CODE.INVALID_ARGUMENT, predict, "", ROWS)
    assert text == "ModelSpec has no name specified."
    request = predict_pb2.PredictRequest()
    assert refused(CODE.INVALID_ARGUMENT, sample.client.prediction.Predict, request) == "Missing ModelSpec"
    request.model_spec.name = NAME
    request.model_spec.version_label = "canary"
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(ROWS))
    text = refused(CODE.INVALID_ARGUMENT, sample.client.prediction.Predict, request)
    assert text == "Unrecognized servable version label: canary"


def test_a_wrong_signature_is_a_failed_precondition(sample):
    text = refused(CODE.FAILED_PRECONDITION, sample.client.predict, NAME, ROWS, "predict_proba")
    assert text.startswith('Serving signature key "predict_proba" not found.')


def test_wrong_input_names_are_told_with_the_right_ones(sample):
    predict = sample.client.predict
    text = refused(CODE.INVALID_ARGUMENT, predict, NAME, {})
    assert "input size does not match signature: 0!=1" in text and "inputs" in text
    text = refused(CODE.INVALID_ARGUMENT, predict, NAME, {"x": ROWS})
    assert "inputs" in text and "x" in text
    text = refused(CODE.INVALID_ARGUMENT, predict, NAME, {"inputs": ROWS, "extra": ROWS})
    assert "input size does not match signature: 2!=1" in text and "extra" in text


def test_a_wrong_width_or_value_is_refused_in_scikit_learns_own_words(sample, model):
    for wrong in [np.zeros((2, 3)), np.zeros((2, 5)), np.full((1, 4), np.nan), np.array([[0, np.inf, 0, 0]])]:
        with pytest.raises(ValueError) as library:
            model.predict(wrong)
        assert refused(CODE.INVALID_ARGUMENT, sample.client.predict, NAME, wrong) == str(library.value)
    text = refused(CODE.INVALID_ARGUMENT, sample.client.predict, NAME, np.array([[0, -np.inf, 0, 0]]))
    assert text == "Input X contains infinity or a value too large for dtype('float64')."


def test_a_wrong_rank_names_the_input_and_its_shape(sample):
    for wrong, words in [
        (np.float64(1.0), ["2D array", "`inputs`", "[]"]),
        (np.zeros(4), ["2D array", "`inputs`", "[4]"]),
        (np.zeros((1, 2, 4)), ["dim 3", "`inputs`", "[1,2,4]"]),
    ]:
        text = refused(CODE.INVALID_ARGUMENT, sample.client.predict, NAME, wrong)
        assert all(word in text for word in words), text


def test_a_wrong_dtype_names_the_input_and_what_it_takes(sample):
    text = refused(CODE.INVALID_ARGUMENT, sample.client.predict, NAME, np.array([["a", "b", "c", "d"]]))
    assert "inputs" in text and "string" in text.lower() and "double" in text.lower(), text


def test_a_tensor_that_cannot_be_read_names_its_alias(sample):
    short = tf.make_tensor_proto(ROWS)
    short.tensor_content = short.tensor_content[:-1]
    negative = TensorProto(dtype=tf.float64.as_datatype_enum, double_val=[1.0])
    negative.tensor_shape.dim.add(size=-1)
    untyped = TensorProto()
    huge = TensorProto(dtype=tf.float64.as_datatype_enum, double_val=[1.0])
    huge.tensor_shape.dim.add(size=2**40)
    huge.tensor_shape.dim.add(size=4)
    for bad in [short, negative, untyped, huge]:
        text = refused(CODE.INVALID_ARGUMENT, sample.client.predict, NAME, bad)
        assert text.startswith("tensor parsing error: inputs"), text


def test_an_output_filter_is_checked(sample):
    predict = sample.client.predict
    text = refused(CODE.INVALID_ARGUMENT, predict, NAME, ROWS, outputs=["probabilities"])
    assert text.startswith("output tensor alias not found in signature: probabilities")
    assert "predictions" in text
    text = refused(CODE.INVALID_ARGUMENT, predict, NAME, ROWS, outputs=["predictions", "predictions"])
    assert text == "duplicate output tensor alias: predictions"


def test_a_message_that_is_no_protobuf_is_an_error_of_that_call_alone(sample):
    raw = sample.client.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    with pytest.raises(grpc.RpcError) as caught:
        raw(b"\xff\xff\xff\xff", timeout=CALL_SECONDS)
    assert caught.value.code() in (CODE.INTERNAL, CODE.INVALID_ARGUMENT)
    assert len(sample.client.predict(NAME, ROWS).outputs["predictions"].double_val) == 2


def test_what_is_not_served_says_unimplemented(sample):
    session_run = sample.client.channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")
    with pytest.raises(grpc.RpcError) as caught:
        session_run(b"", timeout=CALL_SECONDS)
    assert caught.value.code() == CODE.UNIMPLEMENTED


def test_a_reload_without_a_list_is_refused_in_the_references_words(sample):
    call, request = sample.client.model.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()
    text = refused(CODE.INVALID_ARGUMENT, call, request, timeout=CALL_SECONDS)
    assert text.startswith("ServerModelConfig type not supported by HandleReloadConfigRequest.")


def test_compressed_messages_are_understood(sample):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(np.zeros((5000, 4))))
    answer = sample.client.prediction.Predict(request, timeout=CALL_SECONDS, compression=grpc.Compression.Gzip)
    assert len(answer.outputs["predictions"].double_val) == 5000
