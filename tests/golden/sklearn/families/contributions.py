"""What features contributed, as the package `shap` has it (README.md has its versions).

Where `shap` knows no such model, its trees are explained one by one; splits on categories,
which it takes for thresholds, are held against Shapley values by their definition.
"""

from itertools import combinations
from math import factorial

import numpy as np
import shap
from sklearn.ensemble import (
    ExtraTreesClassifier, ExtraTreesRegressor, GradientBoostingClassifier, GradientBoostingRegressor,
    HistGradientBoostingClassifier, HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

rng = np.random.RandomState(11)
# `shap` does not round the input of an isolation forest to single precision: it is so already.
X = rng.normal(size=(60, 4)).astype("float32").astype("float64")
Y = X @ [1.0, -2.0, 0.5, 0.25] + X[:, 0] * X[:, 1] + rng.normal(size=60) / 4
C = np.array(["no", "perhaps", "yes"])[np.digitize(Y, [-1.0, 1.0])]
B = (Y > 0).astype(int)
MISSING = np.where(rng.uniform(size=X.shape) < 0.15, np.nan, X)
MIXED = np.column_stack([X[:, 0], rng.randint(0, 5, size=60), X[:, 2]])
RISE = X[:, 0] + (MIXED[:, 1] % 2) * 3 - (MIXED[:, 1] == 4) * X[:, 2]
UNKNOWN = np.vstack([MIXED[:5], [[0.1, 77.0, -0.2], [0.1, -1.0, -0.2], [np.nan, np.nan, np.nan]]])
ONE = {"random_state": 0, "max_depth": 4}
MANY = {"n_estimators": 4, **ONE}
UNASKED = ("predict_proba", "predict_log_proba", "decision_function", "score_samples", "apply")
HIST = {"max_iter": 4, "max_leaf_nodes": 5, "min_samples_leaf": 4, "early_stopping": False}


def explained(model, given):
    """`[rows, features + 1]`, or `[rows, outputs, features + 1]`."""
    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    values = explainer.shap_values(given, check_additivity=False)
    values = np.stack(values, axis=2) if isinstance(values, list) else np.asarray(values)
    means = np.ravel(explainer.expected_value)
    values = values[:, :, None] if values.ndim == 2 else values
    means = np.broadcast_to(means, (len(given), 1, len(means)))
    values = np.concatenate([values, means], axis=1).transpose(0, 2, 1)
    return values[:, 0] if values.shape[1] == 1 else values


def added(start):
    """Of each tree alone, which add to what they start from."""
    def of(model, given):
        sums = []
        for trees, constant in zip(model.estimators_.T, start(model)):
            sums.append(sum(explained(tree, given) for tree in trees) * model.learning_rate)
            sums[-1][:, -1] += constant
        # What the whole adds up to is scikit-learn's own.
        whole = np.stack(sums, axis=1)
        total = whole.sum(axis=2)
        own = model.decision_function(given) if hasattr(model, "decision_function") else model.predict(given)
        np.testing.assert_allclose(total if total.shape[1] > 1 else total[:, 0], own, rtol=1e-9)
        return {"outputs": whole if len(sums) > 1 else sums[0]}
    return of


def hist_mean(model, predictor, row, known):
    """The mean of a tree's answers where only some features of a row are known."""
    bitsets, places = model._bin_mapper.make_known_categories_bitsets()

    def among(sets, place, value):
        return 0 <= value < 256 and sets[place, int(value) // 32] >> (int(value) % 32) & 1

    def left(node):
        value = row[node["feature_idx"]]
        if np.isnan(value):
            return node["missing_go_to_left"]
        if not node["is_categorical"]:
            return value <= node["num_threshold"]
        if among(predictor.raw_left_cat_bitsets, node["bitset_idx"], value):
            return True
        return not among(bitsets, places[node["feature_idx"]], value) and node["missing_go_to_left"]

    def mean(node):
        if node["is_leaf"]:
            return node["value"]
        children = [predictor.nodes[node[side]] for side in ("left", "right")]
        if node["feature_idx"] in known:
            return mean(children[0 if left(node) else 1])
        return sum(child["count"] * mean(child) for child in children) / node["count"]

    return mean(predictor.nodes[0])


def by_definition(order):
    """Shapley values over all sets of features; `order` is where the trees' columns are in the input."""
    def of(model, given):
        encoded = model._preprocess_X(given, reset=False)
        n = encoded.shape[1]
        answers = np.zeros((len(given), n + 1))
        for answer, row in zip(answers, encoded):
            def f(known):
                whole = sum(hist_mean(model, stage[0], row, known) for stage in model._predictors)
                return whole + np.ravel(model._baseline_prediction)[0]
            answer[n] = f(())
            for feature in range(n):
                others = [other for other in range(n) if other != feature]
                for size in range(n):
                    weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                    answer[order[feature]] += weight * sum(
                        f((*those, feature)) - f(those) for those in combinations(others, size))
        np.testing.assert_allclose(answers.sum(axis=1), model.predict(given), rtol=1e-9)
        return {"outputs": answers}
    return of


def cases(case, version):
    also = {"contributions": lambda model, given: {"outputs": explained(model, given)}}

    def of(name, make, y, x=X, also=also, **more):
        case(name, make, x, y, also=also, unasked=UNASKED, then=lean, **more)

    for kind in (DecisionTreeClassifier, ExtraTreeClassifier):
        of(kind.__name__, lambda: kind(**ONE), C)
    for kind in (DecisionTreeRegressor, ExtraTreeRegressor):
        of(kind.__name__, lambda: kind(**ONE), Y)
    of("a leaf", lambda: DecisionTreeRegressor(min_samples_split=100), Y)
    of("one tree of two outputs", lambda: DecisionTreeRegressor(**ONE), np.stack([Y, X[:, 3]], axis=1))
    if version >= (1, 3):
        of("one tree with missing values", lambda: DecisionTreeClassifier(**ONE), C, x=MISSING)
    for kind in (RandomForestClassifier, ExtraTreesClassifier):
        of(kind.__name__, lambda: kind(**MANY), C, core=True)
        of(f"{kind.__name__}, two classes", lambda: kind(**MANY), B, core=True)
    weights = {"no": 0.7, "perhaps": 1.1, "yes": 2.3}
    of("weighted classes", lambda: RandomForestClassifier(class_weight=weights, **MANY), C)
    for kind in (RandomForestRegressor, ExtraTreesRegressor):
        of(kind.__name__, lambda: kind(**MANY), Y, core=True)
    of("deep trees", lambda: RandomForestRegressor(n_estimators=2, random_state=0), Y)
    of("forest of two outputs", lambda: RandomForestRegressor(**MANY), np.stack([Y, X[:, 3]], axis=1))
    of("GradientBoostingRegressor", lambda: GradientBoostingRegressor(**MANY), Y, core=True)
    of("GradientBoostingRegressor, quantile", lambda: GradientBoostingRegressor(loss="quantile", **MANY), Y)
    of("GradientBoostingRegressor from 0", lambda: GradientBoostingRegressor(init="zero", **MANY), Y,
       also={"contributions": added(lambda model: [0.0])})
    of("GradientBoostingClassifier, two classes", lambda: GradientBoostingClassifier(**MANY), B, core=True)

    def half(model):
        # `shap` starts from all of the log-odds.
        return [np.log(np.divide(*model.init_.class_prior_[::-1])) / 2]

    def logs(model):
        logs = np.log(model.init_.class_prior_)
        return logs - logs.mean() if version >= (1, 4) else logs

    of("GradientBoostingClassifier, exponential", lambda: GradientBoostingClassifier(loss="exponential", **MANY), B,
       also={"contributions": added(half)})
    of("GradientBoostingClassifier", lambda: GradientBoostingClassifier(**MANY), C,
       also={"contributions": added(logs)}, core=True)
    of("HistGradientBoostingRegressor", lambda: HistGradientBoostingRegressor(**HIST), Y, core=True)
    of("HistGradientBoostingRegressor, poisson",
       lambda: HistGradientBoostingRegressor(loss="poisson", **HIST), np.exp(Y / 4))
    of("HistGradientBoostingRegressor with missing values", lambda: HistGradientBoostingRegressor(**HIST), Y, x=MISSING)
    of("HistGradientBoostingClassifier, two classes", lambda: HistGradientBoostingClassifier(**HIST), B, core=True)
    of("HistGradientBoostingClassifier", lambda: HistGradientBoostingClassifier(**HIST), C, core=True)
    categories = {"contributions": by_definition([1, 0, 2] if version >= (1, 4) else [0, 1, 2])}
    of("HistGradientBoostingRegressor with categories",
       lambda: HistGradientBoostingRegressor(categorical_features=[1], **HIST), RISE, x=MIXED, ask=UNKNOWN,
       also=categories)
    of("IsolationForest", lambda: IsolationForest(n_estimators=4, max_samples=20, random_state=0), None, core=True)
    of("IsolationForest of some features",
       lambda: IsolationForest(n_estimators=4, max_features=2, random_state=0), None)


def lean(model):
    """Without the generators' states."""
    for one in [model, *np.ravel(getattr(model, "estimators_", []))]:
        for name in ("_random_state", "_rng", "_seeds"):
            one.__dict__.pop(name, None)
