"""SavedModels through the server, against TensorFlow in Python on the same files.

`LONGSHORE_TENSORFLOW_LIBRARY` may name another version's library for the server; the installed
wheel still writes the models and answers beside it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)

import tf_models
from conftest import Server, longshore_binary
from serving import CALL_SECONDS, END, eventually, publish

FLAG = f"--tensorflow_library={tf_models.LIBRARY}"
SINGLE = {"rtol": 2e-6, "atol": 2e-6}
BATCHING = """
max_batch_size { value: 64 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 1000 }
num_batch_threads { value: 2 }
"""

pytestmark = pytest.mark.skipif(not tf_models.LIBRARY.is_file(), reason=f"there is no {tf_models.LIBRARY}")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """All models, each in a folder `1` of its own."""
    root = tmp_path_factory.mktemp("saved_models")
    words = tmp_path_factory.mktemp("words")
    made = {
        "mlp": tf_models.mlp(),
        "cnn": tf_models.cnn(),
        "lstm": tf_models.lstm(),
        "attention": tf_models.attention(),
        "two_inputs": tf_models.two_inputs_two_outputs(),
        "two_signatures": tf_models.two_signatures(),
        "strings": tf_models.strings(),
        "lookup": tf_models.lookup(words),
        "keras_lookup": tf_models.keras_lookup(),
        "defaults": tf_models.defaults(),
        "dtypes": tf_models.dtypes(),
        "examples": tf_models.examples(),
        "failing": tf_models.failing(),
    }
    for name, case in made.items():
        case.save(root / name / "1")
    # The vocabulary has to come from the model's own folder.
    shutil.rmtree(words)
    return root, made


@pytest.fixture(scope="module", params=["one by one", "batched"])
def served(request, cases, tmp_path_factory):
    root, made = cases
    flags = [FLAG]
    if request.param == "batched":
        file = tmp_path_factory.mktemp("batching") / "batching.config"
        file.write_text(BATCHING)
        flags += ["--enable_batching", f"--batching_parameters_file={file}"]
    server = Server(root, *flags)
    for name in made:
        server.client.wait_available(name, 1, 60)
    server.batched = request.param == "batched"
    yield server
    server.stop()


def equal(got: dict, want: dict):
    assert set(got) == set(want)
    for name, value in want.items():
        assert got[name].dtype == value.dtype, name
        assert got[name].shape == value.shape, name
        if value.dtype.kind in "fc":
            np.testing.assert_allclose(got[name], value, err_msg=name, **SINGLE)
        else:
            np.testing.assert_array_equal(got[name], value, err_msg=name)


def fields_only(value) -> TensorProto:
    """The tensor in typed fields, as clients in other languages send it."""
    proto = tf.make_tensor_proto(value)
    if proto.tensor_content:
        array = np.asarray(value)
        field = {
            np.dtype(np.float32): "float_val",
            np.dtype(np.float64): "double_val",
            np.dtype(np.int32): "int_val",
            np.dtype(np.int64): "int64_val",
        }[array.dtype]
        proto.ClearField("tensor_content")
        getattr(proto, field).extend(array.reshape(-1).tolist())
    return proto


WITH_REQUESTS = ["mlp", "cnn", "lstm", "attention", "two_inputs", "two_signatures", "strings", "lookup", "keras_lookup"]


@pytest.mark.parametrize("name", WITH_REQUESTS)
def test_predict_answers_as_tensorflow_does(served, cases, name):
    root, made = cases
    for signature, inputs in made[name].asked:
        want = tf_models.expected(root / name / "1", signature, inputs)
        equal(served.client.arrays(name, inputs, signature), want)
        equal(served.client.arrays(name, {k: fields_only(v) for k, v in inputs.items()}, signature), want)
        # Only what is asked for.
        for output in want:
            equal(served.client.arrays(name, inputs, signature, outputs=[output]), {output: want[output]})


@pytest.mark.parametrize("name", ["mlp", "strings", "lstm"])
def test_many_at_once_get_their_own_answers(served, cases, name):
    root, made = cases
    signature, inputs = made[name].asked[-1] if name != "strings" else made[name].asked[0]
    want = tf_models.expected(root / name / "1", signature, inputs)
    rows = len(next(iter(inputs.values())))

    def ask(call: int):
        row = call % rows
        one = {alias: value[row : row + 1] for alias, value in inputs.items()}
        equal(served.client.arrays(name, one, signature), {alias: value[row : row + 1] for alias, value in want.items()})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(200)))


def post(server, path: str, body):
    request = urllib.request.Request(f"http://{server.rest_address}/v1/models/{path}", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def listed(value: np.ndarray):
    if value.dtype == object:
        return np.vectorize(lambda text: text.decode(), otypes=[object])(value).tolist()
    return value.tolist()


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "two_inputs", "two_signatures", "lookup", "keras_lookup"])
def test_rest_answers_as_tensorflow_does(served, cases, name):
    root, made = cases
    for signature, inputs in made[name].asked:
        want = tf_models.expected(root / name / "1", signature, inputs)
        single = len(want) == 1
        lists = {alias: listed(value) for alias, value in inputs.items()}
        count = len(next(iter(lists.values())))
        more = {"signature_name": signature} if signature else {}

        status, answer = post(served, f"{name}:predict", {"inputs": lists, **more})
        assert status == 200, answer
        outputs = {next(iter(want)): answer["outputs"]} if single else answer["outputs"]
        for alias, value in want.items():
            np.testing.assert_allclose(np.array(outputs[alias]), value, **SINGLE)

        instances = [{alias: value[row] for alias, value in lists.items()} for row in range(count)]
        status, answer = post(served, f"{name}:predict", {"instances": instances, **more})
        assert status == 200, answer
        for row, got in enumerate(answer["predictions"]):
            got = {next(iter(want)): got} if single else got
            for alias, value in want.items():
                np.testing.assert_allclose(np.array(got[alias]), value[row], **SINGLE)


def test_every_dtype_comes_back_in_every_shape(served, cases):
    _, made = cases
    for signature, inputs in made["dtypes"].asked:
        if served.batched and inputs["value"].ndim == 0:
            continue
        got = served.client.arrays("dtypes", inputs, signature)["same"]
        value = inputs["value"]
        assert (got.dtype, got.shape) == (value.dtype, value.shape), signature
        np.testing.assert_array_equal(got, value, err_msg=signature)


def test_a_wrong_dtype_is_named(served):
    with pytest.raises(grpc.RpcError) as error:
        served.client.predict("mlp", {"features": np.zeros((1, 6))})
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details().startswith("Expects arg[0] to be float but double is provided")


def test_an_input_with_a_default_may_be_left_out(served, cases):
    root, made = cases
    _, inputs = made["defaults"].asked[0]
    if not served.batched:
        want = tf_models.expected(root / "defaults" / "1", "", inputs)
        equal(served.client.arrays("defaults", inputs), want)
    # A default has one row, and so goes with requests of one row where rows are batched.
    x = inputs["x"][:1]
    equal(served.client.arrays("defaults", {"x": x}), {"y": x * np.float32(2.5)})
    for sent, text in [
        (
            {"scale": inputs["scale"]},
            "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value provided.",
        ),
        ({"x": x, "other": x}, "Inputs contains invalid name. Used request inputs: x, request input: other,x"),
    ]:
        with pytest.raises(grpc.RpcError) as error:
            served.client.predict("defaults", sent)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert error.value.details().startswith(text), error.value.details()


def test_metadata_are_those_of_the_file(served, cases):
    root, made = cases
    for name in made:
        saved = saved_model_pb2.SavedModel.FromString((root / name / "1" / "saved_model.pb").read_bytes())
        want = dict(saved.meta_graphs[0].signature_def)
        assert served.client.signatures(name) == want
    with urllib.request.urlopen(f"http://{served.rest_address}/v1/models/defaults/metadata", timeout=20) as answer:
        told = json.loads(answer.read())["metadata"]["signature_def"]["signature_def"]
    assert told["__saved_model_init_op"]["outputs"]["__saved_model_init_op"]["dtype"] == "DT_INVALID"
    default = told["serving_default"]
    assert default["inputs"]["x"]["name"] == "serving_default_x:0"
    assert default["defaults"]["scale"]["float_val"] == [2.5]


def test_what_no_request_can_call_is_told_why(served):
    with pytest.raises(grpc.RpcError) as error:
        served.client.predict("mlp", {}, "__saved_model_init_op")
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "is of DT_INVALID, which no request or answer carries" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        served.client.predict("mlp", {}, "nothing")
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details() == 'Serving signature key "nothing" not found.'


def test_failures_have_tensorflows_code_and_words(served):
    def failure(inputs, signature=""):
        with pytest.raises(grpc.RpcError) as error:
            served.client.predict("failing", {"x": np.asarray(inputs, np.float32)}, signature)
        return error.value.code(), error.value.details()

    code, text = failure([[1, 1000]])
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "assertion failed: [too much]" in text, text
    code, text = failure([[1, 2, 3]])
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "Matrix size-incompatible: In[0]: [1,3], In[1]: [2,2]" in text
    code, text = failure([[1, 2]], "unready")
    assert code == grpc.StatusCode.FAILED_PRECONDITION and "Table not initialized." in text, text
    status, answer = post(served, "failing:predict", {"instances": [[1, 1000]]})
    assert status == 400 and "assertion failed: [too much]" in answer["error"]
    # It answers all the same.
    served.client.predict("failing", {"x": np.zeros((1, 2), np.float32)})


def example(*values) -> tf.train.Example:
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Example(features=tf.train.Features(feature={"x": feature}))


EXAMPLES = [example(0.5, 1.0), example(-1.0, 2.0), example(3.0, 0.0)]


def test_classify_and_regress_read_examples_in_the_graph(served, cases):
    root, _ = cases
    serialized = np.array([one.SerializeToString() for one in EXAMPLES], dtype=object)
    want = tf_models.expected(root / "examples" / "1", "", {"inputs": serialized})

    asked = classification_pb2.ClassificationRequest()
    asked.model_spec.name = "examples"
    asked.input.example_list.examples.extend(EXAMPLES)
    answer = served.client.prediction.Classify(asked, timeout=CALL_SECONDS)
    assert answer.model_spec.signature_name == "serving_default"
    for row, got in enumerate(answer.result.classifications):
        assert [one.label for one in got.classes] == ["low", "mid", "high"]
        np.testing.assert_allclose([one.score for one in got.classes], want["scores"][row], **SINGLE)

    for signature in ["regress", "narrow"]:
        asked = regression_pb2.RegressionRequest()
        asked.model_spec.name = "examples"
        asked.model_spec.signature_name = signature
        asked.input.example_list.examples.extend(EXAMPLES)
        if signature == "regress":
            answer = served.client.prediction.Regress(asked, timeout=CALL_SECONDS)
            got = [one.value for one in answer.result.regressions]
            np.testing.assert_allclose(got, [1.5, 1.0, 3.0], **SINGLE)
        else:
            with pytest.raises(grpc.RpcError) as error:
                served.client.prediction.Regress(asked, timeout=CALL_SECONDS)
            assert error.value.details() == (
                "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [3,2]"
            )

    asked = inference_pb2.MultiInferenceRequest()
    for signature, method in [("", "classify"), ("regress", "regress")]:
        task = asked.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name = "examples"
        task.model_spec.signature_name = signature
    asked.input.example_list.examples.extend(EXAMPLES)
    answer = served.client.prediction.MultiInference(asked, timeout=CALL_SECONDS)
    assert len(answer.results[0].classification_result.classifications) == 3
    np.testing.assert_allclose([one.value for one in answer.results[1].regression_result.regressions], [1.5, 1.0, 3.0])

    status, answer = post(served, "examples:classify", {"examples": [{"x": [0.5, 1.0]}]})
    assert status == 200 and [label for label, _ in answer["results"][0]] == ["low", "mid", "high"]
    status, answer = post(served, "examples:regress", {"signature_name": "regress", "examples": [{"x": [0.5, 1.0]}]})
    assert (status, answer) == (200, {"results": [1.5]})


def test_a_feature_that_the_graph_wants_is_asked_for_in_its_words(served):
    asked = classification_pb2.ClassificationRequest()
    asked.model_spec.name = "examples"
    asked.input.example_list.examples.add()
    with pytest.raises(grpc.RpcError) as error:
        served.client.prediction.Classify(asked, timeout=CALL_SECONDS)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "Feature: x (data type: float) is required but could not be found." in error.value.details()


# TensorFlow Serving's own test models.

TESTDATA = pytest.mark.skipif(not tf_models.TESTDATA.is_dir(), reason=f"there is no {tf_models.TESTDATA}")


@pytest.fixture(scope="module")
def half_plus_two(tmp_path_factory):
    root = tmp_path_factory.mktemp("half_plus_two")
    for folder in tf_models.TESTDATA.glob("saved_model_half_plus_two_*"):
        shutil.copytree(folder, root / folder.name.removeprefix("saved_model_half_plus_two_"))
    server = Server(root, FLAG)
    for name, version in [("2_versions", 124), ("cpu", 123), ("tf2_cpu", 123)]:
        server.client.wait_available(name, version, 60)
    yield server
    server.stop()


@TESTDATA
@pytest.mark.parametrize(("name", "version"), [("2_versions", 124), ("cpu", 123), ("tf2_cpu", 123)])
def test_half_plus_two_is_half_plus_two(half_plus_two, name, version):
    client = half_plus_two.client
    x = np.array([1.0, 2.0, 5.0], np.float32)
    x = x if name == "tf2_cpu" else x[:, None]
    answer = client.predict(name, {"x": x})
    assert answer.model_spec.version.value == version
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["y"]), x / 2 + 2)
    status, answer = post(half_plus_two, f"{name}:predict", {"instances": [1.0, 2.0, 5.0]})
    assert (status, answer) == (200, {"predictions": [2.5, 3.0, 4.5]})

    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[4.0]))
    examples = [tf.train.Example(features=tf.train.Features(feature={"x": feature}))]
    for signature, want in [("regress_x_to_y", 4.0), ("regress_x_to_y2", 5.0)]:
        asked = regression_pb2.RegressionRequest()
        asked.model_spec.name, asked.model_spec.signature_name = name, signature
        asked.input.example_list.examples.extend(examples)
        answer = client.prediction.Regress(asked, timeout=CALL_SECONDS)
        assert [one.value for one in answer.result.regressions] == [want]
    asked = classification_pb2.ClassificationRequest()
    asked.model_spec.name, asked.model_spec.signature_name = name, "classify_x_to_y"
    asked.input.example_list.examples.extend(examples)
    answer = client.prediction.Classify(asked, timeout=CALL_SECONDS)
    assert [(one.label, one.score) for one in answer.result.classifications[0].classes] == [("", 4.0)]
    # The signature is not for examples: what it takes are numbers.
    asked.model_spec.signature_name = "regress_x2_to_y3"
    with pytest.raises(grpc.RpcError) as error:
        client.prediction.Classify(asked, timeout=CALL_SECONDS)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@TESTDATA
def test_the_default_of_half_plus_two_is_used(half_plus_two):
    answer = half_plus_two.client.arrays("tf2_cpu", {})
    stated = half_plus_two.client.signatures("tf2_cpu")["serving_default"].defaults["x"]
    np.testing.assert_array_equal(answer["y"], tf.make_ndarray(stated) / 2 + 2)


# Servers of their own.


def into(repository, name: str, save, version: int = 1):
    """Publishes a SavedModel that `save` writes into the folder that it is given."""
    folder = repository / name
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".incoming-{version}"
    save(aside)
    return aside.rename(folder / str(version))


def test_an_old_model_without_a_default_signature(start, tmp_path):
    into(tmp_path / "models", "old", tf_models.old_style)
    server = start(FLAG, "--saved_model_tags=cpu,serve")
    server.client.wait_available("old", 1, 60)
    x = {"x": np.array([[1, 10]], np.float32)}
    np.testing.assert_array_equal(server.client.arrays("old", x, "only")["y"], [[32]])
    assert server.client.signatures("old")["only"].method_name == "own/method"
    with pytest.raises(grpc.RpcError) as error:
        server.client.predict("old", x)
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details() == 'Serving signature key "" not found.'


def test_sessions_are_configured_by_flags_and_file(start, tmp_path):
    config = tmp_path / "session.config"
    config.write_text("intra_op_parallelism_threads: 1\ngraph_options { optimizer_options { opt_level: L0 } }\n")
    case = tf_models.mlp()
    into(tmp_path / "models", "mlp", case.save)
    server = start(FLAG, f"--tensorflow_session_config_file={config}", "--tensorflow_inter_op_parallelism=1")
    server.client.wait_available("mlp", 1, 60)
    _, inputs = case.asked[1]
    want = tf_models.expected(tmp_path / "models" / "mlp" / "1", "", inputs)
    equal(server.client.arrays("mlp", inputs), want)


def test_what_the_session_refuses_is_the_status(start, tmp_path):
    config = tmp_path / "session.config"
    config.write_text('device_count { key: "CPU" value: 0 }\nisolate_session_state: true\n')
    into(tmp_path / "models", "mlp", tf_models.mlp().save)
    server = start(FLAG, f"--tensorflow_session_config_file={config}")
    entry = server.client.wait_failed("mlp", 1, 60)
    assert entry.status.error_code != 0 and "saved_model.pb: " in entry.status.error_message


def test_what_a_graph_keeps_of_a_request_outlives_it(start, tmp_path):
    into(tmp_path / "models", "table", tf_models.remembering().save)
    server = start(FLAG)
    server.client.wait_available("table", 1, 60)
    # Short strings lie in TensorFlow's own, longer ones in the request.
    texts = {b"%d" % i + b"k" * (i * 7 % 200): i for i in range(300)}
    for key, value in texts.items():
        inputs = {"keys": np.array([key], dtype=object), "values": np.array([value])}
        server.client.predict("table", inputs, "put")
    got = server.client.arrays("table", {"keys": np.array(list(texts), dtype=object)})["values"]
    assert got.tolist() == list(texts.values())
    kept = server.client.arrays("table", {}, "all")
    assert dict(zip(kept["keys"].tolist(), kept["values"].tolist(), strict=True)) == texts


def predict_log(features) -> prediction_log_pb2.PredictionLog:
    request = predict_pb2.PredictRequest()
    request.inputs["features"].CopyFrom(tf.make_tensor_proto(features))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


@pytest.mark.parametrize("good", [True, False])
def test_recorded_requests_warm_up_a_saved_model(start, tmp_path, good):
    def save(folder):
        tf_models.mlp().save(folder)
        file = folder / "assets.extra" / "tf_serving_warmup_requests"
        file.parent.mkdir()
        with tf.io.TFRecordWriter(str(file)) as writer:
            for rows in (1, 8):
                writer.write(predict_log(np.zeros((rows, 6 if good else 7), np.float32)).SerializeToString())

    into(tmp_path / "models", "mlp", save)
    server = start(FLAG)
    if good:
        server.client.wait_available("mlp", 1, 60)
        assert "warmed up" in server.text()
    else:
        entry = server.client.wait_failed("mlp", 1, 60)
        assert "Matrix size-incompatible" in entry.status.error_message
        assert "(warm-up record 0 of " in entry.status.error_message


def test_graphs_that_touch_files_are_refused_unless_allowed(start, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the content")

    def reads():
        spec = tf.TensorSpec([], tf.string, name="path")
        return tf_models.module(lambda path: {"content": tf.io.read_file(path)}, [spec])

    model = reads()
    into(tmp_path / "models", "reads", lambda folder: tf.saved_model.save(model, str(folder), signatures=model.serve))
    server = start(FLAG)
    entry = server.client.wait_failed("reads", 1, 60)
    assert entry.status.error_code == grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert "ReadFile reads or writes files" in entry.status.error_message
    assert "--tensorflow_allow_file_ops" in entry.status.error_message
    server.stop()

    server = start(FLAG, "--tensorflow_allow_file_ops")
    server.client.wait_available("reads", 1, 60)
    got = server.client.arrays("reads", {"path": np.array(str(secret).encode(), dtype=object)})["content"]
    assert got == b"the content"


def test_damaged_saved_models_hold_nobody_up(start, tmp_path):
    repository = tmp_path / "models"
    case = tf_models.mlp()
    good = into(repository, "good", case.save)
    bytes_of = (good / "saved_model.pb").read_bytes()

    def damaged(name, change):
        def save(folder):
            shutil.copytree(good, folder)
            change(folder)

        into(repository, name, save)

    damaged("truncated", lambda folder: (folder / "saved_model.pb").write_bytes(bytes_of[: len(bytes_of) // 2]))
    damaged("empty", lambda folder: (folder / "saved_model.pb").write_bytes(b""))
    damaged("no_variables", lambda folder: (folder / "variables" / "variables.index").unlink())
    data = "variables.data-00000-of-00001"
    damaged("short_variables", lambda folder: (folder / "variables" / data).write_bytes(b"short"))

    def unknown_op(folder):
        saved = saved_model_pb2.SavedModel.FromString(bytes_of)
        for function in saved.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                if node.op == "MatMul":
                    node.op = "NoSuchOperation"
        (folder / "saved_model.pb").write_bytes(saved.SerializeToString())

    damaged("unknown_op", unknown_op)
    server = start(FLAG)
    wanted = {
        "truncated": "it is not a SavedModel",
        "empty": "Could not find meta graph def matching supplied tags: { serve }",
        "no_variables": "variables/variables.index does not exist",
        "short_variables": "variables",
        "unknown_op": "NoSuchOperation",
    }
    for name, text in wanted.items():
        entry = server.client.wait_failed(name, 1, 60)
        assert text in entry.status.error_message, (name, entry.status.error_message)
    server.client.wait_available("good", 1, 60)
    _, inputs = case.asked[0]
    equal(server.client.arrays("good", inputs), tf_models.expected(good, "", inputs))


def test_without_the_library_the_status_says_how_to_get_it(start, tmp_path, model):
    into(tmp_path / "models", "mlp", tf_models.mlp().save)
    publish(tmp_path / "models", "linear", 1, model)
    for choice, text in [
        ("off", "TensorFlow is switched off (--tensorflow_library=off)"),
        ("/nowhere/libtensorflow_cc.so.2", "No such file"),
        (str(longshore_binary()), "it exports no symbol TF_LoadSessionFromSavedModel"),
    ]:
        server = start(f"--tensorflow_library={choice}")
        server.client.wait_available("linear", 1)
        entry = server.client.wait_failed("mlp", 1)
        assert text in entry.status.error_message
        server.stop()


def library_version() -> str:
    """What the server's library says of itself, asked in a process that has no other TensorFlow."""
    ask = "import ctypes, sys; f = ctypes.CDLL(sys.argv[1]).TF_Version; f.restype = ctypes.c_char_p; print(f().decode())"
    asked = [sys.executable, "-c", ask, tf_models.LIBRARY]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def test_the_library_is_found_in_a_python_environment(tmp_path):
    root = tmp_path / "environment"
    package = root / "lib" / "python3.11" / "site-packages" / "tensorflow"
    package.mkdir(parents=True)
    for file in tf_models.LIBRARY.parent.glob("libtensorflow_*.so.2"):
        (package / file.name).symlink_to(file)
    told = subprocess.run(
        [longshore_binary(), "engines", "--onnxruntime_library=off"],
        env={**os.environ, "VIRTUAL_ENV": str(root)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    line = next(line for line in told.splitlines() if line.strip().startswith("tensorflow"))
    assert f"{library_version()}, {tf_models.LIBRARY.resolve()}" in line, told


def resident(server) -> int:
    """The server's resident memory, in KiB."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


@pytest.mark.parametrize("arena", [True, False], ids=["with oneDNN's arena", "without it"])
def test_memory_comes_back_when_versions_go(start, tmp_path, monkeypatch, arena):
    """What a version took is free for the next one. With oneDNN, TensorFlow keeps it in an arena of its own for
    that; without, it is the system's again when there is no next one."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1" if arena else "0")
    repository = tmp_path / "models"
    spec = tf.TensorSpec([None, 1024], tf.float32, name="x")
    # 160 MB of weights.
    weight = tf.Variable(np.ones((1024, 40960), np.float32))
    model = tf_models.module(lambda x: {"y": tf.reduce_sum(x @ weight, 1)}, [spec], weight=weight)
    master = tmp_path / "master"
    tf.saved_model.save(model, str(master), signatures=model.serve)
    into(repository, "small", tf_models.mlp().save)
    server = start(FLAG)
    server.client.wait_available("small", 1, 60)
    before, sizes = resident(server), []
    for version in range(1, 9):
        into(repository, "wide", lambda folder: shutil.copytree(master, folder), version)
        server.client.wait_available("wide", version, 60)
        x = np.ones((2, 1024), np.float32)
        np.testing.assert_allclose(server.client.arrays("wide", {"x": x}, version=version)["y"], [1024 * 40960] * 2)
        if version > 1:
            shutil.rmtree(repository / "wide" / str(version - 1))
            eventually(lambda: server.client.status("wide")[version - 1].state == END)
        sizes.append(resident(server))
    shutil.rmtree(repository / "wide")
    if not arena:
        eventually(lambda: resident(server) <= before * 1.10)
    time.sleep(1)
    after = resident(server)
    print("\nresident, MiB: before", before // 1024, "reloads", [size // 1024 for size in sizes], "after", after // 1024)
    # Old and new at once, and no more, however often.
    assert max(sizes[2:]) <= sizes[1] * 1.10, sizes
    assert arena or after <= before * 1.10, (before, after)
