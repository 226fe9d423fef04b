"""The OpenAPI document, made from the pydantic models, and a page that shows it."""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from importlib.resources import files

from flask import Blueprint, Response
from pydantic.json_schema import models_json_schema

from serving.proxy import client_answers, openapi_gateway
from serving.proxy import task_answers as answers
from serving.proxy.answers import answer
from serving.proxy.openapi_operation import (
    BYTES,
    JSON,
    PATH_OR_NONE,
    REF,
    TEXT,
    UUID,
    Operation,
    Schema,
    json_answer,
    operation_id,
    page,
)
from serving.proxy.task_bodies import BODIES
from serving.tasks.store import STATUSES


def _links(path: str) -> dict[str, Schema]:
    """Return what can be done next with a task."""
    tasks = "/anomaly_detection/tasks/{task_id}"
    ids = {"path.task_id": "$response.body#/_id"}
    return {
        "look": {"operationId": operation_id("get", path + "{task_id}"), "parameters": ids},
        "look_by_parameter": {
            "operationId": operation_id("get", path),
            "parameters": {"query._id": "$response.body#/_id"},
        },
        "cancel": {"operationId": operation_id("post", tasks + "/cancel"), "parameters": ids},
        "forget": {"operationId": operation_id("delete", tasks), "parameters": ids},
    }


def _kind_operations(kind: str) -> Iterable[Operation]:
    path, shown = f"/anomaly_detection/{kind}/", answers.KIND_ANSWERS[kind]
    body = BODIES[kind]
    taken: dict[int, Schema] = {
        200: json_answer(answers.Accepted, "The task is taken, or was before.", links=_links(path))
    }
    yield Operation(
        "post",
        path,
        (body.__doc__ or "").splitlines()[0],
        taken,
        (404, 409, 413, 415, 429),
        body={JSON: {"schema": {"$ref": REF.format(model=body.__name__)}}},
    )
    of_task: dict[int, Schema] = {200: json_answer(shown, "How it is, and its results when they are there.")}
    yield Operation("get", path, "Look at a task.", of_task, (404,), query={"_id": UUID}, required=("_id",))
    yield Operation("get", path + "{task_id}", "Look at a task.", of_task, (404,))


def _task_operations() -> Iterable[Operation]:
    tasks = "/anomaly_detection/tasks"
    query = page(
        offset={"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        status={"type": "string", "enum": list(STATUSES)},
        task={"type": "string", "enum": list(BODIES)},
    )
    one = {200: json_answer(answers.TaskAnswer)}
    yield Operation("get", tasks, "List tasks, the newest first.", {200: json_answer(answers.Tasks)}, query=query)
    yield Operation("get", tasks + "/{task_id}", "Look at a task of any kind.", one, (404,))
    yield Operation("post", tasks + "/{task_id}/cancel", "Cancel a task that waits or runs.", one, (404, 409))
    gone: dict[int, Schema] = {204: {"description": "It is forgotten; its files stay."}}
    yield Operation("delete", tasks + "/{task_id}", "Forget a task that has ended.", gone, (404, 409))


def _model_operations() -> Iterable[Operation]:
    models = "/anomaly_detection/models"
    query = page(folder=PATH_OR_NONE, after=TEXT)
    gone: dict[int, Schema] = {204: {"description": "It is gone."}}
    yield Operation("get", models, "List trained models.", {200: json_answer(answers.Models)}, query=query)
    yield Operation("get", models + "/{path}", "Look at a model.", {200: json_answer(answers.ModelAnswer)}, (404,))
    yield Operation("delete", models + "/{path}", "Delete a model.", gone, (404,))


def _file_operations() -> Iterable[Operation]:
    query = page(folder=PATH_OR_NONE, after=TEXT)
    octets = {"*/*": {"schema": BYTES}}
    content: dict[int, Schema] = {
        200: {"description": "The file.", "content": octets},
        206: {"description": "The range of it that was asked for.", "content": octets},
        304: {"description": "It has not changed."},
        412: {"description": "It is another than was expected."},
    }
    stored = {
        200: json_answer(answers.FileAnswer, "It was replaced."),
        201: json_answer(answers.FileAnswer, "It was made."),
    }
    put = {"application/octet-stream": {"schema": BYTES}, "text/csv": {"schema": BYTES}}
    yield Operation("get", "/files", "List files.", {200: json_answer(answers.Files)}, query=query)
    yield Operation("get", "/files/{path}", "Download a file, or a range of it.", content, (404, 416))
    yield Operation(
        "put", "/files/{path}", "Upload a file, whole or not at all.", stored, (404, 413), body=put, body_required=False
    )
    gone: dict[int, Schema] = {204: {"description": "It is gone."}}
    yield Operation("delete", "/files/{path}", "Delete a file.", gone, (404,))


def operations() -> list[Operation]:
    """Return everything that the document describes."""
    of_kinds = [operation for kind in BODIES for operation in _kind_operations(kind)]
    of_tasks = [*of_kinds, *_task_operations(), *_model_operations(), *_file_operations()]
    return [*of_tasks, *openapi_gateway.operations()]


@cache
def document() -> Schema:
    """Return the OpenAPI document."""
    shown = [(model, "serialization") for model in (*answers.ANSWERS, *client_answers.ANSWERS)]
    _, shared = models_json_schema(shown, ref_template=REF)  # type: ignore[arg-type]
    paths: dict[str, Schema] = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method] = operation.document()
    bodies = {body.__name__: body.json_schema(REF) for body in BODIES.values()} | openapi_gateway.BODIES
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Inlier",
            "version": version("inlier"),
            "description": "Train, validate and use anomaly detectors. Paths of files are relative to the storage's "
            "root; `.csv` and `.parquet` may be left out. Every path also works without its last slash.",
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
