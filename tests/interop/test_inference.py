"""Classify, Regress and MultiInference, asked by the official client as its examples do."""

import grpc
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from serving import CALL_SECONDS

SINGLE = np.finfo(np.float32).eps
X, THREE = make_classification(120, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=3)
WORDS = np.array(["low", "mittel", "hoch — très"])[THREE]
NAMES = ["alter", "größe", "rooms", "x y", "z"]
FRAME = pd.DataFrame(X, columns=NAMES)
_, NUMBERS = make_regression(120, 5, noise=2.0, random_state=4)
# Examples carry single precision; the model sees exactly these.
ASKED = np.random.default_rng(5).normal(size=(6, 5)).astype(np.float32).astype(np.float64)
ASKED[:, 2] = [1, 2, 3, 4, 5, 6]

words = LogisticRegression().fit(X, WORDS)
frame = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, THREE)
ridge = Ridge().fit(FRAME, NUMBERS)
plain = RidgeClassifier().fit(X, WORDS)


def floats(values) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def ints(values) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(**features) -> tf.train.Example:
    return tf.train.Example(features=tf.train.Features(feature=features))


BY_ROW = [example(inputs=floats(row)) for row in ASKED]
BY_NAME = [
    example(**{name: ints([int(v)]) if name == "rooms" else floats([v]) for name, v in zip(NAMES, row, strict=True)})
    for row in ASKED
]


@pytest.fixture(scope="module")
def served(shared):
    for name, model in [("words", words), ("frame", frame), ("ridge", ridge), ("plain", plain)]:
        shared.publish(f"inference_{name}", 4, model)
    for name in ["words", "frame", "ridge", "plain"]:
        shared.client.wait_available(f"inference_{name}", 4)
    return shared.client


def classify(client, name, examples, signature="", context=None):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = f"inference_{name}"
    request.model_spec.signature_name = signature
    fill(request.input, examples, context)
    return client.prediction.Classify(request, timeout=CALL_SECONDS)


def regress(client, name, examples, signature="", context=None):
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = f"inference_{name}"
    request.model_spec.signature_name = signature
    fill(request.input, examples, context)
    return client.prediction.Regress(request, timeout=CALL_SECONDS)


def fill(wire, examples, context):
    if context is None:
        wire.example_list.examples.extend(examples)
    else:
        wire.example_list_with_context.examples.extend(examples)
        wire.example_list_with_context.context.CopyFrom(context)


def check_classes(result, labels, want):
    assert len(result.classifications) == len(want)
    for one, row in zip(result.classifications, want, strict=True):
        assert [each.label for each in one.classes] == labels
        np.testing.assert_allclose([each.score for each in one.classes], row, rtol=SINGLE)


@pytest.mark.parametrize("signature", ["", "classify"])
def test_classify_gives_predict_proba_by_label(served, signature):
    response = classify(served, "words", BY_ROW, signature)
    assert response.model_spec.name == "inference_words"
    assert response.model_spec.version.value == 4
    assert response.model_spec.signature_name == "classify"
    check_classes(response.result, list(words.classes_), words.predict_proba(ASKED))


def test_classify_takes_columns_by_name(served):
    want = frame.predict_proba(pd.DataFrame(ASKED, columns=NAMES))
    check_classes(classify(served, "frame", BY_NAME).result, ["0", "1", "2"], want)


def test_a_context_is_shared_and_an_examples_own_feature_wins(served):
    context = example(rooms=ints([3]), z=floats([0.5]))
    examples = [example(alter=floats([1.5]), **{"größe": floats([2.0]), "x y": floats([0.25])}) for _ in range(2)]
    examples[1].features.feature["rooms"].float_list.value.append(7.0)
    rows = pd.DataFrame([[1.5, 2.0, 3.0, 0.25, 0.5], [1.5, 2.0, 7.0, 0.25, 0.5]], columns=NAMES)
    response = classify(served, "frame", examples, context=context)
    check_classes(response.result, ["0", "1", "2"], frame.predict_proba(rows))
    response = regress(served, "ridge", examples, context=context)
    got = [each.value for each in response.result.regressions]
    np.testing.assert_allclose(got, ridge.predict(rows), rtol=SINGLE)


def test_a_classifier_without_probabilities_tells_its_prediction(served):
    result = classify(served, "plain", BY_ROW).result
    assert [[each.label for each in one.classes] for one in result.classifications] == [
        [label] for label in plain.predict(ASKED)
    ]


@pytest.mark.parametrize("signature", ["", "regress"])
def test_regress_gives_predict(served, signature):
    response = regress(served, "ridge", BY_NAME, signature)
    assert response.model_spec.version.value == 4
    assert response.model_spec.signature_name == "regress"
    got = [each.value for each in response.result.regressions]
    np.testing.assert_allclose(got, ridge.predict(pd.DataFrame(ASKED, columns=NAMES)), rtol=SINGLE)


def test_multi_inference_answers_its_tasks(served):
    for name, method, check in [
        (
            "frame",
            "classify",
            lambda r: check_classes(
                r.classification_result, ["0", "1", "2"], frame.predict_proba(pd.DataFrame(ASKED, columns=NAMES))
            ),
        ),
        (
            "ridge",
            "regress",
            lambda r: np.testing.assert_allclose(
                [each.value for each in r.regression_result.regressions],
                ridge.predict(pd.DataFrame(ASKED, columns=NAMES)),
                rtol=SINGLE,
            ),
        ),
    ]:
        request = inference_pb2.MultiInferenceRequest()
        task = request.tasks.add()
        task.model_spec.name = f"inference_{name}"
        task.method_name = f"tensorflow/serving/{method}"
        fill(request.input, BY_NAME, None)
        results = served.prediction.MultiInference(request, timeout=CALL_SECONDS).results
        assert len(results) == 1
        assert results[0].model_spec.version.value == 4
        assert results[0].model_spec.signature_name == method
        check(results[0])


def test_the_signatures_are_told_as_tensorflows_own(served):
    signature = served.signatures("inference_words")["classify"]
    assert signature.method_name == tf.saved_model.CLASSIFY_METHOD_NAME
    assert {alias: info.dtype for alias, info in signature.inputs.items()} == {
        tf.saved_model.CLASSIFY_INPUTS: tf.string.as_datatype_enum
    }
    assert {alias: info.dtype for alias, info in signature.outputs.items()} == {
        tf.saved_model.CLASSIFY_OUTPUT_CLASSES: tf.string.as_datatype_enum,
        tf.saved_model.CLASSIFY_OUTPUT_SCORES: tf.float32.as_datatype_enum,
    }
    signature = served.signatures("inference_ridge")["regress"]
    assert signature.method_name == tf.saved_model.REGRESS_METHOD_NAME
    assert set(signature.inputs) == {tf.saved_model.REGRESS_INPUTS}
    assert set(signature.outputs) == {tf.saved_model.REGRESS_OUTPUTS}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda c: classify(c, "words", []), "Input is empty."),
        (lambda c: classify(c, "words", BY_ROW, "nope"), "No signature was found with the name: nope"),
        (lambda c: regress(c, "words", BY_ROW, "predict"), "Expects arg[0] to be double but string is provided"),
        (lambda c: classify(c, "words", [example()]), "example 0 has no feature `inputs`; expected 5 numbers in it"),
        (
            lambda c: regress(c, "ridge", [BY_NAME[0], BY_ROW[0], example(zip=ints([1]))]),
            "example 2 has no feature `alter`; expected 1 number in it",
        ),
    ],
)
def test_a_wrong_request_names_the_place(served, call, text):
    with pytest.raises(grpc.RpcError) as refused:
        call(served)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details().startswith(text)
