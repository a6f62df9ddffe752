"""The committed sample models answer what `model.predict` answers."""

import joblib
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits
from tensorflow.core.framework.tensor_pb2 import TensorProto

from conftest import ROOT

NAME = "linear_regression"
RELATIVE = 1e-12


def rows(dtype) -> np.ndarray:
    """A batch that every numeric dtype can hold."""
    whole = np.random.default_rng(7).integers(0, 100, size=(16, 4))
    return whole.astype(dtype)


def typed(array: np.ndarray, field: str) -> TensorProto:
    """The tensor as clients outside Python send it: one entry per element."""
    tensor = tf.make_tensor_proto(array)
    tensor.ClearField("tensor_content")
    values = getattr(tensor, field)
    del values[:]
    values.extend(array.ravel().tolist())
    return tensor


def check(server, tensor, want):
    response = server.client.predict(NAME, tensor)
    assert response.model_spec.name == NAME
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"
    assert list(response.outputs) == ["predictions"]
    answer = response.outputs["predictions"]
    assert answer.dtype == tf.float64.as_datatype_enum
    assert [dim.size for dim in answer.tensor_shape.dim] == [len(want)]
    assert answer.tensor_content == b"", "outputs travel in typed fields unless the server is told otherwise"
    # Where terms cancel, what remains is as exact as the terms were, and no more.
    rounding = np.finfo("float64").eps * np.max(np.abs(want), initial=0.0)
    np.testing.assert_allclose(tf.make_ndarray(answer), want, rtol=RELATIVE, atol=rounding)


def test_random_doubles_give_the_models_own_predictions(sample, model):
    batch = np.random.default_rng(1).normal(size=(1000, 4)) * 50
    check(sample, batch, model.predict(batch))


def test_a_single_row_gives_a_single_prediction(sample, model):
    batch = np.array([[0.5, -1.0, 2.0, 0.0]])
    check(sample, batch, model.predict(batch))


def test_no_rows_give_no_predictions(sample):
    check(sample, np.empty((0, 4)), np.empty(0))


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"]
)
def test_every_numeric_dtype_is_taken_as_tensor_content(sample, model, dtype):
    batch = rows(dtype)
    tensor = TensorProto(dtype=tf.as_dtype(dtype).as_datatype_enum, tensor_content=batch.tobytes())
    tensor.tensor_shape.CopyFrom(tf.TensorShape(batch.shape).as_proto())
    check(sample, tensor, model.predict(batch.astype("float64")))


@pytest.mark.parametrize(
    ("dtype", "field"),
    [
        ("float64", "double_val"),
        ("float32", "float_val"),
        ("int64", "int64_val"),
        ("int32", "int_val"),
        ("int16", "int_val"),
        ("int8", "int_val"),
        ("uint8", "int_val"),
        ("uint16", "int_val"),
        ("uint32", "uint32_val"),
        ("uint64", "uint64_val"),
    ],
)
def test_every_numeric_dtype_is_taken_as_typed_values(sample, model, dtype, field):
    batch = rows(dtype)
    check(sample, typed(batch, field), model.predict(batch.astype("float64")))


def test_one_value_fills_the_whole_shape(sample, model):
    tensor = TensorProto(dtype=tf.float64.as_datatype_enum, double_val=[2.5])
    tensor.tensor_shape.CopyFrom(tf.TensorShape([3, 4]).as_proto())
    check(sample, tensor, model.predict(np.full((3, 4), 2.5)))


def test_a_float32_of_a_fraction_is_widened_not_rounded(sample, model):
    batch = np.array([[0.1, 0.2, 0.3, 0.4]], dtype="float32")
    check(sample, batch, model.predict(batch.astype("float64")))


def test_a_message_of_many_megabytes_is_answered(sample, model):
    batch = np.random.default_rng(2).normal(size=(400_000, 4))
    check(sample, batch, model.predict(batch))


def test_predict_by_its_own_name_gives_outputs(sample, model):
    batch = rows("float64")
    answer = sample.client.arrays(NAME, batch, "predict")
    assert list(answer) == ["outputs"]
    np.testing.assert_allclose(answer["outputs"], model.predict(batch), rtol=RELATIVE, atol=0)


def test_every_digit_is_read_as_the_model_reads_it(sample):
    model = joblib.load(ROOT / "model_repository" / "digits" / "1" / "model.pkl")
    pictures, _ = load_digits(return_X_y=True)
    answer = sample.client.arrays("digits", pictures)
    np.testing.assert_array_equal(answer["predictions"], model.predict(pictures))
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(pictures), rtol=1e-9, atol=1e-13)
