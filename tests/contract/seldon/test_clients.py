"""Clients that other people wrote, unmodified, against our microservice."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from tests.serving.microservice.processes import Server, free_port, ours
from training.artifacts import save_model
from training.model import Model
from training.synthetic import clusters
from training.train import train

HERE = Path(__file__).parent
ROWS = [[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0]]


@pytest.fixture(scope="module")
def model() -> Model:
    return train("inne", clusters(seed=0)[0], parameters={"n_estimators": 100, "max_samples": 32}, seed=0)


@pytest.fixture(scope="module")
def served(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    path = save_model(model, tmp_path_factory.mktemp("model") / "model.pkl")
    port = str(free_port())
    with ours(path, "--grpc-port", port) as server:
        yield server, port


@pytest.fixture(scope="module")
def scores(model: Model) -> list[float]:
    return model.detector.anomaly_score(np.array(ROWS)).tolist()


def run(python: str | Path, script: str, served: tuple[Server, str]) -> str:
    command = [str(python), str(HERE / script), str(served[0].port), served[1]]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.slow
def test_seldons_client_and_tester(wrapper_python: Path, served: tuple[Server, str], scores: list[float]) -> None:
    first, *rest = run(wrapper_python, "client.py", served).splitlines()
    expected = np.column_stack([scores, 1 - np.array(scores)]).ravel().tolist()
    for how, answer in json.loads(first).items():
        assert answer == {
            "success": True,
            "values": expected,
            "names": ["Anomaly_score", "Complementary_score"],
            "feedback": True,
        }, how
    text = "\n".join(rest)
    assert text.count("RECEIVED RESPONSE") == 3
    assert text.count("Anomaly_score") >= 3


@pytest.mark.slow
def test_tritons_clients(served: tuple[Server, str], scores: list[float]) -> None:
    found = json.loads(run(sys.executable, "triton.py", served))
    assert found == {"http json": scores, "http binary": scores, "grpc": scores}


def test_requests_and_curl(served: tuple[Server, str], scores: list[float]) -> None:
    url = f"{served[0].url}/api/v1.0/predictions"
    body = {"data": {"ndarray": ROWS}}
    with requests.Session() as session:
        for _ in range(3):
            assert [row[0] for row in session.post(url, json=body, timeout=30).json()["data"]["ndarray"]] == scores
        form = session.post(url, data={"json": json.dumps(body)}, timeout=30).json()
        assert [row[0] for row in form["data"]["ndarray"]] == scores
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    for options in (["-d", json.dumps(body)], ["-F", f"data={json.dumps(body['data'])}"]):
        found = subprocess.run(["curl", "-sf", url, *options], capture_output=True, text=True, check=True)
        assert [row[0] for row in json.loads(found.stdout)["data"]["ndarray"]] == scores
