"""Train, validate, infer: the API of the seed, and what a person needs besides to look after tasks.

=======  ==========================================  ===============================================================
POST     /anomaly_detection/<kind>/                  ``{"_id", "task", "status", "task_id"}``; kind: train, valid, infer
GET      /anomaly_detection/<kind>/?_id=<id>         the same and what there is of results, progress, times, errors
GET      /anomaly_detection/<kind>/<id>              the same
GET      /anomaly_detection/tasks                    ``{"tasks": [...]}``, newest first; ?status, ?task, ?limit, ?offset
GET      /anomaly_detection/tasks/<id>               a task of any kind
POST     /anomaly_detection/tasks/<id>/cancel        the task; one that runs is revoked when its worker has stopped it
DELETE   /anomaly_detection/tasks/<id>               forget a task that has ended; its files stay; 204
=======  ==========================================  ===============================================================
"""

import hashlib
import threading
import uuid
from typing import Any

import orjson
from celery import Celery
from flask import Blueprint, Response
from sqlalchemy.exc import IntegrityError

from serving.errors import RequestError
from serving.proxy import bodies
from serving.proxy.answers import answer
from serving.proxy.database import Database
from serving.proxy.requests import json_body, number, optional_parameter, refuse_other_parameters, required_parameter
from serving.proxy.tables import Task
from serving.proxy.task_bodies import BODIES, TaskBody, check_uuid
from serving.settings import TaskSettings
from serving.tasks import store
from serving.tasks.application import send
from training.storage import Storage

MAX_LISTED = 1000
IMPORT_AFTER_SECONDS = 10.0
MAX_OFFSET = 2**31 - 1
CHARTS = "predictions_charts_file"
RESULTS = {
    "train": ("predictions_label_file", "model_path", CHARTS),
    "valid": ("metrics", "predictions_label_file", CHARTS),
    "infer": ("predictions_label_file", CHARTS),
}
"""What a task of each kind answers with, null until it is there."""


def show_accepted(task: Task) -> dict[str, Any]:
    """Return what every answer about a task begins with."""
    return {"_id": task.id, "task": task.kind, "status": task.status, "task_id": task.celery_id}


def show(task: Task) -> dict[str, Any]:
    """Return all there is to tell of a task."""
    result = task.result or {}
    named = {name: result.get(name) for name in RESULTS[task.kind]}
    more = {name: value for name, value in result.items() if name not in named}
    error = None if task.error_code is None else {"code": task.error_code, "message": task.error_message}
    return {
        **show_accepted(task),
        **named,
        "parameters": task.parameters.get("parameters", {}),
        **more,
        "progress": {"share": task.progress, "doing": task.doing},
        "attempt": task.attempt,
        "created_at": task.created_at,
        "started_at": task.started_at,
        "ended_at": task.ended_at,
        "request": task.parameters,
        "error": error,
    }


def digest(content: dict[str, Any]) -> str:
    """Return by what two bodies are told apart: the same fields are the same body, in any order and spelling."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Submissions:
    """Takes tasks: checks what can be known at once, writes the row, then sends the message."""

    def __init__(self, database: Database, storage: Storage, app: Celery, settings: TaskSettings) -> None:
        self._database = database
        self._storage = storage
        self._app = app
        self._settings = settings

    def submit(self, body: TaskBody) -> Task:
        """Return the new task, or the one of that id that asks for the same."""
        content = body.content()
        moment = store.now()
        task = Task(
            id=body.request_id,
            kind=body.kind,
            body_digest=digest(content),
            parameters=content,
            status=store.PENDING,
            celery_id=str(uuid.uuid4()),
            created_at=moment,
            sent_at=moment,
        )
        with self._database.browsing() as session:
            known = store.find_same(session, task)
        if known is not None:
            return known
        from serving.proxy.task_checks import check

        check(body, self._storage, self._settings.max_json_depth)
        try:
            known = self._add(task)
        except IntegrityError:  # another request with the same id was in between
            known = self._add(task)
        if known is task:
            send(self._app, task.id, task.celery_id)
        return known

    def _add(self, task: Task) -> Task:
        with self._database.writing() as session:
            return store.add(session, task, self._settings.max_open)


def blueprint(database: Database, storage: Storage, app: Celery, settings: TaskSettings) -> Blueprint:
    """Return the API of tasks."""
    routes = Blueprint("anomaly_detection", __name__, url_prefix="/anomaly_detection")
    # numba and scikit-learn take seconds to import: not while everything starts, nor while the first request waits
    importing = threading.Timer(IMPORT_AFTER_SECONDS, _import_checks)
    importing.daemon = True
    importing.start()
    submissions = Submissions(database, storage, app, settings)
    for kind in BODIES:
        _add_kind(routes, database, submissions, kind)
    _add_tasks(routes, database)
    return routes


def _add_kind(routes: Blueprint, database: Database, submissions: Submissions, kind: str) -> None:
    @routes.post(f"/{kind}/", endpoint=f"submit_{kind}", strict_slashes=False)
    def submit() -> Response:
        refuse_other_parameters()
        return answer(show_accepted(submissions.submit(bodies.read(BODIES[kind], json_body()))))

    @routes.get(f"/{kind}/", endpoint=f"get_{kind}", strict_slashes=False)
    def get_by_parameter() -> Response:
        refuse_other_parameters("_id")
        return _show(required_parameter("_id"))

    @routes.get(f"/{kind}/<task_id>", endpoint=f"get_{kind}_by_path", strict_slashes=False)
    def get_by_path(task_id: str) -> Response:
        refuse_other_parameters()
        return _show(task_id)

    def _show(task_id: str) -> Response:
        with database.browsing() as session:
            return answer(show(store.find(session, _id(task_id), kind)))


def _add_tasks(routes: Blueprint, database: Database) -> None:
    @routes.get("/tasks", strict_slashes=False)
    def list_tasks() -> Response:
        refuse_other_parameters("status", "task", "limit", "offset")
        status = _one_of("status", store.STATUSES)
        kind = _one_of("task", tuple(BODIES))
        limit, offset = number("limit", 100, MAX_LISTED), number("offset", 0, MAX_OFFSET)
        with database.browsing() as session:
            return answer({"tasks": [show(task) for task in store.browse(session, status, kind, limit, offset)]})

    @routes.get("/tasks/<task_id>")
    def get_task(task_id: str) -> Response:
        refuse_other_parameters()
        with database.browsing() as session:
            return answer(show(store.find(session, _id(task_id))))

    @routes.post("/tasks/<task_id>/cancel")
    def cancel_task(task_id: str) -> Response:
        refuse_other_parameters()
        with database.writing() as session:
            return answer(show(store.cancel(session, _id(task_id))))

    @routes.delete("/tasks/<task_id>")
    def delete_task(task_id: str) -> Response:
        refuse_other_parameters()
        with database.writing() as session:
            store.remove(session, _id(task_id))
        return Response(status=204)


def _import_checks() -> None:
    import serving.proxy.task_checks  # noqa: F401


def _id(text: str) -> str:
    """Return a task's id as the table has it; what is no UUID is nobody's id."""
    try:
        return check_uuid(text)
    except ValueError as error:
        raise RequestError(f"_id: {error}") from None


def _one_of(name: str, known: tuple[str, ...]) -> str | None:
    value = optional_parameter(name)
    if value is not None and value not in known:
        raise RequestError(f"the parameter {name!r} is {value[:80]!r}; it should be one of {', '.join(known)}")
    return value
