import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.features import Features
from training.series_choice import choose, is_auto, leaps, suited

ROWS = np.arange(3000)


def noise(seed=0, n_rows=3000):
    return np.random.default_rng(seed).normal(size=n_rows)


def spiky(values):
    values = values.copy()
    values[[500, 1000, 1500, 2000]] += 12.0 * np.std(np.diff(values))
    return values


@pytest.mark.parametrize(
    ("values", "detector", "why"),
    [
        (noise(), "iqr", r"do not depend on those before them \(autocorrelation -?0\.0\d, no period\)"),
        (noise()[:99], "iqr", "99 values are too few"),
        (np.zeros(0), "iqr", "0 values are too few"),
        (np.full(3000, 7.0), "quantile", "half of the values are the same"),
        (np.where(noise() > 1.0, noise(), 0.0), "quantile", "half of the values are the same"),
        (np.sin(ROWS * 2 * np.pi / 48) + 0.1 * noise(), "subpca", "a period of 48 rows"),
        (np.sin(ROWS / 900) + 0.01 * noise(), "subpca", "no period"),
        (ROWS / 100 + np.sin(ROWS * 2 * np.pi / 48) + 0.1 * noise(), "poly", "a straight trend explains 99%"),
        (spiky(np.sin(ROWS * 2 * np.pi / 48) + 0.1 * noise()), "persist", "4 single values leap away"),
        (spiky(ROWS / 100 + 0.1 * noise()), "persist", "4 single values leap away"),
    ],
)
def test_what_suits_which_series(values, detector, why):
    choice = suited(values)
    assert choice.detector == detector
    assert re.search(why, choice.reason)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-1e5, 1e5), st.floats(1e-3, 1e3), st.booleans())
def test_scale_changes_no_choice(seed, shift, scale, turned):
    for values in (noise(seed), spiky(noise(seed).cumsum()), np.sin(ROWS / 8) + 0.1 * noise(seed)):
        moved = shift + (-scale if turned else scale) * values
        assert suited(moved).detector == suited(values).detector


def test_a_level_that_stays_is_no_spike():
    values = 0.1 * noise()
    values[1000:1100] += 20.0
    assert leaps(values) == 0
    values[2000] += 20.0
    assert leaps(values) == 1


def test_rows_count_in_time_order_and_gaps_do_not():
    values = np.sin(ROWS * 2 * np.pi / 48) + 0.1 * noise()
    values[::17] = np.nan
    times = np.datetime64("2024-01-01", "ns") + ROWS * np.timedelta64(1, "h")
    order = np.random.default_rng(0).permutation(3000)
    features = Features(values[order, np.newaxis], ("x",), times[order])
    assert choose(features).detector == "subpca"
    assert choose(Features(values[order, np.newaxis], ("x",))).detector == "iqr"


def test_most_columns_decide():
    wave = np.sin(ROWS * 2 * np.pi / 48) + 0.1 * noise()
    choice = choose(Features(np.column_stack([noise(), wave, wave]), ("a", "b", "c")))
    assert choice.detector == "subpca"
    assert choice.reason.endswith("(column 'b'; 2 of 3 columns are of this kind)")


@pytest.mark.parametrize("values", [np.full(200, np.nan), np.array([1e308, -1e308] * 100), np.r_[np.zeros(199), 1e308]])
def test_odd_series_are_no_error(values):
    assert choose(Features(values[:, np.newaxis], ("x",))).reason


def test_auto_in_any_case():
    assert is_auto(" Auto ")
    assert not is_auto("automatic")
