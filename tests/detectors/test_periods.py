import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.periods import LONGEST_PERIOD, autocorrelation, period, window_of


def wave(length, n_rows=3000):
    return np.sin(np.arange(n_rows) * 2 * np.pi / length)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 500), st.floats(0.0, 0.3), st.floats(-1e6, 1e6), st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_a_wave_s_period_is_found_in_noise_on_a_slope_at_any_scale(length, noise, shift, scale, seed):
    random = np.random.default_rng(seed)
    values = wave(length) + noise * random.normal(size=3000) + np.arange(3000) / 1000
    found = period(shift + scale * values)
    assert found is not None
    assert abs(found - length * round(found / length)) <= 1 + length / 50  # noise moves a flat peak a little


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 3000), st.integers(0, 2**32 - 1))
def test_noise_and_what_wanders_have_none(n_rows, seed):
    steps = np.random.default_rng(seed).normal(size=n_rows)
    assert period(steps) is None
    assert window_of(steps) == max(2, min(150, n_rows // 4))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(0),
        np.zeros(1),
        np.zeros(500),
        np.full(500, np.nan),
        np.arange(500.0),
        np.full(500, 1e308),
        -wave(9)[:8],
    ],
)
def test_what_has_no_period_has_none(values):
    assert period(values) is None
    assert window_of(values) >= 2


def test_gaps_hide_no_period():
    values = wave(24)
    values[np.random.default_rng(0).random(3000) < 0.3] = np.nan
    assert period(values) == 24


def test_a_period_that_fits_in_fewer_than_four_times_is_none():
    assert period(wave(100, 399)) is None
    assert period(wave(100, 500)) in (100, 101)
    assert period(wave(LONGEST_PERIOD + 50, 10_000)) is None


@pytest.mark.parametrize(("length", "n_rows", "window"), [(24, 3000, 120), (150, 3000, 150), (24, 300, 72), (7, 30, 7)])
def test_windows_are_whole_periods(length, n_rows, window):
    assert window_of(wave(length, n_rows)) == window


def test_autocorrelation_is_the_textbook_s_without_trend():
    values = np.random.default_rng(0).normal(size=300)
    values -= np.polyval(np.polyfit(np.arange(300), values, 1), np.arange(300))
    expected = [np.mean(values[: 300 - lag] * values[lag:]) / np.mean(values**2) for lag in range(50)]
    np.testing.assert_allclose(autocorrelation(values * 7.0 + 3.0 + np.arange(300), 49), expected, atol=1e-12)
