"""XGBoost's and LightGBM's wrappers, alone and within estimators of scikit-learn."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rng = np.random.RandomState(4)
X = np.round(rng.normal(size=(90, 3)), 3)
HOLES = np.where(rng.uniform(size=X.shape) < 0.2, np.nan, X)
NINES = np.where(np.isnan(HOLES), -9.0, HOLES)
Y = X @ [1.0, -2.0, 0.5]
TWO, THREE = (Y > 0).astype(int), np.digitize(Y, [-1, 1])
WORDS = np.array(["no", "yes"], dtype=object)[TWO]
FRAME = pd.DataFrame(X, columns=["age", "rooms", "zone"])
ONLY = ("predict", "predict_proba")
XGB = {"n_estimators": 4, "max_depth": 3, "n_jobs": 1, "learning_rate": 0.5}
LGB = {"n_estimators": 4, "num_leaves": 6, "min_child_samples": 5, "n_jobs": 1, "learning_rate": 0.5, "verbose": -1}


def version_of(library):
    return tuple(int(part) for part in library.__version__.split(".")[:2])


def stopping(model, x, y):
    """Fits with an early stop, and leaves a booster with more trees than its best iteration."""
    other = {"eval_set": [(x[:20], -y[:20])]}
    if isinstance(model, lgb.LGBMModel):
        extra = {"callbacks": [lgb.early_stopping(3, verbose=False)]} if version_of(lgb) >= (3, 3) else {"early_stopping_rounds": 3, "verbose": False}
    else:
        extra = {} if version_of(xgb) >= (1, 6) else {"early_stopping_rounds": 3}
        extra["verbose"] = False
    return model.fit(x, y, **other, **extra)


def cases(case, version):
    # Numbers of leaves, which some versions answer as floats, and of one tree without its dimension.
    leaves = {"apply": lambda model, x: {"outputs": np.asarray(model.apply(x)).astype(int).reshape(len(x), -1)}}
    single = {"core": True, "methods": ONLY, "tolerance": 2e-6, "also": leaves}
    bare = dict(single, also=None)
    double = {"core": True, "methods": ("predict", "predict_proba"), "tolerance": 1e-12}
    stop = {"early_stopping_rounds": 3} if version_of(xgb) >= (1, 6) else {}
    encoder = {"use_label_encoder": True} if version_of(xgb) < (1, 6) else {}
    case("XGBRegressor", lambda: xgb.XGBRegressor(**XGB), HOLES, Y, **single)
    case("XGBRegressor of a frame", lambda: xgb.XGBRegressor(**XGB), FRAME, Y, **single)
    case("XGBRegressor of nines", lambda: xgb.XGBRegressor(missing=-9.0, **XGB), NINES, Y, **single)
    case("XGBRegressor stopped", lambda: Stopped(xgb.XGBRegressor(**{**XGB, "n_estimators": 30}, **stop)), X, Y,
         then=lambda stopped: stopped.model, **(single if version_of(xgb) >= (1, 6) else dict(bare, also={"apply": lambda model, x: {"outputs": np.asarray(model.apply(x, ntree_limit=model.best_ntree_limit)).astype(int).reshape(len(x), -1)}})))
    case("XGBRegressor linear", lambda: xgb.XGBRegressor(booster="gblinear", n_estimators=4, n_jobs=1, updater="coord_descent"), X, Y, **dict(bare, methods=("predict",)))
    case("XGBClassifier", lambda: xgb.XGBClassifier(**XGB), X, TWO, **single)
    case("XGBClassifier of three", lambda: xgb.XGBClassifier(**XGB), X, THREE, **single)
    case("XGBRFClassifier", lambda: xgb.XGBRFClassifier(n_estimators=5, max_depth=3, n_jobs=1), X, TWO, **single)
    case("XGBRFRegressor", lambda: xgb.XGBRFRegressor(n_estimators=5, max_depth=3, n_jobs=1), X, Y, **single)
    if encoder:
        case("XGBClassifier of words", lambda: xgb.XGBClassifier(**XGB, **encoder), X, WORDS, **single)
    if version_of(xgb) >= (1, 6):
        case("XGBClassifier of several", lambda: xgb.XGBClassifier(**XGB), X, np.c_[TWO, 1 - TWO, TWO],
             **dict(single, methods=("predict_proba",), also=leaves | {"predict": lambda model, x: {"outputs": model.predict(x).astype(int)}}))
        case("XGBRegressor of several", lambda: xgb.XGBRegressor(**XGB), X, np.c_[Y, -Y], **single)
    case("pipeline XGBClassifier", lambda: make_pipeline(StandardScaler(), xgb.XGBClassifier(**XGB)), X, TWO, **bare)
    case("LGBMRegressor", lambda: lgb.LGBMRegressor(**LGB), HOLES, Y, **double)
    case("LGBMRegressor of a frame", lambda: lgb.LGBMRegressor(**LGB), FRAME, Y, **double)
    case("LGBMRegressor stopped", lambda: Stopped(lgb.LGBMRegressor(**{**LGB, "n_estimators": 30})), X, Y, then=lambda stopped: stopped.model, **double)
    case("LGBMClassifier", lambda: lgb.LGBMClassifier(**LGB), X, TWO, **double)
    case("LGBMClassifier of words", lambda: lgb.LGBMClassifier(**LGB), X, WORDS, **double)
    case("LGBMClassifier of three", lambda: lgb.LGBMClassifier(**LGB), X, THREE * 10 - 5, **double)
    case("LGBMClassifier rf", lambda: lgb.LGBMClassifier(boosting_type="rf", subsample=0.6, subsample_freq=1, **LGB), X, TWO, **double)
    case("pipeline LGBMRegressor", lambda: make_pipeline(SimpleImputer(), lgb.LGBMRegressor(**LGB)), HOLES, Y, **dict(double, methods=("predict",)))
    case("LGBMRanker", lambda: Ranked(lgb.LGBMRanker(**LGB)), X, THREE, then=lambda ranked: ranked.model, **dict(double, methods=("predict",)))
    case("XGBRanker", lambda: Ranked(xgb.XGBRanker(**XGB)), X, THREE, then=lambda ranked: ranked.model, **single)


class Stopped:
    def __init__(self, model):
        self.model = model

    def fit(self, x, y):
        stopping(self.model, x, y)


class Ranked:
    def __init__(self, model):
        self.model = model

    def fit(self, x, y):
        self.model.fit(x, y, group=[30, 30, 30])
