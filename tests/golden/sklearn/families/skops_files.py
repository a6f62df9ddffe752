"""Estimators of every family in skops files, and every way in which skops writes values."""

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    AdaBoostClassifier, GradientBoostingClassifier, GradientBoostingRegressor, HistGradientBoostingClassifier,
    HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier, RandomForestRegressor, VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, SplineTransformer, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

CONTAINERS = ("skops",) + 35 * ("skops_deflated",)

RNG = np.random.RandomState(31)
X = RNG.normal(size=(36, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.1 * RNG.normal(size=36)
K = np.digitize(X[:, 0] + 0.3 * X[:, 1], [-0.5, 0.5])
NAMES = np.array(["ape", "bee", "cow"])[K]
OBJECTS = NAMES.astype(object)
HOLES = np.where(RNG.uniform(size=X.shape) < 0.15, np.nan, X)
FRAME = pd.DataFrame({"age": X[:, 0], "fare": HOLES[:, 1], "port": NAMES.astype(object), "size": X[:, 2]})
TEXTS = ["the cat sat", "a dog sat on the mat", "cats and dogs", "the mat", "dogs sat", "a cat, a mat"] * 2
TONES = [0, 1, 0, 1, 1, 0] * 2


def cases(case, version):
    case("linear", LinearRegression, X, Y)
    case("ridge of two", Ridge, X, np.c_[Y, -Y])
    case("logistic", LogisticRegression, X, NAMES)
    case("logistic of objects", lambda: LogisticRegression(class_weight={"ape": 2, "bee": 1.5, "cow": 1}), X, OBJECTS)
    case("sgd", lambda: SGDClassifier(loss="log_loss", random_state=3), X, K)
    case("tree", lambda: DecisionTreeClassifier(max_depth=3, random_state=0, class_weight={0: 1.0, 1: 2.0, 2: 1.0}), X, K)
    case("tree of two", lambda: DecisionTreeRegressor(max_depth=2, random_state=np.random.RandomState(1)), X, np.c_[Y, -Y])
    case("forest", lambda: RandomForestClassifier(n_estimators=3, max_depth=3, random_state=0), X, NAMES)
    case("forest of numbers", lambda: RandomForestRegressor(n_estimators=3, max_depth=3, random_state=0), X, Y)
    case("isolation", lambda: IsolationForest(n_estimators=3, max_samples=12, random_state=0), X)
    case("boosting", lambda: GradientBoostingClassifier(n_estimators=2, max_depth=2, random_state=0), X, K)
    case("boosting of numbers", lambda: GradientBoostingRegressor(n_estimators=3, max_depth=2, loss="huber", random_state=0), X, Y)
    case("adaboost", lambda: AdaBoostClassifier(n_estimators=3, random_state=0), X, K)
    case("hist", lambda: HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=4, min_samples_leaf=5), HOLES, NAMES)
    case("hist of numbers", lambda: HistGradientBoostingRegressor(max_iter=3, max_leaf_nodes=4, min_samples_leaf=5), HOLES, Y)
    case("hist of quantiles", lambda: HistGradientBoostingRegressor(
        loss="quantile", quantile=0.7, max_iter=3, max_leaf_nodes=4, min_samples_leaf=5), X, Y)
    case("svc", lambda: SVC(probability=True, random_state=0), X, NAMES)
    case("svr", lambda: SVR(kernel="poly", degree=2), X, Y)
    case("columns", lambda: make_pipeline(ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "fare"]),
        ("texts", OneHotEncoder(handle_unknown="ignore"), ["port"]),
    ], remainder="passthrough"), LogisticRegression()), FRAME, K)
    case("columns by slice", lambda: ColumnTransformer([
        ("s", StandardScaler(), slice(0, 2)), ("f", FunctionTransformer(np.exp), [2])]), X)
    case("ordinal", OrdinalEncoder, FRAME[["port"]])
    case("neighbors", lambda: KNeighborsClassifier(3), X, NAMES)
    case("neighbors by distance", lambda: KNeighborsRegressor(4, weights="distance", algorithm="ball_tree"), X, Y)
    case("density", lambda: KernelDensity(bandwidth=0.7), X)
    case("tfidf", lambda: make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression()), TEXTS, TONES, ask=TEXTS[:6])
    case("counts", lambda: make_pipeline(CountVectorizer(stop_words=["a", "the"]), MultinomialNB()), TEXTS, TONES, ask=TEXTS[:6])
    case("topics", lambda: make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0), SVC()), TEXTS, TONES, ask=TEXTS[:6])
    case("svc of sparse", lambda: make_pipeline(TfidfVectorizer(), SVC(kernel="linear")), TEXTS, TONES, ask=TEXTS[:6])
    case("mlp", lambda: MLPClassifier((4,), max_iter=30, random_state=0), X, NAMES)
    case("kmeans", lambda: KMeans(3, n_init=1, random_state=0), X)
    case("pca", lambda: PCA(2), X)
    case("bayes", GaussianNB, X, NAMES,
         also={"predict_joint_log_proba": lambda model, x: {"outputs": model.predict_joint_log_proba(x)}})
    case("process", lambda: GaussianProcessRegressor(ConstantKernel(2.0) * RBF(1.3) + WhiteKernel(0.1), optimizer=None), X, Y,
         also={"predict_std": lambda model, x: {"outputs": model.predict(x, return_std=True)[1]}})
    case("splines", lambda: make_pipeline(SplineTransformer(n_knots=4), Ridge()), X, Y)
    case("vote", lambda: VotingClassifier([("l", LogisticRegression()), ("b", GaussianNB())], voting="soft"), X, NAMES)
    case("search", lambda: GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2), X, Y)
    case("target", lambda: TransformedTargetRegressor(Ridge(), func=np.sinh, inverse_func=np.arcsinh), X, Y)
