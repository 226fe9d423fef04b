"""Seldon Core's methods, whatever wire their messages came over."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from serving.microservice.component import Component
from serving.microservice.messages import FEW_ROWS, Few, Reply
from serving.microservice.outcome import Outcome, need_int
from serving.microservice.puids import new_puid
from serving.microservice.service import Service
from serving.protocols import seldon
from serving.protocols.seldon import Feedback, Message


@dataclass(slots=True)
class Answer:
    """What will become a SeldonMessage.

    Attributes
    ----------
    kind : str
        Of the request's payload; the answer keeps it where it can. ``jsonData`` only if the payload is passed on and no
        other field holds it: the wrapper puts lists and text into others.
    data : object
        The payload.
    names : sequence of str
        Of its columns.
    meta : dict
        Of the answer.
    outcome : Outcome
        What the model gave, for the metrics.
    """

    kind: str
    data: Any
    names: Sequence[str]
    meta: dict[str, Any]
    outcome: Outcome

    @property
    def puid(self) -> str:
        """Identifier of the request; empty where it needs none."""
        return self.meta.get("puid", "")  # type: ignore[no-any-return]


class SeldonCalls:
    """The methods, for one service.

    Parameters
    ----------
    service : Service
        Whose component they call.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        settings = service.settings
        self._request_path = {settings.unit_id: settings.image} if settings.unit_id else {}
        self._metrics_in_response = settings.metrics_in_response

    def predict(self, component: Component, message: Message, *, explain: bool = False) -> Answer:
        """Call ``predict``."""
        self.service.check_rows(message.payload)
        payload = message.rows if component.own else message.payload
        outcome = component.call("predict", payload, message.names, message.meta)
        if explain and outcome.judged is not None:
            outcome.tags = {**outcome.tags, **self.service.explanation(component, outcome.judged)}
        return self.answer(component, message, outcome)

    def transform_input(self, component: Component, message: Message) -> Answer:
        """Call ``transform_input``."""
        outcome = component.call("transform_input", message.payload, message.names, message.meta)
        return self.answer(component, message, outcome)

    def transform_output(self, component: Component, message: Message) -> Answer:
        """Call ``transform_output``."""
        outcome = component.call("transform_output", message.payload, message.names, message.meta)
        return self.answer(component, message, outcome)

    def route(self, component: Component, message: Message) -> Answer:
        """Call ``route``."""
        outcome = component.call("route", message.payload, message.names, message.meta)
        outcome.data = np.array([[need_int(outcome)]])
        message.meta = {"puid": message.puid} if message.puid else {}
        return self.answer(component, message, outcome)

    def aggregate(self, component: Component, messages: list[Message]) -> Answer:
        """Call ``aggregate``."""
        payloads = [one.payload for one in messages]
        outcome = component.aggregate(payloads, [one.names for one in messages])
        first = messages[0]
        meta: dict[str, Any] = {"puid": first.puid} if first.puid else {}
        for field in ("tags", "requestPath"):
            meta[field] = {}
            for message in messages:
                meta[field].update(message.meta.get(field) or {})
        meta["metrics"] = [metric for message in messages for metric in message.meta.get("metrics") or []]
        return self.answer(component, Message(first.kind, payloads, [], meta), outcome)

    def feedback(self, component: Component, feedback: Feedback) -> Answer:
        """Call ``send_feedback``."""
        self.service.count_reward(feedback.reward)
        request = feedback.request
        routing = feedback.routing.get(self.service.settings.unit_id)
        outcome = component.feedback(feedback.features, request.names, feedback.reward, feedback.truth, routing)
        if outcome.data is None:
            outcome.data = np.array([])
        request.meta = {"puid": request.puid} if request.puid else {}
        return self.answer(component, request, outcome)

    def answer(
        self,
        component: Component,
        message: Message,
        outcome: Outcome,
        *,
        invent_puid: bool = True,
    ) -> Answer:
        """Put names and meta to what a call gave.

        Parameters
        ----------
        component : Component
            That was called.
        message : Message
            The request.
        outcome : Outcome
            Of the call.
        invent_puid : bool
            Whether a request without an identifier gets one.

        Returns
        -------
        Answer
            To be written.
        """
        data, kind = outcome.data, message.kind
        if kind == "jsonData" and (data is not message.payload or _fits_elsewhere(data)):
            kind = ""
        names = component.class_names(data) if isinstance(data, np.ndarray | list) and kind != "jsonData" else []
        puid = message.puid or (new_puid() if invent_puid else "")
        meta = self._meta(message.meta, puid, outcome.tags, outcome.metrics if self._metrics_in_response else [])
        return Answer(kind, data, names, meta, outcome)

    def _meta(
        self, given: dict[str, Any], puid: str, tags: dict[str, Any], metrics: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """An answer's ``meta``: the model's, added to the request's."""
        meta: dict[str, Any] = {"puid": puid} if puid else {}
        if tags := ({**given["tags"], **tags} if given.get("tags") else tags):
            meta["tags"] = tags
        if metrics := ([*given["metrics"], *metrics] if given.get("metrics") else metrics):
            meta["metrics"] = metrics
        if path := {**self._request_path, **(given.get("requestPath") or {})}:
            meta["requestPath"] = path
        return meta

    def few(self, component: Component, message: Message) -> Few | None:
        """What `predict` would be called with, if rows of other requests may be judged by the same call.

        Parameters
        ----------
        component : Component
            To be called.
        message : Message
            The request.

        Returns
        -------
        Few or None
            None for more than a few rows, or a payload of another kind.

        Raises
        ------
        ServingError
            As `predict`.
        """
        payload = message.payload
        if message.kind != "ndarray" or payload.ndim < 1 or not 0 < len(payload) <= FEW_ROWS:
            return None
        self.service.check_rows(payload)
        return Few(
            component, component.user.rows(message.rows, message.names), partial(self._of_few, component, message)
        )

    def _of_few(self, component: Component, message: Message, scores: list[float], labels: list[int]) -> Reply:
        user = component.user
        puid = message.puid or new_puid()
        metrics = user.metrics_of(labels) if self._metrics_in_response else []
        data = {"names": user.class_names(), "ndarray": [(score, 1.0 - score) for score in scores]}
        meta = self._meta(message.meta, puid, user.tags_of(labels), metrics)
        return Reply(seldon.dumps({"data": data, "meta": meta}), puid=puid)


def _fits_elsewhere(payload: Any) -> bool:
    """Whether what came as ``jsonData`` can go back as text or an array."""
    if not isinstance(payload, list):
        return isinstance(payload, str)
    try:
        np.shape(payload)
    except ValueError:  # lists of different lengths
        return False
    return True
