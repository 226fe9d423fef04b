"""The microservice image, built and run for real."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from detectors.registry import DETECTORS
from tests.image.builder import ROOT, Builder, find_builder

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("image")]

SEED_ROW = {"data": {"names": ["f1", "f2", "f3", "f4"], "ndarray": [[2.1, 2.05, 1.95, 2.01]]}}
FAR_ROW = {"data": {"names": ["f1", "f2", "f3", "f4"], "ndarray": [[0.0, 0.0, 0.0, 0.0]]}}


@pytest.fixture(scope="module")
def builder() -> Builder:
    return find_builder()


@pytest.fixture(scope="module")
def image(builder: Builder) -> str:
    return builder.image("inlier-test/inne:default", ROOT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, path: str, body: object | None = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"} if data else {}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, answer.read()


def wait_until_ready(port: int, patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            assert ask(port, "/health/status")[0] == 200
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, "the container never got ready"
            time.sleep(0.02)
        else:
            return


def copy_context(folder: Path) -> Path:
    """What a fresh clone has, to add files to."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for file in tracked:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, folder / file)  # with its time, or no layer is found again
    return folder


@contextmanager
def container(builder: Builder, image: str, *options: str) -> Iterator[tuple[str, int]]:
    """A running container as hardened as a cluster would run it; its name and port."""
    name, port = f"inlier-test-{uuid.uuid4().hex[:8]}", free_port()
    hardened = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "host"]
    ports = {"HTTP": port, "GRPC": free_port(), "METRICS": free_port()}
    environment = [
        word for kind, number in ports.items() for word in ("-e", f"PREDICTIVE_UNIT_{kind}_SERVICE_PORT={number}")
    ]
    builder("run", "--detach", "--name", name, *hardened, *environment, *options, image)
    try:
        wait_until_ready(port)
        yield name, port
    finally:
        builder("rm", "--force", name)


def score(port: int, body: object) -> float:
    status, answer = ask(port, "/predict", body)
    assert status == 200
    return float(json.loads(answer)["data"]["ndarray"][0][0])


def test_serves_what_it_was_trained_on_as_nobody_on_a_read_only_root(builder: Builder, image: str) -> None:
    with container(builder, image) as (name, port):
        assert score(port, SEED_ROW) < 0.45
        assert score(port, FAR_ROW) > 0.95
        processes = builder("exec", name, "python", "-c", "import os; print(os.getuid())")
        assert processes.strip() == "10001"
        logs = builder("logs", name)
    assert "in memory only" not in logs, "a kernel was compiled again at run time"


ROWS = "a,b\n" + "".join(f"{number % 7},{number % 5}.5\n" for number in range(200)) + "60,-60\n"
SERIES = "Time,load\n" + "".join(
    f"2024-01-{day:02}T{hour:02}:00:00,{hour % 6}\n" for day in (1, 2, 3) for hour in range(24)
)


@pytest.mark.parametrize("supplied", [False, True], ids=["generated", "supplied"])
@pytest.mark.parametrize("detector", [name for name in DETECTORS if name != "inne"])
def test_every_detector_has_its_image(builder: Builder, tmp_path: Path, detector: str, supplied: bool) -> None:
    series = DETECTORS[detector].kind == "univariate"
    context = copy_context(tmp_path / "context")
    arguments = {"DETECTOR": detector}
    if supplied:
        (context / "mine.csv").write_text(SERIES if series else ROWS)
        arguments["FEATURES"] = "mine.csv"
    image = builder.image(f"inlier-test/{detector}:{'supplied' if supplied else 'generated'}", context, **arguments)
    with container(builder, image) as (_, port):
        _, metadata = ask(port, "/metadata")
        names = json.loads(metadata)["inputs"][0]["schema"]["names"]
        if supplied:
            assert names == (["load"] if series else ["a", "b"])
        assert score(port, {"data": {"names": names, "ndarray": [[1e6] * len(names)]}}) > 0.5


def test_stops_within_five_seconds_of_sigterm(builder: Builder, image: str) -> None:
    with container(builder, image) as (name, _):
        start = time.monotonic()
        builder("stop", "--time", "5", name)
        code = builder("inspect", "--format", "{{.State.ExitCode}}", name).strip()
        assert code == "0", f"exit status {code} after {time.monotonic() - start:.1f} s: killed rather than stopped"


def test_equal_seeds_give_equal_bits(builder: Builder, image: str, tmp_path: Path) -> None:
    context = copy_context(tmp_path / "context")
    (context / "another.txt").write_text("so that no layer of the first build is taken for the training")
    again = builder.image("inlier-test/inne:again", context, SEED="0")
    other = builder.image("inlier-test/inne:other", context, SEED="1")
    answers = []
    for tag in (image, again, other):
        with container(builder, tag) as (_, port):
            answers.append(score(port, SEED_ROW))
    assert answers[0] == answers[1] != answers[2]


def test_trains_on_a_file_of_the_build_context(builder: Builder, tmp_path: Path) -> None:
    context = copy_context(tmp_path / "context")
    rows = np.random.default_rng(5).normal(size=(500, 3))
    np.savetxt(context / "mine.csv", rows, delimiter=",", header="a,b,c", comments="", fmt="%.17g")

    image = builder.image("inlier-test/inne:file", context, FEATURES="mine.csv", SEED="3")

    model, scores = tmp_path / "model.pkl", tmp_path / "scores.csv"
    csv = context / "mine.csv"
    train = ["inlier", "train", "--detector", "inne", "--seed", "3", "--features", csv, "--out", model]
    subprocess.run(train, check=True)
    subprocess.run(["inlier", "score", model, csv, "--out", scores], check=True)
    expected = np.loadtxt(scores, delimiter=",", skiprows=1, usecols=0)
    with container(builder, image) as (_, port):
        _, answer = ask(port, "/predict", {"data": {"names": ["c", "a", "b"], "ndarray": rows[:, [2, 0, 1]].tolist()}})
    served = np.array(json.loads(answer)["data"]["ndarray"])[:, 0]
    np.testing.assert_allclose(served, expected, rtol=1e-12)
