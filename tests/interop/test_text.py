"""Texts and tables through the real clients, and the committed classifier of reviews."""

import json

import joblib
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from tensorflow_serving.apis import classification_pb2, regression_pb2

from conftest import ROOT, START_SECONDS
from test_rest import ask

REVIEWS = ["A lovely day on a fine ship", "The soup was cold, the waiter rude!", "", "Ünseen wörds 日本語"]
TEXTS = ["the sea is calm", "a storm at sea", "calm harbour", "storm, storm!", "a ship in the harbour"]
LABELS = ["good", "bad", "good", "bad", "good"]
FRAME = pd.DataFrame({
    "city": pd.Series(["Oslo", "Bergen", "Oslo", "Tromsø", "Bergen"], dtype=object),
    "kind": pd.Series(["flat", "house", "house", "flat", "flat"], dtype=object),
})
PRICES = np.array([3.5, 2.0, 4.5, 1.5, 1.0])


@pytest.fixture(scope="module")
def reviews():
    return joblib.load(ROOT / "model_repository" / "sentiment" / "1" / "model.pkl")


@pytest.fixture(scope="module")
def url(shared):
    assert shared.rest_listening.wait(START_SECONDS), shared.text()
    return f"http://{shared.rest_address}/v1/models"


def texts(values) -> tf.Tensor:
    return tf.make_tensor_proto(np.array([value.encode() for value in np.ravel(values)], dtype=object), shape=np.shape(values))


def serve(shared, name, model):
    shared.publish(name, 1, model)
    shared.client.wait_available(name, 1)
    return model


def example(**features) -> tf.train.Example:
    """Text as bytes, numbers as floats."""
    def feature(value):
        if isinstance(value, str):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    return tf.train.Example(features=tf.train.Features(feature={name: feature(value) for name, value in features.items()}))


def test_the_sample_judges_reviews_over_grpc_and_rest(sample, reviews):
    sample.client.wait_available("sentiment", 1)
    labels, scores = reviews.predict(REVIEWS), reviews.predict_proba(REVIEWS)
    answer = sample.client.predict("sentiment", texts(REVIEWS))
    assert [label.decode() for label in answer.outputs["predictions"].string_val] == labels.tolist()
    np.testing.assert_allclose(tf.make_ndarray(answer.outputs["probabilities"]), scores, rtol=1e-9)

    assert sample.rest_listening.wait(START_SECONDS), sample.text()
    url = f"http://{sample.rest_address}/v1/models/sentiment"
    status, _, body = ask(f"{url}:predict", {"instances": REVIEWS})
    assert status == 200, body
    rows = json.loads(body)["predictions"]
    assert [row["predictions"] for row in rows] == labels.tolist()
    np.testing.assert_allclose([row["probabilities"] for row in rows], scores, rtol=1e-9)

    status, _, body = ask(f"{url}:classify", {"examples": [{"inputs": review} for review in REVIEWS]})
    assert status == 200, body
    for row, want in zip(json.loads(body)["results"], scores):
        assert [label for label, _ in row] == reviews.classes_.tolist()
        np.testing.assert_allclose([score for _, score in row], want, rtol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)), LogisticRegression()),
        make_pipeline(HashingVectorizer(), SGDClassifier(random_state=0)),
        make_pipeline(TfidfVectorizer(token_pattern=r"[^\W\d]+", stop_words="english", strip_accents="unicode"), LogisticRegression()),
    ],
    ids=["char_wb", "hashed", "patterned"],
)
def test_texts_are_classified_as_by_scikit_learn(shared, url, request, model):
    name = f"texts_{request.node.callspec.id}"
    serve(shared, name, model.fit(TEXTS, LABELS))
    asked = TEXTS[::-1] + REVIEWS
    answer = shared.client.predict(name, texts(asked), "predict").outputs["outputs"]
    assert [label.decode() for label in answer.string_val] == model.predict(asked).tolist()
    decided = json.loads(ask(f"{url}/{name}:predict", {"signature_name": "decision_function", "instances": asked})[2])
    np.testing.assert_allclose(decided["predictions"], model.decision_function(asked), rtol=1e-9, atol=1e-13)


def test_records_come_as_json_texts(shared, url):
    records = [{"city": "Oslo", "rooms": 3}, {"city": "Bergen", "rooms": 2}, {"rooms": 5}]
    model = serve(shared, "records", make_pipeline(DictVectorizer(), Ridge()).fit(records, [3.0, 1.5, 4.0]))
    asked = [{"city": "Oslo", "rooms": 2.5}, {}, {"city": "Paris"}]
    body = ask(f"{url}/records:predict", {"instances": [json.dumps(record) for record in asked]})[2]
    np.testing.assert_allclose(json.loads(body)["predictions"], model.predict(asked), rtol=1e-9)
    status, _, body = ask(f"{url}/records:predict", {"instances": ["no record"]})
    assert status == 400
    assert "sample 0 is 'no record', which is no JSON" in json.loads(body)["error"]


def test_tables_of_text_are_taken_whole_by_column_and_as_examples(shared, url):
    model = serve(shared, "table", make_pipeline(OneHotEncoder(), Ridge()).fit(FRAME, PRICES))
    want = model.predict(FRAME)
    rows = FRAME.to_numpy().tolist()
    np.testing.assert_allclose(shared.client.arrays("table", texts(rows))["predictions"], want, rtol=1e-9)
    np.testing.assert_allclose(json.loads(ask(f"{url}/table:predict", {"instances": rows})[2])["predictions"], want, rtol=1e-9)
    named = {"signature_name": "columns", "instances": FRAME.to_dict("records")}
    np.testing.assert_allclose(json.loads(ask(f"{url}/table:predict", named)[2])["predictions"], want, rtol=1e-9)

    request = regression_pb2.RegressionRequest()
    request.model_spec.name = "table"
    request.input.example_list.examples.extend(example(**row) for row in FRAME.to_dict("records"))
    values = [regression.value for regression in shared.client.prediction.Regress(request, timeout=20).result.regressions]
    np.testing.assert_allclose(values, want, rtol=1e-6)

    status, _, body = ask(f"{url}/table:predict", {"instances": [["Paris", "flat"]]})
    assert status == 400
    assert "Found unknown categories ['Paris'] in column 0 during transform" in json.loads(body)["error"]


def test_texts_and_numbers_side_by_side_have_names(shared, url):
    frame = FRAME.assign(rooms=[2.5, 3.5, 4.5, 1.5, 2.5])
    model = serve(shared, "mixed", make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder(), LogisticRegression())
                  .fit(frame, LABELS))
    body = ask(f"{url}/mixed:predict", {"instances": frame.to_dict("records")})[2]
    rows = json.loads(body)["predictions"]
    assert [row["predictions"] for row in rows] == model.predict(frame).tolist()

    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "mixed"
    request.input.example_list.examples.extend(example(**row) for row in frame.to_dict("records"))
    answers = shared.client.prediction.Classify(request, timeout=20).result.classifications
    scores = [[scored.score for scored in answer.classes] for answer in answers]
    np.testing.assert_allclose(scores, model.predict_proba(frame), rtol=1e-6)
