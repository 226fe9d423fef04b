"""gunicorn's worker with threads, without those that wait for a client which has fallen silent."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker


class Silent(ConnectionResetError):
    """The client neither sends nor takes anything: it is as good as gone, and gunicorn treats it so."""


class PatientSocket(socket.socket):
    """A connection whose blocking calls end when not a byte goes through for ``patience`` seconds."""

    def __init__(self, fileno: int, patience: float) -> None:
        super().__init__(fileno=fileno)
        self._patience = patience

    def setblocking(self, flag: bool, /) -> None:
        """Let calls block, for as long as its patience lasts, or not at all."""
        self.settimeout(self._patience if flag else 0.0)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Take what has come."""
        with self._while_it_lasts():
            return super().recv(size, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of it; Python's own has one limit for the whole, which a slow client would reach."""
        rest = memoryview(data).cast("B")
        with self._while_it_lasts():
            while rest:
                rest = rest[self.send(rest, flags) :]

    def sendfile(self, *arguments: Any, **options: Any) -> int:
        """Send a file."""
        with self._while_it_lasts():
            return super().sendfile(*arguments, **options)

    @contextmanager
    def _while_it_lasts(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            with suppress(OSError):  # it is closed already
                self.shutdown(socket.SHUT_RD)  # or gunicorn waits, and all others, for what may come before it closes
            raise Silent(errno.ECONNRESET, "the client has fallen silent") from None


class Worker(ThreadWorker):
    """A process of the proxy."""

    patience: float

    def handle(self, conn: TConn) -> Any:
        """Answer a request, in a thread, for as long as the client takes part."""
        if not isinstance(conn.sock, PatientSocket):
            conn.sock = PatientSocket(conn.sock.detach(), self.patience)
        return super().handle(conn)
