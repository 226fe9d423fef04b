"""Where a proxy is and the API key for it, as somebody gave them to a command or to the client."""

import os
from urllib.parse import urlsplit

from serving.errors import CallError


def checked_server(server: str) -> str:
    """Return the address of a proxy, without a slash at its end.

    Raises
    ------
    CallError
        When it is none.
    """
    try:
        parts = urlsplit(server)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0  # the port may be no number
    except ValueError:
        good = False
    if not good:
        raise CallError(
            f"{server!r} is no address of a proxy; INLIER_SERVER or --server should be like http://127.0.0.1:8000"
        )
    return server.rstrip("/")


def api_key(given: str | None = None) -> str:
    """Return a key that was given, or that of INLIER_API_KEY; empty when there is none.

    Raises
    ------
    CallError
        When no header can carry it; the key is not shown.
    """
    # a Secret that was made of a line of text ends as the line does
    key = (given or os.environ.get("INLIER_API_KEY", "")).strip()
    if not (key.isascii() and key.isprintable()):
        name = "the API key" if given else "INLIER_API_KEY"
        raise CallError(f"{name} should be printable ASCII characters and nothing else")
    return key
