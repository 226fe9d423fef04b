import logging
import threading
import time
from typing import Any

import numpy as np
import pytest

from serving import models
from tests.serving.microservice import classes
from tests.serving.microservice.asgi import Client
from training.model import Model

ROWS = {"data": {"ndarray": [[1, 2], [3, 4]], "names": ["p", "q"]}}


def test_a_plain_class() -> None:
    answer = Client(classes.Plain())("/predict", ROWS)
    assert answer.json["data"] == {"names": ["t:0", "t:1"], "ndarray": [[1, 2], [3, 4]]}


def test_everything_a_class_can_have() -> None:
    user = classes.Full(offset=1)
    client = Client(user, unit_id="node")
    predicted = client("/predict", ROWS).json
    assert predicted["data"] == {"names": ["a", "b"], "ndarray": [[2.0, 3.0], [4.0, 5.0]]}
    assert predicted["meta"]["tags"]["parameters"]["offset"] == 1
    assert [metric["key"] for metric in predicted["meta"]["metrics"]] == ["calls", "offset", "took"]
    assert client("/transform-input", ROWS).json["data"] == {"names": ["a", "b"], "ndarray": [[2, 4], [6, 8]]}
    assert client("/transform-output", ROWS).json["data"] == {"names": ["a", "b"], "ndarray": [[2, 3], [4, 5]]}
    assert client("/route", {"data": {"ndarray": [[1]]}}).json["data"]["ndarray"] == [[1]]
    both = {"seldonMessages": [ROWS, {"data": {"ndarray": [[3, 4], [5, 6]]}, "meta": {"tags": {"t": 1}}}]}
    combined = client("/aggregate", both).json
    assert combined["data"] == {"names": ["a", "b"], "ndarray": [[2.0, 3.0], [4.0, 5.0]]}
    assert combined["meta"]["tags"]["t"] == 1
    assert client("/aggregate", both["seldonMessages"]).json["data"] == combined["data"]
    feedback = {
        "request": ROWS,
        "response": {"meta": {"routing": {"node": 1}}},
        "reward": 0.5,
        "truth": {"data": {"ndarray": [[1], [0]]}},
    }
    assert client("/send-feedback", feedback).json["data"]["ndarray"] == [[1]]
    assert user.rewards == [([[1, 2], [3, 4]], ["p", "q"], 0.5, [[1], [0]], 1)]
    assert client("/api/v1.0/feedback", {"reward": 1}).status == 200
    assert client("/health/status").json["strData"] == "well"


def test_what_a_class_lacks() -> None:
    client = Client(classes.NoPredict())
    assert client("/predict", ROWS).json["data"] == {"names": [], "ndarray": []}
    assert client("/transform-output", ROWS).json["data"]["ndarray"] == [[1, 2], [3, 4]]
    assert client("/send-feedback", {"request": ROWS, "reward": 1}).status == 200
    assert client("/health/status").json["strData"] == "healthy"
    for path, body in (("/route", ROWS), ("/aggregate", [ROWS])):
        answer = client(path, body)
        assert answer.status == 400
        assert "not defined" in answer.info


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/aggregate", {}),
        ("/aggregate", []),
        ("/aggregate", [1]),
        ("/route", {"data": {"ndarray": []}}),
        ("/send-feedback", []),
        ("/send-feedback", {"prize": 1}),
        ("/send-feedback", {"reward": "x"}),
        ("/send-feedback", {"request": {"data": 1}}),
        ("/send-feedback", {"response": {"meta": {"routing": 1}}}),
    ],
)
def test_wrong_messages(path: str, body: Any) -> None:
    answer = Client(classes.NoPredict())(path, body)
    assert answer.status == 400
    assert answer.info


def test_payloads_of_every_kind_reach_the_class() -> None:
    client = Client(classes.Echo())
    assert client("/predict", {"strData": "x"}).json["jsonData"]["text"] == "x"
    assert client("/predict", {"binData": "AAE="}).json["jsonData"]["text"] == "b'\\x00\\x01'"
    assert client("/predict", {"jsonData": [1]}).json["jsonData"]["type"] == "list"
    mixed = client("/predict", {"data": {"ndarray": [[1, "a"]]}, "meta": {"tags": {"k": 2}}}).json["jsonData"]
    assert mixed["text"] == "[['1' 'a']]"
    assert mixed["meta"] == {"tags": {"k": 2}}
    tensor = {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "2"}]}, "floatVal": [1.5]}
    assert client("/predict", {"data": {"tftensor": tensor}}).json["jsonData"]["text"] == "[1.5 1.5]"


@pytest.mark.parametrize("payload", [5, 0.5, None, True, [[1, [2]]], {"a": 1}])
@pytest.mark.parametrize("path", ["/transform-input", "/transform-output"])
def test_json_that_is_passed_on_goes_back_as_json(inne: Model, path: str, payload: Any) -> None:
    for user in (models.INNE.of(inne), classes.Plain()):
        answer = Client(user)(path, {"jsonData": payload})
        assert answer.status == 200, answer.info
        assert answer.json["jsonData"] == payload


def test_json_that_another_field_holds_goes_back_in_that_as_from_the_wrapper() -> None:
    client = Client(classes.Plain())
    assert client("/transform-input", {"jsonData": "x"}).json["strData"] == "x"
    rows = client("/transform-input", {"jsonData": [[1, 2]]}).json["data"]
    assert rows == {"names": ["t:0", "t:1"], "tensor": {"shape": [1, 2], "values": [1, 2]}}
    assert client("/predict", {"jsonData": [{"a": 1}]}).json["data"] == {"names": [], "ndarray": [{"a": 1}]}
    assert Client(classes.Faulty())("/predict", {"jsonData": "object"}).status == 500


def test_class_names_as_an_attribute() -> None:
    assert Client(classes.ClassNamesAttribute())("/predict", ROWS).json["data"]["names"] == ["only"]


def test_raw_messages() -> None:
    client = Client(classes.Raw())
    assert client("/predict", {"strData": "x"}).json["jsonData"] == {"strData": "x"}
    answer = client("/predict", {"strData": "fail"})
    assert answer.status == 418
    assert "meta" in client("/predict", {"strData": "x"}).json
    without = Client(classes.Raw(), metrics_in_response=False)
    assert "metrics" not in without("/predict", {"strData": "x"}).json["meta"]


def test_passthrough_of_bytes() -> None:
    class Bytes:
        def predict_raw(self, message: bytes) -> bytes:
            return message[::-1]

    assert Client(Bytes(), passthrough=True)("/predict", b"abc").body == b"cba"


def test_a_type_error_runs_the_model_once() -> None:
    user = classes.Faulty()
    answer = Client(user)("/predict", {"strData": "type"})
    assert answer.status == 500
    assert answer.info == "call 1"
    assert user.calls == 1


def test_what_is_not_finite_becomes_null() -> None:
    assert Client(classes.Faulty())("/predict", {"strData": "nan"}).json["data"]["tensor"]["values"] == [None, None]


def test_faults_of_the_class_are_500(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(classes.Faulty())
    assert client("/predict", {"strData": "value"}).info == "wrong value"
    assert "ValueError: wrong value" in caplog.text
    answer = client("/predict", {"strData": "object"})
    assert answer.status == 500
    assert "not object" in answer.info
    answer = Client(classes.BadMetrics())("/predict", ROWS)
    assert answer.status == 500
    assert answer.json["status"]["reason"] == "MICROSERVICE_BAD_METRIC"
    assert Client(classes.Full())("/route", {"data": {"ndarray": [["x"]]}}).status == 500


def test_an_error_handler_of_flask_is_left_out_loudly(caplog: pytest.LogCaptureFixture) -> None:
    class Handler(classes.Plain):
        model_error_handler = object()

    with caplog.at_level(logging.WARNING):
        Client(Handler())
    assert "model_error_handler" in caplog.text


class TestThreads:
    def test_a_class_stays_in_its_thread(self) -> None:
        class Where:
            def predict(self, X: Any, names: Any) -> str:
                return threading.current_thread().name

        assert Client(Where())("/predict", ROWS).json["strData"] == threading.current_thread().name
        assert Client(Where(), predict_threads=2)("/predict", ROWS).json["strData"].startswith("predict")

    def test_too_many_wait(self) -> None:
        client = Client(classes.Slow(), predict_threads=2, max_waiting=2)
        client.app.long_calls._waiting = 2
        answer = client("/predict", {"strData": "0"})
        assert answer.status == 429
        assert answer.headers["retry-after"] == "1"

    def test_too_long_a_prediction(self) -> None:
        client = Client(classes.Slow(), predict_threads=2, predict_seconds=0.05)
        began = time.monotonic()
        answer = client("/predict", {"strData": "0.3"})
        assert answer.status == 503
        assert "0.05 s" in answer.info
        assert time.monotonic() - began < 10


def test_a_model_that_is_replaced() -> None:
    client = Client(classes.Full(offset=0))
    client.service.replace(classes.Full(offset=10))
    assert client("/predict", {"data": {"ndarray": [[1.0]]}}).json["data"]["ndarray"] == [[11.0]]
    assert np.isfinite(client.service.started)


@pytest.mark.parametrize("rows", [[[1, 2.5]] * 2000, [[1, 2]] * 2000, [[True, 0.5]] * 2000, [["a", 1.5]] * 2000])
def test_many_rows_reach_a_class_as_few_do(rows: list[list[Any]]) -> None:
    class Kind:
        def predict(self, X: Any, names: Any) -> str:
            return f"{X.dtype} {X.shape[1]} {X[0].tolist()}"

    client = Client(Kind())
    many, few = (client("/predict", {"data": {"ndarray": some}}).json["strData"] for some in (rows, rows[:2]))
    assert many == few


def test_one_short_row_among_many_is_named() -> None:
    answer = Client(classes.Plain())("/predict", {"data": {"ndarray": [[0.5, 0.5]] * 2000 + [[0.5]]}})
    assert (answer.status, answer.info) == (400, "row 2001 has 1 values, row 1 has 2")
