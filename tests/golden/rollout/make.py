"""Makes the two models that the rollout tests swap: y = x/2 + 2 and y = x/2 + 3.

Run with scikit-learn 1.9.1 and joblib 1.6.0: python make.py
"""

from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LinearRegression

here = Path(__file__).parent
x = np.arange(8.0).reshape(-1, 1)
for name, constant in [("half_plus_two", 2.0), ("half_plus_three", 3.0)]:
    joblib.dump(LinearRegression().fit(x, x[:, 0] / 2 + constant), here / f"{name}.pkl")
