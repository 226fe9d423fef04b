"""A line to a server that stalls: what is sent over it arrives nowhere, and nobody says so."""

import socket
import threading
from contextlib import suppress


class StallingLine:
    """Passes connections of a free port on to a server until told to stall; later ones are passed on again."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stalled = threading.Event()
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    @staticmethod
    def _start(target: object, *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()  # type: ignore[arg-type]

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
                self.connections += 1
                self._sockets += [near, far]
                self._start(self._pass, near, far, self._stalled)
                self._start(self._pass, far, near, self._stalled)

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, stalled: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not stalled.is_set():
                    target.sendall(data)
            if not stalled.is_set():
                target.shutdown(socket.SHUT_WR)

    def stall(self) -> None:
        """Let what is connected now hear nothing any more."""
        self._stalled.set()
        self._stalled = threading.Event()

    def close(self) -> None:
        """Break every connection."""
        self._listener.close()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
