"""Any class written for Seldon Core's wrapper, called as the wrapper calls it.

What a class can do is found out once, so that no request pays for it and nothing is called twice.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from serving.errors import NotOffered
from serving.microservice.board import tag
from serving.microservice.methods import (
    NotImplementedHere,
    call_of,
    guarded,
    guarded_or,
    method_of,
    names_of,
)
from serving.microservice.outcome import Outcome, check_metrics, unwrap

_log = logging.getLogger("inlier.component")
_OF_ONE_PAYLOAD = ("predict", "transform_input", "transform_output", "route")
_RAW = ("predict", "transform_input", "transform_output", "route", "aggregate", "send_feedback", "health_status")


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
    batches : bool
        Whether it may judge rows of several requests in one call.
    name : str
        Of the model, where the deployment gives it none.
    version : str
        Of the model; empty if the class is not ours.
    tag : int
        Stands for the version where rows are counted.
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
        self._calls = {
            name: call_of(user, name) for name in ("predict", "transform_input", "transform_output", "route")
        }
        self._raws = {name: raw for name in _RAW if (raw := method_of(user, f"{name}_raw")) is not None}
        self._tags = method_of(user, "tags")
        self._metrics = method_of(user, "metrics")
        self._judged = method_of(user, "judged")
        self._class_names = names_of(user, "class_names")
        self.batches: bool = self.own and not self._raws and user.batches
        self.name: str = f"model_{user.detector}" if self.own else type(user).__name__
        self.version: str = user.model.trained_at if self.own else ""
        self.tag = tag(self.version)

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
        return method_of(self.user, name) is not None

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
        if self.own:  # it counts its rows itself
            return self._of_ours(answer)
        outcome = self._with_extras(answer)
        outcome.rows = len(payload) if isinstance(payload, np.ndarray) and payload.ndim else 1
        return outcome

    def _of_ours(self, answer: Any) -> Outcome:
        """What `_with_extras` finds out about any class, without the checks that our own need not pass."""
        user = self.user
        return Outcome(answer, user.tags(), user.metrics(), user.judged(), model=self.tag)

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
            outcome.model = self.tag
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
        method = method_of(self.user, "aggregate")
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
        method = method_of(self.user, "send_feedback")
        answer = None
        if method is not None:
            try:
                answer = guarded(lambda: method(features, names, reward, truth, routing=routing))
            except NotImplementedHere:
                answer = None
        return self._with_extras(answer)

    def health(self) -> Outcome:
        """What ``health_status`` says, or that there is none, with tags and metrics."""
        method = method_of(self.user, "health_status")
        if method is None:
            inherited = hasattr(self.user, "health_status")
            return self._with_extras("not implemented - assuming healthy" if inherited else "healthy")
        return self._with_extras(guarded_or(method, "not implemented - assuming healthy"))

    def class_names(self, data: Any) -> list[str]:
        """Names of an answer's columns: the class's, else ``t:0``, ``t:1``; none for a flat answer."""
        shape = data.shape if isinstance(data, np.ndarray) else np.shape(data)
        if len(shape) < 2:
            return []
        if self._class_names is not None:
            try:
                return self._class_names()
            except NotImplementedHere:
                pass
        return [f"t:{index}" for index in range(shape[1])]


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
