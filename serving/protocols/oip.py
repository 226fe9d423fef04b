"""The Open Inference Protocol, version 2, over REST: JSON, and tensors as bytes behind it.

A request is one tensor of n x d, or one tensor for each feature (n, or n x 1), named as in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving.errors import BadData
from serving.protocols import numbers, plain_rows
from serving.protocols.seldon import dumps, loads

DATATYPES: Final = {
    "BOOL": "|b1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""numpy's name of each of the protocol's types; BYTES holds no numbers."""
_NAMES: Final = {np.dtype(dtype): name for name, dtype in DATATYPES.items()}
_NO_TRUTH: Final = "a truth value is neither 0 nor 1"

Outputs = list[tuple[str, npt.NDArray[Any]]]


@dataclass(slots=True)
class Wanted:
    """An output that a request asks for.

    Attributes
    ----------
    name : str
        Of the tensor.
    binary : bool
        Whether it should come as bytes.
    """

    name: str
    binary: bool


@dataclass(slots=True)
class Inference:
    """A request taken apart.

    Attributes
    ----------
    id : str
        Identifier, empty if not said.
    rows : ndarray
        One tensor, or the features side by side.
    names : list of str
        Of the columns, if they came one by one.
    parameters : dict
        As sent.
    wanted : list of Wanted or None
        None if all outputs are.
    binary : bool
        Whether outputs that are not asked for by name should come as bytes.
    """

    id: str
    rows: npt.NDArray[Any]
    names: list[str]
    parameters: dict[str, Any]
    wanted: list[Wanted] | None = None
    binary: bool = False


def parse(body: bytes, json_length: int | None) -> Inference:
    """Take a request apart.

    Parameters
    ----------
    body : bytes
        JSON, and the bytes of tensors behind it.
    json_length : int or None
        How much of it is JSON; all if None.

    Returns
    -------
    Inference
        Its parts.

    Raises
    ------
    BadData
        Names the input that is wrong.
    """
    length = len(body) if json_length is None else json_length
    if length > len(body):
        raise BadData(f"Inference-Header-Content-Length is {length}, the body has {len(body)} bytes")
    document = _loads(body[:length])
    if type(document) is not dict:
        raise BadData(f"a request is an object, not {numbers.kind(document)}")
    parameters = _object(document, "parameters")
    given = document.get("inputs")
    if type(given) is not list or not given:
        raise BadData("inputs should be a list of tensors")
    tensors, rest = [], memoryview(body)[length:]
    for one in given:
        name, tensor, rest = _input(one, rest)
        tensors.append((name, tensor))
    if len(rest):
        raise BadData(f"{len(rest)} bytes are left over behind the last tensor")
    rows, names = side_by_side(tensors)
    identifier = document.get("id", "")
    if type(identifier) is not str:
        raise BadData("id should be text")
    binary = parameters.get("binary_data_output") is True
    return Inference(identifier, rows, names, parameters, _wanted(document, binary), binary)


def _loads(text: bytes) -> Any:
    found = plain_rows.loads_inference(text) if len(text) >= plain_rows.LEAST_BYTES else None
    return loads(text) if found is None else found


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        raise BadData(f"{name} should be an object, not {numbers.kind(value)}")
    return value


def _input(given: Any, rest: memoryview) -> tuple[str, npt.NDArray[Any], memoryview]:
    if type(given) is not dict or type(given.get("name")) is not str:
        raise BadData("each of inputs should be an object with name, shape, datatype and data")
    name = given["name"]
    shape, dtype = given.get("shape"), DATATYPES.get(str(given.get("datatype")))
    if type(shape) is not list or not all(type(size) is int and 0 <= size < 2**40 for size in shape):
        raise BadData(f"input {name}: shape should be a list of lengths")
    if dtype is None:
        raise BadData(f"input {name}: datatype should be one of {', '.join(DATATYPES)}, not {given.get('datatype')!r}")
    size = _object(given, "parameters").get("binary_data_size")
    if size is not None:
        if type(size) is not int or not 0 <= size <= len(rest):
            raise BadData(f"input {name}: binary_data_size is {size!r}, {len(rest)} bytes are left")
        return name, from_bytes(name, rest[:size], dtype, shape), rest[size:]
    return name, _from_list(name, given.get("data"), dtype, shape), rest


def _from_list(name: str, data: Any, dtype: str, shape: list[int]) -> npt.NDArray[Any]:
    try:
        values = numbers.array(data)
    except BadData as error:
        raise BadData(f"input {name}: {error}") from None
    if values.dtype.kind not in numbers.NUMERIC:
        flat = np.array(data, dtype=object).ravel().tolist()  # beside text numpy makes text of numbers
        wrong = next((value for value in flat if not isinstance(value, int | float)), flat[0])
        raise BadData(f"input {name}: {wrong!r} is not a number" if wrong is not None else f"input {name}: null")
    if np.dtype(dtype).kind in "iu" and values.dtype.kind == "f":
        values = np.array(data, dtype=object)  # integers beyond 2**53 would not have survived
    return _shaped(name, _as_type(name, values, dtype), shape)


def _as_type(name: str, values: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    wanted = np.dtype(dtype)
    if wanted.kind == "b" and not ((values == 0) | (values == 1)).all():
        raise BadData(f"input {name}: {_NO_TRUTH}")
    if values.size and wanted.kind in "iu":
        limits = np.iinfo(wanted)
        whole = values.dtype != object or all(value == int(value) for value in values.ravel())
        if not whole or values.min() < limits.min or values.max() > limits.max:
            raise BadData(f"input {name}: not all values are of type {wanted.name}")
    with np.errstate(over="ignore"):
        return values.astype(wanted, copy=False)


def from_bytes(name: str, data: Any, dtype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    """A tensor from its bytes.

    Parameters
    ----------
    name : str
        For messages.
    data : bytes-like
        Row by row, little-endian.
    dtype : str
        numpy's name of the type.
    shape : sequence of int
        Of the tensor.

    Returns
    -------
    ndarray
        With memory of its own: kernels take none that is read-only or unaligned.

    Raises
    ------
    BadData
        If they don't fill the shape.
    """
    if len(data) % np.dtype(dtype).itemsize:
        raise BadData(f"input {name}: {len(data)} bytes are no whole number of values")
    if dtype == "|b1" and bytes(data).strip(b"\0\1"):
        raise BadData(f"input {name}: {_NO_TRUTH}")
    return _shaped(name, np.frombuffer(data, dtype).copy(), shape)


def _shaped(name: str, values: npt.NDArray[Any], shape: Sequence[int]) -> npt.NDArray[Any]:
    try:
        return values.reshape(shape)
    except ValueError:
        raise BadData(f"input {name}: {values.size} values do not fill the shape {list(shape)}") from None


def side_by_side(tensors: Sequence[tuple[str, npt.NDArray[Any]]]) -> tuple[npt.NDArray[Any], list[str]]:
    """One matrix of what came as one tensor, or as one for each feature.

    Parameters
    ----------
    tensors : sequence of (name, ndarray)
        At least one.

    Returns
    -------
    tuple
        Rows, and the names of their columns if they came one by one.

    Raises
    ------
    BadData
        For tensors of different lengths.
    """
    name, first = tensors[0]
    if len(tensors) == 1 and first.ndim == 2:
        return first, [name] if first.shape[1] == 1 else []
    columns: list[npt.NDArray[Any]] = []
    for name, tensor in tensors:
        column = tensor[:, 0] if tensor.ndim == 2 and tensor.shape[1] == 1 else tensor
        if column.ndim != 1:
            raise BadData(f"input {name}: a feature has the shape [n] or [n, 1], not {list(tensor.shape)}")
        if columns and len(column) != len(columns[0]):
            raise BadData(f"input {name} has {len(column)} rows, {tensors[0][0]} has {len(columns[0])}")
        columns.append(column)
    return np.column_stack(columns), [name for name, _ in tensors]


def _wanted(document: dict[str, Any], binary: bool) -> list[Wanted] | None:
    outputs = document.get("outputs")
    if outputs is None:
        return None
    if type(outputs) is not list or not all(type(one) is dict and type(one.get("name")) is str for one in outputs):
        raise BadData("outputs should be a list of objects with a name")
    wanted = []
    for one in outputs:
        own = _object(one, "parameters").get("binary_data")
        wanted.append(Wanted(one["name"], binary if own is None else own is True))
    return wanted


def datatype(values: npt.NDArray[Any]) -> str:
    """The protocol's name of an array's type."""
    return _NAMES.get(values.dtype, "BYTES")


def choose(
    outputs: Sequence[tuple[str, npt.NDArray[Any]]], wanted: list[Wanted] | None, binary: bool
) -> list[tuple[str, npt.NDArray[Any], bool]]:
    """The outputs that were asked for.

    Parameters
    ----------
    outputs : sequence of (name, ndarray)
        All there are.
    wanted : list of Wanted or None
        None for all.
    binary : bool
        How, if none is asked for by name.

    Returns
    -------
    list of (name, ndarray, bool)
        In the order asked for; the last says whether as bytes.

    Raises
    ------
    BadData
        For an output that there is not.
    """
    if wanted is None:
        return [(name, values, binary) for name, values in outputs]
    found = dict(outputs)
    for one in wanted:
        if one.name not in found:
            raise BadData(f"there is no output {one.name!r}; there are {', '.join(found)}")
    return [(one.name, found[one.name], one.binary) for one in wanted]


def encode(head: dict[str, Any], outputs: Sequence[tuple[str, npt.NDArray[Any], bool]]) -> tuple[bytes, int | None]:
    """Write an answer.

    Parameters
    ----------
    head : dict
        ``model_name``, ``id`` and so on.
    outputs : sequence of (name, ndarray, bool)
        As `choose` returns them.

    Returns
    -------
    tuple
        The body, and how much of it is JSON if there is more.
    """
    described, tail = [], []
    for name, values, binary in outputs:
        one: dict[str, Any] = {"name": name, "shape": list(values.shape), "datatype": datatype(values)}
        if binary:
            data = values.tobytes()
            one["parameters"] = {"binary_data_size": len(data)}
            tail.append(data)
        else:
            flat = np.ascontiguousarray(values).ravel()
            one["data"] = flat if flat.dtype.kind in "fiu" and flat.dtype.itemsize >= 4 else flat.tolist()
        described.append(one)
    json = dumps({**head, "outputs": described})
    return (b"".join([json, *tail]), len(json)) if tail else (json, None)
