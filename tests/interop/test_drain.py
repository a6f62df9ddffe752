"""How the server stops: readiness first, then what is in flight, then itself."""

import queue
import signal
import threading
import time

import grpc
import numpy as np
import tensorflow as tf
from grpc_health.v1 import health_pb2
from tensorflow_serving.apis import predict_pb2

from serving import CALL_SECONDS, Client
from test_rollout import ROW, Traffic, trained

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING


def begin_predict(client: Client, name: str):
    """Opens a Predict whose message comes later: in flight until `finish` is called."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(ROW))
    message = queue.Queue()
    call = client.channel.stream_unary(
        "/tensorflow.serving.PredictionService/Predict",
        request_serializer=predict_pb2.PredictRequest.SerializeToString,
        response_deserializer=predict_pb2.PredictResponse.FromString,
    )
    answer = call.future(iter(message.get, None), timeout=CALL_SECONDS)

    def finish():
        message.put(request)
        message.put(None)
        return answer.result()

    return finish


def test_sigterm_turns_readiness_off_and_finishes_what_is_in_flight(start):
    server = start("--drain_grace=2")
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    watches = []
    for service in ["", "tensorflow.serving.PredictionService", "model:prices"]:
        server.client.wait_health(service, SERVING)
        request = health_pb2.HealthCheckRequest(service=service)
        watches.append(server.client.health.Watch(request, timeout=CALL_SECONDS))
        assert next(watches[-1]).status == SERVING
    finish = begin_predict(server.client, "prices")
    time.sleep(0.3)  # The call's headers are there, its message is not.

    server.begin_stop()
    for watch in watches:
        assert next(watch).status == NOT_SERVING
        watch.cancel()
    # New calls are still answered during the grace: balancers need time to look away.
    assert server.client.predict("prices", ROW).model_spec.version.value == 1
    time.sleep(2.2)
    assert server.process.poll() is None, "it waits for the call in flight"
    [answer] = finish().outputs["predictions"].double_val
    np.testing.assert_allclose(answer, trained(1).predict(ROW)[0], rtol=1e-12)
    server.end()


def test_a_client_that_heeds_goaway_loses_no_request(start):
    server = start("--drain_grace=0.5")
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    traffic = Traffic(server.address, "prices", {1: float(trained(1).predict(ROW)[0])})
    time.sleep(0.5)
    server.begin_stop()
    server.end()
    asked = traffic.asked
    traffic.stop()
    assert asked > 100
    # Once the listener is gone there is nobody to ask; until then nothing fails.
    assert all(wrong.startswith("StatusCode.UNAVAILABLE") for wrong in traffic.wrong), traffic.wrong[:3]
    assert not any("reset" in wrong.lower() for wrong in traffic.wrong), traffic.wrong[:3]


def test_sigint_stops_it_as_well(start):
    server = start("--drain_grace=0")
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    server.process.send_signal(signal.SIGINT)
    server.end()


def test_the_listener_closes(start):
    server = start("--drain_grace=0")
    server.begin_stop()
    server.end()
    with Client(server.address).channel as channel:
        ready = threading.Event()
        channel.subscribe(lambda state: state == grpc.ChannelConnectivity.READY and ready.set(), try_to_connect=True)
        assert not ready.wait(1.0)
