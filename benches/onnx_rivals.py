"""The other side of `cargo bench --bench onnx -- PYTHON`: makes the models, and runs them in process.

    PYTHON -m pip install numpy onnx onnxruntime scikit-learn skl2onnx tensorflow-cpu

Writes a repository and one request's tensor for each model into the folder that it is given, and prints a line
"library KIND PATH" for each library and "model NAME INPUT DTYPE DIMS" for each model, then "ready". For each line
"NAME SECONDS" on standard input it prints how many runs a second it has made in that time, with a thread for each core,
and how many seconds of CPU one took.
"""

import os
import sys
import threading
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import RandomForestClassifier
from skl2onnx.common.data_types import FloatTensorType

folder = Path(sys.argv[1])
random = np.random.default_rng(20261126)
CORES = os.cpu_count() or 1


def weight(*shape):
    return (random.normal(size=shape) / np.sqrt(np.prod(shape[:-1]) or 1)).astype(np.float32)


class Graph:
    """Nodes and weights, put down one after another."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def add(self, op, *inputs, **attributes):
        names = []
        for value in inputs:
            if not isinstance(value, str):
                self.weights.append(numpy_helper.from_array(np.asarray(value), f"w{len(self.weights)}"))
                value = self.weights[-1].name
            names.append(value)
        outputs = [f"t{len(self.nodes)}_{i}" for i in range(attributes.pop("results", 1))]
        self.nodes.append(helper.make_node(op, names, outputs, **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def model(self, kind, dims, result, out_dims):
        self.nodes.append(helper.make_node("Identity", [result], ["y"]))
        values = [helper.make_tensor_value_info("x", kind, dims)], [helper.make_tensor_value_info("y", TensorProto.FLOAT, out_dims)]
        graph = helper.make_graph(self.nodes, "g", *values, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def mlp(*widths):
    graph, at = Graph(), "x"
    for i, (before, after) in enumerate(zip(widths, widths[1:])):
        at = graph.add("Gemm", at, weight(before, after), weight(after))
        at = graph.add("Relu", at) if i + 2 < len(widths) else graph.add("Softmax", at)
    return graph.model(TensorProto.FLOAT, ["N", widths[0]], at, ["N", widths[-1]])


def cnn(size):
    """Three stages of two convolutions with a way around them."""
    graph, at, channels = Graph(), "x", 3
    for width in (32, 64, 128):
        at = graph.add("Relu", graph.add("Conv", at, weight(width, channels, 3, 3), weight(width), pads=[1] * 4, strides=[2, 2]))
        around = at
        at = graph.add("Relu", graph.add("Conv", at, weight(width, width, 3, 3), weight(width), pads=[1] * 4))
        at = graph.add("Relu", graph.add("Add", graph.add("Conv", at, weight(width, width, 3, 3), weight(width), pads=[1] * 4), around))
        channels = width
    at = graph.add("Flatten", graph.add("GlobalAveragePool", at))
    at = graph.add("Softmax", graph.add("Gemm", at, weight(channels, 10), weight(10)))
    return graph.model(TensorProto.FLOAT, ["N", 3, size, size], at, ["N", 10])


def transformer(layers, width, heads, words=1000):
    graph = Graph()
    at = graph.add("Gather", weight(words, width), "x")
    split = np.array([0, 0, heads, width // heads], np.int64)
    join = np.array([0, 0, width], np.int64)
    for _ in range(layers):
        normal = graph.add("LayerNormalization", at, np.ones(width, np.float32), weight(width), axis=-1)
        q, k, v = [graph.add("Reshape", graph.add("MatMul", normal, weight(width, width)), split) for _ in range(3)]
        q, v = [graph.add("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, v)]
        k = graph.add("Transpose", k, perm=[0, 2, 3, 1])
        scores = graph.add("Mul", graph.add("MatMul", q, k), np.float32((width // heads) ** -0.5))
        mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), v)
        mixed = graph.add("Reshape", graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), join)
        at = graph.add("Add", at, graph.add("MatMul", mixed, weight(width, width)))
        normal = graph.add("LayerNormalization", at, np.ones(width, np.float32), weight(width), axis=-1)
        hidden = graph.add("Relu", graph.add("Add", graph.add("MatMul", normal, weight(width, 4 * width)), weight(4 * width)))
        at = graph.add("Add", at, graph.add("MatMul", hidden, weight(4 * width, width)))
    at = graph.add("ReduceMean", at, axes=[1], keepdims=0)
    return graph.model(TensorProto.INT64, ["N", "words"], at, ["N", width])


def forest():
    X = random.normal(size=(8000, 20)).astype(np.float32)
    y = (X[:, :5].sum(1) + random.normal(size=8000) > 0).astype(int)
    model = RandomForestClassifier(100, max_depth=12, random_state=1).fit(X, y)
    return skl2onnx.to_onnx(model, initial_types=[("x", FloatTensorType([None, 20]))], options={"zipmap": False})


def floats(*shape):
    return random.normal(size=shape).astype(np.float32)


models = {
    "mlp": (mlp(784, 2048, 2048, 10), floats(64, 784)),
    "mlp_16": (mlp(784, 2048, 2048, 10), floats(16, 784)),
    "mlp_small": (mlp(784, 256, 10), floats(1, 784)),
    # A picture, and text, of the sizes that most models of their kinds take.
    "cnn": (cnn(224), floats(1, 3, 224, 224)),
    "cnn_small": (cnn(96), floats(1, 3, 96, 96)),
    "transformer": (transformer(6, 384, 12), random.integers(0, 1000, (1, 128))),
    "transformer_small": (transformer(4, 256, 4), random.integers(0, 1000, (1, 64))),
    "forest": (forest(), floats(1000, 20)),
    "forest_row": (forest(), floats(1, 20)),
}
runs, keep = {}, []
for name, (model, rows) in models.items():
    (folder / "models" / name / "1").mkdir(parents=True)
    onnx.save(model, folder / "models" / name / "1" / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    keep.append(session)
    runs[name] = lambda session=session, feed={"x": rows}: session.run(None, feed)

dense = [tf.keras.layers.Dense(width, activation="relu") for width in (2048, 2048)]
network = tf.keras.Sequential([tf.keras.layers.Input((784,), name="x"), *dense, tf.keras.layers.Dense(10)])
network.export(folder / "models" / "tf_mlp" / "1", verbose=False)
loaded = tf.saved_model.load(str(folder / "models" / "tf_mlp" / "1"))
signature = loaded.signatures["serving_default"]
[tf_input] = signature.structured_input_signature[1]
tf_rows = tf.constant(floats(16, 784))
runs["tf_mlp"] = lambda: signature(**{tf_input: tf_rows})
models["tf_mlp"] = (None, tf_rows.numpy())

onnx_folder, tf_folder = Path(onnxruntime.__file__).parent, Path(tf.__file__).parent
print("library onnxruntime", next((onnx_folder / "capi").glob("libonnxruntime.so*")))
print("library tensorflow", next(tf_folder.glob("libtensorflow_cc.so*")))
for name, (_, rows) in models.items():
    (folder / f"{name}.bin").write_bytes(rows.tobytes())
    kind = {"float32": "DT_FLOAT", "int64": "DT_INT64"}[str(rows.dtype)]
    print("model", name, tf_input if name == "tf_mlp" else "x", kind, ",".join(map(str, rows.shape)))
print("ready", flush=True)

for line in sys.stdin:
    name, seconds = line.split()
    run, end, counts = runs[name], time.perf_counter() + float(seconds), []

    def work():
        count = 0
        while time.perf_counter() < end:
            run()
            count += 1
        counts.append(count)

    started, used = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=work) for _ in range(CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(counts) / (time.perf_counter() - started), (time.process_time() - used) / sum(counts), flush=True)
