"""Our model classes under the genuine wrapper."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.serving.microservice.processes import genuine, ours
from training.artifacts import save_model
from training.synthetic import clusters
from training.train import train

pytestmark = pytest.mark.slow

ROWS = [[2.01, 1.95, 2.05, 2.1], [0, 0, 0, 0]]
REQUEST = {"data": {"names": ["f4", "f3", "f2", "f1"], "ndarray": ROWS}, "meta": {"puid": "p"}}


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = train("inne", clusters(seed=0)[0], parameters={"n_estimators": 100, "max_samples": 32}, seed=0)
    return save_model(model, tmp_path_factory.mktemp("model") / "model.pkl")


def test_the_class_runs_unchanged(wrapper_python: Path, model_file: Path) -> None:
    parameters = [{"name": "model_uri", "value": str(model_file), "type": "STRING"}]
    with genuine(wrapper_python, "serving.models.INNE", parameters) as theirs, ours(model_file) as mine:
        for path in ("/predict", "/api/v1.0/predictions"):
            (status, body), expected = theirs.post(path, REQUEST), mine.post(path, REQUEST)
            assert status == expected[0] == 200
            assert json.loads(body) == json.loads(expected[1])
        scores = np.array(json.loads(body)["data"]["ndarray"])
        assert scores[0, 0] < 0.45
        assert scores[1, 0] > 0.95
        for path in ("/health/status", "/metadata"):
            assert json.loads(theirs.get(path)[1]) == json.loads(mine.get(path)[1])
        for wrong in ([["x", 1, 2, 3]], [[1, 2, 3]], [[1, 2, 3, None]]):
            answers = [server.post("/predict", {"data": {"ndarray": wrong}}) for server in (theirs, mine)]
            assert answers[0][0] == answers[1][0] == 400
