"""A model small enough to be made often."""

import pytest

from training.model import Model
from training.synthetic import clusters
from training.train import train


@pytest.fixture(scope="session")
def model() -> Model:
    features, labels = clusters(seed=3)
    return train("inne", features, labels, {"n_estimators": 8}, seed=3)
