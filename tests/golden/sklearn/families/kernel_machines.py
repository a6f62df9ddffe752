"""Models that are their samples: kernel ridge, kernel densities, label propagation."""

import numpy as np
import scipy.sparse as sp
from sklearn.kernel_ridge import KernelRidge
from sklearn.neighbors import KernelDensity
from sklearn.semi_supervised import LabelPropagation, LabelSpreading

rng = np.random.RandomState(33)
X = rng.uniform(0.1, 2.0, size=(22, 3))
number = np.sin(3 * X[:, 0]) + X[:, 1]
both = np.column_stack([number, 10 * X[:, 2]])
known = np.where(rng.uniform(size=22) < 0.5, np.digitize(X[:, 0], [0.8, 1.4]), -1)
known[:3] = [0, 1, 2]
ask = np.vstack([X[:4] + 0.05, X[4:6], X[6:8] * 1.5])
gram = X @ X.T


def cases(case, version):
    narrow = [("predict", X[:2, :2])] if version >= (1, 1) else ()
    for kernel in ("linear", "rbf", "poly", "polynomial", "sigmoid", "laplacian", "cosine", "additive_chi2"):
        core = kernel in ("linear", "rbf", "laplacian")
        case(f"KernelRidge, {kernel}", lambda: KernelRidge(kernel=kernel, alpha=0.1), X, number, ask, core=core,
             refuses=narrow)
        case(f"KernelRidge of two, {kernel}", lambda: KernelRidge(kernel=kernel, gamma=0.3, coef0=0.5, degree=2), X, both, ask)
    case("KernelRidge, chi2", lambda: KernelRidge(kernel="chi2", gamma=0.3), X, number, ask,
         refuses=[("predict", -X[:2])])
    case("KernelRidge, precomputed", lambda: KernelRidge(kernel="precomputed"), gram, number, gram[:5], core=True)
    case("KernelRidge, sparse", lambda: KernelRidge(kernel="rbf"), sp.csr_matrix(X * (X > 0.5)), number, ask)

    for kernel in ("gaussian", "tophat", "epanechnikov", "exponential", "linear", "cosine"):
        core = kernel in ("gaussian", "tophat")
        case(f"KernelDensity, {kernel}", lambda: KernelDensity(kernel=kernel, bandwidth=0.6), X, None, ask, core=core,
             refuses=[("score_samples", X[:2, :2])] if version >= (1, 1) else ())
        case(f"KernelDensity in one dimension, {kernel}", lambda: KernelDensity(kernel=kernel, bandwidth=0.3),
             X[:, :1], None, ask[:, :1])

    def weighted(model):
        return KernelDensity(bandwidth=0.5).fit(X, sample_weight=np.arange(1.0, 23.0))

    case("KernelDensity, weights", lambda: KernelDensity(bandwidth=0.5), X, None, ask, then=weighted, core=True)
    case("KernelDensity, manhattan", lambda: KernelDensity(metric="manhattan", bandwidth=0.5), X, None, ask)
    case("KernelDensity, chebyshev", lambda: KernelDensity(metric="chebyshev", algorithm="ball_tree"), X, None, ask)
    case("KernelDensity, minkowski", lambda: KernelDensity(metric="minkowski", metric_params={"p": 3}, bandwidth=0.7),
         X, None, ask)
    case("KernelDensity, scott", lambda: KernelDensity(bandwidth="scott"), X, None, ask)

    for make in (LabelPropagation, LabelSpreading):
        name = make.__name__
        case(f"{name}", lambda: make(gamma=5.0), X, known, ask, core=True, refuses=narrow)
        case(f"{name}, knn", lambda: make(kernel="knn", n_neighbors=4), X, known, ask, core=True)
    texts = np.array(["a", "b", "c"], dtype=object)[np.clip(known, 0, 2)]
    case("LabelPropagation, texts", lambda: LabelPropagation(gamma=2.0), X, texts, ask)
