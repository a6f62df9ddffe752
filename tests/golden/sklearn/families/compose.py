"""Estimators that are made of others: column transformers, unions, functions, searches."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.tree import DecisionTreeClassifier

rng = np.random.RandomState(11)
X = rng.normal(size=(40, 4)) * [1.0, 3.0, 0.5, 2.0] + [0.0, 1.0, -2.0, 4.0]
Y = X @ [1.0, -2.0, 0.5, 0.25] + rng.normal(size=40)
C = np.array(["no", "perhaps", "yes"])[np.digitize(Y, [-3.0, 1.0])]
FRAME = pd.DataFrame(X, columns=["age", "fare", "size", "depth"])
NARROW = [("transform", X[:2, :3])]
SEARCHED = ("cv_results_", "scorer_", "best_params_", "param_distributions", "cv")


def lean(model):
    """Without what a search keeps of its own doings."""
    for name in SEARCHED:
        model.__dict__.pop(name, None)
    for name in ("param_distributions", "param_grid", "cv", "_random_state", "random_state"):
        model.__dict__.pop(name, None)


def columns(*transformers, **arguments):
    return lambda: ColumnTransformer(list(transformers), **arguments)


def cases(case, version):
    case("columns by place", columns(("s", StandardScaler(), [2, 0]), ("m", MinMaxScaler(), [-1])), X,
         core=True, refuses=NARROW if version >= (1, 1) else ())
    case("columns by name", columns(("s", StandardScaler(), ["size", "age"]), ("p", "passthrough", ["fare"])),
         FRAME, core=True)
    case("columns by slice", columns(("s", StandardScaler(), slice(1, 3)), ("p", "passthrough", slice(-1, None))), X)
    case("columns by a slice of names", columns(("s", StandardScaler(), slice("fare", "size"))), FRAME, core=True)
    case("columns by mask", columns(("s", StandardScaler(), [True, False, True, False]),
                                    ("m", MinMaxScaler(), np.array([False, True, False, False]))), X, core=True)
    case("columns by arrays", columns(("s", StandardScaler(), np.array([3, 1])),
                                      ("m", MinMaxScaler(), np.array([0]))), X)
    case("columns by arrays of names", columns(("s", StandardScaler(), np.array(["depth", "age"], dtype=object)),
                                               ("m", MinMaxScaler(), np.array(["fare"]))), FRAME)
    case("columns by a function", lambda: ColumnTransformer([("s", StandardScaler(), by_spread)]), FRAME,
         core=True, then=without_functions)
    case("remainder passed", columns(("s", StandardScaler(), [1]), remainder="passthrough"), X, core=True)
    case("remainder passed by name", columns(("s", StandardScaler(), ["fare"]), ("d", "drop", ["age"]),
                                             remainder="passthrough"), FRAME, core=True)
    case("remainder transformed", columns(("s", StandardScaler(), [1]), ("d", "drop", [0]),
                                          remainder=MinMaxScaler()), X, core=True)
    case("remainder by name", columns(("s", StandardScaler(), ["fare"]), remainder="passthrough",
                                      force_int_remainder_cols=False), FRAME, core=(1, 5) <= version < (1, 9))
    case("columns twice, and weighted", columns(("s", StandardScaler(), [1, 0]), ("m", MinMaxScaler(), [1]),
                                                ("p", "passthrough", [0]), transformer_weights={"m": 2.5, "p": -1.0}), X)
    case("no columns for one", columns(("s", StandardScaler(), []), ("m", MinMaxScaler(), [1, 2])), X)
    case("columns within columns", columns(("c", ColumnTransformer([("s", StandardScaler(), [1])],
                                                                   remainder="passthrough"), [3, 1]),
                                           ("p", make_pipeline(StandardScaler(), MinMaxScaler()), [0])), X)
    case("pandas out", lambda: ColumnTransformer([("s", StandardScaler(), ["fare"])]).set_output(transform="pandas"),
         FRAME)
    case("columns and a classifier", lambda: make_pipeline(
        ColumnTransformer([("s", StandardScaler(), ["fare", "size"]), ("m", MinMaxScaler(), ["age"])]),
        LogisticRegression()), FRAME, C, core=True)
    case("columns and a regressor", lambda: make_pipeline(
        ColumnTransformer([("s", StandardScaler(), [0, 1])], remainder="passthrough"), Ridge()), X, Y)

    case("union", lambda: FeatureUnion([("s", StandardScaler()), ("m", MinMaxScaler())]), X, core=True)
    case("union weighted", lambda: FeatureUnion([("s", StandardScaler()), ("d", "drop"), ("m", MinMaxScaler())],
                                                transformer_weights={"s": 0.5}), FRAME)
    case("union that passes", lambda: FeatureUnion([("p", "passthrough"), ("m", MinMaxScaler())]), X,
         core=version >= (1, 1))
    case("union in a pipeline", lambda: Pipeline([
        ("u", FeatureUnion([("s", make_pipeline(StandardScaler(), MinMaxScaler())), ("m", MinMaxScaler())])),
        ("c", LogisticRegression())]), X, C)

    positive = np.abs(X) + 0.25
    case("function", lambda: FunctionTransformer(np.log1p, inverse_func=np.expm1, validate=True), positive)
    if version >= (1, 2):
        case("function without checks", lambda: FunctionTransformer(np.log1p, inverse_func=np.expm1), positive, core=True)
        case("no function", lambda: FunctionTransformer(), FRAME)
        for name in ("absolute arcsinh arctan cbrt ceil cos cosh deg2rad exp exp2 expm1 fabs floor log log10 log2 "
                     "negative positive rad2deg radians degrees reciprocal rint sign sin sinh sqrt square tan tanh trunc").split():
            case(f"function {name}", lambda: FunctionTransformer(getattr(np, name)), positive[:, :2], ask=positive[:4, :2])
        for name in ("arccos", "arcsin", "arctanh"):
            case(f"function {name}", lambda: FunctionTransformer(getattr(np, name)), np.tanh(X[:, :2]))
        case("function arccosh", lambda: FunctionTransformer(np.arccosh), positive[:, :2] + 1)
        from scipy.special import expit, logit
        case("function logit", lambda: FunctionTransformer(logit, inverse_func=expit), expit(X[:, :2]))
    case("functions in a pipeline", lambda: make_pipeline(
        StandardScaler(), FunctionTransformer(), FunctionTransformer(np.square), MinMaxScaler()), X, core=True)
    case("functions of columns", columns(("l", FunctionTransformer(np.sqrt), [1, 3]), ("n", FunctionTransformer(), [0])),
         positive, core=True)

    searched = dict(then=lean)
    case("grid search", lambda: GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=3), X, C,
         core=True, **searched)
    case("grid search of a pipeline", lambda: GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=3), FRAME, C,
        core=True, **searched)
    case("grid search of a regressor", lambda: GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=3), X, Y, **searched)
    case("grid search of a transformer", lambda: GridSearchCV(
        make_pipeline(StandardScaler(), MinMaxScaler()), {"minmaxscaler__feature_range": [(0, 1), (1, 2)]},
        scoring=lambda model, x, y=None: 0.0, cv=3), X, then=lambda m: (lean(m), m.__dict__.pop("scoring"))[0])
    case("random search", lambda: RandomizedSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, n_iter=2, cv=3, random_state=0),
         X, Y, core=True, **searched)
    case("halving grid search", lambda: HalvingGridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=3, random_state=0),
         X, Y, core=True, **searched)
    case("halving random search", lambda: HalvingRandomSearchCV(
        LinearRegression(), {"fit_intercept": [True, False]}, cv=3, random_state=0), X, Y, **searched)

    some = np.where(rng.uniform(size=40) < 0.4, -1, (Y > 0).astype(int))
    case("self-training", lambda: SelfTrainingClassifier(LogisticRegression()), X, some, core=True)
    case("self-training of a tree", lambda: SelfTrainingClassifier(DecisionTreeClassifier(max_depth=2, random_state=0)),
         FRAME, some)
    if version >= (1, 6):
        from sklearn.frozen import FrozenEstimator
        case("frozen tree", lambda: FrozenEstimator(DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, C)), X, C)
        case("frozen transformer", lambda: FrozenEstimator(StandardScaler().fit(FRAME)), FRAME, C)


def by_spread(frame):
    return list(frame.columns[frame.std() > 1.5])


def without_functions(model):
    """What is pickled must not name this file: the columns that the function chose are in `_columns`."""
    model.transformers = [(name, one, chosen) for (name, one, _), chosen in zip(model.transformers, model._columns)]
    model.transformers_ = [(name, one, chosen if callable(columns) else columns)
                           for (name, one, columns), chosen in zip(model.transformers_, model._columns + [None])]
