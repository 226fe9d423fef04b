"""scripts/build-image, with a builder that says what it was given."""

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from detectors.registry import DETECTORS
from tests.environments import ROOT

SCRIPT = ROOT / "scripts" / "build-image"
BUILDER = """#!/bin/sh
printf '%s\\n' "$@" > "$(dirname "$0")/arguments"
for last; do :; done
cd "$last" && find supplied -type f -exec sha256sum {} + > "$(dirname "$0")/supplied" 2>/dev/null
ls > "$(dirname "$0")/context"
exit "${BUILDER_STATUS:-0}"
"""


@pytest.fixture
def builder(tmp_path: Path) -> Path:
    folder = tmp_path / "builder"
    folder.mkdir()
    command = folder / "build it"
    command.write_text(BUILDER)
    command.chmod(0o755)
    return command


def run(*words: str | Path, path: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | environment | ({} if path is None else {"PATH": path})
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, env=environment)


def said(builder: Path, name: str) -> list[str]:
    return (builder.parent / name).read_text().splitlines()


def arguments(builder: Path) -> dict[str, str]:
    words = said(builder, "arguments")
    return dict(word.split("=", 1) for before, word in itertools.pairwise(words) if before == "--build-arg")


def refused(*words: str | Path) -> str:
    done = run("--builder", "false", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("build-image: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("build-image: ").rstrip("\n")


def test_says_how_it_is_used() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in ("--detector", "--features", "--labels", "--parameters", "--seed", "--target", "--tag", "--builder"):
        assert option in done.stdout


def test_nothing_said_is_inne_on_generated_data(builder: Path) -> None:
    done = run("--builder", builder)
    assert (done.returncode, done.stdout) == (0, "inlier/inne:0.1.0\n"), done.stderr
    words = said(builder, "arguments")
    assert words[:3] == ["build", "--target", "microservice"]
    assert arguments(builder) == {"DETECTOR": "inne", "SEED": "0"}
    assert "supplied" not in said(builder, "context")
    assert {"tests", ".git", ".venv"}.isdisjoint(said(builder, "context"))


def test_files_come_along_whatever_they_are_called(builder: Path, tmp_path: Path) -> None:
    features, labels = tmp_path / "my data's.csv", tmp_path / "known" / "my data's.csv"
    labels.parent.mkdir()
    features.write_text("a\n1\n")
    (tmp_path / "real.csv").write_text("anomaly\n0\n")
    labels.symlink_to(tmp_path / "real.csv")
    before = sorted(path.name for path in ROOT.iterdir())
    words = ["--features", features, "--labels", labels, "--detector", "DBSCAN", "--seed=007", "-t", "mine:1"]
    done = run("--builder", builder, *words, "--parameters", '{"min_samples": 3}')
    assert done.returncode == 0, done.stderr
    assert arguments(builder) == {
        "DETECTOR": "dbscan",
        "SEED": "7",
        "FEATURES": "supplied/features/my data's.csv",
        "LABELS": "supplied/labels/my data's.csv",
        "PARAMETERS": '{"min_samples": 3}',
    }
    assert [line.split("  ", 1)[1] for line in sorted(said(builder, "supplied"), key=lambda line: line[66:])] == [
        "supplied/features/my data's.csv",
        "supplied/labels/my data's.csv",
    ]
    assert sorted(path.name for path in ROOT.iterdir()) == before
    assert not Path(said(builder, "arguments")[-1]).exists()


def test_every_detector_of_the_registry_is_known(builder: Path) -> None:
    assert refused("--detector", "foo") == f"there is no detector foo; there are {', '.join(DETECTORS)}"
    for name in DETECTORS.values():
        assert run("--builder", builder, "--detector", name.__name__).returncode == 0


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("stock", "inlier/microservice:0.1.0"),
        ("proxy", "inlier/proxy:0.1.0"),
        ("seldon", "inlier/inne-seldon:0.1.0"),
    ],
)
def test_each_target_has_a_name_of_its_own(builder: Path, target: str, name: str) -> None:
    done = run("--builder", builder, "--target", target)
    assert (done.returncode, done.stdout) == (0, f"{name}\n")
    assert said(builder, "arguments")[2] == target


@pytest.mark.parametrize("name", ["mine", "a/b_c:V1", "registry.example:5000/team/mine:1.0-rc.1"])
def test_names_that_registries_take(builder: Path, name: str) -> None:
    done = run("--builder", builder, "-t", name)
    assert (done.returncode, done.stdout) == (0, f"{name}\n")


@pytest.mark.parametrize("name", ["Mine", "mine:", "a//b", "-x", "mine:a b", "mine:1:2", "/mine"])
def test_names_that_no_registry_takes(name: str) -> None:
    assert f"{name} is no name of an image" in refused("-t", name)


def test_mistakes_are_told_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "a.txt").write_text("a\n1\n")
    assert refused("--features", "/no/such.csv") == "--features: there is no file /no/such.csv"
    assert refused("--features", tmp_path) == f"--features: {tmp_path} is not a file"
    assert "should be a .csv or a .parquet" in refused("--features", tmp_path / "a.txt")
    assert refused("--labels", tmp_path / "a.csv") == "--labels go with --features"
    assert "is not a JSON object" in refused("--parameters", "[1]")
    assert "--seed needs a number from 0" in refused("--seed", "4294967296")
    assert refused("--target", "all") == "there is no target all; there are microservice, stock, proxy and seldon"
    assert "trains nothing" in refused("--target", "proxy", "--detector", "inne")
    assert refused("--tag") == "--tag needs a value"
    assert refused("--out", "x") == "unknown option --out; see scripts/build-image --help"
    assert refused("--builder", "/no/such") == "--builder: there is no command /no/such"


def test_without_a_builder_it_says_what_is_needed(tmp_path: Path) -> None:
    for tool in ("bash", "env", "dirname", "tr", "sed", "awk", "grep", "paste", "cat"):
        found = subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True, text=True).stdout.strip()
        (tmp_path / tool).symlink_to(found)
    done = run(path=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "no docker engine that answers, no podman and no buildah" in done.stderr


def test_a_build_that_fails(builder: Path) -> None:
    done = run("--builder", builder, BUILDER_STATUS="7")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("inlier/inne:0.1.0 was not built: see above\n")
