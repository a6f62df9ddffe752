"""Requests of the official client that wait at the same time run together, and each gets its own answer."""

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import grpc
import joblib
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from tensorflow_serving.apis import predict_pb2

CALLS = 120
X, Y = make_classification(200, 6, n_informative=4, random_state=4)
# Heavy enough that a batch is worth waiting for.
MODEL = RandomForestClassifier(60, random_state=0).fit(X, Y)
PARAMETERS = """
max_batch_size { value: 16 }
batch_timeout_micros { value: 20000 }
max_enqueued_batches { value: 1000 }
num_batch_threads { value: 2 }
allowed_batch_sizes: 4
allowed_batch_sizes: 16
"""


def request(rows: np.ndarray):
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = "forest"
    asked.inputs["inputs"].CopyFrom(tf.make_tensor_proto(rows))
    return asked


def count(server, name: str) -> float:
    """The observations of a histogram of the metrics page."""
    with urllib.request.urlopen(f"http://{server.rest_address}/monitoring/prometheus/metrics", timeout=10) as page:
        text = page.read().decode()
    found = re.search(rf"^{re.escape(name)}_count(?:\{{[^}}]*\}})? (\d+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture(params=["for all models", "for one version"])
def batched(start, tmp_path, request):
    """A server that batches this model, by either way to say so."""
    file = tmp_path / "batching.config"
    file.write_text(PARAMETERS)
    flags = ["--enable_batching"]
    if request.param == "for all models":
        flags.append(f"--batching_parameters_file={file}")
    else:
        flags.append("--enable_per_model_batching_parameters")
    repository = tmp_path / "models"
    repository.mkdir()
    server = start(*flags, repository=repository)
    if request.param == "for one version":
        aside = tmp_path / "aside"
        aside.mkdir()
        (aside / "batching_params.pbtxt").write_text(PARAMETERS)
        joblib.dump(MODEL, aside / "model.pkl")
        (repository / "forest").mkdir()
        aside.rename(repository / "forest" / "1")
    else:
        server.publish("forest", 1, MODEL)
    server.client.wait_available("forest", 1)
    return server


def test_each_of_many_gets_its_own_answer_and_they_run_together(batched):
    before = count(batched, ":tensorflow:serving:batching_session:processed_batch_size")
    asked = [X[i % 150 : i % 150 + 1 + i % 3] for i in range(CALLS)]
    calls = [batched.client.prediction.Predict.future(request(rows), timeout=30) for rows in asked]
    for rows, call in zip(asked, calls):
        outputs = call.result().outputs
        np.testing.assert_array_equal(tf.make_ndarray(outputs["predictions"]), MODEL.predict(rows))
        np.testing.assert_allclose(tf.make_ndarray(outputs["probabilities"]), MODEL.predict_proba(rows), rtol=1e-9)
    batches = count(batched, ":tensorflow:serving:batching_session:processed_batch_size") - before
    assert 0 < batches < CALLS / 2, f"{CALLS} requests ran as {batches} batches"


def test_a_wrong_request_fails_alone(batched):
    def ask(i):
        rows = X[i : i + 1, :5] if i % 10 == 3 else X[i : i + 1]
        try:
            return batched.client.prediction.Predict(request(rows), timeout=30)
        except grpc.RpcError as error:
            return error

    with ThreadPoolExecutor(24) as pool:
        for i, answer in enumerate(pool.map(ask, range(60))):
            if i % 10 == 3:
                assert answer.code() == grpc.StatusCode.INVALID_ARGUMENT, answer
                assert "X has 5 features, but RandomForestClassifier is expecting 6 features" in answer.details()
            else:
                np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["predictions"]), MODEL.predict(X[i : i + 1]))


def test_a_request_larger_than_a_batch_is_refused_in_the_references_words(batched):
    with pytest.raises(grpc.RpcError) as refused:
        batched.client.prediction.Predict(request(X[:17]), timeout=30)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "Task size 17 is larger than maximum input batch size 16"
