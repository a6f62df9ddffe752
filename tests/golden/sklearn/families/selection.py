"""Selectors of columns."""

import numpy as np
import pandas as pd
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    chi2,
    f_classif,
    f_regression,
)
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

rng = np.random.RandomState(3)
X = rng.normal(size=(50, 6)) * [1.0, 2.0, 1.0, 0.1, 1.0, 1.0]
Y = X @ [3.0, -2.0, 0.0, 0.0, 0.4, 0.0] + rng.normal(size=50)
C = np.array(["no", "perhaps", "yes"])[np.digitize(Y, [-2.0, 2.0])]
FRAME = pd.DataFrame(X, columns=list("abcdef"))
COUNTS = rng.poisson(2.0, size=(50, 6)).astype(float) * [1, 1, 3, 1, 0, 1]
HOLES = np.where(rng.uniform(size=X.shape) < 0.1, np.nan, X)


def unscored(model):
    """Without what a search keeps of its own doings."""
    for name in ("cv_results_", "cv", "grid_scores_", "scoring"):
        model.__dict__.pop(name, None)


def cases(case, version):
    lean = dict(then=unscored)
    case("variance", lambda: VarianceThreshold(), COUNTS, core=True)
    case("variance above a threshold", lambda: VarianceThreshold(0.5), FRAME)
    case("variance with holes", lambda: VarianceThreshold(0.5), HOLES, inverse=X[:4, :5])
    case("best", lambda: SelectKBest(f_classif, k=2), X, C, core=True, refuses=[("transform", HOLES)] if version >= (1, 1) else (), **lean)
    case("best of counts", lambda: SelectKBest(chi2, k=3), COUNTS, C, **lean)
    case("best, all", lambda: SelectKBest(f_classif, k="all"), FRAME, C, **lean)
    case("best, none", lambda: SelectKBest(f_classif, k=0), X, C, methods=("transform",), **lean)
    case("percentile", lambda: SelectPercentile(f_regression, percentile=40), X, Y, core=True, **lean)
    case("percentile, whole", lambda: SelectPercentile(f_regression, percentile=100), X, Y, **lean)
    case("percentile, ties", lambda: SelectPercentile(f_classif, percentile=50), np.repeat(X[:, :2], 3, axis=1), C, **lean)
    case("fpr", lambda: SelectFpr(f_classif), X, C, core=True, **lean)
    case("fdr", lambda: SelectFdr(f_classif, alpha=0.1), FRAME, C, core=True, **lean)
    case("fwe", lambda: SelectFwe(f_classif), X, C, core=True, **lean)
    for mode, param in (("percentile", 30), ("k_best", 2), ("fpr", 0.1), ("fdr", 0.05), ("fwe", 0.01)):
        case(f"generic {mode}", lambda: GenericUnivariateSelect(f_classif, mode=mode, param=param), X, C,
             core=mode == "k_best", **lean)

    case("from a model", lambda: SelectFromModel(LogisticRegression()), X, C, core=True)
    case("from a model, norm 2", lambda: SelectFromModel(LogisticRegression(), norm_order=2, threshold="median"), X, C)
    case("from a model, greatest", lambda: SelectFromModel(LogisticRegression(), norm_order=np.inf, threshold=0.5), X, C)
    case("from a lasso", lambda: SelectFromModel(Lasso(alpha=0.3)), X, Y, core=True)
    case("from an elastic net", lambda: SelectFromModel(ElasticNet(alpha=0.3, l1_ratio=1.0)), X, Y, core=True)
    case("from penalties", lambda: SelectFromModel(LinearSVC(C=0.05, penalty="l1", dual=False, random_state=0)), X, C)
    case("from sparse logistics", lambda: SelectFromModel(LogisticRegression(C=0.1, l1_ratio=1.0, solver="saga", max_iter=2000, random_state=0)), X, C)
    case("from a multiple", lambda: SelectFromModel(Ridge(), threshold="0.5*median"), FRAME, Y)
    case("from the most important", lambda: SelectFromModel(Ridge(), threshold=-np.inf, max_features=2), X, Y, core=True)
    case("from a tree", lambda: SelectFromModel(DecisionTreeClassifier(max_depth=3, random_state=0)), X, C, core=True)
    case("from a tree of numbers", lambda: SelectFromModel(DecisionTreeRegressor(max_depth=3, random_state=0)), X, Y)
    case("from a forest", lambda: SelectFromModel(RandomForestClassifier(4, max_depth=2, random_state=0)), FRAME, C, core=True)
    case("from a forest of numbers", lambda: SelectFromModel(ExtraTreesRegressor(4, max_depth=2, random_state=0), threshold="median"), X, Y)
    case("from boosting", lambda: SelectFromModel(GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0)), X, C)
    case("from adaptive boosting", lambda: SelectFromModel(AdaBoostClassifier(n_estimators=4, random_state=0)), X, C)
    case("from what is fitted", lambda: SelectFromModel(Ridge().fit(X, Y), prefit=True), X, Y)
    case("selected for a classifier", lambda: make_pipeline(SelectFromModel(Lasso(alpha=0.3)), LinearRegression()), X, Y)

    case("elimination", lambda: RFE(LogisticRegression(), n_features_to_select=3), X, C, core=True)
    case("elimination by a tree", lambda: RFE(DecisionTreeClassifier(max_depth=2, random_state=0), n_features_to_select=2), FRAME, C)
    case("elimination for numbers", lambda: RFE(Ridge(), n_features_to_select=3), X, Y)
    case("cross-validated elimination", lambda: RFECV(LogisticRegression(), cv=3), X, C, core=True, **lean)
    case("forward selection", lambda: SequentialFeatureSelector(Ridge(), n_features_to_select=2, cv=3), X, Y, core=True, **lean)
    case("backward selection", lambda: SequentialFeatureSelector(
        DecisionTreeRegressor(max_depth=2, random_state=0), n_features_to_select=3, direction="backward", cv=3), FRAME, Y, **lean)
