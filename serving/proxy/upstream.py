"""Calling a microservice, over REST or gRPC."""

from typing import Any

from serving.proxy.payload import Rows
from serving.proxy.store import Route
from serving.proxy.upstream_rest import RestUpstream
from serving.proxy.upstream_rpc import RpcUpstream
from serving.settings import GatewaySettings


class Upstream:
    """The connections of one process to the microservices; none is made before the first request.

    gunicorn forks its workers, and a gRPC channel does not survive that.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._rest = RestUpstream(settings)
        self._rpc = RpcUpstream(settings)

    def predict(self, route: Route, rows: Rows, puid: str) -> Any:
        """Return a microservice's answer as the JSON of a Seldon message.

        Raises
        ------
        RequestError
            The microservice refused the data; its message says why.
        UpstreamFault, UpstreamDown, UpstreamSlow
            It is the microservice's fault.
        """
        caller = self._rpc if route.kind == "rpc" else self._rest
        return caller.predict(route, rows, puid)

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()
        self._rpc.close()
