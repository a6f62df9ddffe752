"""Features made of features: products, splines, powers, quantiles and bins."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, PolynomialFeatures, PowerTransformer, QuantileTransformer

try:
    from sklearn.preprocessing import SplineTransformer  # since 1.0
except ImportError:
    SplineTransformer = None

NAN = float("nan")
rng = np.random.RandomState(5)
X = np.round(rng.normal(size=(24, 3)) * [1.0, 4.0, 0.3] + [0.5, -2.0, 1.0], 4)
WIDE = np.vstack([X[:5], 3 * X[5:9] - 1])
GAPS = np.where(rng.uniform(size=(6, 3)) < 0.3, NAN, X[:6])
POSITIVE = np.exp(X)
STEPS = np.round(X)


def cases(case, version):
    powers(case, version)
    if SplineTransformer:
        splines(case, version)
    for method, data in (("yeo-johnson", X), ("box-cox", POSITIVE)):
        case(f"PowerTransformer {method}", lambda: PowerTransformer(method=method), data, core=True)
        case(f"PowerTransformer {method} unscaled", lambda: PowerTransformer(method=method, standardize=False), data)
    case("PowerTransformer of gaps", PowerTransformer, X, ask=GAPS)
    case("PowerTransformer of what is not positive", lambda: PowerTransformer(method="box-cox"), POSITIVE,
         refuses=[("transform", X)])
    for kind in ("uniform", "normal"):
        make = lambda: QuantileTransformer(n_quantiles=11, output_distribution=kind)
        case(f"QuantileTransformer {kind}", make, X, ask=WIDE, core=True)
        case(f"QuantileTransformer {kind} of gaps", make, X, ask=GAPS)
        case(f"QuantileTransformer {kind} of steps", make, STEPS, ask=WIDE)
    bins(case)


def powers(case, version):
    case("PolynomialFeatures", PolynomialFeatures, X, core=True)
    case("PolynomialFeatures cubic", lambda: PolynomialFeatures(3), X, core=True)
    case("PolynomialFeatures of interactions", lambda: PolynomialFeatures(3, interaction_only=True, include_bias=False), X, core=True)
    case("PolynomialFeatures from 2 to 3", lambda: PolynomialFeatures((2, 3)), X)
    case("PolynomialFeatures from 2 to 4 of interactions", lambda: PolynomialFeatures((2, 4), interaction_only=True,
         include_bias=False), X)
    if version >= (1, 0):  # 0.24 fails
        case("PolynomialFeatures of degree 0", lambda: PolynomialFeatures(0), X)
    case("PolynomialFeatures of degree 1", lambda: PolynomialFeatures(1, order="F"), X)


def splines(case, version):
    for mode in ("constant", "linear", "continue", "periodic"):
        case(f"SplineTransformer {mode}", lambda: SplineTransformer(extrapolation=mode), X, ask=WIDE, core=True)
        case(f"SplineTransformer {mode} of degree 1", lambda: SplineTransformer(degree=1, n_knots=4, extrapolation=mode,
             include_bias=False), X, ask=WIDE)
        case(f"SplineTransformer {mode} of degree 2", lambda: SplineTransformer(degree=2, n_knots=4, extrapolation=mode,
             knots="quantile"), X, ask=WIDE)
    case("SplineTransformer of steps", lambda: SplineTransformer(degree=0), X)
    case("SplineTransformer of an error", lambda: SplineTransformer(extrapolation="error"), X, core=True,
         refuses=[("transform", WIDE)] if version >= (1, 9) else ())
    knots = np.array([[-2.0, -9.0, 0.0], [0.0, -2.0, 1.0], [1.0, 1.0, 1.5], [3.0, 7.0, 2.0]])
    case("SplineTransformer of knots", lambda: SplineTransformer(knots=knots), X, ask=WIDE)
    case("SplineTransformer sparse", lambda: make_pipeline(SplineTransformer(sparse_output=True), LogisticRegression()),
         X, X[:, 0] > 0.5, ask=WIDE)
    case("SplineTransformer of gaps", lambda: SplineTransformer(handle_missing="zeros"), X, ask=GAPS)


def bins(case):
    for encode in ("onehot", "onehot-dense", "ordinal"):
        case(f"KBinsDiscretizer {encode}", lambda: KBinsDiscretizer(4, encode=encode, strategy="uniform"), X, ask=WIDE, core=True)
    case("KBinsDiscretizer of several", lambda: KBinsDiscretizer([2, 3, 5], strategy="quantile"), X, ask=WIDE)
    case("KBinsDiscretizer kmeans", lambda: KBinsDiscretizer(3, encode="ordinal", strategy="kmeans"), X, ask=WIDE)
    case("KBinsDiscretizer before LogisticRegression", lambda: make_pipeline(KBinsDiscretizer(3, strategy="uniform"),
         LogisticRegression()), X, X[:, 0] > 0.5, ask=WIDE)
