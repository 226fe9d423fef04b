"""Variations of kind rest whose answers come in parts, on real connections."""

import socket
import threading
import time

import pytest

from serving.errors import UpstreamDown, UpstreamFault, UpstreamSlow
from serving.proxy.payload import Rows
from serving.proxy.store import Route
from serving.proxy.upstream import Upstream
from serving.proxy.upstream_faults import Refused
from serving.settings import GatewaySettings

ROWS = Rows(["a"], [[1.0]])
BODY = b'{"data": {"names": ["A"], "ndarray": [[0.5]]}}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Sender:
    """Sends its parts as an answer, with a pause between them; closes the connection if it is told to."""

    def __init__(self):
        self.parts, self.pause, self.closes = [], 0.0, False
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.route = Route("inne", 1.0, "rest", f"http://127.0.0.1:{self._listening.getsockname()[1]}/", None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self._answer(connection)

    def _answer(self, connection):
        try:
            while self._is_asked(connection):
                for part in self.parts:
                    connection.sendall(part)
                    time.sleep(self.pause)
                if self.closes:
                    return
        except OSError:
            return

    @staticmethod
    def _is_asked(connection):
        asked = b""
        while not asked.endswith(b"]]}}"):
            more = connection.recv(65536)
            if not more:
                return False
            asked += more
        return True

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


@pytest.fixture
def sender():
    sender = Sender()
    yield sender
    sender.close()


@pytest.fixture
def upstream():
    upstream = Upstream(GatewaySettings(connect_ms=300, read_ms=300))
    yield upstream
    upstream.close()


@pytest.mark.parametrize(
    ("parts", "closes"),
    [
        ([HEAD % len(BODY) + BODY], False),
        ([HEAD % len(BODY), BODY[:9], BODY[9:]], False),
        (
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"2e\r\n" + BODY[:9],
                BODY[9:],
                b"\r\n0\r\n\r\n",
            ],
            False,
        ),
        ([b"HTTP/1.1 200 OK\r\n\r\n", BODY[:9], BODY[9:]], True),
    ],
)
def test_an_answer_in_parts_is_put_together_and_its_connection_kept(sender, upstream, parts, closes):
    sender.parts, sender.closes, sender.pause = parts, closes, 0.02
    for _ in range(3):
        assert upstream.predict(sender.route, ROWS, "p")["data"]["ndarray"] == [[0.5]]
    assert sender.connections == (3 if closes else 1)


@pytest.mark.parametrize("status", [b"200 OK", b"500 Broken"])
def test_who_answers_byte_by_byte_is_slow(sender, upstream, status):
    sender.parts, sender.pause = [(HEAD % 1000).replace(b"200 OK", status), *[b" "] * 30], 0.1
    began = time.monotonic()
    with pytest.raises(UpstreamSlow, match="variation 'inne' did not answer within 300 ms"):
        upstream.predict(sender.route, ROWS, "p")
    assert time.monotonic() - began < 1.5  # of 3 seconds


def test_who_falls_silent_within_an_answer_is_slow(sender, upstream):
    sender.parts, sender.pause = [HEAD % len(BODY) + BODY[:9]], 1.0
    with pytest.raises(UpstreamSlow, match="did not answer within 300 ms"):
        upstream.predict(sender.route, ROWS, "p")


def test_who_breaks_off_within_an_answer_is_not_asked_again(sender, upstream):
    sender.parts, sender.closes = [HEAD % len(BODY) + BODY[:9]], True
    with pytest.raises(UpstreamDown, match="variation 'inne' cut the connection within its answer") as raised:
        upstream.predict(sender.route, ROWS, "p")
    assert not isinstance(raised.value, Refused)


def test_an_answer_without_end_is_not_taken(sender, upstream, monkeypatch):
    monkeypatch.setattr("serving.proxy.upstream_rest.MOST_BYTES", 1000)
    sender.parts, sender.closes = [HEAD % 2000 + b" " * 2000], True
    with pytest.raises(UpstreamFault, match="variation 'inne' answered with more than 1000 bytes"):
        upstream.predict(sender.route, ROWS, "p")
