"""Nearest neighbours."""

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import (KNeighborsClassifier, KNeighborsRegressor, KNeighborsTransformer, LocalOutlierFactor,
                               NearestCentroid, NearestNeighbors, RadiusNeighborsClassifier, RadiusNeighborsRegressor,
                               RadiusNeighborsTransformer)

rng = np.random.RandomState(3)
X = rng.normal(size=(40, 4)) * [1.0, 2.0, 0.5, 1.0] + [0.0, 1.0, 0.0, -1.0]
ASK = np.r_[X[:2], rng.normal(size=(6, 4)) * [1.0, 2.0, 0.5, 1.0] + [0.0, 1.0, 0.0, -1.0]]
Y = X @ [1.0, -0.5, 0.2, 0.7]
THREE = np.digitize(X[:, 1], [0.0, 2.0])
TWO = (X[:, 0] > 0).astype(int)
WORDS = np.array(["low", "mid", "high"])[THREE]
MANY = np.c_[TWO, THREE]
BITS = (rng.uniform(size=(30, 6)) > 0.5).astype(float)
PLACES = rng.uniform(-1.2, 1.2, size=(25, 2))
V = np.var(X, axis=0)
VI = np.linalg.inv(np.cov(X.T))


def cases(case, version):
    def add(name, make, x=X, y=None, ask=ASK, **more):
        case(name, make, x, y, ask=ask, **more)

    add("KNeighborsClassifier", KNeighborsClassifier, y=THREE, core=True)
    add("KNeighborsClassifier of words", lambda: KNeighborsClassifier(3, weights="distance"), y=WORDS, core=True)
    add("KNeighborsClassifier of two outputs", lambda: KNeighborsClassifier(4), y=MANY, core=True)
    add("KNeighborsClassifier brute", lambda: KNeighborsClassifier(5, algorithm="brute"), y=TWO, ask=ASK[2:], core=True)
    add("KNeighborsClassifier of two outputs by distance", lambda: KNeighborsClassifier(4, weights="distance"), y=MANY)
    add("KNeighborsRegressor", KNeighborsRegressor, y=Y, core=True)
    add("KNeighborsRegressor by distance", lambda: KNeighborsRegressor(3, weights="distance"), y=np.c_[Y, -Y], core=True)
    add("KNeighborsRegressor fitted on sparse", lambda: KNeighborsRegressor(3), x=csr_matrix(X), y=Y, ask=ASK[2:])
    add("KNeighborsTransformer", lambda: KNeighborsTransformer(n_neighbors=3), ask=ASK[2:], core=True)
    add("KNeighborsTransformer of ones", lambda: KNeighborsTransformer(mode="connectivity", n_neighbors=4))
    add("RadiusNeighborsTransformer", lambda: RadiusNeighborsTransformer(radius=2.0), ask=ASK[2:], core=True, methods=("transform", "radius_neighbors"))
    add("NearestNeighbors", lambda: NearestNeighbors(n_neighbors=4), core=True)
    add("NearestNeighbors within 2.5", lambda: NearestNeighbors(n_neighbors=3, radius=2.5, algorithm="brute"), ask=ASK[2:])
    add("NearestNeighbors of distances", lambda: NearestNeighbors(n_neighbors=2, metric="precomputed"),
        x=euclidean_distances(X), ask=euclidean_distances(ASK, X))
    add("RadiusNeighborsClassifier", lambda: RadiusNeighborsClassifier(2.5), y=THREE, core=True)
    add("RadiusNeighborsClassifier with outliers", lambda: RadiusNeighborsClassifier(0.8, outlier_label="most_frequent"),
        y=THREE, ask=np.r_[ASK, [[50.0, 50, 50, 50]]])
    add("RadiusNeighborsClassifier with its own label", lambda: RadiusNeighborsClassifier(0.8, weights="distance", outlier_label=-7),
        y=THREE, ask=np.r_[ASK, [[50.0, 50, 50, 50]]], core=True)
    add("RadiusNeighborsRegressor", lambda: RadiusNeighborsRegressor(2.5), y=Y, core=True)
    add("RadiusNeighborsRegressor by distance, alone too", lambda: RadiusNeighborsRegressor(1.5, weights="distance"),
        y=Y, ask=np.r_[ASK, [[50.0, 50, 50, 50]]])
    add("LocalOutlierFactor", lambda: LocalOutlierFactor(n_neighbors=5, novelty=True), ask=ASK[2:], core=True)
    add("LocalOutlierFactor contaminated", lambda: LocalOutlierFactor(n_neighbors=7, novelty=True, contamination=0.2), ask=ASK[2:])
    add("NearestCentroid", NearestCentroid, y=WORDS, core=True)
    add("NearestCentroid of two", NearestCentroid, y=TWO)
    add("NearestCentroid shrunken", lambda: NearestCentroid(shrink_threshold=0.3), y=THREE)
    add("NearestCentroid manhattan", lambda: NearestCentroid(metric="manhattan"), y=THREE)
    add("NearestCentroid by its shares", lambda: NearestCentroid(priors="empirical"), y=THREE)
    metrics = [("manhattan", {}), ("chebyshev", {}), ("minkowski", {"p": 3}), ("minkowski", {"p": 1.5}),
               ("canberra", {}), ("braycurtis", {}), ("cosine", {}), ("correlation", {}), ("sqeuclidean", {}),
               ("seuclidean", {"metric_params": {"V": V}}), ("mahalanobis", {"metric_params": {"VI": VI}}),
               ("minkowski", {"p": 2, "metric_params": {"w": np.array([0.5, 1.0, 2.0, 0.25])}})]
    for metric, options in metrics:
        add(f"KNeighborsRegressor {metric} {sorted(options)}",
            lambda m=metric, o=options: KNeighborsRegressor(3, metric=m, algorithm="brute" if m in ("cosine", "correlation", "sqeuclidean", "braycurtis") else "auto", **o),
            y=Y, ask=ASK[2:])
    for metric in ("jaccard", "dice", "hamming", "rogerstanimoto", "russellrao", "sokalsneath"):
        add(f"KNeighborsRegressor {metric}", lambda m=metric: KNeighborsRegressor(30, metric=m, algorithm="ball_tree"),
            x=BITS, y=Y[:30], ask=BITS[:4], unasked=("kneighbors",))
    add("KNeighborsRegressor haversine", lambda: KNeighborsRegressor(3, metric="haversine", algorithm="ball_tree"),
        x=PLACES, y=Y[:25], ask=PLACES[:5] + 0.01)
