"""How commands end where what surrounds them is in the way: one line, and a status that is not 0."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

INLIER = "from serving.cli import main; main(prog_name='inlier')"
SELDON_CLI = "from serving.cli.programs import seldon_cli; seldon_cli()"
START_MICROSERVICE = "from serving.cli.programs import start_microservice; start_microservice()"
COMMANDS = [INLIER, SELDON_CLI, START_MICROSERVICE]
DEEP = "[" * 100_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INLIER_HOME", str(tmp_path / "home"))


def run(code: str, *arguments: str | bytes, to: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'exec "$@" {to}', "_", sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        encoding="latin-1",
        env=os.environ | {"INLIER_SERVER": "http://127.0.0.1:1", **environment},
        check=False,
    )


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("code", COMMANDS)
def test_output_that_nothing_takes(code: str) -> None:
    assert error_of(run(code, "--help", to=">/dev/full")) == "error: No space left on device\n"
    assert run(code, "--help", to=">/dev/full 2>&1").returncode != 0


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (INLIER, ["task", "cancel", b"\xff"]),
        (INLIER, ["score", b"\xff.pkl", "rows.csv"]),
        (SELDON_CLI, ["client", "--action", "setup", "--client-name", b"\xff"]),
        (SELDON_CLI, ["client", "--action", "delete", "--client-name", b"\xff"]),
        (START_MICROSERVICE, ["--client", "c", "-i", b"\xff", "image", "rest", "1.0", "--dry-run"]),
    ],
)
def test_arguments_that_are_no_text(code: str, arguments: list[str | bytes]) -> None:
    assert error_of(run(code, *arguments)).startswith("error: ")


def test_output_that_is_closed(inne_file: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("f1,f2,f3,f4\n1,2,3,4\n")
    scored = run(INLIER, "score", str(inne_file), str(tmp_path / "rows.csv"), to=">&-")
    assert scored.returncode == 2
    assert "standard output is closed; name a file with --out" in scored.stderr
    assert run(INLIER, "score", str(tmp_path / "none.pkl"), "rows.csv", to="2>&-").returncode == 2


def test_letters_that_the_output_lacks(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("日é\n1\n2\n3\n4\n", encoding="utf-8")
    given = ["--detector", "inne", "--features", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "model.pkl")]
    trained = run(INLIER, "train", *given, "--param", "n_estimators=2", PYTHONIOENCODING="latin-1")
    assert trained.returncode == 0, trained.stderr
    assert "(\\u65e5é)" in trained.stdout


@pytest.mark.parametrize("given", [("--param", f"a={DEEP}"), ("--parameters", DEEP)])
def test_parameters_that_are_nested_deep(given: tuple[str, str]) -> None:
    done = run(INLIER, "train", "--detector", "inne", "--synthetic", "clusters", "--out", "model.pkl", *given)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"Invalid value for {given[0]}" in done.stderr.replace("'", "")


@pytest.mark.parametrize(
    ("code", "arguments", "lacking"),
    [
        (INLIER, ("worker",), "celery"),
        (INLIER, ("task", "list"), "requests"),
        (INLIER, ("proxy",), "gunicorn"),
        (SELDON_CLI, ("--help",), "orjson"),
        (START_MICROSERVICE, ("--help",), "pydantic"),
    ],
)
def test_a_library_that_is_not_installed_is_named(code: str, arguments: tuple[str, ...], lacking: str) -> None:
    done = run(f"import sys; sys.modules[{lacking!r}] = None; {code}", *arguments)
    assert error_of(done) == f"error: this needs {lacking}, which is not installed; install inlier[all]\n"


def test_a_broker_whose_library_is_not_installed_is_named() -> None:
    hidden = "import importlib.util as u; real = u.find_spec; u.find_spec = lambda x: real(x) if x != 'redis' else None"
    done = run(f"{hidden}; {INLIER}", "worker", INLIER_TASK_BROKER_URL="redis://127.0.0.1:1/0")
    assert "needs redis, which is not installed; install inlier[redis]" in error_of(done)
