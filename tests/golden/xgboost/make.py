"""Makes the golden files of the XGBoost engine: trained boosters and what they answer.

    python make.py OUT_FOLDER
    python make.py OUT_FOLDER --corpus

Run once per version of XGBoost, each in an environment of its own: 1.3.3 and 1.7.6 with
numpy 1, 2.1.4, and 3.4.1 with numpy 2. Writes OUT_FOLDER/xgboost-<version>.json; `--corpus`
writes seeds for the fuzz target. Data and training are seeded.

The file: {"provenance", "inputs": {name: {"shape", "values"}}, "cases": [{"name", "file":
name of the file, "bytes": base64 of it, "input", "feature_names", "answers": {"predict",
"raw", "leaf", "contributions"}: flat lists of what `Booster.predict` answers}]}. NaN is null.
What a version does not have is left out.
"""

import base64
import json
import math
import os
import pickle
import sys
import tempfile
import warnings

import numpy as np
import xgboost as xgb

warnings.simplefilter("ignore")
VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:2])
SEED = 20261125
rng = np.random.RandomState(SEED)
ROWS, FEATURES = 120, 4
X = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
X[:, 3] = rng.randint(0, 12, ROWS)
X[rng.rand(ROWS, FEATURES) < 0.1] = np.nan
FILLED = np.nan_to_num(X)
Y = FILLED @ [1.5, -0.7, 2.0, 0.1] + 0.3 * rng.normal(size=ROWS)
TWO = (Y > np.median(Y)).astype(int)
THREE = np.digitize(Y, np.quantile(Y, [0.33, 0.66]))
POSITIVE = np.exp(0.3 * Y)
SHARE = 1 / (1 + np.exp(-Y))
# What is asked: rows of its own, some of them odd.
ASK = rng.normal(size=(14, FEATURES)).astype(np.float32)
ASK[:, 3] = [0, 1, 2, 3, 5, 7, 11, 12, 40, -1, -0.5, 2.5, 1e9, np.nan]
ASK[3] = np.nan
ASK[4, 0] = np.nan
ASK[5] = X[5]
INPUTS = {"ask": ASK, "three": ASK[:, :3]}


def cases():
    tree = {"max_depth": 3, "eta": 0.4, "seed": 1, "nthread": 1, "tree_method": "hist" if VERSION >= (1, 5) else "exact"}
    for objective, target in [
        ("reg:squarederror", Y), ("reg:squaredlogerror", POSITIVE), ("reg:pseudohubererror", Y),
        ("reg:logistic", SHARE), ("binary:logistic", TWO), ("binary:logitraw", TWO), ("binary:hinge", TWO),
        ("count:poisson", np.floor(POSITIVE)), ("reg:gamma", POSITIVE), ("reg:tweedie", POSITIVE),
        ("survival:cox", np.where(TWO, POSITIVE, -POSITIVE)), ("survival:aft", POSITIVE),
        ("rank:pairwise", TWO), ("rank:ndcg", TWO), ("rank:map", TWO),
        ("reg:absoluteerror", Y), ("reg:quantileerror", Y), ("reg:expectileerror", Y),
        ("multi:softmax", THREE), ("multi:softprob", THREE),
    ]:
        extra = {"num_class": 3} if objective.startswith("multi:") else {}
        if objective == "reg:quantileerror":
            extra = {"quantile_alpha": [0.2, 0.5, 0.9]}
        if objective == "reg:expectileerror":
            extra = {"expectile_alpha": [0.2, 0.8]}
        yield objective, dict(tree, objective=objective, **extra), target, {}
    yield "base_score", dict(tree, objective="binary:logistic", base_score=0.8), TWO, {}
    yield "no_rounds", dict(tree, objective="reg:squarederror", base_score=2.5), Y, {"rounds": 0}
    yield "dart", dict(tree, booster="dart", rate_drop=0.6, one_drop=1), Y, {"rounds": 6}
    yield "dart_classes", dict(tree, booster="dart", objective="multi:softprob", num_class=3, rate_drop=0.6), THREE, {}
    yield "linear", {"booster": "gblinear", "eta": 0.4, "updater": "coord_descent"}, Y, {}
    yield "linear_classes", {"booster": "gblinear", "objective": "multi:softprob", "num_class": 3, "updater": "coord_descent"}, THREE, {}
    yield "forest", dict(tree, num_parallel_tree=4, subsample=0.5, objective="binary:logistic"), TWO, {"rounds": 2}
    yield "names", dict(tree), Y, {"names": ["age", "rooms", "r\u00e4ume", "zone"]}
    yield "three_features", dict(tree, max_depth=6), Y, {"input": "three", "rounds": 5}
    yield "early_stopped", dict(tree, eta=1.0), Y, {"rounds": 8, "stop": True}
    yield "pruned", dict(tree, tree_method="exact", gamma=20.0, max_depth=6), Y, {}
    if VERSION >= (1, 6):
        yield "targets", dict(tree), np.c_[Y, POSITIVE], {}
        for onehot in [1, 100]:
            yield f"categories_{onehot}", dict(tree, max_cat_to_onehot=onehot, max_depth=5), Y + 3 * (FILLED[:, 3] % 3), {"categories": True}
    if VERSION >= (2, 0):
        yield "multi_output_tree", dict(tree, multi_strategy="multi_output_tree"), np.c_[Y, POSITIVE, -Y], {"unexplained": True}
        yield "multi_output_classes", dict(tree, multi_strategy="multi_output_tree", objective="multi:softprob", num_class=3), THREE, {"unexplained": True}


def train(parameters, target, options):
    matrix = xgb.DMatrix(X[:, :3] if options.get("input") == "three" else X, target, feature_names=options.get("names"))
    if parameters.get("objective") == "survival:aft":
        matrix.set_float_info("label_lower_bound", target)
        matrix.set_float_info("label_upper_bound", target * 1.5)
    if str(parameters.get("objective", "")).startswith("rank:"):
        matrix.set_group([ROWS // 4] * 4)
    if options.get("categories"):
        types = {"feature_types": ["float", "float", "float", "c"], "enable_categorical": True}
        matrix = xgb.DMatrix(X, target, **types)
    extra = {}
    if options.get("stop"):
        extra = {"evals": [(xgb.DMatrix(ASK, np.arange(14.0)), "other")], "early_stopping_rounds": 2, "verbose_eval": False}
    return xgb.train(parameters, matrix, options.get("rounds", 3), **extra)


def flat(array):
    values = [float(v) for v in np.asarray(array, dtype=np.float64).ravel()]
    return [None if math.isnan(v) else v if math.isfinite(v) else repr(v) for v in values]


def answers(booster, options):
    ask = INPUTS[options.get("input", "ask")]
    types = {"feature_types": ["float", "float", "float", "c"], "enable_categorical": True} if options.get("categories") else {}
    matrix = xgb.DMatrix(ask, feature_names=options.get("names"), **types)
    made = {}
    # Files of 2.x do not say how many rows came by the nodes of such trees, and it answers nonsense.
    unexplained = VERSION < (3, 0) and options.get("unexplained")
    for name, how in [
        ("predict", {}), ("raw", {"output_margin": True}), ("leaf", {"pred_leaf": True}), ("contributions", {"pred_contribs": True}),
    ]:
        if name == "contributions" and unexplained:
            continue
        try:
            made[name] = flat(booster.predict(matrix, **how))
        except (xgb.core.XGBoostError, ValueError) as error:
            print(f"  no {name}: {str(error).splitlines()[0][:150]}")
    return made


def saved(booster, ending):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model." + ending)
        booster.save_model(path)
        with open(path, "rb") as file:
            return file.read()


def main():
    out = sys.argv[1]
    made = []
    for name, parameters, target, options in cases():
        try:
            booster = train(parameters, target, options)
        except (xgb.core.XGBoostError, ValueError) as error:
            print(f"{name}: {str(error).splitlines()[0][:150]}")
            continue
        # What a model answers is what a fresh process reads from the file.
        file = saved(booster, "json")
        booster = xgb.Booster()
        with tempfile.NamedTemporaryFile(suffix=".json") as temporary:
            temporary.write(file)
            temporary.flush()
            booster.load_model(temporary.name)
        told = answers(booster, options)
        case = {"name": name, "input": options.get("input", "ask"), "feature_names": options.get("names") if VERSION >= (1, 4) else None, "answers": told}
        made.append({**case, "file": "model.json", "bytes": base64.b64encode(file).decode()})
        if VERSION >= (1, 6) and name in ("reg:squarederror", "dart", "categories_1", "multi_output_tree", "linear", "names", "multi:softprob"):
            made.append({**case, "file": "model.ubj", "bytes": base64.b64encode(saved(booster, "ubj")).decode()})
        if name in ("binary:logistic", "names"):
            state = booster.__getstate__()["handle"]
            # What a pickle holds is read whatever its name.
            ending = "json" if bytes(state[1:2]) == b'"' else "ubj"
            made.append({**case, "name": name + "_pickled", "file": "model." + ending, "bytes": base64.b64encode(bytes(state)).decode()})
    if "--corpus" in sys.argv:
        for case in made:
            if case["name"] in ("dart", "linear", "categories_1", "names_pickled") or case["name"].startswith("multi"):
                name = case["name"].replace(":", "_") + "-" + xgb.__version__ + os.path.splitext(case["file"])[1]
                with open(os.path.join(out, name), "wb") as file:
                    file.write(base64.b64decode(case["bytes"]))
        return
    inputs = {name: {"shape": list(x.shape), "values": flat(x)} for name, x in INPUTS.items()}
    provenance = {"xgboost": xgb.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}
    with open(os.path.join(out, f"xgboost-{xgb.__version__}.json"), "w") as file:
        json.dump({"provenance": provenance, "inputs": inputs, "cases": made}, file, indent=0)
        file.write("\n")
    print(f"{xgb.__version__}: {len(made)} cases")


main()
