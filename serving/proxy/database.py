"""The connection to the database: one engine a process, sessions that read and sessions that write.

SQLite lets one transaction write at a time. A transaction that reads first and writes later can fail on the spot when
another wrote in between, without waiting; so a session that will write says so and takes the lock as it begins.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Select, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

BUSY_TIMEOUT_MS = 10_000
CONNECT_SECONDS = 5
WRITES = {"inlier_writes": True}
SINGLE = {"inlier_single": True}

Query = Select[*tuple[Any, ...]]


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file, whatever its path holds."""
    return make_url("sqlite://").set(database=str(path)).render_as_string(hide_password=False)


class _Lookup:
    """A statement as the driver takes it."""

    def __init__(self, statement: Query, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self._order = compiled.positiontup if compiled.positional else None
        writers = {
            name: parameter.type.dialect_impl(dialect).bind_processor(dialect)
            for name, parameter in compiled.binds.items()
        }
        self._writers = {name: writer for name, writer in writers.items() if writer is not None}

    def parameters(self, values: dict[str, Any]) -> Any:
        """Return the values of the statement's parameters as the driver takes them."""
        for name, write in self._writers.items():
            values[name] = write(values[name])
        return values if self._order is None else [values[name] for name in self._order]


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
        self._on_this_machine = self.url.get_backend_name() == "sqlite"
        if self._on_this_machine:
            self.engine = create_engine(self.url, pool_size=pool_size, max_overflow=pool_size, hide_parameters=True)
            _tune_sqlite(self.engine)
        else:
            self.engine = create_engine(self.url, pool_size=pool_size, pool_pre_ping=True, hide_parameters=True)
        self._looking = self.engine.execution_options(**SINGLE)
        self._writing = self.engine.execution_options(**WRITES)
        self._lookups: dict[Query, _Lookup] = {}

    def look_up(self, statement: Query, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that reads, which the driver runs by itself: what every prediction asks.

        Of SQLite and its pool it takes a quarter of the time that a SQLAlchemy connection needs for the same.

        Parameters
        ----------
        statement : Select
            Made once: it is compiled when it is first seen, and kept. Its columns are given as the driver reads them.
        **values
            Of its parameters.
        """
        lookup = self._lookups.get(statement)
        if lookup is None:
            lookup = self._lookups[statement] = _Lookup(statement, self.engine.dialect)
        errors = self.engine.dialect.loaded_dbapi.Error
        try:
            with closing(self.engine.raw_connection()) as connection:
                try:
                    cursor = connection.cursor()
                    cursor.execute(lookup.sql, lookup.parameters(values))
                    return cursor.fetchall()  # type: ignore[return-value]
                except errors as error:
                    connection.invalidate(error)  # it may be lost
                    raise
        except errors as error:
            raise DBAPIError.instance(lookup.sql, None, error, errors, hide_parameters=True) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for one statement that reads, without the cost of a transaction."""
        with self._looking.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session in a transaction that writes: committed at the end, rolled back on an error."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def writing_within(self, seconds: float) -> Iterator[Session]:
        """Give a session that writes, whose connection is cut when the server has not done it all in time.

        A driver waits for an answer for as long as the connection stands, and the one that stands may be what hangs.
        SQLite waits for no server, and for a lock as ever.
        """
        if self._on_this_machine:
            with self.writing() as session:
                yield session
            return
        with (
            self._impatient.connect() as connection,
            _cut_after(seconds, connection),
            connection.begin(),
            Session(connection, expire_on_commit=False) as session,
        ):
            yield session
            session.commit()  # into the transaction around it

    @cached_property
    def _impatient(self) -> Engine:
        """The engine without a look at each connection before its use, which waits without a limit, too."""
        return create_engine(self.url, hide_parameters=True, connect_args={"connect_timeout": CONNECT_SECONDS})

    @contextmanager
    def browsing(self) -> Iterator[Session]:
        """Give a session that only reads, with objects."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()
        if not self._on_this_machine:
            self._impatient.dispose()


@contextmanager
def _cut_after(seconds: float, connection: Connection) -> Iterator[None]:
    """Shut a connection's socket when what is done with it takes longer: whoever waits for it gets an error."""
    raw: Any = connection.connection.driver_connection
    with socket.socket(fileno=os.dup(raw.fileno())) as line:

        def cut() -> None:
            with suppress(OSError):  # it is gone already
                line.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


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
