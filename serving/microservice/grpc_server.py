"""gRPC, in the same event loop as REST: Seldon Core v1, the Open Inference Protocol, health and reflection."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2, json_format
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from serving.errors import BadData, ComponentError, ModelFault, NotOffered, ServingError
from serving.microservice import oip_routes
from serving.microservice.long_calls import LongCalls
from serving.microservice.methods import NotImplementedHere, guarded
from serving.microservice.outcome import Outcome
from serving.microservice.puids import new_puid
from serving.microservice.seldon_calls import Answer, SeldonCalls
from serving.microservice.service import Service
from serving.protocols import oip_proto, seldon_proto
from serving.protocols.wire import inference_pb2, prediction_pb2

_log = logging.getLogger("inlier.grpc")
_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
_AT_HAND: Final = 64
"""Calls at once besides the long ones: streams of health and reflection, and what is answered or refused at once."""
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
Call = Callable[[Any], tuple[Any, Outcome | None]]


class GrpcServer:
    """The gRPC side of a service.

    Parameters
    ----------
    service : Service
        What is served.
    long_calls : LongCalls
        Where predictions run.
    address : str
        ``host:port``.
    """

    def __init__(self, service: Service, long_calls: LongCalls, address: str) -> None:
        self._service = service
        self._long = long_calls
        self._address = address
        limit = service.settings.max_body_bytes
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 1),
            ],
            maximum_concurrent_rpcs=service.settings.max_waiting + _AT_HAND,
        )
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        seldon, oip = _Seldon(service), _Oip(service)
        names = []
        for file, calls in ((prediction_pb2, seldon.calls()), (inference_pb2, oip.calls())):
            for described in file.DESCRIPTOR.services_by_name.values():
                handlers = {one.name: self._handler(one, calls[one.name]) for one in described.methods}
                full_name = described.full_name
                self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(full_name, handlers),))
                names.append(full_name)
        self._names = names
        reflected = (*names, health.SERVICE_NAME, reflection.SERVICE_NAME, _REFLECTION_V1)
        reflection.enable_server_reflection(reflected, self._server)
        self._server.add_generic_rpc_handlers((_reflection_v1(reflected),))

    async def start(self) -> int:
        """Listen.

        Returns
        -------
        int
            The port.

        Raises
        ------
        ComponentError
            If that cannot be.
        """
        try:
            port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise ComponentError(f"cannot listen on {self._address} for gRPC: {error}") from error
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        _log.info("serving %s over gRPC at %s", self._service.name, self._address)
        return int(port)

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and wait for those under way.

        Parameters
        ----------
        seconds : float
            After which they are cut.
        """
        await self._health.enter_graceful_shutdown()
        await self._server.stop(seconds)

    def _handler(self, method: Any, call: Call) -> Any:
        request, response = (
            _message_class(described.full_name) for described in (method.input_type, method.output_type)
        )
        return grpc.unary_unary_rpc_method_handler(
            self._behaviour(method.name, call),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )

    def _behaviour(self, name: str, call: Call) -> Callable[[Any, Any], Awaitable[Any]]:
        route = f"grpc-{name}"

        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            began = perf_counter()
            try:
                size = request.ByteSize()
                reply, outcome = await self._long.run(call, request, size)
            except ServingError as error:
                status, message = (501 if isinstance(error, NotOffered) else error.status), str(error)
                if status >= 500:
                    _log.error("%s: %s", name, error, exc_info=error.__cause__)
            except Exception as error:  # noqa: BLE001 - every call gets an answer
                _log.exception("%s failed", name)
                status, message = 500, str(error) or type(error).__name__
            else:
                self._service.count(route, 200, perf_counter() - began, outcome)
                return reply
            self._service.count(route, status, perf_counter() - began, None)
            # Of gRPC's codes one stands for several statuses: say which, for whoever would tell them apart
            trailer = (("inlier-status", str(status)),)
            await context.abort(_CODES.get(status, grpc.StatusCode.INTERNAL), message, trailer)
            raise AssertionError("abort raises")

        return answer


def _message_class(full_name: str) -> Any:
    package, _, name = full_name.rpartition(".")
    if package == "google.protobuf":
        return empty_pb2.Empty
    return getattr(prediction_pb2 if package == "seldon.protos" else inference_pb2, name)


def _reflection_v1(names: Sequence[str]) -> Any:
    """Reflection under the name it has had since it is no alpha: the messages are the same on the wire."""
    messages = reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
    method = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        request_deserializer=messages[0].FromString,
        response_serializer=messages[1].SerializeToString,
    )
    return grpc.method_handlers_generic_handler(_REFLECTION_V1, {"ServerReflectionInfo": method})


class _Seldon:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._calls = SeldonCalls(service)

    def calls(self) -> dict[str, Call]:
        one = {"Predict": "predict", "TransformInput": "transform_input", "TransformOutput": "transform_output"}
        return {
            **{name: self._of_message(method) for name, method in one.items()},
            "Route": self._of_message("route"),
            "Aggregate": self._aggregate,
            "SendFeedback": self._feedback,
            "Metadata": self._metadata,
            "ModelMetadata": self._metadata,
            "GraphMetadata": self._no_graph,
        }

    def _of_message(self, method: str) -> Call:
        call = getattr(self._calls, method)

        def run(request: Any) -> tuple[Any, Outcome | None]:
            component = self._service.component
            raw = self._raw(method, request)
            return raw or _written(call(component, seldon_proto.parse(request)))

        return run

    def _aggregate(self, request: Any) -> tuple[Any, Outcome | None]:
        raw = self._raw("aggregate", request)
        if raw is not None:
            return raw
        if not request.seldonMessages:
            raise BadData("seldonMessages is empty")
        messages = [seldon_proto.parse(message) for message in request.seldonMessages]
        return _written(self._calls.aggregate(self._service.component, messages))

    def _feedback(self, request: Any) -> tuple[Any, Outcome | None]:
        raw = self._raw("send_feedback", request)
        if raw is not None:
            self._service.count_reward(request.reward)
            return raw
        return _written(self._calls.feedback(self._service.component, seldon_proto.parse_feedback(request)))

    def _raw(self, method: str, request: Any) -> tuple[Any, Outcome | None] | None:
        """A class's own handling of whole messages: they are the messages of this wire."""
        raw = self._service.component.raw(method)
        if raw is None:
            return None
        try:
            answer = guarded(raw, request)
        except NotImplementedHere:
            return None
        if isinstance(answer, dict):
            answer = json_format.ParseDict(answer, prediction_pb2.SeldonMessage())
        return answer, None

    def _metadata(self, _: Any) -> tuple[Any, None]:
        found = prediction_pb2.SeldonModelMetadata()
        return json_format.ParseDict(self._service.metadata(), found, ignore_unknown_fields=True), None

    def _no_graph(self, _: Any) -> tuple[Any, None]:
        raise NotOffered("GraphMetadata not available on the Model level.")


def _written(answer: Answer) -> tuple[Any, Outcome]:
    try:
        return seldon_proto.encode(answer.kind, answer.data, answer.names, answer.meta), answer.outcome
    except TypeError as error:
        raise ModelFault(str(error)) from error


class _Oip:
    def __init__(self, service: Service) -> None:
        self._service = service

    def calls(self) -> dict[str, Call]:
        return {
            "ServerLive": lambda _: (inference_pb2.ServerLiveResponse(live=True), None),
            "ServerReady": lambda _: (inference_pb2.ServerReadyResponse(ready=not self._service.draining), None),
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _: (inference_pb2.ServerMetadataResponse(**oip_routes.server_metadata()), None),
            "ModelMetadata": self._metadata,
            "ModelInfer": self._infer,
        }

    def _model_ready(self, request: Any) -> tuple[Any, None]:
        oip_routes.check_model(self._service, self._service.component, request.name, request.version)
        return inference_pb2.ModelReadyResponse(ready=not self._service.draining), None

    def _metadata(self, request: Any) -> tuple[Any, None]:
        component = self._service.component
        oip_routes.check_model(self._service, component, request.name, request.version)
        found = oip_routes.model_metadata(self._service, component)
        answer = inference_pb2.ModelMetadataResponse()
        return json_format.ParseDict(found, answer, ignore_unknown_fields=True), None

    def _infer(self, request: Any) -> tuple[Any, Outcome]:
        service, component = self._service, self._service.component
        oip_routes.check_model(service, component, request.model_name, request.model_version)
        inference = oip_proto.parse(request)
        inference.id = inference.id or new_puid()
        explain = inference.parameters.get("explain") in (True, 1, "1", "true")
        outputs, outcome = oip_routes.predict(service, component, inference, explain=explain)
        parameters = oip_routes.parameters_of(outcome.tags)
        name = service.name_of(component)
        return oip_proto.encode(name, component.version, inference, outputs, parameters), outcome
