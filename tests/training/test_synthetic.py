"""Generated data."""

import hashlib

import numpy as np
import pytest

from training.errors import TrainingError
from training.synthetic import clusters, series


def test_the_demo_has_three_clusters_and_five_anomalies() -> None:
    features, labels = clusters(seed=0)
    assert features.names == ("f1", "f2", "f3", "f4")
    assert features.values.shape == (3005, 4)
    assert labels.tolist() == [0] * 3000 + [1] * 5
    for centre, rows in zip((2.0, 4.0, 6.0, 0.0), np.split(features.values, [1000, 2000, 3000]), strict=True):
        assert np.abs(rows.mean(axis=0) - centre).max() < (0.02 if len(rows) == 1000 else 0.3)
        assert np.abs(rows.std(axis=0) - 0.1).max() < (0.02 if len(rows) == 1000 else 0.1)


def digest(values: np.ndarray) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]


def test_the_same_seed_gives_the_same_bits_in_every_version() -> None:
    assert digest(clusters(seed=0)[0].values) == "45f8158e84db3ca8"
    values = series(seed=0, season=0.0)[0].values  # the sine is the platform's
    assert digest(values) == "15d6acc4c2ee1cb9"


def test_another_seed_gives_others() -> None:
    assert (clusters(seed=1)[0].values != clusters(seed=2)[0].values).all()
    assert (clusters(seed=None)[0].values != clusters(seed=None)[0].values).all()


def test_any_clusters() -> None:
    features, labels = clusters(
        [[0.0, 0.0], [9.0, -9.0]], n_per_cluster=3, n_features=2, spread=0.0, n_anomalies=2, anomaly_centre=[5.0, 6.0],
        anomaly_spread=0.0,
    )  # fmt: skip
    assert features.values.tolist() == [[0.0, 0.0]] * 3 + [[9.0, -9.0]] * 3 + [[5.0, 6.0]] * 2
    assert labels.tolist() == [0] * 6 + [1] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_per_cluster": -1},
        {"spread": -0.1},
        {"spread": float("nan")},
        {"n_anomalies": -1},
        {"n_features": 0},
        {"n_per_cluster": 0, "n_anomalies": 0},
        {"centres": [[1.0, 2.0]], "n_features": 3},
        {"anomaly_centre": [1.0, 2.0], "n_features": 3},
    ],
)
def test_clusters_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(TrainingError):
        clusters(**wrong)


def test_a_series_has_times_and_labelled_anomalies() -> None:
    features, labels = series(n_rows=500, n_spikes=5, n_shifts=2, shift_rows=10, noise=0.1, seed=3)
    assert features.names == ("value",)
    assert features.time_name == "Time"
    assert features.times[0] == np.datetime64("2024-01-01")
    assert (np.diff(features.times) == np.timedelta64(1, "h")).all()
    assert labels.sum() == 5 + 2 * 10
    regular = 50.0 + 5.0 * np.sin(2.0 * np.pi * np.arange(500) / 24)
    off = np.abs(features.values[:, 0] - regular) > 1.0
    assert (off == labels.astype(bool)).all()


def test_several_series_have_anomalies_of_their_own() -> None:
    features, labels = series(n_rows=300, n_series=3, n_spikes=2, n_shifts=0)
    assert features.names == ("value1", "value2", "value3")
    assert labels.sum() <= 6


def test_a_series_without_anomalies_rises_by_its_trend() -> None:
    features, labels = series(n_rows=11, trend=10.0, season=0.0, noise=0.0, n_spikes=0, n_shifts=0)
    assert features.values[:, 0].tolist() == pytest.approx(range(50, 61))
    assert labels.sum() == 0


@pytest.mark.parametrize(
    "wrong", [{"n_rows": 0}, {"n_rows": 20}, {"noise": -1.0}, {"n_spikes": -1}, {"season_rows": 0}]
)
def test_series_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(TrainingError):
        series(**wrong)
