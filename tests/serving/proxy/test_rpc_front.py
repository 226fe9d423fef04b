"""The gateway's own gRPC port."""

import math
import os
import subprocess
import sys
import threading
import time

import grpc
import pytest

from serving.deploy.addresses import free_port
from serving.errors import RequestError, SettingsError
from serving.protocols import seldon_proto
from serving.protocols.wire import prediction_pb2 as pb
from serving.proxy.app import PREDICTOR
from serving.proxy.rpc_front import RpcFront
from serving.proxy.rpc_payload import read_request
from tests.serving.proxy.test_gateway import token
from tests.serving.proxy.test_metrics import sample


def call_on(channel):
    return channel.unary_unary(
        "/seldon.protos.Seldon/Predict",
        request_serializer=pb.SeldonMessage.SerializeToString,
        response_deserializer=pb.SeldonMessage.FromString,
    )


@pytest.fixture
def ask(app, http, keys, served):
    """Ask over gRPC with a good token; the client's only variation is the fake microservice."""
    given = token(http, keys["all"]).json["access_token"]
    front = RpcFront(app.extensions[PREDICTOR], threads=2, max_bytes=50_000)
    with grpc.insecure_channel(f"127.0.0.1:{front.start('127.0.0.1', 0)}") as channel:
        call = call_on(channel)
        yield lambda message, *more: call(message, timeout=30, metadata=(("oauth_token", given), *more))
    front.stop(0)


def message(*rows, names=("a", "b"), kind="tensor"):
    return seldon_proto.encode(kind, [list(row) for row in rows], names, {})


@pytest.mark.parametrize("kind", ["tensor", "ndarray"])
def test_a_row(ask, microservice, kind):
    reply = ask(message((1.0, 2.0), kind=kind))
    assert seldon_proto.parse(reply).payload.tolist() == [[0.25, 0.75]]
    assert reply.data.WhichOneof("data_oneof") == kind
    assert list(reply.data.names) == ["Anomaly_score", "Complementary_score"]
    assert reply.meta.puid == microservice.asked[0]["meta"]["puid"]
    assert reply.meta.tags["variation"].string_value == "inne"
    assert reply.meta.tags["model_name"].string_value == "model_sum"


def test_rows(ask, microservice):
    reply = ask(message((1.0, 2.0), (3.0, 4.0)))
    assert seldon_proto.parse(reply).payload.tolist() == [[0.25, 0.75], [0.125, 0.875]]
    assert microservice.asked[0]["data"] == {"names": ["a", "b"], "ndarray": [[1, 2], [3, 4]]}


def test_the_json_of_rest(ask):
    request = seldon_proto.encode("jsonData", {"data": {"a": 1, "b": 2}}, [], {})
    assert seldon_proto.parse(ask(request)).payload.tolist() == [[0.25, 0.75]]


def each_way(a, b):
    row = seldon_proto.encode("jsonData", {"data": {"a": a, "b": b}}, [], {})
    return [message((a, b), kind="tensor"), message((a, b), kind="ndarray"), row]


def test_nan_is_a_missing_value(ask, microservice):
    microservice.reply = lambda asked: (200, {"data": {"names": ["A"], "ndarray": [[0.5]]}})
    for request in each_way(1.0, math.nan):
        ask(request)
        asked = microservice.asked.pop()["data"]
        assert dict(zip(asked["names"], asked["ndarray"][0], strict=True)) == {"a": 1.0, "b": None}


@pytest.mark.parametrize("infinite", [math.inf, -math.inf])
def test_an_infinite_value_is_refused(ask, microservice, infinite):
    for request in each_way(1.0, infinite):
        code, said, _ = failed(ask, request)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert said == "row 1, feature 'b': it should be a number, not an infinite value"
    assert microservice.asked == []


def test_who_asks_and_how_it_ends_is_counted(ask, http):
    ask(message((1.0, 2.0)))
    labels = {"client": "test", "variation": "inne", "status": "200"}
    assert sample(http.get("/metrics").text, "inlier_gateway_requests_total", **labels) == 1


def failed(call, *arguments):
    with pytest.raises(grpc.RpcError) as raised:
        call(*arguments)
    error = raised.value
    return error.code(), error.details(), dict(error.trailing_metadata() or ()).get("inlier-status")


@pytest.mark.parametrize(
    ("reply", "code", "status", "said"),
    [
        ((400, {"status": {"info": "unknown feature 'f9'"}}), grpc.StatusCode.INVALID_ARGUMENT, "400", "feature 'f9'"),
        ((500, b""), grpc.StatusCode.INTERNAL, "502", "variation 'inne'"),
        ((503, b""), grpc.StatusCode.UNAVAILABLE, "503", "variation 'inne'"),
    ],
)
def test_errors_keep_their_words(ask, microservice, reply, code, status, said):
    microservice.reply = lambda asked: reply
    found = failed(ask, message((1.0, 2.0)))
    assert (found[0], found[2]) == (code, status)
    assert said in found[1]


def test_what_cannot_be_used(ask, microservice):
    code, said, _ = failed(ask, message((1.0, 2.0, 3.0)))
    assert (code, said) == (grpc.StatusCode.INVALID_ARGUMENT, "row 1 of data has 3 values for the 2 data.names")
    assert failed(ask, pb.SeldonMessage(), ("x-inlier-sticky", "x" * 257))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert failed(ask, message(*[(1.0, 2.0)] * 101))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failed(ask, message(*[(1.0, 2.0)] * 9000))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert microservice.asked == []


def test_tokens(app, http, keys, served):
    front = RpcFront(app.extensions[PREDICTOR], threads=1, max_bytes=50_000)
    with grpc.insecure_channel(f"127.0.0.1:{front.start('127.0.0.1', 0)}") as channel:
        call = call_on(channel)
        for metadata in ((), (("oauth_token", "wrong"),), (("oauth_token", ""),)):
            code, said, status = failed(lambda metadata=metadata: call(message((1.0, 2.0)), metadata=metadata))
            assert (code, status) == (grpc.StatusCode.UNAUTHENTICATED, "401")
            assert "oauth_token" in said
    front.stop(0)


def test_more_calls_than_may_wait_are_refused(app, http, keys, served, microservice, monkeypatch):
    monkeypatch.setattr("serving.proxy.rpc_front.WAITING", 0)
    given = token(http, keys["all"]).json["access_token"]
    arrived, go = threading.Event(), threading.Event()

    def reply(asked):
        arrived.set()
        go.wait(10)
        return 200, {"data": {"names": ["A"], "ndarray": [[0.5]]}}

    microservice.reply = reply
    front = RpcFront(app.extensions[PREDICTOR], threads=1, max_bytes=50_000)
    with grpc.insecure_channel(f"127.0.0.1:{front.start('127.0.0.1', 0)}") as channel:
        under_way = call_on(channel).future(message((1.0, 2.0)), timeout=30, metadata=(("oauth_token", given),))
        assert arrived.wait(10)
        with pytest.raises(grpc.RpcError) as refused:
            call_on(channel)(message((1.0, 2.0)), timeout=30, metadata=(("oauth_token", given),))
        go.set()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        under_way.exception()
    front.stop(0)


def test_an_unexpected_error_is_kept_to_the_log(ask, monkeypatch, caplog):
    def broken(*arguments):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("serving.proxy.choice.draw", broken)
    code, said, _ = failed(ask, message((1.0, 2.0)))
    assert (code, said) == (grpc.StatusCode.INTERNAL, "the proxy failed; its log says why")
    assert "secret detail" in caplog.text


def tensor(shape, values, names=("a", "b")):
    return pb.SeldonMessage(data=pb.DefaultData(names=names, tensor=pb.Tensor(shape=shape, values=values)))


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (pb.SeldonMessage(), "should hold data"),
        (pb.SeldonMessage(strData="x"), "should hold data"),
        (pb.SeldonMessage(data=pb.DefaultData(names=["a"])), "neither tensor nor ndarray"),
        (tensor([2], [1, 2]), "2 values do not fill rows and columns of shape \\[2\\]"),
        (tensor([2, 2], [1, 2]), "do not fill"),
        (tensor([-1, -2], [1, 2]), "do not fill"),
        (tensor([2**31 - 1, 0], [], names=[]), "do not fill"),
        (tensor([1, 2], [1, 2], names=["a", "a"]), "names a feature twice"),
        (tensor([1, 2], [1, 2], names=[]), "2 values for the 0 data.names"),
    ],
)
def test_wrong_messages_are_named(request_, said):
    with pytest.raises(RequestError, match=said):
        read_request(request_)


def test_a_port_that_is_taken(app):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        front = RpcFront(app.extensions[PREDICTOR], threads=1, max_bytes=50_000)
        with pytest.raises(SettingsError, match="INLIER_PROXY_GRPC_PORT: cannot listen on "):
            front.start("127.0.0.1", other.getsockname()[1])
        front.stop(0)


def test_every_process_of_the_proxy_answers(tmp_path, migrated):
    (tmp_path / "inlier.db").write_bytes(migrated.read_bytes())
    port, grpc_port = free_port(), free_port()
    environment = os.environ | {"INLIER_HOME": str(tmp_path), "INLIER_PROXY_GRPC_PORT": str(grpc_port)}
    command = [sys.executable, "-m", "serving.proxy", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        codes = []
        while len(codes) < 20:
            with grpc.insecure_channel(f"127.0.0.1:{grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]) as ch:
                code = failed(lambda ch=ch: call_on(ch)(message((1.0, 2.0)), timeout=10))[0]
            assert time.monotonic() < until, (tmp_path / "log").read_text()
            if code is not grpc.StatusCode.UNAVAILABLE:
                codes.append(code)
        assert set(codes) == {grpc.StatusCode.UNAUTHENTICATED}
        process.terminate()
        assert process.wait(30) == 0
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
