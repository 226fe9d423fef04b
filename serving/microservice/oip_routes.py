"""The Open Inference Protocol over REST: what is at each path."""

from functools import partial
from importlib import metadata
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving.errors import ModelFault, NotHere, ServingError
from serving.microservice.component import Component
from serving.microservice.messages import FEW_BYTES, FEW_ROWS, Few, Handler, Reply, Request, Route
from serving.microservice.outcome import Outcome
from serving.microservice.puids import new_puid
from serving.microservice.seldon_routes import wants_explanation
from serving.microservice.service import Service
from serving.protocols import oip
from serving.protocols.seldon import dumps

_BINARY = b"application/octet-stream"
_INPUT: Final = "predict"
"""What metadata calls the one input of all features."""
Outputs = oip.Outputs


class OipRoutes:
    """The handlers, for one service.

    Parameters
    ----------
    service : Service
        Whose component they call.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    def table(self) -> dict[str, Route]:
        """The paths that are always the same; for the others see `find`."""
        reads: tuple[tuple[str, Handler], ...] = (
            ("/v2", self.server),
            ("/v2/health/live", lambda _: Reply(dumps({"live": True}))),
            ("/v2/health/ready", self.ready),
        )
        return {path: Route({"GET": handler}, "v2", style="v2") for path, handler in reads}

    def find(self, path: str) -> Route | None:
        """The route at a path that names the model.

        Parameters
        ----------
        path : str
            ``/v2/models/{model}[/versions/{version}][/ready | /infer]``.

        Returns
        -------
        Route or None
            None for a path of another form; a model that is not served is found out by the handler.
        """
        parts = path.split("/")
        if parts[:3] != ["", "v2", "models"] or len(parts) < 4:
            return None
        name, rest = parts[3], parts[4:]
        version = ""
        if len(rest) >= 2 and rest[0] == "versions":
            version, rest = rest[1], rest[2:]
        if rest == ["infer"]:
            handler = partial(self.infer, name=name, version=version)
            return Route({"POST": handler}, "infer", True, "v2", partial(self.few, name=name, version=version))
        if rest == ["ready"]:
            return Route({"GET": lambda _: self.model_ready(name, version)}, "v2", style="v2")
        if not rest:
            return Route({"GET": lambda _: self.model(name, version)}, "v2", style="v2")
        return None

    def server(self, _: Request) -> Reply:
        """What this server is."""
        return Reply(dumps(server_metadata()))

    def ready(self, _: Request) -> Reply:
        """200 if requests are answered."""
        self.service.ready_component()
        return Reply(dumps({"ready": True}))

    def model_ready(self, name: str, version: str) -> Reply:
        """200 if requests to the model are answered."""
        check_model(self.service, self.service.component, name, version)
        self.service.ready_component()
        return Reply(dumps({"name": name, "ready": True}))

    def model(self, name: str, version: str) -> Reply:
        """What the model takes and gives."""
        component = self.service.component
        check_model(self.service, component, name, version)
        return Reply(dumps(model_metadata(self.service, component)))

    def infer(self, request: Request, name: str, version: str) -> Reply:
        """Tensors to tensors."""
        service, component = self.service, self.service.component
        check_model(service, component, name, version)
        inference = _parsed(request)
        outputs, outcome = predict(service, component, inference, explain=_explained(request, inference))
        return self._reply(component, inference, outputs, outcome.tags, outcome)

    def few(self, request: Request, name: str, version: str) -> Few | None:
        """Take a request apart if it is a few rows; what has been parsed is kept in it."""
        component = self.service.component
        if not component.batches or len(request.body) > FEW_BYTES:
            return None
        check_model(self.service, component, name, version)
        inference = request.document = _parsed(request)
        rows = inference.rows
        if not rows.ndim or not 0 < len(rows) <= FEW_ROWS or _explained(request, inference):
            return None
        self.service.check_rows(rows)
        rows = component.user.rows(rows, _columns(component, inference))
        return Few(component, rows, partial(self._of_few, component, inference))

    def _of_few(self, component: Component, inference: oip.Inference, scores: list[float], labels: list[int]) -> Reply:
        return self._reply(component, inference, _outputs(np.array(scores), labels), component.user.tags_of(labels))

    def _reply(
        self,
        component: Component,
        inference: oip.Inference,
        outputs: Outputs,
        tags: dict[str, Any],
        outcome: Outcome | None = None,
    ) -> Reply:
        chosen = oip.choose(outputs, inference.wanted, inference.binary)
        identifier = inference.id or new_puid()
        name = self.service.name_of(component)
        head: dict[str, Any] = {"model_name": name, "model_version": component.version, "id": identifier}
        if tags:
            head["parameters"] = parameters_of(tags)
        body, json_length = oip.encode(head, chosen)
        if json_length is None:
            return Reply(body, puid=identifier, outcome=outcome)
        length = (b"inference-header-content-length", b"%d" % json_length)
        return Reply(body, content_type=_BINARY, headers=(length,), puid=identifier, outcome=outcome)


def predict(
    service: Service, component: Component, inference: oip.Inference, *, explain: bool
) -> tuple[Outputs, Outcome]:
    """Ask the model, and give its answer the names that the protocol's clients see.

    Parameters
    ----------
    service : Service
        What is served.
    component : Component
        That the request began with.
    inference : Inference
        The request; its parameters are passed on as tags.
    explain : bool
        Whether to add what each feature did.

    Returns
    -------
    tuple
        Outputs by name, and what the model gave.

    Raises
    ------
    ServingError
        As everywhere.
    """
    service.check_rows(inference.rows)
    meta = {"tags": inference.parameters} if inference.parameters else {}
    outcome = component.call("predict", inference.rows, _columns(component, inference), meta)
    judged = outcome.judged
    if judged is None:
        return _foreign_outputs(component, outcome), outcome
    outputs = _outputs(judged.scores, judged.labels)
    if explain:
        outputs.append(("feature_contributions", component.user.explain(judged)))
    return outputs, outcome


def _columns(component: Component, inference: oip.Inference) -> list[str]:
    """Names of a request's columns: none where its one tensor has the name of all features together."""
    names = inference.names
    whole = len(names) == 1 and names[0] == _INPUT and component.own and _INPUT not in component.user.feature_names()
    return [] if whole else names


def _outputs(scores: npt.NDArray[np.float64], labels: list[int]) -> Outputs:
    return [
        ("anomaly_score", scores),
        ("complementary_score", 1.0 - scores),
        ("label", np.frombuffer(bytes(labels), np.uint8).astype(np.int64)),  # np.array() takes four times as long
    ]


def _parsed(request: Request) -> oip.Inference:
    if isinstance(request.document, oip.Inference):
        return request.document
    return oip.parse(request.body, request.json_length)


def _explained(request: Request, inference: oip.Inference) -> bool:
    """Whether the request asks for what each feature did: as a parameter, or in its address."""
    return inference.parameters.get("explain") in (True, 1, "1", "true") or wants_explanation(request.query)


def _foreign_outputs(component: Component, outcome: Outcome) -> Outputs:
    if not isinstance(outcome.data, np.ndarray | list):
        raise ModelFault(f"{type(component.user).__name__}.predict returned no array")
    values = np.asarray(outcome.data)
    if oip.datatype(values) == "BYTES":
        raise ModelFault(f"{type(component.user).__name__}.predict returned {values.dtype}, not numbers")
    return [("predict", values)]


def check_model(service: Service, component: Component, name: str, version: str) -> None:
    """Refuse a model or a version that is not served.

    Raises
    ------
    NotHere
        Names what is.
    """
    served = service.name_of(component)
    if name != served:
        raise NotHere(f"there is no model {name!r}, only {served}")
    if version and version != component.version:
        raise NotHere(f"there is no version {version!r} of {name}, only {component.version or 'one without a name'}")


def server_metadata() -> dict[str, Any]:
    """Name, version and extensions of this server."""
    return {"name": "inlier", "version": metadata.version("inlier"), "extensions": ["binary_tensor_data"]}


def model_metadata(service: Service, component: Component) -> dict[str, Any]:
    """What the model takes and gives."""
    versions = [component.version] if component.version else []
    head = {"name": service.name_of(component), "versions": versions, "platform": "inlier"}
    if not component.own:
        return {**head, "inputs": [], "outputs": [{"name": "predict", "datatype": "FP64", "shape": [-1, -1]}]}
    features = component.user.feature_names()
    outputs = [("anomaly_score", "FP64"), ("complementary_score", "FP64"), ("label", "INT64")]
    return {
        **head,
        "inputs": [
            {
                "name": _INPUT,
                "datatype": "FP64",
                "shape": [-1, len(features)],
                "parameters": {"features": ", ".join(features)},
            }
        ],
        "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in outputs],
    }


def parameters_of(tags: dict[str, Any]) -> dict[str, Any]:
    """Those tags that the protocol's parameters can hold: text, numbers and truth values."""
    return {name: value for name, value in tags.items() if isinstance(value, str | int | float | bool)}


def refusal(error: ServingError) -> Reply:
    """The answer for an error, as the protocol has it.

    Parameters
    ----------
    error : ServingError
        With its status.

    Returns
    -------
    Reply
        ``{"error": ...}``.
    """
    return Reply(dumps({"error": str(error)}), error.status)
