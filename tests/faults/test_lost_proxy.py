"""A proxy that is killed while it takes tasks: what it has answered is not lost."""

import subprocess
import sys
import threading
import uuid

import psutil
import pytest
import requests

from serving.deploy.addresses import free_port
from tests.faults.fleet import Fleet, until

pytestmark = pytest.mark.slow


def start(fleet: Fleet, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "serving.proxy", "--port", str(port)]
    process = subprocess.Popen(command, env=fleet.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/health/status", timeout=5).ok
        except requests.ConnectionError:
            return False

    until("the proxy answers", answers)
    return process


def test_nothing_that_was_accepted_is_lost(fleet: Fleet) -> None:
    port = free_port()
    proxy = start(fleet, port)
    accepted: list[str] = []
    enough = threading.Event()

    def submit() -> None:
        while True:
            body = {"request_id": str(uuid.uuid4()), "model_name": "inne", "train_feature_file": "p/f/data"}
            body["parameters"] = {"n_estimators": 3}
            try:
                answer = requests.post(f"http://127.0.0.1:{port}/anomaly_detection/train", json=body, timeout=30)
            except requests.RequestException:
                return
            assert answer.status_code == 200, answer.text
            accepted.append(answer.json()["_id"])
            if len(accepted) >= 40:
                enough.set()

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    below = psutil.Process(proxy.pid).children(recursive=True)
    proxy.kill()
    for process in below:
        process.kill()
    proxy.wait()
    for thread in threads:
        thread.join()
    fleet.open_gate()
    fleet.start_worker()
    assert len(accepted) >= 40
    for task_id in accepted:
        assert fleet.wait_for(task_id, "SUCCESS")["attempt"] == 1
