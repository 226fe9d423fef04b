"""Columns in any order, warming up, and what is known of a model."""

import json
import re

import numpy as np
import pytest

from detectors.errors import UnknownFeatures
from training.model import Model
from training.synthetic import series
from training.train import train

ROWS = np.arange(8.0).reshape(2, 4)


def test_columns_are_found_by_name(model: Model) -> None:
    shuffled = [2, 0, 3, 1]
    names = [model.feature_names[index] for index in shuffled]
    arranged = model.arrange(ROWS[:, shuffled], names)
    assert (arranged == ROWS).all()
    assert arranged.flags.c_contiguous


@pytest.mark.parametrize("names", [None, [], ["f1", "f2", "f3", "f4"], ("f1", "f2", "f3", "f4")])
def test_rows_in_order_are_not_copied(model: Model, names: list[str] | None) -> None:
    assert model.arrange(ROWS, names) is ROWS


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["f1", "f2", "f3"], "features missing: 'f4'"),
        (["f1", "f2"], "features missing: 'f3', 'f4'"),
        (["f1", "f2", "f3", "g"], "features missing: 'f4'; unknown: 'g'"),
        (["f1", "f2", "f3", "F4"], "features missing: 'f4'; unknown: 'F4' (nearest: 'f4')"),
        (["f1", "f2", "f3", "f4", "Time"], "features unknown: 'Time'"),
        (["f1", "f2", "f3", "f4", "f4"], "features more than once: 'f4'"),
    ],
)
def test_other_features_are_all_named(model: Model, names: list[str], message: str) -> None:
    with pytest.raises(UnknownFeatures, match=f"^{re.escape(message)}$"):
        model.arrange(np.zeros((1, len(names))), names)


def test_many_unknown_features_are_counted(model: Model) -> None:
    names = [f"column{index}" for index in range(100)]
    with pytest.raises(UnknownFeatures, match="'column9' and 90 more"):
        model.arrange(np.zeros((1, 100)), names)


@pytest.mark.parametrize("rows", [np.zeros((2, 3)), np.zeros((2, 5)), np.zeros(4), np.zeros((1, 2, 4))])
def test_rows_of_another_width_are_refused(model: Model, rows: np.ndarray) -> None:
    with pytest.raises(UnknownFeatures, match="rows of 4 numbers are expected"):
        model.arrange(rows)


def test_names_and_rows_fit(model: Model) -> None:
    with pytest.raises(UnknownFeatures, match="4 names for rows of shape"):
        model.arrange(np.zeros((2, 3)), model.feature_names)


def test_what_is_known_of_it_is_json(model: Model) -> None:
    known = json.loads(json.dumps(model.metadata(), allow_nan=False))
    assert known["detector"] == "inne"
    assert known["title"] == "iNNE"
    assert known["kind"] == "multivariate"
    assert known["threshold"] == model.detector.threshold_
    assert known["feature_names"] == ["f1", "f2", "f3", "f4"]
    assert known["parameters"]["n_estimators"] == 8
    assert known["seed"] == 3
    assert known["n_rows"] == 3005
    assert set(known["versions"]) == {"python", "inlier", "numpy", "scikit-learn", "scipy", "numba"}


def test_a_file_from_before_auto_is_read(model: Model) -> None:
    encoded = model.__getstate__()
    known = json.loads(encoded["facts"])
    del known["chosen_because"]
    twin = object.__new__(Model)
    twin.__setstate__({**encoded, "facts": json.dumps(known)})
    assert twin.chosen_because is None


def test_warming_up_changes_nothing(model: Model) -> None:
    before = model.detector.anomaly_score(ROWS)
    model.warm_up()
    assert (model.detector.anomaly_score(ROWS) == before).all()


@pytest.mark.parametrize("parameters", [{"window": "1h"}, {"window": 3}])
def test_a_model_of_a_series_warms_up_with_times(parameters: dict[str, object]) -> None:
    features, _ = series(n_series=2)
    train("persist", features, parameters=parameters).warm_up()
