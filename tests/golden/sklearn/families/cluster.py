"""Clusters, approximations of kernels, and topics."""

import numpy as np
from sklearn.cluster import (AffinityPropagation, Birch, FeatureAgglomeration, KMeans, MeanShift, MiniBatchKMeans)
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.kernel_approximation import AdditiveChi2Sampler, RBFSampler, SkewedChi2Sampler

try:
    from sklearn.cluster import BisectingKMeans
except ImportError:  # before 1.1
    def BisectingKMeans(*_, **__):
        raise ImportError("BisectingKMeans")
try:
    from sklearn.kernel_approximation import PolynomialCountSketch
except ImportError:
    def PolynomialCountSketch(*_, **__):
        raise ImportError("PolynomialCountSketch")

rng = np.random.RandomState(5)
CENTRES = np.array([[0, 0, 0, 5], [6, 6, 0, -5], [-6, 6, 3, 0], [0, -7, -4, 0.0]])
X = np.repeat(CENTRES, 9, axis=0) + rng.normal(size=(36, 4))
ASK = np.repeat(CENTRES, 2, axis=0) + 1.7 * rng.normal(size=(8, 4))
POSITIVE = np.abs(X)
POSITIVE[::5, 1] = 0.0
COUNTS = rng.poisson(0.8, size=(24, 9)).astype(float)


def bare(model):
    """What only fitting needs."""
    for name in ("root_", "dummy_leaf_", "_random_state", "random_state_", "affinity_matrix_", "children_", "distances_"):
        if name in vars(model):
            delattr(model, name)
    if hasattr(model, "_bisecting_tree"):
        waiting = [model._bisecting_tree]
        while waiting:
            node = waiting.pop()
            node.__dict__.pop("indices", None)
            waiting += [child for child in (node.left, node.right) if child is not None]


def cases(case, version):
    def add(name, make, x=X, y=None, ask=ASK, **more):
        case(name, make, x, y, ask=ask, then=bare, **more)

    add("KMeans", lambda: KMeans(4, n_init=2, random_state=0), core=True)
    add("KMeans of one", lambda: KMeans(1, n_init=1, random_state=0))
    add("KMeans elkan", lambda: KMeans(6, algorithm="elkan", n_init=1, random_state=0))
    add("MiniBatchKMeans", lambda: MiniBatchKMeans(3, n_init=2, batch_size=10, random_state=0), core=True)
    add("BisectingKMeans", lambda: BisectingKMeans(4, random_state=0), core=True)
    add("BisectingKMeans of the largest", lambda: BisectingKMeans(5, bisecting_strategy="largest_cluster", random_state=1))
    add("MeanShift", lambda: MeanShift(bandwidth=4), core=True)
    add("AffinityPropagation", lambda: AffinityPropagation(random_state=0), core=True)
    add("AffinityPropagation without clusters", lambda: AffinityPropagation(max_iter=2, random_state=0))
    add("Birch", lambda: Birch(threshold=1.0, n_clusters=3), core=True)
    add("Birch without the last step", lambda: Birch(threshold=2.0, n_clusters=None))
    add("FeatureAgglomeration", lambda: FeatureAgglomeration(2), core=True)
    for function in (np.median, np.max, np.min, np.sum):
        add(f"FeatureAgglomeration by {function.__name__}", lambda f=function: FeatureAgglomeration(3, pooling_func=f))
    add("RBFSampler", lambda: RBFSampler(n_components=7, random_state=0), core=True)
    add("RBFSampler of another gamma", lambda: RBFSampler(gamma=0.1, n_components=5, random_state=0))
    add("SkewedChi2Sampler", lambda: SkewedChi2Sampler(skewedness=0.5, n_components=6, random_state=0),
        x=POSITIVE, ask=POSITIVE[:6], core=True, refuses=[("transform", -POSITIVE[:2] - 1.0)])
    for steps in (1, 2, 3):
        add(f"AdditiveChi2Sampler of {steps} steps", lambda steps=steps: AdditiveChi2Sampler(sample_steps=steps),
            x=POSITIVE, ask=POSITIVE[:6], core=steps == 2,
            refuses=[("transform", -POSITIVE[:2])] if version >= (1, 9) else ())
    add("AdditiveChi2Sampler of its own interval", lambda: AdditiveChi2Sampler(sample_steps=4, sample_interval=0.3),
        x=POSITIVE, ask=POSITIVE[:6])
    add("PolynomialCountSketch", lambda: PolynomialCountSketch(n_components=9, random_state=0), core=True)
    add("PolynomialCountSketch of three", lambda: PolynomialCountSketch(degree=3, gamma=0.5, coef0=1, n_components=11, random_state=0),
        tolerance=1e-8)
    add("LatentDirichletAllocation", lambda: LatentDirichletAllocation(3, max_iter=4, random_state=0), x=COUNTS, ask=COUNTS[:6], core=True)
    add("LatentDirichletAllocation of few rounds",
        lambda: LatentDirichletAllocation(4, max_iter=3, max_doc_update_iter=3, doc_topic_prior=0.9, mean_change_tol=0.1, random_state=0),
        x=COUNTS, ask=COUNTS[:6], refuses=[("transform", -COUNTS[:2])])
