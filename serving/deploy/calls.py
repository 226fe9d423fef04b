"""Calling a proxy, as the commands do."""

from typing import IO, Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from serving import server_and_key
from serving.errors import CallError, ClusterError

TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)


class Proxy:
    """A proxy at an address.

    Parameters
    ----------
    server : str
        For example ``http://127.0.0.1:8000``.
    api_key : str, optional
        Where the proxy asks for one; without it, ``INLIER_API_KEY``.
    pool : urllib3.PoolManager, optional
        How to get there, when it is not by an ordinary connection.
    """

    def __init__(self, server: str, api_key: str | None = None, pool: urllib3.PoolManager | None = None) -> None:
        self.server = server_and_key.checked_server(server)
        self._api_key = server_and_key.api_key(api_key)
        self._pool = pool or urllib3.PoolManager()
        self.forwarded = pool is not None

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        size: int | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body of any request; what is sent from a file needs its ``size``."""
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        headers = {}
        if size is not None:
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        elif body is not None:
            headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        try:
            response = self._pool.request(
                method, url, body=body, headers=headers, redirect=False, retries=False, timeout=TIMEOUT
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise CallError(f"no proxy answers at {self.server}{_hint(error)}") from error
        return response.status, response.data

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def expect(self, status: int, body: bytes) -> None:
        """Raise a CallError, with the message of the proxy, unless an answer is a good one."""
        if status >= 400:
            raise CallError(error_message(status, body), status)

    def call(self, method: str, path: str, content: Any = None) -> Any:
        """Return what the JSON of an answer says.

        Raises
        ------
        CallError
            With the message of the proxy.
        """
        try:
            asked = None if content is None else orjson.dumps(content)
        except orjson.JSONEncodeError as error:
            raise CallError(f"what was to be asked is no JSON: {error}") from error
        status, body = self.send(method, path, body=asked)
        self.expect(status, body)
        return orjson.loads(body) if body else None

    def client(self, name: str, *parts: str) -> str:
        """Return the path of a client, or of something of its."""
        return "/".join(["/clients", quote(name, safe=""), *parts])


def _hint(error: Exception) -> str:
    """Say what may be wrong: nothing listens there, or the cluster does not forward a port to it."""
    if isinstance(error.__cause__, ClusterError):
        return f": {error.__cause__}"
    return "; `inlier up` starts one" if isinstance(error, urllib3.exceptions.NewConnectionError) else ""


def error_message(status: int, body: bytes) -> str:
    """Return the message in an error's body; it may come from something that is no proxy of ours."""
    try:
        return str(orjson.loads(body)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"the server answered with status {status}"
