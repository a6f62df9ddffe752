"""The way of a sample through trees, and forests."""

import numpy as np
from sklearn.ensemble import (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor,
                              RandomTreesEmbedding)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

rng = np.random.RandomState(7)
X = rng.normal(size=(40, 3)).round(3)
Y = (X @ [1.0, -2.0, 0.5]).round(3)
THREE = np.digitize(Y, [-1.0, 1.0])
HOLEY = np.where(rng.uniform(size=X.shape) < 0.2, np.nan, X)
FEW = {"max_depth": 3, "random_state": 0}


def cases(case, version):
    case("tree of classes", lambda: DecisionTreeClassifier(**FEW), X, THREE, core=True)
    # Grown best first, whose nodes are not numbered in the order of their depth.
    case("tree grown best first", lambda: DecisionTreeRegressor(max_leaf_nodes=7, random_state=0), X, Y, core=True)
    case("a root alone", lambda: DecisionTreeClassifier(max_depth=1, random_state=0), X, np.zeros(40, dtype=int))
    case("extra tree of classes", lambda: ExtraTreeClassifier(**FEW), X, THREE)
    case("extra tree", lambda: ExtraTreeRegressor(**FEW), X, np.c_[Y, -Y])
    case("forest of classes", lambda: RandomForestClassifier(4, **FEW), X, THREE, core=True)
    case("forest of two outputs", lambda: RandomForestClassifier(3, **FEW), X, np.c_[THREE, THREE > 0].astype(int))
    case("forest", lambda: RandomForestRegressor(3, max_leaf_nodes=5, random_state=0), X, Y, core=True)
    case("extra trees of classes", lambda: ExtraTreesClassifier(3, **FEW), X, THREE)
    case("extra trees", lambda: ExtraTreesRegressor(3, **FEW), X, Y)
    case("random trees", lambda: RandomTreesEmbedding(3, **FEW), X, core=True)
    if version >= (1, 8):  # until then `decision_path` does not look where missing values go
        case("tree with holes", lambda: DecisionTreeClassifier(**FEW), HOLEY, THREE, ask=HOLEY[:9], core=True)
