"""A proxy's API and workers around one broker, database and storage, each of which a test may kill."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from flask.testing import FlaskClient

from serving.proxy.app import create_app
from serving.proxy.schema import upgrade
from serving.resources import open_database
from serving.settings import HomeSettings, ProxySettings, StorageSettings, TaskSettings
from serving.tasks.application import celery_application

LIMIT = 60.0
"""Seconds within which a task that was lost must have run again, and anything else a test waits for happened."""

LEASE = 5.0
DOING = "waiting at the gate"
"""What `gated_worker` says of a job that has begun."""

WORKER = Path(__file__).with_name("gated_worker.py")


def until(what: str, happened: Callable[[], Any]) -> Any:
    """Wait until something has happened, and return it."""
    end = time.monotonic() + LIMIT
    while not (found := happened()):
        assert time.monotonic() < end, f"{what}: not after {LIMIT:g} s"
        time.sleep(0.05)
    return found


class Worker:
    """A worker process with all it starts."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, str(WORKER)],
                env=environment,
                cwd=Path(__file__).parents[2],
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def said(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")

    def family(self) -> list[psutil.Process]:
        """The worker and all below it."""
        try:
            worker = psutil.Process(self.process.pid)
            return [worker, *worker.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """SIGKILL to the worker alone; what it leaves behind must see to itself."""
        self.process.kill()
        self.process.wait()

    def signal_all(self, number: signal.Signals) -> None:
        for process in self.family():
            process.send_signal(number)

    def close(self) -> None:
        family = self.family()
        for process in family:
            if process.is_running():
                process.kill()
        self.process.wait()
        psutil.wait_procs(family, timeout=10)


class Fleet:
    """What the processes of a test have in common.

    Parameters
    ----------
    folder : Path
        For the home and the gate.
    broker, database, storage : str
        URLs; empty for those of the home. Credentials and address of a bucket are in the environment.
    """

    def __init__(self, folder: Path, broker: str = "", database: str = "", storage: str = "") -> None:
        self.folder = folder
        self.gate = folder / "gate"
        self.gate.mkdir()
        self.queue = f"inlier-test-{uuid.uuid4().hex[:12]}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("INLIER_")},
            "INLIER_HOME": str(folder / "home"),
            "INLIER_TEST_GATE": str(self.gate),
            "INLIER_TASK_BROKER_URL": broker,
            "INLIER_TASK_QUEUE": self.queue,
            "INLIER_TASK_CONCURRENCY": "2",
            "INLIER_TASK_LEASE_SECONDS": str(LEASE),
            "INLIER_TASK_RESEND_SECONDS": "2",
            "INLIER_DATABASE_URL": database,
            "INLIER_STORAGE_URL": storage,
            "INLIER_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.home = HomeSettings(home=folder / "home")
        self.home.home.mkdir()
        self.settings = TaskSettings(broker_url=broker, queue=self.queue)
        self.proxy_settings = ProxySettings(database_url=database)
        self.database = open_database(self.home, self.proxy_settings)
        upgrade(self.database)
        self.http: FlaskClient = create_app(
            self.proxy_settings, None, self.database, self.home, self.settings, StorageSettings(url=storage)
        ).test_client()
        self.workers: list[Worker] = []

    def start_worker(self) -> Worker:
        worker = Worker(self.environment, self.folder / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        app = celery_application(self.settings, self.home)
        with app.connection_for_write() as connection:
            channel = connection.default_channel
            channel.queue_delete(self.queue)
            if connection.transport.driver_type == "amqp":
                channel.exchange_delete(self.queue)
            elif connection.transport.driver_type == "redis":
                channel.client.delete(*(f"_kombu.{kind}.{self.queue}" for kind in ("binding", "binding_permanent")))
        self.database.close()

    def upload(self, path: str, content: bytes) -> None:
        answer = self.http.put(f"/files/{path}", data=content)
        assert answer.status_code in (200, 201), answer.text

    def submit(self, kind: str = "train", **fields: Any) -> str:
        body = {"request_id": str(uuid.uuid4()), **fields}
        answer = self.http.post(f"/anomaly_detection/{kind}/", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json["_id"])

    def submit_training(self) -> str:
        return self.submit(model_name="inne", train_feature_file="p/f/data", parameters={"n_estimators": 10})

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/anomaly_detection/tasks/{task_id}").json
        return found

    def wait_for(self, task_id: str, *statuses: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["status"] in statuses else None

        found: dict[str, Any] = until(f"task {task_id} becomes {statuses}: {self.task(task_id)}", ended)
        return found

    def in_flight(self, task_id: str) -> int:
        """Wait until a task is at the gate, and return the process that is there."""

        def arrived() -> Path | None:
            task = self.task(task_id)
            if task["status"] != "STARTED" or task["progress"]["doing"] != DOING:
                return None
            return next(iter(sorted(self.gate.glob("arrived-*"), reverse=True)), None)

        return int(until(f"task {task_id} is in flight", arrived).read_text())

    def open_gate(self) -> None:
        (self.gate / "open").touch()

    def outputs(self) -> list[str]:
        found = self.http.get("/files", query_string={"folder": "p/f/anomaly_detection", "limit": 1000}).json["files"]
        return [file["path"] for file in found]
