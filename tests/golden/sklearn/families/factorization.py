"""Factorizations, dictionaries, kernels and manifolds."""

import numpy as np
from sklearn.decomposition import NMF, DictionaryLearning, KernelPCA, MiniBatchDictionaryLearning, SparseCoder
from sklearn.kernel_approximation import Nystroem
from sklearn.manifold import Isomap, LocallyLinearEmbedding

try:
    from sklearn.decomposition import MiniBatchNMF
except ImportError:  # before 1.1
    def MiniBatchNMF(*_, **__):
        raise ImportError("MiniBatchNMF")

rng = np.random.RandomState(2)
BASE = rng.normal(size=(30, 2))
X = BASE @ rng.normal(size=(2, 4)) + 0.2 * rng.normal(size=(30, 4))
ASK = X[:5] + 0.1 * rng.normal(size=(5, 4))
PARTS = rng.uniform(0, 1, size=(3, 5))
SUMS = rng.uniform(0, 2, size=(25, 3)) @ PARTS + 0.05 * rng.uniform(size=(25, 5))
ATOMS = rng.normal(size=(6, 4))
ATOMS /= np.linalg.norm(ATOMS, axis=1, keepdims=True)


def bare(model):
    """What only fitting needs."""
    for name in ("random_state_", "_random_state", "_rng", "_inner_stats", "_A", "_B", "_components_numerator", "_components_denominator",
                 "inner_stats_", "iter_offset_", "_transform_max_iter_"):
        if name in vars(model):
            delattr(model, name)


def cases(case, version):
    def add(name, make, x=X, ask=ASK, y=None, **more):
        case(name, make, x, y, ask=ask, then=bare, **more)

    for kernel, options in (("linear", {}), ("rbf", {"gamma": 0.3}), ("rbf", {}), ("poly", {"degree": 2, "coef0": 0.5}),
                            ("sigmoid", {"gamma": 0.1}), ("cosine", {})):
        add(f"KernelPCA {kernel} {sorted(options)}", lambda k=kernel, o=options: KernelPCA(2, kernel=k, **o),
            core=kernel in ("rbf", "poly"), methods=("transform",))
    add("KernelPCA and back", lambda: KernelPCA(2, kernel="rbf", gamma=0.2, fit_inverse_transform=True, alpha=0.1))
    add("KernelPCA of a kernel", lambda: KernelPCA(2, kernel="precomputed"), x=X @ X.T, ask=ASK @ X.T, core=True, methods=("transform",))
    for kernel, options in (("rbf", {}), ("polynomial", {"degree": 2}), ("sigmoid", {"coef0": 0.2}), ("laplacian", {"gamma": 0.5})):
        add(f"Nystroem {kernel}", lambda k=kernel, o=options: Nystroem(kernel=k, n_components=8, random_state=0, **o),
            core=kernel == "rbf", tolerance=1e-7)
    add("Isomap", lambda: Isomap(n_neighbors=5), core=True)
    add("Isomap of a radius", lambda: Isomap(n_neighbors=None, radius=2.5) if version >= (1, 1) else Isomap(), ask=X[:4])
    add("LocallyLinearEmbedding", lambda: LocallyLinearEmbedding(n_neighbors=5, random_state=0, eigen_solver="dense"), core=True, tolerance=1e-7)
    add("LocallyLinearEmbedding regularized", lambda: LocallyLinearEmbedding(n_neighbors=6, reg=0.1, random_state=0, eigen_solver="dense"))
    for row in range(3):
        one = SUMS[row:row + 1]
        add(f"NMF {row}", lambda: NMF(3, init="nndsvda", random_state=0, max_iter=500), x=SUMS, ask=one, core=True)
        add(f"NMF penalized {row}", lambda: NMF(3, init="nndsvda", alpha_W=0.01, l1_ratio=0.5, random_state=0, max_iter=500), x=SUMS, ask=one)
        for beta in ("frobenius", "kullback-leibler", 1.5, 0.5, 2.5):
            add(f"NMF by factors {beta} {row}", lambda b=beta: NMF(3, solver="mu", beta_loss=b, init="nndsvda", random_state=0, max_iter=300),
                x=SUMS, ask=one, core=beta == "kullback-leibler" and row == 0)
        add(f"MiniBatchNMF {row}", lambda: MiniBatchNMF(3, init="nndsvda", random_state=0), x=SUMS, ask=one, core=True)
    algorithms = ("omp", "threshold", "lasso_lars", "lasso_cd")
    for algorithm in algorithms:
        add(f"SparseCoder {algorithm}", lambda a=algorithm: SparseCoder(ATOMS, transform_algorithm=a, transform_alpha=0.1, transform_max_iter=5000,
            transform_n_nonzero_coefs=2 if a == "omp" else None), tolerance=1e-9 if algorithm in ("omp", "threshold", "lasso_lars") else 1e-3)
    add("SparseCoder split", lambda: SparseCoder(ATOMS, transform_algorithm="omp", transform_n_nonzero_coefs=3, split_sign=True))
    add("DictionaryLearning", lambda: DictionaryLearning(5, max_iter=20, random_state=0), core=True)
    add("DictionaryLearning by a threshold", lambda: DictionaryLearning(5, max_iter=20, transform_algorithm="threshold", random_state=0), core=True)
    add("DictionaryLearning positive", lambda: DictionaryLearning(4, max_iter=20, transform_algorithm="lasso_cd", fit_algorithm="cd", positive_code=True,
        transform_alpha=0.05, random_state=0), tolerance=1e-3)
    add("MiniBatchDictionaryLearning", lambda: MiniBatchDictionaryLearning(5, random_state=0), core=True)
