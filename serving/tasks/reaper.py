"""The reaper: what was lost is begun again, what is old is forgotten.

Every worker has one, in a thread; any number of them may run, because each change is a compare-and-swap.
"""

import logging
import threading
import time
from datetime import timedelta

from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from serving.proxy.database import Database
from serving.proxy.tables import Task
from serving.settings import TaskSettings
from serving.tasks import store
from serving.tasks.application import send
from serving.tasks.attempt import remove_outputs
from serving.tasks.orders import output_folder
from serving.tasks.signs import Signs
from training.errors import StorageError
from training.storage import Storage

log = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 5.0
SWEEP_SECONDS = 3600.0
STAGED_SECONDS = 24 * 3600.0
"""How long a staged file may lie untouched: longer than any job may take to write one."""


class Reaper:
    """Looks after the tasks of all workers.

    Parameters
    ----------
    database, storage, app, settings
        A worker's.
    signs : Signs, optional
        Of the program that does nothing else.
    """

    def __init__(
        self, database: Database, storage: Storage, app: Celery, settings: TaskSettings, signs: Signs | None = None
    ) -> None:
        self._database = database
        self._storage = storage
        self._app = app
        self._settings = settings
        self._signs = signs or Signs(None)
        self._sweep_at = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Reap until told to stop; a database or storage that is away is asked again."""
        pause = min(MAX_WAIT_SECONDS, self._settings.lease_seconds / 3, self._settings.resend_seconds / 3)
        while not stopping.wait(pause):
            self._signs.beat()
            try:
                self.reap()
                if time.monotonic() >= self._sweep_at:
                    self._sweep_at = time.monotonic() + SWEEP_SECONDS
                    self.sweep()
            except (SQLAlchemyError, StorageError):
                log.warning("the reaper tries again", exc_info=True)
                self._signs.be_ready(False)
            else:
                self._signs.be_ready(True)

    def reap(self) -> None:
        """Send again what a worker or a broker has lost."""
        with self._database.browsing() as session:
            lost = store.expired(session)
        for task in lost:
            self._expire(task)
        with self._database.writing() as session:
            unanswered = store.unanswered(session, self._settings.resend_seconds)
        for task_id, celery_id in unanswered:
            log.warning("task %s: its message seems lost, and is sent again", task_id)
            send(self._app, task_id, celery_id)

    def _expire(self, task: Task) -> None:
        with self._database.writing() as session:
            status = store.expire(session, task, self._settings.max_retries)
        if status is None:
            return
        log.warning("task %s: attempt %d lost its worker: %s", task.id, task.attempt, status)
        if status == store.RETRY:
            send(self._app, task.id, task.celery_id)
        elif task.stamp is not None:
            remove_outputs(self._storage, output_folder(task.kind, task.parameters), task.stamp)

    def sweep(self) -> None:
        """Forget tasks that ended long ago, and remove what killed processes left half-written."""
        with self._database.writing() as session:
            forgotten = store.forget_ended(session, timedelta(days=self._settings.retention_days))
        removed = self._storage.sweep(STAGED_SECONDS)
        log.info("forgot %d old tasks, removed %d abandoned files", forgotten, removed)
