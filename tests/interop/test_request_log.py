"""Request logs as TensorFlow reads them, and warm-up files made of them."""

import json
import subprocess
import urllib.request

import grpc
import joblib
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from tensorflow_serving.apis import classification_pb2, inference_pb2, prediction_log_pb2

from conftest import longshore_binary
from serving import CALL_SECONDS, END, eventually, publish

rng = np.random.default_rng(20)
X = rng.normal(size=(60, 2))
model = LogisticRegression().fit(X, X[:, 0] > X[:, 1])
FLAGS = "--request_log_sampling_rate=1"


def read(folder, name):
    """The records of a model's files, by TensorFlow's own reader."""
    files = sorted(str(path) for path in folder.glob(f"{name}-*.tfrecord"))
    records = tf.data.TFRecordDataset(files) if files else []
    return [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]


def rest(server, path, body):
    """POSTs JSON; gives what came back."""
    request = urllib.request.Request(f"http://{server.rest_address}/v1/models/{path}", json.dumps(body).encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=CALL_SECONDS) as answer:
        return json.load(answer)


def test_tensorflow_reads_what_was_asked_and_answered(start, tmp_path):
    logs = tmp_path / "logs"
    (tmp_path / "models").mkdir()
    publish(tmp_path / "models", "m", 3, model)
    server = start(f"--request_log_dir={logs}", FLAGS)
    server.client.wait_available("m", 3)
    assert server.rest_listening.wait(CALL_SECONDS)
    answer = server.client.predict("m", X[:5], "predict_proba")
    body = rest(server, "m:predict", {"instances": X[:5].tolist(), "signature_name": "predict_proba"})
    asked = classification_pb2.ClassificationRequest()
    asked.model_spec.name = "m"
    features = asked.input.example_list.examples.add().features
    features.feature["inputs"].float_list.value.extend([1.0, 2.0])
    classified = server.client.prediction.Classify(asked, timeout=CALL_SECONDS)
    several = inference_pb2.MultiInferenceRequest(input=asked.input)
    several.tasks.add(method_name="tensorflow/serving/classify").model_spec.name = "m"
    results = server.client.prediction.MultiInference(several, timeout=CALL_SECONDS)
    with pytest.raises(grpc.RpcError):
        server.client.predict("m", [[1.0]])
    server.stop()

    over_grpc, over_rest, classify, multi = read(logs, "m")
    assert over_grpc.predict_log.response == answer
    assert classify.classify_log.request == asked and classify.classify_log.response == classified
    assert multi.multi_inference_log.request == several and multi.multi_inference_log.response == results
    for record in over_grpc, over_rest:
        spec = record.log_metadata.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("m", 3, "predict_proba")
        assert record.log_metadata.sampling_config.sampling_rate == 1.0
        assert record.log_metadata.timestamp_secs > 1_700_000_000
        request, response = record.predict_log.request, record.predict_log.response
        assert np.array_equal(tf.make_ndarray(request.inputs["inputs"]), X[:5])
        want = model.predict_proba(X[:5])
        np.testing.assert_allclose(tf.make_ndarray(response.outputs["outputs"]), want, rtol=1e-12)
    np.testing.assert_allclose(body["predictions"], model.predict_proba(X[:5]), rtol=1e-12)


def test_a_rate_is_the_part_that_is_recorded(start, tmp_path):
    logs = tmp_path / "logs"
    (tmp_path / "models" / "m").mkdir(parents=True)
    (tmp_path / "models" / "m" / "model.toml").write_text("[request_log]\nsampling_rate = 0.2\n")
    publish(tmp_path / "models", "m", 1, model)
    server = start(f"--request_log_dir={logs}", "--request_log_sampling_rate=0", "--request_log_file_bytes=4096")
    server.client.wait_available("m", 1)
    for _ in range(1000):
        server.client.predict("m", X[:1])
    server.stop()
    records = read(logs, "m")
    assert 120 < len(records) < 280
    assert len(list(logs.iterdir())) > 3
    assert all(path.stat().st_size <= 4096 for path in logs.iterdir())


def record_warmup(*args):
    done = subprocess.run([longshore_binary(), "record-warmup", *args], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def test_a_warm_up_file_of_recorded_traffic_is_what_tensorflow_would_replay(start, tmp_path):
    logs = tmp_path / "logs"
    (tmp_path / "models").mkdir()
    publish(tmp_path / "models", "m", 1, model)
    server = start(f"--request_log_dir={logs}", FLAGS)
    server.client.wait_available("m", 1)
    for row in X:
        server.client.predict("m", row[np.newaxis])
    eventually(lambda: len(read(logs, "m")) == len(X))

    def dump(model, path):
        joblib.dump(model, path)
        said = record_warmup(f"--version_dir={path.parent}", "--records=10", "--request_log", *map(str, logs.iterdir()))
        assert said.startswith("wrote 10 requests to ")
        file = path.parent / "assets.extra" / "tf_serving_warmup_requests"
        chosen = [
            prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
            for record in tf.data.TFRecordDataset(str(file))
        ]
        rows = [tf.make_ndarray(request.inputs["inputs"])[0] for request in chosen]
        # Ten of those that were asked, in their order.
        places = [next(i for i, row in enumerate(X) if np.array_equal(row, got)) for got in rows]
        assert len(places) == 10 and places == sorted(set(places))

    publish(tmp_path / "models", "m", 2, model, dump=dump)
    server.client.wait_available("m", 2)
    assert "warmed up" in server.text()
    eventually(lambda: server.client.status("m")[1].state == END)
