"""TLS with the official client: certificates, clients with certificates, and keys that change."""

import http.client
import json
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from conftest import START_SECONDS, free_port, longshore_binary
from serving import CALL_SECONDS, eventually, publish
from test_rollout import ROW, trained


def pem(blob) -> str:
    return blob.bytes().decode()


def pair(certificate) -> tuple[str, str]:
    """The key, and the certificates from the server's on."""
    return pem(certificate.private_key_pem), "".join(pem(blob) for blob in certificate.cert_chain_pems)


def ssl_config(certificate, client_ca=None) -> str:
    """A text-format SSLConfig: Python's escapes are those of the text format."""
    key, chain = pair(certificate)
    lines = [f"server_key: {json.dumps(key)}", f"server_cert: {json.dumps(chain)}"]
    if client_ca is not None:
        lines += [f"custom_ca: {json.dumps(pem(client_ca.cert_pem))}", "client_verify: true"]
    return "\n".join(lines)


class Secured:
    """A server behind TLS; its address is found as a client has to."""

    def __init__(self, folder, *flags: str):
        self.port, self.rest_port = free_port(), free_port()
        publish(folder / "models", "prices", 1, trained(1))
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(
            [
                longshore_binary(),
                f"--model_repository={folder / 'models'}",
                "--bind_address=127.0.0.1",
                f"--port={self.port}",
                "--drain_grace=0",
                "--log_level=longshore=debug",
                *(flag.replace("REST_PORT", str(self.rest_port)) for flag in flags),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        eventually(lambda: "Longshore" in self.text(), START_SECONDS)

    def text(self) -> str:
        self.log.flush()
        with open(self.log.name) as log:
            return log.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(30) == 0, self.text()
        assert "panicked" not in self.text(), self.text()
        assert "-----END" not in self.text(), "a key was shown"
        self.log.close()


@pytest.fixture
def start_secured(tmp_path):
    started = []

    def start(*flags: str) -> Secured:
        started.append(Secured(tmp_path, *flags))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def predict(channel, seconds: float = CALL_SECONDS) -> float:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "prices"
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(ROW))
    answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=seconds)
    return answer.outputs["predictions"].double_val[0]


def channel(target: str, ca, client=None):
    key, chain = pair(client) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=ca.cert_pem.bytes(),
        private_key=key and key.encode(),
        certificate_chain=chain and chain.encode(),
    )
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    if target.startswith("unix:"):
        options.append(("grpc.ssl_target_name_override", "localhost"))
    return grpc.secure_channel(target, credentials, options)


def assert_answered(target: str, ca, client=None):
    with channel(target, ca, client) as secure:
        np.testing.assert_allclose(predict(secure), trained(1).predict(ROW)[0], rtol=1e-12)


def assert_refused(target: str, ca, client=None):
    with channel(target, ca, client) as secure, pytest.raises(grpc.RpcError) as caught:
        predict(secure)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE, caught.value


@pytest.mark.parametrize("key_type", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
def test_grpc_over_tls_on_the_port_and_on_the_socket(start_secured, tmp_path, key_type):
    ca = trustme.CA(key_type=key_type)
    file, path = tmp_path / "ssl.config", tmp_path / "s.sock"
    file.write_text(ssl_config(ca.issue_cert("localhost", key_type=key_type)))
    server = start_secured(f"--ssl_config_file={file}", f"--grpc_socket_path={path}")
    target = f"localhost:{server.port}"
    assert_answered(target, ca)
    # Here the client's authority is the name that it was told to expect.
    assert_answered(f"unix:{path}", ca)
    assert_refused(target, trustme.CA())
    with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as plain:
        with pytest.raises(grpc.RpcError) as caught:
            predict(plain)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    # A certificate that nobody asked for is no harm.
    assert_answered(target, ca, trustme.CA().issue_cert("somebody.example"))
    # Health, and a Watch that lives as long as the server, are behind it too.
    with channel(target, ca) as secure:
        health = health_pb2_grpc.HealthStub(secure)
        watch = health.Watch(health_pb2.HealthCheckRequest(service="model:prices"), timeout=CALL_SECONDS)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.process.terminate()
        assert [told.status for told in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
    # REST, which the reference does not encrypt, is not left open beside it.
    assert "REST is not served" in server.text() and "\n  REST " not in server.text()


def test_clients_with_certificates(start_secured, tmp_path):
    servers, clients, strangers = trustme.CA(), trustme.CA(), trustme.CA()
    file = tmp_path / "ssl.config"
    file.write_text(ssl_config(servers.issue_cert("localhost"), clients))
    server = start_secured(f"--ssl_config_file={file}")
    target = f"localhost:{server.port}"
    assert_answered(target, servers, clients.issue_cert("client.example"))
    assert_answered(target, servers, clients.create_child_ca().issue_cert("department.example"))
    assert_refused(target, servers)
    assert_refused(target, servers, strangers.issue_cert("stranger.example"))
    assert_refused(target, servers, servers.issue_cert("kin.example"))
    assert "a TLS handshake failed" in server.text()


def test_keys_are_replaced_while_it_serves(start_secured, tmp_path):
    """As a Kubernetes secret is: a link to a folder that is exchanged."""
    old, new = trustme.CA(), trustme.CA()
    for name, ca in [("one", old), ("two", new)]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "ssl.config").write_text(ssl_config(ca.issue_cert("localhost")))
    link = tmp_path / "secret"
    link.symlink_to("one")
    server = start_secured(f"--ssl_config_file={link / 'ssl.config'}")
    target = f"localhost:{server.port}"
    assert_answered(target, old)
    with channel(target, old) as lasting:
        predict(lasting)
        aside = tmp_path / "aside"
        aside.symlink_to("two")
        aside.rename(link)
        eventually(lambda: "new TLS keys" in server.text())
        assert_answered(target, new)
        assert_refused(target, old)
        predict(lasting)
    (tmp_path / "two" / "ssl.config").write_text("server_key: 'broken'")
    eventually(lambda: "unusable TLS keys: the old ones stay" in server.text())
    assert_answered(target, new)


def fetch(url: str, context, body=None) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(url, data=body and json.dumps(body).encode(), timeout=CALL_SECONDS) as answer:
        return answer.status, answer.read()


def test_rest_over_tls_by_pythons_own_client(start_secured, tmp_path):
    ca, clients = trustme.CA(), trustme.CA()
    file, rest_file = tmp_path / "ssl.config", tmp_path / "rest_ssl.config"
    file.write_text(ssl_config(ca.issue_cert("localhost")))
    rest_file.write_text(ssl_config(ca.issue_cert("localhost"), clients))
    server = start_secured(
        f"--ssl_config_file={file}", f"--rest_api_ssl_config_file={rest_file}", "--rest_api_port=REST_PORT"
    )
    assert_answered(f"localhost:{server.port}", ca)
    url = f"https://localhost:{server.rest_port}/v1/models/prices"
    context = ssl.create_default_context(cadata=pem(ca.cert_pem))
    with pytest.raises((urllib.error.URLError, OSError)):
        fetch(url, context)
    clients.issue_cert("client.example").configure_cert(context)
    status, text = fetch(url, context)
    assert status == 200 and json.loads(text)["model_version_status"][0]["state"] == "AVAILABLE"
    _, text = fetch(f"{url}:predict", context, {"instances": np.asarray(ROW).tolist()})
    np.testing.assert_allclose(json.loads(text)["predictions"], trained(1).predict(ROW), rtol=1e-12)
    # What answers is a TLS alert, which is no HTTP.
    with pytest.raises((urllib.error.URLError, OSError, http.client.HTTPException)):
        fetch(url.replace("https", "http"), context)
    with pytest.raises((urllib.error.URLError, OSError)):
        fetch(url, ssl.create_default_context(cadata=pem(trustme.CA().cert_pem)))


def test_rest_stays_plain_when_it_is_asked_for_beside_grpcs_tls(start_secured, tmp_path):
    ca = trustme.CA()
    file = tmp_path / "ssl.config"
    file.write_text(ssl_config(ca.issue_cert("localhost")))
    server = start_secured(f"--ssl_config_file={file}", "--rest_api_port=REST_PORT")
    assert_answered(f"localhost:{server.port}", ca)
    status, _ = fetch(f"http://127.0.0.1:{server.rest_port}/v1/models/prices", None)
    assert status == 200
    assert "REST is served without TLS" in server.text()


def test_connections_that_say_nothing_do_not_hold_up_others(start_secured, tmp_path):
    ca = trustme.CA()
    file = tmp_path / "ssl.config"
    file.write_text(ssl_config(ca.issue_cert("localhost")))
    server = start_secured(f"--ssl_config_file={file}", "--grpc_channel_arguments=grpc.server_handshake_timeout_ms=1500")
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    began = time.monotonic()
    assert_answered(f"localhost:{server.port}", ca)
    assert time.monotonic() - began < 1.5
    for one in silent:
        one.settimeout(10)
        try:
            assert one.recv(100) == b""
        except ConnectionResetError:
            pass
        one.close()
