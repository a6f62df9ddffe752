"""Makes the golden files of the scikit-learn engine: fitted models and what they answer.

    python make.py OUT_FOLDER [--all] [--trees]
    python make.py OUT_FOLDER --refused
    python make.py OUT_FOLDER --corpus

Run once per scikit-learn version, each in an environment of its own (README.md
lists them); writes OUT_FOLDER/sklearn-<version>.json, or with `--trees` the trees and
ensembles, OUT_FOLDER/trees-<version>.json. `--all` writes every case, otherwise each
class once; `--refused` writes refused.json, files that must
not load: {"cases": [{"name", "file"}]}, and shared.pkl, in which one scaler stands
twice; `--corpus` writes seeds for the fuzz target. Data and fits are seeded, so a second run gives
the same answers up to the last bits of the solvers.

The file: {"provenance": {...}, "inputs": {name: array}, "cases": [{"name",
"class", "container", "file": base64 of the dump, "input": name of the input,
"refuses": name of an input that holds NaN and is refused, or null, "n_features", "feature_names": [..] or null, "methods": {method: array}}]}.
An array is {"dtype", "shape", "values"}, values flat and row-major, floats as
shortest round-trip decimals or "nan", "inf", "-inf".
"""

import base64
import io
import json
import math
import pickle
import platform
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import scipy
import sklearn
if sklearn.__version__.startswith("0."):
    from sklearn.experimental import enable_hist_gradient_boosting  # noqa: F401
from sklearn.ensemble import *  # noqa: F403
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.feature_selection import RFE
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import *  # noqa: F403
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OutputCodeClassifier
from sklearn.multioutput import RegressorChain
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC, LinearSVR
from sklearn.tree import *  # noqa: F403

SEED = 20261123
VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
# Old versions have fewer classes; a case of an absent one is left out.
for absent in ("QuantileRegressor", "SGDOneClassSVM", "PoissonRegressor", "GammaRegressor", "TweedieRegressor"):
    globals().setdefault(absent, None)
METHODS = (
    "predict", "predict_proba", "predict_log_proba", "decision_function",
    "transform", "inverse_transform", "score_samples", "apply", "kneighbors",
)
LOG_LOSS = "log" if VERSION < (1, 1) else "log_loss"

rng = np.random.RandomState(SEED)
ROWS, FEATURES = 36, 3
X = rng.normal(size=(ROWS, FEATURES)) * [1.0, 3.0, 0.5] + [0.0, 1.0, -2.0]
W = np.array([1.5, -0.7, 2.0])
Y = X @ W + 0.5 + 0.3 * rng.normal(size=ROWS)
Y_MANY = np.c_[Y, X @ [0.3, 1.1, -0.4] + 0.2 * rng.normal(size=ROWS)]
Y_POSITIVE = np.exp(0.2 * Y - 0.5)
THREE = np.digitize(Y, np.quantile(Y, [0.33, 0.66]))
TWO = (Y > np.median(Y)).astype(int)
LABELS = {
    "two": TWO,
    "two_negative": TWO * 2 - 1,
    "two_float": TWO * 2.0 + 1.0,
    "two_bool": TWO.astype(bool),
    "two_str": np.array(["no", "yes"])[TWO],
    "two_object": np.array(["nein", "ja, äh"], dtype=object)[TWO],
    "two_int32": TWO.astype(np.int32),
    "three": THREE,
    "three_apart": np.array([7, -3, 40])[THREE],
    "three_float": np.array([-1.0, 3.0, 8.0])[THREE],
    "three_str": np.array(["rot", "gelb", "grün"])[THREE],
    "three_object": np.array(["a", "bb", "ccc"], dtype=object)[THREE],
    "multilabel": np.c_[TWO, THREE > 0, X[:, 1] > 1].astype(int),
}
FRAME = pd.DataFrame(X, columns=["alpha", "beta two", "γ"])
INPUTS = {
    "x": np.round(rng.normal(size=(3, FEATURES)) * [1.0, 3.0, 0.5] + [0.0, 1.0, -2.0], 3),
    "one": np.round(rng.normal(size=(4, 1)), 3),
    # Far away, so that sigmoids saturate and scalers clip.
    "far": np.array([[60.0, -40.0, 9.0], [-700.0, 3.0, 0.5], [1e9, -1e9, 1e3]]),
    "missing": np.array([[1.0, np.nan, 0.25], [np.nan, np.nan, np.nan], [-2.5, 4.0, np.nan]]),
}
# Enough rows for trees to be walked by many at once, and a remainder.
INPUTS["close"] = (0.1 * (1 + np.arange(12) * 1.3e-7))[:, None]
INPUTS["many"] = np.round(rng.normal(size=(11, FEATURES)) * [1.0, 3.0, 0.5] + [0.0, 1.0, -2.0], 3)
# The second column is one of five categories; rows to ask about have strange and missing ones, too.
FIVE = np.array([0.0, 2.0, 3.0, 7.0, 9.0])
WITH_CATEGORIES = np.c_[X[:, 0], FIVE[np.arange(ROWS) % 5], X[:, 2]]
Y_CATEGORIES = np.array([3.0, -1.0, 0.5, 2.0, -4.0])[np.arange(ROWS) % 5] + X[:, 0]
INPUTS["categories"] = np.array([[0.1, v, -2.0] for v in (0, 2, 3, 7, 9, 1, 8, 200, np.nan)] + [[np.nan, 3, np.nan]])
INPUTS["infinite"] = np.array([[np.inf, -np.inf, np.nan], [1e300, -1e300, 0.0]])
HOLEY = np.where(X > 1.5, np.nan, X)

CASES = []


def case(name, make, y=None, x=X, given="x", core=False, then=None):
    """One model. `core` cases are written for every version; `then` is done to the fitted one."""
    CASES.append((name, make, y, x, given, core, then))


def regressors():
    least_squares = {
        "LinearRegression": {}, "Ridge": {}, "RidgeCV": {}, "Lasso": {"alpha": 0.05},
        "LassoCV": {"alphas": [0.1, 0.01], "cv": 2}, "ElasticNet": {"alpha": 0.05},
        "ElasticNetCV": {"alphas": [0.1, 0.01], "cv": 2}, "Lars": {}, "LarsCV": {"cv": 2},
        "LassoLars": {"alpha": 0.01}, "LassoLarsCV": {"cv": 2}, "LassoLarsIC": {},
        "OrthogonalMatchingPursuit": {}, "OrthogonalMatchingPursuitCV": {"cv": 2},
        "BayesianRidge": {}, "ARDRegression": {}, "HuberRegressor": {},
        "TheilSenRegressor": {"random_state": 0}, "SGDRegressor": {"random_state": 0},
        "PassiveAggressiveRegressor": {"random_state": 0},
        "QuantileRegressor": {"alpha": 0.01, "solver": "highs"},
    }
    for name, options in least_squares.items():
        cls = globals()[name]
        case(f"{name}", lambda cls=cls, o=options: cls(**o), Y, core=True)
        if name != "PassiveAggressiveRegressor":
            case(f"{name} without intercept", lambda cls=cls, o=options: cls(**o, fit_intercept=False), Y)
    for name in ("LinearRegression", "Ridge", "RidgeCV", "Lasso", "ElasticNet", "Lars", "LassoLars",
                 "OrthogonalMatchingPursuit"):
        cls, options = globals()[name], least_squares[name]
        case(f"{name} of two targets", lambda cls=cls, o=options: cls(**o), Y_MANY)
        case(f"{name} of one column", lambda cls=cls, o=options: cls(**o), Y[:, None])
    case("LinearRegression of two targets without intercept",
         lambda: LinearRegression(fit_intercept=False), Y_MANY)
    case("LinearRegression positive", lambda: LinearRegression(positive=True), Y)
    case("LinearRegression of one feature", lambda: LinearRegression(), Y, x=X[:, :1], given="one")
    case("LinearRegression on a frame", lambda: LinearRegression(), Y, x=FRAME, core=True)
    case("LinearRegression of float32", lambda: LinearRegression(), Y.astype(np.float32),
         x=X.astype(np.float32))
    case("LinearRegression of integers", lambda: LinearRegression(), np.round(Y).astype(int),
         x=np.round(X * 10).astype(int))
    case("LinearRegression far away", lambda: LinearRegression(), Y, given="far")
    case("Ridge of many alphas", lambda: Ridge(alpha=[0.1, 2.0]), Y_MANY)
    case("Lasso positive, float32", lambda: Lasso(alpha=0.01, positive=True), Y.astype(np.float32),
         x=X.astype(np.float32))
    for loss in ("huber", "epsilon_insensitive", "squared_epsilon_insensitive"):
        case(f"SGDRegressor {loss}", lambda loss=loss: SGDRegressor(loss=loss, random_state=0), Y)
    case("SGDRegressor averaged", lambda: SGDRegressor(average=True, random_state=0), Y)
    case("LinearSVR", lambda: LinearSVR(random_state=0, max_iter=20000), Y, core=True)
    case("LinearSVR without intercept", lambda: LinearSVR(random_state=0, fit_intercept=False, max_iter=20000), Y)
    for name, options in {
        "MultiTaskLasso": {"alpha": 0.05}, "MultiTaskElasticNet": {"alpha": 0.05},
        "MultiTaskLassoCV": {"alphas": [0.1, 0.01], "cv": 2},
        "MultiTaskElasticNetCV": {"alphas": [0.1, 0.01], "cv": 2},
    }.items():
        cls = globals()[name]
        case(name, lambda cls=cls, o=options: cls(**o), Y_MANY, core=True)
        case(f"{name} without intercept", lambda cls=cls, o=options: cls(**o, fit_intercept=False), Y_MANY)
    for name in ("PoissonRegressor", "GammaRegressor", "TweedieRegressor"):
        cls = globals()[name]
        case(name, lambda cls=cls: cls(), Y_POSITIVE, core=True)
        case(f"{name} without intercept", lambda cls=cls: cls(fit_intercept=False), Y_POSITIVE)
    case("PoissonRegressor far away", lambda: PoissonRegressor(), Y_POSITIVE, given="far")
    for power, link in ((0, "auto"), (0, "log"), (1, "auto"), (1.5, "auto"), (2, "log"), (1.5, "identity"), (3, "auto")):
        case(f"TweedieRegressor power {power} link {link}",
             lambda power=power, link=link: TweedieRegressor(power=power, link=link, alpha=0.1),
             Y_POSITIVE, core=(power, link) in ((0, "auto"), (1.5, "auto"), (0, "log")))
    case("RANSACRegressor", lambda: RANSACRegressor(random_state=0), Y, core=True)
    case("RANSACRegressor of Ridge, two targets",
         lambda: RANSACRegressor(Ridge(), min_samples=8, random_state=0), Y_MANY)


def classifiers():
    plain = {
        "LogisticRegression": {}, "LogisticRegressionCV": {"Cs": [0.1, 1.0], "cv": 2},
        "SGDClassifier": {"random_state": 0}, "Perceptron": {"random_state": 0},
        "PassiveAggressiveClassifier": {"random_state": 0}, "RidgeClassifier": {},
        "RidgeClassifierCV": {}, "LinearSVC": {"random_state": 0, "max_iter": 20000},
    }
    for name, options in plain.items():
        cls = globals()[name]
        for labels in ("two", "three"):
            case(f"{name} {labels}", lambda cls=cls, o=options: cls(**o), LABELS[labels], core=True)
        for labels in ("two_str", "three_str", "three_apart"):
            case(f"{name} {labels}", lambda cls=cls, o=options: cls(**o), LABELS[labels])
        if name != "PassiveAggressiveClassifier":
            case(f"{name} without intercept",
                 lambda cls=cls, o=options: cls(**o, fit_intercept=False), LABELS["three"])
    for labels in ("two_negative", "two_float", "two_bool", "two_object", "two_int32", "three_float",
                   "three_object"):
        case(f"LogisticRegression {labels}", lambda: LogisticRegression(), LABELS[labels],
             core=labels in ("two_bool", "three_object"))
        case(f"RidgeClassifier {labels}", lambda: RidgeClassifier(), LABELS[labels])
    for solver in ("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"):
        for labels in ("two", "three"):
            case(f"LogisticRegression {solver} {labels}",
                 lambda solver=solver: LogisticRegression(solver=solver, random_state=0, max_iter=500),
                 LABELS[labels], core=(solver, labels) in (("liblinear", "three"), ("newton-cholesky", "three")))
    for way in ("ovr", "multinomial", "auto"):
        for labels in ("two", "three"):
            case(f"LogisticRegression {way} {labels}",
                 lambda way=way: LogisticRegression(multi_class=way), LABELS[labels], core=way != "auto")
            case(f"LogisticRegressionCV {way} {labels}",
                 lambda way=way: LogisticRegressionCV(multi_class=way, Cs=[0.1, 1.0], cv=2), LABELS[labels])
    for labels in ("two", "three"):
        case(f"LogisticRegression far away {labels}", lambda: LogisticRegression(), LABELS[labels], given="far",
             core=True)
        case(f"SGDClassifier {LOG_LOSS} far away {labels}",
             lambda: SGDClassifier(loss=LOG_LOSS, random_state=0), LABELS[labels], given="far")
        case(f"SGDClassifier modified_huber far away {labels}",
             lambda: SGDClassifier(loss="modified_huber", random_state=0), LABELS[labels], given="far")
    case("LogisticRegression ovr far away", lambda: LogisticRegression(multi_class="ovr"),
         LABELS["three"], given="far")
    for loss in (LOG_LOSS, "modified_huber"):
        # No class wants any row: what a sum of zero is normalised to has changed over the versions.
        case(f"SGDClassifier {loss} without a winner", lambda loss=loss: SGDClassifier(loss=loss, random_state=0),
             LABELS["three"], core=True, then=lambda model: setattr(model, "intercept_", model.intercept_ - 1e4))
    case("LogisticRegression l1 saga", lambda: LogisticRegression(
        penalty="l1", solver="saga", C=0.5, max_iter=500, random_state=0), LABELS["three"])
    case("LogisticRegression of one feature", lambda: LogisticRegression(), LABELS["three"], x=X[:, :1], given="one")
    case("LogisticRegression on a frame", lambda: LogisticRegression(), LABELS["three_str"], x=FRAME, core=True)
    case("LogisticRegression of float32", lambda: LogisticRegression(), LABELS["three"], x=X.astype(np.float32))
    for loss in ("hinge", LOG_LOSS, "modified_huber", "squared_hinge", "perceptron", "squared_error", "huber",
                 "epsilon_insensitive", "squared_epsilon_insensitive"):
        for labels in ("two", "three"):
            case(f"SGDClassifier {loss} {labels}",
                 lambda loss=loss: SGDClassifier(loss=loss, random_state=0), LABELS[labels],
                 core=loss in (LOG_LOSS, "modified_huber"))
    case("SGDClassifier averaged", lambda: SGDClassifier(loss=LOG_LOSS, average=True, random_state=0), LABELS["two"])
    case("LinearSVC crammer_singer", lambda: LinearSVC(
        multi_class="crammer_singer", random_state=0, max_iter=20000), LABELS["three"])
    case("LinearSVC crammer_singer two", lambda: LinearSVC(
        multi_class="crammer_singer", random_state=0, max_iter=20000), LABELS["two"])
    for cls in (RidgeClassifier, RidgeClassifierCV):
        case(f"{cls.__name__} multilabel", lambda cls=cls: cls(), LABELS["multilabel"], core=True)
    case("SGDOneClassSVM", lambda: SGDOneClassSVM(random_state=0), core=True)
    case("SGDOneClassSVM without intercept", lambda: SGDOneClassSVM(fit_intercept=False, nu=0.2, random_state=0))


def transformers():
    case("StandardScaler", lambda: StandardScaler(), core=True)
    for mean in (True, False):
        for std in (True, False):
            case(f"StandardScaler mean {mean} std {std}",
                 lambda mean=mean, std=std: StandardScaler(with_mean=mean, with_std=std))
    case("StandardScaler of missing values", lambda: StandardScaler(), x=np.where(X > 2.5, np.nan, X), given="missing",
         core=True)
    case("StandardScaler of a constant column", lambda: StandardScaler(), x=np.c_[X[:, :2], np.full(ROWS, 4.0)])
    case("StandardScaler on a frame", lambda: StandardScaler(), x=FRAME, core=True)
    case("StandardScaler of float32", lambda: StandardScaler(), x=X.astype(np.float32))
    case("StandardScaler set_output", lambda: StandardScaler().set_output(transform="pandas"), x=FRAME)
    case("MinMaxScaler", lambda: MinMaxScaler(), core=True)
    case("MinMaxScaler -1 to 2, clipped", lambda: MinMaxScaler(feature_range=(-1, 2), clip=True), given="far", core=True)
    case("MinMaxScaler -1.5 to 2.25", lambda: MinMaxScaler(feature_range=(-1.5, 2.25)), given="far")
    case("MinMaxScaler of missing values, clipped", lambda: MinMaxScaler(clip=True), given="missing")
    case("MinMaxScaler of a constant column", lambda: MinMaxScaler(), x=np.c_[X[:, :2], np.full(ROWS, 4.0)])


def pipelines():
    case("Pipeline of scaler and regression", lambda: make_pipeline(StandardScaler(), LinearRegression()), Y, core=True)
    case("Pipeline of scaler and classifier", lambda: Pipeline(
        [("scale", MinMaxScaler(clip=True)), ("clf", LogisticRegression())]), LABELS["three_str"], core=True)
    case("Pipeline of two scalers and sgd", lambda: make_pipeline(
        StandardScaler(), MinMaxScaler((-1, 1)), SGDClassifier(loss="modified_huber", random_state=0)), LABELS["two_bool"])
    case("Pipeline on a frame", lambda: make_pipeline(StandardScaler(), LogisticRegression()), LABELS["two"], x=FRAME,
         core=True)
    case("Pipeline of one step", lambda: make_pipeline(Ridge()), Y)
    case("Pipeline of scalers", lambda: make_pipeline(StandardScaler(), MinMaxScaler()), core=True)
    case("Pipeline within a pipeline", lambda: make_pipeline(
        make_pipeline(StandardScaler(), MinMaxScaler()), make_pipeline(StandardScaler(), Lasso(alpha=0.01))), Y, core=True)
    case("Pipeline with passthrough", lambda: Pipeline(
        [("a", "passthrough"), ("b", StandardScaler()), ("c", "passthrough"), ("d", LogisticRegression())]),
        LABELS["three"], core=True)
    case("Pipeline with None", lambda: Pipeline([("a", StandardScaler()), ("b", None), ("c", Ridge())]), Y)
    case("Pipeline ending in passthrough", lambda: Pipeline(
        [("a", StandardScaler()), ("b", "passthrough")]), core=True)
    case("Pipeline with missing values", lambda: make_pipeline(StandardScaler(), MinMaxScaler()), given="missing")
    shared = StandardScaler()
    case("Pipeline of one scaler twice", lambda: Pipeline([("a", shared), ("b", shared), ("c", Ridge())]), Y)
    case("Pipeline of one-class", lambda: make_pipeline(StandardScaler(), SGDOneClassSVM(random_state=0)))
    case("Pipeline of poisson", lambda: make_pipeline(StandardScaler(), PoissonRegressor()), Y_POSITIVE)
    case("Pipeline of multilabel", lambda: make_pipeline(StandardScaler(), RidgeClassifier()), LABELS["multilabel"])


def trees():
    absolute = "mae" if VERSION < (1, 0) else "absolute_error"
    for name, options in {"DecisionTree": {}, "ExtraTree": {"random_state": 0}}.items():
        classifier, regressor = globals()[f"{name}Classifier"], globals()[f"{name}Regressor"]
        small = {"max_depth": 3, "random_state": 0}
        for labels in ("two", "three"):
            case(f"{name}Classifier {labels}", lambda c=classifier, o=small: c(**o), LABELS[labels], given="many",
                 core=labels == "three")
        case(f"{name}Regressor", lambda c=regressor, o=small: c(**o), Y, given="many", core=True)
        case(f"{name}Regressor of two targets", lambda c=regressor, o=small: c(**o), Y_MANY, given="many", core=True)
        case(f"{name}Regressor of one column", lambda c=regressor, o=small: c(**o), Y[:, None], given="many")
        case(f"{name}Classifier multilabel", lambda c=classifier, o=small: c(**o), LABELS["multilabel"], given="many",
             core=True)
        case(f"{name}Classifier of missing values", lambda c=classifier, o=small: c(**o), THREE, x=HOLEY,
             given="missing", core=True)
        case(f"{name}Regressor of missing values", lambda c=regressor, o=small: c(**o), Y, x=HOLEY,
             given="missing", core=True)
        case(f"{name}Regressor given missing values", lambda c=regressor, o=small: c(**o), Y, given="missing",
             core=True)
    small = {"max_depth": 3, "random_state": 0}
    for labels in ("two_str", "two_bool", "three_float", "three_object", "three_apart"):
        case(f"DecisionTreeClassifier {labels}", lambda: DecisionTreeClassifier(**small), LABELS[labels], given="many")
    case("DecisionTreeClassifier of two columns of text", lambda: DecisionTreeClassifier(**small),
         np.c_[LABELS["two_str"], LABELS["three_str"]], given="many", core=True)
    case("DecisionTreeClassifier by class weights", lambda: DecisionTreeClassifier(
        class_weight={0: 0.3, 1: 1.7, 2: 1.1}, criterion="entropy", max_depth=2), THREE, given="many", core=True)
    case("DecisionTreeClassifier best first", lambda: DecisionTreeClassifier(max_leaf_nodes=6, random_state=1), THREE,
         given="many", core=True)
    case("DecisionTreeClassifier random splitter", lambda: DecisionTreeClassifier(splitter="random", **small), THREE,
         given="many")
    case("DecisionTreeClassifier pruned", lambda: DecisionTreeClassifier(ccp_alpha=0.05, random_state=0), THREE, given="many")
    case("DecisionTreeClassifier on a frame", lambda: DecisionTreeClassifier(**small), LABELS["three_str"], x=FRAME,
         given="many", core=True)
    case("DecisionTreeClassifier far away", lambda: DecisionTreeClassifier(**small), THREE, given="far")
    case("DecisionTreeClassifier monotonic", lambda: DecisionTreeClassifier(monotonic_cst=[1, 0, 0], **small), TWO,
         given="many")
    case("DecisionTreeRegressor absolute error", lambda: DecisionTreeRegressor(criterion=absolute, **small), Y, given="many")
    case("DecisionTreeRegressor poisson", lambda: DecisionTreeRegressor(criterion="poisson", **small), Y_POSITIVE,
         given="many")
    case("DecisionTreeRegressor of one leaf", lambda: DecisionTreeRegressor(), np.full(ROWS, 2.5), given="many", core=True)
    case("DecisionTreeRegressor of one feature", lambda: DecisionTreeRegressor(**small), Y, x=X[:, :1], given="one")
    case("DecisionTreeRegressor between floats", lambda: DecisionTreeRegressor(max_depth=4),
         np.arange(8.0), x=np.nextafter(np.float32(0.1), np.float32(1)) * (1 + np.arange(8)[:, None] * 2e-7),
         given="close", core=True)


def forests():
    few = {"n_estimators": 3, "max_depth": 2, "random_state": 0}
    many = {"n_estimators": 19, "max_depth": 2, "random_state": 0}
    for name in ("RandomForest", "ExtraTrees"):
        classifier, regressor = globals()[f"{name}Classifier"], globals()[f"{name}Regressor"]
        case(f"{name}Classifier", lambda c=classifier: c(**few), THREE, given="many", core=True)
        case(f"{name}Regressor", lambda c=regressor: c(**few), Y, given="many", core=True)
        case(f"{name}Classifier of many trees", lambda c=classifier: c(**many), LABELS["two_str"], given="many")
        case(f"{name}Regressor of many trees", lambda c=regressor: c(**many), Y)
        case(f"{name}Classifier multilabel", lambda c=classifier: c(**few), LABELS["multilabel"], given="many")
        case(f"{name}Regressor of two targets", lambda c=regressor: c(**few), Y_MANY, given="many")
        case(f"{name}Classifier on a frame", lambda c=classifier: c(**few), LABELS["three_str"], x=FRAME, given="many")
        case(f"{name}Classifier of missing values", lambda c=classifier: c(**few), THREE, x=HOLEY, given="missing",
             core=name == "RandomForest")
        case(f"{name}Regressor given missing values", lambda c=regressor: c(**few), Y, given="missing", core=True)
    case("RandomForestClassifier balanced", lambda: RandomForestClassifier(class_weight="balanced_subsample", **few),
         THREE, given="many")
    case("Pipeline of scaler and forest", lambda: make_pipeline(StandardScaler(), RandomForestClassifier(**few)), THREE,
         given="many")


def isolation():
    few = {"n_estimators": 3, "max_samples": 12, "random_state": 0}
    case("IsolationForest", lambda: IsolationForest(**few), given="many", core=True)
    case("IsolationForest of two columns each", lambda: IsolationForest(max_features=2, contamination=0.2, **few), given="many")
    case("IsolationForest given missing values", lambda: IsolationForest(**few), given="missing", core=True)
    case("IsolationForest given infinite values", lambda: IsolationForest(**few), given="infinite" if VERSION >= (1, 6) else "far")
    case("IsolationForest of one sample", lambda: IsolationForest(n_estimators=2, max_samples=1, random_state=0), given="far")
    case("IsolationForest of many trees", lambda: IsolationForest(n_estimators=12, max_samples=4, random_state=0), given="x")
    case("IsolationForest on a frame", lambda: IsolationForest(**few), x=FRAME, given="many")


def adaboost():
    few = {"n_estimators": 3, "random_state": 0}
    samme = {"algorithm": "SAMME"} if VERSION < (1, 6) else {}
    case("AdaBoostClassifier three", lambda: AdaBoostClassifier(**few), THREE, given="many", core=True)
    case("AdaBoostClassifier SAMME", lambda: AdaBoostClassifier(**samme, **few), LABELS["three_str"], given="many",
         core=VERSION <= (1, 4))
    case("AdaBoostClassifier two", lambda: AdaBoostClassifier(**few), LABELS["two_bool"], given="many")
    case("AdaBoostClassifier two SAMME", lambda: AdaBoostClassifier(**samme, **few), LABELS["two_float"], given="many",
         core=VERSION == (1, 0))
    case("AdaBoostClassifier of linear models", lambda: AdaBoostClassifier(LogisticRegression(), **few), THREE, given="many")
    case("AdaBoostRegressor", lambda: AdaBoostRegressor(DecisionTreeRegressor(max_depth=2), **few), Y, given="many", core=True)
    case("AdaBoostRegressor of linear models", lambda: AdaBoostRegressor(Ridge(), **few), Y, x=FRAME, given="many")


def boosting():
    few = {"n_estimators": 3, "max_depth": 2, "random_state": 0}
    for labels in ("two", "three"):
        case(f"GradientBoostingClassifier {labels}", lambda: GradientBoostingClassifier(**few), LABELS[labels], given="many",
             core=True)
        case(f"GradientBoostingClassifier {labels} from zero", lambda: GradientBoostingClassifier(init="zero", **few),
             LABELS[labels], given="many")
        case(f"GradientBoostingClassifier {labels} from a tree", lambda: GradientBoostingClassifier(
            init=DecisionTreeClassifier(max_depth=1), **few), LABELS[labels], given="many", core=labels == "three")
    case("GradientBoostingClassifier exponential", lambda: GradientBoostingClassifier(loss="exponential", **few),
         LABELS["two_str"], given="many", core=True)
    case("GradientBoostingClassifier on a frame", lambda: GradientBoostingClassifier(subsample=0.7, **few),
         LABELS["three_str"], x=FRAME, given="many")
    case("GradientBoostingRegressor", lambda: GradientBoostingRegressor(**few), Y, given="missing", core=True)
    for loss in ("ls" if VERSION < (1, 0) else "squared_error", "lad" if VERSION < (1, 0) else "absolute_error", "huber",
                 "quantile"):
        case(f"GradientBoostingRegressor {loss}", lambda loss=loss: GradientBoostingRegressor(loss=loss, **few), Y,
             given="many", core=loss == "huber")
    case("GradientBoostingRegressor of many trees", lambda: GradientBoostingRegressor(
        n_estimators=13, max_depth=1, random_state=0, init="zero"), Y)
    case("GradientBoostingRegressor from a forest", lambda: GradientBoostingRegressor(
        init=RandomForestRegressor(n_estimators=2, max_depth=1, random_state=0), **few), Y, given="many")
    quick = {"max_iter": 2, "max_leaf_nodes": 4, "min_samples_leaf": 2, "max_bins": 12, "random_state": 0}
    for labels in ("two", "three"):
        case(f"HistGradientBoostingClassifier {labels}", lambda: HistGradientBoostingClassifier(**quick), LABELS[labels],
             given="many", core=labels == "three")
    case("HistGradientBoostingClassifier of missing values", lambda: HistGradientBoostingClassifier(**quick),
         LABELS["two_str"], x=HOLEY, given="missing", core=True)
    case("HistGradientBoostingClassifier of categories", lambda: HistGradientBoostingClassifier(
        categorical_features=[1], **quick), (Y_CATEGORIES > 0).astype(int), x=WITH_CATEGORIES, given="categories", core=True)
    case("HistGradientBoostingClassifier on a frame", lambda: HistGradientBoostingClassifier(**quick), LABELS["three_str"],
         x=FRAME, given="many")
    case("HistGradientBoostingRegressor", lambda: HistGradientBoostingRegressor(**quick), Y, given="infinite", core=True)
    case("HistGradientBoostingRegressor of categories", lambda: HistGradientBoostingRegressor(
        categorical_features=[1, 2], **quick), Y_CATEGORIES,
        x=np.c_[X[:, 0], WITH_CATEGORIES[:, 1], np.where(X[:, 1] > 3, np.nan, FIVE[np.arange(ROWS) // 8])],
        given="categories", core=VERSION in ((1, 3), (1, 4)))
    for loss in ("least_absolute_deviation" if VERSION < (1, 0) else "absolute_error", "poisson", "quantile", "gamma"):
        case(f"HistGradientBoostingRegressor {loss}", lambda loss=loss: HistGradientBoostingRegressor(
            loss=loss, **quick, **({"quantile": 0.7} if loss == "quantile" else {})), Y_POSITIVE, given="many",
            core=loss == "poisson")


# A prime number of them, so that no class keeps meeting the same one; mostly zlib, since it is small.
CONTAINERS = (
    "joblib zlib", "joblib", "joblib zlib", "pickle 2", "joblib zlib", "pickle 4", "joblib zlib", "joblib gzip",
    "joblib zlib", "pickle 5", "joblib zlib", "joblib lzma", "joblib zlib", "pickle 3", "joblib zlib", "joblib bz2",
    "joblib zlib", "pickle 0", "joblib zlib",
)

# Trees are larger: those that are not compressed are few.
TREE_CONTAINERS = ("joblib zlib", "joblib lzma", "pickle 4") + ("joblib lzma", "joblib zlib") * 4 + (
    "joblib", "joblib lzma") + ("joblib zlib", "joblib lzma") * 3


def dumped(model, container):
    kind, _, how = container.partition(" ")
    if kind == "pickle":
        return pickle.dumps(model, protocol=min(int(how), pickle.HIGHEST_PROTOCOL))
    out = io.BytesIO()
    # `lzma` is what joblib calls the "alone" container; level 9 keeps the goldens small.
    joblib.dump(model, out, compress=(how, 9) if how else 0)
    return out.getvalue()


def array(values):
    values = np.asarray(values)
    flat = values.ravel().tolist()
    if values.dtype.kind == "f":
        flat = [v if math.isfinite(v) else repr(v) for v in flat]
    kind = "str" if values.dtype.kind in "UO" else values.dtype.name
    return {"dtype": kind, "shape": list(values.shape), "values": flat}


def slim(model):
    """Without its random generator, 2.5 kB that only `fit` goes on with."""
    if hasattr(model, "_rng"):
        del model._rng
        for tree in model.estimators_.ravel():
            tree.random_state = None
    return model


def refused():
    """Dumps that must be refused: unfitted, unknown, inconsistent, cyclic, callable."""

    def with_attributes(model, **attributes):
        for name, value in attributes.items():
            setattr(model, name, value)
        return model

    def line():
        return LinearRegression().fit(X, Y)

    def three():
        return LogisticRegression().fit(X, THREE)

    def scaler():
        return StandardScaler().fit(X)

    def pipe(*steps):
        return Pipeline([(f"s{i}", step) for i, step in enumerate(steps)])

    def without(model, *names):
        for name in names:
            delattr(model, name)
        return model

    def cyclic():
        whole = pipe(scaler(), line())
        whole.steps.insert(1, ("again", whole))
        return whole

    def cyclic_ransac():
        whole = RANSACRegressor(random_state=0).fit(X, Y)
        whole.estimator_ = whole
        return whole

    def deep():
        whole = pipe(scaler())
        for _ in range(70):
            whole = pipe(whole)
        return whole

    def bomb():
        whole = pipe(scaler())
        for _ in range(20):
            whole = pipe(whole, whole)
        return whole

    def tree(classes=THREE, **changes):
        """A tree whose nodes, values or arguments are others than were fitted."""
        model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, classes)
        model.tree_ = ForgedTree(model.tree_, changes)
        return model

    def forest(**changes):
        model = RandomForestRegressor(n_estimators=2, max_depth=1, random_state=0).fit(X, Y)
        for name, value in changes.items():
            setattr(model, name, value)
        return model

    def boosted(cls=GradientBoostingRegressor, y=Y, **changes):
        model = slim(cls(n_estimators=2, max_depth=1, random_state=0).fit(X, y))
        for name, value in changes.items():
            setattr(model, name, value)
        return model

    def hist(at=None, mapper=None, encoder=None, predictor=None, x=WITH_CATEGORIES, **changes):
        model = HistGradientBoostingRegressor(
            categorical_features=[1], max_iter=1, max_leaf_nodes=3, min_samples_leaf=2, max_bins=8).fit(x, Y_CATEGORIES)
        first = model._predictors[0][0]
        for (name, node), value in (at or {}).items():
            first.nodes[name][node] = value
        model._bin_mapper.random_state = model._feature_subsample_rng = None
        for object, attributes in ((first, predictor), (model._bin_mapper, mapper), (model, changes),
                                   (model._preprocessor.transformers_[0][1], encoder)):
            for name, value in (attributes or {}).items():
                setattr(object, name, value)
        return model

    def isolated(**changes):
        model = IsolationForest(n_estimators=2, max_samples=4, max_features=2, random_state=0).fit(X)
        return with_attributes(model, **changes)

    def adaboost(**changes):
        model = AdaBoostClassifier(LogisticRegression(), n_estimators=2, random_state=0).fit(X, THREE)
        return with_attributes(model, **changes)

    def columns(**changes):
        return with_attributes(ColumnTransformer([("s", StandardScaler(), [0, 1])]).fit(X), **changes)

    def chain(**changes):
        return with_attributes(RegressorChain(LinearRegression()).fit(X, Y_MANY), **changes)

    stump = DecisionTreeRegressor(max_depth=1)
    own = OwnModel().fit(X, Y)
    models = {
        "own class": own,
        "own class in a pipeline": pipe(scaler(), own),
        "own class in a pipeline in a pipeline": pipe(scaler(), pipe(scaler(), own)),
        "tree is a cycle": tree(left_child={1: 0}),
        "tree is its own child": tree(right_child={0: 0}),
        "tree has one leaf twice": tree(right_child={1: 2}),
        "tree has a child too high": tree(right_child={0: 7}),
        "tree has a child below zero": tree(left_child={0: -2}),
        "tree has a threshold of nan": tree(threshold={0: np.nan}),
        "tree has a feature too high": tree(feature={1: 3}),
        "tree has a feature below zero": tree(feature={0: -2}),
        "tree has a leaf of nan": tree(values={2: np.nan}),
        "tree has a leaf of infinity": tree(values={2: np.inf}),
        "tree values are narrow": tree(state={"values": np.zeros((7, 1, 2))}),
        "tree values are few": tree(state={"values": np.zeros((6, 1, 3))}),
        "tree values are text": tree(state={"values": "values"}),
        "tree values are many": tree(state={"values": np.zeros((7, 2, 3))}),
        "tree nodes are none": tree(state={"nodes": np.zeros(0, dtype=NODE), "values": np.zeros((0, 1, 3))}),
        "tree nodes are numbers": tree(state={"nodes": np.zeros(7)}),
        "tree nodes lack a field": tree(state={"nodes": np.zeros(7, dtype=[("left_child", "<i8"), ("right_child", "<i8")])}),
        "tree nodes are text": tree(state={"nodes": np.zeros(7, dtype=[
            (name, "U2" if name == "feature" else "<i8") for name in NODE.names])}),
        "tree outputs lie": tree(args=(3, np.array([3]), 2)),
        "tree outputs are many": tree(args=(3, np.array([3, 3]), 2)),
        "tree outputs are none": tree(args=(3, np.array([], dtype=int), 0)),
        "tree classes lie": tree(args=(3, np.array([2]), 1)),
        "tree classes are negative": tree(args=(3, np.array([-3]), 1)),
        "tree features are none": tree(args=(0, np.array([3]), 1)),
        "tree features are others": tree(args=(4, np.array([3]), 1)),
        "tree is a number": with_attributes(DecisionTreeClassifier(), tree_=3),
        "tree is not fitted": DecisionTreeClassifier(),
        "tree has fewer labels": with_attributes(DecisionTreeClassifier(max_depth=1).fit(X, THREE), classes_=np.array([1, 2])),
        "tree of numbers has classes": with_attributes(
            DecisionTreeRegressor(), tree_=DecisionTreeClassifier(max_depth=1).fit(X, THREE).tree_),
        "boosting is not fitted": GradientBoostingRegressor(),
        "boosting has a strange loss": boosted(loss="mine"),
        "boosting has a function for a loss": boosted(loss=len),
        "boosting has no rate": boosted(learning_rate=None),
        "boosting has an infinite rate": boosted(learning_rate=np.inf),
        "boosting starts from text": boosted(init_="one"),
        "boosting starts from two numbers": boosted(init_=DummyRegressor().fit(X, Y_MANY)),
        "boosting starts from a scaler": boosted(init_=scaler()),
        "boosting starts from a guess": boosted(
            GradientBoostingClassifier, THREE, init_=DummyClassifier(strategy="stratified").fit(X, THREE)),
        "boosting starts from two classes": boosted(
            GradientBoostingClassifier, THREE, init_=DummyClassifier(strategy="prior").fit(X, TWO)),
        "boosting starts from two features": boosted(init_=LinearRegression().fit(X[:, :2], Y)),
        "boosting has a list of trees": boosted(estimators_=[1, 2]),
        "boosting has too few classes": boosted(GradientBoostingClassifier, THREE, classes_=np.array([0, 1])),
        "boosting has one class": boosted(GradientBoostingClassifier, TWO, classes_=np.array([0])),
        "boosting has trees of two": boosted(
            estimators_=np.array([[DecisionTreeRegressor(max_depth=1).fit(X, Y_MANY)]], dtype=object)),
        "hist is not fitted": HistGradientBoostingRegressor(),
        "hist has a strange loss": hist(loss="mine"),
        "hist is a cycle": hist({("left", 0): 0}),
        "hist has a child too high": hist({("right", 0): 2**32 - 1}),
        "hist has a feature too high": hist({("feature_idx", 0): 3}),
        "hist has a leaf of nan": hist({("value", 4): np.nan}),
        "hist has a threshold of nan": hist({("is_categorical", 0): 0, ("num_threshold", 0): np.nan}),
        "hist has categories too high": hist({("is_categorical", 0): 1, ("bitset_idx", 0): 9}),
        "hist has narrow sets": hist(predictor={"raw_left_cat_bitsets": np.zeros((1, 7), dtype=np.uint32)}),
        "hist has signed sets": hist(predictor={"raw_left_cat_bitsets": np.full((1, 8), -1)}),
        "hist has no nodes": hist(predictor={"nodes": None}),
        "hist starts from two": hist(_baseline_prediction=np.zeros((1, 2))),
        "hist starts from nan": hist(_baseline_prediction=np.array([[np.nan]])),
        "hist has a number for trees": hist(_predictors=5),
        "hist has two trees a stage": hist(_predictors=[[1, 2]]),
        "hist has a stranger for a tree": hist(_predictors=[[stump]]),
        "hist has no features": hist(_n_features=0),
        "hist has few thresholds": hist(mapper={"bin_thresholds_": [np.zeros(1)]}),
        "hist has few flags": hist(mapper={"is_categorical_": np.zeros(1, dtype=bool)}),
        "hist has a large category": hist(mapper={"bin_thresholds_": [np.array([256.0]), np.zeros(1), np.zeros(1)]}),
        "hist has few flags of its own": hist(is_categorical_=np.zeros(2, dtype=bool)),
        "hist has few encoded columns": hist(encoder={"categories_": []}),
        "hist has categories of lists": hist(encoder={"categories_": [np.array([[0], None], dtype=object)]}),
        "hist has many categories": hist(encoder={"categories_": [np.arange(300.0)]}),
        "isolation is not fitted": IsolationForest(),
        "isolation names few columns": isolated(estimators_features_=[np.array([0, 1]), np.array([0])]),
        "isolation names columns too high": isolated(estimators_features_=[np.array([0, 3]), np.array([0, 1])]),
        "isolation names columns below zero": isolated(estimators_features_=[np.array([0, -1]), np.array([0, 1])]),
        "isolation names columns of fewer trees": isolated(estimators_features_=[np.array([0, 1])]),
        "isolation is of no samples": isolated(_max_samples=0),
        "isolation has two offsets": isolated(offset_=np.zeros(2)),
        "isolation has nodes without samples": isolated(estimators_=[DecisionTreeRegressor().fit(X, Y)] * 2),
        "adaboost is not fitted": AdaBoostClassifier(),
        "adaboost has one class": adaboost(classes_=np.array([1])),
        "adaboost has other classes": adaboost(classes_=np.array([0.0, 1.0, 2.0])),
        "adaboost has no estimators": adaboost(estimators_=[]),
        "adaboost has a scaler": adaboost(estimators_=[scaler()]),
        "adaboost has estimators of other widths": adaboost(estimators_=[three(), LogisticRegression().fit(X[:, :2], THREE)]),
        "adaboost has few weights": adaboost(estimator_weights_=np.ones(1)),
        "adaboost has weights of nan": adaboost(estimator_weights_=np.full(2, np.nan)),
        "adaboost has a strange algorithm": adaboost(algorithm="mine"),
        "columns are few": columns(transformers_=[("s", scaler(), [0])], _transformer_to_input_indices={"s": [0]}),
        "columns are too high": columns(_transformer_to_input_indices={"s": [0, 3]}),
        "columns have unknown names": columns(_transformer_to_input_indices={}, transformers_=[("s", scaler(), ["a"])]),
        "columns go to a regressor": columns(transformers_=[("s", LinearRegression().fit(X[:, :2], Y), [0, 1])]),
        "columns have weights of text": columns(transformer_weights={"s": "heavy"}),
        "union of different widths": FeatureUnion([("a", scaler()), ("b", StandardScaler().fit(X[:, :2]))]),
        "function is Python's": FunctionTransformer(np.nan_to_num).fit(X),
        "function has arguments": FunctionTransformer(np.log1p, kw_args={"casting": "safe"}).fit(X),
        "search is not refitted": GridSearchCV(LinearRegression(), {"fit_intercept": [True]}, cv=2, refit=False).fit(X, Y),
        "dummy answers at random": DummyClassifier(strategy="stratified").fit(X, THREE),
        "vote has few weights": with_attributes(
            VotingRegressor([("l", LinearRegression())]).fit(X, Y), weights=[1.0, 2.0]),
        "stack has few methods": with_attributes(
            StackingRegressor([("l", LinearRegression())], cv=2).fit(X, Y), stack_method_=[]),
        "stack ends narrow": with_attributes(
            StackingRegressor([("l", LinearRegression())], cv=2).fit(X, Y), final_estimator_=line()),
        "bag names columns too high": with_attributes(
            BaggingRegressor(LinearRegression(), 1, random_state=0).fit(X, Y), estimators_features_=[np.array([0, 1, 3])]),
        "elimination keeps others": with_attributes(
            RFE(LinearRegression(), n_features_to_select=2).fit(X, Y), support_=np.ones(3, dtype=bool)),
        "chain has no order": chain(order_=[0, 0]),
        "chain has a wide estimator": chain(estimators_=[line(), line()]),
        "code book is narrow": with_attributes(
            OutputCodeClassifier(LogisticRegression(), random_state=0).fit(X, THREE), code_book_=np.zeros((3, 1))),
        "one-vs-one has few": with_attributes(OneVsOneClassifier(LogisticRegression()).fit(X, THREE), estimators_=[three()]),
        "isotonic falls back": with_attributes(
            IsotonicRegression().fit([1, 2, 3], [1, 2, 3]), X_thresholds_=np.array([1.0, 3.0, 2.0])),
        "forest is not fitted": RandomForestRegressor(),
        "forest has no trees": forest(estimators_=[]),
        "forest is a number": forest(estimators_=7),
        "forest has a stranger": forest(estimators_=[stump.fit(X, Y), line()]),
        "forest has a classifier": forest(estimators_=[DecisionTreeClassifier(max_depth=1).fit(X, THREE)]),
        "forest has an unfitted tree": forest(estimators_=[stump.fit(X, Y), DecisionTreeRegressor()]),
        "forest has a narrow tree": forest(estimators_=[stump.fit(X, Y), DecisionTreeRegressor(max_depth=1).fit(X[:, :2], Y)]),
        "forest has a tree of two": forest(estimators_=[stump.fit(X, Y), DecisionTreeRegressor(max_depth=1).fit(X, Y_MANY)]),
        "unfitted": LinearRegression(),
        "unfitted in a pipeline": pipe(StandardScaler(), LinearRegression()),
        "unfitted ransac": RANSACRegressor(),
        "overridden method": with_attributes(line(), predict=len),
        "coef is text": with_attributes(line(), coef_="1, 2, 3"),
        "coef is a function": with_attributes(line(), coef_=len),
        "coef is of objects": with_attributes(line(), coef_=np.array([1.0, None, "x"], dtype=object)),
        "coef has nan": with_attributes(line(), coef_=np.array([1.0, np.nan, 2.0])),
        "coef is complex": with_attributes(line(), coef_=np.array([1.0, 2.0, 1j])),
        "coef is short": with_attributes(line(), coef_=np.array([1.0, 2.0])),
        "coef has three dimensions": with_attributes(line(), coef_=np.zeros((1, 1, 3))),
        "coef is empty": with_attributes(without(line(), "n_features_in_"), coef_=np.zeros(0)),
        "intercept is long": with_attributes(line(), intercept_=np.zeros(2)),
        "intercept is infinite": with_attributes(line(), intercept_=np.inf),
        "intercept is gone": without(line(), "intercept_"),
        "intercept is none": with_attributes(line(), intercept_=None),
        "classes are few": with_attributes(three(), classes_=np.array([0, 1])),
        "classes are gone": without(three(), "classes_"),
        "classes are mixed": with_attributes(three(), classes_=np.array([0, "one", None], dtype=object)),
        "classes are complex": with_attributes(three(), classes_=np.array([0, 1, 2j])),
        "multi_class is unknown": with_attributes(three(), multi_class="other"),
        "loss is unknown": with_attributes(SGDClassifier(random_state=0).fit(X, TWO), loss="mine"),
        "loss is a function": with_attributes(SGDClassifier(random_state=0).fit(X, TWO), loss=len),
        "link is unknown": with_attributes(TweedieRegressor().fit(X, Y), _base_loss=len),
        "offset is long": with_attributes(SGDOneClassSVM(random_state=0).fit(X), offset_=np.zeros(2)),
        "n_features_in_ is negative": with_attributes(line(), n_features_in_=-3),
        "n_features_in_ is text": with_attributes(line(), n_features_in_="three"),
        "names are few": with_attributes(line(), feature_names_in_=np.array(["a"], dtype=object)),
        "names are numbers": with_attributes(line(), feature_names_in_=np.array([1, 2, 3])),
        "scale is short": with_attributes(scaler(), scale_=np.ones(2)),
        "scale is gone": without(scaler(), "scale_"),
        "with_mean is text": with_attributes(scaler(), with_mean="yes"),
        "mean is none": with_attributes(scaler(), mean_=None),
        "feature_range is one number": with_attributes(MinMaxScaler(clip=True).fit(X), feature_range=3),
        "steps is a number": with_attributes(pipe(scaler()), steps=3),
        "steps are empty": with_attributes(pipe(scaler()), steps=[]),
        "steps are no pairs": with_attributes(pipe(scaler()), steps=[scaler()]),
        "steps are only passthrough": pipe("passthrough", None),
        "step is text": pipe("pass", line()),
        "step cannot transform": pipe(line(), line()),
        "widths differ": pipe(scaler(), LinearRegression().fit(X[:, :2], Y)),
        "last step cannot answer": pipe(scaler(), [1, 2]),
        "cyclic": cyclic(),
        "cyclic ransac": cyclic_ransac(),
        "deep": deep(),
        "bomb": bomb(),
        "a dict": {"coef_": np.zeros(3)},
        "a number": 3.5,
        "an array": np.zeros(3),
        "a class": LinearRegression,
    }
    cases = [
        {"name": name, "file": base64.b64encode(dumped(model, "joblib zlib")).decode()}
        for name, model in models.items()
    ]
    return {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "joblib": joblib.__version__,
            "command": "python make.py OUT_FOLDER --refused", "seed": SEED}, cases


class ForgedTree:
    """Is pickled as the tree it was made of, with changes."""

    def __init__(self, tree, changes):
        self.tree, self.changes = tree, changes

    def __reduce__(self):
        make, args, state = self.tree.__reduce__()
        changes = dict(self.changes)
        args = changes.pop("args", args)
        state = {**state, "nodes": state["nodes"].copy(), "values": state["values"].copy(), **changes.pop("state", {})}
        for name, values in changes.items():
            array = state["values"] if name == "values" else state["nodes"][name]
            for at, value in values.items():
                array[at] = value
        return make, args, state


NODE = DecisionTreeRegressor().fit(X, Y).tree_.__getstate__()["nodes"].dtype


class OwnModel(LinearRegression):
    """A class of the user's own."""


def main():
    if "--refused" in sys.argv[2:]:
        sys.setrecursionlimit(10_000)
        provenance, cases = refused()
        with open(f"{sys.argv[1]}/refused.json", "w", encoding="utf-8") as out:
            out.write('{"provenance": ' + json.dumps(provenance) + ',\n"cases": [\n')
            out.write(",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
        scaler = StandardScaler().fit(X)
        with open(f"{sys.argv[1]}/shared.pkl", "wb") as out:
            pickle.dump(Pipeline([("a", scaler), ("b", scaler)]), out, protocol=4)
        return
    if "--corpus" in sys.argv[2:]:
        models = {
            "line": LinearRegression().fit(X, Y_MANY),
            "logistic": LogisticRegression().fit(FRAME, LABELS["three_str"]),
            "multilabel": RidgeClassifier().fit(X, LABELS["multilabel"]),
            "pipeline": Pipeline([("a", MinMaxScaler(clip=True)), ("b", "passthrough"), ("c", StandardScaler())]).fit(X),
            "ransac": RANSACRegressor(random_state=0).fit(X, Y),
            "tree": DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, Y > 0),
            "trees": ExtraTreesRegressor(n_estimators=2, max_depth=2, random_state=0).fit(X, Y_MANY),
            "tweedie": TweedieRegressor(power=1.5).fit(X, Y_POSITIVE),
        }
        for name, model in models.items():
            with open(f"{sys.argv[1]}/{name}.pkl", "wb") as out:
                pickle.dump(model, out, protocol=4)
        return
    folder, everything, of_trees = sys.argv[1], "--all" in sys.argv[2:], "--trees" in sys.argv[2:]
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    if of_trees:
        trees(), forests(), boosting(), isolation(), adaboost()
    else:
        regressors(), classifiers(), transformers(), pipelines()
    cases, left_out, seen = [], [], set()
    # These versions wrote trees as the one before them did.
    lean = of_trees and VERSION in ((1, 1), (1, 2), (1, 5), (1, 7), (1, 8))
    for number, (name, make, y, x, given, core, then) in enumerate(CASES):
        if not (core or everything) or (lean and name.split()[0] in seen):
            continue
        seen.add(name.split()[0])
        try:
            model = make()
            model.fit(x, y) if y is not None else model.fit(x)
            then(model) if then else None
            if not (everything and name == "GradientBoostingRegressor"):
                slim(model)
        except (TypeError, ValueError, AttributeError) as why:  # a parameter or a label kind of other versions
            left_out.append(f"{name}: {type(why).__name__}: {str(why).splitlines()[0]}"[:160])
            continue
        containers = TREE_CONTAINERS if of_trees else CONTAINERS
        container = containers[number % len(containers)]
        file = dumped(model, container)
        model = joblib.load(io.BytesIO(file)) if container.startswith("joblib") else pickle.loads(file)
        methods, rows, refuses = {}, INPUTS[given], None
        try:
            model.predict(rows) if hasattr(model, "predict") and given == "missing" else None
        except ValueError:
            given, rows, refuses = "x", INPUTS["x"], given
        for method in METHODS:
            if not hasattr(model, method):
                continue
            asked = rows
            if hasattr(x, "columns") and method != "inverse_transform":
                asked = pd.DataFrame(rows, columns=x.columns)
            answer = getattr(model, method)(asked)
            # Of several outputs, probabilities are a list: no signature's answer, nor are three dimensions.
            if not isinstance(answer, list) and answer.ndim < 3:
                methods[method] = array(answer)
        names = getattr(model, "feature_names_in_", None)
        cases.append({
            "name": name, "class": type(model).__name__, "container": container, "input": given,
            "n_features": rows.shape[1], "refuses": refuses, "feature_names": None if names is None else list(names),
            "methods": methods, "file": base64.b64encode(file).decode(),
        })
    provenance = {
        "command": " ".join(["python make.py OUT_FOLDER"] + sys.argv[2:]), "seed": SEED,
        "python": platform.python_version(), "scikit-learn": sklearn.__version__, "numpy": np.__version__,
        "scipy": scipy.__version__, "joblib": joblib.__version__, "pandas": pd.__version__, "left_out": left_out,
    }
    used = {case[key] for case in cases for key in ("input", "refuses")}
    inputs = {name: array(values) for name, values in INPUTS.items() if name in used}
    with open(f"{folder}/{'trees' if of_trees else 'sklearn'}-{sklearn.__version__}.json", "w", encoding="utf-8") as out:
        out.write('{"provenance": ' + json.dumps(provenance, indent=1, ensure_ascii=False))
        out.write(',\n"inputs": ' + json.dumps(inputs) + ',\n"cases": [\n')
        out.write(",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases))
        out.write("\n]}\n")
    print(sklearn.__version__, len(cases), "cases;", len(left_out), "left out")


if __name__ == "__main__":
    main()
