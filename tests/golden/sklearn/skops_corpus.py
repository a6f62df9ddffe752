"""Writes the seed corpus of the fuzz target `skops`: small skops files.

    python skops_corpus.py ../../../fuzz/corpus/skops
"""

import sys
import zipfile
from pathlib import Path

import numpy as np
import skops.io
from scipy.sparse import csr_matrix
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

X = np.arange(8.0).reshape(4, 2) % 3
Y = np.array([0, 1, 1, 0])
FILES = {
    "line": LinearRegression().fit(X, Y),
    "tree": DecisionTreeClassifier(max_depth=1, random_state=0).fit(X, Y),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()).fit(X, np.array(["no", "yes"])[Y]),
    "density": KernelDensity().fit(X),
    # Whatever is no estimator is read as well, and refused by who builds one.
    "values": {
        "a": [1, 2.5, None, True, "é", 10**30, float("nan")], 2: (b"bytes", bytearray(b"more")), 1.5: {"set"},
        "arrays": [np.array([["x", None], [1, 2.0]], dtype=object), np.array(["a", "bc"]), np.float32(2), np.dtype("<i4")],
        "records": np.array([(1, 2.0)], dtype=np.dtype([("a", "u1"), ("b", "f8")], align=True)),
        "sparse": csr_matrix(X), "names": [np.exp, int, slice(1, None)], "masked": np.ma.MaskedArray([1, 2], [0, 1]),
        "random": [np.random.RandomState(0), np.random.default_rng(0)],
    },
}


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in FILES.items():
        skops.io.dump(value, folder / f"{name}.skops", compression=zipfile.ZIP_DEFLATED)
    skops.io.dump(FILES["line"], folder / "line_stored.skops")


if __name__ == "__main__":
    main()
