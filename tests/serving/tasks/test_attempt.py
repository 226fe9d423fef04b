"""An attempt whose database does not answer any more, over connections that stand."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from serving.proxy.database import Database
from serving.proxy.schema import upgrade
from serving.tasks import store
from serving.tasks.attempt import Attempt
from serving.tasks.store import Claim
from serving.tasks.worker import Worker
from tests.databases import new_database
from tests.serving.tasks.conftest import Add, look
from tests.serving.tasks.test_worker import Script
from tests.stalling import StallingLine

LEASE_SECONDS = 12.0
LIMIT = 60.0
END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def database() -> Iterator[Database]:
    """In place of a SQLite file, which no line leads to."""
    with new_database() as url:
        database = Database(url)
        upgrade(database)
        yield database
        database.close()


@pytest.fixture
def line(database: Database) -> Iterator[StallingLine]:
    line = StallingLine(database.url.host or "127.0.0.1", database.url.port or 5432)
    yield line
    line.close()


@pytest.fixture
def far(database: Database, line: StallingLine) -> Iterator[Database]:
    """The same database, over a line that stalls."""
    url = make_url(database.url).set(host="127.0.0.1", port=line.port)
    far = Database(url.render_as_string(hide_password=False))
    yield far
    line.close()
    far.close()


@pytest.fixture
def held(worker: Worker, add: Add) -> Claim:
    worker.settings.lease_seconds = LEASE_SECONDS
    with worker.database.writing() as session:
        claim = store.claim(session, add(), LEASE_SECONDS)
    assert claim is not None
    return claim


class Working(Script):
    """A child at work until it is told that it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.is_done = threading.Event()

    def listen(self, seconds: float) -> tuple[Any, ...] | None:
        return ("done", {"a": 1}) if self.is_done.wait(seconds) else None


def lease_of(database: Database, held: Claim) -> datetime:
    until = look(database, held.id).lease_until
    assert until is not None
    return until


def wait_until_renewed(database: Database, held: Claim) -> None:
    """Wait for a later end of the lease, and find it before the earlier one."""
    before = lease_of(database, held)
    while lease_of(database, held) == before:
        assert store.now() < before
        time.sleep(0.02)


def test_what_hangs_is_tried_again_before_the_lease_ends(
    worker: Worker, far: Database, line: StallingLine, held: Claim, caplog: pytest.LogCaptureFixture
) -> None:
    child = Working()
    attempt = Attempt(far, worker.storage, worker.settings, held, child, worker.stopping.is_set)
    running = threading.Thread(target=attempt.run)
    gives_up = threading.Timer(LIMIT, line.close)
    gives_up.start()
    running.start()
    try:
        wait_until_renewed(worker.database, held)
        line.stall()
        wait_until_renewed(worker.database, held)
        assert "the lease was not renewed" in caplog.text
        line.stall()
    finally:
        child.is_done.set()
        running.join()
        gives_up.cancel()
    task = look(worker.database, held.id)
    assert (task.status, task.result) == ("SUCCESS", {"a": 1})


def renew(database: Database, held: Claim, progress: float) -> None:
    with database.writing_within(0.2) as session:
        store.renew(session, held, LEASE_SECONDS, progress, "")


def test_a_lock_is_waited_for_only_so_long(worker: Worker, held: Claim) -> None:
    with worker.database.writing() as other:
        store.renew(other, held, LEASE_SECONDS, 0.25, "")
        began = time.monotonic()
        with pytest.raises(OperationalError):
            renew(worker.database, held, 0.5)
        assert 0.2 <= time.monotonic() - began < LEASE_SECONDS
    assert look(worker.database, held.id).progress == 0.25
    renew(worker.database, held, 0.75)
    assert look(worker.database, held.id).progress == 0.75


def renew_and_fail(database: Database, held: Claim) -> None:
    with database.writing_within(5.0) as session:
        store.renew(session, held, LEASE_SECONDS, 0.75, "")
        raise ZeroDivisionError


def test_what_is_raised_changes_nothing(worker: Worker, held: Claim) -> None:
    with pytest.raises(ZeroDivisionError):
        renew_and_fail(worker.database, held)
    assert look(worker.database, held.id).progress == 0.0


def test_a_connection_that_the_server_ended_is_an_error_once(worker: Worker, held: Claim) -> None:
    renew(worker.database, held, 0.25)
    with worker.database.writing() as session:
        session.execute(text(END_OTHERS))
    with pytest.raises(OperationalError):
        renew(worker.database, held, 0.5)
    renew(worker.database, held, 0.75)
    assert look(worker.database, held.id).progress == 0.75
