"""What is known of a model besides its detector: JSON, read back with every type checked."""

import json
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
        If something is missing, unknown or of another type.
    """
    try:
        facts = json.loads(text, parse_constant=_refuse_constant)
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


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
