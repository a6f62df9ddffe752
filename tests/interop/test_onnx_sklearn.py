"""scikit-learn estimators, LightGBM and XGBoost models as ONNX files: served by the built-in operators,
equal to onnxruntime.

What onnxruntime answers in this process is what a client is answered. The library is off in the server, so that
nothing but the operators of `engines/onnx/builtin` can run the graphs.
"""

import json
import re
import urllib.request
import warnings

import grpc
import lightgbm as lgb
import numpy as np
import onnxmltools
import onnxruntime
import pandas as pd
import pytest
import tensorflow as tf
import xgboost as xgb
from conftest import Server
from onnxmltools.convert.common.data_types import FloatTensorType as OnnxmltoolsFloat
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn import (
    calibration,
    cluster,
    compose,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    multiclass,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

random = np.random.default_rng(5)
X = random.normal(size=(160, 4)).astype("float32")
Y = (X @ [1.0, -2.0, 0.5, 0.1] + random.normal(size=160) * 0.1).astype("float32")
TWO, THREE = (Y > 0).astype("int64"), np.digitize(Y, [-1, 1]).astype("int64")
NAMES = np.array(["cold", "mild", "warm"])[THREE]
POSITIVE = np.abs(X)
HOLED = np.where(random.uniform(size=X.shape) < 0.1, np.nan, X).astype("float32")
WORDS = "the cat sat on a mat while dogs ran around every red house and no bird sang today".split()
TEXTS = np.array([" ".join(random.choice(WORDS, size=9)) for _ in range(60)], dtype=object)
TEXT_CLASSES = np.array([int("cat" in text) for text in TEXTS])
SINGLE, DOUBLE = FloatTensorType([None, 4]), DoubleTensorType([None, 4])
NO_ZIP = {"zipmap": False}

# name -> (estimator, what it is fitted on, its target, options of the export)
ESTIMATORS = {
    "logistic_two": (linear_model.LogisticRegression(), X, TWO, {}),
    "logistic_three": (linear_model.LogisticRegression(), X, THREE, {}),
    "logistic_names": (linear_model.LogisticRegression(), X, NAMES, {}),
    "logistic_matrix": (linear_model.LogisticRegression(), X, THREE, NO_ZIP),
    "logistic_ovr": (multiclass.OneVsRestClassifier(linear_model.LogisticRegression()), X, THREE, NO_ZIP),
    "sgd_classifier": (linear_model.SGDClassifier(loss="log_loss", random_state=0), X, THREE, NO_ZIP),
    "perceptron": (linear_model.Perceptron(random_state=0), X, THREE, NO_ZIP),
    "ridge_classifier": (linear_model.RidgeClassifier(), X, THREE, NO_ZIP),
    "linear_svc": (svm.LinearSVC(random_state=0), X, THREE, {}),
    "svc_two": (svm.SVC(probability=True, random_state=0), X, TWO, NO_ZIP),
    "svc_three": (svm.SVC(kernel="poly", probability=True, random_state=0), X, THREE, NO_ZIP),
    "svc_plain": (svm.SVC(kernel="rbf", decision_function_shape="ovo"), X, THREE, NO_ZIP),
    "nu_svc": (svm.NuSVC(kernel="sigmoid", nu=0.2, random_state=0, probability=True), X, TWO, NO_ZIP),
    "svr": (svm.SVR(), X, Y, {}),
    "linear_svr": (svm.LinearSVR(random_state=0), X, Y, {}),
    "one_class_svm": (svm.OneClassSVM(), X, None, {}),
    "tree_classifier": (tree.DecisionTreeClassifier(max_depth=5, random_state=0), X, NAMES, {}),
    "tree_regressor": (tree.DecisionTreeRegressor(max_depth=5, random_state=0), X, Y, {}),
    "tree_two_targets": (tree.DecisionTreeRegressor(max_depth=4, random_state=0), X, np.c_[Y, -Y], {}),
    "forest_two": (ensemble.RandomForestClassifier(20, max_depth=6, random_state=0), X, TWO, {}),
    "forest_three": (ensemble.RandomForestClassifier(20, max_depth=6, random_state=0), X, THREE, NO_ZIP),
    "forest_regressor": (ensemble.RandomForestRegressor(20, max_depth=6, random_state=0), X, Y, {}),
    "extra_trees": (ensemble.ExtraTreesClassifier(20, max_depth=6, random_state=0), X, NAMES, NO_ZIP),
    "boosting_two": (ensemble.GradientBoostingClassifier(n_estimators=15, random_state=0), X, TWO, {}),
    "boosting_three": (ensemble.GradientBoostingClassifier(n_estimators=15, random_state=0), X, THREE, NO_ZIP),
    "boosting_regressor": (ensemble.GradientBoostingRegressor(n_estimators=15, random_state=0), X, Y, {}),
    "adaboost": (ensemble.AdaBoostClassifier(n_estimators=8, random_state=0), X, THREE, NO_ZIP),
    "adaboost_regressor": (ensemble.AdaBoostRegressor(n_estimators=8, random_state=0), X, Y, {}),
    "bagging": (ensemble.BaggingClassifier(n_estimators=4, random_state=0), X, TWO, NO_ZIP),
    "isolation": (ensemble.IsolationForest(n_estimators=12, random_state=0), X, None, {}),
    "voting": (
        ensemble.VotingClassifier(
            [("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3, random_state=0))],
            voting="soft",
            flatten_transform=False,
        ),
        X,
        TWO,
        NO_ZIP,
    ),
    "stacking": (
        ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3, random_state=0))]),
        X,
        Y,
        {},
    ),
    "calibrated": (calibration.CalibratedClassifierCV(linear_model.LogisticRegression(), cv=2), X, THREE, NO_ZIP),
    "gaussian_nb": (naive_bayes.GaussianNB(), X, THREE, {}),
    "multinomial_nb": (naive_bayes.MultinomialNB(), POSITIVE, THREE, NO_ZIP),
    "bernoulli_nb": (naive_bayes.BernoulliNB(), X, THREE, NO_ZIP),
    "knn_classifier": (neighbors.KNeighborsClassifier(3), X, THREE, NO_ZIP),
    "knn_regressor": (neighbors.KNeighborsRegressor(3, weights="distance"), X, Y, {}),
    "mlp_classifier": (neural_network.MLPClassifier(hidden_layer_sizes=(8,), max_iter=80, random_state=0), X, THREE, NO_ZIP),
    "mlp_regressor": (neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=80, random_state=0, activation="tanh"), X, Y, {}),
    "lda": (discriminant_analysis.LinearDiscriminantAnalysis(), X, THREE, NO_ZIP),
    "qda": (discriminant_analysis.QuadraticDiscriminantAnalysis(), X, THREE, NO_ZIP),
    "gaussian_process": (gaussian_process.GaussianProcessRegressor(), X[:40], Y[:40], {}),
    "mixture": (mixture.GaussianMixture(3, random_state=0), X, None, {}),
    "kmeans": (cluster.KMeans(4, n_init=1, random_state=0), X, None, {}),
    "linear": (linear_model.LinearRegression(), X, Y, {}),
    "ridge_two_targets": (linear_model.Ridge(), X, np.c_[Y, -Y], {}),
    "lasso": (linear_model.Lasso(0.01), X, Y, {}),
    "bayesian_ridge": (linear_model.BayesianRidge(), X, Y, {}),
    "poisson": (linear_model.PoissonRegressor(), X, np.exp(Y / 4), {}),
    "standard_scaler": (preprocessing.StandardScaler(), X, None, {}),
    "min_max_scaler": (preprocessing.MinMaxScaler(clip=True), X, None, {}),
    "robust_scaler": (preprocessing.RobustScaler(), X, None, {}),
    "normalizer_l1": (preprocessing.Normalizer("l1"), X, None, {}),
    "normalizer_l2": (preprocessing.Normalizer("l2"), X, None, {}),
    "normalizer_max": (preprocessing.Normalizer("max"), POSITIVE, None, {}),
    "binarizer": (preprocessing.Binarizer(threshold=0.3), X, None, {}),
    "polynomial": (preprocessing.PolynomialFeatures(2), X, None, {}),
    "bins": (preprocessing.KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"), X, None, {}),
    "power": (preprocessing.PowerTransformer(), X, None, {}),
    "imputer": (impute.SimpleImputer(), HOLED, None, {}),
    "knn_imputer": (impute.KNNImputer(n_neighbors=2), HOLED, None, {}),
    "pca": (decomposition.PCA(2), X, None, {}),
    "truncated_svd": (decomposition.TruncatedSVD(2, random_state=0), X, None, {}),
    "kernel_pca": (decomposition.KernelPCA(2, kernel="rbf"), X, None, {}),
    "select": (feature_selection.SelectKBest(k=2), X, TWO, {}),
    "variance": (feature_selection.VarianceThreshold(0.5), X, None, {}),
    "pipeline": (
        pipeline.make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(3), linear_model.LogisticRegression()),
        X,
        NAMES,
        {},
    ),
}
# These need no other numbers than doubles for their sums, and are exported in them too.
IN_DOUBLES = [
    "linear",
    "lasso",
    "standard_scaler",
    "pca",
    "kmeans",
    "gaussian_process",
    "mlp_regressor",
    "forest_three",
]
# What of an estimator's numbers is exact in no two libraries: distances that cancel, and the like.
LOOSE = {"one_class_svm": 1e-2, "knn_regressor": 1e-4, "kernel_pca": 1e-4, "gaussian_process": 1e-3, "svc_three": 1e-4, "nu_svc": 1e-4, "power": 1e-4}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("onnx_sklearn"), "--onnxruntime_library=off")
    yield server
    server.stop()


def exported(estimator, x, y, options, kind=SINGLE):
    """A fitted estimator as the bytes of an ONNX file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(x, y)
        of = {id(estimator): options} if options else None
        return to_onnx(estimator, initial_types=[("X", kind)], options=of, target_opset={"": 18, "ai.onnx.ml": 3}).SerializeToString()


def expected(model: bytes, inputs: dict) -> dict:
    """What onnxruntime answers, maps flattened as the server flattens them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    answers = {}
    for output, value in zip(session.get_outputs(), session.run(None, inputs)):
        if isinstance(value, list):
            keys = sorted(value[0]) if value else []
            answers[output.name] = np.array([[row[key] for key in keys] for row in value], dtype="float32")
            answers[f"{output.name}_labels"] = np.array([keys] * len(value))
        else:
            answers[output.name] = value
    return answers


def texts(values) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values.ravel()]


def compare(name, got, want, tolerance):
    assert got.keys() == want.keys(), name
    for output, answer in want.items():
        found = got[output]
        if answer.dtype.kind in "OUS":
            assert texts(found) == texts(answer), f"{name} {output}"
            continue
        assert found.shape == answer.shape, f"{name} {output}"
        if answer.dtype.kind in "iub":
            np.testing.assert_array_equal(found, answer, err_msg=f"{name} {output}")
        else:
            assert found.dtype == answer.dtype, f"{name} {output}"
            scale = max(1e-3, float(np.nanmax(np.abs(answer), initial=0)))
            np.testing.assert_allclose(found, answer, rtol=tolerance, atol=tolerance * scale, err_msg=f"{name} {output}")


def check(server, name, model, inputs, tolerance=1e-5):
    """One row, many rows and no row, typed and as content; and who answered."""
    server.publish(f"onnx_{name}", 1, model, file="model.onnx")
    server.client.wait_available(f"onnx_{name}", 1)
    said = re.compile(rf"onnx_{name}\b.*longshore")
    assert any(said.search(line) for line in server.logged), f"{name}: nobody says which engine runs it"
    rows = len(next(iter(inputs.values())))
    for part in (slice(0, 1), slice(0, 7), slice(0, rows)):
        asked = {key: value[part] for key, value in inputs.items()}
        compare(name, server.client.arrays(f"onnx_{name}", asked), expected(model, asked), tolerance)
    # `make_tensor_proto` writes content; typed lists say the same.
    asked = {key: value[:7] for key, value in inputs.items()}
    typed = {key: typed_proto(value) for key, value in asked.items()}
    got = server.client.arrays(f"onnx_{name}", typed)
    compare(name, got, server.client.arrays(f"onnx_{name}", asked), 0)
    empty = server.client.arrays(f"onnx_{name}", {key: value[:0] for key, value in inputs.items()})
    assert all(value.size == 0 for value in empty.values()), (name, empty)


def typed_proto(value):
    proto = tf.make_tensor_proto(np.zeros([0], value.dtype) if value.dtype != object else np.array([], dtype=object), dtype=tf.as_dtype(value.dtype))
    proto.tensor_shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    proto.tensor_content = b""
    field = {"float32": proto.float_val, "float64": proto.double_val, "int64": proto.int64_val}.get(str(value.dtype), proto.string_val)
    flat = value.ravel().tolist()
    field.extend([text.encode() for text in flat] if value.dtype == object else flat)
    return proto


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimator(server, name):
    estimator, x, y, options = ESTIMATORS[name]
    check(server, name, exported(estimator, x, y, options), {"X": x[:60]}, LOOSE.get(name, 1e-5))


@pytest.mark.parametrize("name", IN_DOUBLES)
def test_in_doubles(server, name):
    estimator, x, y, options = ESTIMATORS[name]
    model = exported(estimator, x.astype("float64"), y, options, DOUBLE)
    check(server, f"{name}_double", model, {"X": x[:60].astype("float64")}, LOOSE.get(name, 1e-9 if name not in TREES else 1e-6))


# Their leaves are added up in doubles and given as floats.
TREES = ["forest_three"]


def test_text_pipelines(server):
    # Not in lower case: onnxruntime asks the system for a locale that few machines have.
    for name, vectorizer in {
        "count": feature_extraction.text.CountVectorizer(lowercase=False),
        "tfidf": feature_extraction.text.TfidfVectorizer(lowercase=False, ngram_range=(1, 2)),
        "tfidf_letters": feature_extraction.text.TfidfVectorizer(analyzer="char", lowercase=False, ngram_range=(1, 2)),
        "stop_words": feature_extraction.text.CountVectorizer(lowercase=False, stop_words=["the", "a"]),
    }.items():
        model = pipeline.make_pipeline(vectorizer, linear_model.LogisticRegression())
        model.fit(TEXTS, TEXT_CLASSES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = to_onnx(
                model,
                initial_types=[("X", StringTensorType([None, 1]))],
                options={id(model): NO_ZIP},
                target_opset={"": 18, "ai.onnx.ml": 3},
            )
        check_text(server, f"text_{name}", file.SerializeToString())


def check_text(server, name, model):
    server.publish(f"onnx_{name}", 1, model, file="model.onnx")
    server.client.wait_available(f"onnx_{name}", 1)
    for count in (1, 7, 60):
        asked = TEXTS[:count].reshape(-1, 1)
        compare(name, server.client.arrays(f"onnx_{name}", {"X": asked}), expected(model, {"X": asked}), 1e-5)


def test_columns_of_several_kinds(server):
    cities = np.array(["Rome", "Oslo", "Lima"], dtype=object)[THREE].reshape(-1, 1)
    counts = (X[:, :1] * 3).astype("int64")
    frame = pd.DataFrame({"size": X[:, 0], "age": X[:, 1], "rooms": counts[:, 0], "city": cities[:, 0]})
    model = pipeline.make_pipeline(
        compose.ColumnTransformer(
            [
                ("numbers", preprocessing.StandardScaler(), ["size", "age"]),
                ("counts", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["rooms"]),
                ("cities", preprocessing.OneHotEncoder(), ["city"]),
            ]
        ),
        ensemble.RandomForestClassifier(10, max_depth=4, random_state=0),
    ).fit(frame, TWO)
    types = [
        ("size", FloatTensorType([None, 1])),
        ("age", FloatTensorType([None, 1])),
        ("rooms", Int64TensorType([None, 1])),
        ("city", StringTensorType([None, 1])),
    ]
    file = to_onnx(model, initial_types=types, target_opset={"": 18, "ai.onnx.ml": 3}).SerializeToString()
    check(server, "columns", file, {"size": X[:60, :1], "age": X[:60, 1:2], "rooms": counts[:60], "city": cities[:60]})


@pytest.mark.parametrize("kind", ["two", "three", "regressor"])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_boosted(server, library, kind):
    target = {"two": TWO, "three": THREE, "regressor": Y}[kind]
    if library == "lightgbm":
        of = lgb.LGBMRegressor if kind == "regressor" else lgb.LGBMClassifier
        model = of(n_estimators=12, num_leaves=9, min_child_samples=5, verbose=-1, n_jobs=1).fit(X, target)
        file = onnxmltools.convert_lightgbm(model, initial_types=[("X", OnnxmltoolsFloat([None, 4]))], target_opset=15)
    else:
        of = xgb.XGBRegressor if kind == "regressor" else xgb.XGBClassifier
        model = of(n_estimators=12, max_depth=4, n_jobs=1).fit(X, target)
        file = onnxmltools.convert_xgboost(model, initial_types=[("X", OnnxmltoolsFloat([None, 4]))], target_opset=15)
    check(server, f"{library}_{kind}", file.SerializeToString(), {"X": X[:60]})


def test_in_the_newest_opset(server):
    model = tree.DecisionTreeClassifier(max_depth=4, random_state=0).fit(X, NAMES)
    file = to_onnx(model, X[:1], target_opset={"": 21, "ai.onnx.ml": 3}, options=NO_ZIP).SerializeToString()
    check(server, "tree_newest", file, {"X": X[:60]})


def test_rest_says_the_same(server):
    for name in ("logistic_names", "forest_three", "pipeline"):
        estimator, x, y, options = ESTIMATORS[name]
        model = exported(estimator, x, y, options)
        server.publish(f"onnx_rest_{name}", 1, model, file="model.onnx")
        server.client.wait_available(f"onnx_rest_{name}", 1)
        url = f"http://{server.rest_address}/v1/models/onnx_rest_{name}:predict"
        body = json.dumps({"inputs": x[:5].tolist()}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=10) as answered:
            said = json.load(answered)["outputs"]
        for output, answer in expected(model, {"X": x[:5]}).items():
            if answer.dtype.kind == "f":
                np.testing.assert_allclose(np.array(said[output]), answer, rtol=1e-5, atol=1e-6)
            else:
                assert np.array(said[output]).tolist() == answer.tolist()


def test_a_wrong_width_is_named(server):
    estimator, x, y, options = ESTIMATORS["forest_two"]
    server.publish("onnx_wide", 1, exported(estimator, x, y, options), file="model.onnx")
    server.client.wait_available("onnx_wide", 1)
    for wrong in (x[:2, :3], np.c_[x[:2], x[:2]], x[0]):
        with pytest.raises(grpc.RpcError) as refused:
            server.client.arrays("onnx_wide", {"X": wrong})
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "expected shape" in refused.value.details()
