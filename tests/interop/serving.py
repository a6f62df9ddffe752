"""The clients that the tests speak through, and how models come into a repository."""

import io
import os
import pickle
import tempfile
import time
from pathlib import Path

import grpc
import joblib
import numpy as np
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

CALL_SECONDS = 20
AVAILABLE = get_model_status_pb2.ModelVersionStatus.State.AVAILABLE
END = get_model_status_pb2.ModelVersionStatus.State.END


def publish(repository: Path, name: str, version: int | str, model, file: str = "model.pkl", dump=None) -> Path:
    """Writes a version aside and renames it into place, as examples/ does.

    `model` is an estimator, or the bytes of the file. `dump(model, path)`
    writes the estimator; plain `joblib.dump` when not given.
    """
    folder = repository / name
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
    if isinstance(model, bytes):
        (aside / file).write_bytes(model)
    else:
        (dump or joblib.dump)(model, aside / file)
    os.chmod(aside, 0o755)
    return aside.rename(folder / str(version))


def pickled(protocol: int):
    """A `dump` that writes a plain pickle of this protocol."""

    def dump(model, path):
        with open(path, "wb") as file:
            pickle.dump(model, file, protocol=protocol)

    return dump


def compressed(compress):
    """A `dump` that writes joblib's container of this kind."""

    def dump(model, path):
        joblib.dump(model, path, compress=compress)

    return dump


def joblib_bytes(model) -> bytes:
    """What `joblib.dump` writes."""
    file = io.BytesIO()
    joblib.dump(model, file)
    return file.getvalue()


class Client:
    """The official stubs on one channel, and the calls that tests make most."""

    def __init__(self, address: str):
        self.address = address
        self.channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.enable_http_proxy", 0),
            ],
        )
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def close(self):
        self.channel.close()

    def predict(self, name: str, inputs, signature: str = "", version: int | None = None, outputs=()):
        """Predict with arrays or ready `TensorProto`s; gives the whole response."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        if not isinstance(inputs, dict):
            inputs = {"inputs": inputs}
        for alias, value in inputs.items():
            if not isinstance(value, TensorProto):
                value = tf.make_tensor_proto(value)
            request.inputs[alias].CopyFrom(value)
        request.output_filter.extend(outputs)
        return self.prediction.Predict(request, timeout=CALL_SECONDS)

    def arrays(self, name: str, inputs, signature: str = "", **more) -> dict[str, np.ndarray]:
        """Predict; gives the outputs as arrays."""
        response = self.predict(name, inputs, signature, **more)
        return {alias: tf.make_ndarray(tensor) for alias, tensor in response.outputs.items()}

    def status(self, name: str, version: int | None = None):
        """GetModelStatus: version -> ModelVersionStatus, in the order of the answer."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        answer = self.model.GetModelStatus(request, timeout=CALL_SECONDS)
        return {entry.version: entry for entry in answer.model_version_status}

    def signatures(self, name: str, version: int | None = None):
        """GetModelMetadata: signature name -> SignatureDef."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        answer = self.prediction.GetModelMetadata(request, timeout=CALL_SECONDS)
        found = get_model_metadata_pb2.SignatureDefMap()
        assert answer.metadata["signature_def"].Unpack(found), answer
        return dict(found.signature_def)

    def wait_available(self, name: str, version: int, seconds: float = 20.0):
        """Until this version is served; its own error at once when it cannot be."""

        def available():
            entry = self._status_or_none(name, version)
            if entry is not None and entry.state != AVAILABLE:
                assert entry.status.error_code == 0, f"{name} version {version}: {entry.status.error_message}"
            return entry is not None and entry.state == AVAILABLE

        eventually(available, seconds)

    def wait_failed(self, name: str, version: int, seconds: float = 20.0):
        """Until this version has failed to load; gives its ModelVersionStatus."""

        def failed():
            entry = self._status_or_none(name, version)
            assert entry is None or entry.state != AVAILABLE, f"{name} version {version} is served"
            return entry if entry is not None and entry.status.error_code != 0 else None

        return eventually(failed, seconds)

    def health_of(self, service: str):
        """What the health service says of this name; None for a name that it does not know."""
        try:
            request = health_pb2.HealthCheckRequest(service=service)
            return self.health.Check(request, timeout=CALL_SECONDS).status
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
            return None

    def wait_health(self, service: str, status):
        """Until the health service says this: it follows the states, a moment later."""

        def said():
            return self.health_of(service) == status

        eventually(said)

    def _status_or_none(self, name: str, version: int):
        try:
            return self.status(name).get(version)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
            return None


def eventually(check, seconds: float = 20.0, pause: float = 0.02):
    """Calls `check` until it gives something true, and gives that back."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {check.__qualname__}"
        time.sleep(pause)
