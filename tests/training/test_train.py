"""From features to a model."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from detectors.errors import UnknownDetector
from detectors.registry import DETECTORS
from training import defaults
from training import train as training
from training.artifacts import dump_model, parse_model
from training.errors import TrainingError
from training.features import Features
from training.synthetic import clusters, series
from training.train import reading_options, train


@pytest.fixture(params=DETECTORS)
def any_detector(request: pytest.FixtureRequest) -> str:
    return request.param


def data_of(detector: str) -> tuple[Features, np.ndarray]:
    return series(n_rows=400, n_spikes=3, n_shifts=0) if DETECTORS[detector].kind == "univariate" else clusters(seed=0)


def test_every_detector_trains_and_comes_back(any_detector: str) -> None:
    features, labels = data_of(any_detector)
    model = train(any_detector, features, labels, seed=1)
    assert model.detector_name == any_detector
    assert model.n_rows == len(features)
    assert model.feature_names == features.names
    assert model.time_name == features.time_name
    assert 0.0 <= model.metrics["f1"] <= 1.0
    assert model.metrics["n_flagged"] == model.n_flagged
    assert model.score_histogram.counts.sum() == len(features)
    assert all(histogram.counts.sum() == len(features) for histogram in model.histograms.values())
    json.dumps(model.metadata(), allow_nan=False)
    read = parse_model(*dump_model(model))
    assert read.metadata() == model.metadata()
    assert training.training_scores(read.detector, features).tobytes() == (
        training.training_scores(model.detector, features).tobytes()
    )


def test_the_same_seed_gives_the_same_file_but_for_the_date(any_detector: str) -> None:
    features, _ = data_of(any_detector)
    first, second = (train(any_detector, features, seed=5) for _ in range(2))
    first.trained_at = second.trained_at
    assert dump_model(first) == dump_model(second)


def test_the_date_is_now_in_utc() -> None:
    trained = datetime.fromisoformat(train("inne", clusters()[0]).trained_at)
    assert trained.utcoffset() is not None
    assert abs((datetime.now(UTC) - trained).total_seconds()) < 600


def test_progress_is_reported() -> None:
    seen: list[tuple[float, str]] = []
    train("iNNE", clusters()[0], progress=lambda share, doing: seen.append((share, doing)))
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    assert seen[0] == (0.0, "fitting iNNE on 3005 rows")
    assert seen[-1][0] == 1.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_estimator": 3}, "iNNE has no parameter 'n_estimator'; did you mean n_estimators"),
        ({"xyz": 3}, "iNNE has no parameter 'xyz'; it has n_estimators, max_samples"),
        ({"n_estimators": 0}, "The 'n_estimators' parameter of INNE must be an int in the range"),
        ({"n_estimators": "many"}, "'n_estimators' parameter of INNE must be"),
        ({"random_state": 1}, "the seed is 2, random_state is 1: give one of them"),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train("inne", clusters()[0], parameters=parameters, seed=2)


def test_an_unknown_detector_is_named() -> None:
    with pytest.raises(UnknownDetector, match="did you mean inne"):
        train("inn", clusters()[0])


def test_rows_it_cannot_learn_from_are_refused() -> None:
    features = Features(np.zeros((1, 2)), ("a", "b"), source="one.csv")
    with pytest.raises(TrainingError, match=r"iNNE on one\.csv: "):
        train("inne", features)
    with pytest.raises(TrainingError, match="NaN"):
        train("inne", Features(np.full((9, 2), np.nan), ("a", "b")))


def test_labels_fit_the_rows() -> None:
    features, labels = clusters()
    with pytest.raises(TrainingError, match="3004 labels for 3005 rows of synthetic clusters"):
        train("inne", features, labels[1:])


def test_parameters_go_over_the_defaults_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(defaults.TRAINING_PARAMETERS, "inne", {"n_estimators": 5, "max_samples": (2, 4)})
    model = train("inne", clusters()[0], parameters={"n_estimators": 6}, seed=0)
    assert (model.parameters["n_estimators"], model.parameters["max_samples"]) == (6, [2, 4])


def test_every_default_of_training_is_a_parameter() -> None:
    for name, parameters in defaults.TRAINING_PARAMETERS.items():
        training.checked_parameters(DETECTORS[name], parameters, None)


def test_the_seed_is_for_those_who_draw() -> None:
    assert train("inne", clusters()[0], seed=9).parameters["random_state"] == 9
    assert "random_state" not in train("iqr", series()[0], seed=9).parameters


def test_many_rows_are_scored_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SCORED_ROWS", 100)
    features, labels = clusters()
    assert train("inne", features, seed=0).score_histogram.counts.sum() == 100
    assert train("inne", features, labels, seed=0).score_histogram.counts.sum() == 3005


def test_only_series_may_miss_values(any_detector: str) -> None:
    assert reading_options(any_detector)["missing"] is (DETECTORS[any_detector].kind == "univariate")
