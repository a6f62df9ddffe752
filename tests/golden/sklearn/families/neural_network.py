"""Neural networks. What only training needs is taken out of the files."""

import numpy as np
from sklearn.neural_network import BernoulliRBM, MLPClassifier, MLPRegressor

rng = np.random.RandomState(3)
X = rng.normal(size=(40, 4))
bits = (rng.uniform(size=(40, 5)) > 0.5).astype(float)
two = np.where(X[:, 0] > 0, "on", "off")
three = np.digitize(X[:, 1], [-0.4, 0.5]) + 3
several = (X[:, :3] > 0.2).astype(int)
number = X @ [1.0, -2.0, 0.5, 0.1]
ask = np.vstack([X[:5], 30 * X[5:7]])


def lean(model):
    for name in ("_optimizer", "_random_state", "random_state_", "loss_curve_", "h_samples_", "validation_scores_"):
        vars(model).pop(name, None)


def cases(case, version):
    narrow = [("predict", X[:2, :2])] if version >= (1, 1) else ()

    def network(name, make, y, how=None, **given):
        how = {"hidden_layer_sizes": (5,), "max_iter": 60, "random_state": 0, **(how or {})}
        case(name, lambda: make(**how), X, y, ask, then=lean, **given)

    for name, y in [("two", two), ("three", three), ("several", several)]:
        network(f"MLPClassifier of {name}", MLPClassifier, y, core=True, refuses=narrow)
        for activation in ("identity", "logistic", "tanh"):
            network(f"MLPClassifier of {name}, {activation}", MLPClassifier, y,
                    {"activation": activation, "solver": "lbfgs", "max_iter": 15})
    network("MLPRegressor", MLPRegressor, number, core=True)
    network("MLPRegressor of two", MLPRegressor, X[:, :2] * 3, core=True)
    network("MLPRegressor, poisson", MLPRegressor, np.abs(number), {"loss": "poisson"})
    network("MLPRegressor, deep", MLPRegressor, number, {"hidden_layer_sizes": (7, 6, 5), "activation": "tanh"})
    network("MLPClassifier, wide", MLPClassifier, three, {"hidden_layer_sizes": (64, 65), "max_iter": 2})
    network("MLPClassifier, no hidden layer", MLPClassifier, three, {"hidden_layer_sizes": ()})
    # Its score_samples draws random numbers.
    case("BernoulliRBM", lambda: BernoulliRBM(n_components=3, random_state=0), bits, then=lean, core=True,
         methods=("transform",))
