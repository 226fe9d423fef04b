"""The four example programs that the API was first documented with, word for word, against a new home.

They are kept as text, as they were published; only the address is the one of the test's own service.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from serving.client import Client
from tests.serving.running_system import System

PROGRAMS = Path(__file__).with_name("programs")
ADDRESS = "http://localhost:8000/"
ACCEPTED = {"_id", "task", "status", "task_id"}
FIELDS = {
    "train_dbscan": {"predictions_label_file", "model_path", "predictions_charts_file"},
    "valid": {"metrics", "predictions_label_file", "predictions_charts_file"},
    "infer_multivariate": {"predictions_label_file"},
    "infer_univariate_quantile": {"predictions_label_file"},
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("programs"))
    system.start()
    system.wait_for_examples()
    yield system
    system.close()


def run(name: str, system: System, folder: Path) -> list[str]:
    """What a program prints, run as it stands but for the port."""
    text = (PROGRAMS / f"{name}.py.txt").read_text()
    assert text.count(ADDRESS) == 1
    program = folder / f"{name}.py"
    program.write_text(text.replace(ADDRESS, f"http://localhost:{system.port}/"))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", FIELDS)
def test_a_program_runs_as_it_stands(name: str, system: System, tmp_path: Path) -> None:
    _, status, _, result = run(name, system, tmp_path)
    assert status == "Status Code: 200"
    accepted: dict[str, Any] = ast.literal_eval(result)
    assert accepted.keys() == ACCEPTED
    kind = accepted["task"]
    assert kind == name.partition("_")[0]
    with Client(system.server) as service:
        service.wait(accepted["_id"], timeout=60)
        answer = requests.get(
            f"{system.server}/anomaly_detection/{kind}/", params={"_id": accepted["_id"]}, timeout=10
        ).json()
        assert answer["status"] == "SUCCESS"
        assert {name: answer[name] for name in ("_id", "task", "task_id")} == {
            name: accepted[name] for name in ("_id", "task", "task_id")
        }
        assert answer.keys() >= FIELDS[name]
        paths = [value for field, value in answer.items() if field.endswith(("_file", "_path", "_image")) and value]
        assert len(paths) >= len(FIELDS[name] - {"metrics"})
        for path in paths:
            assert "/anomaly_detection/" in path
            assert service.read(path)
        if "metrics" in FIELDS[name]:
            assert answer["metrics"]["recall"] == 1.0


def test_the_programs_are_those_of_the_document() -> None:
    """They end in the request that they make: nothing was left out when they were copied."""
    for name in FIELDS:
        text = (PROGRAMS / f"{name}.py.txt").read_text()
        assert text.startswith("import json\nimport uuid\n\nimport requests\n")
        assert text.endswith('else:\n    print("Request failed.")\n')
        compile(text, name, "exec")
