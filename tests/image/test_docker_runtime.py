"""start-microservice --runtime docker, with a real engine and a real image."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.builder import LOCAL_TOOL, ROOT, Builder, find_builder
from tests.serving.running_system import System

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("image")]

PREDICT = (
    "seldon-cli --quiet api --client-name test --endpoint /js/predict "
    """--json '{"data":{"f1":2.1,"f2":2.05,"f3":1.95,"f4":2.01}}'"""
)


@pytest.fixture(scope="module")
def builder() -> Builder:
    return find_builder()


@pytest.fixture(scope="module")
def image(builder: Builder) -> str:
    return builder.image("inlier-test/inne:default", ROOT)


@pytest.fixture(scope="module")
def system(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("docker")
    path = os.environ["PATH"]
    if str(LOCAL_TOOL) in builder.run[0]:
        path = f"{_podman_of_the_tool(folder)}:{path}"
    system = System(folder, PATH=path)
    system.start()
    yield system
    for name in ("inne", "mine"):
        system.run(f"start-microservice --runtime docker --remove {name}")
    assert system.close(signal.SIGTERM) == 0


def _podman_of_the_tool(folder: Path) -> Path:
    """Put a podman into a folder that has the images which the tool has built."""
    if not (shutil.which("iptables") or shutil.which("nft")):
        pytest.skip("podman cannot publish ports here: there is neither iptables nor nft")
    state = os.environ.get("IMAGE_STATE", "/var/tmp/image-tools")
    programs = folder / "programs"
    programs.mkdir()
    options = f"--storage-driver overlay --root {state}/storage --runroot /run/image-tools"
    (programs / "podman").write_text(
        f'#!/bin/sh\nexport CONTAINERS_CONF={state}/containers.conf\nexec {shutil.which("podman")} {options} "$@"\n'
    )
    (programs / "podman").chmod(0o700)
    return programs


def start(system: System, words: str) -> subprocess.CompletedProcess[str]:
    return system.run(f"start-microservice --runtime docker --client test {words}")


def answer(system: System) -> dict[str, object]:
    done = system.run(PREDICT)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_an_image_is_run_rolled_over_and_removed(system: System, image: str) -> None:
    done = start(system, f"-i inne {image} rest 1.0")
    assert done.returncode == 0, done.stderr
    first = answer(system)["predictions"]
    done = start(system, f"-i inne {image} rpc 1.0")
    assert done.returncode == 0, done.stderr
    assert "inne: version 1 stopped" in done.stderr
    assert answer(system)["predictions"] == first

    done = start(system, "-i inne localhost/nobody/has-it:1 rest 1.0")
    assert done.returncode == 2
    assert "what ran before still does" in done.stderr
    assert answer(system)["predictions"] == first
    assert system.run("start-microservice --runtime docker --remove inne").returncode == 0


def test_a_model_file_is_served_in_the_stock_image(system: System, image: str) -> None:
    train = [
        sys.executable,
        "-m",
        "serving.cli",
        "train",
        "--detector",
        "iqr",
        "--synthetic",
        "demo",
        "--out",
        "mine.pkl",
    ]
    subprocess.run(train, cwd=system.folder, env=system.environment, check=True, capture_output=True)
    done = system.run(
        "start-microservice --runtime docker --client test -p mine mine.pkl rest 1.0", INLIER_DEPLOY_STOCK_IMAGE=image
    )
    assert done.returncode == 0, done.stderr
    status = system.run("start-microservice --runtime docker --status").stdout
    assert "mine  version 1  running" in status
    assert "test 1" in status
    assert system.run("start-microservice --runtime docker --remove mine").returncode == 0
