"""Gaussian processes: every kernel, and how they are put together."""

import numpy as np
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF, ConstantKernel, DotProduct, Exponentiation, ExpSineSquared, Matern, PairwiseKernel, RationalQuadratic,
    WhiteKernel,
)

rng = np.random.RandomState(17)
X = rng.uniform(-2, 2, size=(16, 3))
number = np.sin(X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.normal(size=16)
two = np.where(X[:, 0] + 0.5 * rng.normal(size=16) > 0, "in", "out")
three = np.digitize(X[:, 1] + 0.3 * rng.normal(size=16), [-0.6, 0.7])
# Near the points, at one of them, and far away.
ask = np.vstack([X[:3] + 0.1, X[3:4], 3 * X[4:6], np.zeros((1, 3))])

KERNELS = {
    "RBF": RBF(1.3),
    "RBF, a length each": RBF([0.7, 1.3, 2.0]),
    "Matern, 0.5": Matern(1.2, nu=0.5),
    "Matern, 1.5": Matern([0.8, 1.2, 1.7], nu=1.5),
    "Matern, 2.5": Matern(1.2, nu=2.5),
    "Matern, inf": Matern(1.2, nu=np.inf),
    "Matern, 0.8": Matern(1.2, nu=0.8),
    "Matern, 3.3": Matern([0.8, 1.2, 1.7], nu=3.3),
    "RationalQuadratic": RationalQuadratic(1.4, alpha=0.6),
    "ExpSineSquared": ExpSineSquared(1.1, 2.7) + WhiteKernel(5.0),
    "DotProduct": DotProduct(0.8) + WhiteKernel(0.3),
    "constant and noise": 2.5 * RBF(1.1) + WhiteKernel(0.2) + 0.3,
    "product": RBF(1.5) * RationalQuadratic(0.9),
    "power": Exponentiation(DotProduct(1.0), 2) * 0.2 + WhiteKernel(0.1),
    "pairwise, laplacian": PairwiseKernel(gamma=0.4, metric="laplacian"),
    "pairwise, poly": PairwiseKernel(gamma=0.4, metric="poly", pairwise_kernels_kwargs={"degree": 2}) + WhiteKernel(0.2),
    "pairwise, rbf": ConstantKernel(0.5) * PairwiseKernel(gamma=0.4, metric="rbf"),
    "pairwise, cosine": PairwiseKernel(metric="cosine") + WhiteKernel(0.4),
}

def lean(model):
    for name in ("_rng", "y_train_", "rng"):
        vars(model).pop(name, None)


def std(model, x):
    return {"outputs": model.predict(x, return_std=True)[1]}


def latent(model, x):
    base = model.base_estimator_
    if hasattr(base, "latent_mean_and_variance"):
        mean, variance = base.latent_mean_and_variance(x)
    else:
        from scipy.linalg import solve
        known = base.kernel_(base.X_train_, x)
        v = solve(base.L_, base.W_sr_[:, np.newaxis] * known)
        mean, variance = known.T.dot(base.y_train_ - base.pi_), base.kernel_.diag(x) - np.einsum("ij,ij->j", v, v)
    return {"latent_mean": mean, "latent_variance": variance}


def cases(case, version):
    narrow = [("predict", X[:2, :2])] if version >= (1, 1) else ()

    def regressor(name, make, y=number, **how):
        case(f"GaussianProcessRegressor, {name}", make, X, y, ask, then=lean, also={"predict_std": std}, **how)

    for name, kernel in KERNELS.items():
        core = name in ("RBF, a length each", "Matern, 0.8", "constant and noise", "pairwise, laplacian")
        regressor(name, lambda: GaussianProcessRegressor(kernel, alpha=1e-3, optimizer=None), core=core)
    regressor("default", lambda: GaussianProcessRegressor(alpha=0.05), refuses=narrow, core=True)
    regressor("fitted", lambda: GaussianProcessRegressor(RBF([1.0, 1.0, 1.0]) + WhiteKernel(), normalize_y=True), core=True)
    if version >= (1, 1):
        both = np.column_stack([number, 30 * X[:, 2] + 5])
        regressor("two targets", lambda: GaussianProcessRegressor(RBF(), alpha=0.1, normalize_y=True), both)
        regressor("one column", lambda: GaussianProcessRegressor(RBF(), alpha=0.1), number[:, np.newaxis])

    def classifier(name, make, y, **how):
        case(f"GaussianProcessClassifier {name}", make, X, y, ask, then=lean, **how)

    classifier("of two", GaussianProcessClassifier, two, also={"latent_mean_and_variance": latent}, core=True)
    classifier("of two, Matern", lambda: GaussianProcessClassifier(2.0 * Matern(1.3, nu=1.5)), two,
               also={"latent_mean_and_variance": latent})
    classifier("of three", GaussianProcessClassifier, three, core=True)
    classifier("of three, one_vs_one", lambda: GaussianProcessClassifier(RBF(1.2), multi_class="one_vs_one"), three,
               methods=("predict",), core=True)
