"""A worker without Celery's loop: tests hand it the ids of tasks."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.proxy.database import Database
from serving.proxy.tables import Task
from serving.settings import HomeSettings, StorageSettings, TaskSettings
from serving.tasks import children, store
from serving.tasks.application import celery_application
from serving.tasks.worker import Worker
from training.storage import FolderStorage

Add = Callable[..., str]


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "storage")


@pytest.fixture
def worker(database: Database, storage: FolderStorage, tmp_path: Path) -> Worker:
    settings = TaskSettings(lease_seconds=30.0)
    app = celery_application(settings, HomeSettings(home=tmp_path))
    return Worker(app, database, storage, StorageSettings(), str(storage.root), settings)


@pytest.fixture(scope="session")
def ready_children() -> Iterator[None]:
    children.prepare()
    yield
    children.stop()


@pytest.fixture
def add(database: Database) -> Add:
    """Put a task into the table and return its id."""

    def add(kind: str = "infer", sent_seconds_ago: float = 0.0, **asked: Any) -> str:
        moment = store.now()
        task = Task(
            id=str(uuid.uuid4()),
            kind=kind,
            body_digest="x",
            parameters=asked or {"features_file": "p/f/series", "detection_type": "univariate", "method_name": "iqr"},
            status=store.PENDING,
            celery_id=str(uuid.uuid4()),
            created_at=moment,
            sent_at=moment - store.timedelta(seconds=sent_seconds_ago),
        )
        with database.writing() as session:
            return store.add(session, task, 1000).id

    return add


def look(database: Database, task_id: str) -> Task:
    with database.browsing() as session:
        return store.find(session, task_id)
