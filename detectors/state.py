"""A fitted detector's state as plain values, and back with every number checked.

Kernels do not check bounds, and a model file is input like any other. So arrays travel as ``(tag, dtype, shape,
bytes)``: reading one calls nothing of numpy's that a file could choose, and a file written under numpy 2 opens under
1.26.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.errors import InvalidState

_ARRAY = "array"
_NAMES = "names"
_LONGEST = 2**48  # numpy refuses longer axes even where another one has no element
_DTYPES = {"<f8", "<f4", "<i8", "<i4", "|b1", "|u1"}


@dataclass(frozen=True)
class Array:
    """What a fitted array must look like.

    Attributes
    ----------
    dtype : str
        numpy's name of it, e.g. ``"float64"``.
    shape : tuple of int or str
        A string stands for any length, the same wherever it is used in one schema; it may be a scalar attribute's name.
    low, high : float or str or None
        Inclusive bounds of every element. A string ``"name"`` is the length or scalar of that name, and that value
        itself is then out of bounds, as an index would be.
    finite : bool
        Whether infinity is refused. NaN is refused unless `nan`.
    nan : bool
        Whether NaN is allowed.
    """

    dtype: str
    shape: tuple[int | str, ...]
    low: float | None = None
    high: float | str | None = None
    finite: bool = True
    nan: bool = False


@dataclass(frozen=True)
class Scalar:
    """What a fitted number or text must look like: its type, and inclusive bounds for a number."""

    type: type[int] | type[float] | type[str]
    low: float | None = None
    high: float | None = None
    optional: bool = False
    finite: bool = True


Schema = Mapping[str, Array | Scalar]


def encode(state: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the arrays of a state by plain values.

    Parameters
    ----------
    state : mapping
        Attributes of a detector by name.

    Returns
    -------
    dict
        The same with each array as a tuple.

    Raises
    ------
    InvalidState
        For an array of a dtype that no detector keeps.
    """
    return {name: _encode_value(name, value) for name, value in state.items()}


def decode(state: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what `encode` made back into attributes.

    Parameters
    ----------
    state : mapping
        What `encode` returned, possibly from a file that was tampered with.

    Returns
    -------
    dict
        Attributes of a detector by name; arrays are C-contiguous and own their memory.

    Raises
    ------
    InvalidState
        For a dtype off the list, or bytes that don't fill the shape.
    """
    return {name: _decode_value(name, value) for name, value in state.items()}


def _encode_value(name: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype == object and all(isinstance(element, str) for element in value.flat):
        return (_NAMES, tuple(value))
    little = value.dtype.newbyteorder("<")
    if little.str not in _DTYPES:
        raise InvalidState(f"{name}: arrays of {value.dtype} cannot be kept")
    return (_ARRAY, little.str, value.shape, np.ascontiguousarray(value, dtype=little).tobytes())


def _decode_value(name: str, value: Any) -> Any:
    if not (isinstance(value, tuple) and value and value[0] in (_ARRAY, _NAMES)):
        return value
    if value[0] == _NAMES:
        return _decode_names(name, value)
    if len(value) != 4:
        raise InvalidState(f"{name}: not an array")
    _, dtype, shape, data = value
    if not isinstance(dtype, str) or dtype not in _DTYPES or not isinstance(data, bytes):
        raise InvalidState(f"{name}: arrays of {dtype!r} are not read")
    if not (isinstance(shape, tuple) and all(type(length) is int and 0 <= length <= _LONGEST for length in shape)):
        raise InvalidState(f"{name}: {shape!r} is not a shape")
    if math.prod(shape) * np.dtype(dtype).itemsize != len(data):
        raise InvalidState(f"{name}: {len(data)} bytes do not fill an array of shape {shape}")
    if dtype == "|b1" and data.strip(b"\0\1"):
        raise InvalidState(f"{name}: a truth value is neither 0 nor 1")
    return np.frombuffer(data, dtype=dtype).reshape(shape).astype(np.dtype(dtype).newbyteorder("="))


def _decode_names(name: str, value: tuple[Any, ...]) -> Any:
    if len(value) != 2 or not isinstance(value[1], tuple) or not all(isinstance(text, str) for text in value[1]):
        raise InvalidState(f"{name}: not a list of names")
    return np.array(value[1], dtype=object)


def check(state: Mapping[str, Any], schema: Schema) -> None:
    """Check fitted attributes against their schema.

    Parameters
    ----------
    state : mapping
        Decoded attributes by name.
    schema : mapping of str to Array or Scalar
        Every attribute that must be there; others are refused.

    Raises
    ------
    InvalidState
        Names the attribute and what is wrong with it.
    """
    for name in schema.keys() - state.keys():
        raise InvalidState(f"{name} is missing")
    for name in state.keys() - schema.keys():
        raise InvalidState(f"{name} is not an attribute of this detector")
    lengths: dict[str, int] = {}
    for name, rule in schema.items():  # scalars first: arrays may refer to them
        if isinstance(rule, Scalar):
            _check_scalar(name, state[name], rule)
            if rule.type is int and state[name] is not None:
                lengths[name] = state[name]
    arrays = {name: rule for name, rule in schema.items() if isinstance(rule, Array)}
    for name, rule in arrays.items():
        _check_shape(name, state[name], rule, lengths)
    for name, rule in arrays.items():
        _check_elements(name, state[name], rule, lengths)


def _check_scalar(name: str, value: Any, rule: Scalar) -> None:
    if value is None and rule.optional:
        return
    if type(value) is not rule.type:
        raise InvalidState(f"{name} should be {rule.type.__name__}, not {type(value).__name__}")
    if isinstance(value, str):
        return
    if isinstance(value, float) and rule.finite and not math.isfinite(value):
        raise InvalidState(f"{name} is {value}")
    if (rule.low is not None and not value >= rule.low) or (rule.high is not None and not value <= rule.high):
        raise InvalidState(f"{name} is {value}, outside [{rule.low}, {rule.high}]")


def _check_shape(name: str, value: Any, rule: Array, lengths: dict[str, int]) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != np.dtype(rule.dtype):
        raise InvalidState(f"{name} should be an array of {rule.dtype}")
    expected = tuple(
        length
        if isinstance(length, int)
        else lengths.setdefault(length, value.shape[axis] if axis < value.ndim else -1)
        for axis, length in enumerate(rule.shape)
    )
    if value.shape != expected:
        raise InvalidState(f"{name} has shape {value.shape}, not {expected}")


def _check_elements(name: str, value: Any, rule: Array, lengths: dict[str, int]) -> None:
    if value.size == 0:
        return
    if value.dtype.kind == "f":
        if not rule.nan and np.isnan(value).any():
            raise InvalidState(f"{name} has a NaN in it")
        if rule.finite and np.isinf(value).any():
            raise InvalidState(f"{name} has an infinite element")
    if rule.low is not None and np.nanmin(value) < rule.low:
        raise InvalidState(f"{name} has an element below {rule.low}")
    if isinstance(rule.high, str):
        if value.max() >= lengths[rule.high]:
            raise InvalidState(f"{name} has an index past {rule.high}")
    elif rule.high is not None and np.nanmax(value) > rule.high:
        raise InvalidState(f"{name} has an element above {rule.high}")
