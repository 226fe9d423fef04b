"""Seldon Core v1 over REST: what is at each path."""

import os
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import numpy as np

from serving.errors import BadData, ModelFault, ServingError
from serving.microservice.component import Component, NotImplementedHere, Outcome, check_metrics, guarded, need_int
from serving.microservice.messages import TEXT, Handler, Reply, Request, Route
from serving.microservice.metrics import CONTENT_TYPE
from serving.microservice.service import Service
from serving.protocols import forms, numbers, seldon


def new_puid() -> str:
    """An identifier for a request that came without: 40 hex digits."""
    return os.urandom(20).hex()


class SeldonRoutes:
    """The handlers, for one service.

    Parameters
    ----------
    service : Service
        Whose component they call, the one in force when the request is handled.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        settings = service.settings
        self._request_path = {settings.unit_id: settings.image} if settings.unit_id else {}
        self._metrics_in_response = settings.metrics_in_response

    def table(self) -> dict[str, Route]:
        """Every path with what is there."""
        either = ("GET", "POST")
        routes: dict[str, Route] = {}
        calls: tuple[tuple[tuple[str, ...], str, Handler], ...] = (
            (("/predict", "/api/v1.0/predictions", "/api/v0.1/predictions"), "predict", self.predict),
            (("/send-feedback", "/api/v1.0/feedback", "/api/v0.1/feedback"), "feedback", self.feedback),
            (("/transform-input",), "transform-input", self.transform_input),
            (("/transform-output",), "transform-output", self.transform_output),
            (("/route",), "route", self.route),
            (("/aggregate",), "aggregate", self.aggregate),
        )
        for paths, name, handler in calls:
            for path in paths:
                routes[path] = Route(dict.fromkeys(either, handler), name, predicts=True)
        reads: tuple[tuple[str, str, Handler], ...] = (
            ("/health/ping", "ping", lambda _: Reply(b"pong", content_type=TEXT)),
            ("/health/status", "health", self.health),
            ("/api/v1.0/health/status", "health", self.health),
            ("/metadata", "metadata", self.metadata),
            ("/api/v1.0/metadata", "metadata", self.metadata),
            ("/seldon.json", "openapi", self.openapi),
            (self.service.settings.metrics_path, "metrics", self.metrics),
        )
        for path, name, handler in reads:
            routes[path] = Route({"GET": handler}, name)
        return routes

    def predict(self, request: Request) -> Reply:
        """SeldonMessage to SeldonMessage through ``predict``."""
        component = self.service.component
        if (raw := component.raw("predict")) is not None:
            reply = self._raw(raw, request)
            if reply is not None:
                return reply
        message = seldon.parse(_document(request))
        self.service.check_rows(message.payload)
        payload = message.rows if component.own else message.payload
        outcome = component.call("predict", payload, message.names, message.meta)
        if request.query and outcome.judged is not None and wants_explanation(request.query):
            outcome.tags = {**outcome.tags, **self.service.explanation(component, outcome.judged)}
        return self._reply(component, message, outcome)

    def transform_input(self, request: Request) -> Reply:
        """SeldonMessage to SeldonMessage through ``transform_input``."""
        return self._transform("transform_input", request, of_input=True)

    def transform_output(self, request: Request) -> Reply:
        """SeldonMessage to SeldonMessage through ``transform_output``."""
        return self._transform("transform_output", request, of_input=False)

    def _transform(self, name: str, request: Request, *, of_input: bool) -> Reply:
        component = self.service.component
        if (raw := component.raw(name)) is not None:
            reply = self._raw(raw, request)
            if reply is not None:
                return reply
        message = seldon.parse(_document(request))
        outcome = component.call(name, message.payload, message.names, message.meta)
        names = component.feature_names(message.names) if of_input else None
        return self._reply(component, message, outcome, names)

    def route(self, request: Request) -> Reply:
        """SeldonMessage to the number of a branch."""
        component = self.service.component
        if (raw := component.raw("route")) is not None:
            reply = self._raw(raw, request)
            if reply is not None:
                return reply
        message = seldon.parse(_document(request))
        outcome = component.call("route", message.payload, message.names, message.meta)
        outcome.data = np.array([[need_int(outcome)]])
        message.meta = {"puid": message.puid} if message.puid else {}
        return self._reply(component, message, outcome)

    def aggregate(self, request: Request) -> Reply:
        """Several SeldonMessages to one."""
        component = self.service.component
        if (raw := component.raw("aggregate")) is not None:
            reply = self._raw(raw, request)
            if reply is not None:
                return reply
        messages = _messages(_document(request))
        outcome = component.aggregate([m.payload for m in messages], [m.names for m in messages])
        first = messages[0]
        meta: dict[str, Any] = {"puid": first.puid} if first.puid else {}
        for field in ("tags", "requestPath"):
            meta[field] = {}
            for message in messages:
                meta[field].update(message.meta.get(field) or {})
        meta["metrics"] = [metric for message in messages for metric in message.meta.get("metrics") or []]
        return self._reply(component, seldon.Message(first.kind, None, [], meta), outcome)

    def feedback(self, request: Request) -> Reply:
        """How good an answer was, to ``send_feedback``."""
        component = self.service.component
        document = _document(request)
        feedback = seldon.parse_feedback(document)
        if (raw := component.raw("send_feedback")) is not None:
            reply = self._raw(raw, request)
            if reply is not None:
                return reply
        self.service.count_reward(feedback.reward)
        routing = feedback.routing.get(self.service.settings.unit_id)
        outcome = component.feedback(
            feedback.features, feedback.request.names, feedback.reward, feedback.truth, routing
        )
        if outcome.data is None:
            outcome.data = np.array([])
        feedback.request.meta = {"puid": feedback.request.puid} if feedback.request.puid else {}
        return self._reply(component, feedback.request, outcome)

    def health(self, _: Request) -> Reply:
        """200 if the model is ready, with what it says."""
        component = self.service.ready_component()
        raw = component.raw("health_status")
        if raw is not None:
            try:
                return Reply(seldon.dumps(guarded(raw)))
            except NotImplementedHere:
                pass
        outcome = Outcome(component.health())
        outcome.tags = component.tags()
        return self._reply(component, seldon.Message("", None), outcome, invent_puid=False)

    def metadata(self, _: Request) -> Reply:
        """What the model is."""
        return Reply(seldon.dumps(self.service.metadata()))

    def metrics(self, _: Request) -> Reply:
        """Metrics for Prometheus."""
        return Reply(self.service.render_metrics(), content_type=CONTENT_TYPE)

    def openapi(self, _: Request) -> Reply:
        """The description of this interface."""
        return Reply(resources.files("serving.microservice").joinpath("seldon.json").read_bytes())

    def _raw(self, method: Callable[[Any], Any], request: Request) -> Reply | None:
        """The class handles whole messages itself."""
        passthrough = self.service.settings.passthrough
        document: Any = request.body if passthrough else _document(request)
        try:
            answer = guarded(method, document)
        except NotImplementedHere:
            return None
        if isinstance(answer, bytes | str):
            return Reply(answer if isinstance(answer, bytes) else answer.encode())
        status, metrics = 200, []
        if isinstance(answer, dict):
            meta = answer.get("meta")
            if isinstance(meta, dict) and meta.get("metrics"):
                metrics = check_metrics(meta["metrics"])
                if not self._metrics_in_response:
                    del meta["metrics"]
            found = answer.get("status")
            code = found.get("code") if isinstance(found, dict) else None
            status = code if isinstance(code, int) and 200 <= code <= 599 else 200
        return Reply(seldon.dumps(answer), status, outcome=Outcome(None, metrics=metrics))

    def _reply(
        self,
        component: Component,
        message: seldon.Message,
        outcome: Outcome,
        names: Sequence[str] | None = None,
        *,
        invent_puid: bool = True,
    ) -> Reply:
        data = outcome.data
        if names is None and isinstance(data, np.ndarray | list):
            names = component.class_names(data)
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
        try:
            document = seldon.data_field(message.kind, data, names or [])
            document["meta"] = meta
            body = seldon.dumps(document)
        except TypeError as error:
            raise ModelFault(str(error)) from error
        return Reply(body, puid=puid, outcome=outcome)


def refusal(error: ServingError) -> Reply:
    """The answer for an error.

    Parameters
    ----------
    error : ServingError
        With its status.

    Returns
    -------
    Reply
        With Seldon's body for errors.
    """
    return Reply(seldon.dumps(seldon.error_document(str(error), error.reason)), error.status)


def _document(request: Request) -> Any:
    """The JSON of a request: its body, a form's field or an address's."""
    kind = request.content_type[:33].lower()
    if kind.startswith(b"multipart/form-data"):
        return forms.multipart(request.content_type, request.body)
    if kind.startswith(b"application/x-www-form-urlencoded"):
        text = forms.query(request.body).get("json")
        # curl -d says that any body is a form; one that is no form is meant as JSON.
        if text is not None:
            return seldon.loads(text)
    if not request.body and request.query:
        text = forms.query(request.query).get("json")
        if text is None:
            raise BadData("there is neither a body nor ?json=")
        return seldon.loads(text)
    return seldon.loads(request.body)


def _messages(document: Any) -> list[seldon.Message]:
    listed = document.get("seldonMessages") if isinstance(document, dict) else document
    if not isinstance(listed, list) or not listed:
        raise BadData(f"seldonMessages should be a list of SeldonMessages, not {numbers.kind(listed)}")
    return [seldon.parse(message) for message in listed]


def wants_explanation(query: bytes) -> bool:
    return b"explain" in query and forms.query(query).get("explain", "0").lower() in ("1", "true", "yes")
