"""What a call of a model class gave: its payload, and the tags and metrics beside it."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import BadData
from serving.microservice.methods import RemoteRefusal

if TYPE_CHECKING:  # scikit-learn and numba would come with it: much for a class that needs none of them
    from serving.detector_model import Judged

_METRIC_TYPES = ("COUNTER", "GAUGE", "TIMER")


@dataclass(slots=True)
class Outcome:
    """What a call of the model class gave.

    Attributes
    ----------
    data : object
        The payload.
    tags : dict
        For ``meta.tags``.
    metrics : list of dict
        Checked.
    judged : Judged or None
        Rows and scores, from one of our own classes.
    rows : int
        How many the payload had.
    model : int
        Which model judged them: its component's tag.
    """

    data: Any
    tags: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    judged: "Judged | None" = None
    rows: int = 0
    model: int = 0


def unwrap(answer: Any) -> Outcome:
    """Take a ``SeldonResponse`` apart; anything else is data.

    Parameters
    ----------
    answer : object
        What the class returned.

    Returns
    -------
    Outcome
        Its parts.
    """
    if type(answer).__name__ == "SeldonResponse" and hasattr(answer, "data"):
        return Outcome(answer.data, dict(answer.tags or {}), check_metrics(list(answer.metrics or [])))
    return Outcome(answer)


def check_metrics(metrics: Any) -> list[dict[str, Any]]:
    """Refuse what Prometheus could not show.

    Parameters
    ----------
    metrics : object
        What the class said its metrics are.

    Returns
    -------
    list of dict
        The same.

    Raises
    ------
    RemoteRefusal
        As the wrapper has it.
    """
    fine = isinstance(metrics, list) and all(
        isinstance(metric, dict)
        and metric.get("type") in _METRIC_TYPES
        and isinstance(metric.get("key"), str)
        and isinstance(metric.get("value"), int | float | np.number)
        and isinstance(metric.get("tags", {}), dict)
        for metric in metrics
    )
    if not fine:
        text = json.dumps(metrics, default=repr)
        raise RemoteRefusal(f"Bad metric created during request: {text}", 500, "MICROSERVICE_BAD_METRIC")
    return metrics  # type: ignore[no-any-return]


def need_int(outcome: Outcome) -> int:
    """The branch that a router chose.

    Parameters
    ----------
    outcome : Outcome
        Of ``route``.

    Returns
    -------
    int
        Its number.

    Raises
    ------
    RemoteRefusal
        If it is no integer.
    """
    if not isinstance(outcome.data, int | np.integer) or isinstance(outcome.data, bool):
        raise RemoteRefusal(f"Routing response must be int but got {outcome.data}", 400, BadData.reason)
    return int(outcome.data)
