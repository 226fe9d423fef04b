"""The real gateway, of two processes, while one of a client's two microservices dies under load."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
import urllib3

from serving.deploy.addresses import free_port
from serving.proxy import store
from serving.proxy.bodies import VariationBody
from serving.proxy.database import Database, sqlite_url
from tests.serving.proxy.stand_in import StandIn

WORKERS, THREADS, FAILURES = 2, 4, 5
LOAD = 6  # requests at once
SEED_JSON = '{"data":{"f1":2.1,"f2":2.05}}'


class Gateway:
    """A running proxy and a client's key."""

    def __init__(self, folder, migrated):
        (folder / "inlier.db").write_bytes(migrated.read_bytes())
        self.database = Database(sqlite_url(folder / "inlier.db"))
        with self.database.writing() as session:
            self.client = store.add_client(session, "test")
            key = store.add_key(session, self.client, "js").consumer_key
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.query = urlencode({"consumer_key": key, "json": SEED_JSON})
        self.http = urllib3.PoolManager(maxsize=LOAD, block=True, timeout=30, retries=False)
        settings = {
            "INLIER_HOME": str(folder),
            "INLIER_PROXY_WORKERS": str(WORKERS),
            "INLIER_PROXY_THREADS": str(THREADS),
            "INLIER_GATEWAY_BREAKER_FAILURES": str(FAILURES),
            "INLIER_GATEWAY_BREAKER_MS": "500",
        }
        command = [sys.executable, "-m", "serving.proxy", "--port", str(port)]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while not self.answers():
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def answers(self):
        try:
            return self.http.request("GET", f"{self.url}/health/ping").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def share_out(self, *stand_ins):
        with self.database.writing() as session:
            store.replace_variations(
                session,
                store.find_client(session, "test"),
                [
                    VariationBody(label=label, ratio=0.5, kind=each.kind, url=each.url)
                    for label, each in zip("ab", stand_ins, strict=True)
                ],
            )

    def ask(self, _=None):
        answer = self.http.request("GET", f"{self.url}/js/predict?{self.query}")
        content = json.loads(answer.data)
        return content["meta"]["variation"] if answer.status == 200 else answer.status

    def load(self, n):
        """Return how many were answered by each variation, or with which error."""
        with ThreadPoolExecutor(LOAD) as pool:
            return Counter(pool.map(self.ask, range(n)))

    def close(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.http.clear()
        self.database.close()
        assert "Traceback" not in self.log.read_text()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, migrated):
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), migrated)
    yield gateway
    gateway.close()


@pytest.fixture(params=["rest", "rpc"])
def two(request, gateway):
    stand_ins = [StandIn(request.param, free_port()) for _ in range(2)]
    gateway.share_out(*stand_ins)
    yield stand_ins
    for each in stand_ins:
        each.close()


def until_both_answer(gateway):
    until = time.monotonic() + 60
    while not {"a", "b"} <= set(gateway.load(20)):
        assert time.monotonic() < until, gateway.log.read_text()


def test_a_killed_one_costs_nothing_and_comes_back(gateway, two):
    assert set(gateway.load(60)) == {"a", "b"}
    two[0].signal(signal.SIGKILL)
    assert gateway.load(300) == {"b": 300}
    two[0].start()
    until_both_answer(gateway)


def test_one_that_answers_with_errors_loses_its_share(gateway, two):
    gateway.load(20)
    two[0].signal(signal.SIGUSR1)
    found = gateway.load(300)
    # Each process learns by itself; what is under way then fails too
    assert 0 < found[502] <= WORKERS * (FAILURES + THREADS)
    assert set(found) == {502, "b"}
    assert gateway.load(200) == {"b": 200}


def test_one_that_hangs_costs_what_is_under_way(gateway, two):
    gateway.load(20)
    two[0].signal(signal.SIGSTOP)
    found = gateway.load(300)
    assert 0 < found[504] <= WORKERS * (FAILURES + THREADS)
    assert set(found) == {504, "b"}
    assert gateway.load(200) == {"b": 200}  # though it is tried again meanwhile
    two[0].signal(signal.SIGCONT)
    until_both_answer(gateway)


@pytest.mark.slow
def test_the_gateway_draws_by_the_ratios(gateway, two):
    n = 10_000
    found = gateway.load(n)
    assert set(found) == {"a", "b"}
    # 5 sigma: once in two million runs by chance
    assert abs(found["a"] - n / 2) <= 5 * (n / 4) ** 0.5
