"""Rarer ways to be fitted: sparsified and precomputed ones, other metrics, other paths, other shapes of
answers, and models that do not say how wide they are."""

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import DictionaryLearning, SparseCoder
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, DotProduct, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge, RidgeClassifier, SGDClassifier, SGDRegressor
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

rng = np.random.RandomState(11)
X = rng.normal(size=(40, 4)).round(3) * [1.0, 2.0, 0.5, 1.0]
Y = X @ [1.0, -0.5, 2.0, 0.0]
THREE = np.digitize(Y, [-1.0, 1.0])
WORDS = np.array(["low", "mid", "high"])[THREE]
PARTLY = np.where(rng.uniform(size=40) < 0.5, -1, THREE)
ASK = rng.normal(size=(6, 4)) * [1.0, 2.0, 0.5, 1.0]
TWO_LABELS = np.c_[Y > 0, X[:, 1] > 0.5].astype(int)
THREE_LABELS = np.c_[TWO_LABELS, X[:, 2] < 0]
ATOMS = rng.normal(size=(6, 4)) / 2
# Alike enough for weights to come and go along a path.
NEAR = ATOMS[:3].repeat(3, axis=0) + 0.3 * rng.normal(size=(9, 4))
MANY = rng.normal(size=(25, 4))
HOLEY = np.where(np.random.RandomState(1).uniform(size=X.shape) < 0.2, np.nan, X)
TEXTS = ["the ship sails out to sea", "a calm sea and a calm ship", "the price of coffee", "coffee and tea prices rise",
         "storm at sea", "tea at a calm price", "a goal in the last minute", "the last match of the season"]
SUBJECTS = ["sea", "sea", "trade", "trade", "sea", "trade", "sport", "sport"]
NUMBERS = np.array([1.0, 2.0, -1.0, 0.5, 3.0, -0.5, 0.0, 1.5])
ASKED = ["coffee at sea", "the match, the storm", "", "unseen words only", "calm calm prices"]
ANSWERS = ("predict", "predict_proba", "predict_log_proba", "decision_function")
BITS = (rng.uniform(size=(20, 5)) > 0.5).astype(float)
PLACES = rng.uniform(-1.2, 1.2, size=(20, 2))


def sparsify(model):
    (model[-1] if hasattr(model, "steps") else model).sparsify()


def first(values):
    return values[0] if len(values) else 0.0


def lean(model):
    """Without what the members were copied from."""
    model.__dict__.pop("cv", None)


def tree():
    return DecisionTreeClassifier(max_depth=2, random_state=0)


def named():
    return [("l", LogisticRegression()), ("t", DecisionTreeClassifier(max_depth=2, random_state=0))]


def cases(case, version):
    def add(name, make, x=X, y=None, ask=ASK, **more):
        case(name, make, x, y, ask=ask, **more)

    l1 = {"penalty": "l1", "solver": "liblinear", "C": 0.3}
    add("sparsified LogisticRegression", lambda: LogisticRegression(**l1), y=WORDS == "low", then=sparsify, core=True)
    add("sparsified LogisticRegression in a pipeline", lambda: make_pipeline(StandardScaler(), SGDClassifier(penalty="l1", random_state=0)),
        y=WORDS, then=sparsify)
    add("sparsified Perceptron", lambda: Perceptron(random_state=0), y=WORDS, then=sparsify, core=True)
    add("sparsified SGDRegressor", lambda: SGDRegressor(penalty="l1", random_state=0), y=Y, then=sparsify, core=True)

    kernel = {"x": X @ X.T, "ask": ASK @ X.T}
    add("one against one, precomputed", lambda: OneVsOneClassifier(SVC(kernel="precomputed")), y=WORDS, core=True, **kernel)
    add("one against one of two, precomputed", lambda: OneVsOneClassifier(SVC(kernel="precomputed")), y=THREE > 0, **kernel)

    for metric, how in [("canberra", {}), ("seuclidean", {"V": np.var(X, axis=0)}), ("braycurtis", {}),
                        ("mahalanobis", {"VI": np.linalg.inv(np.cov(X.T))}), ("minkowski", {"p": 1.5})]:
        add(f"KernelDensity {metric}", lambda: KernelDensity(kernel="gaussian", metric=metric, algorithm="ball_tree" if metric != "minkowski" else "auto",
                                                             metric_params=how or None), core=metric == "canberra")
    for metric in ("hamming", "jaccard"):
        add(f"KernelDensity {metric}", lambda: KernelDensity(kernel="exponential", metric=metric, algorithm="ball_tree"), x=BITS, ask=BITS[:5])
    add("KernelDensity haversine", lambda: KernelDensity(bandwidth=0.3, metric="haversine", algorithm="ball_tree"), x=PLACES, ask=PLACES[:5] + 0.01,
        core=True)

    add("LabelPropagation of sparse samples", LabelPropagation, x=csr_matrix(X), y=PARTLY, core=True)
    add("LabelSpreading of sparse samples", lambda: LabelSpreading(kernel="knn", n_neighbors=3), x=csr_matrix(X), y=PARTLY)

    # scikit-learn has the estimators first.
    add("voting, not flattened", lambda: VotingClassifier(named(), voting="soft", flatten_transform=False), y=WORDS, core=True,
        methods=("predict", "predict_proba"), also={"transform": lambda m, x: {"outputs": m.transform(x).swapaxes(0, 1)}})

    # scikit-learn's multilabel probabilities are those of the first label of each output.
    several = [("t", tree()), ("n", KNeighborsClassifier(3)), ("r", RidgeClassifier())]
    add("stacking of two labels", lambda: StackingClassifier(several, final_estimator=RandomForestClassifier(3, max_depth=2, random_state=0), cv=2),
        y=TWO_LABELS, then=lean, core=True)
    add("stacking of three labels", lambda: StackingClassifier(several, final_estimator=RidgeClassifier(), cv=2, passthrough=True),
        y=THREE_LABELS, then=lean)
    perceptron = lambda: MLPClassifier((3,), max_iter=30, random_state=0)  # noqa: E731
    for labels, y in (("two", TWO_LABELS), ("three", THREE_LABELS)):
        add(f"stacking of a perceptron and {labels} labels", lambda: StackingClassifier(
            [("m", perceptron()), ("o", OneVsRestClassifier(LogisticRegression()))], final_estimator=tree(), cv=2), y=y, then=lean)
    add("stacking of predictions of labels", lambda: StackingClassifier(
        [("t", tree()), ("r", RidgeClassifier())], final_estimator=KNeighborsClassifier(4), cv=2, stack_method="predict"), y=TWO_LABELS * 5,
        then=lean)

    for atoms in (1, 2, 3, 5, 6):
        add(f"SparseCoder by least angles, {atoms}", lambda: SparseCoder(ATOMS, transform_algorithm="lars", transform_n_nonzero_coefs=atoms),
            core=atoms == 3)
    for alpha in (0.01, 0.1, 0.5):
        add(f"SparseCoder positive along the path, {alpha}", lambda: SparseCoder(NEAR, transform_algorithm="lasso_lars", transform_alpha=alpha,
                                                                                 positive_code=True), core=alpha == 0.1, ask=MANY)
    add("SparseCoder by many least angles", lambda: SparseCoder(NEAR, transform_algorithm="lars", transform_n_nonzero_coefs=9), ask=MANY)
    add("DictionaryLearning by least angles", lambda: DictionaryLearning(5, max_iter=10, transform_algorithm="lars", transform_n_nonzero_coefs=3,
                                                                         random_state=0), core=True)

    # Until 1.1 functions, and until 1.5 dummies, did not keep how many features they were fitted on.
    add("a function alone", lambda: FunctionTransformer(np.cbrt, np.tanh), core=True)
    add("a function before a model", lambda: make_pipeline(FunctionTransformer(np.cbrt), FunctionTransformer(np.arctan), Ridge()), y=Y, core=True)
    add("a dummy alone", lambda: DummyClassifier(strategy="prior"), y=WORDS, core=True)
    add("a dummy of two outputs alone", lambda: DummyRegressor(), y=np.c_[Y, -Y], core=True)
    add("a function before a dummy", lambda: make_pipeline(FunctionTransformer(np.cbrt), DummyRegressor(strategy="median")), y=Y, core=True)
    add("voting with a dummy", lambda: VotingClassifier([*named(), ("d", DummyClassifier(strategy="most_frequent"))]), y=WORDS, core=True)

    # What a function found is kept; the function is not asked again.
    if version >= (1, 5):
        add("filled with what a function found", lambda: SimpleImputer(strategy=first, keep_empty_features=True), x=HOLEY, ask=HOLEY[:8], core=True,
            methods=("transform",))

    # Text that stays sparse on its way to models that are no linear ones.
    for name, make, y in [
        ("SVC", lambda: SVC(), SUBJECTS), ("a linear SVC", lambda: SVC(kernel="linear"), SUBJECTS), ("SVR", lambda: SVR(), NUMBERS),
        ("MultinomialNB", MultinomialNB, SUBJECTS), ("ComplementNB", ComplementNB, SUBJECTS), ("BernoulliNB", BernoulliNB, SUBJECTS),
    ]:
        add(f"TfidfVectorizer before {name}", lambda: make_pipeline(TfidfVectorizer(), make()), x=TEXTS, y=y, ask=ASKED, methods=ANSWERS,
            core=name in ("SVC", "MultinomialNB"))
    add("CountVectorizer before MultinomialNB", lambda: make_pipeline(CountVectorizer(ngram_range=(1, 2)), MultinomialNB()), x=TEXTS, y=SUBJECTS,
        ask=ASKED, methods=ANSWERS, core=True)

    # Never fitted, a process tells what it would begin with.
    unfitted = lambda m, x: {"outputs": m.predict(x, return_std=True)[1]}  # noqa: E731

    def prior(name, make, y=Y, **more):
        add(name, make, y=y, then=lambda _: make(), also={"predict_std": unfitted}, **more)

    prior("a process without points", GaussianProcessRegressor, core=True)
    prior("a process without points, of a kernel", lambda: GaussianProcessRegressor(DotProduct(0.5) * RBF([1.0, 2.0, 0.5, 1.0]) + WhiteKernel(0.1)),
          core=True)
    prior("a process without points, of two targets", lambda: GaussianProcessRegressor(DotProduct(0.5), n_targets=2),
          y=np.c_[Y, -Y])
