"""A worker: Celery hands it the ids of tasks, threads see to one attempt each, children do the work."""

import logging
import os
import signal
import threading
from dataclasses import dataclass, field

import joblib
from celery import Celery
from celery.signals import worker_shutting_down

from serving.proxy.database import Database
from serving.resources import open_database, storage_url
from serving.settings import HomeSettings, ProxySettings, StorageSettings, TaskSettings
from serving.tasks import children, store
from serving.tasks.application import TASK_NAME, celery_application, send
from serving.tasks.attempt import Attempt, remove_outputs
from serving.tasks.children import Child
from serving.tasks.orders import Limits, Order, output_folder
from serving.tasks.reaper import Reaper
from serving.tasks.signs import Signs
from training.storage import Storage, open_storage

log = logging.getLogger(__name__)


@dataclass
class Worker:
    """Runs tasks: what `serve` starts, and what tests call without Celery."""

    app: Celery
    database: Database
    storage: Storage
    storage_settings: StorageSettings
    storage_url: str
    settings: TaskSettings
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def from_settings(cls, home: HomeSettings | None = None) -> "Worker":
        """Return a worker as the environment describes it."""
        home = home or HomeSettings()
        settings, storage = TaskSettings(), StorageSettings()
        url = storage_url(storage, home)
        opened = open_storage(url, storage.endpoint_url, storage.region)
        database = open_database(home, ProxySettings())
        return cls(celery_application(settings, home), database, opened, storage, url, settings)

    def run(self, task_id: str) -> None:
        """Run a task, if it waits for a worker."""
        with self.database.writing() as session:
            held = store.claim(session, task_id, self.settings.lease_seconds)
        if held is None:
            log.info("task %s: nothing to do for this message", task_id)
            return
        log.info("task %s: attempt %d at %s begins", held.id, held.attempt, held.kind)
        if held.previous_stamp is not None:
            remove_outputs(self.storage, output_folder(held.kind, held.parameters), held.previous_stamp)
        limits = Limits(self.settings.max_rows, self.settings.max_columns)
        order = Order(
            held.kind,
            held.parameters,
            held.stamp,
            self.storage_settings,
            self.storage_url,
            limits,
            self.settings.memory_bytes,
        )
        child = Child(order)
        attempt = Attempt(self.database, self.storage, self.settings, held, child, self.stopping.is_set)
        if attempt.run():
            with self.database.browsing() as session:
                celery_id = store.find(session, task_id).celery_id
            send(self.app, task_id, celery_id)

    def serve(self, *, reaps: bool = True) -> int:
        """Take tasks from the broker until SIGTERM or SIGINT; what runs then is given back.

        Parameters
        ----------
        reaps : bool, default=True
            Whether it also looks after the tasks of all workers.

        Returns
        -------
        int
            The exit status.
        """
        self.app.task(self.run, name=TASK_NAME, ignore_result=True)
        signs = Signs(self.settings.probe_folder)
        signs.beat_until(self.stopping)
        self.app.steps["consumer"].add(signs.of_consumer())
        children.prepare()

        def stop(**_: object) -> None:
            self.stopping.set()

        worker_shutting_down.connect(stop, weak=False)
        reaper = threading.Thread(target=self._reap, name="reaper", daemon=True)
        if reaps:
            reaper.start()
        concurrency = self.settings.concurrency or joblib.cpu_count()
        consumer = self.app.Worker(
            pool_cls="threads",
            concurrency=concurrency,
            loglevel="INFO",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        log.info("the worker is ready for %d tasks at once", concurrency)
        consumer.start()
        self.stopping.set()
        if reaps:
            reaper.join()
        children.stop()
        self.database.close()
        return int(consumer.exitcode or 0)

    def _reap(self) -> None:
        try:
            Reaper(self.database, self.storage, self.app, self.settings).run(self.stopping)
        except BaseException:
            # a worker without a reaper would lose tasks in silence; whoever supervises it starts another
            log.critical("the reaper failed, the worker stops", exc_info=True)
            os.kill(os.getpid(), signal.SIGTERM)
            raise
