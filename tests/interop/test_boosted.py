"""XGBoost and LightGBM models trained here, saved by their libraries, served, and compared with them."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

random = np.random.default_rng(8)
X = random.normal(size=(400, 5)).astype("float32")
X[:, 4] = random.integers(0, 20, 400)
X[random.uniform(size=X.shape) < 0.05] = np.nan
Y = np.nan_to_num(X) @ [1.0, -2.0, 0.5, 0.0, 0.1] + random.normal(size=400) * 0.1
TWO, THREE = (Y > 0).astype(int), np.digitize(Y, [-1, 2])
ROWS = X[:50]
XGB = {"max_depth": 5, "eta": 0.3, "nthread": 1}
LGB = {"num_leaves": 15, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1}
# XGBoost adds up in single precision.
SINGLE, DOUBLE = {"rtol": 2e-6, "atol": 1e-6}, {"rtol": 1e-12, "atol": 1e-12}

XGBOOST = {
    "regression": ({"objective": "reg:squarederror"}, Y, {}),
    "binary": ({"objective": "binary:logistic"}, TWO, {}),
    "classes": ({"objective": "multi:softprob", "num_class": 3}, THREE, {}),
    "labels": ({"objective": "multi:softmax", "num_class": 3}, THREE, {}),
    "poisson": ({"objective": "count:poisson"}, np.exp(Y / 4), {}),
    "quantiles": ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, Y, {}),
    "dart": ({"booster": "dart", "rate_drop": 0.3}, Y, {}),
    "linear": ({"booster": "gblinear"}, Y, {}),
    "targets": ({"multi_strategy": "multi_output_tree"}, np.c_[Y, -Y], {}),
    "categories": ({}, Y, {"feature_types": ["q"] * 4 + ["c"], "enable_categorical": True}),
}
LIGHTGBM = {
    "regression": ({"objective": "regression"}, Y, {}),
    "binary": ({"objective": "binary", "sigmoid": 0.7}, TWO, {}),
    "classes": ({"objective": "multiclass", "num_class": 3}, THREE, {}),
    "tweedie": ({"objective": "tweedie"}, np.exp(Y / 4), {}),
    "forest": ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, Y, {}),
    "linear": ({"linear_tree": True}, Y, {}),
    "categories": ({"min_data_per_group": 5}, Y, {"categorical_feature": [4]}),
}


def check(server, name, answers, tolerance):
    """Every signature that the library answers, and that `serving_default` is `predict`."""
    server.client.wait_available(name, 1)
    for signature, want in answers.items():
        exact = {"rtol": 0, "atol": 0} if signature == "leaf" else tolerance
        got = server.client.arrays(name, ROWS, signature)["outputs"]
        np.testing.assert_allclose(got.reshape(-1), np.asarray(want, dtype="float64").reshape(-1), err_msg=f"{name} {signature}", **exact)
    got = server.client.arrays(name, ROWS)["predictions"]
    np.testing.assert_array_equal(got, server.client.arrays(name, ROWS, "predict")["outputs"])


@pytest.mark.parametrize("ending", ["json", "ubj"])
@pytest.mark.parametrize("name", XGBOOST)
def test_xgboost(shared, name, ending):
    parameters, target, data = XGBOOST[name]
    booster = xgb.train(XGB | parameters, xgb.DMatrix(X, target, **data), 10)
    rows = xgb.DMatrix(ROWS, **data)
    answers = {"predict": booster.predict(rows), "raw": booster.predict(rows, output_margin=True)}
    if name != "linear":
        answers["leaf"] = booster.predict(rows, pred_leaf=True)
    shared.publish(f"xgboost_{name}_{ending}", 1, booster, file=f"model.{ending}", dump=lambda model, path: model.save_model(path))
    check(shared, f"xgboost_{name}_{ending}", answers, SINGLE)
    if name == "targets":  # The library has no contributions of such trees before 3.4.
        return
    contributions = booster.predict(rows, pred_contribs=True)
    got = shared.client.arrays(f"xgboost_{name}_{ending}", ROWS, "contributions")["outputs"]
    np.testing.assert_allclose(got.reshape(-1), contributions.reshape(-1), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", LIGHTGBM)
def test_lightgbm(shared, name):
    parameters, target, data = LIGHTGBM[name]
    booster = lgb.train(LGB | parameters, lgb.Dataset(X, target, params={"verbose": -1}, **data), 10)
    answers = {
        "predict": booster.predict(ROWS), "raw": booster.predict(ROWS, raw_score=True), "leaf": booster.predict(ROWS, pred_leaf=True),
    }
    if name != "linear":
        answers["contributions"] = booster.predict(ROWS, pred_contrib=True)
    shared.publish(f"lightgbm_{name}", 1, booster, file="model.txt", dump=lambda model, path: model.save_model(path))
    check(shared, f"lightgbm_{name}", answers, DOUBLE)


@pytest.mark.parametrize("kind", ["XGBClassifier", "LGBMClassifier", "XGBRegressor", "LGBMRegressor"])
def test_wrappers_in_pickles(shared, kind):
    frame = pd.DataFrame(X[:, :4].astype("float64"), columns=["a", "b", "c", "d"])
    library = xgb if kind.startswith("XGB") else lgb
    estimator = getattr(library, kind)(n_estimators=10, n_jobs=1, **({} if library is xgb else {"verbose": -1}))
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), estimator).fit(frame, TWO if "Classifier" in kind else Y)
    name = f"wrapper_{kind}"
    shared.publish(name, 1, model)
    shared.client.wait_available(name, 1)
    rows = frame[:50]
    answer = shared.client.arrays(name, {column: rows[column].to_numpy() for column in rows}, "columns")
    tolerance = SINGLE if library is xgb else DOUBLE
    np.testing.assert_allclose(answer["predictions"], model.predict(rows), **tolerance)
    if "Classifier" in kind:
        np.testing.assert_allclose(answer["probabilities"], model.predict_proba(rows), **tolerance)
