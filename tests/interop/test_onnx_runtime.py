"""ONNX graphs on ONNX Runtime's library, through the server, against onnxruntime in Python.

`LONGSHORE_ONNXRUNTIMES` may list other versions of the library, as paths with
colons between them; else it is the one of the installed wheel.
"""

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import onnx
import onnx_models
import onnxruntime
import pytest
import tensorflow as tf
from conftest import Server, longshore_binary
from onnx import TensorProto, helper
from onnx_models import NETWORKS, inputs_of, value
from onnx_nodes import library
from serving import END, eventually
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from skl2onnx import to_onnx
from tensorflow.core.framework.tensor_pb2 import TensorProto as Wire

LIBRARIES = [Path(path) for path in os.environ.get("LONGSHORE_ONNXRUNTIMES", "").split(":") if path] or [library()]
ON_RUNTIME = '[onnx]\nbackend = "onnxruntime"\n'


class Runtime:
    """A server with ONNX Runtime, whose models it runs and nobody else."""

    def __init__(self, server: Server, library: Path = LIBRARIES[0]):
        self.server = server
        self.library = library
        self.client = server.client

    def publish(self, name: str, model, options: str = "", version: int = 1, beside=None, wait: bool = True):
        """Brings a model; `beside` maps names of further files to their content."""
        folder = self.server.repository / name
        folder.mkdir(exist_ok=True)
        (folder / "model.toml").write_text(ON_RUNTIME + options)
        aside = folder / f".incoming-{version}"
        aside.mkdir()
        (aside / "model.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        for file, content in (beside or {}).items():
            (aside / file).write_bytes(content)
        aside.rename(folder / str(version))
        if wait:
            self.client.wait_available(name, version)

    def refusal(self, name: str, model, **more) -> str:
        """What is said of a model that is not served."""
        self.publish(name, model, wait=False, **more)
        return self.client.wait_failed(name, 1).status.error_message

    def rest(self, path: str, body) -> tuple[int, dict]:
        """Status and answer of a call in JSON."""
        url = f"http://{self.server.rest_address}/v1/models/{path}"
        request = urllib.request.Request(url, data=json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module", params=LIBRARIES, ids=lambda path: path.name)
def runtime(request, tmp_path_factory):
    repository = tmp_path_factory.mktemp("onnxruntime")
    server = Server(repository, f"--onnxruntime_library={request.param}", "--version_settle_ms=50",
                    "--enable_model_warmup=false", "--file_system_poll_wait_seconds=1")
    yield Runtime(server, request.param)
    server.stop()


def in_python(model: onnx.ModelProto, feeds, outputs=None) -> dict[str, np.ndarray]:
    """What onnxruntime gives in this process."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = outputs or [value.name for value in model.graph.output]
    return dict(zip(names, session.run(names, feeds)))


def typed(array: np.ndarray) -> Wire:
    """The array in the list of its type, not in `tensor_content`."""
    wire = tf.make_tensor_proto(array)
    lists = {np.dtype(np.float32): "float_val", np.dtype(np.int64): "int64_val"}
    made = Wire(dtype=wire.dtype, tensor_shape=wire.tensor_shape)
    getattr(made, lists[array.dtype]).extend(array.ravel().tolist())
    return made


def alike(found, expected):
    """The same but for the last bits, which other versions and other processors round otherwise."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_answers_as_in_python_through_every_door(runtime, kind):
    model = NETWORKS[kind]()
    runtime.publish(kind, model)
    for rows in (1, 3):
        feeds = inputs_of(kind, rows, seed=rows)
        expected = in_python(model, feeds)
        alike(runtime.client.arrays(kind, feeds), expected)
        alike(runtime.client.arrays(kind, {name: typed(array) for name, array in feeds.items()}), expected)
        columns = {name: array.tolist() for name, array in feeds.items()}
        status, answer = runtime.rest(f"{kind}:predict", {"inputs": columns})
        assert status == 200, answer
        found = answer["outputs"] if len(expected) > 1 else {name: answer["outputs"] for name in expected}
        alike({name: np.array(array, np.float32) for name, array in found.items()}, expected)
        instances = [{name: array[row].tolist() for name, array in feeds.items()} for row in range(rows)]
        status, answer = runtime.rest(f"{kind}:predict", {"instances": instances})
        assert status == 200, answer
        assert len(answer["predictions"]) == rows
    signature = runtime.client.signatures(kind)["serving_default"]
    assert set(signature.inputs) == set(feeds) and set(signature.outputs) == set(expected)
    assert all(info.tensor_shape.dim[0].size == -1 for info in signature.inputs.values())


def test_who_runs_it_is_told(runtime):
    runtime.publish("told", onnx_models.mlp())
    version = re.search(r"\.so\.([\d.]+)$", os.fspath(runtime.library))
    name = f"onnxruntime {version[1]}" if version else "onnxruntime 1."
    eventually(lambda: name in runtime.server.text())


def test_wanted_outputs_alone_come(runtime):
    model, feeds = onnx_models.mlp(), inputs_of("mlp", 2)
    runtime.publish("wanted", model)
    alike(runtime.client.arrays("wanted", feeds, outputs=["logits"]), in_python(model, feeds, ["logits"]))


PLAIN = [
    kind for kind in (
        TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT8,
        TensorProto.INT16, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8, TensorProto.UINT16,
        TensorProto.UINT32, TensorProto.UINT64, TensorProto.BOOL, TensorProto.STRING,
    )
]


@pytest.mark.parametrize("kind", PLAIN, ids=[TensorProto.DataType.Name(kind).lower() for kind in PLAIN])
def test_elements_of_each_type_pass_bit_by_bit(runtime, kind):
    name = f"identity_{TensorProto.DataType.Name(kind).lower()}"
    runtime.publish(name, onnx_models.identity(kind))
    array = onnx_models.sample(kind)
    for given in (array, array[:1], array[:0]):
        sent = tf.make_tensor_proto(given.tolist() if given.dtype == object else given,
                                    dtype=tf.string if given.dtype == object else None, shape=given.shape)
        found = runtime.client.arrays(name, {"x": sent})["y"]
        assert found.shape == given.shape
        if given.dtype == object:
            assert found.tolist() == given.tolist()
        else:
            assert found.dtype == given.dtype and found.tobytes() == given.tobytes()


def test_complex_numbers_are_refused_by_its_own_words(runtime):
    said = runtime.refusal("complex", onnx_models.identity(TensorProto.COMPLEX64))
    assert "onnxruntime:" in said and "complex64" in said, said


def test_sequences_of_maps_become_two_tensors(runtime):
    x, y = load_iris(return_X_y=True)
    for name, labels in {"zipmap_numbers": y, "zipmap_texts": np.array(["setosa", "versicolor", "virginica"])[y]}.items():
        estimator = LogisticRegression(max_iter=500).fit(x, labels)
        model = to_onnx(estimator, x[:1].astype(np.float32), target_opset={"": 17, "ai.onnx.ml": 3})
        runtime.publish(name, model)
        rows = x[::25].astype(np.float32)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        expected_labels, expected_maps = session.run(None, {"X": rows})
        found = runtime.client.arrays(name, {"X": rows})
        kind = (lambda text: text.encode()) if labels.dtype.kind == "U" else int
        assert found["output_label"].tolist() == [kind(label) for label in expected_labels.tolist()]
        keys = [kind(key) for key in expected_maps[0]]
        assert found["output_probability_labels"].tolist() == [keys] * len(rows)
        np.testing.assert_allclose(
            found["output_probability"], [list(each.values()) for each in expected_maps], rtol=1e-5
        )
        # The names alone, and nothing else.
        alone = runtime.client.arrays(name, {"X": rows}, outputs=["output_probability_labels"])
        assert list(alone) == ["output_probability_labels"]


def test_sequences_of_tensors_are_stacked_and_optional_values_come(runtime):
    nodes = [helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0, keepdims=0)]
    parts = helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, [2])
    runtime.publish("parts", onnx_models.model(nodes, [value("x", ["N", 2])], [parts]))
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(runtime.client.arrays("parts", {"x": x})["parts"], x)

    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["N"]))
    nodes = [helper.make_node("Optional", ["x"], ["maybe"])]
    model = onnx_models.model(nodes, [value("x", ["N"])], [helper.make_value_info("maybe", kind)])
    runtime.publish("something", model)
    np.testing.assert_array_equal(runtime.client.arrays("something", {"x": x[0]})["maybe"], x[0])


def external(model: onnx.ModelProto, location: str) -> tuple[onnx.ModelProto, bytes]:
    """The model with its tensors in a file, and that file."""
    content = b""
    for tensor in model.graph.initializer:
        raw = onnx.numpy_helper.to_array(tensor).tobytes()
        offset = len(content)
        content += raw
        name, kind, dims = tensor.name, tensor.data_type, list(tensor.dims)
        tensor.Clear()
        tensor.name, tensor.data_type, tensor.data_location = name, kind, TensorProto.EXTERNAL
        tensor.dims.extend(dims)
        for key, text in {"location": location, "offset": str(offset), "length": str(len(raw))}.items():
            tensor.external_data.add(key=key, value=text)
    return model, content


def test_tensors_may_lie_in_a_file_of_the_folder_and_nowhere_else(runtime, tmp_path):
    plain, feeds = onnx_models.mlp(), inputs_of("mlp", 4)
    model, content = external(onnx_models.mlp(), "weights.bin")
    runtime.publish("external", model, beside={"weights.bin": content})
    alike(runtime.client.arrays("external", feeds), in_python(plain, feeds))

    (tmp_path / "outside.bin").write_bytes(content)
    (runtime.server.repository / "secret.bin").write_bytes(content)
    for at, location in enumerate([os.fspath(tmp_path / "outside.bin"), "../../secret.bin", "absent.bin",
                                   "*/_ORT_MEM_ADDR_/*"]):
        model, _ = external(onnx_models.mlp(), location)
        said = runtime.refusal(f"external_outside_{at}", model)
        assert location in said and "tensor \"w1\"" in said, said
    # Nor from within a function, where ONNX Runtime would look for it itself.
    tensor = external(onnx_models.mlp(), "../../secret.bin")[0].graph.initializer[0]
    function = helper.make_function("house", "Hidden", [], ["y"], [helper.make_node("Constant", [], ["y"], value=tensor)],
                                    [helper.make_opsetid("", 17)])
    nodes = [helper.make_node("Hidden", [], ["y"], domain="house")]
    model = onnx_models.model(nodes, [], [value("y", [16, 32])], domains=[helper.make_opsetid("house", 1)])
    model.functions.append(function)
    said = runtime.refusal("external_in_function", model)
    assert "../../secret.bin" in said, said


def test_dimensions_of_one_name_are_one_size(runtime):
    model = onnx_models.transformer()
    runtime.publish("symbols", model)
    for rows, length in [(1, 1), (2, 5), (4, 11)]:
        feeds = inputs_of("transformer", rows, length=length)
        alike(runtime.client.arrays("symbols", feeds), in_python(model, feeds))
    feeds = inputs_of("transformer", 2) | {"mask": np.ones((2, 3), np.float32)}
    with pytest.raises(grpc.RpcError) as refused:
        runtime.client.predict("symbols", feeds)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "input mask: seq is 3 in it, and 7 in input ids" in refused.value.details()
    with pytest.raises(grpc.RpcError) as refused:
        runtime.client.predict("symbols", inputs_of("transformer", 2) | {"mask": np.ones((2, 3, 1), np.float32)})
    assert "input mask: expected shape [batch,seq], found [2,3,1]" in refused.value.details()


def test_what_the_graph_cannot_do_with_its_inputs_is_told_in_its_words(runtime):
    # What the signature leaves open and the graph does not.
    nodes = [helper.make_node("MatMul", ["a", "b"], ["c"])]
    model = onnx_models.model(nodes, [value("a", ["A", "B"]), value("b", ["C", "D"])], [value("c", ["A", "D"])])
    runtime.publish("matmul", model)
    a, b = np.ones((2, 3), np.float32), np.ones((4, 5), np.float32)
    with pytest.raises(grpc.RpcError) as refused:
        runtime.client.predict("matmul", {"a": a, "b": b})
    assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)
    assert "MatMul" in refused.value.details()
    np.testing.assert_array_equal(runtime.client.arrays("matmul", {"a": a, "b": a.T})["c"], a @ a.T)


NEWEST = onnx.defs.onnx_opset_version()


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 15, 17, 19, 21, NEWEST])
def test_all_opsets_from_7_on_are_served(runtime, opset):
    if opset > 21 and runtime.library != library():
        pytest.skip("older libraries know older operators")
    model, feeds = onnx_models.mlp(opset=opset), inputs_of("mlp", 2)
    runtime.publish(f"opset_{opset}", model)
    alike(runtime.client.arrays(f"opset_{opset}", feeds), in_python(model, feeds))


def test_one_session_answers_many_threads(runtime):
    models = {kind: make() for kind, make in NETWORKS.items()}
    for kind, model in models.items():
        runtime.publish(f"many_{kind}", model)
    asked = [(kind, inputs_of(kind, 1 + seed % 5, seed, 3 + seed % 9)) for seed in range(80) for kind in models]
    expected = [in_python(models[kind], feeds) for kind, feeds in asked]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda call: runtime.client.arrays(f"many_{call[0]}", call[1]), asked))
    for answer, wanted in zip(found, expected):
        alike(answer, wanted)


def test_what_is_no_model_for_it_is_refused_in_its_words(runtime):
    nodes = [helper.make_node("Brew", ["x"], ["y"], domain="com.example")]
    model = onnx_models.model(nodes, [value("x", ["N"])], [value("y", ["N"])],
                              domains=[helper.make_opsetid("com.example", 1)])
    said = runtime.refusal("unknown_domain", model)
    assert "onnxruntime:" in said and "Brew" in said and "com.example" in said, said

    cyclic = onnx_models.mlp()
    cyclic.graph.node[0].input[0] = "a2"
    said = runtime.refusal("cyclic", cyclic)
    assert "onnxruntime:" in said, said

    absurd = onnx_models.mlp()
    absurd.graph.initializer[0].dims[:] = [1 << 40, 1 << 20]
    said = runtime.refusal("absurd", absurd)
    assert "onnxruntime:" in said, said

    whole = onnx_models.cnn().SerializeToString()
    for at, end in enumerate((len(whole) // 3, len(whole) - 7)):
        runtime.refusal(f"truncated_{at}", whole[:end])
    assert runtime.server.process.poll() is None


def tasks(server: Server) -> int:
    """Threads of the server's process."""
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_threads_within_a_run_are_as_many_as_asked_for(runtime):
    runtime.publish("calm", onnx_models.mlp())
    before = tasks(runtime.server)
    runtime.publish("one_thread", onnx_models.mlp())
    assert tasks(runtime.server) == before
    model, feeds = onnx_models.cnn(), inputs_of("cnn", 16)
    runtime.publish("four_threads", model, "intra_op_threads = 4\n")
    # The caller's own is one of the four.
    assert tasks(runtime.server) == before + 3
    alike(runtime.client.arrays("four_threads", feeds), in_python(model, feeds))
    shutil.rmtree(runtime.server.repository / "four_threads")
    eventually(lambda: tasks(runtime.server) <= before)


def resident(server: Server) -> int:
    """Bytes of the server's process that are in memory."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read in /proc")
def test_memory_comes_back_after_an_unload(runtime):
    """Versions with 40 MB of weights, asked for large batches, come and go between small ones.

    glibc keeps the free end of each thread's own heap, here what one run took, once.
    """
    large, small, feeds = onnx_models.mlp(width=3200), onnx_models.mlp(), inputs_of("mlp", 512)
    before = after = 0
    for version in range(1, 14):
        runtime.publish("swapped", small if version % 2 else large, version=version)
        runtime.client.predict("swapped", feeds)
        if version % 2 and version > 1:
            eventually(lambda: runtime.client.status("swapped", version - 1)[version - 1].state == END)
            after = resident(runtime.server)
            before = before or after
    assert after <= 1.1 * before + (16 << 20), f"{after / 2**20:.0f} MiB after reloads, {before / 2**20:.0f} before"


def test_batches_of_waiting_requests_give_each_its_own(tmp_path):
    file = tmp_path / "batching.config"
    file.write_text("max_batch_size { value: 16 }\nbatch_timeout_micros { value: 20000 }\n"
                    "max_enqueued_batches { value: 1000 }\nnum_batch_threads { value: 2 }\n")
    repository = tmp_path / "models"
    repository.mkdir()
    server = Server(repository, f"--onnxruntime_library={LIBRARIES[0]}", "--version_settle_ms=50",
                    "--enable_batching", f"--batching_parameters_file={file}")
    try:
        runtime = Runtime(server)
        for kind, make in NETWORKS.items():
            model = make()
            runtime.publish(kind, model)
            asked = [inputs_of(kind, 1 + seed % 3, seed) for seed in range(40)]
            with ThreadPoolExecutor(16) as pool:
                found = list(pool.map(lambda feeds: server.client.arrays(kind, feeds), asked))
            for answer, feeds in zip(found, asked):
                alike(answer, in_python(model, feeds))
    finally:
        server.stop()


@pytest.fixture
def refusal_with(tmp_path):
    """What a server says of a model that asks for ONNX Runtime, with this library."""
    servers = []

    def said(choice) -> str:
        repository = tmp_path / f"models-{len(servers)}"
        repository.mkdir()
        server = Server(repository, f"--onnxruntime_library={choice}", "--version_settle_ms=50")
        servers.append(server)
        return Runtime(server).refusal("asks", onnx_models.mlp())

    yield said
    for server in servers:
        server.stop()


def test_without_the_library_the_status_says_what_is_missing(refusal_with, tmp_path):
    assert "ONNX Runtime is switched off (--onnxruntime_library=off)" in refusal_with("off")
    said = refusal_with(tmp_path / "absent.so")
    assert "absent.so: No such file" in said and "expected ONNX Runtime" in said, said
    text = tmp_path / "libonnxruntime.so"
    text.write_text("nothing to see")
    assert "libonnxruntime.so: it is no shared library" in refusal_with(text)


def test_a_library_of_something_else_is_never_opened(refusal_with):
    others = [Path(tf.__file__).parent / "libtensorflow_framework.so.2", longshore_binary(),
              Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_shared.so"]
    for other in others:
        assert "exports no symbol OrtGetApiBase" in refusal_with(other)


def test_the_command_that_lists_engines_finds_it():
    def listed(**environment) -> str:
        ran = subprocess.run([longshore_binary(), "engines"], env=os.environ | environment, capture_output=True,
                             text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert re.search(rf"onnxruntime +yes .*{re.escape(os.fspath(library()))}", listed(ORT_DYLIB_PATH=os.fspath(library())))
    assert re.search(r"onnxruntime +no .*absent", listed(ORT_DYLIB_PATH="/absent/libonnxruntime.so"))
