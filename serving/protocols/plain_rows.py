"""A SeldonMessage with many rows of plain numbers: parsed straight into an array, without a Python object a number.

Only the common shape is, ``{"data": {"names": [...], "ndarray": [[...], ...]}, "meta": {...}}`` with rows of one width.
Whatever else there is, be it an error, is left to `serving.protocols.seldon.loads`, which knows what to say. Numbers
come out as the same doubles.
"""

import re
import threading
from typing import Any, Final

import numpy as np

try:  # where it cannot be installed all requests go the other way
    import simdjson
except ModuleNotFoundError:
    simdjson = None  # type: ignore[assignment]

LEAST_BYTES: Final = 4096
"""Of shorter bodies a general parser makes as little."""

_KEPT_BYTES: Final = 1 << 20
_parsers = threading.local()
_KEY: Final = re.compile(rb'"ndarray"\s*:\s*(?=\[)')
_IN_NUMBERS: Final = b"0123456789.eE+- \t\r\n"


def loads(body: bytes, *, integers: bool = True) -> dict[str, Any] | None:
    """Parse a request, if it is of the common shape.

    Parameters
    ----------
    body : bytes
        Of any kind.
    integers : bool
        Whether rows of nothing but whole numbers are taken, too: the general way makes integers of them.

    Returns
    -------
    dict or None
        As `serving.protocols.seldon.loads` has it, but for ``ndarray``, which is an ndarray of shape (n, d), float64.
        None for what is of another shape, or no JSON.

    Examples
    --------
    >>> loads(b'{"data": {"ndarray": [[1, 2.5], [3, -4e-1]]}}')["data"]["ndarray"]
    array([[ 1. ,  2.5],
           [ 3. , -0.4]])
    >>> loads(b'{"data": {"ndarray": [[1, 2.5], [3]]}}')
    """
    # Without a backslash a key is in the text as it is; with a byte order mark it would be no JSON.
    if simdjson is None or body[:1] != b"{" or b"\\" in body:
        return None
    try:
        return _parsed(body, integers)
    except (ValueError, TypeError, RuntimeError):  # RuntimeError: nested too deeply, or out of memory
        return None


def _parsed(body: bytes, integers: bool) -> dict[str, Any] | None:
    message = _parser(len(body)).parse(body)
    if type(message) is not simdjson.Object or sorted(message.keys()) not in (["data"], ["data", "meta"]):
        return None
    data = message["data"]
    if type(data) is not simdjson.Object or sorted(data.keys()) not in (["ndarray"], ["names", "ndarray"]):
        return None
    rows = data["ndarray"]
    if type(rows) is not simdjson.Array or not len(rows):
        return None
    flat = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)
    if not integers and (flat == np.trunc(flat)).all():
        return None
    width, rest = divmod(len(flat), len(rows))
    key = _KEY.search(body)
    if rest or not width or key is None or not _is_rectangle(body[key.end() :], len(rows), width):
        return None
    if "meta" in message and _KEY.search(body, key.end()):  # which of the two is it?
        return None
    document: dict[str, Any] = {name: _plain(message[name]) for name in message if name != "data"}
    document["data"] = {name: _plain(data[name]) for name in data if name != "ndarray"}
    document["data"]["ndarray"] = flat.reshape(-1, width)
    return document


def _parser(n_bytes: int) -> Any:
    """The thread's parser, which keeps its memory from one request to the next, or one of its own for a large one."""
    if n_bytes > _KEPT_BYTES:
        return simdjson.Parser()
    if not hasattr(_parsers, "mine"):
        _parsers.mine = simdjson.Parser()
    return _parsers.mine


def _is_rectangle(text: bytes, n_rows: int, width: int) -> bool:
    """Whether a list of nothing but numbers and lists, which `text` begins with, is of so many rows of one width."""
    row = b"[" + b"," * (width - 1) + b"],"
    return text.translate(None, _IN_NUMBERS).startswith(b"[" + (row * n_rows)[:-1] + b"]")


def _plain(value: Any) -> Any:
    """A value as Python's own."""
    if type(value) is simdjson.Object:
        return value.as_dict()
    return value.as_list() if type(value) is simdjson.Array else value
