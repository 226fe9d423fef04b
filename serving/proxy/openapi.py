"""The OpenAPI document, made from the pydantic models, and a page that shows it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from flask import Blueprint, Response
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.proxy import task_answers as answers
from serving.proxy.answers import answer
from serving.proxy.task_bodies import BODIES, PATH_PATTERN
from serving.tasks.store import STATUSES

Schema = dict[str, Any]

REF = "#/components/schemas/{model}"
JSON = "application/json"
UUID: Schema = {"type": "string", "format": "uuid"}
PATH: Schema = {"type": "string", "minLength": 1, "pattern": PATH_PATTERN}
PATH_OR_NONE: Schema = {"type": "string", "pattern": f"({PATH_PATTERN})|^$"}
TEXT: Schema = {"type": "string", "pattern": r"^[^\u0000]*$"}
BYTES: Schema = {"type": "string", "format": "binary"}
ERRORS = {
    400: "Something about the request is wrong; the message names it.",
    401: "A key is needed, or this one is not known.",
    403: "This key may not do that, or the host name is not one that the proxy answers to.",
    404: "There is no such thing.",
    409: "It is in another state than this needs.",
    413: "The body is larger than the limit.",
    414: "The query string is longer than the limit.",
    415: "The body is not JSON.",
    416: "The file is shorter than that.",
    429: "As many tasks wait or run as may.",
    503: "The database or the storage does not answer; try again.",
}
ALWAYS = (400, 401, 403, 414, 503)


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    answers: dict[int, Schema]
    errors: tuple[int, ...] = ()
    body: Schema | None = None
    query: dict[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    body_required: bool = True

    def document(self) -> Schema:
        """Return what the document says of it."""
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": UUID if name.endswith("_id") else PATH}
            for name in _names(self.path)
        ]
        parameters += [
            {"name": name, "in": "query", "required": name in self.required, "schema": schema}
            for name, schema in self.query.items()
        ]
        said: Schema = {
            "summary": self.summary,
            "operationId": _operation_id(self.method, self.path),
            "tags": [self.path.split("/")[1]],
            "responses": {str(status): content for status, content in self.answers.items()}
            | {str(status): _error(status) for status in sorted({*self.errors, *ALWAYS})},
        }
        if parameters:
            said["parameters"] = parameters
        if self.body is not None:
            said["requestBody"] = {"required": self.body_required, "content": self.body}
        return said


def _operation_id(method: str, path: str) -> str:
    words = [method, *(part for part in re.split(r"[^a-z_]+", path) if part)]
    return "_".join(words)


def _names(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _error(status: int) -> Schema:
    return _json(answers.Error, ERRORS[status])


def _json(model: type[BaseModel], description: str = "Done.", **more: Schema) -> Schema:
    content = {JSON: {"schema": {"$ref": REF.format(model=model.__name__)}}}
    return {"description": description, "content": content, **more}


def _page(**more: Schema) -> dict[str, Schema]:
    return {"limit": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 100}, **more}


def _links(path: str) -> dict[str, Schema]:
    """Return what can be done next with a task."""
    tasks = "/anomaly_detection/tasks/{task_id}"
    ids = {"path.task_id": "$response.body#/_id"}
    return {
        "look": {"operationId": _operation_id("get", path + "{task_id}"), "parameters": ids},
        "look_by_parameter": {
            "operationId": _operation_id("get", path),
            "parameters": {"query._id": "$response.body#/_id"},
        },
        "cancel": {"operationId": _operation_id("post", tasks + "/cancel"), "parameters": ids},
        "forget": {"operationId": _operation_id("delete", tasks), "parameters": ids},
    }


def _kind_operations(kind: str) -> Iterable[Operation]:
    path, shown = f"/anomaly_detection/{kind}/", answers.KIND_ANSWERS[kind]
    body = BODIES[kind]
    taken: dict[int, Schema] = {200: _json(answers.Accepted, "The task is taken, or was before.", links=_links(path))}
    yield Operation(
        "post",
        path,
        (body.__doc__ or "").splitlines()[0],
        taken,
        (404, 409, 413, 415, 429),
        body={JSON: {"schema": {"$ref": REF.format(model=body.__name__)}}},
    )
    of_task: dict[int, Schema] = {200: _json(shown, "How it is, and its results when they are there.")}
    yield Operation("get", path, "Look at a task.", of_task, (404,), query={"_id": UUID}, required=("_id",))
    yield Operation("get", path + "{task_id}", "Look at a task.", of_task, (404,))


def _task_operations() -> Iterable[Operation]:
    tasks = "/anomaly_detection/tasks"
    query = _page(
        offset={"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        status={"type": "string", "enum": list(STATUSES)},
        task={"type": "string", "enum": list(BODIES)},
    )
    one = {200: _json(answers.TaskAnswer)}
    yield Operation("get", tasks, "List tasks, the newest first.", {200: _json(answers.Tasks)}, query=query)
    yield Operation("get", tasks + "/{task_id}", "Look at a task of any kind.", one, (404,))
    yield Operation("post", tasks + "/{task_id}/cancel", "Cancel a task that waits or runs.", one, (404, 409))
    gone: dict[int, Schema] = {204: {"description": "It is forgotten; its files stay."}}
    yield Operation("delete", tasks + "/{task_id}", "Forget a task that has ended.", gone, (404, 409))


def _model_operations() -> Iterable[Operation]:
    models = "/anomaly_detection/models"
    query = _page(folder=PATH_OR_NONE, after=TEXT)
    gone: dict[int, Schema] = {204: {"description": "It is gone."}}
    yield Operation("get", models, "List trained models.", {200: _json(answers.Models)}, query=query)
    yield Operation("get", models + "/{path}", "Look at a model.", {200: _json(answers.ModelAnswer)}, (404,))
    yield Operation("delete", models + "/{path}", "Delete a model.", gone, (404,))


def _file_operations() -> Iterable[Operation]:
    query = _page(folder=PATH_OR_NONE, after=TEXT)
    octets = {"*/*": {"schema": BYTES}}
    content: dict[int, Schema] = {
        200: {"description": "The file.", "content": octets},
        206: {"description": "The range of it that was asked for.", "content": octets},
        304: {"description": "It has not changed."},
        412: {"description": "It is another than was expected."},
    }
    stored = {200: _json(answers.FileAnswer, "It was replaced."), 201: _json(answers.FileAnswer, "It was made.")}
    put = {"application/octet-stream": {"schema": BYTES}, "text/csv": {"schema": BYTES}}
    yield Operation("get", "/files", "List files.", {200: _json(answers.Files)}, query=query)
    yield Operation("get", "/files/{path}", "Download a file, or a range of it.", content, (404, 416))
    yield Operation(
        "put", "/files/{path}", "Upload a file, whole or not at all.", stored, (404, 413), body=put, body_required=False
    )
    gone: dict[int, Schema] = {204: {"description": "It is gone."}}
    yield Operation("delete", "/files/{path}", "Delete a file.", gone, (404,))


def operations() -> list[Operation]:
    """Return everything that the document describes."""
    of_kinds = [operation for kind in BODIES for operation in _kind_operations(kind)]
    return [*of_kinds, *_task_operations(), *_model_operations(), *_file_operations()]


@cache
def document() -> Schema:
    """Return the OpenAPI document."""
    _, shared = models_json_schema([(model, "serialization") for model in answers.ANSWERS], ref_template=REF)
    paths: dict[str, Schema] = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method] = operation.document()
    bodies = {body.__name__: body.json_schema(REF) for body in BODIES.values()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Inlier",
            "version": version("inlier"),
            "description": "Train, validate and use anomaly detectors. Paths are relative to the storage's root; "
            "`.csv` and `.parquet` may be left out. Every path also works without its last slash.",
        },
        "paths": paths,
        "components": {
            "schemas": {**shared["$defs"], **bodies},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "inlier keys create"}},
        },
        "security": [{}, {"key": []}],
    }


def blueprint() -> Blueprint:
    """Return the document and the page."""
    routes = Blueprint("openapi", __name__)
    page = files("serving.proxy").joinpath("docs.html").read_bytes()

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return answer(document())

    @routes.get("/")
    @routes.get("/docs")
    def docs() -> Response:
        response = Response(page, mimetype="text/html")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        return response

    return routes
