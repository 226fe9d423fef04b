import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.registry import DETECTORS
from serving import detector_model, models
from serving.errors import BadData, ComponentError
from training import synthetic
from training.artifacts import save_model
from training.errors import ModelNotFound
from training.model import Model
from training.train import train

ROW = [2.1, 2.05, 1.95, 2.01]


@pytest.fixture
def served(inne: Model) -> models.INNE:
    return models.INNE.of(inne)


def test_every_detector_has_a_class() -> None:
    assert models.MODELS.keys() == DETECTORS.keys()
    for name, served in models.MODELS.items():
        assert getattr(models, served.__name__) is served
        assert served.__name__.lower() == name


def test_the_two_scores_add_up_to_one(served: models.INNE) -> None:
    answer = served.predict(np.array([ROW, [0.0, 0.0, 0.0, 0.0]]), [])
    assert answer.shape == (2, 2)
    np.testing.assert_array_equal(answer.sum(axis=1), 1.0)
    assert answer[0, 0] < 0.45
    assert answer[1, 0] > 0.95
    np.testing.assert_array_equal(answer[:, 0], served.model.detector.anomaly_score(np.array([ROW, [0.0] * 4])))
    assert served.class_names() == ["Anomaly_score", "Complementary_score"]


def test_tags_and_metrics_are_about_the_last_prediction_of_the_thread(served: models.INNE) -> None:
    served.predict([ROW, [0, 0, 0, 0]], None)
    elsewhere = threading.Thread(target=served.predict, args=([[0, 0, 0, 0]], None))
    elsewhere.start()
    elsewhere.join()
    assert served.tags() == {
        "model_name": "model_inne",
        "detector": "iNNE",
        "version": served.model.trained_at,
        "threshold": served.model.threshold,
        "labels": [0, 1],
    }
    assert [(metric["key"], metric["value"]) for metric in served.metrics()] == [
        ("inlier_rows", 2),
        ("inlier_anomalies", 1),
    ]
    calls: tuple[Callable[[], Any], ...] = (
        served.health_status,
        lambda: served.transform_input([ROW], None, meta={}),
        lambda: served.transform_output([ROW], None, meta={}),
        lambda: served.send_feedback([ROW], [], 1.0, [], routing=None),
    )
    for call in calls:
        served.predict([ROW], None)
        call()
        assert "labels" not in served.tags()
        assert served.metrics() == []


def test_features_come_in_any_order_or_as_objects(served: models.INNE) -> None:
    expected = served.predict([ROW], None)
    np.testing.assert_array_equal(served.predict([ROW[::-1]], ["f4", "f3", "f2", "f1"]), expected)
    np.testing.assert_array_equal(served.predict([ROW], ("f1", "f2", "f3", "f4")), expected)
    np.testing.assert_array_equal(served.predict(dict(zip(["f1", "f2", "f3", "f4"], ROW, strict=True)), []), expected)
    np.testing.assert_array_equal(served.predict([{"f2": 2.05, "f1": 2.1, "f4": 2.01, "f3": 1.95}], []), expected)


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        ([ROW], ["f1", "f2", "f3", "g4"], "missing: 'f4'; unknown: 'g4'"),
        ([ROW], ["f1"], "missing: 'f2', 'f3', 'f4'"),
        ([ROW], ["f1", "f1", "f2", "f3", "f4"], "more than once: 'f1'"),
        ([ROW[:3]], ["f1", "f2", "f3", "f4"], "4 names for rows of 3 numbers"),
        ([ROW[:3]], [], "rows of 4 numbers"),
        ([[1, 2, 3, "x"]], [], "row 1, feature f4: 'x' is not a number"),
        (np.array([[1, 2, 3, np.nan]]), [], "row 1, feature f4: NaN is not a finite number"),
        (np.array([[1, 2, np.inf, 3]]), [], "row 1, feature f3: Infinity is not a finite number"),
        ("text", [], "rows of numbers are needed, not text"),
        ({}, [], "row 1 is empty"),
    ],
)
def test_what_is_wrong_is_named(served: models.INNE, rows: object, names: list[str], message: str) -> None:
    with pytest.raises(BadData, match=message):
        served.predict(rows, names)


def test_contributions_belong_to_the_rows(served: models.INNE) -> None:
    served.predict([ROW, [2, 2, 2, 9]], None)
    judged = served.judged()
    assert judged is not None
    contributions = served.explain(judged)
    assert contributions.shape == (2, 4)
    assert contributions[1].argmax() == 3


def test_metadata_holds_what_seldon_asks_for(served: models.INNE) -> None:
    found = served.init_metadata()
    assert found["name"] == "model_inne"
    assert found["inputs"][0]["schema"] == {"names": ["f1", "f2", "f3", "f4"], "shape": [4]}
    assert all(isinstance(value, str) for value in found["custom"].values())


class TestFiles:
    def test_a_file_a_folder_or_an_address(self, inne_file: Path) -> None:
        for uri in (str(inne_file), str(inne_file.parent), f"file://{inne_file}"):
            served = models.INNE(model_uri=uri)
            served.load()
            assert served.feature_names() == ["f1", "f2", "f3", "f4"]
            assert isinstance(models.serve_file(uri), models.INNE)

    def test_what_the_environment_says(self, inne_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert models.INNE().model_uri == "/mnt/models"
        monkeypatch.setenv("INLIER_MODEL", str(inne_file))
        assert models.INNE().predict([ROW]).shape == (1, 2)

    def test_a_folder_with_none_or_several(self, tmp_path: Path) -> None:
        with pytest.raises(ComponentError, match="it holds none"):
            models.serve_file(tmp_path)
        (tmp_path / "a.pkl").touch()
        (tmp_path / "b.pkl").touch()
        with pytest.raises(ComponentError, match=r"a\.pkl, b\.pkl"):
            models.INNE(model_uri=str(tmp_path)).load()

    def test_what_is_not_there_or_of_another_kind(self, tmp_path: Path) -> None:
        with pytest.raises(ModelNotFound):
            models.INNE(model_uri=str(tmp_path / "none.pkl")).load()
        with pytest.raises(ComponentError, match="only files"):
            models.INNE(model_uri="s3://bucket/model").load()

    def test_the_model_of_another_detector(self, inne: Model, tmp_path: Path) -> None:
        class Other(detector_model.DetectorModel):
            detector = "other"

        path = save_model(inne, tmp_path / "m.pkl")
        with pytest.raises(ComponentError, match="Other serves other, the file is inne"):
            Other(model_uri=str(path)).load()


class TestSeries:
    @pytest.fixture
    def series(self) -> models.Persist:
        features, _ = synthetic.series(seed=0)
        return models.Persist.of(train("persist", features, parameters={"c": 3.0}, seed=0))

    def test_one_new_value_is_judged_by_the_end_of_the_training_series(self, series: models.Persist) -> None:
        name = series.feature_names()[0]
        last = float(series.model.detector.tail_[-1, 0])  # type: ignore[attr-defined]
        near, far = (series.predict([[value]], [name])[0, 0] for value in (last, last + 1e6))
        assert near < 0.5 < far
        assert series.predict([[last + 1e6]])[0, 0] == far

    def test_a_missing_value_has_no_verdict(self, series: models.Persist) -> None:
        assert series.predict([[None]]).tolist() == [[0.0, 1.0]]
        assert series.tags()["no_verdict"] == [0]
        assert series.predict(np.array([[np.nan]])).tolist() == [[0.0, 1.0]]

    def test_times_come_beside_the_values_in_any_order(self, series: models.Persist) -> None:
        name = series.feature_names()[0]
        rows = [["2035-01-01 00:00:00", 1.5], ["2035-01-01 00:00:01", 99999.5]]
        expected = series.predict(rows, ["Time", name])
        assert expected[1, 0] > 0.5
        swapped = series.predict([[value, time] for time, value in rows], [name, "Time"])
        np.testing.assert_array_equal(swapped, expected)
        np.testing.assert_array_equal(series.predict(rows[::-1], ["Time", name]), expected[::-1])
        np.testing.assert_array_equal(series.predict(np.array(rows), ["Time", name]), expected)
        judged = series.judged()
        assert judged is not None
        assert series.explain(judged).shape == (2, 1)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([["yesterday", 1]], "Time: 'yesterday' is no time"),
            ([[None, 1]], "Time: "),
            ([["2035-01-01", "x"]], "'x' is not a number"),
            ([["2035-01-01"]], "rows of 2 values"),
            ([[True, 1]], "Time: "),
            ([["2035-01-01", float("inf")]], "Infinity is not a finite number"),
        ],
    )
    def test_what_is_wrong_is_named(self, series: models.Persist, rows: object, message: str) -> None:
        with pytest.raises(BadData, match=message):
            series.predict(rows, ["Time", series.feature_names()[0]])
