"""ONNX models for the tests, made with `onnx.helper`: networks as exporters write them, and small graphs."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
OPSET = 17


def model(nodes, inputs, outputs, weights=(), opset: int = OPSET, domains=(), **more) -> onnx.ModelProto:
    """A checked model. `inputs` and `outputs` are value infos; `weights` maps names to arrays."""
    initializers = [numpy_helper.from_array(array, name) for name, array in dict(weights).items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers, **more)
    imports = [helper.make_opsetid("", opset), *domains]
    made = helper.make_model(graph, opset_imports=imports, producer_name="longshore-tests")
    # The oldest that will do, for libraries that are older than this package.
    made.ir_version = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    if made.ir_version < 4:
        # Weights were inputs with a value then.
        made.graph.input.extend(value(each.name, each.dims, each.data_type) for each in initializers)
    if not domains:
        onnx.checker.check_model(made)
    return made


def value(name: str, dims, kind: int = FLOAT):
    return helper.make_tensor_value_info(name, kind, dims)


def weights_of(seed: int, **shapes) -> dict[str, np.ndarray]:
    """Normal numbers, scaled as a layer's initialiser would."""
    random = np.random.default_rng(seed)
    return {
        name: (random.normal(size=shape) / np.sqrt(max(shape[0], 1))).astype(np.float32)
        for name, shape in shapes.items()
    }


def mlp(width: int = 32, opset: int = OPSET) -> onnx.ModelProto:
    """`x` [N,16] to `probabilities` [N,5], through two hidden layers; `logits` too."""
    node = helper.make_node
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["h1"]),
        node("Relu", ["h1"], ["a1"]),
        node("Gemm", ["a1", "w2", "b2"], ["h2"]),
        node("Tanh", ["h2"], ["a2"]),
        node("Gemm", ["a2", "w3", "b3"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    weights = weights_of(1, w1=(16, width), b1=(width,), w2=(width, width), b2=(width,), w3=(width, 5), b3=(5,))
    outputs = [value("probabilities", ["N", 5]), value("logits", ["N", 5])]
    return model(nodes, [value("x", ["N", 16])], outputs, weights, opset)


def cnn(channels: int = 8) -> onnx.ModelProto:
    """`image` [N,1,12,12] to `scores` [N,10]: convolutions, normalisation, pooling."""
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "k1", "c1"], ["v1"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["v1", "scale", "shift", "mean", "variance"], ["n1"]),
        node("Relu", ["n1"], ["a1"]),
        node("MaxPool", ["a1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "k2", "c2"], ["v2"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["v2"], ["a2"]),
        node("GlobalAveragePool", ["a2"], ["p2"]),
        node("Flatten", ["p2"], ["flat"]),
        node("Gemm", ["flat", "w", "b"], ["scores"], transB=1),
    ]
    weights = weights_of(
        2, k1=(channels, 1, 3, 3), c1=(channels,), k2=(2 * channels, channels, 3, 3), c2=(2 * channels,),
        scale=(channels,), shift=(channels,), mean=(channels,), w=(10, 2 * channels), b=(10,),
    )
    weights["variance"] = np.linspace(0.5, 1.5, channels, dtype=np.float32)
    return model(nodes, [value("image", ["N", 1, 12, 12])], [value("scores", ["N", 10])], weights)


def transformer(width: int = 16, heads: int = 4, words: int = 50) -> onnx.ModelProto:
    """`ids` int64 [batch,seq] and `mask` [batch,seq] to `hidden` [batch,seq,width]: one encoder block."""
    node = helper.make_node
    nodes = [
        node("Gather", ["embedding", "ids"], ["embedded"]),
        node("LayerNormalization", ["embedded", "g1", "s1"], ["x"], axis=-1),
        node("Unsqueeze", ["mask", "axes"], ["wide"]),
        node("Sub", ["one", "wide"], ["hidden_places"]),
        node("Mul", ["hidden_places", "far"], ["bias"]),
    ]
    for part in "qkv":
        nodes += [
            node("MatMul", ["x", f"w{part}"], [f"m{part}"]),
            node("Add", [f"m{part}", f"b{part}"], [f"p{part}"]),
            node("Reshape", [f"p{part}", "parted"], [f"r{part}"]),
            node("Transpose", [f"r{part}"], [f"t{part}"], perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]),
        ]
    nodes += [
        node("MatMul", ["tq", "tk"], ["dots"]),
        node("Div", ["dots", "root"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["masked"]),
        node("Softmax", ["masked"], ["attention"], axis=-1),
        node("MatMul", ["attention", "tv"], ["mixed"]),
        node("Transpose", ["mixed"], ["together"], perm=[0, 2, 1, 3]),
        node("Reshape", ["together", "joined"], ["flat"]),
        node("MatMul", ["flat", "wo"], ["projected"]),
        node("Add", ["projected", "x"], ["residual"]),
        node("LayerNormalization", ["residual", "g2", "s2"], ["y"], axis=-1),
        node("MatMul", ["y", "wf"], ["f"]),
        # GELU as exporters write it.
        node("Div", ["f", "root_two"], ["f_scaled"]),
        node("Erf", ["f_scaled"], ["f_erf"]),
        node("Add", ["f_erf", "one"], ["f_one"]),
        node("Mul", ["f", "f_one"], ["f_twice"]),
        node("Mul", ["f_twice", "half"], ["f_gelu"]),
        node("MatMul", ["f_gelu", "ws"], ["f_back"]),
        node("Add", ["f_back", "y"], ["hidden"]),
    ]
    square, number = (width, width), lambda x: np.array(x, dtype=np.float32)
    weights = weights_of(
        3, embedding=(words, width), wq=square, wk=square, wv=square, wo=square, bq=(width,), bk=(width,),
        bv=(width,), wf=(width, 4 * width), ws=(4 * width, width), s1=(width,), s2=(width,),
    )
    weights |= {
        "g1": np.ones(width, np.float32), "g2": np.ones(width, np.float32), "one": number(1), "half": number(0.5),
        "far": number(-1e4), "root": number(np.sqrt(width // heads)), "root_two": number(np.sqrt(2)),
        "axes": np.array([1, 2]), "parted": np.array([0, 0, heads, width // heads]), "joined": np.array([0, 0, width]),
    }
    inputs = [value("ids", ["batch", "seq"], TensorProto.INT64), value("mask", ["batch", "seq"])]
    return model(nodes, inputs, [value("hidden", ["batch", "seq", width])], weights)


def inputs_of(kind: str, rows: int, seed: int = 0, length: int = 7) -> dict[str, np.ndarray]:
    """Inputs for a network: `mlp`, `cnn` or `transformer`."""
    random = np.random.default_rng(seed)
    if kind == "mlp":
        return {"x": random.normal(size=(rows, 16)).astype(np.float32)}
    if kind == "cnn":
        return {"image": random.normal(size=(rows, 1, 12, 12)).astype(np.float32)}
    mask = np.ones((rows, length), np.float32)
    mask[0, length // 2 :] = 0
    return {"ids": random.integers(0, 50, size=(rows, length)), "mask": mask}


NETWORKS = {"mlp": mlp, "cnn": cnn, "transformer": transformer}


def identity(kind: int) -> onnx.ModelProto:
    """`x` [N] of this element type to `y`, the same."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return model(nodes, [value("x", ["N"], kind)], [value("y", ["N"], kind)])


def sample(kind: int) -> np.ndarray:
    """Some elements of this type, the smallest and the largest among them."""
    if kind == TensorProto.STRING:
        return np.array([b"", b"one", "zwölf".encode(), b"nul\0within", b"\xff\xfe", b"x" * 1000], dtype=object)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if kind == TensorProto.BOOL:
        return np.array([True, False, False, True])
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        return np.array([info.min, info.max, 0, 1, 77], dtype=dtype)
    return np.array([0.0, -0.0, 1.5, -2.25, np.inf, -np.inf, np.nan, 1e-3], dtype=np.float32).astype(dtype)
