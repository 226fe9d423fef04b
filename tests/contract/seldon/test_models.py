"""Our model classes under the genuine wrapper."""

import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from detectors.registry import DETECTORS
from serving.models import MODELS
from serving.protocols.wire import prediction_pb2
from tests.serving.microservice.processes import Server, free_port, genuine, ours
from training.artifacts import save_model
from training.defaults import demo_parameters
from training.model import Model
from training.synthetic import clusters, series
from training.train import train

pytestmark = pytest.mark.slow

FAR = 1e6


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    rows = clusters(seed=0)[0] if DETECTORS[request.param].kind == "multivariate" else series(n_rows=500, seed=0)[0]
    return train(request.param, rows, parameters=demo_parameters(request.param), seed=0)


@pytest.fixture(scope="module")
def model_file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(model, tmp_path_factory.mktemp("model") / "model.pkl")


@pytest.fixture(scope="module")
def rows(model: Model) -> list[list[float]]:
    """Some like those of training, and one far out."""
    middle = [float(np.mean(histogram.edges)) for histogram in model.histograms.values()]
    return [middle, [value * 1.01 for value in middle], [FAR] * len(middle)]


def test_the_class_runs_unchanged(
    each_wrapper_python: Path, model: Model, model_file: Path, rows: list[list[float]]
) -> None:
    parameters = [{"name": "model_uri", "value": str(model_file), "type": "STRING"}]
    target = f"serving.models.{MODELS[model.detector_name].__name__}"
    grpc_port = free_port()
    names = list(model.feature_names)
    request = {"data": {"names": names[::-1], "ndarray": [row[::-1] for row in rows]}, "meta": {"puid": "p"}}
    with (
        genuine(each_wrapper_python, target, parameters) as theirs,
        ours(model_file, "--grpc-port", str(grpc_port)) as mine,
    ):
        answer = compare_rest(theirs, mine, request)
        scores = np.array(answer["data"]["ndarray"])
        assert scores[-1, 0] > model.threshold
        tensors = [
            over_grpc(port, names, rows)
            for port in (int(theirs.environment["PREDICTIVE_UNIT_GRPC_SERVICE_PORT"]), grpc_port)
        ]
        assert tensors[0] == tensors[1]
        assert tensors[0] == scores.ravel().tolist()


def compare_rest(theirs: Server, mine: Server, request: dict[str, Any]) -> dict[str, Any]:
    """Send both the same; what they answered to the request."""
    for path in ("/predict", "/api/v1.0/predictions"):
        (status, body), expected = theirs.post(path, request), mine.post(path, request)
        assert status == expected[0] == 200, body
        assert json.loads(body) == json.loads(expected[1])
    for path, sent in (("/send-feedback", {"request": request}), ("/transform-input", request)):
        answers = [json.loads(server.post(path, sent)[1]) for server in (theirs, mine)]
        assert answers[0] == answers[1]
        assert "labels" not in answers[0]["meta"]["tags"]
    for path in ("/health/status", "/metadata"):
        assert json.loads(theirs.get(path)[1]) == json.loads(mine.get(path)[1])
    width = len(request["data"]["names"])
    for wrong in ([["x"] + [1] * (width - 1)], [[1] * (width + 1)]):
        answers = [server.post("/predict", {"data": {"ndarray": wrong}}) for server in (theirs, mine)]
        assert answers[0][0] == answers[1][0] == 400
    answer: dict[str, Any] = json.loads(body)
    return answer


def over_grpc(port: int, names: list[str], rows: list[list[float]]) -> list[float]:
    """The scores, row by row, as a tensor has them."""
    tensor = prediction_pb2.Tensor(shape=[len(rows), len(names)], values=np.ravel(rows).tolist())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(
            "/seldon.protos.Model/Predict",
            request_serializer=prediction_pb2.SeldonMessage.SerializeToString,
            response_deserializer=prediction_pb2.SeldonMessage.FromString,
        )
        message = prediction_pb2.SeldonMessage(data=prediction_pb2.DefaultData(names=names, tensor=tensor))
        answer = call(message, timeout=30, wait_for_ready=True)
    assert list(answer.data.names) == ["Anomaly_score", "Complementary_score"]
    return list(answer.data.tensor.values)


def test_what_is_missing_is_refused_by_a_detector_of_rows(each_wrapper_python: Path, tmp_path: Path) -> None:
    model = train("inne", clusters(seed=0)[0], parameters={"n_estimators": 100, "max_samples": 32}, seed=0)
    path = save_model(model, tmp_path / "model.pkl")
    parameters = [{"name": "model_uri", "value": str(path), "type": "STRING"}]
    with genuine(each_wrapper_python, "serving.models.INNE", parameters) as theirs, ours(path) as mine:
        for server in (theirs, mine):
            assert server.post("/predict", {"data": {"ndarray": [[1, 2, 3, None]]}})[0] == 400
