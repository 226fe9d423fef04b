"""Seldon Core's methods, whatever wire their messages came over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.microservice.component import Component
from serving.microservice.messages import new_puid
from serving.microservice.outcome import Outcome, need_int
from serving.microservice.service import Service
from serving.protocols.seldon import Feedback, Message


@dataclass(slots=True)
class Answer:
    """What will become a SeldonMessage.

    Attributes
    ----------
    kind : str
        Of the request's payload; the answer keeps it where it can.
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
        outcome = component.aggregate([one.payload for one in messages], [one.names for one in messages])
        first = messages[0]
        meta: dict[str, Any] = {"puid": first.puid} if first.puid else {}
        for field in ("tags", "requestPath"):
            meta[field] = {}
            for message in messages:
                meta[field].update(message.meta.get(field) or {})
        meta["metrics"] = [metric for message in messages for metric in message.meta.get("metrics") or []]
        return self.answer(component, Message(first.kind, None, [], meta), outcome)

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
        data = outcome.data
        names = component.class_names(data) if isinstance(data, np.ndarray | list) else []
        given = message.meta
        meta: dict[str, Any] = {}
        puid = message.puid or (new_puid() if invent_puid else "")
        if puid:
            meta["puid"] = puid
        if tags := ({**given["tags"], **outcome.tags} if given.get("tags") else outcome.tags):
            meta["tags"] = tags
        metrics = outcome.metrics if self._metrics_in_response else []
        if metrics := ([*given["metrics"], *metrics] if given.get("metrics") else metrics):
            meta["metrics"] = metrics
        if path := {**self._request_path, **(given.get("requestPath") or {})}:
            meta["requestPath"] = path
        return Answer(message.kind, data, names, meta, outcome)
