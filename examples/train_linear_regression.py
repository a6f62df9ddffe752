"""Trains scikit-learn's LinearRegression and drops it into a model repository.

    python examples/train_linear_regression.py [REPOSITORY [VERSION]]

Made the committed model_repository/linear_regression/1/model.pkl, with the
library versions of examples/requirements.txt.
"""

import sys
import tempfile
from pathlib import Path

import joblib
from sklearn.datasets import make_regression
from sklearn.linear_model import LinearRegression

repository = Path(sys.argv[1] if len(sys.argv) > 1 else "model_repository")
version = sys.argv[2] if len(sys.argv) > 2 else "1"
folder = repository / "linear_regression"
if (folder / version).exists():
    sys.exit(f"{folder / version} exists, and a version never changes: choose another number")

# Each version learns from other samples of the same kind of data.
X, y = make_regression(n_samples=200, n_features=4, noise=5.0, bias=10.0, random_state=int(version))
model = LinearRegression().fit(X, y)

# Written aside and renamed into place: whoever looks sees no version, or all of it.
folder.mkdir(parents=True, exist_ok=True)
aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
joblib.dump(model, aside / "model.pkl")
aside.chmod(0o755)
aside.rename(folder / version)

rows = [[0.5, -1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
print(f"{folder / version}: R² {model.score(X, y):.4f}")
for row, prediction in zip(rows, model.predict(rows).tolist()):
    print(f"{row} -> {prediction!r}")
