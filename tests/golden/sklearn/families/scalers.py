"""Scalers, and what else looks at one row or one number at a time."""

import numpy as np
from sklearn.preprocessing import (
    Binarizer, KernelCenterer, MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler,
)

rng = np.random.RandomState(7)
X = rng.normal(size=(30, 3)) * [1.0, 3.0, 0.5] + [0.0, 1.0, -2.0]
ZEROS = np.array([[0.0, 0.0, 0.0], [1e-16, 0.0, 1e-16], [3.0, -4.0, 0.0]])


def cases(case, version):
    narrow = [("transform", X[:2, :2])]
    case("StandardScaler", StandardScaler, X, core=True, refuses=narrow if version >= (1, 1) else ())
    case("MinMaxScaler", MinMaxScaler, X, core=True)
    case("MinMaxScaler clipped", lambda: MinMaxScaler((-2, 3), clip=True), X, ask=3 * X[:5])
    case("MaxAbsScaler", MaxAbsScaler, X, core=True)
    case("MaxAbsScaler clipped", lambda: MaxAbsScaler(clip=True), X, ask=2 * X[:5])
    case("RobustScaler", RobustScaler, X, core=True)
    case("RobustScaler uncentred", lambda: RobustScaler(with_centering=False, unit_variance=True), X)
    case("RobustScaler unscaled", lambda: RobustScaler(with_scaling=False, quantile_range=(5, 80)), X)
    for norm in ("l1", "l2", "max"):
        ask = np.vstack([X[:4], ZEROS])
        case(f"Normalizer {norm}", lambda: Normalizer(norm=norm), X, ask=ask, core=True)
    case("Binarizer", lambda: Binarizer(threshold=0.5), X, core=True)
    case("Binarizer of zeros", Binarizer, X, ask=ZEROS)
    case("KernelCenterer", KernelCenterer, X[:6] @ X[:6].T, ask=X[6:10] @ X[:6].T, core=True)
