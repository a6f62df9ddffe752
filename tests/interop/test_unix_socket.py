"""gRPC's C core on a Unix socket, as the reference's own tests use it: no option is set."""

import socket
import subprocess

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from tensorflow_serving.apis import get_model_status_pb2

from conftest import free_port
from serving import CALL_SECONDS, Client, eventually
from test_rollout import ROW, trained

SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def both(start, tmp_path):
    """A server on a port and on a socket, and the socket's path."""
    path = tmp_path / "tf-serving.sock"
    # Beside a Unix socket, port 0 would mean none.
    server = start(f"--port={free_port()}", f"--grpc_socket_path={path}")
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    return server, path


def test_every_kind_of_call_is_answered(both):
    server, path = both
    channel = grpc.insecure_channel(f"unix:{path}")
    channel.close()
    client = Client(f"unix:{path}")
    for _ in range(50):
        [answer] = client.predict("prices", ROW).outputs["predictions"].double_val
        np.testing.assert_allclose(answer, trained(1).predict(ROW)[0], rtol=1e-12)
    # Longer than one HTTP/2 frame, and than what is read at once.
    many = np.repeat(ROW, 20_000, axis=0)
    assert len(client.predict("prices", many).outputs["predictions"].double_val) == 20_000
    assert list(client.status("prices")) == [1]
    client.wait_health("", SERVING)
    watch = client.health.Watch(health_pb2.HealthCheckRequest(service="model:prices"), timeout=CALL_SECONDS)
    assert next(watch).status == SERVING
    watch.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        client.predict("nobody", ROW)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "Servable not found for request: Latest(nobody)"
    client.close()


def test_metadata_of_any_size_and_kind_goes_through(both):
    """Fields that fill the HPACK table, leave it again, and look like an authority."""
    _, path = both
    client = Client(f"unix:{path}")
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "prices"
    for i in range(100):
        metadata = [("x-path", f"%2F{i}/"), (f"x-{i}", "/" * (i * 7)), ("x-bin", bytes([i, 0xFF]) * 9)]
        answer = client.model.GetModelStatus(request, timeout=CALL_SECONDS, metadata=metadata)
        assert answer.model_version_status[0].version == 1
    client.close()


def test_a_path_with_unusual_characters_is_an_address_too(start, tmp_path):
    folder = tmp_path / "a b@c;d%e-é"
    folder.mkdir()
    path = folder / "s.sock"
    server = start(f"--port={free_port()}", f"--grpc_socket_path={path}")
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    client = Client(f"unix://{path}")
    assert client.predict("prices", ROW).model_spec.version.value == 1
    client.close()


def test_a_server_that_was_killed_leaves_a_path_that_can_be_taken(start, tmp_path):
    path = tmp_path / "s.sock"
    left = subprocess.run(
        ["python3", "-c", f"import socket; socket.socket(socket.AF_UNIX).bind({str(path)!r})"], check=True
    )
    assert left.returncode == 0 and path.is_socket()
    server = start(f"--port={free_port()}", f"--grpc_socket_path={path}")
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    client = Client(f"unix:{path}")
    assert client.predict("prices", ROW).model_spec.version.value == 1
    client.close()
    server.stop()
    assert not path.exists()


def test_two_servers_on_one_path_as_in_the_references_tests(both, start):
    first, path = both
    second = start(f"--port={free_port()}", f"--grpc_socket_path={path}", repository=first.repository)
    second.client.wait_available("prices", 1)
    client = Client(f"unix:{path}")
    assert client.predict("prices", ROW).model_spec.version.value == 1
    first.stop()
    eventually(lambda: client.predict("prices", ROW).model_spec.version.value == 1)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
    client.close()
