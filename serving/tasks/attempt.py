"""One attempt at a task, seen from the worker: a child at work, a lease that is renewed, an end that counts once."""

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from serving.proxy.database import Database
from serving.settings import TaskSettings
from serving.tasks import store
from serving.tasks.children import Child
from serving.tasks.store import Claim
from training.errors import FileMissing
from training.storage import Storage

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
"""How often a lease is renewed, and its row asked whether the task is still wanted; sooner for short leases."""

BEATS_A_LEASE = 4
"""How often at least; the database may take as long as lies between two, so that there is time for another try."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ends: what is said of it, what becomes of its row and of its files."""

    word: str
    settle: Callable[[Session, Claim], bool]
    keeps_files: bool = False
    due_again: bool = False


def succeeded(result: dict[str, Any]) -> Ending:
    """Return the end of a job that was done."""
    return Ending("succeeded", lambda session, held: store.succeed(session, held, result), keeps_files=True)


def failed(code: str, message: str) -> Ending:
    """Return the end of a job that cannot be done."""
    return Ending(f"failed ({code}: {message})", lambda session, held: store.fail(session, held, code, message))


CANCELLED = Ending("was cancelled", store.revoke)
GIVEN_BACK = Ending("is given back, the worker stops", store.give_back, due_again=True)
LOST = Ending("was lost", lambda _session, _held: False)


class Attempt:
    """A claim that is being worked on.

    Parameters
    ----------
    database, storage, settings
        The worker's.
    held : Claim
        What it has claimed.
    child : Child
        The process at work.
    is_stopping : callable
        Tells whether the worker is to stop.
    """

    def __init__(
        self,
        database: Database,
        storage: Storage,
        settings: TaskSettings,
        held: Claim,
        child: Child,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._database = database
        self._storage = storage
        self._settings = settings
        self._held = held
        self._child = child
        self._is_stopping = is_stopping
        self._watch_seconds = min(WATCH_SECONDS, settings.lease_seconds / BEATS_A_LEASE)
        self._begun = time.monotonic()
        self._lease_until = self._begun + settings.lease_seconds
        self._beat_at = self._begun + self._watch_seconds
        self._progress, self._doing = 0.0, ""
        self._keys: list[str] = []

    def run(self) -> bool:
        """See the job through to its end; True when the row waits for a worker again and a message is due."""
        try:
            ending = self._watch()
        finally:
            self._child.kill()
        settled = self._settle(ending)
        if not (settled and ending.keeps_files):
            self._remove(self._keys)
        said = ending.word if settled else "is not this worker's any more"
        log.info("task %s: attempt %d %s (%.2f s)", self._held.id, self._held.attempt, said, self._seconds())
        return settled and ending.due_again

    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    def _watch(self) -> Ending:
        while True:
            ending = self._stopped() or self._beat() or self._listen()
            if ending is not None:
                return ending

    def _stopped(self) -> Ending | None:
        if self._is_stopping():
            return GIVEN_BACK
        if self._seconds() > self._settings.run_seconds:
            return failed("time_limit", f"it took longer than the {self._settings.run_seconds:g} seconds that it may")
        return None

    def _beat(self, *, now: bool = False) -> Ending | None:
        """Renew the lease when that is due."""
        moment = time.monotonic()  # the lease lasts from here, and not from when the answer arrives
        if not now and moment < self._beat_at:
            return None
        self._beat_at = moment + self._watch_seconds
        try:
            with self._writing() as session:
                wanted = store.renew(session, self._held, self._settings.lease_seconds, self._progress, self._doing)
        except SQLAlchemyError as error:
            # the lease outlives a database that is away for a moment
            log.warning("task %s: the lease was not renewed: %s", self._held.id, error)
            return LOST if time.monotonic() > self._lease_until else None
        self._lease_until = moment + self._settings.lease_seconds
        if wanted is None:
            return LOST
        return None if wanted else CANCELLED

    def _writing(self) -> AbstractContextManager[Session]:
        """Give a session that does not outlast the lease, while there is one."""
        share = self._settings.lease_seconds / BEATS_A_LEASE
        left = self._lease_until - time.monotonic()
        return self._database.writing_within(min(share, left) if left > 0 else share)

    def _listen(self) -> Ending | None:
        """Wait a moment for what the child says."""
        said = self._child.listen(max(0.0, self._beat_at - time.monotonic()))
        match said:
            case ("progress", float() | int() as share, str() as doing):
                self._progress, self._doing = float(share), doing
            case ("ready", list() as keys):
                if (ending := self._beat(now=True)) is not None:
                    return ending
                self._keys = keys
                self._child.publish()
            case ("done", dict() as result):
                return succeeded(result)
            case ("failed", str() as code, str() as message):
                self._keys = []  # it has removed what it published: a name that was taken is another's file
                return failed(code, message)
            case ("died", int() as status):
                return failed(*cause_of_death(status))
        return None

    def _settle(self, ending: Ending) -> bool:
        """Let the row say how it ended, however long the database is away, within the lease."""
        while True:
            try:
                with self._writing() as session:
                    return ending.settle(session, self._held)
            except SQLAlchemyError:
                if time.monotonic() > self._lease_until:
                    raise
                log.warning("task %s: the database is away", self._held.id, exc_info=True)
                time.sleep(self._watch_seconds)

    def _remove(self, keys: list[str]) -> None:
        for key in keys:
            with contextlib.suppress(FileMissing):  # not all of them were published
                self._storage.delete(key)


def cause_of_death(status: int) -> tuple[str, str]:
    """Return code and message for a child that ended without a word.

    Examples
    --------
    >>> cause_of_death(-11)
    ('crashed', 'its process died of SIGSEGV')
    """
    if status == -signal.SIGKILL:
        return "killed", "its process was killed: the machine may have run out of memory"
    if status < 0:
        return "crashed", f"its process died of {_signal_name(-status)}"
    return "crashed", f"its process ended with status {status} before its work was done"


def _signal_name(number: int) -> str:
    """Return its name; those for real time have none, but the first and the last."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def outputs(storage: Storage, folder: str, stamp: int) -> Iterator[str]:
    """Yield the files that are named after a stamp."""
    start = f"{folder}/{stamp}_"
    for entry in storage.list(folder):
        if entry.key.startswith(start):
            yield entry.key


def remove_outputs(storage: Storage, folder: str, stamp: int) -> None:
    """Remove what an attempt published before its worker was lost, and nobody's row names."""
    for key in list(outputs(storage, folder, stamp)):
        with contextlib.suppress(FileMissing):  # the attempt came back and did it itself
            storage.delete(key)
        log.warning("removed %s, which a lost attempt left behind", key)
