"""What Seldon Core's wrapper gets wrong, one by one; ours does not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from serving import models
from serving.settings import MicroserviceSettings
from tests.serving.microservice import classes
from tests.serving.microservice.asgi import Client
from tests.serving.microservice.processes import ours
from training.model import Model

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def client(inne: Model) -> Client:
    return Client(models.INNE.of(inne))


@pytest.mark.parametrize(
    ("path", "body", "method", "status"),
    [
        ("/predict", b"json={", "POST", 400),
        ("/predict", {"data": {"ndarray": [[1, 2, 3]]}}, "POST", 400),
        ("/predict", {"data": {"ndarray": [[1, 2, 3, 4], [1]]}}, "POST", 400),
        ("/nowhere", None, "GET", 404),
        ("/predict", None, "DELETE", 405),
    ],
)
def test_a_mistake_of_the_client_is_not_ours(client: Client, path: str, body: Any, method: str, status: int) -> None:
    headers = FORM if body == b"json={" else None
    assert client(path, body, method, headers=headers).status == status


@pytest.mark.parametrize("cell", ["NaN", "Infinity", "-Infinity", "null"])
def test_what_is_no_number_is_refused_or_answered_in_json(client: Client, cell: str) -> None:
    body = f'{{"data": {{"ndarray": [[1, 2, 3, {cell}]]}}}}'.encode()
    assert client("/predict", body).status == 400
    echoed = Client(classes.Plain())("/predict", body)
    assert echoed.status in (200, 400)
    assert echoed.json  # which refuses NaN and Infinity


def test_an_answer_that_is_not_finite_is_json() -> None:
    class Odd:
        def predict(self, X: Any, names: Any) -> Any:
            return np.array([[np.nan, np.inf]])

    assert Client(Odd())("/predict", {"data": {"ndarray": [[1]]}}).json["data"]["ndarray"] == [[None, None]]


def test_a_type_error_runs_the_model_once() -> None:
    class Fails:
        calls = 0

        def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
            Fails.calls += 1
            raise TypeError("no")

    assert Client(Fails())("/predict", {"data": {"ndarray": [[1]]}}).status == 500
    assert Fails.calls == 1


def test_bodies_and_waiting_have_limits() -> None:
    settings = MicroserviceSettings()
    assert settings.max_body_bytes <= 256 * 2**20
    assert settings.body_seconds <= 60
    assert settings.predict_seconds <= 60
    small = Client(classes.Plain(), max_body_bytes=100)
    assert small("/predict", b" " * 101).status == 413


def test_metrics_count_requests_and_their_latency(client: Client) -> None:
    client("/predict", {"data": {"ndarray": [[1, 2, 3, 4]]}})
    text = client("/metrics").body.decode()
    assert "inlier_requests_total{" in text
    assert "inlier_request_seconds_bucket{" in text


def test_one_model_is_one_process_that_ends_when_told(inne_file: Path) -> None:
    with ours(inne_file) as server:
        process = psutil.Process(server.process.pid)
        assert process.children(recursive=True) == []
        assert server.post("/predict", json.dumps({"data": {"ndarray": [[1, 2, 3, 4]]}}).encode())[0] == 200
        assert server.terminate(seconds=10) == 0
