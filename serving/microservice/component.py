"""Any class written for Seldon Core's wrapper, called as the wrapper calls it.

What a class can do is found out once, so that no request pays for it and nothing is called twice.
"""

import inspect
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import BadData, ModelFault, NotOffered, ServingError

if TYPE_CHECKING:  # pandas, scikit-learn and numba would come with it: much for a class that needs none of them
    from serving.detector_model import Judged

_log = logging.getLogger("inlier.component")
_RAW = ("predict", "transform_input", "transform_output", "route", "aggregate", "send_feedback", "health_status")
_METRIC_TYPES = ("COUNTER", "GAUGE", "TIMER")

Call = Callable[[Any, Sequence[str], dict[str, Any]], Any]


class NotImplementedHere(Exception):
    """The class inherits a method that it doesn't have."""


class RemoteRefusal(ServingError):
    """An error that the model class raised for the client, with its own status."""

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


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
    """

    data: Any
    tags: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    judged: "Judged | None" = None
    rows: int = 0


class Component:
    """A model object and its methods.

    Parameters
    ----------
    user : object
        An instance of the model class, loaded.

    Attributes
    ----------
    own : bool
        Whether the class is one of ours.
    """

    def __init__(self, user: Any) -> None:
        if hasattr(user, "model_error_handler"):
            _log.warning(
                "%s has a model_error_handler: a Flask blueprint, which needs the genuine wrapper, is left out here; "
                "raise SeldonMicroserviceException(message, status_code, reason) instead",
                type(user).__name__,
            )
        self.user = user
        self.own = is_own(user)
        self._calls = {name: _call(user, name) for name in ("predict", "transform_input", "transform_output", "route")}
        self._raws = {name: raw for name in _RAW if (raw := _method(user, f"{name}_raw")) is not None}
        self._tags = _method(user, "tags")
        self._metrics = _method(user, "metrics")
        self._judged = _method(user, "judged")
        self._class_names = _names_of(user, "class_names")

    def raw(self, name: str) -> Callable[[Any], Any] | None:
        """The class's method for whole messages, e.g. ``predict_raw``.

        Parameters
        ----------
        name : str
            Of the method without ``_raw``.

        Returns
        -------
        callable or None
            None if the class has none.
        """
        return self._raws.get(name)

    def has(self, name: str) -> bool:
        """Whether the class has a method of its own of that name."""
        return _method(self.user, name) is not None

    def call(self, name: str, payload: Any, names: Sequence[str], meta: dict[str, Any]) -> Outcome:
        """Call ``predict`` or a method like it, and ask for tags and metrics after it.

        Parameters
        ----------
        name : str
            ``predict``, ``transform_input``, ``transform_output`` or ``route``.
        payload : object
            Array, dict, text or bytes.
        names : sequence of str
            Of the columns.
        meta : dict
            The request's.

        Returns
        -------
        Outcome
            As the wrapper has it where the class lacks the method: nothing for ``predict``, the payload itself for
            transformers.

        Raises
        ------
        ServingError
            What the class raised, with a status.
        """
        method = self._calls[name]
        default: Any = [] if name == "predict" else payload
        if method is None:
            if name == "route":
                raise self._not_offered("route")
            return self._with_extras(default)
        try:
            answer = guarded(method, payload, names, meta)
        except NotImplementedHere:
            answer = default
        outcome = self._with_extras(answer)
        outcome.rows = len(payload) if isinstance(payload, np.ndarray) and payload.ndim else 1
        return outcome

    def _with_extras(self, answer: Any) -> Outcome:
        outcome = unwrap(answer)
        if self._metrics is not None:
            own = guarded_or(self._metrics, [])
            outcome.metrics = check_metrics(own) + outcome.metrics
        if self._tags is not None:
            own_tags = guarded_or(self._tags, {})
            outcome.tags = {**own_tags, **outcome.tags} if outcome.tags else own_tags
        if self._judged is not None:
            outcome.judged = self._judged()
        return outcome

    def _not_offered(self, name: str) -> NotOffered:
        inherited = hasattr(self.user, name)
        return NotOffered(f"{name} is not implemented" if inherited else f"{name.capitalize()} not defined")

    def aggregate(self, payloads: list[Any], names: list[list[str]]) -> Outcome:
        """Combine several payloads.

        Parameters
        ----------
        payloads : list
            One of each message.
        names : list of list of str
            Of their columns.

        Returns
        -------
        Outcome
            The combination.
        """
        method = _method(self.user, "aggregate")
        if method is None:
            raise self._not_offered("aggregate")
        return self._with_extras(guarded(method, payloads, names))

    def feedback(self, features: Any, names: Sequence[str], reward: float, truth: Any, routing: int | None) -> Outcome:
        """Tell the class how good an answer was; nothing happens if it has no ``send_feedback``.

        Parameters
        ----------
        features, names
            The request that was answered.
        reward : float
            How good the answer was.
        truth : ndarray
            What would have been right.
        routing : int or None
            Where a router sent it.

        Returns
        -------
        Outcome
            Usually without data.
        """
        method = _method(self.user, "send_feedback")
        answer = None
        if method is not None:
            try:
                answer = guarded(lambda: method(features, names, reward, truth, routing=routing))
            except NotImplementedHere:
                answer = None
        return self._with_extras(answer)

    def health(self) -> Outcome:
        """What ``health_status`` says, or that there is none, with tags and metrics."""
        method = _method(self.user, "health_status")
        if method is None:
            inherited = hasattr(self.user, "health_status")
            return self._with_extras("not implemented - assuming healthy" if inherited else "healthy")
        return self._with_extras(guarded_or(method, "not implemented - assuming healthy"))

    def class_names(self, data: Any) -> list[str]:
        """Names of an answer's columns: the class's, else ``t:0``, ``t:1``; none for a flat answer."""
        if np.ndim(data) < 2:
            return []
        if self._class_names is not None:
            try:
                return self._class_names()
            except NotImplementedHere:
                pass
        return [f"t:{index}" for index in range(np.shape(data)[1])]


def is_own(user: Any) -> bool:
    """Whether an object is of one of our own model classes.

    Parameters
    ----------
    user : object
        Any.

    Returns
    -------
    bool
        Without importing those classes: if nobody has, it is not.
    """
    models = sys.modules.get("serving.detector_model")
    return models is not None and isinstance(user, models.DetectorModel)


def guarded(method: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method of the model class; whatever it raises becomes an error with a status.

    Parameters
    ----------
    method : callable
        Of the model class.
    *arguments
        For it.

    Returns
    -------
    object
        What it returned.

    Raises
    ------
    NotImplementedHere
        If the method is one that Seldon's base class has for all.
    ServingError
        For the client.
    """
    try:
        return method(*arguments)
    except ServingError:
        raise
    except Exception as error:
        if type(error).__name__ == "SeldonNotImplementedError":
            raise NotImplementedHere from error
        if callable(getattr(error, "to_dict", None)) and isinstance(getattr(error, "status_code", None), int):
            raise _refusal(error) from error
        raise ModelFault(str(error) or type(error).__name__) from error


def guarded_or(method: Callable[[], Any], default: Any) -> Any:
    """`guarded`, with a default for what the class doesn't implement."""
    try:
        return guarded(method)
    except NotImplementedHere:
        return default


def _refusal(error: Any) -> RemoteRefusal:
    status = error.status_code if 400 <= error.status_code <= 599 else 500
    return RemoteRefusal(str(error.message), status, str(getattr(error, "reason", "MICROSERVICE_BAD_DATA")))


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


def _method(user: Any, name: str) -> Callable[..., Any] | None:
    method = getattr(user, name, None)
    return method if callable(method) and not _inherited_stub(method) else None


def _inherited_stub(method: Any) -> bool:
    """Whether it is the placeholder of Seldon's base class, which raises that it is not implemented."""
    base = getattr(sys.modules.get("seldon_core.user_model"), "SeldonComponent", None)
    function = getattr(method, "__func__", None)
    return base is not None and function is not None and function is vars(base).get(method.__name__)


def _call(user: Any, name: str) -> Call | None:
    method = _method(user, name)
    if method is None:
        return None
    if _takes_meta(method):
        return lambda payload, names, meta: method(payload, names, meta=meta)
    return lambda payload, names, _: method(payload, names)


def _takes_meta(method: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # compiled, without a signature
        return False
    return "meta" in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def _names_of(user: Any, name: str) -> Callable[[], list[str]] | None:
    """The class has the names as a method, or as an attribute."""
    found = getattr(user, name, None)
    if found is None or (callable(found) and _inherited_stub(found)):
        return None
    if callable(found):
        return lambda: list(guarded(found))
    fixed = list(found)
    return lambda: fixed


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
