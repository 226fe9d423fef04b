"""What is known of a model besides its detector: JSON, read back with every type checked."""

import json
import math
import platform
from datetime import datetime
from importlib import metadata
from typing import Any

from detectors.errors import InvalidState

TYPES: dict[str, type | tuple[type, ...]] = {
    "feature_names": list,
    "time_name": (str, type(None)),
    "time_unit": (str, type(None)),
    "trained_at": str,
    "n_rows": int,
    "n_flagged": int,
    "seed": (int, type(None)),
    "parameters": dict,
    "metrics": dict,
    "versions": dict,
    "chosen_because": (str, type(None)),
}
"""What is known of a model besides its detector, and what each fact is."""

MAX_DEPTH = 32
"""How deeply they may be nested; what training writes is nested 8 deep at most."""

_SINCE_THEN: dict[str, Any] = {"chosen_because": None}
"""What files written before it was known of are taken to say."""


def current_versions() -> dict[str, str]:
    """Versions of Python and of the packages that made a model.

    Returns
    -------
    dict
        Version by name.
    """
    packages = ("inlier", "numpy", "scikit-learn", "scipy", "numba")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def parse(text: str, n_features: int) -> dict[str, Any]:
    """Read the facts of a model file.

    Parameters
    ----------
    text : str
        JSON, possibly of somebody who means harm.
    n_features : int
        How many names there must be.

    Returns
    -------
    dict
        By name; the names of the features as a tuple.

    Raises
    ------
    InvalidState
        If something is missing, unknown or of another type, or could not be told in an answer.
    """
    try:
        facts = _loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidState(f"its facts are not JSON: {error}") from error
    if isinstance(facts, dict):
        facts = _SINCE_THEN | facts
    if not isinstance(facts, dict) or facts.keys() != TYPES.keys():
        raise InvalidState("its facts are not those of a model")
    for name, types in TYPES.items():
        if not isinstance(facts[name], types) or isinstance(facts[name], bool):
            raise InvalidState(f"{name} is {type(facts[name]).__name__}")
    names = facts["feature_names"]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise InvalidState("its feature names are not names, or not distinct")
    if len(names) != n_features:
        raise InvalidState(f"it has {len(names)} feature names for {n_features} features")
    if facts["n_rows"] < 1:
        raise InvalidState(f"n_rows is {facts['n_rows']}")
    try:
        datetime.fromisoformat(facts["trained_at"])
    except ValueError as error:
        raise InvalidState(f"trained_at: {error}") from error
    return facts | {"feature_names": tuple(names)}


def _loads(text: str) -> Any:
    """Read JSON that can be written again, by writers that are stricter than Python's, too."""
    value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_short)
    json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no UTF-8
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [part for part in level if isinstance(part, (dict, list))]
        level = [piece for part in inner for piece in (part.values() if isinstance(part, dict) else part)]
    if level:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no number")
    return value


def _short(text: str) -> int | float:
    """A number of more than 64 bits is no integer to other readers."""
    value = int(text)
    return value if -(2**63) <= value < 2**64 else _finite(text)
