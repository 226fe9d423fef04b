"""The oldest versions that setup.py allows: files made by one open under the other, and the tests pass there too."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
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
save_model(train("inne", clusters(seed=3)[0], parameters={"n_estimators": 8, "scaling": "none"}, seed=3), sys.argv[1])
"""


Run = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the interpreter of the oldest environment on this checkout and return what it prints."""
    python = environment("oldest", ROOT / "requirements" / "oldest.txt")
    metadata = tmp_path_factory.mktemp("metadata")  # the project's version; that environment has not got it installed
    egg_info = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", metadata]
    subprocess.run(egg_info, cwd=ROOT, check=True)
    # Its compiled kernels are another numba's.
    cache = python.parent.parent / "kernels"
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{metadata}", "NUMBA_CACHE_DIR": str(cache)}

    def under_the_oldest(*arguments: object) -> str:
        found = subprocess.run([python, *map(str, arguments)], env=environ, cwd=ROOT, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    return under_the_oldest


def test_a_file_of_this_numpy_opens_under_the_oldest(run: Run, model: Model, tmp_path: Path) -> None:
    path = save_model(model, tmp_path / "model.pkl")
    version, scores = json.loads(run("-c", SCORE, path, json.dumps(ROWS)))
    assert version.startswith("1.26.")
    assert not np.__version__.startswith("1.")
    assert scores == model.detector.anomaly_score(np.array(ROWS)).tolist()


def test_a_file_of_the_oldest_numpy_opens_here(run: Run, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    run("-c", TRAIN, path)
    read = load_model(path)
    assert read.versions["numpy"].startswith("1.26.")
    assert read.detector.anomaly_score(np.array(ROWS)).tolist() == model.detector.anomaly_score(np.array(ROWS)).tolist()


@pytest.mark.parametrize("tests", ["tests/training", "tests/detectors", "tests/serving/test_cli_score.py"])
def test_the_tests_pass_under_the_oldest(run: Run, tests: str) -> None:
    run("-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", tests)
