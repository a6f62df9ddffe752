"""Trains a convolutional network to read scikit-learn's handwritten digits, and drops it into a model repository as ONNX.

    python examples/train_digits_cnn.py [REPOSITORY [VERSION]]

Made the committed model_repository/digits_cnn/1/model.onnx, with the library versions of
examples/requirements.txt. A digit is eight rows of eight pixels, from 0 to 16. Keras trains; the
graph is written with the `onnx` package, operator by operator, as any exporter would.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

repository = Path(sys.argv[1] if len(sys.argv) > 1 else "model_repository")
version = sys.argv[2] if len(sys.argv) > 2 else "1"
folder = repository / "digits_cnn"
if (folder / version).exists():
    sys.exit(f"{folder / version} exists, and a version never changes: choose another number")

keras.utils.set_random_seed(int(version))
pixels, digits = load_digits(return_X_y=True)
pixels = pixels.reshape(-1, 8, 8, 1).astype(np.float32)
X, held_back, y, truth = train_test_split(pixels, digits, test_size=0.2, stratify=digits, random_state=int(version))
network = keras.Sequential(
    [
        keras.layers.Input((8, 8, 1)),
        keras.layers.Rescaling(1 / 16),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Dropout(0.4),
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ]
)
network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
network.fit(X, y, batch_size=32, epochs=40, verbose=0)

# Keras has channels last, in pictures and kernels; ONNX has them first.
(kernel_1, bias_1), (kernel_2, bias_2), (dense, bias_3) = [layer.get_weights() for layer in network.layers if layer.get_weights()]
weights = {
    "sixteenth": np.float32(1 / 16),
    "one_channel": np.array([0, 1, 8, 8], np.int64),
    "kernel_1": kernel_1.transpose(3, 2, 0, 1),
    "bias_1": bias_1,
    "kernel_2": kernel_2.transpose(3, 2, 0, 1),
    "bias_2": bias_2,
    "dense": dense.reshape(4, 4, 32, 10).transpose(2, 0, 1, 3).reshape(512, 10),
    "bias_3": bias_3,
}
node = helper.make_node
graph = helper.make_graph(
    [
        node("Reshape", ["pixels", "one_channel"], ["picture"]),
        node("Mul", ["picture", "sixteenth"], ["scaled"]),
        node("Conv", ["scaled", "kernel_1", "bias_1"], ["conv_1"], pads=[1, 1, 1, 1]),
        node("Relu", ["conv_1"], ["strokes"]),
        node("Conv", ["strokes", "kernel_2", "bias_2"], ["conv_2"], pads=[1, 1, 1, 1]),
        node("Relu", ["conv_2"], ["parts"]),
        node("MaxPool", ["parts"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Gemm", ["flat", "dense", "bias_3"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=-1),
        node("ArgMax", ["logits"], ["digit"], axis=1, keepdims=0),
    ],
    "digits_cnn",
    [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 8, 8])],
    [
        helper.make_tensor_value_info("digit", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
    ],
    [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="train_digits_cnn.py")
# Of the graph and not of the network, so that a wrong graph shows.
[read] = ReferenceEvaluator(model).run(["digit"], {"pixels": held_back.reshape(-1, 8, 8)})
accuracy = (read == truth).mean()
helper.set_model_props(model, {"accuracy": f"{accuracy:.3f}", "trained_on": "sklearn.datasets.load_digits"})
onnx.checker.check_model(model, full_check=True)

# Written aside and renamed into place: whoever looks sees no version, or all of it.
folder.mkdir(parents=True, exist_ok=True)
aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
onnx.save(model, aside / "model.onnx")
aside.chmod(0o755)
aside.rename(folder / version)

print(f"{folder / version}: reads {accuracy:.1%} of the digits that it has not seen")
