"""Seldon Core v1 over REST: what is at each path."""

from collections.abc import Callable
from importlib import resources
from typing import Any

from serving.errors import BadData, ModelFault, ServingError
from serving.microservice.component import Component
from serving.microservice.exposition import CONTENT_TYPE
from serving.microservice.messages import FEW_BYTES, TEXT, Few, Handler, Reply, Request, Route
from serving.microservice.methods import NotImplementedHere, guarded
from serving.microservice.outcome import Outcome, check_metrics
from serving.microservice.seldon_calls import Answer, SeldonCalls
from serving.microservice.service import Service
from serving.protocols import forms, numbers, plain_rows, seldon


class SeldonRoutes:
    """The handlers, for one service.

    Parameters
    ----------
    service : Service
        Whose component they call, the one in force when the request is handled.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._calls = SeldonCalls(service)

    def table(self) -> dict[str, Route]:
        """Every path with what is there."""
        either = ("GET", "POST")
        routes: dict[str, Route] = {}
        calls: tuple[tuple[tuple[str, ...], str, Handler], ...] = (
            (("/predict", "/api/v1.0/predictions", "/api/v0.1/predictions"), "predict", self.predict),
            (("/send-feedback", "/api/v1.0/feedback", "/api/v0.1/feedback"), "feedback", self.feedback),
            (("/transform-input",), "transform-input", self._other("transform_input", self._calls.transform_input)),
            (("/transform-output",), "transform-output", self._other("transform_output", self._calls.transform_output)),
            (("/route",), "route", self._other("route", self._calls.route)),
            (("/aggregate",), "aggregate", self.aggregate),
        )
        for paths, name, handler in calls:
            few = self.few if name == "predict" else None
            for path in paths:
                routes[path] = Route(dict.fromkeys(either, handler), name, predicts=True, few=few)
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
        if (reply := self._raw(component, "predict", request)) is not None:
            return reply
        explain = bool(request.query) and wants_explanation(request.query)
        message = seldon.parse(_document_of_rows(request, integers=component.own))
        return _reply(self._calls.predict(component, message, explain=explain))

    def few(self, request: Request) -> Few | None:
        """Take a request to ``predict`` apart if it is a few rows in JSON; what has been parsed is kept in it."""
        component = self.service.component
        if not component.batches or request.query or len(request.body) > FEW_BYTES:
            return None
        request.document = _document(request)
        return self._calls.few(component, seldon.parse(request.document))

    def feedback(self, request: Request) -> Reply:
        """How good an answer was, to ``send_feedback``."""
        component = self.service.component
        feedback = seldon.parse_feedback(_document(request))
        if (reply := self._raw(component, "send_feedback", request)) is not None:
            self.service.count_reward(feedback.reward)
            return reply
        return _reply(self._calls.feedback(component, feedback), of_feedback=True)

    def aggregate(self, request: Request) -> Reply:
        """Several SeldonMessages to one."""
        component = self.service.component
        if (reply := self._raw(component, "aggregate", request)) is not None:
            return reply
        return _reply(self._calls.aggregate(component, _messages(_document(request))))

    def _other(self, name: str, call: Callable[[Component, seldon.Message], Answer]) -> Handler:
        """The handler for a method that takes one message and gives one."""

        def handle(request: Request) -> Reply:
            component = self.service.component
            if (reply := self._raw(component, name, request)) is not None:
                return reply
            return _reply(call(component, seldon.parse(_document(request))))

        return handle

    def health(self, _: Request) -> Reply:
        """200 if the model is ready, with what it says."""
        component = self.service.ready_component()
        raw = component.raw("health_status")
        if raw is not None:
            try:
                return Reply(seldon.dumps(guarded(raw)))
            except NotImplementedHere:
                pass
        outcome = component.health()
        return _reply(self._calls.answer(component, seldon.Message("", None), outcome, invent_puid=False))

    def metadata(self, _: Request) -> Reply:
        """What the model is."""
        return Reply(seldon.dumps(self.service.metadata()))

    def metrics(self, _: Request) -> Reply:
        """Metrics for Prometheus."""
        return Reply(self.service.render_metrics(), content_type=CONTENT_TYPE)

    def openapi(self, _: Request) -> Reply:
        """The description of this interface."""
        return Reply(resources.files("serving.microservice").joinpath("seldon.json").read_bytes())

    def _raw(self, component: Component, name: str, request: Request) -> Reply | None:
        """The answer of a class that handles whole messages itself; None if it doesn't."""
        method = component.raw(name)
        if method is None:
            return None
        settings = self.service.settings
        document: Any = request.body if settings.passthrough else _document(request)
        try:
            answer = guarded(method, document)
        except NotImplementedHere:
            return None
        if isinstance(answer, bytes | str):
            return Reply(answer if isinstance(answer, bytes) else answer.encode())
        metrics = take_metrics(answer, keep=settings.metrics_in_response)
        return Reply(seldon.dumps(answer), _status_of(answer), outcome=Outcome(None, metrics=metrics))


def take_metrics(answer: Any, *, keep: bool) -> list[dict[str, Any]]:
    """The metrics in a message that the class made itself.

    Parameters
    ----------
    answer : object
        Of the class.
    keep : bool
        Whether they stay in it.

    Returns
    -------
    list of dict
        Checked.
    """
    meta = answer.get("meta") if isinstance(answer, dict) else None
    if not isinstance(meta, dict) or not meta.get("metrics"):
        return []
    metrics = check_metrics(meta["metrics"])
    if not keep:
        del meta["metrics"]
    return metrics


def _status_of(answer: Any) -> int:
    found = answer.get("status") if isinstance(answer, dict) else None
    code = found.get("code") if isinstance(found, dict) else None
    return code if isinstance(code, int) and 200 <= code <= 599 else 200


def _reply(answer: Answer, *, of_feedback: bool = False) -> Reply:
    try:
        document = seldon.data_field(answer.kind, answer.data, answer.names)
        if of_feedback and not answer.names and "data" in document:
            del document["data"]["names"]  # as the wrapper, whose answer went through protocol buffers
        document["meta"] = answer.meta
        body = seldon.dumps(document)
    except TypeError as error:
        raise ModelFault(str(error)) from error
    return Reply(body, puid=answer.puid, outcome=answer.outcome)


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


def _document_of_rows(request: Request, *, integers: bool) -> Any:
    """`_document`, faster where it has many rows of numbers; whether those may be doubles if all are integers."""
    if request.document is not None:
        return request.document
    if len(request.body) >= plain_rows.LEAST_BYTES and request.content_type.startswith(b"application/json"):
        document = plain_rows.loads(request.body, integers=integers)
        if document is not None:
            return document
    return _document(request)


def _messages(document: Any) -> list[seldon.Message]:
    listed = document.get("seldonMessages") if isinstance(document, dict) else document
    if not isinstance(listed, list) or not listed:
        raise BadData(f"seldonMessages should be a list of SeldonMessages, not {numbers.kind(listed)}")
    return [seldon.parse(message) for message in listed]


def wants_explanation(query: bytes) -> bool:
    """Whether an address asks for what each feature did: ``explain=1``."""
    return b"explain" in query and forms.query(query).get("explain", "0").lower() in ("1", "true", "yes")
