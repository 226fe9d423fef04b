"""From features to a model."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from detectors.errors import UnknownDetector
from detectors.registry import DETECTORS
from training import auto, candidates, defaults
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
    with pytest.raises(TrainingError, match=r"^one\.csv: iNNE needs 2 rows or more, and there is 1$"):
        train("inne", features)
    with pytest.raises(TrainingError, match="NaN"):
        train("inne", Features(np.full((9, 2), np.nan), ("a", "b")))


@pytest.mark.parametrize(
    ("detector", "parameters", "told"),
    [
        ("iqr", {}, "series.csv, column 'b': IQR has nothing to learn from: not one of the 9 values can be judged"),
        (
            "persist",
            {},
            "series.csv, column 'b': Persist has nothing to learn from: not one of the 9 values can be judged",
        ),
        ("subpca", {"window": 10}, "series.csv: SubPCA needs a longer series: its window is 10 rows, and there are 9"),
    ],
)
@pytest.mark.parametrize("search", [True, False])
def test_too_little_is_told_by_file_and_column(
    detector: str, parameters: dict[str, int], told: str, search: bool
) -> None:
    values = np.column_stack([np.arange(9.0), np.full(9, np.nan)])
    features = Features(values, ("a", "b"), source="series.csv")
    labels = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0]) if search else None
    with pytest.raises(TrainingError) as refused:
        train(detector, features, labels, parameters)
    assert str(refused.value) == told


def test_auto_names_a_column_where_values_are_missing() -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan]])
    with pytest.raises(TrainingError, match=r"missing in f\.csv, as in its column 'b'; without labels auto is iNNE"):
        train("auto", Features(values, ("a", "b"), source="f.csv"))


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


def test_auto_searches_all_that_may_judge_the_rows() -> None:
    features, labels = clusters(n_per_cluster=60)
    model = train("Auto", features, labels, seed=0)
    tried = {candidate["detector"] for candidate in model.metrics["search"]["candidates"]}
    assert tried == {"inne", "dbscan", "iqr", "quantile"}
    assert model.detector_name == model.metrics["search"]["detector"]
    low, high = model.metrics["search"]["f1_interval"]
    assert 0.0 <= low <= model.metrics["search"]["f1_cross_validated"] <= high <= 1.0
    assert parse_model(*dump_model(model)).metadata() == model.metadata()


def test_auto_judges_the_order_of_rows_where_times_tell_it() -> None:
    line, labels = series(n_rows=300, n_spikes=6, n_shifts=0)
    assert set(auto.families(line)) == set(DETECTORS)
    assert {"inne", "iqr"} <= set(auto.families(Features(line.values, line.names))) <= set(DETECTORS) - {"persist"}
    line.values[3] = np.nan
    assert not {"inne", "dbscan"} & set(auto.families(line))
    model = train("auto", line, labels, seed=0)
    assert DETECTORS[model.detector_name].kind == "univariate"


def test_a_series_detector_that_the_search_does_not_know_trains_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line, labels = series(n_rows=300, n_spikes=6, n_shifts=0)
    monkeypatch.delitem(candidates._FAMILIES, "persist")
    model = train("persist", line, labels, seed=0)
    assert "search" not in model.metrics
    assert model.metrics["n_anomalies"] == 6
    assert "persist" not in auto.families(line)


def test_auto_without_labels_is_what_suits_a_series_with_times() -> None:
    line, _ = series()
    model = train("auto", line, seed=3)
    assert model.detector_name == "persist"
    assert model.chosen_because is not None
    assert "leap away" in model.chosen_because
    assert train("iqr", line).chosen_because is None


def test_auto_without_labels_is_inne() -> None:
    features, labels = clusters(n_per_cluster=60)
    for model in (
        train("auto", features, seed=3),
        train("auto", features, np.zeros_like(labels), seed=3),
        train("auto", features, labels, seed=3, search=False),
    ):
        usual = train("inne", features, seed=3)
        assert (model.detector_name, model.parameters) == ("inne", usual.parameters)
        assert model.threshold == usual.threshold
    with pytest.raises(TrainingError, match="auto is iNNE, which takes none: name a detector of series"):
        train("auto", Features(np.full((9, 2), np.nan), ("a", "b")))


def test_auto_takes_no_parameters() -> None:
    with pytest.raises(TrainingError, match="so it takes no 'n_estimators'"):
        train("auto", clusters()[0], parameters={"n_estimators": 3})


def test_scaling_may_be_told() -> None:
    features, _ = clusters(n_per_cluster=60)
    assert train("inne", features, seed=0).parameters["scaling"] == "absolute"
    assert "scaling" not in train("inne", features, parameters={"scaling": "none"}, seed=0).parameters
    assert train("dbscan", features, parameters={"scaling": "robust"}).parameters["scaling"] == "robust"
    with pytest.raises(TrainingError, match=r"iNNE on .*'scaling' parameter"):
        train("inne", features, parameters={"scaling": "rather"})
    with pytest.raises(TrainingError, match="IQR has no parameter 'scaling'"):
        train("iqr", features, parameters={"scaling": "robust"})


def test_the_units_of_features_do_not_matter() -> None:
    features, _ = clusters(n_per_cluster=60)
    other = Features(features.values * 2.0 ** np.array([-30, 0, 9, 40]), features.names)
    scores = [train("inne", one, seed=0).detector.anomaly_score(one.values) for one in (features, other)]
    np.testing.assert_array_equal(*scores)
