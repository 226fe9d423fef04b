"""One process that serves: sockets, signals, and how it stops without losing a request."""

import asyncio
import contextlib
import ctypes
import gc
import logging
import signal
import socket
import struct
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from serving.errors import ComponentError
from serving.microservice import tracing
from serving.microservice.app import Microservice
from serving.microservice.board import Board
from serving.microservice.connection import Connection
from serving.microservice.reload import watch
from serving.microservice.service import Service
from serving.settings import MicroserviceSettings

if TYPE_CHECKING:
    from serving.microservice.grpc_server import GrpcServer

_log = logging.getLogger("inlier.microservice")
_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75  # longer than load balancers and pools keep an idle connection
_IDLE_SECONDS = 1.0
_HANDSHAKE_SECONDS = 0.1
"""A handshake takes a round trip; a little more than within a data centre or between neighbouring ones."""
_SO_ATTACH_FILTER = 26
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the byte of flags of TCP's header
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # then keep no byte of the packet,
    (0x06, 0, 0, 0xFFFFFFFF),  # else all
)
"""A program for the kernel's packet filter: code, jumps if true and false, operand."""
STOP_SECONDS = 4.5
"""From SIGTERM until connections that are still open are cut."""


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Take a port without listening on it yet: a port in use is known before a model is loaded.

    Parameters
    ----------
    host : str
        Name or address.
    port : int
        0 takes a free one.
    shared : bool
        Whether other processes of ours bind it too, and the kernel deals out the connections.

    Returns
    -------
    socket
        Bound.

    Raises
    ------
    ComponentError
        If the port is in use or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError as error:
        raise ComponentError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return bound


def reserve(host: str, port: int) -> socket.socket:
    """Take a port that workers will share; it never listens itself.

    Parameters
    ----------
    host, port
        As for `bind`.

    Returns
    -------
    socket
        Bound.

    Raises
    ------
    ComponentError
        If the port is in use, be it by somebody who would share it.
    """
    with bind(host, port) as alone:
        taken = alone.getsockname()[1]
    return bind(host, taken, shared=True)


class Server(uvicorn.Server):
    """uvicorn, with an end that answers everything it took.

    On SIGTERM it says that it is not ready and goes on answering for a moment, closing each connection with its answer.
    Then it takes what still waits to be accepted, stops listening, and waits for what is under way.

    Parameters
    ----------
    app : Microservice
        The application.
    sockets : list of socket
        Bound; they listen when the model is ready.
    grpc_port : int, optional
        Where gRPC listens.

    Attributes
    ----------
    unanswered : int
        Requests that were still under way at the end.
    """

    def __init__(self, app: Microservice, sockets: list[socket.socket], grpc_port: int | None = None) -> None:
        self._traced = tracing.Traced(app) if tracing.wanted() else None
        config = uvicorn.Config(
            self._traced or app,
            loop="uvloop",
            http="httptools" if self._traced else Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            backlog=_BACKLOG,
        )
        super().__init__(config)
        self._app = app
        self._sockets = sockets
        self._grpc_port = grpc_port
        self._grpc: GrpcServer | None = None
        self.unanswered = 0
        self._stop_at = 0.0
        self._background: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Listen."""
        loop = asyncio.get_running_loop()
        # Listening sockets of our own beside uvicorn's copies: those are closed first, see `shutdown`.
        copies = [one.dup() for one in self._sockets]
        settings = self._app.service.settings
        if self._grpc_port is not None:
            from serving.microservice.grpc_server import GrpcServer

            host = f"[{settings.serve_host}]" if ":" in settings.serve_host else settings.serve_host
            self._grpc = GrpcServer(self._app.service, self._app.long_calls, f"{host}:{self._grpc_port}")
            await self._grpc.start()
        await super().startup(copies)
        if settings.reload_seconds:
            self._background.append(loop.create_task(watch(self._app.service, settings.reload_seconds)))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note that it is time to stop; a second signal stops at once."""
        if self.should_exit:
            _log.info("%s again: stopping at once", signal.Signals(sig).name)
            self.force_exit = True
        else:
            _log.info("%s: stopping", signal.Signals(sig).name)
        self._app.service.draining = True
        self._stop_at = self._stop_at or time.monotonic() + STOP_SECONDS
        self.should_exit = True
        del frame

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Stop as the class says."""
        for task in self._background:
            task.cancel()
        await self._wait(self._app.service.settings.drain_seconds, until_idle=False)
        for server in self.servers:
            server.close()
        await self._accept_the_rest()
        # A client that holds a connection may be about to use it: its next answer closes it, so that nobody sends into
        # a connection that is being closed here, unless it sleeps longer than this.
        await self._wait(_IDLE_SECONDS, until_idle=True)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self._grpc is not None:
            await self._grpc.stop(max(0.0, self._stop_at - time.monotonic()))
        await self._wait(max(0.0, self._stop_at - time.monotonic()), until_idle=True)
        self.unanswered = len(self.server_state.tasks)
        if self.unanswered:
            _log.error("%d requests were still under way and are not answered", self.unanswered)
            for pending in list(self.server_state.tasks):
                pending.cancel()
            await asyncio.sleep(0.05)  # they answer that they cannot
        self._app.close()
        if self._traced is not None:
            await asyncio.to_thread(self._traced.close)
        _log.info("stopped")

    async def _wait(self, seconds: float, *, until_idle: bool) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.force_exit:
            if until_idle and not self.server_state.connections and not self.server_state.tasks:
                return
            await asyncio.sleep(min(0.02, seconds))

    async def _accept_the_rest(self) -> None:
        """Closing a listening socket resets what the kernel had accepted: take those first."""
        for listening in self._sockets:
            _refuse_new_connections(listening)
        await self._accept_waiting()
        await asyncio.sleep(_HANDSHAKE_SECONDS)  # for clients that were let in before, and were not quite through
        await self._accept_waiting(last=True)

    async def _accept_waiting(self, *, last: bool = False) -> None:
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            accepted = []
            while True:
                try:
                    accepted.append(listening.accept()[0])
                except OSError:  # none is left
                    break
            if last:
                listening.close()
            for connection in accepted:
                await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> Any:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state={}
        )


def _refuse_new_connections(listening: socket.socket) -> None:
    """Have Linux drop the first packet of new connections, and no other: a handshake that has begun still ends.

    So nothing comes between the last accept and the close. A client that is dropped tries again a second later, and is
    refused then. A kernel may allow this to root alone; then a client that comes in that instant is cut off.
    """
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _NO_SYN))
    program = struct.pack("HP", len(_NO_SYN), ctypes.addressof(instructions))
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):
            listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def serve(
    user: Any,
    settings: MicroserviceSettings,
    sockets: list[socket.socket],
    board: Board | None = None,
    worker: int = 0,
    grpc_port: int | None = None,
) -> int:
    """Serve until told to stop.

    Parameters
    ----------
    user : object
        An instance of a model class, loaded.
    settings : MicroserviceSettings
        How.
    sockets : list of socket
        Bound.
    board : Board, optional
        Where workers count, if there are several.
    worker : int
        Which of them this is.
    grpc_port : int, optional
        Where gRPC listens.

    Returns
    -------
    int
        How many requests were left unanswered: 0 if all went well.
    """
    service = Service(user, settings, board, worker)
    server = Server(Microservice(service), sockets, grpc_port)
    for one in sockets:
        host, port = one.getsockname()[:2]
        _log.info("serving %s at http://%s:%d", service.title, f"[{host}]" if ":" in host else host, port)
    # A body of 1000 rows is 1000 lists: each would set off a collection that walks through all that was ever imported,
    # half of what such a request costs. What is there now stays; requests leave few cycles behind.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    server.run()
    return server.unanswered
