"""Mixtures of normal distributions."""

import numpy as np
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

rng = np.random.RandomState(21)
X = np.vstack([rng.normal(size=(25, 3)) * [1.0, 0.3, 2.0], rng.normal(size=(25, 3)) * 0.5 + [3.0, -1.0, 0.5]])
ask = np.vstack([X[:4], X[-4:], X[:1] * 20])


def lean(model):
    for name in ("lower_bounds_", "precisions_", "covariances_"):
        vars(model).pop(name, None)


def cases(case, version):
    for kind in ("full", "tied", "diag", "spherical"):
        case(f"GaussianMixture, {kind}", lambda: GaussianMixture(2, covariance_type=kind, random_state=0), X, None, ask,
             then=lean, core=True, refuses=[("predict", X[:2, :2])] if version >= (1, 1) else ())
        case(f"BayesianGaussianMixture, {kind}",
             lambda: BayesianGaussianMixture(n_components=3, covariance_type=kind, random_state=0), X, None, ask,
             then=lean, core=True)
    case("BayesianGaussianMixture, dirichlet_distribution",
         lambda: BayesianGaussianMixture(n_components=3, weight_concentration_prior_type="dirichlet_distribution",
                                         mean_precision_prior=0.3, random_state=0), X, None, ask, then=lean)
    case("GaussianMixture, one", lambda: GaussianMixture(1, random_state=0), X, None, ask, then=lean)
