"""What an unloaded model held comes back to the system."""

import os
import shutil
import time
from pathlib import Path

import grpc
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LinearRegression

from serving import END, eventually, joblib_bytes

ROUNDS = 4
MIB = 1 << 20


def resident(pid: int) -> int:
    """Resident memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def settled(pid: int, bound: int) -> int:
    """Resident memory once it is below `bound`, or after two seconds: pages go back a moment after their last use."""
    end = time.monotonic() + 2
    while resident(pid) > bound and time.monotonic() < end:
        time.sleep(0.05)
    return resident(pid)


def gone(client, name: str) -> bool:
    """Whether a model whose folder was removed is served no more."""
    try:
        return all(status.state == END for status in client.status(name).values())
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        return True


def soak(server, name: str, put, ask) -> list[tuple[int, int]]:
    """Loads, asks and unloads a model again and again: bytes with it and after it, a pair for each round.

    `put(version)` publishes a version, `ask()` makes the model work. Round 0 is not among
    them: what an engine makes once and keeps is made there.
    """
    client, pid = server.client, server.process.pid
    # An emptied repository unloads nothing.
    server.publish("stays", 1, LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
    client.wait_available("stays", 1)
    before, pairs = resident(pid), []
    for version in range(1, ROUNDS + 2):
        put(version)
        client.wait_available(name, version, 60)
        ask()
        loaded = resident(pid)
        shutil.rmtree(server.repository / name)
        eventually(lambda: gone(client, name))
        after = settled(pid, int(before * 1.1))
        print(f"{name} round {version}: before {before / MIB:.1f}, with it {loaded / MIB:.1f}, after {after / MIB:.1f} MiB")
        if version == 1:
            before = after
        else:
            pairs.append((loaded, after))
    return [(before, *pair) for pair in pairs]


def assert_it_comes_back(rounds, held_at_least: int):
    """Within a tenth of what was resident before, after each round."""
    for before, loaded, after in rounds:
        assert loaded - before > held_at_least, f"{loaded - before} bytes are too few to see them go: the test is wrong"
        assert after <= before * 1.1, f"{before} bytes before, {after} after"


def test_a_forest(start):
    server = start("--file_system_poll_wait_seconds=1")
    random = np.random.default_rng(1)
    X = random.normal(size=(20000, 8))
    forest = ExtraTreesRegressor(40, n_jobs=1, random_state=1).fit(X, random.normal(size=20000))
    file = joblib_bytes(forest)
    rounds = soak(
        server,
        "memory_forest",
        lambda version: server.publish("memory_forest", version, file),
        lambda: server.client.predict("memory_forest", X[:5]),
    )
    assert_it_comes_back(rounds, 20 * MIB)


WIDTH = 3000


def weights() -> np.ndarray:
    """A square of 34 MiB."""
    return np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(np.float32)


ONNX_RUNTIME = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
ROW = np.ones((1, WIDTH), np.float32)


@pytest.mark.parametrize("library", ["off", str(ONNX_RUNTIME)], ids=["built_in", "onnxruntime"])
def test_a_neural_graph(start, library):
    server = start(f"--onnxruntime_library={library}")
    nodes = [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]), helper.make_node("Gemm", ["r", "w"], ["y"])]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", WIDTH]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [numpy_helper.from_array(weights(), "w")])
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    rounds = soak(
        server,
        "memory_graph",
        lambda version: server.publish("memory_graph", version, file, file="model.onnx"),
        lambda: server.client.predict("memory_graph", {"x": ROW}),
    )
    assert_it_comes_back(rounds, 20 * MIB)


def test_a_saved_model(start, tmp_path):
    """What TensorFlow takes for itself with the first model it keeps (docs/tensorflow.md); more models take no more."""
    library = next(Path(tf.__file__).parent.glob("libtensorflow_cc.so*"))
    server = start(f"--tensorflow_library={library}")
    square = tf.Variable(weights())
    module = tf.Module()
    module.square = square
    module.f = tf.function(lambda x: {"y": x @ square}, input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name="x")])

    def put(version):
        aside = tmp_path / f"aside-{version}"
        tf.saved_model.save(module, aside, signatures={"serving_default": module.f})
        (server.repository / "memory_saved").mkdir(exist_ok=True)
        aside.rename(server.repository / "memory_saved" / str(version))

    rounds = soak(server, "memory_saved", put, lambda: server.client.predict("memory_saved", {"x": ROW}))
    for before, _, after in rounds:
        assert after <= before * 1.1, f"{before} bytes after the first, {after} after a later one"
