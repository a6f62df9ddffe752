"""Makes the golden file of the ONNX operators that are built in: small models, and what onnxruntime answers.

    python make.py OUT_FOLDER
    python make.py OUT_FOLDER --corpus

Made with onnx 1.23.2, onnxruntime 1.32.0, skl2onnx 1.20.0 and scikit-learn 1.9.1. Writes
OUT_FOLDER/cases.json; `--corpus` writes seeds for the fuzz target. Data and training are seeded.

The file: {"provenance", "cases": [{"name", "operators", "model", "inputs", "outputs", "tolerance"}]}: a model and
tensors are messages in base64, in the graph's order. A third of the cases are the ONNX project's own node tests, with the
answers that stand there; the others are answered by onnxruntime in one thread.
"""

import base64
import itertools
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from skl2onnx import to_onnx
from sklearn import cluster, decomposition, ensemble, linear_model, naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm, tree

warnings.simplefilter("ignore")
onnxruntime.set_default_logger_severity(4)
SEED = 20261126
rng = np.random.RandomState(SEED)
ML = "ai.onnx.ml"
# Of the node tests as many of each operator, and none that is longer than this.
NODE_TESTS_EACH, NODE_TEST_BYTES = 2, 1500
# Those of neural networks are held elsewhere.
PLAIN = set(
    """Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast
    CastLike Ceil Celu Clip Compress Concat Constant ConstantOfShape Cos Cosh CumProd CumSum Det Div Dropout Einsum Elu Equal Erf Exp
    Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual HardSigmoid HardSwish Hardmax
    Identity If IsInf IsNaN LeakyRelu Less LessOrEqual Log LogSoftmax Loop MatMul Max Mean Min Mish Mod Mul Neg NonZero Not
    OneHot Or PRelu Pad Pow Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape ReverseSequence Round Scan ScatterElements ScatterND
    Selu SequenceInsert Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign Split Sqrt Squeeze
    StringConcat StringNormalizer StringSplit Sub Sum Swish Tan Tanh TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu
    Unique Unsqueeze Where Xor""".split()
)
cases = []


def text(message) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def keep(name, model, inputs, outputs, tolerance):
    graph = model.graph
    operators = sorted({(f"{node.domain}." if node.domain else "") + node.op_type for node in graph.node})
    as_text = [value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value)) for value in inputs]
    outputs = [numpy_helper.from_array(value.astype(object) if value.dtype.kind in "US" else value) for value in map(np.asarray, outputs)]
    cases.append(
        {
            "name": name,
            "operators": operators,
            "model": text(model),
            "inputs": [text(value) for value in as_text],
            "outputs": [text(value) for value in outputs],
            "tolerance": tolerance,
        }
    )


def answered(name, model, inputs: dict, tolerance=1e-5):
    """A case that onnxruntime answers; maps flattened to values and keys."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    outputs = []
    for value in session.run(None, inputs):
        if isinstance(value, list):
            keys = sorted(value[0])
            outputs += [np.array([[row[key] for key in keys] for row in value], "float32"), np.array([keys] * len(value))]
        else:
            outputs.append(value)
    keep(name, model, inputs.values(), outputs, tolerance)


def node_tests():
    seen = {}
    for case in sorted(collect_testcases(None), key=lambda case: case.name):
        graph = case.model.graph
        kinds = [value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]]
        inputs, outputs = case.data_sets[0]
        own = all(isinstance(value, (np.ndarray, np.generic)) for value in [*inputs, *outputs])
        last = graph.node[-1].op_type
        if not own or "expanded" in case.name or any(kind == 0 or kind > TensorProto.BFLOAT16 for kind in kinds):
            continue
        is_ml = all(node.domain == ML for node in graph.node)
        if "training" in case.name or not (is_ml or {node.op_type for node in graph.node} <= PLAIN):
            continue
        size = case.model.ByteSize() + sum(np.asarray(value).nbytes for value in [*inputs, *outputs])
        if seen.get(last, 0) >= NODE_TESTS_EACH or size > NODE_TEST_BYTES:
            continue
        seen[last] = seen.get(last, 0) + 1
        keep(case.name, case.model, inputs, outputs, max(case.rtol, 1e-6))


def tree_attributes(trees, depth, modes, leaf, prefix, missing):
    """Trees grown at random, as lists."""
    nodes = {key: [] for key in ["treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true"]}
    leaves = {key: [] for key in ["treeids", "nodeids", "ids", "weights"]}

    def grow(tree, left, count):
        at, place = next(count), len(nodes["treeids"])
        is_leaf = left == 0 or (left < depth and rng.rand() < 0.2)
        row = [tree, at, 0, "LEAF", 0.0, 0, 0, 0]
        for key, value in zip(nodes, row):
            nodes[key].append(value)
        if is_leaf:
            for target, weight in leaf():
                for key, value in zip(leaves, [tree, at, target, float(weight)]):
                    leaves[key].append(value)
            return at
        nodes["featureids"][place], nodes["modes"][place] = int(rng.randint(4)), str(rng.choice(modes))
        nodes["values"][place] = float(rng.randint(-4, 5) / 2)
        nodes["missing_value_tracks_true"][place] = int(missing and rng.rand() < 0.5)
        nodes["truenodeids"][place], nodes["falsenodeids"][place] = grow(tree, left - 1, count), grow(tree, left - 1, count)
        return at

    for tree in range(trees):
        grow(tree, depth, itertools.count())
    return {f"nodes_{key}": value for key, value in nodes.items()} | {f"{prefix}_{key}": value for key, value in leaves.items()}


def one_node(name, operator, inputs, outputs, tolerance=1e-5, domain=ML, version=3, **attributes):
    kinds = {"f": TensorProto.FLOAT, "d": TensorProto.DOUBLE, "l": TensorProto.INT64, "O": TensorProto.STRING}
    names = [f"x{at}" for at in range(len(inputs))]
    stated = [helper.make_tensor_value_info(n, kinds[x.dtype.char], [None] * x.ndim) for n, x in zip(names, inputs)]
    given = [helper.make_tensor_value_info(f"y{at}", kind, None) for at, kind in enumerate(outputs)]
    node = helper.make_node(operator, names, [f"y{at}" for at in range(len(outputs))], domain=domain, **attributes)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, version), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph([node], "g", stated, given), opset_imports=opsets, ir_version=9)
    answered(name, model, dict(zip(names, inputs)), tolerance)


def rows(count, width, holes=False):
    x = (rng.randint(-10, 11, size=(count, width)) / 4).astype("float32")
    if holes:
        x[rng.rand(count, width) < 0.15] = np.nan
    return x


def machine_learning():
    every = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
    for aggregate, post, targets in itertools.product(["SUM", "AVERAGE", "MIN", "MAX"], ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"], [1, 2]):
        if (aggregate != "SUM" or targets == 1) and post != "NONE":
            continue
        attributes = tree_attributes(3, 3, every, lambda: [(t, rng.randn()) for t in range(targets)], "target", True)
        attributes |= {"n_targets": targets, "aggregate_function": aggregate, "post_transform": post, "base_values": [0.25] * targets}
        name = f"trees_{aggregate}_{post}_{targets}".lower()
        one_node(name, "TreeEnsembleRegressor", [rows(9, 5, True)], [TensorProto.FLOAT], **attributes)
    doubles = tree_attributes(3, 3, ["BRANCH_LEQ"], lambda: [(0, rng.randn())], "target", False)
    for key in ["nodes_values", "target_weights"]:
        doubles[f"{key}_as_tensor"] = numpy_helper.from_array(np.array(doubles.pop(key)))
    one_node("trees_doubles", "TreeEnsembleRegressor", [rows(9, 4).astype("float64")], [TensorProto.FLOAT], n_targets=1, **doubles)
    for classes, kind, post, base in itertools.product([2, 3], ["first", "all", "some", "mixed"], ["NONE", "SOFTMAX", "LOGISTIC"], [False, True]):
        if base and (kind != "all" or post == "LOGISTIC"):
            continue

        def leaf():
            weight = (lambda: rng.randn()) if kind == "mixed" else rng.rand
            if kind == "first":
                return [(0, 0.3 * weight())]
            return [(t, weight()) for t in range(classes) if kind != "some" or rng.rand() < 0.6] or [(0, 0.5)]

        attributes = tree_attributes(2, 3, every, leaf, "class", False) | {"post_transform": post}
        if base:
            attributes["base_values"] = [0.5, -0.25, 0.125][:classes]
        labels = {"classlabels_strings": ["a", "b", "c"][:classes]} if post == "SOFTMAX" else {"classlabels_int64s": [0, 1, 2][:classes]}
        kinds = [TensorProto.STRING if post == "SOFTMAX" else TensorProto.INT64, TensorProto.FLOAT]
        name = f"tree_classes_{classes}_{kind}_{post}_{base}".lower()
        one_node(name, "TreeEnsembleClassifier", [rows(8, 4)], kinds, **attributes, **labels)
    for classes, scores, post in [(2, 1, "NONE"), (2, 1, "LOGISTIC"), (2, 2, "SOFTMAX"), (3, 3, "LOGISTIC"), (3, 3, "SOFTMAX_ZERO")]:
        attributes = {"coefficients": rng.randn(scores * 4).tolist(), "intercepts": rng.randn(scores).tolist(), "post_transform": post}
        kinds = [TensorProto.INT64, TensorProto.FLOAT]
        one_node(f"linear_{classes}_{scores}_{post}".lower(), "LinearClassifier", [rows(7, 4)], kinds, classlabels_ints=[5, 7, 9][:classes], **attributes)
    one_node("linear_regressor", "LinearRegressor", [rows(7, 4)], [TensorProto.FLOAT], coefficients=rng.randn(8).tolist(), intercepts=[0.5, 1.0], targets=2)
    for classes, has_probability, kernel in itertools.product([2, 3], [False, True], ["LINEAR", "RBF", "POLY", "SIGMOID"]):
        vectors, pairs = [3, 2, 2][:classes], classes * (classes - 1) // 2
        attributes = {
            "support_vectors": rng.randn(sum(vectors) * 4).tolist(),
            "vectors_per_class": vectors,
            "coefficients": rng.randn((classes - 1) * sum(vectors)).tolist(),
            "rho": rng.randn(pairs).tolist(),
            "kernel_type": kernel,
            "kernel_params": [0.3, 0.2, 2.0],
        }
        if has_probability:
            attributes |= {"prob_a": (-np.abs(rng.randn(pairs))).tolist(), "prob_b": rng.randn(pairs).tolist()}
        name = f"svm_{classes}_{has_probability}_{kernel}".lower()
        one_node(name, "SVMClassifier", [rows(6, 4)], [TensorProto.INT64, TensorProto.FLOAT], 1e-4, classlabels_ints=[5, 7, 9][:classes], **attributes)
    for one_class in [0, 1]:
        attributes = {"coefficients": rng.randn(5).tolist(), "support_vectors": rng.randn(20).tolist(), "n_supports": 5, "rho": [0.1]}
        one_node(f"svm_regressor_{one_class}", "SVMRegressor", [rows(6, 4)], [TensorProto.FLOAT], kernel_type="RBF", kernel_params=[0.4, 0.0, 0.0], one_class=one_class, **attributes)
    x, wide = rows(5, 3), rows(5, 2)
    one_node("scaler", "Scaler", [x], [TensorProto.FLOAT], offset=[0.1, 0.2, -3.0], scale=[2.0, 0.5, 1.5])
    one_node("scaler_of_doubles", "Scaler", [x.astype("float64")], [TensorProto.FLOAT], offset=[0.1], scale=[2.0])
    for norm in ["MAX", "L1", "L2"]:
        one_node(f"normalizer_{norm}".lower(), "Normalizer", [np.abs(x) + 0.1], [TensorProto.FLOAT], norm=norm)
    one_node("imputer", "Imputer", [rows(5, 3, True)], [TensorProto.FLOAT], imputed_value_floats=[1.0, 2.0, 3.0], replaced_value_float=float("nan"))
    one_node("imputer_of_integers", "Imputer", [x.astype("int64")], [TensorProto.INT64], imputed_value_int64s=[100], replaced_value_int64=1)
    one_node("feature_vectorizer", "FeatureVectorizer", [x, wide], [TensorProto.FLOAT], inputdimensions=[3, 2])
    words = np.array([["a", "b"], ["zz", "c"]], dtype=object)
    one_node("one_hot_words", "OneHotEncoder", [words], [TensorProto.FLOAT], cats_strings=["a", "c"], zeros=1)
    one_node("one_hot_numbers", "OneHotEncoder", [rows(5, 1)], [TensorProto.FLOAT], cats_int64s=[-2, 0, 1, 2], zeros=1)
    one_node("category_mapper", "CategoryMapper", [words], [TensorProto.INT64], cats_strings=["a", "c"], cats_int64s=[3, 4], default_int64=-5)
    one_node("labels_to_floats", "LabelEncoder", [words], [TensorProto.FLOAT], version=2, keys_strings=["a", "c", "a"], values_floats=[1.0, 2.0, 3.0], default_float=9.0)
    one_node("floats_to_labels", "LabelEncoder", [np.array([1.5, np.nan, -0.0], "float32")], [TensorProto.STRING], version=4, keys_floats=[1.5, float("nan"), 0.0], values_strings=["x", "y", "z"])
    texts = np.array(["Hello, World! the the", "  a-b  c_d ", "", "éa ñandú"], dtype=object)
    for name, how in {"separators": {"separators": ["[ ,!]", "-"]}, "expression": {"tokenexp": "\\b[a-zA-Z0-9_]+\\b"}, "letters": {"separators": [""]}}.items():
        one_node(f"tokens_by_{name}", "Tokenizer", [texts], [TensorProto.STRING], domain="com.microsoft", mark=0, mincharnum=1, pad_value="#", **how)


def estimators():
    x = rng.normal(size=(60, 3)).astype("float32")
    y = x @ [1.0, -2.0, 0.5]
    two, three = (y > 0).astype("int64"), np.digitize(y, [-1, 1])
    plain = {"zipmap": False}
    for name, model, target, options in [
        ("logistic", linear_model.LogisticRegression(), three, {}),
        ("logistic_names", linear_model.LogisticRegression(), np.array(["cold", "mild", "warm"])[three], plain),
        ("forest", ensemble.RandomForestClassifier(3, max_depth=3, random_state=0), three, {}),
        ("forest_two", ensemble.RandomForestClassifier(3, max_depth=3, random_state=0), two, plain),
        ("boosting", ensemble.GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0), two, plain),
        ("tree", tree.DecisionTreeRegressor(max_depth=4, random_state=0), y, {}),
        ("isolation", ensemble.IsolationForest(n_estimators=3, max_samples=16, random_state=0), None, {}),
        ("svc", svm.SVC(probability=True, random_state=0, C=10), two, plain),
        ("naive_bayes", naive_bayes.GaussianNB(), three, plain),
        ("neighbors", neighbors.KNeighborsClassifier(3), two, plain),
        ("network", neural_network.MLPClassifier(hidden_layer_sizes=(5,), max_iter=50, random_state=0), three, plain),
        ("kmeans", cluster.KMeans(3, n_init=1, random_state=0), None, {}),
        ("pipeline", pipeline.make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(2), linear_model.Ridge()), y, {}),
    ]:
        model.fit(x, target)
        options = {id(model): options} if options else None
        onnx_model = to_onnx(model, x[:1], options=options, target_opset={"": 18, ML: 3})
        answered(f"sklearn_{name}", onnx_model, {"X": x[:6]}, 1e-4 if name in ("svc", "isolation", "neighbors") else 1e-5)


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    node_tests()
    machine_learning()
    estimators()
    if "--corpus" in sys.argv:
        for case in cases[:: max(1, len(cases) // 60)] + [case for case in cases if case["name"] in ("sklearn_forest", "test_loop11", "test_if")]:
            if len(case["model"]) < 8000:
                (out / f"{case['name']}.onnx").write_bytes(base64.b64decode(case["model"]))
        return
    versions = {library.__name__: library.__version__ for library in [np, onnx, onnxruntime, skl2onnx, sklearn]}
    golden = {"provenance": {"script": "tests/golden/onnx/make.py", "seed": SEED, "versions": versions}, "cases": cases}
    (out / "cases.json").write_text(json.dumps(golden, indent=0, separators=(",", ":")) + "\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
