"""Calibrated classifiers, thresholds, isotonic regression and transformed targets."""

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

rng = np.random.RandomState(8)
X = rng.normal(size=(60, 3))
Y = X @ [1.0, -2.0, 0.5] + rng.normal(size=60)
C = np.array(["no", "perhaps", "yes"])[np.digitize(Y, [-1.5, 1.0])]
B = np.where(Y > 0, 2, 1)
FRAME = pd.DataFrame(X, columns=list("abc"))


def tree():
    return DecisionTreeClassifier(max_depth=2, random_state=0)


def svc():
    return LinearSVC(random_state=0)


def calibrated(*args, **kwargs):
    return lambda: CalibratedClassifierCV(*args, **kwargs)


def lean(model):
    for name in ("cv", "cv_results_", "random_state"):
        model.__dict__.pop(name, None)


def cases(case, version):
    case("sigmoid", calibrated(svc(), cv=2), X, C, core=True, then=lean)
    case("sigmoid, binary", calibrated(svc(), cv=2), FRAME, B, core=True, then=lean)
    case("sigmoid of probabilities", calibrated(tree(), cv=2), X, C, then=lean)
    case("sigmoid of two probabilities", calibrated(tree(), cv=2), X, B, core=True, then=lean)
    case("isotonic", calibrated(tree(), method="isotonic", cv=2), X, C, core=True, then=lean)
    case("isotonic, binary", calibrated(LogisticRegression(), method="isotonic", cv=2), X, B, then=lean)
    case("one for all folds", calibrated(svc(), cv=3, ensemble=False), X, C, core=True, then=lean)
    case("one for all folds, isotonic", calibrated(make_pipeline(StandardScaler(), LogisticRegression()), method="isotonic",
                                                   cv=2, ensemble=False), FRAME, B, then=lean)
    if version < (1, 8):
        case("fitted before", calibrated(LogisticRegression().fit(X, C), cv="prefit"), X, C, core=True)
    if version >= (1, 8):
        case("temperature", calibrated(svc(), method="temperature", cv=2), X, C, then=lean)
        case("temperature, binary", calibrated(svc(), method="temperature", cv=2), X, B, then=lean)
        case("temperature of probabilities", calibrated(tree(), method="temperature", cv=2), X, C, then=lean)
        case("temperature of two probabilities", calibrated(tree(), method="temperature", cv=2), X, B, then=lean)
        from sklearn.frozen import FrozenEstimator
        case("frozen", calibrated(FrozenEstimator(LogisticRegression().fit(X, C))), X, C, then=lean)

    if version >= (1, 5):
        from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
        core = dict(core=version < (1, 6))
        case("threshold", lambda: FixedThresholdClassifier(LogisticRegression(), threshold=0.3), X, C == "yes", **core)
        case("threshold, automatic", lambda: FixedThresholdClassifier(LogisticRegression()), X, C == "yes")
        case("threshold for the first class", lambda: FixedThresholdClassifier(
            LogisticRegression(), threshold=0.4, pos_label=1), FRAME, B, **core)
        case("threshold of decisions", lambda: FixedThresholdClassifier(
            svc(), threshold=0.2, pos_label=1, response_method="decision_function"), X, B)
        case("threshold of decisions, automatic", lambda: FixedThresholdClassifier(svc()), X, (Y > 0).astype(int))
        case("tuned threshold", lambda: TunedThresholdClassifierCV(LogisticRegression(), cv=2), X, C == "yes", then=lean, **core)
        case("tuned threshold for a score", lambda: TunedThresholdClassifierCV(
            LogisticRegression(), scoring="f1", cv=2), X, B, then=lean, **core)

    line = np.linspace(0, 4, 30)
    bent = np.sin(line) + line + rng.normal(size=30) / 4
    asked = np.array([-1.0, 0.0, 0.3, 1.7, 2.71, 3.99, 4.0, 5.5])
    case("isotonic regression", lambda: IsotonicRegression(), line, bent, core=True, ask=asked)
    case("isotonic regression, clipped", lambda: IsotonicRegression(out_of_bounds="clip", y_min=0.5), line, bent, core=True, ask=asked)
    case("isotonic regression, falling", lambda: IsotonicRegression(increasing=False, out_of_bounds="raise"), line, -bent,
         ask=asked[1:-1])
    case("isotonic regression, flat", lambda: IsotonicRegression(), line, -bent, ask=asked[1:-1])

    positive = np.exp(Y / 4)
    case("target by functions", lambda: TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp),
         X, positive, core=True)
    case("target by a transformer", lambda: TransformedTargetRegressor(Ridge(), transformer=MinMaxScaler()), FRAME, Y, core=True)
    case("targets by a transformer", lambda: TransformedTargetRegressor(
        LinearRegression(), transformer=make_pipeline(StandardScaler(), MinMaxScaler())), X, np.stack([Y, -Y * Y], axis=1))
    case("target as a column", lambda: TransformedTargetRegressor(Ridge(), transformer=StandardScaler()), X, Y[:, None])
    case("target as it is", lambda: TransformedTargetRegressor(LinearRegression()), X, Y)
