"""Makes the golden file of one family of estimators: fitted models and what they answer.

    python family.py FAMILY OUT_FOLDER [--all]

Run once per scikit-learn version, each in an environment of its own (README.md lists
them); writes OUT_FOLDER/FAMILY-<version>.json. `families/FAMILY.py` has a function
`cases(case, version)` that calls `case(...)` for each model; `--all` writes every case,
otherwise only the core ones. Data and fits are seeded.

The file: {"provenance": {...}, "inputs": {name: input}, "cases": [{"name", "class",
"container", "file": base64 of the dump, "signatures": [every signature that is named
after a method], "feature_names": [..] or null, "asks": [{"signature", "input": name,
"outputs": {name: array}}], "refuses": [{"signature", "input", "says": start of the message}],
"tolerance": relative}]}.
An input is {"kind": "matrix" | "vector" | "texts" | "table", ...}: a matrix and a vector
of numbers are an array, texts a list of strings, a table {"columns": [{"name", "values"}]}.
An array is {"dtype", "shape", "values"}, values flat and row-major, floats as shortest
round-trip decimals or "nan", "inf", "-inf". What has a different number of values in each
row is {"dtype": "json", "shape", "values"}, each value a list or an object.
"""

import base64
import importlib
import io
import json
import math
import pickle
import platform
import sys
import warnings
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import scipy
import sklearn

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
CONTAINERS = ("joblib", "joblib_zlib", "pickle_2", "pickle_4", "pickle_5")
# scikit-learn's methods that answer for samples which were not fitted.
METHODS = (
    "predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples",
    "mahalanobis", "apply", "transform", "inverse_transform", "kneighbors", "radius_neighbors",
    "decision_path",
)


def dumped(model, container):
    kind, _, how = container.partition("_")
    out = io.BytesIO()
    if kind == "skops":
        import skops.io

        return skops.io.dumps(model, compression=zipfile.ZIP_DEFLATED if how else zipfile.ZIP_STORED)
    if kind == "pickle":
        pickle.dump(model, out, protocol=int(how))
    else:
        joblib.dump(model, out, compress=(how, 3) if how else 0)
    return out.getvalue()


def loaded(file, container):
    kind = container.partition("_")[0]
    if kind == "skops":
        import skops.io

        return skops.io.loads(file, trusted=skops.io.get_untrusted_types(data=file))
    return joblib.load(io.BytesIO(file)) if kind == "joblib" else pickle.loads(file)


def number(value):
    value = float(value)
    return value if math.isfinite(value) else {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")


def array(values):
    """An answer, or an input of numbers."""
    values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    flat = values.ravel().tolist()
    if values.dtype.kind == "f":
        return {"dtype": "float64", "shape": list(values.shape), "values": [number(v) for v in flat]}
    if values.dtype.kind in "iu":
        return {"dtype": "int64", "shape": list(values.shape), "values": [int(v) for v in flat]}
    if values.dtype.kind == "b":
        return {"dtype": "bool", "shape": list(values.shape), "values": [bool(v) for v in flat]}
    return {"dtype": "str", "shape": list(values.shape), "values": [str(v) for v in flat]}


def ragged(rows):
    """An answer whose rows are lists, or dicts, of different lengths."""
    plain = lambda value: value.item() if isinstance(value, np.generic) else value  # noqa: E731
    values = [{str(n): plain(v) for n, v in row.items()} if isinstance(row, dict) else [plain(v) for v in row] for row in rows]
    return {"dtype": "json", "shape": [len(values)], "values": values}


def encoded(values):
    """What a model is given: a data frame, a list of texts or of records, numbers or an array of objects."""
    if isinstance(values, pd.DataFrame):
        columns = [(str(name), values[name].to_numpy()) for name in values.columns]
        if any(column.dtype.kind not in "fiub" for _, column in columns):
            return {"kind": "table", "columns": [{"name": n, "values": array(c)} for n, c in columns]}
        return {"kind": "matrix", **array(values.to_numpy(dtype=float))}
    if isinstance(values, list):
        return {"kind": "texts", "values": [v if isinstance(v, str) else json.dumps(v) for v in values]}
    values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    if values.dtype.kind in "OUS":
        if values.ndim == 1:
            return {"kind": "texts", "values": [str(v) for v in values]}
        return {"kind": "table", "columns": [{"name": f"x{i}", "values": array(values[:, i])} for i in range(values.shape[1])]}
    return {"kind": "vector" if values.ndim == 1 else "matrix", **array(np.asarray(values, dtype=float))}


def answers(model, method, given):
    """The outputs of a method by the names that the signature has."""
    answer = getattr(model, method)(given)
    if method == "kneighbors":
        return {"distances": array(answer[0]), "indices": array(answer[1])}
    if method == "decision_path" and isinstance(answer, tuple):
        # Where the trees start is said again for each row.
        return {"outputs": array(answer[0]), "n_nodes_ptr": array(np.tile(answer[1], (len(given), 1)))}
    if method == "radius_neighbors":
        # Trees give them in an order of their own.
        order = [np.argsort(row, kind="stable") for row in answer[1]]
        return {name: ragged(row[by] for row, by in zip(rows, order)) for name, rows in zip(("distances", "indices"), answer)}
    if method == "inverse_transform" and isinstance(answer, list):
        return {"outputs": ragged(answer)}
    if isinstance(answer, list):
        return {f"outputs_{i}": array(one) for i, one in enumerate(answer)}
    return {"outputs": array(answer)}


def main():
    family, folder, everything = sys.argv[1], sys.argv[2], "--all" in sys.argv[3:]
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    sys.path.insert(0, str(Path(__file__).parent))
    inputs, names, cases, left_out = {}, {}, [], []

    def input_name(values):
        known = json.dumps(encoded(values))
        if known not in names:
            names[known] = f"i{len(names)}"
            inputs[names[known]] = encoded(values)
        return names[known]

    def case(name, make, x, y=None, ask=None, *, core=False, then=None, also=None, methods=METHODS, unasked=(),
             refuses=(), inverse=None, tolerance=1e-9):
        """One model: `make()` builds it, it is fitted on x and y, `then(model)` may change it,
        and it is asked with `ask` (or the first rows of x). `also` maps further signatures to
        functions of (model, ask) that give {output: values}; `inverse` is what
        inverse_transform is asked with (else what transform gave); `unasked` methods are
        there, but their answers are not promised; `refuses` lists
        (signature, input) that the model must refuse in scikit-learn's words."""
        if not (core or everything):
            return
        container = containers[len(cases) % len(containers)]
        try:
            model = make()
            model.fit(x, y) if y is not None else model.fit(x)
            if then:
                model = then(model) or model
        except (TypeError, ValueError, AttributeError, ImportError) as why:  # not in this version
            left_out.append(f"{name}: {type(why).__name__}: {str(why).splitlines()[0]}"[:160])
            return
        file = dumped(model, container)
        model = loaded(file, container)
        given = x[:7] if ask is None else ask
        asks, signatures = [], []
        for method in methods:
            if not hasattr(model, method):
                continue
            if method in unasked:
                signatures.append(method)
                continue
            asked = given
            if method == "inverse_transform":
                asked = inverse if inverse is not None else model.transform(given)
                asked = asked.toarray() if hasattr(asked, "toarray") else asked
            outputs = answers(model, method, asked)
            signatures.append(method)
            asks.append({"signature": method, "input": input_name(asked), "outputs": outputs})
        for signature, function in (also or {}).items():
            outputs = function(model, given)
            outputs = {output: values if isinstance(values, dict) else array(values) for output, values in outputs.items()}
            signatures.append(signature)
            asks.append({"signature": signature, "input": input_name(given), "outputs": outputs})
        refused = []
        for signature, asked in refuses:
            try:
                getattr(model, signature)(asked)
            except ValueError as why:
                refused.append({"signature": signature, "input": input_name(asked), "says": str(why)})
            else:
                raise AssertionError(f"{name}: {signature} refuses nothing")
        feature_names = getattr(model, "feature_names_in_", None)
        cases.append({
            "name": name, "class": type(model).__name__, "container": container, "tolerance": tolerance,
            "signatures": sorted(signatures), "asks": asks, "refuses": refused,
            "feature_names": None if feature_names is None else [str(n) for n in feature_names],
            "file": base64.b64encode(file).decode(),
        })

    module = importlib.import_module(f"families.{family}")
    containers = getattr(module, "CONTAINERS", CONTAINERS)
    module.cases(case, VERSION)
    provenance = {
        "command": " ".join(["python family.py", family, "OUT_FOLDER"] + sys.argv[3:]),
        "python": platform.python_version(), "scikit-learn": sklearn.__version__, "numpy": np.__version__,
        "scipy": scipy.__version__, "joblib": joblib.__version__, "pandas": pd.__version__, "left_out": left_out,
    }
    if "skops" in sys.modules:
        provenance["skops"] = sys.modules["skops"].__version__
    with open(f"{folder}/{family}-{sklearn.__version__}.json", "w", encoding="utf-8") as out:
        out.write('{"provenance": ' + json.dumps(provenance, indent=1, ensure_ascii=False))
        out.write(',\n"inputs": ' + json.dumps(inputs, ensure_ascii=False, separators=(",", ":")) + ',\n"cases": [\n')
        out.write(",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases))
        out.write("\n]}\n")
    print(family, sklearn.__version__, len(cases), "cases;", len(left_out), "left out")
    for line in left_out:
        print("  left out:", line)


if __name__ == "__main__":
    main()
