"""Neural graphs without any library: on tract and on the operators of this house, against onnxruntime in Python."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from conftest import Server
from onnx import TensorProto, helper
from onnx_models import cnn, inputs_of, mlp, model, transformer, value, weights_of
from serving import END, eventually
from tensorflow.core.framework.tensor_pb2 import TensorProto as Wire

FLOAT16 = TensorProto.FLOAT16
PARAMETERS = """
max_batch_size { value: 8 }
batch_timeout_micros { value: 20000 }
max_enqueued_batches { value: 1000 }
num_batch_threads { value: 2 }
"""


def lstm(direction: str = "bidirectional", batch="batch", **more):
    """`x` [seq,batch,6] to `y` [seq,ways,batch,5] and the last state. tract wants a batch that is known."""
    ways = 2 if direction == "bidirectional" else 1
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "b"], ["y", "h"], hidden_size=5, direction=direction, **more),
    ]
    weights = weights_of(4, w=(ways, 20, 6), r=(ways, 20, 5), b=(ways, 40))
    outputs = [value("y", ["seq", ways, batch, 5]), value("h", [ways, batch, 5])]
    return model(nodes, [value("x", ["seq", batch, 6])], outputs, weights)


def resnet_block():
    """`image` [N,4,9,9] to `y` [N,8,5,5]: two convolutions and a shortcut with a stride, grouped and dilated ones after."""
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "k1"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", ["c1", "one", "zero", "mean", "variance"], ["n1"]),
        node("Relu", ["n1"], ["a1"]),
        node("Conv", ["a1", "k2"], ["c2"], pads=[1, 1, 1, 1]),
        node("Conv", ["image", "k3"], ["shortcut"], strides=[2, 2]),
        node("Add", ["c2", "shortcut"], ["sum"]),
        node("Clip", ["sum", "low", "high"], ["a2"]),
        node("Conv", ["a2", "k4"], ["c4"], group=8, pads=[2, 2, 2, 2], dilations=[2, 2]),
        node("HardSigmoid", ["c4"], ["gate"]),
        node("Mul", ["a2", "gate"], ["y"]),
    ]
    weights = weights_of(5, k1=(8, 4, 3, 3), k2=(8, 8, 3, 3), k3=(8, 4, 1, 1), k4=(8, 1, 3, 3), mean=(8,))
    weights |= {
        "one": np.ones(8, np.float32), "zero": np.zeros(8, np.float32),
        "variance": np.linspace(0.5, 2, 8, dtype=np.float32),
        "low": np.array(0, np.float32), "high": np.array(6, np.float32),
    }
    return model(nodes, [value("image", ["N", 4, 9, 9])], [value("y", ["N", 8, 5, 5])], weights)


def upsampler():
    """`image` [N,3,4,4] to `y` [N,2,8,8]: a transposed convolution, resizing, instance normalisation."""
    node = helper.make_node
    nodes = [
        node("ConvTranspose", ["image", "k"], ["up"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("InstanceNormalization", ["up", "one", "zero"], ["n"]),
        node("LeakyRelu", ["n"], ["a"], alpha=0.2),
        node("AveragePool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", ["p", "", "scales"], ["r"], mode="linear", coordinate_transformation_mode="asymmetric"),
        node("Concat", ["a", "r"], ["both"], axis=1),
        node("Conv", ["both", "last"], ["y"]),
    ]
    weights = weights_of(6, k=(3, 2, 4, 4), last=(2, 4, 1, 1))
    weights |= {
        "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
    }
    return model(nodes, [value("image", ["N", 3, 4, 4])], [value("y", ["N", 2, 8, 8])], weights)


def half_mlp():
    """`x` float16 [N,8] to `y` float16 [N,3]."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("MatMul", ["a", "v"], ["s"]),
        helper.make_node("Add", ["s", "b"], ["y"]),
    ]
    weights = {name: array.astype(np.float16) for name, array in weights_of(7, w=(8, 16), v=(16, 3), b=(3,)).items()}
    return model(nodes, [value("x", ["N", 8], FLOAT16)], [value("y", ["N", 3], FLOAT16)], weights)


def anonymous():
    """Two inputs whose rows have no name in the file, as some exporters leave them."""
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["ab"], axis=1),
        helper.make_node("MatMul", ["ab", "w"], ["y"]),
    ]
    inputs = [value("a", [None, 2]), value("b", [None, 3])]
    return model(nodes, inputs, [value("y", [None, 4])], weights_of(8, w=(5, 4)))


def image(shape):
    return lambda rows: {"image": np.random.default_rng(rows).normal(size=(rows, *shape)).astype(np.float32)}


NETWORKS = {
    "mlp": (mlp(), lambda rows: inputs_of("mlp", rows)),
    "cnn": (cnn(), lambda rows: inputs_of("cnn", rows)),
    "transformer": (transformer(), lambda rows: inputs_of("transformer", rows, length=3 + rows)),
    "resnet": (resnet_block(), image((4, 9, 9))),
    "upsampler": (upsampler(), image((3, 4, 4))),
    "half": (half_mlp(), lambda rows: {"x": np.random.default_rng(rows).normal(size=(rows, 8)).astype(np.float16)}),
    "anonymous": (anonymous(), lambda rows: {
        "a": np.arange(2 * rows, dtype=np.float32).reshape(rows, 2), "b": np.ones((rows, 3), np.float32)}),
    "lstm": (lstm(batch=2), lambda rows: {
        "x": np.random.default_rng(rows).normal(size=(3 + rows, 2, 6)).astype(np.float32)}),
}
BY_ROWS = [name for name in NETWORKS if name != "lstm"]


def in_python(graph, feeds) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in graph.graph.output], session.run(None, feeds)))


def alike(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        array = np.asarray(array)
        # A float16 has 11 bits, and sums are rounded once or at every step.
        rtol, atol = (2e-3, 2e-3) if array.dtype == np.float16 else (1e-4, 1e-5)
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, rtol=rtol, atol=atol, err_msg=name)


def typed(array: np.ndarray) -> Wire:
    """The array in the list of its type, not in `tensor_content`."""
    wire = tf.make_tensor_proto(array)
    made = Wire(dtype=wire.dtype, tensor_shape=wire.tensor_shape)
    if array.dtype == np.float16:
        made.half_val.extend(array.view(np.uint16).ravel().tolist())
    else:
        {np.float32: made.float_val, np.int64: made.int64_val}[array.dtype.type].extend(array.ravel().tolist())
    return made


def publish(server: Server, name: str, graph, backend: str | None):
    folder = server.repository / name
    folder.mkdir()
    if backend:
        (folder / "model.toml").write_text(f'[onnx]\nbackend = "{backend}"\n')
    server.publish(name, 1, graph.SerializeToString(), file="model.onnx")


@pytest.fixture(scope="module", params=["tract", "builtin"])
def built_in(request, tmp_path_factory):
    """A server without any library, all of whose networks run on one back end."""
    server = Server(tmp_path_factory.mktemp(request.param), "--onnxruntime_library=off", "--version_settle_ms=50")
    for name, (graph, _) in NETWORKS.items():
        publish(server, name, graph, request.param)
    for name in NETWORKS:
        server.client.wait_available(name, 1)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def choosing(tmp_path_factory):
    """A server without any library, which chooses; with batching."""
    folder = tmp_path_factory.mktemp("choosing")
    parameters = folder / "batching.txt"
    parameters.write_text(PARAMETERS)
    repository = folder / "models"
    repository.mkdir()
    server = Server(repository, "--onnxruntime_library=off", "--version_settle_ms=50", "--enable_batching",
                    f"--batching_parameters_file={parameters}")
    yield server
    server.stop()


def rest(server: Server, path: str, body=None):
    url = f"http://{server.rest_address}/v1/models/{path}".removesuffix("/")
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=20) as answer:
        return json.loads(answer.read())


def about(server: Server, name: str) -> str:
    """The engine of a model, as the list of models says it."""
    (model,) = [model for model in rest(server, "")["models"] if model["name"] == name]
    return model["model_version_status"][0]["engine"]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_answers_as_in_python_through_every_door(built_in, name):
    graph, inputs = NETWORKS[name]
    for rows in (1, 3):
        feeds = inputs(rows)
        expected = in_python(graph, feeds)
        alike(built_in.client.arrays(name, feeds), expected)
        alike(built_in.client.arrays(name, {key: typed(array) for key, array in feeds.items()}), expected)
        answer = rest(built_in, f"{name}:predict", {"inputs": {key: array.tolist() for key, array in feeds.items()}})
        found = answer["outputs"] if len(expected) > 1 else {next(iter(expected)): answer["outputs"]}
        alike({key: np.array(found[key], array.dtype) for key, array in expected.items()}, expected)


def test_only_the_wanted_output_comes(built_in):
    graph, inputs = NETWORKS["mlp"]
    feeds = inputs(2)
    found = built_in.client.arrays("mlp", feeds, outputs=["logits"])
    alike(found, {"logits": in_python(graph, feeds)["logits"]})


def test_many_threads_share_one_network(built_in):
    graph, inputs = NETWORKS["transformer"]
    expected = {rows: in_python(graph, inputs(rows)) for rows in range(1, 5)}

    def one(call: int):
        rows = call % 4 + 1
        alike(built_in.client.arrays("transformer", inputs(rows)), expected[rows])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(48)))


def test_a_wrong_value_is_the_callers_and_the_server_lives(built_in):
    feeds = inputs_of("transformer", 1)
    feeds["ids"][0, 0] = 50
    with pytest.raises(grpc.RpcError) as refused:
        built_in.client.predict("transformer", feeds)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT, refused.value.details()
    feeds["ids"][0, 0] = 49
    built_in.client.predict("transformer", feeds)


@pytest.mark.parametrize("name", BY_ROWS)
def test_requests_that_wait_together_get_their_own_answers(choosing, name):
    graph, inputs = NETWORKS[name]
    publish(choosing, name, graph, None)
    choosing.client.wait_available(name, 1)
    asked = {"transformer": lambda call: {key: array[:1] for key, array in inputs(1).items()}}
    feeds = [asked.get(name, lambda call: inputs(call % 3 + 1))(call) for call in range(24)]
    expected = [in_python(graph, each) for each in feeds]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda each: choosing.client.arrays(name, each), feeds))
    for one, other in zip(found, expected):
        alike(one, other)


def test_who_runs_a_network_is_told(choosing):
    publish(choosing, "told", resnet_block(), None)
    choosing.client.wait_available("told", 1)
    assert "tract" in about(choosing, "told")


def test_what_tract_has_wrong_or_has_not_runs_on_our_own_operators(start):
    server = start("--onnxruntime_library=off")
    feeds = {"x": np.random.default_rng(1).normal(size=(4, 2, 6)).astype(np.float32)}
    for name, graph, why in [
        # It would answer as if it went forwards.
        ("reverse", lstm("reverse"), "tract's LSTM is not ONNX's: attribute direction = reverse: it is not read"),
        ("open", lstm(), "tract: tract gave up: "),
    ]:
        publish(server, name, graph, None)
        server.client.wait_available(name, 1)
        assert "longshore" in about(server, name)
        eventually(lambda: why in server.text().replace("\\", ""))
        alike(server.client.arrays(name, feeds), in_python(graph, feeds))


def test_what_nobody_runs_is_refused_with_what_each_said(choosing):
    nodes = [helper.make_node("Mystery", ["x"], ["y"], domain="com.example")]
    domains = [helper.make_opsetid("com.example", 1)]
    graph = model(nodes, [value("x", ["N"])], [value("y", ["N"])], domains=domains)
    publish(choosing, "mystery", graph, None)
    text = choosing.client.wait_failed("mystery", 1).status.error_message
    assert choosing.client.status("mystery")[1].state == END
    for part in ("onnxruntime: ", "tract: ", "longshore: operator Mystery (com.example, opset 1)"):
        assert part in text, text
