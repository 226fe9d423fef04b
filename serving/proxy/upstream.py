"""Calling a microservice: pooled connections, short time-outs, and what each failure means to the client."""

from typing import Any

import orjson
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from serving.errors import RequestError, UpstreamDown, UpstreamFault, UpstreamSlow
from serving.proxy.store import Route
from serving.settings import GatewaySettings

CLIENT_FAULTS = {400, 413, 422}  # what a microservice says of the data; other 4xx mean that it is no microservice
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
POOLS = 64  # hosts to which connections are kept


class Refused(UpstreamDown):
    """Nothing listens there (any more), or the connection was cut before an answer: it is safe to ask again."""


class Upstream:
    """The connections of one process to the microservices."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._timeout = urllib3.Timeout(connect=settings.connect_ms / 1000, read=settings.read_ms / 1000)
        self._pools = urllib3.PoolManager(
            num_pools=POOLS, maxsize=settings.connections, timeout=self._timeout, retries=False, headers=HEADERS
        )

    def predict(self, route: Route, message: dict[str, Any]) -> Any:
        """Return a microservice's answer to a Seldon message.

        Raises
        ------
        RequestError
            The microservice refused the data; its message says why.
        UpstreamFault, UpstreamDown, UpstreamSlow
            It is the microservice's fault.
        """
        who = f"variation {route.label!r}"
        try:
            response = self._pools.request("POST", route.url, body=orjson.dumps(message), redirect=False)
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            # NewConnectionError is a ConnectTimeoutError in urllib3 2
            if isinstance(error, NewConnectionError):
                raise Refused(f"{who} cannot be reached at {route.url}") from error
            raise self._slow(who, error) from error
        except ProtocolError as error:
            raise Refused(f"{who} cut the connection at {route.url}") from error
        except HTTPError as error:
            raise UpstreamDown(f"{who} cannot be called at {route.url}: {error}") from error
        if response.status == 200:
            return _json(response.data, who)
        raise _fault(response.status, response.data, who)

    def _slow(self, who: str, error: HTTPError) -> UpstreamSlow:
        if isinstance(error, ConnectTimeoutError):
            return UpstreamSlow(f"{who} took no connection within {self._settings.connect_ms} ms")
        return UpstreamSlow(f"{who} did not answer within {self._settings.read_ms} ms")


def _json(body: bytes, who: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamFault(f"{who} answered with what is not JSON") from error


def _fault(status: int, body: bytes, who: str) -> RequestError | UpstreamFault | UpstreamDown:
    said = _info(body)
    if status in CLIENT_FAULTS:
        return RequestError(said or f"{who} refused the data with status {status}")
    text = f"{who} answered with status {status}" + (f": {said}" if said else "")
    return UpstreamDown(text) if status in {429, 503} else UpstreamFault(text)


def _info(body: bytes) -> str | None:
    """Return the message of a Seldon error body, if it is one."""
    try:
        info = orjson.loads(body)["status"]["info"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return info[:2000] if isinstance(info, str) else None
