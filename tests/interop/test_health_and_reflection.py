"""Standard clients of health checking and reflection, which know nothing of us."""

import shutil

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from serving import CALL_SECONDS
from test_rollout import trained

SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PREDICTION = "tensorflow.serving.PredictionService"
MODEL = "tensorflow.serving.ModelService"
SERVICES = {PREDICTION, MODEL, "grpc.health.v1.Health"}


@pytest.mark.parametrize("service", ["", PREDICTION, MODEL, "PredictionService", "ModelService", "model:linear_regression"])
def test_a_serving_server_says_so_for_each_name(sample, service):
    sample.client.wait_health(service, SERVING)


@pytest.mark.parametrize("service", ["nobody", "model:nobody", "model:"])
def test_health_of_a_stranger_is_not_found(sample, service):
    assert sample.client.health_of(service) is None


def test_health_of_a_model_follows_the_model(server):
    server.publish("good", 1, trained(1))
    server.publish("bad", 1, b"this is no model")
    server.client.wait_available("good", 1)
    server.client.wait_failed("bad", 1)
    server.client.wait_health("model:good", SERVING)
    server.client.wait_health("model:bad", NOT_SERVING)
    assert server.client.health_of("") == SERVING, "one bad model does not take the others out of service"


def test_watching_a_model_tells_when_it_is_ready(server):
    server.publish("late", 1, b"not yet a model")
    server.client.wait_failed("late", 1)
    server.client.wait_health("model:late", NOT_SERVING)
    request = health_pb2.HealthCheckRequest(service="model:late")
    watch = server.client.health.Watch(request, timeout=CALL_SECONDS)
    assert next(watch).status == NOT_SERVING
    server.publish("late", 2, trained(2))
    assert next(watch).status == SERVING
    watch.cancel()


def test_a_watch_follows_a_model_that_comes_and_goes(server):
    # A repository that turns up empty would be taken for an unmounted one.
    server.publish("stays", 1, trained(1))
    server.client.wait_available("stays", 1)
    watch = server.client.health.Watch(health_pb2.HealthCheckRequest(service="model:later"), timeout=60)
    assert next(watch).status == SERVICE_UNKNOWN
    server.publish("later", 1, trained(1))
    # Until it is loaded it may be told as wanted and not there.
    assert next(told for told in watch if told.status != NOT_SERVING).status == SERVING
    assert server.client.health_of("model:later") == SERVING
    shutil.rmtree(server.repository / "later")
    assert next(told for told in watch if told.status != NOT_SERVING).status == SERVICE_UNKNOWN
    assert server.client.health_of("model:later") is None
    watch.cancel()


@pytest.mark.parametrize("service", ["", PREDICTION, MODEL, "PredictionService", "ModelService"])
def test_a_watch_of_a_service_follows_whether_any_model_can_answer(server, service):
    server.publish("only", 1, b"this is no model")
    server.client.wait_failed("only", 1)
    server.client.wait_health(service, NOT_SERVING)
    watch = server.client.health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=60)
    assert next(watch).status == NOT_SERVING
    server.publish("only", 2, trained(2))
    assert next(watch).status == SERVING
    server.publish("other", 1, b"nor is this")
    server.client.wait_failed("other", 1)
    server.begin_stop()
    assert next(watch).status == NOT_SERVING, "and not because of the other one: it drains"
    assert list(watch) == [], "the watch ends with the server"
    server.end()


def test_reflection_v1alpha_serves_pythons_own_client(sample):
    database = ProtoReflectionDescriptorDatabase(sample.client.channel)
    assert SERVICES <= set(database.get_services())
    pool = DescriptorPool(database)
    service = pool.FindServiceByName(PREDICTION)
    assert {method.name for method in service.methods} == {
        "Classify",
        "Regress",
        "Predict",
        "MultiInference",
        "GetModelMetadata",
    }
    request = pool.FindMessageTypeByName("tensorflow.serving.PredictRequest")
    assert request.fields_by_name["inputs"].number == 2
    tensor = pool.FindMessageTypeByName("tensorflow.TensorProto")
    assert tensor.fields_by_name["tensor_content"].number == 4


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_answers_in_both_versions(sample, version):
    # v1 has the messages of v1alpha under another path.
    ask = sample.client.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"{PREDICTION}.Predict"),
        reflection_pb2.ServerReflectionRequest(file_by_filename="tensorflow_serving/apis/predict.proto"),
    ]
    services, symbol, file = ask(iter(requests), timeout=CALL_SECONDS)
    listed = {service.name for service in services.list_services_response.service}
    assert listed >= SERVICES | {f"grpc.reflection.{version}.ServerReflection"}
    assert "tensorflow.serving.SessionService" not in listed, "what is not served is not listed"
    assert symbol.file_descriptor_response.file_descriptor_proto
    assert file.file_descriptor_response.file_descriptor_proto
    # tonic ends the stream with the status that others put into an error_response.
    missing = reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Symbol")
    with pytest.raises(grpc.RpcError) as caught:
        list(ask(iter([missing]), timeout=CALL_SECONDS))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
