"""The whole on one machine, with real processes: `inlier up`, start-microservice, seldon-cli."""

import json
import os
import re
import signal
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest
import urllib3

from tests.serving.running_system import System
from training.sidecars import seal

START = "start-microservice --type prediction --client test -i inne seldonio/simulation_inne:1.0.1 rest 1.0"
PREDICT = (
    "seldon-cli --quiet api --client-name test --endpoint /js/predict "
    """--json '{"data":{"f1":2.1,"f2":2.05,"f3":1.95,"f4":2.01}}'"""
)
FAR = PREDICT.replace("2.1", "0").replace("2.05", "0").replace("1.95", "0").replace("2.01", "0")

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes through /proc")


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    # a name that trips over every quoting there is
    folder = tmp_path_factory.mktemp("it's 100% ;odd #é")
    system = System(folder)
    system.start()
    started = system.run(START)
    assert started.returncode == 0, started.stderr
    system.wait_for_examples()  # or its files appear while a test compares what there is
    yield system
    assert system.close() == 0
    system.wait_for(lambda: system.processes() == {})


def test_the_seeds_two_commands_word_for_word(system):
    predicted = system.run(PREDICT)
    assert predicted.returncode == 0, predicted.stderr
    answer = json.loads(predicted.stdout)
    assert re.fullmatch("[0-9a-f]{40}", answer["meta"].pop("puid"))
    assert answer["meta"] == {"modelName": "model_inne", "variation": "inne"}
    assert list(answer) == ["meta", "predictions", "custom"]
    assert answer["custom"] is None
    low, high = answer["predictions"]
    assert (low["predictedClass"], high["predictedClass"]) == ("Anomaly_score", "Complementary_score")
    assert low["prediction"] == low["confidence"] < 0.45
    assert low["prediction"] + high["prediction"] == pytest.approx(1, abs=1e-12)
    assert json.loads(system.run(FAR).stdout)["predictions"][0]["prediction"] > 0.95
    written = json.loads((system.folder / "k8s/conf/microservices/microservice-inne.json").read_text())
    assert [item["kind"] for item in written["items"]] == ["Deployment", "Service"]


def test_what_the_commands_print(system):
    loud = system.run(PREDICT.replace("--quiet ", ""))
    assert loud.stdout.startswith("response code 200\n{\n  ")
    wrong = system.run("""seldon-cli -q api --client-name test --endpoint /js/predict --json '{"data":{"f1":1}}'""")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert all(name in wrong.stderr for name in ("f2", "f3", "f4"))
    token = (
        """seldon-cli -q api --client-name test --endpoint /predict --json '{"data":{"f1":1,"f2":1,"f3":1,"f4":1}}'"""
    )
    assert json.loads(system.run(token).stdout)["meta"]["variation"] == "inne"
    status = system.run("start-microservice --status")
    assert re.search(r"inne +version \d+ +running +http://127.0.0.1:\d+/predict +test 1", status.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-i a seldonio/simulation_inne:1.0.1 rest 0.5", "add up to 0.5"),
        ("-i Inne seldonio/simulation_inne:1.0.1 rest 1", "'Inne'"),
        (
            "-i a seldonio/simulation_inne:1.0.1 rest .5 -i a seldonio/simulation_inne:1.0.1 rest .5",
            "two microservices",
        ),
        ("-i a nobody/knows:1 rest 1", "unknown image 'nobody/knows:1'"),
        ("-p a nowhere.pkl rest 1", "no model file nowhere.pkl"),
        ("-i a seldonio/simulation_inne:1.0.1 soap 1", "soap"),
        ("-i a seldonio/simulation_inne:1.0.1 rest much", "much"),
        ("-p a s3://bucket/model.pkl rest 1", "on a cluster only"),
        ("-i a seldonio/simulation_inne:1.0.1 rest 1 --no-wait", "for the runtime kubernetes"),
        ("-i a seldonio/simulation_inne:1.0.1 rest 1 --client nobody", "no client 'nobody'"),
        ("-i a seldonio/simulation_inne:1.0.1 rest 1 --type recommendation", "another product"),
        ("-i a seldonio/simulation_inne:1.0.1 rest 1 --home elsewhere", "`inlier up`"),
        ("--remove nothing", "there is no microservice 'nothing'; there are: inne"),
        ("", "nothing to start"),
    ],
)
def test_wrong_arguments_change_nothing(system, arguments, message):
    def state():
        clients = urllib3.request("GET", f"{system.server}/clients").json()
        files = {
            str(path) for path in system.folder.rglob("*") if "inlier.db" not in path.name and ".log" not in path.name
        }
        return clients, files, system.run("start-microservice --status").stdout

    before = state()
    done = system.run(f"start-microservice --client test {arguments}")
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("runtime: ")]
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert lines[0].startswith("error: ")
    after = state()
    assert after == before


def test_a_model_file_that_is_none_leaves_what_runs(system):
    broken = system.folder / "broken.pkl"
    broken.write_bytes(b"not a model")
    done = system.run("start-microservice --client test -p inne broken.pkl rest 1.0")
    assert done.returncode == 2
    assert "nothing vouches for it" in done.stderr
    (system.folder / "broken.pkl.json").write_bytes(seal(broken.read_bytes(), {}))
    done = system.run("start-microservice --client test -p inne broken.pkl rest 1.0")
    assert done.returncode == 2
    assert "what ran before still does" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(system.run(PREDICT).stdout)["meta"]["variation"] == "inne"
    assert len(list((system.home / "microservices").iterdir())) == 1


def test_a_model_file_is_served_and_kept(system):
    trained = next((system.home / "models").glob("inne.*/model.pkl"))
    mine = system.folder / "mine.pkl"
    for suffix in ("", ".json"):
        (system.folder / f"mine.pkl{suffix}").write_bytes(trained.with_name(trained.name + suffix).read_bytes())
    before = json.loads(system.run(PREDICT).stdout)["predictions"]
    done = system.run("start-microservice --client test -p mine mine.pkl rest 1.0")
    assert done.returncode == 0, done.stderr
    mine.unlink()
    answer = json.loads(system.run(PREDICT).stdout)
    assert answer["meta"]["variation"] == "mine"
    assert answer["predictions"] == before
    assert system.run(START).returncode == 0
    assert system.run("start-microservice --remove mine").returncode == 0
    assert not (system.home / "models" / "mine.1").exists()


def test_the_same_over_grpc(system):
    before = json.loads(system.run(PREDICT).stdout)["predictions"]
    done = system.run(START.replace(" rest ", " rpc "))
    assert done.returncode == 0, done.stderr
    (variation,) = urllib3.request("GET", f"{system.server}/clients/test").json()["variations"]
    assert variation["kind"] == "rpc"
    assert re.fullmatch(r"grpc://127.0.0.1:\d+", variation["url"])
    assert json.loads(system.run(PREDICT).stdout)["predictions"] == before
    assert system.run(START).returncode == 0


def test_a_model_of_the_storage_is_served(system):
    model = next((system.home / "models").glob("inne.*/model.pkl"))
    for suffix in ("", ".json"):
        content = model.with_name(model.name + suffix).read_bytes()
        stored = urllib3.request("PUT", f"{system.server}/files/shop/models/a.pkl{suffix}", body=content)
        assert stored.status == 201
    done = system.run("start-microservice --client test -p stored shop/models/a.pkl rest 1.0")
    assert done.returncode == 0, done.stderr
    assert json.loads(system.run(PREDICT).stdout)["meta"]["variation"] == "stored"
    assert system.run(START).returncode == 0
    assert system.run("start-microservice --remove stored").returncode == 0


class Load:
    """Clients that ask all the time, and what they were answered."""

    def __init__(self, system, threads=2):
        pair = json.loads((system.home / "credentials").read_text())["local"]["test"]["js"]
        self._fields = {**pair, "json": '{"data":{"f1":2.1,"f2":2.05,"f3":1.95,"f4":2.01}}'}
        self._url = f"{system.server}/js/predict"
        self._stop = threading.Event()
        self.answers = Counter()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def _ask(self):
        with urllib3.PoolManager(retries=False, timeout=30) as pool:
            while not self._stop.is_set():
                response = pool.request("GET", self._url, fields=self._fields)
                known = response.status == 200
                self.answers[response.json()["meta"]["variation"] if known else response.data] += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_roll_over_under_load_fails_no_request(system):
    assert system.run(START).returncode == 0
    with Load(system) as load:
        for _ in range(2):
            done = system.run(START)
            assert done.returncode == 0, done.stderr
            assert "stopped" in done.stderr
    assert set(load.answers) == {"inne"}, load.answers
    assert load.answers["inne"] > 50


@pytest.mark.slow
def test_an_a_b_test_is_shared_out(system):
    parts = {"a": 0.7, "b": 0.2, "c": 0.1}
    services = " ".join(f"-i {name} seldonio/simulation_inne:1.0.1 rest {ratio}" for name, ratio in parts.items())
    done = system.run(f"start-microservice --client test {services}")
    assert done.returncode == 0, done.stderr
    with Load(system) as load:
        system.wait_for(lambda: load.answers.total() >= 2000)
    n = load.answers.total()
    assert set(load.answers) == set(parts)
    for name, ratio in parts.items():
        assert abs(load.answers[name] - n * ratio) <= 4 * (n * ratio * (1 - ratio)) ** 0.5

    refused = system.run("start-microservice --remove a")
    assert refused.returncode == 2
    assert "share of the requests of client 'test'" in refused.stderr
    assert system.run(START).returncode == 0
    for name in parts:
        removed = system.run(f"start-microservice --remove {name}")
        assert removed.returncode == 0, removed.stderr
        assert not (system.folder / f"k8s/conf/microservices/microservice-{name}.json").exists()


@pytest.mark.slow
def test_other_clients_follow_a_roll_over(system):
    assert system.run("seldon-cli client --action setup --client-name other").returncode == 0
    assert system.run("seldon-cli keys --action create --client-name other --scope js").returncode == 0
    assert system.run(START.replace("test", "other", 1)).returncode == 0
    assert system.run(PREDICT).returncode == 0
    assert system.run(START).returncode == 0
    assert system.run(PREDICT.replace("test", "other", 1)).returncode == 0
    assert system.run("seldon-cli client --action delete --client-name other").returncode == 0


@pytest.mark.slow
def test_two_at_once_take_turns(system):
    done = []
    threads = [threading.Thread(target=lambda: done.append(system.run(START))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    assert len(list((system.home / "microservices").iterdir())) == 1
    assert system.run(PREDICT).returncode == 0


def test_gunicorns_own_errors_are_json_too(system):
    def raw(request):
        with socket.create_connection(("127.0.0.1", system.port), timeout=30) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                status = int(stream.readline().split()[1])
                head = dict(line.split(b": ") for line in iter(stream.readline, b"\r\n"))
                return status, json.loads(stream.read(int(head[b"Content-Length"])))

    assert raw(b"nonsense\r\n\r\n")[0] == 400
    status, answer = raw(b"GET /js/predict?json=" + b"x" * 2_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status == 414
    assert answer["error"]["code"]
    chunked = b"POST /clients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    assert raw(chunked + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n")[0] == 400


def test_a_body_of_20_mb_is_a_413(system):
    pair = json.loads((system.home / "credentials").read_text())["local"]["test"]["all"]
    token = urllib3.request("GET", f"{system.server}/token", fields=pair).json()["access_token"]
    chunks = iter([b" " * 1_000_000] * 20)
    for body in (b" " * 20_000_000, chunks):
        response = urllib3.request("POST", f"{system.server}/predict?oauth_token={token}", body=body, retries=False)
        assert response.status == 413
        assert response.json()["error"]["code"] == "REQUEST_ENTITY_TOO_LARGE"


def test_a_second_one_says_who_is_there(system):
    second = system.run("inlier up --port 1")
    assert second.returncode == 2
    assert f"process {system.process.pid}" in second.stderr
    elsewhere = system.run(f"inlier up --port {system.port}", INLIER_HOME="elsewhere")
    assert elsewhere.returncode == 2
    assert f"port {system.port} of 127.0.0.1 is in use" in elsewhere.stderr
    assert len(elsewhere.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_killed_microservice_comes_back(system):
    (pid,) = [pid for pid, command in system.processes().items() if "serving.cli serve" in command]
    os.kill(pid, signal.SIGKILL)
    system.wait_for(lambda: pid not in system.processes())
    system.wait_for(lambda: system.run(PREDICT).returncode == 0)


def test_everything_comes_back_after_a_restart_though_its_port_was_taken(system):
    assert system.close(signal.SIGINT) == 0
    system.wait_for(lambda: system.processes() == {})
    assert not (system.home / "up.json").exists()
    (path,) = (system.home / "microservices").iterdir()
    port = json.loads(path.read_text())["port"]
    with socket.create_server(("127.0.0.1", port)):
        system.start()
        system.wait_for(lambda: system.run(PREDICT).returncode == 0)
    assert json.loads(path.read_text())["port"] != port


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["supervisor", "up"])
def test_nothing_is_left_when_one_of_them_is_killed(system, victim):
    pid = int((system.home / "supervisord.pid").read_text()) if victim == "supervisor" else system.process.pid
    programs = [pid for pid, command in system.processes().items() if "serving." in command]
    assert len(programs) >= 3
    os.kill(pid, signal.SIGKILL)
    system.process.stdout.read()
    system.process.stdout.close()
    assert system.process.wait() != 0
    system.wait_for(lambda: not set(programs) & set(system.processes()))
    system.start()
    assert system.run("seldon-cli client --action list").returncode == 0


def test_a_lost_credentials_file_is_made_anew(system):
    assert system.close() == 0
    (system.home / "credentials").unlink()
    system.start()
    system.wait_for(lambda: system.run(PREDICT).returncode == 0)
