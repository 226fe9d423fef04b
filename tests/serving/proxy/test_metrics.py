"""/metrics: what processes count together, and gauges that are found out when asked."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from serving.deploy.addresses import free_port
from serving.proxy.app import create_app
from serving.proxy.metrics import Parts, ProxyMetrics
from serving.settings import HomeSettings, ProxySettings
from training.storage import MemoryStorage


def sample(text, name, **labels):
    """Return the value of a sample; the labels may be in any order."""
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if found and dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")) == labels:
            return float(found[2])
    raise AssertionError(f"{name} {labels} is not in\n{text}")


def test_processes_are_added_up():
    parts = Parts(2)
    first, second = (ProxyMetrics(parts.board, parts.take()) for _ in range(2))
    first.request("shop", "a", 200, 0.002)
    second.request("shop", "a", 200, 0.2)
    second.request("shop", "a", 503, 9.0)
    second.retried("shop", "a")
    for each in (first, second):
        text = each.show().decode()
        assert sample(text, "inlier_gateway_requests_total", client="shop", variation="a", status="200") == 2
        assert sample(text, "inlier_gateway_requests_total", client="shop", variation="a", status="503") == 1
        buckets = "inlier_gateway_request_seconds_bucket"
        assert sample(text, buckets, client="shop", variation="a", le="0.0025") == 1
        assert sample(text, buckets, client="shop", variation="a", le="0.25") == 2
        assert sample(text, buckets, client="shop", variation="a", le="+Inf") == 3
        assert sample(text, "inlier_gateway_request_seconds_count", client="shop", variation="a") == 3
        assert sample(text, "inlier_gateway_request_seconds_sum", client="shop", variation="a") == pytest.approx(9.202)
        assert sample(text, "inlier_gateway_retries_total", client="shop", variation="a") == 1


def test_a_process_that_takes_anothers_place_counts_on():
    parts = Parts(1)
    part = parts.take()
    metrics = ProxyMetrics(parts.board, part)
    metrics.request("shop", "a", 200, 0.1)
    metrics.breaker("shop", "a", is_open=True)
    name, labels = "inlier_gateway_breaker_open", {"client": "shop", "variation": "a", "worker": str(part)}
    assert sample(metrics.show().decode(), name, **labels) == 1
    parts.give_back(part)
    assert parts.take() == part
    next_one = ProxyMetrics(parts.board, part)
    next_one.request("shop", "a", 200, 0.1)
    text = next_one.show().decode()
    assert sample(text, "inlier_gateway_requests_total", client="shop", variation="a", status="200") == 2
    assert sample(text, name, **labels) == 0
    assert sample(text, "inlier_gateway_breaker_opened_total", client="shop", variation="a") == 1


def test_there_are_parts_for_processes_that_are_replaced():
    parts = Parts(3)
    taken = [parts.take() for _ in range(7)]
    assert sorted(taken) == list(range(7))
    assert parts.take() is None


def test_threads_lose_no_count():
    metrics = ProxyMetrics()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda: [metrics.request("c", "v", 200, 0.1) for _ in range(2000)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    text = metrics.show().decode()
    assert sample(text, "inlier_gateway_requests_total", client="c", variation="v", status="200") == 8000


def test_gauges_are_found_out_when_asked(caplog):
    metrics = ProxyMetrics()
    depth = {"PENDING": 3.0}
    metrics.add_gauge("inlier_tasks", "Tasks by status.", lambda: [({"status": k}, v) for k, v in depth.items()])
    metrics.add_gauge("inlier_broken", "Never known.", lambda: 1 / 0)
    assert "# HELP inlier_tasks Tasks by status.\n# TYPE inlier_tasks gauge\n" in metrics.show().decode()
    depth["PENDING"] = 5.0
    text = metrics.show().decode()
    assert sample(text, "inlier_tasks", status="PENDING") == 5
    assert "inlier_broken" not in text
    assert "the metric inlier_broken cannot be found out" in caplog.text


def open_breakers(text):
    return set(re.findall(r'inlier_gateway_breaker_open\{client="(\w+)",variation="(\w+)".*\} 1', text))


def test_a_breaker_is_shown_as_long_as_there_is_its_variation(database, keys, tmp_path):
    metrics, home = ProxyMetrics(Parts(2).board), HomeSettings(home=tmp_path)
    http = create_app(None, None, database, home, storage=MemoryStorage(), proxy_metrics=metrics).test_client()
    url = "http://127.0.0.1:9000/predict"
    variations = [{"label": label, "ratio": 0.5, "url": url} for label in "ab"]
    http.put("/clients/test/variations", json={"variations": variations})
    for label in "ab":
        metrics.breaker("test", label, is_open=True)
    assert open_breakers(http.get("/metrics").text) == {("test", "a"), ("test", "b")}
    http.put("/clients/test/variations", json={"variations": [variations[0] | {"ratio": 1.0}]})
    assert open_breakers(http.get("/metrics").text) == {("test", "a")}
    http.delete("/clients/test")
    assert open_breakers(http.get("/metrics").text) == set()


def test_all_breakers_are_shown_while_the_database_does_not_answer(caplog):
    metrics = ProxyMetrics()
    metrics.show_breakers_of(lambda: 1 / 0)
    metrics.breaker("test", "a", is_open=True)
    assert sample(metrics.show().decode(), "inlier_gateway_breaker_open", client="test", variation="a") == 1
    assert "which variations there are cannot be found out" in caplog.text


def test_the_page(http):
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "process_start_time_seconds" in answer.text


def test_a_key_of_role_read_opens_it(database, tmp_path):
    from serving.proxy import access

    with database.writing() as session:
        key = access.add_key(session, "scraper", "read")
    settings, home = ProxySettings(access="keys"), HomeSettings(home=tmp_path)
    guarded = create_app(settings, None, database, home, storage=MemoryStorage()).test_client()
    assert guarded.get("/metrics").status_code == 401
    assert guarded.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_real_processes_are_added_up_and_survive_each_other(tmp_path, migrated):
    """Each of two processes counts; whichever is asked shows both, also after one of them was killed."""
    (tmp_path / "inlier.db").write_bytes(migrated.read_bytes())
    port = free_port()
    environment = os.environ | {"INLIER_HOME": str(tmp_path), "INLIER_PROXY_WORKERS": "2", "INLIER_PROXY_THREADS": "1"}
    command = [sys.executable, "-m", "serving.proxy", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"

    def get(path):
        until = time.monotonic() + 60
        while True:
            try:
                return urllib.request.urlopen(base + path).read().decode()
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                assert time.monotonic() < until, (tmp_path / "log").read_text()
                time.sleep(0.05)

    try:
        get("/health/ping")
        for _ in range(20):
            assert get("/js/predict?consumer_key=nobodys&json=1") == 401
        labels = {"client": "", "variation": "", "status": "401"}
        seen = [sample(get("/metrics"), "inlier_gateway_requests_total", **labels) for _ in range(10)]
        assert seen == [20.0] * 10
        workers = children(process.pid)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        until = time.monotonic() + 60
        while len(set(children(process.pid)) - set(workers)) < 1:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert sample(get("/metrics"), "inlier_gateway_requests_total", **labels) == 20
    finally:
        process.terminate()
        process.wait(30)
