"""The tour of the README, as a newcomer pastes it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.running_system import System

README = Path(__file__).resolve().parents[2] / "README.md"
ADDRESS = "http://localhost:8000"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("tour"))
    system.start()
    system.wait_for_examples()
    yield system
    system.close()


def blocks(language: str) -> list[str]:
    """The code of the section about the service."""
    section = README.read_text().partition("\n## The service\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def assert_results(folder: Path) -> None:
    predictions = (folder / "predictions.csv").read_text().splitlines()
    assert predictions[0] == "anomaly_score,complementary_score,label"
    assert len(predictions) == len((folder / "plant.csv").read_text().splitlines())
    assert "<html" in (folder / "charts.html").read_text()
    for name in ("predictions.csv", "charts.html"):
        (folder / name).unlink()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_with_curl_then_with_python(system: System) -> None:
    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=system.folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    tour = blocks("sh")[0].replace(ADDRESS, f"http://localhost:{system.port}")
    output = run("bash", "-euo", "pipefail", "-c", tour)
    assert re.search(r"'f1': (0\.9|1\.0)", output)
    assert_results(system.folder)
    (program,) = blocks("python")
    run(sys.executable, "-c", program.replace(ADDRESS, f"http://localhost:{system.port}"))
    assert_results(system.folder)
