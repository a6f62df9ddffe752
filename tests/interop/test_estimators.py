"""Models trained here, saved in every container, served, and checked number by number."""

import warnings

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import (
    ARDRegression,
    BayesianRidge,
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lars,
    LarsCV,
    Lasso,
    LassoCV,
    LassoLars,
    LassoLarsCV,
    LassoLarsIC,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MultiTaskElasticNet,
    MultiTaskElasticNetCV,
    MultiTaskLasso,
    MultiTaskLassoCV,
    PassiveAggressiveClassifier,
    PassiveAggressiveRegressor,
    Perceptron,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
    TheilSenRegressor,
    TweedieRegressor,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC, LinearSVR

from serving import compressed, pickled

RELATIVE = 1e-9
METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function", "transform"]
FEATURES = 7

X, NUMBERS = make_regression(160, FEATURES, noise=3.0, bias=2.0, random_state=11)
PAIRS = np.column_stack([NUMBERS, NUMBERS[::-1] * 0.5])
COUNTS = np.round(np.abs(NUMBERS) / 40).clip(0, 20)
XC, TWO = make_classification(160, FEATURES, n_informative=5, random_state=12)
_, THREE = make_classification(160, FEATURES, n_informative=5, n_classes=3, random_state=12)
WORDS = np.array(["low", "mittel", "hoch — très"])[THREE]
ASKED = np.random.default_rng(13).normal(size=(40, FEATURES)) * 1.5

# name -> (estimator, features, target)
ESTIMATORS = {
    "linear": (LinearRegression(), X, NUMBERS),
    "linear_no_intercept": (LinearRegression(fit_intercept=False), X, NUMBERS),
    "linear_positive": (LinearRegression(positive=True), X, NUMBERS),
    "linear_two_targets": (LinearRegression(), X, PAIRS),
    "linear_one_column_target": (LinearRegression(), X, NUMBERS.reshape(-1, 1)),
    "ridge": (Ridge(alpha=0.7), X, NUMBERS),
    "ridge_two_targets": (Ridge(), X, PAIRS),
    "ridge_cv": (RidgeCV(), X, NUMBERS),
    "lasso": (Lasso(alpha=0.3), X, NUMBERS),
    "lasso_cv": (LassoCV(cv=3), X, NUMBERS),
    "elastic_net": (ElasticNet(alpha=0.2), X, NUMBERS),
    "elastic_net_cv": (ElasticNetCV(cv=3), X, NUMBERS),
    "lars": (Lars(), X, NUMBERS),
    "lars_cv": (LarsCV(cv=3), X, NUMBERS),
    "lasso_lars": (LassoLars(alpha=0.1), X, NUMBERS),
    "lasso_lars_cv": (LassoLarsCV(cv=3), X, NUMBERS),
    "lasso_lars_ic": (LassoLarsIC(), X, NUMBERS),
    "bayesian_ridge": (BayesianRidge(), X, NUMBERS),
    "ard": (ARDRegression(), X, NUMBERS),
    "huber": (HuberRegressor(), X, NUMBERS),
    "theil_sen": (TheilSenRegressor(random_state=0, max_subpopulation=200), X, NUMBERS),
    "sgd_regressor": (SGDRegressor(random_state=0), X, NUMBERS),
    "sgd_regressor_averaged": (SGDRegressor(random_state=0, average=True), X, NUMBERS),
    "passive_aggressive_regressor": (PassiveAggressiveRegressor(random_state=0), X, NUMBERS),
    "linear_svr": (LinearSVR(random_state=0), X, NUMBERS),
    "poisson": (PoissonRegressor(), X, COUNTS),
    "gamma": (GammaRegressor(), X, COUNTS + 1),
    "tweedie_identity": (TweedieRegressor(power=0), X, NUMBERS),
    "tweedie_log": (TweedieRegressor(power=1.5, link="log"), X, COUNTS),
    "quantile": (QuantileRegressor(quantile=0.7, alpha=0.01), X, NUMBERS),
    "multi_task_lasso": (MultiTaskLasso(), X, PAIRS),
    "multi_task_lasso_cv": (MultiTaskLassoCV(cv=3), X, PAIRS),
    "multi_task_elastic_net": (MultiTaskElasticNet(), X, PAIRS),
    "multi_task_elastic_net_cv": (MultiTaskElasticNetCV(cv=3), X, PAIRS),
    "logistic_two": (LogisticRegression(), XC, TWO),
    "logistic_three": (LogisticRegression(), XC, THREE),
    "logistic_words": (LogisticRegression(), XC, WORDS),
    "logistic_objects": (LogisticRegression(), XC, WORDS.astype(object)),
    "logistic_bools": (LogisticRegression(), XC, TWO.astype(bool)),
    "logistic_floats": (LogisticRegression(), XC, THREE.astype("float64") - 1),
    "logistic_small_ints": (LogisticRegression(), XC, THREE.astype("int8")),
    "logistic_cv": (LogisticRegressionCV(cv=3), XC, THREE),
    "ridge_classifier": (RidgeClassifier(), XC, THREE),
    "ridge_classifier_cv": (RidgeClassifierCV(), XC, TWO),
    "sgd_hinge": (SGDClassifier(random_state=0), XC, THREE),
    "sgd_log_loss_two": (SGDClassifier(loss="log_loss", random_state=0), XC, TWO),
    "sgd_log_loss_three": (SGDClassifier(loss="log_loss", random_state=0), XC, THREE),
    "sgd_modified_huber_two": (SGDClassifier(loss="modified_huber", random_state=0), XC, TWO),
    "sgd_modified_huber_three": (SGDClassifier(loss="modified_huber", random_state=0), XC, THREE),
    "perceptron": (Perceptron(random_state=0), XC, WORDS),
    "passive_aggressive_classifier": (PassiveAggressiveClassifier(random_state=0), XC, TWO),
    "linear_svc_two": (LinearSVC(random_state=0), XC, TWO),
    "linear_svc_three": (LinearSVC(random_state=0), XC, WORDS),
    "standard_scaler": (StandardScaler(), X, None),
    "standard_scaler_no_mean": (StandardScaler(with_mean=False), X, None),
    "min_max_scaler": (MinMaxScaler((-1, 3)), X, None),
    "min_max_scaler_clipped": (MinMaxScaler(clip=True), X, None),
    "pipeline_scaled_logistic": (make_pipeline(StandardScaler(), LogisticRegression()), XC, WORDS),
    "pipeline_scaled_ridge": (make_pipeline(MinMaxScaler(), Ridge()), X, NUMBERS),
    "pipeline_of_scalers": (make_pipeline(StandardScaler(), MinMaxScaler()), X, None),
    "pipeline_passthrough": (Pipeline([("no", "passthrough"), ("svc", LinearSVC(random_state=0))]), XC, TWO),
    "pipeline_in_pipeline": (
        make_pipeline(make_pipeline(StandardScaler(), MinMaxScaler()), SGDClassifier(random_state=0)),
        XC,
        THREE,
    ),
}

CONTAINERS = {
    "joblib": compressed(0),
    "joblib_zlib": compressed(3),
    "joblib_gzip": compressed(("gzip", 3)),
    "joblib_bz2": compressed(("bz2", 3)),
    "joblib_lzma": compressed(("lzma", 3)),
    "joblib_xz": compressed(("xz", 3)),
    "joblib_lz4": compressed("lz4"),
    **{f"pickle_{protocol}": pickled(protocol) for protocol in range(6)},
}


@pytest.fixture(scope="module")
def fitted():
    """Every estimator, trained."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: estimator.fit(features, target) for name, (estimator, features, target) in ESTIMATORS.items()}


@pytest.fixture(scope="module")
def published(shared, fitted):
    """Every estimator in every container, as one big repository."""
    for name, model in fitted.items():
        for container, dump in CONTAINERS.items():
            shared.publish(f"{name}.{container}", 1, model, dump=dump)
    return shared.client


def same(answer: np.ndarray, want: np.ndarray):
    """Numbers to 1e-9 relative, labels exactly; shapes always."""
    want = np.asarray(want)
    assert answer.shape == want.shape
    if want.dtype.kind in "UO":
        assert [word.decode() for word in answer.ravel().tolist()] == [str(word) for word in want.ravel().tolist()]
    elif want.dtype.kind == "f":
        assert answer.dtype == np.float64
        # Where terms cancel, what remains is as exact as the terms were, and no more.
        rounding = 8 * np.finfo("float64").eps * np.max(np.abs(want[np.isfinite(want)]), initial=0.0)
        np.testing.assert_allclose(answer, want, rtol=RELATIVE, atol=rounding)
    else:
        assert answer.dtype == want.dtype or answer.dtype == np.int64
        np.testing.assert_array_equal(answer, want)


def check_every_signature(client, name, model, asked=ASKED):
    """Asks each signature that the design promises for this estimator."""
    methods = [method for method in METHODS if hasattr(model, method)]
    signatures = client.signatures(name)
    offered = set(signatures) - {"serving_default", "columns", "classify", "regress", "predict_std", "contributions"}
    assert offered >= set(methods), "each method of the estimator is a signature"
    for method in sorted(offered):
        answer = client.arrays(name, asked, method)
        assert list(answer) == ["outputs"]
        same(answer["outputs"], getattr(model, method)(asked))
    want = {}
    if hasattr(model, "predict"):
        want["predictions"] = model.predict(asked)
    else:
        want["transformed"] = model.transform(asked)
    if hasattr(model, "predict_proba"):
        want["probabilities"] = model.predict_proba(asked)
    answer = client.arrays(name, asked)
    assert set(answer) == set(want) == set(signatures["serving_default"].outputs)
    for alias in want:
        same(answer[alias], want[alias])
        only = client.arrays(name, asked, outputs=[alias])
        assert list(only) == [alias], "an output filter gives what it names"
        same(only[alias], want[alias])


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_model_trained_here_answers_as_scikit_learn_does(published, fitted, name, container):
    served = f"{name}.{container}"
    published.wait_available(served, 1, seconds=60)
    check_every_signature(published, served, fitted[name])


@pytest.mark.parametrize("file", ["model.pkl", "model.joblib", "model.pickle", "prices-2026.joblib"])
def test_each_file_name_that_means_scikit_learn_is_found(shared, fitted, file):
    name = f"named.{file}"
    shared.publish(name, 1, fitted["ridge"], file=file)
    shared.client.wait_available(name, 1)
    same(shared.client.arrays(name, ASKED)["predictions"], fitted["ridge"].predict(ASKED))


def test_a_large_model_comes_through_every_container(shared):
    big, numbers = make_regression(60, 20_000, random_state=3)
    model = LinearRegression().fit(big, numbers)
    for container, dump in CONTAINERS.items():
        shared.publish(f"large.{container}", 1, model, dump=dump)
    for container in CONTAINERS:
        shared.client.wait_available(f"large.{container}", 1)
        same(shared.client.arrays(f"large.{container}", big[:3])["predictions"], model.predict(big[:3]))


def test_coefficients_in_fortran_order_are_read_in_their_order(shared):
    model = LinearRegression().fit(X, PAIRS)
    model.coef_ = np.asfortranarray(model.coef_)
    for container, dump in CONTAINERS.items():
        shared.publish(f"fortran.{container}", 1, model, dump=dump)
    for container in CONTAINERS:
        shared.client.wait_available(f"fortran.{container}", 1)
        same(shared.client.arrays(f"fortran.{container}", ASKED)["predictions"], model.predict(ASKED))


def test_a_model_fitted_on_a_data_frame_takes_its_columns_by_name(shared):
    frame = pd.DataFrame(X[:, :3], columns=["rooms", "area in m²", "age"])
    model = make_pipeline(StandardScaler(), Ridge()).fit(frame, NUMBERS)
    shared.publish("frame", 1, model)
    shared.client.wait_available("frame", 1)
    asked = pd.DataFrame(ASKED[:, :3], columns=frame.columns)
    by_name = {column: asked[column].to_numpy() for column in reversed(frame.columns)}
    answer = shared.client.arrays("frame", by_name, "columns")
    same(answer["predictions"], model.predict(asked))
    same(shared.client.arrays("frame", asked.to_numpy())["predictions"], model.predict(asked))
    inputs = shared.client.signatures("frame")["columns"].inputs
    assert set(inputs) == set(frame.columns)
    assert all([dim.size for dim in info.tensor_shape.dim] == [-1] for info in inputs.values())


def test_label_dtypes_are_those_of_the_classes(published):
    want = {
        "logistic_three": tf.int64,
        "logistic_words": tf.string,
        "logistic_objects": tf.string,
        "logistic_bools": tf.bool,
        "logistic_floats": tf.float64,
    }
    for name, dtype in want.items():
        published.wait_available(f"{name}.joblib", 1, seconds=60)
        signature = published.signatures(f"{name}.joblib")["serving_default"]
        assert signature.outputs["predictions"].dtype == dtype.as_datatype_enum, name
        answer = published.predict(f"{name}.joblib", ASKED)
        assert answer.outputs["predictions"].dtype == dtype.as_datatype_enum, name
