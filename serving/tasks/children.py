"""Child processes for jobs: forked from a process that has imported everything and does nothing else.

A child's end, whatever it is, is no more to the worker than a message; and a fork from a process without threads costs
milliseconds where a new interpreter costs seconds.
"""

import multiprocessing
import threading
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import Any

from serving.settings import StorageSettings
from serving.tasks.orders import PUBLISH, Order

STOP_SECONDS = 10.0

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["serving.tasks.preload"])
_starting = threading.Lock()


def prepare() -> None:
    """Start the process that children are forked from, and wait until it has imported what they need."""
    with _starting:
        first = _processes.Process(target=_nothing)
        first.start()
    first.join()


def stop() -> None:
    """End the process that children are forked from, and wait until it is gone."""
    # there is no public way; by itself it would end a moment after this process
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def _nothing() -> None:
    """Be a child that only shows that there can be children."""


def make_examples(storage_url: str, settings: StorageSettings) -> bool:
    """Let a child put the examples into the storage; False when it failed, and has logged why."""
    with _starting:
        child = _processes.Process(target=_make_examples, args=(storage_url, settings))
        child.start()
    child.join()
    return child.exitcode == 0


# what children begin with imports what the work takes only there: the worker itself stays small


def _make_examples(storage_url: str, settings: StorageSettings) -> None:
    from serving.tasks import examples
    from training.storage import open_storage

    examples.make(open_storage(storage_url, settings.endpoint_url, settings.region))


def _work(order: Order, worker: Connection) -> None:
    from serving.tasks.child import main

    main(order, worker)


class Child:
    """A process at work on an order."""

    def __init__(self, order: Order) -> None:
        self._pipe, theirs = _processes.Pipe()
        self._process = _processes.Process(target=_work, args=(order, theirs), daemon=True)
        with _starting:
            self._process.start()
        theirs.close()

    def listen(self, seconds: float) -> tuple[Any, ...] | None:
        """Return what it says within that time; ``("died", status)`` when it has ended, None when it is silent."""
        if not wait([self._pipe, self._process.sentinel], timeout=seconds):
            return None
        try:
            if self._pipe.poll():
                said: tuple[Any, ...] = self._pipe.recv()
                return said
        except (EOFError, OSError):
            pass  # the pipe is at its end; so is the process
        self._process.join(STOP_SECONDS)
        return "died", self._process.exitcode or 0

    def publish(self) -> None:
        """Let it publish what it has staged."""
        try:
            self._pipe.send(PUBLISH)
        except OSError:
            return  # it has died meanwhile, which listen() tells next

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join(STOP_SECONDS)
        self._pipe.close()
        if self._process.exitcode is not None:
            self._process.close()
