"""Trains a network to read scikit-learn's handwritten digits, and drops it into a model repository.

    python examples/train_digits.py [REPOSITORY [VERSION]]

Made the committed model_repository/digits/1/model.pkl, with the library versions of
examples/requirements.txt. A digit is 64 numbers from 0 to 16: eight rows of eight pixels.
"""

import sys
import tempfile
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

repository = Path(sys.argv[1] if len(sys.argv) > 1 else "model_repository")
version = sys.argv[2] if len(sys.argv) > 2 else "1"
folder = repository / "digits"
if (folder / version).exists():
    sys.exit(f"{folder / version} exists, and a version never changes: choose another number")

pixels, digits = load_digits(return_X_y=True)
X, held_back, y, truth = train_test_split(pixels, digits, test_size=0.2, stratify=digits, random_state=int(version))
network = MLPClassifier(hidden_layer_sizes=(48,), alpha=1.0, solver="lbfgs", max_iter=2000, random_state=int(version))
model = make_pipeline(MinMaxScaler(), network).fit(X, y)

# Written aside and renamed into place: whoever looks sees no version, or all of it.
folder.mkdir(parents=True, exist_ok=True)
aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
joblib.dump(model, aside / "model.pkl")
aside.chmod(0o755)
aside.rename(folder / version)

print(f"{folder / version}: reads {model.score(held_back, truth):.1%} of the digits that it has not seen")
