import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.poly import POLY


def column(values):
    return np.asarray(values, dtype=np.float64)[:, np.newaxis]


def bumpy(n_rows=600, seed=0):
    random = np.random.default_rng(seed)
    values = np.sin(np.arange(n_rows) * 2 * np.pi / 25) + 0.1 * random.normal(size=n_rows)
    values[400:410] += 5.0
    return values


def plainly(values, window, span, degree, align):
    """The errors as the docstring has them, with numpy's own fit."""
    n_rows, errors = len(values), np.full(len(values), np.nan)
    for row in range(n_rows):
        if align == "center":
            count = min(span, n_rows // window)
            start = min(max(row - window // 2, 0), n_rows - window)
            first = min(max(start - (count - 1) * window // 2, 0), n_rows - count * window)
        else:
            count = min(span, (row + 1) // window)
            start, first = row + 1 - window, row + 1 - count * window
        if start < 0 or count < 1:
            continue
        places = np.arange(count * window) / (count * window)
        stretch = values[first : first + count * window]
        left = stretch - np.polyval(np.polyfit(places, stretch, degree), places)
        errors[row] = np.sqrt(np.mean(left[start - first : start - first + window] ** 2))
    return errors


@settings(max_examples=40, deadline=None)
@given(
    st.integers(20, 120),
    st.integers(5, 20),
    st.integers(1, 6),
    st.integers(0, 4),
    st.sampled_from(["center", "end"]),
    st.integers(0, 2**32 - 1),
)
def test_errors_are_what_numpy_s_fit_leaves(n_rows, window, span, degree, align, seed):
    values = np.random.default_rng(seed).normal(size=n_rows).cumsum()
    detector = POLY(window=window, span=span, degree=degree, align=align).fit(column(values))
    scaled = (values - values.mean()) / values.std()
    expected = plainly(scaled, window, span, degree, align)
    np.testing.assert_allclose(detector.errors(column(values))[:, 0], expected, rtol=1e-7, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["center", "end"]), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.booleans())
def test_another_scale_gives_the_same_scores(align, shift, scale, turned):
    values, sign = bumpy(), -1.0 if turned else 1.0
    scores = POLY(align=align).fit(column(values)).anomaly_score(column(values))
    moved = column(shift + sign * scale * values)
    np.testing.assert_allclose(POLY(align=align).fit(moved).anomaly_score(moved), scores, atol=1e-6)


def test_a_shape_is_found_where_it_is():
    flagged = np.flatnonzero(POLY(window=25).fit_predict(column(bumpy())) == -1)
    assert 380 <= flagged.min() < 400
    assert 410 < flagged.max() <= 425


def test_what_a_polynomial_describes_is_normal():
    rows = np.arange(1000.0)
    values = column(3.0 + 0.01 * rows)
    assert (POLY(window=50, c=0.0).fit(values).errors(values) < 1e-12).all()
    parabola = column(rows**2)
    assert (POLY(window=50, degree=2).fit(parabola).errors(parabola) < 1e-9).all()


@pytest.mark.parametrize("align", ["center", "end"])
def test_limits_are_where_the_score_is_a_half(align):
    values = bumpy()
    detector = POLY(window=25, span=3, align=align).fit(column(values))
    low, mid, high = detector.limits(column(values))
    scores = detector.anomaly_score(column(values))
    checked = 0
    for row in range(40, 600, 13):
        if np.isnan(low[row, 0]):
            assert scores[row] > 0.5
            continue
        assert (scores[row] > 0.5) == (not low[row, 0] <= values[row] <= high[row, 0])
        for limit in (low[row, 0], high[row, 0]):
            changed = values.copy()
            changed[row] = limit
            assert detector.anomaly_score(column(changed))[row] == pytest.approx(0.5, abs=1e-9)
        changed = values.copy()
        changed[row] = mid[row, 0]
        assert detector.anomaly_score(column(changed))[row] <= scores[row] + 1e-12
        checked += 1
    assert checked > 20


def test_centred_verdicts_stay_but_for_the_last_half_stretch():
    values = column(bumpy())
    detector = POLY(window=25, span=4).fit(values)
    whole = detector.anomaly_score(values)
    for length in (200, 333, 450):
        kept = length - 25 * 4
        np.testing.assert_array_equal(detector.anomaly_score(values[:length])[50:kept], whole[50:kept])


@pytest.mark.parametrize("align", ["center", "end"])
def test_one_new_value_is_judged_by_the_end_of_the_training_series(align):
    values = bumpy()
    detector = POLY(window=25, align=align).fit(column(values))
    assert detector.predict([[np.sin(600 * 2 * np.pi / 25)]], history="fitted") == [1]
    assert detector.predict([[50.0]], history="fitted") == [-1]
    assert not detector.has_verdict([[50.0]]).any()


def test_missing_values_are_bridged_but_have_no_verdict():
    values = bumpy()
    values[[0, 7, 100, 101, 550]] = np.nan
    values[200:260] = np.nan
    detector = POLY(window=25).fit(column(values))
    known = detector.has_verdict(column(values))
    assert not known[[0, 7, 100, 101, 550]].any()
    assert not known[200:260].any()
    assert known[[8, 99, 102, 300, 549, 551]].all()
    assert (detector.predict(column(values)) == -1)[395:415].any()


def test_a_gap_at_the_end_of_training_is_bridged_for_the_next_row():
    values = bumpy()
    values[-40:] = np.nan
    detector = POLY(window=25, align="end").fit(column(values))
    assert not np.isnan(detector.tail_).any()
    assert detector.has_verdict([[0.0]], history="fitted").all()


def test_several_columns_have_windows_of_their_own():
    rows = np.arange(2000)
    both = np.column_stack([np.sin(rows * 2 * np.pi / 120), np.sin(rows * 2 * np.pi / 150)])
    detector = POLY().fit(both)
    assert list(detector.windows_) == [120, 150]
    for index in (0, 1):
        alone = POLY().fit(both[:, [index]])
        np.testing.assert_array_equal(alone.errors(both[:, [index]])[:, 0], detector.errors(both)[:, index])


@pytest.mark.parametrize("value", [0.0, 5.0, -1e300, 1e-300])
def test_a_constant_series_is_normal_and_what_leaves_it_is_not(value):
    values = np.full((200, 1), value)
    detector = POLY().fit(values)
    assert (detector.predict(values) == 1).all()
    values[100] += max(1.0, abs(value))
    assert detector.predict(values)[100] == -1


@pytest.mark.parametrize("n_rows", [2, 3, 4, 7, 10, 20])
def test_tiny_series_are_judged(n_rows):
    values = column(np.random.default_rng(n_rows).normal(size=n_rows))
    scores = POLY().fit(values).anomaly_score(values)
    assert ((scores >= 0.0) & (scores <= 1.0)).all()


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="window = 50 is longer than the series"):
        POLY(window=50).fit(column(np.arange(49)))
    with pytest.raises(ValueError, match="has nothing to learn from"):
        POLY().fit(column([1.0]))
    with pytest.raises(ValueError, match="has nothing to learn from"):
        POLY().fit(column([np.nan] * 50))
    for wrong in ({"window": 1}, {"window": "1h"}, {"span": 0}, {"degree": 7}, {"c": -1.0}, {"align": "left"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            POLY(**wrong).fit(column(np.arange(100)))


def test_rows_shorter_than_the_window_have_no_verdict():
    detector = POLY(window=25).fit(column(bumpy()))
    few = column(bumpy()[:24])
    assert not detector.has_verdict(few).any()
    assert (detector.anomaly_score(few) == 0.0).all()
    assert np.isnan(detector.limits(few).mid).all()
