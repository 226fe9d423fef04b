import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from detectors.thresholds import (
    FENCE,
    ISOLATION_FENCE,
    STEP,
    auto_threshold,
    contamination_threshold,
    one_dimension_threshold,
)

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


KINDS = ("graded", "isolation", "distance")


@example(np.array([0.0625, 0.0625, 1.0, 0.0625, 0.0625, 0.125, 1.0, 0.5, 0.875]), "isolation")
@given(bounded, st.sampled_from(KINDS[:2]))
def test_the_fence_is_a_threshold_for_bounded_scores(scores, kind):
    threshold = auto_threshold(scores, kind)
    assert 0.0 <= threshold <= 1.0
    if len(scores) >= 4:
        positive = scores[scores > 0]
        assert (positive > threshold).mean() <= 0.5 if positive.size else threshold == 0.0


@given(distances)
def test_the_fence_is_a_threshold_for_distances(radii):
    threshold = auto_threshold(radii, "distance")
    assert 0.0 <= threshold < np.inf
    assert threshold >= np.quantile(radii, 0.5) * (1 - 1e-12) or (radii == 0).any()


@given(distances, st.integers(-300, 300))
def test_the_fence_of_distances_does_not_depend_on_their_unit(radii, exponent):
    radii = radii / 1e200
    radii[radii < 1e-100] = 0.0
    threshold = auto_threshold(radii, "distance")
    scaled = auto_threshold(radii * 2.0**exponent, "distance")
    if threshold < 1e200 and scaled < 1e200:  # beyond, it may be the largest number there is
        assert scaled == pytest.approx(threshold * 2.0**exponent, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_scores_are_never_flagged(kind):
    for score in (0.1, 0.3, 0.7, 1 / 3, 1 - 1e-9, 5e-324, 1.0):
        assert auto_threshold(np.full(20, score), kind) >= score


@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_training_rows_say_nothing(kind):
    spread = np.random.RandomState(0).uniform(0.3, 0.6, 200)
    assert auto_threshold(np.concatenate([spread, np.zeros(1000)]), kind) == auto_threshold(spread, kind)
    assert auto_threshold(np.zeros(10), kind) == 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_what_lies_beyond_does_not_widen_the_fence(kind, share):
    odds = np.exp(np.random.RandomState(0).normal(-2.0, 0.4, size=1000))
    inliers = odds / (1 + odds)
    with_outliers = np.concatenate([inliers, np.full(int(share * 1000), 0.999)])
    assert auto_threshold(with_outliers, kind) < 0.999
    assert (inliers > auto_threshold(inliers, kind)).mean() < 0.02


def test_a_score_of_one_is_beyond_every_fence():
    scores = np.append(np.random.RandomState(0).uniform(0.3, 0.6, 200), 1.0)
    assert auto_threshold(scores, "graded") < 1.0
    assert auto_threshold(scores, "isolation") < 1.0


@pytest.mark.parametrize(
    ("kind", "back"),
    [("graded", lambda logs: 1 / (1 + np.exp(-logs))), ("distance", np.exp)],
)
def test_the_fence_reaches_from_the_upper_decile_as_far_again_as_the_median(kind, back):
    logs = np.linspace(-1.0, 1.0, 101)  # deciles at -1, -0.8, ..., and nothing beyond a fence
    logs[-1] = 2.5  # beyond Tukey's, which is at 2.65, only of what is left
    kept = logs[:-1]
    median, decile = np.quantile(kept, [0.5, 0.9])
    if kind == "graded":
        assert decile + STEP[kind] * (decile - median) < 2.5 < 0.5 + FENCE
    threshold = auto_threshold(back(logs), kind)
    assert threshold == pytest.approx(back(decile + STEP[kind] * (decile - median)))


def test_of_isolation_the_fence_is_tukey_s():
    logs = np.linspace(1.0, 2.0, 101)
    threshold = auto_threshold(1 - np.exp(-logs), "isolation")
    assert -np.log1p(-threshold) == pytest.approx(1.75 + ISOLATION_FENCE * 0.5)


@given(stn.arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e308, 1e308)), st.integers(0, 99))
def test_of_one_dimension_hardly_any_row_within_the_fences_is_flagged(values, seed):
    scores = np.random.RandomState(seed).uniform(size=len(values))
    threshold = one_dimension_threshold(values, scores)
    if threshold is None:
        return
    assert threshold in scores
    lower, upper = np.quantile(values / 8, [0.25, 0.75])
    within = np.abs(values / 8 - np.clip(values / 8, lower, upper)) <= 1.99 * (upper - lower)
    assert (scores[within] > threshold).sum() <= 0.01 * len(values) + 1


def test_one_dimension_without_spread_has_no_fences():
    assert one_dimension_threshold(np.repeat([1.0, 2.0], [9, 1]), np.linspace(0, 1, 10)) is None
