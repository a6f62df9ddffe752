"""Imputers, of numbers and of text."""

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import Ridge

NAN = float("nan")
rng = np.random.RandomState(11)
X = np.round(rng.normal(size=(14, 4)) * [1, 5, 2, 1], 3)
X[rng.uniform(size=X.shape) < 0.25] = NAN
X[:, 3] = np.where(np.isnan(X[:, 3]), 0.5, X[:, 3])
EMPTY = np.array([[1.0, NAN, 2.0], [NAN, NAN, 4.0], [3.0, NAN, NAN]])
COUNTS = np.array([[1.0, -1.0], [2.0, 3.0], [-1.0, 3.0], [2.0, 4.0]])
TEXTS = np.array([["a", "x"], ["b", NAN], ["b", "y"], [NAN, "y"], ["a", "y"], ["b", "x"]], dtype=object)
NONE = np.array([["a", "x"], [None, "y"], ["a", None], ["b", "y"]], dtype=object)
FRAME = pd.DataFrame({"colour": pd.Series(["red", NAN, "blue", "red"], dtype=object), "size": [1.5, 2.5, NAN, 2.5]})
WORDS = np.array([["a", "?"], ["?", "y"], ["a", "y"]], dtype=object)
ASKED = np.vstack([X[:6], [[NAN, 1.0, NAN, 0.5]], [[0.3, NAN, NAN, NAN]]])
EMPTY_TOO = np.column_stack([X[:, :2], np.full(len(X), NAN), X[:, 2]])
BOTH = ("transform", "inverse_transform")


def plain(model):
    """Without the state of its random numbers, of which prediction makes no use."""
    model.random_state_ = None


def cases(case, version):
    only = ("transform",)
    for strategy in ("mean", "median", "most_frequent", "constant"):
        case(f"SimpleImputer {strategy}", lambda: SimpleImputer(strategy=strategy), X, core=True, methods=only)
    case("SimpleImputer of a number", lambda: SimpleImputer(missing_values=-1, strategy="median"), COUNTS, core=True,
         methods=only, refuses=[("transform", EMPTY[:, :2])] if version >= (1, 1) else ())
    case("SimpleImputer with an indicator", lambda: SimpleImputer(add_indicator=True), X, core=True,
         methods=BOTH, ask=X[:9])
    case("SimpleImputer of a number with an indicator", lambda: SimpleImputer(missing_values=-1, add_indicator=True),
         COUNTS, methods=BOTH)
    case("SimpleImputer filling", lambda: SimpleImputer(strategy="constant", fill_value=-9.5), X, methods=only)
    case("SimpleImputer of nothing", SimpleImputer, EMPTY, core=True, methods=only)
    case("SimpleImputer of nothing with an indicator", lambda: SimpleImputer(add_indicator=True), EMPTY, methods=BOTH)
    case("SimpleImputer keeping nothing", lambda: SimpleImputer(keep_empty_features=True), EMPTY, core=True, methods=only)
    case("SimpleImputer of nothing constant", lambda: SimpleImputer(strategy="constant", fill_value=2.0), EMPTY, core=True,
         methods=only)
    case("SimpleImputer of texts", lambda: SimpleImputer(strategy="most_frequent"), TEXTS, core=True, methods=only)
    case("SimpleImputer of texts constant", lambda: SimpleImputer(strategy="constant"), TEXTS, core=True, methods=only)
    case("SimpleImputer of texts with an indicator", lambda: SimpleImputer(strategy="constant", fill_value="none",
         add_indicator=True), TEXTS, methods=only)
    case("SimpleImputer of None", lambda: SimpleImputer(missing_values=None, strategy="most_frequent"), NONE, core=True,
         methods=only)
    case("SimpleImputer of a word", lambda: SimpleImputer(missing_values="?", strategy="most_frequent"), WORDS, methods=only)
    if version >= (1, 0):  # 0.24 kept no names
        case("SimpleImputer of a frame", lambda: SimpleImputer(strategy="most_frequent"), FRAME, core=True, methods=only)
    for name, how in {"": {}, " by distance": {"weights": "distance", "n_neighbors": 3}, " of many": {"n_neighbors": 50},
                      " with an indicator": {"add_indicator": True}}.items():
        case("KNNImputer" + name, lambda: KNNImputer(**how), X, ask=ASKED, core=not name)
    case("KNNImputer of a number", lambda: KNNImputer(missing_values=-1, n_neighbors=1), COUNTS)
    case("KNNImputer of nothing", KNNImputer, EMPTY, ask=EMPTY[:1], core=True)
    case("KNNImputer keeping nothing", lambda: KNNImputer(keep_empty_features=True), EMPTY, ask=EMPTY[:1])
    rounds = {"max_iter": 4, "tol": 1e-12, "random_state": 0}
    for name, how in {"": {}, " backwards": {"imputation_order": "arabic"}, " of neighbours": {"n_nearest_features": 2},
                      " bounded": {"min_value": -1.0, "max_value": 1.5}, " with an indicator": {"add_indicator": True},
                      " of medians": {"initial_strategy": "median"}, " of changed only": {"skip_complete": True},
                      " of ridges": {"estimator": Ridge()}, " of none": {"max_iter": 0}}.items():
        case("IterativeImputer" + name, lambda: IterativeImputer(**{**rounds, **how}), X, ask=ASKED, then=plain, core=not name)
    case("IterativeImputer of trees", lambda: IterativeImputer(ExtraTreesRegressor(3, max_depth=2, random_state=0), max_iter=1,
         random_state=0), X[:, :3], ask=ASKED[:, :3], then=plain)
    case("IterativeImputer of nothing", lambda: IterativeImputer(**rounds), EMPTY_TOO, ask=EMPTY_TOO[:3], then=plain)
    case("IterativeImputer keeping nothing", lambda: IterativeImputer(keep_empty_features=True, **rounds), EMPTY_TOO,
         ask=EMPTY_TOO[:3], then=plain)
    case("MissingIndicator", MissingIndicator, X, core=True,
         refuses=[("transform", np.where(X > 0, NAN, X))] if version >= (1, 1) else ())
    case("MissingIndicator of all", lambda: MissingIndicator(features="all"), X, core=True)
    case("MissingIndicator of some", lambda: MissingIndicator(error_on_new=False), X, ask=np.where(X > 0, NAN, X))
    case("MissingIndicator of a number", lambda: MissingIndicator(missing_values=-1), COUNTS)
    case("MissingIndicator of a word", lambda: MissingIndicator(missing_values="?"), WORDS)
