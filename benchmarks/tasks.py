"""Tasks on the embedded default (`inlier up`): how fast POST takes them, and whether all of many end, each once.

    python benchmarks/tasks.py [--tasks 1000] [--no-wait]

Small infer tasks are queued by four clients, then one more client posts 200 while the others wait and a worker is at
work. The exit status is 1 if a bar is missed: POST in 15 ms (p50) and 50 ms (p99); every task succeeds, in one attempt,
with files of its own.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

# instead of this folder, in which serving.py is a benchmark
sys.path[0] = str(Path(__file__).resolve().parents[1])

import requests  # noqa: E402

from serving.client import Client  # noqa: E402
from serving.deploy.addresses import free_port  # noqa: E402

N_TASKS = 1_000
N_MEASURED = 200
P50_BAR, P99_BAR = 0.015, 0.050
IMPORTED_SECONDS = 12.0
"""After which a process of the proxy has imported what checks tasks, also without a request."""

SMALL = b"Time,v\n" + b"".join(b"2024-01-01 00:%02d:%02d,%d\n" % (row // 60, row % 60, row % 7) for row in range(200))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Up:
    """`inlier up` in a new folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("INLIER_")}
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("inlier"), "up", "--port", str(self.port), "--home", str(folder / "home")],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "listens" in line, line
        self.client = Client(f"http://127.0.0.1:{self.port}")

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate()


def body() -> dict[str, object]:
    return {
        "request_id": str(uuid.uuid4()),
        "detection_type": "univariate",
        "method_name": "iqr",
        "features_file": "p/f/small",
    }


def post_one(session: requests.Session, url: str) -> tuple[float, str]:
    asked = body()
    begun = time.perf_counter()
    answer = session.post(url, json=asked, timeout=60)
    taken = time.perf_counter() - begun
    assert answer.status_code == 200, answer.text
    return taken, answer.json()["_id"]


def post_and_queue(n_tasks: int, *, waits: bool) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        up = Up(Path(folder))
        try:
            up.client.upload(SMALL, "p/f/small.csv")
            url = f"{up.client.server}/anomaly_detection/infer/"
            with requests.Session() as session:
                time.sleep(IMPORTED_SECONDS)
                begun = time.perf_counter()
                ids: list[str] = []
                lock = threading.Lock()

                def fill() -> None:
                    with requests.Session() as mine:
                        while True:
                            with lock:
                                if len(ids) >= n_tasks:
                                    return
                            _, task_id = post_one(mine, url)
                            with lock:
                                ids.append(task_id)

                threads = [threading.Thread(target=fill) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                queued = time.perf_counter() - begun
                waiting = len(up.client.tasks(status="PENDING", limit=1000))
                taken = [post_one(session, url) for _ in range(N_MEASURED)]
                times = [seconds for seconds, _ in taken]
                p50, p99 = statistics.median(times), percentile(times, 0.99)
                print(
                    f"POST with {waiting} tasks waiting and a worker at work: "
                    f"p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms ({len(times)} requests)"
                )
            if waits:
                ids += [task_id for _, task_id in taken]
                all_done(up.client, ids, begun, queued)
            return p50 <= P50_BAR and p99 <= P99_BAR
        finally:
            up.close()


def all_done(client: Client, ids: list[str], begun: float, queued: float) -> None:
    for task_id in ids:
        client.wait(task_id, timeout=1200)
    taken = time.perf_counter() - begun
    tasks = [client.task(task_id) for task_id in ids]
    attempts = Counter(task.attempt for task in tasks)
    outputs = Counter(task.results["predictions_label_file"] for task in tasks)
    files = {file.path for file in client.files("p/f/anomaly_detection")}
    assert set(attempts) == {1}, attempts
    assert max(outputs.values()) == 1
    assert files >= set(outputs)
    print(
        f"{len(ids)} infer tasks: all succeeded, each in one attempt with files of its own; queued in {queued:.1f} s, "
        f"done after {taken:.1f} s: {len(ids) / taken:.1f} a second"
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what it started is stopped
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--tasks", type=int, default=N_TASKS)
    arguments.add_argument("--no-wait", action="store_true", help="Only measure POST.")
    chosen = arguments.parse_args()
    sys.exit(not post_and_queue(chosen.tasks, waits=not chosen.no_wait))
