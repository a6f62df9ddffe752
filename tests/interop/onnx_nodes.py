"""The ONNX project's node tests, as models in a repository and requests of the official client.

The cases are made by the package `onnx`; nothing of them is in this repository
but the lists of those that pass.
"""

import re
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import grpc
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from onnx.backend.test.case.node import collect_testcases
from tensorflow_serving.apis import predict_pb2

LISTS = Path(__file__).parent / "onnx_backend"
BACKENDS = ("onnxruntime", "builtin", "tract", "default")
CALL_SECONDS = 30
ASKED_AT_ONCE = 4
Type = onnx.TensorProto
# What both TensorFlow's protocol and ONNX have, and a tensor of the server holds.
CARRIED = {
    Type.FLOAT, Type.DOUBLE, Type.FLOAT16, Type.BFLOAT16, Type.INT8, Type.INT16, Type.INT32, Type.INT64,
    Type.UINT8, Type.UINT16, Type.UINT32, Type.UINT64, Type.BOOL, Type.STRING, Type.COMPLEX64, Type.COMPLEX128,
}


def library() -> Path:
    """ONNX Runtime's library, as its wheel has it."""
    (found,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    return found


@dataclass
class Case:
    """A model, and requests with the answers that the ONNX project expects."""

    name: str
    model: onnx.ModelProto
    sets: list
    rtol: float
    atol: float
    operator: str = ""
    request_bytes: list = field(default_factory=list)

    @property
    def classical(self) -> bool:
        return any(node.domain == "ai.onnx.ml" for node in self.model.graph.node)

    @property
    def inputs(self) -> list[str]:
        return [value.name for value in self.model.graph.input]

    @property
    def outputs(self) -> list[str]:
        return [value.name for value in self.model.graph.output]


def not_carried(model: onnx.ModelProto) -> str | None:
    """Why requests cannot carry what this model takes and gives; None when they can."""
    for value in [*model.graph.input, *model.graph.output]:
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            return kind.removesuffix("_type")
        element = value.type.tensor_type.elem_type
        if element not in CARRIED:
            return Type.DataType.Name(element).lower()
    return None


@cache
def cases() -> tuple[tuple[Case, ...], Counter]:
    """All cases that requests can carry, and how many cannot, by what they would have to hold."""
    carried, left_out = [], Counter()
    for case in sorted(collect_testcases(None), key=lambda case: case.name):
        why = not_carried(case.model)
        if why:
            left_out[why] += 1
            continue
        sets = [tuple([plain(value) for value in values] for values in both) for both in case.data_sets]
        carried.append(Case(case.name, case.model, sets, case.rtol, case.atol))
    whole = {case.name: case for case in carried}
    for case in carried:
        case.operator = operator(case, whole)
    return tuple(carried), left_out


def plain(value):
    """A value as an array; some cases hold messages."""
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def operator(case: Case, whole: dict[str, Case]) -> str:
    """The operator that a case is about. An expanded one is about that of its unexpanded twin."""
    nodes = case.model.graph.node
    if len(nodes) == 1:
        return f"{nodes[0].domain}.{nodes[0].op_type}".removeprefix(".")
    twin = whole.get(re.sub(r"_expanded.*", "", case.name))
    if twin and twin is not case and len(twin.model.graph.node) == 1:
        return f"{twin.model.graph.node[0].op_type}, expanded"
    return "+".join(sorted({node.op_type for node in nodes}))


def tensor(array):
    """An array as a request carries it."""
    array = np.asarray(array)
    if array.dtype.kind in "OUT":
        texts = [text if isinstance(text, bytes) else str(text).encode() for text in array.ravel().tolist()]
        return tf.make_tensor_proto(texts, dtype=tf.string, shape=array.shape)
    return tf.make_tensor_proto(array)


def request(case: Case, inputs) -> predict_pb2.PredictRequest:
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = case.name
    for name, array in zip(case.inputs, inputs):
        asked.inputs[name].CopyFrom(tensor(array))
    return asked


def same(found: np.ndarray, expected, case: Case):
    """Raises unless the two are as alike as the case asks; after `onnx.backend.test.runner`."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    if expected.dtype.kind in "OUT":
        texts = [text.decode() if isinstance(text, bytes) else text for text in found.ravel().tolist()]
        wanted = [text.decode() if isinstance(text, bytes) else text for text in expected.ravel().tolist()]
        assert texts == wanted, f"{texts[:8]}, expected {wanted[:8]}"
        return
    assert found.dtype == expected.dtype, f"{found.dtype}, expected {expected.dtype}"
    rtol = case.rtol
    if found.dtype.name == "bfloat16":
        rtol, found, expected = max(rtol, 2**-6), found.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=case.atol)


def brief(error: BaseException) -> str:
    """The first words of an error."""
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()}"
    return " ".join(str(error).split())[:300]


def in_process(case: Case) -> str | None:
    """Runs a case with Python's onnxruntime; None when it passes, else why not."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            case.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for inputs, outputs in case.sets:
            feeds = {value.name: fed(value, array) for value, array in zip(case.model.graph.input, inputs)}
            for found, expected in zip(session.run_with_ort_values(None, feeds), outputs):
                same(array_of(found), expected, case)
    except Exception as error:  # noqa: BLE001: whatever it is, the case does not pass
        return brief(error)
    return None


def fed(value, array):
    array = np.asarray(array)
    element = value.type.tensor_type.elem_type
    if element == Type.BFLOAT16:
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), element)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def array_of(value) -> np.ndarray:
    if value.data_type() == "tensor(bfloat16)":
        # numpy() does not know the type; its bits are read where they lie.
        import ctypes

        count = int(np.prod(value.shape()))
        bits = (ctypes.c_uint16 * count).from_address(value.data_ptr()) if count else []
        return np.array(bits, dtype=np.uint16).view(tf.bfloat16.as_numpy_dtype).reshape(value.shape())
    return value.numpy()


def publish_all(repository: Path, chosen, backend: str):
    """A model folder for each case, whose `model.toml` asks for the back end."""
    for case in chosen:
        version = repository / case.name / "1"
        version.mkdir(parents=True)
        (version / "model.onnx").write_bytes(case.model.SerializeToString())
        if backend != "default":
            (version.parent / "model.toml").write_text(f'[onnx]\nbackend = "{backend}"\n')


def flags(backend: str) -> list[str]:
    """How a server is started for this back end."""
    where = library() if backend == "onnxruntime" else "off"
    return [f"--onnxruntime_library={where}", "--version_settle_ms=0", "--max_num_load_retries=0",
            "--file_system_poll_wait_seconds=0", "--log_level=error"]


def ask_all(client, chosen) -> dict[str, str | None]:
    """Asks for each case; its name, and why it does not pass, or None."""

    def one(case: Case) -> str | None:
        try:
            for inputs, outputs in case.sets:
                answer = client.prediction.Predict(request(case, inputs), timeout=CALL_SECONDS)
                assert set(answer.outputs) == set(case.outputs), f"outputs {sorted(answer.outputs)}"
                for name, expected in zip(case.outputs, outputs):
                    same(tf.make_ndarray(answer.outputs[name]), expected, case)
        except Exception as error:  # noqa: BLE001: whatever it is, the case does not pass
            return brief(error)
        return None

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return dict(zip([case.name for case in chosen], pool.map(one, chosen)))


def listed(backend: str) -> list[str]:
    """The committed cases that pass."""
    file = LISTS / f"{backend}.txt"
    return file.read_text().split() if file.exists() else []


def write_list(backend: str, results: dict[str, str | None]):
    passed = sorted(name for name, why in results.items() if why is None)
    LISTS.mkdir(exist_ok=True)
    (LISTS / f"{backend}.txt").write_text("".join(f"{name}\n" for name in passed))


def score(what: str, chosen, results: dict[str, str | None]) -> str:
    """How many cases pass, in one line."""
    classical = [case.name for case in chosen if case.classical]

    def part(names) -> str:
        return f"{sum(results[name] is None for name in names)} of {len(names)}"

    names = [case.name for case in chosen]
    share = 100 * sum(results[name] is None for name in names) / max(len(names), 1)
    return f"{what}: {part(names)} tensor cases ({share:.1f} %), {part(classical)} of ai.onnx.ml"


def by_operator(chosen, results: dict[str, str | None]) -> str:
    """What does not pass and why, grouped by operator, those with most cases first."""
    groups = defaultdict(list)
    for case in chosen:
        if results[case.name] is not None:
            groups[case.operator].append(case.name)
    lines = []
    for name, failed in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        lines.append(f"{name}: {len(failed)}")
        lines += [f"    {case}: {results[case]}" for case in failed]
    return "\n".join(lines)


class Watch:
    """Seconds since it was made."""

    def __init__(self):
        self.began = time.monotonic()

    def __str__(self) -> str:
        return f"{time.monotonic() - self.began:.1f} s"
