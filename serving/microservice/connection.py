"""A connection that answers at once what it can, and leaves the rest to uvicorn.

For every request uvicorn makes a task, an event, a scope and four messages, which cost more than a prediction. A
request that arrived whole and whose answer needs no waiting is answered here, within the callback that its bytes came
with. All others (a body in several parts, ``Expect: 100-continue``, a long prediction, a client that doesn't read) go
to the application through uvicorn, with what has arrived so far.
"""

import urllib.parse
from functools import lru_cache
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.microservice.app import Microservice
from serving.microservice.messages import Reply

_SHORT_URL: Final = 200


@lru_cache(128)
def _target(url: bytes) -> tuple[str, bytes] | None:
    """Path and query of a request's target; None for what uvicorn is to look at."""
    path, _, query = url.partition(b"?")
    if path[:1] != b"/" or not path.isascii() or b"#" in url:
        return None
    text = path.decode("ascii")
    return urllib.parse.unquote(text) if "%" in text else text, query


class Connection(HttpToolsProtocol):
    """uvicorn's connection with a short cut; its application is a `Microservice`."""

    _waiting = False  # a request has begun that nobody works on yet
    _asked = False  # the application has one that it has not answered yet
    _keep = True  # the connection stays open after the answer
    _head = False  # it is to have no body
    _body = b""
    _used = 0.0  # when something arrived last
    _microservice: Microservice

    def connection_made(self, transport: Any) -> None:
        """Begin; who sends nothing is cut off like who has nothing more to send."""
        super().connection_made(transport)
        assert isinstance(self.config.app, Microservice)  # noqa: S101 - for mypy
        self._microservice = self.config.app
        self._used = self.loop.time()
        self._watch_idleness(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are complete, and hand over one that is not."""
        self._used = self.loop.time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._waiting = False
            self._settle()
            self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade:
            pass  # answered without one
        if self._waiting and not self.transport.is_closing():
            self._hand_over()

    def eof_received(self) -> None:
        """Send what is due before the connection closes: the client has nothing more to say, but listens."""
        self._settle()
        super().eof_received()

    def shutdown(self) -> None:
        """Send what is due, then close."""
        self._settle()
        super().shutdown()

    def on_message_begin(self) -> None:
        """Note that a request begins; uvicorn's scope is made when it is needed."""
        self._settle()  # answers go out in the order of the requests
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._body = b""

    def on_headers_complete(self) -> None:
        """Keep a request until the end of what has arrived, unless it has to wait for anything."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if self.parser.should_upgrade():
            self._hand_over()
            self.cycle.keep_alive = False  # the parser takes what follows for another protocol
        elif busy or self.expect_100_continue or self.flow.write_paused:
            self._hand_over()
        else:
            self._waiting = True

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._waiting:
            self._body = self._body + body if self._body else body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer, or have the application answer what takes longer."""
        if not self._waiting:
            super().on_message_complete()
            return
        if self.transport.is_closing():  # after the answer to a request that was to be the last
            return
        if self._answer_at_once():
            self._waiting = False
        else:
            self._hand_over()
            super().on_message_complete()

    def _answer_at_once(self) -> bool:
        target = _target(self.url) if len(self.url) <= _SHORT_URL else _target.__wrapped__(self.url)
        if target is None:
            return False
        method = self.parser.get_method().decode("ascii")
        self._keep = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        self._head = method == "HEAD"
        self._asked = True
        path, query = target
        answered = self._microservice.answer_at_once(method, path, query, self.headers, self._body, self._write)
        self._asked = self._asked and answered
        if len(self.connections) == 1:  # nobody else can ask in this turn
            self._settle()
        return answered

    def _settle(self) -> None:
        """Have the application answer now what it would at the end of the turn."""
        if self._asked:
            self._microservice.batch.answer()

    def _write(self, reply: Reply) -> None:
        self._asked = False
        if self.transport.is_closing():  # the client has gone
            return
        parts = [STATUS_LINE[reply.status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        body = reply.body
        parts.append(b"content-type: %b\r\ncontent-length: %d\r\n" % (reply.content_type, len(body)))
        keep = self._keep
        for name, value in reply.headers:
            parts.append(b"%b: %b\r\n" % (name, value))
            keep = keep and name != b"connection"
        if self._microservice.service.draining:
            keep = False
        parts.append(b"\r\n" if keep else b"connection: close\r\n\r\n")
        if not self._head:
            parts.append(body)
        self.transport.write(b"".join(parts))
        self.server_state.total_requests += 1
        if not keep:
            self.transport.close()

    def _hand_over(self) -> None:
        """Give a request to uvicorn, with what is known of it."""
        self._waiting = False
        url, headers, expect, body = self.url, self.headers, self.expect_100_continue, self._body
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        self._unset_keepalive_if_required()
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def _watch_idleness(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle, or look again: a timer for each request would cost 2 us."""
        left = self._used + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._watch_idleness(left)
        else:
            super().timeout_keep_alive_handler()
