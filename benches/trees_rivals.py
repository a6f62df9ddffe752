"""The other side of `cargo bench --bench trees -- --rivals PYTHON`: trains models, and times the others on them.

    PYTHON -m pip install joblib lightgbm numpy onnx onnxmltools onnxruntime scikit-learn skl2onnx tl2cgen treelite xgboost

Writes the models and the rows to the folder that it is given and prints "ready"; then for each line "MODEL ROWS" on
standard input it prints "SECONDS NAME" for every rival, the best of some rounds of one thread, and a line with a dot.
"""

import os
import sys
import time
import warnings

import joblib
import lightgbm as lgb
import numpy as np
import onnx
import onnxmltools
import onnxruntime
import skl2onnx
import tl2cgen
import treelite
import xgboost as xgb
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

warnings.simplefilter("ignore")
FEATURES, POOL, TREES = 20, 8000, 100
SECONDS, ROUNDS = 0.15, 3
folder = sys.argv[1]
# The compiler of trees talks on standard output, where only answers are wanted.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
random = np.random.default_rng(20261125)
X = random.normal(size=(POOL, FEATURES)).astype("float32")
Y = (X[:, :5].sum(1) + random.normal(size=POOL) > 0).astype(int)
WIDE = X.astype("float64")


def onnx_run(model, output):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name, outputs = session.get_inputs()[0].name, [session.get_outputs()[output].name]
    return lambda rows: session.run(outputs, {name: X[rows]})


def nothing():
    """A graph that gives back its input: what a call costs by itself."""
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, FEATURES]) for name in "XY"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["X"], ["Y"])], "nothing", value[:1], value[1:])
    return onnx_run(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=9), 0)


def gtil(model):
    return lambda rows: treelite.gtil.predict(model, X[rows], nthread=1)


def compiled(model, name):
    """The trees as C, through gcc."""
    path = f"{folder}/{name}.so"
    tl2cgen.export_lib(model, toolchain="gcc", libpath=path, params={"parallel_comp": 16}, verbose=False)
    predictor = tl2cgen.Predictor(path, nthread=1)
    return lambda rows: predictor.predict(tl2cgen.DMatrix(X[rows]))


empty = nothing()
inputs = [("X", FloatTensorType([None, FEATURES]))]
rivals = {}

forest = RandomForestClassifier(TREES, max_depth=12, n_jobs=1, random_state=1).fit(X, Y)
joblib.dump(forest, f"{folder}/forest.joblib")
lite = treelite.sklearn.import_model(forest)
rivals["forest"] = {
    "an empty call of ONNX Runtime": empty,
    "ONNX Runtime": onnx_run(skl2onnx.to_onnx(forest, X[:1], options={"zipmap": False}), 1),
    "scikit-learn": lambda rows: forest.predict_proba(X[rows]),
    "treelite": gtil(lite),
    "treelite, compiled": compiled(lite, "forest"),
}

boosted = xgb.XGBClassifier(n_estimators=TREES, max_depth=6, n_jobs=1, random_state=1).fit(X, Y)
boosted.save_model(f"{folder}/xgboost.json")
booster = boosted.get_booster()
booster.set_param({"nthread": 1})
lite = treelite.frontend.load_xgboost_model(f"{folder}/xgboost.json")
rivals["xgboost"] = {
    "an empty call of ONNX Runtime": empty,
    "ONNX Runtime": onnx_run(onnxmltools.convert_xgboost(boosted, initial_types=inputs, target_opset=15), 1),
    "XGBoost": lambda rows: booster.inplace_predict(X[rows]),
    "treelite": gtil(lite),
    "treelite, compiled": compiled(lite, "xgboost"),
}

light = lgb.LGBMClassifier(n_estimators=TREES, num_leaves=31, n_jobs=1, verbose=-1, random_state=1).fit(X, Y)
light.booster_.save_model(f"{folder}/lightgbm.txt")
lite = treelite.frontend.load_lightgbm_model(f"{folder}/lightgbm.txt")
rivals["lightgbm"] = {
    "an empty call of ONNX Runtime": empty,
    "ONNX Runtime": onnx_run(onnxmltools.convert_lightgbm(light, initial_types=inputs, target_opset=15, zipmap=False), 1),
    "LightGBM": lambda rows: light.booster_.predict(WIDE[rows], num_threads=1),
    "treelite": gtil(lite),
    "treelite, compiled": compiled(lite, "lightgbm"),
}


def best(run, rows):
    found = float("inf")
    for _ in range(ROUNDS):
        calls, started = 0, time.perf_counter()
        while time.perf_counter() - started < SECONDS or calls == 0:
            first = calls * rows % (POOL - rows + 1)
            run(slice(first, first + rows))
            calls += 1
        found = min(found, (time.perf_counter() - started) / calls)
    return found


X.tofile(f"{folder}/rows.f32")
print("ready", file=answers, flush=True)
for line in sys.stdin:
    model, rows = line.split()
    for name, run in rivals[model].items():
        print(best(run, int(rows)), name, file=answers, flush=True)
    print(".", file=answers, flush=True)
