"""The oldest versions that setup.py allows: files made by one open under the other, and the tests pass there too."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.environments import ROOT, environment
from training.artifacts import load_model, save_model
from training.model import Model

pytestmark = pytest.mark.slow

ROWS = [[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0], [4.0, 4.1, 3.9, 5.0]]

SCORE = """
import json, sys
import numpy as np
from training.artifacts import load_model
model = load_model(sys.argv[1])
print(json.dumps([np.__version__, model.detector.anomaly_score(np.array(json.loads(sys.argv[2]))).tolist()]))
"""

TRAIN = """
import sys
from training.artifacts import save_model
from training.synthetic import clusters
from training.train import train
save_model(train("inne", clusters(seed=3)[0], parameters={"n_estimators": 8}, seed=3), sys.argv[1])
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return environment("oldest", ROOT / "requirements" / "oldest.txt")


def run(python: Path, *arguments: object, **options: object) -> str:
    # Its compiled kernels are another numba's.
    cache = python.parent.parent / "kernels"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache)}
    found = subprocess.run([python, *map(str, arguments)], env=environ, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_a_file_of_this_numpy_opens_under_the_oldest(python: Path, model: Model, tmp_path: Path) -> None:
    path = save_model(model, tmp_path / "model.pkl")
    version, scores = json.loads(run(python, "-c", SCORE, path, json.dumps(ROWS)))
    assert version.startswith("1.26.")
    assert not np.__version__.startswith("1.")
    assert scores == model.detector.anomaly_score(np.array(ROWS)).tolist()


def test_a_file_of_the_oldest_numpy_opens_here(python: Path, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    run(python, "-c", TRAIN, path)
    read = load_model(path)
    assert read.versions["numpy"].startswith("1.26.")
    assert read.detector.anomaly_score(np.array(ROWS)).tolist() == model.detector.anomaly_score(np.array(ROWS)).tolist()


@pytest.mark.parametrize("tests", ["tests/training", "tests/detectors", "tests/serving/test_cli_score.py"])
def test_the_tests_pass_under_the_oldest(python: Path, tests: str) -> None:
    run(python, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", tests)
