"""Models of data frames whose columns are numbers and text."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
try:
    from sklearn.experimental import enable_hist_gradient_boosting  # noqa: F401
except ImportError:  # they are no experiment any more
    pass
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

rng = np.random.RandomState(21)
N = 60
FRAME = pd.DataFrame({
    "age": rng.uniform(1, 80, N).round(1),
    "sex": rng.choice(["female", "male"], N),
    "name": [f"passenger {i}" for i in range(N)],
    "fare": rng.gamma(2.0, 15.0, N).round(2),
    "port": rng.choice(["Cherbourg", "Queenstown", "Southampton"], N),
})
SURVIVED = ((FRAME["sex"] == "female") ^ (rng.uniform(size=N) < 0.3)).astype(int).to_numpy()
WORD = np.where(SURVIVED == 1, "yes", "no")
PRICE = (FRAME["fare"] * 2 + (FRAME["port"] == "Cherbourg") * 10 + rng.normal(size=N)).to_numpy()
STRANGE = FRAME[:6].assign(port=["Cherbourg", "Belfast", "Southampton", "", "Queenstown", "Cherbourg"])
CATEGORIES = FRAME.drop(columns="name").astype({"sex": "category", "port": "category"})
NUMBERS, TEXTS = ["age", "fare"], ["sex", "port"]


def columns(*more, sparse=0.3, **arguments):
    return ColumnTransformer([
        ("n", StandardScaler(), NUMBERS), ("t", OneHotEncoder(handle_unknown="ignore"), TEXTS), *more,
    ], sparse_threshold=sparse, **arguments)


def lean(model):
    for name in ("cv_results_", "scorer_", "best_params_", "param_grid", "cv"):
        model.__dict__.pop(name, None)


def cases(case, version):
    case("columns of both kinds", lambda: columns(), FRAME, ask=STRANGE, core=True)
    case("columns of both kinds, sparse", lambda: columns(sparse=1.0), FRAME, ask=STRANGE)
    case("columns of text only", lambda: ColumnTransformer([("t", OneHotEncoder(), ["sex"]), ("o", OrdinalEncoder(), ["port"])]),
         FRAME[["port", "sex"]], core=True)
    case("columns by their kind", lambda: ColumnTransformer([
        ("n", StandardScaler(), NUMBERS), ("t", OrdinalEncoder(), TEXTS)], remainder="drop"), FRAME)
    case("numbers passed beside text", lambda: ColumnTransformer([("t", OneHotEncoder(), TEXTS)], remainder="passthrough"),
         FRAME.drop(columns="name"), core=True)
    case("logistic regression", lambda: make_pipeline(columns(), LogisticRegression()), FRAME, WORD, ask=STRANGE, core=True)
    case("forest", lambda: make_pipeline(columns(), RandomForestClassifier(4, max_depth=3, random_state=0)), FRAME, SURVIVED,
         ask=STRANGE, core=True)
    case("ridge", lambda: make_pipeline(columns(sparse=1.0), Ridge()), FRAME, PRICE)
    case("imputed columns", lambda: make_pipeline(ColumnTransformer([
        ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
        ("t", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), TEXTS),
    ]), LogisticRegression()), FRAME, SURVIVED, core=True)
    case("boosting of encoded columns", lambda: make_pipeline(ColumnTransformer([
        ("t", OrdinalEncoder(), TEXTS), ("n", "passthrough", NUMBERS)]),
        HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5, random_state=0)), FRAME, SURVIVED, core=True)
    case("search", lambda: GridSearchCV(make_pipeline(columns(), LogisticRegression()), {"logisticregression__C": [0.5, 1]},
                                        cv=2), FRAME, WORD, core=True, then=lean)
    case("vote", lambda: VotingClassifier([
        ("l", make_pipeline(columns(), LogisticRegression())),
        ("n", make_pipeline(ColumnTransformer([("n", StandardScaler(), ["fare"])]), LogisticRegression())),
    ], voting="soft"), FRAME, WORD)
    case("union of columns", lambda: make_pipeline(FeatureUnion([
        ("a", columns()), ("b", ColumnTransformer([("f", FunctionTransformer(np.log1p), ["fare"])]))]), LogisticRegression()),
        FRAME, WORD)
    if version >= (1, 4):
        early = dict(core=version < (1, 6))
        case("boosting of categories", lambda: HistGradientBoostingClassifier(
            max_iter=4, min_samples_leaf=5, categorical_features=TEXTS, random_state=0), CATEGORIES, SURVIVED, **early)
        case("boosting of categories by kind", lambda: HistGradientBoostingRegressor(
            max_iter=4, min_samples_leaf=5, categorical_features="from_dtype", random_state=0), CATEGORIES, PRICE)
