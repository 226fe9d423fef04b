import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.persist import Persist

START = np.datetime64("2024-01-01", "ns")


def column(*values):
    return np.array(values, dtype=float)[:, None]


def minutes(*offsets):
    return START + np.array(offsets) * np.timedelta64(1, "m")


def test_a_value_is_compared_with_the_one_before():
    training = column(0, 1, 3, 6, 10)  # changes 1, 2, 3, 4: quartiles 1.75 and 3.25
    detector = Persist(c=1.0).fit(training)
    assert detector.high_.tolist() == [4.75]
    assert detector.low_.tolist() == [-4.75]
    assert detector.mid_.tolist() == [0.0]
    rows = column(100, 104.75, 100, 94, 95)
    assert detector.predict(rows).tolist() == [1, 1, 1, -1, 1]
    np.testing.assert_allclose(detector.anomaly_score(rows), [0, 0.5, 0.5, 6 / 10.75, 1 / 5.75])


@pytest.mark.parametrize(
    ("side", "verdicts"), [("both", [1, -1, -1]), ("positive", [1, -1, 1]), ("negative", [1, 1, -1])]
)
def test_only_changes_of_the_asked_for_side_are_flagged(side, verdicts):
    detector = Persist(c=1.0, side=side).fit(column(0, 1, 3, 6, 10, 9))
    rows = column(0, 50, 0)
    assert detector.predict(rows).tolist() == verdicts
    assert [score > 0.0 for score in detector.anomaly_score(rows)] == [verdict == -1 for verdict in verdicts]


@pytest.mark.parametrize(
    ("agg", "expected"), [("median", [np.nan, np.nan, 1.0, 2.0]), ("mean", [np.nan, np.nan, 1.0, 3.0])]
)
def test_what_is_expected_is_the_median_or_mean_of_the_window(agg, expected):
    rows = column(0, 2, 7, 1)
    detector = Persist(window=3, min_periods=2, agg=agg).fit(rows)
    np.testing.assert_array_equal(detector.limits(rows).mid[:, 0], expected)


def test_all_of_a_window_in_rows_must_be_there_by_default():
    rows = column(1, np.nan, 3, 4, 5, 6)
    assert Persist(window=2).fit(rows).has_verdict(rows).tolist() == [False, False, False, False, True, True]
    detector = Persist(window=2, min_periods=1).fit(rows)
    assert detector.has_verdict(rows).tolist() == [False, False, True, True, True, True]


def test_a_time_span_is_closed_on_the_left():
    rows, times = column(1, 2, 4, 8, 16), minutes(0, 30, 60, 121, 300)
    detector = Persist(window="1h").fit(rows, times=times)
    np.testing.assert_array_equal(detector.limits(rows, times=times).mid[:, 0], [np.nan, 1.0, 1.5, np.nan, np.nan])
    assert (detector.window_ns_, detector.window_rows_) == (3600 * 10**9, 0)


def test_a_time_span_takes_times():
    rows, times = column(1, 2, 4, 8), minutes(0, 1, 2, 3)
    detector = Persist(window="5min")
    with pytest.raises(ValueError, match="a window of '5min' takes time stamps"):
        detector.fit(rows)
    detector.fit(rows, times=times)
    with pytest.raises(ValueError, match="a window of '5min' takes time stamps"):
        detector.predict(rows)


@pytest.mark.parametrize(
    ("window", "kept"),
    [(1, [3]), (3, [1, 2, 3]), (9, [0, 1, 2, 3]), ("30min", [2, 3]), ("5min", [3]), ("9d", [0, 1, 2, 3])],
)
def test_the_tail_is_what_the_next_verdict_can_depend_on(window, kept):
    rows, times = column(1, 2, 4, 8), minutes(0, 29, 30, 60)
    detector = Persist(window=window, min_periods=1).fit(rows, times=times)
    np.testing.assert_array_equal(detector.tail_, rows[kept])
    np.testing.assert_array_equal(detector.tail_times_, times[kept].view(np.int64))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60))
def test_the_tail_gives_the_next_row_its_verdict(minutes_wide, gap, cut):
    random = np.random.default_rng(cut)
    times = START + np.cumsum(random.integers(1, 10, 80)) * np.timedelta64(1, "m")
    times[cut + 10 :] += gap * np.timedelta64(1, "m")
    rows = random.normal(size=(80, 1))
    detector = Persist(window=f"{minutes_wide}min").fit(rows[: cut + 10], times=times[: cut + 10])
    whole = detector.anomaly_score(rows, times=times)
    after = slice(cut + 10, cut + 11)
    assert detector.anomaly_score(rows[after], times=times[after], history="fitted")[0] == whole[cut + 10]


def test_automatic_c_is_3_where_that_flags_few():
    rows = np.cumsum(np.random.default_rng(0).normal(size=(3000, 1)), axis=0)
    assert Persist().fit(rows).high_ == Persist(c=3.0).fit(rows).high_


def test_automatic_c_is_more_where_3_would_flag_many():
    rows = np.random.default_rng(0).normal(size=(4000, 1))
    rows[::9] *= 50.0
    assert (Persist(c=3.0).fit_predict(rows) == -1).mean() > 0.1
    assert (Persist().fit_predict(rows) == -1).sum() == 9  # 0.25 % of 3999 changes


def test_a_few_anomalies_of_a_short_series_are_flagged_by_automatic_c():
    rows = column(*[1.0, 1.1, 1.0, 1.2] * 6, 9.0, *[1.0, 1.1] * 4)
    assert np.flatnonzero(Persist().fit_predict(rows) == -1).tolist() == [24, 25]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"window": 0}, "'window' parameter"),
        ({"window": 1.5}, "'window' parameter"),
        ({"window": "1 fortnight"}, "not a time span"),
        ({"window": "0s"}, "not a time span"),
        ({"c": -1.0}, "'c' parameter"),
        ({"c": np.nan}, "'c' parameter"),
        ({"c": "3"}, "'c' parameter"),
        ({"side": "up"}, "'side' parameter"),
        ({"agg": "max"}, "'agg' parameter"),
        ({"min_periods": 0}, "'min_periods' parameter"),
        ({"window": 3, "min_periods": 4}, "min_periods = 4 is more than the window of 3"),
    ],
)
def test_other_parameters_are_refused(parameters, complaint):
    with pytest.raises(ValueError, match=complaint):
        Persist(**parameters).fit(column(*range(9)))


def test_changes_too_large_for_a_float_flag_nothing():
    rows = column(*[1.7e308, -1.7e308] * 10)
    detector = Persist().fit(rows)
    assert detector.high_.tolist() == [np.inf]
    assert (detector.predict(rows) == 1).all()
    assert (detector.anomaly_score(rows) == 0.0).all()
