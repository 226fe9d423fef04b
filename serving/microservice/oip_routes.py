"""The Open Inference Protocol over REST: what is at each path."""

from collections.abc import Sequence
from functools import partial
from importlib import metadata
from typing import Any

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
        check_model(self.service, name, version)
        self.service.ready_component()
        return Reply(dumps({"name": self.service.name, "ready": True}))

    def model(self, name: str, version: str) -> Reply:
        """What the model takes and gives."""
        check_model(self.service, name, version)
        return Reply(dumps(model_metadata(self.service)))

    def infer(self, request: Request, name: str, version: str) -> Reply:
        """Tensors to tensors."""
        service = self.service
        check_model(service, name, version)
        inference = _parsed(request)
        outputs, outcome = predict(
            service, inference.rows, inference.names, inference.parameters, explain=_explained(request, inference)
        )
        return self._reply(inference, outputs, outcome.tags, outcome)

    def few(self, request: Request, name: str, version: str) -> Few | None:
        """Take a request apart if it is a few rows; what has been parsed is kept in it."""
        component = self.service.component
        if not component.batches or len(request.body) > FEW_BYTES:
            return None
        check_model(self.service, name, version)
        inference = request.document = _parsed(request)
        rows = inference.rows
        if not rows.ndim or not 0 < len(rows) <= FEW_ROWS or _explained(request, inference):
            return None
        self.service.check_rows(rows)
        user = component.user
        return Few(component, user.rows(rows, inference.names), partial(self._of_few, user, inference))

    def _of_few(self, user: Any, inference: oip.Inference, scores: list[float], labels: list[int]) -> Reply:
        return self._reply(inference, _outputs(np.array(scores), labels), user.tags_of(labels))

    def _reply(
        self, inference: oip.Inference, outputs: Outputs, tags: dict[str, Any], outcome: Outcome | None = None
    ) -> Reply:
        chosen = oip.choose(outputs, inference.wanted, inference.binary)
        identifier = inference.id or new_puid()
        service = self.service
        head: dict[str, Any] = {"model_name": service.name, "model_version": service.version, "id": identifier}
        if tags:
            head["parameters"] = parameters_of(tags)
        body, json_length = oip.encode(head, chosen)
        if json_length is None:
            return Reply(body, puid=identifier, outcome=outcome)
        length = (b"inference-header-content-length", b"%d" % json_length)
        return Reply(body, content_type=_BINARY, headers=(length,), puid=identifier, outcome=outcome)


def predict(
    service: Service, rows: npt.NDArray[Any], names: Sequence[str], parameters: dict[str, Any], *, explain: bool
) -> tuple[Outputs, Outcome]:
    """Ask the model, and give its answer the names that the protocol's clients see.

    Parameters
    ----------
    service : Service
        What is served.
    rows : ndarray
        The request's tensor.
    names : sequence of str
        Of its columns.
    parameters : dict
        The request's, passed on as tags.
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
    service.check_rows(rows)
    component = service.component
    outcome = component.call("predict", rows, names, {"tags": parameters} if parameters else {})
    judged = outcome.judged
    if judged is None:
        return _foreign_outputs(component, outcome), outcome
    outputs = _outputs(judged.scores, judged.labels)
    if explain:
        outputs.append(("feature_contributions", component.user.explain(judged)))
    return outputs, outcome


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


def check_model(service: Service, name: str, version: str) -> None:
    """Refuse a model or a version that is not served.

    Raises
    ------
    NotHere
        Names what is.
    """
    if name != service.name:
        raise NotHere(f"there is no model {name!r}, only {service.name}")
    if version and version != service.version:
        raise NotHere(f"there is no version {version!r} of {name}, only {service.version or 'one without a name'}")


def server_metadata() -> dict[str, Any]:
    """Name, version and extensions of this server."""
    return {"name": "inlier", "version": metadata.version("inlier"), "extensions": ["binary_tensor_data"]}


def model_metadata(service: Service) -> dict[str, Any]:
    """What the model takes and gives."""
    head = {"name": service.name, "versions": [service.version] if service.version else [], "platform": "inlier"}
    if not service.component.own:
        return {**head, "inputs": [], "outputs": [{"name": "predict", "datatype": "FP64", "shape": [-1, -1]}]}
    features = service.component.user.feature_names()
    outputs = [("anomaly_score", "FP64"), ("complementary_score", "FP64"), ("label", "INT64")]
    return {
        **head,
        "inputs": [
            {
                "name": "predict",
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
