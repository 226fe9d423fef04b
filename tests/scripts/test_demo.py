"""The two commands of the README, as a newcomer runs them."""

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def demo(home: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [ROOT / "scripts" / "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"INLIER_HOME": str(home)} | environment,
        start_new_session=True,
    )


def left_running(home: Path) -> list[str]:
    """Processes that still belong to that home."""
    alive = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("INLIER_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(" ".join(process.cmdline()))
        except psutil.Error:  # gone, or another user's
            continue
    return alive


def test_shows_the_seeds_prediction_and_stops_by_itself(tmp_path: Path) -> None:
    process = demo(tmp_path / "home", "--exit", "--port", str(free_port()))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    answers = [json.loads(text) for text in re.findall(r"^\{.*?^\}", output, re.DOTALL | re.MULTILINE)]
    assert len(answers) == 2
    for answer in answers:
        assert set(answer) == {"meta", "predictions", "custom"}
        assert set(answer["meta"]) == {"puid", "modelName", "variation"}
        assert re.fullmatch("[0-9a-f]{40}", answer["meta"]["puid"])
        assert (answer["meta"]["modelName"], answer["meta"]["variation"]) == ("model_inne", "inne")
        assert answer["custom"] is None
        classes = [(part["predictedClass"], part["prediction"], part["confidence"]) for part in answer["predictions"]]
        assert [name for name, _, _ in classes] == ["Anomaly_score", "Complementary_score"]
        assert all(prediction == confidence for _, prediction, confidence in classes)
        assert classes[0][1] + classes[1][1] == pytest.approx(1.0)
    near, far = (answer["predictions"][0]["prediction"] for answer in answers)
    assert near < 0.45
    assert far > 0.95
    assert left_running(tmp_path / "home") == []


def test_stays_up_until_interrupted(tmp_path: Path) -> None:
    process = demo(tmp_path / "home", "--port", str(free_port()))
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if line == "Ctrl-C stops it.\n":
            break
    assert process.poll() is None, output
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert left_running(tmp_path / "home") == []


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = demo(tmp_path / "home", "--port", str(port))
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output == f"demo: port {port} is in use; choose another with --port\n"
