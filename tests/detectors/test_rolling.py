from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import rolling
from detectors.rolling import rolling_mean, rolling_median

values = st.lists(
    st.one_of(st.just(np.nan), st.integers(-5, 5).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=60
).map(np.array)


@st.composite
def windows(draw):
    """Values, stamps or None, a window and min_periods."""
    column = draw(values)
    window = draw(st.integers(1, 20))
    if draw(st.booleans()):
        return column, None, window, draw(st.integers(1, window))
    steps = draw(st.lists(st.integers(1, 15), min_size=len(column), max_size=len(column)))
    return column, np.cumsum(steps), window, draw(st.integers(1, 5))


def contents(column, stamps, window, row):
    near = row - np.arange(row) <= window if stamps is None else stamps[row] - stamps[:row] <= window
    rows = column[:row][near]
    return rows[~np.isnan(rows)]


@given(windows())
def test_the_median_is_that_of_the_rows_before(case):
    column, stamps, window, least = case
    expected = [
        np.median(held) if len(held := contents(column, stamps, window, row)) >= least else np.nan
        for row in range(len(column))
    ]
    np.testing.assert_array_equal(rolling_median(column, stamps, window, least), expected)


@given(windows())
def test_heaps_and_sorted_values_give_the_same_medians(case):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rolling, "_SMALL", 0)
        by_heaps = rolling_median(*case)
    np.testing.assert_array_equal(by_heaps, rolling_median(*case))


@given(windows())
def test_the_mean_is_the_exact_one_rounded(case):
    column, stamps, window, least = case
    column = np.round(column, 3)
    expected = [
        float(sum(map(Fraction, held.tolist())) / len(held))
        if len(held := contents(column, stamps, window, row)) >= least
        else np.nan
        for row in range(len(column))
    ]
    np.testing.assert_array_equal(rolling_mean(column, stamps, window, least), expected)


@pytest.mark.parametrize("window", [3, 500, 1000])
def test_many_rows_agree_with_pandas(window):
    random = np.random.default_rng(window)
    column = np.round(np.cumsum(random.normal(size=5000)), 1)
    column[random.random(5000) < 0.1] = np.nan
    before = pd.Series(column).shift(1).rolling(window, min_periods=2)
    np.testing.assert_array_equal(rolling_median(column, None, window, 2), before.median())
    np.testing.assert_allclose(rolling_mean(column, None, window, 2), before.mean(), rtol=1e-9, atol=1e-12)


def test_a_large_value_that_left_the_window_leaves_nothing_behind():
    column = np.array([1e300, 0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_array_equal(rolling_mean(column, None, 2, 2)[3:], [0.15000000000000002, 0.25, 0.35])


def test_sums_of_the_largest_numbers_do_not_overflow():
    column = np.array([1.7e308, 1.7e308, -1.7e308, 1.0])
    assert rolling_mean(column, None, 2, 2)[2:].tolist() == [1.7e308, 0.0]
    assert rolling_median(column, None, 2, 2)[2:].tolist() == [1.7e308, 0.0]


def test_stamps_may_be_as_far_apart_as_they_can():
    stamps = np.array([-(2**63) + 1, 0, 2**63 - 1])
    assert np.isnan(rolling_median(np.ones(3), stamps, 1, 1)).all()
    assert rolling_mean(np.ones(3), stamps, 2**63 - 1, 1)[1:].tolist() == [1.0, 1.0]
