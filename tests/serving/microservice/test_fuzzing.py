"""A million bodies, made from good ones by chance, and not one answer that blames us."""

import asyncio
import json
import random
from typing import Any

import pytest

from serving import models
from tests.serving.microservice.asgi import Client
from training.model import Model

ROW = [2.1, 2.05, 1.95, 2.01]
TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROW}
ROWS = {"data": {"ndarray": [ROW]}}
PROTO = {"dtype": "DT_DOUBLE", "tensorShape": {"dim": [{"size": 1}]}, "doubleVal": [1]}
INFER = "/v2/models/model_inne/infer"
BODIES: list[tuple[str, Any]] = [
    ("/predict", {"data": {"ndarray": [ROW], "names": ["f1", "f2", "f3", "f4"]}, "meta": {"puid": "x", "tags": {}}}),
    ("/predict", {"data": {"tensor": {"shape": [1, 4], "values": ROW}}}),
    ("/predict", {"data": {"tftensor": PROTO}}),
    ("/predict", {"jsonData": {"f1": 1, "f2": 2.5, "f3": -1e9, "f4": 0}}),
    ("/predict", {"binData": "AAEC", "strData": "text"}),
    ("/send-feedback", {"request": ROWS, "reward": 1, "truth": {"data": {"ndarray": [[1]]}}}),
    ("/aggregate", {"seldonMessages": [ROWS]}),
    ("/route", ROWS),
    (INFER, {"inputs": [TENSOR], "outputs": [{"name": "label"}], "id": "1"}),
    (INFER, {"inputs": [{**TENSOR, "parameters": {"binary_data_size": 8}}]}),
]
GOOD = [(path, json.dumps(body).encode()) for path, body in BODIES]
BITS = [*rb'null NaN 1e400 -1 [] {} "" true 0 [[ ]] " , : 99999999999999999999'.split(), b"\0", b"\xff"]


def spoiled(chance: random.Random, good: bytes) -> bytes:
    body = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body) + 1)
        until = min(len(body), at + chance.randint(0, 6))
        body[at:until] = chance.choice(BITS) if chance.random() < 0.7 else chance.randbytes(chance.randint(0, 5))
    return bytes(body)


async def ask(client: Client, count: int, seed: int) -> dict[int, int]:
    chance = random.Random(seed)
    found: dict[int, int] = {}
    events: list[Any] = []

    async def send(event: Any) -> None:
        events.append(event)

    async def answer(path: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        await client.app(scope, receive, send)

    for _ in range(count):
        path, good = chance.choice(GOOD)
        body = spoiled(chance, good) if chance.random() < 0.95 else chance.randbytes(chance.randint(0, 60))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if chance.random() < 0.1:
            headers.append((b"inference-header-content-length", b"%d" % chance.randint(0, len(body) + 2)))
        events.clear()
        await answer(path, body, headers)
        status = events[0]["status"]
        assert status < 500, (path, body, events[1]["body"])
        if status == 200 and not headers[2:]:
            json.loads(events[1]["body"], parse_constant=pytest.fail)
        found[status] = found.get(status, 0) + 1
    return found


def test_bodies_made_by_chance(inne: Model) -> None:
    found = asyncio.run(ask(Client(models.INNE.of(inne)), 5_000, 1))
    assert set(found) == {200, 400}


@pytest.mark.slow
def test_a_million_bodies_made_by_chance(inne: Model) -> None:
    found = asyncio.run(ask(Client(models.INNE.of(inne)), 1_000_000, 2))
    assert sum(found.values()) == 1_000_000
