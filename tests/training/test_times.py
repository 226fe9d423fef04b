"""Times there and back."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.times import (
    formatted,
    from_iso,
    from_numbers,
    from_values,
    has_zone,
    is_time_name,
    iso_fault,
    looks_like_time,
)


@pytest.mark.parametrize("name", ["Time", "time", "TIMESTAMP", "date", "Date_Time", " ds "])
def test_names_of_time_columns(name: str) -> None:
    assert is_time_name(name)


@pytest.mark.parametrize("name", ["", "t", "runtime", "update"])
def test_other_names(name: str) -> None:
    assert not is_time_name(name)


@pytest.mark.parametrize("cell", ["2024-05-01", "2024-05-01 12:00", "2024-05-01T12:00:00.123456789+02:00", "2024-05"])
def test_dates_look_like_times(cell: str) -> None:
    assert looks_like_time(cell)


@pytest.mark.parametrize("cell", ["2024", "20240501", "1.5", "-3", "x", "1-2"])
def test_numbers_do_not(cell: str) -> None:
    assert not looks_like_time(cell)


@pytest.mark.parametrize(
    ("cell", "zoned"),
    [
        ("2024-05-01T12:00Z", True),
        ("2024-05-01 12:00:00+02:00", True),
        ("2024-05-01 12:00:00.5-0230", True),
        ("2024-05-01T12:00:00+02", True),
        ("2024-05-01T12+02", True),
        ("2024-05-01 12:00:00 +0200", True),
        ("2024-05-01T12:00:00", False),
        ("2024-05-01", False),
        ("2024-05", False),
        ("20240501T120000", False),
        ("20240501T120000Z", True),
    ],
)
def test_zones(cell: str, zoned: bool) -> None:
    assert has_zone(cell) is zoned
    assert iso_fault(cell, zoned) is None
    assert "time zone" in str(iso_fault(cell, not zoned))


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        (0, "s"),
        (9_000_000_000, "s"),
        (-9_000_000_000, "s"),
        (10_000_000_000, "ms"),
        (9_000_000_000_000, "ms"),
        (10_000_000_000_000, "us"),
        (9_000_000_000_000_000, "us"),
        (10_000_000_000_000_000, "ns"),
        (9_000_000_000_000_000_000, "ns"),
    ],
)
def test_the_unit_follows_from_the_largest(number: int, unit: str) -> None:
    times, found = from_numbers(np.array([0, number]))
    assert found == unit
    assert times[1] == np.datetime64(number, unit)


def test_a_unit_may_be_given() -> None:
    assert from_numbers(np.array([5]), "ms")[0].tolist() == [5_000_000]


@pytest.mark.parametrize("number", [9_500_000_000, 9.5e18, 1e300])
def test_years_that_do_not_fit_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="out of the years"):
        from_numbers(np.array([number]))


@given(st.lists(st.integers(-9 * 10**18, 9 * 10**18), min_size=1, max_size=5), st.sampled_from(["s", "ms", "us", "ns"]))
def test_whole_numbers_come_back(numbers: list[int], unit: str) -> None:
    length = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    written = np.array([number // length for number in numbers])
    assert formatted(from_numbers(written, unit)[0], unit).tolist() == written.tolist()


@given(st.lists(st.integers(0, 4 * 10**15), min_size=1, max_size=5))
def test_microseconds_come_back(microseconds: list[int]) -> None:
    seconds = np.array([number / 10**6 for number in microseconds])
    times, unit = from_numbers(seconds)
    assert unit == "s"
    assert np.abs(formatted(times, unit) - seconds).max() < 1e-6


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-05-01", "2024-05-02"],
        ["2024-05-01 12:00:00", "2024-05-02 00:00:05"],
        ["2024-05-01 12:00:00.500", "2024-05-02 00:00:00.250"],
    ],
)
def test_iso_comes_back(cells: list[str]) -> None:
    expected = cells if " " in cells[0] else [f"{cell} 00:00:00" for cell in cells]
    assert list(formatted(from_values(cells), "iso")) == expected


def test_zones_come_back_as_utc() -> None:
    assert list(formatted(from_values(["2024-05-01T12:00:00+02:00"]), "iso-utc")) == ["2024-05-01 10:00:00+00:00"]


def test_values_of_a_request() -> None:
    assert from_values([1714521600, 1714521601.5]).tolist() == [1714521600 * 10**9, 1714521601_500_000_000]
    assert from_values([1714521600000], "ms").tolist() == [1714521600 * 10**9]


@given(
    st.lists(
        st.datetimes(datetime(1678, 1, 2), datetime(2261, 12, 30)),  # noqa: DTZ001
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["T", " "]),
    st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
    st.none() | st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["", "000", " "]),
)
def test_times_of_a_request_are_read_as_those_of_a_file(
    times: list[datetime], separator: str, finest: str, zone: int | None, end: str
) -> None:
    zoned = [time if zone is None else time.replace(tzinfo=timezone(timedelta(minutes=zone))) for time in times]
    ending = end if zone is None and (finest == "microseconds" or end == " ") else ""
    texts = [time.isoformat(separator, finest) + ending for time in zoned]
    expected = from_iso(pd.Series(texts, dtype=str), zone is not None)
    assert from_values(texts).tolist() == expected.tolist()
    assert from_values(texts).dtype == expected.dtype == np.dtype("datetime64[ns]")


@pytest.mark.parametrize(
    "values", [["soon"], ["2024-01-01", 5], [None], [5, None], [5, "2024-01-01"], [True], [float("nan")], [[1]], [{}]]
)
def test_values_that_are_no_times(values: list[object]) -> None:
    with pytest.raises(ValueError, match="time"):
        from_values(values)


@pytest.mark.parametrize(
    "cell", ["", "now", "today", "2024-W18-3", "2024-05-01x12:00", "2024-05-01T12:00,5", "2024,05", "-2024-05-01"]
)
def test_texts_that_are_no_times_are_named(cell: str) -> None:
    with pytest.raises(ValueError, match=f"^{cell!r} is"):
        from_values(["2024-05-01", cell])
    with pytest.raises(ValueError, match=r"[Tt]ime"):
        from_iso(pd.Series(["2024-05-01", cell], dtype=str), zoned=False)


@pytest.mark.parametrize(
    ("cell", "point"),
    [
        ("2024-05-01T12:00:00,5", "2024-05-01T12:00:00.5"),
        ("2024-05-01 12:00:00,123456789", "2024-05-01 12:00:00.123456789"),
        ("20240501T120000,25+02:00", "20240501T120000.25+02:00"),
    ],
)
def test_a_comma_before_the_fraction_is_a_point(cell: str, point: str) -> None:
    assert from_values([cell]).tolist() == from_values([point]).tolist()
