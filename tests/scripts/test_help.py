"""Scripts that are asked how they are used do nothing else."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.environments import ROOT

SCRIPTS = [path for path in sorted((ROOT / "scripts").iterdir()) if os.access(path, os.X_OK)]
SCRIPTS += [ROOT / "k8s" / "create-secrets"]
COMMANDS = ("seldon-cli", "start-microservice")
UV = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
"""


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder that a program would be found in before any other, and where nothing may appear."""
    for name in ("uv", "kubectl", "docker", "pip"):
        (tmp_path / name).write_text('#!/bin/sh\ntouch "$(dirname "$0")/called"\n')
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run(script: Path, *words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"} | environment
    return subprocess.run([script, *words], capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.parametrize("word", ["--help", "-h"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_help_is_all_it_does(script: Path, word: str, empty: Path) -> None:
    if script.name in COMMANDS and not (ROOT / ".venv" / "bin" / script.name).exists():
        pytest.skip("there is no .venv, whose command this is")
    interpreter = {} if script.name in COMMANDS else {"PYTHON": str(empty / "pip")}
    done = run(script, word, folder=empty, **interpreter)
    assert (done.returncode, done.stderr) == (0, "")
    assert script.name in done.stdout
    assert not (empty / "called").exists()


@pytest.mark.parametrize("name", ["lock", "protos"])
def test_what_it_does_not_know_it_refuses(name: str, empty: Path) -> None:
    done = run(ROOT / "scripts" / name, "--upgrade", folder=empty, PYTHON=str(empty / "pip"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{name}: unknown argument --upgrade; see scripts/{name} --help\n"
    assert not (empty / "called").exists()


def test_what_builds_the_project_is_locked_where_it_is_built(tmp_path: Path) -> None:
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    assert run(ROOT / "scripts" / "lock", folder=tmp_path).returncode == 0
    asked = (tmp_path / "asked").read_text().splitlines()
    locked = {line.partition("--output-file requirements/")[2].partition(".txt")[0]: line for line in asked}
    assert "requirements/oldest.in" in locked["oldest"]
    without = {name for name, line in locked.items() if "requirements/build.in" not in line}
    assert without == {"", "oldest"}  # the first is tests/image/requirements.txt
