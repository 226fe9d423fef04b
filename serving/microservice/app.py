"""The ASGI application: one request in, one answer out, whatever the protocol.

Reading a body, finding the route, deciding where the model runs and counting is done here; what bytes mean is known to
the routes. Everything runs in the event loop's thread unless it would take long: handing a 20 us prediction to another
thread costs more than the prediction.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import perf_counter
from typing import Any

from serving.errors import (
    BadData,
    Busy,
    ModelFault,
    NotHere,
    NotReady,
    Overdue,
    ServingError,
    TooLarge,
    TooSlow,
    WrongMethod,
)
from serving.microservice import oip_routes, seldon_routes
from serving.microservice.batch import Batch, Waiting
from serving.microservice.long_calls import LongCalls
from serving.microservice.messages import Handler, Reply, Request, Route
from serving.microservice.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger("inlier.microservice")
_DRAINED_BYTES = 64 * 1024 * 1024
_NOWHERE = Route({}, "unknown")
_NOWHERE_V2 = Route({}, "unknown", style="v2")


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Microservice:
    """An ASGI application that serves one model.

    Parameters
    ----------
    service : Service
        What is served.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._oip = oip_routes.OipRoutes(service)
        self._routes = {**seldon_routes.SeldonRoutes(service).table(), **self._oip.table()}
        settings = service.settings
        self._max_body = settings.max_body_bytes
        self._bodies = Bodies(settings.body_seconds)
        self._access_log = settings.access_log
        self.long_calls = LongCalls(service)
        self.batch = Batch(service, self.long_calls, self._answer_alone)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Parameters
        ----------
        scope, receive, send
            As ASGI has them.
        """
        if scope["type"] != "http":
            return
        began = perf_counter()
        method, path = scope["method"], scope["path"]
        route = self.route_at(path)
        try:
            reply = await self._answer(route, scope, receive)
        except ClientGone:
            return
        except asyncio.CancelledError:
            if not self.service.draining:
                raise
            reply = self._refuse(NotReady("the service stops before this is done"), route, method, path)
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            reply = self._failed(error, route, method, path)
        self._note(reply, route, method, path, perf_counter() - began)
        await self._send(reply, method, send)

    def answer_at_once(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        answer: Callable[[Reply], None],
    ) -> bool:
        """Answer a request that is complete, if that takes no time to speak of.

        Parameters
        ----------
        method, path, query, headers
            As in ASGI's scope.
        body : bytes
            All of it.
        answer : callable
            Given the reply, now or when the sockets that can be read have been read.

        Returns
        -------
        bool
            False if the answer would hold up others: then nothing has been done.
        """
        began = perf_counter()
        route = self.route_at(path)
        try:
            handler = self._handler(route, method, path)
            content_type, _, json_length = _facts(headers)
            self._check_size(len(body))
            request = Request(body if method == "POST" else b"", content_type, query, json_length)
            if not route.predicts:
                reply = handler(request)
            elif self.long_calls.takes_long(len(body)):
                return False
            elif route.few is not None and method == "POST" and (few := route.few(request)) is not None:
                self.batch.add(Waiting(few, request, route, path, began, answer))
                return True
            else:
                reply = self.long_calls.run_here(handler, request, len(body))
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            reply = self._failed(error, route, method, path)
        self._note(reply, route, method, path, perf_counter() - began)
        answer(reply)
        return True

    def _answer_alone(self, waiting: Waiting) -> None:
        route, request = waiting.route, waiting.request
        try:
            reply = self.long_calls.run_here(route.handlers["POST"], request, len(request.body))
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            reply = self._failed(error, route, "POST", waiting.path)
        self._note(reply, route, "POST", waiting.path, perf_counter() - waiting.began)
        waiting.answer(reply)

    def _note(self, reply: Reply, route: Route, method: str, path: str, seconds: float) -> None:
        """Count an answer, and log it."""
        self.service.count(route.name, reply.status, seconds, reply.outcome)
        if self._access_log:
            _log.info("%s %s %d %.2f ms %s", method, path, reply.status, seconds * 1e3, reply.puid)

    def _failed(self, error: Exception, route: Route, method: str, path: str) -> Reply:
        if isinstance(error, ServingError):
            return self._refuse(error, route, method, path)
        _log.exception("%s %s failed", method, path)
        return self._refuse(ModelFault(str(error) or type(error).__name__), route, method, path, logged=True)

    def route_at(self, path: str) -> Route:
        """What is at a path; nothing is a route without methods.

        Parameters
        ----------
        path : str
            Of the address, decoded.

        Returns
        -------
        Route
            With the name that metrics and traces know it by.
        """
        return self._routes.get(path) or self._oip.find(path) or (_NOWHERE_V2 if path.startswith("/v2/") else _NOWHERE)

    def _handler(self, route: Route, method: str, path: str) -> Handler:
        handler = route.handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            if not route.handlers:
                raise NotHere(f"there is nothing at {path}")
            allowed = ", ".join(route.handlers)
            raise WrongMethod(f"{path} takes {allowed}, not {method}", allowed)
        return handler

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Reply:
        method = scope["method"]
        handler = self._handler(route, method, scope["path"])
        content_type, length, json_length = _facts(scope["headers"])
        body = await self._body(length, receive) if method == "POST" else b""
        request = Request(body, content_type, scope["query_string"], json_length)
        return await self.long_calls.run(handler, request, len(body)) if route.predicts else handler(request)

    async def _body(self, length: int, receive: Receive) -> bytes:
        task = self._bodies.begin()
        try:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body: bytes = message["body"]
            if message["more_body"]:
                return await self._rest(body, length, receive)
        except asyncio.CancelledError:
            if not self._bodies.is_late(task):
                raise
            raise TooSlow(f"the body did not arrive within {self._bodies.seconds:g} s") from None
        finally:
            self._bodies.end(task)
        self._check_size(len(body))
        return body

    def _check_size(self, size: int) -> None:
        if size > self._max_body:
            raise TooLarge(f"the body is larger than {self._max_body} bytes")

    async def _rest(self, first: bytes, length: int, receive: Receive) -> bytes:
        """The body, part by part, within the limit."""
        parts, size, more = [first], max(len(first), length), True
        read = len(first)
        # What is too large is read nevertheless: most clients send all they have before they read an answer.
        while more and (size <= self._max_body or read <= _DRAINED_BYTES):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message["more_body"]
            read += len(message["body"])
            size = max(size, read)
            if size <= self._max_body:
                parts.append(message["body"])
        self._check_size(size)
        return b"".join(parts)

    def _refuse(self, error: ServingError, route: Route, method: str, path: str, *, logged: bool = False) -> Reply:
        reply = oip_routes.refusal(error) if route.style == "v2" else seldon_routes.refusal(error)
        if isinstance(error, WrongMethod):
            reply.headers = ((b"allow", error.allowed.encode()),)
        elif isinstance(error, TooLarge | TooSlow):
            reply.headers = ((b"connection", b"close"),)
        elif isinstance(error, Busy | Overdue):
            reply.headers = ((b"retry-after", b"1"),)
        if error.status >= 500 and not logged:
            _log.error("%s %s: %s", method, path, error, exc_info=error.__cause__)
        elif not logged:
            _log.debug("%s %s refused: %s", method, path, error)
        return reply

    async def _send(self, reply: Reply, method: str, send: Send) -> None:
        body = reply.body
        headers = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(body)), *reply.headers]
        if self.service.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})

    def close(self) -> None:
        """Stop the threads of long predictions without waiting for them."""
        self.long_calls.close()


def _facts(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, int, int | None]:
    """Content type, length, and how much of the body is JSON."""
    content_type, length, json_length = b"", 0, None
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = int(value)  # the parser has checked it
        elif name == b"inference-header-content-length":
            if not value.isdigit() or len(value) > 18:
                raise BadData(f"Inference-Header-Content-Length is not a number: {value[:40]!r}")
            json_length = int(value)
    return content_type, length, json_length


class Bodies:
    """Requests whose body is being read, and an end to those that take too long.

    One look at all of them now and then: a timer for each would cost a request 4 us.

    Parameters
    ----------
    seconds : float
        How long a body may take.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[Any]:
        """Note that the current task begins to read."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - ASGI servers run an application in a task
        self._reading[task] = perf_counter()
        if self._timer is None:
            self._look()
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        """Note that it has read all."""
        self._reading.pop(task, None)

    def is_late(self, task: asyncio.Task[Any]) -> bool:
        """Whether it was stopped here; it goes on with an answer then."""
        if task not in self._late:
            return False
        self._late.discard(task)
        task.uncancel()
        return True

    def _look(self) -> None:
        limit = perf_counter() - self.seconds
        for task, began in list(self._reading.items()):
            if began < limit:
                self._late.add(task)
                task.cancel()
        pause = min(1.0, self.seconds / 4)
        self._timer = asyncio.get_running_loop().call_later(pause, self._look) if self._reading else None
