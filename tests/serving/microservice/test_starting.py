"""What a server imports until it answers, and what it imports after all."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from serving.microservice import starting
from tests.serving.microservice.processes import ROOT, Server, ours
from training.artifacts import save_model
from training.synthetic import series
from training.train import train

ROW = [2.1, 2.05, 1.95, 2.01]
LIBRARIES = ("/pandas/", "/scipy/stats/", "/scipy/signal/", "/scipy/special/", "/pyarrow/")


def libraries_of(pid: int) -> set[str]:
    """Which of `LIBRARIES` a process has loaded shared objects of."""
    mapped = Path(f"/proc/{pid}/maps").read_text()
    assert "/sklearn/" in mapped
    return {library for library in LIBRARIES if library in mapped}


def python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("named", [True, False])
def test_a_detector_of_rows_is_served_without_what_it_does_not_need(inne_file: Path, named: bool) -> None:
    serve = [sys.executable, "-m", "serving.cli", "serve", "--port", "0", "--grpc-port", "0"]
    with Server([*serve, str(inne_file)], {}) if named else Server(serve, {"INLIER_MODEL": str(inne_file)}) as server:
        for data in (
            {"ndarray": [ROW]},
            {"ndarray": [ROW] * 100},
            {"names": ["f2", "f1", "f3", "f4"], "ndarray": [ROW]},
            {"tensor": {"shape": [1, 4], "values": ROW}},
        ):
            assert server.post("/predict", {"data": data})[0] == 200
        for row in ([2.1], ["x", 1, 2, 3], [None, 1, 2, 3], [1e400, 1, 2, 3]):
            assert server.post("/predict", json.dumps({"data": {"ndarray": [row]}}).encode())[0] == 400
        explained = server.post("/predict?explain=1", {"data": {"ndarray": [ROW]}})[1]
        assert b"feature_contributions" in explained
        assert server.get("/metrics")[0] == 200
        assert libraries_of(server.process.pid) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("detector", ["persist", "subpca"])
def test_so_is_one_of_series(tmp_path: Path, detector: str) -> None:
    file = save_model(train(detector, series(n_rows=400)[0], seed=0), tmp_path / "model.pkl")
    with ours(file) as server:
        rows = [["2024-05-01T12:00:00Z", 1.0], ["2024-05-01T12:01:00Z", None]]
        status, body = server.post("/predict", {"data": {"names": ["Time", "value"], "ndarray": rows}})
        assert status == 200, body
        assert libraries_of(server.process.pid) == set()


def test_who_imports_them_later_finds_them_whole(inne_file: Path) -> None:
    code = """
import sys
from serving.microservice import loading
user = loading.load(sys.argv[1], "[]")
assert not sys.modules.keys() & {"pandas", "scipy.stats", "scipy.special", "numpy.f2py"}
import pandas as pd
frame = pd.DataFrame([[2.1, 2.05, 1.95, 2.01]] * 20, columns=["f1", "f2", "f3", "f4"])
assert user.predict(frame.to_numpy()).shape == (20, 2)
from sklearn.ensemble import IsolationForest
from sklearn.utils import fixes
forest = IsolationForest(n_estimators=5).fit(frame)
assert list(forest.feature_names_in_) == list(frame.columns)
assert fixes.pd.DataFrame is pd.DataFrame
assert fixes._mode([1, 2, 2]).mode.tolist() == [2]
import scipy, scipy.stats, numpy
assert scipy.stats.norm.cdf(0) == 0.5
assert scipy.special.expit(0) == 0.5
assert numpy.f2py.__file__ and pd.__spec__ and scipy.stats.__spec__
print("whole")
"""
    assert python(code, str(inne_file)) == "whole\n"


def test_a_class_that_uses_them_is_served(inne_file: Path, tmp_path: Path) -> None:
    (tmp_path / "WithPandas.py").write_text("""
import pandas as pd
import scipy.stats
from serving.models import INNE

class WithPandas(INNE):
    def predict(self, X, names=None, meta=None):
        frame = pd.DataFrame(X, columns=self.feature_names())
        assert isinstance(frame, pd.DataFrame)
        return super().predict(frame.to_numpy()) + scipy.stats.norm.cdf(0)
""")
    parameters = json.dumps([{"name": "model_uri", "value": str(inne_file), "type": "STRING"}])
    with ours("WithPandas.WithPandas", "--parameters", parameters, PYTHONPATH=f"{ROOT}:{tmp_path}") as server:
        status, body = server.post("/predict", {"data": {"ndarray": [ROW]}})
        assert status == 200, body
        assert sum(json.loads(body)["data"]["ndarray"][0]) == pytest.approx(2.0)


def test_what_is_not_installed_stays_so() -> None:
    code = """
import sys
from serving.microservice import starting
starting.NOT_NEEDED = (*starting.NOT_NEEDED, "no_such_module")
starting.import_scikit_learn()
assert "no_such_module" not in sys.modules
starting.import_scikit_learn()
"""
    assert python(code) == ""


@pytest.fixture
def slow_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "imported_slowly.py").write_text("import time\ntime.sleep(0.2)\nfound = object()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "imported_slowly"
    sys.modules.pop("imported_slowly", None)


def test_threads_that_need_one_at_once_all_find_it_whole(slow_module: str) -> None:
    stand_in = starting._StandIn(slow_module)
    stand_in.place()
    barrier = Barrier(8)

    def look(_: int) -> object:
        barrier.wait()
        return stand_in.found

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(look, range(8)))
    assert found == {importlib.import_module(slow_module).found}
    assert sys.modules[slow_module] is not stand_in


def test_one_that_is_removed_still_answers(slow_module: str) -> None:
    stand_in = starting._StandIn(slow_module)
    stand_in.place()
    stand_in.remove()
    assert slow_module not in sys.modules
    with pytest.raises(AttributeError, match="nothing"):
        _ = stand_in.nothing
    assert stand_in.found is sys.modules[slow_module].found


def test_collections_go_on_after_a_block_that_imports() -> None:
    code = """
import gc
from serving.microservice.starting import uncollected
with uncollected():
    assert not gc.isenabled()
assert gc.isenabled() and gc.get_freeze_count() > 1000
"""
    assert python(code) == ""
