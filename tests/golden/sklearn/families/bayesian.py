"""The deviations of Bayesian regressors."""

import numpy as np
from sklearn.linear_model import ARDRegression, BayesianRidge

rng = np.random.RandomState(8)
X = rng.normal(size=(30, 4)) * [1.0, 2.0, 0.5, 1.0] + [0.0, 3.0, -1.0, 0.0]
y = X @ [1.0, -2.0, 0.0, 0.0] + 0.3 * rng.normal(size=30)


def std(model, x):
    return {"outputs": model.predict(x, return_std=True)[1]}


def cases(case, version):
    for make in (BayesianRidge, ARDRegression):
        name = make.__name__
        case(name, make, X, y, also={"predict_std": std}, core=True)
        case(f"{name} without intercept", lambda: make(fit_intercept=False), X, y, also={"predict_std": std})
        if version < (1, 2):
            case(f"{name} normalised", lambda: make(normalize=True), X, y, also={"predict_std": std}, core=True)
    # No feature is kept.
    case("ARDRegression of noise", lambda: ARDRegression(threshold_lambda=1e-3), X, y, also={"predict_std": std})
