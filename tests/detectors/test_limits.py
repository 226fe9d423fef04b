import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.limits import THRESHOLD, band_scores, limit_scores

INF = math.inf
numbers = st.floats(allow_nan=False, allow_infinity=False)


def score(value, low, mid, high):
    return band_scores(np.array([value]), low, mid, high)[0]


@pytest.mark.parametrize(
    ("value", "low", "mid", "high", "expected"),
    [
        (2.0, -1.0, 0.0, 1.0, 2 / 3),
        (-2.0, -4.0, 0.0, 1.0, 1 / 3),
        (1.0, -1.0, 0.0, 1.0, 0.5),
        (0.0, -1.0, 0.0, 1.0, 0.0),
        (9.0, -1.0, 0.0, INF, 0.0),  # the open side
        (-9.0, -INF, 0.0, 1.0, 0.0),
        (3.0, 3.0, 3.0, 3.0, 0.0),  # a band of no width
        (np.nextafter(3.0, 4.0), 3.0, 3.0, 3.0, 1.0),
        (np.nextafter(3.0, 2.0), 3.0, 3.0, 3.0, 1.0),
        (0.5, 1.0, 0.0, 2.0, 1.0),  # a middle below the band is moved to its edge
        (1.5, 1.0, 0.0, 2.0, 1 / 3),
        (INF, -1.0, 0.0, 1.0, 1.0),
        (-INF, -1.0, 0.0, 1.0, 1.0),
        (INF, -1.0, 0.0, INF, 0.0),
        (math.nan, -1.0, 0.0, 1.0, 0.0),
        (1.7e308, -1.7e308, -1.7e308, 1.6e308, 3.4 / (3.4 + 3.3)),  # differences that overflow
        (1.5e308, -1.7e308, -1.7e308, 1.6e308, 3.2 / (3.2 + 3.3)),
        (1.7e308, -1.7e308, -1.7e308, -0.1e308, 3.4 / (3.4 + 1.6)),
        (1.7e308, -1.0, -1.0, 5e-324, 1.0),
        (1.7e308, -1.0, 0.0, 5e-324, 1.0),
    ],
)
def test_a_value_scores_its_distance_as_a_multiple_of_the_limit(value, low, mid, high, expected):
    assert score(value, low, mid, high) == pytest.approx(expected, rel=1e-12)


def test_exactly_at_the_limit_the_score_is_exactly_a_half():
    assert limit_scores(np.array([0.1]), 0.1)[0] == THRESHOLD
    assert score(0.3, 0.1, 0.2, 0.3) == THRESHOLD


@given(numbers, numbers, numbers, numbers)
def test_the_score_never_contradicts_the_comparison(value, one, other, mid):
    low, high = min(one, other), max(one, other)
    got = score(value, low, mid, high)
    assert 0.0 <= got <= 1.0
    assert (got > THRESHOLD) == (value > high or value < low)


@given(numbers, numbers, numbers)
def test_one_step_beyond_the_limit_is_flagged(low, high, mid):
    low, high = min(low, high), max(low, high)
    assert score(math.nextafter(high, INF), low, mid, high) > THRESHOLD
    assert score(math.nextafter(low, -INF), low, mid, high) > THRESHOLD
    assert score(high, low, mid, high) <= THRESHOLD
    assert score(low, low, mid, high) <= THRESHOLD


@given(st.lists(numbers, min_size=1), numbers, numbers, numbers)
def test_a_row_scores_the_same_alone_and_in_a_batch(values, one, other, mid):
    low, high = min(one, other), max(one, other)
    batch = band_scores(np.array(values), low, mid, high)
    assert batch.tolist() == [score(value, low, mid, high) for value in values]


@given(st.lists(st.floats(min_value=0.0, allow_nan=False), min_size=2), st.floats(min_value=0.0, allow_infinity=False))
def test_what_is_farther_scores_no_less(distances, limit):
    distances = np.sort(np.array(distances))
    assert (np.diff(limit_scores(distances, limit)) >= 0).all()


def test_no_rows_no_scores():
    assert limit_scores(np.empty(0), 1.0).shape == (0,)
