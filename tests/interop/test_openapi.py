"""The OpenAPI document: valid, and true of what is asked and answered."""

import json
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from conftest import Server
from serving import CALL_SECONDS

rng = np.random.default_rng(31)
X = rng.normal(size=(40, 3))
FRAME = pd.DataFrame(X, columns=["age", "größe", "rooms"])
MODELS = {
    "prices": LinearRegression().fit(X, X.sum(axis=1)),
    "two words {and} more": LogisticRegression().fit(X, X[:, 0] > 0),
    "frame": make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, np.where(X[:, 1] > 0, "a", "b")),
}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("openapi"))
    for name, model in MODELS.items():
        server.publish(name, 1, model)
        server.client.wait_available(name, 1)
    assert server.rest_listening.wait(CALL_SECONDS)
    yield f"http://{server.rest_address}"
    server.stop()


def call(address, path, body=None):
    """GET, or POST of JSON; gives status and what came back."""
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(address + path, data), timeout=CALL_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def document(address):
    status, document = call(address, "/openapi.json")
    assert status == 200
    return document


def schema(document, path, method, *place):
    """The schema at a place of an operation, with the components that it names."""
    found = document["paths"][path][method]
    for key in place:
        found = found[key]
    found = found["content"]["application/json"]["schema"]
    return Draft202012Validator({**found, "components": document["components"]})


def test_it_is_valid_and_names_every_model(document):
    validate(document)
    assert document["openapi"] == "3.1.0"
    for name in ["prices", "two%20words%20%7Band%7D%20more", "frame"]:
        assert f"/v1/models/{name}:predict" in document["paths"]
        assert f"/v1/models/{name}" in document["paths"]
    assert "/v1/models/prices:regress" in document["paths"]
    assert "/v1/models/prices:classify" not in document["paths"]
    assert "/v1/models/frame:classify" in document["paths"]


ROW = [0.5, -1.0, 2.0]
COLUMNS = {"age": 0.5, "größe": -1.0, "rooms": 2.0}


@pytest.mark.parametrize(
    "path, body",
    [
        ("prices:predict", {"instances": [ROW, ROW]}),
        ("prices:predict", {"inputs": [ROW, ROW]}),
        ("prices:predict", {"instances": [{"inputs": ROW}]}),
        ("prices:predict", {"inputs": {"inputs": [ROW]}, "signature_name": "predict"}),
        ("prices:regress", {"examples": [{"inputs": ROW}]}),
        ("two%20words%20%7Band%7D%20more:predict", {"instances": [ROW]}),
        ("two%20words%20%7Band%7D%20more:predict", {"instances": [ROW], "output_filter": ["probabilities"]}),
        ("two%20words%20%7Band%7D%20more:predict", {"inputs": [ROW], "signature_name": "predict_proba"}),
        ("frame:predict", {"instances": [COLUMNS], "signature_name": "columns"}),
        ("frame:predict", {"inputs": {k: [v, v] for k, v in COLUMNS.items()}, "signature_name": "columns"}),
        ("frame:predict", {"instances": [ROW, ROW]}),
        ("frame:classify", {"examples": [{k: [v] for k, v in COLUMNS.items()}]}),
    ],
)
def test_what_is_asked_and_answered_fits_it(document, address, path, body):
    path = f"/v1/models/{path}"
    schema(document, path, "post", "requestBody").validate(body)
    status, answer = call(address, path, body)
    assert status == 200, answer
    schema(document, path, "post", "responses", "200").validate(answer)


@pytest.mark.parametrize(
    "path, body",
    [
        ("prices:predict", {"instances": []}),
        ("prices:predict", {"instances": [ROW[:2]]}),
        ("prices:predict", {"instances": [["a", "b", "c"]]}),
        ("prices:predict", {"instances": [ROW], "inputs": [ROW]}),
        ("prices:predict", {"inputs": [ROW], "signature_name": "gone"}),
        ("prices:predict", {}),
        ("frame:predict", {"instances": [{"age": 1.0}], "signature_name": "columns"}),
        ("frame:classify", {"examples": []}),
        ("frame:classify", {"examples": [{"age": [[1]]}]}),
    ],
)
def test_what_does_not_fit_it_is_refused(document, address, path, body):
    path = f"/v1/models/{path}"
    assert not schema(document, path, "post", "requestBody").is_valid(body)
    status, answer = call(address, path, body)
    assert status == 400
    found = {"$ref": "#/components/schemas/Error", "components": document["components"]}
    Draft202012Validator(found).validate(answer)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/prices", "/v1/models/frame/metadata"])
def test_what_is_told_fits_it(document, address, path):
    status, answer = call(address, path)
    assert status == 200
    schema(document, path, "get", "responses", "200").validate(answer)
