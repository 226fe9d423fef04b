"""Prediction files: the rows of the input in their order."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from detectors.errors import UnknownFeatures
from training.data import read_features
from training.errors import DataError
from training.features import Features
from training.model import Model
from training.predictions import (
    Predictions,
    _with_orjson,
    _with_pandas,
    predict,
    print_predictions,
    write_predictions,
)
from training.synthetic import clusters, series
from training.times import formatted
from training.train import train


def test_scores_read_back_as_the_same_bits(model: Model, tmp_path: Path) -> None:
    features, _ = clusters(seed=8)
    predictions = predict(model, features)
    path = write_predictions(tmp_path / "scores.csv", predictions, features)
    read = read_features(path)
    assert read.names == ("anomaly_score", "complementary_score", "label")
    assert (read.values[:, 0] == model.detector.anomaly_score(features.values)).all()
    assert (read.values[:, 1] == 1.0 - read.values[:, 0]).all()
    assert (read.values[:, 2] == (read.values[:, 0] > model.threshold)).all()
    assert path.read_text().splitlines()[1].endswith(",0")
    assert [file.name for file in tmp_path.iterdir()] == ["scores.csv"]


def test_columns_are_found_by_name(model: Model) -> None:
    features, _ = clusters(seed=8)
    turned = Features(features.values[:, ::-1], features.names[::-1])
    assert (predict(model, turned).scores == predict(model, features).scores).all()
    with pytest.raises(UnknownFeatures, match="missing: 'f1'"):
        predict(model, Features(features.values[:, 1:], features.names[1:]))


def test_rows_that_are_refused_are_those_of_a_file(model: Model) -> None:
    with pytest.raises(DataError, match=r"^some\.csv: .*NaN"):
        predict(model, Features(np.full((2, 4), np.nan), model.feature_names, source="some.csv"))


def test_blocks_are_one_file(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features, _ = clusters(seed=8)
    predictions = predict(model, features)
    whole = write_predictions(tmp_path / "whole.csv", predictions, features).read_bytes()
    monkeypatch.setattr("training.predictions._WRITTEN_ROWS", 7)
    assert write_predictions(tmp_path / "blocks.csv", predictions, features).read_bytes() == whole
    printed = io.StringIO()
    print_predictions(printed, predictions, features)
    assert printed.getvalue().encode() == whole


def test_a_folder_that_is_missing_is_named(model: Model, tmp_path: Path) -> None:
    features, _ = clusters(seed=8)
    with pytest.raises(DataError, match=r"missing/scores\.csv: cannot be written"):
        write_predictions(tmp_path / "missing" / "scores.csv", predict(model, features), features)


@pytest.fixture
def gap() -> Features:
    features, _ = series(n_rows=100, n_spikes=1, n_shifts=0, seed=2)
    features.values[50] = np.nan
    return features


def test_a_missing_value_has_empty_cells(gap: Features, tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "scores.csv", predict(train("iqr", gap), gap), gap)
    lines = path.read_text().splitlines()
    assert lines[0] == "Time,anomaly_score,complementary_score,label"
    assert lines[51] == "2024-01-03 02:00:00,,,"
    assert lines[1].startswith("2024-01-01 00:00:00,0.")
    assert lines[1].endswith(",0")


def test_parquet(gap: Features, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = write_predictions(tmp_path / "scores.parquet", predict(train("iqr", gap), gap), gap)
    frame = pd.read_parquet(path)
    assert frame["label"].isna().sum() == 1
    assert frame["anomaly_score"].notna().sum() == 99


def test_several_series_have_a_score_each(tmp_path: Path) -> None:
    features, _ = series(n_rows=100, n_series=2, n_spikes=1, n_shifts=0, seed=2)
    features.values[50, 0] = np.nan
    features.values[51] = np.nan
    model = train("quantile", features)
    predictions = predict(model, features)
    frame = pd.read_csv(write_predictions(tmp_path / "scores.csv", predictions, features))
    assert [*frame] == [
        *("Time", "anomaly_score", "complementary_score", "label"),
        *("value1_anomaly_score", "value2_anomaly_score"),
    ]
    columns = frame[["value1_anomaly_score", "value2_anomaly_score"]]
    assert columns.isna().sum().tolist() == [2, 1]
    assert frame["anomaly_score"].isna().sum() == 1
    assert np.array_equal(frame["anomaly_score"], columns.max(axis=1), equal_nan=True)
    assert (predictions.scores == model.detector.anomaly_score(features.values, times=features.times)).all()


def test_history_judges_the_first_row() -> None:
    features, _ = series(n_rows=100, n_spikes=1, n_shifts=0)
    model = train("persist", features)
    later = Features(np.array([[200.0]]), ("value",), features.times[-1:] + np.timedelta64(1, "h"), "Time", "iso")
    alone, continued = predict(model, later), predict(model, later, history="fitted")
    assert alone.missing is not None
    assert alone.missing.tolist() == [True]
    assert continued.missing is None
    assert continued.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("cells", "written"),
    [
        (["1714521600", "1714525200"], ["1714521600", "1714525200"]),
        (["1714521600000", "1714525200000"], ["1714521600000", "1714525200000"]),
        (["2024-05-01T00:00:00Z", "2024-05-01T01:00:00Z"], ["2024-05-01 00:00:00+00:00", "2024-05-01 01:00:00+00:00"]),
    ],
)
def test_times_are_written_as_the_file_has_them(tmp_path: Path, cells: list[str], written: list[str]) -> None:
    source = tmp_path / "series.csv"
    source.write_text("ts,value\n" + "".join(f"{cell},{index}\n" for index, cell in enumerate(cells)))
    features = read_features(source)
    path = write_predictions(tmp_path / "scores.csv", predict(train("iqr", features), features), features)
    lines = path.read_text().splitlines()
    assert lines[0].startswith("ts,")
    assert [line.partition(",")[0] for line in lines[1:]] == written


@pytest.mark.parametrize("name", ["anomaly_score", "complementary_score", "label", "value2_anomaly_score"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_time_column_called_like_a_score_is_written_as_time(name: str, suffix: str, tmp_path: Path) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    features, _ = series(n_rows=50, n_series=2, n_spikes=1, n_shifts=0)
    features = replace(features, time_name=name)
    path = write_predictions(tmp_path / f"scores.{suffix}", predict(train("iqr", features), features), features)
    read = read_features(path, time="required")
    assert read.time_name == "Time"
    assert (read.times == features.times).all()
    assert len(read.names) == len(set(read.names)) == 5


@pytest.mark.parametrize("unit", ["iso", "s"])
@pytest.mark.parametrize("orjson", [True, False])
def test_times_are_written_alike_in_every_block(
    unit: str, orjson: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not orjson:
        monkeypatch.setattr("training.predictions._with_orjson", _with_pandas)
    monkeypatch.setattr("training.predictions._WRITTEN_ROWS", 2)
    times = np.array([0, 10**9, 2 * 10**9, 3_250_000_000]).view("datetime64[ns]")
    features = Features(np.array([[1.0], [2.0], [3.0], [4.0]]), ("value",), times, "ts", unit)
    path = write_predictions(tmp_path / "scores.csv", predict(train("iqr", features), features), features)
    written = [line.partition(",")[0] for line in path.read_text().splitlines()[1:]]
    assert written == list(map(str, formatted(times, unit)))


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("missing", [True, False])
def test_both_ways_of_writing_say_the_same(columns: int, timed: bool, missing: bool) -> None:
    pytest.importorskip("orjson")
    rng = np.random.default_rng(columns)
    scores = np.array([0.0, 1.0, 0.5, 1e-300, 0.1, *rng.random(20)])
    unknown = rng.random(25) < 0.3
    by_column = rng.random((25, columns))
    by_column[unknown] = np.nan
    predictions = Predictions(
        np.where(unknown & missing, 0.0, scores),
        (scores > 0.5).astype(np.int64),
        0.5,
        unknown if missing else None,
        {f"s{number}": by_column[:, number] for number in range(columns)} if columns > 1 else {},
    )
    times = np.datetime64("2024-01-01", "ns") + np.arange(25) * np.timedelta64(90, "s") if timed else None
    features = Features(rng.random((25, columns)), tuple("abc"[:columns]), times, "Time" if timed else None, "iso")
    written = [
        [line.split(",") for line in write(predictions, features, slice(0, 25)).decode().split("\n")]
        for write in (_with_orjson, _with_pandas)
    ]
    for ours, theirs in zip(*written, strict=True):
        for cell, expected in zip(ours, theirs, strict=True):
            # 1e-7 and 1e-07 are one number.
            assert cell == expected or float(cell) == float(expected)
