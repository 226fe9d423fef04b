"""A typed client of the API: files in, tasks, results out.

::

    from serving.client import Client

    inlier = Client("http://localhost:8000")
    inlier.upload("data.csv", "project/file/data.csv")
    task = inlier.train("iNNE", "project/file/data")
    done = inlier.wait(task.id)
    inlier.download(done.results["predictions_label_file"], "predictions.csv")
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import requests

from serving import server_and_key
from serving.errors import CallError, TaskFailed

ENDED = ("SUCCESS", "FAILURE", "REVOKED")
TIMEOUT = (5.0, 60.0)
"""Seconds for connecting, and between two bytes."""

CHUNK = 256 * 1024
FIRST_WAIT, LONGEST_WAIT = 0.05, 1.0
_KNOWN = ("_id", "task", "status", "task_id", "progress", "parameters", "error", "attempt", "request")
_TIMES = ("created_at", "started_at", "ended_at")

Kind = Literal["train", "valid", "infer"]
Follow = Callable[["Task"], None]
Said = TypeVar("Said")


@dataclass(frozen=True)
class Task:
    """A task as it was when it was looked at.

    Attributes
    ----------
    id : str
        The ``_id``.
    kind : str
        ``"train"``, ``"valid"`` or ``"infer"``.
    status : str
        Celery's: PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED.
    share : float
        How much of it is done, 0 to 1.
    doing : str
        What is being done.
    results : dict
        Paths of what it made, metrics, counts.
    error : tuple of str, or None
        Code and message, if it failed.
    """

    id: str
    kind: str
    status: str
    celery_id: str
    share: float = 0.0
    doing: str = ""
    attempt: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ENDED

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """Return the task that an answer speaks of."""
        progress, error = said.get("progress") or {}, said.get("error")
        moments = {name: datetime.fromisoformat(said[name]) for name in _TIMES if said.get(name)}
        return cls(
            id=said["_id"],
            kind=said["task"],
            status=said["status"],
            celery_id=said["task_id"],
            share=progress.get("share", 0.0),
            doing=progress.get("doing", ""),
            attempt=said.get("attempt", 0),
            parameters=said.get("parameters") or {},
            request=said.get("request") or {},
            results={name: value for name, value in said.items() if name not in (*_KNOWN, *_TIMES)},
            error=(error["code"], error["message"]) if error else None,
            **moments,
        )


@dataclass(frozen=True)
class File:
    """A file of the storage."""

    path: str
    size: int
    modified: datetime


class Client:
    """A proxy at an address.

    Parameters
    ----------
    server : str
        For example ``http://localhost:8000``; without it, ``INLIER_SERVER``.
    api_key : str, optional
        Where the proxy asks for one; without it, ``INLIER_API_KEY``.

    Raises
    ------
    CallError
        At once, when the address or the key cannot be one; by every method, when the proxy cannot be reached or
        refuses, and ``status`` is that of the answer.
    """

    def __init__(self, server: str | None = None, api_key: str | None = None) -> None:
        named = server or os.environ.get("INLIER_SERVER") or "http://localhost:8000"
        self.server = server_and_key.checked_server(named)
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy in between, or a .netrc, is not for a server that is named here
        if key := server_and_key.api_key(api_key):
            self._http.headers["Authorization"] = f"Bearer {key}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def train(
        self,
        model_name: str,
        features: str,
        labels: str | None = None,
        *,
        parameters: dict[str, Any] | None = None,
        save_charts: bool = False,
        request_id: str | None = None,
    ) -> Task:
        """Train a detector.

        Parameters
        ----------
        model_name : str
            The detector, or "auto"; in any case.
        features, labels : str
            Paths of files in the storage.
        parameters : dict, optional
            The detector's own.
        save_charts : bool
            Whether to draw.
        request_id : str, optional
            A UUID: the same again is the same task. A new one when not given.

        Returns
        -------
        Task
            That was taken.
        """
        asked = {"model_name": model_name, "train_feature_file": features, "train_label_file": labels}
        return self.submit("train", asked | {"parameters": parameters, "save_charts": save_charts}, request_id)

    def validate(
        self, model_path: str, features: str, labels: str, *, save_charts: bool = False, request_id: str | None = None
    ) -> Task:
        """Judge a trained model by labels; parameters as for `train`."""
        asked = {"model_path": model_path, "valid_feature_file": features, "valid_label_file": labels}
        return self.submit("valid", asked | {"save_charts": save_charts}, request_id)

    def infer(
        self,
        features: str,
        model_path: str | None = None,
        *,
        method_name: str | None = None,
        detection_type: str | None = None,
        parameters: dict[str, Any] | None = None,
        save_charts: bool = False,
        request_id: str | None = None,
    ) -> Task:
        """Score rows with a model, or a series by its own statistics (``method_name``); the rest as for `train`."""
        asked = {
            "detection_type": detection_type or ("multivariate" if method_name is None else "univariate"),
            "method_name": method_name,
            "model_path": model_path,
            "features_file": features,
            "parameters": parameters,
            "save_charts": save_charts,
        }
        return self.submit("infer", asked, request_id)

    def submit(self, kind: Kind, asked: dict[str, Any], request_id: str | None = None) -> Task:
        """Submit a task by the fields of the API."""
        body = {"request_id": request_id or str(uuid.uuid4()), **asked}
        return self._json(Task.of, "POST", f"/anomaly_detection/{kind}/", json=body)

    def task(self, task_id: str) -> Task:
        """Return a task as it is now."""
        return self._json(Task.of, "GET", f"/anomaly_detection/tasks/{quote(task_id, safe='')}")

    def tasks(self, status: str | None = None, kind: Kind | None = None, limit: int = 100) -> list[Task]:
        """Return tasks, the newest first."""
        query = {
            name: value for name, value in (("status", status), ("task", kind), ("limit", limit)) if value is not None
        }
        return self._json(_each("tasks", Task.of), "GET", "/anomaly_detection/tasks", params=query)

    def wait(self, task_id: str, timeout: float | None = None, follow: Follow | None = None) -> Task:
        """Wait until a task has succeeded.

        Parameters
        ----------
        task_id : str
            Its id.
        timeout : float, optional
            Seconds; for ever when not given.
        follow : callable, optional
            Is given the task each time it is looked at.

        Returns
        -------
        Task
            With its results.

        Raises
        ------
        TaskFailed
            When it failed or was revoked; says why.
        TimeoutError
            When it has not ended in time; it goes on.
        """
        until = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_WAIT
        while True:
            task = self.task(task_id)
            if follow is not None:
                follow(task)
            if task.has_ended:
                break
            if until is not None and time.monotonic() + pause > until:
                raise TimeoutError(f"task {task_id} has not ended after {timeout:g} s: {task.status}")
            time.sleep(pause)
            pause = min(LONGEST_WAIT, pause * 1.5)
        if task.status != "SUCCESS":
            code, message = task.error or (task.status.lower(), "it was cancelled")
            raise TaskFailed(f"task {task_id}: {message}", task.status, code)
        return task

    def cancel(self, task_id: str) -> Task:
        """Cancel a task that waits or runs."""
        return self._json(Task.of, "POST", f"/anomaly_detection/tasks/{quote(task_id, safe='')}/cancel")

    def forget(self, task_id: str) -> None:
        """Forget a task that has ended; its files stay."""
        self._send("DELETE", f"/anomaly_detection/tasks/{quote(task_id, safe='')}").close()

    def upload(self, source: str | os.PathLike[str] | bytes, path: str) -> File:
        """Put a file, or bytes, into the storage, whole or not at all."""
        if isinstance(source, bytes):
            return self._json(_file, "PUT", _file_url(path), data=source)
        with Path(source).open("rb") as stream:
            return self._json(_file, "PUT", _file_url(path), data=stream)

    def download(self, path: str, target: str | os.PathLike[str]) -> Path:
        """Write a file of the storage to a file here, which is replaced when all has come."""
        place = Path(target)
        part = place.with_name(f".{place.name}.{uuid.uuid4().hex}.part")
        try:
            with part.open("xb") as file:
                for chunk in self._chunks(path):
                    file.write(chunk)
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
        return place

    def read(self, path: str) -> bytes:
        """Return the content of a file of the storage."""
        return b"".join(self._chunks(path))

    def _chunks(self, path: str) -> Iterator[bytes]:
        with self._send("GET", _file_url(path), stream=True) as response:
            try:
                yield from response.iter_content(CHUNK)
            except requests.RequestException as error:
                raise CallError(f"the download of {path!r} was cut short: {error}") from error

    def files(self, folder: str | None = None) -> Iterator[File]:
        """Yield the files of a folder and of those below it, in the order of their paths."""
        after: str | None = None
        while page := self._json(_each("files", _file), "GET", "/files", params=_page(folder, after)):
            yield from page
            after = page[-1].path

    def delete_file(self, path: str) -> None:
        """Delete a file of the storage."""
        self._send("DELETE", _file_url(path)).close()

    def models(self, folder: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield what is known of each trained model."""
        after: str | None = None
        read = _each("models", lambda said: (str(said["path"]), dict(said)))
        while page := self._json(read, "GET", "/anomaly_detection/models", params=_page(folder, after)):
            yield from (model for _, model in page)
            after = page[-1][0]

    def delete_model(self, path: str) -> None:
        """Delete a trained model."""
        self._send("DELETE", f"/anomaly_detection/models/{quote(path)}").close()

    def _json(self, read: Callable[[Any], Said], method: str, path: str, **more: Any) -> Said:
        with self._send(method, path, **more) as response:
            try:
                return read(response.json())
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                raise CallError(f"what answers at {self.server} is no Inlier proxy", response.status_code) from error

    def _send(self, method: str, path: str, **more: Any) -> requests.Response:
        try:
            response = self._http.request(method, self.server + path, timeout=TIMEOUT, allow_redirects=False, **more)
        except requests.exceptions.InvalidJSONError as error:
            raise CallError(f"what was to be asked is no JSON: {error}") from error
        except requests.RequestException as error:
            hint = "; `inlier up` starts one" if isinstance(error, requests.ConnectionError) else ""
            raise CallError(f"no answer from {self.server}{hint}") from error
        if not 200 <= response.status_code < 300:
            with response:
                raise CallError(_message(response), response.status_code)
        return response


def _file_url(path: str) -> str:
    return f"/files/{quote(path)}"


def _page(folder: str | None, after: str | None) -> dict[str, str]:
    return {name: value for name, value in (("folder", folder), ("after", after)) if value}


def _each(name: str, read: Callable[[Any], Said]) -> Callable[[Any], list[Said]]:
    return lambda said: [read(each) for each in said[name]]


def _file(said: dict[str, Any]) -> File:
    return File(said["path"], said["size"], datetime.fromisoformat(said["modified"]))


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (requests.JSONDecodeError, KeyError, TypeError):
        to = response.headers.get("Location")
        return f"the server answered with status {response.status_code}" + (f", Location: {to}" if to else "")
