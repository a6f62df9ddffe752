"""Makes the models of the REST cases. Their numbers are set by hand, so that answers
are known byte for byte.

Run with scikit-learn 1.9.1, joblib 1.6.0 and pandas 3.1.1: python make.py
"""

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression

here = Path(__file__).parent
frame = pd.DataFrame({"length": [0.0, 1.0, 2.0], "width": [1.0, 3.0, 2.0]})

# predictions = x / 2 + 2, one feature.
half = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
half.coef_, half.intercept_ = np.array([0.5]), 2.0
joblib.dump(half, here / "half.pkl")

# Two outputs from two columns: length / 2 + width / 4 + 1, and 3.
area = LinearRegression().fit(frame, np.zeros((3, 2)))
area.coef_, area.intercept_ = np.array([[0.5, 0.25], [0.0, 0.0]]), np.array([1.0, 3.0])
joblib.dump(area, here / "area.pkl")

# predictions are strings, probabilities are one half each.
label = LogisticRegression().fit(frame, ["fish", "fowl", "fish"])
label.coef_, label.intercept_ = np.zeros((1, 2)), np.zeros(1)
joblib.dump(label, here / "label.pkl")
