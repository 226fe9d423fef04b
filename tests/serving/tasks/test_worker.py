"""Jobs in child processes: what they make, and what becomes of them when they cannot."""

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from serving.tasks import attempt, children, store
from serving.tasks.attempt import Attempt
from serving.tasks.child import error_code
from serving.tasks.children import Child
from serving.tasks.reaper import Reaper
from serving.tasks.store import Claim
from serving.tasks.worker import Worker
from tests.serving.tasks.conftest import Add, look
from training.artifacts import dump_model
from training.errors import DataError, FileMissing
from training.model import Model
from training.storage import FolderStorage

TRAIN = {"model_name": "inne", "train_feature_file": "p/f/rows", "parameters": {"n_estimators": 5}}
ROWS = "a,b\n" + "".join(f"{row % 7},{row % 5}\n" for row in range(100))
SERIES = "Time,v\n" + "".join(f"2024-01-{day:02},{day}\n" for day in range(1, 29))


def put(storage: FolderStorage, path: str, content: str | bytes) -> None:
    with storage.write(path, overwrite=True) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def keys(storage: FolderStorage) -> list[str]:
    return [entry.key for entry in storage.list("p/f/anomaly_detection")]


def assert_nothing_stays(storage: FolderStorage) -> None:
    assert keys(storage) == []
    assert list((storage.root / ".staging").iterdir()) == []


@pytest.mark.usefixtures("ready_children")
class TestWithChildren:
    @pytest.fixture(autouse=True)
    def files(self, storage: FolderStorage, inne: Model) -> None:
        put(storage, "p/f/rows.csv", ROWS)
        put(storage, "p/f/labels.csv", "anomaly\n" + "0\n" * 99 + "1\n")
        put(storage, "p/f/series.csv", SERIES)
        data, sidecar = dump_model(inne)
        put(storage, "p/f/m.pkl", data)
        put(storage, "p/f/m.pkl.json", sidecar)

    def test_train_then_validate_then_infer(self, worker: Worker, storage: FolderStorage, add: Add) -> None:
        first = add("train", **TRAIN, train_label_file="p/f/labels", save_charts=True)
        worker.run(first)
        trained = look(worker.database, first)
        assert trained.status == "SUCCESS", trained.error_message
        assert trained.result is not None
        model = trained.result["model_path"]
        assert model == f"p/f/anomaly_detection/{trained.stamp}_inne_model.pkl"
        files = {"valid_feature_file": "p/f/rows.csv", "valid_label_file": "p/f/labels.csv"}
        second = add("valid", model_path=model, **files)
        third = add("infer", model_path=model, detection_type="multivariate", features_file="p/f/rows")
        for task_id in (second, third):
            worker.run(task_id)
        validated, inferred = look(worker.database, second), look(worker.database, third)
        assert validated.result is not None
        assert inferred.result is not None
        assert validated.result["metrics"]["n_rows"] == 100
        ends = ["charts.html", "charts.png", "model.pkl", "model.pkl.json", "predictions.csv"]
        assert keys(storage) == [
            *(f"p/f/anomaly_detection/{trained.stamp}_inne_{end}" for end in ends),
            f"p/f/anomaly_detection/{validated.stamp}_inne_predictions.csv",
            f"p/f/anomaly_detection/{inferred.stamp}_inne_predictions.csv",
        ]

    def test_a_message_for_a_task_that_has_ended_is_nothing(
        self, worker: Worker, storage: FolderStorage, add: Add
    ) -> None:
        task_id = add()
        worker.run(task_id)
        done, made = look(worker.database, task_id), keys(storage)
        worker.run(task_id)
        worker.run("no such task")
        again = look(worker.database, task_id)
        assert (again.attempt, again.result, keys(storage)) == (1, done.result, made)

    @pytest.mark.parametrize(
        ("kind", "asked", "code", "said"),
        [
            ("train", TRAIN | {"train_feature_file": "p/f/none"}, "file_not_found", "'p/f/none': no such file"),
            ("train", TRAIN | {"train_label_file": "p/f/short"}, None, "2 labels"),
            ("train", TRAIN | {"train_feature_file": "p/f/text"}, None, "row 3, column 'b'"),
            ("train", TRAIN | {"train_feature_file": "p/f/header"}, None, "p/f/header.csv"),
            ("train", TRAIN | {"train_feature_file": "p/f/wide"}, None, "column"),
            ("infer", {"features_file": "p/f/rows", "detection_type": "univariate", "method_name": "iqr"}, None, "ime"),
            (
                "infer",
                {"features_file": "p/f/series", "detection_type": "multivariate", "model_path": "p/f/m.pkl"},
                "unknown_features",
                "f1",
            ),
            (
                "infer",
                {"features_file": "p/f/rows", "detection_type": "multivariate", "model_path": "p/f/bad.pkl"},
                None,
                "its sidecar says",
            ),
        ],
    )
    def test_what_cannot_be_done_fails_and_says_why(
        self,
        worker: Worker,
        storage: FolderStorage,
        add: Add,
        kind: str,
        asked: dict[str, Any],
        code: str | None,
        said: str,
    ) -> None:
        put(storage, "p/f/short.csv", "a\n0\n1\n")
        put(storage, "p/f/text.csv", "a,b\n1,2\n3,many\n")
        put(storage, "p/f/header.csv", "a,b\n")
        put(storage, "p/f/wide.csv", ",".join(f"c{n}" for n in range(11)) + "\n" + ",".join("1" * 11) + "\n")
        put(storage, "p/f/bad.pkl", b"x" * 10)
        put(storage, "p/f/bad.pkl.json", json.dumps({"format": "inlier-model/1", "size": 9, "sha256": "x"}))
        worker.settings.max_columns = 10
        task_id = add(kind, **asked)
        worker.run(task_id)
        task = look(worker.database, task_id)
        assert task.status == "FAILURE"
        assert said in (task.error_message or "")
        assert task.error_code not in ("internal_error", "crashed", "killed")
        assert code in (None, task.error_code)
        assert_nothing_stays(storage)

    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is limited on Linux only")
    def test_a_file_that_explodes_ends_its_task_and_not_the_worker(
        self, worker: Worker, storage: FolderStorage, add: Add
    ) -> None:
        pytest.importorskip("pyarrow")
        import pyarrow as pa
        import pyarrow.parquet as pq

        with storage.write("p/f/bomb.parquet") as file:
            column = pa.array(np.zeros(20_000_000))
            pq.write_table(pa.table({"a": column, "b": column}), file, compression="zstd")
        assert storage.size("p/f/bomb.parquet") < 1_000_000
        worker.settings.memory_bytes = 128 * 2**20
        worker.settings.max_rows = 10**9
        task_id = add("train", **(TRAIN | {"train_feature_file": "p/f/bomb"}))
        worker.run(task_id)
        task = look(worker.database, task_id)
        assert (task.status, task.error_code) == ("FAILURE", "out_of_memory"), task.error_message
        assert_nothing_stays(storage)
        after = add()
        worker.run(after)
        assert look(worker.database, after).status == "SUCCESS"

    def test_a_worker_that_stops_gives_back(self, worker: Worker, storage: FolderStorage, add: Add) -> None:
        worker.stopping.set()
        task_id = add("train", **TRAIN)
        worker.run(task_id)
        assert look(worker.database, task_id).status == "RETRY"
        assert_nothing_stays(storage)
        with worker.app.connection_for_read() as connection:
            message = connection.default_channel.basic_get(worker.settings.queue)
        assert message.properties["correlation_id"] == look(worker.database, task_id).celery_id

    def test_what_a_lost_attempt_left_is_removed(self, worker: Worker, storage: FolderStorage, add: Add) -> None:
        task_id = add()
        with worker.database.writing() as session:
            lost = store.claim(session, task_id, -1.0)
        assert lost is not None
        put(storage, f"p/f/anomaly_detection/{lost.stamp}_iqr_predictions.csv", "x")
        put(storage, f"p/f/anomaly_detection/{lost.stamp}0_iqr_predictions.csv", "another's")
        Reaper(worker.database, storage, worker.app, worker.settings).reap()
        worker.run(task_id)
        task = look(worker.database, task_id)
        assert (task.status, task.attempt) == ("SUCCESS", 2)
        assert keys(storage) == [
            f"p/f/anomaly_detection/{lost.stamp}0_iqr_predictions.csv",
            f"p/f/anomaly_detection/{task.stamp}_iqr_predictions.csv",
        ] or keys(storage) == [
            f"p/f/anomaly_detection/{task.stamp}_iqr_predictions.csv",
            f"p/f/anomaly_detection/{lost.stamp}0_iqr_predictions.csv",
        ]

    def test_a_child_ends_when_it_is_killed(self, worker: Worker, add: Add) -> None:
        child = Child(_order(worker, add()))
        assert child.listen(30.0) is not None
        os.kill(child._process.pid or 0, signal.SIGKILL)
        while (said := child.listen(30.0)) is not None and said[0] != "died":
            pass
        assert said == ("died", -signal.SIGKILL)
        child.publish()
        child.kill()


def _order(worker: Worker, task_id: str) -> Any:
    from serving.tasks.orders import Limits, Order

    task = look(worker.database, task_id)
    return Order(task.kind, task.parameters, 1, worker.storage_settings, worker.storage_url, Limits(1000, 10), 2**30)


class Script(Child):
    """A child that says what a test wants; before a line that is a function, that is called."""

    def __init__(self, *lines: tuple[Any, ...] | Callable[[], None]) -> None:
        self._lines = list(lines)
        self.published = self.killed = False

    def listen(self, seconds: float) -> tuple[Any, ...] | None:
        if not self._lines:
            threading.Event().wait(seconds)
            return None
        line = self._lines.pop(0)
        if callable(line):
            line()
            return None
        return line

    def publish(self) -> None:
        self.published = True

    def kill(self) -> None:
        self.killed = True


@pytest.fixture
def held(worker: Worker, add: Add) -> Claim:
    with worker.database.writing() as session:
        claim = store.claim(session, add(), worker.settings.lease_seconds)
    assert claim is not None
    return claim


def run(worker: Worker, held: Claim, script: Script) -> bool:
    again = Attempt(worker.database, worker.storage, worker.settings, held, script, worker.stopping.is_set).run()
    assert script.killed
    return again


def test_published_and_then_lost_is_removed(worker: Worker, held: Claim, storage: FolderStorage) -> None:
    def lose() -> None:
        put(storage, "p/f/anomaly_detection/1_x.csv", "x")
        with worker.database.writing() as session:
            store.find(session, held.id).attempt += 1

    script = Script(("ready", ["p/f/anomaly_detection/1_x.csv", "p/f/anomaly_detection/never.csv"]), lose, ("done", {}))
    assert not run(worker, held, script)
    assert script.published
    assert keys(storage) == []
    assert look(worker.database, held.id).status == "STARTED"


def test_lost_before_it_publishes(worker: Worker, held: Claim) -> None:
    def lose() -> None:
        with worker.database.writing() as session:
            store.find(session, held.id).attempt += 1

    script = Script(lose, ("ready", ["p/f/x"]), ("done", {}))
    assert not run(worker, held, script)
    assert not script.published


def test_killed_while_it_publishes(worker: Worker, held: Claim, storage: FolderStorage) -> None:
    def publish_one() -> None:
        put(storage, "p/f/anomaly_detection/1_x.csv", "x")

    names = ["p/f/anomaly_detection/1_x.csv", "p/f/anomaly_detection/1_y.csv"]
    run(worker, held, Script(("ready", names), publish_one, ("died", -9)))
    assert keys(storage) == []
    assert look(worker.database, held.id).error_code == "killed"


def test_a_name_that_was_taken_stays_its_owners(worker: Worker, held: Claim, storage: FolderStorage) -> None:
    put(storage, "p/f/anomaly_detection/1_x.csv", "another's")
    run(worker, held, Script(("ready", ["p/f/anomaly_detection/1_x.csv"]), ("failed", "file_exists", "taken")))
    assert keys(storage) == ["p/f/anomaly_detection/1_x.csv"]
    assert look(worker.database, held.id).error_message == "taken"


def test_progress_is_told(worker: Worker, held: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "WATCH_SECONDS", 0.0)
    seen = []

    def see() -> None:
        task = look(worker.database, held.id)
        seen.append((task.progress, task.doing))

    again = ("progress", 0.5, "fitting")
    run(worker, held, Script(again, again, see, ("done", {"a": 1})))
    assert seen == [(0.5, "fitting")]
    task = look(worker.database, held.id)
    assert (task.status, task.progress, task.result) == ("SUCCESS", 1.0, {"a": 1})


def test_a_database_that_is_away_for_a_moment(
    worker: Worker, held: Claim, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(attempt, "WATCH_SECONDS", 0.01)
    fails = [OperationalError("x", {}, Exception("away"))] * 3
    real = store.succeed

    def succeed(*arguments: Any) -> bool:
        if fails:
            raise fails.pop()
        return real(*arguments)

    monkeypatch.setattr(store, "succeed", succeed)
    run(worker, held, Script(("done", {"a": 1})))
    assert look(worker.database, held.id).status == "SUCCESS"
    assert caplog.text.count("the database is away") == 3


def test_the_time_limit(worker: Worker, held: Claim) -> None:
    worker.settings.run_seconds = 1e-9
    run(worker, held, Script())
    assert look(worker.database, held.id).error_code == "time_limit"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (-9, "killed", "out of memory"),
        (-11, "crashed", "SIGSEGV"),
        (-40, "crashed", "signal 40"),
        (3, "crashed", "status 3"),
        (0, "crashed", "status 0"),
    ],
)
def test_how_a_child_died(status: int, code: str, said: str) -> None:
    found, message = attempt.cause_of_death(status)
    assert found == code
    assert said in message


def test_codes_of_errors() -> None:
    assert error_code(FileMissing("x")) == "file_not_found"
    assert error_code(DataError("x")).islower()


def test_the_worker_itself_imports_nothing_of_the_work() -> None:
    import subprocess
    import sys

    program = "import serving.tasks.worker, sys; print([m for m in ('numba', 'sklearn', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_children_come_from_a_warm_process(ready_children: None) -> None:
    assert children._processes.Process  # the context is the one that was prepared
    child = children._processes.Process(target=_assert_warm)
    child.start()
    child.join()
    assert child.exitcode == 0


def _assert_warm() -> None:
    import sys

    assert "serving.tasks.preload" in sys.modules
