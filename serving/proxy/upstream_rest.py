"""Microservices over REST: pooled connections and short time-outs."""

from contextlib import closing
from time import monotonic
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
from urllib3.util import parse_url

from serving.errors import UpstreamDown, UpstreamFault, UpstreamSlow
from serving.proxy.kept import Kept
from serving.proxy.payload import Rows, seldon_message
from serving.proxy.store import Route
from serving.proxy.upstream_faults import Refused, fault, shown
from serving.settings import GatewaySettings

MOST_BYTES = 64 * 1024 * 1024  # of an answer; 100 000 rows take 5 MB
PART_BYTES = 64 * 1024
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


class RestUpstream:
    """The HTTP connections of one process."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._timeout = urllib3.Timeout(connect=settings.connect_ms / 1000, read=settings.read_ms / 1000)
        self._kept = Kept(self._open)  # by URL: urllib3's manager would take it apart for every request

    def _open(self, url: str) -> tuple[urllib3.HTTPConnectionPool, str]:
        pool = urllib3.connection_from_url(url, maxsize=self._settings.connections, timeout=self._timeout)
        return pool, parse_url(url).request_uri

    def predict(self, route: Route, rows: Rows, puid: str) -> Any:
        """Return a microservice's answer; see ``Upstream.predict``."""
        who = f"variation {route.label!r}"
        body = orjson.dumps(seldon_message(rows, puid))
        until = monotonic() + self._settings.read_ms / 1000
        try:
            pool, path = self._kept.of(route.url)
            response = pool.urlopen("POST", path, body, HEADERS, retries=False, redirect=False, preload_content=False)
            content = self._read(response, until, who)
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            # NewConnectionError is a ConnectTimeoutError in urllib3 2
            if isinstance(error, NewConnectionError):
                raise Refused(f"{who} cannot be reached at {shown(route.url)}") from error
            raise self._slow(who, error) from error
        except ProtocolError as error:
            raise Refused(f"{who} cut the connection at {shown(route.url)}") from error
        except HTTPError as error:
            raise UpstreamDown(f"{who} cannot be called at {shown(route.url)}: {type(error).__name__}") from error
        if response.status == 200:
            return _json(content, who)
        raise fault(response.status, _info(content), who)

    def close(self) -> None:
        """Close the connections."""
        for pool, _ in self._kept.clear():
            pool.close()

    def _read(self, response: urllib3.BaseHTTPResponse, until: float, who: str) -> bytearray:
        """Return the body of an answer, which may come in parts, but not begin the wait anew with each of them."""
        body = bytearray()
        with closing(response):
            try:
                while part := response.read1(PART_BYTES):
                    body += part
                    if len(body) > MOST_BYTES:
                        raise UpstreamFault(f"{who} answered with more than {MOST_BYTES} bytes")
                    if monotonic() > until and not response.closed:
                        raise self._slow(who)
            except ProtocolError as error:  # it did answer: it is not asked again
                raise UpstreamDown(f"{who} cut the connection within its answer") from error
        return body

    def _slow(self, who: str, error: HTTPError | None = None) -> UpstreamSlow:
        if isinstance(error, ConnectTimeoutError):
            return UpstreamSlow(f"{who} took no connection within {self._settings.connect_ms} ms")
        return UpstreamSlow(f"{who} did not answer within {self._settings.read_ms} ms")


def _json(body: bytearray, who: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamFault(f"{who} answered with what is not JSON") from error


def _info(body: bytearray) -> str | None:
    """Return the message of a Seldon error body, if it is one."""
    try:
        info = orjson.loads(body)["status"]["info"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return info if isinstance(info, str) else None
