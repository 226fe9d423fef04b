"""Variations of kind rpc, on real connections."""

import math
import socket
import time

import grpc
import pytest

from serving.deploy.addresses import free_port
from serving.errors import UpstreamDown, UpstreamSlow
from serving.protocols import seldon_proto
from serving.protocols.wire import prediction_pb2 as pb
from serving.proxy.payload import Rows
from serving.proxy.store import Route
from serving.proxy.upstream import Upstream
from serving.settings import GatewaySettings
from tests.serving.microservice.processes import ours
from tests.serving.proxy.fake_microservice import FakeRpcMicroservice, sum_message

SEED_JSON = '{"data":{"f1":2.1,"f2":2.05,"f3":1.95,"f4":2.01}}'


@pytest.fixture
def rpc():
    fake = FakeRpcMicroservice()
    yield fake
    fake.close()


@pytest.fixture
def ask(http, keys, rpc):
    """Ask /js/predict of a client whose only variation is the fake microservice."""
    put(http, rpc.url)

    def predict(text=SEED_JSON):
        response = http.get("/js/predict", query_string={"consumer_key": keys["js"].consumer_key, "json": text})
        return response.status_code, response.get_json()

    return predict


def put(http, url):
    variation = {"label": "inne", "ratio": 1.0, "kind": "rpc", "url": url}
    answer = http.put("/clients/test/variations", json={"variations": [variation]})
    assert answer.status_code == 200, answer.text


def test_the_answer_is_that_of_rest(ask, rpc):
    status, answer = ask()
    score = 1 / (1 + 2.1 + 2.05 + 1.95 + 2.01)
    assert status == 200
    puid = answer["meta"]["puid"]
    assert answer == {
        "meta": {"puid": puid, "modelName": "model_sum", "variation": "inne"},
        "predictions": [
            {"prediction": score, "predictedClass": "Anomaly_score", "confidence": score},
            {"prediction": 1 - score, "predictedClass": "Complementary_score", "confidence": 1 - score},
        ],
        "custom": None,
    }
    (asked,) = rpc.asked
    assert asked.meta.puid == puid
    assert list(asked.data.names) == ["f1", "f2", "f3", "f4"]
    assert list(asked.data.tensor.shape) == [1, 4]
    assert list(asked.data.tensor.values) == [2.1, 2.05, 1.95, 2.01]


def test_several_rows(ask, rpc):
    status, answer = ask('{"data": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}')
    assert status == 200
    assert list(rpc.asked[0].data.tensor.values) == [1, 2, 3, 4]
    assert [row[0]["prediction"] for row in answer["rows"]] == [1 / 4, 1 / 8]


def test_what_no_tensor_holds_goes_as_an_ndarray(ask, rpc):
    status, answer = ask('{"data": [{"Time": "2026-01-01", "v": 1.5}, {"Time": "2026-01-02", "v": null}]}')
    assert status == 200, answer
    first, second = (row.list_value.values for row in rpc.asked[0].data.ndarray.values)
    assert (first[0].string_value, first[1].number_value) == ("2026-01-01", 1.5)
    assert second[1].WhichOneof("kind") == "null_value"
    assert [row[0]["prediction"] for row in answer["rows"]] == [1 / 2.5, 1.0]


def aborting(code, details, trailer=()):
    return lambda message, context: context.abort_with_status(Status(code, details, trailer))


class Status(grpc.Status):
    def __init__(self, code, details, trailing_metadata):
        self.code, self.details, self.trailing_metadata = code, details, trailing_metadata


@pytest.mark.parametrize(
    ("code", "details", "trailer", "status", "said"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "unknown feature 'f9'", (), 400, "unknown feature 'f9'"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)", (), 400, "larger than max"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls", (), 503, "variation 'inne' answered with status 429"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "6 rows", (("inlier-status", "413"),), 400, "6 rows"),
        (grpc.StatusCode.UNAVAILABLE, "not now", (("inlier-status", "503"),), 503, "status 503: not now"),
        (grpc.StatusCode.UNAVAILABLE, "somebody says", (), 503, "variation 'inne' cannot be reached at grpc://"),
        (grpc.StatusCode.UNIMPLEMENTED, "no such method", (), 502, "answered with UNIMPLEMENTED: no such method"),
        (grpc.StatusCode.INTERNAL, "broken\nbadly", (), 502, "answered with INTERNAL: broken badly"),
        (grpc.StatusCode.INTERNAL, "broken", (("inlier-status", "500"),), 502, "status 500: broken"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", (), 504, "did not answer within 300 ms"),
    ],
)
def test_what_each_failure_means(ask, rpc, code, details, trailer, status, said):
    rpc.reply = aborting(code, details, trailer)
    answered, answer = ask()
    assert answered == status
    assert said in answer["error"]["message"]


@pytest.mark.parametrize(
    "reply",
    [
        pb.SeldonMessage(),
        pb.SeldonMessage(strData="x"),
        pb.SeldonMessage(data=pb.DefaultData(names=["a"])),
        seldon_proto.encode("tensor", [[math.nan]], ["a"], {}),
        seldon_proto.encode("tensor", [[math.inf]], ["a"], {}),
        seldon_proto.encode("tensor", [[0.5]], ["a"], {"tags": {"model_name": 1.0}}),
    ],
)
def test_an_answer_that_is_no_prediction(ask, rpc, reply):
    rpc.reply = lambda message, context: reply
    status, answer = ask()
    assert status == 502
    assert "variation 'inne' answered with no prediction" in answer["error"]["message"]


def test_a_slow_one_is_a_504(ask, rpc):
    def slow(message, context):
        time.sleep(0.5)
        return message

    rpc.reply = slow
    assert ask()[0] == 504


def test_what_does_not_speak_grpc_is_a_503(http, ask, microservice):
    put(http, microservice.url.replace("http", "grpc").removesuffix("/predict"))
    assert ask()[0] == 503


def test_what_takes_no_connection_is_found_out_in_time(http, ask):
    with socket.socket() as silent:  # connections wait in its backlog, and nobody says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        put(http, f"grpc://127.0.0.1:{silent.getsockname()[1]}")
        status, answer = ask()
    assert status in {503, 504}
    assert "variation 'inne'" in answer["error"]["message"]


def test_a_microservice_that_comes_back_is_reached_again():
    upstream = Upstream(GatewaySettings(connect_ms=300, read_ms=2000))
    first = FakeRpcMicroservice()
    route, rows = Route("inne", 1.0, "rpc", first.url, None), Rows(["a"], [[1.0]])
    assert upstream.predict(route, rows, "p")["data"]["tensor"]["values"] == [0.5, 0.5]
    first.close()
    with pytest.raises(UpstreamDown, match="cannot be reached"):
        upstream.predict(route, rows, "p")
    second = FakeRpcMicroservice(port=first.port)
    until = time.monotonic() + 10
    while True:
        try:
            assert upstream.predict(route, rows, "p")["data"]["names"] == ["Anomaly_score", "Complementary_score"]
            break
        except UpstreamDown:
            assert time.monotonic() < until
            time.sleep(0.02)
    upstream.close()
    second.close()


def test_calls_take_turns_on_several_connections(rpc):
    upstream = Upstream(GatewaySettings())
    peers = set()

    def reply(message, context):
        peers.add(context.peer())
        return sum_message(message)

    rpc.reply = reply
    for _ in range(8):
        upstream.predict(Route("a", 1.0, "rpc", rpc.url, None), Rows(["a"], [[1.0]]), "p")
    assert len(peers) == 4
    upstream.close()


def test_after_a_time_out_connections_are_new(rpc):
    upstream = Upstream(GatewaySettings(read_ms=200))
    route, rows = Route("a", 1.0, "rpc", rpc.url, None), Rows(["a"], [[1.0]])
    peers = []

    def reply(message, context):
        peers.append(context.peer())
        if len(peers) == 1:
            time.sleep(0.5)
        return sum_message(message)

    rpc.reply = reply
    with pytest.raises(UpstreamSlow):
        upstream.predict(route, rows, "p")
    for _ in range(4):
        upstream.predict(route, rows, "p")
    assert len(set(peers)) == 5
    upstream.close()


def test_more_microservices_than_channels(monkeypatch):
    monkeypatch.setattr("serving.proxy.kept.MOST", 2)
    upstream = Upstream(GatewaySettings())
    fakes = [FakeRpcMicroservice() for _ in range(4)]
    for fake in (*fakes, *fakes):
        upstream.predict(Route("a", 1.0, "rpc", fake.url, None), Rows(["a"], [[1.0]]), "p")
    assert [len(fake.asked) for fake in fakes] == [2] * 4
    upstream.close()
    for fake in fakes:
        fake.close()


def test_a_real_microservice_answers_both_ways_alike(inne_file, http, keys, ask):
    port = free_port()
    with ours(inne_file, "--grpc-port", str(port)) as server:
        put(http, f"grpc://127.0.0.1:{port}")
        status, over_rpc = ask()
        assert status == 200, over_rpc
        rest = {"label": "inne", "ratio": 1.0, "url": f"{server.url}/predict"}
        http.put("/clients/test/variations", json={"variations": [rest]})
        over_rest = ask()[1]
        assert over_rpc["predictions"] == over_rest["predictions"]
        assert over_rpc["meta"]["modelName"] == over_rest["meta"]["modelName"]
        wrong = '{"data": {"f1": 1, "nope": 2}}'
        rest_status, rest_error = ask(wrong)
        put(http, f"grpc://127.0.0.1:{port}")
        assert ask(wrong) == (rest_status, rest_error)
        assert rest_status == 400
