"""Decompositions, projections, partial least squares and covariances."""

import numpy as np
import pandas as pd
from sklearn.covariance import (EllipticEnvelope, EmpiricalCovariance, GraphicalLasso, GraphicalLassoCV, LedoitWolf,
                                MinCovDet, OAS, ShrunkCovariance)
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical, PLSRegression
from sklearn.decomposition import (PCA, FactorAnalysis, FastICA, IncrementalPCA, MiniBatchSparsePCA, SparsePCA,
                                   TruncatedSVD)
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

rng = np.random.RandomState(11)
BASE = rng.normal(size=(40, 3))
X = BASE @ rng.normal(size=(3, 5)) + 0.4 * rng.normal(size=(40, 5)) + [0.0, 1.0, -2.0, 0.5, 3.0]
ASK = X[:6] + 0.1 * rng.normal(size=(6, 5))
Y = np.c_[BASE[:, 0] + 0.1 * rng.normal(size=40), BASE[:, 1] - BASE[:, 2]]
LABELS = (BASE[:, 0] > 0).astype(int)
WIDE = rng.normal(size=(20, 40))


def bare(model):
    """What only fitting needs."""
    for name in ("fit_", "dist_", "raw_support_", "support_", "x_scores_", "y_scores_", "_x_scores", "_y_scores",
                 "callback", "random_state_"):
        if hasattr(model, name) and not isinstance(getattr(type(model), name, None), property):
            delattr(model, name)


def cases(case, version):
    def add(name, make, x=X, y=None, ask=ASK, **more):
        case(name, make, x, y, ask=ask, then=bare, **more)

    add("PCA", lambda: PCA(2), core=True)
    add("PCA of all components", lambda: PCA(), core=True)
    add("PCA whitened", lambda: PCA(3, whiten=True), core=True)
    add("PCA of a share", lambda: PCA(0.9))
    add("PCA of a frame", lambda: PCA(2), x=pd.DataFrame(X, columns=list("abcde")), ask=pd.DataFrame(ASK, columns=list("abcde")))
    add("IncrementalPCA", lambda: IncrementalPCA(2, batch_size=10), core=True)
    add("IncrementalPCA whitened", lambda: IncrementalPCA(3, whiten=True))
    add("SparsePCA", lambda: SparsePCA(2, random_state=0, max_iter=20), core=True)
    add("SparsePCA of another ridge", lambda: SparsePCA(3, ridge_alpha=0.5, alpha=0.2, random_state=0, max_iter=20))
    add("MiniBatchSparsePCA", lambda: MiniBatchSparsePCA(2, random_state=0), core=True)
    add("TruncatedSVD", lambda: TruncatedSVD(2, random_state=0), core=True)
    add("TruncatedSVD arpack", lambda: TruncatedSVD(3, algorithm="arpack", random_state=0))
    add("FactorAnalysis", lambda: FactorAnalysis(2, random_state=0), core=True)
    add("FactorAnalysis rotated", lambda: FactorAnalysis(2, rotation="varimax", random_state=0))
    add("FastICA", lambda: FastICA(2, random_state=0, max_iter=1000, tol=1e-3), core=True)
    add("FastICA not whitened", lambda: FastICA(whiten=False, random_state=0, max_iter=2000, tol=1e-2))
    add("FastICA of unit variance", lambda: FastICA(3, whiten="unit-variance", random_state=0, max_iter=1000, tol=1e-3))
    add("NeighborhoodComponentsAnalysis", lambda: NeighborhoodComponentsAnalysis(2, random_state=0, max_iter=10), y=LABELS, core=True)
    add("GaussianRandomProjection", lambda: GaussianRandomProjection(3, random_state=0), core=True)
    add("GaussianRandomProjection with its inverse",
        lambda: GaussianRandomProjection(3, compute_inverse_components=True, random_state=0))
    add("SparseRandomProjection", lambda: SparseRandomProjection(6, random_state=0), x=WIDE, ask=WIDE[:3], core=True)
    add("SparseRandomProjection dense output", lambda: SparseRandomProjection(4, dense_output=True, density=0.3, random_state=0))
    for cls in (PLSRegression, PLSCanonical, CCA):
        add(cls.__name__, lambda cls=cls: cls(2), y=Y, core=True)
        add(f"{cls.__name__} not scaled", lambda cls=cls: cls(2, scale=False), y=Y)
    add("PLSRegression of one target", lambda: PLSRegression(2), y=Y[:, 0], core=True)
    add("PLSRegression of one column", lambda: PLSRegression(2), y=Y[:, :1])
    add("PLSSVD", lambda: PLSSVD(2), y=Y, core=True)
    for cls, options in ((EmpiricalCovariance, {}), (ShrunkCovariance, {}), (LedoitWolf, {}), (OAS, {}),
                         (GraphicalLasso, {"alpha": 0.05}), (GraphicalLassoCV, {"alphas": 2, "cv": 2}),
                         (MinCovDet, {"random_state": 0})):
        add(cls.__name__, lambda cls=cls, o=options: cls(**o), core=True)
    add("EmpiricalCovariance without its inverse", lambda: EmpiricalCovariance(store_precision=False))
    add("EmpiricalCovariance centred", lambda: EmpiricalCovariance(assume_centered=True))
    add("EllipticEnvelope", lambda: EllipticEnvelope(random_state=0), core=True)
    add("EllipticEnvelope of a third", lambda: EllipticEnvelope(contamination=0.33, random_state=0))
