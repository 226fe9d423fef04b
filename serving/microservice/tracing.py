"""OpenTelemetry: a span for each request, if the environment names where to send them.

The variables are OpenTelemetry's own: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER``
and so on; ``OTEL_SDK_DISABLED`` switches it off.
"""

import logging
import os
from typing import Any

from serving.errors import ComponentError
from serving.microservice.app import Microservice, Receive, Scope, Send

_log = logging.getLogger("inlier.tracing")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted() -> bool:
    """Whether the environment asks for spans."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not disabled and any(os.environ.get(name) for name in _ENDPOINTS)


class Traced:
    """The application, with a span around each request.

    Parameters
    ----------
    app : Microservice
        The application.
    """

    def __init__(self, app: Microservice) -> None:
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise ComponentError(f"{error.name} is not installed; pip install 'inlier[serve]'") from error
        self._app = app
        name = os.environ.get("OTEL_SERVICE_NAME") or app.service.name
        self._provider = TracerProvider(resource=Resource.create({"service.name": name}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("inlier")
        self._extract = propagate.extract
        self._server = trace.SpanKind.SERVER
        self._error = trace.Status(trace.StatusCode.ERROR)
        _log.info("sending spans of %s to %s", name, next(filter(None, map(os.environ.get, _ENDPOINTS))))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, within a span that continues the client's trace."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        name = f"{scope['method']} {self._app.route_at(scope['path']).name}"
        with self._tracer.start_as_current_span(name, self._extract(headers), self._server) as span:
            span.set_attribute("http.request.method", scope["method"])
            span.set_attribute("url.path", scope["path"])

            async def noting(event: Any) -> None:
                if event["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", event["status"])
                    if event["status"] >= 500:
                        span.set_status(self._error)
                await send(event)

            await self._app(scope, receive, noting)

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()
