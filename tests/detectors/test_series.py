"""What the three detectors of series share: time, duplicates, missing values, columns, history, state."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import state
from detectors.errors import InvalidState
from detectors.iqr import IQR
from detectors.persist import Persist
from detectors.quantile import Quantile

NAB = Path(__file__).parents[3] / "shared/data/timeseries"

DETECTORS = [
    IQR(c=0.5),
    Quantile(low=0.05, high=0.95),
    Persist(c=0.3),
    Persist(window=5, c=0.5, agg="mean", min_periods=2),
    Persist(window="20min", c=0.5, side="negative"),
]
each = pytest.mark.parametrize("detector", DETECTORS, ids=str)
START = np.datetime64("2024-01-01", "s")


def wave(n_rows=300, seed=0):
    random = np.random.default_rng(seed)
    values = np.abs(np.arange(n_rows) % 40 - 20.0) + random.normal(size=n_rows)
    values[random.integers(0, n_rows, 5)] += 30.0
    return values[:, None]


def stamps(n_rows=300, seed=0):
    """Irregular, increasing."""
    return START + np.cumsum(np.random.default_rng(seed).integers(1, 900, n_rows))


@each
def test_rows_may_come_in_any_order(detector):
    values, times = wave(), stamps()
    order = np.random.default_rng(1).permutation(len(values))
    expected = detector.fit(values, times=times).anomaly_score(values, times=times)
    shuffled = detector.fit(values[order], times=times[order]).anomaly_score(values[order], times=times[order])
    np.testing.assert_array_equal(shuffled, expected[order])
    assert (expected > 0.5).any()


@each
def test_of_rows_with_one_stamp_the_first_counts_and_gives_its_verdict(detector):
    values, times = wave(), stamps()
    expected = detector.fit(values, times=times).anomaly_score(values, times=times)
    repeated = np.concatenate([np.arange(300), [7, 7, 150, 299]])
    doubled = values[repeated]
    doubled[300:] = 1e6
    limits = detector.low_, detector.mid_, detector.high_
    scores = detector.fit(doubled, times=times[repeated]).anomaly_score(doubled, times=times[repeated])
    np.testing.assert_array_equal(scores, expected[repeated])
    assert (detector.low_, detector.mid_, detector.high_) == limits


@each
def test_a_frame_s_index_is_the_time(detector):
    values, times = wave(), stamps()
    expected = detector.fit(values, times=times).predict(values, times=times)
    for index in (pd.DatetimeIndex(times), pd.DatetimeIndex(times, tz="UTC").tz_convert("Asia/Tokyo")):
        frame = pd.DataFrame({"value": values[:, 0]}, index=index)[::-1]
        np.testing.assert_array_equal(detector.fit(frame).predict(frame), expected[::-1])
        series = frame["value"]
        np.testing.assert_array_equal(detector.fit_predict(series), expected[::-1])


@each
def test_a_gap_is_no_row(detector):
    values, times = wave(), stamps()
    times[100:] += np.timedelta64(30, "D")
    verdicts = detector.fit_predict(values, times=times)
    known = detector.has_verdict(values, times=times)
    assert known[101:].all()
    assert known[100] == (getattr(detector, "window", None) != "20min")  # nothing in the span before it
    assert (verdicts[~known] == 1).all()


@each
def test_a_missing_value_has_no_verdict(detector):
    values, times = wave(), stamps()
    values[[5, 60, 61, 299]] = np.nan
    detector.fit(values, times=times)
    known = detector.has_verdict(values, times=times)
    scores = detector.anomaly_score(values, times=times)
    assert not known[[5, 60, 61, 299]].any()
    assert (scores[~known] == 0.0).all()
    assert (detector.predict(values, times=times)[~known] == 1).all()
    assert (detector.feature_contributions(values, times=times)[~known] == 0.0).all()
    np.testing.assert_array_equal(np.isnan(detector.column_scores(values, times=times)[:, 0]), ~known)


@each
def test_constant_data_flags_nothing_but_a_change(detector):
    values, times = np.full((50, 1), 3.0), stamps(50)
    assert (detector.fit_predict(values, times=times) == 1).all()
    assert (detector.anomaly_score(values, times=times) == 0.0).all()
    values[25] = np.nextafter(3.0, 0.0)
    scores = detector.anomaly_score(values, times=times)
    assert scores[25] == 1.0
    assert detector.predict(values, times=times)[25] == -1


@each
def test_one_row(detector):
    one, time = np.array([[2.0]]), np.array([START])
    if isinstance(detector, Persist):
        with pytest.raises(ValueError, match="nothing to learn from"):
            detector.fit(one, times=time)
        detector.fit(wave(), times=stamps())
        assert not detector.has_verdict(one, times=time)[0]
    else:
        detector.fit(one, times=time)
        assert detector.predict([[2.0], [3.0], [1.0]]).tolist() == [1, -1, -1]
    assert detector.anomaly_score(one, times=time).tolist() == [0.0]
    assert detector.predict(one, times=time).tolist() == [1]


@each
def test_nothing_but_missing_values(detector):
    nothing = np.full((40, 1), np.nan)
    with pytest.raises(ValueError, match="column 0 has nothing to learn from"):
        detector.fit(nothing, times=stamps(40))
    detector.fit(wave(), times=stamps())
    assert (detector.anomaly_score(nothing, times=stamps(40)) == 0.0).all()
    assert (detector.predict(nothing, times=stamps(40)) == 1).all()
    assert not detector.has_verdict(nothing, times=stamps(40)).any()


def test_the_column_with_nothing_in_it_is_named():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [None, None]}, dtype=float)
    with pytest.raises(ValueError, match="'b' has nothing to learn from"):
        IQR().fit(frame)


@each
def test_no_rows_are_refused(detector):
    for method in (detector.fit, detector.fit(wave(), times=stamps()).predict):
        with pytest.raises(ValueError, match="0 sample"):
            method(np.empty((0, 1)), times=stamps(0))


@each
def test_infinity_and_a_missing_stamp_are_refused(detector):
    values, times = wave(), stamps()
    detector.fit(values, times=times)
    values[9] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        detector.predict(values, times=times)
    with pytest.raises(ValueError, match=r"row 4 .*NaT"):
        detector.predict(wave(), times=np.where(np.arange(300) == 4, np.datetime64("NaT", "ns"), times))


@each
def test_whole_numbers_are_numbers(detector):
    values, times = np.round(wave()), stamps()
    expected = detector.fit(values, times=times).anomaly_score(values, times=times)
    for dtype in (np.int64, np.int16, np.float32, object):
        whole = values.astype(dtype)
        np.testing.assert_array_equal(detector.fit(whole, times=times).anomaly_score(whole, times=times), expected)


@each
def test_each_column_is_a_series_of_its_own(detector):
    times = stamps()
    values = np.column_stack([wave(), wave(seed=1) * 1e-3, wave(seed=2) - 1e6])
    values[::17, 1] = np.nan
    alone = [detector.fit(values[:, [k]], times=times).anomaly_score(values[:, [k]], times=times) for k in range(3)]
    detector.fit(values, times=times)
    scores = detector.column_scores(values, times=times)
    np.testing.assert_array_equal(np.nan_to_num(scores), np.column_stack(alone))
    np.testing.assert_array_equal(detector.anomaly_score(values, times=times), np.max(alone, axis=0))
    np.testing.assert_array_equal(detector.predict(values, times=times), np.where(np.max(alone, axis=0) > 0.5, -1, 1))


def test_contributions_are_shares_of_what_is_beyond_the_limits():
    detector = IQR(c=0.0).fit(np.column_stack([np.arange(101.0), np.arange(101.0)]))  # normal: 25 to 75
    rows = [[150.0, 50.0], [150.0, 100.0], [60.0, 70.0], [50.0, 50.0], [150.0, np.nan]]
    shares = detector.feature_contributions(rows)
    np.testing.assert_allclose(shares, [[1.0, 0.0], [0.75, 0.25], [1 / 3, 2 / 3], [0.0, 0.0], [1.0, 0.0]])
    flat = IQR().fit([[1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(flat.feature_contributions([[2.0, 1e9], [2.0, 0.0]]), [[1.0, 0.0], [1.0, 0.0]])


@each
def test_limits_are_where_verdicts_change(detector):
    values, times = wave(), stamps()
    limits = detector.fit(values, times=times).limits(values, times=times)
    with np.errstate(invalid="ignore"):
        outside = (values > limits.high) | (values < limits.low)
    np.testing.assert_array_equal(detector.predict(values, times=times) == -1, outside[:, 0])
    known = detector.has_verdict(values, times=times)
    assert limits.low.shape == limits.mid.shape == limits.high.shape == values.shape
    assert (limits.low[known] <= limits.mid[known]).all()
    assert (limits.mid[known] <= limits.high[known]).all()


@each
@given(cut=st.integers(40, 299), ahead=st.integers(1, 50))
def test_history_is_the_end_of_the_training_series(detector, cut, ahead):
    values, times = wave(), stamps()
    detector.fit(values[:cut], times=times[:cut])
    whole = detector.anomaly_score(values, times=times)
    after = slice(cut, cut + ahead)
    scores = detector.anomaly_score(values[after], times=times[after], history="fitted")
    np.testing.assert_array_equal(scores, whole[after])


@each
def test_one_row_at_a_time_equals_the_batch(detector):
    values, times = wave(), stamps()
    detector.fit(values[:100], times=times[:100])
    batch = detector.anomaly_score(values[100:], times=times[100:], history="fitted")
    single = []
    for row in range(100, 300):
        one = slice(row, row + 1)
        single += list(detector.anomaly_score(values[one], times=times[one], history="fitted"))
        detector.remember(values[one], times=times[one])
    np.testing.assert_array_equal(single, batch)


@each
def test_verdicts_do_not_change_when_more_rows_follow(detector):
    values, times = wave(), stamps()
    whole = detector.fit(values, times=times).anomaly_score(values, times=times)
    for length in (1, 2, 30, 299):
        np.testing.assert_array_equal(detector.anomaly_score(values[:length], times=times[:length]), whole[:length])


def test_of_the_history_only_what_is_older_counts():
    values, times = wave(), stamps()
    detector = Persist(window=5, c=0.5).fit(values, times=times)
    assert not detector.has_verdict(values[-3:], times=times[-3:], history="fitted").any()
    with pytest.raises(ValueError, match="later than those known"):
        detector.remember(values[-3:], times=times[-3:])


def test_history_without_times_on_one_side_is_in_order():
    values, times = wave(), stamps()
    detector = Persist(window=5, c=0.5).fit(values[:100], times=times[:100])
    expected = detector.anomaly_score(values, times=times)[100:]
    np.testing.assert_array_equal(detector.anomaly_score(values[100:], history="fitted"), expected)
    detector.fit(values[:100])
    np.testing.assert_array_equal(detector.anomaly_score(values[100:], times=times[100:], history="fitted"), expected)


def test_another_history_is_refused():
    with pytest.raises(ValueError, match="history is None or 'fitted'"):
        IQR().fit(wave()).predict(wave(), history="all")


@each
def test_a_pickle_keeps_the_verdicts(detector):
    values, times = wave(), stamps()
    detector.fit(values[:100], times=times[:100])
    twin = pickle.loads(pickle.dumps(detector))
    scores = detector.anomaly_score(values[100:], times=times[100:], history="fitted")
    np.testing.assert_array_equal(twin.anomaly_score(values[100:], times=times[100:], history="fitted"), scores)


@each
@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("low_", np.array([1e9])),
        ("mid_", np.array([-1e9])),
        ("high_", np.array([np.nan])),
        ("threshold_", 0.4),
        ("tail_", np.array([[np.inf]])),
        ("tail_times_", np.array([5, 5])),
        ("tail_times_", np.arange(300)),
        ("window", "2h"),
        ("window_ns_", 7),
        ("window_rows_", 2**63),
        ("c", -1.0),
    ],
)
def test_a_tampered_state_is_refused(detector, attribute, value):
    fitted = detector.fit(wave(), times=stamps())
    twin = object.__new__(type(fitted))
    encoded = fitted.__getstate__() | state.encode({attribute: value})
    with pytest.raises(InvalidState):
        twin.__setstate__(encoded)


@pytest.mark.skipif(not NAB.is_dir(), reason="the public series are not here")
@pytest.mark.parametrize("detector", [IQR(), Quantile(), Persist()], ids=str)
def test_defaults_flag_little_where_there_is_no_anomaly(detector):
    with (NAB / "art_daily_small_noise.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    values = np.array([[float(value)] for _, value in rows])
    times = np.array([time for time, _ in rows], "datetime64[s]")
    assert (detector.fit_predict(values, times=times) == -1).mean() < 0.005
