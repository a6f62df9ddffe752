"""Makes the dumps that hold a Python callable, or a class of the user's own, where an answer would need it.

    python callables.py OUT_FOLDER

Writes OUT_FOLDER/callables.json: {"provenance", "cases": [{"name", "file": base64 of a joblib dump}]}.
`tests/it/sklearn_callables.rs` has the message that each is refused with. Data and fits are seeded.
"""

import base64
import io
import json
import platform
import sys
import warnings

import joblib
import numpy as np
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import FeatureAgglomeration
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import KernelPCA
from sklearn.ensemble import BaggingClassifier, GradientBoostingRegressor, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, PairwiseKernel
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression, RANSACRegressor
from sklearn.manifold import Isomap
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import (KernelDensity, KNeighborsClassifier, KNeighborsRegressor, KNeighborsTransformer,
                               LocalOutlierFactor, NearestNeighbors, RadiusNeighborsClassifier)
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import LabelPropagation
from sklearn.svm import SVC, SVR, OneClassSVM

rng = np.random.RandomState(17)
X = rng.normal(size=(24, 3)).round(2)
Y = X @ [1.0, -0.5, 2.0]
TWO = (Y > 0).astype(int)
TEXTS = ["the ship sails", "a calm sea", "the sea and the ship"]
HOLEY = np.where(rng.uniform(size=X.shape) < 0.2, np.nan, X)
PARTLY = np.where(rng.uniform(size=24) < 0.4, -1, TWO)


def own_gram(a, b):
    return a @ b.T


def own_kernel(a, b):
    return float(a @ b)


def own_pair(a, b, gamma=1.0):
    return float(np.exp(-gamma * np.abs(a - b).sum()))


def own_metric(a, b):
    return float(np.abs(a - b).sum())


def own_weights(distances):
    return np.ones_like(distances)


def own_letters(text):
    return text.upper()


def own_words(text):
    return text.split()


def own_graph(x, y=None):
    return np.exp(-np.abs(x[:, None] - (x if y is None else y)[None]).sum(axis=2))


def own_mean(x, axis=1):
    return np.mean(x, axis=axis)


def own_function(x):
    return x * 2


def own_importances(model):
    return np.abs(model.coef_)


class OwnKernel(RBF):
    """A kernel of the user's own."""


class OwnClassifier(LogisticRegression):
    """A classifier of the user's own."""


class OwnRegressor(LinearRegression):
    """A regressor of the user's own."""


class OwnScaler(TransformerMixin, BaseEstimator):
    """A transformer of the user's own."""

    def fit(self, x, y=None):
        self.n_features_in_ = x.shape[1]
        return self

    def transform(self, x):
        return x


MODELS = {
    "SVC.kernel": lambda: SVC(kernel=own_gram).fit(X, TWO),
    "SVR.kernel": lambda: SVR(kernel=own_gram).fit(X, Y),
    "OneClassSVM.kernel": lambda: OneClassSVM(kernel=own_gram).fit(X),
    "KernelRidge.kernel": lambda: KernelRidge(kernel=own_kernel).fit(X, Y),
    "KernelPCA.kernel": lambda: KernelPCA(2, kernel=own_kernel).fit(X),
    "Nystroem.kernel": lambda: Nystroem(kernel=own_kernel, n_components=3, random_state=0).fit(X),
    "LabelPropagation.kernel": lambda: LabelPropagation(kernel=own_graph).fit(X, PARTLY),
    "GaussianProcessRegressor.kernel_": lambda: GaussianProcessRegressor(OwnKernel(), optimizer=None).fit(X, Y),
    "GaussianProcessClassifier.kernel_": lambda: GaussianProcessClassifier(OwnKernel(), optimizer=None).fit(X, TWO),
    "PairwiseKernel.metric": lambda: GaussianProcessRegressor(PairwiseKernel(metric=own_pair), optimizer=None, alpha=1.0).fit(X, Y),
    "KNeighborsClassifier.metric": lambda: KNeighborsClassifier(3, metric=own_metric).fit(X, TWO),
    "KNeighborsClassifier.weights": lambda: KNeighborsClassifier(3, weights=own_weights).fit(X, TWO),
    "KNeighborsRegressor.metric": lambda: KNeighborsRegressor(3, metric=own_metric).fit(X, Y),
    "RadiusNeighborsClassifier.weights": lambda: RadiusNeighborsClassifier(9.0, weights=own_weights).fit(X, TWO),
    "NearestNeighbors.metric": lambda: NearestNeighbors(n_neighbors=2, metric=own_metric).fit(X),
    "KNeighborsTransformer.metric": lambda: KNeighborsTransformer(n_neighbors=2, metric=own_metric).fit(X),
    "LocalOutlierFactor.metric": lambda: LocalOutlierFactor(n_neighbors=3, metric=own_metric, novelty=True).fit(X),
    "KernelDensity.metric": lambda: KernelDensity(metric="pyfunc", algorithm="ball_tree", metric_params={"func": own_metric}).fit(X),
    "KNNImputer.metric": lambda: KNNImputer(metric=own_metric).fit(HOLEY),
    "KNNImputer.weights": lambda: KNNImputer(weights=own_weights).fit(HOLEY),
    "Isomap.metric": lambda: Isomap(n_neighbors=8, metric=own_metric).fit(X),
    "CountVectorizer.analyzer": lambda: CountVectorizer(analyzer=own_words).fit(TEXTS),
    "CountVectorizer.tokenizer": lambda: CountVectorizer(tokenizer=own_words, token_pattern=None).fit(TEXTS),
    "CountVectorizer.preprocessor": lambda: CountVectorizer(preprocessor=own_letters).fit(TEXTS),
    "CountVectorizer.strip_accents": lambda: CountVectorizer(strip_accents=own_letters).fit(TEXTS),
    "a type's method": lambda: CountVectorizer(preprocessor=str.upper).fit(TEXTS),
    "TfidfVectorizer.tokenizer": lambda: TfidfVectorizer(tokenizer=own_words, token_pattern=None).fit(TEXTS),
    "HashingVectorizer.analyzer": lambda: HashingVectorizer(analyzer=own_words).fit(TEXTS),
    "FeatureAgglomeration.pooling_func": lambda: FeatureAgglomeration(2, pooling_func=own_mean).fit(X),
    "FunctionTransformer.func": lambda: FunctionTransformer(own_function).fit(X),
    "FunctionTransformer.inverse_func": lambda: FunctionTransformer(np.exp, inverse_func=own_function, check_inverse=False).fit(X),
    "FunctionTransformer.func within columns": lambda: ColumnTransformer([("f", FunctionTransformer(own_function), [0, 1])]).fit(X),
    "SelectFromModel.importance_getter": lambda: SelectFromModel(LinearRegression(), importance_getter=own_importances).fit(X, Y),
    "TransformedTargetRegressor.inverse_func": lambda: TransformedTargetRegressor(
        LinearRegression(), func=np.cbrt, inverse_func=own_function, check_inverse=False).fit(X, Y),
    "a class within a pipeline": lambda: make_pipeline(OwnScaler(), LinearRegression()).fit(X, Y),
    "a class within a union": lambda: FeatureUnion([("own", OwnScaler())]).fit(X),
    "a class within columns": lambda: ColumnTransformer([("own", OwnScaler(), [0])]).fit(X),
    "a class within a vote": lambda: VotingClassifier([("own", OwnClassifier())]).fit(X, TWO),
    "a class within a stack": lambda: StackingClassifier([("own", OwnClassifier())], cv=2).fit(X, TWO),
    "a class at the end of a stack": lambda: StackingClassifier([("l", LogisticRegression())], final_estimator=OwnClassifier(), cv=2).fit(X, TWO),
    "a class within bags": lambda: BaggingClassifier(OwnClassifier(), 2, random_state=0).fit(X, TWO),
    "a class within one against the rest": lambda: OneVsRestClassifier(OwnClassifier()).fit(X, TWO + (X[:, 0] > 0)),
    "a class within one against one": lambda: OneVsOneClassifier(OwnClassifier()).fit(X, TWO + (X[:, 0] > 0)),
    "a class that is calibrated": lambda: CalibratedClassifierCV(OwnClassifier(), cv=2).fit(X, TWO),
    "a class of several outputs": lambda: MultiOutputRegressor(OwnRegressor()).fit(X, np.c_[Y, -Y]),
    "a class within an imputer": lambda: IterativeImputer(OwnRegressor(), max_iter=1).fit(HOLEY),
    "a class within a consensus": lambda: RANSACRegressor(OwnRegressor(), random_state=0).fit(X, Y),
    "a class that boosting starts from": lambda: GradientBoostingRegressor(init=OwnRegressor(), n_estimators=1, max_depth=1).fit(X, Y),
}


def main():
    warnings.simplefilter("ignore")
    cases = []
    for name, make in MODELS.items():
        out = io.BytesIO()
        joblib.dump(make(), out, compress=("zlib", 3))
        cases.append({"name": name, "file": base64.b64encode(out.getvalue()).decode()})
    provenance = {"command": "python callables.py OUT_FOLDER", "python": platform.python_version(),
                  "scikit-learn": sklearn.__version__, "numpy": np.__version__, "joblib": joblib.__version__}
    with open(f"{sys.argv[1]}/callables.json", "w", encoding="utf-8") as out:
        out.write('{"provenance": ' + json.dumps(provenance) + ',\n"cases": [\n')
        out.write(",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
