"""Trains a LightGBM ranker and drops it into a model repository.

    python examples/train_recommender.py [REPOSITORY [VERSION]]

Made the committed model_repository/recommender/1/model.txt, with the library versions of
examples/requirements.txt: which of the things on offer a visitor would click on, from their
price, rating, distance and whether it was seen before.
"""

import sys
import tempfile
from pathlib import Path

import lightgbm as lgb
import numpy as np

repository = Path(sys.argv[1] if len(sys.argv) > 1 else "model_repository")
version = sys.argv[2] if len(sys.argv) > 2 else "1"
folder = repository / "recommender"
if (folder / version).exists():
    sys.exit(f"{folder / version} exists, and a version never changes: choose another number")

# 200 visitors see 10 things each; the better a thing suits, the higher its grade.
random = np.random.default_rng(int(version))
names = ["price", "rating", "distance", "seen"]
X = np.column_stack([
    random.uniform(1, 100, 2000), random.uniform(1, 5, 2000), random.exponential(3, 2000), random.integers(0, 2, 2000),
])
liking = X @ [-0.02, 0.8, -0.2, -0.5] + random.normal(0, 0.3, 2000)
grades = np.digitize(liking, np.quantile(liking, [0.5, 0.8, 0.95]))
data = lgb.Dataset(X, grades, group=[10] * 200, feature_name=names)
parameters = {"objective": "lambdarank", "num_leaves": 8, "learning_rate": 0.2, "verbose": -1, "seed": 1, "num_threads": 1}
model = lgb.train(parameters, data, num_boost_round=20)

# Written aside and renamed into place: whoever looks sees no version, or all of it.
folder.mkdir(parents=True, exist_ok=True)
aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
model.save_model(aside / "model.txt")
aside.chmod(0o755)
aside.rename(folder / version)

rows = [[20, 4.5, 1.5, 0], [80, 3.0, 0.5, 1]]
print(f"{folder / version}: {model.num_trees()} trees")
for row, score in zip(rows, model.predict(rows).tolist()):
    print(f"{row} -> {score!r}")
