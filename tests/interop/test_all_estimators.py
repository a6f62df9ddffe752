"""Every class that scikit-learn has, as `all_estimators()` lists them: fitted here in each way that its own
test suite constructs it, dumped, served, and asked each method that answers for samples it has not seen.

What is not served stands in `not_served.json`, with the reason; that list may only shrink. The table of
`docs/scikit-learn-coverage.md` is made here: `LONGSHORE_WRITE_TABLE=1 pytest tests/interop/test_all_estimators.py`.
`LONGSHORE_ESTIMATORS=PCA,KMeans` asks only these classes.
"""

import json
import os
import re
import time
import warnings
from collections import defaultdict
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import LocalOutlierFactor
from sklearn.utils import all_estimators, get_tags
from sklearn.utils._test_common.instance_generator import _construct_instances

from conftest import Server
from serving import AVAILABLE

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "scikit-learn-coverage.md"
GOLDENS = HERE.parents[1] / "tests" / "golden" / "sklearn"
NOT_SERVED = json.loads((HERE / "not_served.json").read_text(encoding="utf-8"))
RELATIVE = 1e-9
# Methods that answer for new samples with one row each, and what is no such answer: what
# depends on chance.
METHODS = [
    "predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "decision_function",
    "score_samples", "mahalanobis", "apply", "transform", "inverse_transform", "kneighbors", "radius_neighbors",
    "decision_path",
]
CHANCE = {("BernoulliRBM", "score_samples")}
# These move on to look for a fixed point whose place depends on all rows that are asked together.
WITHIN = {"NMF": 1e-3, "MiniBatchNMF": 1e-3, "LatentDirichletAllocation": 1e-3}

rng = np.random.RandomState(42)
ROWS, FEATURES = 60, 5
X = rng.normal(size=(ROWS, FEATURES)) * [1.0, 2.0, 0.5, 1.5, 1.0] + [0.0, 1.0, -1.0, 0.5, 0.0]
TWO = (X[:, 0] + 0.3 * rng.normal(size=ROWS) > 0).astype(int)
THREE = np.digitize(X[:, 1] + 0.3 * rng.normal(size=ROWS), [0.0, 2.0])
NUMBERS = X @ [1.0, -0.5, 2.0, 0.3, 0.0] + 0.1 * rng.normal(size=ROWS)
TEXTS = [f"the {a} {b} sat on the {c}" for a, b, c in zip(
    np.array(["big", "small", "red"])[rng.randint(3, size=ROWS)],
    np.array(["cat", "dog", "hen", "cow"])[rng.randint(4, size=ROWS)],
    np.array(["mat", "roof", "wall"])[rng.randint(3, size=ROWS)])]
WORDS = np.array([text.split()[1:3] for text in TEXTS], dtype=object)
HOLEY = np.where(rng.uniform(size=X.shape) < 0.15, np.nan, X)
ROWS_ASKED = 9
# Beside what scikit-learn's own test suite constructs.
MORE = {
    "DummyClassifier": lambda: [DummyClassifier(strategy=how) for how in ("prior", "most_frequent")],
    "FrozenEstimator": lambda: [FrozenEstimator(LogisticRegression().fit(X, THREE))],
    "LocalOutlierFactor": lambda: [LocalOutlierFactor(novelty=True)],
}


def samples_for(name, model):
    """What this estimator is fitted on, and a target."""
    tags = get_tags(model)
    x, y = X, NUMBERS
    if name in ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder"):
        return WORDS, TWO if name == "TargetEncoder" else None
    if name in ("SimpleImputer", "MissingIndicator", "KNNImputer", "IterativeImputer"):
        return HOLEY, None
    if name == "SparseCoder":
        return X[:, :3], None
    if name == "SkewedChi2Sampler":
        return np.abs(X), None
    if name == "SequentialFeatureSelector":
        return X, THREE
    if getattr(model, "metric", None) == "precomputed":
        return euclidean_distances(X), THREE if "Classifier" in name else NUMBERS
    if tags.input_tags.positive_only:
        x = np.abs(X)
    if name == "CategoricalNB":
        x = np.abs(np.round(X)).astype(int)
    if name in ("LabelEncoder", "LabelBinarizer"):
        return THREE, None
    if name == "MultiLabelBinarizer":
        return [tuple({int(a), int(b)}) for a, b in zip(THREE, TWO + 3)], None
    if name == "IsotonicRegression":
        return X[:, 0], NUMBERS
    if tags.input_tags.string:
        return TEXTS, None
    if getattr(tags.input_tags, "dict", False):
        return [{"word": text.split()[1], "x": float(v)} for text, v in zip(TEXTS, X[:, 0])], None
    if tags.input_tags.pairwise:
        x = X @ X.T
    if tags.target_tags.positive_only:
        y = np.abs(NUMBERS) + 0.1
    classifier = tags.estimator_type == "classifier" or tags.classifier_tags is not None
    if classifier or tags.target_tags.required and tags.regressor_tags is None:
        y = TWO if tags.classifier_tags is not None and not tags.classifier_tags.multi_class else THREE
    if not tags.target_tags.single_output:
        y = np.column_stack([TWO, THREE]) if classifier else np.column_stack([NUMBERS, NUMBERS[::-1]])
    return x, y


def instances():
    """name -> fitted estimator and what it is asked with, or why it could not be fitted."""
    found = {}
    only = os.environ.get("LONGSHORE_ESTIMATORS")
    for name, cls in all_estimators():
        if only and name not in only.split(","):
            continue
        try:
            constructed = MORE[name]() if name in MORE else list(_construct_instances(cls))
        except Exception as why:  # noqa: BLE001
            found[f"{name}.0"] = (name, None, None, f"cannot be constructed: {why}")
            continue
        for number, model in enumerate(constructed):
            if "random_state" in model.get_params():
                model.set_params(random_state=0)
            try:
                x, y = samples_for(name, model)
                model = clone(model).fit(x, y) if y is not None else clone(model).fit(x)
                asked = x[:ROWS_ASKED]
                if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.ndim == 2 and not get_tags(model).input_tags.positive_only:
                    asked = x[:ROWS_ASKED] * 1.01 if x.shape[0] != x.shape[1] else x[:ROWS_ASKED]
                found[f"{name}.{number}"] = (name, model, asked, None)
            except Exception as why:  # noqa: BLE001
                found[f"{name}.{number}"] = (name, None, None, f"cannot be fitted: {type(why).__name__}: {why}"[:200])
    return found


class Rows(list):
    """An answer of a different number of values in each row, which is JSON."""


def same_rows(got, want):
    """None, or how JSON rows differ from lists and dicts."""
    if got.shape != (len(want),):
        return f"shape {got.shape}, expected ({len(want)},)"
    for row, expected in zip(map(json.loads, got.tolist()), want):
        if isinstance(expected, dict):
            if list(row) != list(expected):
                return "other names"
            row, expected = list(row.values()), list(expected.values())
        row, expected = np.asarray(row), np.asarray(expected)
        numbers = expected.dtype.kind == "f" and row.dtype.kind == "f" and row.shape == expected.shape
        if not (np.allclose(row, expected, rtol=RELATIVE, atol=1e-13) if numbers else row.tolist() == expected.tolist()):
            return "other values"
    return None


def answers_of(name, model, asked):
    """method -> (what it is asked with, {output: array}) of all that scikit-learn itself answers."""
    answered = {}
    for method in METHODS:
        if (name, method) in CHANCE or not hasattr(model, method):
            continue
        given = asked
        try:
            if method == "inverse_transform":
                given = model.transform(asked)
            answer = getattr(model, method)(given)
        except (NotFittedError, NotImplementedError, AttributeError, ValueError, TypeError):
            continue
        if method == "inverse_transform" and isinstance(answer, list):
            answered[method] = (given, {"outputs": Rows(answer)})
            continue
        if method == "radius_neighbors":
            # Ours are in the order that they were fitted in.
            by = [np.argsort(row, kind="stable") for row in answer[1]]
            outputs = zip(("distances", "indices"), answer)
            answered[method] = (given, {name: Rows(row[order] for row, order in zip(rows, by)) for name, rows in outputs})
            continue
        if method == "decision_path" and isinstance(answer, tuple):
            answer = {"outputs": answer[0], "n_nodes_ptr": np.tile(answer[1], (len(given), 1))}
        if isinstance(answer, dict):
            outputs = answer
        elif method == "kneighbors":
            outputs = {"distances": answer[0], "indices": answer[1]}
        elif isinstance(answer, list) and answer and isinstance(answer[0], np.ndarray):
            outputs = {f"outputs_{i}": one for i, one in enumerate(answer)}
        else:
            outputs = {"outputs": answer}
        dense = lambda a: a.toarray() if scipy.sparse.issparse(a) else np.asarray(a)  # noqa: E731
        answered[method] = (given, {output: dense(values) for output, values in outputs.items()})
    return answered


def as_inputs(given, signature):
    """The request for a signature: one tensor, or one a column."""
    inputs = signature.inputs
    if scipy.sparse.issparse(given):
        given = given.toarray()
    if list(inputs) != ["inputs"]:
        frame = given if isinstance(given, pd.DataFrame) else pd.DataFrame(np.asarray(given))
        return {name: frame.iloc[:, i].to_numpy() for i, name in enumerate(sorted(inputs))}
    if inputs["inputs"].dtype == 7:  # DT_STRING
        if isinstance(given, list) and given and not isinstance(given[0], str):
            return {"inputs": np.array([json.dumps(row) for row in given], dtype=object)}
        return {"inputs": np.asarray(given, dtype=object).astype(str).astype(object)}
    return {"inputs": np.asarray(given, dtype=np.float64)}


def same(name, got, want):
    """None, or how they differ."""
    if isinstance(want, Rows):
        return same_rows(got, want)
    want = np.asarray(want)
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if want.dtype.kind in "UO":
        texts = [word.decode() if isinstance(word, bytes) else str(word) for word in got.ravel().tolist()]
        return None if texts == [str(word) for word in want.ravel().tolist()] else "other labels"
    if want.dtype.kind == "f":
        relative = WITHIN.get(name, RELATIVE if want.dtype == np.float64 else 1e-5)
        scale = np.max(np.abs(want[np.isfinite(want)]), initial=0.0)
        if np.allclose(got.astype(float), want, rtol=relative, atol=64 * np.finfo("float64").eps * scale if name not in WITHIN else 1e-3 * scale, equal_nan=True):
            return None
        return f"differs by {np.nanmax(np.abs(got - want)):.3g} of {scale:.3g}"
    return None if np.array_equal(got.astype(want.dtype), want) else "other values"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """class -> method -> None when every way to construct it answers alike, else what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.seterr(all="ignore")
        fitted = instances()
        expected = {key: answers_of(name, model, asked) for key, (name, model, asked, _) in fitted.items() if model is not None}
    server = Server(tmp_path_factory.mktemp("all"))
    for key, (_, model, _, _) in fitted.items():
        if model is not None and expected[key]:
            server.publish(key, 1, model)
    results = defaultdict(dict)
    for key, (name, model, _, why) in fitted.items():
        if model is None:
            results[name].setdefault("fit", why)
            continue
        if not expected[key]:
            results[name]
            continue
        entry = settled(server.client, key)
        if entry.state != AVAILABLE:
            for method in expected[key]:
                said = re.sub(r"^.*model\.pkl: ", "", entry.status.error_message)
                results[name][method] = results[name].get(method) or f"refused at load: {said}"
            continue
        signatures = server.client.signatures(key)
        for method, (given, outputs) in expected[key].items():
            results[name].setdefault(method, None)
            if method not in signatures:
                results[name][method] = "no such signature"
                continue
            try:
                got = server.client.arrays(key, as_inputs(given, signatures[method]), method)
            except (grpc.RpcError, ValueError, TypeError) as error:
                results[name][method] = f"{key}: {error.details() if isinstance(error, grpc.RpcError) else error}"[:200]
                continue
            for output, want in outputs.items():
                wrong = "no such output" if output not in got else same(name, got[output], want)
                if wrong:
                    results[name][method] = f"{key}: {output}: {wrong}"
    server.stop()
    return dict(results)


def settled(client, name):
    """The status of version 1 once it is available or has failed."""
    end = time.monotonic() + 60
    while True:
        entry = client._status_or_none(name, 1)
        if entry is not None and (entry.state == AVAILABLE or entry.status.error_code != 0):
            return entry
        assert time.monotonic() < end, name
        time.sleep(0.02)


def test_every_estimator_is_served_or_listed(outcome):
    wrong = {
        f"{name}.{method}": why
        for name, methods in outcome.items()
        for method, why in methods.items()
        if why is not None and method != "fit" and method not in NOT_SERVED.get(name, {})
    }
    print(f"{len(outcome)} classes, {sum(any(m != 'fit' for m in ms) for ms in outcome.values())} answer for new samples")
    assert not wrong, "\n".join(f"{key}: {why}" for key, why in sorted(wrong.items()))


def test_what_is_listed_as_not_served_is_not(outcome):
    served = [f"{name}.{method}" for name, methods in NOT_SERVED.items() for method in methods
              if outcome.get(name, {}).get(method, "absent") is None]
    assert not served, f"take these out of not_served.json: {served}"


def proved():
    """class -> the versions whose own files are replayed by `cargo test`, and the loosest agreement."""
    versions, loosest = defaultdict(set), defaultdict(float)
    for path in sorted(GOLDENS.glob("*-*.json")) + sorted((GOLDENS / "families").glob("*-*.json")):
        golden = json.loads(path.read_text(encoding="utf-8"))
        for case in golden["cases"]:
            versions[case["class"]].add(golden["provenance"]["scikit-learn"])
            loosest[case["class"]] = max(loosest[case["class"]], case.get("tolerance", RELATIVE))
    return versions, loosest


def table(outcome):
    versions, loosest = proved()
    number = lambda version: tuple(int(part) for part in version.split("."))  # noqa: E731
    lines = ["| class | methods | files of | numbers agree to | not served |", "|---|---|---|---|---|"]
    for name in sorted(outcome):
        methods = {method: why for method, why in outcome[name].items() if method != "fit"}
        if not methods:
            continue
        served = ", ".join(f"`{m}`" for m in METHODS if m in methods and methods[m] is None)
        absent = "; ".join(f"`{m}`: {NOT_SERVED.get(name, {}).get(m, 'not yet')}" for m in METHODS if m in methods and methods[m] is not None)
        of = sorted(versions[name] | {"1.9.1"}, key=number)
        lines.append(f"| {name} | {served} | {', '.join(of)} | {loosest[name] or RELATIVE:.0e} | {absent} |")
    return "\n".join(lines)


def test_the_table_of_the_documentation_is_this_one(outcome):
    wanted = f"""# Every class of scikit-learn {sklearn.__version__}

Made by `tests/interop/test_all_estimators.py`, which fits each class of `sklearn.utils.all_estimators()` in every way
that scikit-learn's own test suite constructs it, dumps it, serves it, and compares each method that answers for samples
it has not seen. The versions are those whose own files `cargo test` replays, beside the one of the day; numbers
agree to what is said, relative, labels exactly. [What else is to know](scikit-learn.md).

{table(outcome)}

Classes that are not here ({", ".join(sorted(name for name, methods in outcome.items() if not set(methods) - {"fit"}))})
answer for no samples but those that they were fitted on, or take no table of numbers or text.
"""
    if os.environ.get("LONGSHORE_WRITE_TABLE"):
        DOCS.write_text(wanted, encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == wanted, "write it again: LONGSHORE_WRITE_TABLE=1"
