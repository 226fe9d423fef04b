"""The typed client and `inlier task` against a running service."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from serving.client import Client, Task
from serving.errors import CallError, TaskFailed
from tests.serving.running_system import System

ROWS = b"a,b\n" + b"".join(b"%d,%d\n" % (row % 7, row % 5) for row in range(200)) + b"100,100\n"
LABELS = b"anomaly\n" + b"0\n" * 200 + b"1\n"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("client"))
    system.start()
    yield system
    system.close()


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[Client]:
    with Client(system.server) as client:
        client.upload(ROWS, "p/f/rows.csv")
        client.upload(LABELS, "p/f/labels.csv")
        yield client


def test_from_a_file_to_a_chart(client: Client, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(ROWS)
    assert client.upload(tmp_path / "rows.csv", "new/file/rows.csv").size == len(ROWS)
    seen: list[Task] = []
    trained = client.wait(client.train("DBSCAN", "p/f/rows", "p/f/labels").id, 60, seen.append)
    assert (trained.status, trained.share, seen[-1]) == ("SUCCESS", 1.0, trained)
    assert trained.started_at is not None
    assert trained.ended_at is not None
    assert trained.created_at is not None
    assert trained.created_at <= trained.started_at <= trained.ended_at
    model = trained.results["model_path"]
    assert model in [found["path"] for found in client.models("p/f")]
    validated = client.wait(client.validate(model, "p/f/rows", "p/f/labels").id, 60)
    assert validated.results["metrics"]["recall"] == 1.0
    inferred = client.wait(client.infer("new/file/rows", model, save_charts=True).id, 60)
    target = client.download(inferred.results["predictions_label_file"], tmp_path / "predictions.csv")
    header, *rows = target.read_text().splitlines()
    assert header == "anomaly_score,complementary_score,label"
    assert (len(rows), rows[-1][-2:]) == (201, ",1")
    assert b"<html" in client.read(inferred.results["predictions_charts_file"])
    assert [file.path for file in client.files("new")] == [
        *sorted(path for name, path in inferred.results.items() if name.startswith("predictions_")),
        "new/file/rows.csv",
    ]
    client.delete_model(model)
    with pytest.raises(CallError) as missing:
        client.infer("p/f/rows", model)
    assert missing.value.status == 404
    client.forget(inferred.id)
    assert inferred.id not in [task.id for task in client.tasks()]
    client.delete_file("new/file/rows.csv")
    with pytest.raises(CallError, match="no such file"):
        client.download("new/file/rows.csv", tmp_path / "nothing.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["predictions.csv", "rows.csv"]


def test_what_fails_says_why(client: Client) -> None:
    client.upload(b"Time,v\n2024-01-01,x\n", "p/f/text.csv")
    task = client.infer("p/f/text", method_name="iqr")
    with pytest.raises(TaskFailed, match="row 2, column 'v'") as failed:
        client.wait(task.id, 60)
    assert failed.value.status == "FAILURE"
    assert client.task(task.id).error is not None
    with pytest.raises(CallError, match="did you mean") as refused:
        client.train("DBSCN", "p/f/rows")
    assert refused.value.status == 404


def test_the_same_id_is_the_same_task(client: Client) -> None:
    id_ = str(uuid.uuid4())
    first = client.train("iNNE", "p/f/rows", request_id=id_)
    again = client.train("iNNE", "p/f/rows", request_id=id_)
    assert (first.id, first.celery_id) == (again.id, again.celery_id) == (id_, first.celery_id)


def test_a_page_of_files_after_the_other(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        client.upload(b"x", f"pages/{number}.csv")
    monkeypatch.setattr("serving.client._page", lambda folder, after: {"folder": folder, "after": after, "limit": 2})
    assert [file.path for file in client.files("pages")] == [f"pages/{number}.csv" for number in range(5)]


def test_a_service_that_is_not_there(system: System) -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(CallError, match="`inlier up` starts one"):
        client.tasks()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>", "what answers at http://elsewhere is no Inlier proxy"),
        (204, b"", "is no Inlier proxy"),
        (200, b'{"a": 1}', "is no Inlier proxy"),
        (200, b"[]", "is no Inlier proxy"),
        (200, b"[" * 100_000, "is no Inlier proxy"),
        (301, b"<html>", "status 301, Location: https://elsewhere/"),
        (401, b"<html>", "status 401"),
    ],
)
def test_another_server(monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, message: str) -> None:
    answer = requests.Response()
    answer.status_code, answer._content = status, body
    if status == 301:
        answer.headers["Location"] = "https://elsewhere/"
    monkeypatch.setattr(requests.Session, "request", lambda *_, **__: answer)
    with Client("http://elsewhere") as client:
        calls = (
            client.tasks,
            lambda: client.task("x"),
            lambda: client.infer("a", "b"),
            lambda: client.upload(b"", "a"),
            lambda: [*client.files()],
            lambda: [*client.models()],
        )
        for call in calls:
            with pytest.raises(CallError, match=message) as refused:
                call()
            assert refused.value.status == status


def test_what_no_json_can_hold_is_named() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(CallError, match="what was to be asked is no JSON"):
        client.infer("a", method_name="iqr", parameters={"c": float("inf")})


def test_the_command(system: System, client: Client) -> None:
    waited = system.run("inlier task submit train --model iNNE --features p/f/rows --param n_estimators=5 --wait")
    assert waited.returncode == 0, waited.stderr
    done = json.loads(waited.stdout)
    assert done["status"] == "SUCCESS"
    assert client.read(done["model_path"])
    submitted = system.run(
        f"inlier task submit valid --model {done['model_path']} --features p/f/rows --labels p/f/labels"
    )
    task_id = submitted.stdout.strip()
    metrics = json.loads(system.run(f"inlier task wait {task_id}").stdout)["metrics"]
    assert metrics["n_rows"] == 201
    listed = system.run("inlier task list --limit 2").stdout.splitlines()
    assert [line.split()[:4] for line in listed] == [
        [task_id, "valid", "SUCCESS", "100%"],
        [done["_id"], "train", "SUCCESS", "100%"],
    ]


def test_the_command_when_something_is_wrong(system: System, client: Client) -> None:
    refused = system.run("inlier task submit train --model iNNE --features p/f/nothing")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: train_feature_file: 'p/f/nothing': no such file")
    failed = system.run("inlier task submit infer --features p/f/rows --method iqr --wait")
    assert failed.returncode == 1
    task_id, error = failed.stderr.splitlines()
    assert error.startswith(f"error: {task_id}: ")
    client.upload(ROWS + ROWS.partition(b"\n")[2] * 20, "p/f/many.csv")
    big = "--param n_estimators=100000 --param max_samples=200"
    slow = system.run(f"inlier task submit train --model iNNE --features p/f/many {big}").stdout.strip()
    late = system.run(f"inlier task wait {slow} --timeout 0")
    assert (late.returncode, late.stderr.count("\n")) == (3, 1)
    cancelled = system.run(f"inlier task cancel {slow}")
    assert cancelled.stdout in ("STARTED\n", "REVOKED\n")
    gone = system.run(f"inlier task wait {slow}")
    assert (gone.returncode, gone.stderr) == (1, f"error: task {slow}: it was cancelled\n")
    away = system.run("inlier task list", INLIER_SERVER="http://127.0.0.1:1")
    assert (away.returncode, away.stderr) == (2, "error: no answer from http://127.0.0.1:1; `inlier up` starts one\n")
