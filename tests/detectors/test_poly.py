import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.poly import POLY
from tests.detectors.series import bumpy, column


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


def test_what_a_polynomial_describes_is_normal():
    rows = np.arange(1000.0)
    values = column(3.0 + 0.01 * rows)
    assert (POLY(window=50, c=0.0).fit(values).errors(values) < 1e-12).all()
    parabola = column(rows**2)
    assert (POLY(window=50, degree=2).fit(parabola).errors(parabola) < 1e-9).all()


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


@pytest.mark.parametrize(("missing", "without"), [(11, 0), (40, 12)])
def test_a_gap_at_the_end_of_training_is_bridged_where_half_a_window_is_there(missing, without):
    values = bumpy()
    values[-missing:] = np.nan
    detector = POLY(window=25, align="end").fit(column(values))
    known = detector.has_verdict(column(bumpy()[:25]), history="fitted")
    assert known.tolist() == [False] * without + [True] * (25 - without)


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
