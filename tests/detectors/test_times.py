import datetime as dt

import numpy as np
import pandas as pd
import pytest

from detectors.times import in_ns, span_in_ns, time_order, times_of


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1h", 3600 * 10**9),
        ("h", 3600 * 10**9),
        ("1 hour", 3600 * 10**9),
        ("1.5h", 5400 * 10**9),
        (".5s", 5 * 10**8),
        ("90 s", 90 * 10**9),
        ("1h30min", 5400 * 10**9),
        ("1d 12h", 36 * 3600 * 10**9),
        ("2W", 14 * 24 * 3600 * 10**9),
        ("5T", 300 * 10**9),
        ("250ms", 25 * 10**7),
        ("7us", 7000),
        ("7 µs", 7000),
        ("0.1us", 100),
        ("1ns", 1),
    ],
)
def test_a_span_is_read_as_pandas_reads_it(text, length):
    assert span_in_ns(text) == length
    if text not in ("h", ".5s", "5T", "1d 12h"):  # pandas' own words for those changed with its versions
        assert pd.Timedelta(text).value == length


@pytest.mark.parametrize(
    "text", ["", " ", "1", "1 fortnight", "1M", "-1h", "0h", "0.1ns", "1h x", "300000d", "1h-5min", "1e3s"]
)
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValueError, match="is not a time span such as '1h'"):
        span_in_ns(text)


STAMPS = ["2024-01-01T00:00:00", "2024-01-01T00:00:05", "2024-01-01T00:01:00"]
COUNTS = [1704067200 * 10**9 + seconds * 10**9 for seconds in (0, 5, 60)]
ARRAY = np.array(STAMPS, "datetime64[s]")


@pytest.mark.parametrize(
    "times",
    [
        ARRAY,
        ARRAY.astype("datetime64[ns]"),
        list(ARRAY),
        STAMPS,
        [dt.datetime.fromisoformat(stamp) for stamp in STAMPS],
        pd.DatetimeIndex(STAMPS),
        pd.DatetimeIndex(STAMPS).as_unit("ms"),
        pd.Series(pd.DatetimeIndex(STAMPS)),
        pd.DatetimeIndex(STAMPS, tz="UTC"),
        pd.DatetimeIndex(["2024-01-01T01:00", "2024-01-01T01:00:05", "2024-01-01T01:01"], tz="Europe/Berlin"),
    ],
    ids=lambda times: f"{type(times).__name__} {getattr(times, 'dtype', '')}",
)
def test_times_come_in_many_shapes(times):
    assert in_ns(times_of(None, times, 3)).tolist() == COUNTS


def test_times_are_those_of_a_frame_with_a_datetime_index():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=pd.DatetimeIndex(STAMPS))
    assert in_ns(times_of(frame, None, 3)).tolist() == COUNTS
    assert times_of(frame.reset_index(drop=True), None, 3) is None
    assert times_of([[1.0]], None, 1) is None


def test_an_argument_goes_before_the_index():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=pd.DatetimeIndex(STAMPS[::-1]))
    assert in_ns(times_of(frame, ARRAY, 3)).tolist() == COUNTS


@pytest.mark.parametrize(
    ("times", "complaint"),
    [
        (np.array([*STAMPS[:2], "NaT"], "datetime64[s]"), r"row 2 \(counted from 0\) has no time stamp"),
        (pd.DatetimeIndex([STAMPS[0], None, STAMPS[2]]), r"row 1 \(counted from 0\) has no time stamp"),
        (["NaT"] * 3, r"row 0 \(counted from 0\) has no time stamp"),
        (ARRAY[:2], "2 time stamps for 3 rows"),
        (ARRAY[:, None], "in one dimension"),
        ([1, 2, 3], "a number has no unit"),
        ([1.0, None, "x"], "a number has no unit"),
        (["yesterday", "today", "now!"], "times: "),
    ],
)
def test_wrong_times_are_refused(times, complaint):
    with pytest.raises(ValueError, match=complaint):
        time_order(times_of(None, times, 3))


def test_a_stamp_beyond_nanoseconds_is_refused_where_they_are_needed():
    with pytest.raises(ValueError, match="2999-01-01 is out of the years"):
        in_ns(np.array(["2024-01-01", "2999-01-01"], "datetime64[D]"))


def test_rows_in_order_need_no_order():
    assert time_order(ARRAY) is None


def test_of_rows_with_one_stamp_the_first_counts():
    order = time_order(ARRAY[[2, 0, 2, 1, 0]])
    assert order.kept.tolist() == [1, 3, 0]
    assert order.place.tolist() == [2, 0, 2, 1, 0]
