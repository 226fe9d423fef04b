"""The connection to the database: one engine a process, sessions that read and sessions that write.

SQLite lets one transaction write at a time. A transaction that reads first and writes later can fail on the spot when
another wrote in between, without waiting; so a session that will write says so and takes the lock as it begins.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

BUSY_TIMEOUT_MS = 10_000
WRITES = {"inlier_writes": True}
SINGLE = {"inlier_single": True}


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file, whatever its path holds."""
    return make_url("sqlite://").set(database=str(path)).render_as_string(hide_password=False)


class Database:
    """The engine and its sessions.

    Parameters
    ----------
    url : str
        An SQLAlchemy URL.
    pool_size : int, default=16
        Connections kept open: as many as there are threads.
    """

    def __init__(self, url: str, pool_size: int = 16) -> None:
        self.url = make_url(url)
        if self.url.get_backend_name() == "sqlite":
            self.engine = create_engine(self.url, pool_size=pool_size, max_overflow=pool_size, hide_parameters=True)
            _tune_sqlite(self.engine)
        else:
            self.engine = create_engine(self.url, pool_size=pool_size, pool_pre_ping=True, hide_parameters=True)
        self._looking = self.engine.execution_options(**SINGLE)
        self._writing = self.engine.execution_options(**WRITES)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for one statement that reads: the gateway's way, without the cost of a transaction."""
        with self._looking.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session in a transaction that writes: committed at the end, rolled back on an error."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def browsing(self) -> Iterator[Session]:
        """Give a session that only reads, with objects."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:  # noqa: ARG001
        connection.isolation_level = None  # the driver's own BEGIN comes too late and is never IMMEDIATE
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begins(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("inlier_single", False):
            return
        writes = options.get("inlier_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
