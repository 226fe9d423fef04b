from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from serving.proxy import store
from serving.proxy.app import create_app
from serving.proxy.database import Database
from serving.settings import GatewaySettings, HomeSettings, ProxySettings, StorageSettings, TaskSettings
from tests.serving.proxy.fake_microservice import FakeMicroservice
from training.storage import MemoryStorage, Storage


@pytest.fixture
def storage() -> Storage:
    return MemoryStorage()


@pytest.fixture
def app(database: Database, storage: Storage, tmp_path: Path) -> Flask:
    return create_app(
        ProxySettings(max_rows=100, max_body_bytes=1_000_000),
        GatewaySettings(connect_ms=300, read_ms=300),
        database,
        HomeSettings(home=tmp_path),
        TaskSettings(max_open=50),
        StorageSettings(max_file_bytes=100_000),
        storage,
    )


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def keys(database: Database) -> dict[str, store.NewKeyPair]:
    """The client ``test`` with a key of each scope."""
    with database.writing() as session:
        client = store.add_client(session, "test")
        return {scope: store.add_key(session, client, scope) for scope in ("js", "all")}


@pytest.fixture
def microservice() -> Iterator[FakeMicroservice]:
    fake = FakeMicroservice()
    yield fake
    fake.close()


Predict = Callable[..., tuple[int, dict]]


@pytest.fixture
def served(http: FlaskClient, keys: dict[str, store.NewKeyPair], microservice: FakeMicroservice) -> Predict:
    """Ask /js/predict of a client whose only variation is the fake microservice."""
    put = http.put(
        "/clients/test/variations", json={"variations": [{"label": "inne", "ratio": 1.0, "url": microservice.url}]}
    )
    assert put.status_code == 200, put.text

    def predict(text: str, **parameters: str) -> tuple[int, dict]:
        query = {"consumer_key": keys["js"].consumer_key, "json": text} | parameters
        response = http.get("/js/predict", query_string=query)
        return response.status_code, response.get_json(force=True)

    return predict
