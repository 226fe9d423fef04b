import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from detectors.thresholds import FENCE, auto_threshold, contamination_threshold

bounded = stn.arrays(np.float64, st.integers(1, 60), elements=st.floats(0.0, 1.0))
distances = stn.arrays(np.float64, st.integers(1, 60), elements=st.floats(0.0, 1e300))
shares = st.floats(1e-6, 0.5)


@given(bounded, shares)
def test_a_share_flags_that_many_unless_scores_are_equal(scores, share):
    threshold = contamination_threshold(scores, share)
    wanted = min(int(share * len(scores) + 0.5), len(scores) - 1)
    flagged = (scores > threshold).sum()
    assert flagged <= wanted
    if len(np.unique(scores)) == len(scores) and np.diff(np.sort(scores)).min(initial=1.0) > 1e-300:
        assert flagged == wanted


@pytest.mark.parametrize("n", [1, 2, 3, 10, 999, 1000])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.3, 0.5])
def test_distinct_scores_are_flagged_exactly(n, share):
    scores = np.random.RandomState(n).permutation(n) / n
    assert (scores > contamination_threshold(scores, share)).sum() == min(int(share * n + 0.5), n - 1)


def test_equal_scores_on_the_line_are_not_flagged():
    assert contamination_threshold(np.array([0.1, 0.5, 0.5, 0.5]), 0.25) == 0.5
    assert contamination_threshold(np.full(9, 0.5), 0.3) == 0.5


def test_neighbouring_numbers_have_no_middle():
    low = 0.5
    high = np.nextafter(low, 1.0)
    assert contamination_threshold(np.array([low, high]), 0.5) == low


def test_missing_and_infinite_scores():
    assert contamination_threshold(np.array([np.nan, 1.0, 2.0, 3.0, 9.0]), 0.25) == 6.0
    assert contamination_threshold(np.array([1.0, 2.0, 3.0, np.inf]), 0.25) == 3.0
    assert contamination_threshold(np.array([1.0, np.inf, np.inf, np.inf]), 0.25) == np.inf


@given(bounded)
def test_the_fence_is_a_threshold_for_bounded_scores(scores):
    threshold = auto_threshold(scores)
    assert 0.0 <= threshold <= 1.0
    if len(scores) >= 4:
        positive = scores[scores > 0]
        assert (positive > threshold).mean() <= 0.5 if positive.size else threshold == 0.0


@given(distances)
def test_the_fence_is_a_threshold_for_distances(radii):
    threshold = auto_threshold(radii, bounded=False)
    assert 0.0 <= threshold < np.inf
    assert threshold >= np.quantile(radii, 0.5) * (1 - 1e-12) or (radii == 0).any()


@given(distances, st.integers(-300, 300))
def test_the_fence_of_distances_does_not_depend_on_their_unit(radii, exponent):
    radii = radii / 1e200
    radii[radii < 1e-100] = 0.0
    scaled = auto_threshold(radii * 2.0**exponent, bounded=False)
    assert scaled == pytest.approx(auto_threshold(radii, bounded=False) * 2.0**exponent, rel=1e-9)


def test_equal_scores_are_never_flagged():
    for score in (0.1, 0.3, 0.7, 1 / 3, 1 - 1e-9, 5e-324, 1.0):
        assert auto_threshold(np.full(20, score)) >= score
        assert auto_threshold(np.full(20, score), bounded=False) >= score


def test_copies_of_training_rows_say_nothing():
    spread = np.random.RandomState(0).uniform(0.3, 0.6, 200)
    assert auto_threshold(np.concatenate([spread, np.zeros(1000)])) == auto_threshold(spread)
    assert auto_threshold(np.zeros(10)) == 0.0


def test_what_lies_beyond_does_not_widen_the_fence():
    odds = np.exp(np.random.RandomState(0).normal(size=1000))
    inliers = odds / (1 + odds)
    with_outliers = np.concatenate([inliers, np.full(150, 0.999)])
    assert auto_threshold(with_outliers) < 0.999
    assert (inliers > auto_threshold(inliers)).mean() < 0.01


def test_the_fence_is_tukey_s_on_the_logarithm_of_the_odds():
    logs = np.linspace(-1.0, 1.0, 101)
    expected = 0.5 + FENCE * 1.0
    assert np.log(auto_threshold(np.exp(logs), bounded=False)) == pytest.approx(expected)
    threshold = auto_threshold(1 / (1 + np.exp(-logs)))
    assert np.log(threshold / (1 - threshold)) == pytest.approx(expected)
