"""Requests of one turn of the event loop: answered as if each were alone, by one call of the detector."""

import asyncio
import json
import re
from typing import Any

import numpy as np
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from serving import models
from serving.detector_model import DetectorModel, Judged
from serving.microservice.connection import Connection
from serving.microservice.messages import Reply
from serving.microservice.puids import new_puid
from tests.serving.microservice.asgi import Client
from tests.serving.microservice.test_connection import post
from training.model import Model
from training.synthetic import series
from training.train import train

NEAR, FAR = [2.1, 2.05, 1.95, 2.01], [0, 0, 0, 0]


def infer(number: str, shape: list[int], data: list[float], kind: str = "FP64") -> dict[str, Any]:
    return {"id": number, "inputs": [{"name": "x", "shape": shape, "datatype": kind, "data": data}]}


BODIES: list[Any] = [
    {"data": {"ndarray": [NEAR]}},
    {"data": {"ndarray": [FAR, NEAR, [2.0, 2.0, 2.5, 2.0]]}},
    {"data": {"names": ["f4", "f3", "f2", "f1"], "ndarray": [[1, 2, 3, 4]]}},
    {"data": {"names": ["f1"], "ndarray": [[1.0]]}},
    {"data": {"ndarray": [[1.0, 2.0]]}},
    {"data": {"ndarray": [[1.0, "x", 3.0, 4.0]]}},
    {"data": {"ndarray": [[1.0, None, 3.0, 4.0]]}},
    {"data": {"ndarray": [{"f1": 1.0, "f2": 2.0, "f3": 2.0, "f4": 2.0}]}},
    {"data": {"ndarray": NEAR}},
    {"data": {"ndarray": []}},
    {"data": {"ndarray": [NEAR] * 17}},
    {"data": {"ndarray": [NEAR] * 40}},
    {"data": {"tensor": {"shape": [1, 4], "values": NEAR}}},
    {"data": {"ndarray": [NEAR]}, "meta": {"puid": 7}},
    {"data": {"ndarray": [NEAR]}, "meta": {"tags": {"mine": 1}, "requestPath": {"a": "b"}, "metrics": [{"key": "k"}]}},
    {"strData": "text"},
    infer("a", [2, 4], [*NEAR, *FAR]),
    infer("b", [1, 4], NEAR, "FP32"),
    {"id": "c", "inputs": [{"name": f"f{k}", "shape": [1], "datatype": "FP64", "data": [2.0]} for k in (4, 3, 2, 1)]},
    infer("d", [1, 4], NEAR) | {"parameters": {"explain": True}},
    infer("e", [1, 2], [1.0, 2.0]),
    infer("f", [1, 4], NEAR) | {"outputs": [{"name": "label"}]},
    {"id": "g", "inputs": []},
    None,
    b"{",
]


def path_of(body: Any) -> str:
    return "/v2/models/model_inne/infer" if isinstance(body, dict) and "id" in body else "/predict"


class Turn:
    """What one turn of the event loop brings."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.replies: dict[int, Reply] = {}
        self._count = 0

    def ask(self, body: Any, query: bytes = b"") -> bool:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        number, self._count = self._count, self._count + 1
        self.client.app.long_calls._pace = 0.0  # nothing is long, however busy the machine is
        headers = [(b"content-type", b"application/json")]
        return self.client.app.answer_at_once(
            "POST", path_of(body), query, headers, raw, lambda reply: self.replies.update({number: reply})
        )


def in_one_turn(client: Client, *bodies: Any) -> list[Reply]:
    async def turn() -> list[Reply]:
        asked = Turn(client)
        assert all(asked.ask(body) for body in bodies)
        await asyncio.sleep(0)
        return [asked.replies[number] for number in range(len(bodies))]

    return asyncio.run(turn())


@pytest.fixture(scope="module")
def client(inne: Model) -> Client:
    return Client(models.INNE.of(inne), metrics_in_response=True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each call of the detector is about."""
    sizes: list[int] = []
    judge = DetectorModel.judge

    def counted(self: DetectorModel, rows: Any) -> Judged:
        sizes.append(len(rows))
        return judge(self, rows)

    monkeypatch.setattr(DetectorModel, "judge", counted)
    return sizes


def with_puid(body: Any, number: int) -> Any:
    if not isinstance(body, dict) or "id" in body or "puid" in body.get("meta", {}):
        return body
    return body | {"meta": body.get("meta", {}) | {"puid": f"p{number}"}}


def counted(client: Client) -> list[tuple[str, float]]:
    """The metrics, but for time."""
    text = client.app.service.render_metrics().decode()
    lines = [line for line in text.splitlines() if not re.match("#|inlier_request_seconds|process_", line)]
    return sorted((line.rpartition(" ")[0], float(line.rpartition(" ")[2])) for line in lines)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(BODIES), min_size=1, max_size=8))
def test_each_is_answered_and_counted_as_if_it_were_alone(inne: Model, bodies: list[Any]) -> None:
    together, alone = (Client(models.INNE.of(inne), metrics_in_response=True) for _ in range(2))
    bodies = [with_puid(body, number) for number, body in enumerate(bodies)]
    found = in_one_turn(together, *bodies)
    wanted = [alone(path_of(body), b"null" if body is None else body) for body in bodies]
    assert [(reply.status, reply.body) for reply in found] == [(answer.status, answer.body) for answer in wanted]
    for found_line, wanted_line in zip(counted(together), counted(alone), strict=True):
        assert found_line[0] == wanted_line[0]
        assert found_line[1] == pytest.approx(wanted_line[1])  # scores are added up in another order


def test_one_call_judges_all(client: Client, calls: list[int]) -> None:
    replies = in_one_turn(client, *({"data": {"ndarray": [NEAR, FAR]}} for _ in range(8)))
    assert calls == [16]
    assert len({reply.puid for reply in replies}) == 8
    assert {reply.status for reply in replies} == {200}


def test_both_protocols_are_judged_together_with_their_like(client: Client, calls: list[int]) -> None:
    seldon, open_inference = (
        BODIES[0],
        next(body for body in BODIES if isinstance(body, dict) and body.get("id") == "b"),
    )
    replies = in_one_turn(client, seldon, seldon, open_inference, open_inference, open_inference)
    assert calls == [2, 3]
    assert {reply.status for reply in replies} == {200}


def test_a_request_waits_for_nobody(client: Client, calls: list[int]) -> None:
    for _ in range(2):
        assert in_one_turn(client, {"data": {"ndarray": [NEAR]}})[0].status == 200
    assert calls == [1, 1]


def test_who_asks_for_an_explanation_gets_one(client: Client, calls: list[int]) -> None:
    async def turn() -> Reply:
        asked = Turn(client)
        asked.ask({"data": {"ndarray": [NEAR]}}, query=b"explain=1")
        return asked.replies[0]

    assert b"feature_contributions" in asyncio.run(turn()).body
    assert calls == []


def test_what_began_with_a_model_is_answered_by_it(inne: Model) -> None:
    class Other(models.INNE):
        def class_names(self) -> list[str]:
            return ["a", "b"]

    async def turn() -> list[bytes]:
        client = Client(models.INNE.of(inne))
        asked = Turn(client)
        asked.ask({"data": {"ndarray": [NEAR]}})
        other = models.INNE.of(inne)
        other._constant_tags = {"version": "another"}
        client.service.replace(other)
        asked.ask({"data": {"ndarray": [NEAR]}})
        await asyncio.sleep(0)
        return [asked.replies[number].body for number in range(2)]

    first, second = asyncio.run(turn())
    assert b'"version":"another"' not in first
    assert b'"version":"another"' in second


def test_a_request_that_cannot_be_judged_spoils_no_other(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, score = client.service.component.user.model.detector, type(client.service.component.user.model.detector)
    honest = score.anomaly_score

    def picky(self: Any, rows: Any) -> Any:
        if (np.asarray(rows) == 7.0).any():
            raise ValueError("seven is not judged")
        return honest(self, rows)

    monkeypatch.setattr(type(detector), "anomaly_score", picky)
    good, bad = {"data": {"ndarray": [NEAR]}}, {"data": {"ndarray": [[7.0, 1.0, 1.0, 1.0]]}}
    replies = in_one_turn(client, good, bad, good)
    assert [reply.status for reply in replies] == [200, 400, 200]
    assert b"seven is not judged" in replies[1].body


class OwnWay(models.INNE):
    def predict(self, X: Any, names: Any = None, meta: Any = None) -> Any:
        return super().predict(X, names, meta) * 0.0


class OwnTags(models.INNE):
    def tags(self) -> dict[str, Any]:
        return {"mine": True}


@pytest.mark.parametrize("kind", [OwnWay, OwnTags])
def test_a_class_that_does_something_of_its_own_is_called_for_each(
    inne: Model, calls: list[int], kind: type[models.INNE]
) -> None:
    client = Client(kind.of(inne))
    replies = in_one_turn(client, {"data": {"ndarray": [NEAR]}}, {"data": {"ndarray": [NEAR]}})
    assert calls == []
    assert all((b"0.0,0.0" if kind is OwnWay else b'"tags":{"mine":true}') in reply.body for reply in replies)


def test_rows_of_a_series_are_not_put_together(calls: list[int]) -> None:
    model = train("iqr", series(seed=0)[0], seed=0)
    client = Client(models.IQR.of(model))
    body = {"data": {"ndarray": [[1.0] * len(model.feature_names)]}}
    assert {reply.status for reply in in_one_turn(client, body, body)} == {200}
    assert calls == []


def test_more_rows_than_the_limit_are_413(inne: Model) -> None:
    client = Client(models.INNE.of(inne), max_rows=2)
    replies = in_one_turn(client, {"data": {"ndarray": [NEAR] * 3}}, {"data": {"ndarray": [NEAR]}})
    assert [reply.status for reply in replies] == [413, 200]


async def _served(client: Client) -> tuple[asyncio.Server, list[Connection]]:
    config = uvicorn.Config(client.app, http=Connection, ws="none", interface="asgi3")  # type: ignore[arg-type]
    config.load()
    state, made = ServerState(), []

    def make() -> Connection:
        made.append(Connection(config, state, {}))  # type: ignore[call-arg]
        return made[-1]

    return await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0), made


def test_who_has_nothing_more_to_say_still_hears_the_answer(client: Client) -> None:
    async def talk() -> bytes:
        server, _ = await _served(client)
        _, other = await asyncio.open_connection(*server.sockets[0].getsockname())
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(post())
        writer.write_eof()
        received = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        other.close()
        server.close()
        return received

    assert asyncio.run(talk()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("end", ["eof_received", "shutdown"])
def test_what_is_due_is_sent_before_a_connection_is_closed(client: Client, end: str) -> None:
    async def talk() -> bytes:
        server, made = await _served(client)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        while not made:
            await asyncio.sleep(0.001)
        _, other = await asyncio.open_connection(*server.sockets[0].getsockname())
        while len(made) < 2:
            await asyncio.sleep(0.001)
        made[0].data_received(post())
        assert made[0]._asked  # the other connection may have something to ask, too
        getattr(made[0], end)()
        made[0].transport.close()
        received = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        other.close()
        server.close()
        return received

    assert asyncio.run(talk()).startswith(b"HTTP/1.1 200")


def test_an_only_connection_is_answered_within_its_callback(client: Client) -> None:
    async def talk() -> bool:
        server, made = await _served(client)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        while not made:
            await asyncio.sleep(0.001)
        made[0].data_received(post())
        asked = made[0]._asked
        writer.close()
        server.close()
        return asked

    assert not asyncio.run(talk())


def test_a_client_that_has_gone_holds_up_nobody(client: Client) -> None:
    async def talk() -> bytes:
        server, made = await _served(client)
        pairs = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(2)]
        while len(made) < 2:
            await asyncio.sleep(0.001)
        for connection in made:
            connection.data_received(post())
        made[0].transport.abort()
        received = await asyncio.wait_for(pairs[1][0].readuntil(b"}}"), 30)
        for _, writer in pairs:
            writer.close()
        server.close()
        return received

    assert asyncio.run(talk()).startswith(b"HTTP/1.1 200")


def test_identifiers_are_40_digits_and_no_two_are_alike() -> None:
    found = [new_puid() for _ in range(1000)]
    assert len(set(found)) == 1000
    assert all(re.fullmatch("[0-9a-f]{40}", puid) for puid in found)


def test_a_forked_process_gives_out_other_identifiers() -> None:
    import multiprocessing

    new_puid()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(_some_puids, range(4), chunksize=1)
    mine = [new_puid() for _ in range(200)]
    given_out = {puid for some in found for puid in some}
    assert not given_out & set(mine)
    assert len(given_out) == 40


def _some_puids(_: int) -> list[str]:
    return [new_puid() for _ in range(10)]
