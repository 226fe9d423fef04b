"""`inlier up` on an address that other machines reach: keys, or nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.client import Client
from serving.errors import CallError
from tests.serving.running_system import System

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, dict[str, str]]]:
    system = System(tmp_path_factory.mktemp("beyond"), INLIER_HOST="0.0.0.0")
    keys = {
        role: system.run(f"inlier keys create my-{role} --role {role}").stdout.strip()
        for role in ("read", "run", "admin")
    }
    system.start()
    yield system, keys
    system.close()


def test_without_keys_it_does_not_start(tmp_path: Path) -> None:
    system = System(tmp_path, INLIER_HOST="0.0.0.0")
    done = system.run(f"inlier up --port {system.port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "make one with `inlier keys create NAME --role admin`, or say --insecure" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_keys_on_purpose(tmp_path: Path) -> None:
    system = System(tmp_path, INLIER_HOST="0.0.0.0")
    system.start("--insecure")
    with Client(system.server) as stranger:
        assert stranger.tasks() == []
    assert system.close() == 0


def test_each_key_does_what_it_may(system: tuple[System, dict[str, str]]) -> None:
    up, keys = system
    with Client(up.server, keys["read"]) as reader:
        assert reader.tasks() == []
        with pytest.raises(CallError, match="is of role read; PUT here needs run"):
            reader.upload(b"a\n1\n", "p/f/a.csv")
    with Client(up.server, keys["run"]) as runner:
        runner.upload(b"a\n" + b"1\n2\n" * 50, "p/f/a.csv")
        assert runner.wait(runner.train("iNNE", "p/f/a").id, 60).status == "SUCCESS"


def test_the_commands_take_their_key_from_the_environment(system: tuple[System, dict[str, str]]) -> None:
    up, keys = system
    start = "start-microservice --type prediction --client test -i inne seldonio/simulation_inne:1.0.1 rest 1.0"
    refused = up.run(start)
    assert refused.returncode == 2
    assert "an API key is needed" in refused.stderr
    started = up.run(start, INLIER_API_KEY=keys["admin"])
    assert started.returncode == 0, started.stderr
    predicted = up.run(
        "seldon-cli -q api --client-name test --endpoint /js/predict "
        """--json '{"data":{"f1":2,"f2":2,"f3":2,"f4":2}}'"""
    )
    assert "Anomaly_score" in predicted.stdout, predicted.stderr
    assert up.run("inlier task list", INLIER_API_KEY=keys["read"]).returncode == 0
