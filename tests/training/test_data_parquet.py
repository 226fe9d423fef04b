"""Parquet files: the same rules as for CSV."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data import read_features, read_labels
from training.errors import DataError

pytest.importorskip("pyarrow")


@pytest.fixture
def write(tmp_path: Path):
    def to_file(frame: pd.DataFrame, **options: object) -> Path:
        path = tmp_path / "data.parquet"
        frame.to_parquet(path, **options)
        return path

    return to_file


def fault(path: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read_features(path, **options)
    assert caught.value.file == str(path)
    return caught.value


def test_numbers_of_all_kinds(write) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [0.1, -2.5], "c": np.array([3, 4], np.uint8), "d": np.array([5, 6], "f4")})
    frame["e"] = [True, False]
    features = read_features(write(frame))
    assert features.names == ("a", "b", "c", "d", "e")
    assert features.values.tolist() == [[1, 0.1, 3, 5, 1], [2, -2.5, 4, 6, 0]]
    assert features.values.dtype == np.float64
    assert features.values.flags.c_contiguous


def test_it_is_told_by_its_content(write, tmp_path: Path) -> None:
    path = write(pd.DataFrame({"a": [1.0]}))
    renamed = path.rename(tmp_path / "data.csv")
    assert read_features(renamed).values.tolist() == [[1.0]]
    assert read_features(io.BytesIO(renamed.read_bytes())).values.tolist() == [[1.0]]
    text = tmp_path / "text.parquet"
    text.write_text("a\n2\n")
    assert read_features(text).values.tolist() == [[2.0]]


@pytest.mark.parametrize(
    ("values", "row", "message"),
    [
        ([1.0, np.nan], 2, "the value is missing"),
        ([1.0, 2.0, -np.inf], 3, "the value is infinite"),
        (["1", "2"], None, "not numbers"),
        ([pd.Timestamp("2024-01-01")], None, "a time column is the first"),
        ([[1.0], [2.0]], None, "not numbers"),
    ],
)
def test_what_is_wrong_is_named(write, values: list[object], row: int | None, message: str) -> None:
    error = fault(write(pd.DataFrame({"a": 1.0, "b": values})))
    assert message in str(error)
    assert (error.row, error.column) == (row, "b")


def test_series_may_miss_values(write) -> None:
    path = write(pd.DataFrame({"Time": pd.date_range("2024-01-01", periods=2), "a": [1.0, None]}))
    features = read_features(path, missing=True)
    assert np.array_equal(features.values, [[1.0], [np.nan]], equal_nan=True)
    assert features.names == ("a",)
    path = write(pd.DataFrame({"Time": pd.date_range("2024-01-01", periods=2), "a": [1.0, np.inf]}))
    assert fault(path, missing=True).row == 2


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_resolution(write, unit: str) -> None:
    features = read_features(write(pd.DataFrame({"when": np.array(["2024-05-01T12"], f"M8[{unit}]"), "a": [1.0]})))
    assert features.times.dtype == "datetime64[ns]"
    assert features.times.astype("M8[h]").astype(str).tolist() == ["2024-05-01T12"]
    assert (features.time_name, features.time_unit) == ("when", "iso")


def test_zones_become_utc(write) -> None:
    times = pd.DatetimeIndex(["2024-05-01 12:00"]).tz_localize("Europe/Berlin")
    features = read_features(write(pd.DataFrame({"Time": times, "a": [1.0]})))
    assert features.times.astype("M8[h]").astype(str).tolist() == ["2024-05-01T10"]
    assert features.time_unit == "iso-utc"


@pytest.mark.parametrize(
    "cells", [["2024-05-01", "2024-05-02"], [1714521600, 1714608000], [1714521600.0, 1714608000.0]]
)
def test_times_as_text_and_numbers(write, cells: list[object]) -> None:
    features = read_features(write(pd.DataFrame({"Time": cells, "a": [1.0, 2.0]})))
    assert features.times.astype("M8[D]").astype(str).tolist() == ["2024-05-01", "2024-05-02"]


@pytest.mark.parametrize(
    ("cells", "row"),
    [
        ([pd.Timestamp("2024-01-01"), pd.NaT], 2),
        ([1.0, np.nan], 2),
        (["2024-01-01", "soon"], 2),
        (["2024-01-01", "now"], 2),
        (["2024-01-01", "2024-W18-3"], 2),
        ([True, False], None),
    ],
)
def test_wrong_times_are_named(write, cells: list[object], row: int | None) -> None:
    error = fault(write(pd.DataFrame({"Time": cells, "a": 1.0})))
    assert (error.row, error.column) == (row, "Time")


def test_an_index_of_times_comes_first(write) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.date_range("2024-01-01", periods=2))
    features = read_features(write(frame))
    assert (features.names, features.time_name) == (("a",), "Time")
    features = read_features(write(frame.rename_axis("when")))
    assert (features.names, features.time_name) == (("a",), "when")


def test_an_index_without_a_name_is_no_feature(write) -> None:
    assert read_features(write(pd.DataFrame({"a": [1.0, 2.0, 3.0]}).iloc[[0, 2]])).names == ("a",)


def test_limits_are_checked_before_rows_are_read(write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(pd.DataFrame(np.zeros((10, 3)), columns=list("abc")))
    monkeypatch.setattr("training.parquet_files._read", lambda *_: pytest.fail("it was read"))
    assert "more than 9 rows" in str(fault(path, max_rows=9))
    assert "3 columns, at most 2" in str(fault(path, max_columns=2))


def test_no_rows_and_no_columns(write) -> None:
    assert "no rows" in str(fault(write(pd.DataFrame({"a": np.zeros(0)}))))
    assert "no columns" in str(fault(write(pd.DataFrame(index=[1, 2]))))
    assert "beside the time" in str(fault(write(pd.DataFrame({"Time": pd.date_range("2024-01-01", periods=2)}))))


def test_no_time_column(write) -> None:
    assert "there is no Time column" in str(fault(write(pd.DataFrame({"a": [1.0]})), time="required"))


@pytest.mark.parametrize("length", [8, 100, -1])
def test_a_damaged_file_is_named(write, length: int) -> None:
    path = write(pd.DataFrame({"a": np.arange(100.0)}))
    path.write_bytes(path.read_bytes()[:length])
    assert "not a Parquet file that can be read" in str(fault(path))


def test_labels(write) -> None:
    assert read_labels(write(pd.DataFrame({"label": [0, 1, 1]})), n_rows=3).tolist() == [0, 1, 1]
    with pytest.raises(DataError, match="a label is 0 or 1, not 2") as caught:
        read_labels(write(pd.DataFrame({"label": [0, 2]})))
    assert caught.value.row == 2
