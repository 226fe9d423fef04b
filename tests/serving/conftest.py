"""What tests of this package share: a small trained model, and a database."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from serving.proxy.database import Database

from training.artifacts import save_model
from training.model import Model
from training.synthetic import clusters
from training.train import train


@pytest.fixture(scope="session")
def inne() -> Model:
    features, _ = clusters(seed=0)
    return train("inne", features, parameters={"n_estimators": 100, "max_samples": 32}, seed=7)


@pytest.fixture(scope="session")
def inne_file(inne: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(inne, tmp_path_factory.mktemp("model") / "model.pkl")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, migrated once for all tests."""
    # Here, not above: tests of commands that need no database run where there is no library for one.
    from serving.proxy.database import Database, sqlite_url
    from serving.proxy.schema import upgrade

    path = tmp_path_factory.mktemp("database") / "inlier.db"
    database = Database(sqlite_url(path))
    upgrade(database)
    database.close()
    return path


@pytest.fixture
def database(tmp_path: Path, migrated: Path) -> Iterator["Database"]:
    from serving.proxy.database import Database, sqlite_url

    database = Database(sqlite_url(Path(shutil.copy(migrated, tmp_path / "inlier.db"))))
    yield database
    database.close()
