"""Ensembles of any estimators, and the methods of trees that answer with several arrays."""

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomTreesEmbedding,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

rng = np.random.RandomState(5)
X = rng.normal(size=(45, 4))
Y = X @ [1.0, -2.0, 0.5, 0.25] + rng.normal(size=45) / 2
C = np.array(["no", "perhaps", "yes"])[np.digitize(Y, [-1.0, 1.0])]
B = (Y > 0).astype(int)
FRAME = pd.DataFrame(X, columns=list("abcd"))
SEVERAL = np.stack([np.digitize(Y, [-1.0, 1.0]), B], axis=1)
KEPT = ("estimators", "estimator", "base_estimator", "final_estimator", "cv", "random_state", "_seeds", "_random_state",
        "base_estimator_", "estimator_", "oob_score_", "estimators_samples_")


def tree(depth=2, **arguments):
    return DecisionTreeClassifier(max_depth=depth, random_state=0, **arguments)


def branch(depth=2):
    return DecisionTreeRegressor(max_depth=depth, random_state=0)


def logistic():
    return LogisticRegression()


def lean(model):
    """Without what the members were copied from, and the generator's state."""
    for name in ("cv", "_seeds", "random_state"):
        model.__dict__.pop(name, None)


def cases(case, version):
    named = [("l", logistic()), ("t", tree()), ("p", make_pipeline(StandardScaler(), logistic()))]
    case("voting hard", lambda: VotingClassifier(named), X, C, core=True)
    case("voting hard, weighted", lambda: VotingClassifier(named, weights=[1, 5.5, 2]), X, B)
    case("voting soft", lambda: VotingClassifier(named, voting="soft"), FRAME, C, core=True)
    case("voting soft, weighted, one dropped", lambda: VotingClassifier(
        [*named, ("d", "drop")], voting="soft", weights=[1, 2, 0.5, 7]), X, B, core=True)
    case("voting regressor", lambda: VotingRegressor([("l", LinearRegression()), ("t", branch())]), X, Y, core=True)
    case("voting regressor, weighted", lambda: VotingRegressor(
        [("l", LinearRegression()), ("d", "drop"), ("t", branch())], weights=np.array([2.0, 1.0, 3.0])), FRAME, Y)

    case("stacking", lambda: StackingClassifier(named, cv=3), X, C, core=True, then=lean)
    case("stacking, binary", lambda: StackingClassifier(named, cv=3), FRAME, B, then=lean)
    case("stacking, passed through", lambda: StackingClassifier(
        [("l", logistic()), ("d", "drop"), ("s", LinearSVC(random_state=0))], final_estimator=tree(3), cv=3, passthrough=True),
        X, C, core=True, then=lean)
    case("stacking of predictions", lambda: StackingClassifier(
        [("l", logistic()), ("t", tree())], final_estimator=Perceptron(random_state=0), stack_method="predict", cv=3), X, C,
        then=lean)
    case("stacking, binary decisions", lambda: StackingClassifier(
        [("s", LinearSVC(random_state=0)), ("t", tree())], cv=3), X, B == 1, then=lean)
    case("stacking regressor", lambda: StackingRegressor([("l", LinearRegression()), ("t", branch())], cv=3), X, Y,
         core=True, then=lean)
    case("stacking regressor, passed through", lambda: StackingRegressor(
        [("l", LinearRegression()), ("d", "drop"), ("t", branch())], final_estimator=Ridge(), cv=3, passthrough=True),
        FRAME, Y, then=lean)

    case("bagging of trees", lambda: BaggingClassifier(tree(), 4, random_state=0), X, C, core=True, then=lean)
    case("bagging of some columns", lambda: BaggingClassifier(
        logistic(), 4, max_features=0.5, bootstrap_features=True, random_state=1), FRAME, C, core=True, then=lean)
    case("bagging, binary", lambda: BaggingClassifier(logistic(), 3, random_state=1), X, B, then=lean)
    case("bagging of few samples", lambda: BaggingClassifier(tree(4), 6, max_samples=4, random_state=3), X, C, then=lean)
    case("bagging without probabilities", lambda: BaggingClassifier(LinearSVC(random_state=0), 3, random_state=0), X, C,
         then=lean)
    case("bagging, binary, without probabilities", lambda: BaggingClassifier(
        Perceptron(random_state=0), 3, random_state=0), X, B, then=lean)
    case("bagging regressor", lambda: BaggingRegressor(branch(), 4, random_state=0), X, Y, core=True, then=lean)
    case("bagging regressor of some columns", lambda: BaggingRegressor(
        Ridge(), 4, max_features=3, random_state=0), FRAME, Y, then=lean)
    case("bagging regressor of several outputs", lambda: BaggingRegressor(LinearRegression(), 3, random_state=0), X,
         np.stack([Y, -Y, Y * Y], axis=1), then=lean)

    case("embedding", lambda: RandomTreesEmbedding(3, max_depth=2, random_state=0), X, core=True, then=lean)
    case("embedding, dense", lambda: RandomTreesEmbedding(3, max_leaf_nodes=6, sparse_output=False, random_state=0), FRAME,
         then=lean)
    case("embedding and a classifier", lambda: make_pipeline(
        RandomTreesEmbedding(3, max_depth=3, random_state=0), logistic()), X, C)

    case("tree of several outputs", lambda: tree(), X, SEVERAL, core=True)
    case("forest of several outputs", lambda: RandomForestClassifier(3, max_depth=2, random_state=0), FRAME,
         np.array(["a", "b", "c"])[SEVERAL], core=True)
    case("boosting", lambda: GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0), X, C, core=True)
    case("boosting, binary", lambda: GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0), X, B)

    if version >= (1, 6):
        for strategy in ("prior", "most_frequent"):
            case(f"dummy {strategy}", lambda: DummyClassifier(strategy=strategy), X, C)
        case("dummy constant", lambda: DummyClassifier(strategy="constant", constant="yes"), X, C)
        case("dummy of several outputs", lambda: DummyClassifier(), X, SEVERAL)
        case("dummy constants of several outputs", lambda: DummyClassifier(strategy="constant", constant=[2, 0]), X, SEVERAL)
        for strategy, more in (("mean", {}), ("median", {}), ("quantile", {"quantile": 0.3}), ("constant", {"constant": 4.5})):
            case(f"dummy regressor {strategy}", lambda: DummyRegressor(strategy=strategy, **more), FRAME, Y)
        case("dummy regressor of several outputs", lambda: DummyRegressor(), X, np.stack([Y, Y + 1], axis=1))
    case("voting with a dummy", lambda: make_pipeline(StandardScaler(), DummyClassifier()), X, C, core=True)
