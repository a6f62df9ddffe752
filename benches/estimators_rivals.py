"""The other side of `cargo bench --bench estimators -- PYTHON`: fits a model of each family, and times scikit-learn.

    PYTHON -m pip install joblib numpy scikit-learn

For each model it writes a folder of the one that it is given (the dump, rows, the answer for the first thousand) and prints
"NAME METHOD", then a line with a dot. Then for each line "NAME ROWS" on standard input it prints seconds a call, one thread.
"""

import os
import sys
import time
import warnings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import joblib  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest  # noqa: E402
from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: E402
from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: E402
from sklearn.linear_model import LogisticRegression, Ridge  # noqa: E402
from sklearn.mixture import GaussianMixture  # noqa: E402
from sklearn.naive_bayes import GaussianNB  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import SVC  # noqa: E402

warnings.simplefilter("ignore")
SECONDS, POOL = 0.2, 4000
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
rng = np.random.RandomState(1)
folder = sys.argv[1]


def samples(count, width):
    x = rng.normal(size=(count, width))
    return x, np.digitize(x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=count), [-0.5, 0.5])


X, Y = samples(3000, 20)
WORDS = np.array(["".join(rng.choice(list("abcdefghijklmnop"), size=rng.randint(2, 9))) for _ in range(3000)])
TEXTS = [" ".join(WORDS[(3000 * rng.uniform(size=30) ** 3).astype(int)]) for _ in range(POOL)]
FEW, OF_FEW = samples(10000, 3)
MANY, OF_MANY = samples(10000, 20)
WIDE = rng.normal(size=(1000, 50)) @ rng.normal(size=(50, 50))
MODELS = {
    "LogisticRegression, 20 features": ("predict_proba", LogisticRegression().fit(X, Y)),
    "StandardScaler, Ridge": ("predict", make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, 0] * 2)),
    "MLPClassifier, 64 and 32": ("predict_proba", MLPClassifier((64, 32), max_iter=20, random_state=1).fit(X, Y)),
    "SVC, rbf": ("predict", SVC().fit(X[:1000], Y[:1000])),
    "KNeighborsClassifier, k-d tree of 10 000 × 3": ("predict", KNeighborsClassifier(algorithm="kd_tree").fit(FEW, OF_FEW)),
    "KNeighborsClassifier, 10 000 × 20, brute": ("predict", KNeighborsClassifier(algorithm="brute").fit(MANY, OF_MANY)),
    "GaussianNB": ("predict_proba", GaussianNB().fit(X, Y)),
    "QuadraticDiscriminantAnalysis": ("predict_proba", QuadraticDiscriminantAnalysis().fit(X, Y)),
    "GaussianMixture, 5": ("predict_proba", GaussianMixture(5, random_state=1).fit(X)),
    "GaussianProcessRegressor, 500 points": ("predict", GaussianProcessRegressor(alpha=0.1).fit(X[:500], X[:500, 0])),
    "KMeans, 8": ("predict", KMeans(8, random_state=1, n_init=1).fit(X)),
    "PCA, 10 of 50": ("transform", PCA(10, random_state=1).fit(WIDE)),
    "HistGradientBoostingClassifier": ("predict_proba", HistGradientBoostingClassifier(random_state=1).fit(X, Y)),
    "IsolationForest": ("score_samples", IsolationForest(random_state=1).fit(X)),
    "TfidfVectorizer, LogisticRegression": (
        "predict_proba", make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, rng.randint(0, 2, size=POOL))),
}
POOLS = {}
for name, (method, model) in MODELS.items():
    os.mkdir(f"{folder}/{name}")
    joblib.dump(model, f"{folder}/{name}/model.joblib")
    if "Tfidf" in name:
        rows = TEXTS
        with open(f"{folder}/{name}/texts", "w", encoding="utf-8") as file:
            file.write("\n".join(rows))
    else:
        rows = rng.normal(size=(POOL, model.n_features_in_))
        rows.tofile(f"{folder}/{name}/rows.f64")
    POOLS[name] = rows
    np.asarray(getattr(model, method)(rows[:1000]), np.float64).tofile(f"{folder}/{name}/answers.f64")
    print(name, method, sep="\t", file=answers)
print(".", file=answers, flush=True)

for line in sys.stdin:
    name, count = line.rstrip("\n").split("\t")
    method, model = MODELS[name]
    run, rows, count = getattr(model, method), POOLS[name], int(count)
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS or calls == 0:
        first = calls * count % (POOL - count + 1)
        run(rows[first:first + count])
        calls += 1
    print((time.perf_counter() - started) / calls, file=answers, flush=True)
