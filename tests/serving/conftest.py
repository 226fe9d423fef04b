"""A small trained model that tests of this package share."""

from pathlib import Path

import pytest

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
