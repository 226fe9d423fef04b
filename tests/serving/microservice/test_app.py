import asyncio
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import models
from serving.microservice.app import Microservice
from tests.serving.microservice import classes
from tests.serving.microservice.asgi import Client
from training.model import Model

ROW = [2.1, 2.05, 1.95, 2.01]
PREDICT = ("/predict", "/api/v1.0/predictions", "/api/v0.1/predictions")


@pytest.fixture(scope="module")
def client(inne: Model) -> Client:
    return Client(models.INNE.of(inne))


def ndarray(rows: Any, names: Any = None, **meta: Any) -> dict[str, Any]:
    data = {"ndarray": rows} if names is None else {"ndarray": rows, "names": names}
    return {"data": data, "meta": meta} if meta else {"data": data}


class TestPredict:
    @pytest.mark.parametrize("path", PREDICT)
    def test_an_answer_has_the_models_numbers(self, client: Client, inne: Model, path: str) -> None:
        answer = client(path, ndarray([ROW, [0, 0, 0, 0]], puid="mine"))
        scores = inne.detector.anomaly_score(np.array([ROW, [0.0] * 4]))
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json["data"] == {
            "names": ["Anomaly_score", "Complementary_score"],
            "ndarray": [[score, 1 - score] for score in scores.tolist()],
        }
        assert answer.json["meta"]["puid"] == "mine"
        assert answer.json["meta"]["tags"]["labels"] == [0, 1]
        assert answer.json["meta"]["tags"]["model_name"] == "model_inne"

    def test_a_tensor_is_answered_with_a_tensor(self, client: Client) -> None:
        answer = client("/predict", {"data": {"tensor": {"shape": [2, 4], "values": [*ROW, 0, 0, 0, 0]}}})
        tensor = answer.json["data"]["tensor"]
        assert tensor["shape"] == [2, 2]
        assert (
            np.reshape(tensor["values"], (2, 2)).tolist()
            == client("/predict", ndarray([ROW, [0] * 4])).json["data"]["ndarray"]
        )

    def test_a_puid_is_made_where_there_is_none(self, client: Client) -> None:
        found = {client("/predict", ndarray([ROW])).json["meta"]["puid"] for _ in range(3)}
        assert len(found) == 3
        assert all(len(puid) == 40 and int(puid, 16) for puid in found)

    def test_names_are_matched_in_any_order(self, client: Client) -> None:
        expected = client("/predict", ndarray([ROW])).json["data"]
        assert client("/predict", ndarray([ROW[::-1]], ["f4", "f3", "f2", "f1"])).json["data"] == expected
        assert client("/predict", {"jsonData": dict(zip(["f1", "f2", "f3", "f4"], ROW, strict=True))}).json["data"] == {
            "names": expected["names"],
            "tensor": {"shape": [1, 2], "values": expected["ndarray"][0]},
        }

    def test_a_message_in_a_form_or_an_address(self, client: Client) -> None:
        expected = client("/predict", ndarray([ROW])).json["data"]
        text = json.dumps(ndarray([ROW])).replace(" ", "")
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert client("/predict", f"json={text}".encode(), headers=form).json["data"] == expected
        assert client("/predict", query=f"json={text}").json["data"] == expected
        assert client("/predict", b"", query=f"json={text}").json["data"] == expected
        multipart = (
            b'--B\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + text[8:-1].encode() + b"\r\n--B--\r\n"
        )
        headers = {"content-type": "multipart/form-data; boundary=B"}
        assert client("/predict", multipart, headers=headers).json["data"] == expected

    def test_json_that_says_it_is_a_form(self, client: Client) -> None:
        headers = {"content-type": "application/x-www-form-urlencoded"}  # what curl -d says
        assert client("/predict", ndarray([ROW]), headers=headers).status == 200

    def test_an_explanation_on_demand(self, client: Client) -> None:
        assert "feature_contributions" not in client("/predict", ndarray([ROW])).json["meta"]["tags"]
        tags = client("/predict", ndarray([[2, 2, 9, 2]], ["f4", "f3", "f2", "f1"]), query="explain=1").json["meta"][
            "tags"
        ]
        assert tags["feature_names"] == ["f1", "f2", "f3", "f4"]
        assert np.argmax(tags["feature_contributions"]) == 1
        assert sum(tags["feature_contributions"][0]) == pytest.approx(1)

    def test_tags_metrics_and_path_of_the_request_are_kept(self, inne: Model) -> None:
        client = Client(models.INNE.of(inne), unit_id="node", image="repo/image:1.2")
        meta = client(
            "/predict",
            ndarray(
                [ROW], tags={"a": 1}, metrics=[{"key": "k", "type": "GAUGE", "value": 1}], requestPath={"up": "u:1"}
            ),
        ).json["meta"]
        assert meta["tags"]["a"] == 1
        assert meta["metrics"][0] == {"key": "k", "type": "GAUGE", "value": 1}
        assert meta["requestPath"] == {"node": "repo/image:1.2", "up": "u:1"}

    def test_metrics_are_left_out_of_answers_if_wanted(self, inne: Model) -> None:
        client = Client(models.INNE.of(inne), metrics_in_response=False)
        assert "metrics" not in client("/predict", ndarray([ROW])).json["meta"]

    def test_one_thread_or_another_the_same_bits(self, client: Client) -> None:
        rows = np.random.default_rng(0).normal(3, 2, (2000, 4)).tolist()
        first = client("/predict", ndarray(rows)).json["data"]
        client.app.long_calls._pace = 1.0
        assert client("/predict", ndarray(rows)).json["data"] == first


class TestWrongInput:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "empty"),
            (b"{", "not JSON"),
            (b"\x00\xff", "not JSON"),
            (b"[1, 2]", "an object, not a list"),
            (b'{"data": {"ndarray": [[1, 2, 3, NaN]]}}', "NaN"),
            (b'{"data": {"ndarray": [[1, 2, 3, Infinity]]}}', "Infinity"),
            (b'{"data": {"ndarray": [[1, 2, 3, 1e400]]}}', "not JSON"),
            (b'{"data": {"ndarray": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "not JSON"),
            (ndarray([[1, 2, 3, None]]), "row 1, feature f4: null is not a number"),
            (ndarray([[1, 2, 3, "x"]]), "row 1, feature f4: 'x' is not a number"),
            (ndarray([[1, 2, 3]]), "rows of 4 numbers"),
            (ndarray([[1, 2, 3, 4], [1]]), "row 2 has 1 values, row 1 has 4"),
            (ndarray([]), "there are no rows"),
            (ndarray([[]]), "row 1 is empty"),
            (ndarray([1, 2, 3, 4]), "row 1 should be a list"),
            (ndarray([[1, 2, 3]], ["f1", "f2", "f3"]), "'f4'"),
            (ndarray([[1, 2, 3, 4]], ["f1", "f2", "f3", "temperature"]), "'temperature'"),
            (ndarray([[1, 2, 3, 4]], [1, 2, 3, 4]), "data.names"),
            ({}, "data is missing"),
            ({"data": {}}, "data has none of"),
            ({"strData": "hello"}, "rows of numbers are needed, not text"),
            ({"binData": "AAAA"}, "rows of numbers are needed, not bytes"),
            ({"jsonData": {"f1": 1}}, "'f2', 'f3', 'f4'"),
            ({"jsonData": None}, "rows of numbers are needed, not null"),
            ({"data": {"tensor": {"shape": [1, 4], "values": [1, 2]}}}, "do not fill"),
            ({"data": {"tftensor": {"dtype": "DT_STRING"}}}, "DT_DOUBLE"),
        ],
    )
    def test_the_culprit_is_named(self, client: Client, body: Any, message: str) -> None:
        for path in PREDICT:
            answer = client(path, body, "POST")
            assert answer.status == 400
            assert message in answer.info
            assert answer.json["status"]["reason"] == "MICROSERVICE_BAD_DATA"

    def test_no_form_field(self, client: Client) -> None:
        assert "?json=" in client("/predict", query="x=1").info
        assert client("/predict").status == 400
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert client("/predict", b"x=1", headers=headers).status == 400
        assert client("/predict", b"json={", headers=headers).status == 400
        assert client("/predict", b"", headers={"content-type": "multipart/form-data"}).status == 400

    def test_unknown_paths_and_methods(self, client: Client) -> None:
        answer = client("/nowhere")
        assert answer.status == 404
        assert "/nowhere" in answer.info
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "BREW"):
            answer = client("/predict", None, method)
            assert answer.status == 405
            assert answer.headers["allow"] == "GET, POST"
            assert method in answer.info
        assert client("/health/ping", {}).status == 405

    def test_too_large_a_body(self, inne: Model) -> None:
        client = Client(models.INNE.of(inne), max_body_bytes=1000)
        for chunks in ([b" " * 1001], [b" " * 600, b" " * 600], [b" " * 100] * 50):
            answer = client("/predict", chunks=chunks)
            assert answer.status == 413
            assert "1000 bytes" in answer.info
            assert answer.headers["connection"] == "close"
        said = client("/predict", chunks=[b" " * 10, b" " * 10], headers={"content-length": "2000"})
        assert said.status == 413
        assert client("/predict", chunks=[b" " * 100, json.dumps(ndarray([ROW])).encode()]).status == 200

    def test_too_many_rows(self, inne: Model) -> None:
        client = Client(models.INNE.of(inne), max_rows=3)
        assert client("/predict", ndarray([ROW] * 3)).status == 200
        answer = client("/predict", ndarray([ROW] * 4))
        assert answer.status == 413
        assert answer.info == "4 rows; at most 3 are answered at once"

    def test_a_body_that_does_not_come(self, inne: Model) -> None:
        app = Client(models.INNE.of(inne), body_seconds=0.05).app
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(event: Any) -> None:
            sent.append(event)

        async def ask(headers: list[tuple[bytes, bytes]]) -> None:
            scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers}
            await asyncio.create_task(app(scope, receive, send))

        asyncio.run(ask([(b"content-length", b"100")]))
        assert sent[0]["status"] == 408
        assert (b"connection", b"close") in sent[0]["headers"]

    def test_a_client_that_goes_away_gets_no_answer(self, client: Client) -> None:
        sent: list[Any] = []

        async def ask() -> None:
            events = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

            async def receive() -> Any:
                return events.pop(0)

            async def send(event: Any) -> None:
                sent.append(event)

            scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": []}
            await asyncio.create_task(client.app(scope, receive, send))

        asyncio.run(ask())
        assert sent == []

    @settings(max_examples=300)
    @given(st.data())
    def test_arbitrary_requests_are_never_a_fault_of_ours(self, client: Client, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(client.app._routes)) | st.text())
        method = data.draw(st.sampled_from(["GET", "POST", "HEAD", "PUT", "X"]))
        body = data.draw(st.binary() | MESSAGES.map(lambda message: json.dumps(message).encode()))
        kinds = ["application/json", "multipart/form-data; boundary=B", "application/x-www-form-urlencoded", ""]
        answer = client(
            path,
            body,
            method,
            query=data.draw(st.text(alphabet="json={}&%explain1", max_size=20)),
            headers={"content-type": data.draw(st.sampled_from(kinds))},
        )
        assert answer.status < 500
        if method != "HEAD" and answer.headers["content-type"] == "application/json":
            assert isinstance(answer.json, dict)


CELLS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=3)
MESSAGES = st.fixed_dictionaries(
    {"data": st.dictionaries(st.sampled_from(["ndarray", "names", "tensor"]), st.lists(st.lists(CELLS) | CELLS))}
) | st.dictionaries(st.sampled_from(["jsonData", "strData", "binData", "meta", "request", "seldonMessages"]), CELLS)


class TestOtherRoutes:
    def test_health_and_metadata(self, client: Client, inne: Model) -> None:
        answer = client("/health/ping")
        assert (answer.status, answer.body) == (200, b"pong")
        for path in ("/health/status", "/api/v1.0/health/status"):
            answer = client(path)
            assert answer.status == 200
            assert answer.json["data"]["ndarray"] == ["iNNE is ready"]
        for path in ("/metadata", "/api/v1.0/metadata"):
            assert client(path).json["name"] == "model_inne"
            assert client(path).json["custom"]["n_rows"] == str(inne.n_rows)
        head = client("/metadata", method="HEAD")
        assert head.body == b""
        assert int(head.headers["content-length"]) > 10

    def test_not_ready_while_stopping(self, inne: Model) -> None:
        client = Client(models.INNE.of(inne))
        client.service.draining = True
        answer = client("/health/status")
        assert answer.status == 503
        assert answer.headers["connection"] == "close"
        assert client("/health/ping").status == 200
        assert client("/predict", ndarray([ROW])).status == 200

    def test_the_description_names_every_route(self, client: Client) -> None:
        described = client("/seldon.json").json["paths"]
        seldon = {path for path, route in client.app._routes.items() if route.style == "seldon"}
        assert described.keys() >= seldon
        for path in seldon:
            handlers = client.app._routes[path].handlers
            assert {method.upper() for method in described[path]} == handlers.keys()

    def test_metadata_of_the_environment(self) -> None:
        client = Client(classes.Full(), metadata="name: mine\ninputs: [{messagetype: ndarray}]", image="repo/full:7")
        assert client("/metadata").json == {
            "name": "mine",
            "versions": ["v1"],
            "platform": "python",
            "inputs": [{"messagetype": "ndarray"}],
            "outputs": [],
            "custom": {"team": "us"},
        }
        assert Client(classes.Plain(), image="repo/plain:7")("/metadata").json["versions"] == ["7"]

    @pytest.mark.parametrize("text", ["nme: x", "name: 3", "custom: {a: 1}", "versions: [1]", "inputs: [1]"])
    def test_metadata_that_is_not_valid(self, text: str) -> None:
        answer = Client(classes.Plain(), metadata=text)("/metadata")
        assert answer.status == 500
        assert answer.json["status"]["reason"] == "MICROSERVICE_BAD_METADATA"

    def test_metadata_that_is_not_yaml_is_left_out(self) -> None:
        assert Client(classes.Plain(), metadata="{")("/metadata").status == 200


def test_an_unforeseen_error_is_an_answer_too(inne: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(models.INNE.of(inne))
    monkeypatch.setattr("serving.protocols.seldon.parse", lambda _: 1 / 0)
    answer = client("/predict", ndarray([ROW]))
    assert answer.status == 500
    assert "division" in answer.info


def test_other_kinds_of_connections_are_ignored(client: Client) -> None:
    assert isinstance(client.app, Microservice)
    asyncio.run(client.app({"type": "websocket"}, None, None))  # type: ignore[arg-type]
