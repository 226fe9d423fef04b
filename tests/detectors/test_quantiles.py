import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import quantiles as module
from detectors.quantiles import has_number, quantiles

SHARES = [0.0, 0.001, 0.25, 0.29, 0.5, 0.75, 0.999, 1.0]


def expected(values, shares):
    return np.nanpercentile(values, np.array(shares) * 100.0).tolist()


@given(
    st.lists(st.one_of(st.just(np.nan), st.floats(-1e9, 1e9))).filter(lambda column: not np.isnan(column).all()),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_quantiles_are_those_of_numpy(values, shares):
    np.testing.assert_array_equal(quantiles(np.array(values), shares), expected(values, shares))


def columns():
    random = np.random.default_rng(5)
    n = 3 * module._LONG
    noise = random.normal(size=n)
    yield "noise", noise
    yield "sorted", np.sort(noise)
    yield "few values", np.round(noise)
    yield "one value", np.full(n, 3.0)
    yield "one in a million", np.where(np.arange(n) == 7, 1.0, 0.0)
    yield "half missing", np.where(random.random(n) < 0.5, np.nan, noise)
    yield "nearly all missing", np.where(random.random(n) < 0.999, np.nan, noise)
    yield "two clusters", np.where(np.arange(n) < n // 4, -1e9, 1e9) + noise
    yield "integers in a period", np.arange(n) % 97.0


@pytest.mark.parametrize(("name", "values"), list(columns()))
def test_long_columns_too(name, values):
    assert quantiles(values, SHARES) == expected(values, SHARES)


def test_a_sample_that_misleads_costs_time_alone(monkeypatch):
    values = np.random.default_rng(0).normal(size=module._LONG)
    monkeypatch.setattr(module.np.random, "default_rng", lambda seed: Fixed())
    assert quantiles(values, SHARES) == expected(values, SHARES)


class Fixed:
    """Draws the first rows, which here are no sample at all."""

    def integers(self, low, high, size):
        return np.arange(size) % 100


def test_what_is_too_far_apart_for_a_float_is_still_between():
    assert quantiles(np.array([-1.7e308, 1.7e308]), [0.25]) == [pytest.approx(-0.85e308)]
    assert quantiles(np.array([np.inf, np.inf]), [0.25]) == [np.inf]


def test_whether_there_is_a_number():
    assert has_number(np.array([np.nan, 1.0]))
    assert not has_number(np.array([np.nan, np.nan]))
