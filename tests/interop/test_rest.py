"""REST as a plain HTTP client of Python's standard library sees it."""

import gzip
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from conftest import START_SECONDS

ROWS = [[0.5, -1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.1, 1e-7, 12345.678, -3.0]]


@pytest.fixture(scope="module")
def url(sample):
    """Where REST is."""
    assert sample.rest_listening.wait(START_SECONDS), sample.text()
    return f"http://{sample.rest_address}"


def ask(url, body=None, headers=None):
    """Status, headers and body of an answer, whatever its status is."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_rows_and_columns_are_what_the_model_predicts(url, model):
    want = model.predict(np.array(ROWS))
    path = f"{url}/v1/models/linear_regression:predict"
    status, headers, body = ask(path, {"instances": ROWS})
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    np.testing.assert_allclose(json.loads(body)["predictions"], want, rtol=1e-12)
    named = {"instances": [{"inputs": row} for row in ROWS]}
    np.testing.assert_allclose(json.loads(ask(path, named)[2])["predictions"], want, rtol=1e-12)
    np.testing.assert_allclose(json.loads(ask(path, {"inputs": {"inputs": ROWS}})[2])["outputs"], want, rtol=1e-12)
    path = f"{url}/v1/models/linear_regression/versions/1:predict?debug=1"
    np.testing.assert_allclose(json.loads(ask(path, {"inputs": ROWS})[2])["outputs"], want, rtol=1e-12)


def test_rest_and_grpc_give_the_same_bits(url, sample):
    rows = np.random.default_rng(7).normal(size=(100, 4))
    grpc = sample.client.predict("linear_regression", rows).outputs["predictions"].double_val
    rest = json.loads(ask(f"{url}/v1/models/linear_regression:predict", {"instances": rows.tolist()})[2])
    assert rest["predictions"] == list(grpc)


def test_protobuf_is_read_by_the_official_messages(url, model):
    request = predict_pb2.PredictRequest()
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(np.array(ROWS)))
    path = f"{url}/v1/models/linear_regression:predict"
    status, headers, body = ask(path, request.SerializeToString(), {"Content-Type": "application/x-protobuf"})
    assert (status, headers["Content-Type"]) == (200, "application/x-protobuf")
    answer = predict_pb2.PredictResponse.FromString(body)
    want = model.predict(np.array(ROWS))
    np.testing.assert_allclose(answer.outputs["predictions"].double_val, want, rtol=1e-12)
    assert answer.model_spec.version.value == 1


def test_regress_takes_features_by_name(url, model):
    examples = [{"inputs": row} for row in ROWS]
    status, _, body = ask(f"{url}/v1/models/linear_regression:regress", {"examples": examples})
    assert status == 200, body
    want = model.predict(np.array(ROWS).astype(np.float32))
    np.testing.assert_allclose(json.loads(body)["results"], want, rtol=1e-6)


def test_gzip_goes_both_ways(url, model):
    rows = ROWS * 100
    path = f"{url}/v1/models/linear_regression:predict"
    packed = gzip.compress(json.dumps({"instances": rows}).encode())
    status, headers, body = ask(path, packed, {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    want = model.predict(np.array(rows))
    np.testing.assert_allclose(json.loads(gzip.decompress(body))["predictions"], want, rtol=1e-12)


def test_status_metadata_and_the_list_of_models(url):
    status = json.loads(ask(f"{url}/v1/models/linear_regression")[2])
    version = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert status == {"model_version_status": [version]}
    models = json.loads(ask(f"{url}/v1/models")[2])
    engines = [entry["model_version_status"][0].pop("engine") for entry in models["models"]]
    names = ["digits", "digits_cnn", "linear_regression", "recommender", "sentiment"]
    assert models == {"models": [{"name": name, "model_version_status": [version]} for name in names]}
    # Who runs the network depends on what this machine has.
    assert [engines[0], *engines[2:]] == ["longshore"] * 4 and engines[1].split()[0] in {"onnxruntime", "tract"}
    metadata = json.loads(ask(f"{url}/v1/models/linear_regression/metadata")[2])
    assert metadata["model_spec"] == {"name": "linear_regression", "signature_name": "", "version": "1"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["inputs"]["dtype"] == "DT_DOUBLE"
    assert [dim["size"] for dim in signature["inputs"]["inputs"]["tensor_shape"]["dim"]] == ["-1", "4"]
    assert ask(f"{url}/healthz")[0] == ask(f"{url}/readyz")[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/models/none:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(none)"),
        ("/v1/models/none", None, 404, "Could not find any versions of model none"),
        ("/v1/models/linear_regression:predict", b"", 400, "JSON Parse error: The document is empty"),
        ("/v1/models/linear_regression:predict", {}, 400, "Missing 'inputs' or 'instances' key"),
        ("/v1/models/linear_regression:predict", {"instances": [[1]]}, 400,
         "X has 1 features, but LinearRegression is expecting 4 features as input."),
        ("/v1/models/linear_regression:guess", {}, 400, "Malformed request: POST /v1/models/linear_regression:guess"),
    ],
)
def test_errors_are_json_with_the_references_words(url, path, body, status, message):
    got, headers, answer = ask(url + path, body)
    assert (got, headers["Content-Type"]) == (status, "application/json")
    assert json.loads(answer) == {"error": message}
