"""Support vector machines of libsvm."""

import numpy as np
import scipy.sparse as sp
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

rng = np.random.RandomState(11)
X = rng.normal(size=(36, 3))
two = np.where(X[:, 0] + 0.3 * rng.normal(size=36) > 0, "yes", "no")
four = (X[:, 0] > 0).astype(int) * 2 + (X[:, 1] + 0.4 * rng.normal(size=36) > 0) + 5
number = X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=36)
ask = np.vstack([X[:5], 2.5 * X[5:9], np.zeros((1, 3))])
sparse = sp.csr_matrix(np.where(rng.uniform(size=(36, 6)) < 0.4, rng.normal(size=(36, 6)), 0.0))
gram = X @ X.T

KERNELS = {
    "linear": dict(kernel="linear"),
    "rbf": dict(kernel="rbf"),
    "rbf, gamma": dict(kernel="rbf", gamma=0.7),
    "poly": dict(kernel="poly", degree=4, coef0=0.5, gamma=0.3),
    "sigmoid": dict(kernel="sigmoid", coef0=-0.2, gamma="auto"),
}


def cases(case, version):
    narrow = [("predict", X[:2, :2])] if version >= (1, 1) else ()
    for name, how in KERNELS.items():
        core = name in ("linear", "rbf")
        case(f"SVC, {name}", lambda: SVC(**how), X, two, ask, core=core, refuses=narrow)
        case(f"SVC of four, {name}", lambda: SVC(**how), X, four, ask, core=core)
        case(f"SVR, {name}", lambda: SVR(**how), X, number, ask, core=core)
        case(f"OneClassSVM, {name}", lambda: OneClassSVM(nu=0.3, **how), X, None, ask, core=core)
        case(f"sparse SVC, {name}", lambda: SVC(**how), sparse, two, sparse[:8], core=core)
        case(f"sparse SVC of four, {name}", lambda: SVC(**how), sparse, four, sparse[:8])
        case(f"sparse SVR, {name}", lambda: SVR(**how), sparse, number, sparse[:8], core=name == "linear")
    case("NuSVC", lambda: NuSVC(nu=0.2), X, four, ask, core=True)
    case("NuSVC, poly", lambda: NuSVC(nu=0.2, kernel="poly"), X, two, ask)
    case("NuSVR", lambda: NuSVR(nu=0.4), X, number, ask, core=True)
    case("SVC, probabilities", lambda: SVC(probability=True, random_state=1), X, two, ask, core=True)
    case("SVC of four, probabilities", lambda: SVC(probability=True, random_state=1), X, four, ask, core=True)
    case("NuSVC of four, probabilities", lambda: NuSVC(nu=0.2, probability=True, random_state=1), X, four, ask)
    case("sparse SVC, probabilities", lambda: SVC(probability=True, random_state=1), sparse, four, sparse[:8])
    case("SVC, ovo", lambda: SVC(decision_function_shape="ovo"), X, four, ask, core=True)
    case("SVC, ties broken", lambda: SVC(break_ties=True), X, four, ask)
    case("SVC, class weights", lambda: SVC(class_weight="balanced", C=3.0), X, four, ask)
    case("SVC, precomputed", lambda: SVC(kernel="precomputed"), gram, four, gram[:6], core=True)
    case("SVR, precomputed", lambda: SVR(kernel="precomputed"), gram, number, gram[:6])
    case("SVR without support vectors", lambda: SVR(epsilon=100.0), X, number, ask)
    case("OneClassSVM, one support vector", lambda: OneClassSVM(nu=0.01), X[:4], None, ask)
