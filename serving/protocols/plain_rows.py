"""Requests with many plain numbers: parsed straight into arrays, without a Python object a number.

Only the common shapes are: a SeldonMessage ``{"data": {"names": [...], "ndarray": [[...], ...]}, "meta": {...}}`` with
rows of one width, the same with a ``tensor``, and the Open Inference Protocol's ``inputs`` with flat lists of floats.
Whatever else there is, be it an error, is left to `serving.protocols.seldon.loads`, which knows what to say. Numbers
come out as the same doubles.

simdjson's proxies are asked only for keys that are there: the C++ exception for a missing one costs 15 us.
"""

import re
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

try:  # where it cannot be installed all requests go the other way
    import simdjson
except ModuleNotFoundError:
    simdjson = None  # type: ignore[assignment]

LEAST_BYTES: Final = 4096
"""Of shorter bodies a general parser makes as little."""

_KEPT_BYTES: Final = 1 << 20
_WIDE_ROW_BYTES: Final = 128
_parsers = threading.local()
_KEY: Final = re.compile(rb'"ndarray"\s*:\s*(?=\[)')
_IN_NUMBERS: Final = b"0123456789.eE+- \t\r\n"
_FLOATS: Final = frozenset(("FP16", "FP32", "FP64"))

Document = dict[str, Any]
FloatArray = npt.NDArray[np.float64]


class _OddShape(ValueError):
    """It is not one of the common shapes."""


def loads(body: bytes, *, integers: bool = True) -> Document | None:
    """Parse a SeldonMessage, if it is of a common shape.

    Parameters
    ----------
    body : bytes
        Of any kind.
    integers : bool
        Whether nothing but whole numbers is taken, too: the general way makes integers of them.

    Returns
    -------
    dict or None
        As `serving.protocols.seldon.loads` has it, but for ``ndarray``, which is an ndarray of shape (n, d), or a
        tensor's ``values``, which are one of shape (n * d,), float64. None for what is of another shape, or no JSON.

    Examples
    --------
    >>> loads(b'{"data": {"ndarray": [[1, 2.5], [3, -4e-1]]}}')["data"]["ndarray"]
    array([[ 1. ,  2.5],
           [ 3. , -0.4]])
    >>> loads(b'{"data": {"ndarray": [[1, 2.5], [3]]}}')
    """
    return _parsed(body, lambda message: _seldon(message, body, integers))


def loads_inference(body: bytes) -> Document | None:
    """Parse a request of the Open Inference Protocol, if its tensors are flat lists and of a floating type.

    Parameters
    ----------
    body : bytes
        Of any kind.

    Returns
    -------
    dict or None
        As `serving.protocols.seldon.loads` has it, but for each tensor's ``data``, which is an ndarray of float64.
        None for what is of another shape, or no JSON.

    Examples
    --------
    >>> tensor = b'{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2.5]}'
    >>> loads_inference(b'{"inputs": [' + tensor + b']}')["inputs"][0]["data"]
    array([1. , 2.5])
    """
    return _parsed(body, lambda message: _inference(message, body))


def _parsed(body: bytes, take: Callable[[Any], Document]) -> Document | None:
    # Without a backslash a key is in the text as it is; with a byte order mark it would be no JSON.
    if simdjson is None or body[:1] != b"{" or b"\\" in body:
        return None
    try:
        return take(_parser(len(body)).parse(body))
    except (ValueError, TypeError, RuntimeError):  # RuntimeError: nested too deeply, or out of memory
        return None


def _parser(n_bytes: int) -> Any:
    """The thread's parser, which keeps its memory from one request to the next, or one of its own for a large one."""
    if n_bytes > _KEPT_BYTES:
        return simdjson.Parser()
    if not hasattr(_parsers, "mine"):
        _parsers.mine = simdjson.Parser()
    return _parsers.mine


def _seldon(message: Any, body: bytes, integers: bool) -> Document:
    keys = _keys(message)
    if keys not in (["data"], ["data", "meta"]):
        raise _OddShape
    data = message["data"]
    kinds = _keys(data)
    document: Document = {"data": {"names": _plain(data["names"])} if "names" in kinds else {}}
    if "meta" in keys:
        document["meta"] = _plain(message["meta"])
    if kinds in (["ndarray"], ["names", "ndarray"]):
        numbers = _matrix(data["ndarray"], body, document)
        document["data"]["ndarray"] = numbers
    elif kinds in (["tensor"], ["names", "tensor"]):
        tensor = _tensor(data["tensor"], body, document)
        document["data"]["tensor"] = tensor
        numbers = tensor["values"]
    else:
        raise _OddShape
    if not integers and (numbers == np.trunc(numbers)).all():
        raise _OddShape
    return document


def _matrix(rows: Any, body: bytes, rest: Document) -> FloatArray:
    flat = _doubles(rows)
    width, left_over = divmod(len(flat), len(rows))
    if left_over or not width:
        raise _OddShape
    # By the text it takes 0.7 ns a byte, by each row's proxy 60 ns a row.
    if len(body) < _WIDE_ROW_BYTES * len(rows):
        fine = _is_rectangle(body, len(rows), width, "meta" in rest)
    else:
        fine = set(map(len, rows)) == {width} and _has_lists(body, len(rows) + 1, rest)
    if not fine:
        raise _OddShape
    return flat.reshape(-1, width)


def _is_rectangle(body: bytes, n_rows: int, width: int, ambiguous: bool) -> bool:
    """Whether the rows' text, a list of nothing but numbers and lists, is of so many rows of one width."""
    key = _KEY.search(body)
    if key is None or (ambiguous and _KEY.search(body, key.end())):  # which of the two is it?
        return False
    row = b"[" + b"," * (width - 1) + b"],"
    return body[key.end() :].translate(None, _IN_NUMBERS).startswith(b"[" + (row * n_rows)[:-1] + b"]")


def _tensor(tensor: Any, body: bytes, rest: Document) -> Document:
    if _keys(tensor) != ["shape", "values"]:
        raise _OddShape
    values = _doubles(tensor["values"])
    shape = {"shape": _plain(tensor["shape"])}
    if not _has_lists(body, 1, {**rest, "tensor": shape}):
        raise _OddShape
    return {**shape, "values": values}


def _inference(message: Any, body: bytes) -> Document:
    rest = _object(message, "inputs")
    inputs = message["inputs"]
    if type(inputs) is not simdjson.Array:
        raise _OddShape
    described: list[Document] = []
    tensors: list[FloatArray] = []
    one: Any
    for one in inputs:
        described.append(_object(one, "data"))
        tensors.append(_doubles(one["data"]))
    if not all(str(one.get("datatype")) in _FLOATS for one in described):
        raise _OddShape
    if not _has_lists(body, len(tensors), {**rest, "inputs": described}):
        raise _OddShape
    return {**rest, "inputs": [{**one, "data": data} for one, data in zip(described, tensors, strict=True)]}


def _object(value: Any, numbers: str) -> Document:
    """An object without the key for its numbers, which it has; no key is there twice."""
    keys = _keys(value)
    if numbers not in keys or len(set(keys)) < len(keys):
        raise _OddShape
    return {key: _plain(value[key]) for key in keys if key != numbers}


def _doubles(numbers: Any) -> FloatArray:
    """A list's numbers, side by side, however they are nested."""
    if type(numbers) is not simdjson.Array or not len(numbers):
        raise _OddShape
    return np.frombuffer(numbers.as_buffer(of_type="d"), np.float64)


def _has_lists(body: bytes, n_lists: int, rest: Document) -> bool:
    """Whether a text has so many lists besides those of `rest`: then none is in another where none should be.

    A bracket in a name counts as one on both sides.
    """
    brackets = len(body) - len(body.replace(b"[", b""))  # count() looks at each byte: eight times as long
    return brackets == n_lists + orjson.dumps(rest).count(b"[")


def _keys(value: Any) -> list[str]:
    """An object's keys, sorted, each as often as it is there; none for what is no object."""
    return sorted(value) if type(value) is simdjson.Object else []


def _plain(value: Any) -> Any:
    """A value as Python's own."""
    if type(value) is simdjson.Object:
        return value.as_dict()
    return value.as_list() if type(value) is simdjson.Array else value
