"""Signs of life in files: of a real worker and a real reaper, as the probes of a cluster see them."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from serving.deploy.addresses import free_port
from serving.tasks.reaper import Reaper
from serving.tasks.signs import Signs
from serving.tasks.worker import Worker

LIMIT = 180.0


def until(happened: Callable[[], bool], say: Callable[[], str] = str) -> None:
    end = time.monotonic() + LIMIT
    while not happened():
        assert time.monotonic() < end, say()
        time.sleep(0.02)


def shown(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    silent = Signs(None)
    silent.beat()
    silent.be_ready(True)
    silent.beat_until(threading.Event())
    assert shown(tmp_path) == set()


def test_what_an_earlier_program_left_is_removed(tmp_path: Path) -> None:
    before = Signs(tmp_path / "probe")
    before.beat()
    before.be_ready(True)
    assert shown(tmp_path / "probe") == {"alive", "ready"}
    Signs(tmp_path / "probe")
    assert shown(tmp_path / "probe") == set()


def test_a_reaper_without_its_database_is_alive_and_not_ready(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.settings.resend_seconds = 0.05
    reaper = Reaper(worker.database, worker.storage, worker.app, worker.settings, Signs(tmp_path / "probe"))
    stopping = threading.Event()
    thread = threading.Thread(target=reaper.run, args=(stopping,))
    thread.start()
    try:
        until(lambda: shown(tmp_path / "probe") == {"alive", "ready"})

        def broken() -> None:
            raise OperationalError("SELECT 1", {}, Exception("away"))

        with monkeypatch.context() as patch:
            patch.setattr(reaper, "reap", broken)
            until(lambda: shown(tmp_path / "probe") == {"alive"})
            (tmp_path / "probe" / "alive").unlink()
            until(lambda: shown(tmp_path / "probe") == {"alive"})
        until(lambda: shown(tmp_path / "probe") == {"alive", "ready"})
    finally:
        stopping.set()
        thread.join(LIMIT)


@contextmanager
def redis(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not on this machine")
    words = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        try:
            yield server
        finally:
            server.kill()


def test_a_worker_is_ready_while_it_is_connected_to_its_broker(tmp_path: Path) -> None:
    port, probe = free_port(), tmp_path / "probe"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INLIER_")} | {
        "INLIER_HOME": str(tmp_path / "home"),
        "INLIER_TASK_BROKER_URL": f"redis://127.0.0.1:{port}/0",
        "INLIER_TASK_PROBE_FOLDER": str(probe),
    }
    (tmp_path / "home").mkdir()
    command = [sys.executable, "-m", "serving.cli", "worker", "--no-reaper", "--concurrency", "1"]
    log = tmp_path / "log"
    with log.open("wb") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process:
        try:
            until(lambda: shown(probe) == {"alive"}, log.read_text)
            for _ in range(2):  # the broker comes, and goes
                with redis(port, tmp_path):
                    until(lambda: shown(probe) == {"alive", "ready"}, log.read_text)
                until(lambda: shown(probe) == {"alive"}, log.read_text)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT) == 0, log.read_text()
        finally:
            process.kill()
