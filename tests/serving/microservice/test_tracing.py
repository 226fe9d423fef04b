import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from serving.microservice import tracing
from tests.serving.microservice.processes import ours

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(http.server.ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_each_request_is_a_span_of_its_clients_trace(inne_file: Path, collector: Collector) -> None:
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}"
    with ours(inne_file, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, INLIER_DRAIN_SECONDS="0") as server:
        head = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{server.url}/predict", b'{"data": {"ndarray": [[1, 2, 3, 4]]}}', head)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        assert server.get("/nowhere")[0] == 404
        assert server.terminate() == 0
    found = [ExportTraceServiceRequest.FromString(body) for body in collector.bodies]
    resources = [part for one in found for part in one.resource_spans]
    assert any(one.value.string_value == "model_inne" for one in resources[0].resource.attributes)
    spans = {span.name: span for one in resources for scope in one.scope_spans for span in scope.spans}
    assert spans["POST predict"].trace_id.hex() == TRACE
    assert {one.key: one.value.int_value for one in spans["GET unknown"].attributes}["http.response.status_code"] == 404


def test_nothing_is_traced_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert not tracing.wanted()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x")
    assert tracing.wanted()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not tracing.wanted()
