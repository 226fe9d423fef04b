"""Calling a proxy, as the commands do."""

import os
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
import urllib3

from serving.errors import CallError

TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)


class Proxy:
    """A proxy at an address.

    Parameters
    ----------
    server : str
        For example ``http://127.0.0.1:8000``.
    """

    def __init__(self, server: str) -> None:
        self.server = server.rstrip("/")
        if urlsplit(self.server).scheme not in {"http", "https"} or not urlsplit(self.server).hostname:
            raise CallError(f"{server!r} is no address of a proxy; it should be like http://127.0.0.1:8000")
        self._pool = urllib3.PoolManager(timeout=TIMEOUT, retries=False)

    def send(
        self, method: str, path: str, query: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, bytes]:
        """Return status and body of any request."""
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key := os.environ.get("INLIER_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        try:
            response = self._pool.request(method, url, body=body, headers=headers, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            hint = "; `inlier up` starts one" if isinstance(error, urllib3.exceptions.NewConnectionError) else ""
            raise CallError(f"no proxy answers at {self.server}{hint}") from error
        return response.status, response.data

    def call(self, method: str, path: str, content: Any = None) -> Any:
        """Return what the JSON of an answer says.

        Raises
        ------
        CallError
            With the message of the proxy.
        """
        status, body = self.send(method, path, body=None if content is None else orjson.dumps(content))
        if status >= 400:
            raise CallError(error_message(status, body), status)
        return orjson.loads(body) if body else None

    def client(self, name: str, *parts: str) -> str:
        """Return the path of a client, or of something of its."""
        return "/".join(["/clients", quote(name, safe=""), *parts])


def error_message(status: int, body: bytes) -> str:
    """Return the message in an error's body; it may come from something that is no proxy of ours."""
    try:
        return str(orjson.loads(body)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"the server answered with status {status}"
