import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.microservice.server import _refuse_new_connections
from tests.serving.microservice.processes import Server, ours
from training.artifacts import save_model
from training.model import Model
from training.synthetic import clusters
from training.train import train

BODY = json.dumps({"data": {"ndarray": [[2.1, 2.05, 1.95, 2.01]]}}).encode()
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(inne_file: Path) -> Iterator[Server]:
    with ours(inne_file, INLIER_MAX_BODY_BYTES="100000", INLIER_BODY_SECONDS="0.5") as running:
        yield running


def test_it_says_what_it_serves(server: Server) -> None:
    assert "serving iNNE (4 features: f1, f2, f3, f4; 3005 rows" in server.output


def test_it_answers_over_the_wire(server: Server) -> None:
    status, body = server.post("/predict", BODY)
    assert status == 200
    assert json.loads(body)["data"]["ndarray"][0][0] < 0.45
    assert server.get("/health/status")[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_20_megabytes_is_413(server: Server, chunked: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    block = b" " * 1_000_000
    connection.request("POST", "/predict", iter([block] * 20) if chunked else block * 20, JSON, encode_chunked=chunked)
    answer = connection.getresponse()
    assert answer.status == 413
    assert "100000 bytes" in json.loads(answer.read())["status"]["info"]
    connection.close()


def test_a_client_that_waits_for_100_continue_hears_413(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw:
        raw.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 100")
        raw.sendall(b" " * 5000)
        assert b" 400 " in raw.recv(1000)


def test_a_body_that_stops_coming_is_408(server: Server) -> None:
    for head in (
        b"Content-Length: 100\r\n\r\n",
        b"Content-Length: 100\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw:
            raw.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n" + head)
            assert raw.recv(1000).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "junk", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_no_http_is_400(server: Server, junk: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw:
        raw.sendall(junk)
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")
    assert server.get("/health/ping")[0] == 200


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw:
        raw.sendall(
            b"GET /health/ping HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        received = b""
        while part := raw.recv(10_000):
            received += part
    assert received.index(b"pong") < received.index(b"HTTP/1.1 404")


class TestStart:
    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "serving.cli", "serve", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=60)

    def test_a_port_in_use(self, inne_file: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            found = self.run(str(inne_file), "--port", str(port))
        assert found.returncode == 2
        assert found.stderr == f"error: cannot listen on 127.0.0.1:{port}: Address already in use\n"

    @pytest.mark.parametrize(
        ("arguments", "environment", "message"),
        [
            (["/no/model.pkl"], {}, "there is no"),
            (["no.such.Class"], {}, "there is no module"),
            (["--host", "203.0.113.1", "x"], {}, "cannot listen on 203.0.113.1"),
            (["x"], {"PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "http"}, "PREDICTIVE_UNIT_HTTP_SERVICE_PORT"),
            (["x"], {"INLIER_MAX_ROWS": "0"}, "INLIER_MAX_ROWS"),
        ],
    )
    def test_one_line_says_what_hinders(self, arguments: list[str], environment: dict[str, str], message: str) -> None:
        found = (
            self.run("--port", "0", *arguments, **environment)
            if "HTTP" not in str(environment)
            else self.run(*arguments, **environment)
        )
        assert found.returncode == 2
        assert found.stderr.startswith("error: ")
        assert message in found.stderr
        assert found.stderr.count("\n") == 1

    def test_a_damaged_file(self, inne_file: Path, tmp_path: Path) -> None:
        damaged = tmp_path / "m.pkl"
        damaged.write_bytes(inne_file.read_bytes()[:-1] + b"x")
        shutil.copy(f"{inne_file}.json", f"{damaged}.json")
        assert "is not what was written" in self.run("--port", "0", str(damaged)).stderr

    def test_the_environment_of_seldon(self, inne_file: Path) -> None:
        environment = {
            "PREDICTIVE_UNIT_PARAMETERS": json.dumps(
                [{"name": "model_uri", "value": str(inne_file), "type": "STRING"}]
            ),
            "PREDICTIVE_UNIT_ID": "node",
            "PREDICTIVE_UNIT_IMAGE": "repo/inne:2",
            "INLIER_LOG_FORMAT": "json",
            "GUNICORN_ACCESS_LOG": "true",
        }
        with ours("serving.models.INNE", **environment) as server:
            meta = json.loads(server.post("/predict", BODY)[1])["meta"]
            assert meta["requestPath"] == {"node": "repo/inne:2"}
            assert server.terminate() == 0  # then all lines are written
            lines = [json.loads(line) for line in server.output.splitlines()]
            assert any(meta["puid"] in line["message"] for line in lines)


class Load:
    """Clients that ask without a pause until they are refused, and what became of their requests."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.port = port
        self.answers: list[bytes] = []
        self.unanswered: list[str] = []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self) -> None:
        connection = None
        while not self.stop.is_set():
            fresh = connection is None
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("POST", "/predict", BODY, JSON)
                answer = connection.getresponse()
                body = answer.read()
            except ConnectionRefusedError:
                return
            except OSError as error:
                self.unanswered.append(f"{'first' if fresh else 'later'} request of a connection: {error!r}")
                connection.close()  # type: ignore[union-attr]
                connection = None
                continue
            assert answer.status == 200, body
            self.answers.append(body)
            if answer.getheader("connection") == "close":
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def stop_under_load(model: Path) -> None:
    with ours(model, INLIER_DRAIN_SECONDS="0.1") as server:
        load = Load(server.port)
        while len(load.answers) < 50:
            time.sleep(0.005)
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 5
        load.join()
        assert load.unanswered == []
        assert server.output.rstrip().endswith("stopped")


def test_sigterm_loses_no_request(inne_file: Path) -> None:
    stop_under_load(inne_file)


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(100))
def test_sigterm_loses_no_request_in_a_hundred_tries(inne_file: Path, attempt: int) -> None:
    stop_under_load(inne_file)


def test_a_second_signal_stops_at_once(inne_file: Path) -> None:
    with ours(inne_file, INLIER_DRAIN_SECONDS="4") as server:
        server.process.send_signal(signal.SIGINT)
        while "stopping" not in server.output:
            time.sleep(0.01)
        assert server.terminate() == 0
        assert "again: stopping at once" in server.output


def test_a_prediction_that_does_not_end_does_not_hinder_the_end(inne_file: Path) -> None:
    with ours("tests.serving.microservice.classes.Slow", GUNICORN_THREADS="2", INLIER_DRAIN_SECONDS="0") as server:
        answers: list[tuple[int, bytes]] = []
        thread = threading.Thread(target=lambda: answers.append(server.post("/predict", {"strData": "60"})))
        thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        assert server.terminate() == 1
        assert time.monotonic() - began < 6
        thread.join()
        assert answers[0][0] == 503
        assert "1 requests were still under way" in server.output


class TestReload:
    def test_a_changed_file_is_served_and_no_request_is_lost(self, inne: Model, tmp_path: Path) -> None:
        path = save_model(inne, tmp_path / "model.pkl")
        other = train("inne", clusters(seed=1)[0], parameters={"n_estimators": 20, "max_samples": 8}, seed=1)
        other.trained_at = "2030-01-01T00:00:00+00:00"
        with ours(path, INLIER_RELOAD_SECONDS="0.1") as server:
            load = Load(server.port)
            for _ in range(2):
                for model in (other, inne):
                    save_model(model, path)
                    self.wait_for(server, model)
            load.stop.set()
            load.join()
            assert load.unanswered == []
            expected = {self.pair(server, inne), self.pair(server, other)}
            assert {self.of(body) for body in load.answers} <= expected

    def wait_for(self, server: Server, model: Model) -> None:
        end = time.monotonic() + 30
        while json.loads(server.get("/metadata")[1])["versions"] != [model.trained_at]:
            assert time.monotonic() < end
            time.sleep(0.02)

    def pair(self, server: Server, model: Model) -> tuple[str, float]:
        import numpy as np

        return model.trained_at, float(model.detector.anomaly_score(np.array([[2.1, 2.05, 1.95, 2.01]]))[0])

    def of(self, body: bytes) -> tuple[str, float]:
        answer = json.loads(body)
        return answer["meta"]["tags"]["version"], answer["data"]["ndarray"][0][0]

    def test_a_damaged_file_is_not_served(self, inne: Model, tmp_path: Path) -> None:
        path = save_model(inne, tmp_path / "model.pkl")
        with ours(path, INLIER_RELOAD_SECONDS="0.05") as server:
            path.write_bytes(b"junk")
            while "cannot be served, the one before stays" not in server.output:
                time.sleep(0.02)
            assert server.post("/predict", BODY)[0] == 200


def test_a_kernel_that_lets_only_root_drop_connections_is_no_reason_to_fail() -> None:
    class Refusing(socket.socket):
        def setsockopt(self, *arguments: object) -> None:
            raise PermissionError(1, "Operation not permitted")

    with Refusing() as listening:
        _refuse_new_connections(listening)


def test_of_new_connections_only_the_first_packet_is_dropped() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as early,
    ):
        _refuse_new_connections(listening)
        accepted, _ = listening.accept()
        with accepted:
            early.sendall(b"what was let in goes on")
            assert accepted.recv(100) == b"what was let in goes on"
        with pytest.raises(TimeoutError):
            socket.create_connection(listening.getsockname(), timeout=0.3)
