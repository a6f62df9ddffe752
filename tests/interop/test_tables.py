"""Models of data frames with columns of numbers and of text: by name, over gRPC and REST."""

import json
import urllib.request

import grpc
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from tensorflow_serving.apis import classification_pb2

ROWS = 300
RANDOM = np.random.default_rng(17)
FRAME = pd.DataFrame(
    {
        "age": np.where(RANDOM.random(ROWS) < 0.1, np.nan, RANDOM.uniform(1, 80, ROWS).round(1)),
        "sex": RANDOM.choice(["female", "male"], ROWS),
        "name": [f"passenger {i}" for i in range(ROWS)],
        "siblings": RANDOM.integers(0, 5, ROWS),
        "fare": RANDOM.gamma(2.0, 15.0, ROWS).round(2),
        "port": RANDOM.choice(["Cherbourg", "Queenstown", "Southampton"], ROWS),
    }
)
SURVIVED = np.where((FRAME["sex"] == "female") ^ (RANDOM.random(ROWS) < 0.25), "yes", "no")
NUMBERS, TEXTS = ["age", "siblings", "fare"], ["sex", "port"]
ASKED = FRAME[:40].assign(port=["Belfast", "", *FRAME["port"][2:40]])
CATEGORIES = FRAME.drop(columns="name").astype({"sex": "category", "port": "category"})


def columns():
    """The usual preparation of a table; `name` is dropped, as by default."""
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS),
        ]
    )


MODELS = {
    "logistic": make_pipeline(columns(), LogisticRegression(max_iter=500)),
    "forest": make_pipeline(columns(), RandomForestClassifier(20, random_state=0)),
    "boosting": make_pipeline(
        ColumnTransformer(
            [
                ("texts", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), TEXTS),
                ("numbers", "passthrough", NUMBERS),
            ]
        ),
        HistGradientBoostingClassifier(max_iter=20, random_state=0),
    ),
    "searched": GridSearchCV(
        make_pipeline(columns(), LogisticRegression(max_iter=500)), {"logisticregression__C": [0.1, 1.0]}, cv=2
    ),
}


@pytest.fixture(scope="module")
def fitted():
    return {name: model.fit(FRAME, SURVIVED) for name, model in MODELS.items()}


@pytest.fixture(scope="module")
def served(shared, fitted):
    for name, model in fitted.items():
        shared.publish(f"table-{name}", 1, model)
    for name in fitted:
        shared.client.wait_available(f"table-{name}", 1)
    return shared


def by_name(frame):
    """Each column as a client has it: numbers in their own dtype, text as text."""
    return {
        name: column.tolist() if column.dtype.kind not in "fi" else column.to_numpy() for name, column in frame.items()
    }


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("signature", ["", "columns"])
def test_a_table_is_asked_by_the_names_of_its_columns(served, fitted, name, signature):
    model = fitted[name]
    answer = served.client.arrays(f"table-{name}", by_name(ASKED[NUMBERS + TEXTS]), signature)
    assert [word.decode() for word in answer["predictions"]] == model.predict(ASKED).tolist()
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(ASKED), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", MODELS)
def test_a_table_is_asked_row_by_row_over_rest(served, fitted, name):
    asked = ASKED[NUMBERS + TEXTS].fillna({"age": 30.0})[:5]
    body = json.dumps({"instances": asked.to_dict("records")}).encode()
    url = f"http://{served.rest_address}/v1/models/table-{name}:predict"
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as response:
        predictions = json.load(response)["predictions"]
    asked = asked.assign(name="")
    assert [one["predictions"] for one in predictions] == fitted[name].predict(asked).tolist()
    np.testing.assert_allclose([one["probabilities"] for one in predictions], fitted[name].predict_proba(asked), rtol=1e-9)


def test_the_signature_says_which_columns_are_text_and_leaves_out_the_dropped(served):
    inputs = served.client.signatures("table-forest")["columns"].inputs
    assert {name: info.dtype for name, info in inputs.items()} == {
        **{name: tf.float64.as_datatype_enum for name in NUMBERS},
        **{name: tf.string.as_datatype_enum for name in TEXTS},
    }


def test_what_is_wrong_with_a_column_is_said(served):
    right = by_name(ASKED[NUMBERS + TEXTS])
    for wrong, says in [
        ({**right, "age": right["sex"]}, "age"),
        ({**right, "sex": right["age"]}, "sex"),
        ({name: right[name] for name in right if name != "fare"}, "fare"),
        ({**right, "fare": right["fare"][:3]}, "fare"),
    ]:
        with pytest.raises(grpc.RpcError) as refused:
            served.client.predict("table-forest", wrong)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert says in refused.value.details()


def test_boosting_takes_text_for_its_categories(shared):
    classifier = HistGradientBoostingClassifier(max_iter=10, categorical_features=TEXTS, random_state=0)
    regressor = HistGradientBoostingRegressor(max_iter=10, categorical_features="from_dtype", random_state=0)
    classifier.fit(CATEGORIES, SURVIVED)
    regressor.fit(CATEGORIES, CATEGORIES["fare"] + (CATEGORIES["port"] == "Cherbourg"))
    asked = CATEGORIES[:30]
    for name, model in [("table-categories", classifier), ("table-kinds", regressor)]:
        shared.publish(name, 1, model)
        shared.client.wait_available(name, 1)
        given = {column: list(values) if column in TEXTS else values.to_numpy() for column, values in asked.items()}
        answer = shared.client.arrays(name, given)["predictions"]
        if name == "table-categories":
            assert [word.decode() for word in answer] == model.predict(asked).tolist()
        else:
            np.testing.assert_allclose(answer, model.predict(asked), rtol=1e-9)


def test_an_example_has_a_feature_for_each_column(served, fitted):
    def feature(value):
        if isinstance(value, str):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    asked = ASKED.fillna({"age": 30.0}).assign(fare=ASKED["fare"].astype("float32"), age=30.5)[:6]
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "table-forest"
    for row in asked.to_dict("records"):
        # The name is no input, and may be there.
        example = tf.train.Example(features=tf.train.Features(feature={name: feature(value) for name, value in row.items()}))
        request.input.example_list.examples.append(example)
    result = served.client.prediction.Classify(request, timeout=20).result
    scores = [[one.score for one in row.classes] for row in result.classifications]
    assert [[one.label for one in row.classes] for row in result.classifications] == [["no", "yes"]] * 6
    np.testing.assert_allclose(scores, fitted["forest"].predict_proba(asked), rtol=1e-6)
    del request.input.example_list.examples[0].features.feature["sex"]
    with pytest.raises(grpc.RpcError, match="example 0 has no feature `sex`; expected 1 text in it"):
        served.client.prediction.Classify(request, timeout=20)
