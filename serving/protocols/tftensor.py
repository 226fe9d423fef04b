"""TensorFlow's TensorProto in JSON, as far as numbers go, without TensorFlow."""

import base64
import binascii
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.errors import BadData

_TYPES = {
    "DT_DOUBLE": ("<f8", "doubleVal"),
    "DT_FLOAT": ("<f4", "floatVal"),
    "DT_INT64": ("<i8", "int64Val"),
    "DT_INT32": ("<i4", "intVal"),
}


def parse(tensor: Any) -> npt.NDArray[Any]:
    """Turn a TensorProto into an array.

    Parameters
    ----------
    tensor : object
        ``{"dtype": "DT_DOUBLE", "tensorShape": {"dim": [{"size": "2"}]}, "doubleVal": [...]}`` or ``"tensorContent"``.

    Returns
    -------
    ndarray
        Of that type and shape.

    Raises
    ------
    BadData
        Names what is wrong.
    """
    if not isinstance(tensor, dict):
        raise BadData("data.tftensor should be an object")
    dtype, field = _TYPES.get(str(tensor.get("dtype")), (None, None))
    if dtype is None or field is None:
        raise BadData(f"data.tftensor.dtype should be one of {', '.join(_TYPES)}, not {tensor.get('dtype')!r}")
    shape = _shape(tensor.get("tensorShape"))
    values = _values(tensor, dtype, field)
    size = math.prod(shape)
    if values.size == 1 and size > 1:  # the format's short form of a constant
        if size > 10_000_000:
            raise BadData("data.tftensor.tensorShape is too large for the one value sent")
        values = np.repeat(values, size)
    try:
        return values.reshape(shape)
    except ValueError:
        raise BadData(f"data.tftensor: {values.size} values do not fill the shape {shape}") from None


def _shape(shape: Any) -> list[int]:
    try:
        lengths = [int(dimension.get("size", 0)) for dimension in shape.get("dim", [])]
    except (AttributeError, TypeError, ValueError):
        raise BadData("data.tftensor.tensorShape should be {'dim': [{'size': ...}]}") from None
    if any(not 0 <= length < 2**40 for length in lengths):
        raise BadData("data.tftensor.tensorShape has a length out of range")
    return lengths


def _values(tensor: dict[str, Any], dtype: str, field: str) -> npt.NDArray[Any]:
    content = tensor.get("tensorContent")
    try:
        if content is not None:
            return np.frombuffer(base64.b64decode(content, validate=True), dtype=dtype).copy()
        values = tensor.get(field, [])
        if not isinstance(values, list) or any(isinstance(value, bool | list | dict | None) for value in values):
            raise BadData(f"data.tftensor.{field} should be a list of numbers")
        if dtype.startswith("<i"):  # JSON has 64-bit integers of protocol buffers as text
            values = [int(value) for value in values]
        return np.array(values, dtype=dtype)
    except (binascii.Error, TypeError, ValueError, OverflowError) as error:
        raise BadData(f"data.tftensor: {error}") from None


def encode(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Turn an array into a TensorProto, as TensorFlow's ``make_tensor_proto`` would.

    Parameters
    ----------
    values : ndarray
        Of numbers.

    Returns
    -------
    dict
        For JSON; floats are doubles and integers 64 bits wide.
    """
    name, dtype = ("DT_DOUBLE", "<f8") if values.dtype.kind == "f" else ("DT_INT64", "<i8")
    content = np.ascontiguousarray(values, dtype=dtype).tobytes()
    return {
        "dtype": name,
        "tensorShape": {"dim": [{"size": str(length)} for length in values.shape]},
        "tensorContent": base64.b64encode(content).decode("ascii"),
    }
