"""Scalers. The smallest family, and the pattern for the others."""

import numpy as np
from sklearn.preprocessing import MinMaxScaler, StandardScaler

rng = np.random.RandomState(7)
X = rng.normal(size=(30, 3)) * [1.0, 3.0, 0.5] + [0.0, 1.0, -2.0]


def cases(case, version):
    narrow = [("transform", X[:2, :2])]
    case("StandardScaler", StandardScaler, X, core=True, refuses=narrow if version >= (1, 1) else ())
    case("MinMaxScaler", MinMaxScaler, X, core=True)
    case("MinMaxScaler clipped", lambda: MinMaxScaler((-2, 3), clip=True), X, ask=3 * X[:5])
