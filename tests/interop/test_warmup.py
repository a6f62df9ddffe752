"""Warm-up files written by TensorFlow, replayed before a version is served."""

import grpc
import joblib
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_log_pb2

from serving import publish

model = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]], ["a", "a", "b", "b"])


def predict(row, signature=""):
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto([row]))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


def classify(row):
    request = classification_pb2.ClassificationRequest()
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=row))
    request.input.example_list.examples.add().features.feature["inputs"].CopyFrom(feature)
    return prediction_log_pb2.PredictionLog(classify_log=prediction_log_pb2.ClassifyLog(request=request))


def write(path, logs):
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def with_warm_up(logs):
    def dump(model, path):
        joblib.dump(model, path)
        write(path.parent / "assets.extra" / "tf_serving_warmup_requests", logs)

    return dump


GOOD = [predict([1.0, 2.0]), predict([1, 2], "predict_proba"), classify([1.0, 2.0])]


@pytest.mark.parametrize("flags", [[], ["--num_request_iterations_for_warmup=5"]])
def test_a_version_with_good_requests_is_served(start, tmp_path, flags):
    (tmp_path / "models").mkdir()
    publish(tmp_path / "models", "m", 1, model, dump=with_warm_up(GOOD))
    server = start(*flags)
    server.client.wait_available("m", 1)
    assert "warmed up" in server.text()


def test_a_version_that_fails_them_is_not(start, tmp_path):
    (tmp_path / "models").mkdir()
    publish(tmp_path / "models", "m", 1, model, dump=with_warm_up([*GOOD, classify([1.0])]))
    server = start()
    entry = server.client.wait_failed("m", 1)
    assert entry.status.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert entry.status.error_message.startswith(
        "example 0 has 1 number in feature `inputs`; expected 2 (warm-up record 3 of "
    )


def test_it_can_be_turned_off(start, tmp_path):
    (tmp_path / "models").mkdir()
    publish(tmp_path / "models", "m", 1, model, dump=with_warm_up([classify([1.0])]))
    server = start("--enable_model_warmup=false")
    server.client.wait_available("m", 1)
