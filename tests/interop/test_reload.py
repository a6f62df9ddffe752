"""The list of models is replaced by the official client and by its file."""

import socket
import time
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, predict_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving import CALL_SECONDS, Client, eventually
from test_rollout import ROW, Traffic, trained


def config(*models: dict) -> model_server_config_pb2.ModelServerConfig:
    """A list of models: name, base_path, labels, and versions or all of them."""
    made = model_server_config_pb2.ModelServerConfig()
    made.model_config_list.SetInParent()
    for model in models:
        one = made.model_config_list.config.add(name=model["name"], base_path=str(model["base_path"]))
        one.model_platform = model.get("platform", "sklearn")
        if versions := model.get("versions"):
            one.model_version_policy.specific.versions.extend(versions)
        else:
            one.model_version_policy.all.SetInParent()
        for label, version in model.get("labels", {}).items():
            one.version_labels[label] = version
    return made


def reload(client: Client, *models: dict, metrics=()):
    request = model_management_pb2.ReloadConfigRequest(config=config(*models), metric_names=metrics)
    return client.model.HandleReloadConfigRequest(request, timeout=CALL_SECONDS)


def ask_label(client: Client, name: str, label: str) -> int:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.version_label = label
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(ROW))
    return client.prediction.Predict(request, timeout=CALL_SECONDS).model_spec.version.value


def write(path: Path, *models: dict):
    """As an operator edits the file: with the library's own printer."""
    path.write_text(text_format.MessageToString(config(*models)))


@pytest.fixture
def listed(start, tmp_path):
    """A server of a list that is empty at first, and whose file is not read again."""
    file = tmp_path / "models.config"
    write(file)
    return start(f"--model_config_file={file}", lists=True)


def test_models_are_added_and_removed(listed):
    for version in (1, 2):
        listed.publish("prices", version, trained(version))
    listed.publish("others", 5, trained(5))
    prices = {"name": "prices", "base_path": listed.repository / "prices"}
    others = {"name": "others", "base_path": listed.repository / "others"}
    answer = reload(listed.client, prices, metrics=["/tensorflow/serving/request_count"])
    assert answer.status.error_code == 0
    assert [(m.name, m.int64_value_increase) for m in answer.metric] == [("/tensorflow/serving/request_count", 0)]
    # The answer says that it is served; its newest version may have come to rest a little later.
    assert listed.client.predict("prices", ROW).model_spec.version.value in (1, 2)
    eventually(lambda: listed.client.predict("prices", ROW).model_spec.version.value == 2)
    reload(listed.client, prices, others)
    assert listed.client.predict("others", ROW).model_spec.version.value == 5
    reload(listed.client, others)

    def gone():
        try:
            listed.client.predict("prices", ROW)
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.NOT_FOUND
        return False

    eventually(gone)


def test_one_push_brings_a_version_and_moves_the_labels_under_traffic(listed):
    models = {version: trained(version) for version in (1, 2)}
    prices = {"name": "prices", "base_path": listed.repository / "prices"}
    listed.publish("prices", 1, models[1])
    reload(listed.client, prices | {"labels": {"stable": 1}})
    traffic = Traffic(listed.address, "prices", {v: float(m.predict(ROW)[0]) for v, m in models.items()})
    listed.publish("prices", 2, models[2])
    reload(listed.client, prices | {"labels": {"stable": 2, "before": 1}})
    assert ask_label(listed.client, "prices", "stable") == 2
    assert ask_label(listed.client, "prices", "before") == 1
    eventually(lambda: traffic.latest == 2)
    traffic.stop()
    assert traffic.wrong == []
    with pytest.raises(grpc.RpcError) as error:
        reload(listed.client, prices | {"labels": {"stable": 9}})
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details() == (
        "Request to assign label to version 9 of model prices, which is not currently available for inference"
    )
    assert ask_label(listed.client, "prices", "stable") == 2


def test_a_bad_model_is_named_and_a_good_one_beside_it_served(listed):
    listed.publish("good", 1, trained(1))
    listed.publish("bad", 3, b"this is no pickle")
    models = [{"name": name, "base_path": listed.repository / name} for name in ("bad", "good", "missing")]
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as error:
        reload(listed.client, *models)
    assert time.monotonic() - began < 15
    assert error.value.code() == grpc.StatusCode.UNKNOWN
    text = error.value.details()
    assert text.startswith("2 model(s) did not become available: {{{name: bad version: 3} due to error: "), text
    assert "{{name: missing} due to error: NOT_FOUND: " in text, text
    assert listed.client.predict("good", ROW).model_spec.version.value == 1


def test_what_breaks_a_rule_changes_nothing(listed):
    listed.publish("prices", 1, trained(1))
    prices = {"name": "prices", "base_path": listed.repository / "prices"}
    reload(listed.client, prices)
    for models, says in [
        ([prices, prices], "Illegal to list model prices multiple times in config list"),
        ([prices | {"platform": "cafe"}], "Model prices requests unsupported platform cafe"),
        ([prices | {"base_path": "prices"}],
         "Expected model prices to have an absolute path or URI; got base_path()=prices"),
    ]:
        with pytest.raises(grpc.RpcError) as error:
            reload(listed.client, *models)
        assert (error.value.code(), error.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, says)
    assert listed.client.predict("prices", ROW).model_spec.version.value == 1


def test_the_file_that_the_library_prints_is_read_and_read_again(start, tmp_path):
    file = tmp_path / "models.config"
    write(file)
    server = start(f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1", lists=True)
    server.publish("prices", 1, trained(1))
    write(file, {"name": "prices", "base_path": server.repository / "prices", "labels": {"stable": 1}})
    server.client.wait_available("prices", 1)
    eventually(lambda: ask_label(server.client, "prices", "stable") == 1)
    file.write_text("model_config_list {")
    eventually(lambda: "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:20" in server.text())
    assert server.client.predict("prices", ROW).model_spec.version.value == 1


def test_old_connections_and_unix_sockets_under_traffic(start, tmp_path):
    """A client that heeds GOAWAY loses no request when connections grow old."""
    path = tmp_path / "longshore.sock"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Beside a Unix socket, port 0 would mean none.
    server = start(f"--port={port}", f"--grpc_socket_path={path}", "--grpc_channel_arguments=grpc.max_connection_age_ms=200")
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    answers = {1: float(trained(1).predict(ROW)[0])}
    traffic = [Traffic(address, "prices", answers) for address in (server.address, f"unix:{path}")]
    time.sleep(2)
    for asker in traffic:
        asker.stop()
        assert asker.asked > 100 and asker.wrong == [], asker.wrong[:3]
