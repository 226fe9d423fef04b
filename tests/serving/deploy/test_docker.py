"""start-microservice with a container engine: a stand-in for its command line, and podman where there is one."""

import json
import os
import sys
import tarfile
from pathlib import Path

import pytest

from serving.cli.start_microservice import main
from tests.serving.deploy.proxies import RunningProxy
from training.files import sha256

FAKE = Path(__file__).parent / "programs" / "docker"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with RunningProxy(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture
def engine(tmp_path, monkeypatch):
    folder = tmp_path / "engine"
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("FAKE_DOCKER", str(folder))
    monkeypatch.setattr("serving.deploy.docker.POLL_SECONDS", 0.01)
    yield folder
    for container in containers(folder).values():
        if pid := container["State"].get("Pid"):
            os.kill(pid, 9)


def containers(folder):
    state = folder / "state.json"
    return json.loads(state.read_text())["containers"] if state.exists() else {}


@pytest.fixture
def start(tmp_path, proxy, monkeypatch, program):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INLIER_HOME", "home")
    monkeypatch.setenv("KUBECONFIG", "none")
    monkeypatch.setenv("INLIER_SERVER", proxy.server)
    monkeypatch.setenv("INLIER_API_KEY", proxy.key("admin"))

    return lambda *arguments: program(["start-microservice", *arguments], main)


def image(tag, name="inne", kind="rest"):
    return ("--client", "test", "-i", name, tag, kind, "1.0")


def test_start_roll_over_and_remove(start, engine, proxy):
    status, _, err = start(*image("seldonio/simulation_inne:1.0.1"))
    assert status == 0, err
    assert err.startswith("runtime: docker, because docker answers; there is no cluster")
    (title,) = containers(engine)
    assert title == "inlier-inne-1"
    first = proxy.variations()[0]["url"]
    assert first.startswith("http://127.0.0.1:")

    status, _, err = start(*image("shop/inne:2", kind="rpc"), "--replicas", "3")
    assert status == 0, err
    assert "inne: version 1 stopped" in err
    (second,) = containers(engine).values()
    assert second["Name"] == "/inlier-inne-2"
    assert "--env=INLIER_WORKERS=3" in second["words"]
    port = second["HostConfig"]["PortBindings"]["5000/tcp"][0]["HostPort"]
    assert proxy.variations()[0]["url"] == f"grpc://127.0.0.1:{port}"
    assert "inne  version 2  running  http://127.0.0.1:" in start("--status")[1]
    assert start("--remove", "inne")[0] == 0
    assert containers(engine) == {}
    assert proxy.variations() == []


def test_containers_are_locked_down(start, engine):
    assert start(*image("shop/inne:1"))[0] == 0
    words = next(iter(containers(engine).values()))["words"]
    hardened = {"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=10001:10001"}
    assert hardened <= set(words)
    published = [word for word in words if word.startswith("--publish")]
    assert len(published) == 2
    assert all(word.startswith("--publish=127.0.0.1:") for word in published)
    assert start("--remove", "inne")[0] == 0


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("shop/missing:1", "inne: docker create: Error response from daemon: pull access denied for shop/missing:1"),
        ("shop/broken:1", "inne: version 2 ended while it was starting; what ran before still does"),
    ],
)
def test_a_failure_leaves_what_ran(start, engine, proxy, tmp_path, tag, message):
    assert start(*image("shop/inne:1"))[0] == 0
    before = proxy.variations(), list(containers(engine)), sorted(tmp_path.rglob("*.json"))
    written = (tmp_path / "k8s/conf/microservices/microservice-inne.json").read_text()
    status, out, err = start(*image(tag))
    assert (status, out) == (2, "")
    assert message in err
    assert (proxy.variations(), list(containers(engine)), sorted(tmp_path.rglob("*.json"))) == before
    assert (tmp_path / "k8s/conf/microservices/microservice-inne.json").read_text() == written
    assert start("--remove", "inne")[0] == 0


def test_a_model_file_is_put_into_a_volume(start, engine, inne_file, tmp_path):
    status, _, err = start("--client", "test", "-p", "mine", str(inne_file), "rest", "1.0")
    assert status == 0, err
    (container,) = containers(engine).values()
    assert container["words"][-2:] == ["inlier/microservice:0.1.0", "/mnt/models/model.pkl"]
    with tarfile.open(engine / "inlier-mine-1-starting.tar") as archive:
        assert [(entry.name, entry.mode) for entry in archive] == [("model.pkl", 0o444), ("model.pkl.json", 0o444)]
        archive.extractall(tmp_path / "volume", filter="data")
    assert sha256(tmp_path / "volume/model.pkl") == sha256(inne_file)
    assert start("--remove", "mine")[0] == 0
    assert json.loads((engine / "state.json").read_text())["volumes"] == []


def test_what_an_interrupted_start_left_is_thrown_away(start, engine):
    assert start(*image("shop/inne:1"))[0] == 0
    state = json.loads((engine / "state.json").read_text())
    left = json.loads(json.dumps(state["containers"]["inlier-inne-1"]).replace("inne-1", "inne-2-starting"))
    left["State"].pop("Pid")
    left["Config"]["Labels"]["inlier.version"] = "2"
    state["containers"]["inlier-inne-2-starting"] = left
    (engine / "state.json").write_text(json.dumps(state))
    assert "version 2" not in start("--status")[1]
    assert start(*image("shop/inne:1"))[0] == 0
    assert list(containers(engine)) == ["inlier-inne-2"]
    assert start("--remove", "inne")[0] == 0


def test_a_network_of_the_engine(start, engine, proxy, monkeypatch):
    monkeypatch.setenv("INLIER_DEPLOY_DOCKER_NETWORK", "inlier")
    assert start(*image("shop/inne:1"))[0] == 0
    assert proxy.variations()[0]["url"] == "http://inlier-inne-1:9000/predict"
    words = next(iter(containers(engine).values()))["words"]
    assert words[words.index("--network-alias") + 1] == "inlier-inne-1"
    assert start("--remove", "inne")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--client", "test", "-p", "a", "s3://x/y", "rest", "1"), "on a cluster only"),
        ((*image("shop/inne:1"), "--no-wait"), "for the runtime kubernetes"),
        (image("--privileged"), "is no image"),
    ],
)
def test_bad_input_creates_nothing(start, engine, arguments, message):
    status, _, err = start(*arguments)
    assert status == 2
    assert message in err.splitlines()[-1]
    assert containers(engine) == {}


def test_an_engine_that_does_not_answer(start, engine):
    (engine / "away").touch()
    status, _, err = start(*image("shop/inne:1"))
    assert (status, len(err.splitlines())) == (2, 1)
    assert "docker ps: Cannot connect to the Docker daemon" in err
    assert "nothing to run microservices on" in err
