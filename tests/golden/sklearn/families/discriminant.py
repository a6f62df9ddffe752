"""Linear and quadratic discriminant analysis."""

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

rng = np.random.RandomState(9)
X = rng.normal(size=(40, 4)) * [1.0, 3.0, 0.5, 2.0] + [0.0, 100.0, -2.0, 1.0]
two = np.where(X[:, 0] + 0.2 * rng.normal(size=40) > 0, "b", "a")
three = np.digitize(X[:, 0] + 0.3 * rng.normal(size=40), [-0.4, 0.5]) * 10
ask = np.vstack([X[:6], X[6:8] * 50])
WITHOUT = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def cases(case, version):
    narrow = [("predict", X[:2, :2])] if version >= (1, 1) else ()
    for name, y in [("two", two), ("three", three)]:
        case(f"LDA of {name}", LinearDiscriminantAnalysis, X, y, ask, core=True, refuses=narrow)
        case(f"LDA of {name}, eigen", lambda: LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"), X, y, ask)
        case(f"LDA of {name}, lsqr", lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3), X, y, ask,
             methods=WITHOUT)
        # Far from all classes every exponential underflows.
        case(f"QDA of {name}", QuadraticDiscriminantAnalysis, X, y, X[:6], core=True)
        case(f"QDA of {name}, regularised", lambda: QuadraticDiscriminantAnalysis(reg_param=0.2), X, y, ask[:7])
    case("LDA, one component", lambda: LinearDiscriminantAnalysis(n_components=1, priors=[0.2, 0.2, 0.6]), X, three)
    case("QDA, priors", lambda: QuadraticDiscriminantAnalysis(priors=[0.2, 0.2, 0.6]), X, three)
    case("QDA, eigen", lambda: QuadraticDiscriminantAnalysis(solver="eigen", shrinkage=0.1), X, three)
