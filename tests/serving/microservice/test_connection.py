"""The short cut answers what uvicorn's own connection would have the application answer, byte for byte."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving import models
from serving.microservice.connection import Connection
from tests.serving.microservice import classes
from tests.serving.microservice.asgi import Client
from training.model import Model

ROWS = {"data": {"ndarray": [[2.1, 2.05, 1.95, 2.01]]}, "meta": {"puid": "p"}}
PING = b"GET /health/ping HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /health/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def post(path: str = "/predict", body: Any = ROWS, *headers: str, version: str = "1.1") -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(raw)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def chunked(*chunks: bytes) -> bytes:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


async def talk(kind: type[HttpToolsProtocol], client: Client, parts: Sequence[bytes], idle: float = 60.0) -> bytes:
    """All that a server answers to what is sent part by part, until it closes the connection."""
    config = uvicorn.Config(client.app, http=kind, ws="none", interface="asgi3", timeout_keep_alive=idle)  # type: ignore[arg-type]
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: kind(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        for part in parts:
            if not reader.at_eof():
                writer.write(part)
            await asyncio.sleep(0.001 if len(parts) > 1 else 0)
        received = await asyncio.wait_for(reader.read(), 30)
    except ConnectionResetError:  # what was not read is still on its way when the other side closes
        received = b""
    finally:
        writer.close()
        server.close()
    return received


def answers(client: Client, *parts: bytes, idle: float = 60.0) -> bytes:
    return asyncio.run(talk(Connection, client, parts, idle))


@pytest.fixture(scope="module")
def client(inne: Model) -> Client:
    return Client(models.INNE.of(inne))


REQUESTS = st.sampled_from(
    [
        PING,
        PING.replace(b"GET", b"HEAD"),
        PING.replace(b"ping", b"p%69ng?json=1"),
        PING.replace(b"/health", b"http://x/health"),
        PING.replace(b"GET", b"DELETE"),
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/models/other HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /predict?json=%7B%7D HTTP/1.1\r\nHost: x\r\n\r\n",
        post(),
        post(body=b"{"),
        post(body=b""),
        post("/predict", ROWS, "Inference-Header-Content-Length: x"),
        post("/predict", ROWS, "Expect: 100-continue"),
        post("/predict", ROWS, "Connection: close"),
        post("/predict", ROWS, "Content-Type: multipart/form-data; boundary=x"),
        post(version="1.0"),
        post("/predict", ROWS, "Connection: keep-alive", version="1.0"),
        chunked(json.dumps(ROWS).encode()),
        chunked(*(bytes([byte]) for byte in json.dumps(ROWS).encode())),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(REQUESTS, max_size=5), st.lists(st.integers(0, 2000), max_size=4))
def test_requests_however_they_arrive_are_answered_as_by_uvicorn(
    client: Client, requests: list[bytes], cuts: list[int]
) -> None:
    sent = b"".join([*requests, LAST])
    edges = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
    parts = [sent[start:stop] for start, stop in itertools.pairwise(edges) if stop > start]
    found = answers(client, *parts)
    assert found == asyncio.run(talk(HttpToolsProtocol, client, parts))
    assert found.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("junk", [b"GARBAGE\r\n\r\n", chunked(b"{}").replace(b"2\r\n{}", b"x\r\n")])
def test_junk_is_400_after_the_answers_before_it(client: Client, junk: bytes) -> None:
    found = answers(client, PING + junk)
    assert found.index(b"pong") < found.index(b"HTTP/1.1 400")
    assert answers(client, junk).startswith(b"HTTP/1.1 400")


def test_a_wish_for_another_protocol_is_left_unfulfilled_and_the_connection_closed(client: Client) -> None:
    wish = PING.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    found = answers(client, wish)
    assert found.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in found


def test_a_request_that_arrives_byte_by_byte(client: Client) -> None:
    whole = answers(client, post("/predict", ROWS, "Connection: close"))
    raw = post("/predict", ROWS, "Connection: close")
    assert answers(client, *(raw[at : at + 1] for at in range(len(raw)))) == whole
    assert whole.startswith(b"HTTP/1.1 200 OK")


def test_requests_sent_at_once_are_answered_in_order_whether_they_take_long_or_not(client: Client) -> None:
    bodies = [{**ROWS, "meta": {"puid": f"number {k}"}} for k in range(6)]
    client.app.long_calls._pace = 1.0  # to a thread, until the pace of the first is known
    found = answers(client, b"".join([*(post(body=body) for body in bodies), LAST]))
    assert [found.index(f'"number {k}"'.encode()) for k in range(6)] == sorted(
        found.index(f'"number {k}"'.encode()) for k in range(6)
    )
    assert found.endswith(b"pong")


def test_an_answer_behind_a_long_prediction_waits_for_it() -> None:
    client = Client(classes.Slow(), predict_threads=2)
    found = answers(client, post(body={"strData": "0.1"}) + LAST)
    assert found.index(b"strData") < found.index(b"pong")


def test_a_body_over_the_limit_is_413_and_closes(inne: Model) -> None:
    client = Client(models.INNE.of(inne), max_body_bytes=100)
    found = answers(client, post(body=b" " * 200))
    assert found.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in found


def test_every_answer_of_a_service_that_stops_closes_its_connection(inne: Model) -> None:
    client = Client(models.INNE.of(inne))
    client.service.draining = True
    found = answers(client, post())
    assert found.startswith(b"HTTP/1.1 200")
    assert b"connection: close\r\n" in found


def test_a_fault_of_ours_is_an_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.service, "check_rows", lambda _: 1 / 0)
    assert answers(client, post("/predict", ROWS, "Connection: close")).startswith(b"HTTP/1.1 500")


@pytest.mark.parametrize("sent", [b"", b"POST /predict HTT", PING, post()[:-3]])
def test_a_connection_on_which_nothing_happens_is_closed(inne: Model, sent: bytes) -> None:
    client = Client(models.INNE.of(inne), body_seconds=0.1)
    found = answers(client, sent, idle=0.1)
    assert found.startswith(b"HTTP/1.1 " if sent in (PING, post()[:-3]) else b"")
