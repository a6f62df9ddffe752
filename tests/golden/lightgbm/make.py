"""Makes the golden files of the LightGBM engine: trained boosters and what they answer.

    python make.py OUT_FOLDER
    python make.py OUT_FOLDER --corpus

Run once per version of LightGBM, each in an environment of its own: 3.1.1, 3.3.5 and 4.1.0
with numpy 1, 4.7.0 with numpy 2. Writes OUT_FOLDER/lightgbm-<version>.json; `--corpus`
writes seeds for the fuzz target. Data and training are seeded. The file is as that of
../xgboost/make.py.
"""

import base64
import json
import math
import os
import sys
import warnings

import lightgbm as lgb
import numpy as np

warnings.simplefilter("ignore")
VERSION = tuple(int(part) for part in lgb.__version__.split(".")[:2])
SEED = 20261125
rng = np.random.RandomState(SEED)
ROWS, FEATURES = 150, 4
X = rng.normal(size=(ROWS, FEATURES))
X[:, 3] = rng.randint(0, 50, ROWS)
HOLES = X.copy()
HOLES[rng.rand(ROWS, FEATURES) < 0.1] = np.nan
ZEROS = np.where(rng.rand(ROWS, FEATURES) < 0.3, 0.0, X)
Y = X @ [1.5, -0.7, 2.0, 0.02] + 0.3 * rng.normal(size=ROWS)
TWO = (Y > np.median(Y)).astype(int)
THREE = np.digitize(Y, np.quantile(Y, [0.33, 0.66]))
POSITIVE = np.exp(0.3 * Y)
SHARE = 1 / (1 + np.exp(-Y))
JUMPS = Y + 3.0 * (X[:, 3] % 3)
# What is asked: rows of its own, some of them odd.
ASK = rng.normal(size=(16, FEATURES))
ASK[:, 3] = [0, 1, 2, 3, 5, 7, 31, 32, 49, -1, -0.5, 2.5, 1e9, np.nan, 1e300, -1e300]
ASK[3] = np.nan
ASK[4, 0] = np.nan
ASK[5] = 0.0
ASK[6, :3] = [1e-36, -1e-36, 1e-34]
ASK[7, :3] = [np.inf, -np.inf, 1e300]
ASK[8] = X[8]
INPUTS = {"ask": ASK, "finite": np.nan_to_num(ASK, nan=0.5, posinf=3.0, neginf=-3.0).clip(-50, 50)}


def cases():
    common = {"num_leaves": 7, "min_data_in_leaf": 5, "verbose": -1, "seed": 1, "num_threads": 1, "learning_rate": 0.3}
    for objective, target in [
        ("regression", Y), ("regression_l1", Y), ("huber", Y), ("fair", Y), ("poisson", POSITIVE), ("quantile", Y),
        ("mape", POSITIVE), ("gamma", POSITIVE), ("tweedie", POSITIVE), ("binary", TWO), ("multiclass", THREE),
        ("multiclassova", THREE), ("cross_entropy", SHARE), ("cross_entropy_lambda", SHARE), ("lambdarank", TWO), ("rank_xendcg", TWO),
    ]:
        extra = {"num_class": 3} if objective.startswith("multiclass") else {}
        yield objective, dict(common, objective=objective, **extra), X, target, {}
    yield "sqrt", dict(common, objective="regression", reg_sqrt=True), X, Y, {}
    yield "sigmoid", dict(common, objective="binary", sigmoid=0.4), X, TWO, {}
    yield "sigmoid_ova", dict(common, objective="multiclassova", num_class=3, sigmoid=0.4), X, THREE, {}
    yield "holes", dict(common, objective="regression"), HOLES, Y, {}
    yield "zero_as_missing", dict(common, objective="regression", zero_as_missing=True), ZEROS, Y, {}
    yield "no_missing", dict(common, objective="regression", use_missing=False), HOLES, Y, {}
    for name, data in [("categories", X), ("categories_holes", HOLES)]:
        options = {"categorical": [3]}
        yield name, dict(common, objective="regression", min_data_per_group=3, cat_smooth=1, max_cat_to_onehot=1), data, JUMPS, options
    yield "categories_onehot", dict(common, objective="binary", min_data_per_group=3, max_cat_to_onehot=100), X, TWO, {"categorical": [3]}
    rf = dict(common, boosting="rf", bagging_freq=1, bagging_fraction=0.6, feature_fraction=0.8)
    yield "rf", dict(rf, objective="regression"), X, Y, {}
    yield "rf_binary", dict(rf, objective="binary"), X, TWO, {}
    yield "rf_classes", dict(rf, objective="multiclass", num_class=3), X, THREE, {}
    yield "dart", dict(common, boosting="dart", drop_rate=0.7, objective="binary"), X, TWO, {"rounds": 6}
    yield "goss", dict(common, boosting="goss", objective="regression"), X, Y, {}
    yield "stump", dict(common, objective="regression", min_data_in_leaf=200), X, Y, {}
    yield "early_stopped", dict(common, objective="regression", learning_rate=1.5), X, Y, {"rounds": 20, "stop": True}
    yield "names", dict(common, objective="regression"), X, Y, {"names": ["age", "rooms", "r\u00e4ume", "zone"]}
    if VERSION >= (3, 3):
        yield "linear_tree", dict(common, objective="regression", linear_tree=True), X, Y, {"input": "ask"}
        yield "linear_holes", dict(common, objective="regression", linear_tree=True), HOLES, Y, {"input": "ask"}
        yield "linear_classes", dict(common, objective="multiclass", num_class=3, linear_tree=True), X, THREE, {"input": "finite"}
    yield "custom", dict(common), X, Y, {"custom": True}


def own_objective(predicted, data):
    return predicted - data.get_label(), np.ones_like(predicted)


def train(parameters, x, target, options):
    extra = {}
    if options.get("names"):
        extra["feature_name"] = options["names"]
    if options.get("categorical"):
        extra["categorical_feature"] = options["categorical"]
    data = lgb.Dataset(x, target, params={"verbose": -1}, **extra)
    if parameters.get("objective") in ("lambdarank", "rank_xendcg"):
        data.set_group([30] * 5)
    how = {}
    if options.get("stop"):
        other = lgb.Dataset(ASK[8:9], [1.0], reference=data)
        how["valid_sets"] = [other]
        if VERSION >= (3, 3):
            how["callbacks"] = [lgb.early_stopping(2, verbose=False)]
        else:
            how.update(early_stopping_rounds=2, verbose_eval=False)
    if options.get("custom"):
        if VERSION >= (4, 0):
            parameters = dict(parameters, objective=own_objective)
        else:
            how["fobj"] = own_objective
    return lgb.train(parameters, data, options.get("rounds", 4), **how)


def flat(array):
    values = [float(v) for v in np.asarray(array, dtype=np.float64).ravel()]
    return [None if math.isnan(v) else v if math.isfinite(v) else repr(v) for v in values]


def main():
    out = sys.argv[1]
    made = []
    for name, parameters, x, target, options in cases():
        booster = train(parameters, x, target, options)
        text = booster.model_to_string()
        booster = lgb.Booster(model_str=text)
        ask = INPUTS[options.get("input", "ask")]
        told = {}
        for answer, how in [
            ("predict", {}), ("raw", {"raw_score": True}), ("leaf", {"pred_leaf": True}), ("contributions", {"pred_contrib": True}),
        ]:
            try:
                told[answer] = flat(booster.predict(ask, **how))
            except lgb.basic.LightGBMError as error:
                print(f"  {name} has no {answer}: {error}")
        made.append({
            "name": name, "input": options.get("input", "ask"), "feature_names": options.get("names"), "answers": told,
            "file": "model.txt", "bytes": base64.b64encode(text.encode()).decode(),
        })
    if "--corpus" in sys.argv:
        for case in made:
            if case["name"] in ("categories", "linear_tree", "rf_classes", "zero_as_missing"):
                with open(os.path.join(out, f"{case['name']}-{lgb.__version__}.txt"), "wb") as file:
                    # The parameters of the training, which nobody reads, are most of it.
                    file.write(base64.b64decode(case["bytes"]).split(b"\nparameters:")[0])
        return
    inputs = {name: {"shape": list(x.shape), "values": flat(x)} for name, x in INPUTS.items()}
    provenance = {"lightgbm": lgb.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}
    with open(os.path.join(out, f"lightgbm-{lgb.__version__}.json"), "w") as file:
        json.dump({"provenance": provenance, "inputs": inputs, "cases": made}, file, indent=0)
        file.write("\n")
    print(f"{lgb.__version__}: {len(made)} cases")


main()
