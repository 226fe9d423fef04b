"""start-microservice where nothing runs; with a running system it is tested in tests/serving/deploy/test_system.py."""

import json

import pytest

from serving.cli.start_microservice import main


@pytest.fixture
def start(tmp_path, monkeypatch, program):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INLIER_HOME", "home")
    monkeypatch.setenv("KUBECONFIG", "none")
    monkeypatch.setenv("PATH", "")

    yield lambda *arguments: program(["start-microservice", *arguments], main)
    assert not (tmp_path / "k8s").exists()
    assert not (tmp_path / "home").exists()


SEEDS = ("--type", "prediction", "--client", "test", "-i", "inne", "seldonio/simulation_inne:1.0.1", "rest", "1.0")


def test_a_dry_run_prints_the_manifest(start):
    status, out, err = start(*SEEDS, "--dry-run", "--replicas", "2")
    assert (status, err) == (0, "")
    deployment, service = json.loads(out)["items"]
    assert deployment["spec"]["replicas"] == 2
    assert service["metadata"]["name"] == "inne"


def test_where_nothing_runs(start):
    status, out, err = start(*SEEDS)
    assert (status, out) == (2, "")
    assert "nothing to run microservices on: nothing runs in " in err
    assert len(err.splitlines()) == 1
    status, _, err = start(*SEEDS, "--runtime", "process")
    assert status == 2
    assert "start it with `inlier up`" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--nope",), "--nope"),
        (("-i", "inne"), "-i"),
        (("-i", "inne", "x", "rest", "much"), "much"),
        (("--type", "nope"), "nope"),
        (("--type", "recommendation"), "another product"),
        (("--replicas", "0"), "0"),
        (("--runtime", "swarm"), "swarm"),
        (("--status", "-i", "a", "x", "rest", "1"), "leave out -i and -p"),
        (("--dry-run",), "nothing to start"),
        (("--dry-run", "-i", "a.b", "x", "rest", "1"), "'a.b'"),
    ],
)
def test_wrong_usage_is_one_line(start, arguments, message):
    status, out, err = start(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
