"""Several classes, labels and outputs by estimators that know two or one."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

rng = np.random.RandomState(9)
X = rng.normal(size=(50, 3))
Y = X @ [1.0, -2.0, 0.5] + rng.normal(size=50)
C = np.array(["no", "perhaps", "yes"])[np.digitize(Y, [-1.5, 1.0])]
I = np.digitize(Y, [-1.5, 0.0, 1.0])
B = np.array(["no", "yes"])[(Y > 0).astype(int)]
FRAME = pd.DataFrame(X, columns=list("abc"))
FLAGS = np.stack([Y > 0, X[:, 0] > 0, Y + X[:, 1] > 1], axis=1).astype(int)
ALWAYS = np.column_stack([FLAGS, np.ones(50, dtype=int)])
NUMBERS = np.stack([Y, Y * Y, -Y], axis=1)


def tree():
    return DecisionTreeClassifier(max_depth=2, random_state=0)


def svc():
    return LinearSVC(random_state=0)


def lean(model):
    model.__dict__.pop("random_state", None)


def cases(case, version):
    case("rest by decisions", lambda: OneVsRestClassifier(svc()), X, C, core=True)
    case("rest by both", lambda: OneVsRestClassifier(LogisticRegression()), FRAME, I, core=True)
    case("rest by probabilities", lambda: OneVsRestClassifier(tree()), X, C, core=True)
    case("rest by numbers", lambda: OneVsRestClassifier(Ridge()), X, C)
    case("rest of two", lambda: OneVsRestClassifier(LogisticRegression()), X, B, core=True)
    case("rest of two by probabilities", lambda: OneVsRestClassifier(tree()), X, B)
    case("several labels", lambda: OneVsRestClassifier(LogisticRegression()), X, FLAGS, core=True)
    case("several labels by probabilities", lambda: OneVsRestClassifier(tree()), X, FLAGS)
    case("a label that is always there", lambda: OneVsRestClassifier(LogisticRegression()), X, ALWAYS, core=True)
    case("ones by decisions", lambda: OneVsOneClassifier(svc()), X, C, core=True)
    case("ones by probabilities", lambda: OneVsOneClassifier(tree()), FRAME, I, core=True)
    case("ones of two", lambda: OneVsOneClassifier(LogisticRegression()), X, B)
    case("code", lambda: OutputCodeClassifier(LogisticRegression(), code_size=2, random_state=0), X, C, core=True, then=lean)
    case("code by probabilities", lambda: OutputCodeClassifier(tree(), code_size=1.5, random_state=0), X, I, then=lean)

    case("outputs of numbers", lambda: MultiOutputRegressor(Ridge()), X, NUMBERS, core=True)
    case("outputs of classes", lambda: MultiOutputClassifier(LogisticRegression()), FRAME, FLAGS, core=True)
    case("outputs of texts", lambda: MultiOutputClassifier(tree()), X, np.stack([B, C], axis=1), core=True)
    case("outputs without probabilities", lambda: MultiOutputClassifier(svc()), X, FLAGS)
    case("outputs of a pipeline", lambda: MultiOutputClassifier(make_pipeline(StandardScaler(), LogisticRegression())), X, FLAGS)

    case("chain of numbers", lambda: RegressorChain(LinearRegression(), order=[2, 0, 1]), X, NUMBERS, core=True)
    case("chain of trees", lambda: RegressorChain(DecisionTreeRegressor(max_depth=2, random_state=0)), FRAME, NUMBERS)
    case("chain of classes", lambda: ClassifierChain(LogisticRegression(), order=[1, 2, 0]), X, FLAGS, core=True)
    case("chain without probabilities", lambda: ClassifierChain(Perceptron(random_state=0)), X, FLAGS,
         methods=("predict", "predict_proba", "decision_function"))
    if version >= (1, 5):
        for method in ("predict_proba", "predict_log_proba", "decision_function"):
            case(f"chain by {method}", lambda: ClassifierChain(LogisticRegression(), chain_method=method), X, FLAGS)
    case("chain of a random order", lambda: ClassifierChain(tree(), order="random", random_state=3), X, FLAGS, core=True, then=lean)
