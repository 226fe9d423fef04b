"""Microservices over gRPC: ``seldon.protos.Model/Predict`` on channels that live as long as the process."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import grpc

from serving.errors import ProxyError, RequestError, UpstreamFault, UpstreamSlow
from serving.protocols.wire import prediction_pb2 as pb
from serving.proxy.kept import Kept
from serving.proxy.payload import Rows
from serving.proxy.rpc_payload import read_reply, write_rows
from serving.proxy.store import Route
from serving.proxy.upstream_faults import Refused, fault
from serving.settings import GatewaySettings

METHOD = "/seldon.protos.Model/Predict"
STATUS = "inlier-status"
"""In the trailing metadata of a microservice of ours: the status that REST would have answered with."""
BACKOFF_MS = 1000
IDLE_MS = 60_000
CLIENT_FAULTS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.FAILED_PRECONDITION}

Call = Callable[..., Any]


class RpcUpstream:
    """The channels of one process, each made when it is first needed."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._options = [
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),  # the gateway draws again, which a channel cannot
            ("grpc.lb_policy_name", "round_robin"),  # over all addresses of a headless service
            ("grpc.min_reconnect_backoff_ms", settings.connect_ms),  # also how long one attempt to connect may take
            ("grpc.initial_reconnect_backoff_ms", min(100, settings.connect_ms)),
            ("grpc.max_reconnect_backoff_ms", BACKOFF_MS),
            ("grpc.client_idle_timeout_ms", IDLE_MS),  # what is not asked for is not connected to for ever
            ("grpc.max_receive_message_length", -1),
        ]
        self._kept = Kept(self._open)

    def predict(self, route: Route, rows: Rows, puid: str) -> Any:
        """Return a microservice's answer; see ``Upstream.predict``. The time to answer includes connecting."""
        _, call = self._kept.of(route.url)
        try:
            reply = call(write_rows(rows, puid), timeout=self._settings.read_ms / 1000)
        except grpc.RpcError as error:
            raise self._failure(error, route) from error
        try:
            return read_reply(reply)
        except ValueError as error:
            raise UpstreamFault(f"variation {route.label!r} answered with no prediction: {error}") from error

    def close(self) -> None:
        """Close the channels."""
        for channel, _ in self._kept.clear():
            channel.close()

    def _open(self, url: str) -> tuple[grpc.Channel, Call]:
        channel = grpc.insecure_channel(urlsplit(url).netloc, options=self._options)
        call = channel.unary_unary(
            METHOD,
            request_serializer=pb.SeldonMessage.SerializeToString,
            response_deserializer=pb.SeldonMessage.FromString,
        )
        return channel, call

    def _failure(self, error: Any, route: Route) -> ProxyError:
        """Return what a failed call means; what the microservice itself said of it comes first."""
        who, code, said = f"variation {route.label!r}", error.code(), error.details()
        status = dict(error.trailing_metadata() or ()).get(STATUS, "")
        if status.isdecimal():
            return fault(int(status), said, who)
        if code is grpc.StatusCode.UNAVAILABLE:
            return Refused(f"{who} cannot be reached at {route.url}: {_one_line(said)}")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return UpstreamSlow(f"{who} did not answer within {self._settings.read_ms} ms")
        if code in CLIENT_FAULTS:
            return RequestError(said or f"{who} refused the data with {code.name}")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return fault(413 if "larger than max" in (said or "") else 429, said, who)
        return UpstreamFault(f"{who} answered with {code.name}: {_one_line(said)}")


def _one_line(text: str | None) -> str:
    return " ".join((text or "no reason given").split())[:500]
