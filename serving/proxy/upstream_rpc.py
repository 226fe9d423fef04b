"""Microservices over gRPC: ``seldon.protos.Model/Predict`` on channels that live as long as the process."""

from itertools import cycle
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
CONNECTIONS = 4
BACKOFF_MS = 1000
IDLE_MS = 60_000
CLIENT_FAULTS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.FAILED_PRECONDITION}


class _Channels:
    """A few connections to one address, which take turns: a service spreads connections over its pods, not calls."""

    def __init__(self, target: str, options: list[tuple[str, Any]]) -> None:
        self._channels = [grpc.insecure_channel(target, options=options) for _ in range(CONNECTIONS)]
        self._turns = cycle([self._predict(channel) for channel in self._channels])

    @staticmethod
    def _predict(channel: grpc.Channel) -> Any:
        return channel.unary_unary(
            METHOD,
            request_serializer=pb.SeldonMessage.SerializeToString,
            response_deserializer=pb.SeldonMessage.FromString,
        )

    def call(self, message: pb.SeldonMessage, timeout: float) -> Any:
        return next(self._turns)(message, timeout=timeout)

    def close(self) -> None:
        for channel in self._channels:
            channel.close()


class RpcUpstream:
    """The channels of one process, each made when it is first needed."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._options = [
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection
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
        channels = self._kept.of(route.url)
        try:
            reply = channels.call(write_rows(rows, puid), timeout=self._settings.read_ms / 1000)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                # The other end may have gone without a word; a channel would find out after a quarter of an hour
                self._kept.forget(route.url, channels)
            raise self._failure(error, route) from error
        try:
            return read_reply(reply)
        except ValueError as error:
            raise UpstreamFault(f"variation {route.label!r} answered with no prediction: {error}") from error

    def close(self) -> None:
        """Close the channels."""
        for channels in self._kept.clear():
            channels.close()

    def _open(self, url: str) -> "_Channels":
        return _Channels(urlsplit(url).netloc, self._options)

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
