"""Starts the real server for the tests, and stops it the way an operator would."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import joblib
import pytest

from serving import Client, publish

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30
STOP_SECONDS = 30
# Where the server listens, as it prints it: `  gRPC  127.0.0.1:43210  TensorFlow Serving API, …`.
LISTENING = re.compile(r"^ *gRPC +127\.0\.0\.1:(\d+)\b")
REST_LISTENING = re.compile(r"^ *REST +127\.0\.0\.1:(\d+)\b")


def free_port() -> int:
    """A port that was free a moment ago: for REST, 0 means "none" and not "any".

    Outside of the range from which systems take the ports of connections, one of which may
    come up before the server listens.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("of 100 ports none was free")


def longshore_binary() -> Path:
    """The binary under test."""
    given = os.environ.get("LONGSHORE_BIN")
    binary = Path(given) if given else ROOT / "target" / "release" / "longshore"
    if not binary.is_file():
        pytest.exit(f"no server to test at {binary}: build it, or name it in LONGSHORE_BIN", returncode=2)
    return binary.resolve()


class Server:
    """One running server, on a port that it picked itself."""

    def __init__(self, repository: Path, *flags: str, lists: bool = False):
        """`lists`: the flags say which models are served; else all of `repository`."""
        self.repository = repository
        self.address = ""
        self.rest_address = ""
        self.may_panic = False
        self.printed: list[str] = []
        self.logged: list[str] = []
        self.process = subprocess.Popen(
            [
                longshore_binary(),
                *([] if lists else [f"--model_repository={repository}"]),
                "--bind_address=127.0.0.1",
                "--port=0",
                *([] if any(flag.startswith("--rest_api_port") for flag in flags) else [f"--rest_api_port={free_port()}"]),
                *flags,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._listening = threading.Event()
        self.rest_listening = threading.Event()
        self._readers = [
            threading.Thread(target=self._read_stdout, daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        if not self._listening.wait(START_SECONDS) or not self.address:
            self.process.kill()
            raise AssertionError(f"no gRPC address within {START_SECONDS} s; it said:\n{self.text()}")
        self.client = Client(self.address)

    def _read_stdout(self):
        for line in self.process.stdout:
            self.printed.append(line)
            found = LISTENING.search(line)
            if found and not self.address:
                self.address = f"127.0.0.1:{found[1]}"
                self._listening.set()
            found = REST_LISTENING.search(line)
            if found and not self.rest_address:
                self.rest_address = f"127.0.0.1:{found[1]}"
                self.rest_listening.set()
        self._listening.set()

    def _read_stderr(self):
        for line in self.process.stderr:
            self.logged.append(line)

    def text(self) -> str:
        """All that it has printed and logged so far."""
        return "".join(self.printed) + "".join(self.logged)

    def publish(self, name: str, version: int | str, model, **how) -> Path:
        """Drops a version into its repository, in one rename."""
        return publish(self.repository, name, version, model, **how)

    def begin_stop(self):
        """Tells it to stop, and does not wait."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Stops it with SIGTERM, and asserts that it ended well."""
        if self.process.poll() is None:
            self.begin_stop()
        self.end()

    def end(self):
        """Waits for its end, which has to be a clean one."""
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still running {STOP_SECONDS} s after SIGTERM:\n{self.text()}") from None
        for reader in self._readers:
            reader.join(5)
        self.client.close()
        assert code == 0, f"exit code {code}, expected 0; it said:\n{self.text()}"
        assert self.may_panic or "panicked" not in self.text(), self.text()


@pytest.fixture
def start(tmp_path):
    """Starts servers with flags of the test's own; each is stopped at its end."""
    servers = []

    def start_one(*flags: str, repository: Path | None = None, lists: bool = False) -> Server:
        if repository is None:
            repository = tmp_path / "models"
            repository.mkdir(exist_ok=True)
        servers.append(Server(repository, *flags, lists=lists))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()


@pytest.fixture
def server(start):
    """A server of this test's own, over an empty repository."""
    return start()


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """One server for many tests, over a copy of the committed sample repository."""
    repository = tmp_path_factory.mktemp("sample") / "model_repository"
    shutil.copytree(ROOT / "model_repository", repository)
    server = Server(repository)
    server.client.wait_available("linear_regression", 1)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def model():
    """The committed sample model, as scikit-learn loads it."""
    return joblib.load(ROOT / "model_repository" / "linear_regression" / "1" / "model.pkl")


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One server for many models: each test brings models under names of its own."""
    server = Server(tmp_path_factory.mktemp("shared"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def grpc_address(sample) -> str:
    """HOST:PORT of a running server, or of the one that LONGSHORE_GRPC names."""
    return os.environ.get("LONGSHORE_GRPC") or sample.address
