"""The page of metrics, read by Prometheus' own parsers after calls of the official client."""

import gzip
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from sklearn.linear_model import LinearRegression

from serving import publish

PATH = "/monitoring/prometheus/metrics"


def get(server, path=PATH, **headers):
    request = urllib.request.Request(f"http://{server.rest_address}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers, answer.read()


def families(server):
    headers, body = get(server)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


def value(families, family, sample=None, **labels):
    # The parser gives counters the ending of their newer format, whatever their name is.
    names = [sample] if sample else [family, f"{family}_total"]
    found = [s.value for s in families[family].samples if s.name in names and s.labels == labels]
    assert len(found) == 1, (family, labels, families[family].samples)
    return found[0]


@pytest.fixture
def server(start, tmp_path):
    (tmp_path / "models").mkdir()
    model = LinearRegression().fit([[0.0], [1.0]], [2.0, 2.5])
    publish(tmp_path / "models", "half plus \"two\"", 1, model)
    server = start()
    server.client.wait_available("half plus \"two\"", 1)
    return server


def test_prometheus_reads_what_was_counted(server):
    name = "half plus \"two\""
    for _ in range(5):
        server.client.predict(name, np.array([[2.0]]))
    with pytest.raises(grpc.RpcError):
        server.client.predict("nobody", np.array([[2.0]]))
    page = families(server)

    count = ":tensorflow:serving:request_count"
    assert page[count].type == "counter"
    assert value(page, count, model_name=name, status="OK") == 5
    assert value(page, count, model_name=".unknown", status="NOT_FOUND") == 1
    latency = ":tensorflow:serving:request_latency"
    assert page[latency].type == "histogram"
    labels = {"model_name": name, "API": "Predict", "entrypoint": "GRPC"}
    buckets = [s for s in page[latency].samples if s.name == f"{latency}_bucket" and s.labels.items() >= labels.items()]
    bounds = [bucket.labels["le"] for bucket in buckets]
    assert bounds == [f"{10 * 1.8**i:.6g}" for i in range(33)] + ["+Inf"]
    values = [bucket.value for bucket in buckets]
    assert values == sorted(values) and values[-1] == 5 == value(page, latency, f"{latency}_count", **labels)

    own = {"model": name, "version": "1", "rpc": "Predict", "protocol": "gRPC"}
    duration = "longshore_request_duration_seconds"
    whole = value(page, duration, f"{duration}_sum", **own)
    assert 0 < whole < 10
    # Both ways of counting mean the same time.
    micros = value(page, latency, f"{latency}_sum", **labels)
    assert micros / 1e6 == pytest.approx(whole, abs=5e-6)
    stages = page["longshore_request_stage_duration_seconds"].samples
    assert {s.labels["stage"] for s in stages} >= {"decode", "compute", "encode"}
    assert value(page, "longshore_model_version_state", model=name, version="1") == 30
    assert value(page, "process_resident_memory_bytes") > 1e6


def test_names_and_types_agree(server):
    """What the stricter rules of histograms and counters say of ours."""
    server.client.predict("half plus \"two\"", np.array([[2.0]]))
    _, body = get(server)
    kept, keep = [], False
    for line in body.decode().splitlines():
        if line.startswith("# HELP"):
            keep = line.split()[2].startswith(("longshore_", "process_"))
        elif line.startswith("# TYPE") and line.split()[2].startswith(":"):
            keep = False
        if keep:
            # A counter's family is named without its ending there.
            if line.startswith("# ") and line.split()[2].endswith("_total"):
                line = line.replace("_total ", " ", 1)
            kept.append(line)
    parsed = list(openmetrics("\n".join([*kept, "# EOF", ""])))
    assert len(parsed) > 15


def test_gzip_and_another_path(start, server, tmp_path):
    headers, body = get(server, **{"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    assert list(text_string_to_metric_families(gzip.decompress(body).decode()))

    config = tmp_path / "monitoring.config"
    config.write_text('prometheus_config { enable: true path: "/metrics" }')
    other = start(f"--monitoring_config_file={config}")
    assert b"longshore_build_info" in get(other, "/metrics")[1]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(other)
    config.write_text("prometheus_config { enable: false }")
    off = start(f"--monitoring_config_file={config}")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(off)
