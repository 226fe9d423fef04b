"""Seldon Core v1 over REST: bytes to arrays, arrays to bytes.

A SeldonMessage holds ``data`` (``ndarray``, ``tensor`` or ``tftensor``, with ``names``), ``jsonData``, ``strData`` or
``binData``, and ``meta``. The answer keeps the request's kind.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from serving.errors import BadData
from serving.protocols import numbers, tftensor

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
_FLOAT64: Final = np.dtype(np.float64)
_NATIVE: Final = frozenset(np.dtype(name) for name in ("<f8", "<i8", "<f4", "<i4"))
_KINDS = ("jsonData", "strData", "binData")


@dataclass(slots=True)
class Message:
    """A SeldonMessage taken apart.

    Attributes
    ----------
    kind : str
        ``"ndarray"``, ``"tensor"``, ``"tftensor"``, ``"jsonData"``, ``"strData"`` or ``"binData"``.
    payload : object
        An array for the first three, else what JSON had (bytes for ``binData``).
    names : list of str
        Of the columns; empty if not said.
    meta : dict
        As sent.
    cells : list or None
        What the payload was made of, where that was not numbers.
    """

    kind: str
    payload: Any
    names: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    cells: Any = None

    @property
    def rows(self) -> Any:
        """The payload for who needs numbers: where numpy would turn all cells into text, the cells as they came."""
        return self.payload if self.cells is None else self.cells

    @property
    def puid(self) -> str:
        """Identifier of the request, empty if not said."""
        puid = self.meta.get("puid")
        return puid if isinstance(puid, str) else ""


def loads(body: bytes | str) -> Any:
    """Parse JSON, strictly.

    Parameters
    ----------
    body : bytes or str
        UTF-8.

    Returns
    -------
    object
        dict, list, str, int, float, bool or None.

    Raises
    ------
    BadData
        For what is not JSON: NaN and Infinity are not, nor is a number too large for a float.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not body:
            raise BadData("the request is empty; a SeldonMessage in JSON is needed") from None
        at = error.pos
        if text := next((text for text in _NO_NUMBERS if error.doc[at : at + len(text)] == text), ""):
            raise BadData(f"not JSON: {text} is not a number there (character {at + 1})") from None
        raise BadData(f"not JSON: {error}") from None


def parse(document: Any) -> Message:
    """Take a SeldonMessage apart.

    Parameters
    ----------
    document : object
        What `loads` returned.

    Returns
    -------
    Message
        Its parts.

    Raises
    ------
    BadData
        Names the field that is wrong.

    Examples
    --------
    >>> parse({"data": {"names": ["f1"], "ndarray": [[1.5]]}}).payload
    array([[1.5]])
    """
    if type(document) is not dict:
        raise BadData(f"a SeldonMessage is an object, not {numbers.kind(document)}")
    meta = document.get("meta")
    if meta is None:
        meta = {}
    elif type(meta) is not dict:
        raise BadData(f"meta should be an object, not {numbers.kind(meta)}")
    if meta:
        _check_meta(meta)
    if "data" in document:
        return _parse_data(document["data"], meta)
    for kind in _KINDS:
        if kind in document:
            return Message(kind, _payload(kind, document[kind]), [], meta)
    raise BadData("data is missing (or jsonData, strData, binData)")


def _check_meta(meta: dict[str, Any]) -> None:
    for name, wanted in (("tags", dict), ("metrics", list), ("requestPath", dict), ("routing", dict), ("puid", str)):
        value = meta.get(name)
        if value is not None and type(value) is not wanted:
            raise BadData(f"meta.{name} should be {numbers.kind(wanted())}, not {numbers.kind(value)}")


def _parse_data(data: Any, meta: dict[str, Any]) -> Message:
    if type(data) is not dict:
        raise BadData(f"data should be an object with ndarray or tensor, not {numbers.kind(data)}")
    names = data.get("names")
    if names is None:
        names = []
    elif type(names) is not list or not all(type(name) is str for name in names):
        raise BadData("data.names should be a list of text")
    if "tensor" in data:
        return Message("tensor", _tensor(data["tensor"]), names, meta)
    if "ndarray" in data:
        found = numbers.array(data["ndarray"])
        cells = None if found.dtype.kind in numbers.NUMERIC else data["ndarray"]
        return Message("ndarray", found, names, meta, cells)
    if "tftensor" in data:
        return Message("tftensor", tftensor.parse(data["tftensor"]), names, meta)
    raise BadData("data has none of ndarray, tensor and tftensor")


def _tensor(tensor: Any) -> npt.NDArray[Any]:
    if type(tensor) is not dict:
        raise BadData(f"data.tensor should be an object with shape and values, not {numbers.kind(tensor)}")
    shape = tensor.get("shape")
    if type(shape) is not list or not all(type(length) is int and 0 <= length < 2**40 for length in shape):
        raise BadData("data.tensor.shape should be a list of lengths")
    values = numbers.array(tensor.get("values"))
    if values.ndim != 1:
        raise BadData("data.tensor.values should be a flat list")
    try:
        return values.reshape(shape)
    except ValueError:
        raise BadData(f"data.tensor: {values.size} values do not fill the shape {shape}") from None


def _payload(kind: str, value: Any) -> Any:
    if kind == "jsonData":
        return value
    if type(value) is not str:
        raise BadData(f"{kind} should be text, not {numbers.kind(value)}")
    if kind == "strData":
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadData(f"binData is not base64: {error}") from None


def data_field(kind: str, data: Any, names: Sequence[str]) -> dict[str, Any]:
    """The part of the answer that holds the payload.

    Parameters
    ----------
    kind : str
        Of the request; of ``jsonData`` whatever it is, it is written so.
    data : ndarray, list, dict, str or bytes
        What the model returned.
    names : sequence of str
        Of the columns, for an array.

    Returns
    -------
    dict
        With one key.

    Raises
    ------
    TypeError
        For a payload that no field of a SeldonMessage holds.
    """
    if kind == "jsonData" or isinstance(data, dict):
        return {"jsonData": data}
    if isinstance(data, bytes | bytearray):
        return {"binData": base64.b64encode(data).decode("ascii")}
    if isinstance(data, str):
        return {"strData": data}
    if not isinstance(data, np.ndarray | list):
        raise TypeError(f"a model returns an array, a list, a dict, text or bytes, not {type(data).__name__}")
    found = np.asarray(data)
    numeric = found.dtype.kind in "iufb" and found.dtype != np.bool_
    if numeric and kind not in ("ndarray", "tftensor"):
        content: Any = {"shape": found.shape, "values": _serializable(found.ravel())}
        return {"data": {"names": names, "tensor": content}}
    if numeric and kind == "tftensor":
        return {"data": {"names": names, "tftensor": tftensor.encode(found)}}
    return {"data": {"names": names, "ndarray": data if isinstance(data, list) else _serializable(found)}}


def _serializable(values: npt.NDArray[Any]) -> Any:
    """An array where orjson writes arrays itself, else its list."""
    if values.ndim == 0 or (values.dtype is not _FLOAT64 and values.dtype not in _NATIVE):
        return values.tolist()
    return values if values.flags.c_contiguous else np.ascontiguousarray(values)


def dumps(document: Any) -> bytes:
    """Write JSON; NaN and infinity become null.

    Parameters
    ----------
    document : object
        Of plain values and numpy's.

    Returns
    -------
    bytes
        UTF-8.

    Raises
    ------
    TypeError
        For what JSON cannot hold.
    """
    try:
        return orjson.dumps(document, option=_OPTIONS)
    except TypeError:
        return orjson.dumps(document, default=_plain, option=_OPTIONS)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"JSON has no {type(value).__name__}")


def error_document(message: str, reason: str, code: int = -1) -> dict[str, Any]:
    """The body of an answer that is an error.

    Parameters
    ----------
    message : str
        For people.
    reason : str
        For programs.
    code : int
        -1, as Seldon's own servers say; the status is in the status line.

    Returns
    -------
    dict
        Ready for `dumps`.
    """
    return {"status": {"code": code, "info": message, "reason": reason, "status": 1}}


@dataclass(slots=True)
class Feedback:
    """A Feedback message taken apart.

    Attributes
    ----------
    request : Message
        What was asked; its payload is `features`.
    features, truth : ndarray
        Empty if not said.
    reward : float
        How good the answer was.
    routing : dict of str to int
        Of the answer: which branch each router took.
    """

    request: Message
    features: npt.NDArray[Any]
    truth: npt.NDArray[Any]
    reward: float
    routing: dict[str, int]


def parse_feedback(document: Any) -> Feedback:
    """Take a Feedback message apart.

    Parameters
    ----------
    document : object
        ``{"request": {...}, "response": {...}, "reward": 1.0, "truth": {...}}``, each optional.

    Returns
    -------
    Feedback
        Its parts.

    Raises
    ------
    BadData
        Names the field that is wrong.
    """
    if type(document) is not dict:
        raise BadData(f"a Feedback is an object, not {numbers.kind(document)}")
    if unknown := document.keys() - {"request", "response", "reward", "truth"}:
        raise BadData(f"a Feedback has no field {sorted(unknown)[0]}")
    reward = document.get("reward", 0.0)
    if type(reward) not in (int, float):
        raise BadData(f"reward should be a number, not {numbers.kind(reward)}")
    request = _part("request", document)
    response = document.get("response") or {}
    meta = response.get("meta") or {} if type(response) is dict else {}
    routing = meta.get("routing") or {} if type(meta) is dict else {}
    if type(routing) is not dict:
        raise BadData("response.meta.routing should be an object")
    return Feedback(request, request.payload, _part("truth", document).payload, float(reward), routing)


def _part(name: str, document: dict[str, Any]) -> Message:
    part = document.get(name)
    if part is None or (type(part) is dict and "data" not in part):
        meta = part.get("meta") if part else None
        return Message("", np.array([]), [], meta if type(meta) is dict else {})
    try:
        return parse(part)
    except BadData as error:
        raise BadData(f"{name}: {error}") from None
